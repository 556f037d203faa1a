// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "pci_guard.h"
#include "smmuv3_guest.h"
#include "smmuv3_sim_lib.h"

#define MODULE_NAME	"smmuv3_sim"
#define MODULE_FILE	"test_modules/smmuv3_sim.ko"
#define DEVICE		"/dev/smmuv3_sim"
#define WAIT_MS		2000

static int sim_errno(int ret)
{
	return ret < 0 ? -errno : ret;
}

static void sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

static int load_module(void)
{
	int fd = open(MODULE_FILE, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = sim_errno(syscall(SYS_finit_module, fd, "", 0));
	close(fd);
	return ret == -EEXIST ? 0 : ret;
}

/* The last CPU is the hardware; who waits for it must not wait there */
static int leave_hardware_cpu(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;
	long cpu;

	CPU_ZERO(&set);
	for (cpu = 0; cpu < cpus - 1; cpu++)
		CPU_SET(cpu, &set);
	return sim_errno(sched_setaffinity(0, sizeof(set), &set));
}

int sim_open(void)
{
	int ret, fd, ms;

	ret = leave_hardware_cpu();
	if (ret)
		return ret;
	ret = load_module();
	if (ret)
		return ret;
	for (ms = 0; ms < WAIT_MS; ms++) {
		fd = open(DEVICE, O_RDWR | O_CLOEXEC);
		if (fd >= 0 || errno != ENOENT)
			break;
		sleep_ms(1);
	}
	return sim_errno(fd);
}

int sim_close(int fd)
{
	close(fd);
	return sim_errno(syscall(SYS_delete_module, MODULE_NAME, 0));
}

struct smmuv3_sim_create sim_default(void)
{
	return (struct smmuv3_sim_create){
		.idr0 = SIM_IDR0_S2P | SIM_IDR0_S1P | SIM_IDR0_TTF_AARCH64 | SIM_IDR0_COHACC |
			SIM_IDR0_HTTU_DIRTY | SIM_IDR0_ATS | SIM_IDR0_ASID16 | SIM_IDR0_MSI |
			SIM_IDR0_PRI | SIM_IDR0_VMID16 | SIM_IDR0_CD2L | SIM_IDR0_TTENDIAN_LE |
			SIM_IDR0_STALL_NONE | SIM_IDR0_ST_2LVL,
		.idr1 = SIM_IDR1(8, 7, 7, 10, 16),
		.idr3 = SIM_IDR3_FWB | SIM_IDR3_RIL | SIM_IDR3_BBML2,
		.idr5 = SIM_IDR5_OAS44 | SIM_IDR5_GRAN4K | SIM_IDR5_GRAN16K | SIM_IDR5_GRAN64K,
		.nr_endpoints = 1,
		.ep_flags = { SMMUV3_SIM_EP_ATS | SMMUV3_SIM_EP_PASID | SMMUV3_SIM_EP_PRI },
	};
}

struct smmuv3_sim_create sim_sva(void)
{
	struct smmuv3_sim_create cfg = sim_default();

	cfg.idr0 |= SIM_IDR0_HTTU_AF | SIM_IDR0_HTTU_DIRTY;
	cfg.idr5 = (cfg.idr5 & ~SIM_IDR5_OAS) | SIM_IDR5_OAS52;
	return cfg;
}

int sim_create(int fd, const struct smmuv3_sim_create *cfg, struct sim_smmu *smmu)
{
	__u32 i;

	smmu->fd = fd;
	smmu->cfg = *cfg;
	if (ioctl(fd, SMMUV3_SIM_CREATE, &smmu->cfg))
		return -errno;
	for (i = 0; i < cfg->nr_endpoints; i++)
		snprintf(smmu->bdf[i], sizeof(smmu->bdf[i]), "%04x:%02x:%02x.%x",
			 smmu->cfg.out_segment & 0xffff, smmu->cfg.out_rid[i] >> 8 & 0xff,
			 smmu->cfg.out_rid[i] >> 3 & 0x1f, smmu->cfg.out_rid[i] & 7);
	return 0;
}

int sim_remove(struct sim_smmu *smmu, __u32 flags)
{
	struct smmuv3_sim_remove remove = { .id = smmu->cfg.out_id, .flags = flags };

	return sim_errno(ioctl(smmu->fd, SMMUV3_SIM_REMOVE, &remove));
}

int sim_dma(struct sim_dev *dev, __u32 flags, __u32 pasid, __u64 iova, void *data,
	    __u32 length, struct smmuv3_sim_dma *out)
{
	struct smmuv3_sim_dma dma = {
		.id = dev->smmu->cfg.out_id,
		.endpoint = dev->endpoint,
		.flags = flags,
		.iova = iova,
		.data = (uintptr_t)data,
		.length = length,
	};

	if (pasid != SIM_NO_PASID) {
		dma.flags |= SMMUV3_SIM_DMA_PASID;
		dma.pasid = pasid;
	}
	if (ioctl(dev->smmu->fd, SMMUV3_SIM_DMA, &dma))
		return -errno;
	if (out)
		*out = dma;
	return dma.fault.event;
}

int sim_set(struct sim_smmu *smmu, __u32 latency_us, __u32 error, __u32 arg, __u32 count)
{
	struct smmuv3_sim_set set = {
		.id = smmu->cfg.out_id,
		.sync_latency_us = latency_us,
		.error = error,
		.arg = arg,
		.count = count,
	};

	if (ioctl(smmu->fd, SMMUV3_SIM_SET, &set))
		return -errno;
	return set.out_left;
}

int sim_audit(int fd, struct smmuv3_sim_stale *stale, __u32 *checked)
{
	struct smmuv3_sim_audit audit = {
		.stale = (uintptr_t)stale,
		.nr = stale ? 1 : 0,
	};

	if (ioctl(fd, SMMUV3_SIM_AUDIT, &audit))
		return -errno;
	if (checked)
		*checked = audit.out_checked;
	return audit.out_dropped ? -ENOSPC : (int)audit.nr;
}

bool sim_audit_find(int fd, __u32 cache, __u32 why, __u32 owed)
{
	struct smmuv3_sim_stale stale[256];
	struct smmuv3_sim_audit audit = {
		.stale = (uintptr_t)stale,
		.nr = sizeof(stale) / sizeof(*stale),
	};
	__u32 i;

	if (ioctl(fd, SMMUV3_SIM_AUDIT, &audit))
		return false;
	for (i = 0; i < audit.nr && i < sizeof(stale) / sizeof(*stale); i++)
		if (stale[i].cache == cache && stale[i].why == why && stale[i].owed == owed)
			return true;
	return false;
}

int sim_violation(int fd, struct smmuv3_sim_violation *violation)
{
	struct smmuv3_sim_violations violations = {
		.violations = (uintptr_t)violation,
		.nr = violation ? 1 : 0,
	};

	if (ioctl(fd, SMMUV3_SIM_VIOLATIONS, &violations))
		return -errno;
	return violations.nr;
}

__u64 sim_log_mark(int fd)
{
	/* Nothing is there yet */
	struct smmuv3_sim_log log = { .from = ULLONG_MAX / 2 };

	if (ioctl(fd, SMMUV3_SIM_LOG, &log))
		return 0;
	return log.out_next;
}

int sim_log_read(int fd, __u64 from, struct smmuv3_sim_command *commands, __u32 nr)
{
	struct smmuv3_sim_log log = {
		.commands = (uintptr_t)commands,
		.from = from,
		.nr = nr,
	};

	if (ioctl(fd, SMMUV3_SIM_LOG, &log))
		return -errno;
	return log.nr;
}

int sim_raw(struct sim_smmu *smmu, __u64 cmd0, __u64 cmd1)
{
	struct smmuv3_sim_raw raw = { .id = smmu->cfg.out_id, .data = { cmd0, cmd1 } };

	if (ioctl(smmu->fd, SMMUV3_SIM_RAW, &raw))
		return -errno;
	return raw.out_cerror;
}

int sim_poke(struct sim_dev *dev, __u32 flags, __u32 ssid, __u32 word, __u64 mask, __u64 value,
	     __u64 *old)
{
	struct smmuv3_sim_poke poke = {
		.id = dev->smmu->cfg.out_id,
		.endpoint = dev->endpoint,
		.flags = flags,
		.ssid = ssid,
		.word = word,
		.mask = mask,
		.value = value,
	};

	if (ioctl(dev->smmu->fd, SMMUV3_SIM_POKE, &poke))
		return -errno;
	if (old)
		*old = poke.out_old;
	return 0;
}

int sim_stats(struct sim_smmu *smmu, struct smmuv3_sim_stats *stats)
{
	*stats = (struct smmuv3_sim_stats){ .id = smmu->cfg.out_id };
	return sim_errno(ioctl(smmu->fd, SMMUV3_SIM_STATS, stats));
}

static const char *command_name(__u32 op)
{
	static const char * const name[] = {
		[CMD_PREFETCH_CONFIG] = "PREFETCH_CONFIG",
		[CMD_CFGI_STE] = "CFGI_STE",
		[CMD_CFGI_ALL] = "CFGI_ALL",
		[CMD_CFGI_CD] = "CFGI_CD",
		[CMD_CFGI_CD_ALL] = "CFGI_CD_ALL",
		[CMD_TLBI_NH_ALL] = "TLBI_NH_ALL",
		[CMD_TLBI_NH_ASID] = "TLBI_NH_ASID",
		[CMD_TLBI_NH_VA] = "TLBI_NH_VA",
		[CMD_TLBI_NH_VAA] = "TLBI_NH_VAA",
		[CMD_TLBI_S12_VMALL] = "TLBI_S12_VMALL",
		[CMD_TLBI_S2_IPA] = "TLBI_S2_IPA",
		[CMD_TLBI_NSNH_ALL] = "TLBI_NSNH_ALL",
		[CMD_ATC_INV] = "ATC_INV",
		[CMD_SYNC] = "CMD_SYNC",
	};

	return op < sizeof(name) / sizeof(*name) && name[op] ? name[op] : "command";
}

/* A command as a person writes it, with the fields that matter to it */
static int command_str(char *buf, size_t size, __u32 op, __u32 sid, __u32 ssid, __u32 asid,
		       __u32 vmid, __u64 address)
{
	int len = snprintf(buf, size, "%s", command_name(op));

	if (op == CMD_TLBI_NH_VA || op == CMD_TLBI_NH_ASID)
		len += snprintf(buf + len, size - len, " asid %u", asid);
	if (op >= CMD_TLBI_NH_ALL && op < CMD_TLBI_NSNH_ALL && (vmid || op >= CMD_TLBI_S12_VMALL))
		len += snprintf(buf + len, size - len, " vmid %u", vmid);
	if ((op >= CMD_CFGI_STE && op <= CMD_CFGI_CD_ALL && op != CMD_CFGI_ALL) ||
	    op == CMD_ATC_INV)
		len += snprintf(buf + len, size - len, " sid %u", sid);
	if (ssid != SIM_NO_PASID && (op == CMD_ATC_INV || op == CMD_CFGI_CD))
		len += snprintf(buf + len, size - len, " ssid %u", ssid);
	if (op == CMD_TLBI_NH_VA || op == CMD_TLBI_NH_VAA || op == CMD_TLBI_S2_IPA ||
	    op == CMD_ATC_INV)
		len += snprintf(buf + len, size - len, " %#llx", address);
	return len;
}

/* CMD_ATC_INV: there is a SubstreamID */
#define CMD_0_SSV	BIT_ULL(11)

const char *sim_last_commands_str(int fd)
{
	struct smmuv3_sim_command cmd[10];
	__u64 mark = sim_log_mark(fd);
	static char buf[1200];
	int i, nr, len = 0;

	nr = sim_log_read(fd, mark > 10 ? mark - 10 : 0, cmd, sizeof(cmd) / sizeof(*cmd));
	for (i = 0; i < nr; i++) {
		__u32 high = cmd[i].data[0] >> 32, ssid = cmd[i].data[0] >> 12 & 0xfffff;
		__u32 op = cmd[i].data[0] & 0xff;
		bool no_ssid = op == CMD_ATC_INV && !(cmd[i].data[0] & CMD_0_SSV);

		len += snprintf(buf + len, sizeof(buf) - len, " | %llu SMMU %u: ", cmd[i].seq,
				cmd[i].id);
		len += command_str(buf + len, sizeof(buf) - len, op, high,
				   no_ssid ? SIM_NO_PASID : ssid, high >> 16, high & 0xffff,
				   cmd[i].data[1] & CMD_1_ADDR_MASK);
		if ((op == CMD_TLBI_NH_VA || op == CMD_TLBI_S2_IPA) && cmd[i].data[1] & CMD_1_TG(3))
			len += snprintf(buf + len, sizeof(buf) - len,
					" num %llu scale %llu ttl %llu",
					cmd[i].data[0] >> 12 & 31, cmd[i].data[0] >> 20 & 31,
					cmd[i].data[1] >> 8 & 3);
	}
	return buf;
}

const char *sim_stale_str(const struct smmuv3_sim_stale *stale)
{
	static const char * const cache[] = {
		[SMMUV3_SIM_CACHE_STE] = "an STE",
		[SMMUV3_SIM_CACHE_CD] = "a CD",
		[SMMUV3_SIM_CACHE_S1] = "a TLB entry",
		[SMMUV3_SIM_CACHE_S2] = "a TLB entry of stage 2",
		[SMMUV3_SIM_CACHE_S1_TABLE] = "a table entry",
		[SMMUV3_SIM_CACHE_S2_TABLE] = "a table entry of stage 2",
		[SMMUV3_SIM_CACHE_ATC] = "an ATC entry",
	};
	static const char * const why[] = {
		[SMMUV3_SIM_WHY_UNMAPPED] = "this address is not mapped any more",
		[SMMUV3_SIM_WHY_MOVED] = "this address is mapped to something else",
		[SMMUV3_SIM_WHY_PERMISSION] = "this address is mapped with less permissions",
		[SMMUV3_SIM_WHY_CHANGED] = "in memory it is another one",
		[SMMUV3_SIM_WHY_UNUSED] = "no STE or CD has this id any more",
		[SMMUV3_SIM_WHY_ATS_OFF] = "the STE does not allow ATS any more",
	};
	static char buf[400];
	char owed[64];
	int len;

	len = snprintf(buf, sizeof(buf), "left behind on SMMU %u: %s of StreamID %u", stale->id,
		       cache[stale->cache], stale->sid);
	if (stale->ssid != SIM_NO_PASID && stale->ssid)
		len += snprintf(buf + len, sizeof(buf) - len, ", PASID %u", stale->ssid);
	if (stale->cache != SMMUV3_SIM_CACHE_ATC && stale->cache > SMMUV3_SIM_CACHE_CD)
		len += snprintf(buf + len, sizeof(buf) - len, ", asid %u vmid %u", stale->asid,
				stale->vmid);
	if (stale->cache > SMMUV3_SIM_CACHE_CD)
		len += snprintf(buf + len, sizeof(buf) - len, ", %#llx (size %#llx) to %#llx",
				stale->address, stale->size, stale->pa);
	len += snprintf(buf + len, sizeof(buf) - len, ": %s", why[stale->why]);
	if (stale->now)
		len += snprintf(buf + len, sizeof(buf) - len, " (%#llx)", stale->now);
	command_str(owed, sizeof(owed), stale->owed, stale->sid, stale->ssid, stale->asid,
		    stale->vmid, stale->address);
	if (stale->doomed_seq)
		snprintf(buf + len, sizeof(buf) - len,
			 ", missing CMD_SYNC after command %llu, which drops it",
			 stale->doomed_seq);
	else
		snprintf(buf + len, sizeof(buf) - len, ", missing %s", owed);
	return buf;
}

const char *sim_violation_str(const struct smmuv3_sim_violation *violation)
{
	static const char * const rule[] = {
		[SMMUV3_SIM_RULE_ATC_ORDER] = "with no CMD_SYNC since TLB invalidation",
		[SMMUV3_SIM_RULE_DEAD] = "to an SMMU that is gone",
		[SMMUV3_SIM_RULE_DETACHED] = "to an endpoint after its detach",
		[SMMUV3_SIM_RULE_ENCODING] = "with a bad field, check of sim_oracle.c:",
		[SMMUV3_SIM_RULE_ILLEGAL] = "is illegal, the command queue stops",
	};
	__u32 vmid = violation->data[0] & 0xffff, asid = violation->data[0] >> 16 & 0xffff;
	bool id = violation->rule == SMMUV3_SIM_RULE_REUSE ||
		  violation->rule == SMMUV3_SIM_RULE_SHARED;
	static char buf[256];
	int len;

	if (id) {
		snprintf(buf, sizeof(buf),
			 "SMMU %u: asid %u vmid %u is used for the table at %#llx while %s table at %#llx",
			 violation->id, asid, vmid, violation->data[1],
			 violation->rule == SMMUV3_SIM_RULE_REUSE ?
				 "the TLB still has entries of the" :
				 "another device uses it for the",
			 violation->arg);
		return buf;
	}
	len = snprintf(buf, sizeof(buf), "SMMU %u: command %llu, %s (%#llx %#llx), %s",
		       violation->id, violation->seq, command_name(violation->data[0] & 0xff),
		       violation->data[0], violation->data[1], rule[violation->rule]);
	if (violation->arg)
		snprintf(buf + len, sizeof(buf) - len, " %llu", violation->arg);
	return buf;
}

static int open_cdev(const char *bdf)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int fd = -ENODEV;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", entry->d_name);
		fd = sim_errno(open(path, O_RDWR | O_CLOEXEC));
	}
	closedir(dir);
	return fd;
}

