/* SPDX-License-Identifier: MIT */
/*
 * The memory and the doorbells that all holders of an anonymous pipe share. Layout only: ends knows
 * the holders, and ring how bytes travel. Any process that inherited the pipe can overwrite each
 * word in here: it is loaded once, and checked, before use.
 */
#ifndef PIPC_SHARED_H
#define PIPC_SHARED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/sys_life.h"
#include "transport/ring.h"

/*
 * What the first word says, to who looks at the memory from outside: it changes with the layout.
 * Nothing here relies on it.
 */
#define SHARED_MAGIC (UINT64_C(0x7069706320310000) + sizeof(struct shared_page))

struct shared_page {
    _Atomic uint64_t magic;
    struct {
        RING_APART _Atomic uint64_t state; /* see ends.c */
        _Atomic uint64_t until;            /* likewise */
        RING_APART atomic_uint interest;   /* see ring.h */
    } end[2];
    struct ring_words ring[2]; /* ring[e] carries what end e writes */
};

_Static_assert(sizeof(struct ring_words) == (size_t)3 * RING_APART_SIZE,
               "each word of a ring stands alone");
_Static_assert(sizeof(struct shared_page) == (size_t)11 * RING_APART_SIZE,
               "and so does each of an end");

struct shared {
    struct shared_page *page;
    uint8_t *data[2]; /* RING_GROWN bytes each, without copies: for rings that do not wrap yet */
    struct sys_life_file memory;
    int doorbell[2][2]; /* doorbell[e] wakes the holder of end e */
};

int shared_open(struct shared *shared);
void shared_close(struct shared *shared);

/* One ring as ring_area.h says, for one of its sides. NULL: ENOMEM. */
uint8_t *shared_map_ring(const struct shared *shared, unsigned ring);
void shared_unmap_ring(uint8_t *mapping); /* keeps errno; NULL is nothing */

#endif
