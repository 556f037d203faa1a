// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver under hostile conditions, on simulated SMMUs: resets whose re-attach
 * fails, ids that run out, SMMUs and endpoints that do not answer, guests and VMMs
 * that mean harm.
 *
 * Sizes, indices and ids that user space, a guest or firmware reaches, where the driver
 * uses them, and what checks them here:
 *
 * PASID of VFIO_DEVICE_ATTACH_IOMMUFD_PT	index into the CD table, linear or 2-level:
 *						pasid_out_of_the_table
 * the same, 1024 and above, first one		second-level CD tables that are not there:
 *						identity_since_boot_first_pasid_1040
 * number of PASIDs on a HWPT			size of the array: many_atcs_in_one_domain
 * number of domains and PASIDs			ASIDs: reset_keeps_the_asid, handover_*,
 *						rescan_*, asids_*, auto_domain_goes_on,
 *						timed_out_flush_keeps_the_id
 * number of vSMMUs				VMIDs: vmids_taken_nested_goes_to_*_parent*,
 *						smmuv3_sharing vmids_run_out
 * entry_num of IOMMU_HWPT_INVALIDATE		size of the copy: iommufd_vsmmu_fuzz; time:
 *						late_atc_inv_can_be_killed
 * vSID of IOMMU_VDEVICE_ALLOC, of a command	index into vdevs: iommufd_vsmmu_fuzz; life of
 *						what it names: vdevice_destroyed_then_reset
 * fields of a guest's command			smmuv3_sharing scale_above_31_is_refused,
 *						smmuv3_matrix guest.*, iommufd_vsmmu_fuzz
 * vSTE						iommufd_vsmmu_fuzz; KUnit
 * StreamIDs of firmware, one twice or none	smmuv3_sharing stream_named_twice_goes,
 *						vdevice_has_one_stream; two_behind_a_bridge
 * IDR1.SSIDSIZE, IDR0.CD2L, PASID width of a	pasid_out_of_the_table
 * device and whether it can be enabled
 * IDR0.ASID16 and VMID16			asids_*
 * IDR1.CMDQS, EVTQS, PRIQS			dead_smmu.*; smmuv3_sharing
 *						compatible.small_queue
 */
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "smmuv3_sim_load.h"

#define IOVA		0x100000000ULL
#define ATS		SMMUV3_SIM_DMA_ATS
#define EP_PCIE		(SMMUV3_SIM_EP_ATS | SMMUV3_SIM_EP_PASID | SMMUV3_SIM_EP_PRI)
#define C_BAD_CD	0x0a
#define F_TRANSLATION	0x10
#define PASID		5
#define ALL_8BIT	255
/* An unmap of a third party that takes longer than that has waited for somebody else */
#define STOPPED_US	300000
#define STE_0_CFG(ste)	((ste) >> 1 & 7)
#define CD_0_ASID(cd)	((cd) >> 48 & 0xffff)

/* What the kernel says from now on */
static int kmsg_open(struct __test_metadata *_metadata)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, lseek(fd, 0, SEEK_END));
	return fd;
}

/* Has it warned? @text is filled with the first complaint */
static bool kmsg_warns(int fd, char *text, size_t size)
{
	char record[2048];
	bool found = false;
	ssize_t len;

	for (;;) {
		len = read(fd, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			break;
		record[len] = 0;
		if (found || (!strstr(record, "WARNING:") && !strstr(record, "BUG:")))
			continue;
		snprintf(text, size, "%.*s", (int)strcspn(record, "\n"), record);
		found = true;
	}
	close(fd);
	return found;
}

#define EXPECT_NO_WARNING(_fd, ...)						\
	do {									\
		char __text[512] = "", __when[128];				\
										\
		snprintf(__when, sizeof(__when), __VA_ARGS__);			\
		EXPECT_FALSE(kmsg_warns(_fd, __text, sizeof(__text)))		\
		{								\
			TH_LOG("%s: %s", __when, __text);			\
		}								\
	} while (0)

/* scripts/report takes a CMD_SYNC that times out between the two for what it is */
static void say_dead(bool dead)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	dprintf(fd, "rig: an SMMU is %s\n", dead ? "dead" : "back");
	close(fd);
}

static void stay_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* An SMMU with endpoints that are alike */
static void add(struct __test_metadata *_metadata, struct machine *m, int n,
		struct smmuv3_sim_create cfg, int endpoints, __u32 flags)
{
	int i;

	cfg.nr_endpoints = endpoints;
	for (i = 0; i < endpoints; i++)
		cfg.ep_flags[i] = flags;
	machine_add(_metadata, m, n, &cfg);
}

static struct smmuv3_sim_create small_ids(void)
{
	struct smmuv3_sim_create cfg = sim_default();

	cfg.idr0 &= ~(SIM_IDR0_ASID16 | SIM_IDR0_VMID16);
	return cfg;
}

/* A domain for PASIDs with an IOAS of its own, which becomes that of the machine */
static __u32 new_domain(struct __test_metadata *_metadata, struct machine *m, struct sim_dev *dev)
{
	__u32 hwpt;

	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &m->ioas));
	ASSERT_EQ(0, machine_hwpt(m, dev, IOMMU_HWPT_ALLOC_PASID, &hwpt));
	return hwpt;
}

/*
 * Domains of one endpoint, on PASIDs from @first on, until no id is left or there are
 * @max of them. Returns how many it got.
 */
static int take_asids(struct machine *m, struct sim_dev *dev, int first, int max)
{
	__u32 hwpt;
	int i;

	for (i = 0; i < max; i++) {
		if (machine_hwpt(m, dev, IOMMU_HWPT_ALLOC_PASID, &hwpt))
			break;
		if (sim_vfio_attach(dev, first + i, hwpt)) {
			_test_ioctl_destroy(m->iommufd, hwpt);
			break;
		}
	}
	return i;
}

static __u64 ste_word(struct __test_metadata *_metadata, struct sim_smmu *smmu, __u32 endpoint)
{
	struct sim_dev dev = { .smmu = smmu, .endpoint = endpoint };
	__u64 word = 0;

	ASSERT_EQ(0, sim_poke(&dev, 0, 0, 0, 0, 0, &word));
	return word;
}