static volatile void *map_bar(int vfio, unsigned int index, size_t size)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };
	void *bar;

	if (ioctl(vfio, VFIO_DEVICE_GET_REGION_INFO, &info) || info.size != size)
		return NULL;
	bar = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vfio, info.offset);
	if (bar == MAP_FAILED)
		return NULL;
	/* A child would keep the device open */
	madvise(bar, size, MADV_DONTFORK);
	return (volatile void *)bar;
}

static int enable_memory(int vfio)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	__u16 cmd;

	if (ioctl(vfio, VFIO_DEVICE_GET_REGION_INFO, &info) ||
	    pread(vfio, &cmd, sizeof(cmd), info.offset + PCI_COMMAND) != sizeof(cmd))
		return -EIO;
	cmd |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (pwrite(vfio, &cmd, sizeof(cmd), info.offset + PCI_COMMAND) != sizeof(cmd))
		return -EIO;
	return 0;
}

int sim_vfio_open(struct sim_smmu *smmu, __u32 endpoint, int iommufd, struct sim_dev *dev)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommufd };
	const char *bdf = smmu->bdf[endpoint];
	int ret;

	*dev = (struct sim_dev){ .smmu = smmu, .endpoint = endpoint, .vfio = -1 };
	ret = pci_bind(bdf, "vfio-pci");
	if (ret)
		return ret;
	dev->vfio = open_cdev(bdf);
	if (dev->vfio < 0)
		return dev->vfio;
	if (ioctl(dev->vfio, VFIO_DEVICE_BIND_IOMMUFD, &bind)) {
		ret = -errno;
		goto close;
	}
	dev->id = bind.out_devid;
	ret = enable_memory(dev->vfio);
	if (ret)
		goto close;
	/* A conventional device has no BARs */
	if (smmu->cfg.ep_flags[endpoint] & SMMUV3_SIM_EP_BRIDGED)
		return 0;
	dev->regs = map_bar(dev->vfio, 0, EXERCISER_BAR0_SIZE);
	dev->data = map_bar(dev->vfio, 2, EXERCISER_BAR1_SIZE);
	if (dev->regs && dev->data)
		return 0;
	ret = -ENOMEM;
