// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proofs about the invalidation array with CBMC: each function prove_*() is for
 * all arrays of up to MAX entries that fulfil what its callers promise. The
 * array's source is included, for its static functions.
 */

#include <linux/invs_kernel.h>
#include <stdlib.h>

#include "arm-smmu-v3-invs.c"

/* Entries of an array; cbmc -DMAX=... for more */
#ifndef MAX
#define MAX	3
#endif

#define MAX_BYTES                                                              \
	(sizeof(struct arm_smmu_invs) + 2 * MAX * sizeof(struct arm_smmu_inv))

#define assume(condition)		__CPROVER_assume(condition)
#define prove(condition, what)		__CPROVER_assert(condition, what)

struct arm_smmu_device {
	int unused;
};

static struct arm_smmu_device smmus[3];

static bool fail_alloc;

/* Any value */
bool nondet_bool(void);
size_t nondet_size(void);
unsigned long nondet_long(void);
struct arm_smmu_inv nondet_inv(void);

/*
 * Always the same size, which is easier to prove something about: that what is
 * written has been asked for is what the warnings of the array say.
 */
void *invs_zalloc(size_t size)
{
	prove(size <= MAX_BYTES, "as much as needed");
	return fail_alloc ? NULL : calloc(1, MAX_BYTES);
}

void invs_warn(const char *file, int line, const char *condition)
{
	prove(false, "no warning");
}

static unsigned int phase_of(const struct arm_smmu_inv *inv)
{
	if (inv->type >= INV_TYPE_ATS)
		return 2;
	return inv->type == INV_TYPE_S2_VMID_S1_CLEAR;
}

static u64 rank(const struct arm_smmu_inv *inv)
{
	return ((u64)phase_of(inv) << 62) |
	       ((u64)(inv->smmu - smmus) << 56) | ((u64)inv->type << 52) |
	       ((u64)inv->id << 20) | inv->ssid;
}

/* As arm_smmu_master_build_inv() makes them */
static void assume_inv(struct arm_smmu_inv *inv)
{
	size_t smmu = nondet_size();
	bool ats;

	*inv = nondet_inv();
	assume(smmu < ARRAY_SIZE(smmus));
	inv->smmu = &smmus[smmu];
	assume(inv->type <= INV_TYPE_ATS_FULL);
	ats = inv->type >= INV_TYPE_ATS;
	assume(inv->ssid < 1U << 20 && (ats || !inv->ssid));
	assume(inv->pgsize == 0 || (!ats && inv->pgsize == 12));
	assume(inv->users >= 0 && inv->users < 1 << 30);
}

/* A sorted array with room for MAX entries */
static struct arm_smmu_invs *any_invs(void)
{
	struct arm_smmu_invs *invs;
	size_t i;

	fail_alloc = false;
	invs = arm_smmu_invs_alloc(MAX);
	invs->num_invs = nondet_size();
	assume(invs->num_invs <= MAX);
	for (i = 0; i != MAX; i++) {
		if (i == invs->num_invs)
			break;
		assume_inv(&invs->inv[i]);
		assume(!i || rank(&invs->inv[i - 1]) < rank(&invs->inv[i]));
	}
	return invs;
}

static size_t num_trash(const struct arm_smmu_invs *invs)
{
	size_t i, num = 0;

	for (i = 0; i != invs->num_invs; i++)
		num += !invs->inv[i].users;
	return num;
}

/* The array of a domain: what unref and merge leave */
static struct arm_smmu_invs *any_domain(void)
{
	struct arm_smmu_invs *invs = any_invs();

	assume(!invs->num_invs || invs->inv[invs->num_invs - 1].users);
	invs->num_trashes = num_trash(invs);
	return invs;
}

static const struct arm_smmu_inv *find(const struct arm_smmu_invs *invs,
				       u64 key)
{
	size_t i;

	for (i = 0; i != invs->num_invs; i++)
		if (rank(&invs->inv[i]) == key)
			return &invs->inv[i];
	return NULL;
}

