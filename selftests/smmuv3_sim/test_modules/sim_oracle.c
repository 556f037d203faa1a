// SPDX-License-Identifier: GPL-2.0-only
/*
 * The oracle: what was commanded, which rules were broken, and which cached
 * entries should not be there any more.
 */
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "sim.h"

#define IDR0_S2P		BIT(0)
#define IDR0_S1P		BIT(1)
#define IDR0_HYP		BIT(9)
#define IDR0_ATS		BIT(10)
#define IDR0_ASID16		BIT(12)
#define IDR0_PRI		BIT(16)
#define IDR0_VMID16		BIT(18)
#define IDR0_STALL_MODEL	GENMASK(25, 24)
#define IDR1_SIDSIZE		GENMASK(5, 0)
#define IDR3_RIL		BIT(10)
#define IDR5_GRAN(tg)		BIT(4 + ((tg) - 12) / 2)
#define STE_0_V			BIT_ULL(0)
#define STE_0_CFG_S1		BIT_ULL(1)
#define STE_0_CFG_BYPASS	BIT_ULL(3)
#define STE_0_S1CDMAX		GENMASK_ULL(63, 59)
#define CMD_SYNC_CS		GENMASK_ULL(13, 12)
#define CMD_SYNC_CS_RESERVED	3
#define ATC_SIZE_ALL		52

/* The checks of SMMUV3_SIM_RULE_ENCODING */
enum {
	ENCODING_RANGE_WITHOUT_RIL = 1,	/* NUM, SCALE, TTL or TG, IDR3.RIL is 0 */
	ENCODING_GRANULE,		/* TG is a granule the SMMU does not have */
	ENCODING_RANGE_WITHOUT_TG,	/* NUM, SCALE or TTL, TG is 0 */
	ENCODING_EMPTY_RANGE,		/* TG, but NUM, SCALE and TTL are 0 */
	ENCODING_RANGE_ALIGNMENT,	/* address not aligned to the granule */
	ENCODING_ASID,			/* ASID wider than IDR0.ASID16 says */
	ENCODING_VMID,			/* VMID wider than IDR0.VMID16 says */
	ENCODING_IPA,			/* IPA beyond the output address size */
	ENCODING_ATC_SIZE,		/* Size of CMD_ATC_INV above 52 */
	ENCODING_ATC_ALIGNMENT,		/* address not aligned to that size */
	ENCODING_SID,			/* StreamID beyond IDR1.SIDSIZE */
};

static struct smmuv3_sim_command *sim_log;
/* Number of the next command; the first one is 1 */
static u64 sim_seq;
static struct smmuv3_sim_violation sim_violations[SMMUV3_SIM_MAX_VIOLATIONS];
static u32 sim_nr_violations;

/**
 * sim_oracle_init() - Get memory for the log
 *
 * Return: 0 or -ENOMEM.
 */
int sim_oracle_init(void)
{
	sim_log = vcalloc(SMMUV3_SIM_MAX_LOG, sizeof(*sim_log));
	sim_oracle_reset();
	return sim_log ? 0 : -ENOMEM;
}

/**
 * sim_oracle_exit() - Free the log
 */
void sim_oracle_exit(void)
{
	vfree(sim_log);
}

/**
 * sim_oracle_reset() - Forget everything
 */
void sim_oracle_reset(void)
{
	sim_seq = 1;
	sim_nr_violations = 0;
}

/**
 * sim_oracle_log() - Write a command down
 * @inst: the instance that has consumed it
 * @cmd: the command
 *
 * Return: its number.
 */
u64 sim_oracle_log(struct sim_instance *inst, const u64 *cmd)
{
	sim_log[sim_seq % SMMUV3_SIM_MAX_LOG] = (struct smmuv3_sim_command){
		.seq = sim_seq,
		.data = { cmd[0], cmd[1] },
		.id = inst->id,
	};
	return sim_seq++;
}

/**
 * sim_oracle_doomed() - Add to the log how many entries a command dooms
 * @seq: number of the command
 * @doomed: how many
 */
void sim_oracle_doomed(u64 seq, u32 doomed)
{
	sim_log[seq % SMMUV3_SIM_MAX_LOG].doomed = doomed;
}

