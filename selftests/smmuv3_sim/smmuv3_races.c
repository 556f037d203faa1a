// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once on one S2 parent: devices attach, move and leave, memory is
 * mapped and unmapped, guests invalidate, an SMMU is unplugged and comes back,
 * processes die with all they hold. What must hold at any moment: after an unmap no
 * device gets there, and who is attached gets to the right page. At the end the
 * oracle finds nothing and no id is lost.
 *
 * SEED=n makes the same choices again in each thread, ROUNDS=n sets how many.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "smmuv3_sim_machine.h"
#include "seeded.h"

/* What is mapped all the time; the table of stage 1 users has other memory there */
#define STABLE_IPA	GUEST_IPA
#define STABLE		0
#define OTHER		PAGE
/* Each mapper has a gigabyte: some pages, then a block. Guests map it 1:1. */
#define REGION(mapper)	(0x80000000ULL + (mapper) * 0x40000000ULL)
#define SLOTS		6
#define BLOCK_SLOT	(SLOTS - 1)
#define FIRST_DATA	(4 * PAGE)
#define NR_DATA		32
#define ASID		7
#define ATS		SMMUV3_SIM_DMA_ATS
#define PASID		5

#define NR_MAPPERS	2
#define NR_MOVERS	3
#define MAX_WORKERS	16
/* Bystanders come first: mapper n has device n for itself, attached all the time */
#define NR_DEVS		(NR_MAPPERS + NR_MOVERS)
/* And those that come and go with their SMMU */
#define NR_UNPLUGGED	2
#define NR_TARGETS	(NR_DEVS + NR_UNPLUGGED)
/* After its start: when a test ends although rounds are left */
#define END_US(rounds)	((60 + 2ULL * (rounds)) * 1000000)

enum smmus {
	SMMU_A,
	SMMU_B,
	SMMU_UNPLUG,
	SMMU_SVA,
};

/* How a device uses the memory of the VM */
enum state {
	DETACHED,
	DIRECT,
	STAGE_1,
	ON_PASID,
	NESTED_S1,
	NESTED_BYPASS,
	NESTED_ABORT,
	NR_STATES,
};

static const char * const state_name[] = {
	"detached", "direct", "stage 1", "on a PASID", "nested", "nested, bypass", "nested, abort",
};

/**
 * struct user - A device of the VM
 * @dev: the device
 * @state: how it is attached
 * @no_ats: it has none
 * @ats: it has, and its vSTE allows it
 * @pause_us: how long it stays detached, at least
 * @hwpt: nested HWPT, 0: none
 * @viommu: its vSMMU, 0: none; others send commands to it
 * @vdev: its vDEVICE
 */
struct user {
	struct sim_dev dev;
	enum state state;
	bool no_ats;
	bool ats;
	__u32 pause_us;
	__u32 hwpt;
	atomic_uint viommu;
	__u32 vdev;
};

/**
 * struct slot - Where a mapper maps and unmaps
 * @turn: odd while it does, another one afterwards
 * @page: where it leads to, -1: nowhere
 */
struct slot {
	atomic_uint turn;
	atomic_long page;
};

/**
 * struct races - What the threads share
 * @m: the machine
 * @parent: nest parent of all
 * @hwpt_pasid: S1 domain of the same address space, for PASIDs
 * @ioas_1: another address space
 * @hwpt_1: S1 domain of it
 * @ram: memory for guest tables
 * @s1: the one address space of all guests
 * @cd: its context descriptor
 * @slot: what the mappers map
 * @user: the devices
 * @spare: endpoints for processes that die, on two SMMUs
 * @unplugged: the endpoints that come and go
 * @unplugged_smmu: their SMMU, as it is whenever it is there
 * @target: all devices, for whoever just wants one to do DMA
 * @moving: the mover that began last
 * @forks: some thread forks
 * @seed: of all choices
 * @rounds: steps of a thread, of slow ones less
 * @end_us: when to stop, whatever is left
 * @stop: a thread has found something
 * @done: nobody is left but those in the background
 * @lock: of what follows
 * @text: what it found
 */
struct races {
	struct machine m;
	__u32 parent;
	__u32 hwpt_pasid;
	__u32 ioas_1;
	__u32 hwpt_1;
	struct guest_ram ram;
	struct guest_s1 s1;
	struct guest_cd *cd;
	struct slot slot[NR_MAPPERS][SLOTS];
	struct user user[NR_DEVS];
	struct sim_dev spare[2];
	struct user unplugged[NR_UNPLUGGED];
	struct sim_smmu unplugged_smmu;
	struct sim_dev target[NR_TARGETS];
	atomic_int moving;
	bool forks;
	__u64 seed;
	__u32 rounds;
	__u64 end_us;
	atomic_bool stop;
	atomic_bool done;
	pthread_mutex_t lock;
	char text[512];
};

/**
 * struct worker - A thread
 * @name: for messages
 * @step: one of its steps
 * @rounds: how many it makes at least
 * @background: it goes on until the others are done
 * @by_registers: nobody else uses the registers of its devices
 * @r: what all share
 * @stream: number of its random numbers, and of its place in each page
 * @nr: its number among those with this name
 * @at: number of the step
 * @word: the last word it has written
 * @thread: the thread
 * @unmaps: of a mapper: its unmaps
 * @probes: DMAs to where nothing is
 */
struct worker {
	const char *name;
	void (*step)(struct worker *w, struct seeded *s);
	__u32 rounds;
	bool background;
	bool by_registers;
	struct races *r;
	__u32 stream;
	__u32 nr;
	__u32 at;
	__u32 word;
	pthread_t thread;
	unsigned long unmaps;
	unsigned long probes;
};

