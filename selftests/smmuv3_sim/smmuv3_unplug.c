// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUs that go while somebody still uses them, or others. Simulated SMMUs, since no
 * other can be unplugged.
 */
#include <dirent.h>
#include <sched.h>

#include "smmuv3_sim_load.h"

#define IOVA		0x100000000ULL
#define ATS		SMMUV3_SIM_DMA_ATS
#define F_TRANSLATION	0x10

/* Which SMMU got the first command of a kind */
static __u32 first_smmu(struct machine *m, __u64 from, __u8 op)
{
	struct smmuv3_sim_command commands[16];
	int i, nr = sim_log_read(m->sim, from, commands, ARRAY_SIZE(commands));

	for (i = 0; i < nr; i++)
		if ((commands[i].data[0] & 0xff) == op)
			return commands[i].id;
	return ~0U;
}

static void stay_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

#define UNMAP_CPU	2

/*
 * Kernel threads that a removal waits for: the one of devtmpfs and those of interrupts
 * are not to wait on the CPU that has its interrupts off. That would be a wait for the
 * unmap as well.
 */
static void keep_threads_off(int cpu)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[64], name[32];
	cpu_set_t set;
	FILE *comm;
	int i;

	CPU_ZERO(&set);
	for (i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++)
		if (i != cpu)
			CPU_SET(i, &set);
	while (proc && (entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%.16s/comm", entry->d_name);
		comm = atoi(entry->d_name) ? fopen(path, "r") : NULL;
		if (!comm)
			continue;
		if (fgets(name, sizeof(name), comm) &&
		    (!strncmp(name, "kdevtmpfs", 9) || !strncmp(name, "irq/", 4)))
			sched_setaffinity(atoi(entry->d_name), sizeof(set), &set);
		fclose(comm);
	}
	if (proc)
		closedir(proc);
}

struct unmap {
	struct machine *m;
	volatile bool done;
	int ret;
};

/* On a CPU of its own, where it waits for CMD_SYNCs with interrupts off */
static void *unmap(void *arg)
{
	struct unmap *u = arg;

	stay_on_cpu(UNMAP_CPU);
	u->ret = machine_unmap(u->m, IOVA, PAGE);
	u->done = true;
	return NULL;
}

#define PASID	5

/*
 * An unmap works through the SMMUs of a table, and waits for the first one. Meanwhile
 * the second one goes. The unmap has found that one already, so it must not be gone
 * before the unmap is through with it.
 *
 * A PASID is what leaves: the detach of a whole device waits for the unmap in iommufd,
 * that of an ATC in the driver.
 */
