// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/limits.h>

#include <libvfio.h>

#include "dma_device.h"
#include "iommu_testdev.h"

/**
 * struct dma_device_type - A kind of device that can be driven
 * @vendor: PCI vendor ID
 * @device: PCI device ID
 * @kind: what a test may call it besides DMA_ANY
 * @ops: driver, or NULL if libvfio has one
 * @reports_faults: an aborted write makes memcpy_wait() fail
 */
struct dma_device_type {
	unsigned long vendor;
	unsigned long device;
	enum dma_kind kind;
	const struct vfio_pci_driver_ops *ops;
	bool reports_faults;
};

/* Best first: that is the order in which DMA_ANY is served */
static const struct dma_device_type dma_device_types[] = {
	{ 0x1b36, 0x0005, DMA_ANY, &iommu_testdev_ops, true },
	/* QEMU's igb goes on after a failed DMA as if nothing had happened */
	{ 0x8086, 0x10c9, DMA_IGB, NULL, false },
};

static struct dma_device dma_devices[DMA_MAX_DEVICES];
static unsigned int nr_dma_devices;

static unsigned long sysfs_hex(const char *bdf, const char *file)
{
	char path[PATH_MAX];
	unsigned long val = 0;
	FILE *f;

	snprintf_assert(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, file);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%lx", &val) != 1)
		val = 0;
	fclose(f);
	return val;
}

static void sysfs_link(const char *bdf, const char *file, char *name, size_t size)
{
	char target[PATH_MAX] = "";
	char path[PATH_MAX];

	snprintf_assert(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, file);
	name[0] = 0;
	if (readlink(path, target, sizeof(target) - 1) > 0)
		snprintf_assert(name, size, "%s", basename(target));
}

static void dma_devices_add(const char *bdf)
{
	const struct dma_device_type *type = NULL;
	unsigned long vendor = sysfs_hex(bdf, "vendor");
	unsigned long device = sysfs_hex(bdf, "device");
	struct dma_device *dev;
	char driver[64];
	unsigned int i;

	sysfs_link(bdf, "driver", driver, sizeof(driver));
	if (strcmp(driver, "vfio-pci"))
		ksft_exit_fail_msg("%s is %s%s, not bound to vfio-pci\n", bdf,
				   driver[0] ? "bound to " : "without a driver", driver);
	for (i = 0; i < ARRAY_SIZE(dma_device_types) && !type; i++)
		if (dma_device_types[i].vendor == vendor && dma_device_types[i].device == device)
			type = &dma_device_types[i];
	if (!type) {
		ksft_print_msg("%s (%04lx:%04lx) not used: no DMA driver\n", bdf, vendor, device);
		return;
	}
	if (nr_dma_devices == DMA_MAX_DEVICES)
		ksft_exit_fail_msg("more than %d devices named\n", DMA_MAX_DEVICES);
	dev = &dma_devices[nr_dma_devices++];
	dev->type = type;
	snprintf_assert(dev->bdf, sizeof(dev->bdf), "%s", bdf);
	sysfs_link(bdf, "iommu", dev->iommu_name, sizeof(dev->iommu_name));
}

void dma_devices_init(int *argc, char *argv[])
{
	const char *env = getenv("VFIO_SELFTESTS_BDF");
	char *list = strdup(env ? env : "");
	char *rest, *bdf, **bdfs;
	int nr, i;

	/* libvfio takes the command line first, but only one BDF from the environment */
	bdf = strtok_r(list, " ", &rest);
	if (bdf)
		setenv("VFIO_SELFTESTS_BDF", bdf, true);
	else
		unsetenv("VFIO_SELFTESTS_BDF");
	bdfs = vfio_selftests_get_bdfs(argc, argv, &nr);
	for (i = 0; i < nr; i++)
		dma_devices_add(bdfs[i]);
	if (bdfs[0] == getenv("VFIO_SELFTESTS_BDF"))
		while ((bdf = strtok_r(NULL, " ", &rest)))
			dma_devices_add(bdf);
	free(list);
}