close:
	sim_vfio_close(dev);
	return ret;
}

void sim_vfio_close(struct sim_dev *dev)
{
	if (dev->regs)
		munmap((void *)dev->regs, EXERCISER_BAR0_SIZE);
	if (dev->data)
		munmap((void *)dev->data, EXERCISER_BAR1_SIZE);
	if (dev->vfio >= 0)
		close(dev->vfio);
	dev->regs = NULL;
	dev->data = NULL;
	dev->vfio = -1;
}

/* Tell the oracle what it cannot see */
static int tell(struct sim_dev *dev, unsigned long what)
{
	struct smmuv3_sim_endpoint endpoint = {
		.id = dev->smmu->cfg.out_id,
		.endpoint = dev->endpoint,
	};

	return ioctl(dev->smmu->fd, what, &endpoint);
}

int sim_vfio_attach(struct sim_dev *dev, __u32 pasid, __u32 pt_id)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = pt_id,
	};

	if (pasid != SIM_NO_PASID) {
		attach.flags = VFIO_DEVICE_ATTACH_PASID;
		attach.pasid = pasid;
	} else if (tell(dev, SMMUV3_SIM_ATTACHING)) {
		return -errno;
	}
	return sim_errno(ioctl(dev->vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
}

int sim_vfio_detach(struct sim_dev *dev, __u32 pasid)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };

	if (pasid != SIM_NO_PASID) {
		detach.flags = VFIO_DEVICE_DETACH_PASID;
		detach.pasid = pasid;
	}
	if (ioctl(dev->vfio, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach))
		return -errno;
	if (pasid != SIM_NO_PASID)
		return 0;
	return sim_errno(tell(dev, SMMUV3_SIM_DETACHED));
}

