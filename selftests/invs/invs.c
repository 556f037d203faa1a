// SPDX-License-Identifier: GPL-2.0-only
/*
 * The invalidation array of arm-smmu-v3 against a model of it.
 *
 *	invs random SEED SECONDS OPERATIONS
 *			random steps until one of the limits; if a test case
 *			fails, print the shortest one that can be made of it
 *	invs run FILE...	the steps in the files
 *	invs shrink FILE	what the fuzzer found, as steps
 *	invs encode DIR FILE...	steps as bytes for the fuzzer
 */

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "invs_test.h"
#include "steps.h"

#define STEPS		64
/* Seconds of CPU that no test case takes: one that never ends fails as well */
#define HANGS		2

static void limit_time(void)
{
	struct itimerval limit = { .it_value.tv_sec = HANGS };

	setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

/* Survive what the sanitizers and the array do: run them in a process */
static bool passes(const struct step *steps, size_t num, bool quiet)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		if (quiet && !freopen("/dev/null", "w", stderr))
			exit(2);
		limit_time();
		steps_run(steps, num);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("fork");
		exit(2);
	}
	return !status;
}

static size_t without(struct step *to, const struct step *steps, size_t num,
		      size_t from, size_t len)
{
	memcpy(to, steps, from * sizeof(*steps));
	memcpy(to + from, steps + from + len,
	       (num - from - len) * sizeof(*steps));
	return num - len;
}

/* Leave out what is not needed to fail: halves, quarters ... single steps */
static size_t shrink(struct step *steps, size_t num)
{
	struct step fewer[MAX_STEPS];
	size_t from, len, left;

	for (len = num / 2; len; len /= 2) {
		for (from = 0; from + len <= num;) {
			left = without(fewer, steps, num, from, len);
			if (passes(fewer, left, true)) {
				from += len;
				continue;
			}
			num = left;
			memcpy(steps, fewer, num * sizeof(*steps));
			/* One less may make another one superfluous */
			if (len == 1)
				from = 0;
		}
	}
	return num;
}

static void report(struct step *steps, size_t num)
{
	size_t all = num;

	num = shrink(steps, num);
	printf("%zu steps of %zu are enough:\n", num, all);
	steps_print(stdout, steps, num);
	passes(steps, num, false);
}

/* What the process that runs random steps has done so far */
static struct progress {
	uint64_t seed;
	uint64_t operations;
} *progress;

static void run_random(time_t end, uint64_t operations)
{
	struct step steps[STEPS];

	while (time(NULL) < end && progress->operations < operations) {
		limit_time();
		steps_random(steps, STEPS, progress->seed);
		steps_run(steps, STEPS);
		progress->operations += STEPS;
		progress->seed++;
	}
}

static int cmd_random(uint64_t seed, time_t seconds, uint64_t operations)
{
	struct step steps[STEPS];
	int status;
	pid_t pid;

	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		return 2;
	progress->seed = seed;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		run_random(time(NULL) + seconds, operations);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 2;
	if (status) {
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGVTALRM)
			fputs("failed: it does not end\n", stderr);
		printf("seed %" PRIu64 " fails\n", progress->seed);
		steps_random(steps, STEPS, progress->seed);
		report(steps, STEPS);
		return 1;
	}
	printf("%" PRIu64 " operations, seeds %" PRIu64 " to %" PRIu64 ": as the model\n",
	       progress->operations, seed, progress->seed - 1);
	return 0;
}

static FILE *open_or_exit(const char *name, const char *mode)
{
	FILE *file = fopen(name, mode);

	if (!file) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
		exit(2);
	}
	return file;
}

static size_t read_steps(const char *name, struct step *steps)
{
	FILE *file = open_or_exit(name, "r");
	size_t num = steps_read(file, steps);

	fclose(file);
	return num;
}

static int cmd_run(char **names)
{
	struct step steps[MAX_STEPS];
	int rc = 0;

	for (; *names; names++) {
		bool ok = passes(steps, read_steps(*names, steps), false);

		printf("%s: %s\n", basename(*names), ok ? "passes" : "FAILS");
		rc |= !ok;
	}
	return rc;
}

static int cmd_shrink(const char *name)
{
	struct step steps[MAX_STEPS] = {};
	FILE *file = open_or_exit(name, "rb");
	size_t num = fread(steps, sizeof(*steps), MAX_STEPS, file);

	fclose(file);
	if (passes(steps, num, true)) {
		steps_print(stdout, steps, num);
		return 0;
	}
	report(steps, num);
	return 1;
}

static int cmd_encode(const char *dir, char **names)
{
	struct step steps[MAX_STEPS];

	if (chdir(dir) < 0)
		return 2;
	for (; *names; names++) {
		size_t num = read_steps(*names, steps);
		FILE *file = open_or_exit(basename(*names), "wb");

		if (fwrite(steps, sizeof(*steps), num, file) != num ||
		    fclose(file))
			return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "random"))
		return cmd_random(strtoull(argv[2], NULL, 0), atol(argv[3]),
				  strtoull(argv[4], NULL, 0));
	if (argc > 2 && !strcmp(argv[1], "run"))
		return cmd_run(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "shrink"))
		return cmd_shrink(argv[2]);
	if (argc > 3 && !strcmp(argv[1], "encode"))
		return cmd_encode(argv[2], argv + 3);
	fputs("usage: invs random SEED SECONDS OPERATIONS | run FILE... |\n"
	      "       shrink FILE | encode DIR FILE...\n",
	      stderr);
	return 2;
}
