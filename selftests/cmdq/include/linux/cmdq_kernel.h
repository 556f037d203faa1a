/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before anything else: what the command queue takes from the kernel, as
 * far as neither tools/include nor selftests/invs/include has it. A CPU is a thread,
 * a register is memory.
 *
 * TSan does not understand fences. Where the kernel's order comes from a barrier or
 * a control dependency, the access beside it is an acquire or a release here.
 */
#ifndef _CMDQ_KERNEL_H
#define _CMDQ_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/invs_kernel.h>
#include <linux/types.h>

#undef READ_ONCE
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#undef WRITE_ONCE
#define WRITE_ONCE(x, value)	__atomic_store_n(&(x), value, __ATOMIC_RELAXED)

#define __iomem
#define __rcu
#define ____cacheline_aligned_in_smp	__attribute__((aligned(64)))
#define SMP_CACHE_BYTES		64
#ifndef PAGE_SHIFT
#define PAGE_SHIFT		12
#endif
#define MAX_PAGE_ORDER		10
#define IS_ENABLED(option)	1
#define DECLARE_BITMAP(name, bits) \
	unsigned long name[((bits) + BITS_PER_LONG - 1) / BITS_PER_LONG]

typedef u64 dma_addr_t;
typedef s64 ktime_t;
typedef unsigned int ioasid_t;
typedef struct { int lock; } spinlock_t;
typedef struct { int lock; } rwlock_t;
#define rwlock_init(l)		((l)->lock = 0)
struct mm_struct;
struct mutex { int lock; };
struct ida { int ids; };
struct xarray { void *head; };
struct work_struct { int queued; };
struct delayed_work { struct work_struct work; };
struct completion { int done; };

#ifndef cpu_to_le64
#define cpu_to_le64(x)		((__le64)(x))
#define le64_to_cpu(x)		((u64)(x))
#endif

/* Threads are more than CPUs: whoever waits lets others run */
#define cpu_relax()		sched_yield()
#define wfe()			sched_yield()