/* A reset leaves all as it was */
TEST_F(machine, reset_keeps_domains)
{
	struct machine *m = &self->m;
	__u32 rid, hwpt;
	int kmsg, round;

	add(_metadata, m, 0, sim_default(), 2, EP_PCIE | SMMUV3_SIM_EP_FLR);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 0, 1);
	rid = new_domain(_metadata, m, &m->dev[0]);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, rid));
	ASSERT_EQ(0, machine_map(m, IOVA, PAGE, PAGE, RW));
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], PASID, hwpt));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], PASID, hwpt));
	kmsg = kmsg_open(_metadata);
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
		__EXPECT_DMA(m, &m->dev[0], ATS, SIM_NO_PASID, IOVA, PAGE, "before");
		__EXPECT_DMA(m, &m->dev[0], ATS, PASID, IOVA, 0, "before");
		__EXPECT_DMA(m, &m->dev[1], ATS, PASID, IOVA, 0, "before");
		ASSERT_EQ(0, sim_vfio_reset(&m->dev[0]));
		EXPECT_CLEAN(m, "reset");
		EXPECT_DMA(m, &m->dev[0], IOVA, PAGE, "reset");
		__EXPECT_DMA(m, &m->dev[0], ATS, PASID, IOVA, 0, "reset");
		__EXPECT_DMA(m, &m->dev[1], ATS, PASID, IOVA, 0, "the other one");
		ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
		EXPECT_CLEAN(m, "unmapped");
		__EXPECT_DMA(m, &m->dev[0], 0, PASID, IOVA, -F_TRANSLATION, "unmapped");
		__EXPECT_DMA(m, &m->dev[1], ATS, PASID, IOVA, -F_TRANSLATION, "unmapped");
	}
	EXPECT_NO_WARNING(kmsg, "reset");
}

/* Others unmap in its domain meanwhile, on an SMMU that is slow */
TEST_F_TIMEOUT(machine, reset_while_invalidating, 60)
{
	struct machine *m = &self->m;
	struct churn c = { .m = m, .iova = IOVA + BLOCK };
	__u32 hwpt;
	int i, round;

	add(_metadata, m, 0, sim_default(), 2, EP_PCIE | SMMUV3_SIM_EP_FLR);
	for (i = 0; i < 2; i++)
		machine_open(_metadata, m, i, 0, i);
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], SIM_NO_PASID, hwpt));
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], PASID, hwpt));
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], PASID + 1, hwpt));
	}
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	ASSERT_EQ(0, sim_set(&m->smmu[0], 2000, SMMUV3_SIM_ERROR_NONE, 0, 0));
	churn_start(_metadata, &c);
	for (round = 0; round < 20; round++) {
		struct smmuv3_sim_violation violation;

		__EXPECT_DMA(m, &m->dev[0], ATS, PASID, IOVA, 0, "round %d", round);
		ASSERT_EQ(0, sim_vfio_reset(&m->dev[0]));
		EXPECT_EQ(0, sim_violation(m->sim, &violation))
		{
			TH_LOG("round %d: %s", round, sim_violation_str(&violation));
		}
	}
	churn_stop(_metadata, &c);
	EXPECT_CLEAN(m, "at the end");
}

/* Whose translations they are: the victim's of @hwpt on its PASID, in the machine's IOAS */
static void check_victim(struct __test_metadata *_metadata, struct machine *m,
			 struct sim_dev *victim, struct sim_dev *other, const char *when)
{
	__u32 ioas = m->ioas, hwpt;

	/* The next domain gets whatever id is free */
	hwpt = new_domain(_metadata, m, other);
	ASSERT_EQ(0, sim_vfio_attach(other, PASID + 1, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, PAGE, PAGE, RW));
	__EXPECT_DMA(m, other, ATS, PASID + 1, IOVA, PAGE, "%s, another domain", when);
	__EXPECT_DMA(m, victim, ATS, PASID, IOVA, 0, "%s, the victim", when);
	EXPECT_CLEAN(m, "%s", when);
	m->ioas = ioas;
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "%s, unmapped", when);
	__EXPECT_DMA(m, victim, 0, PASID, IOVA, -F_TRANSLATION, "%s, unmapped", when);
	__EXPECT_DMA(m, victim, ATS, PASID, IOVA, -F_TRANSLATION, "%s, unmapped, ATS", when);
}

/*
 * A and B have a PASID on one domain. A is reset, and the core cannot attach its PASID
 * again for want of memory: it only warns. What it detaches later is not there, and must
 * not be taken from B.
 */
TEST_F_TIMEOUT(machine, failed_reattach_takes_nobody_elses_user, 120)
{
	struct machine *m = &self->m;
	__u32 hwpt, word = 1;
	bool failed = false;
	int nth, ret;

	if (!sim_fail_setup())
		SKIP(return, "no fault injection");
	add(_metadata, m, 0, sim_default(), 2, EP_PCIE | SMMUV3_SIM_EP_FLR);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 0, 1);
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], PASID, hwpt));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], PASID, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	for (nth = 1; nth < 100 && !failed; nth++) {
		ASSERT_EQ(0, sim_fail_nth(nth));
		ret = sim_vfio_reset(&m->dev[0]);
		if (!sim_fail_end())
			break;
		ret = sim_dma(&m->dev[0], SMMUV3_SIM_DMA_WRITE, PASID, IOVA, &word, sizeof(word),
			      NULL);
		failed = ret;
	}
	TH_LOG("info: allocation %d %s", nth - failed,
	       failed ? "has left A without its PASID" : "was the last one, A has its PASID");
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[0], PASID));
	check_victim(_metadata, m, &m->dev[1], &m->dev[0], "A is detached");
}

/*
 * Two functions that are one group, although isolated, so that they can have PASIDs;
 * endpoint 0 is open as 0, and one that is alone as 1. Both get a PASID of one domain.
 */
static __u32 add_group_and_victim(struct __test_metadata *_metadata, struct machine *m, bool late)
{
	struct smmuv3_sim_create cfg = sim_default();
	char text[64];
	__u32 hwpt;

	cfg.nr_endpoints = 3;
	cfg.ep_flags[0] = EP_PCIE | SMMUV3_SIM_EP_ACS;
	cfg.ep_flags[1] = EP_PCIE | SMMUV3_SIM_EP_FLR | SMMUV3_SIM_EP_FUNCTION |
			  SMMUV3_SIM_EP_ALIAS;
	cfg.ep_flags[2] = EP_PCIE;
	machine_add(_metadata, m, 0, &cfg);
	if (late)
		ASSERT_EQ(0, sim_endpoint_write(&m->smmu[0], 1, "remove", "1"));
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 0, 2);
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], PASID, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	if (!late)
		return hwpt;
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], PASID, hwpt));
	ASSERT_EQ(0, sim_rescan(&m->smmu[0]));
	snprintf(text, sizeof(text), "iommu_group/devices/%s/vendor", m->smmu[0].bdf[1]);
	ASSERT_EQ(0, sim_endpoint_read(&m->smmu[0], 0, text, text, sizeof(text)))
	{
		TH_LOG("the second function did not join the group of the first");
	}
	__EXPECT_DMA(m, &m->dev[0], ATS, PASID, IOVA, 0, "a function has joined");
	return hwpt;
}

