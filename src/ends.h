/* SPDX-License-Identifier: MIT */
/*
 * Who holds which end of an anonymous pipe. The holder of an end is a thread of a process; the
 * state of both ends is shared by all who inherited the pipe. Ends knows nothing of bytes.
 */
#ifndef PIPC_ENDS_H
#define PIPC_ENDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "self.h"
#include "shared.h"

/* SHUT and LEAVING: held, by somebody who writes no more, or who is about to free it. */
enum ends_status { ENDS_UNUSED, ENDS_HELD, ENDS_SHUT, ENDS_LEAVING, ENDS_FREED, ENDS_DEAD };

/* What this process knows of an end: its own holder, if that is one of its threads. */
struct ends_local {
    struct self_hook hook; /* first: marks the end dead when its holder's thread ends */
    struct ends *ends;
    _Atomic uint64_t holder; /* self_id of the thread; 0: nobody in this process */
    atomic_bool ending;      /* its thread is ending, and about to let go */
    uint64_t former;         /* self_id of the last one who held it, or an ancestor's */
};

struct ends {
    struct shared shared;
    struct ends_local local[2];
};

int ends_open(struct ends *ends);
void ends_close(struct ends *ends); /* nobody in this process holds an end */

/* The end that the calling thread holds, or -1. No system call. */
static inline int ends_mine(const struct ends *ends)
{
    uint64_t me = self_id();
    if (atomic_load_explicit(&ends->local[0].holder, memory_order_relaxed) == me)
        return 0;
    return atomic_load_explicit(&ends->local[1].holder, memory_order_relaxed) == me ? 1 : -1;
}
/* Is one of the ends held by a live thread of this process? Waits for one that is just ending. */
bool ends_held_here(const struct ends *ends);
/* In a child after fork: nothing of what the parent held is ours. */
void ends_disown(struct ends *ends);

/*
 * Take an end for the calling thread, which holds none: its own former one, else one that nobody has held,
 * else one that was freed. EBUSY: both are held; EPIPE: none is free and a holder has died. The caller
 * holds the lock of this process's handle for this,
 * ends_free and ends_finish.
 */
int ends_claim(struct ends *ends);
void ends_shutdown(struct ends *ends, unsigned end);
/*
 * Who sees a goodbye may at once send a successor, so the end is marked before the goodbye goes: a newcomer
 * waits for a moment instead of finding it held.
 */
void ends_begin_leaving(struct ends *ends, unsigned end);
void ends_stay(struct ends *ends, unsigned end);
void ends_free(struct ends *ends, unsigned end);   /* for the next holder */
void ends_finish(struct ends *ends, unsigned end); /* for ever */

/* ---- the partner, as seen by the holder of `end` ---- */

/* Changes whenever the partner comes, goes or dies. */
unsigned ends_partner_stamp(const struct ends *ends, unsigned end);
enum ends_status ends_status_of(unsigned stamp);
bool ends_is_held(enum ends_status status);
/* Has it died or closed? Asks the kernel when the partner is another process. */
bool ends_partner_gone(struct ends *ends, unsigned end);
/* Process id of the partner if it lives in another process; 0: here or nowhere; -1: not known. */
pid_t ends_partner_process(const struct ends *ends, unsigned end);

#endif