/**
 * sim_oracle_violation() - Note that a rule was broken
 * @inst: the instance
 * @rule: enum smmuv3_sim_rule
 * @seq: number of the command, SIM_NO_SEQ if none is to blame
 * @data: the command, or what the rule says; may be NULL
 * @arg: as the rule says
 */
void sim_oracle_violation(struct sim_instance *inst, u32 rule, u64 seq, const u64 *data, u64 arg)
{
	struct smmuv3_sim_violation *violation;

	if (sim_nr_violations++ >= SMMUV3_SIM_MAX_VIOLATIONS)
		return;
	violation = &sim_violations[sim_nr_violations - 1];
	*violation = (struct smmuv3_sim_violation){
		.rule = rule,
		.id = inst->id,
		.seq = seq == SIM_NO_SEQ ? sim_seq : seq,
		.arg = arg,
	};
	if (data)
		memcpy(violation->data, data, sizeof(violation->data));
}

static bool sim_is_illegal(const struct sim_instance *inst, const u64 *cmd)
{
	switch (FIELD_GET(SIM_CMD_OP, cmd[0])) {
	case SIM_CMD_PREFETCH_CONFIG:
	case SIM_CMD_PREFETCH_ADDR:
	case SIM_CMD_CFGI_STE:
	case SIM_CMD_CFGI_STE_RANGE:
	case SIM_CMD_TLBI_NSNH_ALL:
		return false;
	case SIM_CMD_CFGI_CD:
	case SIM_CMD_CFGI_CD_ALL:
	case SIM_CMD_TLBI_NH_ALL:
	case SIM_CMD_TLBI_NH_ASID:
	case SIM_CMD_TLBI_NH_VA:
	case SIM_CMD_TLBI_NH_VAA:
		return !(inst->idr0 & IDR0_S1P);
	case SIM_CMD_TLBI_EL2_ALL:
	case SIM_CMD_TLBI_EL2_ASID:
	case SIM_CMD_TLBI_EL2_VA:
	case SIM_CMD_TLBI_EL2_VAA:
		return !(inst->idr0 & IDR0_HYP);
	case SIM_CMD_TLBI_S12_VMALL:
	case SIM_CMD_TLBI_S2_IPA:
		return !(inst->idr0 & IDR0_S2P);
	case SIM_CMD_ATC_INV:
		return !(inst->idr0 & IDR0_ATS);
	case SIM_CMD_PRI_RESP:
		return !(inst->idr0 & IDR0_PRI);
	case SIM_CMD_RESUME:
	case SIM_CMD_STALL_TERM:
		return FIELD_GET(IDR0_STALL_MODEL, inst->idr0) == 1;
	case SIM_CMD_SYNC:
		return FIELD_GET(CMD_SYNC_CS, cmd[0]) == CMD_SYNC_CS_RESERVED;
	default:
		return true;
	}
}

static int sim_check_range(const struct sim_instance *inst, const u64 *cmd)
{
	u8 num = FIELD_GET(SIM_CMD_NUM, cmd[0]), scale = FIELD_GET(SIM_CMD_SCALE, cmd[0]);
	u8 ttl = FIELD_GET(SIM_CMD_1_TTL, cmd[1]), tg = FIELD_GET(SIM_CMD_1_TG, cmd[1]);
	u8 shift = 10 + 2 * tg;

	if (!(inst->idr3 & IDR3_RIL))
		return num || scale || ttl || tg ? ENCODING_RANGE_WITHOUT_RIL : 0;
	if (!tg)
		return num || scale || ttl ? ENCODING_RANGE_WITHOUT_TG : 0;
	if (!(inst->idr5 & IDR5_GRAN(shift)))
		return ENCODING_GRANULE;
	if (!num && !scale && !ttl)
		return ENCODING_EMPTY_RANGE;
	if (cmd[1] & SIM_CMD_1_ADDR & (BIT_ULL(shift) - 1))
		return ENCODING_RANGE_ALIGNMENT;
	return 0;
}

static int sim_check_tlbi(const struct sim_instance *inst, const u64 *cmd, bool asid, bool address)
{
	if (asid && !(inst->idr0 & IDR0_ASID16) && FIELD_GET(SIM_CMD_ASID, cmd[0]) > 0xff)
		return ENCODING_ASID;
	if (!(inst->idr0 & IDR0_VMID16) && FIELD_GET(SIM_CMD_VMID, cmd[0]) > 0xff)
		return ENCODING_VMID;
	return address ? sim_check_range(inst, cmd) : 0;
}

