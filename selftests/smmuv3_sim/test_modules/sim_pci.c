// SPDX-License-Identifier: GPL-2.0-only
/*
 * The endpoints: a PCI host bridge in software for each SMMU, with one
 * single-function integrated endpoint per slot, so that each is alone in its group, if
 * it is not to be in one with others: then they are functions of one slot, or behind a
 * conventional bridge in the last slot.
 */
#include <linux/dma-map-ops.h>
#include <linux/iommu.h>
#include <linux/lockdep.h>
#include <linux/msi.h>
#include <linux/slab.h>
#include <linux/unaligned.h>

#include "sim.h"

#define CFG_EXP			0x40
#define PASID_WIDTH		16
#define RESET_MS		90
#define BRIDGE_DEVFN		PCI_DEVFN(31, 0)
/* The Hisilicon PTT device, whose default domain the driver wants to be identity */
#define IDENTITY_VENDOR		0x19e5
#define IDENTITY_DEVICE		0xa12e
/* A Ricoh card reader, quirk_dma_func0_alias() */
#define ALIAS_VENDOR		0x1180
#define ALIAS_DEVICE		0xe832

/* Segments of software host bridges, away from what hardware has */
#define SIM_SEGMENT		0x5100

static void sim_cfg16(struct sim_endpoint *ep, int where, u16 val, u16 writable)
{
	put_unaligned_le16(val, ep->cfg + where);
	put_unaligned_le16(writable, ep->wmask + where);
}

static void sim_cfg32(struct sim_endpoint *ep, int where, u32 val, u32 writable)
{
	put_unaligned_le32(val, ep->cfg + where);
	put_unaligned_le32(writable, ep->wmask + where);
}

static void sim_cfg_bar(struct sim_endpoint *ep, int bar, u32 size)
{
	sim_cfg32(ep, PCI_BASE_ADDRESS_0 + 8 * bar, PCI_BASE_ADDRESS_MEM_TYPE_64, ~(size - 1));
	sim_cfg32(ep, PCI_BASE_ADDRESS_0 + 8 * bar + 4, 0, ~0);
}

