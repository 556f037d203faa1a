// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the array calls of the driver, as a list of events: the commands, the
 * CMD_SYNCs and the waiting for them, in the order in which they happen.
 */

#include <stdlib.h>

#include "invs_test.h"

#define MAX_EVENTS	BIT(18)

struct arm_smmu_device smmus[NUM_SMMUS];
struct event *events;
size_t num_events;
unsigned int num_rounds;

void recorder_reset(void)
{
	unsigned int i;

	if (!events)
		events = malloc(MAX_EVENTS * sizeof(*events));
	for (i = 0; i != NUM_SMMUS; i++) {
		smmus[i].range = i % 3 != 2;
		smmus[i].e2h = i % 2;
	}
	num_events = 0;
	num_rounds = 0;
}

static void add(enum event_kind kind, struct arm_smmu_device *smmu,
		const struct arm_smmu_cmd *cmd)
{
	CHECK(smmu >= smmus && smmu < smmus + NUM_SMMUS, "no such SMMU");
	CHECK(num_events != MAX_EVENTS, "it does not stop sending commands");
	events[num_events].kind = kind;
	events[num_events].smmu = smmu - smmus;
	if (cmd)
		events[num_events].cmd = *cmd;
	num_events++;
}

static void add_batch(struct arm_smmu_device *smmu,
		      struct arm_smmu_cmdq_batch *cmds)
{
	int i;

	CHECK(cmds->num < CMDQ_BATCH_ENTRIES, "no space for the CMD_SYNC");
	for (i = 0; i != cmds->num; i++)
		add(EVENT_CMD, smmu, &cmds->cmds[i]);
}

void arm_smmu_cmdq_batch_flush(struct arm_smmu_device *smmu,
			       struct arm_smmu_cmdq_batch *cmds)
{
	add_batch(smmu, cmds);
	cmds->num = 0;
}

int arm_smmu_cmdq_batch_submit(struct arm_smmu_device *smmu,
			       struct arm_smmu_cmdq_batch *cmds)
{
	if (!cmds->num)
		return 0;
	add_batch(smmu, cmds);
	add(EVENT_SYNC, smmu, NULL);
	add(EVENT_WAITED, smmu, NULL);
	num_rounds++;
	return 0;
}

int arm_smmu_cmdq_issue_cmd_p(struct arm_smmu_device *smmu,
			      struct arm_smmu_cmd *cmd, bool sync)
{
	struct arm_smmu_cmdq_batch batch = { .cmds = { *cmd }, .num = 1 };

	CHECK(sync, "a command without CMD_SYNC");
	return arm_smmu_cmdq_batch_submit(smmu, &batch);
}

void arm_smmu_cmdq_batch_post(struct arm_smmu_device *smmu,
			      struct arm_smmu_cmdq_batch *cmds)
{
	struct arm_smmu_cmdq_waits *waits = cmds->waits;

	if (!cmds->num)
		return;
	if (waits->num == CMDQ_MAX_WAITS)
		arm_smmu_cmdq_wait_all(waits);
	add_batch(smmu, cmds);
	add(EVENT_SYNC, smmu, NULL);
	waits->wait[waits->num++].smmu = smmu;
}

void arm_smmu_cmdq_wait_all(struct arm_smmu_cmdq_waits *waits)
{
	unsigned int i;

	CHECK(waits->num, "nothing to wait for");
	for (i = 0; i != waits->num; i++)
		add(EVENT_WAITED, waits->wait[i].smmu, NULL);
	waits->num = 0;
	num_rounds++;
}
