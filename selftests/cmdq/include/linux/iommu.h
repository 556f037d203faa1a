/* SPDX-License-Identifier: GPL-2.0-only */
/* What the driver's header takes from the IOMMU core, empty where nobody looks in. */
#ifndef _LINUX_IOMMU_H
#define _LINUX_IOMMU_H

#include <linux/bug.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/types.h>

#define IOMMU_NO_PASID		0
#define IOMMU_FWSPEC_PCI_RC_CANWBS	1

struct device;
struct iommu_domain { int type; };
struct iommu_device { int id; };
struct iommu_fwspec { unsigned int flags; };
struct mmu_notifier { int users; };
struct iommu_user_data;
struct iommu_user_data_array;

static inline struct iommu_fwspec *dev_iommu_fwspec_get(struct device *dev)
{
	return NULL;
}

#endif
