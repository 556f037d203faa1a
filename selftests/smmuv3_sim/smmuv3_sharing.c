// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver with several SMMUs that are not alike, ATS, PASIDs and SVA, on
 * simulated hardware: one page table for all of them, and no cache that keeps what
 * was taken back.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "smmuv3_sim_load.h"

#define IOVA		0x100000000ULL
#define ATS		SMMUV3_SIM_DMA_ATS
#define ATC_ONLY	(SMMUV3_SIM_DMA_ATS | SMMUV3_SIM_DMA_ATC_ONLY)
#define F_TRANSLATION	0x10

/* Guests map IOVA to the first page of their memory, and so on */
#define GUEST_PAGES	16

/* How an endpoint uses the shared table */
enum use {
	UNUSED,
	DIRECT,
	NESTED,
};

FIXTURE(shared)
{
	struct machine m;
	struct guest g[MACHINE_DEVS];
	enum use use[MACHINE_DEVS];
	__u32 hwpt;
};

FIXTURE_VARIANT(shared)
{
	__u32 flags;
	struct {
		enum use use;
		int smmu;
	} dev[MACHINE_DEVS];
};

FIXTURE_VARIANT_ADD(shared, one_stage_1)
{
	.dev = { { DIRECT, 0 } },
};

FIXTURE_VARIANT_ADD(shared, one_direct)
{
	.flags = PARENT,
	.dev = { { DIRECT, 0 } },
};

FIXTURE_VARIANT_ADD(shared, one_nested)
{
	.flags = PARENT,
	.dev = { { NESTED, 0 } },
};

FIXTURE_VARIANT_ADD(shared, one_smmu_two_nested)
{
	.flags = PARENT,
	.dev = { { NESTED, 0 }, { NESTED, 0 } },
};

FIXTURE_VARIANT_ADD(shared, two_stage_1)
{
	.dev = { { DIRECT, 0 }, { DIRECT, 1 } },
};

FIXTURE_VARIANT_ADD(shared, two_direct)
{
	.flags = PARENT,
	.dev = { { DIRECT, 0 }, { DIRECT, 1 } },
};

FIXTURE_VARIANT_ADD(shared, two_nested)
{
	.flags = PARENT,
	.dev = { { NESTED, 0 }, { NESTED, 1 } },
};

FIXTURE_VARIANT_ADD(shared, three_mixed)
{
	.flags = PARENT,
	.dev = { { NESTED, 0 }, { DIRECT, 1 }, { NESTED, 2 }, { NESTED, 0 } },
};

FIXTURE_SETUP(shared)
{
	struct machine *m = &self->m;
	int i, used[MACHINE_SMMUS] = {};

	machine_init(_metadata, m);
	for (i = 0; i < MACHINE_DEVS && variant->dev[i].use; i++) {
		struct smmuv3_sim_create cfg = features(variant->dev[i].smmu);

		if (!used[variant->dev[i].smmu])
			machine_add(_metadata, m, variant->dev[i].smmu, &cfg);
		machine_open(_metadata, m, i, variant->dev[i].smmu,
			     used[variant->dev[i].smmu]++);
	}
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], variant->flags, &self->hwpt));
	for (i = 0; i < GUEST_PAGES; i++)
		ASSERT_EQ(0, machine_map(m, GUEST_IPA + i * PAGE, i * PAGE, PAGE, RW));
	ASSERT_EQ(0, machine_map(m, GUEST_IPA + G_TABLES, G_TABLES, BLOCK - G_TABLES, RW));
	ASSERT_EQ(0, machine_map(m, GUEST_IPA + BLOCK, BLOCK, BLOCK, RW));
}

FIXTURE_TEARDOWN(shared)
{
	machine_exit(_metadata, &self->m);
}