TEST_F(machine, unplug_in_the_middle_of_an_unmap)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	struct unmap u = { .m = m };
	__u32 hwpt, rid[2], shared = m->ioas;
	struct smmuv3_sim_stats before, now;
	int i, slow, gone;
	pthread_t thread;
	__u64 mark;

	/* The simulator's, this thread's, that of the unmap, and one for the rest */
	if (sysconf(_SC_NPROCESSORS_ONLN) < 4)
		SKIP(return, "needs four CPUs");
	cfg.ep_flags[0] = SMMUV3_SIM_EP_PASID;
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &m->ioas));
	for (i = 0; i < 2; i++) {
		machine_add(_metadata, m, i, &cfg);
		machine_open(_metadata, m, i, i, 0);
		ASSERT_EQ(0, machine_hwpt(m, &m->dev[i], IOMMU_HWPT_ALLOC_PASID, &rid[i]));
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], SIM_NO_PASID, rid[i]));
	}
	m->ioas = shared;
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], IOMMU_HWPT_ALLOC_PASID, &hwpt));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], PASID, hwpt))
		{
			TH_LOG("a PASID of SMMU %d into the shared domain", i);
		}
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	mark = sim_log_mark(m->sim);
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	slow = first_smmu(m, mark, CMD_TLBI_NH_VA) == m->smmu[1].cfg.out_id;
	gone = !slow;

	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	__EXPECT_DMA(m, &m->dev[slow], 0, PASID, IOVA, 0, "before");
	ASSERT_EQ(0, sim_set(&m->smmu[slow], 500000, SMMUV3_SIM_ERROR_NONE, 0, 0));
	ASSERT_EQ(0, sim_stats(&m->smmu[slow], &before));
	stay_on_cpu(1);
	keep_threads_off(UNMAP_CPU);
	ASSERT_EQ(0, pthread_create(&thread, NULL, unmap, &u));
	/* The SMMU has taken the invalidation, the CMD_SYNC will take its time */
	do {
		ASSERT_EQ(0, sim_stats(&m->smmu[slow], &now));
	} while (now.commands == before.commands);
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[gone], PASID));
	sim_vfio_close(&m->dev[gone]);
	EXPECT_FALSE(u.done)
	{
		TH_LOG("the unmap was faster than the detach: nothing is tested");
	}
	ASSERT_EQ(0, sim_remove(&m->smmu[gone], 0));
	EXPECT_TRUE(u.done)
	{
		TH_LOG("the SMMU is gone, and the unmap will send commands to it");
	}
	/* While the removal waited, the unmap did send its commands; now none may come */
	ASSERT_LE(0, sim_violation(m->sim, NULL));
	pthread_join(thread, NULL);
	keep_threads_off(-1);
	EXPECT_EQ(0, u.ret);
	ASSERT_EQ(0, sim_set(&m->smmu[slow], 0, SMMUV3_SIM_ERROR_NONE, 0, 0));
	__EXPECT_DMA(m, &m->dev[slow], 0, PASID, IOVA, -F_TRANSLATION, "the SMMU that stays");
	EXPECT_CLEAN(m, "at the end");
}

/* The VMID that the next domain gets from SMMU 0: the lowest one that is free */
static __u64 next_vmid(struct __test_metadata *_metadata, struct machine *m)
{
	__u32 hwpt, ioas, old = m->ioas;
	__u64 mark;

	machine_open(_metadata, m, 2, 0, 1);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &ioas));
	m->ioas = ioas;
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[2], PARENT, &hwpt));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[2], SIM_NO_PASID, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	mark = sim_log_mark(m->sim);
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	m->ioas = old;
	sim_vfio_close(&m->dev[2]);
	ASSERT_EQ(0, _test_ioctl_destroy(m->iommufd, hwpt));
	ASSERT_EQ(0, _test_ioctl_destroy(m->iommufd, ioas));
	return machine_last_cmd(m, mark, CMD_TLBI_S2_IPA) >> 32 & 0xffff;
}

/*
 * One SMMU of a shared domain comes and goes, the others are in the middle of it. The
 * driver itself warns if an id of the one that goes is left.
 */
TEST_F_TIMEOUT(machine, unplug_one_smmu_of_a_shared_domain, 400)
{
	struct machine *m = &self->m;
	struct churn c = { .m = m, .iova = IOVA };
	__u32 hwpt = churn_prepare(_metadata, m);
	__u64 vmid = next_vmid(_metadata, m);
	int round;

	churn_start(_metadata, &c);
	for (round = 0; round < 100; round++) {
		struct smmuv3_sim_create cfg = features(1);

		if (round) {
			machine_add(_metadata, m, 1, &cfg);
			machine_open(_metadata, m, 1, 1, 0);
			ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], SIM_NO_PASID, hwpt));
		}
		__EXPECT_DMA(m, &m->dev[1], ATS, SIM_NO_PASID, GUEST_IPA, BLOCK, "round %d", round);
		sim_vfio_close(&m->dev[1]);
		ASSERT_EQ(0, sim_remove(&m->smmu[1], 0));
		EXPECT_EQ(0, sim_violation(m->sim, NULL))
		{
			TH_LOG("round %d: a rule is broken, a command to a dead SMMU for one",
			       round);
		}
	}
	churn_stop(_metadata, &c);
	EXPECT_EQ(vmid, next_vmid(_metadata, m))
	{
		TH_LOG("VMIDs of the SMMU that stays have leaked");
	}
	EXPECT_DMA(m, &m->dev[0], GUEST_IPA, BLOCK, "the other SMMU");
	EXPECT_DMA(m, &m->dev[0], IOVA, -F_TRANSLATION, "the other SMMU");
	EXPECT_CLEAN(m, "at the end");
}

