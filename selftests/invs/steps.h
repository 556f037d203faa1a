/* SPDX-License-Identifier: GPL-2.0-only */
/* A test case: steps, as text for people and as bytes for the fuzzer. */
#ifndef _STEPS_H
#define _STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/types.h>

#define MAX_STEPS	256

enum step_op {
	STEP_PAGES,	/* the page size of the table; everything is detached */
	STEP_ATTACH,	/* arm_smmu_invs_merge() */
	STEP_DETACH,	/* arm_smmu_invs_unref() */
	STEP_PURGE,	/* arm_smmu_invs_purge() */
	STEP_SWEEP,	/* arm_smmu_invs_sweep() */
	NUM_OPS,
};

enum device_kind {
	DEVICE_S1,
	DEVICE_S2,
	DEVICE_NESTED,
	NUM_KINDS,
};

/* Every value is good: what is out of range is brought into it */
struct step {
	uint8_t op;
	uint8_t smmu, kind, id, streams, ssid;	/* STEP_ATTACH */
	uint8_t which;				/* STEP_DETACH, STEP_PAGES */
	uint8_t granule;			/* STEP_SWEEP */
	uint8_t leaf;
	uint8_t fail;				/* the allocation */
	uint8_t unused[6];
	uint64_t iova, size;
};

struct arm_smmu_invs;

/**
 * build_device() - What a device puts into the array, as the driver would
 * @build: with room for MAX_BUILD; filled
 * @s: a STEP_ATTACH, which says what device it is
 * @tg: log2 of the page size of the table
 */
void build_device(struct arm_smmu_invs *build, const struct step *s, u8 tg);

/**
 * steps_run() - Do steps, from an empty array on, and compare with the model
 * @steps: array
 * @num: entries of @steps
 *
 * What is wrong ends the program by fail(). The array of the last step stays until the
 * next call.
 */
void steps_run(const struct step *steps, size_t num);

/**
 * steps_random() - Make up steps
 * @steps: filled
 * @num: entries of @steps, at least 1
 * @seed: the same one makes the same steps
 */
void steps_random(struct step *steps, size_t num, uint64_t seed);

/**
 * steps_print() - Write steps as text that steps_read() takes
 * @file: where to
 * @steps: array
 * @num: entries of @steps
 */
void steps_print(FILE *file, const struct step *steps, size_t num);

/**
 * steps_read() - Read steps; empty lines and those with # are skipped
 * @file: where from
 * @steps: filled, with room for MAX_STEPS; what is behind those is not read
 *
 * Ends the program with status 2 at a line that is no step.
 *
 * Return: how many were read.
 */
size_t steps_read(FILE *file, struct step *steps);

#endif
