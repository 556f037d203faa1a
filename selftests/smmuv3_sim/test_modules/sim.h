/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * smmuv3_sim from the inside.
 *
 * One kernel thread is the hardware of all instances: it alone reads queues,
 * walks tables, fills and drops caches, so none of that needs a lock, and no walk
 * is in flight when a CMD_SYNC completes. Everybody else has it run a function,
 * sim_run(). The thread must not share its CPU with callers of the driver, which
 * wait for CMD_SYNC with interrupts off.
 */
#ifndef __SMMUV3_SIM_H
#define __SMMUV3_SIM_H

#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/io.h>
#include <linux/irqdomain.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/pci-ecam.h>
#include <linux/platform_device.h>

#include "../smmuv3_sim_uapi.h"

#define SIM_REGS_SIZE		SZ_128K
#define SIM_PAGE1		SZ_64K
#define SIM_WINDOW_SIZE		SZ_512K
/* First the registers of all instances, then their PCI windows */
#define SIM_WINDOWS		(SMMUV3_SIM_MAX_INSTANCES * SIM_REGS_SIZE)
#define SIM_MEMORY_SIZE		(SIM_WINDOWS + SMMUV3_SIM_MAX_INSTANCES * SIM_WINDOW_SIZE)

#define SIM_NO_SSID		U32_MAX
#define SIM_NO_SEQ		0ULL

/* Commands (IHI0070 4) */
enum {
	SIM_CMD_PREFETCH_CONFIG = 0x01,
	SIM_CMD_PREFETCH_ADDR = 0x02,
	SIM_CMD_CFGI_STE = 0x03,
	SIM_CMD_CFGI_STE_RANGE = 0x04,
	SIM_CMD_CFGI_CD = 0x05,
	SIM_CMD_CFGI_CD_ALL = 0x06,
	SIM_CMD_TLBI_NH_ALL = 0x10,
	SIM_CMD_TLBI_NH_ASID = 0x11,
	SIM_CMD_TLBI_NH_VA = 0x12,
	SIM_CMD_TLBI_NH_VAA = 0x13,
	SIM_CMD_TLBI_EL2_ALL = 0x20,
	SIM_CMD_TLBI_EL2_ASID = 0x21,
	SIM_CMD_TLBI_EL2_VA = 0x22,
	SIM_CMD_TLBI_EL2_VAA = 0x23,
	SIM_CMD_TLBI_S12_VMALL = 0x28,
	SIM_CMD_TLBI_S2_IPA = 0x2a,
	SIM_CMD_TLBI_NSNH_ALL = 0x30,
	SIM_CMD_ATC_INV = 0x40,
	SIM_CMD_PRI_RESP = 0x41,
	SIM_CMD_RESUME = 0x44,
	SIM_CMD_STALL_TERM = 0x45,
	SIM_CMD_SYNC = 0x46,
};

enum {
	SIM_CERROR_NONE,
	SIM_CERROR_ILL,
	SIM_CERROR_ABT,
	SIM_CERROR_ATC_INV_SYNC,
};

#define SIM_CMD_OP		GENMASK_ULL(7, 0)
#define SIM_CMD_SSV		BIT_ULL(11)
#define SIM_CMD_SSID		GENMASK_ULL(31, 12)
#define SIM_CMD_SID		GENMASK_ULL(63, 32)
#define SIM_CMD_VMID		GENMASK_ULL(47, 32)
#define SIM_CMD_ASID		GENMASK_ULL(63, 48)
#define SIM_CMD_NUM		GENMASK_ULL(16, 12)
#define SIM_CMD_SCALE		GENMASK_ULL(25, 20)
#define SIM_CMD_GLOBAL		BIT_ULL(9)
#define SIM_CMD_1_LEAF		BIT_ULL(0)
#define SIM_CMD_1_TTL		GENMASK_ULL(9, 8)
#define SIM_CMD_1_TG		GENMASK_ULL(11, 10)
#define SIM_CMD_1_RANGE		GENMASK_ULL(4, 0)
#define SIM_CMD_1_ATC_SIZE	GENMASK_ULL(5, 0)
#define SIM_CMD_1_ADDR		GENMASK_ULL(63, 12)