__printf(2, 3)
static void found(struct worker *w, const char *fmt, ...)
{
	struct races *r = w->r;
	va_list args;
	int n;

	pthread_mutex_lock(&r->lock);
	if (!r->text[0]) {
		n = snprintf(r->text, sizeof(r->text), "seed %llu, %s %u, step %u: ", r->seed,
			     w->name, w->nr, w->at);
		va_start(args, fmt);
		vsnprintf(r->text + n, sizeof(r->text) - n, fmt, args);
		va_end(args);
	}
	pthread_mutex_unlock(&r->lock);
	r->stop = true;
}

/* False ends the step: something that had to work did not */
#define MUST(_w, _call)								\
	({									\
		int __ret = (_call);						\
										\
		if (__ret)							\
			found(_w, "%s: %s", #_call,				\
			      strerror(__ret < -1 ? -__ret : errno));		\
		!__ret;								\
	})

/* A vSMMU is busy as long as somebody has it execute commands */
static int destroy_viommu(struct races *r, __u32 viommu)
{
	__u64 end = now_us() + 5000000;
	int ret;

	do {
		ret = _test_ioctl_destroy(r->m.iommufd, viommu);
	} while (ret && errno == EBUSY && now_us() < end);
	return ret;
}

static bool races_over(struct races *r)
{
	return r->stop || now_us() > r->end_us;
}

/* A write of a word that nobody else writes; each thread has its own place in a page */
static bool goes_through(struct worker *w, struct sim_dev *dev, __u32 flags, __u32 pasid,
			 __u64 iova)
{
	__u32 word = ++w->word | w->stream << 24;

	return !sim_dma(dev, flags | SMMUV3_SIM_DMA_WRITE, pasid, iova + 64 * w->stream, &word,
			sizeof(word), NULL);
}

static bool arrived(struct worker *w, long page)
{
	const __u32 *at = (__u32 *)(w->r->m.mem + page + 64 * w->stream);

	return __atomic_load_n(at, __ATOMIC_ACQUIRE) == (w->word | w->stream << 24);
}

/* The same by the registers of a device that nobody else uses: no lock, no ioctl */
static bool register_goes_through(struct worker *w, struct sim_dev *dev, __u32 flags, __u32 pasid,
				  __u64 iova)
{
	__u32 word = ++w->word | w->stream << 24, ctl = EXERCISER_DMA_WRITE;

	if (flags & ATS)
		ctl |= EXERCISER_DMA_ATC;
	if (pasid != SIM_NO_PASID)
		ctl |= EXERCISER_DMA_PASID;
	return !sim_exerciser_dma(dev, ctl, pasid, iova + 64 * w->stream, &word, sizeof(word));
}

static __u64 slot_iova(__u32 mapper, int slot)
{
	return REGION(mapper) + (slot == BLOCK_SLOT ? BLOCK : slot * PAGE);
}

static size_t slot_size(int slot)
{
	return slot == BLOCK_SLOT ? BLOCK : PAGE;
}

static bool __goes_through(struct worker *w, struct sim_dev *dev, __u32 flags, __u32 pasid,
			   __u64 iova)
{
	return (w->by_registers ? register_goes_through : goes_through)(w, dev, flags, pasid, iova);
}

/*
 * No device gets to a slot where nothing is, nor to another page than is there. What
 * comes of it counts if the mapper has not been there meanwhile.
 */
static void probe_slot(struct worker *w, struct sim_dev *dev, bool ats, __u32 pasid, int mapper,
		       int nr, __u64 offset)
{
	struct slot *slot = &w->r->slot[mapper][nr];
	__u64 iova = slot_iova(mapper, nr) + offset;
	unsigned int turn = slot->turn;
	long page = slot->page;
	bool through;

	through = __goes_through(w, dev, ats ? ATS : 0, pasid, iova);
	if (turn & 1 || turn != slot->turn)
		return;
	w->probes += page < 0;
	if (through && (page < 0 || !arrived(w, page + offset)))
		found(w, "%#llx is %s, endpoint %u of SMMU %u %s%s%s", iova,
		      page < 0 ? "unmapped" : "mapped anew", dev->endpoint, dev->smmu->cfg.out_id,
		      page < 0 ? "still writes there" : "writes to somewhere else",
		      ats ? " (ATS)" : "", pasid == PASID ? " (PASID)" : "");
}

static void probe_by_any(struct worker *w, struct seeded *s, int mapper, int slot, __u64 offset)
{
	struct sim_dev *dev = &w->r->target[seeded_below(s, NR_TARGETS)];
	__u32 pasid = seeded_chance(s, 30) ? PASID : SIM_NO_PASID;

	probe_slot(w, dev, seeded_chance(s, 50), pasid, mapper, slot, offset);
}

static __u64 draw_offset(struct seeded *s, int slot)
{
	return slot == BLOCK_SLOT ? seeded_below(s, BLOCK / PAGE) * PAGE : 0;
}

