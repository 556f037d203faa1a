// SPDX-License-Identifier: GPL-2.0-only
/*
 * End-to-end tests of nested translation on Arm SMMUv3: no device may ever use a
 * translation that the kernel, or a command of the guest, has taken back.
 *
 * The program plays VMM and guest and lets real devices do DMA. What counts is
 * where the bytes arrive. Every check is on something the architecture promises;
 * where an SMMU may do one or the other, e.g. keep or drop an entry that nobody
 * has invalidated, the outcome is only told ("info:").
 */
#include "iommufd_vsmmu_utils.h"

/*
 * Pages the tests use. Of the aligned group of four that range commands work
 * on, TEST_PAGE is neither the first nor the last.
 */
#define TEST_PAGE		6
#define OTHER_PAGE		11

static const struct {
	const char *name;
	struct smmuv3_cmd (*make)(u16 asid, u64 iova);
} guest_tlbi[] = {
	{ "CMD_TLBI_NH_VA", cmd_nh_va },
	{ "CMD_TLBI_NH_VA leaf", cmd_nh_va_leaf },
	{ "CMD_TLBI_NH_VA range", cmd_nh_va_range },
	{ "CMD_TLBI_NH_VA range with TTL", cmd_nh_va_range_ttl },
	{ "CMD_TLBI_NH_VAA", cmd_nh_vaa },
	{ "CMD_TLBI_NH_ASID", cmd_nh_asid },
	{ "CMD_TLBI_NH_ALL", cmd_nh_all },
	{ "CMD_TLBI_NSNH_ALL", cmd_nsnh_all },
};

/*
 * The guest moves TEST_PAGE to OTHER_PAGE and back, break before make, each time
 * with @cmd: after it the old translation is gone, and nothing keeps the new one
 * from being used.
 */
static void check_guest_tlbi(struct __test_metadata *_metadata, struct vm *self, struct seat *seat,
			     struct smmuv3_cmd cmd, const char *name)
{
	static const int move[] = { TEST_PAGE, OTHER_PAGE, TEST_PAGE };
	struct guest_s1 *s1 = &seat->vsmmu->s1;
	u64 iova = vm_iova(TEST_PAGE);
	unsigned int i;

	for (i = 0; i + 1 < ARRAY_SIZE(move); i++) {
		EXPECT_DMA(move[i], self, seat, iova, "before %s", name);
		guest_s1_unmap(s1, iova);
		test_cmd_vsmmu_cmd(seat->vsmmu->id, cmd);
		EXPECT_DMA(DMA_FAULT, self, seat, iova, "page unmapped, %s sent", name);
		guest_s1_map(s1, iova, vm_ipa(move[i + 1]), GUEST_PAGE_SIZE);
		EXPECT_DMA(move[i + 1], self, seat, iova, "page mapped after %s", name);
	}
}

/*
 * One nest parent and all the ways to share it. The same two tests for each.
 */
FIXTURE(shared_parent)
{
	struct vm vm;
};

FIXTURE_VARIANT(shared_parent)
{
	struct vm_layout layout;
};

#define SHARED_PARENT_VARIANT(_name, ...)                                       \
	FIXTURE_VARIANT_ADD(shared_parent, _name)                               \
	{                                                                       \
		.layout = VM_LAYOUT(__VA_ARGS__),                               \
	}

SHARED_PARENT_VARIANT(one_direct, SEAT(0, DIRECT));
SHARED_PARENT_VARIANT(one_direct_igb, SEAT(0, DIRECT, .kind = DMA_IGB));
SHARED_PARENT_VARIANT(one_nested, SEAT(0, NESTED));
SHARED_PARENT_VARIANT(one_nested_igb, SEAT(0, NESTED, .kind = DMA_IGB));
SHARED_PARENT_VARIANT(one_smmu_two_devices_one_vsmmu, SEAT(0, NESTED), SEAT(0, NESTED));
SHARED_PARENT_VARIANT(one_smmu_two_vsmmus, SEAT(0, NESTED), SEAT(0, NESTED, .vsmmu = 1));
SHARED_PARENT_VARIANT(one_smmu_direct_and_nested, SEAT(0, DIRECT), SEAT(0, NESTED));
SHARED_PARENT_VARIANT(two_smmus_direct, SEAT(0, DIRECT), SEAT(1, DIRECT));
SHARED_PARENT_VARIANT(three_smmus_direct, SEAT(0, DIRECT), SEAT(1, DIRECT), SEAT(2, DIRECT));
SHARED_PARENT_VARIANT(two_smmus_nested, SEAT(0, NESTED), SEAT(1, NESTED, .vsmmu = 1));
SHARED_PARENT_VARIANT(three_smmus_nested, SEAT(0, NESTED), SEAT(1, NESTED, .vsmmu = 1),
		      SEAT(2, NESTED, .vsmmu = 2));
SHARED_PARENT_VARIANT(three_smmus_direct_and_nested, SEAT(0, DIRECT), SEAT(1, NESTED),
		      SEAT(2, NESTED, .vsmmu = 1));

FIXTURE_SETUP(shared_parent)
{
	vm_init(_metadata, &self->vm, &variant->layout);
}

FIXTURE_TEARDOWN(shared_parent)
{
	vm_cleanup(&self->vm);
}

/* Every device writes to @page and must get @want, or a fault */
static void check_all_seats(struct __test_metadata *_metadata, struct vm *vm, int page, int want,
			    const char *when)
{
	struct seat *seat;

	for (seat = vm->seat; seat < vm->seat + vm->nr_seats; seat++)
		EXPECT_DMA(want, vm, seat, seat_iova(seat, page), "%s", when);
}

