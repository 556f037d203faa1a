// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same guest, twice: a DMA device behind an emulated or real SMMUv3 and a
 * simulated endpoint behind a simulated one use the same memory, the same guest
 * tables and get the same commands. Each access has to end alike: bytes at the same
 * place, or the same event in the queue of the vSMMU.
 *
 * Options of the harness, then devices as for iommufd_vsmmu.
 */
#include <poll.h>

#include "iommufd_vsmmu_utils.h"
#include "smmuv3_sim_lib.h"

#define TEST_PAGE	6
#define OTHER_PAGE	11
/* Nothing is mapped there */
#define NOT_IN_S2	(VM_BLOCK_IPA + (1ULL << 30))
#define NO_EVENT	0
/* IHI0070 7.3 */
#define F_TRANSLATION	0x10
#define F_ADDR_SIZE	0x11
#define F_ACCESS	0x12
#define F_PERMISSION	0x13
/* Stage 2 is the kernel's, so the guest hears of no such fault, nor of an abort */
#define SILENT		0x100

#define DESC_AF		BIT_ULL(10)
#define DESC_RO		BIT_ULL(7)

enum side { OTHER, SIM, NR_SIDES };

static const char * const side_name[] = { "the other SMMU", "the simulated SMMU" };

/**
 * struct outcome - What came of a DMA
 * @where: as vm_dma() returns it
 * @event: record that the guest got, without StreamID; all zero if none
 */
struct outcome {
	int where;
	u64 event[4];
};

/**
 * struct side_state - What each side has for itself
 * @dev_id: device in the iommufd
 * @parent: its nest parent
 * @viommu: its vSMMU
 * @vdev: its vDEVICE
 * @hwpt: its nested HWPT
 * @events: its event queue
 */
struct side_state {
	u32 dev_id;
	u32 parent;
	u32 viommu;
	u32 vdev;
	u32 hwpt;
	u32 events;
};

/**
 * struct pair - The guest and its two sides
 * @vm: the guest, with the device behind the other SMMU
 * @sim: the simulator
 * @smmu: its SMMU
 * @dev: its endpoint
 * @side: what each side has for itself
 */
struct pair {
	struct vm vm;
	int sim;
	struct sim_smmu smmu;
	struct sim_dev dev;
	struct side_state side[NR_SIDES];
};

static int attach(struct pair *p, enum side which, u32 pt_id)
{
	if (which == SIM)
		return sim_vfio_attach(&p->dev, SIM_NO_PASID, pt_id);
	return _test_cmd_vfio_attach(p->vm.seat[0].dev, pt_id);
}

/* A vSTE for both; what they had before goes */
static void attach_vste(struct __test_metadata *_metadata, struct pair *p,
			struct iommu_hwpt_arm_smmuv3 vste)
{
	enum side i;

	for (i = 0; i < NR_SIDES; i++) {
		struct side_state *side = &p->side[i];
		u32 old = side->hwpt;

		ASSERT_EQ(0, _test_cmd_hwpt_alloc(p->vm.fd, side->dev_id, side->viommu, 0, 0,
						  &side->hwpt, IOMMU_HWPT_DATA_ARM_SMMUV3, &vste,
						  sizeof(vste)));
		ASSERT_EQ(0, attach(p, i, side->hwpt))
		{
			TH_LOG("attach behind %s", side_name[i]);
		}
		if (old)
			ASSERT_EQ(0, _test_ioctl_destroy(p->vm.fd, old));
	}
}

FIXTURE(crosscheck)
{
	struct pair pair;
};

