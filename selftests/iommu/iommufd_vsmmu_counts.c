// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs a VM to have devices behind several SMMUs and vSMMUs: S2 parents,
 * pages of their tables, pinned memory, and the commands of one unmap.
 *
 * The program gets its S2 parents as a VMM does: for each device it tries those
 * that the VM has, and allocates another one if all of them are refused with
 * EINVAL. So the same program measures a kernel that shares an S2 parent among
 * SMMUs and one that does not.
 *
 * It cannot see the SMMU's command queue, but whoever traces the SMMU can: the
 * unmap stands between two CMD_TLBI_NH_VAA, which Linux itself never sends.
 */
#include "iommufd_vsmmu_utils.h"

#define COUNTS_PAGE		6

/* Where the page tables are measured */
#define COUNTS_IOVA		BIT_ULL(30)
#define COUNTS_SIZE		(64UL << 20)

FIXTURE(counts)
{
	struct vm vm;
	u32 parent_id[VM_MAX_SEATS];
	unsigned int nr_parents;
};

FIXTURE_VARIANT(counts)
{
	const char *name;
	struct vm_layout layout;
	bool private_parents;
};

#define COUNTS_VARIANT(_name, ...)                                              \
	FIXTURE_VARIANT_ADD(counts, _name)                                      \
	{                                                                       \
		.name = #_name,                                                 \
		.layout = VM_LAYOUT(__VA_ARGS__),                               \
	}
/* An S2 parent for each device, even if one would do */
#define COUNTS_VARIANT_PRIVATE(_name, ...)                                      \
	FIXTURE_VARIANT_ADD(counts, _name)                                      \
	{                                                                       \
		.name = #_name,                                                 \
		.layout = VM_LAYOUT(__VA_ARGS__),                               \
		.private_parents = true,                                        \
	}

/* A device behind each vSMMU, or attached to the S2 parent itself */
COUNTS_VARIANT(one_smmu_direct, SEAT(0, DIRECT));
COUNTS_VARIANT(two_smmus_direct, SEAT(0, DIRECT), SEAT(1, DIRECT));
COUNTS_VARIANT(three_smmus_direct, SEAT(0, DIRECT), SEAT(1, DIRECT), SEAT(2, DIRECT));
COUNTS_VARIANT(one_smmu_one_vsmmu, SEAT(0, NESTED));
COUNTS_VARIANT(one_smmu_two_vsmmus, SEAT(0, NESTED), SEAT(0, NESTED, .vsmmu = 1));
COUNTS_VARIANT(one_smmu_four_vsmmus, FOUR_VSMMUS(0, 0));
COUNTS_VARIANT_PRIVATE(one_smmu_four_vsmmus_four_parents, FOUR_VSMMUS(0, 0));
COUNTS_VARIANT(two_smmus_one_vsmmu_each, SEAT(0, NESTED), SEAT(1, NESTED, .vsmmu = 1));
COUNTS_VARIANT(three_smmus_one_vsmmu_each, SEAT(0, NESTED), SEAT(1, NESTED, .vsmmu = 1),
	       SEAT(2, NESTED, .vsmmu = 2));
COUNTS_VARIANT(two_smmus_four_vsmmus_each, FOUR_VSMMUS(0, 0), FOUR_VSMMUS(1, 4));
COUNTS_VARIANT_PRIVATE(two_smmus_four_vsmmus_each_eight_parents, FOUR_VSMMUS(0, 0),
		       FOUR_VSMMUS(1, 4));

FIXTURE_SETUP(counts)
{
	vm_init(_metadata, &self->vm, &variant->layout);
	self->parent_id[0] = self->vm.parent_id;
	self->nr_parents = 1;
}

FIXTURE_TEARDOWN(counts)
{
	vm_cleanup(&self->vm);
}

static void send_marker(struct __test_metadata *_metadata, struct vm *self, u32 viommu_id)
{
	test_cmd_vsmmu_cmd(viommu_id, cmd_nh_vaa(0, vm_iova(COUNTS_PAGE)));
}

TEST_F(counts, unmap)
{
	struct vm *vm = &self->vm;
	unsigned int i;
	u32 marker_id;

	for (i = 0; i < vm->nr_seats; i++)
		vm_attach_to_any(_metadata, vm, &vm->seat[i], vm->ioas_id, self->parent_id,
				 &self->nr_parents,
				 /* The first parent came with the VM */
				 variant->private_parents && i ? self->nr_parents : 0);

	/* Of a vSMMU without devices, so that no array has an entry for it */
	if (vm_alloc_vsmmu(vm, &vm->seat[0], self->parent_id[0], &marker_id)) {
		ASSERT_EQ(EOPNOTSUPP, errno);
		SKIP(return, "no vSMMU to be had to send a marker with");
	}
	send_marker(_metadata, vm, marker_id);
	vm_unmap(_metadata, vm, COUNTS_PAGE, 1);
	send_marker(_metadata, vm, marker_id);
	ksft_print_msg("counts: unmap %s parents %u\n", variant->name,
		       self->nr_parents);
}

TEST_F(counts, map)
{
	struct iommu_option no_huge_pages = {
		.size = sizeof(no_huge_pages),
		.option_id = IOMMU_OPTION_HUGE_PAGES,
		.op = IOMMU_OPTION_OP_SET,
	};
	struct vm *vm = &self->vm;
	unsigned int nr_parents = 0, i, j;
	u32 parent_id[VM_MAX_SEATS], id;
	long pages, pinned;
	u32 ioas_id;
	__u64 iova = COUNTS_IOVA;
	void *mem;

	mem = mmap(NULL, COUNTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(vm->fd, &ioas_id));
	no_huge_pages.object_id = ioas_id;
	ASSERT_EQ(0, ioctl(vm->fd, IOMMU_OPTION, &no_huge_pages));
	pages = nr_iommu_pages(_metadata);
	pinned = read_number(_metadata, "/proc/self/status", "VmPin:");

	/* Whether an SMMU takes a parent shows with a vSMMU, nested or not */
	for (i = 0; i < vm->nr_seats; i++) {
		struct seat *seat = &vm->seat[i];
		int ret = -1;

		j = variant->private_parents ? nr_parents : 0;
		for (; j < nr_parents && ret; j++) {
			ret = vm_alloc_vsmmu(vm, seat, parent_id[j], &id);
			if (ret && errno == EOPNOTSUPP)
				SKIP(return, "no vSMMU to be had");
			ASSERT_TRUE(!ret || errno == EINVAL);
		}
		if (ret)
			ASSERT_EQ(0, _test_cmd_hwpt_alloc(vm->fd, seat->dev_id, ioas_id, 0,
							  IOMMU_HWPT_ALLOC_NEST_PARENT,
							  &parent_id[nr_parents++],
							  IOMMU_HWPT_DATA_NONE, NULL, 0));
	}
	ASSERT_EQ(0, _test_ioctl_ioas_map(vm->fd, ioas_id, mem, COUNTS_SIZE, &iova,
					  IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE |
					  IOMMU_IOAS_MAP_FIXED_IOVA));
	pages = nr_iommu_pages(_metadata) - pages;
	pinned = read_number(_metadata, "/proc/self/status", "VmPin:") - pinned;
	ksft_print_msg("counts: map %s parents %u pages %ld pinned %ld\n",
		       variant->name, nr_parents, pages, pinned);
}

int main(int argc, char *argv[])
{
	return vm_main(argc, argv);
}
