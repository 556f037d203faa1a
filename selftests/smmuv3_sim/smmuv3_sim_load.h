/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests in which something happens meanwhile: two SMMUs that are not alike, one
 * thread that unmaps, one that removes.
 */
#ifndef __SMMUV3_SIM_LOAD_H
#define __SMMUV3_SIM_LOAD_H

#include <pthread.h>

#include "smmuv3_sim_machine.h"

#define PARENT	IOMMU_HWPT_ALLOC_NEST_PARENT

FIXTURE(machine)
{
	struct machine m;
};

FIXTURE_SETUP(machine)
{
	machine_init(_metadata, &self->m);
}

FIXTURE_TEARDOWN(machine)
{
	machine_exit(_metadata, &self->m);
}

/**
 * add_two() - Add two SMMUs that are not alike, and open the first endpoint of each
 * @_metadata: the running test
 * @m: the machine; they become SMMUs and endpoints 0 and 1
 */
static void add_two(struct __test_metadata *_metadata, struct machine *m)
{
	struct smmuv3_sim_create cfg;
	int i;

	for (i = 0; i < 2; i++) {
		cfg = features(i);
		machine_add(_metadata, m, i, &cfg);
		machine_open(_metadata, m, i, i, 0);
	}
}

/**
 * struct churn - Map and unmap a page again and again while somebody comes and goes
 * @m: the machine
 * @iova: of the page
 * @thread: who does it
 * @stop: it is to end
 * @rounds: how often it was done
 * @ret: what stopped it, 0: nothing
 */
struct churn {
	struct machine *m;
	__u64 iova;
	pthread_t thread;
	volatile bool stop;
	long rounds;
	int ret;
};

/* The thread of a struct churn */
static void *churn(void *arg)
{
	struct churn *c = arg;

	while (!c->stop && !c->ret) {
		c->ret = machine_map(c->m, c->iova, 0, PAGE, RW);
		if (!c->ret)
			c->ret = machine_unmap(c->m, c->iova, PAGE);
		c->rounds++;
	}
	return NULL;
}

/**
 * churn_prepare() - Two SMMUs on one S2 parent, for churn_start()
 * @_metadata: the running test
 * @m: the machine, without SMMUs
 *
 * Return: the parent; both endpoints are attached to it.
 */
static __u32 churn_prepare(struct __test_metadata *_metadata, struct machine *m)
{
	__u32 hwpt;

	add_two(_metadata, m);
	ASSERT_EQ(0, machine_hwpt(m, &m->dev[0], PARENT, &hwpt));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[0], SIM_NO_PASID, hwpt));
	ASSERT_EQ(0, machine_map(m, GUEST_IPA, BLOCK, PAGE, RW));
	ASSERT_EQ(0, sim_vfio_attach(&m->dev[1], SIM_NO_PASID, hwpt));
	return hwpt;
}

/**
 * churn_start() - Map and unmap from now on
 * @_metadata: the running test
 * @c: with @m and @iova set, the rest 0; churn_stop() has to follow
 */
static void churn_start(struct __test_metadata *_metadata, struct churn *c)
{
	ASSERT_EQ(0, pthread_create(&c->thread, NULL, churn, c));
}

/**
 * churn_stop() - Stop it, wait for the thread, and check that nothing has failed
 * @_metadata: the running test
 * @c: after churn_start()
 */
static void churn_stop(struct __test_metadata *_metadata, struct churn *c)
{
	c->stop = true;
	pthread_join(c->thread, NULL);
	EXPECT_EQ(0, c->ret);
	TH_LOG("info: %ld unmaps", c->rounds);
}

/**
 * struct removal - An SMMU is removed by another thread
 * @smmu: the SMMU
 * @flags: enum smmuv3_sim_remove_flags
 * @thread: who does it
 * @done: it is gone
 * @ret: of sim_remove()
 */
struct removal {
	struct sim_smmu *smmu;
	__u32 flags;
	pthread_t thread;
	volatile bool done;
	int ret;
};

/* The thread of a struct removal */
static void *removal(void *arg)
{
	struct removal *r = arg;

	r->ret = sim_remove(r->smmu, r->flags);
	r->done = true;
	return NULL;
}

/**
 * removal_start() - Remove an SMMU from now on
 * @_metadata: the running test
 * @r: with @smmu and @flags set, the rest 0; removal_wait() has to follow
 */
static void removal_start(struct __test_metadata *_metadata, struct removal *r)
{
	ASSERT_EQ(0, pthread_create(&r->thread, NULL, removal, r));
}

/**
 * removal_wait() - Wait until the SMMU is gone, and check that nothing has failed
 * @_metadata: the running test
 * @r: after removal_start()
 */
static void removal_wait(struct __test_metadata *_metadata, struct removal *r)
{
	pthread_join(r->thread, NULL);
	EXPECT_EQ(0, r->ret);
}

#endif
