// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the steps of a test case on the array and on the model at once, and
 * compares the two after each of them.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/err.h>
#include <stdlib.h>
#include <string.h>

#include "invs_test.h"
#include "steps.h"

#define MAX_IOVA	BIT_ULL(52)

static bool fail_alloc;

static const struct {
	unsigned int tg;
	uint64_t granule[3];
} formats[] = {
	{ 12, { 1 << 12, 1 << 21, 1 << 30 } },
	{ 14, { 1 << 14, 1 << 25, 1 << 25 } },
	{ 16, { 1 << 16, 1 << 29, 1ULL << 42 } },
};

static struct {
	unsigned int format;
	struct arm_smmu_invs *invs;
	struct step devices[MAX_DEVICES];
	size_t num_devices;
	struct arm_smmu_invs *build;
} domain;

void *invs_zalloc(size_t size)
{
	return fail_alloc ? NULL : calloc(1, size);
}

static size_t invs_bytes(const struct arm_smmu_invs *invs)
{
	return offsetof(struct arm_smmu_invs, inv) +
	       invs->max_invs * sizeof(invs->inv[0]);
}

/* What should not have changed anything has not */
static void check_same(const struct arm_smmu_invs *copy)
{
	CHECK(!memcmp(copy, domain.invs, invs_bytes(domain.invs)),
	      "the array has changed");
}

static struct arm_smmu_invs *copy_invs(void)
{
	struct arm_smmu_invs *copy = malloc(invs_bytes(domain.invs));

	memcpy(copy, domain.invs, invs_bytes(domain.invs));
	return copy;
}

static void install(struct arm_smmu_invs *invs)
{
	free(domain.invs);
	domain.invs = invs;
	CHECK(!invs->num_trashes, "a new array with trash");
}

static void attach(const struct step *s)
{
	struct arm_smmu_invs *copy, *invs;
	size_t i;

	if (domain.num_devices == MAX_DEVICES)
		return;
	build_device(domain.build, s, formats[domain.format].tg);
	copy = copy_invs();
	fail_alloc = s->fail & 1;
	invs = arm_smmu_invs_merge(domain.invs, domain.build);
	fail_alloc = false;
	check_same(copy);
	free(copy);
	if (s->fail & 1) {
		CHECK(invs == ERR_PTR(-ENOMEM), "merge without memory");
		return;
	}
	CHECK(!IS_ERR(invs), "merge fails");
	CHECK(invs->max_invs - invs->num_invs <= domain.build->num_invs,
	      "a merged array too large");
	install(invs);
	for (i = 0; i != domain.build->num_invs; i++)
		model_add(&domain.build->inv[i]);
	domain.devices[domain.num_devices++] = *s;
}

static void detach(const struct step *s)
{
	size_t which, i;

	if (!domain.num_devices)
		return;
	which = s->which % domain.num_devices;
	build_device(domain.build, &domain.devices[which],
		     formats[domain.format].tg);
	domain.devices[which] = domain.devices[--domain.num_devices];
	arm_smmu_invs_unref(domain.invs, domain.build);
	for (i = 0; i != domain.build->num_invs; i++) {
		struct arm_smmu_inv *inv = &domain.build->inv[i];

		CHECK(model_remove(inv) == !inv->users,
		      "unref: wrong about the last user of entry %zu", i);
	}
}

static void purge(const struct step *s)
{
	struct arm_smmu_invs *copy = copy_invs(), *invs;

	fail_alloc = s->fail & 1;
	invs = arm_smmu_invs_purge(domain.invs);
	fail_alloc = false;
	check_same(copy);
	free(copy);
	if (!invs) {
		CHECK((s->fail & 1) || !domain.invs->num_trashes,
		      "trash is left");
		return;
	}
	CHECK(invs->num_invs == invs->max_invs, "a purged array too large");
	install(invs);
}

