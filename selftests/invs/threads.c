// SPDX-License-Identifier: GPL-2.0-only
/*
 * The invalidation array with real threads, for TSan and ASan: some attach and
 * detach devices, others change a page and invalidate it.
 *
 *	threads SEED SECONDS [MISTAKE]
 *
 * attach(), detach() and invalidate() are what the driver does around the array
 * in arm_smmu_install_new_domain_invs(), arm_smmu_install_old_domain_invs(),
 * arm_smmu_attach_finish() and arm_smmu_domain_inv_range(). With a MISTAKE they
 * do it wrong, and that has to be found.
 *
 * What a device has cached of the page is the version that it was filled with.
 * When invalidate() returns, no device may use an older one than was written
 * before. After detach() nobody may send the device a CMD_ATC_INV.
 */

#include <linux/err.h>
#include <asm/barrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "invs_test.h"
#include "rcu.h"
#include "steps.h"

#define rcu_assign_pointer(p, v)	__atomic_store_n(&(p), v, __ATOMIC_RELEASE)
/* Stronger than the kernel's: TSan knows no order by dependency */
#define rcu_dereference(p)		__atomic_load_n(&(p), __ATOMIC_ACQUIRE)

#define NUM_THREADS	3	/* of each kind */

/*
 * Functions of the hardware. No sanitizer looks at them: a lock or an atomic in
 * here would order what the driver does not.
 */
#define hardware noinline __attribute__((disable_sanitizer_instrumentation))

#if __has_feature(thread_sanitizer)
const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
	return "halt_on_error=1";
}
#endif

static const char *mistake = "";

static bool wrong(const char *name)
{
	return !strcmp(mistake, name);
}

/* Devices that share an id have a PASID each, and so an ATC entry each */
static struct hw_device {
	struct step is;
	bool lock;
	bool on; /* its STE is that of the domain */
	bool gone;
	u64 cached[3]; /* by the phase that invalidates it; 0 is nothing */
} devices[] = {
	{ .is = { .smmu = 0, .kind = DEVICE_S1, .streams = 0, .ssid = 0 } },
	{ .is = { .smmu = 0, .kind = DEVICE_S1, .streams = 1, .ssid = 1 } },
	{ .is = { .smmu = 0, .kind = DEVICE_S1, .streams = 2, .ssid = 2 } },
	{ .is = { .smmu = 1, .kind = DEVICE_S2, .streams = 1, .ssid = 1 } },
	{ .is = { .smmu = 1, .kind = DEVICE_S2, .streams = 0, .ssid = 2 } },
	{ .is = { .smmu = 1, .kind = DEVICE_NESTED, .id = 1, .streams = 1 } },
	{ .is = { .smmu = 2, .kind = DEVICE_NESTED, .id = 2, .streams = 0 } },
	{ .is = { .smmu = 2, .kind = DEVICE_NESTED, .id = 3, .streams = 2 } },
	{ .is = { .smmu = 3, .kind = DEVICE_S1, .streams = 1, .ssid = 1 } },
};

struct arm_smmu_device smmus[NUM_SMMUS] = {
	{ .range = true }, { .range = true, .e2h = true }, { .range = true }, {},
};

static u64 page = 1; /* its version */

void *invs_zalloc(size_t size)
{
	return calloc(1, size);
}

static hardware void lock(struct hw_device *d)
{
	while (__atomic_test_and_set(&d->lock, __ATOMIC_ACQUIRE))
		sched_yield();
}

static hardware void unlock(struct hw_device *d)
{
	__atomic_clear(&d->lock, __ATOMIC_RELEASE);
}

static hardware u64 change_page(void)
{
	return __atomic_add_fetch(&page, 1, __ATOMIC_RELAXED);
}

static hardware bool has_cache(const struct hw_device *d, unsigned int phase)
{
	return !phase || (phase == 1 && d->is.kind == DEVICE_NESTED) ||
	       (phase == 2 && d->is.streams);
}

/* A DMA: each cache fills from the one before, the first from memory */
static hardware void translate(struct hw_device *d)
{
	u64 version;
	unsigned int i;

	lock(d);
	version = __atomic_load_n(&page, __ATOMIC_RELAXED);
	for (i = 0; d->on && i != 3; i++) {
		if (!has_cache(d, i))
			continue;
		if (!d->cached[i])
			d->cached[i] = version;
		version = d->cached[i];
	}
	unlock(d);
}

static hardware void set_ste(struct hw_device *d, bool on)
{
	lock(d);
	d->on = on;
	memset(d->cached, 0, sizeof(d->cached));
	unlock(d);
}

static hardware void set_gone(struct hw_device *d, bool gone)
{
	lock(d);
	d->gone = gone;
	unlock(d);
}