static int sim_check_encoding(const struct sim_instance *inst, const u64 *cmd)
{
	u8 op = FIELD_GET(SIM_CMD_OP, cmd[0]), size;
	u32 sid_bits = FIELD_GET(IDR1_SIDSIZE, inst->idr1);
	u64 addr = cmd[1] & SIM_CMD_1_ADDR;

	switch (op) {
	case SIM_CMD_PREFETCH_CONFIG:
	case SIM_CMD_CFGI_STE:
	case SIM_CMD_CFGI_CD:
	case SIM_CMD_CFGI_CD_ALL:
	case SIM_CMD_ATC_INV:
		if (sid_bits < 32 && FIELD_GET(SIM_CMD_SID, cmd[0]) >> sid_bits)
			return ENCODING_SID;
		if (op != SIM_CMD_ATC_INV)
			return 0;
		size = FIELD_GET(SIM_CMD_1_ATC_SIZE, cmd[1]);
		if (size > ATC_SIZE_ALL)
			return ENCODING_ATC_SIZE;
		if (size < ATC_SIZE_ALL && addr & (BIT_ULL(size + 12) - 1))
			return ENCODING_ATC_ALIGNMENT;
		return 0;
	case SIM_CMD_TLBI_NH_VA:
	case SIM_CMD_TLBI_NH_VAA:
		return sim_check_tlbi(inst, cmd, op == SIM_CMD_TLBI_NH_VA, true);
	case SIM_CMD_TLBI_NH_ASID:
		return sim_check_tlbi(inst, cmd, true, false);
	case SIM_CMD_TLBI_NH_ALL:
	case SIM_CMD_TLBI_S12_VMALL:
		return sim_check_tlbi(inst, cmd, false, false);
	case SIM_CMD_TLBI_S2_IPA:
		if (addr >> sim_oas(inst))
			return ENCODING_IPA;
		return sim_check_tlbi(inst, cmd, false, true);
	default:
		return 0;
	}
}

/*
 * Has the TLB invalidation that this CMD_ATC_INV depends on been synced? If not,
 * the endpoint can get the old translation again from the TLB.
 */
static void sim_check_atc_order(struct sim_instance *inst, const u64 *cmd, u64 seq)
{
	struct smmuv3_sim_fault fault;
	struct sim_context ctx;
	struct sim_access access = {
		.sid = FIELD_GET(SIM_CMD_SID, cmd[0]),
		.ssid = cmd[0] & SIM_CMD_SSV ? FIELD_GET(SIM_CMD_SSID, cmd[0]) : SIM_NO_SSID,
		.fresh = true,
	};
	struct sim_pending *p;

	if (!inst->nr_pending || sim_get_context(inst, &access, &ctx, &fault) || ctx.bypass)
		return;
	for (p = inst->pending; p < inst->pending + inst->nr_pending; p++) {
		if (!p->all && (p->vmid != ctx.vmid ||
				(ctx.s1.on && !p->any_asid && p->asid != ctx.asid)))
			continue;
		sim_oracle_violation(inst, SMMUV3_SIM_RULE_ATC_ORDER, seq, cmd, p->seq);
		return;
	}
}

/**
 * sim_oracle_check() - Check a command against the rules
 * @inst: the instance
 * @cmd: the command
 * @seq: its number
 *
 * Return: 0, or -EINVAL if the SMMU will not execute it.
 */
int sim_oracle_check(struct sim_instance *inst, const u64 *cmd, u64 seq)
{
	struct sim_endpoint *ep;
	int check;

	if (inst->dead)
		sim_oracle_violation(inst, SMMUV3_SIM_RULE_DEAD, seq, cmd, 0);
	if (sim_is_illegal(inst, cmd)) {
		sim_oracle_violation(inst, SMMUV3_SIM_RULE_ILLEGAL, seq, cmd, 0);
		return -EINVAL;
	}
	check = sim_check_encoding(inst, cmd);
	if (check)
		sim_oracle_violation(inst, SMMUV3_SIM_RULE_ENCODING, seq, cmd, check);
	if (FIELD_GET(SIM_CMD_OP, cmd[0]) != SIM_CMD_ATC_INV)
		return 0;
	ep = sim_find_endpoint(inst, FIELD_GET(SIM_CMD_SID, cmd[0]));
	if (ep && (ep->detached || ktime_before(ktime_get(), READ_ONCE(ep->reset_until))))
		sim_oracle_violation(inst, SMMUV3_SIM_RULE_DETACHED, seq, cmd, 0);
	sim_check_atc_order(inst, cmd, seq);
	return 0;
}

