/* SPDX-License-Identifier: MIT */
/*
 * The byte ring alone, from both sides in one thread, with a fake each for what wakes the peer, for
 * what knows whether it lives, and for the processor that it runs on.
 */
#ifndef PIPC_TESTS_BYTE_RING_H
#define PIPC_TESTS_BYTE_RING_H

#include "harness.h"

#include "transport/ring.h"

struct fake {
    struct ring ring;
    struct shared *shared;
    unsigned wakes;                         /* of the peer */
    uint64_t written_at_wake, read_at_wake; /* by this side, at the first of them */
    unsigned questions[RING_ASK_KERNEL + 1];
    enum ring_life life, life_in_kernel; /* of the peer */
    unsigned processor;                  /* on which this side runs */
    bool lacks_memory;                   /* to map a ring */
};

struct shared {
    struct ring_words words[2]; /* words[s] carries what side s writes */
    atomic_uint interest[2];
    _Atomic uint64_t version[2];
    void *mapping;
    uint8_t *data[2];
    uint8_t *rows; /* the same bytes once, at first, with new_rows */
    struct fake side[2];
};

/* Positions begin at `begin`, as those of a ring that has been used before. */
struct shared *new_sides(uint64_t begin);
/* The same, mapped no further than to the edge until a side needs more. */
struct shared *new_rows(uint64_t begin);
void free_sides(struct shared *s);

/* Each asserts that its call works, but for `put`. */
ssize_t put(struct ring *ring, const void *bytes, size_t size);
void put_in_place(struct ring *ring, const void *bytes, size_t size);
void expect(struct ring *ring, const void *bytes, size_t size);
void expect_nothing(struct ring *ring, bool should_end);
void fill(struct ring *ring); /* until there is no room; it does not grow */

#endif
