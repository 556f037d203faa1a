/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Interface of smmuv3_sim, an SMMUv3 with PCIe endpoints in software.
 *
 * /dev/smmuv3_sim can be open once. What was created through it goes when it is
 * closed. Numbers are little-endian like the CPU; bad input gives EINVAL, an
 * instance or endpoint that is not there ENODEV, a full table ENOSPC.
 */
#ifndef __SMMUV3_SIM_UAPI_H
#define __SMMUV3_SIM_UAPI_H

#include <linux/const.h>
#include <linux/ioctl.h>
#include <linux/types.h>

#define SMMUV3_SIM_MAX_INSTANCES	16
/* Of one instance; 64 in all */
#define SMMUV3_SIM_MAX_ENDPOINTS	16
#define SMMUV3_SIM_MAX_ALL_ENDPOINTS	64
/* TLB and configuration caches of one instance together, and one endpoint's ATC */
#define SMMUV3_SIM_MAX_ENTRIES		65536
/* The newest commands that the log holds */
#define SMMUV3_SIM_MAX_LOG		65536
/* The first broken rules that are kept */
#define SMMUV3_SIM_MAX_VIOLATIONS	256
/* Bytes of one DMA */
#define SMMUV3_SIM_MAX_DMA		65536

/**
 * enum smmuv3_sim_endpoint_flags - What an endpoint is
 * @SMMUV3_SIM_EP_ATS: it has an ATS capability (and an ATC)
 * @SMMUV3_SIM_EP_PASID: it has a PASID capability, 16 bits wide
 * @SMMUV3_SIM_EP_PRI: it has a PRI capability
 * @SMMUV3_SIM_EP_NO_CANWBS: firmware does not promise that its writes are coherent
 * @SMMUV3_SIM_EP_TWO_STREAMS: firmware gives it the next StreamID as well, as that
 *	of an alias; it does not use it
 * @SMMUV3_SIM_EP_STREAM_TWICE: firmware names its StreamID twice
 * @SMMUV3_SIM_EP_FLR: it has a function level reset, which clears all that can be
 *	written in its configuration space, and its ATC
 * @SMMUV3_SIM_EP_IDENTITY: its default domain is identity from the first probe on: it
 *	has the ID of a device for which the driver asks for that
 * @SMMUV3_SIM_EP_FUNCTION: it is the next function of the device that the endpoint
 *	before it is in, without ACS: they are one group
 * @SMMUV3_SIM_EP_ALIAS: it has the ID of a device that the kernel knows to use function
 *	0 as well, which it does not do here; and ACS: as SMMUV3_SIM_EP_FUNCTION it is in
 *	the group of function 0, and its PASID capability can be used. Function 0 needs
 *	SMMUV3_SIM_EP_ACS for that
 * @SMMUV3_SIM_EP_ACS: it has an ACS capability, and nothing to control
 * @SMMUV3_SIM_EP_BRIDGED: it is a conventional PCI device behind a conventional
 *	bridge, which is the only one of its SMMU: all behind it have the StreamID of the
 *	bridge, which firmware does not name itself. It has no BARs, ATS, PASID or PRI
 */
enum smmuv3_sim_endpoint_flags {
	SMMUV3_SIM_EP_ATS = 1 << 0,
	SMMUV3_SIM_EP_PASID = 1 << 1,
	SMMUV3_SIM_EP_PRI = 1 << 2,
	SMMUV3_SIM_EP_NO_CANWBS = 1 << 3,
	SMMUV3_SIM_EP_TWO_STREAMS = 1 << 4,
	SMMUV3_SIM_EP_STREAM_TWICE = 1 << 5,
	SMMUV3_SIM_EP_FLR = 1 << 6,
	SMMUV3_SIM_EP_IDENTITY = 1 << 7,
	SMMUV3_SIM_EP_FUNCTION = 1 << 8,
	SMMUV3_SIM_EP_BRIDGED = 1 << 9,
	SMMUV3_SIM_EP_ALIAS = 1 << 10,
	SMMUV3_SIM_EP_ACS = 1 << 11,
};

