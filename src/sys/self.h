/* SPDX-License-Identifier: MIT */
/*
 * Who is asking: a word for the calling thread, a number for this process, and hooks that run when
 * a thread ends and when the process forks. Nothing here knows what the hooks are for.
 */
#ifndef PIPC_SELF_H
#define PIPC_SELF_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Never 0, and never that of another thread that lives in this process. A later thread may have it
 * again, so its keeper has a hook that forgets it when the thread ends. Read from a register
 * where that is known (elsewhere than on Linux, those registers may be others): no thread-local
 * storage, for which a program that loads us may have no room.
 */
#if defined __linux__ && defined __x86_64__ && !defined __ILP32__ && defined __GNUC__
static inline uintptr_t self_thread(void)
{
    uintptr_t pointer;
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
}
#elif defined __linux__ && defined __aarch64__ && defined __GNUC__
static inline uintptr_t self_thread(void)
{
    uintptr_t pointer;
    __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
    return pointer;
}
#else
static inline uintptr_t self_thread(void)
{
    return (uintptr_t)pthread_self();
}
#endif

/* Grows with each fork: no ancestor of this process has it. Never 0. */
uint32_t self_process(void);

/* Zero in a child after fork, until it asks for its number. */
extern _Atomic(atomic_uint *) self_process_word;

static inline bool self_is_process(uint32_t process)
{
    atomic_uint *word = atomic_load_explicit(&self_process_word, memory_order_acquire);
    return atomic_load_explicit(word, memory_order_relaxed) == process;
}

/* ---- the end of a thread ---- */

struct self_hook {
    struct self_hook *next;
    void (*ended)(struct self_hook *hook);
    uint32_t process;
    unsigned rounds; /* of the first in a thread's list: see self.c */
};

/*
 * Call hook->ended when the calling thread ends. By then the program's own destructors of
 * thread-specific data have had two rounds: they may still use the library. In a child after fork
 * the hook is gone. The caller owns the hook and forgets it, in the same thread, before freeing it.
 * ENOMEM: no memory, or no thread-specific key is left in this process.
 */
int self_remember(struct self_hook *hook);
void self_forget(struct self_hook *hook);
/* In a child of a fork that ran no handlers: before the parent's hooks are freed. */
void self_forget_inherited(void);

/* ---- fork ---- */

struct self_fork_hook {
    struct self_fork_hook *next, **at;
    void (*before)(struct self_fork_hook *hook);   /* in the process that forks */
    void (*after)(struct self_fork_hook *hook);    /* there too */
    void (*in_child)(struct self_fork_hook *hook); /* its only thread; `before` has been called */
};

/* The caller holds no lock that a hook takes. -1, ENOMEM. */
int self_watch_forks(struct self_fork_hook *hook);
void self_unwatch_forks(struct self_fork_hook *hook);

/* One function of the system's backend, that a child calls before anything else. */
void self_first_in_child(void (*renew)(void));

/*
 * Between these two no fork hook runs, so that a descriptor is made and noted in one. Taken last of
 * all locks, and for a few system calls at most.
 */
void self_hold_forks(void);
void self_release_forks(void);

#endif