/*
 * The same without a failure: a function joins the group of another one that has a
 * PASID. The core does not attach it to that, but detaches it.
 */
TEST_F(machine, late_group_member_takes_nobody_elses_user)
{
	struct machine *m = &self->m;

	add_group_and_victim(_metadata, m, true);
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[0], PASID));
	check_victim(_metadata, m, &m->dev[1], &m->dev[0], "the group is detached");
}

/* It is detached before its reset as well, and attached after it */
TEST_F(machine, reset_of_a_late_group_member_takes_nobody_elses_user)
{
	struct machine *m = &self->m;

	add_group_and_victim(_metadata, m, true);
	machine_open(_metadata, m, 2, 0, 1);
	ASSERT_EQ(0, sim_vfio_reset(&m->dev[2]));
	EXPECT_CLEAN(m, "reset");
	__EXPECT_DMA(m, &m->dev[0], ATS, PASID, IOVA, 0, "the other function is reset");
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[0], PASID));
	check_victim(_metadata, m, &m->dev[1], &m->dev[0], "the group is detached");
}

/* The attach of the second function fails, that of the first is undone */
TEST_F_TIMEOUT(machine, rollback_of_a_group_takes_nobody_elses_user, 60)
{
	struct machine *m = &self->m;
	int nth, ret = -1;
	__u32 hwpt;

	if (!sim_fail_setup())
		SKIP(return, "no fault injection");
	hwpt = add_group_and_victim(_metadata, m, false);
	for (nth = 1; nth < 100 && ret; nth++) {
		ASSERT_EQ(0, sim_fail_nth(nth));
		ret = sim_vfio_attach(&m->dev[0], PASID, hwpt);
		if (!sim_fail_end())
			ASSERT_EQ(0, ret);
		__EXPECT_DMA(m, &m->dev[1], ATS, PASID, IOVA, 0, "allocation %d fails", nth);
	}
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[0], PASID));
	check_victim(_metadata, m, &m->dev[1], &m->dev[0], "the group is detached");
}

/*
 * Without ACS the PASID capability of a function is not enabled: it has one CD, and
 * the page that this is in survives what 7.3.4 does. Without 2-level tables there are
 * 1024, and memory of others follows.
 */
TEST_F(machine, pasid_out_of_the_table)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	__u32 hwpt;

	cfg.nr_endpoints = 2;
	cfg.ep_flags[0] = EP_PCIE;
	cfg.ep_flags[1] = EP_PCIE | SMMUV3_SIM_EP_FUNCTION;
	machine_add(_metadata, m, 0, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	ASSERT_EQ(-EINVAL, sim_vfio_attach(&m->dev[0], PASID, hwpt))
	{
		TH_LOG("PASID %d of an endpoint that has none is attached", PASID);
	}
	cfg.idr0 &= ~SIM_IDR0_CD2L;
	cfg.idr1 = SIM_IDR1(8, 7, 7, 16, 16);
	cfg.nr_endpoints = 1;
	machine_add(_metadata, m, 1, &cfg);
	machine_open(_metadata, m, 1, 1, 0);
	hwpt = new_domain(_metadata, m, &m->dev[1]);
	ASSERT_EQ(-EINVAL, sim_vfio_attach(&m->dev[1], 1024, hwpt))
	{
		TH_LOG("PASID 1024 of a table with 1024 CDs is attached");
	}
	EXPECT_EQ(-EINVAL, sim_vfio_attach(&m->dev[1], 1040, hwpt));
	EXPECT_EQ(-EINVAL, sim_vfio_attach(&m->dev[1], 30000, hwpt));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], 1023, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	__EXPECT_DMA(m, &m->dev[1], ATS, 1023, IOVA, 0, "the last PASID");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "unmapped");
}

/* The first CD is not in the second-level table that has that of SSID 0 */
TEST_F(machine, identity_since_boot_first_pasid_1040)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	int kmsg = kmsg_open(_metadata);
	char type[32];
	__u32 hwpt;

	cfg.idr1 = SIM_IDR1(8, 7, 7, 16, 16);
	add(_metadata, m, 0, cfg, 1, EP_PCIE | SMMUV3_SIM_EP_IDENTITY);
	ASSERT_EQ(0, sim_endpoint_read(&m->smmu[0], 0, "iommu_group/type", type, sizeof(type)));
	ASSERT_STREQ("identity", type);
	machine_open(_metadata, m, 0, 0, 0);
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], 1040, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	__EXPECT_DMA(m, &m->dev[0], ATS, 1040, IOVA, 0, "PASID 1040");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "unmapped");
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[0], 1040));
	EXPECT_CLEAN(m, "detached");
	sim_vfio_close(&m->dev[0]);
	EXPECT_EQ(VSTE_CFG_BYPASS, STE_0_CFG(ste_word(_metadata, &m->smmu[0], 0)));
	EXPECT_NO_WARNING(kmsg, "PASID 1040 comes and goes");
}

/*
 * The array of a domain has an entry for each PASID with ATS. More than 131,000 are
 * more than kmalloc() has. Each attach copies it, so that HOSTILE_ATCS=140000 takes hours
 * in emulation; the default only shows that there is no limit of ours.
 */
TEST_F_TIMEOUT(machine, many_atcs_in_one_domain, 36000)
{
	const char *env = getenv("HOSTILE_ATCS");
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	int i, n = env ? atoi(env) : 300, kmsg = kmsg_open(_metadata);
	__u32 hwpt;

	cfg.idr1 = SIM_IDR1(8, 7, 7, 16, 16);
	add(_metadata, m, 0, cfg, 3, EP_PCIE);
	for (i = 0; i < 3; i++)
		machine_open(_metadata, m, i, 0, i);
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i % 3], 1 + i / 3, hwpt))
		{
			TH_LOG("PASID %d of endpoint %d", 1 + i / 3, i % 3);
		}
	}
	i--;
	__EXPECT_DMA(m, &m->dev[i % 3], ATS, 1 + i / 3, IOVA, 0, "the last PASID");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "unmapped");
	EXPECT_NO_WARNING(kmsg, "%d ATCs", n);
}

struct grabber {
	struct machine m;
	struct sim_dev *dev;
	int first;
	pthread_t thread;
	volatile bool stop;
	int got;
};

/* Takes each id that is free for a moment */
static void *grab(void *arg)
{
	struct grabber *g = arg;

	while (!g->stop) {
		int n = take_asids(&g->m, g->dev, g->first + g->got, 1);

		g->got += n;
		if (!n)
			usleep(2000);
	}
	return NULL;
}

