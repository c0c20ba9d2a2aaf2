/* SPDX-License-Identifier: MIT */
/*
 * The memory and the bells that all holders of an anonymous pipe share. Layout only: who holds an
 * end is the matter of ends, how bytes travel is the matter of transport_ring. Every word in here can be
 * overwritten by any process that inherited the pipe: it is read once, and checked, before use.
 */
#ifndef PIPC_SHARED_H
#define PIPC_SHARED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/sys_life.h"

/*
 * Bytes per direction, a power of two and a multiple of any page size. Below the second-level cache
 * of current processors, so that both copies of a message in transit stay there.
 */
#define SHARED_RING_SIZE ((size_t)256 * 1024)

/* Words that different processors write are two cache lines apart: lines are fetched in pairs. */
#define SHARED_APART _Alignas(128)

struct shared_page {
    struct {
        SHARED_APART _Atomic uint64_t state; /* see ends.c */
        _Atomic uint64_t until;              /* likewise */
        SHARED_APART atomic_uint want;       /* see ring.c */
    } end[2];
    struct {
        SHARED_APART _Atomic uint64_t head;  /* bytes ever written; by the writer */
        SHARED_APART _Atomic uint64_t tail;  /* bytes ever read; by the reader */
        SHARED_APART _Atomic uint64_t steps; /* the same, but moved less often; see ring.c */
    } ring[2];                               /* ring[e] carries what end e writes */
};

struct shared {
    struct shared_page *page;
    uint8_t *data[2]; /* each twice in a row */
    struct sys_life_file memory;
    int bell[2][2]; /* bell[e] wakes the holder of end e */
};

int shared_open(struct shared *shared);
void shared_close(struct shared *shared);

#endif
