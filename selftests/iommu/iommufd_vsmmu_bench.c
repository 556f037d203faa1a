// SPDX-License-Identifier: GPL-2.0-only
/*
 * What iommufd and VFIO ioctls cost a VMM, in instructions of the CPU: not a test.
 * And the time that threads take which unmap in one domain, where nobody counts
 * instructions.
 *
 * Nothing but the ioctl is between two reads of the counter, and the least of
 * BENCH_ROUNDS tries counts.
 *
 * Each unmap and each detach is done once more between two CMD_TLBI_NH_VAA, which
 * Linux itself never sends, so that its commands can be found in a trace of the SMMU.
 */
#include <linux/sizes.h>

#include "iommufd_vsmmu_utils.h"
#include "instructions.h"

#define BENCH_ROUNDS		32

#define BENCH_IOVA		(4ULL << 30)

/* Mapped in 4K pages to see what the page tables take */
#define BENCH_TABLES_SIZE	(64UL << 20)

/**
 * enum bench_use - What the devices of a layout are attached to
 * @BENCH_NOBODY_S1: there is an S1 domain, nobody is attached to it
 * @BENCH_NOBODY: there are S2 parents, nobody is attached to them
 * @BENCH_PAGING: only the last one, to what its SMMU takes for an ordinary domain: S1,
 *	if it has stage 1
 * @BENCH_SHARED: S2 parents, as few as the kernel accepts
 * @BENCH_PRIVATE: S2 parents, one for each device
 */
enum bench_use {
	BENCH_NOBODY_S1,
	BENCH_NOBODY,
	BENCH_PAGING,
	BENCH_SHARED,
	BENCH_PRIVATE,
};

/**
 * struct bench - A VM and what is measured in it
 * @vm: the VM
 * @name: of the layout
 * @ioas_id: what is mapped and unmapped
 * @marker_id: a vSMMU without devices, in no array
 * @last: the last device
 * @last_pt_id: what it is attached to, or what is allocated on @ioas_id
 * @other_id: a domain of another IOAS that @last can be attached to
 * @nr_pages: of page tables before there was a domain for @ioas_id
 * @nr_shifts: how often shift_caches() was called
 */
struct bench {
	struct vm vm;
	const char *name;
	u32 ioas_id;
	u32 marker_id;
	struct seat *last;
	u32 last_pt_id;
	u32 other_id;
	long nr_pages;
	unsigned int nr_shifts;
};

FIXTURE(bench)
{
	struct bench bench;
};

FIXTURE_VARIANT(bench)
{
	const char *name;
	enum bench_use use;
	unsigned int nr_idle_parents;
	struct vm_layout layout;
};

#define BENCH_VARIANT(_name, _use, ...)                                         \
	FIXTURE_VARIANT_ADD(bench, _name)                                       \
	{                                                                       \
		.name = #_name,                                                 \
		.use = BENCH_##_use,                                            \
		.layout = VM_LAYOUT(__VA_ARGS__),                               \
	}

#define BENCH_SIXTEEN_VSMMUS(_smmu)                                             \
	FOUR_VSMMUS(_smmu, 0), FOUR_VSMMUS(_smmu, 4),                           \
	FOUR_VSMMUS(_smmu, 8), FOUR_VSMMUS(_smmu, 12)

