// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation of an attach, a vSMMU and so on fails once, in the real driver on
 * simulated SMMUs. After each failure the old translation still works, nothing stale
 * is cached, no id is lost, and the same call works when memory is there again.
 *
 * Needs CONFIG_FAULT_INJECTION_DEBUG_FS, CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC.
 */
#include "smmuv3_sim_machine.h"

#define IOVA		0x100000000ULL
/* An address that only highest_id() maps */
#define SCRATCH		(IOVA + BLOCK)
#define PASID		5
/* The endpoint that VFIO does not have; its addresses are those of the process */
#define SVA_DEV		2
/* No call has that many allocations */
#define MAX_NTH		500

/* Pages that IOVA is mapped to */
#define PAGE_A		0L
#define PAGE_B		((long)PAGE)

/**
 * struct scene - What an operation finds
 * @m: the machine: endpoints 0 and 2 behind SMMU 0 (2 not open), 1 behind SMMU 1
 * @g: guest with endpoint 0; its nested HWPT is @g.hwpt
 * @ioas_a: IOAS that maps IOVA to PAGE_A
 * @ioas_b: IOAS that maps it to PAGE_B
 * @parent: nest parent on @ioas_a
 * @a: S1 table on @ioas_a
 * @b: S1 table on @ioas_b
 * @sva_pasid: of SVA
 * @dev: endpoint that does DMA
 * @pasid: PASID that it uses, if it does
 * @fail: /proc/thread-self/fail-nth
 */
struct scene {
	struct machine m;
	struct guest g;
	__u32 ioas_a;
	__u32 ioas_b;
	__u32 parent;
	__u32 a;
	__u32 b;
	__u32 sva_pasid;
	struct sim_dev *dev;
	__u32 pasid;
	int fail;
};

FIXTURE(every_allocation)
{
	struct scene s;
};

/*
 * @prepare makes the old state, @op the new one, @undo goes back. In the old one DMA
 * of @dev, on PASID if @with_pasid, goes to @before, in the new one to @after.
 * @never_fails: what gives back has to work without memory.
 */
FIXTURE_VARIANT(every_allocation)
{
	int (*prepare)(struct scene *s);
	int (*op)(struct scene *s);
	int (*undo)(struct scene *s);
	int dev;
	bool with_pasid;
	long before;
	long after;
	bool never_fails;
};

static bool write_debugfs(const char *file, const char *text)
{
	char path[64];
	ssize_t ret;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ret = write(fd, text, strlen(text));
	close(fd);
	return ret > 0;
}

/* Any allocation may fail, also one that may sleep, and without a word in the log */
static bool setup_fault_injection(void)
{
	return write_debugfs("failslab/ignore-gfp-wait", "N") &&
	       write_debugfs("failslab/verbose", "0") &&
	       write_debugfs("fail_page_alloc/ignore-gfp-wait", "N") &&
	       write_debugfs("fail_page_alloc/ignore-gfp-highmem", "N") &&
	       write_debugfs("fail_page_alloc/min-order", "0") &&
	       write_debugfs("fail_page_alloc/verbose", "0");
}

static void set_fail_nth(struct __test_metadata *_metadata, struct scene *s, unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	ASSERT_EQ(len, pwrite(s->fail, text, len, 0));
}

/* Has something failed? Nothing more will */
static bool end_fail_nth(struct __test_metadata *_metadata, struct scene *s)
{
	char text[16] = "";

	ASSERT_LT(0, pread(s->fail, text, sizeof(text) - 1, 0));
	set_fail_nth(_metadata, s, 0);
	return !atoi(text);
}

static __u32 use_ioas(struct scene *s, __u32 ioas)
{
	__u32 old = s->m.ioas;

	s->m.ioas = ioas;
	return old;
}

static int make_table(struct scene *s, __u32 ioas, __u32 flags, __u32 *hwpt)
{
	__u32 old = use_ioas(s, ioas);
	int ret = machine_hwpt(&s->m, &s->m.dev[0], flags, hwpt);

	use_ioas(s, old);
	return ret;
}

/* Unmap something, so that every user of the IOAS gets a command with its id */
static int churn(struct scene *s, __u32 ioas)
{
	__u32 old = use_ioas(s, ioas);
	int ret = machine_map(&s->m, SCRATCH, 0, PAGE, RW) ?:
		  machine_unmap(&s->m, SCRATCH, PAGE);

	use_ioas(s, old);
	return ret;
}