TEST_F(shared_parent, s2_unmap_faults_every_device)
{
	const struct {
		const char *name;
		int page;
		int nr;
		int remap_to;
	} area[] = {
		{ "4K", TEST_PAGE, 1, OTHER_PAGE },
		/* Part of a table, which therefore stays */
		{ "16K", 4, 4, 8 },
		{ "2M", VM_BLOCK_PAGE, VM_BLOCK_NR_PAGES, VM_BLOCK_PAGE },
	};
	struct vm *vm = &self->vm;
	char when[64];
	unsigned int i, j, k;

	vm_map(_metadata, vm, VM_BLOCK_PAGE, VM_BLOCK_PAGE, VM_BLOCK_NR_PAGES);
	vm_attach_all(_metadata, vm);
	for (i = 0; i < ARRAY_SIZE(area); i++) {
		int probe[] = { 0, area[i].nr / 2, area[i].nr - 1 };
		unsigned int nr_probes = area[i].nr == 1 ? 1 : ARRAY_SIZE(probe);
		int to[] = { area[i].remap_to, area[i].page };

		snprintf(when, sizeof(when), "%s mapped", area[i].name);
		for (j = 0; j < nr_probes; j++)
			check_all_seats(_metadata, vm, area[i].page + probe[j],
					area[i].page + probe[j], when);

		/* There and back: the second time as what one ioctl has mapped */
		for (k = 0; k < ARRAY_SIZE(to); k++) {
			vm_unmap(_metadata, vm, area[i].page, area[i].nr);
			snprintf(when, sizeof(when), "%s unmapped from the IOAS", area[i].name);
			for (j = 0; j < nr_probes; j++)
				check_all_seats(_metadata, vm, area[i].page + probe[j], DMA_FAULT,
						when);

			vm_map(_metadata, vm, area[i].page, to[k], area[i].nr);
			snprintf(when, sizeof(when), "%s mapped anew", area[i].name);
			for (j = 0; j < nr_probes; j++)
				check_all_seats(_metadata, vm, area[i].page + probe[j],
						to[k] + probe[j], when);
		}
	}
}

/*
 * The devices leave one after the other, each of them being the first once, and
 * come back. Those that stay must see their pages, and unmaps, all the time.
 */
TEST_F(shared_parent, detach_in_any_order)
{
	struct vm *vm = &self->vm;
	unsigned int first, nr, i;

	vm_attach_all(_metadata, vm);
	for (first = 0; first < vm->nr_seats; first++) {
		for (nr = 1; nr <= vm->nr_seats; nr++) {
			struct seat *gone = &vm->seat[(first + nr - 1) % vm->nr_seats];
			/* The others would need a time-out and a reset to notice */
			bool ask = dma_device_reports_faults(gone->dev);
			u64 gone_iova = seat_iova(gone, TEST_PAGE);

			if (ask)
				EXPECT_DMA(TEST_PAGE, vm, gone, gone_iova, "before detach");
			vm_detach(_metadata, vm, gone);
			if (ask)
				EXPECT_DMA(DMA_FAULT, vm, gone, gone_iova, "detached");

			for (i = nr; i < vm->nr_seats; i++) {
				struct seat *left = &vm->seat[(first + i) % vm->nr_seats];
				u64 iova = seat_iova(left, TEST_PAGE);

				EXPECT_DMA(TEST_PAGE, vm, left, iova, "another one detached");
				vm_unmap(_metadata, vm, TEST_PAGE, 1);
				EXPECT_DMA(DMA_FAULT, vm, left, iova,
					   "another one detached, page unmapped from the IOAS");
				vm_map(_metadata, vm, TEST_PAGE, TEST_PAGE, 1);
			}
		}
		vm_attach_all(_metadata, vm);
	}
}

/*
 * An S1 domain without a guest, for devices of two SMMUs.
 */
FIXTURE(shared_s1)
{
	struct vm vm;
	int fd;
};

FIXTURE_SETUP(shared_s1)
{
	struct vm_layout layout = VM_LAYOUT(SEAT(0, IDLE), SEAT(1, IDLE));

	vm_init(_metadata, &self->vm, &layout);
	self->fd = self->vm.fd;
}

FIXTURE_TEARDOWN(shared_s1)
{
	vm_cleanup(&self->vm);
}

TEST_F(shared_s1, unmap_and_detach)
{
	struct vm *vm = &self->vm;
	u64 iova = vm_ipa(TEST_PAGE);
	unsigned int i, round;
	u32 hwpt_id;

	test_cmd_hwpt_alloc(vm->seat[0].dev_id, vm->ioas_id, 0, &hwpt_id);
	for (round = 0; round < 4; round++) {
		struct seat *gone = &vm->seat[round % 2], *left = &vm->seat[(round + 1) % 2];

		for (i = 0; i < 2; i++)
			test_cmd_vfio_attach(vm->seat[i].dev, hwpt_id);
		check_all_seats(_metadata, vm, TEST_PAGE, TEST_PAGE, "mapped");
		vm_unmap(_metadata, vm, TEST_PAGE, 1);
		check_all_seats(_metadata, vm, TEST_PAGE, DMA_FAULT, "unmapped");
		vm_map(_metadata, vm, TEST_PAGE, OTHER_PAGE, 1);
		check_all_seats(_metadata, vm, TEST_PAGE, OTHER_PAGE, "mapped anew");

		test_cmd_vfio_detach(gone->dev);
		EXPECT_DMA(DMA_FAULT, vm, gone, iova, "detached");
		EXPECT_DMA(OTHER_PAGE, vm, left, iova, "the other one detached");
		vm_unmap(_metadata, vm, TEST_PAGE, 1);
		EXPECT_DMA(DMA_FAULT, vm, left, iova, "the other one detached, unmapped");
		vm_map(_metadata, vm, TEST_PAGE, TEST_PAGE, 1);
		EXPECT_DMA(TEST_PAGE, vm, left, iova, "the other one detached, mapped");
		test_cmd_vfio_detach(left->dev);
	}
	for (i = 0; i < 2; i++)
		test_cmd_vfio_attach(vm->seat[i].dev, vm->ioas_id);
	test_ioctl_destroy(hwpt_id);
}

/*
 * What changes while a device is detached is not invalidated. The id that it used
 * is free then, and the next attach gets the same one.
 */
TEST_F(shared_s1, reused_ids_are_clean)
{
	static const u32 flags[] = { 0, IOMMU_HWPT_ALLOC_NEST_PARENT };
	struct vm *vm = &self->vm;
	struct seat *seat = &vm->seat[0];
	u64 iova = vm_ipa(TEST_PAGE);
	unsigned int i, round;
	u32 hwpt_id[2];

	test_cmd_vfio_detach(seat->dev);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		test_cmd_hwpt_alloc(seat->dev_id, vm->ioas_id, flags[i], &hwpt_id[0]);
		test_cmd_hwpt_alloc(seat->dev_id, vm->ioas_id, flags[i], &hwpt_id[1]);
		for (round = 0; round < 4; round++) {
			int page = round % 2 ? OTHER_PAGE : TEST_PAGE;

			vm_unmap(_metadata, vm, TEST_PAGE, 1);
			vm_map(_metadata, vm, TEST_PAGE, page, 1);
			test_cmd_vfio_attach(seat->dev, hwpt_id[round / 2]);
			EXPECT_DMA(page, vm, seat, iova, "stage %u, round %u", i + 1, round);
			test_cmd_vfio_detach(seat->dev);
		}
		test_ioctl_destroy(hwpt_id[0]);
		test_ioctl_destroy(hwpt_id[1]);
	}
	test_cmd_vfio_attach(seat->dev, vm->ioas_id);
}