/**
 * enum smmuv3_sim_create_flags - What the ID registers do not say
 * @SMMUV3_SIM_NOT_COHERENT: firmware says that table walks do not snoop
 */
enum smmuv3_sim_create_flags {
	SMMUV3_SIM_NOT_COHERENT = 1 << 0,
};

/**
 * struct smmuv3_sim_create - SMMUV3_SIM_CREATE: add an SMMU with its endpoints
 * @idr0: IDR0 as the driver will read it; so for the others
 * @idr1: IDR1
 * @idr3: IDR3
 * @idr5: IDR5
 * @iidr: IIDR
 * @flags: enum smmuv3_sim_create_flags
 * @nr_endpoints: entries of @ep_flags and @out_sid
 * @sync_latency_us: how long every CMD_SYNC takes
 * @ep_flags: enum smmuv3_sim_endpoint_flags
 * @out_id: number of the instance
 * @out_segment: PCI segment of the endpoints
 * @out_bound: the driver has bound to it (or has refused it, then 0)
 * @reserved: 0
 * @out_sid: StreamIDs of the endpoints
 * @out_rid: bus (bits 15:8), device (7:3) and function of the endpoints
 *
 * An instance that the driver refused stays until it is removed, without
 * endpoints.
 */
struct smmuv3_sim_create {
	__u32 idr0;
	__u32 idr1;
	__u32 idr3;
	__u32 idr5;
	__u32 iidr;
	__u32 flags;
	__u32 nr_endpoints;
	__u32 sync_latency_us;
	__u32 ep_flags[SMMUV3_SIM_MAX_ENDPOINTS];
	__u32 out_id;
	__u32 out_segment;
	__u32 out_bound;
	__u32 reserved;
	__u32 out_sid[SMMUV3_SIM_MAX_ENDPOINTS];
	__u32 out_rid[SMMUV3_SIM_MAX_ENDPOINTS];
};

/**
 * enum smmuv3_sim_remove_flags - How to remove
 * @SMMUV3_SIM_REMOVE_SMMU_FIRST: the SMMU before its endpoints: hot unplug
 */
enum smmuv3_sim_remove_flags {
	SMMUV3_SIM_REMOVE_SMMU_FIRST = 1 << 0,
};

/**
 * struct smmuv3_sim_remove - SMMUV3_SIM_REMOVE: take an SMMU away
 * @id: the instance
 * @flags: enum smmuv3_sim_remove_flags
 *
 * Waits for whoever has an endpoint open.
 */
struct smmuv3_sim_remove {
	__u32 id;
	__u32 flags;
};

/**
 * enum smmuv3_sim_error - What goes wrong
 * @SMMUV3_SIM_ERROR_NONE: nothing, and what was planned is off
 * @SMMUV3_SIM_ERROR_ILL: a command with opcode @arg is illegal (CERROR_ILL)
 * @SMMUV3_SIM_ERROR_ABT: fetching a command with opcode @arg aborts (CERROR_ABT)
 * @SMMUV3_SIM_ERROR_ATC: endpoint @arg never answers CMD_ATC_INV
 *	(CERROR_ATC_INV_SYNC at the CMD_SYNC), and keeps the entries
 * @SMMUV3_SIM_ERROR_STEP: CONS moves one command per @arg microseconds
 * @SMMUV3_SIM_ERROR_LOSE: a command with opcode @arg does nothing and is not
 *	logged, as if the driver had forgotten it
 * @SMMUV3_SIM_ERROR_STOP: it consumes no command for @arg microseconds, 0: for ever,
 *	that is until the next plan; then it goes on where it was
 * @SMMUV3_SIM_ERROR_ATC_LATE: endpoint @arg takes @count microseconds to answer a
 *	CMD_ATC_INV; those that wait do so at the same time, and are answered when
 *	there is another plan
 */
enum smmuv3_sim_error {
	SMMUV3_SIM_ERROR_NONE,
	SMMUV3_SIM_ERROR_ILL,
	SMMUV3_SIM_ERROR_ABT,
	SMMUV3_SIM_ERROR_ATC,
	SMMUV3_SIM_ERROR_STEP,
	SMMUV3_SIM_ERROR_LOSE,
	SMMUV3_SIM_ERROR_STOP,
	SMMUV3_SIM_ERROR_ATC_LATE,
};

