/* SPDX-License-Identifier: MIT */
/*
 * Who am I: a number for the calling thread that no other thread of this process and none of its
 * ancestors across fork has or had; and hooks that run when a thread ends. Costs nanoseconds.
 */
#ifndef PIPC_SELF_H
#define PIPC_SELF_H

#include <stdint.h>

struct self_hook {
    struct self_hook *next;
    void (*ended)(struct self_hook *hook);
};

/* Never 0. The upper half is the same for all threads of one process. */
uint64_t self_id(void);
uint32_t self_process(void);

/*
 * Call hook->ended when the calling thread ends; in a child after fork the hook is gone. The caller
 * owns the hook and forgets it, in the same thread, before freeing it. ENOMEM, EAGAIN.
 */
int self_remember(struct self_hook *hook);
void self_forget(struct self_hook *hook);

#endif
