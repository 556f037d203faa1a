// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the invalidation array should do, said in the simplest way: a set without
 * order that counts users, and what a sweep has to send for each of its members.
 * Shares no code with the array, and spells the commands out from the Arm SMMU
 * architecture specification (ARM IHI 0070) again.
 */

#include <string.h>

#include "invs_test.h"

#define BITS(value, low, num)	(((value) >> (low)) & ((1ULL << (num)) - 1))

/* A member of the set, and how far the sweep at hand has come with it */
static struct member {
	unsigned int smmu, type, id, ssid;
	int users;
	unsigned int cmds;
	uint64_t next; /* all before that is invalidated */
} members[MAX_DEVICES * MAX_BUILD];

static size_t num_members;

void model_reset(void)
{
	num_members = 0;
}

size_t model_num(void)
{
	return num_members;
}

static struct member *find(const struct arm_smmu_inv *inv)
{
	struct member *m;

	for (m = members; m != members + num_members; m++)
		if (m->smmu == inv->smmu - smmus && m->type == inv->type &&
		    m->id == inv->id && m->ssid == inv->ssid)
			return m;
	return NULL;
}

void model_add(const struct arm_smmu_inv *inv)
{
	struct member *m = find(inv);

	if (m) {
		m->users++;
		return;
	}
	m = &members[num_members++];
	m->smmu = inv->smmu - smmus;
	m->type = inv->type;
	m->id = inv->id;
	m->ssid = inv->ssid;
	m->users = 1;
}

/* Returns true if that was the last user */
bool model_remove(const struct arm_smmu_inv *inv)
{
	struct member *m = find(inv);

	if (--m->users)
		return false;
	*m = members[--num_members];
	return true;
}

static unsigned int phase(unsigned int type)
{
	return type < INV_TYPE_S2_VMID_S1_CLEAR ? 0 : type < INV_TYPE_ATS ? 1 : 2;
}

/* The members of an array, live ones and trash, ascend in this */
static uint64_t rank(const struct arm_smmu_inv *inv)
{
	return ((uint64_t)phase(inv->type) << 62) |
	       ((uint64_t)(inv->smmu - smmus) << 56) |
	       ((uint64_t)inv->type << 52) | ((uint64_t)inv->id << 20) |
	       inv->ssid;
}

void model_check_array(const struct arm_smmu_invs *invs)
{
	size_t i, live = 0;

	CHECK(invs->num_invs <= invs->max_invs, "longer than its memory");
	for (i = 0; i != invs->num_invs; i++) {
		const struct arm_smmu_inv *inv = &invs->inv[i];
		struct member *m = find(inv);

		CHECK(!i || rank(inv - 1) < rank(inv), "not sorted");
		if (!inv->users)
			continue;
		CHECK(m && m->users == inv->users, "entry %zu: %d users, not %d",
		      i, inv->users, m ? m->users : 0);
		live++;
	}
	CHECK(live == num_members, "%zu entries, not %zu", live, num_members);
	CHECK(i - live == invs->num_trashes, "%zu trashes, not %zu",
	      invs->num_trashes, i - live);
	CHECK(!i || invs->inv[i - 1].users, "ends with trash");
}

static bool is_all(const struct member *m, const struct sweep *sweep)
{
	if (!sweep->size || sweep->size == UINT64_MAX)
		return true;
	/* Pages that no range command can count */
	if ((sweep->size - 1) / 4096 + 1 >= 1ULL << 32)
		return true;
	/* More than 511 commands */
	return !smmus[m->smmu].range && sweep->size / sweep->granule > 511;
}

/* The first word of a command for @m, without NUM and SCALE */
static uint64_t word0(const struct member *m, bool all)
{
	uint64_t id = m->id;

	switch (m->type) {
	case INV_TYPE_S1_ASID:
		return id << 48 | (smmus[m->smmu].e2h ? 0x20 : 0x10) |
		       (all ? 1 : 2);
	case INV_TYPE_S2_VMID:
	case INV_TYPE_S2_VMID_VSMMU:
		return id << 32 | (all ? 0x28 : 0x2a);
	case INV_TYPE_S2_VMID_S1_CLEAR:
		return id << 32 | 0x10;
	case INV_TYPE_ATS:
		return id << 32 | (uint64_t)m->ssid << 12 |
		       (m->ssid ? 1ULL << 11 : 0) | 0x40;
	default:
		return id << 32 | 0x40;
	}
}

static void check_tlbi(struct member *m, const struct sweep *sweep,
		       const struct arm_smmu_cmd *cmd)
{
	uint64_t num = BITS(cmd->data[0], 12, 5);
	uint64_t scale = BITS(cmd->data[0], 20, 6);
	uint64_t ttl = BITS(cmd->data[1], 8, 2);
	uint64_t tg = BITS(cmd->data[1], 10, 2);

	CHECK(BITS(cmd->data[1], 0, 1) == sweep->leaf, "LEAF");
	CHECK(!BITS(cmd->data[1], 1, 7), "reserved bits");
	CHECK((cmd->data[1] & ~0xfffULL) == m->next, "address 0x%llx, not 0x%llx",
	      (unsigned long long)cmd->data[1] & ~0xfffULL,
	      (unsigned long long)m->next);
	if (!smmus[m->smmu].range) {
		CHECK(!num && !scale && !ttl && !tg, "SMMU has no ranges");
		m->next += sweep->granule;
		return;
	}
	CHECK(tg && 10 + 2 * tg == sweep->tg, "TG %u", (unsigned int)tg);
	CHECK(ttl == (sweep->leaf ? sweep->level : 0), "TTL %u", (unsigned int)ttl);
	CHECK(num || scale || ttl, "illegal command");
	CHECK(scale < 32, "SCALE %u", (unsigned int)scale);
	m->next += (num + 1) << (scale + sweep->tg);
}

