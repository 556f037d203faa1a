/* SPDX-License-Identifier: GPL-2.0-only */
/* The one allocation of the array, which a test can let fail. */
#ifndef _LINUX_SLAB_H
#define _LINUX_SLAB_H

#include <stddef.h>

void *invs_zalloc(size_t size);

/* Exactly as large as the kernel's, so that ASan sees one entry too many */
#define kzalloc_flex(p, member, count)                                         \
	((typeof(p) *)invs_zalloc(offsetof(typeof(p), member) +                \
				  (count) * sizeof((p).member[0])))

/* The series before it had arrays of any size */
#define kvzalloc_flex(p, member, count) kzalloc_flex(p, member, count)

#endif
