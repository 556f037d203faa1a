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

/**
 * enum event_kind - What the driver was asked to do
 * @EVENT_CMD: to send a command
 * @EVENT_SYNC: to send a CMD_SYNC
 * @EVENT_WAITED: to wait for the last CMD_SYNC
 */
enum event_kind {
	EVENT_CMD,
	EVENT_SYNC,
	EVENT_WAITED,
};

/**
 * struct event - One of the things that the driver was asked to do, see recorder.c
 * @kind: what
 * @smmu: number of the SMMU whose queue it was
 * @cmd: the command, of EVENT_CMD
 */
struct event {
	enum event_kind kind;
	unsigned int smmu;
	struct arm_smmu_cmd cmd;
};

extern struct event *events;
extern size_t num_events;
extern unsigned int num_rounds;	/* of waiting */

/**
 * recorder_reset() - Forget the events and the rounds, make the SMMUs as they are
 *
 * The events of a step are the caller's to look at before the next reset. For one thread.
 */
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

/*
 * The model, see model.c. For one thread; what it does not find in order ends the
 * program by fail().
 */

/**
 * model_reset() - Make the set empty
 */
void model_reset(void);

/**
 * model_add() - One user more
 * @inv: of what; only smmu, type, id and ssid count
 */
void model_add(const struct arm_smmu_inv *inv);

/**
 * model_remove() - One user less
 * @inv: of what has one
 *
 * Return: whether that was the last one.
 */
bool model_remove(const struct arm_smmu_inv *inv);

/**
 * model_num() - Size of the set
 *
 * Return: how many members have users.
 */
size_t model_num(void);

/**
 * model_check_array() - Check that an array is sorted and has the members of the set
 * @invs: the array
 */
void model_check_array(const struct arm_smmu_invs *invs);

/**
 * model_check_sweep() - Check that the recorded events are what the set needs
 * @sweep: what was asked for after the last recorder_reset()
 */
void model_check_sweep(const struct sweep *sweep);

/**
 * fail() - Say what is wrong, and end the program
 * @format: of printf()
 * @...: what goes into it
 *
 * At once, as other threads may run; in the fuzzer by abort(), which it looks for.
 */
void __printf(1, 2) __noreturn fail(const char *format, ...);

#define CHECK(condition, ...)                                                  \
	do {                                                                   \
		if (!(condition))                                              \
			fail(__VA_ARGS__);                                     \
	} while (0)

#endif