FIXTURE_SETUP(crosscheck)
{
	static const struct vm_layout layout = {
		.nr_seats = 1,
		.seat = { { .mode = SEAT_IDLE } },
	};
	struct smmuv3_sim_create cfg = sim_default();
	struct pair *p = &self->pair;
	struct vm *vm = &p->vm;
	enum side i;

	p->dev.vfio = -1;
	p->sim = sim_open();
	if (p->sim == -ENOENT || p->sim == -ENODEV)
		SKIP(return, "%s", p->sim == -ENOENT ? "no test_modules/smmuv3_sim.ko" :
							  "no ivshmem device for registers");
	ASSERT_LE(0, p->sim);
	vm_init(_metadata, vm, &layout);
	ASSERT_EQ(0, sim_create(p->sim, &cfg, &p->smmu));
	ASSERT_EQ(1, p->smmu.cfg.out_bound);
	ASSERT_EQ(0, sim_vfio_open(&p->smmu, 0, vm->fd, &p->dev));
	p->side[OTHER].dev_id = vm->seat[0].dev_id;
	p->side[SIM].dev_id = p->dev.id;
	vm_map(_metadata, vm, VM_BLOCK_PAGE, VM_BLOCK_PAGE, VM_BLOCK_NR_PAGES);
	for (i = 0; i < NR_SIDES; i++) {
		struct side_state *side = &p->side[i];

		ASSERT_EQ(0, _test_cmd_hwpt_alloc(vm->fd, side->dev_id, vm->ioas_id, 0,
						  IOMMU_HWPT_ALLOC_NEST_PARENT, &side->parent,
						  IOMMU_HWPT_DATA_NONE, NULL, 0));
		ASSERT_EQ(0, _test_cmd_viommu_alloc(vm->fd, side->dev_id, side->parent, 0,
						    IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0,
						    &side->viommu));
		ASSERT_EQ(0, _test_cmd_vdevice_alloc(vm->fd, side->viommu, side->dev_id,
						     vm->seat[0].vsid, &side->vdev));
		ASSERT_EQ(0, _test_cmd_veventq_alloc(vm->fd, side->viommu,
						     IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, 64, NULL,
						     &side->events));
	}
}

FIXTURE_TEARDOWN(crosscheck)
{
	struct pair *p = &self->pair;
	enum side i;

	/* An event queue keeps its vSMMU, which keeps its SMMU */
	for (i = 0; i < NR_SIDES; i++)
		if (p->side[i].events)
			close(p->side[i].events);
	sim_vfio_close(&p->dev);
	if (p->vm.iommu)
		vm_cleanup(&p->vm);
	if (p->sim >= 0)
		EXPECT_EQ(0, sim_close(p->sim));
}

#define QUIET_MS	100

/*
 * The first record that comes within @ms. The others of the same access, one for each
 * word, go: the next access must not find them.
 */
static void read_event(int fd, int ms, u64 *event)
{
	struct {
		struct iommufd_vevent_header header;
		struct iommu_vevent_arm_smmuv3 record;
	} vevent;
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	bool first = true;
	int i;

	memset(event, 0, 4 * sizeof(*event));
	while (poll(&pollfd, 1, first ? ms : QUIET_MS) > 0 &&
	       read(fd, &vevent, sizeof(vevent)) == sizeof(vevent)) {
		for (i = 0; first && i < 4; i++)
			event[i] = le64toh(vevent.record.evt[i]);
		first = false;
	}
	/* The StreamID is checked by iommufd; each side may have another tag */
	event[0] &= 0xffffffffULL;
	event[1] &= ~0xffffULL;
}

static struct outcome dma(struct pair *p, enum side side, u64 iova, int ms)
{
	struct outcome outcome;

	if (side == OTHER) {
		outcome.where = vm_dma(&p->vm, &p->vm.seat[0], iova);
	} else {
		__le32 words[DMA_WRITE_SIZE / sizeof(__le32)];
		unsigned int i;
		int ret;

		for (i = 0; i < ARRAY_SIZE(words); i++)
			words[i] = htole32(DMA_PATTERN);
		ret = sim_dma(&p->dev, SMMUV3_SIM_DMA_WRITE, SIM_NO_PASID,
			      iova + VM_DMA_OFFSET, words, sizeof(words), NULL);
		outcome.where = vm_where(&p->vm, ret, true);
	}
	read_event(p->side[side].events, ms, outcome.event);
	return outcome;
}

/* @want: a page, or the negative number of an event */
static void check_dma(struct __test_metadata *_metadata, struct pair *p, u64 iova,
		      int want, const char *when)
{
	const u64 event = want < 0 && want != -SILENT ? -want : NO_EVENT;
	struct outcome got[NR_SIDES];
	enum side i;

	for (i = 0; i < NR_SIDES; i++) {
		/* An event is worth waiting for, its absence is not */
		got[i] = dma(p, i, iova, event ? 1000 : 20);
		EXPECT_EQ(want < 0 ? DMA_FAULT : want, got[i].where)
		{
			TH_LOG("%s: write to %#llx behind %s ended as %d", when,
			       (unsigned long long)iova, side_name[i], got[i].where);
		}
		EXPECT_EQ(event, got[i].event[0] & 0xff)
		{
			TH_LOG("%s: event %#llx from %s", when,
			       (unsigned long long)got[i].event[0] & 0xff, side_name[i]);
		}
	}
	EXPECT_EQ(0, memcmp(got[OTHER].event, got[SIM].event, sizeof(got[SIM].event)))
	{
		for (i = 0; i < NR_SIDES; i++)
			TH_LOG("%s: event of %s: %#llx %#llx %#llx %#llx", when, side_name[i],
			       (unsigned long long)got[i].event[0],
			       (unsigned long long)got[i].event[1],
			       (unsigned long long)got[i].event[2],
			       (unsigned long long)got[i].event[3]);
	}
}

