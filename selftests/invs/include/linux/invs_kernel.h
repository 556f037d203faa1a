/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before anything else: what the kernel's compiler options and
 * <linux/compiler.h> give every file, and tools/include has not.
 */
#ifndef _INVS_KERNEL_H
#define _INVS_KERNEL_H

#include <stdint.h>
#include <stdbool.h>
#include <stddef.h>
#include <linux/kernel.h>
#include <linux/compiler.h>
#include <linux/bitops.h>
#include <linux/bits.h>

/* TSan takes those of tools/include for plain accesses */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef READ_ONCE
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#undef WRITE_ONCE
#define WRITE_ONCE(x, value)	__atomic_store_n(&(x), value, __ATOMIC_RELAXED)
#endif
#endif

#ifndef __counted_by
#define __counted_by(member)
#endif
#define __uninitialized

#endif
