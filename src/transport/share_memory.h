/* SPDX-License-Identifier: MIT */
/*
 * The memory that two processes share which have nothing but a socket in common. One makes it, and
 * sends its descriptor; the other one checks it. The peer can write anything into each word of it,
 * at any time, and can replace each page by zeros: a word is loaded once, and checked, before use.
 */
#ifndef PIPC_SHARE_MEMORY_H
#define PIPC_SHARE_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/ring.h"

/* Of all that this process shares, so much may be in large pieces. Tests change it. */
extern size_t share_large_max;

/* Of an offer: it stands, or one of the two has decided, each by compare-and-exchange. */
enum { SHARE_IS_OFFERED, SHARE_IS_ACCEPTED, SHARE_IS_WITHDRAWN };

/* Changes with all that both sides have to agree on. */
#define SHARE_MAGIC (UINT64_C(0x7069706320320000) + sizeof(struct share_page))

struct share_page {
    _Atomic uint64_t magic;
    RING_APART atomic_uint answer;
    struct {
        RING_APART _Atomic uint64_t version; /* see share.c */
        _Atomic uint64_t mark;               /* likewise */
        RING_APART atomic_uint interest;     /* see ring.h */
        atomic_uint doorbell;                /* it is rung by its pipe; see share_doorbell.h */
        atomic_int process;                  /* a hint, for who looks from outside; 0: none */
    } end[2];                                /* 0: of the side that made the memory */
    struct ring_words ring[2];               /* ring[e] carries what end e writes */
};

/* Does it count for what this process shares at most? */
enum share_limit { SHARE_LIMITED, SHARE_UNLIMITED };

struct share_memory {
    struct share_page *page; /* NULL: none */
    uint8_t *data[2];        /* see ring_area.h */
    bool is_large;           /* its rings can grow */
    enum share_limit limit;
};

/*
 * New memory: large while this process does not share much, then small. Returns the descriptor to
 * send. -1: errno; or EDQUOT, this process shares enough.
 */
int share_memory_make(struct share_memory *memory, enum share_limit limit);
/* From a descriptor of the peer's, which stays open. -1: it is not what the first makes; errno. */
int share_memory_take(struct share_memory *memory, int fd, enum share_limit limit);
/* All pages of what end `end` writes: nothing there is unread. */
void share_memory_drop(const struct share_memory *memory, unsigned end);
bool share_memory_is_offered(int fd);                   /* the same, which gives it up at once */
void share_memory_give_up(struct share_memory *memory); /* keeps errno */

#endif
