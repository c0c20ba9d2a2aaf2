/* SPDX-License-Identifier: MIT */
/*
 * A byte ring in memory that two sides share: one stream each way. It is given the memory, a way to
 * wake the peer, and a way to ask whether the peer lives. It knows no processes and no descriptors.
 *
 * A side that waits writes its interest into its `interest` word, and checks once more. A side that
 * publishes bytes or room loads the peer's interest afterwards, clears it and wakes the peer. Both
 * sides have a full fence between their store and their load, so one of the two sees the other.
 *
 * A long write or read publishes piece by piece. In its middle it looks for an interest too, but
 * without a fence, and it may leave the peer asleep: its end makes good whatever that missed.
 *
 *   the peer fell asleep        in the middle of a call             at its end
 *   on another processor        woken at the first piece, then      woken
 *                               at every RING_AGAIN_SIZE
 *   on the one of the caller    stays asleep: it could only run     woken
 *                               instead of the caller
 *
 * So no value of the processor's number, also of a hostile peer, can lose a wakeup. "Woken" for
 * room means: when there is enough of it, see ring.c.
 *
 * The peer can write anything into the shared memory at any time. Own positions are kept here and
 * only copied to it. Each word of the peer is loaded once, checked, and used from the copy.
 */
#ifndef PIPC_RING_H
#define PIPC_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "transport/ring_area.h"
#include "transport/ring_pace.h"

#define RING_WINDOW     (RING_SIZE / 16) /* ring_peek shows at most so much of one message */
#define RING_WHOLE_MAX  (RING_SIZE / 4)  /* ring_writev writes so much by one call, or nothing */
#define RING_PIECE_SIZE (RING_SIZE / 32) /* more is published bit by bit: both sides work at once */

#define RING_LONG       ((size_t)2048)        /* more, without room for it, makes the ring grow */
#define RING_LEAST      ((size_t)64)          /* room for less is none, for a part of a message */
#define RING_AGAIN_SIZE (8 * RING_PIECE_SIZE) /* what one wakeup after another is worth */

/* Words that different processors write are two cache lines apart: lines are fetched in pairs. */
#define RING_APART_SIZE 128
#define RING_APART      _Alignas(RING_APART_SIZE)

/* The shared words of one direction. */
struct ring_words {
    RING_APART _Atomic uint64_t head;  /* bytes ever written; by the writer */
    _Atomic uint64_t grown;            /* likewise; 0: not yet; see ring_area.h */
    RING_APART _Atomic uint64_t tail;  /* bytes ever read; by the reader */
    RING_APART _Atomic uint64_t steps; /* the same, but moved less often; see ring.c */
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
               "processes share these words; the locks of libatomic do not work there");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "likewise");

/* What a side waits for; above it in the word stands on which processor, as a hint. */
enum { RING_BYTES = 1, RING_ROOM = 2, RING_INTERESTS = RING_BYTES | RING_ROOM };

struct ring_memory {
    struct ring_words *in, *out;
    uint8_t *in_data, *out_data; /* mapped as ring_area.h says; or linear, see `wrap` below */
    bool keeps_size;             /* neither grows: see RING_AREA_KEPT */
    atomic_uint *interest, *peer_interest;
    const _Atomic uint64_t *peer_version; /* changes whenever the peer comes, goes, shuts or dies */
};

enum ring_life {
    RING_PEER_MAY_WRITE, /* or a peer may still come */
    RING_PEER_SHUT,      /* it writes no more, but reads */
    RING_PEER_DEAD
};

enum ring_question {
    RING_ASK_VERSION, /* what the version says; no system call */
    RING_ASK_READER,  /* the same before a write, and the kernel now and then */
    RING_ASK_WRITER,  /* the same where too little has come to read */
    RING_ASK_KERNEL   /* whether it is dead, in every way; a change is left for the next question */
};

/* How a ring reaches its peer. Called on slow paths only. */
struct ring_peer {
    void *context;
    bool (*wake)(void *context); /* false: not now, so that the next chance is used */
    /* `version`: a copy of the peer's. `now`: sys_ticks; 0 except for READER and WRITER. */
    enum ring_life (*life)(void *context, uint64_t version, enum ring_question question,
                           int64_t now);
    /* A number, from 1, of the processor that the caller runs on; 0: unknown. */
    unsigned (*processor)(void *context);
    /*
     * All RING_SPAN bytes of one direction, as ring_area.h says, from where the ring has to wrap or
     * grow on. NULL: ENOMEM, and it is tried again. No function: `memory` has them from the start.
     */
    uint8_t *(*wrap)(void *context, bool is_out);
};