static int churn_mm(void)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return at == MAP_FAILED ? -1 : munmap(at, PAGE);
}

/*
 * The highest ASID and VMID that is in use. The driver gives out the lowest that is
 * free, so an id that was lost makes the next one higher.
 */
static __u32 highest_id(struct __test_metadata *_metadata, struct scene *s)
{
	__u64 from = sim_log_mark(s->m.sim);
	struct smmuv3_sim_command cmds[64];
	__u32 asid = 0, vmid = 0;
	int i, nr;

	ASSERT_EQ(0, churn(s, s->ioas_a));
	ASSERT_EQ(0, churn(s, s->ioas_b));
	ASSERT_EQ(0, churn_mm());
	if (s->g.viommu)
		ASSERT_EQ(0, guest_cmd(&s->g, smmuv3_cmd(CMD_TLBI_NH_ALL, 0)));
	do {
		nr = sim_log_read(s->m.sim, from, cmds, ARRAY_SIZE(cmds));
		for (i = 0; i < nr; i++) {
			__u8 op = cmds[i].data[0];

			from = cmds[i].seq + 1;
			if (op < CMD_TLBI_NH_ALL || op > CMD_TLBI_NSNH_ALL)
				continue;
			if ((cmds[i].data[0] >> 48) > asid)
				asid = cmds[i].data[0] >> 48;
			if (((cmds[i].data[0] >> 32) & 0xffff) > vmid)
				vmid = (cmds[i].data[0] >> 32) & 0xffff;
		}
	} while (nr > 0);
	return asid << 16 | vmid;
}

FIXTURE_SETUP(every_allocation)
{
	/* Nothing but SVA minds */
	struct smmuv3_sim_create cfg = sim_sva();
	struct scene *s = &self->s;
	struct machine *m = &s->m;
	int i;

	s->fail = -1;
	machine_init(_metadata, m);
	if (!setup_fault_injection())
		SKIP(return, "the kernel has no failslab and fail_page_alloc in debugfs");
	s->fail = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, s->fail);
	cfg.nr_endpoints = 2;
	cfg.ep_flags[1] = cfg.ep_flags[0];
	for (i = 0; i < 2; i++) {
		machine_add(_metadata, m, i, &cfg);
		machine_open(_metadata, m, i, i, 0);
	}
	m->dev[SVA_DEV] = (struct sim_dev){ .smmu = &m->smmu[0], .endpoint = 1, .vfio = -1 };
	s->ioas_a = m->ioas;
	ASSERT_EQ(0, machine_map(m, IOVA, PAGE_A, PAGE, RW));
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &s->ioas_b));
	use_ioas(s, s->ioas_b);
	ASSERT_EQ(0, machine_map(m, IOVA, PAGE_B, PAGE, RW));
	use_ioas(s, s->ioas_a);
	ASSERT_EQ(0, make_table(s, s->ioas_a, IOMMU_HWPT_ALLOC_NEST_PARENT, &s->parent));
	ASSERT_EQ(0, make_table(s, s->ioas_a, IOMMU_HWPT_ALLOC_PASID, &s->a));
	ASSERT_EQ(0, make_table(s, s->ioas_b, IOMMU_HWPT_ALLOC_PASID, &s->b));
	s->g = (struct guest){ .m = m, .dev = &m->dev[0], .parent = s->parent };
}

FIXTURE_TEARDOWN(every_allocation)
{
	if (self->s.fail >= 0)
		close(self->s.fail);
	machine_exit(_metadata, &self->s.m);
}

/* ---- the operations ---- */

static int destroy(struct scene *s, __u32 *id)
{
	int ret = _test_ioctl_destroy(s->m.iommufd, *id);

	*id = 0;
	return ret;
}

static int attach_a(struct scene *s)
{
	return sim_vfio_attach(&s->m.dev[0], SIM_NO_PASID, s->a);
}

static int attach_b(struct scene *s)
{
	return sim_vfio_attach(&s->m.dev[0], SIM_NO_PASID, s->b);
}

static int attach_parent(struct scene *s)
{
	return sim_vfio_attach(&s->m.dev[0], SIM_NO_PASID, s->parent);
}

static int detach(struct scene *s)
{
	return sim_vfio_detach(&s->m.dev[0], SIM_NO_PASID);
}

