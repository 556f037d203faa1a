/* SPDX-License-Identifier: GPL-2.0-only */
/* The one allocation of the array; a test makes it fail with invs_fail_alloc. */
#ifndef _LINUX_SLAB_H
#define _LINUX_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

extern bool invs_fail_alloc;

static inline void *invs_zalloc(size_t size)
{
	return invs_fail_alloc ? NULL : calloc(1, size);
}

/* Exactly as large as the kernel's, so that ASan sees one entry too many */
#define kzalloc_flex(p, member, count)                                         \
	((typeof(p) *)invs_zalloc(offsetof(typeof(p), member) +                \
				  (count) * sizeof((p).member[0])))

#endif