/* The mapper's own device, which is always attached, and some others */
static void mapper_probe(struct worker *w, struct seeded *s, int slot)
{
	__u64 offset = draw_offset(s, slot), iova = slot_iova(w->nr, slot) + offset;
	bool ats = seeded_chance(s, 50), through;
	int i, n = seeded_below(s, 3);
	long page = w->r->slot[w->nr][slot].page;
	bool mapped = page >= 0;

	through = register_goes_through(w, &w->r->user[w->nr].dev, ats ? ATS : 0, SIM_NO_PASID,
					iova);
	w->probes += !mapped;
	if (through != mapped)
		found(w, "%#llx is %smapped, device %u (always attached) %s there%s", iova,
		      through ? "un" : "", w->nr, through ? "still writes" : "does not get",
		      ats ? " (ATS)" : "");
	else if (through && !arrived(w, page + offset))
		found(w, "%#llx is mapped anew, device %u writes to somewhere else%s", iova, w->nr,
		      ats ? " (ATS)" : "");
	for (i = 0; i < n; i++)
		probe_by_any(w, s, w->nr, slot, offset);
}

/* Map a slot to @page, or unmap it: -1 */
static bool mapper_change(struct worker *w, int nr, long page)
{
	struct slot *slot = &w->r->slot[w->nr][nr];
	struct machine *m = &w->r->m;
	__u64 iova = slot_iova(w->nr, nr);
	bool good;

	slot->turn++;
	if (page < 0)
		good = MUST(w, machine_unmap(m, iova, slot_size(nr)));
	else
		good = MUST(w, machine_map(m, iova, page, slot_size(nr), RW));
	slot->page = page;
	slot->turn++;
	w->unmaps += page < 0;
	return good;
}

static void mapper_step(struct worker *w, struct seeded *s)
{
	int slot = seeded_below(s, SLOTS);
	long data = FIRST_DATA + seeded_below(s, NR_DATA) * PAGE;
	bool again = seeded_chance(s, 50);

	if (slot == BLOCK_SLOT)
		data = BLOCK;
	if (w->r->slot[w->nr][slot].page >= 0) {
		mapper_probe(w, s, slot);
		if (!mapper_change(w, slot, -1))
			return;
		if (!again) {
			mapper_probe(w, s, slot);
			return;
		}
	}
	if (mapper_change(w, slot, data))
		mapper_probe(w, s, slot);
}

/*
 * A device does not wait until somebody asks whether it gets somewhere, least of all while
 * it is moved. By registers, which need no lock that somebody else waits for.
 */
static void dma_step(struct worker *w, struct seeded *s)
{
	struct races *r = w->r;
	int i;

	for (i = 0; i < 16; i++) {
		int mapper = seeded_below(s, NR_MAPPERS), slot = seeded_below(s, SLOTS);
		__u32 pasid = seeded_chance(s, 50) ? PASID : SIM_NO_PASID;
		bool ats = seeded_chance(s, 40), moving = seeded_chance(s, 60);
		int mover = seeded_below(s, NR_MOVERS);
		struct sim_dev *dev = &r->target[NR_MAPPERS + (moving ? r->moving : mover)];

		probe_slot(w, dev, ats, pasid, mapper, slot, draw_offset(s, slot));
		if (__goes_through(w, dev, ats ? ATS : 0, pasid, STABLE_IPA) &&
		    !arrived(w, STABLE) && !arrived(w, OTHER))
			found(w, "endpoint %u of SMMU %u writes to neither of two pages",
			      dev->endpoint, dev->smmu->cfg.out_id);
	}
	usleep(seeded_below(s, 500));
}

/* A vSMMU with a vDEVICE in place of the one before, which is returned */
static bool user_new_viommu(struct worker *w, struct user *u)
{
	struct races *r = w->r;
	__u32 viommu;

	if (u->vdev && !MUST(w, _test_ioctl_destroy(r->m.iommufd, u->vdev)))
		return false;
	u->vdev = 0;
	if (!MUST(w, _test_cmd_viommu_alloc(r->m.iommufd, u->dev.id, r->parent, 0,
					    IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0, &viommu)))
		return false;
	u->viommu = viommu;
	return MUST(w, _test_cmd_vdevice_alloc(r->m.iommufd, viommu, u->dev.id, GUEST_VSID,
					       &u->vdev));
}

/* Move a device to another state, in one step or by way of a detach */
static bool user_move(struct worker *w, struct user *u, enum state state, bool ats, bool detach,
		      bool fresh)
{
	struct races *r = w->r;
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste(state == NESTED_ABORT ? VSTE_CFG_ABORT :
								     VSTE_CFG_BYPASS);
	__u32 old_hwpt = u->hwpt, old_viommu = u->viommu, pt = r->parent;

	if (u->state == ON_PASID && !MUST(w, sim_vfio_detach(&u->dev, PASID)))
		return false;
	if ((detach || state == DETACHED) && u->state != DETACHED) {
		if (!MUST(w, sim_vfio_detach(&u->dev, SIM_NO_PASID)))
			return false;
		/* Who is still on its way to the device gets there now */
		usleep(u->pause_us);
	}
	fresh = (fresh || !old_viommu) && state >= NESTED_S1;
	if (fresh && !user_new_viommu(w, u))
		return false;
	u->hwpt = 0;
	/* With stage 1 it is for the guest to say, and to invalidate */
	u->ats = !u->no_ats && (ats || state != NESTED_S1);
	if (state >= NESTED_S1) {
		if (state == NESTED_S1) {
			vste = guest_vste_s1(guest_to_ipa(&r->ram, r->cd));
			vste.ste[1] |= htole64(VSTE_1_EATS(u->ats));
		}
		if (!MUST(w, _test_cmd_hwpt_alloc(r->m.iommufd, u->dev.id, u->viommu, 0, 0,
						  &u->hwpt, IOMMU_HWPT_DATA_ARM_SMMUV3, &vste,
						  sizeof(vste))))
			return false;
		pt = u->hwpt;
	} else if (state == STAGE_1 || state == ON_PASID) {
		pt = r->hwpt_1;
	}
	if (state != DETACHED && !MUST(w, sim_vfio_attach(&u->dev, SIM_NO_PASID, pt)))
		return false;
	if (state == ON_PASID && !MUST(w, sim_vfio_attach(&u->dev, PASID, r->hwpt_pasid)))
		return false;
	u->state = state;
	if (old_hwpt && !MUST(w, _test_ioctl_destroy(r->m.iommufd, old_hwpt)))
		return false;
	return !fresh || !old_viommu || MUST(w, destroy_viommu(r, old_viommu));
}