#define BENCH_VARIANT_NOBODY(_nr)                                               \
	FIXTURE_VARIANT_ADD(bench, nobody_s2_##_nr)                             \
	{                                                                       \
		.name = "nobody_s2_" #_nr,                                      \
		.use = BENCH_NOBODY,                                            \
		.nr_idle_parents = _nr,                                         \
		.layout = VM_LAYOUT(SEAT(0, IDLE)),                             \
	}

BENCH_VARIANT(nobody_s1, NOBODY_S1, SEAT(0, IDLE));
BENCH_VARIANT_NOBODY(1);
BENCH_VARIANT_NOBODY(2);
BENCH_VARIANT_NOBODY(4);
BENCH_VARIANT_NOBODY(8);
BENCH_VARIANT_NOBODY(16);
BENCH_VARIANT(one_smmu_s1, PAGING, SEAT(0, IDLE));
/* The last SMMU of the machine has no stage 1 */
BENCH_VARIANT(one_smmu_s2, PAGING, SEAT(0, IDLE), SEAT(1, IDLE), SEAT(2, IDLE), SEAT(3, IDLE),
	      SEAT(4, IDLE), SEAT(5, IDLE), SEAT(6, IDLE), SEAT(7, IDLE), SEAT(8, IDLE));
BENCH_VARIANT(one_smmu_direct, SHARED, SEAT(0, DIRECT));
BENCH_VARIANT(two_smmus_direct, SHARED, SEAT(0, DIRECT), SEAT(1, DIRECT));
BENCH_VARIANT(three_smmus_direct, SHARED, SEAT(0, DIRECT), SEAT(1, DIRECT), SEAT(2, DIRECT));
BENCH_VARIANT(eight_smmus_direct, SHARED, SEAT(0, DIRECT), SEAT(1, DIRECT), SEAT(2, DIRECT),
	      SEAT(3, DIRECT), SEAT(4, DIRECT), SEAT(5, DIRECT), SEAT(6, DIRECT), SEAT(7, DIRECT));
BENCH_VARIANT(one_smmu_one_vsmmu, SHARED, SEAT(0, NESTED));
BENCH_VARIANT(one_smmu_four_vsmmus, SHARED, FOUR_VSMMUS(0, 0));
BENCH_VARIANT(one_smmu_four_vsmmus_four_parents, PRIVATE, FOUR_VSMMUS(0, 0));
BENCH_VARIANT(one_smmu_sixteen_vsmmus, SHARED, BENCH_SIXTEEN_VSMMUS(0));
BENCH_VARIANT(one_smmu_sixteen_vsmmus_sixteen_parents, PRIVATE, BENCH_SIXTEEN_VSMMUS(0));
BENCH_VARIANT(two_smmus_four_vsmmus_each, SHARED, FOUR_VSMMUS(0, 0), FOUR_VSMMUS(1, 4));
BENCH_VARIANT(two_smmus_four_vsmmus_each_eight_parents, PRIVATE, FOUR_VSMMUS(0, 0),
	      FOUR_VSMMUS(1, 4));
BENCH_VARIANT(eight_smmus_one_vsmmu_each, SHARED, SEAT(0, NESTED), SEAT(1, NESTED, .vsmmu = 1),
	      SEAT(2, NESTED, .vsmmu = 2), SEAT(3, NESTED, .vsmmu = 3),
	      SEAT(4, NESTED, .vsmmu = 4), SEAT(5, NESTED, .vsmmu = 5),
	      SEAT(6, NESTED, .vsmmu = 6), SEAT(7, NESTED, .vsmmu = 7));

FIXTURE_SETUP(bench)
{
	struct bench *bench = &self->bench;
	u32 hwpt_id[VM_MAX_SEATS], flags;
	unsigned int nr_hwpts = 0, i;
	struct vm *vm = &bench->vm;

	if (!counts_instructions())
		SKIP(return, "the virtual counter does not count instructions (QEMU -icount)");
	vm_init(_metadata, vm, &variant->layout);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	bench->name = variant->name;
	ASSERT_EQ(0, vm_alloc_vsmmu(vm, &vm->seat[0], vm->parent_id, &bench->marker_id));
	bench->last = &vm->seat[vm->nr_seats - 1];
	ASSERT_EQ(0, _test_cmd_hwpt_alloc(vm->fd, bench->last->dev_id, vm->ioas_id, 0, 0,
					  &bench->other_id, IOMMU_HWPT_DATA_NONE, NULL, 0));
	/* What is measured has an IOAS of its own */
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(vm->fd, &bench->ioas_id));
	bench->nr_pages = nr_iommu_pages(_metadata);
	if (variant->use < BENCH_SHARED) {
		flags = variant->use == BENCH_NOBODY ? IOMMU_HWPT_ALLOC_NEST_PARENT : 0;
		do {
			ASSERT_EQ(0, _test_cmd_hwpt_alloc(vm->fd, bench->last->dev_id,
							  bench->ioas_id, 0, flags,
							  &bench->last_pt_id,
							  IOMMU_HWPT_DATA_NONE, NULL, 0));
		} while (++nr_hwpts < variant->nr_idle_parents);
		if (variant->use == BENCH_PAGING)
			test_cmd_vfio_attach(bench->last->dev, bench->last_pt_id);
	}
	for (i = 0; i < vm->nr_seats && variant->use >= BENCH_SHARED; i++)
		vm_attach_to_any(_metadata, vm, &vm->seat[i], bench->ioas_id, hwpt_id, &nr_hwpts,
				 variant->use == BENCH_PRIVATE ? nr_hwpts : 0);
	if (variant->use >= BENCH_SHARED)
		bench->last_pt_id = bench->last->vsmmu ? bench->last->hwpt_id : vm->parent_id;
	ksft_print_msg("bench: parents %s %u\n", bench->name, nr_hwpts);
}