static void one_vsmmu_init(struct __test_metadata *_metadata, struct vm *vm)
{
	struct vm_layout layout = VM_LAYOUT(SEAT(0, NESTED));

	vm_init(_metadata, vm, &layout);
	if (_metadata->exit_code != KSFT_SKIP)
		vm_attach_all(_metadata, vm);
}

/* A guest with one device, and its vSMMU */
#define FIXTURE_ONE_VSMMU(_name)                                                \
	FIXTURE(_name)                                                          \
	{                                                                       \
		struct vm vm;                                                   \
		struct seat *seat;                                              \
		struct vsmmu *vsmmu;                                            \
		int fd;                                                         \
		u32 ioas_id;                                                    \
	}

#define FIXTURE_ONE_VSMMU_SETUP(_name)                                          \
	FIXTURE_SETUP(_name)                                                    \
	{                                                                       \
		one_vsmmu_init(_metadata, &self->vm);                           \
		self->seat = &self->vm.seat[0];                                 \
		self->vsmmu = self->seat->vsmmu;                                \
		self->fd = self->vm.fd;                                         \
		self->ioas_id = self->vm.ioas_id;                               \
	}                                                                       \
									\
	FIXTURE_TEARDOWN(_name)                                                 \
	{                                                                       \
		vm_cleanup(&self->vm);                                          \
	}

/*
 * What the guest of one vSMMU changes and invalidates itself.
 */
FIXTURE_ONE_VSMMU(guest_invalidate);
FIXTURE_ONE_VSMMU_SETUP(guest_invalidate)

TEST_F(guest_invalidate, tlbi_removes_the_old_translation)
{
	u64 other = vm_iova(OTHER_PAGE);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(guest_tlbi); i++)
		check_guest_tlbi(_metadata, &self->vm, self->seat,
				 guest_tlbi[i].make(VM_ASID, vm_iova(TEST_PAGE)),
				 guest_tlbi[i].name);

	/* Where the entry goes without any command, the above proves little */
	EXPECT_DMA(OTHER_PAGE, &self->vm, self->seat, other, "mapped");
	guest_s1_unmap(&self->vsmmu->s1, other);
	TH_LOG("info: this SMMU %s an entry that the guest has not invalidated",
	       vm_dma(&self->vm, self->seat, other) == DMA_FAULT ? "does not use" : "uses");
}

TEST_F(guest_invalidate, cfgi_removes_the_old_context_descriptor)
{
	const struct {
		const char *name;
		struct smmuv3_cmd cmd;
	} cfgi[] = {
		{ "CMD_CFGI_CD", cmd_cfgi_cd(self->seat->vsid) },
		{ "CMD_CFGI_CD_ALL", cmd_cfgi_cd_all(self->seat->vsid) },
	};
	struct guest_s1 *s1 = &self->vsmmu->s1;
	u64 iova = vm_iova(TEST_PAGE);
	struct guest_s1 other;
	unsigned int i;

	/* Another ASID: with the CD gone, entries of the first one cannot hit */
	vm_s1_init(&self->vm, &other, VM_ASID + 1);
	guest_s1_map(&other, iova, vm_ipa(OTHER_PAGE), GUEST_PAGE_SIZE);

	for (i = 0; i < ARRAY_SIZE(cfgi); i++) {
		const struct guest_s1 *space[] = { &other, s1 };
		int page[] = { TEST_PAGE, OTHER_PAGE, TEST_PAGE };
		unsigned int j;

		for (j = 0; j < ARRAY_SIZE(space); j++) {
			EXPECT_DMA(page[j], &self->vm, self->seat, iova,
				   "before %s", cfgi[i].name);
			guest_cd_clear(self->vsmmu->cd);
			test_cmd_vsmmu_cmd(self->vsmmu->id, cfgi[i].cmd);
			EXPECT_DMA(DMA_FAULT, &self->vm, self->seat, iova,
				   "CD invalid, %s sent", cfgi[i].name);
			guest_cd_write(self->vsmmu->cd, space[j], self->vm.ips);
			test_cmd_vsmmu_cmd(self->vsmmu->id, cfgi[i].cmd);
			EXPECT_DMA(page[j + 1], &self->vm, self->seat, iova,
				   "CD with other tables and ASID, %s sent", cfgi[i].name);
		}
	}
}

/*
 * IOMMU_HWPT_INVALIDATE of an array with a bad command: entry_num says how many
 * commands the kernel has handled, and the guest will not send those again. So
 * they must have taken effect.
 */
TEST_F(guest_invalidate, commands_before_a_bad_one_take_effect)
{
	/* The driver sends batches of 63: just before, at and after their ends */
	static const unsigned int nr_good[] = { 0, 1, 2, 62, 63, 64, 66, 126, 130 };
	const struct {
		const char *name;
		struct smmuv3_cmd cmd;
	} bad[] = {
		{ "an unknown opcode", smmuv3_cmd(0xff, 0) },
		{ "a vSID not there", cmd_cfgi_cd(self->seat->vsid + 1) },
	};
	struct guest_s1 *s1 = &self->vsmmu->s1;
	struct smmuv3_cmd cmds[160];
	unsigned int i, j, k;

	for (i = 0; i < ARRAY_SIZE(nr_good); i++) {
		for (j = 0; j < ARRAY_SIZE(bad); j++) {
			/* The first and the last good command are for these pages */
			int page[] = { TEST_PAGE, OTHER_PAGE };
			unsigned int nr_pages = nr_good[i] < 2 ? nr_good[i] : 2;
			u32 nr = nr_good[i] + 2;

			for (k = 0; k < nr; k++)
				cmds[k] = cmd_nh_va(VM_ASID, vm_iova(0));
			cmds[0] = cmd_nh_va(VM_ASID, vm_iova(page[0]));
			if (nr_pages == 2)
				cmds[nr_good[i] - 1] = cmd_nh_va(VM_ASID, vm_iova(page[1]));
			cmds[nr_good[i]] = bad[j].cmd;

			for (k = 0; k < nr_pages; k++) {
				EXPECT_DMA(page[k], &self->vm, self->seat, vm_iova(page[k]),
					   "mapped");
				guest_s1_unmap(s1, vm_iova(page[k]));
			}
			test_err_vsmmu_invalidate(EIO, self->vsmmu->id, cmds, &nr);
			EXPECT_EQ(nr_good[i], nr);
			for (k = 0; k < nr_pages; k++) {
				EXPECT_DMA(DMA_FAULT, &self->vm, self->seat, vm_iova(page[k]),
					   "%s of %u good commands sent, then %s",
					   k ? "last" : "first", nr_good[i], bad[j].name);
				test_cmd_vsmmu_cmd(self->vsmmu->id,
						   cmd_nh_va(VM_ASID, vm_iova(page[k])));
				guest_s1_map(s1, vm_iova(page[k]), vm_ipa(page[k]),
					     GUEST_PAGE_SIZE);
			}
		}
	}
}

