// SPDX-License-Identifier: GPL-2.0-only
/*
 * One SMMU: its registers and queues, and the platform device that the driver
 * binds to. The registers are memory, so the thread looks at them again and again.
 */
#include <linux/acpi.h>
#include <linux/acpi_iort.h>
#include <linux/dma-map-ops.h>
#include <linux/irq.h>
#include <linux/ktime.h>
#include <linux/property.h>
#include <linux/slab.h>

#include "sim.h"

#define IDR0			0x00
#define IDR0_HTTU		GENMASK(7, 6)
#define IDR1			0x04
#define IDR3			0x0c
#define IDR5			0x14
#define IIDR			0x18
#define AIDR			0x1c
#define AIDR_V3_1		1
#define CR0			0x20
#define CR0_PRIQEN		BIT(1)
#define CR0_EVTQEN		BIT(2)
#define CR0_CMDQEN		BIT(3)
#define CR0ACK			0x24
#define GBPA			0x44
#define GBPA_UPDATE		BIT(31)
#define IRQ_CTRL		0x50
#define IRQ_CTRL_GERROR		BIT(0)
#define IRQ_CTRL_PRIQ		BIT(1)
#define IRQ_CTRL_EVTQ		BIT(2)
#define IRQ_CTRLACK		0x54
#define GERROR			0x60
#define GERROR_CMDQ_ERR		BIT(0)
#define GERRORN			0x64
#define CMDQ_BASE		0x90
#define CMDQ_PROD		0x98
#define CMDQ_CONS		0x9c
#define CMDQ_CONS_ERR		GENMASK(30, 24)
#define EVTQ_BASE		0xa0
#define EVTQ_PROD		(SIM_PAGE1 + 0xa8)
#define EVTQ_CONS		(SIM_PAGE1 + 0xac)
#define PRIQ_BASE		0xc0
#define PRIQ_PROD		(SIM_PAGE1 + 0xc8)
#define PRIQ_CONS		(SIM_PAGE1 + 0xcc)
#define Q_ADDR			GENMASK_ULL(51, 5)
#define Q_LOG2SIZE		GENMASK_ULL(4, 0)
#define Q_OVERFLOW		BIT(31)

#define F_BAD_ATS_TREQ		0x05
#define F_TRANSL_FORBIDDEN	0x07
#define F_WALK_EABT		0x0b

#define CMD_SYNC_CS		GENMASK_ULL(13, 12)
#define CMD_SYNC_CS_IRQ		1
#define CMD_SYNC_MSIDATA	GENMASK_ULL(63, 32)
#define CMD_SYNC_1_MSIADDR	GENMASK_ULL(51, 2)
#define CMD_PRI_1_GROUP		GENMASK_ULL(8, 0)
#define CMD_PRI_1_RESP		GENMASK_ULL(13, 12)

static void sim_irq(struct sim_instance *inst, enum sim_irq irq, u32 enable)
{
	if (readl(inst->regs + IRQ_CTRL) & enable)
		generic_handle_irq_safe(inst->irq[irq]);
}

static void sim_cerror(struct sim_instance *inst, u32 code)
{
	writel(inst->cons | FIELD_PREP(CMDQ_CONS_ERR, code), inst->regs + CMDQ_CONS);
	inst->gerror ^= GERROR_CMDQ_ERR;
	writel(inst->gerror, inst->regs + GERROR);
	sim_irq(inst, SIM_IRQ_GERROR, IRQ_CTRL_GERROR);
}

/* Write one record of @words words; false if the queue is off or full */
static bool sim_queue_write(struct sim_instance *inst, u32 base_reg, u32 prod_reg, u32 cons_reg,
			    const u64 *record, int words)
{
	u64 base = readq(inst->regs + base_reg);
	u32 log2size = FIELD_GET(Q_LOG2SIZE, base), size = BIT(log2size);
	u32 prod = readl(inst->regs + prod_reg), cons = readl(inst->regs + cons_reg);
	__le64 *slot;
	int i;

	if (((prod ^ cons) & (2 * size - 1)) == size) {
		/* Full: say so once, if the driver has acknowledged the last time */
		if (!((prod ^ cons) & Q_OVERFLOW))
			writel(prod ^ Q_OVERFLOW, inst->regs + prod_reg);
		return false;
	}
	slot = sim_phys((base & Q_ADDR) + 8ULL * words * (prod & (size - 1)), 8 * words);
	if (!slot)
		return false;
	for (i = 0; i < words; i++)
		slot[i] = cpu_to_le64(record[i]);
	/* The record is there before PROD says so */
	wmb();
	writel((prod & Q_OVERFLOW) | ((prod + 1) & (2 * size - 1)), inst->regs + prod_reg);
	return true;
}