static int users(const struct arm_smmu_invs *invs, u64 key)
{
	const struct arm_smmu_inv *inv = find(invs, key);

	return inv ? inv->users : 0;
}

static void prove_domain(const struct arm_smmu_invs *invs)
{
	size_t i;

	prove(invs->num_invs <= invs->max_invs, "no longer than its memory");
	for (i = 1; i < invs->num_invs; i++)
		prove(rank(&invs->inv[i - 1]) < rank(&invs->inv[i]), "sorted");
	prove(!invs->num_invs || invs->inv[invs->num_invs - 1].users,
	      "no trash at the end");
	prove(invs->num_trashes == num_trash(invs), "trash counted");
}

static void prove_new(const struct arm_smmu_invs *invs)
{
	prove_domain(invs);
	prove(!invs->num_trashes, "a new array has no trash");
}

/* Users of every key add up; without memory nothing happens */
void prove_merge(void)
{
	struct arm_smmu_invs *invs = any_domain(), *add = any_invs(), *new;
	u64 key = nondet_long();
	int before = users(invs, key);

	fail_alloc = nondet_bool();
	new = arm_smmu_invs_merge(invs, add);
	prove(users(invs, key) == before, "merge leaves the old array alone");
	prove_domain(invs);
	if (fail_alloc) {
		prove(new == ERR_PTR(-ENOMEM), "merge says that it has failed");
		return;
	}
	prove(!IS_ERR_OR_NULL(new), "merge fails for lack of memory only");
	prove_new(new);
	prove(users(new, key) == before + !!find(add, key), "users exact");
	prove(new->max_invs - new->num_invs <= add->num_invs,
	      "no more space left than for what both had");
}

/* Cannot fail: there is no memory from here on */
void prove_unref(void)
{
	struct arm_smmu_invs *invs = any_domain(), *del = any_invs();
	u64 key = nondet_long();
	int before = users(invs, key);
	size_t i;

	for (i = 0; i != del->num_invs; i++)
		assume(users(invs, rank(&del->inv[i])));
	fail_alloc = true;
	arm_smmu_invs_unref(invs, del);
	prove_domain(invs);
	prove(users(invs, key) == before - !!find(del, key), "users exact");
	if (find(del, key))
		prove(!find(del, key)->users == !users(invs, key),
		      "tells about the last user");
}

void prove_purge(void)
{
	struct arm_smmu_invs *invs = any_domain(), *new;
	u64 key = nondet_long();
	int before = users(invs, key);

	fail_alloc = nondet_bool();
	new = arm_smmu_invs_purge(invs);
	prove(users(invs, key) == before, "purge leaves the old array alone");
	prove_domain(invs);
	if (fail_alloc || !invs->num_trashes) {
		prove(!new, "nothing to purge, or no memory");
		return;
	}
	prove(new, "purge fails for lack of memory only");
	prove_new(new);
	prove(new->num_invs == new->max_invs, "a purged array is full");
	prove(users(new, key) == before, "users exact");
}

/* Any range of up to MAX_PAGES becomes range commands that are it */
#ifndef MAX_PAGES
#define MAX_PAGES	1023
#endif

void prove_range(void)
{
	unsigned long size = nondet_long(), next, end;
	struct arm_smmu_inv_range range = {
		.iova = nondet_long(),
		.granule = 4096,
		.leaf = nondet_bool(),
	};
	u8 i, tg = 12 + 2 * (nondet_size() % 3);

	range.granule = 1U << tg;
	assume(size && size <= (unsigned long)MAX_PAGES << tg);
	assume(range.iova < 1UL << 52 && range.iova % range.granule == 0);
	range.size = size;
	next = range.iova;
	end = range.iova + size;
	arm_smmu_inv_range_encode(&range, tg);
	prove(range.num_cmds && range.num_cmds <= ARRAY_SIZE(range.cmds),
	      "no more commands than there is room for");
	for (i = 0; i != range.num_cmds; i++) {
		u64 num = (range.cmds[i].data[0] >> 12) & 0x1f;
		u64 scale = (range.cmds[i].data[0] >> 20) & 0x3f;

		prove((range.cmds[i].data[1] & ~0xfffUL) == next, "no gap");
		prove(scale < 32, "SCALE has 5 bits");
		prove(num || scale || (range.cmds[i].data[1] & 0x300),
		      "a legal command");
		next += (num + 1) << (scale + tg);
	}
	prove(next >= end, "all of it");
	prove(next - end < (1UL << tg) << !range.leaf, "no more than it");
}

