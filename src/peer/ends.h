/* SPDX-License-Identifier: MIT */
/*
 * Who holds which end of an anonymous pipe. The holder of an end is a thread of a process; the
 * state of both ends is shared by all processes that inherited the pipe, and any of them may write
 * anything into it. So what this process holds stands in its own memory, and is never read from
 * there. Ends knows nothing of bytes.
 */
#ifndef PIPC_ENDS_H
#define PIPC_ENDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "peer/shared.h"
#include "sys/self.h"

/* SHUT, LEAVING: held by a thread that writes no more, or that is about to free the end. */
enum ends_status { ENDS_UNUSED, ENDS_HELD, ENDS_SHUT, ENDS_LEAVING, ENDS_FREED, ENDS_DEAD };

/* The parts of a state, see ends.c. */
#define ENDS_STATUS_BITS 3u
#define ENDS_NAME_SHIFT  32u

/* In a name. */
#define ENDS_NO_TOKEN  0x80000000u
#define ENDS_NO_PID    0x40000000u
#define ENDS_NAME_MASK 0x3fffffffu

/* What this process knows of an end. */
struct ends_local {
    _Atomic uintptr_t holder; /* self_thread of the thread that holds it; 0: none of this process */
    uintptr_t former;         /* the last one that held it */
    uint64_t state;           /* as the holder last wrote it */
};

struct ends {
    struct shared shared;
    uint64_t space; /* where process ids are those of the process that opened the pipe */
    _Atomic uint32_t
        process;   /* whose `local` this is: a child after fork has a copy of its parent's */
    uint32_t name; /* of this process in the states; 0: none yet */
    void *token;   /* that this process lives, while it holds an end; NULL: none can be had */
    unsigned held; /* ends, for which the token is kept */
    struct ends_local local[2];
};

int ends_open(struct ends *ends);
void ends_close(struct ends *ends); /* nobody in this process holds an end */

/* The end that the calling thread holds, or -1. No system call. */
static inline int ends_mine(const struct ends *ends)
{
    uintptr_t me = self_thread();
    if (!self_is_process(atomic_load_explicit(&ends->process, memory_order_relaxed)))
        return -1;
    if (atomic_load_explicit(&ends->local[0].holder, memory_order_relaxed) == me)
        return 0;
    return atomic_load_explicit(&ends->local[1].holder, memory_order_relaxed) == me ? 1 : -1;
}
/* In a child after fork: nothing of what the parent held is ours. */
void ends_disown(struct ends *ends);

/*
 * Take an end for the calling thread, which holds none: its own former one, else one that nobody
 * has held, else one that was freed. Never waits. EBUSY: both are held; EPIPE: none is free and a
 * holder has died; EMFILE, ENFILE, ENOMEM. The caller holds the lock of this process's handle for
 * this, and for all that changes what the process holds.
 */
int ends_claim(struct ends *ends);
/* False: the kernel lacked the memory to wake the peer, which is owed. */
bool ends_shutdown(struct ends *ends, unsigned end);
/*
 * The holder is about to publish its goodbye, with which it will have written `until` bytes. Who
 * reads a goodbye may at once send a successor: from then on a newcomer may free the end itself.
 */
void ends_begin_leaving(struct ends *ends, unsigned end, uint64_t until);
void ends_stay(struct ends *ends, unsigned end);
void ends_free(struct ends *ends, unsigned end);   /* for the next holder */
void ends_finish(struct ends *ends, unsigned end); /* for ever; by any thread of this process */

/* ---- the peer, as seen by the holder of `end` ---- */

/* Changes whenever the peer comes, goes or dies. Read it once, and use what was read. */
uint64_t ends_peer_state(const struct ends *ends, unsigned end);
enum ends_status ends_status_of(uint64_t state);
uint32_t ends_name_of(uint64_t state); /* the same for all ends that one process holds */
bool ends_is_held(enum ends_status status);
/* It is a thread of this process, and lives. */
bool ends_peer_is_here(const struct ends *ends, unsigned end);
/*
 * The proof that the holder of `state` lives: its token, which it has or has lost; or nothing but
 * its process id, where it could have no token. A state that names neither is forged.
 */
enum ends_proof { ENDS_HAS_TOKEN, ENDS_LOST_TOKEN, ENDS_HAS_NAME, ENDS_FORGED };
enum ends_proof ends_peer_proof(const struct ends *ends, unsigned end, uint64_t state);
/* The same of a holder that had a token. */
bool ends_has_lost_token(const struct ends *ends, unsigned end, uint32_t name);
/* Its process id; 0: one that cannot be named from here. */
pid_t ends_peer_process(const struct ends *ends, uint64_t state);
/* Whether there is a process of that id; in doubt there is. UNKNOWN: 0. Keeps errno. */
enum sys_life ends_process_life(const struct ends *ends, uint64_t state);
/* Write down for all that it has died; `state` is the one that was found dead. */
void ends_bury_peer(struct ends *ends, unsigned end, uint64_t state);

#endif
