// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <netlink/netlink.h>
#include <netlink/socket.h>

#include "uevents.h"

/* The kernel's own events; group 2 is udev's */
#define UEVENT_GROUP_KERNEL	1
#define UEVENT_BUFFER		0x100000

struct nl_sock *uevents_open(void)
{
	struct nl_sock *uevents = nl_socket_alloc();

	if (!uevents)
		return NULL;
	nl_join_groups(uevents, UEVENT_GROUP_KERNEL);
	if (!nl_connect(uevents, NETLINK_KOBJECT_UEVENT) &&
	    !nl_socket_set_buffer_size(uevents, UEVENT_BUFFER, 0) &&
	    !nl_socket_set_nonblocking(uevents))
		return uevents;
	nl_socket_free(uevents);
	return NULL;
}

void uevents_close(struct nl_sock *uevents)
{
	nl_socket_free(uevents);
}

/* @text: "action@path", "KEY=value", .., each ended by a 0 byte */
static bool uevent_fits(const char *text, int len, const char *action, const char *subsystem,
			const char *path)
{
	const char *at = memchr(text, '@', len);
	size_t prefix = strlen("SUBSYSTEM=");
	const char *key;

	if (!at || (size_t)(at - text) != strlen(action) || memcmp(text, action, at - text) ||
	    !strstr(at, path))
		return false;
	for (key = text; key < text + len; key += strlen(key) + 1)
		if (!strncmp(key, "SUBSYSTEM=", prefix))
			return !strcmp(key + prefix, subsystem);
	return false;
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int uevents_wait(struct nl_sock *uevents, const char *action, const char *subsystem,
		 const char *path, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = nl_socket_get_fd(uevents), .events = POLLIN };
	long end = now_ms() + timeout_ms;

	for (;;) {
		struct sockaddr_nl from;
		unsigned char *text;
		bool fits;
		long left;
		int len;

		len = nl_recv(uevents, &from, &text, NULL);
		if (len > 0) {
			/* Port 0 is the kernel */
			fits = !from.nl_pid && uevent_fits((char *)text, len, action, subsystem,
							   path);
			free(text);
			if (fits)
				return 0;
			continue;
		}
		if (len && len != -NLE_AGAIN)
			return -EIO;
		left = end - now_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		poll(&poll_fd, 1, left);
	}
}