int sim_presence(struct sim_smmu *smmu, __u32 endpoint, bool present)
{
	struct smmuv3_sim_presence presence = {
		.id = smmu->cfg.out_id,
		.endpoint = endpoint,
		.present = present,
	};

	return sim_errno(ioctl(smmu->fd, SMMUV3_SIM_PRESENCE, &presence));
}

int sim_vfio_reset(struct sim_dev *dev)
{
	return sim_errno(ioctl(dev->vfio, VFIO_DEVICE_RESET));
}

static int write_sysfs(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = sim_errno(write(fd, text, strlen(text)));
	close(fd);
	return ret < 0 ? ret : 0;
}

int sim_endpoint_write(struct sim_smmu *smmu, __u32 endpoint, const char *file, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", smmu->bdf[endpoint], file);
	return write_sysfs(path, text);
}

int sim_endpoint_read(struct sim_smmu *smmu, __u32 endpoint, const char *file, char *text,
		      size_t size)
{
	char path[PATH_MAX];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", smmu->bdf[endpoint], file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = sim_errno(read(fd, text, size - 1));
	close(fd);
	if (len < 0)
		return len;
	text[len] = 0;
	text[strcspn(text, "\n")] = 0;
	return 0;
}

bool sim_fail_setup(void)
{
	static const char * const setting[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
	};
	char path[PATH_MAX];
	unsigned int i;

	for (i = 0; i < sizeof(setting) / sizeof(*setting); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", setting[i][0]);
		if (write_sysfs(path, setting[i][1]))
			return false;
	}
	return true;
}