/**
 * struct smmuv3_sim_set - SMMUV3_SIM_SET: change how an instance behaves
 * @id: the instance
 * @sync_latency_us: from now on
 * @error: enum smmuv3_sim_error, the plan that replaces the one before
 * @arg: as @error says; opcode 0 means any but CMD_SYNC
 * @count: how often for ILL, ABT, ATC and LOSE; see ATC_LATE
 * @out_left: how often it has not happened yet, of the plan before
 */
struct smmuv3_sim_set {
	__u32 id;
	__u32 sync_latency_us;
	__u32 error;
	__u32 arg;
	__u32 count;
	__u32 out_left;
};

/**
 * struct smmuv3_sim_fault - What a device or a walk met
 * @event: event number (IHI0070 7.3) or 0 for none, enum smmuv3_sim_silent above that
 * @sid: StreamID
 * @ssid: SubstreamID, valid with SMMUV3_SIM_FAULT_SSV
 * @flags: enum smmuv3_sim_fault_flags
 * @level: level of the table entry that stopped the walk
 * @reserved: 0
 * @iova: input address
 * @ipa: intermediate address for a fault of stage 2
 */
struct smmuv3_sim_fault {
	__u32 event;
	__u32 sid;
	__u32 ssid;
	__u32 flags;
	__s32 level;
	__u32 reserved;
	__aligned_u64 iova;
	__aligned_u64 ipa;
};

/**
 * enum smmuv3_sim_fault_flags - Fields of an event record
 * @SMMUV3_SIM_FAULT_SSV: it has a SubstreamID
 * @SMMUV3_SIM_FAULT_S2: stage 2
 * @SMMUV3_SIM_FAULT_READ: the access was a read
 * @SMMUV3_SIM_FAULT_CLASS_CD: while a CD was fetched
 * @SMMUV3_SIM_FAULT_CLASS_TT: while a table of stage 1 was fetched
 */
enum smmuv3_sim_fault_flags {
	SMMUV3_SIM_FAULT_SSV = 1 << 0,
	SMMUV3_SIM_FAULT_S2 = 1 << 1,
	SMMUV3_SIM_FAULT_READ = 1 << 2,
	SMMUV3_SIM_FAULT_CLASS_CD = 1 << 3,
	SMMUV3_SIM_FAULT_CLASS_TT = 1 << 4,
};

/**
 * enum smmuv3_sim_silent - Faults without an event record
 * @SMMUV3_SIM_ABORT: the STE says abort, or the SMMU is off and GBPA does
 * @SMMUV3_SIM_BUS_ERROR: there is no memory at the output address
 * @SMMUV3_SIM_ATC_DENIES: the endpoint's own ATC does not let the access pass
 */
enum smmuv3_sim_silent {
	SMMUV3_SIM_ABORT = 0x100,
	SMMUV3_SIM_BUS_ERROR = 0x101,
	SMMUV3_SIM_ATC_DENIES = 0x102,
};

/**
 * enum smmuv3_sim_dma_flags - How an endpoint accesses memory
 * @SMMUV3_SIM_DMA_WRITE: write (else read)
 * @SMMUV3_SIM_DMA_PASID: with a PASID
 * @SMMUV3_SIM_DMA_PRIV: privileged
 * @SMMUV3_SIM_DMA_EXEC: instruction fetch
 * @SMMUV3_SIM_DMA_ATS: through the ATC: each page is looked up there, missing
 *	ones are requested from the SMMU and kept, the access goes out translated
 * @SMMUV3_SIM_DMA_ATS_ONLY: only look up and request, no access
 * @SMMUV3_SIM_DMA_ATC_ONLY: with DMA_ATS: only what the ATC already has
 * @SMMUV3_SIM_DMA_TRANSLATED: the address is already translated
 */
