// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "../kselftest.h"
#include "pci_guard.h"

/**
 * struct pci_state - What a device had before the tests
 * @bdf: the device
 * @driver: name, "" if it had none
 * @override: driver_override, a line; "(null)" if there was none
 * @reset_method: reset_method, a line
 */
struct pci_state {
	const char *bdf;
	char driver[64];
	char override[64];
	char reset_method[128];
};

/* In memory that the test shares with the guard: its process group */
static volatile pid_t *test_group;

static void pci_path(char *path, const char *bdf, const char *file)
{
	if (bdf)
		snprintf(path, PATH_MAX, "/sys/bus/pci/devices/%s/%s", bdf, file);
	else
		snprintf(path, PATH_MAX, "/sys/bus/pci/%s", file);
}

static int pci_write(const char *bdf, const char *file, const char *text)
{
	char path[PATH_MAX];
	int fd, ret = 0;

	pci_path(path, bdf, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static void pci_read(const char *bdf, const char *file, char *text, size_t size)
{
	char path[PATH_MAX];
	FILE *f;

	pci_path(path, bdf, file);
	text[0] = 0;
	f = fopen(path, "re");
	if (!f)
		return;
	if (!fgets(text, size, f))
		text[0] = 0;
	fclose(f);
}

void pci_driver(const char *bdf, char *name, size_t size)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	pci_path(path, bdf, "driver");
	len = readlink(path, target, sizeof(target) - 1);
	name[0] = 0;
	if (len <= 0)
		return;
	target[len] = 0;
	snprintf(name, size, "%s", strrchr(target, '/') + 1);
}

/* udev may not be there to load it */
static void pci_load_module(const char *bdf)
{
	char alias[256];
	pid_t child;

	pci_read(bdf, "modalias", alias, sizeof(alias));
	alias[strcspn(alias, "\n")] = 0;
	child = fork();
	if (!child) {
		execlp("modprobe", "modprobe", "-q", alias, NULL);
		_exit(127);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

int pci_bind(const char *bdf, const char *driver)
{
	char now[64];
	int ret;

	pci_driver(bdf, now, sizeof(now));
	if (now[0] && (!driver || strcmp(now, driver))) {
		ret = pci_write(bdf, "driver/unbind", bdf);
		if (ret)
			return ret;
	}
	/* An empty line takes the override away */
	ret = pci_write(bdf, "driver_override", driver ? driver : "\n");
	if (ret)
		return ret;
	if (!driver)
		pci_load_module(bdf);
	ret = pci_write(NULL, "drivers_probe", bdf);
	pci_driver(bdf, now, sizeof(now));
	if (!now[0])
		return ret ? ret : -ENODEV;
	return 0;
}

int pci_remove(const char *bdf)
{
	return pci_write(bdf, "remove", "1");
}

int pci_rescan(void)
{
	return pci_write(NULL, "rescan", "1");
}

void pci_get_reset_method(const char *bdf, char *text, size_t size)
{
	pci_read(bdf, "reset_method", text, size);
}

void pci_set_reset_method(const char *bdf, const char *text)
{
	char now[128];

	/* Empty if the kernel is not to reset it */
	pci_get_reset_method(bdf, now, sizeof(now));
	if (strcmp(now, text))
		pci_write(bdf, "reset_method", text[0] ? text : "\n");
}

static void pci_save(struct pci_state *state, const char *bdf)
{
	state->bdf = bdf;
	pci_driver(bdf, state->driver, sizeof(state->driver));
	pci_read(bdf, "driver_override", state->override, sizeof(state->override));
	pci_get_reset_method(bdf, state->reset_method, sizeof(state->reset_method));
}

static int pci_restore(const struct pci_state *state)
{
	char path[PATH_MAX], now[128];
	int ret = 0;

	pci_path(path, state->bdf, "vendor");
	if (access(path, F_OK))
		pci_rescan();
	pci_driver(state->bdf, now, sizeof(now));
	if (strcmp(now, state->driver)) {
		if (now[0])
			pci_write(state->bdf, "driver/unbind", state->bdf);
		if (state->driver[0])
			ret = pci_bind(state->bdf, state->driver);
	}
	pci_write(state->bdf, "driver_override",
		  strcmp(state->override, "(null)\n") ? state->override : "\n");
	pci_set_reset_method(state->bdf, state->reset_method);
	if (ret)
		ksft_print_msg("%s does not go back to its driver %s: %s\n", state->bdf,
			       state->driver, strerror(-ret));
	return ret;
}

/* Wait for the tests, or for a signal; the signal that ended them, or 0 */
static int guard_wait(pid_t child, const sigset_t *signals, int *status)
{
	siginfo_t info;

	for (;;) {
		if (sigwaitinfo(signals, &info) < 0)
			continue;
		if (info.si_signo == SIGCHLD && waitpid(child, status, WNOHANG) != child)
			continue;
		if (info.si_signo == SIGCHLD)
			return 0;
		kill(child, SIGKILL);
		waitpid(child, status, 0);
		if (*test_group)
			kill(-*test_group, SIGKILL);
		return info.si_signo;
	}
}

int pci_guard_run(const char * const bdf[], unsigned int nr, int (*run)(int argc, char **argv),
		  int argc, char **argv)
{
	struct pci_state state[PCI_GUARD_MAX];
	int status = 0, signo, ret = 0;
	sigset_t signals, before;
	unsigned int i;
	pid_t child;

	if (nr > PCI_GUARD_MAX)
		ksft_exit_fail_msg("more than %d devices\n", PCI_GUARD_MAX);
	for (i = 0; i < nr; i++)
		pci_save(&state[i], bdf[i]);

	test_group = mmap(NULL, sizeof(*test_group), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (test_group == MAP_FAILED)
		ksft_exit_fail_perror("mmap");
	/* Tests whose harness was killed become ours */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &before);

	child = fork();
	if (child < 0)
		ksft_exit_fail_perror("fork");
	if (!child) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		exit(run(argc, argv));
	}
	signo = guard_wait(child, &signals, &status);
	while (wait(NULL) > 0)
		;
	for (i = 0; i < nr; i++)
		ret |= pci_restore(&state[i]);
	if (signo) {
		ksft_print_msg("signal %d: tests ended, devices restored\n", signo);
		sigprocmask(SIG_SETMASK, &before, NULL);
		raise(signo);
	}
	if (ret || !WIFEXITED(status))
		return KSFT_FAIL;
	return WEXITSTATUS(status);
}

void pci_guard_test(void)
{
	if (test_group)
		*test_group = getpgrp();
}