static void check_atc(const struct sweep *sweep, uint64_t word)
{
	uint64_t size = BITS(word, 0, 6), address = word & ~0xfffULL;
	uint64_t last = sweep->iova + sweep->size - 1;

	CHECK(!BITS(word, 6, 6) && size <= 52, "ATC size");
	if (size == 52)
		return;
	CHECK(address % (4096ULL << size) == 0, "ATC: not aligned");
	CHECK(address <= sweep->iova && last - address < 4096ULL << size,
	      "ATC: not all of it");
	CHECK(!size || (sweep->iova ^ last) >> (11 + size), "ATC: far too much");
}

static void check_cmd(struct member *m, const struct sweep *sweep,
		      const struct arm_smmu_cmd *cmd)
{
	m->cmds++;
	if (m->type == INV_TYPE_ATS_FULL)
		CHECK(cmd->data[1] == 52, "ATC: not everything");
	else if (m->type == INV_TYPE_ATS)
		check_atc(sweep, cmd->data[1]);
	else if (m->type == INV_TYPE_S2_VMID_S1_CLEAR || is_all(m, sweep))
		CHECK(!cmd->data[1], "reserved bits");
	else
		check_tlbi(m, sweep, cmd);
}

static void check_done(const struct member *m, const struct sweep *sweep)
{
	uint64_t end = sweep->iova + sweep->size, unit = sweep->granule;

	if (m->type == INV_TYPE_S2_VMID_S1_CLEAR) {
		/* Everything of a VMID includes its stage 1 */
		CHECK(m->cmds == !is_all(m, sweep), "stage 1: %u commands", m->cmds);
	} else if (phase(m->type) || is_all(m, sweep)) {
		CHECK(m->cmds == 1, "%u commands for type %u", m->cmds, m->type);
	} else {
		if (smmus[m->smmu].range)
			unit = (1ULL << sweep->tg) << !sweep->leaf;
		CHECK(m->next >= end, "ends at 0x%llx, not 0x%llx",
		      (unsigned long long)m->next, (unsigned long long)end);
		CHECK(m->next - end < unit, "too much");
	}
}

/* The recorded events are what a sweep of the set has to do */
void model_check_sweep(const struct sweep *sweep)
{
	enum { IDLE, SENT, SYNCED } state[NUM_SMMUS] = {};
	unsigned int busy = 0, now = 0, last = 0, i;
	unsigned int used[3] = {}, rounds = 0;
	struct event *e;
	struct member *m;

	for (m = members; m != members + num_members; m++) {
		m->next = sweep->iova;
		m->cmds = 0;
	}
	for (e = events; e != events + num_events; e++) {
		if (e->kind != EVENT_CMD) {
			bool sync = e->kind == EVENT_SYNC;

			CHECK(state[e->smmu] == (sync ? SENT : SYNCED),
			      "SMMU %u: nothing to wait for", e->smmu);
			state[e->smmu] = sync ? SYNCED : IDLE;
			busy -= !sync;
			continue;
		}
		for (m = members; m != members + num_members; m++)
			if (m->smmu == e->smmu &&
			    word0(m, is_all(m, sweep)) ==
				    (phase(m->type) ? e->cmd.data[0] :
						      e->cmd.data[0] & ~0x3f1f000ULL))
				break;
		CHECK(m != members + num_members, "SMMU %u: command 0x%llx for nobody",
		      e->smmu, (unsigned long long)e->cmd.data[0]);
		if (phase(m->type) != now) {
			CHECK(phase(m->type) > now, "phase %u after %u",
			      phase(m->type), now);
			CHECK(!busy, "phase %u not waited for", now);
			now = phase(m->type);
			last = 0;
		}
		CHECK(e->smmu >= last, "SMMU %u after %u", e->smmu, last);
		last = e->smmu;
		CHECK(state[e->smmu] != SYNCED, "SMMU %u: two CMD_SYNCs", e->smmu);
		if (state[e->smmu] == IDLE) {
			state[e->smmu] = SENT;
			busy++;
			used[now]++;
		}
		check_cmd(m, sweep, &e->cmd);
	}
	CHECK(!busy, "phase %u not waited for", now);
	for (m = members; m != members + num_members; m++)
		check_done(m, sweep);
	for (i = 0; i != 3; i++)
		rounds += (used[i] + CMDQ_MAX_WAITS - 1) / CMDQ_MAX_WAITS;
	CHECK(num_rounds == rounds, "waits %u times, not %u", num_rounds, rounds);
}
