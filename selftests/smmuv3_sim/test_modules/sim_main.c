// SPDX-License-Identifier: GPL-2.0-only
/*
 * smmuv3_sim: an SMMUv3 with PCIe endpoints that does not exist, driven by the
 * unmodified arm-smmu-v3 driver. Needs memory that looks like MMIO, for the
 * registers: QEMU's ivshmem-plain with 16 MiB. See README.md.
 */
#include <linux/cpumask.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "sim.h"

/*
 * How long the thread looks again at once after there was something to do, and how
 * long its customers do before they sleep. In emulation an idle CPU is slow to come
 * back.
 */
#define SIM_SPIN_US	2000
#define SIM_NAP_US	20

static int cpu = -1;
module_param(cpu, int, 0444);
MODULE_PARM_DESC(cpu, "CPU of the hardware thread, which nobody else should use (default: the last)");

/* Of the thread: the instances that it serves */
LIST_HEAD(sim_instances);
struct pci_dev *sim_memory;

struct sim_request {
	int (*fn)(void *arg);
	void *arg;
	int ret;
};

/* Of the ioctls; held while an instance comes or goes */
static DEFINE_MUTEX(sim_mutex);

static struct task_struct *sim_thread;
/* It sleeps, or is about to */
static bool sim_thread_naps;
/* What it is asked for; sim_mutex keeps it to one at a time */
static struct sim_request *sim_request;
static DECLARE_WAIT_QUEUE_HEAD(sim_request_done);
/* The bytes of a DMA by ioctl */
static void *sim_dma_buffer;
static struct sim_instance *sim_instance_by_id[SMMUV3_SIM_MAX_INSTANCES];
static bool sim_opened;
static struct work_struct sim_cleanup;
static struct workqueue_struct *sim_workqueue;

/* An address space given to an endpoint */
struct sim_sva {
	struct list_head list;
	u32 id;
	u32 endpoint;
	u32 pasid;
	struct iommu_sva *handle;
};

static LIST_HEAD(sim_svas);

/**
 * sim_run() - Have the hardware thread do something
 * @fn: what
 * @arg: its argument
 *
 * Return: what @fn returns.
 */
int sim_run(int (*fn)(void *arg), void *arg)
{
	struct sim_request request = { .fn = fn, .arg = arg };
	ktime_t end = ktime_add_us(ktime_get(), SIM_SPIN_US);

	lockdep_assert_held(&sim_mutex);
	/* The thread sees what is in it */
	smp_store_release(&sim_request, &request);
	/* Pairs with the one in sim_nap(): it sees the request, or we see the nap */
	smp_mb();
	if (READ_ONCE(sim_thread_naps))
		wake_up_process(sim_thread);
	while (READ_ONCE(sim_request)) {
		if (ktime_after(ktime_get(), end)) {
			wait_event(sim_request_done, !READ_ONCE(sim_request));
			break;
		}
		cpu_relax();
	}
	/* All that the function has done is there; pairs with sim_serve_request() */
	smp_rmb();
	return request.ret;
}

static bool sim_serve_request(void)
{
	/* Pairs with the release in sim_run() */
	struct sim_request *request = smp_load_acquire(&sim_request);

	if (!request)
		return false;
	request->ret = request->fn(request->arg);
	/* Pairs with the read barrier in sim_run() */
	smp_store_release(&sim_request, NULL);
	if (wq_has_sleeper(&sim_request_done))
		wake_up(&sim_request_done);
	return true;
}

static void sim_nap(void)
{
	ktime_t nap = us_to_ktime(SIM_NAP_US);

	set_current_state(TASK_IDLE);
	WRITE_ONCE(sim_thread_naps, true);
	/* Pairs with the one in sim_run() */
	smp_mb();
	if (!kthread_should_stop() && !READ_ONCE(sim_request))
		schedule_hrtimeout(&nap, HRTIMER_MODE_REL);
	WRITE_ONCE(sim_thread_naps, false);
	__set_current_state(TASK_RUNNING);
}

/**
 * sim_find_endpoint() - Who has a StreamID
 * @inst: the instance
 * @sid: StreamID
 *
 * Return: the endpoint or NULL.
 */