/**
 * sim_instance_event() - Record a fault in the event queue
 * @inst: the instance
 * @fault: what happened
 * @access: to whom
 */
void sim_instance_event(struct sim_instance *inst, const struct smmuv3_sim_fault *fault,
			const struct sim_access *access)
{
	u64 record[4] = {};
	u64 class = 2;

	if (!fault->event || fault->event > 0xff || !(readl(inst->regs + CR0) & CR0_EVTQEN))
		return;
	if (fault->flags & SMMUV3_SIM_FAULT_CLASS_CD)
		class = 0;
	else if (fault->flags & SMMUV3_SIM_FAULT_CLASS_TT)
		class = 1;
	record[0] = fault->event | (u64)fault->sid << 32;
	if (fault->flags & SMMUV3_SIM_FAULT_SSV)
		record[0] |= BIT_ULL(11) | (u64)fault->ssid << 12;
	/* What is wrong with the configuration is no matter of the address */
	if (fault->event < F_WALK_EABT && fault->event != F_BAD_ATS_TREQ &&
	    fault->event != F_TRANSL_FORBIDDEN)
		goto write;
	record[1] = class << 40;
	if (access->flags & SMMUV3_SIM_DMA_PRIV)
		record[1] |= BIT_ULL(33);
	if (access->flags & SMMUV3_SIM_DMA_EXEC)
		record[1] |= BIT_ULL(34);
	if (fault->flags & SMMUV3_SIM_FAULT_READ)
		record[1] |= BIT_ULL(35);
	if (fault->flags & SMMUV3_SIM_FAULT_S2)
		record[1] |= BIT_ULL(39);
	record[2] = fault->iova;
	record[3] = fault->ipa & GENMASK_ULL(51, 12);
write:
	if (sim_queue_write(inst, EVTQ_BASE, EVTQ_PROD, EVTQ_CONS, record, 4))
		inst->events++;
	sim_irq(inst, SIM_IRQ_EVTQ, IRQ_CTRL_EVTQ);
}

/**
 * sim_instance_page_request() - An endpoint asks for a page
 * @ep: the endpoint
 * @req: what for
 *
 * Return: 0, -EPERM if the SMMU takes no requests, -ENOSPC if its queue is full.
 */
int sim_instance_page_request(struct sim_endpoint *ep, struct smmuv3_sim_page_request *req)
{
	struct sim_instance *inst = ep->inst;
	u64 record[2] = { ep->sid | BIT_ULL(60) | BIT_ULL(62) };

	req->out_response = ep->response;
	if (!(ep->flags & SMMUV3_SIM_EP_PRI) || !(readl(inst->regs + CR0) & CR0_PRIQEN))
		return -EPERM;
	if (req->flags & SMMUV3_SIM_DMA_PASID)
		record[0] |= BIT_ULL(63) | (u64)(req->pasid & 0xfffff) << 32;
	if (req->flags & SMMUV3_SIM_DMA_WRITE)
		record[0] |= BIT_ULL(61);
	record[1] = (req->group & 0x1ff) | (req->iova & GENMASK_ULL(63, 12));
	ep->group = req->group & 0x1ff;
	ep->response = U32_MAX;
	if (!sim_queue_write(inst, PRIQ_BASE, PRIQ_PROD, PRIQ_CONS, record, 2))
		return -ENOSPC;
	sim_irq(inst, SIM_IRQ_PRIQ, IRQ_CTRL_PRIQ);
	return 0;
}

