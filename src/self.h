/* SPDX-License-Identifier: MIT */
/*
 * Who am I: a number for the calling thread that no other thread of this process and none of its
 * ancestors across fork has or had; and hooks that run when a thread ends. Costs nanoseconds.
 */
#ifndef PIPC_SELF_H
#define PIPC_SELF_H

#include <stdatomic.h>
#include <stdint.h>

struct self_hook {
    struct self_hook *next;
    void (*ended)(struct self_hook *hook);
};

/*
 * Next to the thread pointer: a call for each access, otherwise. (musl lets no dlopen have such
 * variables.)
 */
#ifdef __GLIBC__
#define SELF_NEAR __attribute__((tls_model("initial-exec")))
#else
#define SELF_NEAR
#endif

extern SELF_NEAR _Thread_local struct self_thread {
    uint64_t id; /* 0: none yet */
    struct self_hook *hooks;
} self_thread;
/* Zero until this process has a number: see self.c. */
extern _Atomic(atomic_uint *) self_stamp;

uint64_t self_new_id(void);
uint32_t self_process(void);

/* Never 0. The upper half is the same for all threads of one process. */
static inline uint64_t self_id(void)
{
    uint64_t id = self_thread.id;
    unsigned stamp = atomic_load_explicit(atomic_load_explicit(&self_stamp, memory_order_acquire),
                                          memory_order_relaxed);
    return id != 0 && id >> 32 == stamp ? id : self_new_id();
}

/*
 * Call hook->ended when the calling thread ends; in a child after fork the hook is gone. The caller
 * owns the hook and forgets it, in the same thread, before freeing it. ENOMEM, EAGAIN.
 */
int self_remember(struct self_hook *hook);
void self_forget(struct self_hook *hook);

#endif
