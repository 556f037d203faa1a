// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translation: stream table, context descriptors, stage 1 and stage 2 as IHI0070
 * and DDI0487 (D8) have them. What the simulator has not: TTBR1, stalls,
 * AArch32, 52-bit addresses with the 4K and 16K granules, MPAM.
 */
#include <asm/memory.h>
#include <linux/slab.h>

#include "sim.h"

#define IDR0_S2P		BIT(0)
#define IDR0_S1P		BIT(1)
#define IDR0_HTTU		GENMASK(7, 6)
#define IDR0_ATS		BIT(10)
#define IDR0_CD2L		BIT(19)
#define IDR0_ST_LVL		GENMASK(28, 27)
#define IDR1_SIDSIZE		GENMASK(5, 0)
#define IDR1_SSIDSIZE		GENMASK(10, 6)
#define IDR5_OAS		GENMASK(2, 0)
#define IDR5_GRAN(tg)		BIT(4 + ((tg) - 12) / 2)
#define CR0			0x20
#define CR0_SMMUEN		BIT(0)
#define CR0_ATSCHK		BIT(4)
#define GBPA			0x44
#define GBPA_ABORT		BIT(20)
#define STRTAB_BASE		0x80
#define STRTAB_BASE_CFG		0x88
#define STRTAB_ADDR		GENMASK_ULL(51, 6)
#define STRTAB_LOG2SIZE		GENMASK(5, 0)
#define STRTAB_SPLIT		GENMASK(10, 6)
#define STRTAB_FMT_2LVL		BIT(16)
#define STRTAB_L1_SPAN		GENMASK_ULL(4, 0)

#define STE_0_V			BIT_ULL(0)
#define STE_0_CFG		GENMASK_ULL(3, 1)
#define STE_CFG_BYPASS		4
#define STE_CFG_S1		BIT(0)
#define STE_CFG_S2		BIT(1)
#define STE_0_S1FMT		GENMASK_ULL(5, 4)
#define STE_0_S1CTXPTR		GENMASK_ULL(51, 6)
#define STE_0_S1CDMAX		GENMASK_ULL(63, 59)
#define STE_1_S1DSS		GENMASK_ULL(1, 0)
#define STE_1_EATS		GENMASK_ULL(29, 28)
#define STE_1_STRW		GENMASK_ULL(31, 30)
#define STE_2_VMID		GENMASK_ULL(15, 0)
#define STE_2_T0SZ		GENMASK_ULL(37, 32)
#define STE_2_SL0		GENMASK_ULL(39, 38)
#define STE_2_TG		GENMASK_ULL(47, 46)
#define STE_2_PS		GENMASK_ULL(50, 48)
#define STE_2_AA64		BIT_ULL(51)
#define STE_2_ENDI		BIT_ULL(52)
#define STE_2_AFFD		BIT_ULL(53)
#define STE_2_HD		BIT_ULL(55)
#define STE_2_HA		BIT_ULL(56)
#define STE_3_TTB		GENMASK_ULL(51, 4)

#define CD_0_T0SZ		GENMASK_ULL(5, 0)
#define CD_0_TG0		GENMASK_ULL(7, 6)
#define CD_0_EPD0		BIT_ULL(14)
#define CD_0_ENDI		BIT_ULL(15)
#define CD_0_EPD1		BIT_ULL(30)
#define CD_0_V			BIT_ULL(31)
#define CD_0_IPS		GENMASK_ULL(34, 32)
#define CD_0_AFFD		BIT_ULL(35)
#define CD_0_AA64		BIT_ULL(41)
#define CD_0_HD			BIT_ULL(42)
#define CD_0_HA			BIT_ULL(43)
#define CD_0_ASID		GENMASK_ULL(63, 48)
#define CD_1_TTB0		GENMASK_ULL(51, 4)
#define CD_L1_V			BIT_ULL(0)
#define CD_L1_PTR		GENMASK_ULL(51, 12)

#define DESC_VALID		BIT_ULL(0)
#define DESC_TABLE		BIT_ULL(1)
#define DESC_S1_USER		BIT_ULL(6)
#define DESC_S1_RO		BIT_ULL(7)
#define DESC_S2_READ		BIT_ULL(6)
#define DESC_S2_WRITE		BIT_ULL(7)
#define DESC_AF			BIT_ULL(10)
#define DESC_NG			BIT_ULL(11)
#define DESC_DBM			BIT_ULL(51)
#define DESC_PXN			BIT_ULL(53)
#define DESC_XN			BIT_ULL(54)
#define DESC_TABLE_NO_USER	BIT_ULL(61)
#define DESC_TABLE_RO		BIT_ULL(62)

