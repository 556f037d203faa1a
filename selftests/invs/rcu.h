/* SPDX-License-Identifier: GPL-2.0-only */
/* RCU of the kernel by liburcu, see rcu.c. */
#ifndef _RCU_H
#define _RCU_H

/* tools/include has one that does nothing */
#undef synchronize_rcu

void rcu_start_thread(void);
void rcu_stop_thread(void);
void rcu_read_lock(void);
void rcu_read_unlock(void);
void synchronize_rcu(void);
void free_after_grace(void *memory);
void rcu_finish(void);

#endif
