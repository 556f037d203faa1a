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
void build_device(struct arm_smmu_invs *build, const struct step *s, u8 tg);

void steps_run(const struct step *steps, size_t num);
void steps_random(struct step *steps, size_t num, uint64_t seed);
void steps_print(FILE *file, const struct step *steps, size_t num);
size_t steps_read(FILE *file, struct step *steps);

#endif