/* Events (IHI0070 7.3) */
#define C_BAD_STREAMID		0x02
#define F_STE_FETCH		0x03
#define C_BAD_STE		0x04
#define F_BAD_ATS_TREQ		0x05
#define F_STREAM_DISABLED	0x06
#define F_TRANSL_FORBIDDEN	0x07
#define C_BAD_SUBSTREAMID	0x08
#define F_CD_FETCH		0x09
#define C_BAD_CD		0x0a
#define F_WALK_EABT		0x0b
#define F_TRANSLATION		0x10
#define F_ADDR_SIZE		0x11
#define F_ACCESS		0x12
#define F_PERMISSION		0x13

static const u8 sim_address_bits[8] = { 32, 36, 40, 42, 44, 48, 52, 52 };

/**
 * sim_oas() - Output address size of an instance
 * @inst: the instance
 *
 * Return: bits.
 */
u32 sim_oas(const struct sim_instance *inst)
{
	return sim_address_bits[FIELD_GET(IDR5_OAS, inst->idr5)];
}

/**
 * sim_phys() - Where a physical address is in the kernel's memory
 * @pa: address
 * @size: bytes, that do not cross a page
 *
 * Return: NULL if there is no memory.
 */
void *sim_phys(u64 pa, size_t size)
{
	if (pa >> 52 || !pfn_is_map_memory(PHYS_PFN(pa)) ||
	    !pfn_is_map_memory(PHYS_PFN(pa + size - 1)))
		return NULL;
	return phys_to_virt(pa);
}

static int sim_fault(struct smmuv3_sim_fault *fault, u32 event, u32 flags, int level)
{
	fault->event = event;
	fault->flags |= flags;
	fault->level = level;
	return -EFAULT;
}

static bool sim_read64(u64 pa, u64 *val)
{
	__le64 *p = sim_phys(pa, sizeof(*p));

	if (!p)
		return false;
	*val = le64_to_cpu(READ_ONCE(*p));
	return true;
}

static bool sim_read_words(u64 pa, u64 *words, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		if (!sim_read64(pa + 8 * i, &words[i]))
			return false;
	return true;
}

/* Set a flag in a table entry, unless it has changed: then it is read again */
static bool sim_update(u64 pa, u64 *desc, u64 val)
{
	__le64 *p = sim_phys(pa, sizeof(*p));
	__le64 old = cpu_to_le64(*desc);

	if (!p || cmpxchg(p, old, cpu_to_le64(val)) != old)
		return false;
	*desc = val;
	return true;
}

static struct sim_config *sim_config_find(struct sim_instance *inst, u8 kind, u32 sid, u32 ssid)
{
	struct sim_config *config, *found = NULL;

	/* The newest one: a doomed one may still be there */
	list_for_each_entry(config, &inst->config, list)
		if (config->kind == kind && config->sid == sid && config->ssid == ssid)
			found = config;
	return found;
}

static void sim_config_add(struct sim_instance *inst, u8 kind, u32 sid, u32 ssid, const u64 *data)
{
	struct sim_config *config = kzalloc(sizeof(*config), GFP_KERNEL);

	if (!config) {
		inst->tlb.dropped++;
		return;
	}
	config->kind = kind;
	config->sid = sid;
	config->ssid = ssid;
	memcpy(config->data, data, sizeof(config->data));
	list_add_tail(&config->list, &inst->config);
}

/* Where an STE is; 0 or the number of an event */
static int sim_ste_address(struct sim_instance *inst, u32 sid, u64 *pa)
{
	u64 base = readq(inst->regs + STRTAB_BASE) & STRTAB_ADDR, l1;
	u32 cfg = readl(inst->regs + STRTAB_BASE_CFG);
	u32 bits = FIELD_GET(STRTAB_LOG2SIZE, cfg), split = FIELD_GET(STRTAB_SPLIT, cfg);
	u32 span;

	if (bits < 32 && sid >> bits)
		return C_BAD_STREAMID;
	if (cfg & STRTAB_FMT_2LVL) {
		if (!sim_read64(base + 8 * (sid >> split), &l1))
			return F_STE_FETCH;
		span = FIELD_GET(STRTAB_L1_SPAN, l1);
		sid &= BIT(split) - 1;
		if (!span || span > split + 1 || sid >> (span - 1))
			return C_BAD_STREAMID;
		base = l1 & STRTAB_ADDR;
	}
	*pa = base + 64ULL * sid;
	return 0;
}

/**
 * sim_fetch_ste() - Get an STE
 * @inst: the instance
 * @sid: StreamID
 * @fresh: from memory, not from the cache
 * @ste: 8 words
 *
 * Return: 0 or the number of an event.
 */
