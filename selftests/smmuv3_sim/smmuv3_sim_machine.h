/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine for one test: simulated SMMUs, open endpoints, an iommufd with memory,
 * and checks that say what is wrong in words.
 */
#ifndef __SMMUV3_SIM_MACHINE_H
#define __SMMUV3_SIM_MACHINE_H

#include <sys/mman.h>
#include <time.h>

#include "kselftest_harness.h"
#include <vdso/bits.h>
/* iommufd_utils.h has its own */
#undef BITS_PER_LONG
#include "iommufd_utils.h"
#include "smmuv3_guest.h"
#include "smmuv3_sim_lib.h"

#define MACHINE_SMMUS		16
#define MACHINE_DEVS		16
#define MACHINE_MEM		(4UL << 20)
#define PAGE			4096UL
#define BLOCK			(2UL << 20)

/**
 * struct machine - What a test has
 * @sim: the simulator
 * @iommufd: an iommufd
 * @ioas: an IOAS in it
 * @smmu: SMMUs
 * @dev: open endpoints
 * @memfd: memory
 * @mem: MACHINE_MEM bytes of huge pages, all of @memfd
 */
struct machine {
	int sim;
	int iommufd;
	__u32 ioas;
	struct sim_smmu smmu[MACHINE_SMMUS];
	struct sim_dev dev[MACHINE_DEVS];
	int memfd;
	__u8 *mem;
};

/**
 * machine_init() - Get a machine without SMMUs
 * @_metadata: the running test
 * @m: filled
 *
 * Skips the test if there is no simulator.
 */
static void machine_init(struct __test_metadata *_metadata, struct machine *m)
{
	int i;

	*m = (struct machine){ .iommufd = -1 };
	for (i = 0; i < MACHINE_DEVS; i++)
		m->dev[i].vfio = -1;
	/* So are the tables that the kernel makes, and those of the tests */
	if (sysconf(_SC_PAGESIZE) != PAGE)
		SKIP(_exit(0), "needs a kernel with pages of 4K");
	m->sim = sim_open();
	if (m->sim == -ENOENT || m->sim == -ENODEV)
		SKIP(_exit(0), "%s", m->sim == -ENOENT ? "no test_modules/smmuv3_sim.ko" :
						       "no ivshmem device for registers");
	ASSERT_LE(0, m->sim)
	{
		TH_LOG("cannot open the simulator: %s", strerror(-m->sim));
	}
	m->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, m->iommufd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(m->iommufd, &m->ioas));
	m->memfd = memfd_create("machine", MFD_CLOEXEC | MFD_HUGETLB);
	ASSERT_LE(0, m->memfd);
	ASSERT_EQ(0, ftruncate(m->memfd, MACHINE_MEM));
	m->mem = mmap(NULL, MACHINE_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, m->memfd, 0);
	ASSERT_NE(MAP_FAILED, (void *)m->mem);
}

/**
 * machine_exit() - Give all of it back
 * @_metadata: the running test
 * @m: the machine
 */
static void machine_exit(struct __test_metadata *_metadata, struct machine *m)
{
	int i, ret;

	for (i = 0; i < MACHINE_DEVS; i++)
		sim_vfio_close(&m->dev[i]);
	if (m->iommufd >= 0)
		close(m->iommufd);
	if (m->sim < 0)
		return;
	ret = sim_close(m->sim);
	EXPECT_EQ(0, ret)
	{
		/* A failed ASSERT before this one would have it said, too */
		if (ret)
			TH_LOG("the module cannot be unloaded: %s", strerror(-ret));
	}
}

/**
 * machine_add() - Add an SMMU that has to work
 * @_metadata: the running test
 * @m: the machine
 * @n: its number
 * @cfg: what it is like
 */
static void machine_add(struct __test_metadata *_metadata, struct machine *m, int n,
			const struct smmuv3_sim_create *cfg)
{
	ASSERT_EQ(0, sim_create(m->sim, cfg, &m->smmu[n]));
	ASSERT_EQ(1, m->smmu[n].cfg.out_bound)
	{
		TH_LOG("the driver has not bound to SMMU %d", n);
	}
}

/**
 * machine_open() - Open an endpoint
 * @_metadata: the running test
 * @m: the machine
 * @dev: number of the endpoint in the machine
 * @smmu: number of its SMMU
 * @endpoint: number of the endpoint in its SMMU
 */