/*
 * Two guests, a device and a vSMMU each, behind one SMMU and on one nest parent.
 * Both use the same ASID.
 */
FIXTURE(two_vsmmus)
{
	struct vm vm;
	struct seat *seat;
	int fd;
};

FIXTURE_SETUP(two_vsmmus)
{
	struct vm_layout layout = VM_LAYOUT(SEAT(0, NESTED), SEAT(0, NESTED, .vsmmu = 1));

	vm_init(_metadata, &self->vm, &layout);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	self->seat = self->vm.seat;
	self->fd = self->vm.fd;
	vm_attach_all(_metadata, &self->vm);
}

FIXTURE_TEARDOWN(two_vsmmus)
{
	vm_cleanup(&self->vm);
}

/* Each guest has its own page behind the one IOVA they both use */
TEST_F(two_vsmmus, same_asid_and_iova_stay_apart)
{
	static const int page[] = { TEST_PAGE, OTHER_PAGE };
	static const int order[] = { 0, 1, 0, 1, 1, 0, 1, 0 };
	u64 iova = vm_iova(TEST_PAGE);
	unsigned int i;

	guest_s1_map(&self->vm.vsmmu[1].s1, iova, vm_ipa(page[1]), GUEST_PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		/* Let the other one be the first to fill the TLB */
		if (i == ARRAY_SIZE(order) / 2) {
			test_cmd_vsmmu_cmd(self->vm.vsmmu[0].id, cmd_nsnh_all(0, 0));
			test_cmd_vsmmu_cmd(self->vm.vsmmu[1].id, cmd_nsnh_all(0, 0));
		}
		EXPECT_DMA(page[order[i]], &self->vm, &self->seat[order[i]], iova,
			   "guest %d, whose IOVA and ASID the other guest uses too", order[i]);
	}
}

/* A vSMMU is destroyed and the next one, of the other guest, gets its VMID */
TEST_F(two_vsmmus, reused_vmid_is_clean)
{
	static const int page[] = { TEST_PAGE, OTHER_PAGE };
	u64 iova = vm_iova(TEST_PAGE);
	unsigned int round;

	guest_s1_map(&self->vm.vsmmu[1].s1, iova, vm_ipa(page[1]), GUEST_PAGE_SIZE);
	vm_detach(_metadata, &self->vm, &self->seat[0]);
	vm_detach(_metadata, &self->vm, &self->seat[1]);
	for (round = 0; round < 6; round++) {
		struct seat *seat = &self->seat[round % 2];

		vm_attach(_metadata, &self->vm, seat);
		EXPECT_DMA(page[round % 2], &self->vm, seat, iova, "round %u", round);
		vm_detach(_metadata, &self->vm, seat);
	}
	vm_attach_all(_metadata, &self->vm);
}

/* A vSMMU without an attached device keeps its VMID: a new one must get another */
TEST_F(two_vsmmus, idle_vsmmu_keeps_its_vmid)
{
	static const int page[] = { TEST_PAGE, OTHER_PAGE };
	u64 iova = vm_iova(TEST_PAGE);
	unsigned int i;

	guest_s1_map(&self->vm.vsmmu[1].s1, iova, vm_ipa(page[1]), GUEST_PAGE_SIZE);
	test_cmd_vfio_detach(self->seat[0].dev);
	vm_detach(_metadata, &self->vm, &self->seat[1]);
	vm_attach(_metadata, &self->vm, &self->seat[1]);
	test_cmd_vfio_attach(self->seat[0].dev, self->seat[0].hwpt_id);
	for (i = 0; i < 4; i++)
		EXPECT_DMA(page[i % 2], &self->vm, &self->seat[i % 2], iova, "guest %u", i % 2);
}

/*
 * A guest's invalidation works for its own device, and the other guest keeps its
 * page. Whether it also loses a TLB entry cannot be required: any SMMU may drop
 * an entry at any time.
 */
TEST_F(two_vsmmus, invalidation_works_for_its_guest)
{
	u64 other = vm_iova(OTHER_PAGE);
	struct guest_s1 *s1 = &self->vm.vsmmu[0].s1;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(guest_tlbi); i++) {
		EXPECT_DMA(OTHER_PAGE, &self->vm, &self->seat[0], other, "guest 0, at first");
		check_guest_tlbi(_metadata, &self->vm, &self->seat[1],
				 guest_tlbi[i].make(VM_ASID, vm_iova(TEST_PAGE)),
				 guest_tlbi[i].name);
		EXPECT_DMA(OTHER_PAGE, &self->vm, &self->seat[0], other,
			   "guest 0, after %s of guest 1", guest_tlbi[i].name);

		guest_s1_unmap(s1, other);
		test_cmd_vsmmu_cmd(self->vm.vsmmu[1].id,
				   guest_tlbi[i].make(VM_ASID, vm_iova(OTHER_PAGE)));
		TH_LOG("info: %s of guest 1 %s the TLB entry of guest 0", guest_tlbi[i].name,
		       vm_dma(&self->vm, &self->seat[0], other) == DMA_FAULT ? "drops" : "keeps");
		test_cmd_vsmmu_cmd(self->vm.vsmmu[0].id, cmd_nh_va(VM_ASID, other));
		EXPECT_DMA(DMA_FAULT, &self->vm, &self->seat[0], other,
			   "guest 0, own page unmapped, own CMD_TLBI_NH_VA sent");
		guest_s1_map(s1, other, vm_ipa(OTHER_PAGE), GUEST_PAGE_SIZE);
	}
}