FIXTURE_TEARDOWN(bench)
{
	if (self->bench.vm.iommu)
		vm_cleanup(&self->bench.vm);
}

/* The number of instructions of a system call that has to succeed, less our own */
#define BENCH_IOCTL(_least, ...)                                                \
	do {                                                                    \
		__u64 __start = instructions();                                  \
		int __ret = ioctl(__VA_ARGS__);                                 \
									\
		least_add(_least, instructions() - __start - INSTRUCTIONS_EMPTY); \
		ASSERT_EQ(0, __ret);                                            \
	} while (0)

static void bench_print(const struct bench *bench, const char *what,
			const struct least *least)
{
	ksft_print_msg("bench: value %s %s %llu seen %u\n", bench->name, what,
		       (unsigned long long)least->val, least->seen);
}

static void send_marker(struct __test_metadata *_metadata, struct vm *self, u32 viommu_id)
{
	test_cmd_vsmmu_cmd(viommu_id, cmd_nh_vaa(0, 0));
}

static void *bench_mmap(struct __test_metadata *_metadata, size_t size, int flags)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE | flags, -1, 0);

	ASSERT_NE(MAP_FAILED, mem)
	{
		TH_LOG("no huge page of %zu bytes: %s", size, strerror(errno));
	}
	return mem;
}

/*
 * Leave a few objects of each kind allocated. Where the allocator's caches run empty
 * is chance; with this it does not happen in the same place in every round.
 */
static void shift_caches(struct __test_metadata *_metadata, struct bench *bench)
{
	struct vm *self = &bench->vm;
	u32 id;

	test_ioctl_ioas_map_fixed(vm_page(self, 0), GUEST_PAGE_SIZE,
				  BENCH_IOVA + bench->nr_shifts * GUEST_PAGE_SIZE);
	if (bench->nr_shifts++ % 4 == 0)
		ASSERT_EQ(0, _test_cmd_hwpt_alloc(self->fd, bench->last->dev_id, self->ioas_id, 0,
						  0, &id, IOMMU_HWPT_DATA_NONE, NULL, 0));
}

#define BENCH_HUGE(_size)	(MAP_HUGETLB | __builtin_ctzl(_size) << MAP_HUGE_SHIFT)

struct bench_size {
	const char *name;
	size_t size;
	int mmap_flags;
	/* Of 4K, whatever the memory is like */
	bool pages;
	/* Takes so long that no try is without an interrupt */
	int rounds;
};

static const struct bench_size bench_sizes[] = {
	{ "4K", SZ_4K },
	{ "2M", SZ_2M, BENCH_HUGE(SZ_2M) },
	{ "2M_of_4K", SZ_2M, BENCH_HUGE(SZ_2M), .pages = true },
	{ "1G", SZ_1G, BENCH_HUGE(SZ_1G), .rounds = 3 },
};

static void set_huge_pages(struct __test_metadata *_metadata, int fd, u32 ioas_id, bool on)
{
	struct iommu_option huge_pages = {
		.size = sizeof(huge_pages),
		.option_id = IOMMU_OPTION_HUGE_PAGES,
		.op = IOMMU_OPTION_OP_SET,
		.object_id = ioas_id,
		.val64 = on,
	};

	ASSERT_EQ(0, ioctl(fd, IOMMU_OPTION, &huge_pages));
}