/**
 * sim_oracle_pending() - Remember a TLB invalidation until the CMD_SYNC
 * @inst: the instance
 * @cmd: any command
 * @seq: its number
 */
void sim_oracle_pending(struct sim_instance *inst, const u64 *cmd, u64 seq)
{
	u8 op = FIELD_GET(SIM_CMD_OP, cmd[0]);
	unsigned int n = inst->nr_pending;

	if (op < SIM_CMD_TLBI_NH_ALL || op > SIM_CMD_TLBI_NSNH_ALL)
		return;
	if (n >= SIM_NR_PENDING) {
		inst->pending[0].all = true;
		return;
	}
	inst->pending[n].seq = seq;
	inst->pending[n].all = op == SIM_CMD_TLBI_NSNH_ALL;
	inst->pending[n].any_asid = op != SIM_CMD_TLBI_NH_VA && op != SIM_CMD_TLBI_NH_ASID;
	inst->pending[n].asid = FIELD_GET(SIM_CMD_ASID, cmd[0]);
	inst->pending[n].vmid = FIELD_GET(SIM_CMD_VMID, cmd[0]);
	inst->nr_pending++;
}

/*
 * Of stage 2 the VMID belongs to the table, of stage 1 alone the ASID does. Under
 * stage 2 the ASID is the guest's affair.
 */
static bool sim_same_id(const struct sim_context *ctx, u16 vmid, u16 asid, bool s2)
{
	return ctx->vmid == vmid && ctx->s2.on == s2 && (s2 || ctx->asid == asid);
}

static void sim_id_violation(struct sim_instance *inst, u32 rule, const struct sim_context *ctx,
			     u64 other)
{
	u64 data[2] = {
		ctx->vmid | (ctx->s2.on ? 0 : (u64)ctx->asid << 16),
		ctx->s2.on ? ctx->s2.ttb : ctx->s1.ttb,
	};

	sim_oracle_violation(inst, rule, SIM_NO_SEQ, data, other);
}

/**
 * sim_oracle_new_context() - An STE or CD was read: is its ASID or VMID clean?
 * @inst: the instance
 * @ctx: what it says
 */
void sim_oracle_new_context(struct sim_instance *inst, const struct sim_context *ctx)
{
	bool s2 = ctx->s2.on;
	struct sim_entry *e;
	u64 root;

	if (ctx->bypass || (!s2 && ctx->s1.off))
		return;
	list_for_each_entry(e, &inst->tlb.all, list) {
		if (!sim_same_id(ctx, e->vmid, e->asid, e->s2_root))
			continue;
		root = s2 ? e->s2_root : e->root;
		if (root == (s2 ? ctx->s2.ttb : ctx->s1.ttb))
			continue;
		sim_id_violation(inst, SMMUV3_SIM_RULE_REUSE, ctx, root);
		return;
	}
}

/* An audit on its way: the result, and what the tables of one instance say */
struct sim_audit {
	struct sim_instance *inst;
	struct smmuv3_sim_stale *stale;
	u32 room;
	u32 nr;
	u32 checked;
	struct sim_context *ctx;
	unsigned int nr_ctx;
	unsigned int max_ctx;
};

static struct smmuv3_sim_stale *sim_report(struct sim_audit *audit, u32 cache, u32 why, u32 owed)
{
	static struct smmuv3_sim_stale beyond;
	struct smmuv3_sim_stale *stale = &beyond;

	if (audit->nr++ < audit->room)
		stale = &audit->stale[audit->nr - 1];
	*stale = (struct smmuv3_sim_stale){
		.cache = cache,
		.why = why,
		.id = audit->inst->id,
		.owed = owed,
	};
	return stale;
}

