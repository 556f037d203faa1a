// SPDX-License-Identifier: GPL-2.0-only
/*
 * What endpoints do: access memory, directly or through their ATC, on behalf of an
 * ioctl or of their registers.
 */
#include <linux/slab.h>

#include "sim.h"

/* One translation request; what is granted, and allowed to be kept, is kept */
static int sim_ats_request(struct sim_endpoint *ep, const struct sim_access *access,
			   struct sim_entry *entry, struct smmuv3_sim_fault *fault)
{
	struct sim_access request = *access;
	struct sim_result result;

	request.ats = true;
	if (sim_translate(ep->inst, &request, &result, fault)) {
		/* A missing page is an answer, not an event; a bad stream is one */
		if (fault->event < 0x10)
			sim_instance_event(ep->inst, fault, &request);
		return -EFAULT;
	}
	if (!(request.flags & SMMUV3_SIM_DMA_PRIV) && !(result.perms & SIM_PERM_USER))
		result.perms = 0;
	*entry = (struct sim_entry){
		.kind = SMMUV3_SIM_CACHE_ATC,
		.shift = result.shift,
		.perms = result.perms,
		.sid = ep->sid,
		.ssid = request.ssid,
		.va = request.iova & ~(BIT_ULL(result.shift) - 1),
		.pa = result.pa & ~(BIT_ULL(result.shift) - 1),
	};
	if (entry->perms & (SIM_PERM_READ | SIM_PERM_WRITE))
		sim_cache_add(&ep->atc, entry);
	return 0;
}

/* Let the ATC translate; what it does not have it asks for */
static int sim_ats_translate(struct sim_endpoint *ep, const struct sim_access *access,
			     struct sim_result *result, struct smmuv3_sim_fault *fault)
{
	u8 need = access->flags & SMMUV3_SIM_DMA_WRITE ? SIM_PERM_WRITE : SIM_PERM_READ;
	struct sim_entry *cached = sim_cache_find_atc(&ep->atc, access->ssid, access->iova);
	struct sim_access translated = *access;
	struct sim_entry entry;

	if (cached && cached->perms & need) {
		entry = *cached;
	} else {
		*fault = (struct smmuv3_sim_fault){
			.event = SMMUV3_SIM_ATC_DENIES,
			.sid = ep->sid,
			.iova = access->iova,
		};
		if (access->flags & SMMUV3_SIM_DMA_ATC_ONLY)
			return -EFAULT;
		if (sim_ats_request(ep, access, &entry, fault))
			return -EFAULT;
		if (!(entry.perms & need)) {
			fault->event = SMMUV3_SIM_ATC_DENIES;
			return -EFAULT;
		}
	}
	memset(result, 0, sizeof(*result));
	result->shift = entry.shift;
	result->perms = entry.perms;
	result->pa = entry.pa | (access->iova & (BIT_ULL(entry.shift) - 1));
	if (access->flags & SMMUV3_SIM_DMA_ATS_ONLY)
		return 0;

	/* The access goes out translated, and the SMMU has its say */
	translated.iova = result->pa;
	translated.flags |= SMMUV3_SIM_DMA_TRANSLATED;
	if (sim_translate(ep->inst, &translated, result, fault)) {
		sim_instance_event(ep->inst, fault, &translated);
		return -EFAULT;
	}
	result->shift = entry.shift;
	return 0;
}

static int sim_access_page(struct sim_endpoint *ep, const struct sim_access *access, void *data,
			   u32 length, struct sim_result *result, struct smmuv3_sim_fault *fault)
{
	void *memory;

	if (access->flags & (SMMUV3_SIM_DMA_ATS | SMMUV3_SIM_DMA_ATS_ONLY)) {
		if (sim_ats_translate(ep, access, result, fault))
			return -EFAULT;
	} else if (sim_translate(ep->inst, access, result, fault)) {
		sim_instance_event(ep->inst, fault, access);
		return -EFAULT;
	}
	if (access->flags & SMMUV3_SIM_DMA_ATS_ONLY)
		return 0;
	memory = sim_phys(result->pa, length);
	if (!memory) {
		fault->event = SMMUV3_SIM_BUS_ERROR;
		return -EFAULT;
	}
	if (access->flags & SMMUV3_SIM_DMA_WRITE)
		memcpy(memory, data, length);
	else
		memcpy(data, memory, length);
	return 0;
}

static void sim_check_ats_epoch(struct sim_endpoint *ep)
{
	u32 epoch = READ_ONCE(ep->ats_epoch);

	if (epoch == ep->ats_seen)
		return;
	ep->ats_seen = epoch;
	sim_cache_flush(&ep->atc);
}

