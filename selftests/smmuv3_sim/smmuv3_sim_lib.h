/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests need to use smmuv3_sim: load it, make SMMUs, let endpoints do DMA, ask
 * the oracle; and VFIO for the endpoints. Functions return 0 or -errno.
 */
#ifndef __SMMUV3_SIM_LIB_H
#define __SMMUV3_SIM_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/const.h>
#include <linux/types.h>

#include "smmuv3_sim_uapi.h"

/* Registers (IHI0070 6.3), the fields that tests change */
#define SIM_IDR0_S2P		_BITUL(0)
#define SIM_IDR0_S1P		_BITUL(1)
#define SIM_IDR0_TTF_AARCH64	(2U << 2)
#define SIM_IDR0_COHACC		_BITUL(4)
#define SIM_IDR0_HTTU_AF	_BITUL(6)
#define SIM_IDR0_HTTU_DIRTY	(2U << 6)
#define SIM_IDR0_ATS		_BITUL(10)
#define SIM_IDR0_ASID16		_BITUL(12)
#define SIM_IDR0_MSI		_BITUL(13)
#define SIM_IDR0_SEV		_BITUL(14)
#define SIM_IDR0_PRI		_BITUL(16)
#define SIM_IDR0_VMID16		_BITUL(18)
#define SIM_IDR0_CD2L		_BITUL(19)
#define SIM_IDR0_TTENDIAN_LE	(2U << 21)
#define SIM_IDR0_STALL_NONE	_BITUL(24)
#define SIM_IDR0_ST_2LVL	_BITUL(27)
#define SIM_IDR1(cmdqs, evtqs, priqs, ssid, sid) \
	((cmdqs) << 21 | (evtqs) << 16 | (priqs) << 11 | (ssid) << 6 | (sid))
#define SIM_IDR3_FWB		_BITUL(8)
#define SIM_IDR3_RIL		_BITUL(10)
#define SIM_IDR3_BBML2		(2U << 11)
#define SIM_IDR5_OAS40		2U
#define SIM_IDR5_OAS44		4U
#define SIM_IDR5_OAS48		5U
#define SIM_IDR5_OAS52		6U
#define SIM_IDR5_OAS		7U
#define SIM_IDR5_GRAN4K		_BITUL(4)
#define SIM_IDR5_GRAN16K	_BITUL(5)
#define SIM_IDR5_GRAN64K	_BITUL(6)

#define SIM_NO_PASID		0xffffffffU

/* Events */
#define C_BAD_SUBSTREAMID	0x08
#define C_BAD_CD		0x0a

/**
 * struct sim_smmu - An SMMU with its endpoints
 * @fd: the simulator
 * @cfg: as it was created
 * @bdf: names of the endpoints
 */
struct sim_smmu {
	int fd;
	struct smmuv3_sim_create cfg;
	char bdf[SMMUV3_SIM_MAX_ENDPOINTS][16];
};

/**
 * struct sim_dev - An endpoint
 * @smmu: its SMMU
 * @endpoint: its number there
 * @vfio: file of the VFIO device, -1 if it is not open
 * @id: device in the iommufd
 * @regs: BAR 0, mapped
 * @data: BAR 1, mapped
 */
struct sim_dev {
	struct sim_smmu *smmu;
	__u32 endpoint;
	int vfio;
	__u32 id;
	volatile void *regs;
	volatile void *data;
};

/**
 * sim_no_pasid_event() - What the DMA with a PASID gets that nobody has attached
 * @dev: an endpoint that the kernel drives, with no PASID attached
 *
 * With iommu.passthrough=1 its STE has no stage 1 then, and a SubstreamID without stage 1
 * is C_BAD_SUBSTREAMID (IHI0070 5.2, STE.S1Fmt). Else there is a CD table, and its entry is
 * not valid.
 *
 * Return: C_BAD_SUBSTREAMID or C_BAD_CD.
 */
int sim_no_pasid_event(const struct sim_dev *dev);

/**
 * sim_page() - Decide about the page whose write faults can be made to wait
 * @fd: the simulator
 * @blocks: enum smmuv3_sim_page_blocks
 *
 * Return: how many are waiting, or -errno.
 */
int sim_page(int fd, __u32 blocks);

/**
 * sim_open() - Load the module, keep off its CPU, open it
 *
 * Return: file descriptor; -ENOENT: there is no module; -ENODEV: no ivshmem device.
 */
int sim_open(void);

/**
 * sim_close() - Close the simulator and unload the module
 * @fd: from sim_open()
 *
 * Return: 0 or -errno.
 */
int sim_close(int fd);

/**
 * sim_default() - The SMMU that tests use if they do not care
 *
 * Return: all features on, one endpoint with ATS, PASID and PRI.
 */
struct smmuv3_sim_create sim_default(void);

/**
 * sim_sva() - The same as sim_default(), and what the driver wants for SVA
 *
 * The CPUs have 52 bits of physical addresses and set access flags in table entries
 * (HAFT: HTTU is 3), so the SMMU has to.
 *
 * Return: all features on, one endpoint with ATS, PASID and PRI.
 */