static void sim_report_entry(struct sim_audit *audit, const struct sim_entry *e, u32 why, u32 owed,
			     u64 address, u64 now)
{
	struct smmuv3_sim_stale *stale = sim_report(audit, e->kind, why, owed);

	stale->sid = e->sid;
	stale->ssid = e->ssid;
	stale->asid = e->asid;
	stale->vmid = e->vmid;
	stale->address = address;
	stale->size = BIT_ULL(e->shift);
	stale->pa = e->pa + (address - e->va);
	stale->now = now;
	stale->doomed_seq = e->doomed;
}

static int sim_add_context(struct sim_audit *audit, const struct sim_context *ctx)
{
	struct sim_context *more;

	if (audit->nr_ctx == audit->max_ctx) {
		more = kvrealloc(audit->ctx, 2 * (audit->max_ctx + 32) * sizeof(*more), GFP_KERNEL);
		if (!more)
			return -ENOMEM;
		audit->ctx = more;
		audit->max_ctx = 2 * (audit->max_ctx + 32);
	}
	audit->ctx[audit->nr_ctx++] = *ctx;
	return 0;
}

/* Every context that a device of the instance can use at this moment */
static int sim_collect_contexts(struct sim_audit *audit)
{
	struct sim_instance *inst = audit->inst;
	struct smmuv3_sim_fault fault;
	struct sim_context ctx;
	unsigned int i;
	u64 ste[8];
	u32 nr;
	int ret;

	audit->nr_ctx = 0;
	for (i = 0; i < inst->nr_eps; i++) {
		struct sim_access access = {
			.sid = inst->ep[i].sid,
			.ssid = SIM_NO_SSID,
			.fresh = true,
		};

		if (!sim_get_context(inst, &access, &ctx, &fault)) {
			ret = sim_add_context(audit, &ctx);
			if (ret)
				return ret;
		}
		if (sim_fetch_ste(inst, access.sid, true, ste) || !(ste[0] & STE_0_V) ||
		    !(ste[0] & STE_0_CFG_S1) || !(ste[0] & STE_0_CFG_BYPASS))
			continue;
		nr = BIT(min_t(u32, FIELD_GET(STE_0_S1CDMAX, ste[0]), 20));
		for (access.ssid = 1; access.ssid < nr; access.ssid++) {
			if (sim_get_context(inst, &access, &ctx, &fault))
				continue;
			ret = sim_add_context(audit, &ctx);
			if (ret)
				return ret;
		}
	}
	return 0;
}

/* One id, two tables */
static void sim_audit_ids(struct sim_audit *audit)
{
	struct sim_context *a, *b;
	u64 root;

	for (a = audit->ctx; a < audit->ctx + audit->nr_ctx; a++) {
		if (a->bypass || (!a->s2.on && a->s1.off))
			continue;
		for (b = audit->ctx; b < a; b++) {
			if (b->bypass || !sim_same_id(a, b->vmid, b->asid, b->s2.on) ||
			    (!b->s2.on && b->s1.off))
				continue;
			root = b->s2.on ? b->s2.ttb : b->s1.ttb;
			if (root == (a->s2.on ? a->s2.ttb : a->s1.ttb))
				continue;
			sim_id_violation(audit->inst, SMMUV3_SIM_RULE_SHARED, a, root);
			break;
		}
	}
}

/*
 * Compare a translation with what the tables say now. The tables may have smaller
 * pages, so go through all of it.
 */
static u32 sim_compare(struct sim_instance *inst, const struct sim_entry *e,
		       const struct sim_context *ctx, u64 *address, u64 *now)
{
	u64 offset = 0, size = BIT_ULL(e->shift);
	struct smmuv3_sim_fault fault = {};
	struct sim_result result;
	struct sim_access access = {
		.sid = e->sid,
		.ssid = e->ssid,
		.ats = true,
		.fresh = true,
	};

	*now = 0;
	while (offset < size) {
		*address = e->va + offset;
		access.iova = *address;
		if (ctx ? sim_walk_context(inst, ctx, &access, &result, &fault) :
			  sim_translate(inst, &access, &result, &fault)) {
			if (fault.event < 0x10 || fault.event == SMMUV3_SIM_ABORT)
				return SMMUV3_SIM_WHY_ATS_OFF;
			return SMMUV3_SIM_WHY_UNMAPPED;
		}
		*now = result.pa;
		if (result.pa != e->pa + offset)
			return SMMUV3_SIM_WHY_MOVED;
		if (e->perms & ~result.perms & (SIM_PERM_READ | SIM_PERM_WRITE))
			return SMMUV3_SIM_WHY_PERMISSION;
		offset = (offset | (BIT_ULL(result.shift) - 1)) + 1;
	}
	return 0;
}