static void sim_page_response(struct sim_instance *inst, const u64 *cmd)
{
	struct sim_endpoint *ep = sim_find_endpoint(inst, FIELD_GET(SIM_CMD_SID, cmd[0]));

	if (ep && ep->group == FIELD_GET(CMD_PRI_1_GROUP, cmd[1]))
		ep->response = FIELD_GET(CMD_PRI_1_RESP, cmd[1]);
}

/* CMD_SYNC is done: in that order, what it promises, then the promise */
static void sim_complete_sync(struct sim_instance *inst, const u64 *cmd)
{
	__le32 *msi;

	sim_cache_sync(inst);
	inst->syncs++;
	if (FIELD_GET(CMD_SYNC_CS, cmd[0]) == CMD_SYNC_CS_IRQ) {
		msi = sim_phys(cmd[1] & CMD_SYNC_1_MSIADDR, sizeof(*msi));
		if (!msi)
			return;
		/* Whoever sees the word sees what the CMD_SYNC promises */
		smp_store_release(msi, cpu_to_le32(FIELD_GET(CMD_SYNC_MSIDATA, cmd[0])));
	}
}

/**
 * sim_instance_command() - Execute one command
 * @inst: the instance
 * @cmd: the command
 *
 * Return: SIM_CERROR_*.
 */
u32 sim_instance_command(struct sim_instance *inst, const u64 *cmd)
{
	u8 op = FIELD_GET(SIM_CMD_OP, cmd[0]);
	u64 seq;

	if (op == SIM_CMD_SYNC && inst->atc_error) {
		/* The next CMD_SYNC is about the commands after this one */
		inst->atc_error = false;
		return SIM_CERROR_ATC_INV_SYNC;
	}
	if (inst->error_count && (inst->error_arg ? op == inst->error_arg : op != SIM_CMD_SYNC)) {
		inst->error_count--;
		if (inst->error == SMMUV3_SIM_ERROR_LOSE)
			return SIM_CERROR_NONE;
		return inst->error == SMMUV3_SIM_ERROR_ILL ? SIM_CERROR_ILL : SIM_CERROR_ABT;
	}
	seq = sim_oracle_log(inst, cmd);
	if (sim_oracle_check(inst, cmd, seq))
		return SIM_CERROR_ILL;
	inst->commands++;
	if (op == SIM_CMD_SYNC) {
		sim_complete_sync(inst, cmd);
	} else if (op == SIM_CMD_PRI_RESP) {
		sim_page_response(inst, cmd);
	} else {
		sim_oracle_doomed(seq, sim_cache_command(inst, cmd, seq));
		sim_oracle_pending(inst, cmd, seq);
	}
	return SIM_CERROR_NONE;
}

/* How long the command takes; a planned error comes at its end, too */
static u32 sim_command_time(struct sim_instance *inst, const u64 *cmd)
{
	if (FIELD_GET(SIM_CMD_OP, cmd[0]) == SIM_CMD_SYNC)
		return inst->latency_us;
	return inst->error == SMMUV3_SIM_ERROR_STEP ? inst->error_arg : 0;
}

