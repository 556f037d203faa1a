// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every way a translation can change x every set of users of one page table.
 *
 * A case is <group>.<change>.<users>. All users, and a bystander with a table of its
 * own, do DMA to every probe address; then something changes; then the oracle is
 * asked, and all of them do DMA again. The model, seat.want, says where each access
 * has to go: the change writes the new truth into it, for those who are affected.
 *
 * Not cases, since there is nothing to change or nobody to see it:
 *   guest, vste, vsmmu x users that are not nested	no guest, no vSTE, no vSMMU
 *   parent x users that are not direct		already nested, or no nest parent
 *   dirty x S2 parent				IOMMUFD gives no dirty tracking there
 *   unplug x one SMMU				nobody is left
 *   guest.atc_inv_* x users without ATS		no ATC
 *   PASIDs x S2 parent				a CD cannot point to stage 2; guests
 *						have PASIDs of their own, see guest
 *   mm x anything but SVA			iommufd pins what it maps
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <linux/compiler.h>

#include "smmuv3_sim_machine.h"

#define F_TRANSLATION	0x10
#define F_PERMISSION	0x13

#define CD_0_EPD0	BIT_ULL(14)
#define CD_0_V		BIT_ULL(31)

/* How an endpoint uses the table */
enum use {
	UNUSED,
	STAGE_1,
	ON_PASID,
	DIRECT,
	NESTED,
	SVA,
};

/**
 * struct user - An endpoint that uses the table
 * @use: how
 * @smmu: behind which SMMU
 * @no_ats: it has none, even if the others do
 */
struct user {
	enum use use;
	int smmu;
	bool no_ats;
};

#define MAX_USERS	4

/* The sets; each comes with ATS and without */
#define USER_SET(_users, ...) static const struct user _users[MAX_USERS] = { __VA_ARGS__ }

USER_SET(stage_1, { STAGE_1, 0 });
USER_SET(stage_1_on_two_smmus, { STAGE_1, 0 }, { STAGE_1, 1 });
USER_SET(pasid, { ON_PASID, 0 });
USER_SET(pasids_on_two_smmus, { ON_PASID, 0 }, { ON_PASID, 1 }, { ON_PASID, 1 });
USER_SET(direct, { DIRECT, 0 });
USER_SET(direct_on_two_smmus, { DIRECT, 0 }, { DIRECT, 1 });
USER_SET(nested, { NESTED, 0 });
USER_SET(direct_and_nested, { DIRECT, 0 }, { NESTED, 0 });
USER_SET(two_vsmmus, { NESTED, 0 }, { NESTED, 0 });
USER_SET(nested_on_two_smmus, { NESTED, 0 }, { NESTED, 1 });
USER_SET(mixed_on_three_smmus, { NESTED, 0 }, { NESTED, 0, .no_ats = true }, { DIRECT, 1 },
	 { NESTED, 2 });
USER_SET(sva, { SVA, 0 });
USER_SET(sva_on_two_smmus, { SVA, 0 }, { SVA, 1 });

static const char * const use_name[] = {
	[STAGE_1] = "stage 1",
	[ON_PASID] = "stage 1 on a PASID",
	[DIRECT] = "direct",
	[NESTED] = "nested",
	[SVA] = "SVA",
};

/*
 * The memory map of the table: pages that were mapped one by one, four and five
 * together, the guests' tables, three blocks, a block's size of pages, and (only if
 * the change wants it) a gigabyte. Probes are in all of them and beside them.
 */
#define FOUR_PAGES	(16 * PAGE)
#define FIVE_PAGES	(24 * PAGE)
#define BLOCK_OF_PAGES	(4 * BLOCK)
#define GIGABYTE	(512 * BLOCK)

static const __u64 probes[] = {
	0, 2 * PAGE, 3 * PAGE, 4 * PAGE, 15 * PAGE,
	FOUR_PAGES, FOUR_PAGES + 3 * PAGE, 20 * PAGE, FIVE_PAGES, FIVE_PAGES + 4 * PAGE,
	BLOCK + 0x5430, 2 * BLOCK + 0x5430, 3 * BLOCK + 0x5430,
	BLOCK_OF_PAGES + 7 * PAGE, BLOCK_OF_PAGES + BLOCK - PAGE,
	GIGABYTE, GIGABYTE + 300 * BLOCK + 0x5430, 2 * GIGABYTE - PAGE,
};

#define NR_PROBES	ARRAY_SIZE(probes)

/* Where offset 0 is for a guest, and by how much the bystander's table is different */
#define GUEST_VA	0x100000000ULL
#define OTHER		(32 * PAGE)
/* ASIDs and PASID of every guest: all use the same */
#define ASID		7
#define ASID_2		8
#define GUEST_PASID	1
/* In the guest's second address space every page is this one */
#define PAGE_2		(9 * PAGE)
#define ANY_PASID	5

/**
 * struct seat - A user, and the truth about it
 * @user: what it is
 * @dev: its endpoint
 * @name: for a person
 * @pasid: it uses the table with this one
 * @g: nested: its vSMMU
 * @next: nested: where the next table goes
 * @root: nested: stage 1 of its two address spaces
 * @cd: nested: two tables of two CDs
 * @base: where offset 0 is
 * @ats: its ATC is on
 * @idle: nested: its vSMMU has no other endpoint, and this one's vSTE aborts
 * @aside: the endpoint has another address space: a guest's with GUEST_PASID, that
 *	without a PASID if it uses the table with one
 * @want: where a probe goes, or -event
 * @want_aside: where offset 0 goes there
 */
struct seat {
	const struct user *user;
	struct sim_dev *dev;
	char name[48];
	__u32 pasid;
	struct guest g;
	size_t next;
	size_t root[2];
	size_t cd[2];
	__u64 base;
	bool ats;
	bool idle;
	bool aside;
	long want[NR_PROBES];
	long want_aside;
};

/**
 * struct matrix - The machine with its users
 * @m: the machine
 * @seat: users, then the bystander
 * @nr: how many users
 * @hwpt: the table
 * @home: where it says that a probe goes
 * @other: the table of the bystander
 * @ats: endpoints have ATS
 * @at: what changes, an offset: probes there and beside it are used
 * @length: bytes of it
 */
struct matrix {
	struct machine m;
	struct seat seat[MAX_USERS + 1];
	int nr;
	__u32 hwpt;
	long home[NR_PROBES];
	__u32 other;
	bool ats;
	__u64 at;
	__u64 length;
};

static const struct user bystander = { STAGE_1, 0 };

#define for_each_user(_s, _x) for (_s = (_x)->seat; _s < (_x)->seat + (_x)->nr; _s++)
/* With the bystander */
#define for_each_seat(_s, _x) for (_s = (_x)->seat; _s <= (_x)->seat + (_x)->nr; _s++)

static long home(__u64 offset)
{
	if (offset < BLOCK)
		return offset;
	if (offset >= BLOCK_OF_PAGES && offset < BLOCK_OF_PAGES + BLOCK)
		return PAGE + offset - BLOCK_OF_PAGES;
	return BLOCK + offset % BLOCK;
}