struct sim_endpoint;
struct sim_instance;

/**
 * struct sim_cache - Cached translations
 * @buckets: hash table by kind, size, VMID and address
 * @all: entries that no command has doomed
 * @count: entries, doomed ones as well
 * @dropped: entries that found no room
 * @shifts: sizes that were ever seen, by kind
 */
struct sim_cache {
	struct hlist_head *buckets;
	struct list_head all;
	u32 count;
	u32 dropped;
	u64 shifts[SMMUV3_SIM_NR_CACHES];
};

/**
 * struct sim_entry - A cached translation or table entry
 * @hash: in the buckets of @cache
 * @list: in @all of @cache, or in the instance's doomed list
 * @cache: where it belongs
 * @kind: enum smmuv3_sim_cache
 * @shift: log2 of its size
 * @level: level of the table entry it comes from; of stage 1 if combined
 * @tg: log2 of the granule; of stage 1 if combined
 * @s1_shift: log2 of what stage 1 maps in one piece: a command for any part of
 *	it drops all of it
 * @perms: SIM_PERM_*
 * @global: matches every ASID
 * @asid: tag
 * @vmid: tag
 * @sid: who brought it in
 * @ssid: who brought it in, or PASID of an ATC entry
 * @va: input address, aligned to the size
 * @ipa: intermediate address if combined
 * @pa: output address, or next table
 * @root: table of stage 1 it comes from
 * @s2_root: table of stage 2 it comes from
 * @doomed: number of the command that wants it gone
 */
struct sim_entry {
	struct hlist_node hash;
	struct list_head list;
	struct sim_cache *cache;
	u8 kind;
	u8 shift;
	u8 level;
	u8 tg;
	u8 s1_shift;
	u8 perms;
	bool global;
	u16 asid;
	u16 vmid;
	u32 sid;
	u32 ssid;
	u64 va;
	u64 ipa;
	u64 pa;
	u64 root;
	u64 s2_root;
	u64 doomed;
};

#define SIM_PERM_READ		BIT(0)
#define SIM_PERM_WRITE		BIT(1)
#define SIM_PERM_EXEC		BIT(2)
/* For unprivileged accesses too */
#define SIM_PERM_USER		BIT(3)

/**
 * struct sim_config - A cached STE or CD
 * @list: in the instance's list of configuration, doomed or not
 * @kind: SMMUV3_SIM_CACHE_STE or SMMUV3_SIM_CACHE_CD
 * @sid: StreamID
 * @ssid: SubstreamID of a CD
 * @data: what was read
 * @doomed: number of the command that wants it gone
 */
struct sim_config {
	struct list_head list;
	u8 kind;
	u32 sid;
	u32 ssid;
	u64 data[8];
	u64 doomed;
};

/**
 * struct sim_stage - How to walk one stage
 * @on: it translates
 * @ttb: first table
 * @tg: log2 of the granule
 * @ia: input address bits
 * @oa: output address bits
 * @start: level of the first table
 * @ha: hardware sets the access flag
 * @hd: hardware sets the dirty state
 * @affd: no fault for a clear access flag
 * @off: every access is a translation fault (EPD0)
 */
struct sim_stage {
	bool on;
	u64 ttb;
	u8 tg;
	u8 ia;
	u8 oa;
	s8 start;
	bool ha;
	bool hd;
	bool affd;
	bool off;
};

/**
 * struct sim_context - What STE and CD say about a stream
 * @sid: StreamID
 * @ssid: SubstreamID, SIM_NO_SSID without
 * @bypass: no stage translates
 * @asid: of the CD
 * @vmid: of the STE
 * @eats: STE.EATS
 * @s1: stage 1
 * @s2: stage 2
 */