/* The array is for ranges that the callers of the driver can have */
static void get_sweep(const struct step *s, struct sweep *sweep)
{
	unsigned int granule = s->leaf & 1 ? s->granule % 3 : 0;

	sweep->tg = formats[domain.format].tg;
	sweep->granule = formats[domain.format].granule[granule];
	sweep->level = 3 - (sweep->granule >> sweep->tg > 1) -
		       (sweep->granule >> sweep->tg > 1 << 13);
	sweep->leaf = s->leaf & 1;
	sweep->iova = 0;
	sweep->size = s->size;
	if (!s->size || s->size == UINT64_MAX)
		return;
	sweep->size &= MAX_IOVA - 1;
	/* Keep what takes many commands rare enough */
	if (granule && sweep->size / sweep->granule > 1024)
		sweep->size %= 1024 * sweep->granule;
	if (sweep->size < sweep->granule)
		sweep->size = sweep->granule;
	sweep->iova = s->iova & (MAX_IOVA - 1) & ~(sweep->granule - 1);
	if (sweep->iova > MAX_IOVA - sweep->size)
		sweep->iova = (MAX_IOVA - sweep->size) & ~(sweep->granule - 1);
}

static void sweep(const struct step *s)
{
	struct arm_smmu_invs *copy = copy_invs();
	struct sweep sweep;

	get_sweep(s, &sweep);
	recorder_reset();
	arm_smmu_invs_sweep(domain.invs, sweep.iova, sweep.size, sweep.granule,
			    sweep.leaf);
	check_same(copy);
	free(copy);
	model_check_sweep(&sweep);
}

static void reset(unsigned int format)
{
	free(domain.invs);
	free(domain.build);
	domain.format = format;
	domain.num_devices = 0;
	domain.invs = arm_smmu_invs_alloc(0);
	domain.build = arm_smmu_invs_alloc(MAX_BUILD);
	model_reset();
	recorder_reset();
}

void steps_run(const struct step *steps, size_t num)
{
	const struct step *s;

	reset(0);
	for (s = steps; s != steps + num; s++) {
		switch (s->op % NUM_OPS) {
		case STEP_PAGES:
			reset(s->which % 3);
			break;
		case STEP_ATTACH:
			attach(s);
			break;
		case STEP_DETACH:
			detach(s);
			break;
		case STEP_PURGE:
			purge(s);
			break;
		case STEP_SWEEP:
			sweep(s);
			break;
		}
		model_check_array(domain.invs);
	}
}

/* splitmix64: every seed is a good one */
static uint64_t random64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint64_t random_size(uint64_t *state, unsigned int tg)
{
	uint64_t r = random64(state), pages = r >> 32;

	switch (r % 16) {
	case 0 ... 3:
		return 1ULL << tg;
	case 4 ... 8:
		return (pages % 70) << tg;
	case 9:	/* where an SMMU without ranges goes for everything */
		return (512 + pages % 3 - 1) << (tg + pages % 9 / 3 * (tg - 3));
	case 10:
		return (1ULL << (12 + pages % 40)) + ((pages % 3 - 1) << tg);
	case 11: /* anything of any length, not a number of pages either */
		return random64(state) >> (12 + pages % 40);
	case 12:
		return r & 256 ? 0 : UINT64_MAX;
	default:
		return (pages % 9 + 1) << (pages % 3 * 9 + tg);
	}
}