struct ring {
    struct ring_memory memory;
    struct ring_peer peer;
    struct ring_area in_area, out_area;
    uint64_t in_tail, in_head;   /* own position; the peer's as last loaded */
    uint64_t out_head, out_tail; /* likewise */
    uint64_t in_step;            /* own position at the last step */
    uint64_t in_row;             /* see ring_wrap.h */
    bool is_out_mapped;          /* likewise */
    bool lacks_memory;           /* to map more of what it writes */
    bool is_broken;              /* the peer's positions made no sense */
    bool is_too_small;           /* out_area, for a long message */
    bool ran_short;              /* a read found less than it wanted; the caller clears it */
    uint64_t short_tail;         /* where the last one was that found some, but less */
    uint64_t short_head;         /* and how far that went */
    enum ring_life life;         /* the last answer about the peer */
    uint64_t version;            /* of the peer, when that answer was given */
    struct ring_pace pace;       /* of this side as a reader */
    struct {
        uint64_t step;            /* the reader's, as last loaded */
        int64_t moved_at;         /* sys_ticks, when that one was new */
        int64_t checked_at;       /* and when it was last loaded */
        unsigned to_skip;         /* messages that may go without asking for the reader's life */
    } reader;                     /* the peer, as far as this side writes */
    uint64_t in_begin, out_begin; /* the positions at ring_init */
};

/* Positions go on from what the words say. What `memory` points to outlives the ring. */
void ring_init(struct ring *ring, const struct ring_memory *memory, const struct ring_peer *peer);

/* ---- input ---- */

/*
 * Show the next bytes without consuming them: at least `want` (at most RING_WINDOW) when they have
 * arrived. Fewer: the rest has not arrived, or never will when *end is set. `want` 0 asks for what
 * is in memory, without a system call. -1, EPROTO: the peer's positions make no sense.
 */
ssize_t ring_peek(struct ring *ring, size_t want, const uint8_t **bytes, bool *end);
void ring_consume(struct ring *ring, size_t size); /* of the bytes that ring_peek showed */
/* In the middle of a message: 0: the end; -1: EAGAIN, EPROTO. */
ssize_t ring_read(struct ring *ring, void *buffer, size_t size);

/* ---- output ---- */

/*
 * Write all of up to RING_WHOLE_MAX bytes, or of more as much as there is room for. -1: EAGAIN,
 * EPIPE, EPROTO.
 */
ssize_t ring_writev(struct ring *ring, const struct iovec *parts, int count);
/* Room for up to RING_WHOLE_MAX bytes, which ring_publish gives away. NULL: as ring_writev. */
uint8_t *ring_place(struct ring *ring, size_t size);
void ring_publish(struct ring *ring, size_t size);

/* ---- the peer ---- */

enum ring_life ring_ask(struct ring *ring, enum ring_question question);
/* The caller has learned that the peer is dead, in a way that its version does not show. */
static inline void ring_set_dead(struct ring *ring)
{
    ring->life = RING_PEER_DEAD;
}
/* Has the peer changed since the last answer about it, on which the caller relies? */
static inline bool ring_peer_changed(const struct ring *ring)
{
    return atomic_load(ring->memory.peer_version) != ring->version;
}
/* What is known of the peer means something else from here on: it is news once more. */
static inline void ring_forget_version(struct ring *ring)
{
    ring->version = ~ring->version;
}
/* All that the peer has written, as far as this side has loaded it, has been read. */
static inline bool ring_is_drained(const struct ring *ring)
{
    return ring->in_tail == ring->in_head;
}

/* As far as this side has come by reading, or by a read that found less than it wanted. */
static inline uint64_t ring_tried(const struct ring *ring)
{
    return ring->in_tail == ring->short_tail ? ring->short_head : ring->in_tail;
}

/* ---- waiting ---- */

/* Has what a side is interested in come since it was last loaded, or has the peer changed? */
bool ring_is_ready(const struct ring *ring, unsigned interest);
/* Declare an interest, and check once more. True: it has come, and nothing will wake this side. */
bool ring_arm(struct ring *ring, unsigned interest);
void ring_disarm(struct ring *ring);
/* Is that interest still declared? The peer clears it when it wakes this side. */
static inline bool ring_is_armed(const struct ring *ring, unsigned interest)
{
    return (atomic_load(ring->memory.interest) & RING_INTERESTS) == interest;
}

#endif
