/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest of a vSMMU writes: stage 1 tables, context descriptors, stream
 * table entries and commands. Nothing in here makes a system call.
 *
 * "IHI0070" is the Arm System Memory Management Unit Architecture Specification,
 * version 3; "DDI0487" is the Arm Architecture Reference Manual.
 */
#ifndef __SELFTEST_SMMUV3_GUEST_H
#define __SELFTEST_SMMUV3_GUEST_H

#include <endian.h>
#include <stddef.h>

#include <linux/iommufd.h>
#include <linux/types.h>
#include <vdso/bits.h>

#define GUEST_PAGE_SIZE		4096UL
#define GUEST_BLOCK_SIZE	(2UL << 20)

/**
 * struct guest_ram - Guest memory that stage 1 tables are taken from
 * @vaddr: where the test sees it
 * @ipa: where the SMMU sees it, behind stage 2
 * @size: in bytes
 * @used: bytes given out so far; there is no way to give back
 */
struct guest_ram {
	void *vaddr;
	u64 ipa;
	size_t size;
	size_t used;
};

/**
 * guest_alloc_page() - Take one page
 * @ram: the memory to take it from
 *
 * Return: a page of zeros; asserts that there is one.
 */
void *guest_alloc_page(struct guest_ram *ram);

/**
 * guest_to_ipa() - Say where the SMMU sees an object
 * @ram: the memory that @ptr points into
 * @ptr: pointer from guest_alloc_page(), or into such a page
 *
 * Return: the IPA.
 */
static inline u64 guest_to_ipa(const struct guest_ram *ram, const void *ptr)
{
	return ram->ipa + ((const char *)ptr - (const char *)ram->vaddr);
}

/**
 * struct guest_s1 - A stage 1 address space
 * @ram: the memory its tables live in
 * @root: the level 1 table: 4K granule, 39 bit input addresses, three levels
 * @asid: of its entries; all entries are non-global
 */
struct guest_s1 {
	struct guest_ram *ram;
	u64 *root;
	u16 asid;
};

/**
 * guest_s1_init() - Make an empty address space
 * @s1: to be filled
 * @ram: its tables come from here and are never freed on their own
 * @asid: any value that CD.ASID holds; keeping it unique is the caller's affair
 */
void guest_s1_init(struct guest_s1 *s1, struct guest_ram *ram, u16 asid);

/**
 * guest_s1_map() - Write valid read/write leaf entries (DDI0487 D8.3)
 * @s1: the address space
 * @iova: first input address
 * @ipa: first output address
 * @size: GUEST_BLOCK_SIZE with both addresses aligned to it makes a block entry,
 *	  any other multiple of GUEST_PAGE_SIZE page entries
 *
 * Overwriting a valid entry with another output address breaks the
 * break-before-make rule: unmap and invalidate first.
 */
void guest_s1_map(struct guest_s1 *s1, u64 iova, u64 ipa, size_t size);

/**
 * guest_s1_unmap() - Make one leaf entry, page or block, invalid
 * @s1: the address space
 * @iova: input address
 *
 * Sends no command: from here to the end of an invalidation the SMMU may use
 * the old entry.
 */
void guest_s1_unmap(struct guest_s1 *s1, u64 iova);

/**
 * struct guest_cd - One context descriptor in memory (IHI0070 5.4)
 * @data: little endian
 */
struct guest_cd {
	u64 data[8];
};

/**
 * guest_cd_write() - Fill an invalid context descriptor
 * @cd: in guest memory, not valid now
 * @s1: the address space it shall point to
 * @ips: output address size, as in SMMU_IDR5.OAS
 */
void guest_cd_write(struct guest_cd *cd, const struct guest_s1 *s1, unsigned int ips);

/**
 * guest_cd_clear() - Make a context descriptor invalid
 * @cd: in guest memory
 */
void guest_cd_clear(struct guest_cd *cd);