static bool sim_cmdq_poll(struct sim_instance *inst)
{
	u64 base = readq(inst->regs + CMDQ_BASE), cmd[2];
	u32 log2size = FIELD_GET(Q_LOG2SIZE, base), size = BIT(log2size), wrap = 2 * size - 1;
	u32 prod = readl(inst->regs + CMDQ_PROD) & wrap, code, time;
	bool busy = false;
	__le64 *slot;

	if (!(readl(inst->regs + CR0) & CR0_CMDQEN)) {
		if (inst->cmdq_off && prod != inst->cons) {
			sim_oracle_violation(inst, SMMUV3_SIM_RULE_DEAD, SIM_NO_SEQ, NULL, prod);
			inst->cons = prod;
		}
		return false;
	}
	inst->cmdq_off = false;
	if (!inst->cmdq || inst->cmdq_base != base) {
		inst->cmdq = sim_phys(base & Q_ADDR, 16);
		inst->cmdq_base = base;
		inst->cons = readl(inst->regs + CMDQ_CONS) & wrap;
		inst->deadline = 0;
		if (!inst->cmdq)
			return false;
	}
	if (inst->stop_until) {
		if (ktime_before(ktime_get(), inst->stop_until))
			return false;
		inst->stop_until = 0;
	}
	/* After an error the queue stands still until the driver has seen it */
	if ((inst->gerror ^ readl(inst->regs + GERRORN)) & GERROR_CMDQ_ERR)
		return false;
	while (inst->cons != prod) {
		/* What PROD covers was written before PROD */
		rmb();
		slot = (__le64 *)inst->cmdq + 2 * (inst->cons & (size - 1));
		cmd[0] = le64_to_cpu(slot[0]);
		cmd[1] = le64_to_cpu(slot[1]);
		busy = true;
		time = sim_command_time(inst, cmd);
		if (time) {
			if (!inst->deadline)
				inst->deadline = ktime_add_us(ktime_get(), time);
			if (ktime_before(ktime_get(), inst->deadline))
				return true;
			inst->deadline = 0;
		}
		if (inst->atc_until && FIELD_GET(SIM_CMD_OP, cmd[0]) == SIM_CMD_SYNC) {
			if (ktime_before(ktime_get(), inst->atc_until))
				return true;
			inst->atc_until = 0;
		}
		inst->dead |= inst->removing && inst->cons == (inst->dead_at & wrap);
		code = sim_instance_command(inst, cmd);
		if (code) {
			sim_cerror(inst, code);
			return true;
		}
		inst->cons = (inst->cons + 1) & wrap;
		if (time || FIELD_GET(SIM_CMD_OP, cmd[0]) == SIM_CMD_SYNC) {
			/* All effects are visible before CONS says so */
			wmb();
			writel(inst->cons, inst->regs + CMDQ_CONS);
			sev();
		}
	}
	if (busy) {
		/* As above */
		wmb();
		writel(inst->cons, inst->regs + CMDQ_CONS);
	}
	return busy;
}

/**
 * sim_instance_poll() - Do what there is to do
 * @inst: the instance
 *
 * Return: whether there was anything.
 */
bool sim_instance_poll(struct sim_instance *inst)
{
	void __iomem *regs = inst->regs;
	u32 val, ack;
	bool busy;
	int i;

	val = readl(regs + CR0);
	ack = readl(regs + CR0ACK);
	if (val != ack) {
		if (ack & ~val & CR0_CMDQEN) {
			inst->cmdq_off = true;
			inst->cmdq = NULL;
			inst->cons = readl(regs + CMDQ_PROD);
		}
		writel(val, regs + CR0ACK);
	}
	val = readl(regs + IRQ_CTRL);
	if (val != readl(regs + IRQ_CTRLACK))
		writel(val, regs + IRQ_CTRLACK);
	val = readl(regs + GBPA);
	if (val & GBPA_UPDATE)
		writel(val & ~GBPA_UPDATE, regs + GBPA);
	busy = sim_cmdq_poll(inst);
	for (i = 0; i < inst->nr_eps; i++)
		busy |= sim_endpoint_poll(&inst->ep[i]);
	return busy;
}

static int sim_irq_map(struct irq_domain *domain, unsigned int virq, irq_hw_number_t hwirq)
{
	irq_set_chip_and_handler(virq, &dummy_irq_chip, handle_simple_irq);
	irq_set_noprobe(virq);
	return 0;
}

static const struct irq_domain_ops sim_irq_ops = {
	.map = sim_irq_map,
};

static int sim_add_irqs(struct sim_instance *inst)
{
	int i;

	inst->irq_fwnode = irq_domain_alloc_named_id_fwnode("smmuv3-sim", inst->id);
	if (!inst->irq_fwnode)
		return -ENOMEM;
	inst->irq_domain = irq_domain_create_linear(inst->irq_fwnode, ARRAY_SIZE(inst->irq),
						    &sim_irq_ops, inst);
	if (!inst->irq_domain)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(inst->irq); i++) {
		inst->irq[i] = irq_create_mapping(inst->irq_domain, i);
		if (!inst->irq[i])
			return -ENOMEM;
	}
	return 0;
}