static void sim_init_config_space(struct sim_endpoint *ep)
{
	static const struct {
		u32 flag;
		int id;
	} caps[] = {
		{ SMMUV3_SIM_EP_ATS, PCI_EXT_CAP_ID_ATS },
		{ SMMUV3_SIM_EP_PASID, PCI_EXT_CAP_ID_PASID },
		{ SMMUV3_SIM_EP_PRI, PCI_EXT_CAP_ID_PRI },
		{ SMMUV3_SIM_EP_ACS | SMMUV3_SIM_EP_ALIAS, PCI_EXT_CAP_ID_ACS },
	};
	u32 flr = ep->flags & SMMUV3_SIM_EP_FLR ? PCI_EXP_DEVCAP_FLR : 0;
	int i, where = PCI_CFG_SPACE_SIZE, last = 0;

	sim_cfg16(ep, PCI_VENDOR_ID, EXERCISER_VENDOR, 0);
	sim_cfg16(ep, PCI_DEVICE_ID, EXERCISER_DEVICE, 0);
	if (ep->flags & SMMUV3_SIM_EP_IDENTITY) {
		sim_cfg16(ep, PCI_VENDOR_ID, IDENTITY_VENDOR, 0);
		sim_cfg16(ep, PCI_DEVICE_ID, IDENTITY_DEVICE, 0);
	} else if (ep->flags & SMMUV3_SIM_EP_ALIAS) {
		sim_cfg16(ep, PCI_VENDOR_ID, ALIAS_VENDOR, 0);
		sim_cfg16(ep, PCI_DEVICE_ID, ALIAS_DEVICE, 0);
	}
	sim_cfg16(ep, PCI_COMMAND, 0,
		  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	sim_cfg32(ep, PCI_CLASS_REVISION, PCI_CLASS_SYSTEM_OTHER << 16 | 1, 0);
	sim_cfg16(ep, PCI_SUBSYSTEM_VENDOR_ID, EXERCISER_VENDOR, 0);
	sim_cfg16(ep, PCI_SUBSYSTEM_ID, EXERCISER_DEVICE, 0);
	if (ep->flags & SMMUV3_SIM_EP_BRIDGED)
		return;
	sim_cfg16(ep, PCI_STATUS, PCI_STATUS_CAP_LIST, 0);
	/* BAR 0 and 1 of the Exerciser, both 64 bits wide */
	sim_cfg_bar(ep, 0, EXERCISER_BAR0_SIZE);
	sim_cfg_bar(ep, 1, EXERCISER_BAR1_SIZE);
	ep->cfg[PCI_CAPABILITY_LIST] = CFG_EXP;
	sim_cfg16(ep, CFG_EXP, PCI_CAP_ID_EXP, 0);
	sim_cfg16(ep, CFG_EXP + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_RC_END << 4, 0);
	sim_cfg32(ep, CFG_EXP + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER | flr, 0);
	sim_cfg16(ep, CFG_EXP + PCI_EXP_DEVCTL, 0, 0x7fff);
	sim_cfg32(ep, CFG_EXP + PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_EE_PREFIX, 0);
	sim_cfg16(ep, CFG_EXP + PCI_EXP_DEVCTL2, 0, 0xffff);

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		if (!(ep->flags & caps[i].flag))
			continue;
		if (last)
			sim_cfg32(ep, last, get_unaligned_le32(ep->cfg + last) | where << 20, 0);
		sim_cfg32(ep, where, 1 << 16 | caps[i].id, 0);
		last = where;
		switch (caps[i].id) {
		case PCI_EXT_CAP_ID_ATS:
			sim_cfg16(ep, where + PCI_ATS_CAP, PCI_ATS_CAP_PAGE_ALIGNED, 0);
			sim_cfg16(ep, where + PCI_ATS_CTRL, 0, PCI_ATS_CTRL_ENABLE | 0x1f);
			ep->ats = where;
			break;
		case PCI_EXT_CAP_ID_PASID:
			sim_cfg16(ep, where + PCI_PASID_CAP,
				  PCI_PASID_CAP_EXEC | PCI_PASID_CAP_PRIV | PASID_WIDTH << 8, 0);
			sim_cfg16(ep, where + PCI_PASID_CTRL, 0,
				  PCI_PASID_CTRL_ENABLE | PCI_PASID_CTRL_EXEC |
				  PCI_PASID_CTRL_PRIV);
			ep->pasid = where;
			break;
		case PCI_EXT_CAP_ID_PRI:
			sim_cfg16(ep, where + PCI_PRI_CTRL, 0, PCI_PRI_CTRL_ENABLE);
			sim_cfg16(ep, where + PCI_PRI_STATUS,
				  PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID, 0);
			sim_cfg32(ep, where + PCI_PRI_MAX_REQ, 32, 0);
			sim_cfg32(ep, where + PCI_PRI_ALLOC_REQ, 0, ~0);
			break;
		}
		where += 0x10;
	}
}

/* A bridge without anything behind it that would need a window */
static void sim_init_bridge(struct sim_endpoint *ep)
{
	sim_cfg16(ep, PCI_VENDOR_ID, EXERCISER_VENDOR, 0);
	sim_cfg16(ep, PCI_DEVICE_ID, EXERCISER_DEVICE + 1, 0);
	sim_cfg16(ep, PCI_COMMAND, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	sim_cfg32(ep, PCI_CLASS_REVISION, PCI_CLASS_BRIDGE_PCI << 16, 0);
	ep->cfg[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
	sim_cfg32(ep, PCI_PRIMARY_BUS, 0, 0xffffff);
	sim_cfg32(ep, PCI_MEMORY_BASE, 0, 0xfff0fff0);
	sim_cfg16(ep, PCI_BRIDGE_CONTROL, 0, PCI_BRIDGE_CTL_BUS_RESET);
}

/**
 * sim_pci_reset() - Reset an endpoint
 * @ep: the endpoint
 *
 * All that can be written is 0 afterwards, and its ATC is empty.
 */
void sim_pci_reset(struct sim_endpoint *ep)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ep->cfg); i++)
		WRITE_ONCE(ep->cfg[i], ep->cfg[i] & ~ep->wmask[i]);
	WRITE_ONCE(ep->ats_epoch, ep->ats_epoch + 1);
}

