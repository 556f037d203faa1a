/* SPDX-License-Identifier: GPL-2.0-only */
/* RCU of the kernel by liburcu, see rcu.c. */
#ifndef _RCU_H
#define _RCU_H

/* tools/include has one that does nothing */
#undef synchronize_rcu

/**
 * rcu_start_thread() - Make the calling thread known; each that reads has to be
 */
void rcu_start_thread(void);

/**
 * rcu_stop_thread() - Forget the calling thread, not a reader now
 */
void rcu_stop_thread(void);

/**
 * rcu_read_lock() - As in the kernel; the thread has to be known
 */
void rcu_read_lock(void);

/**
 * rcu_read_unlock() - As in the kernel
 */
void rcu_read_unlock(void);

/**
 * synchronize_rcu() - Wait for all readers of now; not from a reader
 */
void synchronize_rcu(void);

/**
 * free_after_grace() - kfree_rcu(): free when all readers of now are done
 * @memory: of malloc(); belongs to RCU from now on
 */
void free_after_grace(void *memory);

/**
 * rcu_finish() - Wait until all that free_after_grace() got is freed
 */
void rcu_finish(void);

#endif
