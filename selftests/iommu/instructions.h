/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counting instructions of the CPU: the virtual counter of QEMU with -icount shift=0
 * and a frequency of 1 GHz goes up by one with each.
 */
#ifndef __SELFTEST_INSTRUCTIONS_H
#define __SELFTEST_INSTRUCTIONS_H

#include <stdbool.h>
#include <linux/types.h>

/* What two reads of the counter cost with nothing in between */
#define INSTRUCTIONS_EMPTY	2

/**
 * instructions() - Read the counter
 *
 * Return: instructions so far, or time; see counts_instructions().
 */
static inline __u64 instructions(void)
{
	__u64 val;

	asm volatile("isb; mrs %0, cntvct_el0" : "=r"(val) : : "memory");
	return val;
}

/**
 * counts_instructions() - Does the counter count instructions?
 *
 * Return: false if it counts time.
 */
static inline bool counts_instructions(void)
{
	__u64 hz, start, end;

	asm volatile("mrs %0, cntfrq_el0" : "=r"(hz));
	start = instructions();
	end = instructions();
	return hz == 1000000000 && end - start == INSTRUCTIONS_EMPTY;
}

/**
 * struct least - The least of several tries
 * @val: so much
 * @seen: how often
 *
 * The others were interrupted, or found a cache of the allocator empty.
 */
struct least {
	__u64 val;
	unsigned int seen;
};

/**
 * least_add() - One more try
 * @least: all zero before the first one
 * @val: what it took
 */
static inline void least_add(struct least *least, __u64 val)
{
	if (!least->seen || val < least->val)
		*least = (struct least){ .val = val };
	least->seen += val == least->val;
}

#endif