struct sim_context {
	u32 sid;
	u32 ssid;
	bool bypass;
	u16 asid;
	u16 vmid;
	u8 eats;
	struct sim_stage s1;
	struct sim_stage s2;
};

/**
 * struct sim_access - A memory access as it reaches the SMMU
 * @sid: StreamID
 * @ssid: SubstreamID, SIM_NO_SSID without
 * @iova: address
 * @flags: SMMUV3_SIM_DMA_WRITE, _PRIV and _EXEC
 * @ats: it is a translation request: what is not allowed is only left out
 * @fresh: look, do not touch: no cache is used or filled, no flag is set
 */
struct sim_access {
	u32 sid;
	u32 ssid;
	u64 iova;
	u32 flags;
	bool ats;
	bool fresh;
};

/**
 * struct sim_result - What a translation came to
 * @pa: output address of the access
 * @shift: log2 of the size for which this holds
 * @s1_shift: log2 of what stage 1 maps in one piece
 * @level: level of stage 1's entry, or stage 2's if there is only that
 * @perms: SIM_PERM_*
 * @global: the entry is for every ASID
 * @ipa: output of stage 1
 * @tables: next table after each level, 0 if the walk did not come there; of
 *	stage 1, or stage 2 if there is only that
 */
struct sim_result {
	u64 pa;
	u8 shift;
	u8 s1_shift;
	u8 level;
	u8 perms;
	bool global;
	u64 ipa;
	u64 tables[4];
};

/**
 * struct sim_endpoint - A PCIe function
 * @inst: its SMMU
 * @index: number in its instance
 * @flags: enum smmuv3_sim_endpoint_flags
 * @rid: bus, device and function
 * @sid: StreamID
 * @gone: it has been pulled out
 * @cfg: configuration space
 * @wmask: bits of it that can be written
 * @ats: where the ATS capability is, 0: nowhere
 * @pasid: where the PASID capability is, 0: nowhere
 * @ats_epoch: counts how often ATS was turned on
 * @ats_seen: what the thread knows of @ats_epoch
 * @atc: its ATC
 * @detached: SMMUV3_SIM_DETACHED and no new STE since
 * @reset_until: it is in a reset before that
 * @deaf: CMD_ATC_INV that it will not answer
 * @late_us: how long it takes to answer a CMD_ATC_INV
 * @fault: of the last DMA
 * @group: group of the page request that waits
 * @response: answer to the last page request
 * @buffer: for DMA by registers
 */
struct sim_endpoint {
	struct sim_instance *inst;
	unsigned int index;
	u32 flags;
	u16 rid;
	u32 sid;
	bool gone;
	u8 cfg[PCI_CFG_SPACE_EXP_SIZE];
	u8 wmask[PCI_CFG_SPACE_EXP_SIZE];
	u16 ats;
	u16 pasid;
	u32 ats_epoch;
	u32 ats_seen;
	struct sim_cache atc;
	bool detached;
	ktime_t reset_until;
	u32 deaf;
	u32 late_us;
	struct smmuv3_sim_fault fault;
	u32 group;
	u32 response;
	void *buffer;
};

#define SIM_NR_PENDING	64

/**
 * struct sim_pending - A TLB invalidation that waits for a CMD_SYNC
 * @seq: its number
 * @all: for all VMIDs
 * @any_asid: for all ASIDs
 * @asid: for this one
 * @vmid: for this one
 */
struct sim_pending {
	u64 seq;
	bool all;
	bool any_asid;
	u16 asid;
	u16 vmid;
};