static bool user_leave(struct worker *w, struct user *u)
{
	struct races *r = w->r;
	__u32 viommu = u->viommu;

	if (!user_move(w, u, DETACHED, false, false, false))
		return false;
	if (!viommu)
		return true;
	u->viommu = 0;
	if (!MUST(w, _test_ioctl_destroy(r->m.iommufd, u->vdev)))
		return false;
	u->vdev = 0;
	return MUST(w, destroy_viommu(r, viommu));
}

static void user_check_one(struct worker *w, struct user *u, __u32 flags, __u32 pasid, bool reaches,
			   long page)
{
	bool through = goes_through(w, &u->dev, flags, pasid, STABLE_IPA);

	reaches = reaches && (!flags || u->ats);
	if (through != reaches || (through && !arrived(w, page)))
		found(w, "%s%s%s: a write %s", state_name[u->state], flags ? ", ATS" : "",
		      pasid == PASID ? ", PASID" : "", !through ? "does not get there" :
		      reaches ? "goes to the wrong page" : "goes through");
}

/*
 * Only the caller moves the device, so it knows where a write has to go; to slots, too:
 * what was unmapped during the attach is gone.
 */
static void user_check(struct worker *w, struct seeded *s, struct user *u)
{
	bool other = u->state == STAGE_1 || u->state == ON_PASID, ats = seeded_chance(s, 50);
	int i, slot;

	for (i = 0; i < NR_MAPPERS; i++)
		for (slot = 0; slot < SLOTS; slot++)
			probe_slot(w, &u->dev, ats, u->state == ON_PASID ? PASID : SIM_NO_PASID, i,
				   slot, draw_offset(s, slot));
	for (i = 0; i < 2; i++) {
		user_check_one(w, u, i ? ATS : 0, SIM_NO_PASID,
			       u->state != DETACHED && u->state != NESTED_ABORT,
			       other ? OTHER : STABLE);
		user_check_one(w, u, i ? ATS : 0, PASID, u->state == ON_PASID, STABLE);
	}
}

static void mover_step(struct worker *w, struct seeded *s)
{
	struct user *u = &w->r->user[NR_MAPPERS + w->nr];
	enum state state = seeded_below(s, NR_STATES);
	bool ats = seeded_chance(s, 70), detach = seeded_chance(s, 30);
	bool fresh = seeded_chance(s, 30), leave = seeded_chance(s, 10);

	u->pause_us = seeded_below(s, 10000);
	w->r->moving = w->nr;
	if (leave && !user_leave(w, u))
		return;
	if (!user_move(w, u, state, ats, detach, fresh))
		return;
	user_check(w, s, u);
}

/* The kernel passes CMD_ATC_INV on as long as there is a vDEVICE, attached or not */
static struct smmuv3_cmd guest_command(struct seeded *s, bool attached)
{
	__u64 iova = slot_iova(seeded_below(s, NR_MAPPERS), seeded_below(s, SLOTS));

	switch (seeded_below(s, attached ? 8 : 7)) {
	case 0:
		return cmd_nh_all(ASID, iova);
	case 1:
		return cmd_nh_asid(ASID, iova);
	case 2:
		return cmd_nh_va(ASID, iova);
	case 3:
		return cmd_nh_va_leaf(ASID, iova);
	case 4:
		return cmd_nh_vaa(ASID, iova);
	case 5:
		return cmd_cfgi_cd(GUEST_VSID);
	case 6:
		return cmd_cfgi_cd_all(GUEST_VSID);
	default:
		return smmuv3_cmd(CMD_ATC_INV | CMD_0_SID(GUEST_VSID), iova);
	}
}

/* The vSMMU, or its vDEVICE, may go at any time */
static void guest_step(struct worker *w, struct seeded *s)
{
	struct races *r = w->r;
	__u32 dev = seeded_below(s, NR_DEVS), nr = 1 + seeded_below(s, 70), i;
	__u32 viommu = r->user[dev].viommu;
	struct smmuv3_cmd cmds[70];

	for (i = 0; i < nr; i++)
		cmds[i] = guest_command(s, dev < NR_MAPPERS);
	if (viommu && _test_cmd_viommu_invalidate(r->m.iommufd, viommu, cmds,
						  IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
						  sizeof(*cmds), &nr) &&
	    (dev < NR_MAPPERS || (errno != ENOENT && errno != EIO)))
		found(w, "commands of device %u: %s", dev, strerror(errno));
}

/* CMD_SYNCs of changing length: what waits for one meets something else each time */
static void weather_step(struct worker *w, struct seeded *s)
{
	struct races *r = w->r;
	__u32 smmu = seeded_below(s, 2), latency_us = 250 << seeded_below(s, 4);

	if (seeded_chance(s, 10))
		latency_us = 8000;
	if (MUST(w, sim_set(&r->m.smmu[smmu], latency_us, SMMUV3_SIM_ERROR_NONE, 0, 0)))
		usleep(1000 + seeded_below(s, 10000));
}