/**
 * sim_pci_config() - Read an endpoint's configuration space
 * @ep: the endpoint
 * @where: offset of the first byte
 * @size: bytes, up to four
 *
 * At any time, while somebody else writes to it.
 *
 * Return: the bytes, the first is the lowest.
 */
u32 sim_pci_config(const struct sim_endpoint *ep, unsigned int where, unsigned int size)
{
	unsigned int i;
	u32 val = 0;

	for (i = 0; i < size; i++)
		val |= (u32)READ_ONCE(ep->cfg[where + i]) << (8 * i);
	return val;
}

/**
 * sim_pci_ats_enabled() - Whether an endpoint's ATS is on
 * @ep: the endpoint
 *
 * Return: whether it is.
 */
bool sim_pci_ats_enabled(struct sim_endpoint *ep)
{
	return ep->ats && sim_pci_config(ep, ep->ats + PCI_ATS_CTRL, 2) & PCI_ATS_CTRL_ENABLE;
}

/**
 * sim_pci_pasid_enabled() - Whether an endpoint may send PASIDs
 * @ep: the endpoint
 *
 * Return: whether it may.
 */
bool sim_pci_pasid_enabled(struct sim_endpoint *ep)
{
	return ep->pasid &&
	       sim_pci_config(ep, ep->pasid + PCI_PASID_CTRL, 2) & PCI_PASID_CTRL_ENABLE;
}

static struct sim_instance *sim_bus_to_instance(struct pci_bus *bus)
{
	struct pci_config_window *cfgwin = bus->sysdata;

	return container_of(cfgwin, struct sim_instance, cfgwin);
}

static struct sim_endpoint *sim_slot(struct pci_bus *bus, unsigned int devfn)
{
	struct sim_instance *inst = sim_bus_to_instance(bus);
	unsigned int i, rid = PCI_DEVID(bus->number, devfn);

	if (inst->pci_bridge && rid == BRIDGE_DEVFN)
		return inst->pci_bridge;
	for (i = 0; i < inst->nr_eps; i++)
		if (inst->ep[i].rid == rid)
			return &inst->ep[i];
	return NULL;
}

static int sim_config_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *val)
{
	struct sim_endpoint *ep = sim_slot(bus, devfn);

	*val = ~0;
	if (!ep || READ_ONCE(ep->gone))
		return PCIBIOS_DEVICE_NOT_FOUND;
	*val = sim_pci_config(ep, where, size);
	return PCIBIOS_SUCCESSFUL;
}