/**
 * sim_endpoint_dma() - An endpoint accesses memory
 * @ep: the endpoint
 * @dma: what it does, and what comes of it
 * @data: the bytes, @dma->length of them
 *
 * Return: 0, also after a fault; -EPERM if ATS or PASID would be needed but is off, or
 * if there is no endpoint any more.
 */
int sim_endpoint_dma(struct sim_endpoint *ep, struct smmuv3_sim_dma *dma, void *data)
{
	struct sim_access access = {
		.sid = ep->sid,
		.ssid = dma->flags & SMMUV3_SIM_DMA_PASID ? dma->pasid : SIM_NO_SSID,
		.flags = dma->flags,
	};
	struct sim_result result;
	u32 length;

	sim_check_ats_epoch(ep);
	if (READ_ONCE(ep->gone))
		return -EPERM;
	if ((dma->flags & SMMUV3_SIM_DMA_PASID) && !sim_pci_pasid_enabled(ep))
		return -EPERM;
	if ((dma->flags & (SMMUV3_SIM_DMA_ATS | SMMUV3_SIM_DMA_ATS_ONLY)) &&
	    !sim_pci_ats_enabled(ep))
		return -EPERM;
	memset(&dma->fault, 0, sizeof(dma->fault));
	for (dma->out_done = 0; dma->out_done < dma->length; dma->out_done += length) {
		struct smmuv3_sim_fault fault = {};

		access.iova = dma->iova + dma->out_done;
		length = min_t(u32, dma->length - dma->out_done,
			       SZ_4K - (access.iova & (SZ_4K - 1)));
		if (sim_access_page(ep, &access, data + dma->out_done, length, &result, &fault)) {
			dma->fault = fault;
			break;
		}
		if (!dma->out_done) {
			dma->out_pa = result.pa;
			dma->out_size = BIT_ULL(result.shift);
		}
	}
	ep->fault = dma->fault;
	return 0;
}