static u32 sim_compare_table(struct sim_instance *inst, const struct sim_entry *e,
			     const struct sim_context *ctx, u64 *now)
{
	struct smmuv3_sim_fault fault = {};
	struct sim_result result = {};
	struct sim_access access = {
		.sid = e->sid,
		.ssid = e->ssid,
		.iova = e->va,
		.ats = true,
		.fresh = true,
	};

	/* The walk may end in a fault further down */
	sim_walk_context(inst, ctx, &access, &result, &fault);
	*now = e->level < ARRAY_SIZE(result.tables) ? result.tables[e->level] : 0;
	return *now == e->pa ? 0 : SMMUV3_SIM_WHY_CHANGED;
}

static void sim_audit_entry(struct sim_audit *audit, const struct sim_entry *e)
{
	bool table = e->kind == SMMUV3_SIM_CACHE_S1_TABLE || e->kind == SMMUV3_SIM_CACHE_S2_TABLE;
	bool s1 = e->kind == SMMUV3_SIM_CACHE_S1 || e->kind == SMMUV3_SIM_CACHE_S1_TABLE;
	struct sim_instance *inst = audit->inst;
	struct sim_context *ctx, s2 = {};
	u64 address = e->va, now = 0;
	bool used = false;
	u32 why, owed;

	audit->checked++;
	for (ctx = audit->ctx; ctx < audit->ctx + audit->nr_ctx; ctx++) {
		struct sim_context use = *ctx;

		if (ctx->vmid != e->vmid || ctx->bypass || ctx->s2.on != !!e->s2_root)
			continue;
		if (ctx->s2.on)
			s2 = *ctx;
		if (s1 && (!ctx->s1.on || (!e->global && ctx->asid != e->asid)))
			continue;
		used = true;
		use.s1.on = s1;
		if (table)
			why = sim_compare_table(inst, e, &use, &now);
		else
			why = sim_compare(inst, e, &use, &address, &now);
		if (!why)
			continue;
		owed = SIM_CMD_TLBI_S2_IPA;
		if (s1)
			owed = ctx->s2.on ? SIM_CMD_TLBI_NH_ALL : SIM_CMD_TLBI_NH_VA;
		sim_report_entry(audit, e, why, owed, address, now);
		return;
	}
	if (used)
		return;
	if (s1 && s2.s2.on) {
		/* No guest context has this ASID any more; is it right for stage 2? */
		struct sim_entry part = *e;

		if (table)
			return;
		part.va = e->ipa;
		s2.s1.on = false;
		why = sim_compare(inst, &part, &s2, &address, &now);
		if (why)
			sim_report_entry(audit, e, why, SIM_CMD_TLBI_NH_ALL, e->va, now);
		return;
	}
	sim_report_entry(audit, e, SMMUV3_SIM_WHY_UNUSED,
			 e->s2_root ? SIM_CMD_TLBI_S12_VMALL : SIM_CMD_TLBI_NH_ASID, e->va, 0);
}

static void sim_audit_atc_entry(struct sim_audit *audit, const struct sim_entry *e)
{
	u64 address, now;
	u32 why;

	audit->checked++;
	why = sim_compare(audit->inst, e, NULL, &address, &now);
	if (why)
		sim_report_entry(audit, e, why, SIM_CMD_ATC_INV, address, now);
}