struct sim_endpoint *sim_find_endpoint(struct sim_instance *inst, u32 sid)
{
	unsigned int i;

	for (i = 0; i < inst->nr_eps; i++)
		if (inst->ep[i].sid == sid)
			return &inst->ep[i];
	return NULL;
}

static int sim_hardware(void *unused)
{
	struct sim_instance *inst;
	ktime_t now, awake = 0;
	bool busy;

	while (!kthread_should_stop()) {
		busy = sim_serve_request();
		list_for_each_entry(inst, &sim_instances, list)
			busy |= sim_instance_poll(inst);
		now = ktime_get();
		if (busy)
			awake = ktime_add_us(now, SIM_SPIN_US);
		else if (ktime_after(now, awake))
			sim_nap();
		cond_resched();
	}
	return 0;
}

static struct sim_instance *sim_get_instance(u32 id)
{
	if (id >= SMMUV3_SIM_MAX_INSTANCES)
		return NULL;
	return sim_instance_by_id[id];
}

static struct sim_endpoint *sim_get_endpoint(u32 id, u32 endpoint)
{
	struct sim_instance *inst = sim_get_instance(id);

	if (!inst || endpoint >= inst->nr_eps)
		return NULL;
	return &inst->ep[endpoint];
}

static void sim_unbind(struct sim_sva *sva)
{
	iommu_sva_unbind_device(sva->handle);
	list_del(&sva->list);
	kfree(sva);
}

static void sim_remove(u32 id, bool smmu_first)
{
	struct sim_instance *inst = sim_instance_by_id[id];
	struct sim_sva *sva, *tmp;

	list_for_each_entry_safe(sva, tmp, &sim_svas, list)
		if (sva->id == id)
			sim_unbind(sva);
	sim_instance_by_id[id] = NULL;
	sim_instance_remove(inst, smmu_first);
}

static int sim_do_reset(void *unused)
{
	sim_oracle_reset();
	return 0;
}

/*
 * Not in the release of the file: a program that dies has its files closed one
 * after the other, and who still has an endpoint open may come after us.
 */
static void sim_do_cleanup(struct work_struct *work)
{
	u32 id;

	mutex_lock(&sim_mutex);
	for (id = 0; id < SMMUV3_SIM_MAX_INSTANCES; id++)
		if (sim_instance_by_id[id])
			sim_remove(id, false);
	sim_run(sim_do_reset, NULL);
	sim_opened = false;
	mutex_unlock(&sim_mutex);
}

static int sim_open(struct inode *inode, struct file *file)
{
	int ret = 0;

	flush_work(&sim_cleanup);
	mutex_lock(&sim_mutex);
	if (sim_opened)
		ret = -EBUSY;
	else
		sim_opened = true;
	mutex_unlock(&sim_mutex);
	return ret;
}

static struct page *sim_page;
static bool sim_page_blocks;
static atomic_t sim_page_waiting = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(sim_page_wait);

static void sim_page_set(bool blocks)
{
	WRITE_ONCE(sim_page_blocks, blocks);
	wake_up_all(&sim_page_wait);
}

static long sim_ioctl_page(struct smmuv3_sim_page *page)
{
	if (page->blocks > SMMUV3_SIM_PAGE_AS_IT_IS)
		return -EINVAL;
	if (page->blocks != SMMUV3_SIM_PAGE_AS_IT_IS)
		sim_page_set(page->blocks == SMMUV3_SIM_PAGE_BLOCKS);
	page->out_waiting = atomic_read(&sim_page_waiting);
	return 0;
}

static vm_fault_t sim_page_fault(struct vm_fault *vmf)
{
	get_page(sim_page);
	vmf->page = sim_page;
	return 0;
}

static vm_fault_t sim_page_mkwrite(struct vm_fault *vmf)
{
	int ret;

	atomic_inc(&sim_page_waiting);
	ret = wait_event_killable(sim_page_wait, !READ_ONCE(sim_page_blocks));
	atomic_dec(&sim_page_waiting);
	if (ret)
		return VM_FAULT_SIGBUS;
	lock_page(vmf->page);
	return VM_FAULT_LOCKED;
}