static void machine_open(struct __test_metadata *_metadata, struct machine *m, int dev, int smmu,
			 __u32 endpoint)
{
	ASSERT_EQ(0, sim_vfio_open(&m->smmu[smmu], endpoint, m->iommufd, &m->dev[dev]));
}

/**
 * now_us() - The monotonic clock
 *
 * Return: microseconds.
 */
static __u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

#define RW	(IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)

/**
 * machine_map() - Map memory into the IOAS
 * @m: the machine
 * @iova: where to, aligned to a page
 * @offset: of the first byte in the memory
 * @length: in bytes, a multiple of PAGE
 * @prot: RW, or one of its two flags
 *
 * Return: 0 or -1 with errno.
 */
static int machine_map(struct machine *m, __u64 iova, size_t offset, size_t length, __u32 prot)
{
	__u64 at = iova;

	return _test_ioctl_ioas_map(m->iommufd, m->ioas, m->mem + offset, length, &at,
				    IOMMU_IOAS_MAP_FIXED_IOVA | prot);
}

/**
 * machine_unmap() - Unmap what machine_map() has mapped
 * @m: the machine
 * @iova: where it was
 * @length: in bytes; whole mappings only
 *
 * Return: 0 or -1 with errno.
 */
static int machine_unmap(struct machine *m, __u64 iova, size_t length)
{
	return _test_ioctl_ioas_unmap(m->iommufd, m->ioas, iova, length, NULL);
}

/**
 * machine_hwpt() - Make an HWPT of the IOAS
 * @m: the machine
 * @dev: an endpoint of the SMMU that it is made for
 * @flags: enum iommufd_hwpt_alloc_flags
 * @hwpt: filled; destroyed by the caller, or with the iommufd
 *
 * Return: 0 or -1 with errno.
 */
static int machine_hwpt(struct machine *m, struct sim_dev *dev, __u32 flags, __u32 *hwpt)
{
	return _test_cmd_hwpt_alloc(m->iommufd, dev->id, m->ioas, 0, flags, hwpt,
				    IOMMU_HWPT_DATA_NONE, NULL, 0);
}

/**
 * machine_dma_str() - Say what became of a DMA
 * @buf: filled
 * @size: of @buf in bytes
 * @ret: of sim_dma()
 */
static void machine_dma_str(char *buf, size_t size, int ret)
{
	switch (ret) {
	case 0:
		snprintf(buf, size, "it was done");
		break;
	case 0x08:
		snprintf(buf, size, "event C_BAD_SUBSTREAMID");
		break;
	case 0x0a:
		snprintf(buf, size, "event C_BAD_CD");
		break;
	case 0x10:
		snprintf(buf, size, "event F_TRANSLATION");
		break;
	case 0x13:
		snprintf(buf, size, "event F_PERMISSION");
		break;
	case SMMUV3_SIM_ABORT:
		snprintf(buf, size, "an abort without event");
		break;
	default:
		snprintf(buf, size, ret < 0 ? "error %d" : "event %#x", ret < 0 ? -ret : ret);
	}
}

/**
 * machine_word() - A word that nothing else has
 *
 * For one thread: threads that do DMA have words of their own.
 *
 * Return: another one each time.
 */
static __u32 machine_word(void)
{
	static __u32 unique = 0x51300000;

	return ++unique;
}

/**
 * machine_write() - A write by DMA, and whether it goes where it has to
 * @m: the machine
 * @dev: the endpoint
 * @flags: enum smmuv3_sim_dma_flags, as for sim_dma()
 * @pasid: PASID or SIM_NO_PASID
 * @iova: address
 * @want: offset in the memory, or -event for a fault
 * @why: filled with what was wanted and what came of it
 * @why_size: of @why in bytes
 *
 * Return: whether it was as wanted.
 */
static bool machine_write(struct machine *m, struct sim_dev *dev, __u32 flags, __u32 pasid,
			  __u64 iova, long want, char *why, size_t why_size)
{
	__u32 word = machine_word(), *at = (__u32 *)(m->mem + want);
	char got[32], wanted[32];
	int ret;

	ret = sim_dma(dev, flags | SMMUV3_SIM_DMA_WRITE, pasid, iova, &word, sizeof(word), NULL);
	machine_dma_str(got, sizeof(got), ret);
	if (want < 0) {
		machine_dma_str(wanted, sizeof(wanted), -want);
		snprintf(why, why_size, "want %s, got: %s", wanted, got);
		return ret == -want;
	}
	snprintf(why, why_size, "want a write to offset %#lx, got: %s%s", want, got,
		 !ret && *at != word ? ", but somewhere else" : "");
	return !ret && *at == word;
}

