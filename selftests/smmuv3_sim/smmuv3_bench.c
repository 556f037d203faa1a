// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an unmap costs on simulated SMMUs, and an attach and a detach if an array has many
 * entries: not a test. Where the virtual counter counts instructions these are counted,
 * and the driver has to be one that does not wait for its command queue; elsewhere
 * commands, and how long an unmap takes if every CMD_SYNC takes LATENCY_US.
 */
#include "smmuv3_sim_load.h"
#include "instructions.h"

#define IOVA		0x10000000ULL

/* Long in comparison with everything else that an unmap does in emulation */
#define LATENCY_US	50000

#define ROUNDS		5
#define ROUNDS_ICOUNT	64
#define CACHES_ROUNDS	8

/* Entries of an array: an ASID, and an ATC for each PASID */
#define ENTRIES_MAX	512
#define ENTRIES_ROUNDS	16

#define DETACH_ROUNDS	31

#define CLOSE_PASIDS	500
#define CLOSE_ROUNDS	3
#define DETACH_LOADS	2

/**
 * enum bench_use - What the endpoints are attached to
 * @BENCH_NOBODY: nothing; there is an S2 parent for each SMMU
 * @BENCH_S1: the IOAS
 * @BENCH_PARENT: S2 parents, as few as the kernel accepts
 * @BENCH_VSMMU: a vSMMU each on such a parent
 */
enum bench_use {
	BENCH_NOBODY,
	BENCH_S1,
	BENCH_PARENT,
	BENCH_VSMMU,
};

struct bench {
	struct machine m;
	struct guest guest[MACHINE_DEVS];
	__u32 parent[MACHINE_DEVS];
	unsigned int nr_parents;
};

FIXTURE(bench)
{
	struct bench bench;
};

FIXTURE_VARIANT(bench)
{
	const char *name;
	unsigned int nr_smmus;
	enum bench_use use;
	bool ats;
};

#define BENCH_VARIANT(_name, _nr_smmus, _use, _ats)			\
	FIXTURE_VARIANT_ADD(bench, _name)				\
	{								\
		.name = #_name,						\
		.nr_smmus = _nr_smmus,					\
		.use = BENCH_##_use,					\
		.ats = _ats,						\
	}

BENCH_VARIANT(sim_nobody_1, 1, NOBODY, false);
BENCH_VARIANT(sim_nobody_2, 2, NOBODY, false);
BENCH_VARIANT(sim_nobody_8, 8, NOBODY, false);
BENCH_VARIANT(sim_1_s1, 1, S1, false);
BENCH_VARIANT(sim_2_s1, 2, S1, false);
BENCH_VARIANT(sim_8_s1, 8, S1, false);
BENCH_VARIANT(sim_16_s1, 16, S1, false);
BENCH_VARIANT(sim_1_s1_ats, 1, S1, true);
BENCH_VARIANT(sim_1_direct, 1, PARENT, false);
BENCH_VARIANT(sim_1_direct_ats, 1, PARENT, true);
BENCH_VARIANT(sim_2_direct_ats, 2, PARENT, true);
BENCH_VARIANT(sim_8_direct_ats, 8, PARENT, true);
BENCH_VARIANT(sim_1_vsmmu_ats, 1, VSMMU, true);
BENCH_VARIANT(sim_2_vsmmus_ats, 2, VSMMU, true);

FIXTURE_SETUP(bench)
{
	machine_init(_metadata, &self->bench.m);
}

FIXTURE_TEARDOWN(bench)
{
	machine_exit(_metadata, &self->bench.m);
}

/* As a VMM does: an S2 parent that the SMMU takes, or a new one */
static void attach(struct __test_metadata *_metadata, struct bench *bench, enum bench_use use,
		   unsigned int i)
{
	struct machine *m = &bench->m;
	struct sim_dev *dev = &m->dev[i];
	unsigned int j;
	int ret = -1;

	if (use == BENCH_S1) {
		ASSERT_EQ(0, sim_vfio_attach(dev, SIM_NO_PASID, m->ioas));
		return;
	}
	for (j = use == BENCH_NOBODY ? i : 0; ret; j++) {
		if (j == bench->nr_parents)
			ASSERT_EQ(0, machine_hwpt(m, dev, IOMMU_HWPT_ALLOC_NEST_PARENT,
						  &bench->parent[bench->nr_parents++]));
		if (use == BENCH_NOBODY)
			return;
		if (use == BENCH_PARENT)
			ret = sim_vfio_attach(dev, SIM_NO_PASID, bench->parent[j]);
		else
			ret = guest_init(&bench->guest[i], m, dev, bench->parent[j]);
		ASSERT_TRUE(!ret || j + 1 < bench->nr_parents || i);
	}
	if (use == BENCH_VSMMU) {
		struct iommu_hwpt_arm_smmuv3 vste = guest_vste_s1(GUEST_IPA + G_CD);

		vste.ste[1] |= htole64(VSTE_1_EATS(1));
		ASSERT_EQ(0, guest_attach(&bench->guest[i], vste));
	}
}

