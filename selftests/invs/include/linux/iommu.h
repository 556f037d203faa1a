/* SPDX-License-Identifier: GPL-2.0-only */
/* What the array takes from the IOMMU core. */
#ifndef _LINUX_IOMMU_H
#define _LINUX_IOMMU_H

#define IOMMU_NO_PASID	0

#endif
