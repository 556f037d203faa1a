/* SPDX-License-Identifier: GPL-2.0-only */
/* A warning of the kernel is a failed test. */
#ifndef _LINUX_BUG_H
#define _LINUX_BUG_H

#include <linux/build_bug.h>
#include <linux/compiler.h>

void invs_warn(const char *file, int line, const char *condition);

#define WARN_ON(condition)                                                     \
	({                                                                     \
		bool __warn = !!(condition);                                   \
		if (unlikely(__warn))                                          \
			invs_warn(__FILE__, __LINE__, #condition);             \
		unlikely(__warn);                                              \
	})
#define WARN_ON_ONCE(condition)	WARN_ON(condition)

#endif