#define CHECK(_iova, _want, _when) check_dma(_metadata, p, _iova, _want, _when)

/* One command for both */
static void both_cmd(struct __test_metadata *_metadata, struct pair *p,
		     struct smmuv3_cmd cmd)
{
	enum side i;
	u32 nr;

	for (i = 0; i < NR_SIDES; i++) {
		nr = 1;
		ASSERT_EQ(0, _test_cmd_vsmmu_invalidate(p->vm.fd, p->side[i].viommu, &cmd,
							&nr));
	}
}

/* The leaf entry of a page in a guest's tables of three levels */
static u64 *leaf(struct guest_s1 *s1, u64 iova)
{
	u64 ipa, *table = s1->root;
	int shift;

	for (shift = 30; shift > 12; shift -= 9) {
		ipa = le64toh(table[iova >> shift & 511]) & 0xfffffffff000ULL;
		table = s1->ram->vaddr + (ipa - s1->ram->ipa);
	}
	return &table[iova >> 12 & 511];
}

static struct iommu_hwpt_arm_smmuv3 vste_of_guest(struct pair *p)
{
	return guest_vste_s1(guest_to_ipa(&p->vm.ram, p->vm.vsmmu[0].cd));
}

TEST_F(crosscheck, nested_translation)
{
	struct pair *p = &self->pair;
	struct vm *vm = &p->vm;
	struct guest_s1 *s1 = &vm->vsmmu[0].s1;
	const u64 spare = VM_PAGES_IOVA + VM_NR_PAGES * GUEST_PAGE_SIZE;
	int page;

	/* Nothing of this is valid and then changed: nothing has to be invalidated */
	guest_s1_map(s1, spare, vm_ipa(TEST_PAGE), GUEST_PAGE_SIZE);
	*leaf(s1, spare) |= htole64(DESC_RO);
	guest_s1_map(s1, spare + GUEST_PAGE_SIZE, vm_ipa(TEST_PAGE), GUEST_PAGE_SIZE);
	*leaf(s1, spare + GUEST_PAGE_SIZE) &= ~htole64(DESC_AF);
	guest_s1_map(s1, spare + 2 * GUEST_PAGE_SIZE, NOT_IN_S2, GUEST_PAGE_SIZE);
	guest_s1_map(s1, spare + 3 * GUEST_PAGE_SIZE, 1ULL << 47, GUEST_PAGE_SIZE);

	attach_vste(_metadata, p, vste_of_guest(p));
	for (page = 0; page < VM_NR_PAGES; page += 5)
		CHECK(vm_iova(page), page, "page over page");
	for (page = VM_BLOCK_PAGE; page < VM_TOTAL_PAGES; page += 255)
		CHECK(vm_iova(page), page, "block over block");
	CHECK(spare, -F_PERMISSION, "read-only in stage 1");
	CHECK(spare + GUEST_PAGE_SIZE, -F_ACCESS, "access flag clear in stage 1");
	CHECK(spare + 2 * GUEST_PAGE_SIZE, -SILENT, "not mapped in stage 2");
	CHECK(spare + 3 * GUEST_PAGE_SIZE, -F_ADDR_SIZE, "beyond the output address size");
	CHECK(spare + 4 * GUEST_PAGE_SIZE, -F_TRANSLATION, "not mapped at level 3");
	CHECK(1ULL << 38, -F_TRANSLATION, "not mapped at level 1");
	CHECK(1ULL << 39, -F_TRANSLATION, "beyond the input address size");

	/* Stage 2 changes under both */
	vm_unmap(_metadata, vm, TEST_PAGE, 1);
	CHECK(vm_iova(TEST_PAGE), -SILENT, "page unmapped in stage 2");
	CHECK(vm_iova(TEST_PAGE + 1), TEST_PAGE + 1, "its neighbour");
	vm_map(_metadata, vm, TEST_PAGE, OTHER_PAGE, 1);
	CHECK(vm_iova(TEST_PAGE), OTHER_PAGE, "page moved in stage 2");
	vm_unmap(_metadata, vm, VM_BLOCK_PAGE, VM_BLOCK_NR_PAGES);
	CHECK(vm_iova(VM_BLOCK_PAGE + 9), -SILENT, "block unmapped in stage 2");
}