/* The ATC command covers the range and is aligned */
void prove_atc(void)
{
	struct arm_smmu_inv_range range = { .iova = nondet_long(), .size = nondet_size() };
	unsigned long last = range.iova + range.size - 1;
	u64 word, start, size;

	assume(range.size && range.iova < 1UL << 52 && range.size < 1UL << 52);
	word = arm_smmu_inv_range_atc(&range);
	start = word & ~0xfffUL;
	size = word & 0x3f;
	prove(size < 52, "not everything");
	prove(!(start & ((4096UL << size) - 1)), "aligned");
	prove(start <= range.iova, "from its start");
	prove(last - start < 4096UL << size, "to its end");
}

/*
 * A sweep, as what it asks of the driver. The first word of a command says which
 * entry it is for: the array passes the upper half on.
 */
#define OP		0x11
#define NSIZE_OP	0x22

static struct {
	const struct arm_smmu_invs *invs;
	unsigned long iova;
	size_t size;
	unsigned int phase;
	bool sent[MAX];
	bool waiting[ARRAY_SIZE(smmus)]; /* a CMD_SYNC is posted */
	size_t witness; /* any entry, */
	unsigned int cmds; /* its commands */
	u64 next; /* and all before that is invalidated for it */
} sweep;

static bool swept_all(const struct arm_smmu_inv *inv)
{
	return !sweep.size || sweep.size == SIZE_MAX ||
	       (!inv->pgsize && sweep.size >= 512 * 4096UL);
}

static bool is_owed(const struct arm_smmu_inv *inv)
{
	return inv->users && !(inv->type == INV_TYPE_S2_VMID_S1_CLEAR &&
			       swept_all(inv));
}

static bool is_by_address(const struct arm_smmu_inv *inv)
{
	return inv->type < INV_TYPE_S2_VMID_S1_CLEAR && !swept_all(inv);
}

static bool waiting(void)
{
	return sweep.waiting[0] || sweep.waiting[1] || sweep.waiting[2];
}

static void prove_cmd(struct arm_smmu_device *smmu,
		      const struct arm_smmu_cmd *cmd)
{
	size_t i = cmd->data[0] >> 32;
	const struct arm_smmu_inv *inv = &sweep.invs->inv[i];

	prove(i < sweep.invs->num_invs && is_owed(inv),
	      "no command for nobody");
	prove(inv->smmu == smmu, "to the right SMMU");
	prove(!sweep.waiting[smmu - smmus], "one CMD_SYNC for an SMMU");
	prove(phase_of(inv) >= sweep.phase, "in the sequence of the phases");
	if (phase_of(inv) != sweep.phase)
		prove(!waiting(), "the phase before is finished");
	sweep.phase = phase_of(inv);
	sweep.sent[i] = true;
	if (i != sweep.witness)
		return;
	sweep.cmds++;
	prove((cmd->data[0] & 0xff) ==
		      (inv->type < INV_TYPE_S2_VMID_S1_CLEAR &&
				       swept_all(inv) ? NSIZE_OP : OP),
	      "the right command");
	if (!is_by_address(inv))
		return;
	prove((cmd->data[1] & ~0xfffUL) == sweep.next, "no gap");
	sweep.next += inv->pgsize ? (((cmd->data[0] >> 12) & 0x1f) + 1)
					    << (((cmd->data[0] >> 20) & 0x3f) + 12) :
				    4096;
}