enum smmuv3_sim_dma_flags {
	SMMUV3_SIM_DMA_WRITE = 1 << 0,
	SMMUV3_SIM_DMA_PASID = 1 << 1,
	SMMUV3_SIM_DMA_PRIV = 1 << 2,
	SMMUV3_SIM_DMA_EXEC = 1 << 3,
	SMMUV3_SIM_DMA_ATS = 1 << 4,
	SMMUV3_SIM_DMA_ATS_ONLY = 1 << 5,
	SMMUV3_SIM_DMA_ATC_ONLY = 1 << 6,
	SMMUV3_SIM_DMA_TRANSLATED = 1 << 7,
};

/**
 * struct smmuv3_sim_dma - SMMUV3_SIM_DMA: an endpoint accesses memory
 * @id: the instance
 * @endpoint: number of the endpoint
 * @flags: enum smmuv3_sim_dma_flags
 * @pasid: PASID
 * @iova: address
 * @data: the program's buffer
 * @length: bytes
 * @out_done: bytes that went through
 * @out_pa: physical address of the first byte
 * @out_size: size of the translation that the first byte used, a power of two
 * @fault: what stopped it
 *
 * The same as a DMA that the registers of the endpoint start, but works without
 * a driver for the endpoint and tells more. Returns 0 also if there was a fault.
 */
struct smmuv3_sim_dma {
	__u32 id;
	__u32 endpoint;
	__u32 flags;
	__u32 pasid;
	__aligned_u64 iova;
	__aligned_u64 data;
	__u32 length;
	__u32 out_done;
	__aligned_u64 out_pa;
	__aligned_u64 out_size;
	struct smmuv3_sim_fault fault;
};

/**
 * struct smmuv3_sim_last_fault - SMMUV3_SIM_LAST_FAULT: of the last DMA of an endpoint
 * @id: the instance
 * @endpoint: number of the endpoint
 * @fault: what stopped it; event 0: nothing
 */
struct smmuv3_sim_last_fault {
	__u32 id;
	__u32 endpoint;
	struct smmuv3_sim_fault fault;
};

/**
 * enum smmuv3_sim_cache - Where something is cached
 * @SMMUV3_SIM_CACHE_STE: stream table entry
 * @SMMUV3_SIM_CACHE_CD: context descriptor
 * @SMMUV3_SIM_CACHE_S1: translation of stage 1, alone or with stage 2 (combined)
 * @SMMUV3_SIM_CACHE_S2: translation of stage 2
 * @SMMUV3_SIM_CACHE_S1_TABLE: table entry of stage 1
 * @SMMUV3_SIM_CACHE_S2_TABLE: table entry of stage 2
 * @SMMUV3_SIM_CACHE_ATC: translation in an endpoint
 * @SMMUV3_SIM_NR_CACHES: how many kinds there are
 */
enum smmuv3_sim_cache {
	SMMUV3_SIM_CACHE_STE,
	SMMUV3_SIM_CACHE_CD,
	SMMUV3_SIM_CACHE_S1,
	SMMUV3_SIM_CACHE_S2,
	SMMUV3_SIM_CACHE_S1_TABLE,
	SMMUV3_SIM_CACHE_S2_TABLE,
	SMMUV3_SIM_CACHE_ATC,
	SMMUV3_SIM_NR_CACHES,
};

/**
 * enum smmuv3_sim_why - What is wrong with a cached entry
 * @SMMUV3_SIM_WHY_UNMAPPED: the tables do not translate the address any more
 * @SMMUV3_SIM_WHY_MOVED: they translate it to something else
 * @SMMUV3_SIM_WHY_PERMISSION: they allow less
 * @SMMUV3_SIM_WHY_CHANGED: the STE, CD or table entry in memory is another one
 * @SMMUV3_SIM_WHY_UNUSED: no STE or CD uses its ASID or VMID; the id is not clean
 * @SMMUV3_SIM_WHY_ATS_OFF: the STE does not allow ATS any more
 */
enum smmuv3_sim_why {
	SMMUV3_SIM_WHY_UNMAPPED = 1,
	SMMUV3_SIM_WHY_MOVED,
	SMMUV3_SIM_WHY_PERMISSION,
	SMMUV3_SIM_WHY_CHANGED,
	SMMUV3_SIM_WHY_UNUSED,
	SMMUV3_SIM_WHY_ATS_OFF,
};