/* A guest of its own for each nested endpoint, all with the same ASID */
static void make_guest(struct __test_metadata *_metadata, struct machine *m, struct guest *g,
		       int dev, __u32 parent)
{
	size_t next = G_TABLES + dev * 8 * PAGE, root = next, cd = G_CD + dev * 64;
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste_s1(GUEST_IPA + cd);
	int i;

	next += PAGE;
	for (i = 0; i < GUEST_PAGES; i++)
		*g_entry(m, 12, 39, &next, root, IOVA + i * PAGE, 3) =
			(GUEST_IPA + i * PAGE) | G_OK | G_PAGE;
	*g_entry(m, 12, 39, &next, root, IOVA + BLOCK, 2) = (GUEST_IPA + BLOCK) | G_OK;
	g_write_cd(m, cd, root, 0, 39, 7);
	vste.ste[1] |= htole64(VSTE_1_EATS(1));
	ASSERT_EQ(0, guest_init(g, m, &m->dev[dev], parent))
	{
		TH_LOG("a vSMMU for endpoint %d: %s", dev, strerror(errno));
	}
	ASSERT_EQ(0, guest_attach(g, vste));
}

static __u64 iova_of(enum use use, __u64 offset)
{
	return (use == NESTED ? IOVA : GUEST_IPA) + offset;
}

/* Each endpoint uses an offset of the memory, directly and through its ATC */
static void check_all(struct __test_metadata *_metadata, struct machine *m, const enum use *use,
		      __u64 offset, long want, const char *when)
{
	int i;

	for (i = 0; i < MACHINE_DEVS && use[i]; i++) {
		EXPECT_DMA(m, &m->dev[i], iova_of(use[i], offset), want, "%s, endpoint %d", when,
			   i);
		__EXPECT_DMA(m, &m->dev[i], ATS, SIM_NO_PASID, iova_of(use[i], offset), want,
			     "%s, ATS, endpoint %d", when, i);
	}
	EXPECT_CLEAN(m, "%s", when);
}

static __u32 atc_entries(struct machine *m, int smmu)
{
	struct smmuv3_sim_stats stats;

	return sim_stats(&m->smmu[smmu], &stats) ? ~0 : stats.cached[SMMUV3_SIM_CACHE_ATC];
}

TEST_F(shared, unmap_reaches_every_cache)
{
	struct machine *m = &self->m;
	int i, n;

	for (i = 0; i < MACHINE_DEVS && variant->dev[i].use; i++) {
		self->use[i] = variant->dev[i].use;
		if (self->use[i] == NESTED) {
			make_guest(_metadata, m, &self->g[i], i, self->hwpt);
			continue;
		}
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], SIM_NO_PASID, self->hwpt))
		{
			TH_LOG("endpoint %d", i);
		}
	}
	n = i;
	for (i = 0; i < 4; i++)
		check_all(_metadata, m, self->use, i * PAGE, i * PAGE, "pages");
	check_all(_metadata, m, self->use, BLOCK + 0x5430, BLOCK + 0x5430, "block");

	/* One page, mapped again elsewhere, then a block */
	ASSERT_EQ(0, machine_unmap(m, GUEST_IPA + PAGE, PAGE));
	EXPECT_CLEAN(m, "page unmapped");
	check_all(_metadata, m, self->use, PAGE, -F_TRANSLATION, "page unmapped");
	check_all(_metadata, m, self->use, 2 * PAGE, 2 * PAGE, "its neighbour");
	ASSERT_EQ(0, machine_map(m, GUEST_IPA + PAGE, 9 * PAGE, PAGE, RW));
	check_all(_metadata, m, self->use, PAGE, 9 * PAGE, "page moved");
	ASSERT_EQ(0, machine_unmap(m, GUEST_IPA + BLOCK, BLOCK));
	EXPECT_CLEAN(m, "block unmapped");
	check_all(_metadata, m, self->use, BLOCK + 0x5430, -F_TRANSLATION, "block unmapped");

	/* One after the other leaves; the rest goes on */
	for (i = 0; i < n; i++) {
		enum use use = self->use[i];

		ASSERT_EQ(0, use == NESTED ? guest_detach(&self->g[i]) :
					     sim_vfio_detach(&m->dev[i], SIM_NO_PASID));
		EXPECT_CLEAN(m, "endpoint %d has left", i);
		EXPECT_DMA(m, &m->dev[i], iova_of(use, 0), -SMMUV3_SIM_ABORT, "it has left");
		ASSERT_EQ(0, machine_unmap(m, GUEST_IPA + (4 + i) * PAGE, PAGE));
		EXPECT_CLEAN(m, "unmapped after endpoint %d has left", i);
		for (int j = i + 1; j < n; j++)
			EXPECT_DMA(m, &m->dev[j], iova_of(self->use[j], 0), 0, "the others stay");
	}
}