static void measure_size(struct __test_metadata *_metadata, struct bench *bench,
			 const struct bench_size *size)
{
	void *mem = bench_mmap(_metadata, size->size, size->mmap_flags);
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = bench->ioas_id,
		.user_va = (uintptr_t)mem,
		.length = size->size,
		/* Not where a table of another size was */
		.iova = BENCH_IOVA + (size - bench_sizes) * SZ_1G,
	};
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = bench->ioas_id,
		.iova = map.iova,
	};
	struct least least_map = {}, least_unmap = {};
	char what[32];
	int i;

	set_huge_pages(_metadata, bench->vm.fd, bench->ioas_id, !size->pages);
	for (i = 0; i < (size->rounds ?: BENCH_ROUNDS); i++) {
		BENCH_IOCTL(&least_map, bench->vm.fd, IOMMU_IOAS_MAP, &map);
		unmap.length = size->size;
		BENCH_IOCTL(&least_unmap, bench->vm.fd, IOMMU_IOAS_UNMAP, &unmap);
		shift_caches(_metadata, bench);
	}
	ASSERT_EQ(0, ioctl(bench->vm.fd, IOMMU_IOAS_MAP, &map));
	send_marker(_metadata, &bench->vm, bench->marker_id);
	unmap.length = size->size;
	ASSERT_EQ(0, ioctl(bench->vm.fd, IOMMU_IOAS_UNMAP, &unmap));
	send_marker(_metadata, &bench->vm, bench->marker_id);
	munmap(mem, size->size);

	snprintf(what, sizeof(what), "map_%s", size->name);
	bench_print(bench, what, &least_map);
	snprintf(what, sizeof(what), "unmap_%s", size->name);
	bench_print(bench, what, &least_unmap);
	ksft_print_msg("bench: commands %s %s\n", bench->name, what);
}

TEST_F(bench, map_unmap)
{
	bool sizes = self->bench.vm.nr_seats == 1;
	unsigned int i;

	for (i = 0; i < (sizes ? ARRAY_SIZE(bench_sizes) : 1); i++)
		measure_size(_metadata, &self->bench, &bench_sizes[i]);
}

/* Of all S2 parents together */
TEST_F(bench, page_tables)
{
	struct bench *bench = &self->bench;
	__u64 iova = BENCH_IOVA;
	void *mem;

	if (variant->use != BENCH_SHARED || bench->last->vsmmu)
		return;
	mem = bench_mmap(_metadata, BENCH_TABLES_SIZE, 0);
	set_huge_pages(_metadata, bench->vm.fd, bench->ioas_id, false);
	ASSERT_EQ(0, _test_ioctl_ioas_map(bench->vm.fd, bench->ioas_id, mem, BENCH_TABLES_SIZE,
					  &iova,
					  IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE |
						  IOMMU_IOAS_MAP_FIXED_IOVA));
	ksft_print_msg("bench: value %s page_tables %ld\n", bench->name,
		       (nr_iommu_pages(_metadata) - bench->nr_pages) * PAGE_SIZE);
}