/* All ASIDs are taken; one who is reset, for a tenth of a second, must not lose its */
TEST_F_TIMEOUT(machine, reset_keeps_the_asid, 60)
{
	struct machine *m = &self->m;
	struct grabber g = {};
	int taken, round, kmsg;
	__u32 ioas, hwpt;

	add(_metadata, m, 0, small_ids(), 2, EP_PCIE | SMMUV3_SIM_EP_FLR);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 0, 1);
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	ioas = m->ioas;
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], PASID, hwpt));
	ASSERT_EQ(0, machine_map(m, IOVA, PAGE, PAGE, RW));
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &m->ioas));
	taken = take_asids(m, &m->dev[1], 1, 300);
	ASSERT_GT(300, taken);
	g.m = *m;
	g.dev = &m->dev[1];
	g.first = 1 + taken;
	kmsg = kmsg_open(_metadata);
	ASSERT_EQ(0, pthread_create(&g.thread, NULL, grab, &g));
	for (round = 0; round < 5; round++) {
		EXPECT_EQ(0, sim_vfio_reset(&m->dev[0]));
		EXPECT_DMA(m, &m->dev[0], IOVA, 0, "reset %d", round);
		__EXPECT_DMA(m, &m->dev[0], ATS, PASID, IOVA, PAGE, "reset %d", round);
	}
	g.stop = true;
	pthread_join(g.thread, NULL);
	EXPECT_EQ(0, g.got)
	{
		TH_LOG("%d ids of a device that is reset have gone to a newcomer", g.got);
	}
	m->ioas = ioas;
	EXPECT_CLEAN(m, "reset");
	EXPECT_NO_WARNING(kmsg, "reset while all ASIDs are taken");
}

/* VFIO has the device for a while; afterwards it is in its default domain again */
TEST_F_TIMEOUT(machine, handover_keeps_the_asid, 60)
{
	struct machine *m = &self->m;
	int taken, got, kmsg, i;

	add(_metadata, m, 0, small_ids(), 2, EP_PCIE);
	machine_open(_metadata, m, 1, 0, 1);
	ASSERT_EQ(VSTE_CFG_S1, STE_0_CFG(ste_word(_metadata, &m->smmu[0], 0)))
	{
		TH_LOG("endpoint 0 is not in a DMA domain to begin with");
	}
	taken = take_asids(m, &m->dev[1], 1, 300);
	ASSERT_GT(300, taken);
	kmsg = kmsg_open(_metadata);
	for (i = 0; i < 2; i++) {
		machine_open(_metadata, m, 0, 0, 0);
		got = take_asids(m, &m->dev[1], 1 + taken, 1);
		EXPECT_EQ(0, got)
		{
			TH_LOG("the id of a default domain has gone to a newcomer");
		}
		sim_vfio_close(&m->dev[0]);
		EXPECT_EQ(VSTE_CFG_S1, STE_0_CFG(ste_word(_metadata, &m->smmu[0], 0)))
		{
			TH_LOG("endpoint 0 is not in its default domain after VFIO had it");
		}
		taken += got;
	}
	EXPECT_NO_WARNING(kmsg, "given back by VFIO while all ASIDs are taken");
	EXPECT_CLEAN(m, "given back");
}

/*
 * All ASIDs are taken, one of them since its device was removed: that one comes back as
 * a newcomer. It may be left without a translation, but without a word.
 */
TEST_F_TIMEOUT(machine, rescan_without_asids_is_quiet, 60)
{
	struct machine *m = &self->m;
	int taken, got, kmsg;
	char text[128];

	add(_metadata, m, 0, small_ids(), 3, EP_PCIE);
	machine_open(_metadata, m, 1, 0, 1);
	taken = take_asids(m, &m->dev[1], 1, 300);
	ASSERT_GT(300, taken);
	kmsg = kmsg_open(_metadata);
	ASSERT_EQ(0, sim_endpoint_write(&m->smmu[0], 0, "remove", "1"));
	got = take_asids(m, &m->dev[1], 1 + taken, 2);
	TH_LOG("info: %d taken, %d more after the removal", taken, got);
	ASSERT_EQ(0, sim_rescan(&m->smmu[0]));
	EXPECT_EQ(0, sim_endpoint_read(&m->smmu[0], 0, "vendor", text, sizeof(text)));
	EXPECT_NO_WARNING(kmsg, "rescanned while all ASIDs are taken");
	/* With ids it works again */
	kmsg = kmsg_open(_metadata);
	sim_vfio_close(&m->dev[1]);
	/* And with it the domains, which have the ids on 7.3.4 */
	close(m->iommufd);
	m->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, m->iommufd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &m->ioas));
	ASSERT_EQ(0, sim_endpoint_write(&m->smmu[0], 0, "remove", "1"));
	ASSERT_EQ(0, sim_rescan(&m->smmu[0]));
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, m->ioas));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	__EXPECT_DMA(m, &m->dev[0], ATS, SIM_NO_PASID, IOVA, 0, "ids are free again");
	EXPECT_NO_WARNING(kmsg, "rescanned with ids");
	EXPECT_CLEAN(m, "rescanned");
}

/*
 * A guest kernel on a 7.3.4 host: two vSMMUs of its may share a VMID, so it must not use
 * one ASID on both
 */
TEST_F(machine, asids_are_distinct)
{
	struct machine *m = &self->m;
	__u32 asid[6];
	int i, j;

	for (i = 0; i < 2; i++)
		add(_metadata, m, i, sim_default(), 3, EP_PCIE);
	for (i = 0; i < 6; i++) {
		struct sim_dev dev = { .smmu = &m->smmu[i / 3], .endpoint = i % 3 };
		__u64 cd = 0;

		ASSERT_EQ(0, sim_poke(&dev, SMMUV3_SIM_POKE_CD, 0, 0, 0, 0, &cd));
		asid[i] = CD_0_ASID(cd);
		for (j = 0; j < i; j++) {
			EXPECT_NE(asid[j], asid[i])
			{
				TH_LOG("ASID %u: SMMU %d and %d", asid[i], j / 3, i / 3);
			}
		}
	}
}