struct smmuv3_sim_create sim_sva(void);

/**
 * sim_create() - Add an SMMU
 * @fd: the simulator
 * @cfg: what it is like
 * @smmu: filled
 *
 * Return: 0 or -errno; see also @smmu->cfg.out_bound.
 */
int sim_create(int fd, const struct smmuv3_sim_create *cfg, struct sim_smmu *smmu);

/**
 * sim_remove() - Take an SMMU away
 * @smmu: the SMMU
 * @flags: enum smmuv3_sim_remove_flags
 *
 * Return: 0 or -errno.
 */
int sim_remove(struct sim_smmu *smmu, __u32 flags);

/**
 * sim_dma() - Let an endpoint access memory
 * @dev: the endpoint
 * @flags: enum smmuv3_sim_dma_flags without DMA_PASID
 * @pasid: PASID or SIM_NO_PASID
 * @iova: address
 * @data: bytes to write, or where to put what was read
 * @length: bytes
 * @dma: all that came of it; may be NULL
 *
 * Return: event number of the fault, 0 if there was none, or -errno.
 */
int sim_dma(struct sim_dev *dev, __u32 flags, __u32 pasid, __u64 iova, void *data,
	    __u32 length, struct smmuv3_sim_dma *dma);

/**
 * sim_set() - Change how an SMMU behaves
 * @smmu: the SMMU
 * @latency_us: of a CMD_SYNC
 * @error: enum smmuv3_sim_error
 * @arg: see there
 * @count: see there
 *
 * Return: how often the error before had not happened yet, or -errno.
 */
int sim_set(struct sim_smmu *smmu, __u32 latency_us, __u32 error, __u32 arg, __u32 count);

/**
 * sim_audit() - Look for cached entries that should not be there
 * @fd: the simulator
 * @stale: filled with the first one; may be NULL
 * @checked: how many entries were looked at; may be NULL
 *
 * Return: how many are stale, or -errno. -ENOSPC: something could not be cached.
 */
int sim_audit(int fd, struct smmuv3_sim_stale *stale, __u32 *checked);

/**
 * sim_audit_find() - Look for a certain stale entry
 * @fd: the simulator
 * @cache: enum smmuv3_sim_cache
 * @why: enum smmuv3_sim_why
 * @owed: opcode of the command that was owed
 *
 * Return: whether there is one.
 */
bool sim_audit_find(int fd, __u32 cache, __u32 why, __u32 owed);

/**
 * sim_violation() - Read the broken rules and forget them
 * @fd: the simulator
 * @violation: filled with the first one; may be NULL
 *
 * Return: how many there were, or -errno.
 */
int sim_violation(int fd, struct smmuv3_sim_violation *violation);

/**
 * sim_log_mark() - Number of the next command
 * @fd: the simulator
 *
 * Return: the number.
 */
__u64 sim_log_mark(int fd);

/**
 * sim_log_read() - Read commands
 * @fd: the simulator
 * @from: number of the first one
 * @commands: array
 * @nr: entries of @commands
 *
 * Return: how many were read, or -errno.
 */
int sim_log_read(int fd, __u64 from, struct smmuv3_sim_command *commands, __u32 nr);

/**
 * sim_raw() - Have an SMMU execute a command that no driver has sent
 * @smmu: the SMMU
 * @cmd0: first word
 * @cmd1: second word
 *
 * Return: error code of the command queue (CERROR), 0 if none, or -errno.
 */
int sim_raw(struct sim_smmu *smmu, __u64 cmd0, __u64 cmd1);

/**
 * sim_poke() - Change bits of an STE or CD in memory
 * @dev: the endpoint
 * @flags: enum smmuv3_sim_poke_flags
 * @ssid: SubstreamID of the CD
 * @word: number of the word
 * @mask: which bits
 * @value: to what
 * @old: filled with the word as it was; may be NULL
 *
 * Return: 0 or -errno.
 */
int sim_poke(struct sim_dev *dev, __u32 flags, __u32 ssid, __u32 word, __u64 mask, __u64 value,
	     __u64 *old);

/**
 * sim_stats() - What an SMMU holds
 * @smmu: the SMMU
 * @stats: filled
 *
 * Return: 0 or -errno.
 */
int sim_stats(struct sim_smmu *smmu, struct smmuv3_sim_stats *stats);

/**
 * sim_stale_str() - Say what is wrong with an entry
 * @stale: the entry
 *
 * Return: text in a buffer that the next call uses again.
 */
const char *sim_stale_str(const struct smmuv3_sim_stale *stale);

/**
 * sim_last_commands_str() - The last commands of all SMMUs
 * @fd: the simulator
 *
 * Return: text in a buffer that the next call uses again: " | number SMMU: command"
 * for each of them.
 */
const char *sim_last_commands_str(int fd);

/**
 * sim_violation_str() - Say which rule was broken
 * @violation: by what
 *
 * Return: text in a buffer that the next call uses again.
 */