/**
 * struct smmuv3_sim_stale - A cached entry that should not be there
 * @cache: enum smmuv3_sim_cache
 * @why: enum smmuv3_sim_why
 * @id: the instance
 * @sid: the stream that brought it in
 * @ssid: its SubstreamID or PASID; all ones: none
 * @owed: opcode of the command that was owed
 * @asid: tag
 * @vmid: tag
 * @address: input address
 * @size: of the translation
 * @pa: what it translates to
 * @now: what it should translate to, if to anything
 * @doomed_seq: number in the log of the command that dooms it, if it waits only
 *	for a CMD_SYNC
 */
struct smmuv3_sim_stale {
	__u32 cache;
	__u32 why;
	__u32 id;
	__u32 sid;
	__u32 ssid;
	__u32 owed;
	__u32 asid;
	__u32 vmid;
	__aligned_u64 address;
	__aligned_u64 size;
	__aligned_u64 pa;
	__aligned_u64 now;
	__aligned_u64 doomed_seq;
};

/**
 * struct smmuv3_sim_audit - SMMUV3_SIM_AUDIT: compare all caches with the tables
 * @stale: array for what disagrees
 * @nr: in: entries of @stale; out: how many disagree, may be more
 * @out_checked: how many were looked at
 * @out_dropped: how many were not cached since the instance is full; not 0 means
 *	that the audit has not seen everything
 * @reserved: 0
 */
struct smmuv3_sim_audit {
	__aligned_u64 stale;
	__u32 nr;
	__u32 out_checked;
	__u32 out_dropped;
	__u32 reserved;
};

/**
 * struct smmuv3_sim_command - A command that was consumed
 * @seq: number, across all instances
 * @data: the command
 * @id: the instance
 * @doomed: how many cached entries it dooms
 */
struct smmuv3_sim_command {
	__aligned_u64 seq;
	__aligned_u64 data[2];
	__u32 id;
	__u32 doomed;
};

/**
 * struct smmuv3_sim_log - SMMUV3_SIM_LOG: the commands from a number on
 * @commands: array
 * @from: number of the first command that is wanted
 * @nr: in: entries of @commands; out: how many were written
 * @reserved: 0
 * @out_next: number that the next command will get
 *
 * EOVERFLOW: the log does not hold @from any more.
 */
struct smmuv3_sim_log {
	__aligned_u64 commands;
	__aligned_u64 from;
	__u32 nr;
	__u32 reserved;
	__aligned_u64 out_next;
};

/**
 * enum smmuv3_sim_rule - What a driver must not do
 * @SMMUV3_SIM_RULE_ATC_ORDER: CMD_ATC_INV before the CMD_SYNC of a TLB
 *	invalidation for the VMID of the same stream
 * @SMMUV3_SIM_RULE_DEAD: a command is posted to an SMMU that is being removed and has
 *	no endpoint any more, or whose command queue is off
 * @SMMUV3_SIM_RULE_DETACHED: CMD_ATC_INV to an endpoint after SMMUV3_SIM_DETACHED,
 *	or within 90 ms of a function level reset
 * @SMMUV3_SIM_RULE_REUSE: an ASID or VMID has got another table while the TLB
 *	holds entries of the one before
 * @SMMUV3_SIM_RULE_SHARED: an ASID or VMID has two tables at the same time
 *	(found by SMMUV3_SIM_AUDIT)
 * @SMMUV3_SIM_RULE_ENCODING: a reserved or unusable encoding
 * @SMMUV3_SIM_RULE_ILLEGAL: a command that the instance answers with CERROR_ILL
 */
enum smmuv3_sim_rule {
	SMMUV3_SIM_RULE_ATC_ORDER = 1,
	SMMUV3_SIM_RULE_DEAD,
	SMMUV3_SIM_RULE_DETACHED,
	SMMUV3_SIM_RULE_REUSE,
	SMMUV3_SIM_RULE_SHARED,
	SMMUV3_SIM_RULE_ENCODING,
	SMMUV3_SIM_RULE_ILLEGAL,
};

