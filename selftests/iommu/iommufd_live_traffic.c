// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that the kernel drives itself must not notice what their neighbours behind
 * the same SMMUs do. Two NICs behind different SMMUs send each other data, through
 * DMA domains with strict invalidation, while a VM's devices attach to a shared S2
 * parent, use it, lose pages of it, detach and are unplugged.
 *
 * Every byte that arrives is compared, no link may go down, and no SMMU may report
 * an event that the test has not asked for.
 *
 * The first two igb behind different SMMUs are the NICs; they have to be linked to
 * each other. They are bound to igb for the test. The other devices are the
 * neighbours.
 */
#include "iommufd_vsmmu_utils.h"
#include "live_traffic_utils.h"
#include "pci_guard.h"
#include "uevents.h"

#define TEST_PAGE		6
#define OTHER_PAGE		11
#define ROUNDS			4
#define UEVENT_MS		10000
#define EVENT_MS		500

static struct dma_device *nics[LIVE_NICS];
static bool have_nics;
/* Linked once, each test has flows of its own */
static struct live_traffic live;

FIXTURE(neighbours)
{
	struct vm vm;
	struct nl_sock *uevents;
};

FIXTURE_VARIANT(neighbours)
{
	struct vm_layout layout;
};

#define NEIGHBOURS_VARIANT(_name, ...)                                          \
	FIXTURE_VARIANT_ADD(neighbours, _name)                                  \
	{                                                                       \
		.layout = VM_LAYOUT(__VA_ARGS__),                               \
	}

/* Nobody else uses the vSMMU whose number is that of the seat */
NEIGHBOURS_VARIANT(one_smmu, SEAT(0, NESTED), SEAT(0, DIRECT));
NEIGHBOURS_VARIANT(three_smmus, SEAT(0, NESTED), SEAT(0, DIRECT), SEAT(1, NESTED, .vsmmu = 2),
		   SEAT(2, DIRECT));

FIXTURE_SETUP(neighbours)
{
	unsigned int i, s, behind = 0;

	if (!have_nics)
		SKIP(return, "needs two igb behind two SMMUs, linked to each other; name them");
	pci_guard_test();
	live_traffic_init(_metadata, &live);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	/* The first that the NICs must not notice is that neighbours are opened */
	vm_init(_metadata, &self->vm, &variant->layout);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	for (i = 0; i < LIVE_NICS; i++)
		for (s = 0; s < self->vm.nr_seats; s++)
			behind += !strcmp(nics[i]->iommu_name, self->vm.seat[s].dev->iommu_name);
	if (!behind)
		SKIP(return, "no neighbour behind the SMMU of %s or %s; name more devices",
		     nics[0]->bdf, nics[1]->bdf);
	self->uevents = uevents_open();
	ASSERT_NE(NULL, self->uevents);
}

FIXTURE_TEARDOWN(neighbours)
{
	uevents_close(self->uevents);
	vm_cleanup(&self->vm);
	live_flows_stop(&live);
}

static void use_all(struct __test_metadata *_metadata, struct vm *vm, int page, int want,
		    const char *when)
{
	struct seat *seat;

	for (seat = vm->seat; seat < vm->seat + vm->nr_seats; seat++)
		EXPECT_DMA(want, vm, seat, seat_iova(seat, page), "%s", when);
}

/* How much has flowed, for whoever reads the log */
static void tell(struct __test_metadata *_metadata)
{
	unsigned int i;

	for (i = 0; i < LIVE_FLOWS; i++)
		TH_LOG("info: %s: %lu %s", live.flow[i].name,
		       (unsigned long)live.flow[i].chunks,
		       live.flow[i].stream ? "chunks of 16 KiB" : "datagrams");
}