/* Of the last device, from and to nothing and from and to another domain */
TEST_F(bench, attach_detach)
{
	struct bench *bench = &self->bench;
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = bench->last_pt_id,
	};
	struct vfio_device_attach_iommufd_pt other = {
		.argsz = sizeof(other),
		.pt_id = bench->other_id,
	};
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};
	struct least least_attach = {}, least_detach = {}, least_leave = {}, least_enter = {};
	int fd = bench->last->dev->vfio->fd;
	int i;

	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	for (i = 0; i < BENCH_ROUNDS; i++) {
		BENCH_IOCTL(&least_attach, fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
		BENCH_IOCTL(&least_detach, fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
		shift_caches(_metadata, bench);
	}
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
	for (i = 0; i < BENCH_ROUNDS; i++) {
		BENCH_IOCTL(&least_leave, fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &other);
		BENCH_IOCTL(&least_enter, fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
		shift_caches(_metadata, bench);
	}
	send_marker(_metadata, &bench->vm, bench->marker_id);
	ASSERT_EQ(0, ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	send_marker(_metadata, &bench->vm, bench->marker_id);
	bench_print(bench, "attach", &least_attach);
	bench_print(bench, "detach", &least_detach);
	bench_print(bench, "replace_from", &least_leave);
	bench_print(bench, "replace_to", &least_enter);
	ksft_print_msg("bench: commands %s detach\n", bench->name);
}

#define THREADS_MAX		4
#define THREADS_UNMAPS		500
#define THREADS_ROUNDS		5

FIXTURE(threads)
{
	struct vm vm;
};

FIXTURE_VARIANT(threads)
{
	const char *name;
	u32 flags;
};

FIXTURE_VARIANT_ADD(threads, s1)
{
	.name = "s1",
};

FIXTURE_VARIANT_ADD(threads, direct)
{
	.name = "direct",
	.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
};

FIXTURE_SETUP(threads)
{
	struct vm_layout layout = VM_LAYOUT(SEAT(0, IDLE));
	u32 id;

	vm_init(_metadata, &self->vm, &layout);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	ASSERT_EQ(0, _test_cmd_hwpt_alloc(self->vm.fd, self->vm.seat[0].dev_id, self->vm.ioas_id, 0,
					  variant->flags, &id, IOMMU_HWPT_DATA_NONE, NULL, 0));
	test_cmd_vfio_attach(self->vm.seat[0].dev, id);
}

FIXTURE_TEARDOWN(threads)
{
	if (self->vm.iommu)
		vm_cleanup(&self->vm);
}

/**
 * struct unmapper - A thread that unmaps pages of its own in a domain that others use
 * @thread: the thread
 * @vm: the VM
 * @iova: of the first page
 * @begin: all have mapped theirs
 * @end: all are done
 * @from: when it began to unmap
 * @to: when it was done
 * @ret: not 0 if a call has failed
 */
struct unmapper {
	pthread_t thread;
	struct vm *vm;
	u64 iova;
	pthread_barrier_t *begin;
	pthread_barrier_t *end;
	u64 from;
	u64 to;
	int ret;
};

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

static void *unmapper_main(void *arg)
{
	struct unmapper *me = arg;
	int i, j;

	for (i = 0; i < THREADS_ROUNDS; i++) {
		for (j = 0; j < THREADS_UNMAPS; j++) {
			__u64 iova = me->iova + j * GUEST_PAGE_SIZE;

			me->ret |= _test_ioctl_ioas_map(me->vm->fd, me->vm->ioas_id,
							vm_page(me->vm, 0), GUEST_PAGE_SIZE, &iova,
							IOMMU_IOAS_MAP_READABLE |
								IOMMU_IOAS_MAP_FIXED_IOVA);
		}
		pthread_barrier_wait(me->begin);
		me->from = now_us();
		for (j = 0; j < THREADS_UNMAPS; j++)
			me->ret |= _test_ioctl_ioas_unmap(me->vm->fd, me->vm->ioas_id,
							  me->iova + j * GUEST_PAGE_SIZE,
							  GUEST_PAGE_SIZE, NULL);
		me->to = now_us();
		pthread_barrier_wait(me->end);
	}
	return NULL;
}

static void measure_threads(struct __test_metadata *_metadata, struct vm *vm, const char *name,
			    unsigned int nr)
{
	struct unmapper unmapper[THREADS_MAX];
	pthread_barrier_t begin, end;
	struct least least = {};
	unsigned int i, j;
	u64 from, to;

	pthread_barrier_init(&begin, NULL, nr + 1);
	pthread_barrier_init(&end, NULL, nr + 1);
	for (i = 0; i < nr; i++) {
		unmapper[i] = (struct unmapper){
			.vm = vm,
			.iova = BENCH_IOVA + i * SZ_1G,
			.begin = &begin,
			.end = &end,
		};
		ASSERT_EQ(0, pthread_create(&unmapper[i].thread, NULL, unmapper_main,
					    &unmapper[i]));
	}
	for (i = 0; i < THREADS_ROUNDS; i++) {
		pthread_barrier_wait(&begin);
		pthread_barrier_wait(&end);
		from = unmapper[0].from;
		to = unmapper[0].to;
		for (j = 1; j < nr; j++) {
			from = min(from, unmapper[j].from);
			to = max(to, unmapper[j].to);
		}
		least_add(&least, to - from);
	}
	for (i = 0; i < nr; i++) {
		pthread_join(unmapper[i].thread, NULL);
		ASSERT_EQ(0, unmapper[i].ret);
	}
	ksft_print_msg("bench: value threads_%u_%s unmap_4K-ns %llu seen %u\n", nr, name,
		       (unsigned long long)(least.val * 1000 / (nr * THREADS_UNMAPS)), least.seen);
}

TEST_F_TIMEOUT(threads, unmap, 300)
{
	unsigned int nr;

	for (nr = 1; nr <= THREADS_MAX; nr *= 2)
		measure_threads(_metadata, &self->vm, variant->name, nr);
}

int main(int argc, char *argv[])
{
	return vm_main(argc, argv);
}