/**
 * struct smmuv3_sim_violation - A broken rule
 * @rule: enum smmuv3_sim_rule
 * @id: the instance
 * @seq: number of the command, or of the next one if no command is to blame
 * @data: the command; for REUSE and SHARED: VMID and ASID (bits 31:16), new table
 * @arg: ATC_ORDER: number of the invalidation that waits; REUSE, SHARED: the other
 *	table; ENCODING: number of the check, see sim_oracle.c
 */
struct smmuv3_sim_violation {
	__u32 rule;
	__u32 id;
	__aligned_u64 seq;
	__aligned_u64 data[2];
	__aligned_u64 arg;
};

/**
 * struct smmuv3_sim_violations - SMMUV3_SIM_VIOLATIONS: read and forget them
 * @violations: array
 * @nr: in: entries of the array; out: how many there were, may be more
 * @reserved: 0
 */
struct smmuv3_sim_violations {
	__aligned_u64 violations;
	__u32 nr;
	__u32 reserved;
};

/**
 * enum smmuv3_sim_raw_flags - How to execute a raw command
 * @SMMUV3_SIM_RAW_REMOVING: as if the instance were being removed, endpoints first
 */
enum smmuv3_sim_raw_flags {
	SMMUV3_SIM_RAW_REMOVING = 1 << 0,
};

/**
 * struct smmuv3_sim_raw - SMMUV3_SIM_RAW: a command that no driver has sent
 * @data: the command
 * @id: the instance
 * @flags: enum smmuv3_sim_raw_flags
 * @out_cerror: error code of the command queue
 * @reserved: 0
 */
struct smmuv3_sim_raw {
	__aligned_u64 data[2];
	__u32 id;
	__u32 flags;
	__u32 out_cerror;
	__u32 reserved;
};

/**
 * struct smmuv3_sim_endpoint - SMMUV3_SIM_DETACHED, SMMUV3_SIM_ATTACHING,
 *	SMMUV3_SIM_SVA_UNBIND and SMMUV3_SIM_SVA_BIND
 * @id: the instance
 * @endpoint: number of the endpoint
 * @pasid: the PASID; BIND writes it
 * @reserved: 0
 *
 * DETACHED says that a detach of the endpoint has returned. From then on, and until
 * its STE changes or ATTACHING says that an attach begins, nothing may send it a
 * CMD_ATC_INV.
 * SVA_BIND gives the calling process' address space to the endpoint.
 */
struct smmuv3_sim_endpoint {
	__u32 id;
	__u32 endpoint;
	__u32 pasid;
	__u32 reserved;
};

/**
 * struct smmuv3_sim_presence - SMMUV3_SIM_PRESENCE: pull an endpoint out, or plug it in
 * @id: the instance
 * @endpoint: number of the endpoint
 * @present: 0: its configuration space reads as all ones, it does no DMA and answers
 *	no CMD_ATC_INV; 1: it is there again, as after a reset
 * @reserved: 0
 *
 * The kernel is not told.
 */
struct smmuv3_sim_presence {
	__u32 id;
	__u32 endpoint;
	__u32 present;
	__u32 reserved;
};

/**
 * struct smmuv3_sim_stats - SMMUV3_SIM_STATS: what an instance holds and has done
 * @id: the instance
 * @reserved: 0
 * @cached: entries now, by enum smmuv3_sim_cache
 * @commands: commands consumed
 * @syncs: of these, CMD_SYNC
 * @events: records written to the event queue
 * @dropped: entries not cached since the instance is full
 */
struct smmuv3_sim_stats {
	__u32 id;
	__u32 reserved;
	__u32 cached[SMMUV3_SIM_NR_CACHES];
	__u32 dropped;
	__aligned_u64 commands;
	__aligned_u64 syncs;
	__aligned_u64 events;
};