/*
 * Leave a mapping in an IOAS without a domain. Where the allocator's caches run empty is
 * chance; with this it does not happen in the same place in every round.
 */
static void shift_caches(struct __test_metadata *_metadata, struct machine *m, __u32 ioas,
			 unsigned int round)
{
	__u64 iova = IOVA + round * PAGE;

	if (round % CACHES_ROUNDS == 0)
		ASSERT_EQ(0, _test_ioctl_ioas_map(m->iommufd, ioas, m->mem, PAGE, &iova,
						  IOMMU_IOAS_MAP_FIXED_IOVA | RW));
}

TEST_F_TIMEOUT(bench, unmap, 120)
{
	bool icount = counts_instructions();
	struct bench *bench = &self->bench;
	struct machine *m = &bench->m;
	struct least least = {};
	__u64 start, mark;
	unsigned int i;
	__u32 other;

	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &other));
	for (i = 0; i < variant->nr_smmus; i++) {
		struct smmuv3_sim_create cfg = sim_default();

		cfg.ep_flags[0] = variant->ats ? SMMUV3_SIM_EP_ATS : 0;
		machine_add(_metadata, m, i, &cfg);
		machine_open(_metadata, m, i, i, 0);
		attach(_metadata, bench, variant->use, i);
	}
	ksft_print_msg("bench: parents %s %u\n", variant->name, bench->nr_parents);

	/* What was sent without CMD_SYNC is not part of it */
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	mark = sim_log_mark(m->sim);
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	if (!icount) {
		ksft_print_msg("bench: value %s unmap_4K-commands %llu\n", variant->name,
			       (unsigned long long)(sim_log_mark(m->sim) - mark));
		ksft_print_msg("bench: value %s unmap_4K-syncs %d\n", variant->name,
			       machine_count_cmds(m, mark, -1, CMD_SYNC));
		for (i = 0; i < variant->nr_smmus; i++)
			ASSERT_EQ(0, sim_set(&m->smmu[i], LATENCY_US, 0, 0, 0));
	}
	for (i = 0; i < (icount ? ROUNDS_ICOUNT : ROUNDS); i++) {
		shift_caches(_metadata, m, other, i);
		ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
		start = icount ? instructions() : now_us();
		ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
		least_add(&least, icount ? instructions() - start - INSTRUCTIONS_EMPTY :
					   now_us() - start);
	}
	ksft_print_msg("bench: value %s unmap_4K%s %llu seen %u\n", variant->name,
		       icount ? "" : "-us", (unsigned long long)least.val, least.seen);
	for (i = 0; i < variant->nr_smmus && !icount; i++)
		ASSERT_EQ(0, sim_set(&m->smmu[i], 0, 0, 0, 0));
}

/* Two endpoints, the second one with ATS, and a domain for their PASIDs */
static __u32 add_endpoints(struct __test_metadata *_metadata, struct machine *m)
{
	struct smmuv3_sim_create cfg = sim_default();
	__u32 other, hwpt;
	int i;

	cfg.nr_endpoints = 2;
	cfg.ep_flags[0] = SMMUV3_SIM_EP_PASID;
	cfg.ep_flags[1] = SMMUV3_SIM_EP_PASID | SMMUV3_SIM_EP_ATS;
	machine_add(_metadata, m, 0, &cfg);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &other));
	for (i = 0; i < 2; i++) {
		machine_open(_metadata, m, i, 0, i);
		ASSERT_EQ(0, _test_cmd_hwpt_alloc(m->iommufd, m->dev[i].id, other, 0,
						  IOMMU_HWPT_ALLOC_PASID, &hwpt,
						  IOMMU_HWPT_DATA_NONE, NULL, 0));
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], SIM_NO_PASID, hwpt));
	}
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], IOMMU_HWPT_ALLOC_PASID, &hwpt));
	return hwpt;
}

#define INSTRUCTIONS(_least, _call)						\
	do {									\
		__u64 __start = instructions();					\
		int __ret = _call;						\
										\
		least_add(_least, instructions() - __start - INSTRUCTIONS_EMPTY); \
		ASSERT_EQ(0, __ret);						\
	} while (0)

static void print_entries(int entries, const char *what, const struct least *least)
{
	ksft_print_msg("bench: value entries_%d %s %llu seen %u\n", entries, what,
		       (unsigned long long)least->val, least->seen);
}

static void measure_entries(struct __test_metadata *_metadata, struct machine *m,
			    struct sim_dev *dev, __u32 hwpt, __u32 last, int entries)
{
	struct least unmap = {}, attach = {}, detach_last = {}, detach_first = {};
	__u32 other;
	int i;

	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &other));
	for (i = 0; i < ENTRIES_ROUNDS; i++) {
		shift_caches(_metadata, m, other, i);
		ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
		INSTRUCTIONS(&unmap, machine_unmap(m, IOVA, PAGE));
		INSTRUCTIONS(&detach_last, sim_vfio_detach(dev, last));
		INSTRUCTIONS(&attach, sim_vfio_attach(dev, last, hwpt));
		/* Leaves a hole in the array */
		INSTRUCTIONS(&detach_first, sim_vfio_detach(dev, 1));
		ASSERT_EQ(0, sim_vfio_attach(dev, 1, hwpt));
	}
	print_entries(entries, "unmap_4K", &unmap);
	print_entries(entries, "attach", &attach);
	print_entries(entries, "detach_last", &detach_last);
	print_entries(entries, "detach_first", &detach_first);
}

