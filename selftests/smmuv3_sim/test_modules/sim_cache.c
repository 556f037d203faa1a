// SPDX-License-Identifier: GPL-2.0-only
/*
 * Caches that err on the side of the adversary: all that may be cached is, and
 * it stays, and is used, until a command that has to drop it is completed by a
 * CMD_SYNC. A command only dooms entries; what is brought in after it is not its
 * business.
 */
#include <linux/hash.h>
#include <linux/slab.h>

#include "sim.h"

#define SIM_HASH_BITS	10

static u32 sim_hash(u8 kind, u16 vmid, u64 va, u8 shift)
{
	return hash_64((va >> shift) ^ ((u64)vmid << 44) ^ ((u64)kind << 60) ^ ((u64)shift << 38),
		       SIM_HASH_BITS);
}

/**
 * sim_cache_init() - Make an empty cache
 * @cache: the cache
 *
 * Return: 0 or -ENOMEM.
 */
int sim_cache_init(struct sim_cache *cache)
{
	INIT_LIST_HEAD(&cache->all);
	cache->buckets = kcalloc(1 << SIM_HASH_BITS, sizeof(*cache->buckets), GFP_KERNEL);
	return cache->buckets ? 0 : -ENOMEM;
}

static void sim_entry_free(struct sim_entry *entry)
{
	hlist_del(&entry->hash);
	list_del(&entry->list);
	entry->cache->count--;
	kfree(entry);
}

/**
 * sim_cache_flush() - Drop everything that is not doomed anyway
 * @cache: the cache
 */
void sim_cache_flush(struct sim_cache *cache)
{
	struct sim_entry *entry, *tmp;

	list_for_each_entry_safe(entry, tmp, &cache->all, list)
		sim_entry_free(entry);
}

/**
 * sim_cache_free() - Free a cache that has no doomed entries
 * @cache: the cache
 */
void sim_cache_free(struct sim_cache *cache)
{
	if (!cache->buckets)
		return;
	sim_cache_flush(cache);
	kfree(cache->buckets);
	cache->buckets = NULL;
}

/**
 * sim_cache_find() - Look for a translation
 * @cache: the cache
 * @kind: enum smmuv3_sim_cache
 * @vmid: tag
 * @asid: tag, ignored for stage 2
 * @va: input address
 * @min_shift: smaller ones do not count
 *
 * Return: the smallest entry that fits, or NULL.
 */
struct sim_entry *sim_cache_find(struct sim_cache *cache, u8 kind, u16 vmid, u16 asid, u64 va,
				 u8 min_shift)
{
	bool s2 = kind == SMMUV3_SIM_CACHE_S2 || kind == SMMUV3_SIM_CACHE_S2_TABLE;
	u64 shifts = cache->shifts[kind] & GENMASK_ULL(63, min_shift);
	struct sim_entry *entry;
	int shift;

	for (; shifts; shifts &= shifts - 1) {
		shift = __ffs64(shifts);
		hlist_for_each_entry(entry, &cache->buckets[sim_hash(kind, vmid, va, shift)], hash)
			if (entry->kind == kind && entry->shift == shift && entry->vmid == vmid &&
			    (s2 || entry->global || entry->asid == asid) &&
			    entry->va >> shift == va >> shift)
				return entry;
	}
	return NULL;
}

/**
 * sim_cache_find_atc() - Look for a translation in an ATC
 * @cache: the ATC
 * @pasid: PASID, SIM_NO_SSID without
 * @va: untranslated address
 *
 * Return: the smallest entry that fits, or NULL.
 */
struct sim_entry *sim_cache_find_atc(struct sim_cache *cache, u32 pasid, u64 va)
{
	const u8 kind = SMMUV3_SIM_CACHE_ATC;
	u64 shifts = cache->shifts[kind];
	struct sim_entry *entry;
	int shift;

	for (; shifts; shifts &= shifts - 1) {
		shift = __ffs64(shifts);
		hlist_for_each_entry(entry, &cache->buckets[sim_hash(kind, 0, va, shift)], hash)
			if (entry->shift == shift && entry->ssid == pasid &&
			    entry->va >> shift == va >> shift)
				return entry;
	}
	return NULL;
}

/**
 * sim_cache_add() - Bring a translation in
 * @cache: the cache
 * @new: the translation; a copy is kept
 *
 * One with the same tags is replaced, unless it is doomed: then both stay, and
 * the new one is found first.
 */
