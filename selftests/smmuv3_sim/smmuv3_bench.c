// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an unmap costs on simulated SMMUs: not a test. Where the virtual counter counts
 * instructions these are counted, and the driver has to be one that does not wait for
 * its command queue; elsewhere commands, and how long the unmap takes if every CMD_SYNC
 * takes LATENCY_US.
 */
#include "smmuv3_sim_machine.h"
#include "instructions.h"

#define IOVA		0x10000000ULL

/* Long in comparison with everything else that an unmap does in emulation */
#define LATENCY_US	5000

#define ROUNDS		5
#define ROUNDS_ICOUNT	64

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

TEST_F_TIMEOUT(bench, unmap, 120)
{
	bool icount = counts_instructions();
	struct bench *bench = &self->bench;
	struct machine *m = &bench->m;
	struct least least = {};
	__u64 start, mark;
	unsigned int i;

	for (i = 0; i < variant->nr_smmus; i++) {
		struct smmuv3_sim_create cfg = sim_default();

		cfg.ep_flags[0] = variant->ats ? SMMUV3_SIM_EP_ATS : 0;
		machine_add(_metadata, m, i, &cfg);
		machine_open(_metadata, m, i, i, 0);
		attach(_metadata, bench, variant->use, i);
	}
	ksft_print_msg("bench: parents %s %u\n", variant->name, bench->nr_parents);

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

TEST_HARNESS_MAIN