/* Of this thread; opening it would be a call with allocations */
static __thread int fail_fd = -1;

int sim_fail_nth(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (fail_fd < 0)
		fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return pwrite(fail_fd, text, len, 0) == len ? 0 : -errno;
}

bool sim_fail_end(void)
{
	char text[16] = "";
	ssize_t len = pread(fail_fd, text, sizeof(text) - 1, 0);

	sim_fail_nth(0);
	return len > 0 && !atoi(text);
}

int sim_rescan(struct sim_smmu *smmu)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/class/pci_bus/%04x:00/rescan",
		 smmu->cfg.out_segment & 0xffff);
	return write_sysfs(path, "1");
}

int sim_page(int fd, __u32 blocks)
{
	struct smmuv3_sim_page page = { .blocks = blocks };

	return ioctl(fd, SMMUV3_SIM_PAGE, &page) ? -errno : (int)page.out_waiting;
}

int sim_no_pasid_event(const struct sim_dev *dev)
{
	char type[16];
	int ret = sim_endpoint_read(dev->smmu, dev->endpoint, "iommu_group/type", type,
				    sizeof(type));

	return !ret && !strcmp(type, "identity") ? C_BAD_SUBSTREAMID : C_BAD_CD;
}

int sim_sva_bind(struct sim_dev *dev, __u32 *pasid)
{
	struct smmuv3_sim_endpoint endpoint = {
		.id = dev->smmu->cfg.out_id,
		.endpoint = dev->endpoint,
	};

	if (ioctl(dev->smmu->fd, SMMUV3_SIM_SVA_BIND, &endpoint))
		return -errno;
	*pasid = endpoint.pasid;
	return 0;
}