/* One S1 domain on a PASID here and on another one there */
TEST_F(machine, pasids_share)
{
	struct machine *m = &self->m;
	__u32 rid[2], hwpt, ioas;
	int i;

	add_two(_metadata, m);
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, machine_hwpt(m, &m->dev[i], IOMMU_HWPT_ALLOC_PASID, &rid[i]));
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], SIM_NO_PASID, rid[i]));
	}
	ioas = m->ioas;
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &m->ioas));
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], IOMMU_HWPT_ALLOC_PASID, &hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, PAGE, PAGE, RW));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], 5 + i, hwpt))
		{
			TH_LOG("endpoint %d", i);
		}
	for (i = 0; i < 2; i++) {
		__EXPECT_DMA(m, &m->dev[i], 0, 5 + i, IOVA, PAGE, "PASID, endpoint %d", i);
		__EXPECT_DMA(m, &m->dev[i], ATS, 5 + i, IOVA, PAGE, "PASID, ATS, endpoint %d", i);
		__EXPECT_DMA(m, &m->dev[i], ATS, SIM_NO_PASID, IOVA, 0, "RID, endpoint %d", i);
	}
	EXPECT_CLEAN(m, "attached");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "unmapped");
	for (i = 0; i < 2; i++) {
		__EXPECT_DMA(m, &m->dev[i], 0, 5 + i, IOVA, -F_TRANSLATION, "endpoint %d", i);
		__EXPECT_DMA(m, &m->dev[i], ATC_ONLY, SIM_NO_PASID, IOVA, 0, "RID %d", i);
	}
	ASSERT_EQ(0, machine_map(m, IOVA, PAGE, PAGE, RW));
	for (i = 0; i < 2; i++)
		__EXPECT_DMA(m, &m->dev[i], ATS, 5 + i, IOVA, PAGE, "again, endpoint %d", i);
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[0], 5));
	EXPECT_CLEAN(m, "one detached");
	__EXPECT_DMA(m, &m->dev[0], 0, 5, IOVA, -C_BAD_CD, "detached");
	__EXPECT_DMA(m, &m->dev[1], 0, 6, IOVA, PAGE, "the other one");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "unmapped for the other one");
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[1], 6));
	EXPECT_CLEAN(m, "both detached");
	m->ioas = ioas;
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "the other domain");
}

static void add_two_sva(struct __test_metadata *_metadata, struct machine *m)
{
	struct smmuv3_sim_create cfg;
	int i;

	for (i = 0; i < 2; i++) {
		cfg = sim_sva();
		if (i)
			cfg.idr3 &= ~SIM_IDR3_RIL;
		machine_add(_metadata, m, i, &cfg);
		m->dev[i].smmu = &m->smmu[i];
	}
}

static int sva_write(struct machine *m, int dev, __u32 flags, __u32 pasid, void *at, __u32 word)
{
	return sim_dma(&m->dev[dev], flags | SMMUV3_SIM_DMA_WRITE, pasid, (uintptr_t)at, &word,
		       sizeof(word), NULL);
}