/**
 * machine_dma() - The same as machine_write(), and a word is read back by DMA
 * @m: the machine
 * @dev: the endpoint
 * @flags: enum smmuv3_sim_dma_flags, as for sim_dma()
 * @pasid: PASID or SIM_NO_PASID
 * @iova: address
 * @want: offset in the memory, or -event for a fault
 * @why: filled with what was wanted and what came of it
 * @why_size: of @why in bytes
 *
 * Return: whether both were as wanted; after a fault nothing is read.
 */
static bool machine_dma(struct machine *m, struct sim_dev *dev, __u32 flags, __u32 pasid,
			__u64 iova, long want, char *why, size_t why_size)
{
	__u32 word = machine_word(), back = 0;
	char got[32];
	int ret;

	if (!machine_write(m, dev, flags, pasid, iova, want, why, why_size))
		return false;
	if (want < 0)
		return true;
	*(__u32 *)(m->mem + want) = word;
	ret = sim_dma(dev, flags, pasid, iova, &back, sizeof(back), NULL);
	machine_dma_str(got, sizeof(got), ret);
	snprintf(why, why_size, "want a read of offset %#lx, got: %s, %#x instead of %#x", want,
		 got, back, word);
	return !ret && back == word;
}

/**
 * machine_last_cmd() - Look for the last command of a kind
 * @m: the machine
 * @from: number of the command to start at
 * @op: opcode
 *
 * Return: the first word of the last such command, 0 if there was none.
 */
static __u64 machine_last_cmd(struct machine *m, __u64 from, __u8 op)
{
	struct smmuv3_sim_command commands[64];
	__u64 found = 0;
	int nr, i;

	do {
		nr = sim_log_read(m->sim, from, commands, ARRAY_SIZE(commands));
		for (i = 0; i < nr; i++) {
			from = commands[i].seq + 1;
			if ((commands[i].data[0] & 0xff) == op)
				found = commands[i].data[0];
		}
	} while (nr > 0);
	return found;
}

/**
 * machine_count_cmds() - How many commands there were
 * @m: the machine
 * @from: number of the command to start at
 * @smmu: number of the SMMU, -1: all of them
 * @op: opcode
 *
 * Return: how many.
 */
static int machine_count_cmds(struct machine *m, __u64 from, int smmu, __u8 op)
{
	struct smmuv3_sim_command commands[64];
	int nr, i, count = 0;

	do {
		nr = sim_log_read(m->sim, from, commands, ARRAY_SIZE(commands));
		for (i = 0; i < nr; i++) {
			from = commands[i].seq + 1;
			if (smmu >= 0 && commands[i].id != m->smmu[smmu].cfg.out_id)
				continue;
			count += (commands[i].data[0] & 0xff) == op;
		}
	} while (nr > 0);
	return count;
}

/* Where mem[0] is for a guest; page tables of every granule fit the alignment */
#define GUEST_IPA	0x40000000ULL

/**
 * struct guest - A vSMMU with one endpoint
 * @m: the machine
 * @dev: the endpoint
 * @parent: nest parent
 * @viommu: the vSMMU
 * @vdev: the vDEVICE; its vSID is 7
 * @hwpt: nested HWPT
 */
struct guest {
	struct machine *m;
	struct sim_dev *dev;
	__u32 parent;
	__u32 viommu;
	__u32 vdev;
	__u32 hwpt;
};

#define GUEST_VSID	7

/**
 * guest_init() - Make a vSMMU for an endpoint
 * @g: filled
 * @m: the machine; its memory has to be mapped
 * @dev: the endpoint
 * @parent: nest parent, 0: a new one
 *
 * Return: 0 or -1 with errno.
 */
static int guest_init(struct guest *g, struct machine *m, struct sim_dev *dev, __u32 parent)
{
	*g = (struct guest){ .m = m, .dev = dev, .parent = parent };
	if (!parent &&
	    machine_hwpt(m, dev, IOMMU_HWPT_ALLOC_NEST_PARENT, &g->parent))
		return -1;
	if (_test_cmd_viommu_alloc(m->iommufd, dev->id, g->parent, 0,
				   IOMMU_VIOMMU_TYPE_ARM_SMMUV3, NULL, 0, &g->viommu))
		return -1;
	return _test_cmd_vdevice_alloc(m->iommufd, g->viommu, dev->id, GUEST_VSID, &g->vdev);
}