static long other(__u64 offset)
{
	return offset < OTHER ? (long)(offset + OTHER) : -F_TRANSLATION;
}

static long second(__u64 offset)
{
	return offset < BLOCK ? PAGE_2 : -F_TRANSLATION;
}

static long nowhere(__u64 offset)
{
	return -SMMUV3_SIM_ABORT;
}

static long unmapped(__u64 offset)
{
	return -F_TRANSLATION;
}

static long bad_cd(__u64 offset)
{
	return -C_BAD_CD;
}

static long bad_substreamid(__u64 offset)
{
	return -C_BAD_SUBSTREAMID;
}

/* From now on the probes in a range go where @where says */
static void set_range(long *want, __u64 from, __u64 length, long (*where)(__u64 offset))
{
	unsigned int p;

	for (p = 0; p < NR_PROBES; p++)
		if (probes[p] >= from && probes[p] - from < length)
			want[p] = where(probes[p]);
}

static void wants(struct seat *s, long (*where)(__u64 offset))
{
	set_range(s->want, 0, ~0ULL, where);
}

static void wants_home(struct matrix *x, struct seat *s)
{
	memcpy(s->want, x->home, sizeof(s->want));
}

/* The SMMUs differ: the second has small ids and no ranges, the third more bits */
static struct smmuv3_sim_create smmu_config(int smmu, enum use use)
{
	struct smmuv3_sim_create cfg = use == SVA ? sim_sva() : sim_default();

	if (smmu == 1)
		cfg.idr3 &= ~SIM_IDR3_RIL;
	if (use == SVA)
		return cfg;
	if (smmu == 1)
		cfg.idr0 &= ~(SIM_IDR0_ASID16 | SIM_IDR0_VMID16);
	if (smmu == 2)
		cfg.idr5 = (cfg.idr5 & ~SIM_IDR5_OAS) | SIM_IDR5_OAS48;
	return cfg;
}

static bool has_ranges(struct seat *s)
{
	return s->dev->smmu->cfg.idr3 & SIM_IDR3_RIL;
}

/* Add an SMMU with the endpoints of all seats that are behind it */
static void add_smmu(struct __test_metadata *_metadata, struct matrix *x, int smmu)
{
	struct smmuv3_sim_create cfg = smmu_config(smmu, x->seat[0].user->use);
	struct seat *s;

	cfg.nr_endpoints = 0;
	for_each_seat(s, x) {
		if (s->user->smmu != smmu)
			continue;
		s->ats = x->ats && !s->user->no_ats;
		cfg.ep_flags[cfg.nr_endpoints++] =
			SMMUV3_SIM_EP_PASID |
			(s->ats ? SMMUV3_SIM_EP_ATS | SMMUV3_SIM_EP_PRI : 0);
	}
	if (cfg.nr_endpoints)
		machine_add(_metadata, &x->m, smmu, &cfg);
}

static void open_endpoints(struct __test_metadata *_metadata, struct matrix *x, int smmu)
{
	__u32 endpoint = 0;
	struct seat *s;

	for_each_seat(s, x) {
		if (s->user->smmu != smmu)
			continue;
		if (s->user->use == SVA)
			*s->dev = (struct sim_dev){
				.smmu = &x->m.smmu[smmu],
				.endpoint = endpoint++,
				.vfio = -1,
			};
		else
			machine_open(_metadata, &x->m, s - x->seat, smmu, endpoint++);
	}
}

/* Some seats, the SMMUs that they need, and nothing attached */
static void make_machine(struct __test_metadata *_metadata, struct matrix *x,
			 const struct user *users, bool ats)
{
	int i;

	x->ats = ats;
	if (!x->length)
		x->at = 3 * PAGE;
	x->length = x->length ?: PAGE;
	set_range(x->home, 0, ~0ULL, home);
	while (x->nr < MAX_USERS && users[x->nr].use)
		x->nr++;
	for (i = 0; i <= x->nr; i++) {
		struct seat *s = &x->seat[i];

		s->user = i < x->nr ? &users[i] : &bystander;
		s->dev = &x->m.dev[i];
		s->pasid = s->user->use == ON_PASID ? ANY_PASID + i : SIM_NO_PASID;
		s->base = s->user->use == NESTED ? GUEST_VA : GUEST_IPA;
		snprintf(s->name, sizeof(s->name), "%s %d (%s, SMMU %d)",
			 i < x->nr ? "user" : "bystander", i, use_name[s->user->use],
			 s->user->smmu);
	}
	for (i = 0; i < MACHINE_SMMUS; i++)
		add_smmu(_metadata, x, i);
}

static void map(struct __test_metadata *_metadata, struct matrix *x, __u64 offset, __u64 length)
{
	ASSERT_EQ(0, machine_map(&x->m, GUEST_IPA + offset, home(offset), length, RW))
	{
		TH_LOG("offset %#llx: %s", offset, strerror(errno));
	}
}

static void map_all(struct __test_metadata *_metadata, struct matrix *x)
{
	int i;

	for (i = 0; i < 16; i++)
		map(_metadata, x, i * PAGE, PAGE);
	map(_metadata, x, FOUR_PAGES, 4 * PAGE);
	map(_metadata, x, 20 * PAGE, PAGE);
	map(_metadata, x, FIVE_PAGES, 5 * PAGE);
	map(_metadata, x, G_TABLES, BLOCK - G_TABLES);
	for (i = 1; i <= 3; i++)
		map(_metadata, x, i * BLOCK, BLOCK);
	map(_metadata, x, BLOCK_OF_PAGES, BLOCK);
}

/* The bystander's table, with the same addresses as everybody has */
static void make_other(struct __test_metadata *_metadata, struct matrix *x, __u32 flags)
{
	__u32 ioas = x->m.ioas;
	struct seat *s = &x->seat[x->nr];

	ASSERT_EQ(0, _test_ioctl_ioas_alloc(x->m.iommufd, &x->m.ioas));
	ASSERT_EQ(0, machine_hwpt(&x->m, s->dev, flags, &x->other));
	ASSERT_EQ(0, machine_map(&x->m, GUEST_IPA, OTHER, OTHER, RW));
	ASSERT_EQ(0, machine_map(&x->m, GUEST_VA, OTHER, OTHER, RW));
	ASSERT_EQ(0, sim_vfio_attach(s->dev, SIM_NO_PASID, x->other));
	wants(s, other);
	x->m.ioas = ioas;
}

static __u64 *s1_entry(struct matrix *x, struct seat *s, int space, __u64 offset, int level)
{
	return g_entry(&x->m, 12, 39, &s->next, s->root[space], GUEST_VA + offset, level);
}

static void write_cd(struct matrix *x, struct seat *s, int table, int pasid, int space)
{
	g_write_cd(&x->m, s->cd[table] + 64 * pasid, s->root[space], 0, 39, ASID + space);
}