int sim_sva_unbind(struct sim_dev *dev, __u32 pasid)
{
	struct smmuv3_sim_endpoint endpoint = {
		.id = dev->smmu->cfg.out_id,
		.endpoint = dev->endpoint,
		.pasid = pasid,
	};

	return sim_errno(ioctl(dev->smmu->fd, SMMUV3_SIM_SVA_UNBIND, &endpoint));
}

static volatile __u32 *reg32(struct sim_dev *dev, unsigned int offset)
{
	return (volatile __u32 *)(dev->regs + offset);
}

/* Start something, and wait until the endpoint takes the trigger back */
static int trigger(struct sim_dev *dev, unsigned int reg, __u32 ctl, __u32 mask)
{
	struct timespec start, now;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*reg32(dev, reg) = ctl | 1;
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (*reg32(dev, reg) & mask) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec > 2)
			return -ETIMEDOUT;
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return 0;
}

int sim_exerciser_dma(struct sim_dev *dev, __u32 ctl, __u32 pasid, __u64 iova, void *data,
		      __u32 length)
{
	volatile __u32 *buffer = dev->data;
	__u32 *words = data;
	__u32 i;

	if (length % sizeof(*words) || length > EXERCISER_BAR1_SIZE)
		return -EINVAL;
	for (i = 0; i < length / sizeof(*words); i++)
		buffer[i] = words[i];
	*reg32(dev, EXERCISER_DMA_OFFSET) = 0;
	*(volatile __u64 *)(dev->regs + EXERCISER_BUS_ADDR) = iova;
	*reg32(dev, EXERCISER_DMA_LEN) = length;
	*reg32(dev, EXERCISER_PASID) = pasid;
	if (trigger(dev, EXERCISER_DMA_CTL, ctl, EXERCISER_DMA_TRIGGER))
		return -ETIMEDOUT;
	if (!(ctl & EXERCISER_DMA_WRITE))
		for (i = 0; i < length / sizeof(*words); i++)
			words[i] = buffer[i];
	return *reg32(dev, EXERCISER_DMA_STATUS) & 3;
}

int sim_exerciser_ats(struct sim_dev *dev, __u32 ctl, __u32 pasid, __u64 iova)
{
	*(volatile __u64 *)(dev->regs + EXERCISER_BUS_ADDR) = iova;
	*reg32(dev, EXERCISER_PASID) = pasid;
	if (trigger(dev, EXERCISER_ATS_CTL, ctl, EXERCISER_ATS_TRIGGER))
		return -ETIMEDOUT;
	return *reg32(dev, EXERCISER_ATS_CTL);
}