/* Nobody uses what was there before @version */
static hardware void check_page(u64 version)
{
	struct hw_device *d;
	unsigned int i;

	for (d = devices; d != devices + ARRAY_SIZE(devices); d++) {
		lock(d);
		for (i = 0; i != 3; i++)
			if (d->cached[i] && d->cached[i] < version)
				fail("device %zu has version %llu of the page, not %llu, phase %u",
				     d - devices,
				     (unsigned long long)d->cached[i],
				     (unsigned long long)version, i);
		unlock(d);
	}
}

/* Which of the caches of @d a command is about, as a mask */
static hardware unsigned int hits(const struct hw_device *d, u64 cmd)
{
	u64 id = d->is.id + 1 + 256 * d->is.kind, sid = cmd >> 32;

	switch (cmd & 0xff) {
	case 0x11 ... 0x12:	/* NH_ASID, NH_VA */
	case 0x21 ... 0x22:	/* EL2_ASID, EL2_VA */
		return d->is.kind == DEVICE_S1 && cmd >> 48 == id;
	case 0x10:		/* NH_ALL */
		return 2 * (d->is.kind == DEVICE_NESTED && sid == id);
	case 0x28:		/* S12_VMALL */
		return 3 * (d->is.kind != DEVICE_S1 && sid == id);
	case 0x2a:		/* S2_IPA */
		return d->is.kind != DEVICE_S1 && sid == id;
	case 0x40:		/* ATC_INV */
		if (d->is.kind == DEVICE_NESTED)
			sid -= 0x10000;
		else if ((cmd >> 12 & 0xfffff) != d->is.ssid)
			return 0;
		return 4 * (sid >= 8 * d->is.id &&
			    sid < 8 * d->is.id + d->is.streams);
	default:
		fail("command 0x%llx", (unsigned long long)cmd);
	}
}

static hardware void execute(struct arm_smmu_device *smmu, u64 cmd)
{
	struct hw_device *d;
	unsigned int hit, i;

	for (d = devices; d != devices + ARRAY_SIZE(devices); d++) {
		if (&smmus[d->is.smmu] != smmu)
			continue;
		lock(d);
		hit = hits(d, cmd);
		if (hit & 4 && d->gone)
			fail("CMD_ATC_INV to device %zu, which is gone",
			     d - devices);
		for (i = 0; i != 3; i++)
			if (hit & 1 << i)
				d->cached[i] = 0;
		unlock(d);
	}
}

/* As late as can be, commands take effect when their CMD_SYNC is waited for */
static __thread struct {
	struct arm_smmu_device *smmu;
	u64 cmd;
} queue[1024];
static __thread unsigned int queued;

void arm_smmu_cmdq_batch_flush(struct arm_smmu_device *smmu,
			       struct arm_smmu_cmdq_batch *cmds)
{
	int i;

	for (i = 0; i != cmds->num; i++) {
		CHECK(queued != ARRAY_SIZE(queue), "never waits");
		queue[queued].smmu = smmu;
		queue[queued++].cmd = cmds->cmds[i].data[0];
	}
	cmds->num = 0;
}

void arm_smmu_cmdq_wait_all(struct arm_smmu_cmdq_waits *waits)
{
	unsigned int i;

	for (i = 0; i != queued; i++)
		execute(queue[i].smmu, queue[i].cmd);
	queued = 0;
	waits->num = 0;
}

int arm_smmu_cmdq_batch_submit(struct arm_smmu_device *smmu,
			       struct arm_smmu_cmdq_batch *cmds)
{
	struct arm_smmu_cmdq_waits waits;

	arm_smmu_cmdq_batch_flush(smmu, cmds);
	arm_smmu_cmdq_wait_all(&waits);
	return 0;
}

int arm_smmu_cmdq_issue_cmd_p(struct arm_smmu_device *smmu,
			      struct arm_smmu_cmd *cmd, bool sync)
{
	struct arm_smmu_cmdq_batch batch = { .cmds = { *cmd }, .num = 1 };

	return arm_smmu_cmdq_batch_submit(smmu, &batch);
}

void arm_smmu_cmdq_batch_post(struct arm_smmu_device *smmu,
			      struct arm_smmu_cmdq_batch *cmds)
{
	arm_smmu_cmdq_batch_flush(smmu, cmds);
	cmds->waits->num++;
}

/* The domain, and arm_smmu_invs_lock */
static struct arm_smmu_invs *domain_invs;
static pthread_mutex_t invs_lock = PTHREAD_MUTEX_INITIALIZER;

static void free_old(struct arm_smmu_invs *invs)
{
	if (wrong("free-without-grace"))
		free(invs);
	else
		free_after_grace(invs);
}

static void publish(struct arm_smmu_invs *invs)
{
	struct arm_smmu_invs *early;

	if (!wrong("array-before-filled")) {
		rcu_assign_pointer(domain_invs, invs);
		return;
	}
	early = arm_smmu_invs_alloc(invs->num_invs);
	rcu_assign_pointer(domain_invs, early);
	memcpy(early->inv, invs->inv, invs->num_invs * sizeof(invs->inv[0]));
	free(invs);
}