static bool dma_device_fits(const struct dma_device *dev, const struct dma_want *want,
			    const char *iommu_name)
{
	return !dev->reserved && !strcmp(dev->iommu_name, iommu_name) &&
	       (want->kind == DMA_ANY || want->kind == dev->type->kind);
}

/* Serve all wishes for IOMMU number @nr_iommu with devices behind @iommu_name */
static bool dma_devices_pick_iommu(const struct dma_want *want, unsigned int nr,
				   unsigned int nr_iommu, const char *iommu_name,
				   struct dma_device *out[])
{
	bool used[DMA_MAX_DEVICES] = {};
	unsigned int i, j, t;

	for (i = 0; i < nr; i++) {
		if (want[i].iommu != nr_iommu)
			continue;
		out[i] = NULL;
		for (t = 0; t < ARRAY_SIZE(dma_device_types) && !out[i]; t++) {
			for (j = 0; j < nr_dma_devices && !out[i]; j++) {
				if (used[j] || dma_devices[j].type != &dma_device_types[t] ||
				    !dma_device_fits(&dma_devices[j], &want[i], iommu_name))
					continue;
				used[j] = true;
				out[i] = &dma_devices[j];
			}
		}
		if (!out[i])
			return false;
	}
	return true;
}

bool dma_devices_pick(const struct dma_want *want, unsigned int nr, struct dma_device *out[])
{
	const char *taken[DMA_MAX_DEVICES];
	unsigned int nr_taken = 0, nr_iommus = 0;
	unsigned int i, j;

	for (i = 0; i < nr; i++)
		if (want[i].iommu >= nr_iommus)
			nr_iommus = want[i].iommu + 1;

	/* First fit: good as long as number 0 asks for no less than the others */
	for (; nr_taken < nr_iommus; nr_taken++) {
		for (i = 0; i < nr_dma_devices; i++) {
			taken[nr_taken] = dma_devices[i].iommu_name;
			if (!taken[nr_taken][0])
				continue;
			for (j = 0; j < nr_taken && strcmp(taken[j], taken[nr_taken]); j++)
				;
			if (j == nr_taken &&
			    dma_devices_pick_iommu(want, nr, nr_taken, taken[nr_taken], out))
				break;
		}
		if (i == nr_dma_devices)
			return false;
	}
	return true;
}

unsigned int dma_devices_named(const char *bdf[])
{
	unsigned int i;

	for (i = 0; i < nr_dma_devices; i++)
		bdf[i] = dma_devices[i].bdf;
	return nr_dma_devices;
}

void dma_device_reserve(struct dma_device *dev)
{
	dev->reserved = true;
}

/* The end of the region holds the source of a copying device */
static void *dma_source(const struct dma_region *region)
{
	return region->vaddr + region->size - DMA_WRITE_SIZE;
}

void dma_device_open(struct dma_device *dev, struct iommu *iommu, const struct dma_region *region)
{
	u32 *src = dma_source(region);
	unsigned int i;

	dev->vfio = vfio_pci_device_init(dev->bdf, iommu);
	if (dev->type->ops)
		dev->vfio->driver.ops = dev->type->ops;
	VFIO_ASSERT_NOT_NULL(dev->vfio->driver.ops);
	VFIO_ASSERT_EQ(dev->vfio->driver.ops->probe(dev->vfio), 0);
	dev->vfio->driver.region = *region;
	for (i = 0; i < DMA_WRITE_SIZE / sizeof(*src); i++)
		src[i] = htole32(DMA_PATTERN);
}

void dma_device_close(struct dma_device *dev)
{
	if (dev->vfio)
		vfio_pci_device_cleanup(dev->vfio);
	dev->vfio = NULL;
}

int dma_device_write(struct dma_device *dev, iova_t iova)
{
	struct vfio_pci_driver *driver = &dev->vfio->driver;

	if (!driver->initialized)
		vfio_pci_driver_init(dev->vfio);
	return vfio_pci_driver_memcpy(dev->vfio, to_iova(dev->vfio, dma_source(&driver->region)),
				      iova, DMA_WRITE_SIZE) ? -EFAULT : 0;
}

bool dma_device_reports_faults(const struct dma_device *dev)
{
	return dev->type->reports_faults;
}