int sim_fetch_ste(struct sim_instance *inst, u32 sid, bool fresh, u64 *ste)
{
	struct sim_config *config;
	int event;
	u64 pa;

	if (!fresh) {
		config = sim_config_find(inst, SMMUV3_SIM_CACHE_STE, sid, SIM_NO_SSID);
		if (config) {
			memcpy(ste, config->data, sizeof(config->data));
			return 0;
		}
	}
	event = sim_ste_address(inst, sid, &pa);
	if (event)
		return event;
	return sim_read_words(pa, ste, 8) ? 0 : F_STE_FETCH;
}

static bool sim_decode_tg(const struct sim_instance *inst, u8 tg, u8 *shift)
{
	static const u8 shifts[4] = { 12, 16, 14, 0 };

	*shift = shifts[tg];
	return *shift && (inst->idr5 & IDR5_GRAN(*shift));
}

static bool sim_decode_s2(struct sim_instance *inst, const u64 *ste, struct sim_stage *s2)
{
	u8 httu = FIELD_GET(IDR0_HTTU, inst->idr0);
	u8 sl0 = FIELD_GET(STE_2_SL0, ste[2]);

	s2->on = true;
	s2->ttb = ste[3] & STE_3_TTB;
	s2->ia = 64 - FIELD_GET(STE_2_T0SZ, ste[2]);
	s2->oa = min_t(u32, sim_address_bits[FIELD_GET(STE_2_PS, ste[2])], sim_oas(inst));
	s2->affd = ste[2] & STE_2_AFFD;
	s2->ha = httu && (ste[2] & STE_2_HA);
	s2->hd = httu > 1 && (ste[2] & STE_2_HD);
	if (!sim_decode_tg(inst, FIELD_GET(STE_2_TG, ste[2]), &s2->tg))
		return false;
	s2->start = (s2->tg == 12 ? 2 : 3) - sl0;
	if (!(ste[2] & STE_2_AA64) || (ste[2] & STE_2_ENDI) || !(inst->idr0 & IDR0_S2P))
		return false;
	/* Up to 16 first tables side by side */
	return s2->start >= 0 && s2->ia <= sim_oas(inst) &&
	       s2->ia <= s2->tg + (4 - s2->start) * (s2->tg - 3) + 4 &&
	       s2->ia > s2->tg + (3 - s2->start) * (s2->tg - 3);
}

static bool sim_decode_cd(struct sim_instance *inst, const u64 *cd, struct sim_context *ctx)
{
	u8 httu = FIELD_GET(IDR0_HTTU, inst->idr0);
	struct sim_stage *s1 = &ctx->s1;
	u8 tsz = FIELD_GET(CD_0_T0SZ, cd[0]);

	ctx->asid = FIELD_GET(CD_0_ASID, cd[0]);
	if (!(cd[0] & CD_0_V) || !(cd[0] & CD_0_AA64) || (cd[0] & CD_0_ENDI) ||
	    !(cd[0] & CD_0_EPD1))
		return false;
	s1->on = true;
	s1->off = cd[0] & CD_0_EPD0;
	s1->affd = cd[0] & CD_0_AFFD;
	s1->ha = httu && (cd[0] & CD_0_HA);
	s1->hd = httu > 1 && (cd[0] & CD_0_HD);
	s1->ttb = cd[1] & CD_1_TTB0;
	s1->oa = min_t(u32, sim_address_bits[FIELD_GET(CD_0_IPS, cd[0])], sim_oas(inst));
	if (s1->off)
		return true;
	if (!sim_decode_tg(inst, FIELD_GET(CD_0_TG0, cd[0]), &s1->tg) || tsz < 16 || tsz > 39)
		return false;
	s1->ia = 64 - tsz;
	s1->start = 4 - DIV_ROUND_UP(s1->ia - s1->tg, s1->tg - 3);
	return true;
}