void sim_cache_add(struct sim_cache *cache, const struct sim_entry *new)
{
	u64 va = new->va & ~(BIT_ULL(new->shift) - 1);
	struct hlist_head *bucket = &cache->buckets[sim_hash(new->kind, new->vmid, va, new->shift)];
	struct sim_entry *entry;

	hlist_for_each_entry(entry, bucket, hash) {
		if (entry->doomed || entry->kind != new->kind || entry->shift != new->shift ||
		    entry->vmid != new->vmid || entry->asid != new->asid || entry->va != va ||
		    (new->kind == SMMUV3_SIM_CACHE_ATC && entry->ssid != new->ssid))
			continue;
		sim_entry_free(entry);
		break;
	}
	if (cache->count >= SMMUV3_SIM_MAX_ENTRIES) {
		if (!cache->dropped++)
			pr_warn("smmuv3_sim: more than %u entries, no more are cached\n",
				SMMUV3_SIM_MAX_ENTRIES);
		return;
	}
	entry = kmemdup(new, sizeof(*new), GFP_KERNEL);
	if (!entry) {
		cache->dropped++;
		return;
	}
	entry->cache = cache;
	entry->va = va;
	entry->doomed = SIM_NO_SEQ;
	cache->count++;
	cache->shifts[entry->kind] |= BIT_ULL(entry->shift);
	hlist_add_head(&entry->hash, bucket);
	list_add_tail(&entry->list, &cache->all);
}

/* What a TLB invalidation names, decoded */
struct sim_tlbi {
	bool s1;
	bool s2;
	bool any_vmid;
	bool any_asid;
	bool keep_global;
	bool by_address;
	bool leaf;
	u16 asid;
	u16 vmid;
	u8 ttl;
	u8 tg;
	u64 first;
	u64 last;
};

static bool sim_decode_tlbi(const u64 *cmd, struct sim_tlbi *t)
{
	u8 tg = FIELD_GET(SIM_CMD_1_TG, cmd[1]);
	u64 size = 1;
	int shift;

	*t = (struct sim_tlbi){
		.asid = FIELD_GET(SIM_CMD_ASID, cmd[0]),
		.vmid = FIELD_GET(SIM_CMD_VMID, cmd[0]),
		.leaf = cmd[1] & SIM_CMD_1_LEAF,
		.ttl = FIELD_GET(SIM_CMD_1_TTL, cmd[1]),
		.first = cmd[1] & SIM_CMD_1_ADDR,
		.any_asid = true,
	};
	switch (FIELD_GET(SIM_CMD_OP, cmd[0])) {
	case SIM_CMD_TLBI_NSNH_ALL:
		t->any_vmid = true;
		t->s1 = true;
		t->s2 = true;
		break;
	case SIM_CMD_TLBI_S12_VMALL:
		t->s1 = true;
		t->s2 = true;
		break;
	case SIM_CMD_TLBI_NH_ALL:
		t->s1 = true;
		break;
	case SIM_CMD_TLBI_NH_ASID:
		t->s1 = true;
		t->any_asid = false;
		t->keep_global = true;
		break;
	case SIM_CMD_TLBI_NH_VA:
		t->any_asid = false;
		fallthrough;
	case SIM_CMD_TLBI_NH_VAA:
		t->s1 = true;
		t->by_address = true;
		break;
	case SIM_CMD_TLBI_S2_IPA:
		t->s2 = true;
		t->by_address = true;
		break;
	default:
		return false;
	}
	if (t->by_address && tg) {
		t->tg = 10 + 2 * tg;
		shift = FIELD_GET(SIM_CMD_SCALE, cmd[0]) + t->tg;
		/* NUM has 5 bits; what is bigger is everything */
		size = (FIELD_GET(SIM_CMD_NUM, cmd[0]) + 1) << min(shift, 58);
	}
	t->last = t->first + size - 1;
	if (t->last < t->first)
		t->last = U64_MAX;
	return true;
}

static bool sim_tlbi_matches(const struct sim_tlbi *t, const struct sim_entry *e)
{
	bool table = e->kind == SMMUV3_SIM_CACHE_S1_TABLE || e->kind == SMMUV3_SIM_CACHE_S2_TABLE;
	bool s1 = e->kind == SMMUV3_SIM_CACHE_S1 || e->kind == SMMUV3_SIM_CACHE_S1_TABLE;
	u64 first, last;

	if (!(s1 ? t->s1 : t->s2) || (!t->any_vmid && t->vmid != e->vmid))
		return false;
	if (s1 && !t->any_asid && t->asid != e->asid && (!e->global || t->keep_global))
		return false;
	if (s1 && t->keep_global && e->global)
		return false;
	if (!t->by_address)
		return true;
	first = e->va & ~(BIT_ULL(e->s1_shift) - 1);
	last = first + (BIT_ULL(e->s1_shift) - 1);
	if (t->first > last || t->last < first || (t->tg && t->tg != e->tg))
		return false;
	if (table)
		return !t->leaf;
	/* The level is a promise of the caller; what is at another one may stay */
	return !t->ttl || t->ttl == e->level;
}

static u32 sim_doom(struct sim_instance *inst, struct sim_entry *entry, u64 seq)
{
	entry->doomed = seq;
	list_move_tail(&entry->list, &inst->doomed);
	return 1;
}