/**
 * guest_attach() - Give the endpoint a vSTE
 * @g: the guest
 * @vste: the vSTE
 *
 * Return: 0, -1 with errno or -errno.
 */
static int guest_attach(struct guest *g, struct iommu_hwpt_arm_smmuv3 vste)
{
	__u32 old = g->hwpt;
	int ret;

	ret = _test_cmd_hwpt_alloc(g->m->iommufd, g->dev->id, g->viommu, 0, 0, &g->hwpt,
				   IOMMU_HWPT_DATA_ARM_SMMUV3, &vste, sizeof(vste));
	if (!ret)
		ret = sim_vfio_attach(g->dev, SIM_NO_PASID, g->hwpt);
	if (!ret && old)
		ret = _test_ioctl_destroy(g->m->iommufd, old);
	return ret;
}

/**
 * guest_detach() - Take the endpoint out and destroy its vSMMU
 * @g: the guest
 *
 * Return: 0, -1 with errno or -errno.
 */
static int guest_detach(struct guest *g)
{
	int ret = sim_vfio_detach(g->dev, SIM_NO_PASID);

	if (!ret && g->hwpt)
		ret = _test_ioctl_destroy(g->m->iommufd, g->hwpt);
	if (!ret)
		ret = _test_ioctl_destroy(g->m->iommufd, g->vdev);
	if (!ret)
		ret = _test_ioctl_destroy(g->m->iommufd, g->viommu);
	return ret;
}

/**
 * guest_cmds() - Have the vSMMU execute commands
 * @g: the guest
 * @cmds: commands
 * @nr: how many
 *
 * Return: 0 or -1 with errno.
 */
static int guest_cmds(struct guest *g, struct smmuv3_cmd *cmds, __u32 nr)
{
	return _test_cmd_viommu_invalidate(g->m->iommufd, g->viommu, cmds,
					   IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
					   sizeof(*cmds), &nr);
}

/**
 * guest_cmd() - Have the vSMMU execute one command
 * @g: the guest
 * @cmd: the command
 *
 * Return: 0 or -1 with errno.
 */
static int guest_cmd(struct guest *g, struct smmuv3_cmd cmd)
{
	return guest_cmds(g, &cmd, 1);
}

/* Descriptors of a guest's stage 1 */
#define G_VALID		BIT_ULL(0)
#define G_TABLE		BIT_ULL(1)
#define G_PAGE		BIT_ULL(1)
#define G_USER		BIT_ULL(6)
#define G_RO		BIT_ULL(7)
#define G_AF		BIT_ULL(10)
#define G_NG		BIT_ULL(11)
#define G_OK		(G_VALID | G_USER | G_AF | G_NG)
/* Of the guest's memory: data below, tables above */
#define G_TABLES	(BLOCK / 2)
#define G_CD		(BLOCK - PAGE)

/**
 * g_entry() - Find an entry of a guest's stage 1, independent of the simulator's walk
 * @m: the machine
 * @tg: granule, log2 of bytes: 12, 14 or 16
 * @ia: bits of an input address
 * @next: offset of the next free table in the memory; moved past those that are made
 * @root: offset of the first table
 * @iova: input address
 * @level: of the entry, 3 for a page
 *
 * Tables on the way are made if there are none, out of memory that is zero.
 *
 * Return: the entry, to be written by the caller.
 */
static __u64 *g_entry(struct machine *m, unsigned int tg, unsigned int ia, size_t *next,
		      size_t root, __u64 iova, int level)
{
	int cur = 3 - (ia - tg - 1) / (tg - 3);
	size_t table = root;

	for (;; cur++) {
		unsigned int shift = tg + (3 - cur) * (tg - 3);
		__u64 index = (iova >> shift) & ((1 << (tg - 3)) - 1);
		__u64 *entry = (__u64 *)(m->mem + table) + index;

		if (cur == level)
			return entry;
		if (!*entry) {
			*entry = (GUEST_IPA + *next) | G_VALID | G_TABLE;
			*next += 1UL << tg;
		}
		table = (*entry & 0xfffffffff000ULL) - GUEST_IPA;
	}
}