/* vSTE words that the kernel takes (IHI0070 5.2) */
#define VSTE_0_V		BIT_ULL(0)
#define VSTE_0_CFG(x)		((u64)(x) << 1)
#define   VSTE_CFG_ABORT	0
#define   VSTE_CFG_BYPASS	4
#define   VSTE_CFG_S1		5
#define   VSTE_CFG_S2		6
#define   VSTE_CFG_NESTED	7
#define VSTE_0_CTXPTR_MASK	0x000fffffffffffc0ULL
#define VSTE_1_S1CIR_WBRA	BIT_ULL(2)
#define VSTE_1_S1COR_WBRA	BIT_ULL(4)
#define VSTE_1_S1CSH_ISH	(3ULL << 6)
#define VSTE_1_MEV		BIT_ULL(19)
#define VSTE_1_EATS(x)		((u64)(x) << 28)
#define VSTE_1_STRW_EL2		(2ULL << 30)

/**
 * guest_vste() - Stream table entry without stage 1
 * @cfg: VSTE_CFG_*
 *
 * Return: the two words that IOMMU_HWPT_ALLOC takes.
 */
static inline struct iommu_hwpt_arm_smmuv3 guest_vste(unsigned int cfg)
{
	return (struct iommu_hwpt_arm_smmuv3){
		.ste = { htole64(VSTE_0_V | VSTE_0_CFG(cfg)), 0 },
	};
}

/**
 * guest_vste_s1() - Stream table entry that translates through one CD
 * @cd_ipa: IPA of the CD, 64 byte aligned (S1CDMax is 0: no substreams)
 *
 * Return: the two words that IOMMU_HWPT_ALLOC takes.
 */
static inline struct iommu_hwpt_arm_smmuv3 guest_vste_s1(u64 cd_ipa)
{
	struct iommu_hwpt_arm_smmuv3 vste = guest_vste(VSTE_CFG_S1);

	vste.ste[0] |= htole64(cd_ipa & VSTE_0_CTXPTR_MASK);
	vste.ste[1] = htole64(VSTE_1_S1CIR_WBRA | VSTE_1_S1COR_WBRA | VSTE_1_S1CSH_ISH);
	return vste;
}

/* Opcodes (IHI0070 4.1) */
#define CMD_PREFETCH_CONFIG	0x01
#define CMD_CFGI_STE		0x03
#define CMD_CFGI_ALL		0x04
#define CMD_CFGI_CD		0x05
#define CMD_CFGI_CD_ALL		0x06
#define CMD_TLBI_NH_ALL		0x10
#define CMD_TLBI_NH_ASID	0x11
#define CMD_TLBI_NH_VA		0x12
#define CMD_TLBI_NH_VAA		0x13
#define CMD_TLBI_EL2_ALL	0x20
#define CMD_TLBI_S12_VMALL	0x28
#define CMD_TLBI_S2_IPA		0x2a
#define CMD_TLBI_NSNH_ALL	0x30
#define CMD_ATC_INV		0x40
#define CMD_PRI_RESP		0x41
#define CMD_RESUME		0x44
#define CMD_SYNC		0x46
#define CMD_TLBI_SNH_ALL	0x60

/* Fields (IHI0070 4.3 configuration, 4.4 TLB, 4.5 ATS) */
#define CMD_0_SSEC		BIT_ULL(10)
#define CMD_0_SID(x)		((u64)(x) << 32)
#define CMD_0_VMID(x)		((u64)(x) << 32)
#define CMD_0_ASID(x)		((u64)(x) << 48)
#define CMD_0_NUM(x)		((u64)(x) << 12)
#define CMD_0_SCALE(x)		((u64)(x) << 20)
#define CMD_1_LEAF		BIT_ULL(0)
#define CMD_1_TTL(x)		((u64)(x) << 8)
#define CMD_1_TG(x)		((u64)(x) << 10)
#define   CMD_TG_NO_RANGE	0
#define   CMD_TG_4K		1
#define   CMD_TG_16K		2
#define CMD_1_ADDR_MASK		(~0xfffULL)

/**
 * struct smmuv3_cmd - A command as IOMMU_HWPT_INVALIDATE takes it
 * @inv: little endian words
 */
struct smmuv3_cmd {
	struct iommu_viommu_arm_smmuv3_invalidate inv;
};