TEST_F_TIMEOUT(neighbours, attach_unmap_detach, 120)
{
	struct vm *vm = &self->vm;
	unsigned int round, i;

	EXPECT_LIVE_TRAFFIC(&live, "neighbours opened");
	for (round = 0; round < ROUNDS; round++) {
		vm_attach_all(_metadata, vm);
		use_all(_metadata, vm, TEST_PAGE, TEST_PAGE, "attached");
		EXPECT_LIVE_TRAFFIC(&live, "round %u, neighbours attached", round);

		vm_map(_metadata, vm, VM_BLOCK_PAGE, VM_BLOCK_PAGE, VM_BLOCK_NR_PAGES);
		use_all(_metadata, vm, VM_BLOCK_PAGE, VM_BLOCK_PAGE, "2M mapped");
		vm_unmap(_metadata, vm, VM_BLOCK_PAGE, VM_BLOCK_NR_PAGES);
		vm_unmap(_metadata, vm, TEST_PAGE, 1);
		vm_map(_metadata, vm, TEST_PAGE, OTHER_PAGE, 1);
		use_all(_metadata, vm, TEST_PAGE, OTHER_PAGE, "page moved");
		vm_unmap(_metadata, vm, TEST_PAGE, 1);
		vm_map(_metadata, vm, TEST_PAGE, TEST_PAGE, 1);
		EXPECT_LIVE_TRAFFIC(&live, "round %u, pages unmapped", round);

		for (i = 0; i < vm->nr_seats; i++) {
			vm_detach(_metadata, vm, &vm->seat[(round + i) % vm->nr_seats]);
			EXPECT_LIVE_TRAFFIC(&live, "round %u, neighbour %u detached", round,
					    (round + i) % vm->nr_seats);
		}
	}
	tell(_metadata);
}

/* A replace never leaves the device without a domain, so it takes other paths */
TEST_F_TIMEOUT(neighbours, move_between_direct_and_nested, 120)
{
	struct vm *vm = &self->vm;
	unsigned int round, i;

	vm_attach_all(_metadata, vm);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < vm->nr_seats; i++) {
			struct seat *seat = &vm->seat[i];

			if (seat->layout.mode == SEAT_NESTED)
				vm_move(_metadata, vm, seat, SEAT_DIRECT, NULL);
			else
				vm_move(_metadata, vm, seat, SEAT_NESTED, &vm->vsmmu[i]);
			EXPECT_DMA(TEST_PAGE, vm, seat, seat_iova(seat, TEST_PAGE), "moved");
		}
		EXPECT_LIVE_TRAFFIC(&live, "round %u, neighbours moved", round);
	}
	tell(_metadata);
}

/*
 * What the watch for events is worth: a fault of a neighbour shows, and is the only
 * one. One neighbour, since the driver prints no more than ten events in a row.
 */
TEST_F_TIMEOUT(neighbours, fault_is_its_own, 120)
{
	struct seat *seat = &self->vm.seat[0];
	unsigned int asked = 0, others = 0, ms;

	vm_attach_all(_metadata, &self->vm);
	EXPECT_LIVE_TRAFFIC(&live, "before the fault");
	vm_unmap(_metadata, &self->vm, TEST_PAGE, 1);
	EXPECT_DMA(DMA_FAULT, &self->vm, seat, seat_iova(seat, TEST_PAGE), "unmapped");
	for (ms = 0; ms < EVENT_MS && !asked; ms += 10) {
		usleep(10000);
		others += live_smmu_events(&live, seat->dev->bdf, &asked);
	}
	EXPECT_NE(0, asked)
	{
		TH_LOG("no event of %s in the kernel log", seat->dev->bdf);
	}
	EXPECT_EQ(0, others)
	{
		TH_LOG("%s", live.error);
	}
	usleep(EVENT_MS * 1000);
	EXPECT_EQ(0, live_smmu_events(&live, seat->dev->bdf, &asked));
	EXPECT_LIVE_TRAFFIC(&live, "after the fault");
}

struct removal {
	const char *bdf;
	atomic_bool done;
	int ret;
};

static void *removal_main(void *arg)
{
	struct removal *removal = arg;

	removal->ret = pci_remove(removal->bdf);
	removal->done = true;
	return NULL;
}