/* Of the array of a domain */
TEST_F_TIMEOUT(machine, entries, 300)
{
	struct machine *m = &self->m;
	int entries, next;
	__u32 hwpt;

	if (!counts_instructions())
		return;
	hwpt = add_endpoints(_metadata, m);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], 1, hwpt));
	measure_entries(_metadata, m, &m->dev[0], hwpt, 1, 1);
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[0], 1));

	next = 2;
	for (entries = 2; entries <= ENTRIES_MAX; entries++) {
		__u32 last = entries - 1;

		ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], last, hwpt));
		if (entries != next)
			continue;
		measure_entries(_metadata, m, &m->dev[1], hwpt, last, entries);
		next *= 2;
	}
}

static int compare_times(const void *l, const void *r)
{
	__u64 left = *(const __u64 *)l, right = *(const __u64 *)r;

	return left < right ? -1 : left > right;
}

/*
 * A PASID of an endpoint with ATS, while nobody and while others unmap in the domain:
 * how long that takes does depend on the clock of the guest, but with a counter of
 * instructions for a clock not on what else its host does.
 */
TEST_F_TIMEOUT(machine, detach_waits, 300)
{
	struct machine *m = &self->m;
	__u64 time[DETACH_ROUNDS];
	struct churn churn[DETACH_LOADS];
	int load, i;
	__u32 hwpt;

	/* One is the hardware's, one is ours */
	if (!counts_instructions() || sysconf(_SC_NPROCESSORS_ONLN) < 2 + DETACH_LOADS)
		return;
	hwpt = add_endpoints(_metadata, m);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], 1, hwpt));
	for (load = 0; load <= DETACH_LOADS; load += DETACH_LOADS) {
		for (i = 0; i < load; i++) {
			churn[i] = (struct churn){ .m = m, .iova = IOVA + i * BLOCK };
			churn_start(_metadata, &churn[i]);
		}
		for (i = 0; i < DETACH_ROUNDS; i++) {
			ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], 2, hwpt));
			time[i] = now_us();
			ASSERT_EQ(0, sim_vfio_detach(&m->dev[1], 2));
			time[i] = now_us() - time[i];
		}
		for (i = 0; i < load; i++)
			churn_stop(_metadata, &churn[i]);
		qsort(time, DETACH_ROUNDS, sizeof(time[0]), compare_times);
		ksft_print_msg("bench: value load_%d detach_median-us %llu\n", load,
			       (unsigned long long)time[DETACH_ROUNDS / 2]);
		ksft_print_msg("bench: value load_%d detach_most-us %llu\n", load,
			       (unsigned long long)time[DETACH_ROUNDS - 1]);
	}
}

/*
 * An endpoint with ATS on many PASIDs is reset, or closed, which detaches one after the
 * other: the time that nobody can interrupt. The endpoint that is reset has a tenth of
 * a second of its own.
 */
TEST_F_TIMEOUT(machine, close_with_pasids, 300)
{
	static const char * const what[] = { "close", "reset" };
	const __u32 flags = SMMUV3_SIM_EP_PASID | SMMUV3_SIM_EP_ATS;
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	__u64 us, least;
	int i, round, pasid, ret;
	__u32 hwpt;

	if (counts_instructions())
		return;
	cfg.nr_endpoints = 2;
	cfg.ep_flags[0] = flags;
	cfg.ep_flags[1] = flags | SMMUV3_SIM_EP_FLR;
	machine_add(_metadata, m, 0, &cfg);
	for (i = 0; i < 2; i++) {
		least = ~0ULL;
		for (round = 0; round < CLOSE_ROUNDS; round++) {
			machine_open(_metadata, m, i, 0, i);
			ASSERT_EQ(0, machine_hwpt(m, &m->dev[i], IOMMU_HWPT_ALLOC_PASID, &hwpt));
			for (pasid = 1; pasid <= CLOSE_PASIDS; pasid++)
				ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], pasid, hwpt));
			us = now_us();
			ret = 0;
			if (i)
				ret = sim_vfio_reset(&m->dev[i]);
			else
				sim_vfio_close(&m->dev[i]);
			us = now_us() - us;
			ASSERT_EQ(0, ret);
			least = us < least ? us : least;
			sim_vfio_close(&m->dev[i]);
		}
		ksft_print_msg("bench: value sim_%d_pasids %s-us %llu\n", CLOSE_PASIDS, what[i],
			       (unsigned long long)least);
	}
	EXPECT_CLEAN(m, "closed");
}

TEST_HARNESS_MAIN