TEST_F(two_vsmmus, vsid_of_another_vsmmu_is_refused)
{
	test_err_vsmmu_cmd(EIO, self->vm.vsmmu[1].id, cmd_cfgi_cd(self->seat[0].vsid));
	test_err_vsmmu_cmd(EIO, self->vm.vsmmu[0].id, cmd_cfgi_cd(self->seat[1].vsid));
	test_cmd_vsmmu_cmd(self->vm.vsmmu[1].id, cmd_cfgi_cd(self->seat[1].vsid));
	test_cmd_vsmmu_cmd(self->vm.vsmmu[0].id, cmd_cfgi_cd(self->seat[0].vsid));
}

/*
 * A device changes its seat while others, on the same and on another SMMU, stay
 * in theirs and one of them does DMA all the time.
 */
FIXTURE(moving)
{
	struct vm vm;
	struct seat *mover;
	int fd;
};

FIXTURE_SETUP(moving)
{
	struct vm_layout layout = VM_LAYOUT(SEAT(0, NESTED), SEAT(0, NESTED, .vsmmu = 1),
					    SEAT(1, NESTED, .vsmmu = 2));

	vm_init(_metadata, &self->vm, &layout);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	self->mover = &self->vm.seat[0];
	self->fd = self->vm.fd;
	vm_attach_all(_metadata, &self->vm);
}

FIXTURE_TEARDOWN(moving)
{
	vm_cleanup(&self->vm);
}

/* Every ordered pair of seats, also from a vSMMU to itself */
TEST_F(moving, between_vsmmus_and_direct)
{
	static const struct {
		const char *name;
		enum seat_mode mode;
		unsigned int vsmmu;
		int page;
	} place[] = {
		{ "a vSMMU of its own", SEAT_NESTED, 0, TEST_PAGE },
		{ "the other vSMMU", SEAT_NESTED, 1, OTHER_PAGE },
		{ "the parent", SEAT_DIRECT, 0, TEST_PAGE },
	};
	struct vm *vm = &self->vm;
	struct seat *mover = self->mover;
	struct seat *stays = &vm->seat[2];
	struct vm_writer writer;
	unsigned int from, to, i;
	char when[80];

	/* One IOVA and ASID, two guests, two pages: the wrong VMID shows */
	guest_s1_map(&vm->vsmmu[1].s1, vm_iova(TEST_PAGE), vm_ipa(OTHER_PAGE), GUEST_PAGE_SIZE);
	vm_writer_start(_metadata, vm, &writer, &vm->seat[1]);
	for (from = 0; from < ARRAY_SIZE(place); from++) {
		for (to = 0; to < ARRAY_SIZE(place); to++) {
			const unsigned int way[] = { from, to };

			for (i = 0; i < ARRAY_SIZE(way); i++) {
				unsigned int at = way[i];

				vm_writer_wait(&writer);
				vm_move(_metadata, vm, mover, place[at].mode,
					&vm->vsmmu[place[at].vsmmu]);
				vm_writer_wait(&writer);
				snprintf(when, sizeof(when), "moved from %s to %s",
					 i ? place[from].name : "anywhere", place[at].name);
				EXPECT_DMA(place[at].page, vm, mover, seat_iova(mover, TEST_PAGE),
					   "%s", when);
				EXPECT_DMA(TEST_PAGE, vm, stays, vm_iova(TEST_PAGE), "%s", when);
				vm_unmap(_metadata, vm, place[at].page, 1);
				EXPECT_DMA(DMA_FAULT, vm, mover, seat_iova(mover, TEST_PAGE),
					   "%s, page unmapped from the IOAS", when);
				EXPECT_DMA(DMA_FAULT, vm, stays, vm_iova(place[at].page),
					   "%s, page unmapped from the IOAS", when);
				vm_map(_metadata, vm, place[at].page, place[at].page, 1);
			}
		}
	}
	vm_writer_stop(&writer);
	EXPECT_EQ(0, writer.bad)
	{
		TH_LOG("%lu of %lu writes of the device that stayed", (unsigned long)writer.bad,
		       (unsigned long)writer.done);
	}
	vm_move(_metadata, vm, mover, SEAT_NESTED, &vm->vsmmu[0]);
}

/*
 * Everything is made and destroyed over and over while another device has a
 * vSMMU on the same SMMU. An id that leaks shows where there are few (an SMMU
 * with 8 bits runs out) and in the rig's trace; memory, under kmemleak. With KCSAN
 * it takes longer than the harness allows by itself.
 */
TEST_F_TIMEOUT(moving, create_and_destroy_rounds, 120)
{
	static const u32 flags[] = { 0, IOMMU_HWPT_ALLOC_NEST_PARENT };
	struct vm *vm = &self->vm;
	struct seat *mover = self->mover;
	unsigned int round;
	u32 hwpt_id;

	for (round = 0; round < 260; round++) {
		vm_detach(_metadata, vm, mover);
		test_cmd_hwpt_alloc(mover->dev_id, vm->ioas_id, flags[round % 2], &hwpt_id);
		test_cmd_vfio_attach(mover->dev, hwpt_id);
		test_cmd_vfio_detach(mover->dev);
		test_ioctl_destroy(hwpt_id);
		vm_attach(_metadata, vm, mover);
	}
	check_all_seats(_metadata, vm, TEST_PAGE, TEST_PAGE, "after the rounds");
	vm_unmap(_metadata, vm, TEST_PAGE, 1);
	check_all_seats(_metadata, vm, TEST_PAGE, DMA_FAULT, "after the rounds, page unmapped");
}

/*
 * The ioctls: objects in use, and input that is not right.
 */
FIXTURE_ONE_VSMMU(uapi);
FIXTURE_ONE_VSMMU_SETUP(uapi)

/* The command queue is not stuck and the guest's translation works */
static void check_alive(struct __test_metadata *_metadata, struct vm *vm, const char *after)
{
	check_guest_tlbi(_metadata, vm, &vm->seat[0], cmd_nh_va(VM_ASID, vm_iova(TEST_PAGE)),
			 after);
}