TEST_F(machine, sva_munmap_on_two_smmus)
{
	struct machine *m = &self->m;
	volatile __u32 *mem;
	__u32 pasid[2];
	int i;

	add_two_sva(_metadata, m);
	mem = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)mem);
	/* The driver rounds what it drops from an ATC up to an aligned power of two */
	mem = (void *)(((uintptr_t)mem + 4 * PAGE - 1) & ~(4 * PAGE - 1));
	memset((void *)mem, 0x5a, 4 * PAGE);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, sim_sva_bind(&m->dev[i], &pasid[i]));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, sva_write(m, i, 0, pasid[i], (void *)mem, 100 + i));
		EXPECT_EQ(100 + i, mem[0]);
		EXPECT_EQ(0, sva_write(m, i, ATS, pasid[i], (void *)mem + PAGE, 200 + i));
		EXPECT_EQ(200 + i, mem[PAGE / 4]);
		EXPECT_EQ(0, sva_write(m, i, ATS, pasid[i], (void *)mem + 2 * PAGE, 300 + i));
	}
	EXPECT_CLEAN(m, "bound");
	ASSERT_EQ(0, munmap((void *)mem, 2 * PAGE));
	EXPECT_CLEAN(m, "munmap");
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(F_TRANSLATION, sva_write(m, i, 0, pasid[i], (void *)mem, 1));
		EXPECT_EQ(F_TRANSLATION, sva_write(m, i, ATS, pasid[i], (void *)mem + PAGE, 1));
		EXPECT_EQ(0, sva_write(m, i, ATC_ONLY, pasid[i], (void *)mem + 2 * PAGE, 400 + i));
		EXPECT_EQ(400 + i, mem[2 * PAGE / 4]);
	}
	ASSERT_EQ(0, mprotect((void *)mem + 2 * PAGE, PAGE, PROT_READ));
	EXPECT_CLEAN(m, "mprotect");
	for (i = 0; i < 2; i++) {
		EXPECT_NE(0, sva_write(m, i, 0, pasid[i], (void *)mem + 2 * PAGE, 1));
		EXPECT_NE(0, sva_write(m, i, ATS, pasid[i], (void *)mem + 2 * PAGE, 1));
	}
	EXPECT_EQ(0, sim_sva_unbind(&m->dev[0], pasid[0]));
	EXPECT_CLEAN(m, "one unbound");
	EXPECT_EQ(sim_no_pasid_event(&m->dev[0]),
		  sva_write(m, 0, 0, pasid[0], (void *)mem + 3 * PAGE, 1));
	EXPECT_EQ(0, sva_write(m, 1, ATS, pasid[1], (void *)mem + 3 * PAGE, 1));
	ASSERT_EQ(0, munmap((void *)mem + 2 * PAGE, 2 * PAGE));
	EXPECT_CLEAN(m, "munmap for the other one");
	EXPECT_EQ(0, sim_sva_unbind(&m->dev[1], pasid[1]));
	EXPECT_CLEAN(m, "both unbound");
}

TEST_F(machine, sva_killed_while_bound)
{
	struct machine *m = &self->m;
	struct {
		__u32 pasid[2];
		void *mem;
		int ready;
	} *child;
	int i, pipes[2];
	pid_t pid;
	char c;

	add_two_sva(_metadata, m);
	child = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)child);
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		child->mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		memset(child->mem, 1, PAGE);
		child->ready = !sim_sva_bind(&m->dev[0], &child->pasid[0]) &&
			       !sim_sva_bind(&m->dev[1], &child->pasid[1]);
		c = 0;
		if (write(pipes[1], &c, 1) == 1)
			pause();
		_exit(0);
	}
	ASSERT_EQ(1, read(pipes[0], &c, 1));
	ASSERT_EQ(1, child->ready);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, sva_write(m, i, 0, child->pasid[i], child->mem, 100 + i));
		EXPECT_EQ(0, sva_write(m, i, ATS, child->pasid[i], child->mem, 100 + i));
	}
	EXPECT_CLEAN(m, "bound");
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_CLEAN(m, "killed");
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(F_TRANSLATION, sva_write(m, i, 0, child->pasid[i], child->mem, 1));
		EXPECT_EQ(F_TRANSLATION, sva_write(m, i, ATS, child->pasid[i], child->mem, 1));
	}
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, sim_sva_unbind(&m->dev[i], child->pasid[i]));
	EXPECT_CLEAN(m, "unbound");
}

/* What must be equal, and what may differ; the table is made for SMMU 0 */
FIXTURE(compatible)
{
	struct machine m;
};

FIXTURE_VARIANT(compatible)
{
	__u32 idr0_clear;
	__u32 idr1;
	__u32 idr3_clear;
	__u32 oas;
	__u32 hwpt_flags;
	int want;
};

#define COMPATIBLE(_name, ...) FIXTURE_VARIANT_ADD(compatible, _name) { __VA_ARGS__ }