/* An SMMU with 8 bits, and one with 16: neither limits the other */
TEST_F_TIMEOUT(machine, asids_of_8_and_16_bits, 120)
{
	struct machine *m = &self->m;
	int many, few;

	add(_metadata, m, 0, sim_default(), 1, EP_PCIE);
	add(_metadata, m, 1, small_ids(), 1, EP_PCIE);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 1, 0);
	many = take_asids(m, &m->dev[0], 1, 300);
	EXPECT_EQ(300, many);
	few = take_asids(m, &m->dev[1], 1, 300);
	EXPECT_LT(200, few)
	{
		TH_LOG("%d ids for an SMMU with 8 bits while another one uses %d", few, many);
	}
	EXPECT_GE(ALL_8BIT, few);
	many = take_asids(m, &m->dev[0], 1 + many, 20);
	EXPECT_EQ(20, many)
	{
		TH_LOG("%d more for one with 16 bits while one with 8 has used up its", many);
	}
	EXPECT_CLEAN(m, "many ids");
}

/* Two SMMUs with 8 bits need more than there are: then one id is used on both */
TEST_F_TIMEOUT(machine, asids_shared_when_none_is_left, 120)
{
	struct machine *m = &self->m;
	__u64 mark;
	int i, got;

	for (i = 0; i < 2; i++) {
		add(_metadata, m, i, small_ids(), 1, EP_PCIE);
		machine_open(_metadata, m, i, i, 0);
		ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &m->ioas));
		ASSERT_EQ(0, machine_map(m, IOVA, i * PAGE, PAGE, RW));
		got = take_asids(m, &m->dev[i], 1, 200);
		EXPECT_EQ(200, got)
		{
			TH_LOG("%d of 200 ids on SMMU %d", got, i);
		}
		__EXPECT_DMA(m, &m->dev[i], ATS, got, IOVA, i * PAGE, "the last one");
	}
	__EXPECT_DMA(m, &m->dev[0], ATS, 200, IOVA, 0, "the other one");
	mark = sim_log_mark(m->sim);
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_EQ(0, machine_count_cmds(m, mark, 0, CMD_TLBI_NH_VA));
	EXPECT_CLEAN(m, "unmapped");
	__EXPECT_DMA(m, &m->dev[0], ATS, 200, IOVA, 0, "the other one stays");
}

/*
 * The flush of an id times out, since the SMMU does not consume any more. Nobody knows
 * what its TLB has, so that nobody must get the id.
 */
TEST_F_TIMEOUT(machine, timed_out_flush_keeps_the_id, 120)
{
	struct machine *m = &self->m;
	__u64 old = 0, new = 0;
	__u32 hwpt, ioas;

	add(_metadata, m, 0, sim_default(), 2, SMMUV3_SIM_EP_PASID);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 0, 1);
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	ioas = m->ioas;
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], PASID, hwpt));
	ASSERT_EQ(0, sim_poke(&m->dev[0], SMMUV3_SIM_POKE_CD, PASID, 0, 0, 0, &old));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	__EXPECT_DMA(m, &m->dev[0], 0, PASID, IOVA, 0, "before");
	say_dead(true);
	ASSERT_EQ(0, sim_set(&m->smmu[0], 0, SMMUV3_SIM_ERROR_STOP, 0, 0));
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[0], PASID));
	ASSERT_EQ(0, _test_ioctl_destroy(m->iommufd, hwpt));
	hwpt = new_domain(_metadata, m, &m->dev[1]);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], PASID, hwpt));
	ASSERT_EQ(0, sim_poke(&m->dev[1], SMMUV3_SIM_POKE_CD, PASID, 0, 0, 0, &new));
	EXPECT_NE(CD_0_ASID(old), CD_0_ASID(new))
	{
		TH_LOG("ASID %llu has got another table while the TLB may have the old one",
		       CD_0_ASID(new));
	}
	ASSERT_EQ(0, sim_set(&m->smmu[0], 0, SMMUV3_SIM_ERROR_NONE, 0, 0));
	ASSERT_EQ(0, machine_map(m, IOVA, PAGE, PAGE, RW));
	__EXPECT_DMA(m, &m->dev[1], 0, PASID, IOVA, PAGE, "the SMMU is back");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	say_dead(false);
	EXPECT_CLEAN(m, "the SMMU is back");
	ASSERT_EQ(0, _test_ioctl_destroy(m->iommufd, ioas));
}

/*
 * Domains of an IOAS are tried one after the other. The first one could be walked, but
 * needs an id, of which the SMMU has none; the second one has one there. An endpoint
 * that is not coherent does not get the first one, which is how there are two.
 */
TEST_F_TIMEOUT(machine, auto_domain_goes_on, 60)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = small_ids();
	__u32 ioas = m->ioas;
	int taken;

	add(_metadata, m, 0, sim_default(), 1, EP_PCIE);
	cfg.nr_endpoints = 3;
	cfg.ep_flags[0] = EP_PCIE | SMMUV3_SIM_EP_NO_CANWBS;
	cfg.ep_flags[1] = EP_PCIE;
	cfg.ep_flags[2] = EP_PCIE;
	machine_add(_metadata, m, 1, &cfg);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 1, 0);
	machine_open(_metadata, m, 2, 1, 1);
	machine_open(_metadata, m, 3, 1, 2);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, ioas));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], SIM_NO_PASID, ioas));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &m->ioas));
	taken = take_asids(m, &m->dev[3], 1, 300);
	ASSERT_GT(300, taken);
	m->ioas = ioas;
	EXPECT_EQ(0, sim_vfio_attach(&m->dev[2], SIM_NO_PASID, ioas));
	EXPECT_DMA(m, &m->dev[2], IOVA, 0, "attached to the IOAS");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "unmapped");
}

/*
 * How a third party does, for some time: unmaps in each second, the slowest, and how long
 * it was stopped. A busy host stops it, too, but not all the time.
 */
struct third_party {
	__u64 per_second;
	__u64 worst_us;
	__u64 stopped_us;
};

static struct third_party third_party(struct __test_metadata *_metadata, struct machine *m,
				      __u64 us)
{
	struct third_party t = {};
	__u64 start = now_us(), now, n = 0, one;

	do {
		ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
		one = now_us();
		ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
		now = now_us();
		if (now - one > t.worst_us)
			t.worst_us = now - one;
		if (now - one > STOPPED_US)
			t.stopped_us += now - one;
		n++;
	} while (now - start < us);
	t.per_second = n * 1000000 / (now - start);
	return t;
}

/*
 * One SMMU does not consume any more. Somebody unmaps in a domain that both SMMUs use,
 * which takes a second each time; who uses the healthy one alone must not notice much.
 */
FIXTURE(dead_smmu)
{
	struct machine m;
};

FIXTURE_VARIANT(dead_smmu)
{
	int cmdqs;
	bool both;
	bool silent;
};

FIXTURE_VARIANT_ADD(dead_smmu, queue_of_128)
{
	.cmdqs = 7,
	.both = true,
};

