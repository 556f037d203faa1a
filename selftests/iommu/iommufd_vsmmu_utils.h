/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VMM with the least a vSMMU needs: the ioctl helpers that iommufd_utils.h does
 * not have, and struct vm, which owns memory, devices and iommufd objects.
 *
 * The VM's memory as the test lays it out (all addresses differ on purpose):
 *
 *	tables	what the guests write for their vSMMU
 *	pages	VM_NR_PAGES pages, each mapped into the IOAS on its own: page 0, 1, ..
 *	block	GUEST_BLOCK_SIZE bytes: pages VM_BLOCK_PAGE, ..; a test maps it if it
 *		wants it
 *	driver	what the device drivers in this program need, per device
 *
 * "Page" in the tests is such a number. vm_ipa() is its address behind stage 2
 * and vm_iova() what a guest maps to it unless the test does something else. It has
 * the size of the kernel's pages; of bigger ones devices use what a guest's page, of
 * 4K, covers.
 */
#ifndef __SELFTEST_IOMMUFD_VSMMU_UTILS
#define __SELFTEST_IOMMUFD_VSMMU_UTILS

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <libvfio.h>

/* iommufd_utils.h has its own */
#undef BITS_PER_LONG
#include "iommufd_utils.h"
#include "dma_device.h"
#include "smmuv3_guest.h"

#define VM_NR_PAGES		16
#define VM_BLOCK_PAGE		VM_NR_PAGES
#define VM_BLOCK_NR_PAGES	(GUEST_BLOCK_SIZE / PAGE_SIZE)
#define VM_TOTAL_PAGES		(VM_NR_PAGES + VM_BLOCK_NR_PAGES)

#define VM_TABLES_IPA		0x0540000000ULL
#define VM_TABLES_SIZE		(2UL << 20)
#define VM_DRIVER_IPA		0x0680000000ULL
#define VM_PAGES_IPA		0x0712340000ULL
#define VM_BLOCK_IPA		0x0823400000ULL
#define VM_PAGES_IOVA		0x1956780000ULL
#define VM_BLOCK_IOVA		0x2a67800000ULL

#define VM_MAX_PAGE_SIZE	(64UL << 10)
#define VM_MAX_SEATS		16

/* All guests use the same ASID: that must not matter */
#define VM_ASID			7

/* Where in its page a write goes: not at the start, so that a lost offset shows */
#define VM_DMA_OFFSET		0x340

/* Results of vm_dma() besides a page number */
#define DMA_FAULT		-1
#define DMA_LOST		-2
#define DMA_TORN		-3

/**
 * enum seat_mode - How a device uses the nest parent
 * @SEAT_DIRECT: attached to it; the device's IOVA is the IPA
 * @SEAT_NESTED: attached to a nested HWPT of a vSMMU on it
 * @SEAT_IDLE: not at all, the device stays attached to the IOAS
 */
enum seat_mode {
	SEAT_DIRECT,
	SEAT_NESTED,
	SEAT_IDLE,
};

/**
 * struct seat_layout - Where a device sits, as a test asks for it
 * @smmu: which SMMU: equal numbers mean the same one
 * @mode: how it uses the nest parent
 * @vsmmu: which vSMMU, if SEAT_NESTED
 * @kind: which kind of device
 */
struct seat_layout {
	unsigned int smmu;
	enum seat_mode mode;
	unsigned int vsmmu;
	enum dma_kind kind;
};

/**
 * struct vm_layout - Everything a test asks for
 * @nr_seats: entries in @seat
 * @seat: the devices
 */
struct vm_layout {
	unsigned int nr_seats;
	struct seat_layout seat[VM_MAX_SEATS];
};

/**
 * SEAT() - One seat, for VM_LAYOUT()
 * @_smmu: which SMMU
 * @_mode: enum seat_mode without SEAT_
 * @...: other fields of struct seat_layout, if not 0
 */