static void sim_remove_irqs(struct sim_instance *inst)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(inst->irq); i++)
		if (inst->irq[i])
			irq_dispose_mapping(inst->irq[i]);
	if (inst->irq_domain)
		irq_domain_remove(inst->irq_domain);
	if (inst->irq_fwnode)
		irq_domain_free_fwnode(inst->irq_fwnode);
}

/* The driver takes its ACPI path: it wants the IORT node, and looks only there */
static int sim_add_pdev(struct sim_instance *inst)
{
	struct acpi_iort_smmu_v3 *iort;
	struct resource res[] = {
		DEFINE_RES_MEM(inst->base, SIM_REGS_SIZE),
		DEFINE_RES_IRQ_NAMED(inst->irq[SIM_IRQ_EVTQ], "eventq"),
		DEFINE_RES_IRQ_NAMED(inst->irq[SIM_IRQ_GERROR], "gerror"),
		DEFINE_RES_IRQ_NAMED(inst->irq[SIM_IRQ_PRIQ], "priq"),
	};
	struct platform_device *pdev;
	int ret;

	inst->node = kzalloc(sizeof(*inst->node) + sizeof(*iort), GFP_KERNEL);
	if (!inst->node)
		return -ENOMEM;
	iort = (void *)inst->node->node_data;
	iort->flags = FIELD_PREP(ACPI_IORT_SMMU_V3_HTTU_OVERRIDE,
				 FIELD_GET(IDR0_HTTU, inst->idr0));
	if (!(inst->flags & SMMUV3_SIM_NOT_COHERENT))
		iort->flags |= ACPI_IORT_SMMU_V3_COHACC_OVERRIDE;

	/* 77: past the numbers that IORT's own SMMUs have */
	pdev = platform_device_alloc("arm-smmu-v3", 77 + inst->id);
	if (!pdev)
		return -ENOMEM;
	device_set_node(&pdev->dev, fwnode_handle_get(inst->fwnode));
	pdev->dev.dma_mask = &pdev->platform_dma_mask;
	pdev->platform_dma_mask = DMA_BIT_MASK(32);
	pdev->dev.coherent_dma_mask = DMA_BIT_MASK(32);
	if (!(inst->flags & SMMUV3_SIM_NOT_COHERENT))
		dev_set_dma_coherent(&pdev->dev);
	ret = platform_device_add_resources(pdev, res, ARRAY_SIZE(res));
	if (!ret)
		ret = platform_device_add_data(pdev, &inst->node, sizeof(inst->node));
	if (!ret)
		ret = platform_device_add(pdev);
	if (ret) {
		platform_device_put(pdev);
		return ret;
	}
	inst->pdev = pdev;
	return 0;
}

static int sim_list_add(void *arg)
{
	struct sim_instance *inst = arg;

	list_add_tail(&inst->list, &sim_instances);
	return 0;
}

static int sim_list_del(void *arg)
{
	struct sim_instance *inst = arg;

	list_del_init(&inst->list);
	return 0;
}

static int sim_begin_remove(void *arg)
{
	struct sim_instance *inst = arg;

	inst->removing = !inst->bridge;
	/*
	 * A command without a CMD_SYNC, like CMD_PREFETCH_CONFIG, may still be in the queue
	 * when CMDQEN and SMMUEN become 0: it is not fetched any more, or touches nothing
	 * (IHI0070 6.3.9.3 and 6.3.9.6)
	 */
	inst->dead_at = readl(inst->regs + CMDQ_PROD);
	return 0;
}

/**
 * sim_instance_remove() - Take an SMMU and its endpoints away
 * @inst: the instance, gone afterwards
 * @smmu_first: the SMMU before its endpoints
 */