COMPATIBLE(same);
COMPATIBLE(same_parent, .hwpt_flags = PARENT);
COMPATIBLE(small_ids, .idr0_clear = SIM_IDR0_ASID16 | SIM_IDR0_VMID16);
COMPATIBLE(small_ids_parent, .idr0_clear = SIM_IDR0_ASID16 | SIM_IDR0_VMID16, .hwpt_flags = PARENT);
COMPATIBLE(no_ranges, .idr3_clear = SIM_IDR3_RIL);
COMPATIBLE(no_ats_no_pri_no_msi, .idr0_clear = SIM_IDR0_ATS | SIM_IDR0_PRI | SIM_IDR0_MSI);
COMPATIBLE(small_queue, .idr1 = SIM_IDR1(7, 6, 6, 6, 10));
COMPATIBLE(more_address_bits, .oas = SIM_IDR5_OAS48);
COMPATIBLE(more_address_bits_parent, .oas = SIM_IDR5_OAS48, .hwpt_flags = PARENT);
COMPATIBLE(no_fwb, .idr3_clear = SIM_IDR3_FWB);
COMPATIBLE(less_address_bits, .oas = SIM_IDR5_OAS40, .want = -EINVAL);
COMPATIBLE(less_address_bits_parent, .oas = SIM_IDR5_OAS40, .hwpt_flags = PARENT, .want = -EINVAL);
COMPATIBLE(no_fwb_parent, .idr3_clear = SIM_IDR3_FWB, .hwpt_flags = PARENT, .want = -EINVAL);
COMPATIBLE(no_stage_1, .idr0_clear = SIM_IDR0_S1P, .want = -EINVAL);
COMPATIBLE(no_stage_2_parent, .idr0_clear = SIM_IDR0_S2P, .hwpt_flags = PARENT, .want = -EINVAL);
COMPATIBLE(no_dirty_tracking, .idr0_clear = SIM_IDR0_HTTU_DIRTY,
	   .hwpt_flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING, .want = -EINVAL);

FIXTURE_SETUP(compatible)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();

	machine_init(_metadata, m);
	machine_add(_metadata, m, 0, &cfg);
	cfg.idr0 &= ~variant->idr0_clear;
	cfg.idr1 = variant->idr1 ?: cfg.idr1;
	cfg.idr3 &= ~variant->idr3_clear;
	if (variant->oas)
		cfg.idr5 = (cfg.idr5 & ~SIM_IDR5_OAS) | variant->oas;
	machine_add(_metadata, m, 1, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 1, 0);
}

FIXTURE_TEARDOWN(compatible)
{
	machine_exit(_metadata, &self->m);
}

TEST_F(compatible, share_or_einval)
{
	struct machine *m = &self->m;
	__u32 hwpt;
	int ret;

	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], variant->hwpt_flags, &hwpt));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "the first SMMU");
	ret = sim_vfio_attach(&m->dev[1], SIM_NO_PASID, hwpt);
	ASSERT_EQ(variant->want, ret)
	{
		TH_LOG("attach to SMMU 1 of a table made for SMMU 0: want %s, got %s",
		       strerror(-variant->want), strerror(-ret));
	}
	if (!variant->want)
		EXPECT_DMA(m, &m->dev[1], IOVA, 0, "the second SMMU");
	EXPECT_CLEAN(m, "attached");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "unmapped");
	EXPECT_DMA(m, &m->dev[0], IOVA, -F_TRANSLATION, "the first SMMU");
}

/* All ASIDs of an SMMU with 8 bits; the other one has plenty */
TEST_F_TIMEOUT(machine, asids_run_out, 60)
{
	struct machine *m = &self->m;
	__u32 rid[2], hwpt[257];
	int i, nr, ret = 0;

	add_two(_metadata, m);
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, machine_hwpt(m, &m->dev[i], IOMMU_HWPT_ALLOC_PASID, &rid[i]));
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], SIM_NO_PASID, rid[i]));
	}
	/* SMMU 1 has 64 PASIDs only: domains on the other one, which do not count */
	for (nr = 0; nr < 257; nr++) {
		if (machine_hwpt(m, &m->dev[0], IOMMU_HWPT_ALLOC_PASID, &hwpt[nr])) {
			ret = -errno;
			break;
		}
		ret = sim_vfio_attach(&m->dev[0], 1 + nr, hwpt[nr]);
		if (ret)
			break;
	}
	ASSERT_EQ(0, ret)
	{
		TH_LOG("domain %d on the SMMU with 16 bits: %s", nr, strerror(-ret));
	}
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], 1, hwpt[256]));
	__EXPECT_DMA(m, &m->dev[1], 0, 1, IOVA, 0, "256 domains elsewhere do not matter");
	EXPECT_CLEAN(m, "many domains");
}