static int sim_config_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 val)
{
	struct sim_endpoint *ep = sim_slot(bus, devfn);
	bool ats;
	u8 mask;
	int i;

	if (!ep || READ_ONCE(ep->gone))
		return PCIBIOS_DEVICE_NOT_FOUND;
	ats = sim_pci_ats_enabled(ep);
	for (i = 0; i < size; i++) {
		mask = ep->wmask[where + i];
		WRITE_ONCE(ep->cfg[where + i],
			   (ep->cfg[where + i] & ~mask) | (val >> (8 * i) & mask));
	}
	if (ep->flags & SMMUV3_SIM_EP_FLR && where == CFG_EXP + PCI_EXP_DEVCTL &&
	    val & PCI_EXP_DEVCTL_BCR_FLR) {
		sim_pci_reset(ep);
		/* The kernel waits for a tenth of a second, during which it answers nothing */
		WRITE_ONCE(ep->reset_until, ktime_add_ms(ktime_get(), RESET_MS));
		return PCIBIOS_SUCCESSFUL;
	}
	/* An ATC is empty when ATS is turned on */
	if (!ats && sim_pci_ats_enabled(ep))
		WRITE_ONCE(ep->ats_epoch, ep->ats_epoch + 1);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops sim_pci_ops = {
	.read = sim_config_read,
	.write = sim_config_write,
};

/*
 * What firmware tells about a device: here before the IOMMU core looks at it,
 * which is why the notifier comes first.
 */
static int sim_bus_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	const u32 two = SMMUV3_SIM_EP_TWO_STREAMS | SMMUV3_SIM_EP_STREAM_TWICE;
	struct device *dev = data;
	struct pci_dev *pdev = to_pci_dev(dev);
	struct sim_endpoint *ep;
	struct iommu_fwspec *fwspec;
	struct irq_domain *msi;
	u32 sids[2];
	int ret;

	if (action != BUS_NOTIFY_ADD_DEVICE || pdev->bus->ops != &sim_pci_ops)
		return NOTIFY_DONE;
	ep = sim_slot(pdev->bus, pdev->devfn);
	if (WARN_ON(!ep))
		return NOTIFY_DONE;
	/* Firmware does not name it */
	if (ep == ep->inst->pci_bridge)
		return NOTIFY_OK;

	if (!(ep->inst->flags & SMMUV3_SIM_NOT_COHERENT))
		dev_set_dma_coherent(dev);
	pdev->dma_mask = DMA_BIT_MASK(64);
	dev->coherent_dma_mask = DMA_BIT_MASK(64);
	/* VFIO wants interrupts that are isolated from each other; none is ever sent */
	msi = dev_get_msi_domain(&sim_memory->dev);
	if (msi)
		dev_set_msi_domain(dev, msi);

	/*
	 * It expects iommu_probe_device_lock, which modules cannot take. Nobody else
	 * can know of the device yet, so nothing is missing but the assertion.
	 */
	sids[0] = ep->sid;
	sids[1] = ep->sid + !!(ep->flags & SMMUV3_SIM_EP_TWO_STREAMS);
	lockdep_off();
	ret = iommu_fwspec_init(dev, ep->inst->fwnode);
	lockdep_on();
	if (!ret)
		ret = iommu_fwspec_add_ids(dev, sids, ep->flags & two ? 2 : 1);
	if (ret) {
		dev_err(dev, "smmuv3_sim: no fwspec: %d\n", ret);
		return NOTIFY_OK;
	}
	fwspec = dev_iommu_fwspec_get(dev);
	if (ep->flags & SMMUV3_SIM_EP_ATS)
		fwspec->flags |= IOMMU_FWSPEC_PCI_RC_ATS;
	if (!(ep->flags & SMMUV3_SIM_EP_NO_CANWBS))
		fwspec->flags |= IOMMU_FWSPEC_PCI_RC_CANWBS;
	return NOTIFY_OK;
}

static struct notifier_block sim_notifier = {
	.notifier_call = sim_bus_notify,
	.priority = INT_MAX,
};

/**
 * sim_pci_init() - Watch for our endpoints
 *
 * Return: 0 or an error.
 */
int sim_pci_init(void)
{
	return bus_register_notifier(&pci_bus_type, &sim_notifier);
}

/**
 * sim_pci_exit() - Watch no more
 */
void sim_pci_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &sim_notifier);
}

/*
 * Slot n + 1 has endpoint n, if none shares one: slot 0 stays free for who expects a
 * bridge there.
 */