static int sim_cd_address(struct sim_instance *inst, const struct sim_context *ctx, const u64 *ste,
			  u32 ssid, bool fresh, u64 *cd_pa, struct smmuv3_sim_fault *fault)
{
	u64 ptr = ste[0] & STE_0_S1CTXPTR, l1;
	u8 fmt = FIELD_GET(STE_0_S1FMT, ste[0]);
	u8 leaf_bits = fmt == 1 ? 6 : 10;
	struct sim_result result;
	int stage, stages = FIELD_GET(STE_0_S1CDMAX, ste[0]) && fmt ? 2 : 1;
	u64 pa;

	for (stage = stages;; stage--) {
		if (stage == 2)
			pa = ptr + 8 * (ssid >> leaf_bits);
		else if (stages == 2)
			pa = ptr + 64 * (ssid & (BIT(leaf_bits) - 1));
		else
			pa = ptr + 64ULL * ssid;
		if (ctx->s2.on) {
			if (sim_walk_s2(inst, ctx, pa, 0, fresh, &result, fault)) {
				fault->flags |= SMMUV3_SIM_FAULT_CLASS_CD;
				return -EFAULT;
			}
			pa = result.pa;
		}
		if (stage == 1)
			break;
		if (!sim_read64(pa, &l1))
			return sim_fault(fault, F_CD_FETCH, 0, 0);
		if (!(l1 & CD_L1_V))
			return sim_fault(fault, C_BAD_SUBSTREAMID, 0, 0);
		ptr = l1 & CD_L1_PTR;
	}
	*cd_pa = pa;
	return 0;
}

/**
 * sim_fetch_cd() - Get a context descriptor
 * @inst: the instance
 * @ctx: what the STE says
 * @ste: the STE
 * @ssid: which one
 * @fresh: from memory, not from the cache
 * @cd: 8 words
 * @fault: why not
 *
 * Return: 0 or -EFAULT.
 */
int sim_fetch_cd(struct sim_instance *inst, const struct sim_context *ctx, const u64 *ste,
		 u32 ssid, bool fresh, u64 *cd, struct smmuv3_sim_fault *fault)
{
	struct sim_config *config;
	u64 pa;

	if (!fresh) {
		config = sim_config_find(inst, SMMUV3_SIM_CACHE_CD, ctx->sid, ssid);
		if (config) {
			memcpy(cd, config->data, sizeof(config->data));
			return 0;
		}
	}
	if (sim_cd_address(inst, ctx, ste, ssid, fresh, &pa, fault))
		return -EFAULT;
	if (!sim_read_words(pa, cd, 8))
		return sim_fault(fault, F_CD_FETCH, 0, 0);
	return 0;
}

/**
 * sim_get_context() - Find out what STE and CD say about an access
 * @inst: the instance
 * @access: the access
 * @ctx: the result
 * @fault: why not
 *
 * Return: 0 or -EFAULT.
 */
int sim_get_context(struct sim_instance *inst, const struct sim_access *access,
		    struct sim_context *ctx, struct smmuv3_sim_fault *fault)
{
	bool known_ste, known_cd;
	u32 ssid = access->ssid;
	u8 cfg, cdmax;
	u64 ste[8], cd[8];
	int event;

	*ctx = (struct sim_context){ .sid = access->sid, .ssid = access->ssid };
	known_ste = access->fresh ||
		    sim_config_find(inst, SMMUV3_SIM_CACHE_STE, access->sid, SIM_NO_SSID);
	event = sim_fetch_ste(inst, access->sid, access->fresh, ste);
	if (event)
		return sim_fault(fault, event, 0, 0);
	if (!(ste[0] & STE_0_V) || FIELD_GET(STE_1_STRW, ste[1]))
		return sim_fault(fault, C_BAD_STE, 0, 0);
	/* A valid STE may be cached, whatever it says */
	if (!known_ste)
		sim_config_add(inst, SMMUV3_SIM_CACHE_STE, access->sid, SIM_NO_SSID, ste);

	cfg = FIELD_GET(STE_0_CFG, ste[0]);
	if (!(cfg & STE_CFG_BYPASS))
		return sim_fault(fault, SMMUV3_SIM_ABORT, 0, 0);
	ctx->eats = FIELD_GET(STE_1_EATS, ste[1]);
	ctx->vmid = FIELD_GET(STE_2_VMID, ste[2]);
	if ((cfg & STE_CFG_S2) && !sim_decode_s2(inst, ste, &ctx->s2))
		return sim_fault(fault, C_BAD_STE, 0, 0);
	cdmax = FIELD_GET(STE_0_S1CDMAX, ste[0]);
	if (!(cfg & STE_CFG_S1)) {
		if (ssid != SIM_NO_SSID)
			return sim_fault(fault, C_BAD_SUBSTREAMID, 0, 0);
		ctx->bypass = !ctx->s2.on;
		goto out;
	}
	if (!(inst->idr0 & IDR0_S1P) || cdmax > FIELD_GET(IDR1_SSIDSIZE, inst->idr1) ||
	    (cdmax && FIELD_GET(STE_0_S1FMT, ste[0]) && !(inst->idr0 & IDR0_CD2L)))
		return sim_fault(fault, C_BAD_STE, 0, 0);
	if (ssid == SIM_NO_SSID) {
		switch (cdmax ? FIELD_GET(STE_1_S1DSS, ste[1]) : 2) {
		case 0:
			return sim_fault(fault, F_STREAM_DISABLED, 0, 0);
		case 1:
			ctx->bypass = !ctx->s2.on;
			goto out;
		case 2:
			ssid = 0;
			break;
		default:
			return sim_fault(fault, C_BAD_STE, 0, 0);
		}
	} else if (ssid >> cdmax) {
		return sim_fault(fault, C_BAD_SUBSTREAMID, 0, 0);
	} else if (!ssid && FIELD_GET(STE_1_S1DSS, ste[1]) == 2) {
		return sim_fault(fault, F_STREAM_DISABLED, 0, 0);
	}
	known_cd = access->fresh || sim_config_find(inst, SMMUV3_SIM_CACHE_CD, access->sid, ssid);
	if (sim_fetch_cd(inst, ctx, ste, ssid, access->fresh, cd, fault))
		return -EFAULT;
	if (!sim_decode_cd(inst, cd, ctx))
		return sim_fault(fault, C_BAD_CD, 0, 0);
	if (!known_cd) {
		sim_config_add(inst, SMMUV3_SIM_CACHE_CD, access->sid, ssid, cd);
		known_ste = false;
	}
out:
	if (!known_ste)
		sim_oracle_new_context(inst, ctx);
	return 0;
}

