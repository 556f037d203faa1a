// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does lockdep find a deadlock between an answer to user space and a reset? It needs each
 * of these once, in any order, on a kernel that has not complained before:
 *
 *  IOMMU_VEVENTQ_ALLOC			veventqs_rwsem -> mmap_lock
 *  an event for a vIOMMU		streams_mutex -> veventqs_rwsem
 *  an attach				group->mutex -> streams_mutex
 *  VFIO_DEVICE_RESET of an ATS device	memory_lock -> group->mutex
 *  a fault of a mmapped BAR		mmap_lock -> memory_lock
 *
 * A program of its own: after its first complaint lockdep looks at nothing any more.
 */
#include "smmuv3_sim_load.h"

/* 1: it looks, 0: it has complained, -1: the kernel has none */
static int lockdep_looks(void)
{
	FILE *file = fopen("/proc/lockdep_stats", "r");
	char line[128];
	int looks = -1;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " debug_locks: %d", &looks) == 1)
			break;
	fclose(file);
	return looks;
}

TEST_F(machine, veventq_bar_and_reset)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	__u32 veventq, fd;
	struct guest g;

	if (lockdep_looks() != 1)
		SKIP(return, "lockdep is off");
	cfg.ep_flags[0] |= SMMUV3_SIM_EP_FLR;
	machine_add(_metadata, m, 0, &cfg);
	/* Maps the BARs and reads a register: a fault */
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_NE(0xffffffff, *(volatile __u32 *)(m->dev[0].regs + EXERCISER_DMA_STATUS));
	ASSERT_EQ(0, machine_map(m, GUEST_IPA, 0, BLOCK, RW));
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[0], 0));
	ASSERT_EQ(0, _test_cmd_veventq_alloc(m->iommufd, g.viommu, IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
					     16, &veventq, &fd));
	/* The CD is all zeroes */
	ASSERT_EQ(0, guest_attach(&g, guest_vste_s1(GUEST_IPA + G_CD)));
	EXPECT_DMA(m, &m->dev[0], 0x1000, -C_BAD_CD, "an event for the vIOMMU");
	usleep(200000);
	ASSERT_EQ(0, sim_vfio_reset(&m->dev[0]));
	ASSERT_NE(0xffffffff, *(volatile __u32 *)(m->dev[0].regs + EXERCISER_DMA_STATUS));
	EXPECT_EQ(1, lockdep_looks())
	{
		TH_LOG("lockdep has complained, see the kernel log");
	}
	close(fd);
}

TEST_HARNESS_MAIN