static int attach_second_smmu(struct scene *s)
{
	return sim_vfio_attach(&s->m.dev[1], SIM_NO_PASID, s->a);
}

static int detach_second_smmu(struct scene *s)
{
	return sim_vfio_detach(&s->m.dev[1], SIM_NO_PASID);
}

static int alloc_parent(struct scene *s)
{
	return make_table(s, s->ioas_a, IOMMU_HWPT_ALLOC_NEST_PARENT, &s->g.hwpt);
}

static int destroy_hwpt(struct scene *s)
{
	return destroy(s, &s->g.hwpt);
}

static int alloc_viommu(struct scene *s)
{
	return _test_cmd_viommu_alloc(s->m.iommufd, s->m.dev[0].id, s->parent, 0,
				      IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0, &s->g.viommu);
}

static int destroy_viommu(struct scene *s)
{
	return destroy(s, &s->g.viommu);
}

static int alloc_vdevice(struct scene *s)
{
	return _test_cmd_vdevice_alloc(s->m.iommufd, s->g.viommu, s->m.dev[0].id, GUEST_VSID,
				       &s->g.vdev);
}

static int destroy_vdevice(struct scene *s)
{
	return destroy(s, &s->g.vdev);
}

static int alloc_nested(struct scene *s)
{
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste(VSTE_CFG_BYPASS);

	return _test_cmd_hwpt_alloc(s->m.iommufd, s->m.dev[0].id, s->g.viommu, 0, 0, &s->g.hwpt,
				    IOMMU_HWPT_DATA_ARM_SMMUV3, &vste, sizeof(vste));
}

static int attach_nested(struct scene *s)
{
	return sim_vfio_attach(&s->m.dev[0], SIM_NO_PASID, s->g.hwpt);
}

static int with_viommu(struct scene *s)
{
	return attach_b(s) ?: alloc_viommu(s);
}

static int with_vdevice(struct scene *s)
{
	return with_viommu(s) ?: alloc_vdevice(s);
}

static int with_nested(struct scene *s)
{
	return with_vdevice(s) ?: alloc_nested(s);
}

static int on_nested(struct scene *s)
{
	return with_nested(s) ?: attach_nested(s);
}

static int pasid_attach_a(struct scene *s)
{
	return sim_vfio_attach(&s->m.dev[0], PASID, s->a);
}

static int pasid_attach_b(struct scene *s)
{
	return sim_vfio_attach(&s->m.dev[0], PASID, s->b);
}

static int pasid_detach(struct scene *s)
{
	return sim_vfio_detach(&s->m.dev[0], PASID);
}

static int with_pasid(struct scene *s)
{
	return attach_b(s) ?: pasid_attach_b(s);
}

static int sva_bind(struct scene *s)
{
	return sim_sva_bind(&s->m.dev[SVA_DEV], &s->sva_pasid);
}

static int sva_unbind(struct scene *s)
{
	return sim_sva_unbind(&s->m.dev[SVA_DEV], s->sva_pasid);
}

#define ABORTS		(-SMMUV3_SIM_ABORT)

#define OPERATION(_name, ...) FIXTURE_VARIANT_ADD(every_allocation, _name) { __VA_ARGS__ }

/* New objects leave the endpoint alone */
OPERATION(parent_alloc, attach_b, alloc_parent, destroy_hwpt, .before = PAGE_B, .after = PAGE_B);
OPERATION(viommu_alloc, attach_b, alloc_viommu, destroy_viommu, .before = PAGE_B, .after = PAGE_B);
OPERATION(vdevice_alloc, with_viommu, alloc_vdevice, destroy_vdevice,
	  .before = PAGE_B, .after = PAGE_B);
OPERATION(nested_hwpt_alloc, with_vdevice, alloc_nested, destroy_hwpt,
	  .before = PAGE_B, .after = PAGE_B);
OPERATION(attach, detach, attach_a, detach, .before = ABORTS, .after = PAGE_A);
OPERATION(attach_of_parent, detach, attach_parent, detach, .before = ABORTS, .after = PAGE_A);
OPERATION(attach_on_second_smmu, attach_a, attach_second_smmu, detach_second_smmu, .dev = 1,
	  .before = ABORTS, .after = PAGE_A);