void sim_instance_remove(struct sim_instance *inst, bool smmu_first)
{
	int i;

	if (!smmu_first)
		sim_pci_remove(inst);
	if (inst->pdev) {
		sim_run(sim_begin_remove, inst);
		get_device(&inst->pdev->dev);
		platform_device_unregister(inst->pdev);
		/* A domain may hold the device for longer than its node lives */
		device_set_node(&inst->pdev->dev, NULL);
		fwnode_handle_put(inst->fwnode);
		put_device(&inst->pdev->dev);
	}
	sim_pci_remove(inst);
	if (!list_empty(&inst->list))
		sim_run(sim_list_del, inst);
	/* From here on the thread does not know it */
	sim_cache_sync(inst);
	sim_config_flush(inst);
	sim_cache_free(&inst->tlb);
	for (i = 0; inst->ep && i <= SMMUV3_SIM_MAX_ENDPOINTS; i++) {
		sim_cache_free(&inst->ep[i].atc);
		kfree(inst->ep[i].buffer);
	}
	kfree(inst->ep);
	sim_remove_irqs(inst);
	if (inst->fwnode)
		fwnode_remove_software_node(inst->fwnode);
	if (inst->window)
		iounmap(inst->window);
	if (inst->regs)
		iounmap(inst->regs);
	kfree(inst->node);
	kfree(inst);
}

static void sim_reset_regs(struct sim_instance *inst, const struct smmuv3_sim_create *create)
{
	memset_io(inst->regs, 0, SIM_REGS_SIZE);
	memset_io(inst->window, 0, SIM_WINDOW_SIZE);
	writel(create->idr0, inst->regs + IDR0);
	writel(create->idr1, inst->regs + IDR1);
	writel(create->idr3, inst->regs + IDR3);
	writel(create->idr5, inst->regs + IDR5);
	writel(create->iidr, inst->regs + IIDR);
	writel(AIDR_V3_1, inst->regs + AIDR);
}

static int sim_instance_init(struct sim_instance *inst, const struct smmuv3_sim_create *create)
{
	struct fwnode_handle *fwnode;
	int ret;

	inst->regs = ioremap(inst->base, SIM_REGS_SIZE);
	inst->window = ioremap(inst->mem.start, SIM_WINDOW_SIZE);
	if (!inst->regs || !inst->window)
		return -ENOMEM;
	sim_reset_regs(inst, create);
	ret = sim_cache_init(&inst->tlb);
	if (ret)
		return ret;
	/* One more for a bridge */
	inst->ep = kcalloc(SMMUV3_SIM_MAX_ENDPOINTS + 1, sizeof(*inst->ep), GFP_KERNEL);
	if (!inst->ep)
		return -ENOMEM;
	fwnode = fwnode_create_software_node(NULL, NULL);
	if (IS_ERR(fwnode))
		return PTR_ERR(fwnode);
	inst->fwnode = fwnode;
	ret = sim_add_irqs(inst);
	if (ret)
		return ret;
	sim_run(sim_list_add, inst);
	ret = sim_add_pdev(inst);
	if (ret || !inst->pdev->dev.driver)
		return ret;
	return sim_pci_add(inst, create);
}

/**
 * sim_instance_create() - Add an SMMU with its endpoints
 * @id: its number
 * @create: what it is like
 *
 * Return: the instance, whether the driver has bound to it or not, or an error.
 */
struct sim_instance *sim_instance_create(unsigned int id, const struct smmuv3_sim_create *create)
{
	phys_addr_t memory = pci_resource_start(sim_memory, 2);
	struct sim_instance *inst = kzalloc(sizeof(*inst), GFP_KERNEL);
	int ret;

	if (!inst)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&inst->list);
	INIT_LIST_HEAD(&inst->config);
	INIT_LIST_HEAD(&inst->doomed);
	INIT_LIST_HEAD(&inst->tlb.all);
	inst->id = id;
	inst->flags = create->flags;
	inst->idr0 = create->idr0;
	inst->idr1 = create->idr1;
	inst->idr3 = create->idr3;
	inst->idr5 = create->idr5;
	inst->latency_us = create->sync_latency_us;
	inst->base = memory + id * SIM_REGS_SIZE;
	inst->mem.start = memory + SIM_WINDOWS + id * SIM_WINDOW_SIZE;
	ret = sim_instance_init(inst, create);
	if (ret) {
		sim_instance_remove(inst, false);
		return ERR_PTR(ret);
	}
	return inst;
}