/*
 * All VMIDs of an SMMU with 8 bits. One is that of the parent, from its first vSMMU on:
 * whoever is nested can go there.
 */
TEST_F_TIMEOUT(machine, vmids_run_out, 60)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = features(1);
	__u32 parent, other, viommu[257];
	int nr;

	machine_add(_metadata, m, 0, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], PARENT, &parent));
	for (nr = 0; nr < 257; nr++)
		if (_test_cmd_viommu_alloc(m->iommufd, m->dev[0].id, parent, 0,
					   IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0, &viommu[nr]))
			break;
	EXPECT_EQ(254, nr);
	EXPECT_EQ(ENOSPC, errno);
	/* One goes, one can come */
	ASSERT_LT(10, nr);
	ASSERT_EQ(0, _test_ioctl_destroy(m->iommufd, viommu[10]));
	EXPECT_EQ(0, _test_cmd_viommu_alloc(m->iommufd, m->dev[0].id, parent, 0,
					    IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0, &viommu[10]));
	/* None is left for another parent, which changes nothing */
	EXPECT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, parent));
	EXPECT_EQ(-1, machine_hwpt(m, &m->dev[0], PARENT, &other));
	EXPECT_EQ(ENOSPC, errno);
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "no VMID is left");
	ASSERT_EQ(0, _test_ioctl_destroy(m->iommufd, viommu[0]));
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], PARENT, &other));
	EXPECT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, other));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "one is left");
	EXPECT_CLEAN(m, "recovered");
}

/*
 * An endpoint whose writes may bypass the caches: without S2FWB in the table a
 * guest must not decide about its memory attributes.
 */
TEST_F(machine, no_canwbs_no_fwb)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste(VSTE_CFG_BYPASS);
	__u32 parent;
	struct guest g;

	cfg.nr_endpoints = 2;
	cfg.ep_flags[1] = cfg.ep_flags[0] | SMMUV3_SIM_EP_NO_CANWBS;
	cfg.idr3 &= ~SIM_IDR3_FWB;
	machine_add(_metadata, m, 0, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 0, 1);
	/* A parent made for the other endpoint would refuse this one by itself */
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[1], PARENT, &parent));
	EXPECT_EQ(-1, guest_init(&g, m, &m->dev[1], parent));
	/* Nor in a vSMMU that was made for the other endpoint */
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[0], parent));
	EXPECT_EQ(0, guest_attach(&g, vste));
	ASSERT_EQ(0, _test_cmd_vdevice_alloc(m->iommufd, g.viommu, m->dev[1].id, 8, &g.vdev));
	EXPECT_EQ(-EINVAL, sim_vfio_attach(&m->dev[1], SIM_NO_PASID, g.hwpt));
}

TEST_F(machine, no_canwbs_fwb)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste(VSTE_CFG_BYPASS);
	__u32 parent;
	struct guest g;

	cfg.ep_flags[0] |= SMMUV3_SIM_EP_NO_CANWBS;
	machine_add(_metadata, m, 0, &cfg);
	cfg.idr3 &= ~SIM_IDR3_FWB;
	machine_add(_metadata, m, 1, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 1, 0);
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[0], 0));
	EXPECT_EQ(0, guest_attach(&g, vste));
	EXPECT_EQ(0, guest_detach(&g));
	/* It is the table that counts, not what the SMMU could do */
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[1], PARENT, &parent));
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[0], parent));
	EXPECT_EQ(-EINVAL, guest_attach(&g, vste));
}

/* 1 GiB without ranges: not a command for each page */
TEST_F(machine, big_unmap_without_ranges)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = features(1);
	__u64 mark;
	__u32 hwpt;
	int i, cmds;

	machine_add(_metadata, m, 0, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], PARENT, &hwpt));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, hwpt));
	for (i = 0; i < 512; i++)
		ASSERT_EQ(0, machine_map(m, IOVA + i * BLOCK, 0, BLOCK, RW));
	for (i = 0; i < 512; i += 64)
		__EXPECT_DMA(m, &m->dev[0], ATS, SIM_NO_PASID, IOVA + i * BLOCK, 0, "mapped");
	mark = sim_log_mark(m->sim);
	ASSERT_EQ(0, machine_unmap(m, IOVA, 1UL << 30));
	cmds = sim_log_mark(m->sim) - mark;
	TH_LOG("info: %d commands", cmds);
	EXPECT_GE(16 * 512, cmds);
	EXPECT_CLEAN(m, "unmapped");
}