const char *sim_violation_str(const struct smmuv3_sim_violation *violation);

/**
 * sim_vfio_open() - Bind an endpoint to vfio-pci and an iommufd
 * @smmu: its SMMU
 * @endpoint: its number there
 * @iommufd: the iommufd
 * @dev: filled
 *
 * Return: 0 or -errno.
 */
int sim_vfio_open(struct sim_smmu *smmu, __u32 endpoint, int iommufd, struct sim_dev *dev);

/**
 * sim_vfio_close() - Let go of an endpoint
 * @dev: from sim_vfio_open(), or all zero with @vfio -1
 */
void sim_vfio_close(struct sim_dev *dev);

/**
 * sim_vfio_attach() - Tell the oracle, and attach an endpoint
 * @dev: the endpoint
 * @pasid: PASID or SIM_NO_PASID
 * @pt_id: IOAS or HWPT
 *
 * Return: 0 or -errno.
 */
int sim_vfio_attach(struct sim_dev *dev, __u32 pasid, __u32 pt_id);

/**
 * sim_vfio_detach() - Detach an endpoint, and tell the oracle
 * @dev: the endpoint
 * @pasid: PASID or SIM_NO_PASID; only without one the oracle is told
 *
 * Return: 0 or -errno.
 */
int sim_vfio_detach(struct sim_dev *dev, __u32 pasid);

/**
 * sim_presence() - Pull an endpoint out, or plug it in again
 * @smmu: its SMMU
 * @endpoint: its number there
 * @present: it is there
 *
 * Return: 0 or -errno.
 */
int sim_presence(struct sim_smmu *smmu, __u32 endpoint, bool present);

/**
 * sim_vfio_reset() - VFIO_DEVICE_RESET
 * @dev: the endpoint, open, with SMMUV3_SIM_EP_FLR
 *
 * Return: 0 or -errno.
 */
int sim_vfio_reset(struct sim_dev *dev);

/**
 * sim_endpoint_write() - Write to a file of an endpoint in sysfs
 * @smmu: its SMMU
 * @endpoint: its number there
 * @file: the file, "remove", "reset" or "iommu_group/type" for example
 * @text: what to write
 *
 * Return: 0 or -errno.
 */
int sim_endpoint_write(struct sim_smmu *smmu, __u32 endpoint, const char *file, const char *text);

/**
 * sim_endpoint_read() - Read the first line of a file of an endpoint in sysfs
 * @smmu: its SMMU
 * @endpoint: its number there
 * @file: the file
 * @text: filled, without the end of the line
 * @size: of @text
 *
 * Return: 0 or -errno.
 */
int sim_endpoint_read(struct sim_smmu *smmu, __u32 endpoint, const char *file, char *text,
		      size_t size);

/**
 * sim_rescan() - Look for endpoints that the kernel does not know
 * @smmu: their SMMU
 *
 * Return: 0 or -errno.
 */
int sim_rescan(struct sim_smmu *smmu);

/**
 * sim_sva_bind() - Give an endpoint the address space of the calling process
 * @dev: the endpoint, not open
 * @pasid: where it is from now on
 *
 * Return: 0 or -errno.
 */
int sim_sva_bind(struct sim_dev *dev, __u32 *pasid);

/**
 * sim_sva_unbind() - Take it away again
 * @dev: the endpoint
 * @pasid: from sim_sva_bind()
 *
 * Return: 0 or -errno.
 */
int sim_sva_unbind(struct sim_dev *dev, __u32 pasid);

/**
 * sim_fail_setup() - Set fault injection up
 *
 * Any allocation may fail, also one that may sleep, and without a word in the log.
 *
 * Return: false if the kernel has none.
 */
bool sim_fail_setup(void);

/**
 * sim_fail_nth() - Have an allocation of the calling thread fail
 * @nth: which one from now on, the first is 1
 *
 * Return: 0 or -errno.
 */
int sim_fail_nth(unsigned int nth);

/**
 * sim_fail_end() - Have no more fail
 *
 * Return: whether one has failed.
 */
bool sim_fail_end(void);

/**
 * sim_exerciser_dma() - DMA by the registers of the endpoint
 * @dev: the endpoint, open
 * @ctl: EXERCISER_DMA_* without the trigger
 * @pasid: PASID, if @ctl says so
 * @iova: address
 * @data: bytes
 * @length: how many
 *
 * Return: value of the status register, or -ETIMEDOUT.
 */
int sim_exerciser_dma(struct sim_dev *dev, __u32 ctl, __u32 pasid, __u64 iova, void *data,
		      __u32 length);

/**
 * sim_exerciser_ats() - Translation request by the registers of the endpoint
 * @dev: the endpoint, open
 * @ctl: EXERCISER_ATS_* without the trigger
 * @pasid: PASID, if @ctl says so
 * @iova: address
 *
 * Return: value of the control register afterwards, or -ETIMEDOUT.
 */
int sim_exerciser_ats(struct sim_dev *dev, __u32 ctl, __u32 pasid, __u64 iova);

#endif