/**
 * g_write_cd() - Write a context descriptor
 * @m: the machine
 * @cd: its offset in the memory
 * @root: offset of the first table
 * @tg_field: granule as CD.TG0 has it: 0 for 4K, 1 for 64K, 2 for 16K
 * @ia: bits of an input address
 * @asid: ASID
 *
 * No command is sent: a CD that was valid has to be invalidated by the caller.
 */
static void g_write_cd(struct machine *m, size_t cd, size_t root, unsigned int tg_field,
		       unsigned int ia, __u16 asid)
{
	__u64 *word = (__u64 *)(m->mem + cd);

	/* V, AA64, EPD1, R, A, ASET, IPS 40 bits */
	word[1] = GUEST_IPA + root;
	word[0] = (64 - ia) | tg_field << 6 | 1ULL << 30 | 1ULL << 31 | 2ULL << 32 | 1ULL << 41 |
		  7ULL << 45 | (__u64)asid << 48;
}

#define __EXPECT_DMA(_m, _dev, _flags, _pasid, _iova, _want, ...)		\
	do {									\
		char __why[128], __when[128];					\
		bool __good = machine_dma(_m, _dev, _flags, _pasid, _iova, _want, \
					  __why, sizeof(__why));		\
										\
		snprintf(__when, sizeof(__when), __VA_ARGS__);			\
		EXPECT_TRUE(__good)						\
		{								\
			TH_LOG("%s: DMA of SMMU %u's endpoint %u to %#llx: %s",	\
			       __when, (_dev)->smmu->cfg.out_id,		\
			       (_dev)->endpoint, (__u64)(_iova), __why);	\
		}								\
	} while (0)

/* Without PASID and ATS */
#define EXPECT_DMA(_m, _dev, _iova, _want, ...) \
	__EXPECT_DMA(_m, _dev, 0, SIM_NO_PASID, _iova, _want, __VA_ARGS__)

/* Nothing stale in any cache, no rule broken since the last time */
#define EXPECT_CLEAN(_m, ...)							\
	do {									\
		struct smmuv3_sim_violation __violation;			\
		struct smmuv3_sim_stale __stale;				\
		char __when[128];						\
										\
		snprintf(__when, sizeof(__when), __VA_ARGS__);			\
		EXPECT_EQ(0, sim_audit((_m)->sim, &__stale, NULL))		\
		{								\
			TH_LOG("%s: %s", __when, sim_stale_str(&__stale));	\
			TH_LOG("last commands%s", sim_last_commands_str((_m)->sim)); \
		}								\
		EXPECT_EQ(0, sim_violation((_m)->sim, &__violation))		\
		{								\
			TH_LOG("%s: %s", __when, sim_violation_str(&__violation)); \
			TH_LOG("last commands%s", sim_last_commands_str((_m)->sim)); \
		}								\
	} while (0)

/* The audit finds a certain stale entry, and says which command was owed */
#define EXPECT_STALE(_m, _cache, _why, _owed)					\
	do {									\
		struct smmuv3_sim_stale __stale = {};				\
										\
		EXPECT_TRUE(sim_audit_find((_m)->sim, _cache, _why, _owed))	\
		{								\
			int __nr = sim_audit((_m)->sim, &__stale, NULL);	\
										\
			TH_LOG("the audit has %d: %s", __nr,			\
			       __nr > 0 ? sim_stale_str(&__stale) : "nothing");	\
		}								\
	} while (0)

/**
 * features() - SMMUs that are not alike
 * @smmu: its number
 *
 * Return: features of two endpoints and their SMMU. That with number 1 has small ids
 * and no ranges, 2 a bigger address size.
 */
static struct smmuv3_sim_create features(int smmu)
{
	struct smmuv3_sim_create cfg = sim_default();

	cfg.nr_endpoints = 2;
	cfg.ep_flags[1] = cfg.ep_flags[0];
	if (smmu == 1) {
		cfg.idr0 &= ~(SIM_IDR0_ASID16 | SIM_IDR0_VMID16 | SIM_IDR0_MSI);
		cfg.idr1 = SIM_IDR1(7, 6, 6, 6, 10);
		cfg.idr3 &= ~SIM_IDR3_RIL;
	}
	if (smmu == 2)
		cfg.idr5 = (cfg.idr5 & ~SIM_IDR5_OAS) | SIM_IDR5_OAS48;
	return cfg;
}

#endif
