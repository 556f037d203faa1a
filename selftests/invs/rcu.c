// SPDX-License-Identifier: GPL-2.0-only
/*
 * RCU by liburcu, in a file of its own: its struct rcu_head is not the kernel's.
 * TSan cannot see into the library, so it is told what a grace period orders:
 * what readers have done before, and nothing else.
 */

#include <stdlib.h>
#include <unistd.h>
#include <urcu/urcu-memb.h>

#include "rcu.h"

#if __has_feature(thread_sanitizer)
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#else
#define __tsan_acquire(address)	((void)(address))
#define __tsan_release(address)	((void)(address))
#endif

struct garbage {
	struct rcu_head rcu;
	void *memory;
};

static char readers;
static unsigned int garbage_left;

void rcu_start_thread(void)
{
	urcu_memb_register_thread();
}

void rcu_stop_thread(void)
{
	urcu_memb_unregister_thread();
}

void rcu_read_lock(void)
{
	urcu_memb_read_lock();
}

void rcu_read_unlock(void)
{
	__tsan_release(&readers);
	urcu_memb_read_unlock();
}

void synchronize_rcu(void)
{
	urcu_memb_synchronize_rcu();
	__tsan_acquire(&readers);
}

static void free_garbage(struct rcu_head *rcu)
{
	struct garbage *garbage = (struct garbage *)rcu;

	__tsan_acquire(garbage);
	__tsan_acquire(&readers);
	free(garbage->memory);
	free(garbage);
	__atomic_sub_fetch(&garbage_left, 1, __ATOMIC_RELEASE);
}

/* kfree_rcu() */
void free_after_grace(void *memory)
{
	struct garbage *garbage = malloc(sizeof(*garbage));

	garbage->memory = memory;
	__atomic_add_fetch(&garbage_left, 1, __ATOMIC_RELAXED);
	__tsan_release(garbage);
	urcu_memb_call_rcu(&garbage->rcu, free_garbage);
}

/* Everything is freed, for LeakSanitizer; TSan would complain of rcu_barrier() */
void rcu_finish(void)
{
	while (__atomic_load_n(&garbage_left, __ATOMIC_ACQUIRE))
		usleep(1000);
}