static void check_busy(struct __test_metadata *_metadata, int fd, u32 id, const char *what)
{
	int ret = _test_ioctl_destroy(fd, id);

	EXPECT_TRUE(ret == -1 && errno == EBUSY)
	{
		TH_LOG("destroy of %s: want EBUSY, got %s", what,
		       ret ? strerror(errno) : "success");
	}
}

TEST_F(uapi, objects_in_use_are_busy)
{
	struct vm *vm = &self->vm;
	u32 viommu_id = self->vsmmu->id;

	check_busy(_metadata, self->fd, vm->ioas_id, "IOAS with HWPTs");
	check_busy(_metadata, self->fd, vm->parent_id, "parent of a vIOMMU");
	check_busy(_metadata, self->fd, viommu_id, "vIOMMU with vDEVICE and nested HWPT");
	check_busy(_metadata, self->fd, self->seat->hwpt_id, "nested HWPT that is attached");
	check_alive(_metadata, vm, "destroy of busy objects");

	/* Nothing holds a vDEVICE, but without it its vSID is gone */
	test_ioctl_destroy(self->seat->vdev_id);
	test_err_vsmmu_cmd(EIO, viommu_id, cmd_cfgi_cd(self->seat->vsid));
	check_alive(_metadata, vm, "destroy of the vDEVICE");
	check_busy(_metadata, self->fd, viommu_id, "vIOMMU with nested HWPT");
	test_cmd_vdevice_alloc(viommu_id, self->seat->dev_id, self->seat->vsid,
			       &self->seat->vdev_id);
	test_cmd_vsmmu_cmd(viommu_id, cmd_cfgi_cd(self->seat->vsid));

	/* From nested to direct use of the parent, in one step */
	test_cmd_vfio_attach(self->seat->dev, vm->parent_id);
	EXPECT_DMA(TEST_PAGE, vm, self->seat, vm_ipa(TEST_PAGE), "attached to the parent");
	test_ioctl_destroy(self->seat->hwpt_id);
	check_busy(_metadata, self->fd, viommu_id, "vIOMMU with vDEVICE");
	test_ioctl_destroy(self->seat->vdev_id);
	test_ioctl_destroy(viommu_id);
	check_busy(_metadata, self->fd, vm->parent_id, "parent that is attached");
	test_cmd_vfio_detach(self->seat->dev);
	test_ioctl_destroy(vm->parent_id);
}

TEST_F(uapi, bad_commands_are_refused)
{
	const u64 sid = CMD_0_SID(self->seat->vsid);
	const struct {
		const char *name;
		u64 dw0;
		u64 dw1;
	} bad[] = {
		{ "opcode 0", 0 },
		{ "opcode 0xff", 0xff },
		{ "CMD_PREFETCH_CONFIG", CMD_PREFETCH_CONFIG | sid },
		{ "CMD_CFGI_STE", CMD_CFGI_STE | sid },
		{ "CMD_CFGI_ALL", CMD_CFGI_ALL, 31 },
		{ "CMD_TLBI_EL2_ALL", CMD_TLBI_EL2_ALL },
		{ "CMD_TLBI_S12_VMALL", CMD_TLBI_S12_VMALL },
		{ "CMD_TLBI_S2_IPA", CMD_TLBI_S2_IPA, vm_ipa(TEST_PAGE) },
		{ "CMD_TLBI_SNH_ALL", CMD_TLBI_SNH_ALL },
		{ "CMD_PRI_RESP", CMD_PRI_RESP | sid },
		{ "CMD_RESUME", CMD_RESUME | sid },
		{ "CMD_SYNC", CMD_SYNC },
		{ "CMD_CFGI_CD, vSID not there", CMD_CFGI_CD | CMD_0_SID(self->seat->vsid + 1) },
		{ "CMD_CFGI_CD, SSec", CMD_CFGI_CD | CMD_0_SSEC | sid },
		{ "CMD_CFGI_CD, RES0 bit 8", CMD_CFGI_CD | 1 << 8 | sid },
		{ "CMD_CFGI_CD, RES0 bit 64 + 1", CMD_CFGI_CD | sid, 1 << 1 },
		{ "CMD_CFGI_CD_ALL, vSID not there",
		  CMD_CFGI_CD_ALL | CMD_0_SID(self->seat->vsid + 1) },
		{ "CMD_CFGI_CD_ALL, RES0 leaf", CMD_CFGI_CD_ALL | sid, CMD_1_LEAF },
		{ "CMD_ATC_INV, vSID not there", CMD_ATC_INV | CMD_0_SID(self->seat->vsid + 1) },
		{ "CMD_ATC_INV, Size above 52", CMD_ATC_INV | sid, 53 },
		{ "CMD_TLBI_NH_ALL, SSec", CMD_TLBI_NH_ALL | CMD_0_SSEC },
		{ "CMD_TLBI_NH_ALL, RES0 ASID", CMD_TLBI_NH_ALL | CMD_0_ASID(VM_ASID) },
		{ "CMD_TLBI_NH_ALL, RES0 address", CMD_TLBI_NH_ALL, vm_iova(TEST_PAGE) },
		{ "CMD_TLBI_NSNH_ALL, RES0 VMID", CMD_TLBI_NSNH_ALL | CMD_0_VMID(1) },
		{ "CMD_TLBI_NH_ASID, RES0 leaf", CMD_TLBI_NH_ASID, CMD_1_LEAF },
		{ "CMD_TLBI_NH_VAA, RES0 ASID", CMD_TLBI_NH_VAA | CMD_0_ASID(VM_ASID) },
		{ "CMD_TLBI_NH_VA, RES0 bit 8", CMD_TLBI_NH_VA | 1 << 8 },
		{ "CMD_TLBI_NH_VA, RES0 bit 64 + 1", CMD_TLBI_NH_VA, 1 << 1 },
		{ "CMD_TLBI_NH_VA, NUM without TG", CMD_TLBI_NH_VA | CMD_0_NUM(1) },
		{ "CMD_TLBI_NH_VA, SCALE without TG", CMD_TLBI_NH_VA | CMD_0_SCALE(1) },
		{ "CMD_TLBI_NH_VA, TTL without TG", CMD_TLBI_NH_VA, CMD_1_TTL(3) },
		{ "CMD_TLBI_NH_VA, TG with NUM, SCALE and TTL 0",
		  CMD_TLBI_NH_VA, CMD_1_TG(CMD_TG_4K) },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct smmuv3_cmd cmd = smmuv3_cmd(bad[i].dw0, bad[i].dw1);
		u32 nr = 1;
		int ret = _test_cmd_vsmmu_invalidate(self->fd, self->vsmmu->id, &cmd, &nr);

		EXPECT_TRUE(ret == -1 && errno == EIO && nr == 0)
		{
			TH_LOG("%s: want EIO and 0 handled, got %s and %u", bad[i].name,
			       ret ? strerror(errno) : "success", nr);
		}
		check_alive(_metadata, &self->vm, bad[i].name);
	}
}