static void *late_close(void *arg)
{
	struct user *u = arg;

	usleep(1000);
	sim_vfio_close(&u->dev);
	return NULL;
}

/* One like the others, or nobody waits for ATCs, or for words in memory */
static struct smmuv3_sim_create unplug_features(struct seeded *s, bool *ats)
{
	struct smmuv3_sim_create cfg = features(SMMU_UNPLUG);
	int i;

	*ats = seeded_chance(s, 50);
	for (i = 0; !*ats && i < NR_UNPLUGGED; i++)
		cfg.ep_flags[i] &= ~(SMMUV3_SIM_EP_ATS | SMMUV3_SIM_EP_PRI);
	if (seeded_chance(s, 50))
		cfg.idr0 &= ~SIM_IDR0_MSI;
	return cfg;
}

static void unplug_step(struct worker *w, struct seeded *s)
{
	struct races *r = w->r;
	struct sim_smmu *smmu = &r->m.smmu[SMMU_UNPLUG];
	bool has_ats;
	struct smmuv3_sim_create cfg = unplug_features(s, &has_ats);
	/*
	 * The IOMMU core cannot cope with an SMMU that goes before a device that is
	 * open, as it may be for a moment in a child that has just been forked.
	 */
	bool first = seeded_chance(s, 50) && !r->forks;
	bool late = seeded_chance(s, 50) && !first;
	pthread_t thread;
	int i;

	if (!MUST(w, sim_create(r->m.sim, &cfg, smmu)))
		return;
	for (i = 0; i < NR_UNPLUGGED; i++) {
		struct user *u = &r->unplugged[i];
		enum state state = seeded_below(s, NR_STATES);
		bool ats = seeded_chance(s, 70), leave = seeded_chance(s, 50);

		*u = (struct user){ .no_ats = !has_ats };
		if (!MUST(w, sim_vfio_open(smmu, i, r->m.iommufd, &u->dev)) ||
		    !user_move(w, u, state, ats, false, false))
			return;
		user_check(w, s, u);
		/* The last one may go while the SMMU is already on its way out */
		if (leave && !user_leave(w, u))
			return;
	}
	for (i = 0; i < NR_UNPLUGGED; i++) {
		struct user *u = &r->unplugged[i];

		/* The SMMU waits for vSMMUs, too */
		if (u->viommu && !user_leave(w, u))
			return;
		if (!i || !late)
			sim_vfio_close(&u->dev);
	}
	if (late && pthread_create(&thread, NULL, late_close, &r->unplugged[1])) {
		found(w, "no thread");
		return;
	}
	MUST(w, sim_remove(smmu, first ? SMMUV3_SIM_REMOVE_SMMU_FIRST : 0));
	if (late)
		pthread_join(thread, NULL);
}

/**
 * struct victim - What a process that is going to die shares with who kills it
 * @pid: the process
 * @pasid: of its address space
 * @mem: memory of its own
 * @ready: it has got what it dies with
 */
struct victim {
	pid_t pid;
	__u32 pasid;
	void *mem;
	atomic_bool ready;
};

/* A child that does @run until it is killed, without the files of the parent but the simulator */
static struct victim *victim_start(struct worker *w, struct seeded *s,
				   void (*run)(struct races *r, struct victim *v,
					       struct seeded *s))
{
	struct victim *v = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				-1, 0);
	struct seeded child = { seeded_next(s) };
	int keep = w->r->m.sim;
	pid_t pid;

	if (v == MAP_FAILED) {
		found(w, "no memory");
		return NULL;
	}
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (keep > 3)
			close_range(3, keep - 1, 0);
		close_range(keep + 1, ~0U, 0);
		run(w->r, v, &child);
		_exit(0);
	}
	if (pid < 0) {
		found(w, "fork: %s", strerror(errno));
		munmap(v, PAGE);
		return NULL;
	}
	v->pid = pid;
	return v;
}

/* Until it has got everything, or has ended by itself */
static void victim_wait(struct worker *w, struct victim *v)
{
	siginfo_t ended = {};

	while (!v->ready && !races_over(w->r) &&
	       !waitid(P_PID, v->pid, &ended, WEXITED | WNOHANG | WNOWAIT) && !ended.si_pid)
		usleep(100);
}

static bool victim_kill(struct worker *w, struct victim *v, __u32 delay_us)
{
	int status;

	usleep(delay_us);
	kill(v->pid, SIGKILL);
	if (waitpid(v->pid, &status, 0) == v->pid && WIFSIGNALED(status))
		return true;
	found(w, "the process that was to be killed has ended by itself: %#x", status);
	return false;
}

static int sva_write(struct sim_dev *dev, __u32 flags, __u32 pasid, void *at)
{
	__u32 word = 1;

	return sim_dma(dev, flags | SMMUV3_SIM_DMA_WRITE, pasid, (uintptr_t)at, &word,
		       sizeof(word), NULL);
}

static void sva_victim(struct races *r, struct victim *v, struct seeded *s)
{
	struct sim_dev dev = { .smmu = &r->m.smmu[SMMU_SVA] };
	volatile char *mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int page;

	if (mem == MAP_FAILED || sim_sva_bind(&dev, &v->pasid))
		_exit(1);
	v->mem = (void *)mem;
	v->ready = true;
	for (;;) {
		page = 1 + seeded_below(s, 3);
		mem[page * PAGE] = 1;
		madvise((void *)mem + page * PAGE, PAGE, MADV_DONTNEED);
		if (seeded_chance(s, 50))
			mprotect((void *)mem + page * PAGE, PAGE, PROT_READ);
		mprotect((void *)mem + page * PAGE, PAGE, PROT_READ | PROT_WRITE);
	}
}