static bool sim_allowed(u8 perms, u32 flags, bool s2)
{
	if (!s2 && !(flags & SMMUV3_SIM_DMA_PRIV) && !(perms & SIM_PERM_USER))
		return false;
	if (flags & SMMUV3_SIM_DMA_WRITE)
		return perms & SIM_PERM_WRITE;
	if (flags & SMMUV3_SIM_DMA_EXEC)
		return (perms & SIM_PERM_READ) && (perms & SIM_PERM_EXEC);
	return perms & SIM_PERM_READ;
}

/* The walk of one stage; a step for the tables of stage 1 under stage 2 is @s2 */
struct sim_walk {
	struct sim_instance *inst;
	const struct sim_context *ctx;
	const struct sim_stage *stage;
	bool is_s2;
	u64 addr;
	u32 flags;
	bool fresh;
	bool ats;
};

/* @whole: if not NULL, whether the table at @addr is in one piece there */
static int sim_table_to_pa(const struct sim_walk *w, u64 addr, u64 *pa, bool *whole,
			   struct smmuv3_sim_fault *fault)
{
	struct sim_result result;

	*pa = addr;
	if (whole)
		*whole = true;
	if (w->is_s2 || !w->ctx->s2.on)
		return 0;
	if (sim_walk_s2(w->inst, w->ctx, addr, 0, w->fresh, &result, fault)) {
		fault->flags |= SMMUV3_SIM_FAULT_CLASS_TT;
		return -EFAULT;
	}
	*pa = result.pa;
	if (whole)
		*whole = result.shift >= w->stage->tg;
	return 0;
}

static void sim_cache_table(const struct sim_walk *w, int level, u8 shift, u64 table_pa)
{
	struct sim_entry entry = {
		.kind = w->is_s2 ? SMMUV3_SIM_CACHE_S2_TABLE : SMMUV3_SIM_CACHE_S1_TABLE,
		.shift = shift,
		.s1_shift = shift,
		.level = level,
		.tg = w->stage->tg,
		.asid = w->is_s2 ? 0 : w->ctx->asid,
		.vmid = w->ctx->vmid,
		.sid = w->ctx->sid,
		.ssid = w->ctx->ssid,
		.va = w->addr,
		.pa = table_pa,
		.root = w->is_s2 ? 0 : w->ctx->s1.ttb,
		.s2_root = w->ctx->s2.on ? w->ctx->s2.ttb : 0,
	};

	sim_cache_add(&w->inst->tlb, &entry);
}

static u8 sim_leaf_perms(const struct sim_walk *w, u64 desc, u64 table_attrs)
{
	u8 perms = 0;

	if (w->is_s2) {
		if (desc & DESC_S2_READ)
			perms |= SIM_PERM_READ;
		if (desc & DESC_S2_WRITE)
			perms |= SIM_PERM_WRITE;
		if (!(desc & DESC_XN))
			perms |= SIM_PERM_EXEC;
		return perms;
	}
	perms = SIM_PERM_READ;
	if (!(desc & DESC_S1_RO) && !(table_attrs & DESC_TABLE_RO))
		perms |= SIM_PERM_WRITE;
	if ((desc & DESC_S1_USER) && !(table_attrs & DESC_TABLE_NO_USER))
		perms |= SIM_PERM_USER;
	if (!(desc & (w->flags & SMMUV3_SIM_DMA_PRIV ? DESC_PXN : DESC_XN)))
		perms |= SIM_PERM_EXEC;
	return perms;
}

