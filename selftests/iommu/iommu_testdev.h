/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __SELFTEST_IOMMU_TESTDEV_H
#define __SELFTEST_IOMMU_TESTDEV_H

#include <libvfio/vfio_pci_driver.h>

/* Driver for QEMU's iommu-testdev; write only, see iommu_testdev.c */
extern const struct vfio_pci_driver_ops iommu_testdev_ops;

#endif