/**
 * smmuv3_cmd() - Command from its two words
 * @dw0: opcode and fields, CPU endian
 * @dw1: fields, CPU endian
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd smmuv3_cmd(u64 dw0, u64 dw1)
{
	return (struct smmuv3_cmd){ .inv.cmd = { htole64(dw0), htole64(dw1) } };
}

/*
 * IHI0070 4.4: the stage 1 invalidations of a guest. The VMID is left 0, the
 * kernel puts the vSMMU's. All have the same form so that a table can list them;
 * those that do not need @asid or @iova ignore it.
 */
/**
 * cmd_nh_va() - Forget a page, and the table entries that lead to it
 * @asid: of the entries
 * @iova: address in the page
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd cmd_nh_va(u16 asid, u64 iova)
{
	return smmuv3_cmd(CMD_TLBI_NH_VA | CMD_0_ASID(asid), iova & CMD_1_ADDR_MASK);
}

/**
 * cmd_nh_va_leaf() - Forget a page, but no table entries
 * @asid: of the entries
 * @iova: address in the page
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd cmd_nh_va_leaf(u16 asid, u64 iova)
{
	return smmuv3_cmd(CMD_TLBI_NH_VA | CMD_0_ASID(asid),
			  (iova & CMD_1_ADDR_MASK) | CMD_1_LEAF);
}

/**
 * cmd_nh_va_range() - Forget the aligned four pages around an address
 * @asid: of the entries
 * @iova: the address; (NUM + 1) * 2^SCALE granules, of no known level
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd cmd_nh_va_range(u16 asid, u64 iova)
{
	return smmuv3_cmd(CMD_TLBI_NH_VA | CMD_0_ASID(asid) | CMD_0_NUM(3),
			  (iova & ~(4 * GUEST_PAGE_SIZE - 1)) | CMD_1_TG(CMD_TG_4K));
}

/**
 * cmd_nh_va_range_ttl() - Forget the same four pages, as 2 * 2^1 granules of level 3
 * @asid: of the entries
 * @iova: the address; no table entries
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd cmd_nh_va_range_ttl(u16 asid, u64 iova)
{
	return smmuv3_cmd(CMD_TLBI_NH_VA | CMD_0_ASID(asid) | CMD_0_NUM(1) | CMD_0_SCALE(1),
			  (iova & ~(4 * GUEST_PAGE_SIZE - 1)) | CMD_1_TG(CMD_TG_4K) |
			  CMD_1_TTL(3) | CMD_1_LEAF);
}

/**
 * cmd_nh_vaa() - Forget a page of all ASIDs
 * @asid: ignored
 * @iova: address in the page
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd cmd_nh_vaa(u16 asid, u64 iova)
{
	return smmuv3_cmd(CMD_TLBI_NH_VAA, iova & CMD_1_ADDR_MASK);
}

/**
 * cmd_nh_asid() - Forget all entries of an ASID, global ones are of none
 * @asid: of the entries
 * @iova: ignored
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd cmd_nh_asid(u16 asid, u64 iova)
{
	return smmuv3_cmd(CMD_TLBI_NH_ASID | CMD_0_ASID(asid), 0);
}

/**
 * cmd_nh_all() - Forget all of stage 1
 * @asid: ignored
 * @iova: ignored
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd cmd_nh_all(u16 asid, u64 iova)
{
	return smmuv3_cmd(CMD_TLBI_NH_ALL, 0);
}

/**
 * cmd_nsnh_all() - Forget all; the kernel makes it CMD_TLBI_NH_ALL of the VMID
 * @asid: ignored
 * @iova: ignored
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd cmd_nsnh_all(u16 asid, u64 iova)
{
	return smmuv3_cmd(CMD_TLBI_NSNH_ALL, 0);
}

/**
 * cmd_cfgi_cd() - Forget the CD of substream 0 (IHI0070 4.3)
 * @vsid: stream ID as the guest knows it
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd cmd_cfgi_cd(u32 vsid)
{
	return smmuv3_cmd(CMD_CFGI_CD | CMD_0_SID(vsid), CMD_1_LEAF);
}

/**
 * cmd_cfgi_cd_all() - Forget all CDs of a stream (IHI0070 4.3)
 * @vsid: stream ID as the guest knows it
 *
 * Return: the command.
 */
static inline struct smmuv3_cmd cmd_cfgi_cd_all(u32 vsid)
{
	return smmuv3_cmd(CMD_CFGI_CD_ALL | CMD_0_SID(vsid), 0);
}

#endif