/*
 * User space may keep a vSMMU for as long as it likes, also without a device, and a
 * file of its events after that. The SMMU must not wait for it. What is left can be
 * used, to no effect, and destroyed.
 *
 * On 7.3.4 it ends with the first vSMMU: what follows would write to registers that are
 * not mapped any more.
 */
TEST_F(machine, unplug_leaves_a_vsmmu_behind)
{
	struct machine *m = &self->m;
	struct removal r = { .smmu = &m->smmu[1] };
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste(VSTE_CFG_BYPASS);
	const struct smmuv3_cmd cmd = smmuv3_cmd(CMD_TLBI_NH_ALL, 0);
	struct smmuv3_sim_create cfg;
	__u32 hwpt;
	struct guest g;
	int i;

	add_two(_metadata, m);
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], PARENT, &hwpt));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, hwpt));
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[1], hwpt));
	ASSERT_EQ(0, guest_attach(&g, vste));
	ASSERT_EQ(0, guest_cmd(&g, cmd));
	sim_vfio_close(&m->dev[1]);
	removal_start(_metadata, &r);
	for (i = 0; i < 50 && !r.done; i++)
		usleep(100000);
	EXPECT_TRUE(r.done)
	{
		TH_LOG("after five seconds the removal of an SMMU still waits for its vSMMU");
	}
	if (r.done) {
		EXPECT_EQ(-1, guest_cmd(&g, cmd));
		EXPECT_TRUE(errno == EIO || errno == ENODEV)
		{
			TH_LOG("an invalidation of a vSMMU without SMMU: %s", strerror(errno));
		}
	}
	EXPECT_EQ(0, _test_ioctl_destroy(m->iommufd, g.hwpt));
	EXPECT_EQ(0, _test_ioctl_destroy(m->iommufd, g.viommu));
	removal_wait(_metadata, &r);
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "the other SMMU");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_DMA(m, &m->dev[0], IOVA, -F_TRANSLATION, "the other SMMU");
	EXPECT_CLEAN(m, "removed");
	/* Another one takes its place */
	cfg = features(1);
	machine_add(_metadata, m, 1, &cfg);
	machine_open(_metadata, m, 1, 1, 0);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], SIM_NO_PASID, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	EXPECT_DMA(m, &m->dev[1], IOVA, 0, "another SMMU in its place");
}

/*
 * The SMMU goes before its endpoints, one of which a program has open. The core takes
 * an endpoint out of its group then, whoever owns it; what VFIO does next, even the
 * close, finds no group and dies. So who drives the endpoint has to let go of it first:
 * that takes a device link, or a core that keeps the group. Without the link the removal
 * is not tried, since the kernel does not survive it. Only the simulator does this: a
 * machine has its SMMUs as long as it runs, and the module cannot be unloaded while it
 * has endpoints.
 */
TEST_F(machine, unplug_before_an_open_endpoint)
{
	struct machine *m = &self->m;
	struct removal r = {
		.smmu = &m->smmu[0],
		.flags = SMMUV3_SIM_REMOVE_SMMU_FIRST,
	};
	struct smmuv3_sim_create cfg = sim_default();
	char link[128];

	machine_add(_metadata, m, 0, &cfg);
	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu/device/consumer:pci:%s",
		 m->smmu[0].bdf[0], m->smmu[0].bdf[0]);
	ASSERT_EQ(0, access(link, F_OK))
	{
		TH_LOG("no device link from endpoint to SMMU: the kernel would not survive this");
	}
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, m->ioas));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "before");
	removal_start(_metadata, &r);
	usleep(500000);
	EXPECT_FALSE(r.done)
	{
		TH_LOG("the SMMU is gone while a program has its endpoint open");
	}
	sim_vfio_close(&m->dev[0]);
	removal_wait(_metadata, &r);
	EXPECT_CLEAN(m, "removed");
}

TEST_HARNESS_MAIN