/* The process dies under a device that uses its address space */
static void sva_step(struct worker *w, struct seeded *s)
{
	struct races *r = w->r;
	struct sim_dev dev = { .smmu = &r->m.smmu[SMMU_SVA] };
	bool early = seeded_chance(s, 20), unbind_first = seeded_chance(s, 30);
	__u32 delay_us = seeded_below(s, 3000), i;
	struct victim *v = victim_start(w, s, sva_victim);
	bool unbound = false;

	if (!v)
		return;
	if (!early)
		victim_wait(w, v);
	/* It may become ready from here to its end */
	if (v->ready) {
		for (i = 0; i < 4; i++) {
			sva_write(&dev, i & 1 ? ATS : 0, v->pasid, v->mem);
			sva_write(&dev, i & 1 ? ATS : 0, v->pasid,
				  v->mem + seeded_below(s, 4) * PAGE);
		}
		unbound = unbind_first && MUST(w, sim_sva_unbind(&dev, v->pasid));
	}
	if (!victim_kill(w, v, delay_us) || !v->ready)
		goto unmap;
	for (i = 0; i < 4; i++)
		if (!sva_write(&dev, i & 1 ? ATS : 0, v->pasid, v->mem + i * PAGE))
			found(w, "the process is dead, its address space still in use%s",
			      i & 1 ? " (ATS)" : "");
	if (!unbound)
		MUST(w, sim_sva_unbind(&dev, v->pasid));
unmap:
	munmap(v, PAGE);
}

/* A VMM of its own: iommufd, devices of two SMMUs, parent, vSMMU, then no end of work */
static void vmm_victim(struct races *r, struct victim *v, struct seeded *s)
{
	struct machine *m = &r->m;
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste(VSTE_CFG_BYPASS);
	struct smmuv3_cmd cmd = cmd_nh_all(ASID, 0);
	struct guest g;
	int i;

	m->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (m->iommufd < 0 || _test_ioctl_ioas_alloc(m->iommufd, &m->ioas))
		_exit(1);
	for (i = 0; i < 2; i++)
		if (sim_vfio_open(r->spare[i].smmu, r->spare[i].endpoint, m->iommufd, &r->spare[i]))
			_exit(2);
	vste.ste[1] |= htole64(VSTE_1_EATS(0));
	if (guest_init(&g, m, &r->spare[0], 0) || guest_attach(&g, vste) ||
	    sim_vfio_attach(&r->spare[1], SIM_NO_PASID, g.parent) ||
	    machine_map(m, STABLE_IPA, STABLE, PAGE, RW))
		_exit(3);
	v->ready = true;
	for (;;) {
		__u64 iova = REGION(0) + seeded_below(s, 4) * BLOCK;

		if (machine_map(m, iova, BLOCK, BLOCK, RW) || guest_cmd(&g, cmd))
			_exit(4);
		register_goes_through(&(struct worker){ .r = r }, &r->spare[0], 0, SIM_NO_PASID,
				      iova);
		if (machine_unmap(m, iova, BLOCK))
			_exit(5);
		if (seeded_chance(s, 20) &&
		    sim_vfio_attach(&r->spare[1], SIM_NO_PASID,
				    seeded_chance(s, 50) ? g.parent : m->ioas))
			_exit(6);
	}
}

/* A process dies with devices, vSMMU and page tables, in the middle of something */
static void vmm_step(struct worker *w, struct seeded *s)
{
	struct races *r = w->r;
	bool early = seeded_chance(s, 30);
	__u32 delay_us = seeded_below(s, 20000), i;
	struct victim *v = victim_start(w, s, vmm_victim);

	if (!v)
		return;
	if (!early)
		victim_wait(w, v);
	if (victim_kill(w, v, delay_us))
		for (i = 0; i < 2; i++)
			if (goes_through(w, &r->spare[i], 0, SIM_NO_PASID, STABLE_IPA))
				found(w, "the process is dead, its device %u still writes", i);
	munmap(v, PAGE);
}

/* Who takes part */
FIXTURE(races)
{
	struct races r;
	struct worker worker[MAX_WORKERS];
	int nr;
};

FIXTURE_VARIANT(races)
{
	int mappers;
	int movers;
	int guests;
	bool unplug;
	bool sva;
	bool vmm;
};

FIXTURE_VARIANT_ADD(races, map_and_attach)
{
	.mappers = 2,
	.movers = 3,
};

FIXTURE_VARIANT_ADD(races, map_attach_and_invalidate)
{
	.mappers = 2,
	.movers = 3,
	.guests = 2,
};

FIXTURE_VARIANT_ADD(races, map_and_unplug)
{
	.mappers = 2,
	.unplug = true,
};

FIXTURE_VARIANT_ADD(races, processes_die)
{
	.mappers = 1,
	.sva = true,
	.vmm = true,
};

FIXTURE_VARIANT_ADD(races, all)
{
	.mappers = 2,
	.movers = 3,
	.guests = 1,
	.unplug = true,
	.sva = true,
	.vmm = true,
};