FIXTURE_VARIANT_ADD(dead_smmu, queue_of_4096)
{
	.cmdqs = 12,
	.both = true,
};

/* The SMMU is well, but an endpoint of it does not answer */
FIXTURE_VARIANT_ADD(dead_smmu, silent_endpoint)
{
	.cmdqs = 7,
	.both = true,
	.silent = true,
};

FIXTURE_VARIANT_ADD(dead_smmu, of_somebody_else)
{
	.cmdqs = 7,
};

FIXTURE_SETUP(dead_smmu)
{
	machine_init(_metadata, &self->m);
}

FIXTURE_TEARDOWN(dead_smmu)
{
	machine_exit(_metadata, &self->m);
}

TEST_F_TIMEOUT(dead_smmu, stops_nobody_else, 60)
{
	struct machine *m = &self->m, other;
	struct smmuv3_sim_create cfg = sim_default();
	struct churn c = { .m = m, .iova = IOVA };
	struct third_party alone, beside;
	int i;

	cfg.idr1 = SIM_IDR1(variant->cmdqs, 7, 7, 10, 16);
	for (i = 0; i < 2; i++) {
		add(_metadata, m, i, cfg, 1 + i, EP_PCIE);
		machine_open(_metadata, m, i, i, 0);
	}
	machine_open(_metadata, m, 2, 1, 1);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, m->ioas));
	if (variant->both)
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], SIM_NO_PASID, m->ioas));
	other = *m;
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &other.ioas));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[2], SIM_NO_PASID, other.ioas));
	alone = third_party(_metadata, &other, 500000);
	say_dead(true);
	ASSERT_EQ(0, sim_set(&m->smmu[0], 0, variant->silent ? SMMUV3_SIM_ERROR_ATC_LATE :
			     SMMUV3_SIM_ERROR_STOP, 0, variant->silent ? 9000000 : 0));
	churn_start(_metadata, &c);
	usleep(100000);
	beside = third_party(_metadata, &other, 3000000);
	/* It comes back, and does all that it was told */
	ASSERT_EQ(0, sim_set(&m->smmu[0], 0, SMMUV3_SIM_ERROR_NONE, 0, 0));
	churn_stop(_metadata, &c);
	say_dead(false);
	TH_LOG("info: third party: %llu unmaps per second, worst %llu us; before %llu, %llu us",
	       beside.per_second, beside.worst_us, alone.per_second, alone.worst_us);
	EXPECT_GT(800000, beside.stopped_us)
	{
		TH_LOG("it was stopped for %llu ms of three seconds", beside.stopped_us / 1000);
	}
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "the SMMU is back");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_DMA(m, &m->dev[0], IOVA, -F_TRANSLATION, "the SMMU is back");
	EXPECT_CLEAN(m, "the SMMU is back");
}

/* A guest with an endpoint that takes half a second for each CMD_ATC_INV */
TEST_F_TIMEOUT(machine, late_atc_inv_can_be_killed, 60)
{
	enum { NR = 800 };
	static struct smmuv3_cmd cmds[NR];
	struct machine *m = &self->m;
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste_s1(GUEST_IPA + G_CD);
	struct guest g;
	__u64 start;
	pid_t pid;
	int i;

	add(_metadata, m, 0, sim_default(), 1, EP_PCIE);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, machine_map(m, GUEST_IPA, 0, BLOCK, RW));
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[0], 0));
	vste.ste[1] |= htole64(VSTE_1_EATS(1));
	ASSERT_EQ(0, guest_attach(&g, vste));
	for (i = 0; i < NR; i++)
		cmds[i] = smmuv3_cmd(CMD_ATC_INV | CMD_0_SID(GUEST_VSID), IOVA + i * PAGE);
	ASSERT_EQ(0, sim_set(&m->smmu[0], 0, SMMUV3_SIM_ERROR_ATC_LATE, 0, 500000));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(!!guest_cmds(&g, cmds, NR));
	}
	usleep(700000);
	start = now_us();
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	start = now_us() - start;
	EXPECT_GT(2000000, start)
	{
		TH_LOG("%llu ms from SIGKILL to the end of %d CMD_ATC_INVs", start / 1000, NR);
	}
	ASSERT_EQ(0, sim_set(&m->smmu[0], 0, SMMUV3_SIM_ERROR_NONE, 0, 0));
	ASSERT_EQ(0, guest_cmds(&g, cmds, 10));
	EXPECT_CLEAN(m, "killed");
}

struct mover {
	struct sim_dev *dev;
	__u32 hwpt;
	pthread_t thread;
	volatile bool stop;
	volatile int rounds;
	int ret;
};

static void *move(void *arg)
{
	struct mover *v = arg;

	/* It waits with interrupts off */
	stay_on_cpu(2);
	while (!v->stop && !v->ret) {
		v->ret = sim_vfio_attach(v->dev, SIM_NO_PASID, v->hwpt) ?:
			 sim_vfio_detach(v->dev, SIM_NO_PASID);
		v->rounds++;
	}
	return NULL;
}

/*
 * The release of an mm runs inside the SRCU section that all who unregister an MMU
 * notifier wait for, VMs that end for one. It must not wait there for an attach on an
 * SMMU that has nothing to do with it.
 */
TEST_F_TIMEOUT(machine, exit_holds_up_no_notifier, 60)
{
	struct machine *m = &self->m;
	struct mover v = { .dev = &m->dev[0] };
	struct sim_dev sva = { .smmu = &m->smmu[1] };
	__u64 worst = 0, us;
	__u32 *pasid;
	int i, pipes[2];
	char c = 0;
	pid_t pid;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 4)
		SKIP(return, "needs four CPUs");
	stay_on_cpu(1);
	add(_metadata, m, 0, sim_default(), 1, EP_PCIE);
	add(_metadata, m, 1, sim_sva(), 1, EP_PCIE);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], 0, &v.hwpt));
	pasid = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)pasid);
	ASSERT_EQ(0, pipe(pipes));
	for (i = 0; i < 2; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			c = !!sim_sva_bind(&sva, pasid);
			if (write(pipes[1], &c, 1) == 1)
				pause();
			_exit(0);
		}
		ASSERT_EQ(1, read(pipes[0], &c, 1));
		ASSERT_EQ(0, c);
		ASSERT_EQ(0, sim_set(&m->smmu[0], 800000, SMMUV3_SIM_ERROR_NONE, 0, 0));
		v.stop = false;
		ASSERT_EQ(0, pthread_create(&v.thread, NULL, move, &v));
		usleep(300000);
		kill(pid, SIGKILL);
		usleep(50000);
		us = now_us();
		ASSERT_EQ(0, ioctl(m->sim, SMMUV3_SIM_NOTIFIER));
		us = now_us() - us;
		if (us > worst)
			worst = us;
		v.stop = true;
		ASSERT_EQ(0, sim_set(&m->smmu[0], 0, SMMUV3_SIM_ERROR_NONE, 0, 0));
		pthread_join(v.thread, NULL);
		EXPECT_EQ(0, v.ret);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		ASSERT_EQ(0, sim_sva_unbind(&sva, *pasid));
	}
	TH_LOG("info: an MMU notifier of another process is unregistered in %llu us", worst);
	EXPECT_GT(500000, worst);
	EXPECT_CLEAN(m, "at the end");
}