/*
 * What the guest writes. The first address space is the memory map; CD table 0 has
 * it first and the second one for GUEST_PASID, CD table 1 the other way round.
 */
static void make_stage_1(struct matrix *x, struct seat *s)
{
	size_t n = s - x->seat;
	unsigned int p;
	__u64 offset;

	s->next = G_TABLES + n * 48 * PAGE;
	for (p = 0; p < 2; p++) {
		s->root[p] = s->next;
		s->cd[p] = G_CD + (2 * n + p) * 128;
		s->next += PAGE;
	}
	for (offset = 0; offset < OTHER; offset += PAGE) {
		*s1_entry(x, s, 0, offset, 3) = (GUEST_IPA + offset) | G_OK | G_PAGE;
		*s1_entry(x, s, 1, offset, 3) = (GUEST_IPA + PAGE_2) | G_OK | G_PAGE;
	}
	for (p = 0; p < NR_PROBES; p++) {
		offset = probes[p] & ~(BLOCK - 1);
		if (offset)
			*s1_entry(x, s, 0, offset, 2) = (GUEST_IPA + offset) | G_OK;
	}
	for (p = 0; p < 2; p++) {
		write_cd(x, s, p, 0, p);
		write_cd(x, s, p, GUEST_PASID, !p);
	}
}

/* vSTEs */
enum vste {
	VSTE_S1,
	VSTE_S1_OTHER_CDS,
	VSTE_S1_WITHOUT_ATS,
	VSTE_BYPASS,
	VSTE_ABORT,
	VSTE_INVALID,
};

#define VSTE_0_S1CDMAX(x)	((__u64)(x) << 59)
#define VSTE_1_S1DSS_SSID0	2ULL

/* Give the endpoint a vSTE, and say what comes of it */
static int set_vste(struct matrix *x, struct seat *s, enum vste kind)
{
	struct iommu_hwpt_arm_smmuv3 vste = {};
	bool s1 = kind <= VSTE_S1_WITHOUT_ATS;

	if (s1) {
		vste = guest_vste_s1(GUEST_IPA + s->cd[kind == VSTE_S1_OTHER_CDS]);
		vste.ste[0] |= htole64(VSTE_0_S1CDMAX(1));
		vste.ste[1] |= htole64(VSTE_1_S1DSS_SSID0);
	} else if (kind != VSTE_INVALID) {
		vste = guest_vste(kind == VSTE_BYPASS ? VSTE_CFG_BYPASS : VSTE_CFG_ABORT);
	}
	s->ats = x->ats && !s->user->no_ats &&
		 kind != VSTE_S1_WITHOUT_ATS && kind <= VSTE_BYPASS;
	if (s1 && s->ats)
		vste.ste[1] |= htole64(VSTE_1_EATS(1));
	s->base = kind == VSTE_BYPASS ? GUEST_IPA : GUEST_VA;
	s->aside = s1;
	s->idle = kind >= VSTE_ABORT;
	s->want_aside = kind == VSTE_S1_OTHER_CDS ? home(0) : second(0);
	if (kind >= VSTE_ABORT)
		wants(s, nowhere);
	else if (kind == VSTE_S1_OTHER_CDS)
		wants(s, second);
	else
		wants_home(x, s);
	return guest_attach(&s->g, vste);
}

static int attach(struct matrix *x, struct seat *s)
{
	int ret;

	s->ats = x->ats && !s->user->no_ats;
	wants_home(x, s);
	switch (s->user->use) {
	case NESTED:
		ret = guest_init(&s->g, &x->m, s->dev, x->hwpt);
		return ret ?: set_vste(x, s, VSTE_S1);
	case ON_PASID:
		s->aside = true;
		s->want_aside = other(0);
		ret = sim_vfio_attach(s->dev, SIM_NO_PASID, x->other);
		return ret ?: sim_vfio_attach(s->dev, s->pasid, x->hwpt);
	default:
		return sim_vfio_attach(s->dev, SIM_NO_PASID, x->hwpt);
	}
}

static __u32 aside_pasid(const struct seat *s)
{
	return s->user->use == ON_PASID ? SIM_NO_PASID : GUEST_PASID;
}

static void check_dma(struct __test_metadata *_metadata, struct matrix *x, struct seat *s,
		      __u32 pasid, __u64 offset, long want, const char *when)
{
	char why[128];
	int ats;

	for (ats = 0; ats <= s->ats; ats++) {
		/* To the endpoint a translation that may not be written is none */
		if (ats && want == -F_PERMISSION)
			want = -SMMUV3_SIM_ATC_DENIES;
		ASSERT_TRUE(machine_write(&x->m, s->dev, ats ? SMMUV3_SIM_DMA_ATS : 0, pasid,
					  s->base + offset, want, why, sizeof(why)))
		{
			TH_LOG("%s: %s%s%s, offset %#llx: %s", when, s->name,
			       pasid == s->pasid ? "" : ", other address space",
			       ats ? ", ATS" : "", offset, why);
		}
	}
}

/*
 * Nothing stale, no rule broken. A vSMMU keeps its VMID, and what is cached with it,
 * while no STE has it; but to the audit it is an id that nobody uses.
 */
static void check_caches(struct __test_metadata *_metadata, struct matrix *x, const char *when)
{
	struct seat *s;

	for_each_user(s, x) {
		if (!s->idle)
			continue;
		EXPECT_EQ(0, sim_violation(x->m.sim, NULL));
		return;
	}
	EXPECT_CLEAN(&x->m, "%s", when);
}

static bool is_near(struct matrix *x, __u64 probe)
{
	const __u64 beside = x->length < BLOCK ? x->length : BLOCK;

	if (x->seat[0].user->use == SVA && probe >= BLOCK)
		return false;
	return !probe || probe / BLOCK == 1 ||
	       (probe + beside >= x->at && probe < x->at + x->length + beside);
}

/* Does every DMA of everybody go where it should, and nothing else is cached? */
static void check(struct __test_metadata *_metadata, struct matrix *x, const char *when)
{
	struct seat *s;
	unsigned int p;

	check_caches(_metadata, x, when);
	for_each_seat(s, x) {
		if (!s->dev->smmu)
			continue;
		for (p = 0; p < NR_PROBES; p++)
			if (is_near(x, probes[p]))
				check_dma(_metadata, x, s, s->pasid, probes[p], s->want[p], when);
		if (s->aside)
			check_dma(_metadata, x, s, aside_pasid(s), 0, s->want_aside, when);
	}
	check_caches(_metadata, x, when);
}