/* Nobody is finished before all SMMUs are, whichever of them is slow */
TEST_F(machine, unmap_waits_for_the_slowest)
{
	struct machine *m = &self->m;
	int slow, i;

	churn_prepare(_metadata, m);
	for (slow = 0; slow < 2; slow++) {
		ASSERT_EQ(0, sim_set(&m->smmu[slow], 20000, SMMUV3_SIM_ERROR_NONE, 0, 0));
		for (i = 0; i < 2; i++)
			EXPECT_DMA(m, &m->dev[i], GUEST_IPA, BLOCK, "SMMU %d is slow", slow);
		ASSERT_EQ(0, machine_unmap(m, GUEST_IPA, PAGE));
		for (i = 0; i < 2; i++)
			EXPECT_DMA(m, &m->dev[i], GUEST_IPA, -F_TRANSLATION, "%d is slow", slow);
		EXPECT_CLEAN(m, "SMMU %d is slow", slow);
		ASSERT_EQ(0, sim_set(&m->smmu[slow], 0, SMMUV3_SIM_ERROR_NONE, 0, 0));
		ASSERT_EQ(0, machine_map(m, GUEST_IPA, BLOCK, PAGE, RW));
	}
}

/* A detach while a slow SMMU keeps an invalidation busy */
TEST_F_TIMEOUT(machine, detach_while_invalidating, 120)
{
	struct machine *m = &self->m;
	struct churn c = { .m = m, .iova = IOVA };
	__u32 hwpt = churn_prepare(_metadata, m);
	int round;

	ASSERT_EQ(0, sim_set(&m->smmu[0], 2000, SMMUV3_SIM_ERROR_NONE, 0, 0));
	churn_start(_metadata, &c);
	for (round = 0; round < 50; round++) {
		struct smmuv3_sim_violation violation;

		__EXPECT_DMA(m, &m->dev[1], ATS, SIM_NO_PASID, GUEST_IPA, BLOCK, "round %d", round);
		ASSERT_EQ(0, sim_vfio_detach(&m->dev[1], SIM_NO_PASID));
		usleep(5000);
		EXPECT_EQ(0, sim_violation(m->sim, &violation))
		{
			TH_LOG("round %d: %s", round, sim_violation_str(&violation));
		}
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], SIM_NO_PASID, hwpt));
	}
	churn_stop(_metadata, &c);
	EXPECT_CLEAN(m, "at the end");
}

/* What one unmap of a shared table costs */
TEST_F(machine, commands_of_one_unmap)
{
	struct machine *m = &self->m;
	__u64 mark;
	__u32 hwpt;
	int i;

	add_two(_metadata, m);
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], PARENT, &hwpt));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], SIM_NO_PASID, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	mark = sim_log_mark(m->sim);
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	/* Used directly it is plain stage 2: nothing for stage 1, one page of the ATC */
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(1, machine_count_cmds(m, mark, i, CMD_TLBI_S2_IPA));
		EXPECT_EQ(0, machine_count_cmds(m, mark, i, CMD_TLBI_NH_ALL));
		EXPECT_EQ(1, machine_count_cmds(m, mark, i, CMD_ATC_INV));
		EXPECT_EQ(2, machine_count_cmds(m, mark, i, CMD_SYNC));
	}
}

/*
 * While a guest's STE says bypass there is stage 2 alone, and EATS of the vSTE,
 * which is 0 then, does not count
 */
TEST_F(machine, vste_bypass_keeps_ats)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	struct guest g;

	machine_add(_metadata, m, 0, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, machine_map(m, GUEST_IPA, 0, PAGE, RW));
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[0], 0));
	ASSERT_EQ(0, guest_attach(&g, guest_vste(VSTE_CFG_BYPASS)));
	__EXPECT_DMA(m, &m->dev[0], ATS, SIM_NO_PASID, GUEST_IPA, 0, "ATS, vSTE says bypass");
	EXPECT_LT(0, atc_entries(m, 0))
	{
		TH_LOG("the endpoint of a guest whose STE says bypass does not use its ATC");
	}
	ASSERT_EQ(0, machine_unmap(m, GUEST_IPA, PAGE));
	EXPECT_CLEAN(m, "unmapped");
	__EXPECT_DMA(m, &m->dev[0], ATS, SIM_NO_PASID, GUEST_IPA, -F_TRANSLATION, "unmapped");
}