/**
 * struct sim_instance - One SMMU
 * @list: in sim_instances, which the thread works through
 * @id: number
 * @flags: enum smmuv3_sim_create_flags
 * @regs: registers
 * @window: memory of the endpoints' BARs
 * @base: physical address of @regs
 * @idr0: as created; so for the others
 * @idr1: as created
 * @idr3: as created
 * @idr5: as created
 * @fwnode: firmware node
 * @node: the IORT node that the driver gets
 * @irq_fwnode: firmware node of @irq_domain
 * @irq_domain: the wired interrupts
 * @irq: "eventq", "gerror", "priq"
 * @pdev: the platform device, NULL when it is gone
 * @bridge: PCI host bridge of the endpoints
 * @cfgwin: its sysdata
 * @mem: its memory window
 * @bus: its bus numbers
 * @ep: endpoints
 * @nr_eps: how many there are
 * @pci_bridge: the conventional bridge that some are behind, NULL if there is none
 * @removing: it is being removed and has no endpoint any more
 * @dead_at: CMDQ_PROD when that began: what was posted before may still be in the queue
 * @dead: and the command is one from after that
 * @cmdq_off: the command queue was on and is not any more
 * @cmdq: command queue
 * @cmdq_base: value of CMDQ_BASE it was found with
 * @cons: next command
 * @gerror: value of GERROR
 * @deadline: when the command at @cons may complete, 0: not started
 * @latency_us: of a CMD_SYNC
 * @error: enum smmuv3_sim_error
 * @error_arg: see there
 * @error_count: see there
 * @stop_until: no command is consumed before that, 0: they are
 * @atc_until: when all CMD_ATC_INV will be answered, 0: they are
 * @atc_error: a CMD_ATC_INV since the last CMD_SYNC got no answer
 * @tlb: translations
 * @config: STEs and CDs
 * @doomed: translations that wait for a CMD_SYNC
 * @pending: invalidations that wait for a CMD_SYNC
 * @nr_pending: how many; if there are too many, @pending[0] is for all VMIDs
 * @commands: commands consumed
 * @syncs: CMD_SYNCs consumed
 * @events: events written
 */
struct sim_instance {
	struct list_head list;
	u32 id;
	u32 flags;
	void __iomem *regs;
	void __iomem *window;
	phys_addr_t base;
	u32 idr0;
	u32 idr1;
	u32 idr3;
	u32 idr5;

	struct fwnode_handle *fwnode;
	struct acpi_iort_node *node;
	struct fwnode_handle *irq_fwnode;
	struct irq_domain *irq_domain;
	unsigned int irq[3];
	struct platform_device *pdev;

	struct pci_host_bridge *bridge;
	struct pci_config_window cfgwin;
	struct resource mem;
	struct resource bus;
	struct sim_endpoint *ep;
	unsigned int nr_eps;
	struct sim_endpoint *pci_bridge;

	bool removing;
	u32 dead_at;
	bool dead;
	bool cmdq_off;
	u64 *cmdq;
	u64 cmdq_base;
	u32 cons;
	u32 gerror;
	ktime_t deadline;
	u32 latency_us;
	u32 error;
	u32 error_arg;
	u32 error_count;
	ktime_t stop_until;
	ktime_t atc_until;
	bool atc_error;

	struct sim_cache tlb;
	struct list_head config;
	struct list_head doomed;
	struct sim_pending pending[SIM_NR_PENDING];
	unsigned int nr_pending;

	u64 commands;
	u64 syncs;
	u64 events;
};

enum sim_irq { SIM_IRQ_EVTQ, SIM_IRQ_GERROR, SIM_IRQ_PRIQ };

/* sim_main.c */
extern struct list_head sim_instances;
extern struct pci_dev *sim_memory;
int sim_run(int (*fn)(void *arg), void *arg);
struct sim_endpoint *sim_find_endpoint(struct sim_instance *inst, u32 sid);

/* sim_instance.c */
u32 sim_instance_command(struct sim_instance *inst, const u64 *cmd);
struct sim_instance *sim_instance_create(unsigned int id, const struct smmuv3_sim_create *create);
void sim_instance_remove(struct sim_instance *inst, bool smmu_first);
bool sim_instance_poll(struct sim_instance *inst);
void sim_instance_event(struct sim_instance *inst, const struct smmuv3_sim_fault *fault,
			const struct sim_access *access);