/* All users use the table */
static void start(struct __test_metadata *_metadata, struct matrix *x,
		  const struct user *users, bool ats, __u32 flags)
{
	struct seat *s;
	int i;

	make_machine(_metadata, x, users, ats);
	for (i = 0; i < MACHINE_SMMUS; i++)
		open_endpoints(_metadata, x, i);
	if (users[0].use == DIRECT || users[0].use == NESTED)
		flags |= IOMMU_HWPT_ALLOC_NEST_PARENT;
	if (users[0].use == ON_PASID)
		flags |= IOMMU_HWPT_ALLOC_PASID;
	ASSERT_EQ(0, machine_hwpt(&x->m, &x->m.dev[0], flags, &x->hwpt));
	map_all(_metadata, x);
	make_other(_metadata, x, flags & IOMMU_HWPT_ALLOC_PASID);
	for_each_user(s, x) {
		if (s->user->use == NESTED)
			make_stage_1(x, s);
		ASSERT_EQ(0, attach(x, s))
		{
			TH_LOG("%s cannot use the table: %s", s->name, strerror(errno));
		}
	}
}

static void started(struct __test_metadata *_metadata, struct matrix *x,
		    const struct user *users, bool ats)
{
	start(_metadata, x, users, ats, 0);
	check(_metadata, x, "before");
}

/* What @where says now holds for a part of the table, and so for all its users */
static void home_wants(struct matrix *x, __u64 offset, __u64 length, long (*where)(__u64 offset))
{
	struct seat *s;

	set_range(x->home, offset, length, where);
	for_each_user(s, x) {
		/* Who has left it has another first page */
		if (s->want[0] != home(0))
			continue;
		set_range(s->want, offset, length, where);
		if (s->user->use == NESTED && offset <= PAGE_2 && PAGE_2 - offset < length)
			s->want_aside = where(PAGE_2);
	}
}

static void unmap(struct __test_metadata *_metadata, struct matrix *x, __u64 offset, __u64 length)
{
	ASSERT_EQ(0, machine_unmap(&x->m, GUEST_IPA + offset, length));
	home_wants(x, offset, length, unmapped);
}

/* Whoever is still there hears of an unmap, whoever is not does not */
static void unmap_and_check(struct __test_metadata *_metadata, struct matrix *x, __u64 offset)
{
	unmap(_metadata, x, offset, PAGE);
	check(_metadata, x, "unmapped afterwards");
}

/*
 * A group of changes: what a row says, and what to do with it. The rows come with
 * CHANGE(), the sets of users with USERS().
 */
#define GROUP(_group, ...)						\
	FIXTURE(_group) { struct matrix x; };				\
	FIXTURE_VARIANT(_group) { __VA_ARGS__ };			\
	FIXTURE_SETUP(_group) { machine_init(_metadata, &self->x.m); }	\
	FIXTURE_TEARDOWN(_group) { machine_exit(_metadata, &self->x.m); } \
	static void run_##_group(struct __test_metadata *_metadata, struct matrix *x, \
				 const struct _fixture_variant_##_group *change, \
				 const struct user *users, bool ats)

#define CHANGE(_group, _name, ...) \
	FIXTURE_VARIANT_ADD(_group, _name) { __VA_ARGS__ }

#define USERS_WITHOUT_ATS(_group, _users)				\
	TEST_F_TIMEOUT(_group, _users, 60)				\
	{								\
		run_##_group(_metadata, &self->x, variant, _users, false); \
	}