static void attach(struct hw_device *d, struct arm_smmu_invs *build)
{
	struct arm_smmu_invs *old, *new;

	set_gone(d, false);
	pthread_mutex_lock(&invs_lock);
	build_device(build, &d->is, 12);
	old = domain_invs;
	new = arm_smmu_invs_merge(old, build);
	CHECK(!IS_ERR(new), "merge fails");
	if (wrong("ste-before-array")) {
		set_ste(d, true);
		translate(d);
		sched_yield();
	}
	publish(new);
	smp_mb(); /* between the array and the STE */
	free_old(old);
	if (!wrong("ste-before-array"))
		set_ste(d, true);
	pthread_mutex_unlock(&invs_lock);
}

static void detach(struct hw_device *d, struct arm_smmu_invs *build)
{
	struct arm_smmu_invs *old, *new;
	bool ats_inv_left = false;
	size_t i;

	pthread_mutex_lock(&invs_lock);
	build_device(build, &d->is, 12);
	set_ste(d, false);
	old = domain_invs;
	arm_smmu_invs_unref(old, build);
	for (i = 0; i != build->num_invs; i++)
		if (arm_smmu_inv_is_ats(&build->inv[i]) && !build->inv[i].users)
			ats_inv_left = true;
	new = arm_smmu_invs_purge(old);
	if (new) {
		publish(new);
		free_old(old);
	}
	pthread_mutex_unlock(&invs_lock);

	if (ats_inv_left && !wrong("gone-without-wait"))
		synchronize_rcu();
	set_gone(d, true);
}

static void invalidate(size_t size, bool leaf)
{
	u64 version = change_page();

	smp_mb(); /* between the page and the array */
	rcu_read_lock();
	arm_smmu_invs_sweep(rcu_dereference(domain_invs), 0, size, 4096, leaf);
	rcu_read_unlock();
	check_page(version);
}

static unsigned int seed, seconds;
static time_t end;
static struct worker {
	pthread_t thread;
	unsigned int number;
	unsigned long done;
} attachers[NUM_THREADS], sweepers[NUM_THREADS];

static void *attacher(void *data)
{
	struct worker *w = data;
	struct arm_smmu_invs *build = arm_smmu_invs_alloc(MAX_BUILD);
	unsigned int random = seed + w->number, i;
	bool on[ARRAY_SIZE(devices)] = {};

	rcu_start_thread();
	for (; time(NULL) < end; w->done++) {
		/* Each thread has every third device */
		i = rand_r(&random) % (ARRAY_SIZE(devices) / NUM_THREADS) *
			    NUM_THREADS + w->number;
		if (on[i])
			detach(&devices[i], build);
		else
			attach(&devices[i], build);
		on[i] = !on[i];
		translate(&devices[i]);
	}
	for (i = 0; i != ARRAY_SIZE(devices); i++)
		if (on[i])
			detach(&devices[i], build);
	rcu_stop_thread();
	free(build);
	return NULL;
}

static void *sweeper(void *data)
{
	struct worker *w = data;
	unsigned int random = seed + NUM_THREADS + w->number;

	rcu_start_thread();
	for (; time(NULL) < end; w->done++) {
		int r = rand_r(&random) >> 8;

		translate(&devices[r % ARRAY_SIZE(devices)]);
		invalidate(r % 5 * 4096, r & 256);
	}
	rcu_stop_thread();
	return NULL;
}

static unsigned long join(struct worker *workers)
{
	unsigned long done = 0;
	unsigned int i;

	for (i = 0; i != NUM_THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		done += workers[i].done;
	}
	return done;
}

int main(int argc, char **argv)
{
	unsigned long attached, swept;
	unsigned int i;

	if (argc < 3) {
		fputs("usage: threads SEED SECONDS [MISTAKE]\n", stderr);
		return 2;
	}
	seed = strtoul(argv[1], NULL, 0);
	seconds = strtoul(argv[2], NULL, 0);
	if (argc > 3)
		mistake = argv[3];
	end = time(NULL) + seconds;
	domain_invs = arm_smmu_invs_alloc(0);
	for (i = 0; i != NUM_THREADS; i++) {
		attachers[i].number = i;
		sweepers[i].number = i;
		pthread_create(&attachers[i].thread, NULL, attacher, &attachers[i]);
		pthread_create(&sweepers[i].thread, NULL, sweeper, &sweepers[i]);
	}
	attached = join(attachers);
	swept = join(sweepers);
	rcu_finish();
	CHECK(!domain_invs->num_invs, "something is left in the array");
	free(domain_invs);
	printf("%lu attaches and detaches, %lu invalidations\n", attached, swept);
	return 0;
}
