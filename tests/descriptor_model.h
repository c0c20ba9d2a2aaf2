/* SPDX-License-Identifier: MIT */
/*
 * What test_descriptor_property.c knows of two peers: what each has accepted, read, asked for and
 * failed to do. From this follows whether a descriptor must be readable, and whether it may be.
 */
#ifndef PIPC_TESTS_DESCRIPTOR_MODEL_H
#define PIPC_TESTS_DESCRIPTOR_MODEL_H

#include "peers.h"

enum {
    STEPS = 250,
    ROUNDS = 12,
    SLOW_ROUNDS = 3,
    SENT_MAX = STEPS * 24,
    SIZE_MAX_SENT = 1 << 20,
    TAGS = 1 << 20,
    FRAME_BYTES = 4 /* in front of each message */
};

struct flow { /* what was accepted for one peer, and how much of it that peer has read */
    size_t size[SENT_MAX];
    size_t sent, read;
};

struct world {
    struct peers p;
    struct flow to[2];
    unsigned want[2]; /* PIPC_WANT_READ, _WRITE */
    bool interest[2]; /* the last write was refused */
    bool flush[2];    /* a flush failed, and its success has not been reported */
    int fd[2];
    int set; /* edge-triggered, of both descriptors; -1: none */
    unsigned char *buffer;
};

static inline struct peer *peer_of(struct world *w, int side)
{
    return side == 0 ? &w->p.a : &w->p.b;
}

static inline size_t owed(const struct world *w, int side)
{
    return w->to[side].sent - w->to[side].read;
}

/* One number for both sides of an anonymous pipe, whose statistics are the handle's. */
static inline uint64_t held(struct world *w, int side)
{
    return peer_stats(peer_of(w, side)).bytes_held;
}

/* How many of the last messages are not there as a whole: the one that is on its way, and what is
 * gathered. */
static inline size_t missing(struct world *w, int side)
{
    const struct flow *flow = &w->to[side];
    size_t count = 0;
    for (uint64_t left = held(w, 1 - side), frame; left > 0; left -= frame) {
        if (w->p.kind->same_handle)
            return 1;
        count++;
        frame = flow->size[flow->sent - count] + FRAME_BYTES;
        frame = frame < left ? frame : left;
    }
    return count;
}

static inline bool has_a_whole_message(struct world *w, int side)
{
    return owed(w, side) > missing(w, side);
}

static inline bool reads(const struct world *w, int side)
{
    return (w->want[side] & PIPC_WANT_READ) != 0;
}

static inline bool writes(const struct world *w, int side)
{
    return (w->want[side] & PIPC_WANT_WRITE) != 0;
}

/* What the one has sent stays where it is, and so there is no room, because the other does not want
 * to read. */
static inline bool is_blocked(struct world *w, int side)
{
    bool blocked = !reads(w, 1 - side) && owed(w, 1 - side) > 0;
    return blocked || (w->p.kind->same_handle && !reads(w, side) && owed(w, side) > 0);
}

/* Of the output: anything that the descriptor reports, now or when there is room. */
static inline bool has_output(struct world *w, int side)
{
    return held(w, side) > 0 || w->interest[side] || w->flush[side];
}

/* The descriptor must report it, or no call would do it. */
static inline bool has_nothing_to_do(struct world *w, int side)
{
    bool comes = has_a_whole_message(w, side) || (owed(w, side) > 0 && writes(w, 1 - side));
    if (reads(w, side) && comes && !is_blocked(w, 1 - side))
        return false;
    if (w->p.kind->same_handle && !writes(w, 1 - side) && !w->interest[side])
        return true; /* what is held may be the other's */
    return !writes(w, side) || !has_output(w, side) || is_blocked(w, side);
}

/* Is there anything that a readable descriptor may be readable for? */
static inline bool has_reason(struct world *w, int side)
{
    return (reads(w, side) && owed(w, side) > 0) || (writes(w, side) && has_output(w, side));
}

static inline bool is_told_of_flush(struct world *w, int side)
{
    return w->flush[side] && held(w, side) == 0;
}

/* After a reading call; `told`: is_told_of_flush before it; `empty`: it found nothing. */
static inline void note_told(struct world *w, int side, bool told, bool empty)
{
    if (told && (empty || !reads(w, side)))
        w->flush[side] = false;
}

static inline uint64_t tag_of(int side, size_t index)
{
    return (uint64_t)(side + 1) * TAGS + index;
}

#endif