static int guest_atc_inv(struct guest *g)
{
	return guest_cmd(g, smmuv3_cmd(CMD_ATC_INV | CMD_0_SID(GUEST_VSID), IOVA));
}

/* What a guest wants invalidated in a device that is not its, or not now */
TEST_F(machine, atc_inv_of_a_guest_needs_an_atc)
{
	struct machine *m = &self->m;
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste_s1(GUEST_IPA + G_CD);
	struct guest g;
	__u64 mark;

	add(_metadata, m, 0, sim_default(), 1, EP_PCIE);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, machine_map(m, GUEST_IPA, 0, BLOCK, RW));
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[0], 0));
	mark = sim_log_mark(m->sim);
	EXPECT_EQ(0, guest_atc_inv(&g));
	EXPECT_EQ(0, machine_count_cmds(m, mark, 0, CMD_ATC_INV))
	{
		TH_LOG("CMD_ATC_INV to an endpoint that was never attached");
	}
	/* The vSTE says no ATS */
	ASSERT_EQ(0, guest_attach(&g, vste));
	mark = sim_log_mark(m->sim);
	EXPECT_EQ(0, guest_atc_inv(&g));
	EXPECT_EQ(0, machine_count_cmds(m, mark, 0, CMD_ATC_INV))
	{
		TH_LOG("CMD_ATC_INV to an endpoint whose ATS is off");
	}
	vste.ste[1] |= htole64(VSTE_1_EATS(1));
	ASSERT_EQ(0, guest_attach(&g, vste));
	mark = sim_log_mark(m->sim);
	EXPECT_EQ(0, guest_atc_inv(&g));
	EXPECT_EQ(1, machine_count_cmds(m, mark, 0, CMD_ATC_INV));
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[0], SIM_NO_PASID));
	mark = sim_log_mark(m->sim);
	EXPECT_EQ(0, guest_atc_inv(&g));
	EXPECT_EQ(0, machine_count_cmds(m, mark, 0, CMD_ATC_INV))
	{
		TH_LOG("CMD_ATC_INV to an endpoint that is detached");
	}
	EXPECT_CLEAN(m, "at the end");
}

/* The vDEVICE is gone, the device stays attached, and is after a reset */
TEST_F(machine, vdevice_destroyed_then_reset)
{
	struct machine *m = &self->m;
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste_s1(GUEST_IPA + G_CD);
	size_t next = G_TABLES + PAGE, root = G_TABLES;
	int kmsg = kmsg_open(_metadata);
	struct guest g;

	add(_metadata, m, 0, sim_default(), 1, EP_PCIE | SMMUV3_SIM_EP_FLR);
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, machine_map(m, GUEST_IPA, 0, BLOCK, RW));
	*g_entry(m, 12, 39, &next, root, IOVA, 3) = GUEST_IPA | G_OK | G_PAGE;
	g_write_cd(m, G_CD, root, 0, 39, 7);
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[0], 0));
	ASSERT_EQ(0, guest_attach(&g, vste));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "attached");
	ASSERT_EQ(0, sim_vfio_reset(&m->dev[0]));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "reset with its vDEVICE");
	if (_test_ioctl_destroy(m->iommufd, g.vdev)) {
		EXPECT_EQ(EBUSY, errno);
		TH_LOG("info: the vDEVICE cannot be destroyed while attached");
	}
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "its vDEVICE is destroyed");
	ASSERT_EQ(0, sim_vfio_reset(&m->dev[0]));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "reset without its vDEVICE");
	EXPECT_NO_WARNING(kmsg, "reset without its vDEVICE");
	EXPECT_CLEAN(m, "at the end");
}

/* Somebody has all VMIDs. Whoever is nested can still go to the parent */
static void nested_goes_to_parent(struct __test_metadata *_metadata, struct machine *m,
				  __u32 parent)
{
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste_s1(GUEST_IPA + G_CD);
	size_t next = G_TABLES + PAGE, root = G_TABLES;
	__u32 other, viommu;
	struct guest g;
	int nr;

	ASSERT_EQ(0, machine_map(m, GUEST_IPA, 0, BLOCK, RW));
	*g_entry(m, 12, 39, &next, root, IOVA, 3) = GUEST_IPA | G_OK | G_PAGE;
	g_write_cd(m, G_CD, root, 0, 39, 7);
	ASSERT_EQ(0, guest_init(&g, m, &m->dev[0], parent));
	ASSERT_EQ(0, guest_attach(&g, vste));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "nested");
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[1], PARENT, &other));
	for (nr = 0; nr < 300; nr++)
		if (_test_cmd_viommu_alloc(m->iommufd, m->dev[1].id, other, 0,
					   IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0, &viommu))
			break;
	TH_LOG("info: %d vSMMUs of another VM", nr);
	EXPECT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, g.parent));
	EXPECT_DMA(m, &m->dev[0], GUEST_IPA, 0, "on its parent");
	EXPECT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, g.hwpt));
	EXPECT_DMA(m, &m->dev[0], IOVA, 0, "nested again");
	EXPECT_CLEAN(m, "at the end");
}

TEST_F_TIMEOUT(machine, vmids_taken_nested_goes_to_its_parent, 60)
{
	struct machine *m = &self->m;

	add(_metadata, m, 0, small_ids(), 2, EP_PCIE);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 0, 1);
	nested_goes_to_parent(_metadata, m, 0);
}

/* The same with a parent that was made for another SMMU, where VMIDs are left */
TEST_F_TIMEOUT(machine, vmids_taken_nested_goes_to_a_parent_from_elsewhere, 60)
{
	struct machine *m = &self->m;
	__u32 parent;

	add(_metadata, m, 0, small_ids(), 2, EP_PCIE);
	add(_metadata, m, 1, sim_default(), 1, EP_PCIE);
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 0, 1);
	machine_open(_metadata, m, 2, 1, 0);
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[2], PARENT, &parent));
	nested_goes_to_parent(_metadata, m, parent);
}

