/* SPDX-License-Identifier: MIT */
/*
 * How two sides that share memory talk about it: a ring for each direction, a wish of each side, and a bell.
 *
 * A side that waits says for what in its `want` word and looks once more; a side that publishes
 * bytes or room looks at the other's `want` afterwards, takes it and rings. Between the one's store and its
 * look there is a full fence on both sides, and everything hangs on it: one of the two sees the other.
 *
 * The own positions are kept here and only copied to the shared memory; those of the partner are
 * checked at each look.
 */
#ifndef PIPC_RING_H
#define PIPC_RING_H

#include "peer/ends.h"
#include "peer/watch.h"
#include "transport/transport.h"

#define RING SHARED_RING_SIZE

enum { WANT_BYTES = 1, WANT_ROOM = 2 };

struct ring {
    struct transport base;
    struct ends *ends;
    struct shared_page *page;
    unsigned end;
    uint8_t *in_data, *out_data;
    uint64_t in_tail, in_head;   /* own position; the partner's as last seen */
    uint64_t out_head, out_tail; /* likewise */
    uint64_t in_step;            /* own position at the last step */
    bool broken;                 /* the partner's positions made no sense */
    uint64_t found;              /* by the last look that found something */
    unsigned streak, patience;   /* see ring.c */
    uint64_t seen;               /* the peer's state at the last look, on which the caller relies */
    int64_t checked;             /* in sys_ticks, when the peer was last known to live */
    int64_t checked_wholly;      /* the same, by its process too */
    struct {
        int64_t ticks; /* when a writer last looked whether its partner lives */
        int64_t moved; /* and when it last saw it at another step */
        uint64_t step; /* that one */
    } look;
    unsigned spare; /* messages that may go without another */

    struct watch_sets sets; /* of own doorbell and watch: for `wait`; for the program */
    struct watch watch;
    enum { BELL_UNKNOWN, BELL_QUIET, BELL_LOUD } bell; /* quiet: until somebody takes our wish */
    unsigned armed;                                    /* what it was made quiet for */
    uint64_t settled_in, settled_out; /* positions when the descriptor was last settled */
    bool starved;                     /* since then a look found less than it wanted */
};

/* After a store that the partner may be waiting for. */
void ring_wake(struct ring *ring, unsigned bit);

/* The partner's positions as they are now. -1, EPROTO: they make no sense. */
int ring_see_head(struct ring *ring);
int ring_see_tail(struct ring *ring);
/* As ring_see_head, at the reader's pace: see ring.c. `amid`: in the middle of a long message. */
int ring_look_for_bytes(struct ring *ring, bool amid);
/* `size` bytes have been read. */
void ring_take(struct ring *ring, size_t size);
/* A writer looks at its reader. True: this is a stream that is read as it is written. */
bool ring_look_at_reader(struct ring *ring, int64_t now);

/* Has what is wanted come since it was last looked for? */
bool ring_is_there(struct ring *ring, unsigned bits);
/* Say what is waited for, and look again. True: it is there, and nobody will ring for it. */
bool ring_arm(struct ring *ring, unsigned bits);
void ring_disarm(struct ring *ring);

static inline atomic_uint *ring_want(struct ring *ring, unsigned end)
{
    return &ring->page->end[end].want;
}

static inline const int *ring_own_bell(const struct ring *ring)
{
    return ring->ends->shared.bell[ring->end];
}

#endif