static const struct vm_operations_struct sim_page_ops = {
	.fault = sim_page_fault,
	.page_mkwrite = sim_page_mkwrite,
};

static int sim_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma_pages(vma) != 1 || vma->vm_pgoff || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	vm_flags_set(vma, VM_DONTEXPAND);
	vma->vm_ops = &sim_page_ops;
	return 0;
}

static int sim_release(struct inode *inode, struct file *file)
{
	sim_page_set(false);
	/* Off the CPU of the hardware thread: it will wait for CMD_SYNCs */
	queue_work_on(cpumask_any_but(cpu_online_mask, cpu), sim_workqueue, &sim_cleanup);
	return 0;
}

static long sim_ioctl_create(struct smmuv3_sim_create *create)
{
	unsigned int i, id, eps = create->nr_endpoints;
	const u32 flags = SMMUV3_SIM_EP_ATS | SMMUV3_SIM_EP_PASID | SMMUV3_SIM_EP_PRI |
			  SMMUV3_SIM_EP_NO_CANWBS | SMMUV3_SIM_EP_TWO_STREAMS |
			  SMMUV3_SIM_EP_STREAM_TWICE | SMMUV3_SIM_EP_FLR |
			  SMMUV3_SIM_EP_IDENTITY | SMMUV3_SIM_EP_FUNCTION |
			  SMMUV3_SIM_EP_BRIDGED | SMMUV3_SIM_EP_ALIAS | SMMUV3_SIM_EP_ACS;
	const u32 express = SMMUV3_SIM_EP_ATS | SMMUV3_SIM_EP_PASID | SMMUV3_SIM_EP_PRI |
			    SMMUV3_SIM_EP_FLR | SMMUV3_SIM_EP_FUNCTION;
	struct sim_instance *inst;

	if (create->reserved || create->flags & ~SMMUV3_SIM_NOT_COHERENT)
		return -EINVAL;
	if (eps > SMMUV3_SIM_MAX_ENDPOINTS)
		return -ENOSPC;
	for (i = 0; i < eps; i++)
		if (create->ep_flags[i] & ~flags ||
		    (create->ep_flags[i] & SMMUV3_SIM_EP_BRIDGED &&
		     create->ep_flags[i] & express))
			return -EINVAL;
	for (id = 0; id < SMMUV3_SIM_MAX_INSTANCES; id++)
		if (sim_instance_by_id[id])
			eps += sim_instance_by_id[id]->nr_eps;
	for (id = 0; id < SMMUV3_SIM_MAX_INSTANCES; id++)
		if (!sim_instance_by_id[id])
			break;
	if (id == SMMUV3_SIM_MAX_INSTANCES || eps > SMMUV3_SIM_MAX_ALL_ENDPOINTS)
		return -ENOSPC;
	inst = sim_instance_create(id, create);
	if (IS_ERR(inst))
		return PTR_ERR(inst);
	sim_instance_by_id[id] = inst;
	create->out_id = id;
	create->out_bound = !!inst->pdev->dev.driver;
	create->out_segment = inst->bridge ? pci_domain_nr(inst->bridge->bus) : 0;
	for (i = 0; i < inst->nr_eps; i++) {
		create->out_sid[i] = inst->ep[i].sid;
		create->out_rid[i] = inst->ep[i].rid;
	}
	return 0;
}

static long sim_ioctl_remove(struct smmuv3_sim_remove *remove)
{
	if (remove->flags & ~SMMUV3_SIM_REMOVE_SMMU_FIRST)
		return -EINVAL;
	if (!sim_get_instance(remove->id))
		return -ENODEV;
	sim_remove(remove->id, remove->flags & SMMUV3_SIM_REMOVE_SMMU_FIRST);
	return 0;
}