static void races_add_smmus(struct __test_metadata *_metadata, struct races *r)
{
	struct smmuv3_sim_create cfg;
	int i, j;

	for (i = SMMU_A; i <= SMMU_SVA; i++) {
		cfg = i == SMMU_SVA ? sim_sva() : features(i);
		cfg.nr_endpoints = 4;
		for (j = 1; j < 4; j++)
			cfg.ep_flags[j] = cfg.ep_flags[0];
		machine_add(_metadata, &r->m, i, &cfg);
	}
	r->unplugged_smmu = r->m.smmu[SMMU_UNPLUG];
	ASSERT_EQ(0, sim_remove(&r->m.smmu[SMMU_UNPLUG], 0));
	/*
	 * Movers have the lower StreamIDs: the first ATC that an invalidation comes to, and has
	 * already found while it waits for the TLBs, is that of a device which may have left.
	 */
	for (i = 0; i < NR_DEVS; i++)
		ASSERT_EQ(0, sim_vfio_open(&r->m.smmu[i & 1],
					   i < NR_MAPPERS ? 2 : (i - NR_MAPPERS) >> 1,
					   r->m.iommufd, &r->user[i].dev));
	for (i = 0; i < NR_DEVS; i++)
		r->target[i] = r->user[i].dev;
	for (i = 0; i < NR_UNPLUGGED; i++)
		r->target[NR_DEVS + i] = (struct sim_dev){
			.smmu = &r->unplugged_smmu,
			.endpoint = i,
			.vfio = -1,
		};
	for (i = 0; i < 2; i++)
		r->spare[i] = (struct sim_dev){ .smmu = &r->m.smmu[i], .endpoint = 3, .vfio = -1 };
}

/* One address space for all guests: 1:1 */
static void races_make_guest(struct races *r)
{
	__u32 i;

	r->ram = (struct guest_ram){
		.vaddr = r->m.mem + G_TABLES,
		.ipa = GUEST_IPA + G_TABLES,
		.size = BLOCK - G_TABLES,
	};
	guest_s1_init(&r->s1, &r->ram, ASID);
	guest_s1_map(&r->s1, STABLE_IPA, STABLE_IPA, PAGE);
	for (i = 0; i < NR_MAPPERS; i++) {
		guest_s1_map(&r->s1, REGION(i), REGION(i), BLOCK_SLOT * PAGE);
		guest_s1_map(&r->s1, slot_iova(i, BLOCK_SLOT), slot_iova(i, BLOCK_SLOT), BLOCK);
	}
	r->cd = guest_alloc_page(&r->ram);
	guest_cd_write(r->cd, &r->s1, SIM_IDR5_OAS40);
}

FIXTURE_SETUP(races)
{
	struct races *r = &self->r;
	struct machine *m = &r->m;
	struct worker w = { .r = r, .name = "setup" };
	__u32 ioas;
	int i, j;

	pthread_mutex_init(&r->lock, NULL);
	for (i = 0; i < NR_DEVS; i++)
		r->user[i].dev.vfio = -1;
	for (i = 0; i < NR_UNPLUGGED; i++)
		r->unplugged[i].dev.vfio = -1;
	r->seed = seeded_setting("SEED", 1);
	r->rounds = seeded_setting("ROUNDS", 12);
	for (i = 0; i < NR_MAPPERS; i++)
		for (j = 0; j < SLOTS; j++)
			r->slot[i][j].page = -1;
	machine_init(_metadata, m);
	races_add_smmus(_metadata, r);
	ASSERT_EQ(0, machine_hwpt(m, &r->user[0].dev, IOMMU_HWPT_ALLOC_NEST_PARENT, &r->parent));
	ASSERT_EQ(0, machine_hwpt(m, &r->user[0].dev, IOMMU_HWPT_ALLOC_PASID, &r->hwpt_pasid));
	ASSERT_EQ(0, machine_map(m, STABLE_IPA, STABLE, PAGE, RW));
	ASSERT_EQ(0, machine_map(m, GUEST_IPA + G_TABLES, G_TABLES, BLOCK - G_TABLES, RW));
	ioas = m->ioas;
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &m->ioas));
	r->ioas_1 = m->ioas;
	ASSERT_EQ(0, machine_hwpt(m, &r->user[0].dev, IOMMU_HWPT_ALLOC_PASID, &r->hwpt_1));
	ASSERT_EQ(0, machine_map(m, STABLE_IPA, OTHER, PAGE, RW));
	m->ioas = ioas;
	races_make_guest(r);
	for (i = 0; i < NR_MAPPERS; i++)
		ASSERT_TRUE(user_move(&w, &r->user[i], i ? NESTED_S1 : DIRECT, true, false, true))
		{
			TH_LOG("%s", r->text);
		}
	/* Where nobody moves there is a PASID that stays, on two SMMUs */
	for (i = NR_MAPPERS; !variant->movers && i < NR_MAPPERS + 2; i++)
		ASSERT_TRUE(user_move(&w, &r->user[i], ON_PASID, true, false, false))
		{
			TH_LOG("%s", r->text);
		}
}

FIXTURE_TEARDOWN(races)
{
	int i;

	for (i = 0; i < NR_DEVS; i++)
		sim_vfio_close(&self->r.user[i].dev);
	for (i = 0; i < NR_UNPLUGGED; i++)
		sim_vfio_close(&self->r.unplugged[i].dev);
	machine_exit(_metadata, &self->r.m);
}

/* In the background: not before the others */
static bool worker_done(const struct worker *w)
{
	return w->at >= w->rounds && (!w->background || w->r->done);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (w->at = 0; !worker_done(w) && !races_over(w->r); w->at++) {
		struct seeded s = seeded_init(w->r->seed, w->stream, w->at);

		w->step(w, &s);
	}
	return NULL;
}

