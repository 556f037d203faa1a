// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VMM can do to others by the memory that it gives the kernel, on simulated SMMUs.
 *
 * IOMMU_VEVENTQ_ALLOC writes its answer to a page whose write fault does not end, as one
 * of userfaultfd or FUSE would. Meanwhile there is an event for that vIOMMU. Nobody else
 * may have to wait: not a device of another SMMU, and not one of the same.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "smmuv3_sim_load.h"

#define LIMIT_S		2
#define F_TRANSLATION	0x10

/**
 * struct mover - Attach an endpoint and detach it, in a thread
 * @dev: the endpoint
 * @ioas: to what
 * @thread: who does it
 * @ret: -errno of what failed, or 0
 */
struct mover {
	struct sim_dev *dev;
	__u32 ioas;
	pthread_t thread;
	int ret;
};

static void *mover(void *arg)
{
	struct mover *mover = arg;

	mover->ret = sim_vfio_attach(mover->dev, SIM_NO_PASID, mover->ioas);
	if (!mover->ret)
		mover->ret = sim_vfio_detach(mover->dev, SIM_NO_PASID);
	return NULL;
}

FIXTURE(veventq)
{
	struct machine m;
	struct guest g;
	pid_t child;
	struct mover same_smmu;
	struct mover other_smmu;
	bool same_done;
	bool other_done;
};

/* In a process of its own: while its fault waits, the locks of its mm are held */
static void alloc_into_blocked_page(struct machine *m, __u32 viommu)
{
	struct iommu_veventq_alloc *cmd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cmd = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m->sim, 0);
	if (cmd == MAP_FAILED)
		_exit(errno);
	*cmd = (struct iommu_veventq_alloc){
		.size = sizeof(*cmd),
		.viommu_id = viommu,
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = 16,
	};
	/* The kernel may read it again, but not write */
	if (madvise(cmd, PAGE, MADV_DONTNEED) || sim_page(m->sim, SMMUV3_SIM_PAGE_BLOCKS) < 0)
		_exit(errno);
	_exit(ioctl(m->iommufd, IOMMU_VEVENTQ_ALLOC, cmd) ? errno : 0);
}

static bool done_in_time(struct mover *mover)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += LIMIT_S;
	return !pthread_timedjoin_np(mover->thread, NULL, &end);
}

/*
 * Up to the point where the event waits, if it has to. The device of the same SMMU is
 * moved first: if it waits with a lock of all SMMUs held, the other one waits as well.
 */
FIXTURE_SETUP(veventq)
{
	struct machine *m = &self->m;
	struct smmuv3_sim_create cfg;
	int ms, waiting = 0;
	int i;

	machine_init(_metadata, m);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	for (i = 0; i < 2; i++) {
		cfg = features(i);
		machine_add(_metadata, m, i, &cfg);
	}
	machine_open(_metadata, m, 0, 0, 0);
	machine_open(_metadata, m, 1, 0, 1);
	machine_open(_metadata, m, 2, 1, 0);
	ASSERT_EQ(0, machine_map(m, GUEST_IPA, 0, BLOCK, RW));
	ASSERT_EQ(0, guest_init(&self->g, m, &m->dev[0], 0));
	/* Tables of stage 1 with nothing in them */
	g_write_cd(m, G_CD, G_TABLES, 0, 39, 1);
	ASSERT_EQ(0, guest_attach(&self->g, guest_vste_s1(GUEST_IPA + G_CD)));

	self->child = fork();
	ASSERT_LE(0, self->child);
	if (!self->child)
		alloc_into_blocked_page(m, self->g.viommu);
	for (ms = 0; ms < 5000 && !waiting; ms++) {
		usleep(1000);
		waiting = sim_page(m->sim, SMMUV3_SIM_PAGE_AS_IT_IS);
	}
	ASSERT_EQ(1, waiting)
	{
		TH_LOG("IOMMU_VEVENTQ_ALLOC does not wait for its page");
	}
	EXPECT_DMA(m, &m->dev[0], 0x1000, -F_TRANSLATION, "an event for the vIOMMU");
	usleep(200000);

	self->same_smmu = (struct mover){ .dev = &m->dev[1], .ioas = m->ioas };
	self->other_smmu = (struct mover){ .dev = &m->dev[2], .ioas = m->ioas };
	ASSERT_EQ(0, pthread_create(&self->same_smmu.thread, NULL, mover, &self->same_smmu));
	usleep(200000);
	ASSERT_EQ(0, pthread_create(&self->other_smmu.thread, NULL, mover, &self->other_smmu));
	self->other_done = done_in_time(&self->other_smmu);
	self->same_done = done_in_time(&self->same_smmu);
}

FIXTURE_TEARDOWN(veventq)
{
	int status;

	sim_page(self->m.sim, SMMUV3_SIM_PAGE_GOES_ON);
	EXPECT_EQ(self->child, waitpid(self->child, &status, 0));
	EXPECT_EQ(0, status);
	if (!self->other_done)
		pthread_join(self->other_smmu.thread, NULL);
	if (!self->same_done)
		pthread_join(self->same_smmu.thread, NULL);
	EXPECT_EQ(0, self->other_smmu.ret);
	EXPECT_EQ(0, self->same_smmu.ret);
	EXPECT_CLEAN(&self->m, "everybody has gone on");
	machine_exit(_metadata, &self->m);
}

TEST_F(veventq, other_smmu_is_not_blocked)
{
	EXPECT_TRUE(self->other_done)
	{
		TH_LOG("attach and detach on another SMMU wait for a page of a VMM");
	}
}

TEST_F(veventq, same_smmu_is_not_blocked)
{
	EXPECT_TRUE(self->same_done)
	{
		TH_LOG("attach and detach on the same SMMU wait for a page of a VMM");
	}
}

TEST_HARNESS_MAIN
