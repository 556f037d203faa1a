/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random choices that can be made again: of the same seed, each step of each
 * thread draws the same numbers, whatever the others do and whatever came of the
 * steps before.
 */
#ifndef __SELFTEST_SEEDED_H
#define __SELFTEST_SEEDED_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <linux/types.h>

/**
 * struct seeded - A sequence of numbers
 * @state: of SplitMix64 (G. Steele et al., OOPSLA 2014)
 */
struct seeded {
	__u64 state;
};

/**
 * seeded_next() - Draw 64 bits
 * @s: the sequence, of one thread only
 *
 * Return: the number.
 */
static inline __u64 seeded_next(struct seeded *s)
{
	__u64 z = s->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/**
 * seeded_init() - Start a sequence
 * @seed: of the run
 * @stream: which thread
 * @step: which of its steps
 *
 * Return: the sequence.
 */
static inline struct seeded seeded_init(__u64 seed, __u32 stream, __u32 step)
{
	struct seeded s = { seed };

	s.state = seeded_next(&s) ^ ((__u64)stream << 32 | step);
	return s;
}

/**
 * seeded_below() - Draw a number
 * @s: the sequence
 * @end: not 0
 *
 * Return: from 0 to @end - 1.
 */
static inline __u64 seeded_below(struct seeded *s, __u64 end)
{
	return seeded_next(s) % end;
}

/**
 * seeded_chance() - Draw yes or no
 * @s: the sequence
 * @percent: how often yes
 *
 * Return: the answer.
 */
static inline bool seeded_chance(struct seeded *s, unsigned int percent)
{
	return seeded_below(s, 100) < percent;
}

/**
 * seeded_setting() - A number from the environment
 * @name: of the variable: SEED, ROUNDS
 * @otherwise: if it is not set
 *
 * Return: the number; ends the program if it is none.
 */
static inline __u64 seeded_setting(const char *name, __u64 otherwise)
{
	const char *text = getenv(name);
	char *end;
	__u64 number;

	if (!text || !*text)
		return otherwise;
	errno = 0;
	number = strtoull(text, &end, 0);
	if (errno || *end) {
		ksft_print_msg("%s=%s is not a number\n", name, text);
		exit(KSFT_FAIL);
	}
	return number;
}

#endif