static inline ktime_t ktime_get(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

#define ktime_add_us(time, us)	((time) + (s64)(us) * 1000)
#define ktime_add_ms(time, ms)	((time) + (s64)(ms) * 1000000)
#define ktime_compare(l, r)	((l) < (r) ? -1 : (l) > (r))
#define ktime_after(l, r)	((l) > (r))

static inline void udelay(unsigned long us)
{
	ktime_t end = ktime_add_us(ktime_get(), us);

	do
		sched_yield();
	while (ktime_get() < end);
}

#define local_irq_save(flags)		((flags) = 0)
#define local_irq_restore(flags)	((void)(flags))
#define local_irq_disable()		do { } while (0)
#define local_irq_enable()		do { } while (0)

#define dma_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#define __iomb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_acquire__after_ctrl_dep()	smp_rmb()

#define readl_relaxed(reg)		__atomic_load_n(reg, __ATOMIC_RELAXED)
#define readl(reg)			__atomic_load_n(reg, __ATOMIC_ACQUIRE)
#define writel_relaxed(value, reg)	__atomic_store_n(reg, value, __ATOMIC_RELEASE)
#define writel(value, reg)		__atomic_store_n(reg, value, __ATOMIC_RELEASE)

#undef smp_load_acquire
#define smp_load_acquire(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define cmdq_cond_load(p, order, cond)			\
({							\
	typeof(*(p)) VAL;				\
							\
	while (VAL = __atomic_load_n(p, order), !(cond))\
		cpu_relax();				\
	VAL;						\
})
#define smp_cond_load_relaxed(p, cond)	cmdq_cond_load(p, __ATOMIC_RELAXED, cond)
#define smp_cond_load_acquire(p, cond)	cmdq_cond_load(p, __ATOMIC_ACQUIRE, cond)

#define cmpxchg_relaxed(p, old, new)					\
({									\
	typeof(*(p)) __old = (old);					\
									\
	__atomic_compare_exchange_n(p, &__old, new, false,		\
				    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);\
	__old;								\
})

/* Where a test can hold a CPU that has read an atomic_t */
extern void (*cmdq_atomic_read_hook)(const atomic_t *v, int value);

static inline int atomic_read(const atomic_t *v)
{
	int value = __atomic_load_n(&v->counter, __ATOMIC_RELAXED);

	if (cmdq_atomic_read_hook)
		cmdq_atomic_read_hook(v, value);
	return value;
}

#define atomic_set(v, i)		__atomic_store_n(&(v)->counter, i, __ATOMIC_RELAXED)
#define atomic_set_release(v, i)	__atomic_store_n(&(v)->counter, i, __ATOMIC_RELEASE)
#define atomic_inc_return(v)		__atomic_add_fetch(&(v)->counter, 1, __ATOMIC_SEQ_CST)
#define atomic_inc(v)			((void)__atomic_fetch_add(&(v)->counter, 1, __ATOMIC_RELAXED))
#define atomic_or(i, v)			((void)__atomic_fetch_or(&(v)->counter, i, __ATOMIC_RELAXED))
#define atomic_andnot(i, v)		((void)__atomic_fetch_and(&(v)->counter, ~(i), __ATOMIC_RELAXED))
#define atomic_fetch_inc_relaxed(v)	__atomic_fetch_add(&(v)->counter, 1, __ATOMIC_ACQUIRE)
#define atomic_dec_return_release(v)	__atomic_sub_fetch(&(v)->counter, 1, __ATOMIC_RELEASE)
#define atomic_cmpxchg_relaxed(v, old, new)	cmpxchg_relaxed(&(v)->counter, old, new)
#define atomic_fetch_andnot_release(i, v)	\
	__atomic_fetch_and(&(v)->counter, ~(i), __ATOMIC_RELEASE)
#define atomic_fetch_andnot_relaxed(i, v)	\
	__atomic_fetch_and(&(v)->counter, ~(i), __ATOMIC_RELAXED)
#define atomic_cond_read_relaxed(v, cond)	cmdq_cond_load(&(v)->counter, __ATOMIC_ACQUIRE, cond)
#define atomic_cond_read_acquire(v, cond)	cmdq_cond_load(&(v)->counter, __ATOMIC_ACQUIRE, cond)

/* After dma_wmb(), and before a control dependency */
#define atomic_long_xor(i, v)	\
	((void)__atomic_fetch_xor(&(v)->counter, i, __ATOMIC_RELEASE))
#define atomic_long_cond_read_relaxed(v, cond)	\
	cmdq_cond_load(&(v)->counter, __ATOMIC_ACQUIRE, cond)

struct device;
void cmdq_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define dev_err(dev, ...)		((void)(dev), cmdq_log(__VA_ARGS__))
#define dev_warn(dev, ...)		((void)(dev), cmdq_log(__VA_ARGS__))
#define dev_err_ratelimited(dev, ...)	((void)(dev), cmdq_log(__VA_ARGS__))

/* What gives up a command asks for a job that is not part of the queue */
#define schedule_work(w)		(WRITE_ONCE((w)->queued, 1), true)
#define queue_work(q, w)		schedule_work(w)
#define schedule_delayed_work(w, d)	schedule_work(&(w)->work)
#define queue_delayed_work(q, w, d)	((void)(d), schedule_work(&(w)->work))
#define mod_delayed_work(q, w, d)	((void)(d), schedule_work(&(w)->work))
#define msecs_to_jiffies(ms)		(ms)

#define KUNIT_STATIC_STUB_REDIRECT(...)	do { } while (0)
#define static_branch_unlikely(key)	false
#define rcu_dereference_protected(p, c)	(p)
#define kfree(p)			free(p)
#define kvfree(p)			free(p)
#ifndef ERR_PTR
#define ERR_PTR(error)			((void *)(long)(error))
#endif
#ifndef container_of
#define container_of(p, type, member)	((type *)((char *)(p) - offsetof(type, member)))
#endif
#ifndef min
#define min(l, r)			((l) < (r) ? (l) : (r))
#endif

#endif