/* Access flag and dirty state; false: the entry has changed under us */
static bool sim_update_flags(const struct sim_walk *w, u64 pa, u64 *desc)
{
	u64 val = *desc;

	if (w->fresh)
		return true;
	if (w->stage->ha)
		val |= DESC_AF;
	if (w->stage->hd && (val & DESC_DBM) && (w->flags & SMMUV3_SIM_DMA_WRITE))
		val = w->is_s2 ? val | DESC_S2_WRITE : val & ~DESC_S1_RO;
	return val == *desc || sim_update(pa, desc, val);
}

static int sim_walk(const struct sim_walk *w, struct sim_result *result,
		    struct smmuv3_sim_fault *fault)
{
	const u32 s2_flag = w->is_s2 ? SMMUV3_SIM_FAULT_S2 : 0;
	const struct sim_stage *stage = w->stage;
	const u8 bits = stage->tg - 3;
	u64 desc, oa, pa, table, attrs;
	struct sim_entry *cached;
	bool table_is_pa;
	u8 shift, kind;
	int level;

restart:
	level = stage->start;
	table = stage->ttb;
	table_is_pa = false;
	attrs = 0;
	memset(result, 0, sizeof(*result));
	if (w->is_s2)
		fault->ipa = w->addr;
	if (stage->off || w->addr >> stage->ia)
		return sim_fault(fault, F_TRANSLATION, s2_flag, 0);

	/* The deepest table that is known */
	kind = w->is_s2 ? SMMUV3_SIM_CACHE_S2_TABLE : SMMUV3_SIM_CACHE_S1_TABLE;
	cached = w->fresh ? NULL : sim_cache_find(&w->inst->tlb, kind, w->ctx->vmid, w->ctx->asid,
						  w->addr, stage->tg + bits);
	if (cached) {
		level = cached->level + 1;
		table = cached->pa;
		table_is_pa = true;
	}
	for (;; level++) {
		u64 index;

		shift = stage->tg + (3 - level) * bits;
		index = w->addr >> shift;
		if (level != stage->start)
			index &= BIT_ULL(bits) - 1;
		pa = table + 8 * index;
		if (!table_is_pa && sim_table_to_pa(w, pa, &pa, NULL, fault))
			return -EFAULT;
		if (!sim_read64(pa, &desc))
			return sim_fault(fault, F_WALK_EABT, s2_flag, level);
		if (!(desc & DESC_VALID) || (level == 3 && !(desc & DESC_TABLE)))
			return sim_fault(fault, F_TRANSLATION, s2_flag, level);
		oa = desc & GENMASK_ULL(47, 12) & ~(BIT_ULL(stage->tg) - 1);
		if (stage->tg == 16 && stage->oa > 48)
			oa |= (desc & GENMASK_ULL(15, 12)) << 36;
		if (level == 3 || !(desc & DESC_TABLE))
			break;
		attrs |= w->is_s2 ? 0 : desc & (DESC_TABLE_RO | DESC_TABLE_NO_USER);
		if (oa >> stage->oa)
			return sim_fault(fault, F_ADDR_SIZE, s2_flag, level);
		if (sim_table_to_pa(w, oa, &pa, &table_is_pa, fault))
			return -EFAULT;
		table = table_is_pa ? pa : oa;
		if (!table_is_pa)
			continue;
		result->tables[level] = table;
		if (!w->fresh && !attrs)
			sim_cache_table(w, level, shift, table);
	}
	/* A block, but not at every level */
	if (level < (stage->tg == 12 || (stage->tg == 16 && stage->oa > 48) ? 1 : 2))
		return sim_fault(fault, F_TRANSLATION, s2_flag, level);
	oa &= ~(BIT_ULL(shift) - 1);
	if (oa >> stage->oa)
		return sim_fault(fault, F_ADDR_SIZE, s2_flag, level);
	if (!sim_update_flags(w, pa, &desc))
		goto restart;
	if (!(desc & DESC_AF) && !stage->affd && !(w->fresh && stage->ha))
		return sim_fault(fault, F_ACCESS, s2_flag, level);
	result->perms = sim_leaf_perms(w, desc, attrs);
	result->pa = oa | (w->addr & (BIT_ULL(shift) - 1));
	result->shift = shift;
	result->s1_shift = shift;
	result->level = level;
	result->global = !w->is_s2 && !(desc & DESC_NG);
	if (!w->ats && !sim_allowed(result->perms, w->flags, w->is_s2))
		return sim_fault(fault, F_PERMISSION, s2_flag, level);
	return 0;
}

