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

#ifndef __counted_by
#define __counted_by(member)
#endif
#define __uninitialized

#endif