TEST_F(crosscheck, stage_2_alone)
{
	struct pair *p = &self->pair;
	struct vm *vm = &p->vm;
	enum side i;

	for (i = 0; i < NR_SIDES; i++)
		ASSERT_EQ(0, attach(p, i, p->side[i].parent));
	CHECK(vm_ipa(TEST_PAGE), TEST_PAGE, "page");
	CHECK(vm_ipa(VM_BLOCK_PAGE + 77), VM_BLOCK_PAGE + 77, "block");
	CHECK(NOT_IN_S2, -SILENT, "not mapped");
	vm_unmap(_metadata, vm, TEST_PAGE, 1);
	CHECK(vm_ipa(TEST_PAGE), -SILENT, "page unmapped");
	CHECK(vm_ipa(TEST_PAGE + 1), TEST_PAGE + 1, "its neighbour");
}

TEST_F(crosscheck, vste)
{
	struct pair *p = &self->pair;

	attach_vste(_metadata, p, guest_vste(VSTE_CFG_BYPASS));
	CHECK(vm_ipa(TEST_PAGE), TEST_PAGE, "bypass");
	CHECK(vm_iova(TEST_PAGE), -SILENT, "bypass, an address of stage 1");
	attach_vste(_metadata, p, guest_vste(VSTE_CFG_ABORT));
	CHECK(vm_ipa(TEST_PAGE), -SILENT, "abort");
	attach_vste(_metadata, p, vste_of_guest(p));
	CHECK(vm_iova(TEST_PAGE), TEST_PAGE, "stage 1");
	attach_vste(_metadata, p, guest_vste(VSTE_CFG_BYPASS));
	CHECK(vm_iova(TEST_PAGE), -SILENT, "bypass after stage 1");
}

TEST_F(crosscheck, guest_invalidates)
{
	static struct smmuv3_cmd (*const make[])(u16 asid, u64 iova) = {
		cmd_nh_va, cmd_nh_va_leaf, cmd_nh_va_range_ttl, cmd_nh_vaa, cmd_nh_asid,
		cmd_nh_all, cmd_nsnh_all,
	};
	struct pair *p = &self->pair;
	struct guest_s1 *s1 = &p->vm.vsmmu[0].s1;
	const u64 iova = vm_iova(TEST_PAGE);
	unsigned int i;

	attach_vste(_metadata, p, vste_of_guest(p));
	for (i = 0; i < ARRAY_SIZE(make); i++) {
		struct smmuv3_cmd cmd = make[i](VM_ASID, iova);

		CHECK(iova, TEST_PAGE, "before the command");
		guest_s1_unmap(s1, iova);
		both_cmd(_metadata, p, cmd);
		CHECK(iova, -F_TRANSLATION, "unmapped and invalidated");
		guest_s1_map(s1, iova, vm_ipa(OTHER_PAGE), GUEST_PAGE_SIZE);
		CHECK(iova, OTHER_PAGE, "mapped to another page");
		guest_s1_unmap(s1, iova);
		both_cmd(_metadata, p, cmd);
		guest_s1_map(s1, iova, vm_ipa(TEST_PAGE), GUEST_PAGE_SIZE);
	}
}

TEST_F(crosscheck, context_descriptor)
{
	struct pair *p = &self->pair;
	struct vm *vm = &p->vm;
	struct guest_cd *cd = vm->vsmmu[0].cd;
	const u64 iova = vm_iova(TEST_PAGE);
	struct guest_s1 other;

	guest_s1_init(&other, &vm->ram, VM_ASID + 1);
	guest_s1_map(&other, iova, vm_ipa(OTHER_PAGE), GUEST_PAGE_SIZE);
	attach_vste(_metadata, p, vste_of_guest(p));
	CHECK(iova, TEST_PAGE, "the first tables");
	guest_cd_clear(cd);
	both_cmd(_metadata, p, cmd_cfgi_cd(vm->seat[0].vsid));
	CHECK(iova, -C_BAD_CD, "CD not valid");
	guest_cd_write(cd, &other, vm->ips);
	both_cmd(_metadata, p, cmd_cfgi_cd_all(vm->seat[0].vsid));
	CHECK(iova, OTHER_PAGE, "the other tables");
}

int main(int argc, char *argv[])
{
	return vm_main(argc, argv);
}
