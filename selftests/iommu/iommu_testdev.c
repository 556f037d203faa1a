// SPDX-License-Identifier: GPL-2.0-only
/*
 * libvfio driver for QEMU's iommu-testdev (1b36:0005), which exists to make one
 * DMA write and say whether it went through.
 *
 * It is less than libvfio asks of a driver: the device does not read memory. Of
 * memcpy_start()'s guarantees, "The device will attempt DMA reads on [src, src +
 * size)" does not hold; @src is ignored and the data is the device's constant
 * 0x12345678. It has no interrupt either, so there is no send_msi().
 *
 * In return it is synchronous and reports every aborted write.
 */
#include <errno.h>
#include <linux/io.h>
#include <linux/pci_regs.h>

#include <libvfio.h>

#include "iommu_testdev.h"

#define TESTDEV_VENDOR_ID	0x1b36
#define TESTDEV_DEVICE_ID	0x0005

#define TESTDEV_TRIGGER		0x00	/* a read runs the armed DMA to its end */
#define TESTDEV_IOVA_LO		0x04
#define TESTDEV_IOVA_HI		0x08
#define TESTDEV_LEN		0x0c
#define TESTDEV_RESULT		0x10
#define TESTDEV_DOORBELL	0x14
#define   TESTDEV_ARM		1

#define TESTDEV_OK		0
#define TESTDEV_WRITE_FAILED	0xdead0002
/*
 * After a good write the device compares with what it finds at a physical
 * address, which user space cannot know: these two mean a good write as well.
 */
#define TESTDEV_READ_FAILED	0xdead0003
#define TESTDEV_MISMATCH	0xdead0004

static int testdev_probe(struct vfio_pci_device *device)
{
	if (!vfio_pci_device_match(device, TESTDEV_VENDOR_ID, TESTDEV_DEVICE_ID))
		return -EINVAL;
	return 0;
}

static void testdev_init(struct vfio_pci_device *device)
{
	VFIO_ASSERT_NOT_NULL(device->bars[0].vaddr);
	vfio_pci_cmd_set(device, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	device->driver.max_memcpy_size = 4096;
	device->driver.max_memcpy_count = 1;
}

static void testdev_remove(struct vfio_pci_device *device)
{
	writel(0, device->bars[0].vaddr + TESTDEV_DOORBELL);
	vfio_pci_cmd_clear(device, PCI_COMMAND_MASTER);
}

static void testdev_memcpy_start(struct vfio_pci_device *device, iova_t src, iova_t dst,
				 u64 size, u64 count)
{
	void *bar = device->bars[0].vaddr;

	writel((u32)dst, bar + TESTDEV_IOVA_LO);
	writel((u32)(dst >> 32), bar + TESTDEV_IOVA_HI);
	writel((u32)size, bar + TESTDEV_LEN);
	writel(TESTDEV_ARM, bar + TESTDEV_DOORBELL);
	readl(bar + TESTDEV_TRIGGER);
}

static int testdev_memcpy_wait(struct vfio_pci_device *device)
{
	u32 result = readl(device->bars[0].vaddr + TESTDEV_RESULT);

	switch (result) {
	case TESTDEV_OK:
	case TESTDEV_READ_FAILED:
	case TESTDEV_MISMATCH:
		return 0;
	case TESTDEV_WRITE_FAILED:
		return -EFAULT;
	}
	VFIO_FAIL("iommu-testdev did not run the DMA: result %#x\n", result);
}

const struct vfio_pci_driver_ops iommu_testdev_ops = {
	.name = "iommu-testdev",
	.probe = testdev_probe,
	.init = testdev_init,
	.remove = testdev_remove,
	.memcpy_start = testdev_memcpy_start,
	.memcpy_wait = testdev_memcpy_wait,
};
