/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel tells user space of devices that come and go
 * (NETLINK_KOBJECT_UEVENT), by libnl.
 */
#ifndef __SELFTEST_UEVENTS_H
#define __SELFTEST_UEVENTS_H

#include <stddef.h>

struct nl_sock;

/**
 * uevents_open() - Listen from now on
 *
 * Return: what the other functions take, NULL on failure.
 */
struct nl_sock *uevents_open(void);

/**
 * uevents_close() - Listen no more
 * @uevents: from uevents_open(), or NULL
 */
void uevents_close(struct nl_sock *uevents);

/**
 * uevents_wait() - Wait for an event
 * @uevents: from uevents_open()
 * @action: "add", "remove", "bind", ..
 * @subsystem: "pci", "iommu", ..
 * @path: part of the device's path in sysfs
 * @timeout_ms: how long
 *
 * All events up to this one are dropped, so calls in a row prove an order.
 *
 * Return: 0, or -ETIMEDOUT, or another -errno.
 */
int uevents_wait(struct nl_sock *uevents, const char *action, const char *subsystem,
		 const char *path, int timeout_ms);

#endif
