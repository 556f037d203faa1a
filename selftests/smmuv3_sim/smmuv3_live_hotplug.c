// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUs that come and go while others carry traffic. Two NICs behind real (or QEMU's)
 * SMMUs send each other data; meanwhile simulated SMMUs are plugged in, share an S2
 * parent, and are unplugged. User space hears of each by an uevent.
 *
 * The NICs are the two devices at the end of the command line, linked to each other.
 */
#include <limits.h>

#include "smmuv3_sim_machine.h"
#include "live_traffic_utils.h"
#include "pci_guard.h"
#include "uevents.h"

#define IOVA		0x100000000ULL
#define F_TRANSLATION	0x10
#define ROUNDS		3
#define UEVENT_MS	10000

static const char *nic_bdf[LIVE_NICS];

FIXTURE(hotplug)
{
	struct machine m;
	struct live_traffic live;
	struct nl_sock *smmus;
	struct nl_sock *endpoints;
};

FIXTURE_SETUP(hotplug)
{
	if (!nic_bdf[0])
		SKIP(return, "needs two NICs that are linked to each other; name them");
	machine_init(_metadata, &self->m);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	self->smmus = uevents_open();
	ASSERT_NE(NULL, self->smmus);
	self->endpoints = uevents_open();
	ASSERT_NE(NULL, self->endpoints);
	pci_guard_test();
	live_nics_start(&self->live, nic_bdf);
	live_traffic_init(_metadata, &self->live);
}

FIXTURE_TEARDOWN(hotplug)
{
	live_flows_stop(&self->live);
	live_nics_stop(&self->live);
	uevents_close(self->endpoints);
	uevents_close(self->smmus);
	machine_exit(_metadata, &self->m);
}

TEST_F_TIMEOUT(hotplug, smmus_come_and_go, 120)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	char path[128], target[PATH_MAX], when[64];
	const char *smmu;
	__u32 hwpt;
	int round;

	machine_add(_metadata, m, 0, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, uevents_wait(self->smmus, "add", "iommu", "/smmu3.", UEVENT_MS));
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], IOMMU_HWPT_ALLOC_NEST_PARENT, &hwpt));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, hwpt));
	for (round = 0; round < ROUNDS; round++) {
		ssize_t len;

		snprintf(when, sizeof(when), "round %d", round);
		machine_add(_metadata, m, 1, &cfg);
		EXPECT_EQ(0, uevents_wait(self->smmus, "add", "iommu", "/smmu3.", UEVENT_MS));
		EXPECT_EQ(0, uevents_wait(self->endpoints, "add", "pci", m->smmu[1].bdf[0],
					  UEVENT_MS));
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu", m->smmu[1].bdf[0]);
		len = readlink(path, target, sizeof(target) - 1);
		ASSERT_LT(0, len);
		target[len] = 0;
		smmu = strrchr(target, '/') + 1;
		machine_open(_metadata, m, 1, 1, 0);
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], SIM_NO_PASID, hwpt));
		ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
		EXPECT_DMA(m, &m->dev[0], IOVA, 0, "%s, the SMMU that stays", when);
		EXPECT_DMA(m, &m->dev[1], IOVA, 0, "%s, the SMMU that goes", when);
		EXPECT_LIVE_TRAFFIC(&self->live, "%s, an SMMU has come", when);

		ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
		EXPECT_CLEAN(m, "%s, unmapped", when);
		sim_vfio_close(&m->dev[1]);
		ASSERT_EQ(0, sim_remove(&m->smmu[1], 0));
		EXPECT_EQ(0, uevents_wait(self->endpoints, "remove", "pci", m->smmu[1].bdf[0],
					  UEVENT_MS));
		EXPECT_EQ(0, uevents_wait(self->smmus, "remove", "iommu", smmu, UEVENT_MS))
		{
			TH_LOG("%s: no uevent that %s is gone", when, smmu);
		}
		EXPECT_LIVE_TRAFFIC(&self->live, "%s, an SMMU has gone", when);
	}
	EXPECT_CLEAN(m, "at the end");
}

int main(int argc, char *argv[])
{
	int i;

	if (argc > LIVE_NICS && strchr(argv[argc - 1], ':')) {
		argc -= LIVE_NICS;
		for (i = 0; i < LIVE_NICS; i++)
			nic_bdf[i] = argv[argc + i];
	}
	return pci_guard_run(nic_bdf, nic_bdf[0] ? LIVE_NICS : 0, test_harness_run, argc, argv);
}