TEST_F(uapi, bad_invalidation_arrays_are_refused)
{
	const u32 type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3;
	struct {
		struct smmuv3_cmd cmd;
		u64 tail;
	} arg[2] = {
		{ cmd_nh_va(VM_ASID, vm_iova(0)) },
		{ cmd_nh_va(VM_ASID, vm_iova(TEST_PAGE)) },
	};
	const struct {
		const char *name;
		u32 id;
		void *ptr;
		u32 type;
		u32 entry_len;
		u32 entry_num;
		u64 tail;
		int err;
	} bad[] = {
		{ "data type of the mock driver", self->vsmmu->id, arg,
		  IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST, sizeof(arg[0]), 2, 0, EINVAL },
		{ "no data", self->vsmmu->id, NULL, type, sizeof(arg[0]), 2, 0, EINVAL },
		{ "data that is not mapped", self->vsmmu->id, (void *)8UL, type, sizeof(arg[0]),
		  2, 0, EFAULT },
		{ "entry_len 0", self->vsmmu->id, arg, type, 0, 2, 0, EINVAL },
		{ "entry_len above a page", self->vsmmu->id, arg, type, PAGE_SIZE + 8,
		  2, 0, EINVAL },
		{ "entry_num far too large", self->vsmmu->id, arg, type, sizeof(arg[0]), ~0U,
		  0, EINVAL },
		{ "an entry longer than known, not zero behind", self->vsmmu->id, arg, type,
		  sizeof(arg[0]), 2, 1, E2BIG },
		{ "an ID not there", ~0U, arg, type, sizeof(arg[0]), 2, 0, ENOENT },
		{ "the nest parent", self->vm.parent_id, arg, type, sizeof(arg[0]), 2, 0,
		  EINVAL },
		{ "the nested HWPT", self->seat->hwpt_id, arg, type, sizeof(arg[0]), 2, 0,
		  EOPNOTSUPP },
	};
	u64 iova = vm_iova(TEST_PAGE);
	unsigned int i;
	u32 nr;
	int ret;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		nr = bad[i].entry_num;
		arg[1].tail = bad[i].tail;
		ret = _test_cmd_viommu_invalidate(self->fd, bad[i].id, bad[i].ptr, bad[i].type,
						  bad[i].entry_len, &nr);
		EXPECT_TRUE(ret == -1 && errno == bad[i].err && nr == 0)
		{
			TH_LOG("%s: want %s and 0 handled, got %s and %u", bad[i].name,
			       strerror(bad[i].err), ret ? strerror(errno) : "success", nr);
		}
		check_alive(_metadata, &self->vm, bad[i].name);
	}

	/* Entries longer than known with zeros behind are what newer callers send */
	arg[1].tail = 0;
	EXPECT_DMA(TEST_PAGE, &self->vm, self->seat, iova, "mapped");
	guest_s1_unmap(&self->vsmmu->s1, iova);
	nr = 2;
	ASSERT_EQ(0, _test_cmd_viommu_invalidate(self->fd, self->vsmmu->id, arg, type,
						 sizeof(arg[0]), &nr));
	EXPECT_EQ(2, nr);
	EXPECT_DMA(DMA_FAULT, &self->vm, self->seat, iova, "CMD_TLBI_NH_VA in a longer entry");

	nr = 0;
	ret = _test_cmd_viommu_invalidate(self->fd, self->vsmmu->id, NULL, type, 0, &nr);
	TH_LOG("info: empty array, which iommufd.h calls allowed: %s",
	       ret ? strerror(errno) : "success");
	EXPECT_EQ(0, nr);
}

TEST_F(uapi, bad_vstes_are_refused)
{
	const struct iommu_hwpt_arm_smmuv3 good =
		guest_vste_s1(guest_to_ipa(&self->vm.ram, self->vsmmu->cd));
	const struct {
		const char *name;
		u64 set[2];
		unsigned int cfg;
	} bad[] = {
		{ "Config stage 2", {}, VSTE_CFG_S2 },
		{ "Config nested", {}, VSTE_CFG_NESTED },
		{ "RES0 bit 52", { 1ULL << 52 }, VSTE_CFG_S1 },
		{ "MEV", { 0, VSTE_1_MEV }, VSTE_CFG_S1 },
		{ "EATS split stage", { 0, VSTE_1_EATS(2) }, VSTE_CFG_S1 },
		{ "EATS reserved", { 0, VSTE_1_EATS(3) }, VSTE_CFG_S1 },
		{ "STRW EL2", { 0, VSTE_1_STRW_EL2 }, VSTE_CFG_S1 },
	};
	struct iommu_hwpt_arm_smmuv3 vste;
	unsigned int i;
	u32 id;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		int ret;

		vste = guest_vste(bad[i].cfg);
		vste.ste[0] |= good.ste[0] & htole64(VSTE_0_CTXPTR_MASK);
		vste.ste[0] |= htole64(bad[i].set[0]);
		vste.ste[1] = good.ste[1] | htole64(bad[i].set[1]);
		ret = _test_cmd_hwpt_alloc(self->fd, self->seat->dev_id, self->vsmmu->id, 0, 0,
					   &id, IOMMU_HWPT_DATA_ARM_SMMUV3, &vste, sizeof(vste));
		EXPECT_TRUE(ret == -1 && errno == EIO)
		{
			TH_LOG("%s: want EIO, got %s", bad[i].name,
			       ret ? strerror(errno) : "success");
		}
	}

	vste = good;
	test_err_hwpt_alloc_nested(EINVAL, self->seat->dev_id, self->vsmmu->id, 0, &id,
				   IOMMU_HWPT_DATA_SELFTEST, &vste, sizeof(vste));
	test_err_hwpt_alloc_nested(EINVAL, self->seat->dev_id, self->vsmmu->id, 0, &id,
				   IOMMU_HWPT_DATA_ARM_SMMUV3, &vste, sizeof(vste) - 8);
	test_err_hwpt_alloc_nested(EOPNOTSUPP, self->seat->dev_id, self->vsmmu->id,
				   IOMMU_HWPT_ALLOC_NEST_PARENT, &id,
				   IOMMU_HWPT_DATA_ARM_SMMUV3, &vste, sizeof(vste));
	check_alive(_metadata, &self->vm, "bad vSTEs");
}