static int sim_do_set(void *arg)
{
	struct smmuv3_sim_set *set = arg;
	struct sim_instance *inst = sim_get_instance(set->id);
	struct sim_endpoint *ep;
	unsigned int i;

	set->out_left = inst->error_count;
	for (i = 0; i < inst->nr_eps; i++) {
		set->out_left += inst->ep[i].deaf;
		inst->ep[i].deaf = 0;
		inst->ep[i].late_us = 0;
	}
	inst->latency_us = set->sync_latency_us;
	inst->error = set->error;
	inst->error_arg = set->arg;
	inst->error_count = 0;
	inst->stop_until = 0;
	inst->atc_until = 0;
	if (set->error == SMMUV3_SIM_ERROR_ATC || set->error == SMMUV3_SIM_ERROR_ATC_LATE) {
		ep = sim_get_endpoint(set->id, set->arg);
		if (!ep)
			return -ENODEV;
		if (set->error == SMMUV3_SIM_ERROR_ATC)
			ep->deaf = set->count;
		else
			ep->late_us = set->count;
	} else if (set->error == SMMUV3_SIM_ERROR_STOP) {
		inst->stop_until = set->arg ? ktime_add_us(ktime_get(), set->arg) : KTIME_MAX;
	} else if (set->error == SMMUV3_SIM_ERROR_ILL || set->error == SMMUV3_SIM_ERROR_ABT ||
		   set->error == SMMUV3_SIM_ERROR_LOSE) {
		inst->error_count = set->count;
	}
	return 0;
}

static long sim_ioctl_set(struct smmuv3_sim_set *set)
{
	if (!sim_get_instance(set->id))
		return -ENODEV;
	if (set->error > SMMUV3_SIM_ERROR_ATC_LATE || set->sync_latency_us > 10 * USEC_PER_SEC)
		return -EINVAL;
	return sim_run(sim_do_set, set);
}

struct sim_dma_request {
	struct smmuv3_sim_dma *dma;
	void *data;
};

static int sim_do_dma(void *arg)
{
	struct sim_dma_request *request = arg;

	return sim_endpoint_dma(sim_get_endpoint(request->dma->id, request->dma->endpoint),
				request->dma, request->data);
}

static long sim_ioctl_dma(struct smmuv3_sim_dma *dma)
{
	struct sim_dma_request request = { .dma = dma, .data = sim_dma_buffer };
	void __user *user = u64_to_user_ptr(dma->data);
	bool write = dma->flags & SMMUV3_SIM_DMA_WRITE;
	int ret;

	if (!sim_get_endpoint(dma->id, dma->endpoint))
		return -ENODEV;
	if (dma->flags >= SMMUV3_SIM_DMA_TRANSLATED << 1 || dma->pasid >> 20 || !dma->length ||
	    dma->length > SMMUV3_SIM_MAX_DMA)
		return -EINVAL;
	if (write && !(dma->flags & SMMUV3_SIM_DMA_ATS_ONLY) &&
	    copy_from_user(request.data, user, dma->length))
		return -EFAULT;
	ret = sim_run(sim_do_dma, &request);
	if (!ret && !write && !(dma->flags & SMMUV3_SIM_DMA_ATS_ONLY) &&
	    copy_to_user(user, request.data, dma->out_done))
		return -EFAULT;
	return ret;
}

static int sim_do_last_fault(void *arg)
{
	struct smmuv3_sim_last_fault *last = arg;

	last->fault = sim_get_endpoint(last->id, last->endpoint)->fault;
	return 0;
}

static long sim_ioctl_last_fault(struct smmuv3_sim_last_fault *last)
{
	if (!sim_get_endpoint(last->id, last->endpoint))
		return -ENODEV;
	return sim_run(sim_do_last_fault, last);
}

struct sim_audit_request {
	struct smmuv3_sim_audit *audit;
	struct smmuv3_sim_stale *stale;
	u32 room;
};

static int sim_do_audit(void *arg)
{
	struct sim_audit_request *request = arg;

	return sim_oracle_audit(request->stale, request->room, request->audit);
}