static void expect_uevent(struct __test_metadata *_metadata, struct nl_sock *uevents,
			  const char *action, const char *subsystem, const char *bdf)
{
	int ret = uevents_wait(uevents, action, subsystem, bdf, UEVENT_MS);

	EXPECT_EQ(0, ret)
	{
		TH_LOG("uevent \"%s\" of %s (%s): %s", action, bdf, subsystem, strerror(-ret));
	}
}

/* A device that was unplugged is a new one for iommufd */
static void sit_down_again(struct __test_metadata *_metadata, struct vm *self, struct seat *seat)
{
	/* Its vDEVICE has gone with it */
	if (seat->layout.mode == SEAT_NESTED)
		vm_put_nested(_metadata, self, seat);
	dma_device_open(seat->dev, self->iommu, &self->driver[seat - self->seat]);
	seat->dev_id = seat->dev->vfio->dev_id;
	vm_attach(_metadata, self, seat);
}

/*
 * The kernel takes a neighbour away while its guest uses it, gives it back, and it
 * takes its seat again.
 */
TEST_F_TIMEOUT(neighbours, unplug_and_plug_in, 120)
{
	struct vm *vm = &self->vm;
	unsigned int i;

	vm_attach_all(_metadata, vm);
	for (i = 0; i < vm->nr_seats; i++) {
		struct seat *seat = &vm->seat[i];
		struct removal removal = { .bdf = seat->dev->bdf };
		char reset_method[128];
		pthread_t thread;

		pci_get_reset_method(removal.bdf, reset_method, sizeof(reset_method));
		ASSERT_EQ(0, pthread_create(&thread, NULL, removal_main, &removal));
		/* It waits for us, and until then nothing changes */
		expect_uevent(_metadata, self->uevents, "remove", "vfio-dev", removal.bdf);
		EXPECT_FALSE(removal.done);
		use_all(_metadata, vm, TEST_PAGE, TEST_PAGE, "removal requested");
		dma_device_close(seat->dev);
		pthread_join(thread, NULL);
		ASSERT_EQ(0, removal.ret);
		expect_uevent(_metadata, self->uevents, "unbind", "pci", removal.bdf);
		expect_uevent(_metadata, self->uevents, "remove", "pci", removal.bdf);
		EXPECT_LIVE_TRAFFIC(&live, "%s unplugged", removal.bdf);

		ASSERT_EQ(0, pci_rescan());
		expect_uevent(_metadata, self->uevents, "add", "pci", removal.bdf);
		pci_set_reset_method(removal.bdf, reset_method);
		ASSERT_EQ(0, pci_bind(removal.bdf, "vfio-pci"));
		expect_uevent(_metadata, self->uevents, "add", "vfio-dev", removal.bdf);
		expect_uevent(_metadata, self->uevents, "bind", "pci", removal.bdf);
		sit_down_again(_metadata, vm, seat);
		use_all(_metadata, vm, TEST_PAGE, TEST_PAGE, "plugged in again");
		EXPECT_LIVE_TRAFFIC(&live, "%s plugged in", removal.bdf);
	}
	tell(_metadata);
}

static int run(int argc, char *argv[])
{
	const char *bdf[LIVE_NICS];
	bool lists = false;
	int i, ret;

	for (i = 1; i < argc; i++)
		lists |= !strcmp(argv[i], "-l") || !strcmp(argv[i], "-h");
	if (!have_nics || lists)
		return vm_run(argc, argv);
	for (i = 0; i < LIVE_NICS; i++)
		bdf[i] = nics[i]->bdf;
	live_nics_start(&live, bdf);
	ret = vm_run(argc, argv);
	live_nics_stop(&live);
	return ret;
}

int main(int argc, char *argv[])
{
	static const struct dma_want want[LIVE_NICS] = { { 0, DMA_IGB }, { 1, DMA_IGB } };
	const char *bdf[DMA_MAX_DEVICES];
	unsigned int nr, i;

	dma_devices_init(&argc, argv);
	nr = dma_devices_named(bdf);
	have_nics = dma_devices_pick(want, LIVE_NICS, nics);
	for (i = 0; have_nics && i < LIVE_NICS; i++)
		dma_device_reserve(nics[i]);
	return pci_guard_run(bdf, nr, run, argc, argv);
}