static void sim_pci_place(struct sim_instance *inst, const struct smmuv3_sim_create *create)
{
	unsigned int i, slot = 0, func = 0, bridged = 0;
	struct sim_endpoint *ep;

	for (i = 0; i < create->nr_endpoints; i++) {
		ep = &inst->ep[i];
		if (create->ep_flags[i] & SMMUV3_SIM_EP_BRIDGED) {
			inst->pci_bridge = &inst->ep[SMMUV3_SIM_MAX_ENDPOINTS];
			ep->rid = PCI_DEVID(1, PCI_DEVFN(++bridged, 0));
			ep->sid = BRIDGE_DEVFN;
			continue;
		}
		if (create->ep_flags[i] & SMMUV3_SIM_EP_FUNCTION && slot && func < 7)
			func++;
		else
			slot++, func = 0;
		ep->rid = PCI_DEVFN(slot, func);
		ep->sid = ep->rid;
	}
}

/**
 * sim_pci_add() - Give an instance its endpoints
 * @inst: the instance, known to the thread, bound to the driver
 * @create: which endpoints
 *
 * Return: 0 or an error.
 */
int sim_pci_add(struct sim_instance *inst, const struct smmuv3_sim_create *create)
{
	struct pci_host_bridge *bridge;
	struct sim_endpoint *ep;
	int i, ret;

	sim_pci_place(inst, create);
	for (i = 0; i < create->nr_endpoints; i++) {
		ep = &inst->ep[i];
		ep->inst = inst;
		ep->index = i;
		ep->flags = create->ep_flags[i];
		ep->response = U32_MAX;
		ret = sim_cache_init(&ep->atc);
		if (ret)
			return ret;
		ep->buffer = kzalloc(EXERCISER_BAR1_SIZE, GFP_KERNEL);
		if (!ep->buffer)
			return -ENOMEM;
		sim_init_config_space(ep);
		if (ep->flags & SMMUV3_SIM_EP_FUNCTION && i) {
			ep->cfg[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_MFD;
			ep[-1].cfg[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_MFD;
		}
	}
	if (inst->pci_bridge) {
		inst->pci_bridge->inst = inst;
		inst->pci_bridge->rid = BRIDGE_DEVFN;
		sim_init_bridge(inst->pci_bridge);
	}
	/* Only now the thread looks at them */
	smp_store_release(&inst->nr_eps, create->nr_endpoints);
	if (!create->nr_endpoints)
		return 0;

	inst->mem.name = "smmuv3_sim";
	inst->mem.end = inst->mem.start + SIM_WINDOW_SIZE - 1;
	inst->mem.flags = IORESOURCE_MEM | IORESOURCE_MEM_64;
	ret = request_resource(&sim_memory->resource[2], &inst->mem);
	if (ret)
		return ret;
	ret = -ENOMEM;
	bridge = pci_alloc_host_bridge(0);
	if (!bridge)
		goto release;
	inst->bus = (struct resource){
		.name = "smmuv3_sim",
		.end = !!inst->pci_bridge,
		.flags = IORESOURCE_BUS,
	};
	ret = pci_bus_find_emul_domain_nr(SIM_SEGMENT + inst->id, 1, U16_MAX);
	if (ret < 0)
		goto free;
	/* The release of the bridge gives the number back */
	bridge->domain_nr = ret;
	bridge->sysdata = &inst->cfgwin;
	bridge->ops = &sim_pci_ops;
	pci_add_resource(&bridge->windows, &inst->mem);
	pci_add_resource(&bridge->windows, &inst->bus);
	WRITE_ONCE(inst->bridge, bridge);
	return pci_host_probe(bridge);
free:
	pci_free_host_bridge(bridge);
release:
	release_resource(&inst->mem);
	return ret;
}

/**
 * sim_pci_remove() - Take the endpoints of an instance away
 * @inst: the instance; nothing happens if it has none
 */
void sim_pci_remove(struct sim_instance *inst)
{
	struct pci_host_bridge *bridge = inst->bridge;

	if (!bridge)
		return;
	if (bridge->bus) {
		pci_lock_rescan_remove();
		pci_stop_root_bus(bridge->bus);
		pci_remove_root_bus(bridge->bus);
		pci_unlock_rescan_remove();
	}
	pci_free_host_bridge(bridge);
	WRITE_ONCE(inst->bridge, NULL);
	release_resource(&inst->mem);
}