#define USERS_WITH_ATS(_group, _users)					\
	TEST_F_TIMEOUT(_group, _users##_ats, 60)			\
	{								\
		run_##_group(_metadata, &self->x, variant, _users, true); \
	}

#define USERS(_group, _users)						\
	USERS_WITHOUT_ATS(_group, _users)				\
	USERS_WITH_ATS(_group, _users)

#define STAGE_1_USERS(_group)						\
	USERS(_group, stage_1)						\
	USERS(_group, stage_1_on_two_smmus)				\
	USERS(_group, pasid)						\
	USERS(_group, pasids_on_two_smmus)

#define DIRECT_USERS(_group)						\
	USERS(_group, direct)						\
	USERS(_group, direct_on_two_smmus)

#define NESTED_USERS(_group)						\
	USERS(_group, nested)						\
	USERS(_group, two_vsmmus)					\
	USERS(_group, nested_on_two_smmus)				\
	USERS(_group, mixed_on_three_smmus)

/* ---- unmap: the host changes its table ---- */

enum then {
	GONE,
	MOVED,
	READ_ONLY,
};

static long moved(__u64 offset)
{
	return offset < BLOCK ? 10 * PAGE : (long)(offset % BLOCK);
}

static long read_only(__u64 offset)
{
	return -F_PERMISSION;
}

/* A gigabyte of one block again and again, mapped in one go */
static void map_gigabyte(struct __test_metadata *_metadata, struct matrix *x)
{
	__u64 iova = GUEST_IPA + GIGABYTE;
	__u64 offset;
	void *at;

	at = mmap(NULL, GIGABYTE + BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, at);
	at = (void *)(((uintptr_t)at + BLOCK - 1) & ~(BLOCK - 1));
	for (offset = 0; offset < GIGABYTE; offset += BLOCK)
		ASSERT_NE(MAP_FAILED, mmap(at + offset, BLOCK, PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_FIXED, x->m.memfd, BLOCK));
	ASSERT_EQ(0, _test_ioctl_ioas_map(x->m.iommufd, x->m.ioas, at, GIGABYTE, &iova,
					  IOMMU_IOAS_MAP_FIXED_IOVA | RW));
}

GROUP(unmap, __u64 at; __u64 length; enum then then;)
{
	__u64 iova = GUEST_IPA + change->at;

	x->at = change->at;
	x->length = change->length;
	start(_metadata, x, users, ats, 0);
	if (change->at == GIGABYTE)
		map_gigabyte(_metadata, x);
	check(_metadata, x, "before");
	unmap(_metadata, x, change->at, change->length);
	check(_metadata, x, "unmapped");
	if (change->then == MOVED) {
		ASSERT_EQ(0, machine_map(&x->m, iova, moved(change->at), change->length, RW));
		home_wants(x, change->at, change->length, moved);
		check(_metadata, x, "mapped elsewhere");
	}
	if (change->then == READ_ONLY) {
		ASSERT_EQ(0, machine_map(&x->m, iova, home(change->at), change->length,
					 IOMMU_IOAS_MAP_READABLE));
		home_wants(x, change->at, change->length, read_only);
		check(_metadata, x, "mapped read-only");
	}
}

CHANGE(unmap, one_page_of_many, 3 * PAGE, PAGE);
CHANGE(unmap, page_moved, 3 * PAGE, PAGE, MOVED);
CHANGE(unmap, page_read_only, 3 * PAGE, PAGE, READ_ONLY);
CHANGE(unmap, four_pages, FOUR_PAGES, 4 * PAGE);
CHANGE(unmap, five_pages, FIVE_PAGES, 5 * PAGE);
CHANGE(unmap, block_between_blocks, 2 * BLOCK, BLOCK);
CHANGE(unmap, block_moved, 2 * BLOCK, BLOCK, MOVED);
CHANGE(unmap, three_blocks, BLOCK, 3 * BLOCK);
CHANGE(unmap, block_of_pages, BLOCK_OF_PAGES, BLOCK);
CHANGE(unmap, gigabyte, GIGABYTE, GIGABYTE);
CHANGE(unmap, all_pages, 0, G_TABLES);

STAGE_1_USERS(unmap)
DIRECT_USERS(unmap)
USERS(unmap, direct_and_nested)
NESTED_USERS(unmap)

/* ---- move: a user leaves the table ---- */

/* Change one user after the other (only those of a kind, unless it is UNUSED) */
static void change_each(struct __test_metadata *_metadata, struct matrix *x, enum use kind,
			int (*change)(struct matrix *x, struct seat *s, int what), int what)
{
	struct seat *s;

	for_each_user(s, x) {
		if (kind && s->user->use != kind)
			continue;
		ASSERT_EQ(0, change(x, s, what));
		check(_metadata, x, s->name);
		unmap_and_check(_metadata, x, (2 + s - x->seat) * PAGE);
	}
}

enum destination {
	OTHER_TABLE,
	DETACHED,
	CLOSED,
};

static int move(struct matrix *x, struct seat *s, int to)
{
	bool on_pasid = s->user->use == ON_PASID;

	s->aside = on_pasid;
	if (to == OTHER_TABLE) {
		wants(s, other);
		return sim_vfio_attach(s->dev, s->pasid, x->other);
	}
	wants(s, on_pasid ? bad_cd : nowhere);
	s->ats = s->ats && on_pasid;
	if (to == DETACHED)
		return sim_vfio_detach(s->dev, s->pasid);
	/* Without PASIDs it is in the kernel's own domain then, which maps nothing */
	if (!on_pasid)
		wants(s, unmapped);
	s->want_aside = unmapped(0);
	s->ats = false;
	sim_vfio_close(s->dev);
	return 0;
}

GROUP(move, enum destination to;)
{
	started(_metadata, x, users, ats);
	change_each(_metadata, x, UNUSED, move, change->to);
}

CHANGE(move, to_another_table, OTHER_TABLE);
CHANGE(move, detached, DETACHED);
CHANGE(move, closed, CLOSED);

STAGE_1_USERS(move)
DIRECT_USERS(move)
USERS(move, direct_and_nested)
NESTED_USERS(move)

/* ---- pasid: what else can be done to PASIDs ---- */

enum pasid_change {
	ATTACHED_AGAIN,
	MOVED_TO_ANOTHER,
	OTHERS_REPLACED,
};

GROUP(pasids, enum pasid_change what;)
{
	struct seat *s;

	started(_metadata, x, users, ats);
	for_each_user(s, x) {
		if (change->what == OTHERS_REPLACED) {
			/* Without a PASID the endpoint now uses the same table */
			ASSERT_EQ(0, sim_vfio_attach(s->dev, SIM_NO_PASID, x->hwpt));
			s->want_aside = home(0);
			check(_metadata, x, s->name);
			continue;
		}
		ASSERT_EQ(0, sim_vfio_detach(s->dev, s->pasid));
		wants(s, bad_cd);
		check(_metadata, x, s->name);
		if (change->what == MOVED_TO_ANOTHER)
			s->pasid += MAX_USERS;
		ASSERT_EQ(0, attach(x, s));
		check(_metadata, x, s->name);
	}
	unmap_and_check(_metadata, x, 3 * PAGE);
}

CHANGE(pasids, detached_and_attached, ATTACHED_AGAIN);
CHANGE(pasids, table_on_another_pasid, MOVED_TO_ANOTHER);
CHANGE(pasids, without_pasid_replaced, OTHERS_REPLACED);

USERS(pasids, pasid)
USERS(pasids, pasids_on_two_smmus)

/* ---- vsmmu: into and out of a vSMMU ---- */

enum vsmmu_change {
	TO_PARENT,
	DESTROYED,
	MADE_AGAIN,
	TO_VSMMU,
};

static int change_vsmmu(struct matrix *x, struct seat *s, int what)
{
	int ret;

	switch (what) {
	case TO_PARENT:
		s->aside = false;
		s->base = GUEST_IPA;
		return sim_vfio_attach(s->dev, SIM_NO_PASID, x->hwpt);
	case TO_VSMMU:
		make_stage_1(x, s);
		ret = guest_init(&s->g, &x->m, s->dev, x->hwpt);
		return ret ?: set_vste(x, s, VSTE_S1);
	default:
		ret = guest_detach(&s->g);
		s->aside = false;
		s->ats = false;
		wants(s, nowhere);
		return ret ?: what == MADE_AGAIN ? attach(x, s) : 0;
	}
}

GROUP(vsmmu, enum vsmmu_change what;)
{
	started(_metadata, x, users, ats);
	change_each(_metadata, x, NESTED, change_vsmmu, change->what);
}

CHANGE(vsmmu, left_for_the_parent, TO_PARENT);
CHANGE(vsmmu, destroyed, DESTROYED);
CHANGE(vsmmu, destroyed_and_made_again, MADE_AGAIN);

USERS(vsmmu, direct_and_nested)
NESTED_USERS(vsmmu)

GROUP(parent, enum vsmmu_change what;)
{
	started(_metadata, x, users, ats);
	change_each(_metadata, x, UNUSED, change_vsmmu, change->what);
}

CHANGE(parent, left_for_a_vsmmu, TO_VSMMU);

DIRECT_USERS(parent)

/* ---- vste: a guest changes its STE, the VMM makes a new nested HWPT ---- */

GROUP(vste, enum vste from; enum vste to;)
{
	struct seat *s;
	__u64 base;

	started(_metadata, x, users, ats);
	for_each_user(s, x) {
		if (s->user->use != NESTED)
			continue;
		ASSERT_EQ(0, set_vste(x, s, change->from));
		check(_metadata, x, "the vSTE to start with");
		base = s->base;
		ASSERT_EQ(0, set_vste(x, s, change->to));
		check(_metadata, x, s->name);
		if (s->base == base)
			continue;
		/* The addresses of before mean nothing any more */
		EXPECT_DMA(&x->m, s->dev, base, change->to >= VSTE_ABORT ? nowhere(0) : unmapped(0),
			   "%s: old address", s->name);
	}
	/* Also of who is idle now: the vSMMU hears of it, and shows it when it is back */
	unmap_and_check(_metadata, x, 3 * PAGE);
	for_each_user(s, x)
		if (s->user->use == NESTED)
			ASSERT_EQ(0, set_vste(x, s, VSTE_S1));
	check(_metadata, x, "back to stage 1");
}

CHANGE(vste, s1_to_another_cd_table, VSTE_S1, VSTE_S1_OTHER_CDS);
CHANGE(vste, s1_to_bypass, VSTE_S1, VSTE_BYPASS);
CHANGE(vste, s1_to_abort, VSTE_S1, VSTE_ABORT);
CHANGE(vste, s1_to_invalid, VSTE_S1, VSTE_INVALID);
CHANGE(vste, bypass_to_s1, VSTE_BYPASS, VSTE_S1);
CHANGE(vste, abort_to_s1, VSTE_ABORT, VSTE_S1);
CHANGE(vste, ats_off, VSTE_S1, VSTE_S1_WITHOUT_ATS);
CHANGE(vste, ats_on, VSTE_S1_WITHOUT_ATS, VSTE_S1_OTHER_CDS);

NESTED_USERS(vste)

/* ---- guest: a guest changes stage 1 and says so ---- */

#define GUEST_ASID(x)	((__u64)(x) << 48)
#define GUEST_SSID(x)	((__u64)(x) << 12)
#define GUEST_SSV	BIT_ULL(11)
#define GUEST_GLOBAL	BIT_ULL(9)
#define ATC_ALL		52

/**
 * struct guest_change - What a guest changes, and how it says so
 * @op: opcode of the command; CMD_ATC_INV stands for itself after TLBI_NH_ASID
 * @num: of a range; so for the others
 * @scale: 2 to the power of it
 * @tg: CMD_TG_*
 * @ttl: level of the entries
 * @leaf: no table has changed
 * @at: offset of what is unmapped
 * @length: bytes; 0: CDs change, not tables
 * @level: of the entries in the table
 * @space: which of the guest's address spaces
 * @swap: CDs that get the other address space, by bit
 * @atc_size: Size of CMD_ATC_INV, sent only to who has ATS
 * @atc_flags: more fields of it
 */
struct guest_change {
	__u8 op;
	__u8 num;
	__u8 scale;
	__u8 tg;
	__u8 ttl;
	bool leaf;
	__u64 at;
	__u64 length;
	int level;
	int space;
	unsigned int swap;
	__u8 atc_size;
	__u64 atc_flags;
};

static struct smmuv3_cmd guest_change_cmd(const struct guest_change *c)
{
	__u64 dw0 = c->op, dw1 = 0;

	switch (c->op) {
	case CMD_CFGI_CD:
		dw0 |= c->swap == 1 ? 0 : GUEST_SSID(GUEST_PASID);
		dw1 = CMD_1_LEAF;
		fallthrough;
	case CMD_CFGI_CD_ALL:
		dw0 |= CMD_0_SID(GUEST_VSID);
		break;
	case CMD_TLBI_NH_VA:
	case CMD_TLBI_NH_VAA:
		dw0 |= CMD_0_NUM(c->num) | CMD_0_SCALE(c->scale);
		dw1 = (GUEST_VA + c->at) | CMD_1_TG(c->tg) | CMD_1_TTL(c->ttl) |
		      (c->leaf ? CMD_1_LEAF : 0);
		if (c->op == CMD_TLBI_NH_VA)
			dw0 |= GUEST_ASID(ASID + c->space);
		break;
	case CMD_ATC_INV:
		dw0 = CMD_TLBI_NH_ASID;
		fallthrough;
	case CMD_TLBI_NH_ASID:
		dw0 |= GUEST_ASID(ASID + c->space);
		break;
	}
	return smmuv3_cmd(dw0, dw1);
}

/* Size is a power of two pages, or all: then the address is all ones */
static struct smmuv3_cmd guest_change_atc_inv(const struct guest_change *c)
{
	__u64 addr = c->atc_size == ATC_ALL ? 0 : GUEST_VA + c->at;

	return smmuv3_cmd(CMD_ATC_INV | CMD_0_SID(GUEST_VSID) | c->atc_flags, addr | c->atc_size);
}

static void guest_change_write(struct matrix *x, struct seat *s, const struct guest_change *c)
{
	const __u64 step = 1UL << (12 + 9 * (3 - c->level));
	__u64 offset;

	for (offset = c->at; offset < c->at + c->length; offset += step)
		*s1_entry(x, s, c->space, offset, c->level) = 0;
	if (c->space)
		s->want_aside = unmapped(0);
	else
		set_range(s->want, c->at, c->length, unmapped);
	if (c->swap & 1) {
		write_cd(x, s, 0, 0, 1);
		wants(s, second);
	}
	if (c->swap & 2) {
		write_cd(x, s, 0, GUEST_PASID, 0);
		s->want_aside = home(0);
	}
}

/* The simulator forgets nothing by itself: if nothing is stale the row shows nothing */
static void expect_something_stale(struct __test_metadata *_metadata, struct matrix *x,
				   const char *when)
{
	ASSERT_LT(0, sim_audit(x->m.sim, NULL, NULL))
	{
		TH_LOG("%s: nothing has to be dropped, this shows nothing", when);
	}
}

static void run_guest_change(struct __test_metadata *_metadata, struct matrix *x,
			     const struct guest_change *c, const struct user *users, bool ats)
{
	struct guest_change without_range = *c;
	struct seat *s;

	without_range.op = CMD_TLBI_NH_ASID;
	x->at = c->at;
	x->length = c->length;
	started(_metadata, x, users, ats);
	for_each_user(s, x) {
		if (s->user->use != NESTED)
			continue;
		guest_change_write(x, s, c);
		expect_something_stale(_metadata, x, "before the command");
		if (c->tg && !has_ranges(s)) {
			EXPECT_EQ(-1, guest_cmd(&s->g, guest_change_cmd(c)));
			EXPECT_EQ(EIO, errno);
			ASSERT_EQ(0, guest_cmd(&s->g, guest_change_cmd(&without_range)));
		} else {
			ASSERT_EQ(0, guest_cmd(&s->g, guest_change_cmd(c)));
		}
		if (s->ats) {
			expect_something_stale(_metadata, x, "before CMD_ATC_INV");
			ASSERT_EQ(0, guest_cmd(&s->g, guest_change_atc_inv(c)));
		}
		check(_metadata, x, s->name);
	}
}

GROUP(guest, struct guest_change c;)
{
	run_guest_change(_metadata, x, &change->c, users, ats);
}

#define GUEST_CMD(_name, ...) CHANGE(guest, _name, { __VA_ARGS__ })

#define A_PAGE		.at = 3 * PAGE, .length = PAGE, .level = 3
#define OF_FOUR_PAGES	.at = FOUR_PAGES, .length = 4 * PAGE, .level = 3, .atc_size = 2
#define A_BLOCK		.at = 2 * BLOCK, .length = BLOCK, .level = 2, .atc_size = 9
#define A_TABLE		.at = 0, .length = BLOCK, .level = 2, .atc_size = 9
/* Of the other address space */
#define PAGE_OF_PASID	.at = 0, .length = PAGE, .level = 3, .space = 1

GUEST_CMD(nh_va_of_a_page, CMD_TLBI_NH_VA, A_PAGE);
GUEST_CMD(nh_va_leaf_of_a_page, CMD_TLBI_NH_VA, .leaf = true, A_PAGE);
GUEST_CMD(nh_va_range_of_four_pages, CMD_TLBI_NH_VA, .num = 3, .tg = CMD_TG_4K, OF_FOUR_PAGES);
GUEST_CMD(nh_va_range_with_scale_and_level, CMD_TLBI_NH_VA, .num = 1, .scale = 1, .tg = CMD_TG_4K,
	  .ttl = 3, .leaf = true, OF_FOUR_PAGES);
GUEST_CMD(nh_va_of_a_block, CMD_TLBI_NH_VA, A_BLOCK);
GUEST_CMD(nh_va_range_of_a_block, CMD_TLBI_NH_VA, .tg = CMD_TG_4K, .ttl = 2, .leaf = true, A_BLOCK);
GUEST_CMD(nh_va_range_of_a_table, CMD_TLBI_NH_VA, .num = 31, .scale = 4, .tg = CMD_TG_4K, A_TABLE);
GUEST_CMD(nh_va_of_a_page_of_a_pasid, CMD_TLBI_NH_VA, PAGE_OF_PASID);
GUEST_CMD(nh_vaa_of_a_page, CMD_TLBI_NH_VAA, A_PAGE);
GUEST_CMD(nh_vaa_range_of_four_pages, CMD_TLBI_NH_VAA, .num = 3, .tg = CMD_TG_4K, OF_FOUR_PAGES);
GUEST_CMD(nh_asid, CMD_TLBI_NH_ASID, OF_FOUR_PAGES);
GUEST_CMD(nh_asid_of_a_pasid, CMD_TLBI_NH_ASID, PAGE_OF_PASID);
GUEST_CMD(nh_all, CMD_TLBI_NH_ALL, A_TABLE);
GUEST_CMD(nsnh_all, CMD_TLBI_NSNH_ALL, A_TABLE);
GUEST_CMD(cfgi_cd, CMD_CFGI_CD, .swap = 1, .atc_size = ATC_ALL);
GUEST_CMD(cfgi_cd_of_a_pasid, CMD_CFGI_CD, .swap = 2, .atc_size = ATC_ALL);
GUEST_CMD(cfgi_cd_all, CMD_CFGI_CD_ALL, .swap = 3, .atc_size = ATC_ALL);

NESTED_USERS(guest)

/* Only with ATS: how much CMD_ATC_INV names, and of which PASID */
GROUP(guest_atc_inv, struct guest_change c;)
{
	run_guest_change(_metadata, x, &change->c, users, ats);
}

#define ATC_INV(_name, ...) CHANGE(guest_atc_inv, _name, { CMD_ATC_INV, __VA_ARGS__ })
#define WITH_PASID	(GUEST_SSV | GUEST_SSID(GUEST_PASID))

ATC_INV(page, A_PAGE);
ATC_INV(four_pages, OF_FOUR_PAGES);
ATC_INV(block, A_BLOCK);
ATC_INV(everything, .at = 0, .length = BLOCK, .level = 2, .atc_size = ATC_ALL);
ATC_INV(page_of_a_pasid, PAGE_OF_PASID, .atc_flags = WITH_PASID);
ATC_INV(everything_of_a_pasid, PAGE_OF_PASID, .atc_flags = WITH_PASID, .atc_size = ATC_ALL);
ATC_INV(page_of_all_pasids, PAGE_OF_PASID, .atc_flags = WITH_PASID | GUEST_GLOBAL);

USERS_WITH_ATS(guest_atc_inv, nested)
USERS_WITH_ATS(guest_atc_inv, two_vsmmus)
USERS_WITH_ATS(guest_atc_inv, nested_on_two_smmus)
USERS_WITH_ATS(guest_atc_inv, mixed_on_three_smmus)

/* ---- dirty: the host wants to know which pages were written ---- */

/* One bit for each of the first pages; those that were counted are clean again */
static __u64 get_dirty(struct __test_metadata *_metadata, struct matrix *x, __u32 flags)
{
	__u64 bitmap = 0;

	ASSERT_EQ(0, _test_cmd_get_dirty_bitmap(x->m.iommufd, x->hwpt, 16 * PAGE, GUEST_IPA, PAGE,
						&bitmap, flags));
	return bitmap;
}

/* A write by one user alone counts, and so does the next one */
static void check_dirty(struct __test_metadata *_metadata, struct matrix *x, const char *when)
{
	char why[128];
	struct seat *s;
	int i;

	for_each_user(s, x) {
		for (i = 0; i < 2 * (1 + s->ats); i++) {
			EXPECT_TRUE(machine_write(&x->m, s->dev, i > 1 ? SMMUV3_SIM_DMA_ATS : 0,
						  s->pasid, s->base + 2 * PAGE, 2 * PAGE, why,
						  sizeof(why)))
			{
				TH_LOG("%s: %s: %s", when, s->name, why);
			}
			EXPECT_EQ(BIT(2), get_dirty(_metadata, x, 0))
			{
				TH_LOG("%s: %s has written page 2%s", when, s->name,
				       i > 1 ? ", ATS" : "");
			}
			EXPECT_CLEAN(&x->m, "%s: counted and cleared", when);
		}
	}
}

enum dirty_change {
	SET,
	READ_AND_CLEAR,
	READ_ONLY_NO_CLEAR,
	CLEAR_TRACKING,
};

GROUP(dirty, enum dirty_change what;)
{
	/* Pages that check() writes, of the 16 */
	const __u64 written = BIT(0) | BIT(2) | BIT(3) | BIT(4);
	int fd = x->m.iommufd;

	start(_metadata, x, users, ats, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
	check(_metadata, x, "before");
	ASSERT_EQ(0, _test_cmd_set_dirty_tracking(fd, x->hwpt, true));
	EXPECT_CLEAN(&x->m, "tracking on");
	if (change->what == SET)
		EXPECT_EQ(0, get_dirty(_metadata, x, 0));
	check(_metadata, x, "tracking on");
	switch (change->what) {
	case READ_ONLY_NO_CLEAR:
		EXPECT_EQ(written, get_dirty(_metadata, x,
					     IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR));
		break;
	case CLEAR_TRACKING:
		ASSERT_EQ(0, _test_cmd_set_dirty_tracking(fd, x->hwpt, false));
		check(_metadata, x, "tracking off");
		ASSERT_EQ(0, _test_cmd_set_dirty_tracking(fd, x->hwpt, true));
		EXPECT_EQ(0, get_dirty(_metadata, x, 0));
		check_dirty(_metadata, x, "tracking on again");
		return;
	default:
		break;
	}
	EXPECT_EQ(written, get_dirty(_metadata, x, 0));
	EXPECT_CLEAN(&x->m, "read and cleared");
	check_dirty(_metadata, x, "read and cleared");
}

CHANGE(dirty, tracking_set, SET);
CHANGE(dirty, read_and_cleared, READ_AND_CLEAR);
CHANGE(dirty, read_without_clearing, READ_ONLY_NO_CLEAR);
CHANGE(dirty, tracking_cleared_and_set, CLEAR_TRACKING);

STAGE_1_USERS(dirty)

/* ---- mm: a process changes the address space that endpoints use ---- */

enum mm_change {
	MUNMAP,
	MREMAP,
	MPROTECT,
	MADVISE,
	UNBIND,
	EXIT,
};

#define MM_PAGE		(3 * PAGE)
#define MM_TARGET	(8 * PAGE)

static int bind_all(struct matrix *x)
{
	struct seat *s;
	int ret = 0;

	for_each_user(s, x)
		ret = ret ?: sim_sva_bind(s->dev, &s->pasid);
	return ret;
}

/* Bind a child instead of ourselves; it has the same memory at the same place */
static pid_t bind_child(struct __test_metadata *_metadata, struct matrix *x)
{
	struct seat *s;
	int pipes[2];
	pid_t child;

	ASSERT_EQ(0, pipe(pipes));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Writing is what fills its own page tables */
		memset(x->m.mem, 1, OTHER);
		if (!bind_all(x))
			for_each_user(s, x)
				if (write(pipes[1], &s->pasid, sizeof(s->pasid)) < 0)
					_exit(1);
		close(pipes[1]);
		pause();
		_exit(0);
	}
	close(pipes[1]);
	for_each_user(s, x)
		ASSERT_EQ(sizeof(s->pasid), read(pipes[0], &s->pasid, sizeof(s->pasid)));
	return child;
}

/* No walk of tables that are freed next, which may still look empty for a while */
static void expect_cd_off(struct __test_metadata *_metadata, struct seat *s)
{
	__u64 cd;

	ASSERT_EQ(0, sim_poke(s->dev, SMMUV3_SIM_POKE_CD, s->pasid, 0, 0, 0, &cd));
	EXPECT_NE(CD_0_V, cd & (CD_0_V | CD_0_EPD0))
	{
		TH_LOG("%s: the CD of the killed process still translates", s->name);
	}
}

static void change_mm(struct __test_metadata *_metadata, struct matrix *x, enum mm_change what,
		      pid_t child)
{
	void *at = x->m.mem + MM_PAGE;
	struct seat *s;

	switch (what) {
	case MUNMAP:
		ASSERT_EQ(0, munmap(at, PAGE));
		break;
	case MREMAP:
		ASSERT_NE(MAP_FAILED, mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
					     x->m.mem + MM_TARGET));
		break;
	case MPROTECT:
		ASSERT_EQ(0, mprotect(at, PAGE, PROT_READ));
		break;
	case MADVISE:
		ASSERT_EQ(0, madvise(at, PAGE, MADV_DONTNEED));
		break;
	case UNBIND:
		s = &x->seat[0];
		ASSERT_EQ(0, sim_sva_unbind(s->dev, s->pasid));
		wants(s, sim_no_pasid_event(s->dev) == C_BAD_CD ? bad_cd : bad_substreamid);
		return;
	case EXIT:
		kill(child, SIGKILL);
		ASSERT_EQ(child, waitpid(child, NULL, 0));
		for_each_user(s, x) {
			expect_cd_off(_metadata, s);
			wants(s, unmapped);
		}
		return;
	}
	for_each_user(s, x)
		set_range(s->want, MM_PAGE, PAGE, what == MPROTECT ? read_only : unmapped);
}