static u32 sim_doom_config(struct sim_instance *inst, u64 seq, u32 first_sid, u32 last_sid,
			   bool ste, bool any_ssid, u32 ssid)
{
	struct sim_config *config;
	u32 doomed = 0;

	list_for_each_entry(config, &inst->config, list) {
		if (config->doomed || config->sid < first_sid || config->sid > last_sid)
			continue;
		if (config->kind == SMMUV3_SIM_CACHE_STE ? ste : any_ssid || config->ssid == ssid) {
			config->doomed = seq;
			doomed++;
		}
	}
	return doomed;
}

static u32 sim_doom_atc(struct sim_instance *inst, const u64 *cmd, u64 seq)
{
	struct sim_endpoint *ep = sim_find_endpoint(inst, FIELD_GET(SIM_CMD_SID, cmd[0]));
	u8 size = FIELD_GET(SIM_CMD_1_ATC_SIZE, cmd[1]);
	u32 ssid = FIELD_GET(SIM_CMD_SSID, cmd[0]);
	u64 mask = size >= 52 ? U64_MAX : BIT_ULL(size + 12) - 1;
	u64 first = cmd[1] & SIM_CMD_1_ADDR & ~mask;
	struct sim_entry *entry, *tmp;
	u32 doomed = 0;

	if (!ep)
		return 0;
	if (ep->gone) {
		inst->atc_error = true;
		return 0;
	}
	if (ep->late_us && sim_pci_ats_enabled(ep))
		inst->atc_until = max(inst->atc_until, ktime_add_us(ktime_get(), ep->late_us));
	if (ep->deaf && sim_pci_ats_enabled(ep)) {
		ep->deaf--;
		inst->atc_error = true;
		return 0;
	}
	list_for_each_entry_safe(entry, tmp, &ep->atc.all, list) {
		/* Without a PASID it is for all of them, with one for that alone */
		if ((cmd[0] & SIM_CMD_SSV) && !(cmd[0] & SIM_CMD_GLOBAL) && entry->ssid != ssid)
			continue;
		if (entry->va > (first | mask) || entry->va + (BIT_ULL(entry->shift) - 1) < first)
			continue;
		doomed += sim_doom(inst, entry, seq);
	}
	return doomed;
}

/**
 * sim_cache_command() - Doom what a command has to drop
 * @inst: the instance
 * @cmd: the command
 * @seq: its number
 *
 * Return: how many entries that are.
 */
u32 sim_cache_command(struct sim_instance *inst, const u64 *cmd, u64 seq)
{
	u32 sid = FIELD_GET(SIM_CMD_SID, cmd[0]), mask;
	struct sim_entry *entry, *tmp;
	struct sim_endpoint *ep;
	struct sim_tlbi tlbi;
	u32 doomed = 0;

	switch (FIELD_GET(SIM_CMD_OP, cmd[0])) {
	case SIM_CMD_CFGI_STE:
		ep = sim_find_endpoint(inst, sid);
		if (ep)
			ep->detached = false;
		/* With the STE go the CDs that were found through it */
		return sim_doom_config(inst, seq, sid, sid, true, true, 0);
	case SIM_CMD_CFGI_STE_RANGE:
		mask = (2ULL << FIELD_GET(SIM_CMD_1_RANGE, cmd[1])) - 1;
		return sim_doom_config(inst, seq, sid & ~mask, sid | mask, true, true, 0);
	case SIM_CMD_CFGI_CD:
		return sim_doom_config(inst, seq, sid, sid, false, false,
				       FIELD_GET(SIM_CMD_SSID, cmd[0]));
	case SIM_CMD_CFGI_CD_ALL:
		return sim_doom_config(inst, seq, sid, sid, false, true, 0);
	case SIM_CMD_ATC_INV:
		return sim_doom_atc(inst, cmd, seq);
	default:
		if (!sim_decode_tlbi(cmd, &tlbi))
			return 0;
		list_for_each_entry_safe(entry, tmp, &inst->tlb.all, list)
			if (sim_tlbi_matches(&tlbi, entry))
				doomed += sim_doom(inst, entry, seq);
		return doomed;
	}
}

/**
 * sim_cache_sync() - CMD_SYNC: what is doomed goes
 * @inst: the instance
 */
void sim_cache_sync(struct sim_instance *inst)
{
	struct sim_config *config, *next;
	struct sim_entry *entry, *tmp;

	list_for_each_entry_safe(entry, tmp, &inst->doomed, list)
		sim_entry_free(entry);
	list_for_each_entry_safe(config, next, &inst->config, list) {
		if (config->doomed) {
			list_del(&config->list);
			kfree(config);
		}
	}
	inst->nr_pending = 0;
}

/**
 * sim_config_flush() - Drop all STEs and CDs
 * @inst: the instance
 */
void sim_config_flush(struct sim_instance *inst)
{
	struct sim_config *config, *next;

	list_for_each_entry_safe(config, next, &inst->config, list) {
		list_del(&config->list);
		kfree(config);
	}
}