static long sim_ioctl_audit(struct smmuv3_sim_audit *audit)
{
	struct sim_audit_request request = { .audit = audit, .room = audit->nr };
	long ret;

	if (audit->reserved || audit->nr > SMMUV3_SIM_MAX_ENTRIES)
		return -EINVAL;
	request.stale = kvcalloc(request.room, sizeof(*request.stale), GFP_KERNEL);
	if (request.room && !request.stale)
		return -ENOMEM;
	ret = sim_run(sim_do_audit, &request);
	if (!ret && copy_to_user(u64_to_user_ptr(audit->stale), request.stale,
				 min(request.room, audit->nr) * sizeof(*request.stale)))
		ret = -EFAULT;
	kvfree(request.stale);
	return ret;
}

struct sim_log_request {
	struct smmuv3_sim_log *log;
	struct smmuv3_sim_command *commands;
	u32 room;
};

static int sim_do_log(void *arg)
{
	struct sim_log_request *request = arg;

	return sim_oracle_read_log(request->log, request->commands, request->room);
}

static long sim_ioctl_log(struct smmuv3_sim_log *log)
{
	struct sim_log_request request = { .log = log, .room = log->nr };
	long ret;

	if (log->reserved || log->nr > SMMUV3_SIM_MAX_LOG)
		return -EINVAL;
	request.commands = kvcalloc(request.room, sizeof(*request.commands), GFP_KERNEL);
	if (request.room && !request.commands)
		return -ENOMEM;
	ret = sim_run(sim_do_log, &request);
	if (!ret && copy_to_user(u64_to_user_ptr(log->commands), request.commands,
				 log->nr * sizeof(*request.commands)))
		ret = -EFAULT;
	kvfree(request.commands);
	return ret;
}

static int sim_do_violations(void *arg)
{
	struct smmuv3_sim_violation *buffer = arg;

	return sim_oracle_read_violations(buffer, SMMUV3_SIM_MAX_VIOLATIONS);
}