/* The vSTEs that do not translate: the device gets what the guest asked for */
TEST_F(uapi, vste_without_stage_1)
{
	const struct {
		const char *name;
		struct iommu_hwpt_arm_smmuv3 vste;
		int want;
	} kind[] = {
		{ "not valid", {}, DMA_FAULT },
		{ "abort", guest_vste(VSTE_CFG_ABORT), DMA_FAULT },
		{ "bypass", guest_vste(VSTE_CFG_BYPASS), TEST_PAGE },
	};
	struct vm *vm = &self->vm;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kind); i++) {
		struct iommu_hwpt_arm_smmuv3 vste = kind[i].vste;
		u32 id;

		EXPECT_DMA(TEST_PAGE, vm, self->seat, vm_iova(TEST_PAGE), "translating vSTE");
		test_cmd_hwpt_alloc_nested(self->seat->dev_id, self->vsmmu->id, 0, &id,
					   IOMMU_HWPT_DATA_ARM_SMMUV3, &vste, sizeof(vste));
		test_cmd_vfio_attach(self->seat->dev, id);
		EXPECT_DMA(DMA_FAULT, vm, self->seat, vm_iova(TEST_PAGE), "vSTE %s, guest's IOVA",
			   kind[i].name);
		EXPECT_DMA(kind[i].want, vm, self->seat, vm_ipa(TEST_PAGE), "vSTE %s, IPA",
			   kind[i].name);
		vm_unmap(_metadata, vm, TEST_PAGE, 1);
		EXPECT_DMA(DMA_FAULT, vm, self->seat, vm_ipa(TEST_PAGE),
			   "vSTE %s, page unmapped from the IOAS", kind[i].name);
		vm_map(_metadata, vm, TEST_PAGE, TEST_PAGE, 1);
		test_cmd_vfio_attach(self->seat->dev, self->seat->hwpt_id);
		test_ioctl_destroy(id);
	}
}

TEST_F(uapi, bad_viommus_are_refused)
{
	u32 dev_id = self->seat->dev_id;
	u32 plain_id, id;

	test_err_viommu_alloc(EOPNOTSUPP, dev_id, self->vm.parent_id, IOMMU_VIOMMU_TYPE_DEFAULT,
			      NULL, 0, &id);
	test_err_viommu_alloc(EOPNOTSUPP, dev_id, self->vm.parent_id, 0xffff, NULL, 0, &id);
	EXPECT_ERRNO(EOPNOTSUPP,
		     _test_cmd_viommu_alloc(self->fd, dev_id, self->vm.parent_id, 1,
					    IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0, &id));
	test_err_viommu_alloc(ENOENT, dev_id, ~0U, IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0, &id);
	/* Negative test -- the parent is not a nest parent */
	test_cmd_hwpt_alloc(dev_id, self->ioas_id, 0, &plain_id);
	test_err_viommu_alloc(EINVAL, dev_id, plain_id, IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0,
			      &id);
	test_ioctl_destroy(plain_id);
	check_alive(_metadata, &self->vm, "bad vIOMMUs");
}

/*
 * The same with bystanders, open but not part of the VM: one behind the same
 * SMMU, one behind another.
 */
FIXTURE(uapi_bystanders)
{
	struct vm vm;
	struct seat *seat;
	struct seat *same_smmu;
	struct seat *other_smmu;
	struct vsmmu *vsmmu;
	int fd;
};

FIXTURE_SETUP(uapi_bystanders)
{
	struct vm_layout layout = VM_LAYOUT(SEAT(0, NESTED), SEAT(0, IDLE), SEAT(1, IDLE));

	vm_init(_metadata, &self->vm, &layout);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	self->seat = &self->vm.seat[0];
	self->same_smmu = &self->vm.seat[1];
	self->other_smmu = &self->vm.seat[2];
	self->vsmmu = self->seat->vsmmu;
	self->fd = self->vm.fd;
	vm_attach_all(_metadata, &self->vm);
}

FIXTURE_TEARDOWN(uapi_bystanders)
{
	vm_cleanup(&self->vm);
}

TEST_F(uapi_bystanders, bad_vdevices_and_nested_hwpts_are_refused)
{
	struct iommu_hwpt_arm_smmuv3 vste =
		guest_vste_s1(guest_to_ipa(&self->vm.ram, self->vsmmu->cd));
	u32 viommu_id = self->vsmmu->id;
	u32 hwpt_id, id;

	/* Negative test -- the device has a vDEVICE, with whatever vSID */
	test_err_vdevice_alloc(EEXIST, viommu_id, self->seat->dev_id, self->seat->vsid, &id);
	test_err_vdevice_alloc(EEXIST, viommu_id, self->seat->dev_id, self->seat->vsid + 1, &id);
	/* Negative test -- the vSID is taken */
	test_err_vdevice_alloc(EEXIST, viommu_id, self->same_smmu->dev_id, self->seat->vsid, &id);
	/* Negative test -- a translating vSTE needs a vDEVICE for invalidation */
	test_cmd_hwpt_alloc_nested(self->same_smmu->dev_id, viommu_id, 0, &hwpt_id,
				   IOMMU_HWPT_DATA_ARM_SMMUV3, &vste, sizeof(vste));
	test_err_vfio_attach(ENOENT, self->same_smmu->dev, hwpt_id);
	test_ioctl_destroy(hwpt_id);
	/* Negative test -- vSMMU of another SMMU than the device's */
	test_err_vdevice_alloc(EINVAL, viommu_id, self->other_smmu->dev_id,
			       self->other_smmu->vsid, &id);
	test_err_hwpt_alloc_nested(EINVAL, self->other_smmu->dev_id, viommu_id, 0, &id,
				   IOMMU_HWPT_DATA_ARM_SMMUV3, &vste, sizeof(vste));
	test_err_vfio_attach(EINVAL, self->other_smmu->dev, self->seat->hwpt_id);
	check_alive(_metadata, &self->vm, "bad vDEVICEs and nested HWPTs");
}

int main(int argc, char *argv[])
{
	return vm_main(argc, argv);
}
