/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of one direction lie. A ring begins small: it goes round in its first RING_SIZE
 * bytes, which stay in the cache and are all the memory that it ever costs. When a long message
 * finds no room it grows, once and for good, and goes round in all RING_GROWN.
 *
 *   mapped   [0 .. RING_SIZE)  [0 .. RING_GROWN)  [0 .. RING_GROWN)
 *            ^ base, small     ^ base, grown
 *
 * A byte is at base + (position & mask). From either base whatever is unread is contiguous.
 * Until a ring wraps, its first RING_SIZE bytes may be all that is mapped: see ring_wrap.h.
 *
 * The writer grows only at a time when all that is unread, and where it is going to write, lies
 * between a multiple B of RING_GROWN and B + RING_SIZE, both inclusive. There either layout says
 * the same, so nothing moves. It then publishes B with the next bytes. A reader that learns of B
 * has read up to some position in that range too, so it goes on in the other layout at once. It
 * also checks that: B comes from the peer. Whatever B is, an area stays within what is mapped.
 */
#ifndef PIPC_RING_AREA_H
#define PIPC_RING_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of each direction: powers of two and multiples of any page size. */
#define RING_SIZE  ((size_t)256 * 1024)
#define RING_GROWN ((size_t)1024 * 1024)

#define RING_SPAN (RING_SIZE + 2 * RING_GROWN) /* of its mapping */

_Static_assert((RING_SIZE & (RING_SIZE - 1)) == 0, "positions are masked");
_Static_assert((RING_GROWN & (RING_GROWN - 1)) == 0, "positions are masked");
_Static_assert(RING_SIZE < RING_GROWN, "growing makes it larger");

struct ring_area {
    uint8_t *base;
    size_t mask;
    uint64_t grown; /* 0: small; RING_AREA_KEPT: for good; else B + 1 */
};

/* No B + 1. The word of an area that never grows says so, and it has 2 * RING_SIZE bytes mapped. */
#define RING_AREA_KEPT UINT64_MAX

static inline size_t ring_area_size(const struct ring_area *area)
{
    return area->mask + 1;
}

static inline uint8_t *ring_area_at(const struct ring_area *area, uint64_t position)
{
    return area->base + (position & area->mask);
}

static inline void ring_area_set_grown(struct ring_area *area, uint64_t grown)
{
    area->base += RING_SIZE;
    area->mask = RING_GROWN - 1;
    area->grown = grown;
}

/* As a former holder has left it; or with `is_kept`, whatever the word says. */
static inline struct ring_area ring_area_init(uint8_t *base, uint64_t grown, bool is_kept)
{
    struct ring_area area = {base, RING_SIZE - 1, is_kept ? RING_AREA_KEPT : 0};
    if (grown != 0 && !is_kept)
        ring_area_set_grown(&area, grown);
    return area;
}

/* For the writer, which has read back that all before `tail` has been read. */
static inline bool ring_area_grow(struct ring_area *area, uint64_t tail, uint64_t head)
{
    uint64_t beyond = head & (RING_GROWN - 1);
    if (area->grown != 0 || beyond > RING_SIZE || head - tail > beyond)
        return false;
    ring_area_set_grown(area, head - beyond + 1);
    return true;
}

/* How far a small ring can be written before it can surely grow. */
static inline size_t ring_area_until_growth(uint64_t head)
{
    return (size_t)((RING_SIZE - head) & (RING_GROWN - 1));
}

/* For the reader: `grown` is the word of the peer. False: it makes no sense. */
static inline bool ring_area_follow(struct ring_area *area, uint64_t tail, uint64_t grown)
{
    uint64_t begin = grown - 1;
    if (area->grown != 0 || (begin & (RING_GROWN - 1)) != 0 || tail - begin > RING_SIZE)
        return false;
    ring_area_set_grown(area, grown);
    return true;
}

#endif