/* Where a BAR is in the instance's window, NULL if it is switched off */
static void __iomem *sim_bar(struct sim_endpoint *ep, int bar, u32 size)
{
	unsigned int reg = PCI_BASE_ADDRESS_0 + 8 * bar;
	u64 addr = (sim_pci_config(ep, reg, 4) & PCI_BASE_ADDRESS_MEM_MASK) |
		   (u64)sim_pci_config(ep, reg + 4, 4) << 32;
	u64 offset = addr - ep->inst->mem.start;

	if (READ_ONCE(ep->gone) || ep->flags & SMMUV3_SIM_EP_BRIDGED ||
	    !(sim_pci_config(ep, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY) ||
	    offset > SIM_WINDOW_SIZE - size)
		return NULL;
	return ep->inst->window + offset;
}

static void sim_exerciser_dma(struct sim_endpoint *ep, void __iomem *regs, u32 ctl)
{
	u32 offset = readl(regs + EXERCISER_DMA_OFFSET), type = ctl & EXERCISER_DMA_TYPE;
	void __iomem *buffer = sim_bar(ep, 1, EXERCISER_BAR1_SIZE);
	struct smmuv3_sim_dma dma = {
		.iova = readq(regs + EXERCISER_BUS_ADDR),
		.length = readl(regs + EXERCISER_DMA_LEN),
		.pasid = readl(regs + EXERCISER_PASID) & 0xfffff,
	};
	u32 status = 0;

	if (ctl & EXERCISER_DMA_WRITE)
		dma.flags |= SMMUV3_SIM_DMA_WRITE;
	if (ctl & EXERCISER_DMA_PASID)
		dma.flags |= SMMUV3_SIM_DMA_PASID;
	if (ctl & EXERCISER_DMA_PRIV)
		dma.flags |= SMMUV3_SIM_DMA_PRIV;
	if (ctl & EXERCISER_DMA_INST)
		dma.flags |= SMMUV3_SIM_DMA_EXEC;
	if (ctl & EXERCISER_DMA_ATC)
		dma.flags |= SMMUV3_SIM_DMA_ATS;
	if (type == EXERCISER_DMA_TRANSLATED)
		dma.flags |= SMMUV3_SIM_DMA_TRANSLATED;
	if (!buffer || offset > EXERCISER_BAR1_SIZE || dma.length > EXERCISER_BAR1_SIZE - offset) {
		status = EXERCISER_STATUS_BOUNDS;
	} else if (type == EXERCISER_DMA_TYPE ||
		   (type == EXERCISER_DMA_TRANSLATED && (ctl & EXERCISER_DMA_ATC)) ||
		   !(sim_pci_config(ep, PCI_COMMAND, 2) & PCI_COMMAND_MASTER)) {
		status = EXERCISER_STATUS_ERROR;
	} else {
		memcpy_fromio(ep->buffer, buffer + offset, dma.length);
		if (sim_endpoint_dma(ep, &dma, ep->buffer) || dma.fault.event)
			status = EXERCISER_STATUS_ERROR;
		if (!(ctl & EXERCISER_DMA_WRITE))
			memcpy_toio(buffer + offset, ep->buffer, dma.out_done);
	}
	writel(status, regs + EXERCISER_DMA_STATUS);
	/* All that came of it is there when the trigger is back at 0 */
	wmb();
	writel(ctl & ~EXERCISER_DMA_TRIGGER, regs + EXERCISER_DMA_CTL);
}

static void sim_exerciser_ats(struct sim_endpoint *ep, void __iomem *regs, u32 ctl)
{
	struct smmuv3_sim_fault fault = {};
	struct sim_access access = {
		.sid = ep->sid,
		.ssid = SIM_NO_SSID,
		.iova = readq(regs + EXERCISER_BUS_ADDR),
	};
	struct sim_entry entry;
	u32 perm = 0;

	ctl &= ~(EXERCISER_ATS_SUCCESS | EXERCISER_ATS_CACHEABLE);
	if (ctl & EXERCISER_ATS_CLEAR) {
		sim_cache_flush(&ep->atc);
		writeq(0, regs + EXERCISER_ATS_ADDR);
		writeq(0, regs + EXERCISER_ATS_RANGE);
	}
	if (ctl & EXERCISER_ATS_PASID)
		access.ssid = readl(regs + EXERCISER_PASID) & 0xfffff;
	if (!(ctl & EXERCISER_ATS_NO_WRITE))
		access.flags |= SMMUV3_SIM_DMA_WRITE;
	if (ctl & EXERCISER_ATS_PRIV)
		access.flags |= SMMUV3_SIM_DMA_PRIV;
	if (ctl & EXERCISER_ATS_EXEC)
		access.flags |= SMMUV3_SIM_DMA_EXEC;
	if ((ctl & EXERCISER_ATS_TRIGGER) && sim_pci_ats_enabled(ep) &&
	    (!(ctl & EXERCISER_ATS_PASID) || sim_pci_pasid_enabled(ep)) &&
	    !sim_ats_request(ep, &access, &entry, &fault)) {
		ctl |= EXERCISER_ATS_SUCCESS;
		if (entry.perms & SIM_PERM_READ)
			perm |= EXERCISER_PERM_READ;
		if (entry.perms & SIM_PERM_WRITE)
			perm |= EXERCISER_PERM_WRITE;
		if ((entry.perms & SIM_PERM_EXEC) && (ctl & EXERCISER_ATS_EXEC))
			perm |= EXERCISER_PERM_EXEC;
		if (perm)
			ctl |= EXERCISER_ATS_CACHEABLE;
		writeq(entry.pa, regs + EXERCISER_ATS_ADDR);
		writeq(BIT_ULL(entry.shift), regs + EXERCISER_ATS_RANGE);
	}
	ep->fault = fault;
	writel(perm, regs + EXERCISER_ATS_PERM);
	/* All that came of it is there when the trigger is back at 0 */
	wmb();
	writel(ctl & ~(EXERCISER_ATS_TRIGGER | EXERCISER_ATS_CLEAR), regs + EXERCISER_ATS_CTL);
}

/**
 * sim_endpoint_poll() - Do what the registers of an endpoint ask for
 * @ep: the endpoint
 *
 * Return: whether there was anything.
 */
bool sim_endpoint_poll(struct sim_endpoint *ep)
{
	void __iomem *regs = sim_bar(ep, 0, EXERCISER_BAR0_SIZE);
	bool busy = false;
	u32 ctl;

	sim_check_ats_epoch(ep);
	if (!regs)
		return false;
	ctl = readl(regs + EXERCISER_DMA_CTL);
	if ((ctl & EXERCISER_DMA_TRIGGER) == 1) {
		/* The other registers were written before the trigger */
		rmb();
		sim_exerciser_dma(ep, regs, ctl);
		busy = true;
	}
	ctl = readl(regs + EXERCISER_ATS_CTL);
	if (ctl & (EXERCISER_ATS_TRIGGER | EXERCISER_ATS_CLEAR)) {
		/* So for this trigger */
		rmb();
		sim_exerciser_ats(ep, regs, ctl);
		busy = true;
	}
	return busy;
}