static bool sim_cached(struct sim_entry *entry, u64 addr, struct sim_result *result)
{
	if (!entry)
		return false;
	memset(result, 0, sizeof(*result));
	result->pa = entry->pa | (addr & (BIT_ULL(entry->shift) - 1));
	result->shift = entry->shift;
	result->s1_shift = entry->s1_shift;
	result->level = entry->level;
	result->perms = entry->perms;
	result->global = entry->global;
	result->ipa = entry->ipa;
	return true;
}

static void sim_cache_leaf(struct sim_instance *inst, const struct sim_context *ctx, u8 kind,
			   u64 addr, const struct sim_result *result)
{
	bool s1 = kind == SMMUV3_SIM_CACHE_S1;
	u64 mask = BIT_ULL(result->shift) - 1;
	struct sim_entry entry = {
		.kind = kind,
		.shift = result->shift,
		.s1_shift = result->s1_shift,
		.level = result->level,
		.tg = s1 ? ctx->s1.tg : ctx->s2.tg,
		.perms = result->perms,
		.global = s1 && result->global,
		.asid = s1 ? ctx->asid : 0,
		.vmid = ctx->vmid,
		.sid = ctx->sid,
		.ssid = ctx->ssid,
		.va = addr,
		.ipa = result->ipa & ~mask,
		.pa = result->pa & ~mask,
		.root = s1 ? ctx->s1.ttb : 0,
		.s2_root = ctx->s2.on ? ctx->s2.ttb : 0,
	};

	sim_cache_add(&inst->tlb, &entry);
}

static int __sim_walk_s2(struct sim_instance *inst, const struct sim_context *ctx, u64 ipa,
			 u32 flags, bool fresh, bool ats, struct sim_result *result,
			 struct smmuv3_sim_fault *fault)
{
	struct sim_walk w = {
		.inst = inst,
		.ctx = ctx,
		.stage = &ctx->s2,
		.is_s2 = true,
		.addr = ipa,
		.flags = flags,
		.fresh = fresh,
		.ats = ats,
	};

	if (!fresh &&
	    sim_cached(sim_cache_find(&inst->tlb, SMMUV3_SIM_CACHE_S2, ctx->vmid, 0, ipa, 12),
		       ipa, result) &&
	    (ats || sim_allowed(result->perms, flags, true)))
		return 0;
	if (sim_walk(&w, result, fault))
		return -EFAULT;
	if (!fresh)
		sim_cache_leaf(inst, ctx, SMMUV3_SIM_CACHE_S2, ipa, result);
	return 0;
}

/**
 * sim_walk_s2() - Translate by stage 2 alone
 * @inst: the instance
 * @ctx: context
 * @ipa: address
 * @flags: SMMUV3_SIM_DMA_WRITE and _EXEC
 * @fresh: look, do not touch
 * @result: what comes out
 * @fault: why nothing does
 *
 * Return: 0 or -EFAULT.
 */
int sim_walk_s2(struct sim_instance *inst, const struct sim_context *ctx, u64 ipa, u32 flags,
		bool fresh, struct sim_result *result, struct smmuv3_sim_fault *fault)
{
	return __sim_walk_s2(inst, ctx, ipa, flags, fresh, false, result, fault);
}

/**
 * sim_walk_context() - Translate by all stages of a context
 * @inst: the instance
 * @ctx: context
 * @access: the access
 * @result: what comes out
 * @fault: why nothing does
 *
 * Return: 0 or -EFAULT.
 */
int sim_walk_context(struct sim_instance *inst, const struct sim_context *ctx,
		     const struct sim_access *access, struct sim_result *result,
		     struct smmuv3_sim_fault *fault)
{
	struct sim_walk w = {
		.inst = inst,
		.ctx = ctx,
		.stage = &ctx->s1,
		.addr = access->iova,
		.flags = access->flags,
		.fresh = access->fresh,
		.ats = access->ats,
	};
	struct sim_result s2;

