/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_IOMMUFD_H
#define _LINUX_IOMMUFD_H

enum iommu_hw_info_type { IOMMU_HW_INFO_TYPE_NONE };
enum iommu_viommu_type { IOMMU_VIOMMU_TYPE_DEFAULT };
struct iommufd_viommu { int id; };

#endif