GROUP(mm, enum mm_change what;)
{
	pid_t child = 0;
	struct seat *s;
	int i;

	make_machine(_metadata, x, users, ats);
	for (i = 0; i < MACHINE_SMMUS; i++)
		open_endpoints(_metadata, x, i);
	/* Memory of small pages */
	x->m.mem = mmap(NULL, 2 * OTHER, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)x->m.mem);
	make_other(_metadata, x, 0);
	if (change->what == EXIT)
		child = bind_child(_metadata, x);
	else
		ASSERT_EQ(0, bind_all(x));
	for_each_user(s, x) {
		s->base = (uintptr_t)x->m.mem;
		wants_home(x, s);
	}
	check(_metadata, x, "before");
	change_mm(_metadata, x, change->what, child);
	check(_metadata, x, "changed");
	for_each_user(s, x)
		if (change->what == MREMAP)
			check_dma(_metadata, x, s, s->pasid, MM_TARGET, MM_TARGET, "moved");
	if (change->what == MADVISE) {
		/* Whoever touches it first gets the page back, for the endpoints too */
		WRITE_ONCE(x->m.mem[MM_PAGE], 1);
		for_each_user(s, x)
			wants_home(x, s);
		check(_metadata, x, "touched again");
	}
	if (change->what == UNBIND && x->nr > 1) {
		ASSERT_EQ(0, munmap(x->m.mem + MM_PAGE, PAGE));
		set_range(x->seat[1].want, MM_PAGE, PAGE, unmapped);
		check(_metadata, x, "munmap for the other one");
	}
}