	if (ctx->bypass) {
		*result = (struct sim_result){
			.pa = access->iova,
			.shift = 12,
			.s1_shift = 12,
			.perms = SIM_PERM_READ | SIM_PERM_WRITE | SIM_PERM_EXEC | SIM_PERM_USER,
		};
		if (access->iova >> sim_oas(inst))
			return sim_fault(fault, F_ADDR_SIZE, 0, 0);
		return 0;
	}
	if (!ctx->s1.on) {
		if (__sim_walk_s2(inst, ctx, access->iova, access->flags, access->fresh,
				  access->ats, result, fault))
			return -EFAULT;
		result->perms |= SIM_PERM_USER;
		return 0;
	}
	if (!access->fresh && !ctx->s1.off &&
	    sim_cached(sim_cache_find(&inst->tlb, SMMUV3_SIM_CACHE_S1, ctx->vmid, ctx->asid,
				      access->iova, 12), access->iova, result) &&
	    (access->ats || sim_allowed(result->perms, access->flags, false)))
		return 0;
	if (sim_walk(&w, result, fault))
		return -EFAULT;
	result->ipa = result->pa;
	if (ctx->s2.on) {
		if (__sim_walk_s2(inst, ctx, result->ipa, access->flags, access->fresh,
				  access->ats, &s2, fault))
			return -EFAULT;
		result->pa = s2.pa;
		result->shift = min(result->shift, s2.shift);
		result->perms &= s2.perms | SIM_PERM_USER;
	}
	if (!access->fresh)
		sim_cache_leaf(inst, ctx, SMMUV3_SIM_CACHE_S1, access->iova, result);
	return 0;
}

/**
 * sim_translate() - Translate an access, with everything that belongs to it
 * @inst: the instance
 * @access: the access
 * @result: what comes out
 * @fault: why nothing does
 *
 * Records no event; see sim_instance_event().
 *
 * Return: 0 or -EFAULT.
 */
int sim_translate(struct sim_instance *inst, const struct sim_access *access,
		  struct sim_result *result, struct smmuv3_sim_fault *fault)
{
	u32 cr0 = readl(inst->regs + CR0);
	struct sim_context ctx;

	*fault = (struct smmuv3_sim_fault){
		.sid = access->sid,
		.ssid = access->ssid == SIM_NO_SSID ? 0 : access->ssid,
		.flags = (access->ssid == SIM_NO_SSID ? 0 : SMMUV3_SIM_FAULT_SSV) |
			 (access->flags & SMMUV3_SIM_DMA_WRITE ? 0 : SMMUV3_SIM_FAULT_READ),
		.iova = access->iova,
	};
	memset(result, 0, sizeof(*result));
	if (!(cr0 & CR0_SMMUEN)) {
		if (access->ats || readl(inst->regs + GBPA) & GBPA_ABORT)
			return sim_fault(fault, SMMUV3_SIM_ABORT, 0, 0);
		ctx = (struct sim_context){ .bypass = true };
		return sim_walk_context(inst, &ctx, access, result, fault);
	}
	if (sim_get_context(inst, access, &ctx, fault))
		return -EFAULT;
	if (access->flags & SMMUV3_SIM_DMA_TRANSLATED) {
		if (!(inst->idr0 & IDR0_ATS) || ((cr0 & CR0_ATSCHK) && !ctx.eats))
			return sim_fault(fault, F_TRANSL_FORBIDDEN, 0, 0);
		if (ctx.eats == 2) {
			ctx.s1.on = false;
			return sim_walk_context(inst, &ctx, access, result, fault);
		}
		ctx = (struct sim_context){ .bypass = true };
		return sim_walk_context(inst, &ctx, access, result, fault);
	}
	if (access->ats && (!(inst->idr0 & IDR0_ATS) || !ctx.eats || ctx.bypass))
		return sim_fault(fault, F_BAD_ATS_TREQ, 0, 0);
	return sim_walk_context(inst, &ctx, access, result, fault);
}

/**
 * sim_poke() - Change a word of an STE or CD in memory
 * @inst: the instance
 * @sid: StreamID
 * @poke: what to change, in which of them
 *
 * Return: 0 or -EFAULT if there is no such STE or CD.
 */
int sim_poke(struct sim_instance *inst, u32 sid, struct smmuv3_sim_poke *poke)
{
	struct sim_context ctx = { .sid = sid };
	struct smmuv3_sim_fault fault = {};
	u64 ste[8], pa, old;

	if (sim_ste_address(inst, sid, &pa) || !sim_read_words(pa, ste, 8))
		return -EFAULT;
	if (poke->flags & SMMUV3_SIM_POKE_CD) {
		if (!(ste[0] & STE_0_V) || !(FIELD_GET(STE_0_CFG, ste[0]) & STE_CFG_S1) ||
		    FIELD_GET(STE_0_CFG, ste[0]) & STE_CFG_S2 ||
		    sim_cd_address(inst, &ctx, ste, poke->ssid, true, &pa, &fault))
			return -EFAULT;
	}
	pa += 8 * poke->word;
	if (!sim_read64(pa, &old))
		return -EFAULT;
	poke->out_old = old;
	if (!sim_update(pa, &old, (old & ~poke->mask) | (poke->value & poke->mask)))
		return -EAGAIN;
	return 0;
}