static void sim_audit_config(struct sim_audit *audit, const struct sim_config *config)
{
	bool is_cd = config->kind == SMMUV3_SIM_CACHE_CD;
	struct sim_instance *inst = audit->inst;
	struct smmuv3_sim_fault fault = {};
	struct smmuv3_sim_stale *stale;
	struct sim_context ctx;
	struct sim_access access = {
		.sid = config->sid,
		.ssid = config->ssid ? config->ssid : SIM_NO_SSID,
		.fresh = true,
	};
	u64 now[8], cd[8];
	bool same;

	audit->checked++;
	same = !sim_fetch_ste(inst, config->sid, true, now);
	if (!is_cd) {
		same = same && !memcmp(now, config->data, sizeof(now));
	} else {
		/* Only the part that comes from the STE is needed */
		sim_get_context(inst, &access, &ctx, &fault);
		same = same && (now[0] & STE_0_V) && (now[0] & STE_0_CFG_S1) &&
		       (now[0] & STE_0_CFG_BYPASS) &&
		       !sim_fetch_cd(inst, &ctx, now, config->ssid, true, cd, &fault) &&
		       !memcmp(cd, config->data, sizeof(cd));
	}
	if (same)
		return;
	stale = sim_report(audit, config->kind, SMMUV3_SIM_WHY_CHANGED,
			   is_cd ? SIM_CMD_CFGI_CD : SIM_CMD_CFGI_STE);
	stale->sid = config->sid;
	stale->ssid = config->ssid;
	stale->doomed_seq = config->doomed;
}

static void sim_audit_instance(struct sim_audit *audit)
{
	struct sim_instance *inst = audit->inst;
	struct sim_config *config;
	struct sim_entry *e;
	unsigned int i;

	sim_audit_ids(audit);
	list_for_each_entry(config, &inst->config, list)
		sim_audit_config(audit, config);
	list_for_each_entry(e, &inst->tlb.all, list)
		sim_audit_entry(audit, e);
	for (i = 0; i < inst->nr_eps; i++) {
		/* With ATS off nothing uses what is left, and turning it on clears it */
		if (!sim_pci_ats_enabled(&inst->ep[i]))
			continue;
		list_for_each_entry(e, &inst->ep[i].atc.all, list)
			sim_audit_atc_entry(audit, e);
	}
	list_for_each_entry(e, &inst->doomed, list) {
		if (e->kind != SMMUV3_SIM_CACHE_ATC)
			sim_audit_entry(audit, e);
		else
			sim_audit_atc_entry(audit, e);
	}
}

/**
 * sim_oracle_audit() - Compare all caches with the tables in memory
 * @stale: array for what disagrees
 * @room: entries of @stale
 * @result: numbers
 *
 * Return: 0 or -ENOMEM.
 */
int sim_oracle_audit(struct smmuv3_sim_stale *stale, u32 room, struct smmuv3_sim_audit *result)
{
	struct sim_audit audit = { .stale = stale, .room = room };
	struct sim_instance *inst;
	unsigned int i;
	int ret = 0;

	result->out_dropped = 0;
	list_for_each_entry(inst, &sim_instances, list) {
		audit.inst = inst;
		ret = sim_collect_contexts(&audit);
		if (ret)
			break;
		sim_audit_instance(&audit);
		result->out_dropped += inst->tlb.dropped;
		for (i = 0; i < inst->nr_eps; i++)
			result->out_dropped += inst->ep[i].atc.dropped;
	}
	kvfree(audit.ctx);
	result->nr = audit.nr;
	result->out_checked = audit.checked;
	return ret;
}

/**
 * sim_oracle_read_log() - Copy commands from the log
 * @log: which ones
 * @commands: array
 * @room: entries of @commands
 *
 * Return: 0, or -EOVERFLOW if the log does not hold the first one any more.
 */
int sim_oracle_read_log(struct smmuv3_sim_log *log, struct smmuv3_sim_command *commands, u32 room)
{
	u64 seq = max(log->from, 1ULL);

	log->out_next = sim_seq;
	log->nr = 0;
	if (seq + SMMUV3_SIM_MAX_LOG < sim_seq)
		return -EOVERFLOW;
	for (; seq < sim_seq && log->nr < room; seq++)
		commands[log->nr++] = sim_log[seq % SMMUV3_SIM_MAX_LOG];
	return 0;
}

/**
 * sim_oracle_read_violations() - Copy the broken rules and forget them
 * @violations: array
 * @room: its entries
 *
 * Return: how many there were.
 */
u32 sim_oracle_read_violations(struct smmuv3_sim_violation *violations, u32 room)
{
	u32 nr = sim_nr_violations;

	memcpy(violations, sim_violations,
	       min3(nr, room, (u32)SMMUV3_SIM_MAX_VIOLATIONS) * sizeof(*violations));
	sim_nr_violations = 0;
	return nr;
}