/* Waiting before all SMMUs have something to do would be slow */
static void prove_all_posted(void)
{
	size_t i;

	for (i = 0; i != sweep.invs->num_invs; i++)
		if (phase_of(&sweep.invs->inv[i]) == sweep.phase)
			prove(sweep.sent[i] || !is_owed(&sweep.invs->inv[i]),
			      "posted to all before it waits");
}

static void prove_batch(struct arm_smmu_device *smmu,
			const struct arm_smmu_cmdq_batch *cmds)
{
	int i;

	for (i = 0; i != cmds->num; i++)
		prove_cmd(smmu, &cmds->cmds[i]);
}

void arm_smmu_cmdq_batch_flush(struct arm_smmu_device *smmu,
			       struct arm_smmu_cmdq_batch *cmds)
{
	prove(false, "not full with so few commands");
	assume(false);
}

int arm_smmu_cmdq_batch_submit(struct arm_smmu_device *smmu,
			       struct arm_smmu_cmdq_batch *cmds)
{
	prove_batch(smmu, cmds);
	prove_all_posted();
	return 0;
}

int arm_smmu_cmdq_issue_cmd_p(struct arm_smmu_device *smmu,
			      struct arm_smmu_cmd *cmd, bool sync)
{
	prove(sync, "with a CMD_SYNC");
	prove_cmd(smmu, cmd);
	prove_all_posted();
	return 0;
}

void arm_smmu_cmdq_batch_post(struct arm_smmu_device *smmu,
			      struct arm_smmu_cmdq_batch *cmds)
{
	struct arm_smmu_cmdq_waits *waits = cmds->waits;

	if (!cmds->num)
		return;
	prove_batch(smmu, cmds);
	sweep.waiting[smmu - smmus] = true;
	waits->num++;
}

void arm_smmu_cmdq_wait_all(struct arm_smmu_cmdq_waits *waits)
{
	prove_all_posted();
	memset(sweep.waiting, 0, sizeof(sweep.waiting));
	waits->num = 0;
}

/*
 * Of 1 or 2 pages, which takes a command each without range invalidation; of 545,
 * which takes two with it and is everything without; and of everything.
 */
void prove_sweep(void)
{
	struct arm_smmu_invs *invs = any_domain();
	const struct arm_smmu_inv *inv;
	size_t i, pages = nondet_size();
	bool leaf = nondet_bool();

	for (i = 0; i != invs->num_invs; i++) {
		invs->inv[i].cmd = (u64)i << 32 | OP;
		invs->inv[i].nsize_opcode = NSIZE_OP;
	}
	/* It comes with an INV_TYPE_S2_VMID_VSMMU */
	assume(invs->num_invs != 1 ||
	       invs->inv[0].type != INV_TYPE_S2_VMID_S1_CLEAR);
	assume(pages <= 2 || pages == 545);
	sweep.invs = invs;
	sweep.size = pages * 4096;
	sweep.iova = nondet_long();
	assume(sweep.iova < 1UL << 51 && !(sweep.iova & 0xfff));
	if (!sweep.size)
		sweep.iova = 0;
	sweep.next = sweep.iova;
	sweep.witness = nondet_size();
	assume(sweep.witness < invs->num_invs);
	arm_smmu_invs_sweep(invs, sweep.iova, sweep.size, 4096, leaf);

	prove(!waiting(), "the last phase is finished");
	for (i = 0; i != invs->num_invs; i++)
		prove(sweep.sent[i] == is_owed(&invs->inv[i]),
		      "everybody gets what he is owed");
	inv = &invs->inv[sweep.witness];
	if (!is_owed(inv))
		return;
	if (!is_by_address(inv)) {
		prove(sweep.cmds == 1, "one command");
		return;
	}
	prove(sweep.next >= sweep.iova + sweep.size, "all of it");
	prove(sweep.next - sweep.iova - sweep.size <= 4096 * !leaf, "no more than it");
}