static long sim_ioctl_violations(struct smmuv3_sim_violations *violations)
{
	struct smmuv3_sim_violation *buffer;
	u32 room = min_t(u32, violations->nr, SMMUV3_SIM_MAX_VIOLATIONS);
	long ret = 0;

	if (violations->reserved)
		return -EINVAL;
	buffer = kvcalloc(SMMUV3_SIM_MAX_VIOLATIONS, sizeof(*buffer), GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	violations->nr = sim_run(sim_do_violations, buffer);
	if (copy_to_user(u64_to_user_ptr(violations->violations), buffer,
			 min(room, violations->nr) * sizeof(*buffer)))
		ret = -EFAULT;
	kvfree(buffer);
	return ret;
}

static int sim_do_raw(void *arg)
{
	struct smmuv3_sim_raw *raw = arg;
	struct sim_instance *inst = sim_get_instance(raw->id);

	inst->dead = raw->flags & SMMUV3_SIM_RAW_REMOVING;
	raw->out_cerror = sim_instance_command(inst, raw->data);
	inst->dead = false;
	return 0;
}

static long sim_ioctl_raw(struct smmuv3_sim_raw *raw)
{
	if (raw->reserved || raw->flags & ~SMMUV3_SIM_RAW_REMOVING)
		return -EINVAL;
	if (!sim_get_instance(raw->id))
		return -ENODEV;
	return sim_run(sim_do_raw, raw);
}

static int sim_do_detached(void *arg)
{
	struct smmuv3_sim_endpoint *endpoint = arg;

	sim_get_endpoint(endpoint->id, endpoint->endpoint)->detached = true;
	return 0;
}

static int sim_do_attaching(void *arg)
{
	struct smmuv3_sim_endpoint *endpoint = arg;

	sim_get_endpoint(endpoint->id, endpoint->endpoint)->detached = false;
	return 0;
}

static long sim_ioctl_endpoint(struct smmuv3_sim_endpoint *endpoint, int (*fn)(void *arg))
{
	if (!sim_get_endpoint(endpoint->id, endpoint->endpoint))
		return -ENODEV;
	return sim_run(fn, endpoint);
}

static int sim_do_presence(void *arg)
{
	struct smmuv3_sim_presence *presence = arg;
	struct sim_endpoint *ep = sim_get_endpoint(presence->id, presence->endpoint);

	if (presence->present && ep->gone)
		sim_pci_reset(ep);
	WRITE_ONCE(ep->gone, !presence->present);
	return 0;
}

static long sim_ioctl_presence(struct smmuv3_sim_presence *presence)
{
	if (presence->reserved || presence->present > 1)
		return -EINVAL;
	if (!sim_get_endpoint(presence->id, presence->endpoint))
		return -ENODEV;
	return sim_run(sim_do_presence, presence);
}

static struct pci_dev *sim_endpoint_pdev(const struct smmuv3_sim_endpoint *endpoint)
{
	struct sim_instance *inst = sim_get_instance(endpoint->id);

	if (!inst || !inst->bridge || endpoint->endpoint >= inst->nr_eps)
		return NULL;
	return pci_get_domain_bus_and_slot(pci_domain_nr(inst->bridge->bus),
					   inst->ep[endpoint->endpoint].rid >> 8,
					   inst->ep[endpoint->endpoint].rid & 0xff);
}

static long sim_ioctl_sva_bind(struct smmuv3_sim_endpoint *endpoint)
{
	struct pci_dev *pdev = sim_endpoint_pdev(endpoint);
	struct sim_sva *sva;
	long ret = 0;

	if (!pdev)
		return -ENODEV;
	sva = kzalloc_obj(*sva);
	if (!sva) {
		ret = -ENOMEM;
		goto put;
	}
	sva->handle = iommu_sva_bind_device(&pdev->dev, current->mm);
	if (IS_ERR(sva->handle)) {
		ret = PTR_ERR(sva->handle);
		kfree(sva);
		goto put;
	}
	sva->id = endpoint->id;
	sva->endpoint = endpoint->endpoint;
	sva->pasid = iommu_sva_get_pasid(sva->handle);
	endpoint->pasid = sva->pasid;
	list_add(&sva->list, &sim_svas);
put:
	pci_dev_put(pdev);
	return ret;
}

static long sim_ioctl_sva_unbind(struct smmuv3_sim_endpoint *endpoint)
{
	struct sim_sva *sva;

	list_for_each_entry(sva, &sim_svas, list) {
		if (sva->id == endpoint->id && sva->endpoint == endpoint->endpoint &&
		    sva->pasid == endpoint->pasid) {
			sim_unbind(sva);
			return 0;
		}
	}
	return -ENODEV;
}

static int sim_do_stats(void *arg)
{
	struct smmuv3_sim_stats *stats = arg;
	struct sim_instance *inst = sim_get_instance(stats->id);
	struct sim_config *config;
	struct sim_entry *entry;
	unsigned int i;

	memset(stats->cached, 0, sizeof(stats->cached));
	list_for_each_entry(config, &inst->config, list)
		stats->cached[config->kind]++;
	list_for_each_entry(entry, &inst->tlb.all, list)
		stats->cached[entry->kind]++;
	list_for_each_entry(entry, &inst->doomed, list)
		stats->cached[entry->kind]++;
	stats->dropped = inst->tlb.dropped;
	for (i = 0; i < inst->nr_eps; i++) {
		list_for_each_entry(entry, &inst->ep[i].atc.all, list)
			stats->cached[entry->kind]++;
		stats->dropped += inst->ep[i].atc.dropped;
	}
	stats->commands = inst->commands;
	stats->syncs = inst->syncs;
	stats->events = inst->events;
	return 0;
}

static long sim_ioctl_stats(struct smmuv3_sim_stats *stats)
{
	if (stats->reserved)
		return -EINVAL;
	if (!sim_get_instance(stats->id))
		return -ENODEV;
	return sim_run(sim_do_stats, stats);
}

static int sim_do_page_request(void *arg)
{
	struct smmuv3_sim_page_request *request = arg;

	return sim_instance_page_request(sim_get_endpoint(request->id, request->endpoint), request);
}

static long sim_ioctl_page_request(struct smmuv3_sim_page_request *request)
{
	if (!sim_get_endpoint(request->id, request->endpoint))
		return -ENODEV;
	return sim_run(sim_do_page_request, request);
}

static int sim_do_poke(void *arg)
{
	struct smmuv3_sim_poke *poke = arg;
	struct sim_endpoint *ep = sim_get_endpoint(poke->id, poke->endpoint);

	return sim_poke(ep->inst, ep->sid, poke);
}

static long sim_ioctl_poke(struct smmuv3_sim_poke *poke)
{
	if (poke->reserved || poke->flags & ~SMMUV3_SIM_POKE_CD || poke->word > 7)
		return -EINVAL;
	if (!sim_get_endpoint(poke->id, poke->endpoint))
		return -ENODEV;
	return sim_run(sim_do_poke, poke);
}

static const struct mmu_notifier_ops sim_notifier_ops = {};

static long sim_ioctl_notifier(void)
{
	struct mmu_notifier notifier = { .ops = &sim_notifier_ops };
	long ret = mmu_notifier_register(&notifier, current->mm);

	if (!ret)
		mmu_notifier_unregister(&notifier, current->mm);
	return ret;
}

static long sim_ioctl(struct file *file, unsigned int cmd, unsigned long uptr)
{
	union {
		struct smmuv3_sim_create create;
		struct smmuv3_sim_remove remove;
		struct smmuv3_sim_set set;
		struct smmuv3_sim_dma dma;
		struct smmuv3_sim_last_fault last_fault;
		struct smmuv3_sim_audit audit;
		struct smmuv3_sim_log log;
		struct smmuv3_sim_violations violations;
		struct smmuv3_sim_raw raw;
		struct smmuv3_sim_endpoint endpoint;
		struct smmuv3_sim_stats stats;
		struct smmuv3_sim_page_request page_request;
		struct smmuv3_sim_poke poke;
		struct smmuv3_sim_page page;
		struct smmuv3_sim_presence presence;
	} arg;
	void __user *user = (void __user *)uptr;
	long ret;

	/* Nothing of ours, and it may take long */
	if (cmd == SMMUV3_SIM_NOTIFIER)
		return sim_ioctl_notifier();
	if (_IOC_TYPE(cmd) != SMMUV3_SIM_IOC || _IOC_SIZE(cmd) > sizeof(arg))
		return -ENOTTY;
	if (copy_from_user(&arg, user, _IOC_SIZE(cmd)))
		return -EFAULT;
	mutex_lock(&sim_mutex);
	switch (cmd) {
	case SMMUV3_SIM_CREATE:
		ret = sim_ioctl_create(&arg.create);
		break;
	case SMMUV3_SIM_REMOVE:
		ret = sim_ioctl_remove(&arg.remove);
		break;
	case SMMUV3_SIM_SET:
		ret = sim_ioctl_set(&arg.set);
		break;
	case SMMUV3_SIM_DMA:
		ret = sim_ioctl_dma(&arg.dma);
		break;
	case SMMUV3_SIM_LAST_FAULT:
		ret = sim_ioctl_last_fault(&arg.last_fault);
		break;
	case SMMUV3_SIM_AUDIT:
		ret = sim_ioctl_audit(&arg.audit);
		break;
	case SMMUV3_SIM_LOG:
		ret = sim_ioctl_log(&arg.log);
		break;
	case SMMUV3_SIM_VIOLATIONS:
		ret = sim_ioctl_violations(&arg.violations);
		break;
	case SMMUV3_SIM_PAGE:
		ret = sim_ioctl_page(&arg.page);
		break;
	case SMMUV3_SIM_RAW:
		ret = sim_ioctl_raw(&arg.raw);
		break;
	case SMMUV3_SIM_DETACHED:
		ret = sim_ioctl_endpoint(&arg.endpoint, sim_do_detached);
		break;
	case SMMUV3_SIM_ATTACHING:
		ret = sim_ioctl_endpoint(&arg.endpoint, sim_do_attaching);
		break;
	case SMMUV3_SIM_SVA_BIND:
		ret = sim_ioctl_sva_bind(&arg.endpoint);
		break;
	case SMMUV3_SIM_SVA_UNBIND:
		ret = sim_ioctl_sva_unbind(&arg.endpoint);
		break;
	case SMMUV3_SIM_STATS:
		ret = sim_ioctl_stats(&arg.stats);
		break;
	case SMMUV3_SIM_PAGE_REQUEST:
		ret = sim_ioctl_page_request(&arg.page_request);
		break;
	case SMMUV3_SIM_POKE:
		ret = sim_ioctl_poke(&arg.poke);
		break;
	case SMMUV3_SIM_PRESENCE:
		ret = sim_ioctl_presence(&arg.presence);
		break;
	default:
		ret = -ENOTTY;
	}
	mutex_unlock(&sim_mutex);
	if (!ret && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user(user, &arg, _IOC_SIZE(cmd)))
		ret = -EFAULT;
	return ret;
}

static const struct file_operations sim_fops = {
	.owner = THIS_MODULE,
	.open = sim_open,
	.release = sim_release,
	.mmap = sim_mmap,
	.unlocked_ioctl = sim_ioctl,
};

static struct miscdevice sim_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "smmuv3_sim",
	.fops = &sim_fops,
	.mode = 0600,
};