/* Pulled out while it is in use; somebody beside it does not notice */
TEST_F_TIMEOUT(machine, surprise_removal, 60)
{
	struct machine *m = &self->m;
	int kmsg = kmsg_open(_metadata);
	__u32 hwpt;
	__u64 us;
	int i;

	add(_metadata, m, 0, sim_default(), 2, EP_PCIE);
	for (i = 0; i < 2; i++)
		machine_open(_metadata, m, i, 0, i);
	hwpt = new_domain(_metadata, m, &m->dev[0]);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], SIM_NO_PASID, hwpt));
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], PASID, hwpt));
	}
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	for (i = 0; i < 2; i++)
		__EXPECT_DMA(m, &m->dev[i], ATS, PASID, IOVA, 0, "endpoint %d", i);
	ASSERT_EQ(0, sim_presence(&m->smmu[0], 0, false));
	us = now_us();
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	__EXPECT_DMA(m, &m->dev[1], ATS, PASID, IOVA, -F_TRANSLATION, "beside it");
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	__EXPECT_DMA(m, &m->dev[1], ATS, PASID, IOVA, 0, "beside it");
	ASSERT_EQ(0, sim_vfio_detach(&m->dev[0], PASID));
	sim_vfio_close(&m->dev[0]);
	ASSERT_EQ(0, sim_endpoint_write(&m->smmu[0], 0, "remove", "1"));
	us = now_us() - us;
	EXPECT_GT(10000000, us);
	__EXPECT_DMA(m, &m->dev[1], ATS, SIM_NO_PASID, IOVA, 0, "beside it");
	/* A new one in the same place */
	ASSERT_EQ(0, sim_presence(&m->smmu[0], 0, true));
	ASSERT_EQ(0, sim_rescan(&m->smmu[0]));
	machine_open(_metadata, m, 0, 0, 0);
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], PASID, hwpt));
	__EXPECT_DMA(m, &m->dev[0], ATS, PASID, IOVA, 0, "plugged in again");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "unmapped");
	EXPECT_NO_WARNING(kmsg, "pulled out");
}

/* Two functions that are not isolated from each other, one of which is reset */
TEST_F(machine, two_functions_of_a_group)
{
	struct machine *m = &self->m;
	const __u32 flags = SMMUV3_SIM_EP_ATS | SMMUV3_SIM_EP_FLR;
	struct smmuv3_sim_create cfg = sim_default();
	int i, round, kmsg = kmsg_open(_metadata);

	cfg.nr_endpoints = 2;
	cfg.ep_flags[0] = flags;
	cfg.ep_flags[1] = flags | SMMUV3_SIM_EP_FUNCTION;
	machine_add(_metadata, m, 0, &cfg);
	for (i = 0; i < 2; i++) {
		machine_open(_metadata, m, i, 0, i);
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], SIM_NO_PASID, m->ioas));
	}
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
		for (i = 0; i < 2; i++)
			__EXPECT_DMA(m, &m->dev[i], ATS, SIM_NO_PASID, IOVA, 0, "function %d", i);
		ASSERT_EQ(0, sim_vfio_reset(&m->dev[round]));
		for (i = 0; i < 2; i++)
			__EXPECT_DMA(m, &m->dev[i], ATS, SIM_NO_PASID, IOVA, 0, "%d reset", round);
		ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
		EXPECT_CLEAN(m, "unmapped");
		for (i = 0; i < 2; i++)
			EXPECT_DMA(m, &m->dev[i], IOVA, -F_TRANSLATION, "function %d", i);
	}
	/* One goes, the group stays */
	sim_vfio_close(&m->dev[1]);
	ASSERT_EQ(0, sim_endpoint_write(&m->smmu[0], 1, "remove", "1"));
	ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
	__EXPECT_DMA(m, &m->dev[0], ATS, SIM_NO_PASID, IOVA, 0, "the one that stays");
	ASSERT_EQ(0, sim_rescan(&m->smmu[0]));
	__EXPECT_DMA(m, &m->dev[0], ATS, SIM_NO_PASID, IOVA, 0, "the other one is back");
	ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
	EXPECT_CLEAN(m, "at the end");
	EXPECT_NO_WARNING(kmsg, "two functions");
}

/*
 * Two conventional devices have the StreamID of their bridge. The driver does not
 * support that: the first one works and the second one is refused, which changes
 * nothing for the first one. When that has gone, the second one can come.
 */
TEST_F(machine, two_behind_a_bridge)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg = sim_default();
	int i, kmsg = kmsg_open(_metadata);
	char text[64];

	cfg.nr_endpoints = 2;
	cfg.ep_flags[0] = SMMUV3_SIM_EP_BRIDGED;
	cfg.ep_flags[1] = SMMUV3_SIM_EP_BRIDGED;
	machine_add(_metadata, m, 0, &cfg);
	ASSERT_EQ(m->smmu[0].cfg.out_sid[0], m->smmu[0].cfg.out_sid[1]);
	EXPECT_EQ(-ENOENT, sim_endpoint_read(&m->smmu[0], 1, "iommu_group/type", text,
					     sizeof(text)));
	for (i = 0; i < 2; i++) {
		machine_open(_metadata, m, i, 0, i);
		ASSERT_EQ(0, sim_vfio_attach(&m->dev[i], SIM_NO_PASID, m->ioas));
		ASSERT_EQ(0, machine_map(m, IOVA, 0, PAGE, RW));
		EXPECT_DMA(m, &m->dev[i], IOVA, 0, "device %d", i);
		if (!i) {
			ASSERT_EQ(0, sim_endpoint_write(&m->smmu[0], 1, "remove", "1"));
			EXPECT_DMA(m, &m->dev[0], IOVA, 0, "the other one has gone");
			ASSERT_EQ(0, sim_rescan(&m->smmu[0]));
			EXPECT_DMA(m, &m->dev[0], IOVA, 0, "the other one is back");
		}
		ASSERT_EQ(0, machine_unmap(m, IOVA, PAGE));
		EXPECT_CLEAN(m, "unmapped");
		EXPECT_DMA(m, &m->dev[i], IOVA, -F_TRANSLATION, "unmapped");
		if (i)
			break;
		sim_vfio_close(&m->dev[0]);
		ASSERT_EQ(0, sim_endpoint_write(&m->smmu[0], 0, "remove", "1"));
		ASSERT_EQ(0, sim_endpoint_write(&m->smmu[0], 1, "remove", "1"));
		ASSERT_EQ(0, sim_presence(&m->smmu[0], 0, false));
		ASSERT_EQ(0, sim_rescan(&m->smmu[0]));
	}
	EXPECT_NO_WARNING(kmsg, "two behind a bridge");
}

TEST_HARNESS_MAIN