/**
 * struct smmuv3_sim_page_request - SMMUV3_SIM_PAGE_REQUEST: an endpoint asks for a page
 * @id: the instance
 * @endpoint: number of the endpoint
 * @pasid: PASID, with SMMUV3_SIM_DMA_PASID
 * @flags: SMMUV3_SIM_DMA_PASID, SMMUV3_SIM_DMA_WRITE
 * @iova: address
 * @group: page request group, last of it
 * @out_response: how CMD_PRI_RESP has answered the request before this one, all
 *	ones: not at all
 */
struct smmuv3_sim_page_request {
	__u32 id;
	__u32 endpoint;
	__u32 pasid;
	__u32 flags;
	__aligned_u64 iova;
	__u32 group;
	__u32 out_response;
};

/**
 * enum smmuv3_sim_poke_flags - What to change
 * @SMMUV3_SIM_POKE_CD: a CD that is not behind stage 2 (else the STE)
 */
enum smmuv3_sim_poke_flags {
	SMMUV3_SIM_POKE_CD = 1 << 0,
};

/**
 * struct smmuv3_sim_poke - SMMUV3_SIM_POKE: change what the driver has written
 * @id: the instance
 * @endpoint: number of the endpoint
 * @flags: enum smmuv3_sim_poke_flags
 * @ssid: SubstreamID of the CD
 * @word: number of the word of 64 bits, below 8
 * @reserved: 0
 * @mask: the bits to change
 * @value: what to change them to
 * @out_old: the word as it was
 *
 * In memory only, as the driver would do it: commands are the caller's affair. Whoever
 * does this has to change it back before the driver uses it again.
 */
struct smmuv3_sim_poke {
	__u32 id;
	__u32 endpoint;
	__u32 flags;
	__u32 ssid;
	__u32 word;
	__u32 reserved;
	__aligned_u64 mask;
	__aligned_u64 value;
	__aligned_u64 out_old;
};

/**
 * enum smmuv3_sim_page_blocks - What write faults of the page do
 * @SMMUV3_SIM_PAGE_GOES_ON: they do not wait, and those that wait go on
 * @SMMUV3_SIM_PAGE_BLOCKS: they wait
 * @SMMUV3_SIM_PAGE_AS_IT_IS: no change
 */
enum smmuv3_sim_page_blocks {
	SMMUV3_SIM_PAGE_GOES_ON,
	SMMUV3_SIM_PAGE_BLOCKS,
	SMMUV3_SIM_PAGE_AS_IT_IS,
};

/**
 * struct smmuv3_sim_page - SMMUV3_SIM_PAGE
 * @blocks: enum smmuv3_sim_page_blocks
 * @out_waiting: how many are waiting
 *
 * The page is what an mmap() of one page of the device gives, shared. It is there to be
 * read at once; the first write after the mmap() or a MADV_DONTNEED is a write fault.
 * That stands for memory of userfaultfd or FUSE.
 */
struct smmuv3_sim_page {
	__u32 blocks;
	__u32 out_waiting;
};

