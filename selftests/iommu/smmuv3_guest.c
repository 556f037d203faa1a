// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <string.h>

#include "smmuv3_guest.h"

/* VMSAv8-64 descriptors, 4K granule, stage 1 (DDI0487 D8.3) */
#define PTE_VALID		BIT_ULL(0)
#define PTE_TABLE_OR_PAGE	BIT_ULL(1)
#define PTE_ATTRINDX(x)		((u64)(x) << 2)
#define PTE_AP_EL0		BIT_ULL(6)
#define PTE_SH_ISH		(3ULL << 8)
#define PTE_AF			BIT_ULL(10)
#define PTE_NG			BIT_ULL(11)
#define PTE_ADDR_MASK		0x0000fffffffff000ULL
#define PTE_LEAF		(PTE_VALID | PTE_ATTRINDX(0) | PTE_AP_EL0 | PTE_SH_ISH | \
				 PTE_AF | PTE_NG)

#define S1_INPUT_BITS		39
#define S1_BITS_PER_LEVEL	9
#define S1_ROOT_LEVEL		1
#define S1_BLOCK_LEVEL		2
#define S1_PAGE_LEVEL		3

/* Context descriptor (IHI0070 5.4) */
#define CD_0_T0SZ(x)		((u64)(x) << 0)
#define CD_0_TG0_4K		(0ULL << 6)
#define CD_0_IR0_WBRA		BIT_ULL(8)
#define CD_0_OR0_WBRA		BIT_ULL(10)
#define CD_0_SH0_ISH		(3ULL << 12)
#define CD_0_EPD1		BIT_ULL(30)
#define CD_0_V			BIT_ULL(31)
#define CD_0_IPS(x)		((u64)(x) << 32)
#define CD_0_AA64		BIT_ULL(41)
#define CD_0_R			BIT_ULL(45)
#define CD_0_A			BIT_ULL(46)
#define CD_0_ASET		BIT_ULL(47)
#define CD_0_ASID(x)		((u64)(x) << 48)
#define CD_MAIR_WRITE_BACK	0xffULL

/* The SMMU may read the word at any moment: it must see the old or the new */
static void guest_write(u64 *word, u64 val)
{
	__atomic_store_n(word, htole64(val), __ATOMIC_RELEASE);
}

void *guest_alloc_page(struct guest_ram *ram)
{
	void *page = ram->vaddr + ram->used;

	assert(ram->used + GUEST_PAGE_SIZE <= ram->size);
	ram->used += GUEST_PAGE_SIZE;
	return memset(page, 0, GUEST_PAGE_SIZE);
}

void guest_s1_init(struct guest_s1 *s1, struct guest_ram *ram, u16 asid)
{
	s1->ram = ram;
	s1->root = guest_alloc_page(ram);
	s1->asid = asid;
}

/* Walk to the entry for @iova in a table of @level, making tables on the way */
static u64 *guest_s1_entry(struct guest_s1 *s1, u64 iova, int level)
{
	u64 *table = s1->root;
	int cur;

	assert(!(iova >> S1_INPUT_BITS));
	for (cur = S1_ROOT_LEVEL; ; cur++) {
		int shift = 12 + (S1_PAGE_LEVEL - cur) * S1_BITS_PER_LEVEL;
		u64 *entry = &table[(iova >> shift) & ((1 << S1_BITS_PER_LEVEL) - 1)];
		u64 val = le64toh(*entry);

		if (cur == level || (val && !(val & PTE_TABLE_OR_PAGE)))
			return entry;
		if (!val) {
			val = guest_to_ipa(s1->ram, guest_alloc_page(s1->ram));
			val |= PTE_VALID | PTE_TABLE_OR_PAGE;
			guest_write(entry, val);
		}
		table = s1->ram->vaddr + ((val & PTE_ADDR_MASK) - s1->ram->ipa);
	}
}

void guest_s1_map(struct guest_s1 *s1, u64 iova, u64 ipa, size_t size)
{
	bool block = size == GUEST_BLOCK_SIZE && !((iova | ipa) % GUEST_BLOCK_SIZE);
	size_t step = block ? GUEST_BLOCK_SIZE : GUEST_PAGE_SIZE;
	u64 attrs = block ? PTE_LEAF : PTE_LEAF | PTE_TABLE_OR_PAGE;
	size_t off;

	for (off = 0; off < size; off += step)
		guest_write(guest_s1_entry(s1, iova + off, block ? S1_BLOCK_LEVEL : S1_PAGE_LEVEL),
			    (ipa + off) | attrs);
}

void guest_s1_unmap(struct guest_s1 *s1, u64 iova)
{
	guest_write(guest_s1_entry(s1, iova, S1_PAGE_LEVEL), 0);
}

void guest_cd_write(struct guest_cd *cd, const struct guest_s1 *s1, unsigned int ips)
{
	assert(!(le64toh(cd->data[0]) & CD_0_V));
	guest_write(&cd->data[1], guest_to_ipa(s1->ram, s1->root));
	guest_write(&cd->data[3], CD_MAIR_WRITE_BACK);
	/* The word with the valid bit comes last */
	guest_write(&cd->data[0],
		    CD_0_T0SZ(64 - S1_INPUT_BITS) | CD_0_TG0_4K | CD_0_IR0_WBRA | CD_0_OR0_WBRA |
		    CD_0_SH0_ISH | CD_0_EPD1 | CD_0_V | CD_0_IPS(ips) | CD_0_AA64 | CD_0_R |
		    CD_0_A | CD_0_ASET | CD_0_ASID(s1->asid));
}

void guest_cd_clear(struct guest_cd *cd)
{
	guest_write(&cd->data[0], 0);
}