#define SEAT(_smmu, _mode, ...) \
	((struct seat_layout){ .smmu = (_smmu), .mode = SEAT_##_mode, ##__VA_ARGS__ })

/**
 * FOUR_VSMMUS() - Four seats, for VM_LAYOUT(), each with a vSMMU of its own
 * @_smmu: the SMMU of all
 * @_first: number of the first vSMMU
 */
#define FOUR_VSMMUS(_smmu, _first)                                              \
	SEAT(_smmu, NESTED, .vsmmu = (_first)),                                 \
	SEAT(_smmu, NESTED, .vsmmu = (_first) + 1),                             \
	SEAT(_smmu, NESTED, .vsmmu = (_first) + 2),                             \
	SEAT(_smmu, NESTED, .vsmmu = (_first) + 3)

/**
 * VM_LAYOUT() - Initializer of a struct vm_layout
 * @...: one SEAT() for each device
 */
#define VM_LAYOUT(...)                                                          \
	{                                                                       \
		.nr_seats = ARRAY_SIZE(((struct seat_layout[]){ __VA_ARGS__ })), \
		.seat = { __VA_ARGS__ },                                        \
	}

/**
 * struct vsmmu - A vSMMU and the guest behind it
 * @id: vIOMMU, 0 if there is none
 * @s1: the address space that @cd points to
 * @cd: context descriptor that all its devices share
 * @nr_devs: devices with a vDEVICE
 */
struct vsmmu {
	u32 id;
	struct guest_s1 s1;
	struct guest_cd *cd;
	unsigned int nr_devs;
};

/**
 * struct seat - A device in its place
 * @layout: what was asked for
 * @dev: the device
 * @vsmmu: its vSMMU, NULL unless SEAT_NESTED
 * @dev_id: device in the iommufd
 * @vsid: its stream ID in the guest
 * @vdev_id: vDEVICE, if SEAT_NESTED
 * @hwpt_id: nested HWPT, if SEAT_NESTED
 */
struct seat {
	struct seat_layout layout;
	struct dma_device *dev;
	struct vsmmu *vsmmu;
	u32 dev_id;
	u32 vsid;
	u32 vdev_id;
	u32 hwpt_id;
};

/**
 * struct vm - The VM; vm_init() makes it, vm_cleanup() frees what it holds
 * @fd: iommufd, named as the iommufd_utils.h macros want it
 * @ioas_id: the memory of the VM
 * @parent_id: nest parent HWPT, made with the first device
 * @ips: output address size of the SMMU of the first device
 * @iommu: @fd and @ioas_id for libvfio
 * @ram: guest memory for tables
 * @pages: the numbered pages
 * @nr_pages: those that have ever been mapped are below this
 * @driver: memory for device drivers
 * @vsmmu: the vSMMUs
 * @nr_seats: entries in @seat
 * @seat: the devices
 */
struct vm {
	int fd;
	u32 ioas_id;
	u32 parent_id;
	unsigned int ips;
	struct iommu *iommu;
	struct guest_ram ram;
	void *pages;
	int nr_pages;
	struct dma_region driver[VM_MAX_SEATS];
	struct vsmmu vsmmu[VM_MAX_SEATS];
	unsigned int nr_seats;
	struct seat seat[VM_MAX_SEATS];
};

/**
 * _test_cmd_vfio_attach() - Attach a device, or replace what it is attached to
 * @dev: the device, open
 * @pt_id: IOAS or HWPT
 *
 * Return: 0 or -1 with errno.
 */
static int _test_cmd_vfio_attach(struct dma_device *dev, u32 pt_id)
{
	struct vfio_device_attach_iommufd_pt cmd = {
		.argsz = sizeof(cmd),
		.pt_id = pt_id,
	};

	return ioctl(dev->vfio->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

#define test_cmd_vfio_attach(dev, pt_id)                                      \
	({                                                                    \
		struct dma_device *__dev = (dev);                             \
									\
		ASSERT_EQ(0, _test_cmd_vfio_attach(__dev, pt_id))             \
		{                                                             \
			TH_LOG("attach %s behind %s: %s", __dev->bdf,         \
			       __dev->iommu_name, strerror(errno));           \
		}                                                             \
	})
#define test_err_vfio_attach(_errno, dev, pt_id) \
	EXPECT_ERRNO(_errno, _test_cmd_vfio_attach(dev, pt_id))

/**
 * _test_cmd_vfio_detach() - Detach a device
 * @dev: the device; nothing happens if it is attached to nothing
 *
 * Return: 0 or -1 with errno.
 */
static int _test_cmd_vfio_detach(struct dma_device *dev)
{
	struct vfio_device_detach_iommufd_pt cmd = {
		.argsz = sizeof(cmd),
	};

	return ioctl(dev->vfio->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd);
}

#define test_cmd_vfio_detach(dev) ASSERT_EQ(0, _test_cmd_vfio_detach(dev))

/**
 * _test_cmd_get_smmuv3_info() - Read the ID registers of a device's SMMU
 * @fd: iommufd
 * @dev_id: device in it
 * @info: filled
 *
 * Return: 0 or -1 with errno; EMEDIUMTYPE: the IOMMU is not an SMMUv3.
 */
static int _test_cmd_get_smmuv3_info(int fd, u32 dev_id, struct iommu_hw_info_arm_smmuv3 *info)
{
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = dev_id,
		.data_len = sizeof(*info),
		.data_uptr = (uintptr_t)info,
	};

	if (ioctl(fd, IOMMU_GET_HW_INFO, &cmd))
		return -1;
	if (cmd.out_data_type == IOMMU_HW_INFO_TYPE_ARM_SMMUV3)
		return 0;
	errno = EMEDIUMTYPE;
	return -1;
}

/**
 * _test_cmd_vsmmu_invalidate() - Have a vSMMU execute commands
 * @fd: iommufd
 * @viommu_id: the vSMMU
 * @cmds: commands; the kernel does not write to them
 * @nr: in: how many; out: how many the kernel says it has handled
 *
 * Return: 0 or -1 with errno.
 */
static int _test_cmd_vsmmu_invalidate(int fd, u32 viommu_id, struct smmuv3_cmd *cmds, u32 *nr)
{
	return _test_cmd_viommu_invalidate(fd, viommu_id, cmds,
					   IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
					   sizeof(*cmds), nr);
}

#define test_cmd_vsmmu_invalidate(viommu_id, cmds, nr) \
	ASSERT_EQ(0, _test_cmd_vsmmu_invalidate(self->fd, viommu_id, cmds, nr))
#define test_err_vsmmu_invalidate(_errno, viommu_id, cmds, nr) \
	EXPECT_ERRNO(_errno, _test_cmd_vsmmu_invalidate(self->fd, viommu_id, cmds, nr))

/* One command that has to work */
#define test_cmd_vsmmu_cmd(viommu_id, command)                                \
	({                                                                    \
		struct smmuv3_cmd __cmd = command;                                 \
		u32 __nr = 1;                                               \
									\
		test_cmd_vsmmu_invalidate(viommu_id, &__cmd, &__nr);          \
		ASSERT_EQ(1, __nr);                                           \
	})

/* One command that has to be refused */
#define test_err_vsmmu_cmd(_errno, viommu_id, command)                        \
	({                                                                    \
		struct smmuv3_cmd __cmd = command;                                 \
		u32 __nr = 1;                                               \
									\
		test_err_vsmmu_invalidate(_errno, viommu_id, &__cmd, &__nr);  \
		EXPECT_EQ(0, __nr);                                           \
	})

/**
 * vm_ipa() - Where a page is behind stage 2
 * @page: its number, below VM_TOTAL_PAGES
 *
 * Return: the IPA.
 */
static inline u64 vm_ipa(int page)
{
	if (page < VM_BLOCK_PAGE)
		return VM_PAGES_IPA + page * PAGE_SIZE;
	return VM_BLOCK_IPA + (page - VM_BLOCK_PAGE) * PAGE_SIZE;
}

/**
 * vm_iova() - Where a page is behind both stages, see vm_s1_init()
 * @page: its number, below VM_TOTAL_PAGES
 *
 * Return: the IOVA.
 */
static inline u64 vm_iova(int page)
{
	if (page < VM_BLOCK_PAGE)
		return VM_PAGES_IOVA + page * PAGE_SIZE;
	return VM_BLOCK_IOVA + (page - VM_BLOCK_PAGE) * PAGE_SIZE;
}

/**
 * seat_iova() - What a device has to use to reach a page
 * @seat: the device; its mode counts, not whether it is attached
 * @page: number of the page, below VM_TOTAL_PAGES
 *
 * Return: the IOVA.
 */
static inline u64 seat_iova(const struct seat *seat, int page)
{
	return seat->layout.mode == SEAT_NESTED ? vm_iova(page) : vm_ipa(page);
}

/**
 * vm_page() - Where the test sees the memory of a page
 * @vm: the VM
 * @page: its number, below VM_TOTAL_PAGES
 *
 * Return: the address; vm_cleanup() does not unmap it.
 */
static inline void *vm_page(const struct vm *vm, int page)
{
	return vm->pages + page * PAGE_SIZE;
}

/**
 * vm_map() - Map numbered pages into the IOAS
 * @_metadata: the running test
 * @self: the VM
 * @page: the number whose IPA is to be used
 * @to: the number whose memory is to be used
 * @nr: how many; they become one area, so unmap as many in one go
 */
static void vm_map(struct __test_metadata *_metadata, struct vm *self, int page, int to, int nr)
{
	test_ioctl_ioas_map_fixed(vm_page(self, to), nr * PAGE_SIZE, vm_ipa(page));
	if (self->nr_pages < to + nr)
		self->nr_pages = to + nr;
}

/**
 * vm_unmap() - Unmap what one vm_map() has mapped
 * @_metadata: the running test
 * @self: the VM
 * @page: as for vm_map()
 * @nr: as for vm_map()
 *
 * The memory stays, so that the test can see who writes to it.
 */
static void vm_unmap(struct __test_metadata *_metadata, struct vm *self, int page, int nr)
{
	test_ioctl_ioas_unmap(vm_ipa(page), nr * PAGE_SIZE);
}

/**
 * vm_where() - Find out what came of a write of DMA_PATTERN
 * @vm: the VM
 * @ret: not 0: the device saw a fault
 * @reports_faults: the device sees every fault
 *
 * Afterwards the numbered pages are all zero again.
 *
 * Return: the number of the one page that has the whole pattern at the right
 * place and nothing else; DMA_FAULT if no byte changed and the device, if it can
 * tell, saw a fault; DMA_LOST if no byte changed but the device saw no fault;
 * DMA_TORN for anything else.
 */
static int vm_where(struct vm *vm, int ret, bool reports_faults)
{
	static const char zero[VM_MAX_PAGE_SIZE];
	static u32 expected[VM_MAX_PAGE_SIZE / sizeof(u32)];
	int result = DMA_LOST;
	int page;
	size_t i;

	for (i = 0; i < DMA_WRITE_SIZE / sizeof(u32); i++)
		expected[VM_DMA_OFFSET / sizeof(u32) + i] = htole32(DMA_PATTERN);

	for (page = 0; page < vm->nr_pages; page++) {
		if (!memcmp(vm_page(vm, page), zero, PAGE_SIZE))
			continue;
		if (result == DMA_LOST && !ret &&
		    !memcmp(vm_page(vm, page), expected, PAGE_SIZE))
			result = page;
		else
			result = DMA_TORN;
		memset(vm_page(vm, page), 0, PAGE_SIZE);
	}
	if (result == DMA_LOST && (ret || !reports_faults))
		result = DMA_FAULT;
	return result;
}

/**
 * vm_dma() - Let a device write and find out what came of it
 * @vm: the VM
 * @seat: the device
 * @iova: address of a page; the write is VM_DMA_OFFSET into it
 *
 * Return: as vm_where() says.
 */
static int vm_dma(struct vm *vm, struct seat *seat, u64 iova)
{
	int ret = dma_device_write(seat->dev, iova + VM_DMA_OFFSET);

	return vm_where(vm, ret, dma_device_reports_faults(seat->dev));
}

/**
 * vm_dma_str() - Say what came of a DMA
 * @buf: for the text, if @result is a page
 * @size: of @buf in bytes
 * @result: of vm_dma()
 *
 * Return: the text, in @buf or constant.
 */
static const char *vm_dma_str(char *buf, size_t size, int result)
{
	static const char * const name[] = {
		[-DMA_FAULT] = "a fault and no byte written",
		[-DMA_LOST] = "no byte written, but no fault",
		[-DMA_TORN] = "bytes where none should be, or a fault after a write",
	};

	if (result < 0)
		return name[-result];
	snprintf(buf, size, "a write to page %d", result);
	return buf;
}

/**
 * EXPECT_DMA() - One DMA and its only good outcome
 * @_want: as vm_dma() returns it
 * @_vm: the VM
 * @_seat: the device
 * @_iova: where to
 * @...: format and arguments: what has happened before
 */
#define EXPECT_DMA(_want, _vm, _seat, _iova, ...)                               \
	do {                                                                    \
		struct seat *__seat = (_seat);                                  \
		u64 __iova = (_iova);                                 \
		char __buf[2][32], __when[128];                                 \
		int __want = (_want);                                           \
		int __got = vm_dma(_vm, __seat, __iova);                        \
									\
		snprintf(__when, sizeof(__when), __VA_ARGS__);                  \
		EXPECT_EQ(__want, __got)                                        \
		{                                                               \
			TH_LOG("%s: DMA of %s (%s) to %#llx: want %s, got %s",   \
			       __when, __seat->dev->bdf,                        \
			       __seat->dev->iommu_name, (unsigned long long)__iova, \
			       vm_dma_str(__buf[0], sizeof(__buf[0]), __want),  \
			       vm_dma_str(__buf[1], sizeof(__buf[1]), __got));  \
		}                                                               \
	} while (0)

/**
 * struct vm_writer - A device that writes all the time
 * @seat: the device; nobody else may use it meanwhile
 * @iova: where to
 * @page: where that is
 * @thread: its thread
 * @stop: ends it
 * @done: writes so far
 * @bad: those that saw a fault or did not arrive
 */
struct vm_writer {
	struct seat *seat;
	u64 iova;
	void *page;
	pthread_t thread;
	atomic_bool stop;
	atomic_ulong done;
	atomic_ulong bad;
};

/* Writes until @stop: the thread of a struct vm_writer */
static void *vm_writer_main(void *arg)
{
	struct vm_writer *writer = arg;
	u32 *at = writer->page + VM_DMA_OFFSET;

	while (!writer->stop) {
		int ret = dma_device_write(writer->seat->dev, writer->iova + VM_DMA_OFFSET);

		if (ret || at[0] != htole32(DMA_PATTERN) ||
		    at[DMA_WRITE_SIZE / sizeof(u32) - 1] != htole32(DMA_PATTERN))
			writer->bad++;
		memset(at, 0, DMA_WRITE_SIZE);
		writer->done++;
	}
	return NULL;
}

/**
 * vm_writer_start() - Let a device write to a page of its own from now on
 * @_metadata: the running test
 * @self: the VM
 * @writer: to be filled; vm_writer_stop() has to follow
 * @seat: the device, in its seat, not an igb
 */
static void vm_writer_start(struct __test_metadata *_metadata, struct vm *self,
			    struct vm_writer *writer, struct seat *seat)
{
	memset(writer, 0, sizeof(*writer));
	writer->seat = seat;
	writer->page = guest_alloc_page(&self->ram);
	writer->iova = guest_to_ipa(&self->ram, writer->page);
	if (seat->layout.mode == SEAT_NESTED)
		guest_s1_map(&seat->vsmmu->s1, writer->iova, writer->iova, GUEST_PAGE_SIZE);
	ASSERT_EQ(0, pthread_create(&writer->thread, NULL, vm_writer_main, writer));
}

/**
 * vm_writer_wait() - Wait until the device has begun and ended a write
 * @writer: after vm_writer_start()
 *
 * That is two more: the one on its way has begun before. There is no time limit but
 * that of the test.
 */
static void vm_writer_wait(struct vm_writer *writer)
{
	unsigned long done = writer->done;

	while (writer->done - done < 2)
		sched_yield();
}

/**
 * vm_writer_stop() - Let the device write no more, and wait for its thread
 * @writer: after vm_writer_start(); @writer->bad is final afterwards
 */
static void vm_writer_stop(struct vm_writer *writer)
{
	writer->stop = true;
	pthread_join(writer->thread, NULL);
}

/**
 * vm_s1_init() - Make an address space in which the default map holds
 * @vm: the VM
 * @s1: to be filled
 * @asid: its ASID
 *
 * vm_iova() leads to vm_ipa() of the same page, and driver memory is mapped 1:1.
 */
static void vm_s1_init(struct vm *vm, struct guest_s1 *s1, u16 asid)
{
	unsigned int i;

	guest_s1_init(s1, &vm->ram, asid);
	guest_s1_map(s1, vm_iova(0), vm_ipa(0), VM_NR_PAGES * PAGE_SIZE);
	guest_s1_map(s1, vm_iova(VM_BLOCK_PAGE), vm_ipa(VM_BLOCK_PAGE), GUEST_BLOCK_SIZE);
	for (i = 0; i < vm->nr_seats; i++)
		guest_s1_map(s1, vm->driver[i].iova, vm->driver[i].iova, vm->driver[i].size);
}

/**
 * vm_alloc_vsmmu() - Make a vSMMU
 * @self: the VM
 * @seat: a device behind the SMMU
 * @parent_id: nest parent
 * @id: filled; the caller destroys it, or the close of the iommufd
 *
 * Return: 0 or -1 with errno.
 */
static int vm_alloc_vsmmu(struct vm *self, const struct seat *seat, u32 parent_id, u32 *id)
{
	return _test_cmd_viommu_alloc(self->fd, seat->dev_id, parent_id, 0,
				      IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0, id);
}

/**
 * vm_attach() - Put a device in its seat
 * @_metadata: the running test
 * @self: the VM
 * @seat: the device, attached to anything
 *
 * For SEAT_NESTED this makes what is missing of vSMMU, vDEVICE and nested HWPT.
 * Ends the test on failure.
 */
static void vm_attach(struct __test_metadata *_metadata, struct vm *self, struct seat *seat)
{
	struct vsmmu *vsmmu = seat->vsmmu;
	struct iommu_hwpt_arm_smmuv3 vste;

	if (seat->layout.mode == SEAT_DIRECT)
		test_cmd_vfio_attach(seat->dev, self->parent_id);
	if (seat->layout.mode != SEAT_NESTED)
		return;

	if (!vsmmu->id) {
		ASSERT_EQ(0, vm_alloc_vsmmu(self, seat, self->parent_id, &vsmmu->id))
		{
			TH_LOG("vIOMMU for %s behind %s: %s", seat->dev->bdf,
			       seat->dev->iommu_name, strerror(errno));
		}
	}
	test_cmd_vdevice_alloc(vsmmu->id, seat->dev_id, seat->vsid, &seat->vdev_id);
	vsmmu->nr_devs++;
	vste = guest_vste_s1(guest_to_ipa(&self->ram, vsmmu->cd));
	test_cmd_hwpt_alloc_nested(seat->dev_id, vsmmu->id, 0, &seat->hwpt_id,
				   IOMMU_HWPT_DATA_ARM_SMMUV3, &vste, sizeof(vste));
	test_cmd_vfio_attach(seat->dev, seat->hwpt_id);
}

/**
 * vm_attach_to_any() - Put a device in its seat on an S2 parent that its SMMU takes
 * @_metadata: the running test
 * @self: the VM; the parent that was taken becomes @self->parent_id
 * @seat: the device, attached to anything
 * @ioas_id: what a new parent maps
 * @parent_id: the parents there are, VM_MAX_SEATS at most
 * @nr_parents: how many
 * @first: the first one to try
 *
 * As a VMM does it: allocates another parent if all of them are refused with
 * EINVAL.
 */
static void vm_attach_to_any(struct __test_metadata *_metadata, struct vm *self,
			     struct seat *seat, u32 ioas_id, u32 *parent_id,
			     unsigned int *nr_parents, unsigned int first)
{
	unsigned int i;
	int ret = -1;

	for (i = first; i < *nr_parents && ret; i++) {
		self->parent_id = parent_id[i];
		if (seat->layout.mode == SEAT_DIRECT)
			ret = _test_cmd_vfio_attach(seat->dev, self->parent_id);
		else
			ret = vm_alloc_vsmmu(self, seat, self->parent_id, &seat->vsmmu->id);
		ASSERT_TRUE(!ret || errno == EINVAL);
	}
	if (ret) {
		ASSERT_EQ(0, _test_cmd_hwpt_alloc(self->fd, seat->dev_id, ioas_id, 0,
						  IOMMU_HWPT_ALLOC_NEST_PARENT, &self->parent_id,
						  IOMMU_HWPT_DATA_NONE, NULL, 0));
		parent_id[(*nr_parents)++] = self->parent_id;
	}
	vm_attach(_metadata, self, seat);
}

/**
 * vm_put_nested() - Destroy what a device in a vSMMU had besides its vDEVICE
 * @_metadata: the running test
 * @self: the VM
 * @seat: the seat it has left
 *
 * With the last device of the vSMMU, the vSMMU too.
 */
static void vm_put_nested(struct __test_metadata *_metadata, struct vm *self,
			  const struct seat *seat)
{
	test_ioctl_destroy(seat->hwpt_id);
	if (--seat->vsmmu->nr_devs)
		return;
	test_ioctl_destroy(seat->vsmmu->id);
	seat->vsmmu->id = 0;
}

/**
 * vm_detach() - Take a device out of its seat
 * @_metadata: the running test
 * @self: the VM
 * @seat: the device, after vm_attach()
 *
 * Destroys what vm_attach() made, the vSMMU with its last device. The device
 * stays open, attached to nothing.
 */
static void vm_detach(struct __test_metadata *_metadata, struct vm *self, struct seat *seat)
{
	test_cmd_vfio_detach(seat->dev);
	if (seat->layout.mode != SEAT_NESTED)
		return;
	test_ioctl_destroy(seat->vdev_id);
	vm_put_nested(_metadata, self, seat);
}

/**
 * vm_move() - Move a device to another seat in one step
 * @_metadata: the running test
 * @self: the VM
 * @seat: the device, after vm_attach() or, with mode SEAT_IDLE, attached to
 *	  anything; becomes the new seat
 * @mode: how it is to use the nest parent, not SEAT_IDLE
 * @vsmmu: which vSMMU, if SEAT_NESTED; may be the one it has
 *
 * The kernel sees a replace, never a detached device.
 */
static void vm_move(struct __test_metadata *_metadata, struct vm *self, struct seat *seat,
		    enum seat_mode mode, struct vsmmu *vsmmu)
{
	struct seat old = *seat;

	/* A device has one vDEVICE at most; the old one may go before the move */
	if (old.layout.mode == SEAT_NESTED)
		test_ioctl_destroy(old.vdev_id);
	seat->layout.mode = mode;
	seat->vsmmu = mode == SEAT_NESTED ? vsmmu : NULL;
	vm_attach(_metadata, self, seat);
	if (old.layout.mode == SEAT_NESTED)
		vm_put_nested(_metadata, self, &old);
}

/* For vm_init(): tables and pages, mapped into the IOAS; the block is not */
static void vm_init_memory(struct __test_metadata *_metadata, struct vm *self)
{
	int page;

	self->ram.ipa = VM_TABLES_IPA;
	self->ram.size = VM_TABLES_SIZE;
	self->ram.vaddr = mmap(NULL, VM_TABLES_SIZE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->ram.vaddr);
	test_ioctl_ioas_map_fixed(self->ram.vaddr, self->ram.size, self->ram.ipa);

	self->pages = mmap(NULL, VM_TOTAL_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->pages);
	for (page = 0; page < VM_NR_PAGES; page++)
		vm_map(_metadata, self, page, page, 1);
}

/* For vm_init(): open a device and map the memory that its driver needs */
static void vm_init_seat(struct __test_metadata *_metadata, struct vm *self,
			 struct seat *seat, const struct seat_layout *layout,
			 struct dma_region *driver)
{
	unsigned int nr = seat - self->seat;

	seat->layout = *layout;
	if (layout->mode == SEAT_NESTED)
		seat->vsmmu = &self->vsmmu[layout->vsmmu];
	seat->vsid = 0x1000 * (nr + 1) + 0x35;

	driver->vaddr = mmap(NULL, DMA_DRIVER_SIZE, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, driver->vaddr);
	driver->iova = VM_DRIVER_IPA + nr * DMA_DRIVER_SIZE;
	driver->size = DMA_DRIVER_SIZE;
	iommu_map(self->iommu, driver);
	dma_device_open(seat->dev, self->iommu, driver);
	seat->dev_id = seat->dev->vfio->dev_id;
}

/* Skips the test if the SMMU of a seat lacks a stage, or is none */
static void vm_check_stages(struct __test_metadata *_metadata, struct vm *self,
			    const struct seat *seat)
{
	bool first = seat == self->seat;
	struct iommu_hw_info_arm_smmuv3 info = {};
	int ret;

	ret = _test_cmd_get_smmuv3_info(self->fd, seat->dev_id, &info);
	if (ret && errno == EMEDIUMTYPE)
		SKIP(return, "%s is not behind an SMMUv3", seat->dev->bdf);
	ASSERT_EQ(0, ret);
	/* The nest parent is made for the first. IHI0070 6.3.1 SMMU_IDR0.{S1P, S2P} */
	if ((first || seat->layout.mode == SEAT_NESTED) && (info.idr[0] & 3) != 3)
		SKIP(return, "%s has no nested translation", seat->dev->iommu_name);
	if (seat->layout.mode == SEAT_DIRECT && !(info.idr[0] & 1))
		SKIP(return, "%s has no stage 2", seat->dev->iommu_name);
	/* 6.3.6 SMMU_IDR5.OAS */
	if (first)
		self->ips = info.idr[5] & 7;
}

/* CANWBS is not visible to user space: see if a vIOMMU is to be had at all */
static void vm_check_coherency(struct __test_metadata *_metadata, struct vm *self,
			       const struct seat *seat)
{
	u32 id;
	int ret;

	ret = vm_alloc_vsmmu(self, seat, self->parent_id, &id);
	if (ret && errno == EOPNOTSUPP)
		SKIP(return, "%s guarantees coherency neither by CANWBS nor by S2FWB",
		     seat->dev->iommu_name);
	/* EINVAL: the SMMU takes no parent of another one, for vm_attach() to say */
	ASSERT_TRUE(!ret || errno == EINVAL);
	if (!ret)
		test_ioctl_destroy(id);
}

/**
 * vm_init() - Make the VM, with all devices open and attached to the IOAS
 * @_metadata: the running test
 * @self: to be filled, zeroed
 * @layout: what the test asks for
 *
 * Skips the test if the devices that the user named do not allow for @layout, or an
 * SMMU lacks what its seat needs. Ends it on any failure. vm_cleanup() has to follow.
 */
static void vm_init(struct __test_metadata *_metadata, struct vm *self,
		    const struct vm_layout *layout)
{
	struct dma_device *devs[VM_MAX_SEATS];
	struct dma_want want[VM_MAX_SEATS];
	unsigned int nr_smmus = 0, i;
	bool igb = false;

	for (i = 0; i < layout->nr_seats; i++)
		want[i] = (struct dma_want){ layout->seat[i].smmu, layout->seat[i].kind };
	if (!dma_devices_pick(want, layout->nr_seats, devs)) {
		for (i = 0; i < layout->nr_seats; i++) {
			if (nr_smmus <= want[i].iommu)
				nr_smmus = want[i].iommu + 1;
			igb |= want[i].kind == DMA_IGB;
		}
		SKIP(return, "needs %u DMA device(s)%s behind %u SMMU(s); name more devices",
		     layout->nr_seats, igb ? " (igb)" : "", nr_smmus);
	}

	self->nr_seats = layout->nr_seats;
	self->iommu = iommu_init(MODE_IOMMUFD);
	self->fd = self->iommu->iommufd;
	self->ioas_id = self->iommu->ioas_id;
	for (i = 0; i < self->nr_seats; i++) {
		self->seat[i].dev = devs[i];
		vm_init_seat(_metadata, self, &self->seat[i], &layout->seat[i], &self->driver[i]);
	}

	for (i = 0; i < self->nr_seats && _metadata->exit_code != KSFT_SKIP; i++)
		vm_check_stages(_metadata, self, &self->seat[i]);
	if (_metadata->exit_code == KSFT_SKIP)
		return;

	test_cmd_hwpt_alloc(self->seat[0].dev_id, self->ioas_id, IOMMU_HWPT_ALLOC_NEST_PARENT,
			    &self->parent_id);
	vm_init_memory(_metadata, self);

	for (i = 0; i < self->nr_seats; i++) {
		vm_s1_init(self, &self->vsmmu[i].s1, VM_ASID);
		self->vsmmu[i].cd = guest_alloc_page(&self->ram);
		guest_cd_write(self->vsmmu[i].cd, &self->vsmmu[i].s1, self->ips);
	}

	for (i = 0; i < self->nr_seats && _metadata->exit_code != KSFT_SKIP; i++)
		if (self->seat[i].layout.mode == SEAT_NESTED)
			vm_check_coherency(_metadata, self, &self->seat[i]);
}

/**
 * vm_attach_all() - Put all devices in their seats
 * @_metadata: the running test
 * @self: the VM
 */
static void vm_attach_all(struct __test_metadata *_metadata, struct vm *self)
{
	unsigned int i;

	for (i = 0; i < self->nr_seats; i++)
		vm_attach(_metadata, self, &self->seat[i]);
}

/**
 * vm_cleanup() - Close everything, whatever state it is in
 * @vm: the VM
 */
static void vm_cleanup(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_seats; i++)
		dma_device_close(vm->seat[i].dev);
	iommu_cleanup(vm->iommu);
}

/**
 * read_number() - Read a number that follows its name in a file
 * @_metadata: the running test
 * @path: a file of lines "name value"
 * @name: the name
 *
 * Return: the number, or -1 if there is no such name.
 */
static long read_number(struct __test_metadata *_metadata, const char *path, const char *name)
{
	char key[64];
	long val = -1;
	FILE *f;

	f = fopen(path, "r");
	ASSERT_NE(NULL, f);
	while (fscanf(f, "%63s", key) == 1)
		if (!strcmp(key, name) && fscanf(f, "%ld", &val) == 1)
			break;
	fclose(f);
	return val;
}

/**
 * nr_iommu_pages() - Count the pages of all IOMMU page tables
 * @_metadata: the running test
 *
 * Return: how many there are.
 */
static long nr_iommu_pages(struct __test_metadata *_metadata)
{
	/* Fold in what the CPUs have not reported yet */
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY);

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, write(fd, "1", 1));
	close(fd);
	return read_number(_metadata, "/proc/vmstat", "nr_iommu_pages");
}

/**
 * vm_run() - Run the tests of a program with struct vm
 * @argc: number of arguments
 * @argv: options of the harness; the devices are known to dma_devices_pick()
 *
 * Return: exit status
 */
static int vm_run(int argc, char *argv[])
{
	PAGE_SIZE = sysconf(_SC_PAGESIZE);
	return test_harness_run(argc, argv);
}

/**
 * vm_main() - What main() of a program with struct vm does
 * @argc: number of arguments
 * @argv: options of the harness, then devices as for dma_devices_init()
 *
 * Return: exit status, as vm_run().
 */
static int vm_main(int argc, char *argv[])
{
	dma_devices_init(&argc, argv);
	return vm_run(argc, argv);
}

#endif