static void add_workers(struct __test_metadata *_metadata, FIXTURE_DATA(races) * self, int nr,
			const struct worker *like)
{
	int i;

	for (i = 0; i < nr; i++) {
		struct worker *w = &self->worker[self->nr];

		ASSERT_GT(MAX_WORKERS, self->nr);
		*w = *like;
		w->r = &self->r;
		w->stream = ++self->nr;
		w->nr = i;
	}
}

/*
 * Not ATC_ORDER: the TLB invalidation of one thread may wait for its CMD_SYNC while
 * another thread, whose own is done, goes on to the ATC.
 */
static void check_rules(struct __test_metadata *_metadata, struct races *r)
{
	struct smmuv3_sim_violation violation[SMMUV3_SIM_MAX_VIOLATIONS];
	struct smmuv3_sim_violations violations = {
		.violations = (uintptr_t)violation,
		.nr = SMMUV3_SIM_MAX_VIOLATIONS,
	};
	__u32 i;

	ASSERT_EQ(0, ioctl(r->m.sim, SMMUV3_SIM_VIOLATIONS, &violations));
	for (i = 0; i < violations.nr && i < SMMUV3_SIM_MAX_VIOLATIONS; i++) {
		if (violation[i].rule == SMMUV3_SIM_RULE_ATC_ORDER)
			continue;
		EXPECT_EQ(0, violation[i].rule)
		{
			TH_LOG("seed %llu: %s", r->seed, sim_violation_str(&violation[i]));
		}
		break;
	}
}

/* All VMIDs of an SMMU that has 255 of them are free, but for the one of the S2 parent */
static void check_vmids(struct __test_metadata *_metadata, struct races *r)
{
	__u32 viommu[256];
	int i, nr;

	for (nr = 0; nr < 256; nr++)
		if (_test_cmd_viommu_alloc(r->m.iommufd, r->user[1].dev.id, r->parent, 0,
					   IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0, &viommu[nr]))
			break;
	EXPECT_EQ(254, nr)
	{
		TH_LOG("seed %llu: %d of 254 VMIDs are free when nobody uses one", r->seed, nr);
	}
	for (i = 0; i < nr; i++)
		EXPECT_EQ(0, _test_ioctl_destroy(r->m.iommufd, viommu[i]));
}

/* The harness has no limit, the test has its own */
TEST_F_TIMEOUT(races, bystanders_notice_nothing, -1)
{
	struct races *r = &self->r;
	struct worker w = { .r = r, .name = "end" };
	unsigned long unmaps = 0, probes = 0;
	__u64 start = now_us();
	int i, foreground;

	TH_LOG("info: SEED=%llu ROUNDS=%u", r->seed, r->rounds);
	add_workers(_metadata, self, variant->movers, &(struct worker){
			"mover", mover_step, r->rounds });
	add_workers(_metadata, self, variant->unplug, &(struct worker){
			"unplug", unplug_step, 1 + r->rounds / 4 });
	add_workers(_metadata, self, variant->sva, &(struct worker){
			"SVA", sva_step, 1 + r->rounds / 2 });
	add_workers(_metadata, self, variant->vmm, &(struct worker){
			"VMM", vmm_step, 1 + r->rounds / 4 });
	foreground = self->nr;
	add_workers(_metadata, self, variant->mappers, &(struct worker){
			"mapper", mapper_step, r->rounds, true });
	add_workers(_metadata, self, variant->guests, &(struct worker){
			"guest", guest_step, r->rounds, true });
	add_workers(_metadata, self, 1, &(struct worker){
			"DMA", dma_step, 0, true, true });
	add_workers(_metadata, self, 1, &(struct worker){ "weather", weather_step, 0, true });
	r->forks = variant->sva || variant->vmm;
	r->end_us = start + END_US(r->rounds);
	for (i = 0; i < self->nr; i++)
		ASSERT_EQ(0, pthread_create(&self->worker[i].thread, NULL, work, &self->worker[i]));
	for (i = 0; i < self->nr; i++) {
		r->done = i >= foreground;
		pthread_join(self->worker[i].thread, NULL);
		unmaps += self->worker[i].unmaps;
		probes += self->worker[i].probes;
	}
	TH_LOG("info: %lu unmaps, %lu DMAs to where nothing is, %llu ms", unmaps, probes,
	       (now_us() - start) / 1000);
	EXPECT_EQ('\0', r->text[0])
	{
		TH_LOG("%s", r->text);
	}
	for (i = 0; i < self->nr; i++)
		if (self->worker[i].at < self->worker[i].rounds)
			TH_LOG("info: %s %u has made %u of %u steps", self->worker[i].name,
			       self->worker[i].nr, self->worker[i].at, self->worker[i].rounds);
	/* Who has found something stops all, maybe before they have begun */
	if (!r->stop) {
		EXPECT_LT(0, unmaps);
		EXPECT_LT(0, probes);
		for (i = 0; i < self->nr; i++) {
			EXPECT_LT(0, self->worker[i].at)
			{
				TH_LOG("%s %u has done nothing", self->worker[i].name,
				       self->worker[i].nr);
			}
		}
	}
	check_rules(_metadata, r);
	EXPECT_CLEAN(&r->m, "seed %llu, all threads at rest", r->seed);
	for (i = 0; i < NR_DEVS; i++)
		EXPECT_TRUE(user_leave(&w, &r->user[i]))
		{
			TH_LOG("%s", r->text);
		}
	EXPECT_CLEAN(&r->m, "seed %llu, all devices detached", r->seed);
	check_vmids(_metadata, r);
}

TEST_HARNESS_MAIN