CHANGE(mm, munmap, MUNMAP);
CHANGE(mm, mremap, MREMAP);
CHANGE(mm, mprotect, MPROTECT);
CHANGE(mm, madvise_dontneed, MADVISE);
CHANGE(mm, unbound, UNBIND);
CHANGE(mm, killed, EXIT);

USERS(mm, sva)
USERS(mm, sva_on_two_smmus)

/* ---- unplug: an SMMU goes, with the endpoints behind it ---- */

static void unplug(struct __test_metadata *_metadata, struct matrix *x, int smmu)
{
	struct seat *s;

	for_each_seat(s, x) {
		if (s->user->smmu != smmu)
			continue;
		/* Somebody may hold a vSMMU; the SMMU would wait for it */
		if (s->g.viommu)
			ASSERT_EQ(0, guest_detach(&s->g));
		s->g = (struct guest){};
		sim_vfio_close(s->dev);
		s->dev->smmu = NULL;
	}
	ASSERT_EQ(0, sim_remove(&x->m.smmu[smmu], 0));
	check(_metadata, x, "unplugged");
	unmap_and_check(_metadata, x, 3 * PAGE);
	map(_metadata, x, 3 * PAGE, PAGE);
	home_wants(x, 3 * PAGE, PAGE, home);
}

GROUP(unplug, bool the_last; bool again;)
{
	struct seat *s;
	int smmu;

	started(_metadata, x, users, ats);
	smmu = change->the_last ? x->seat[x->nr - 1].user->smmu : 0;
	unplug(_metadata, x, smmu);
	if (!change->again)
		return;
	add_smmu(_metadata, x, smmu);
	open_endpoints(_metadata, x, smmu);
	for_each_user(s, x)
		if (s->user->smmu == smmu)
			ASSERT_EQ(0, attach(x, s));
	s = &x->seat[x->nr];
	if (!smmu)
		ASSERT_EQ(0, sim_vfio_attach(s->dev, SIM_NO_PASID, x->other));
	check(_metadata, x, "back again");
	unmap_and_check(_metadata, x, 3 * PAGE);
}

CHANGE(unplug, first_smmu);
CHANGE(unplug, last_smmu, .the_last = true);
CHANGE(unplug, first_smmu_and_back, .again = true);
CHANGE(unplug, last_smmu_and_back, .the_last = true, .again = true);

USERS(unplug, stage_1_on_two_smmus)
USERS(unplug, pasids_on_two_smmus)
USERS(unplug, direct_on_two_smmus)
USERS(unplug, nested_on_two_smmus)
USERS(unplug, mixed_on_three_smmus)

TEST_HARNESS_MAIN