int sim_instance_page_request(struct sim_endpoint *ep, struct smmuv3_sim_page_request *req);

/* sim_pci.c */
int sim_pci_init(void);
void sim_pci_exit(void);
int sim_pci_add(struct sim_instance *inst, const struct smmuv3_sim_create *create);
void sim_pci_remove(struct sim_instance *inst);
u32 sim_pci_config(const struct sim_endpoint *ep, unsigned int where, unsigned int size);
void sim_pci_reset(struct sim_endpoint *ep);
bool sim_pci_ats_enabled(struct sim_endpoint *ep);
bool sim_pci_pasid_enabled(struct sim_endpoint *ep);

/* sim_dma.c */
bool sim_endpoint_poll(struct sim_endpoint *ep);
int sim_endpoint_dma(struct sim_endpoint *ep, struct smmuv3_sim_dma *dma, void *data);

/* sim_walk.c */
u32 sim_oas(const struct sim_instance *inst);
int sim_translate(struct sim_instance *inst, const struct sim_access *access,
		  struct sim_result *result, struct smmuv3_sim_fault *fault);
int sim_fetch_ste(struct sim_instance *inst, u32 sid, bool fresh, u64 *ste);
int sim_get_context(struct sim_instance *inst, const struct sim_access *access,
		    struct sim_context *ctx, struct smmuv3_sim_fault *fault);
int sim_fetch_cd(struct sim_instance *inst, const struct sim_context *ctx, const u64 *ste,
		 u32 ssid, bool fresh, u64 *cd, struct smmuv3_sim_fault *fault);
int sim_walk_context(struct sim_instance *inst, const struct sim_context *ctx,
		     const struct sim_access *access, struct sim_result *result,
		     struct smmuv3_sim_fault *fault);
int sim_walk_s2(struct sim_instance *inst, const struct sim_context *ctx, u64 ipa, u32 flags,
		bool fresh, struct sim_result *result, struct smmuv3_sim_fault *fault);
void *sim_phys(u64 pa, size_t size);
int sim_poke(struct sim_instance *inst, u32 sid, struct smmuv3_sim_poke *poke);

/* sim_cache.c */
int sim_cache_init(struct sim_cache *cache);
void sim_cache_free(struct sim_cache *cache);
struct sim_entry *sim_cache_find(struct sim_cache *cache, u8 kind, u16 vmid, u16 asid, u64 va,
				 u8 min_shift);
struct sim_entry *sim_cache_find_atc(struct sim_cache *cache, u32 pasid, u64 va);
void sim_cache_add(struct sim_cache *cache, const struct sim_entry *entry);
void sim_cache_flush(struct sim_cache *cache);
void sim_config_flush(struct sim_instance *inst);
u32 sim_cache_command(struct sim_instance *inst, const u64 *cmd, u64 seq);
void sim_cache_sync(struct sim_instance *inst);

/* sim_oracle.c */
int sim_oracle_init(void);
void sim_oracle_exit(void);
void sim_oracle_reset(void);
u64 sim_oracle_log(struct sim_instance *inst, const u64 *cmd);
void sim_oracle_doomed(u64 seq, u32 doomed);
void sim_oracle_violation(struct sim_instance *inst, u32 rule, u64 seq, const u64 *data, u64 arg);
int sim_oracle_check(struct sim_instance *inst, const u64 *cmd, u64 seq);
void sim_oracle_pending(struct sim_instance *inst, const u64 *cmd, u64 seq);
void sim_oracle_new_context(struct sim_instance *inst, const struct sim_context *ctx);
int sim_oracle_audit(struct smmuv3_sim_stale *stale, u32 room, struct smmuv3_sim_audit *audit);
int sim_oracle_read_log(struct smmuv3_sim_log *log, struct smmuv3_sim_command *commands, u32 room);
u32 sim_oracle_read_violations(struct smmuv3_sim_violation *violations, u32 room);

#endif
