/* SPDX-License-Identifier: GPL-2.0-only */
/* The array only has room for the head; who frees it is up to the test. */
#ifndef _LINUX_RCUPDATE_H
#define _LINUX_RCUPDATE_H

struct rcu_head {
	void *next;
	void (*func)(struct rcu_head *head);
};

#endif