/* A guest's command for its stream has to reach all streams of the device, so one */
TEST_F(machine, vdevice_has_one_stream)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	struct guest g;

	cfg.ep_flags[0] |= SMMUV3_SIM_EP_TWO_STREAMS;
	machine_add(_metadata, m, 0, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, machine_map(m, GUEST_IPA, 0, PAGE, RW));
	EXPECT_EQ(-1, guest_init(&g, m, &m->dev[0], 0))
	{
		TH_LOG("a guest gets a device with two StreamIDs, its commands reach one of them");
	}
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_NE(0, g.viommu);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, g.parent));
	__EXPECT_DMA(m, &m->dev[0], ATS, SIM_NO_PASID, GUEST_IPA, 0, "without a guest");
	ASSERT_EQ(0, machine_unmap(m, GUEST_IPA, PAGE));
	EXPECT_CLEAN(m, "unmapped");
}

/* Does the kernel log name @name after a DMA that faults? */
static bool fault_names(struct __test_metadata *_metadata, struct machine *m, struct sim_dev *dev,
			const char *name)
{
	char record[1024];
	bool found = false;
	ssize_t len;
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, lseek(fd, 0, SEEK_END));
	/* The driver prints ten faults in five seconds; other tests have their own */
	sleep(6);
	EXPECT_DMA(m, dev, IOVA, -F_TRANSLATION, "not mapped");
	usleep(200000);
	while ((len = read(fd, record, sizeof(record) - 1)) > 0) {
		record[len] = 0;
		found |= strstr(record, "F_TRANSLATION") && strstr(record, name);
	}
	close(fd);
	return found;
}

/*
 * The StreamIDs of an SMMU are in a tree. That of an endpoint which names its own
 * one twice is there once; when it goes, the others have to stay, or nobody knows
 * any more whose faults they are.
 */
TEST_F(machine, stream_named_twice_goes)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	char path[64];
	__u32 hwpt;
	int fd;

	cfg.nr_endpoints = 2;
	cfg.ep_flags[1] = cfg.ep_flags[0] | SMMUV3_SIM_EP_STREAM_TWICE;
	machine_add(_metadata, m, 0, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], 0, &hwpt));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, hwpt));
	ASSERT_TRUE(fault_names(_metadata, m, &m->dev[0], m->smmu[0].bdf[0]))
	{
		TH_LOG("the kernel does not name the device that faults");
	}
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", m->smmu[0].bdf[1]);
	ASSERT_EQ(0, access(path, F_OK))
	{
		TH_LOG("the driver does not take an endpoint that names its StreamID twice");
	}
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", m->smmu[0].bdf[1]);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, write(fd, "1", 1));
	close(fd);
	EXPECT_TRUE(fault_names(_metadata, m, &m->dev[0], m->smmu[0].bdf[0]))
	{
		TH_LOG("the driver has lost StreamID %u when that of another endpoint went",
		       m->smmu[0].cfg.out_sid[0]);
	}
}

/* SCALE has a sixth bit only with IDR5.DS, which the SMMU does not have */
TEST_F(machine, scale_above_31_is_refused)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	const __u64 op = CMD_TLBI_NH_VA | CMD_0_ASID(7) | CMD_0_NUM(1);
	struct guest g;

	machine_add(_metadata, m, 0, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[0], 0));
	EXPECT_EQ(0, guest_cmd(&g, smmuv3_cmd(op | CMD_0_SCALE(31), CMD_1_TG(CMD_TG_4K))));
	EXPECT_EQ(-1, guest_cmd(&g, smmuv3_cmd(op | CMD_0_SCALE(32), CMD_1_TG(CMD_TG_4K))))
	{
		TH_LOG("TLBI_NH_VA with SCALE 32 is passed on to an SMMU without IDR5.DS");
	}
	EXPECT_EQ(EIO, errno);
	EXPECT_CLEAN(m, "SCALE 31 and 32");
}

TEST_HARNESS_MAIN