OPERATION(replace, attach_b, attach_a, attach_b, .before = PAGE_B, .after = PAGE_A);
OPERATION(replace_by_parent, attach_b, attach_parent, attach_b, .before = PAGE_B, .after = PAGE_A);
OPERATION(nested_attach, with_nested, attach_nested, attach_b, .before = PAGE_B, .after = PAGE_A);
OPERATION(replace_of_nested, on_nested, attach_b, attach_nested, .before = PAGE_A, .after = PAGE_B);
OPERATION(pasid_attach, attach_b, pasid_attach_a, pasid_detach, .with_pasid = true,
	  .before = -C_BAD_CD, .after = PAGE_A);
OPERATION(pasid_replace, with_pasid, pasid_attach_a, pasid_attach_b, .with_pasid = true,
	  .before = PAGE_B, .after = PAGE_A);
OPERATION(sva_bind, attach_b, sva_bind, sva_unbind, .dev = SVA_DEV,
	  .before = -C_BAD_CD, .after = PAGE_A);
/* What gives back cannot fail */
OPERATION(detach, attach_a, detach, attach_a,
	  .before = PAGE_A, .after = ABORTS, .never_fails = true);
OPERATION(pasid_detach, with_pasid, pasid_detach, pasid_attach_b, .with_pasid = true,
	  .before = PAGE_B, .after = -C_BAD_CD, .never_fails = true);
OPERATION(sva_unbind, sva_bind, sva_unbind, sva_bind, .dev = SVA_DEV,
	  .before = PAGE_A, .after = -C_BAD_CD, .never_fails = true);
OPERATION(viommu_destroy, with_viommu, destroy_viommu, alloc_viommu,
	  .before = PAGE_B, .after = PAGE_B, .never_fails = true);

static void check(struct __test_metadata *_metadata, struct scene *s, long want, const char *when,
		  unsigned int nth)
{
	bool sva = s->dev == &s->m.dev[SVA_DEV];
	__u64 iova = sva ? (uintptr_t)s->m.mem : IOVA;

	if (sva && want == -C_BAD_CD)
		want = -sim_no_pasid_event(s->dev);
	__EXPECT_DMA(&s->m, s->dev, 0, sva ? s->sva_pasid : s->pasid, iova, want,
		     "%s (allocation %u failed)", when, nth);
	EXPECT_CLEAN(&s->m, "%s (allocation %u failed)", when, nth);
}

TEST_F_TIMEOUT(every_allocation, fails_once, 120)
{
	int failures = 0, survived = 0, ret;
	struct scene *s = &self->s;
	unsigned int nth;
	__u32 ids;

	s->dev = &s->m.dev[variant->dev];
	s->pasid = variant->with_pasid ? PASID : SIM_NO_PASID;
	/* Attached once, so that there is something to detach */
	ASSERT_EQ(0, attach_b(s));
	if (variant->dev == 1)
		ASSERT_EQ(0, attach_second_smmu(s) ?: detach_second_smmu(s));
	ASSERT_EQ(0, variant->prepare(s));
	ASSERT_EQ(0, variant->op(s));
	ids = highest_id(_metadata, s);
	ASSERT_EQ(0, variant->undo(s));

	for (nth = 1; nth < MAX_NTH; nth++) {
		set_fail_nth(_metadata, s, nth);
		ret = variant->op(s);
		if (!end_fail_nth(_metadata, s))
			break;
		failures++;
		if (ret) {
			EXPECT_FALSE(variant->never_fails);
			check(_metadata, s, variant->before, "as before", nth);
			ret = variant->op(s);
			ASSERT_EQ(0, ret)
			{
				TH_LOG("allocation %u failed, the call fails for ever", nth);
			}
		} else {
			survived++;
		}
		check(_metadata, s, variant->after, "done", nth);
		EXPECT_EQ(ids, highest_id(_metadata, s))
		{
			TH_LOG("allocation %u failed: ids (ASID << 16 | VMID) are lost", nth);
		}
		ASSERT_EQ(0, variant->undo(s));
		check(_metadata, s, variant->before, "undone", nth);
	}
	ASSERT_GT(MAX_NTH, nth);
	ASSERT_EQ(0, ret);
	TH_LOG("info: %d allocations failed, %d of them without the call failing", failures,
	       survived);
	if (!variant->never_fails)
		EXPECT_LT(survived, failures);
}

TEST_HARNESS_MAIN
