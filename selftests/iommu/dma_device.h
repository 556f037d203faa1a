/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA devices on top of libvfio: which ones the user named, which SMMU each sits
 * behind, and one operation that all of them have, "write a known pattern to
 * this IOVA".
 */
#ifndef __SELFTEST_DMA_DEVICE_H
#define __SELFTEST_DMA_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <libvfio.h>

/* What dma_device_write() writes, as little endian words; no byte of it is 0 */
#define DMA_PATTERN		0x12345678
#define DMA_WRITE_SIZE		64UL

/* Memory a device driver may need: rings, and the source of a copy */
#define DMA_DRIVER_SIZE		(256UL << 10)

#define DMA_MAX_DEVICES		32

/**
 * enum dma_kind - Which device a test asks for
 * @DMA_ANY: any device with a driver, preferably a QEMU iommu-testdev
 * @DMA_IGB: Intel 82576, real or QEMU's igb
 */
enum dma_kind {
	DMA_ANY,
	DMA_IGB,
};

/**
 * struct dma_device - A device that the user named
 * @bdf: PCI address
 * @iommu_name: name of the IOMMU in front of it in sysfs, "" if there is none
 * @type: how to drive it
 * @reserved: not for dma_devices_pick()
 * @vfio: set while the device is open
 */
struct dma_device {
	char bdf[16];
	char iommu_name[64];
	bool reserved;
	const struct dma_device_type *type;
	struct vfio_pci_device *vfio;
};

/**
 * struct dma_want - What a test asks for
 * @iommu: devices with equal numbers have to sit behind one IOMMU, devices with
 *	   different numbers behind different ones; numbers start at 0
 * @kind: kind of device
 */
struct dma_want {
	unsigned int iommu;
	enum dma_kind kind;
};

/**
 * dma_devices_init() - Collect the devices that the user named
 * @argc: as main() got it; the trailing BDFs are taken off
 * @argv: as main() got it
 *
 * The devices are the BDFs at the end of the command line or, if there are
 * none, those in $VFIO_SELFTESTS_BDF, separated by blanks. Exits with KSFT_SKIP
 * if that is empty too, and with KSFT_FAIL if a name is not that of a device
 * bound to vfio-pci: no other device is ever touched.
 */
void dma_devices_init(int *argc, char *argv[]);

/**
 * dma_devices_pick() - Choose among the named devices
 * @want: one entry per device
 * @nr: entries in @want and @out
 * @out: the chosen devices, which stay owned by this file
 *
 * Return: true if all wishes could be met.
 */
bool dma_devices_pick(const struct dma_want *want, unsigned int nr, struct dma_device *out[]);

/**
 * dma_devices_named() - All devices that the user named
 * @bdf: filled with up to DMA_MAX_DEVICES PCI addresses
 *
 * Return: how many.
 */
unsigned int dma_devices_named(const char *bdf[]);

/**
 * dma_device_reserve() - Keep a device out of dma_devices_pick() from now on
 * @dev: the device, for the caller to use in another way
 */
void dma_device_reserve(struct dma_device *dev);

/**
 * dma_device_open() - Open a device and bind it to an iommufd
 * @dev: from dma_devices_pick(), closed
 * @iommu: libvfio's iommufd; the device is attached to its IOAS
 * @region: memory for the driver, DMA_DRIVER_SIZE bytes, mapped in @iommu and
 *	    identically in whatever the device is attached to while it does DMA
 *
 * Exits on failure, as libvfio does.
 */
void dma_device_open(struct dma_device *dev, struct iommu *iommu, const struct dma_region *region);

/**
 * dma_device_close() - Stop and close a device
 * @dev: may be closed already
 */
void dma_device_close(struct dma_device *dev);

/**
 * dma_device_write() - Write the pattern through the IOMMU
 * @dev: an open device; its driver is started by the first call
 * @iova: where to; DMA_WRITE_SIZE bytes that do not cross a page
 *
 * Returns when the device has nothing in flight any more.
 *
 * Return: 0, or -EFAULT if the device saw an error. 0 proves nothing for a
 * device without dma_device_reports_faults(): look at the memory.
 */
int dma_device_write(struct dma_device *dev, iova_t iova);

/**
 * dma_device_reports_faults() - Does dma_device_write() notice a fault?
 * @dev: the device
 *
 * Return: true if dma_device_write() is to return -EFAULT for every fault.
 */
bool dma_device_reports_faults(const struct dma_device *dev);

#endif