static int sim_init_memory(void)
{
	int ret;

	sim_memory = pci_get_device(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110, NULL);
	if (!sim_memory) {
		pr_err("smmuv3_sim: no ivshmem device for the registers\n");
		return -ENODEV;
	}
	ret = pci_enable_device(sim_memory);
	if (!ret && pci_resource_len(sim_memory, 2) < SIM_MEMORY_SIZE) {
		pr_err("smmuv3_sim: the ivshmem device has less than %u bytes\n", SIM_MEMORY_SIZE);
		pci_disable_device(sim_memory);
		ret = -ENOSPC;
	}
	if (ret)
		pci_dev_put(sim_memory);
	return ret;
}

static int __init sim_init(void)
{
	int ret;

	if (cpu < 0)
		cpu = cpumask_last(cpu_online_mask);
	if (num_online_cpus() < 2 || cpu >= nr_cpu_ids || !cpu_online(cpu)) {
		pr_err("smmuv3_sim: needs a CPU for itself, and another one\n");
		return -EINVAL;
	}
	ret = sim_init_memory();
	if (ret)
		return ret;
	ret = sim_oracle_init();
	if (ret)
		goto put_memory;
	INIT_WORK(&sim_cleanup, sim_do_cleanup);
	ret = -ENOMEM;
	sim_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!sim_page)
		goto free_oracle;
	sim_dma_buffer = vmalloc(SMMUV3_SIM_MAX_DMA);
	if (!sim_dma_buffer)
		goto free_page;
	sim_workqueue = alloc_workqueue("smmuv3_sim", WQ_PERCPU, 0);
	if (!sim_workqueue)
		goto free_buffer;
	sim_thread = kthread_create(sim_hardware, NULL, "smmuv3_sim");
	if (IS_ERR(sim_thread)) {
		ret = PTR_ERR(sim_thread);
		goto free_workqueue;
	}
	kthread_bind(sim_thread, cpu);
	sched_set_fifo(sim_thread);
	wake_up_process(sim_thread);
	ret = sim_pci_init();
	if (ret)
		goto stop_thread;
	ret = misc_register(&sim_misc);
	if (ret)
		goto exit_pci;
	return 0;

exit_pci:
	sim_pci_exit();
stop_thread:
	kthread_stop(sim_thread);
free_workqueue:
	destroy_workqueue(sim_workqueue);
free_buffer:
	vfree(sim_dma_buffer);
free_page:
	__free_page(sim_page);
free_oracle:
	sim_oracle_exit();
put_memory:
	pci_disable_device(sim_memory);
	pci_dev_put(sim_memory);
	return ret;
}

static void __exit sim_exit(void)
{
	misc_deregister(&sim_misc);
	/* Ends with the cleanup of what the last program left */
	destroy_workqueue(sim_workqueue);
	sim_pci_exit();
	kthread_stop(sim_thread);
	vfree(sim_dma_buffer);
	__free_page(sim_page);
	sim_oracle_exit();
	pci_disable_device(sim_memory);
	pci_dev_put(sim_memory);
}

module_init(sim_init);
module_exit(sim_exit);

MODULE_DESCRIPTION("Software SMMUv3 with PCIe endpoints, for tests");
MODULE_LICENSE("GPL");
