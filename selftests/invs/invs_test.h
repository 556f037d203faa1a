/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the user space test of the invalidation array share. */
#ifndef _INVS_TEST_H
#define _INVS_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arm-smmu-v3-invs.h"

/* More than CMDQ_MAX_WAITS, so that some have to be waited for in two rounds */
#define NUM_SMMUS	18
#define MAX_DEVICES	24
#define MAX_STREAMS	3
/* What a device needs: an id, one to clear stage 1, an ATC for each stream */
#define MAX_BUILD	(2 + MAX_STREAMS)

/**
 * struct arm_smmu_device - An SMMU instance
 * @range: it has ARM_SMMU_FEAT_RANGE_INV
 * @e2h: it has ARM_SMMU_FEAT_E2H
 */
struct arm_smmu_device {
	bool range;
	bool e2h;
};

extern struct arm_smmu_device smmus[NUM_SMMUS];

/* What the driver was asked to do, see recorder.c */
enum event_kind {
	EVENT_CMD,
	EVENT_SYNC,	/* a CMD_SYNC in the queue of the SMMU */
	EVENT_WAITED,	/* for that CMD_SYNC */
};

struct event {
	enum event_kind kind;
	unsigned int smmu;
	struct arm_smmu_cmd cmd;
};

extern struct event *events;
extern size_t num_events;
extern unsigned int num_rounds;	/* of waiting */
void recorder_reset(void);

/**
 * struct sweep - Arguments of arm_smmu_invs_sweep()
 * @iova: first address
 * @size: in bytes
 * @granule: size in bytes of what was mapped there
 * @level: of the page table for @granule
 * @tg: log2 of the page size of the table
 * @leaf: whether only leaf entries changed
 */
struct sweep {
	uint64_t iova;
	uint64_t size;
	uint64_t granule;
	unsigned int level;
	unsigned int tg;
	bool leaf;
};

/* The model, see model.c */
void model_reset(void);
void model_add(const struct arm_smmu_inv *inv);
bool model_remove(const struct arm_smmu_inv *inv);
size_t model_num(void);
void model_check_array(const struct arm_smmu_invs *invs);
void model_check_sweep(const struct sweep *sweep);

void __printf(1, 2) __noreturn fail(const char *format, ...);

#define CHECK(condition, ...)                                                  \
	do {                                                                   \
		if (!(condition))                                              \
			fail(__VA_ARGS__);                                     \
	} while (0)

#endif