void steps_random(struct step *steps, size_t num, uint64_t seed)
{
	uint64_t state = seed, r;
	unsigned int tg, few;
	struct step *s;

	r = random64(&state);
	memset(steps, 0, num * sizeof(*steps));
	steps[0].op = STEP_PAGES;
	steps[0].which = r % 3;
	tg = formats[r % 3].tg;
	/* Few SMMUs and ids meet more often */
	few = r & 64 ? NUM_SMMUS : 3;
	for (s = steps + 1; s != steps + num; s++) {
		static const uint8_t ops[] = {
			STEP_ATTACH, STEP_ATTACH, STEP_ATTACH, STEP_DETACH,
			STEP_DETACH, STEP_PURGE,  STEP_SWEEP,  STEP_SWEEP,
		};

		r = random64(&state);
		s->op = ops[r % 8];
		s->smmu = (r >> 8) % few;
		s->kind = (r >> 16) % NUM_KINDS;
		s->id = (r >> 24) % 4;
		s->streams = (r >> 32) % 8;
		if (s->streams > MAX_STREAMS)
			s->streams = 0;
		s->ssid = (r >> 40) % 8 ? 0 : (r >> 44) % 3;
		s->which = r >> 48;
		s->fail = (s->op == STEP_ATTACH || s->op == STEP_PURGE) &&
			  (r >> 56) % 8 == 0;
		s->granule = (r >> 32) % 3;
		s->leaf = (r >> 40) & 1;
		if (s->op != STEP_SWEEP)
			continue;
		s->iova = random64(&state) >> (12 + (r >> 48) % 40);
		s->size = random_size(&state, tg);
	}
}

static const char *const kinds[] = { "s1", "s2", "nested" };

void steps_print(FILE *file, const struct step *steps, size_t num)
{
	const struct step *s;

	for (s = steps; s != steps + num; s++) {
		const char *failing = s->fail & 1 ? " fail" : "";

		switch (s->op % NUM_OPS) {
		case STEP_PAGES:
			fprintf(file, "pages %uK\n",
				(1U << formats[s->which % 3].tg) / 1024);
			break;
		case STEP_ATTACH:
			fprintf(file, "attach smmu%u %s id %u streams %u ssid %u%s\n",
				s->smmu % NUM_SMMUS, kinds[s->kind % NUM_KINDS],
				s->id, s->streams % (MAX_STREAMS + 1), s->ssid,
				failing);
			break;
		case STEP_DETACH:
			fprintf(file, "detach %u\n", s->which);
			break;
		case STEP_PURGE:
			fprintf(file, "purge%s\n", failing);
			break;
		case STEP_SWEEP:
			fprintf(file, "sweep 0x%" PRIx64 " size 0x%" PRIx64
				" granule %u%s\n",
				s->iova, s->size, s->granule % 3,
				s->leaf & 1 ? " leaf" : "");
			break;
		}
	}
}

static bool read_step(const char *line, struct step *s)
{
	char word[8] = "";
	unsigned int pages;

	memset(s, 0, sizeof(*s));
	s->fail = !!strstr(line, " fail");
	s->leaf = !!strstr(line, " leaf");
	if (sscanf(line, "attach smmu%hhu %6s id %hhu streams %hhu ssid %hhu",
		   &s->smmu, word, &s->id, &s->streams, &s->ssid) == 5) {
		s->op = STEP_ATTACH;
		while (strcmp(kinds[s->kind], word))
			if (++s->kind == NUM_KINDS)
				return false;
		return true;
	}
	if (sscanf(line, "sweep 0x%" SCNx64 " size 0x%" SCNx64 " granule %hhu",
		   &s->iova, &s->size, &s->granule) == 3) {
		s->op = STEP_SWEEP;
		return true;
	}
	if (sscanf(line, "detach %hhu", &s->which) == 1) {
		s->op = STEP_DETACH;
		return true;
	}
	if (sscanf(line, "pages %uK", &pages) == 1) {
		s->op = STEP_PAGES;
		while (1024 * pages != 1U << formats[s->which].tg)
			if (++s->which == 3)
				return false;
		return true;
	}
	s->op = STEP_PURGE;
	return !strncmp(line, "purge", 5);
}

size_t steps_read(FILE *file, struct step *steps)
{
	char line[128];
	size_t num = 0;

	while (num != MAX_STEPS && fgets(line, sizeof(line), file)) {
		if (*line == '#' || *line == '\n')
			continue;
		if (!read_step(line, &steps[num++])) {
			fprintf(stderr, "no such step: %s", line);
			exit(2);
		}
	}
	return num;
}