#define SMMUV3_SIM_IOC		0xE7
#define SMMUV3_SIM_CREATE	_IOWR(SMMUV3_SIM_IOC, 0, struct smmuv3_sim_create)
#define SMMUV3_SIM_REMOVE	_IOW(SMMUV3_SIM_IOC, 1, struct smmuv3_sim_remove)
#define SMMUV3_SIM_SET		_IOWR(SMMUV3_SIM_IOC, 2, struct smmuv3_sim_set)
#define SMMUV3_SIM_DMA		_IOWR(SMMUV3_SIM_IOC, 3, struct smmuv3_sim_dma)
#define SMMUV3_SIM_LAST_FAULT	_IOWR(SMMUV3_SIM_IOC, 4, struct smmuv3_sim_last_fault)
#define SMMUV3_SIM_AUDIT	_IOWR(SMMUV3_SIM_IOC, 5, struct smmuv3_sim_audit)
#define SMMUV3_SIM_LOG		_IOWR(SMMUV3_SIM_IOC, 6, struct smmuv3_sim_log)
#define SMMUV3_SIM_VIOLATIONS	_IOWR(SMMUV3_SIM_IOC, 7, struct smmuv3_sim_violations)
#define SMMUV3_SIM_RAW		_IOWR(SMMUV3_SIM_IOC, 8, struct smmuv3_sim_raw)
#define SMMUV3_SIM_DETACHED	_IOW(SMMUV3_SIM_IOC, 9, struct smmuv3_sim_endpoint)
#define SMMUV3_SIM_SVA_BIND	_IOWR(SMMUV3_SIM_IOC, 10, struct smmuv3_sim_endpoint)
#define SMMUV3_SIM_SVA_UNBIND	_IOW(SMMUV3_SIM_IOC, 11, struct smmuv3_sim_endpoint)
#define SMMUV3_SIM_STATS	_IOWR(SMMUV3_SIM_IOC, 12, struct smmuv3_sim_stats)
#define SMMUV3_SIM_PAGE_REQUEST	_IOWR(SMMUV3_SIM_IOC, 13, struct smmuv3_sim_page_request)
#define SMMUV3_SIM_POKE		_IOWR(SMMUV3_SIM_IOC, 14, struct smmuv3_sim_poke)
#define SMMUV3_SIM_ATTACHING	_IOW(SMMUV3_SIM_IOC, 15, struct smmuv3_sim_endpoint)
#define SMMUV3_SIM_PRESENCE	_IOW(SMMUV3_SIM_IOC, 16, struct smmuv3_sim_presence)
#define SMMUV3_SIM_NOTIFIER	_IO(SMMUV3_SIM_IOC, 17)
#define SMMUV3_SIM_PAGE		_IOWR(SMMUV3_SIM_IOC, 30, struct smmuv3_sim_page)

/*
 * SMMUV3_SIM_NOTIFIER: register an MMU notifier for the calling process that does
 * nothing, and unregister it, as KVM does when a VM ends. How long that takes is the
 * caller's to measure.
 */

/* Registers of an endpoint, BAR 0 of Arm's PCIe Exerciser; BAR 1 is its data */
#define EXERCISER_VENDOR	0x13b5
#define EXERCISER_DEVICE	0xed01
#define EXERCISER_DMA_CTL	0x08
#define  EXERCISER_DMA_TRIGGER		0xf
#define  EXERCISER_DMA_WRITE		_BITUL(4)
#define  EXERCISER_DMA_PASID		_BITUL(6)
#define  EXERCISER_DMA_PRIV		_BITUL(7)
#define  EXERCISER_DMA_INST		_BITUL(8)
#define  EXERCISER_DMA_ATC		_BITUL(9)
#define  EXERCISER_DMA_TYPE		(3 << 10)
#define  EXERCISER_DMA_TRANSLATED	(2 << 10)
#define EXERCISER_DMA_OFFSET	0x0c
#define EXERCISER_BUS_ADDR	0x10
#define EXERCISER_DMA_LEN	0x18
#define EXERCISER_DMA_STATUS	0x1c
#define  EXERCISER_STATUS_BOUNDS	1
#define  EXERCISER_STATUS_ERROR		2
#define EXERCISER_PASID		0x20
#define EXERCISER_ATS_CTL	0x24
#define  EXERCISER_ATS_TRIGGER		_BITUL(0)
#define  EXERCISER_ATS_PRIV		_BITUL(1)
#define  EXERCISER_ATS_NO_WRITE		_BITUL(2)
#define  EXERCISER_ATS_PASID		_BITUL(3)
#define  EXERCISER_ATS_EXEC		_BITUL(4)
#define  EXERCISER_ATS_CLEAR		_BITUL(5)
#define  EXERCISER_ATS_SUCCESS		_BITUL(7)
#define  EXERCISER_ATS_CACHEABLE	_BITUL(8)
#define  EXERCISER_ATS_INVALIDATED	_BITUL(9)
#define EXERCISER_ATS_ADDR	0x28
#define EXERCISER_ATS_RANGE	0x30
#define EXERCISER_ATS_PERM	0x38
#define  EXERCISER_PERM_EXEC		_BITUL(0)
#define  EXERCISER_PERM_WRITE		_BITUL(1)
#define  EXERCISER_PERM_READ		_BITUL(2)
#define EXERCISER_BAR0_SIZE	0x1000
#define EXERCISER_BAR1_SIZE	0x4000

#endif
