/* SPDX-License-Identifier: MIT */
#include "peer/ring.h"

#include <errno.h>

#include "sys/sys.h"

static void wake(struct ring *r, atomic_uint *want)
{
    if (atomic_exchange(want, 0) != 0)
        sys_doorbell_ring(r->ends->shared.bell[1 - r->end]);
}

void ring_wake(struct ring *r, unsigned bit)
{
    atomic_uint *want = ring_want(r, 1 - r->end);
    atomic_thread_fence(memory_order_seq_cst);
    if ((atomic_load_explicit(want, memory_order_relaxed) & bit) != 0)
        wake(r, want);
}

int ring_see_head(struct ring *r)
{
    uint64_t head = atomic_load_explicit(&r->page->ring[1 - r->end].head, memory_order_acquire);
    /* Forwards only, and never further than the ring is long. */
    if (head - r->in_tail > RING || head - r->in_head > RING)
        r->broken = true;
    else
        r->in_head = head;
    if (r->broken)
        errno = EPROTO;
    return r->broken ? -1 : 0;
}

int ring_see_tail(struct ring *r)
{
    uint64_t tail = atomic_load_explicit(&r->page->ring[r->end].tail, memory_order_acquire);
    if (r->out_head - tail > RING)
        r->broken = true;
    else
        r->out_tail = tail;
    if (r->broken)
        errno = EPROTO;
    return r->broken ? -1 : 0;
}

/* ---- the reader's steps ----
 *
 * The word that tells exactly how far the reader has come is looked at only by a writer that knows of
 * no more room: each look costs both sides the way between two cores. While messages stream, the
 * writer looks at another one, which moves when the reader has read all it saw, or so many bytes; and
 * then alone the reader looks whether the writer waits (16 B where the cores are far from each
 * other: 19 to 38 million messages a second).
 */
#define STEP (RING / 256)

/*
 * A writer that waits is woken when so much at most is left to read: each wake-up is worth many
 * messages. Less than a step may follow the one at which the reader looked last, so nobody sleeps
 * while half a ring is free.
 */
#define MARK (RING / 2 + STEP)

static void make_step(struct ring *r)
{
    atomic_uint *want = ring_want(r, 1 - r->end);
    r->in_step = r->in_tail;
    atomic_store_explicit(&r->page->ring[1 - r->end].steps, r->in_tail, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if ((atomic_load_explicit(want, memory_order_relaxed) & WANT_ROOM) == 0)
        return;
    if (atomic_load(&r->page->ring[1 - r->end].head) - r->in_tail <= MARK)
        wake(r, want);
}

void ring_take(struct ring *r, size_t size)
{
    r->in_tail += size;
    atomic_store_explicit(&r->page->ring[1 - r->end].tail, r->in_tail, memory_order_release);
    if (r->in_tail == r->in_head || r->in_tail - r->in_step >= STEP)
        make_step(r);
}

/* Readers rest, and make steps: together up to some microseconds. */
#define FAST  4000 /* ticks, for the few messages between two looks */
#define AWAKE (2 * FAST)

bool ring_look_at_reader(struct ring *r, int64_t now)
{
    uint64_t step = atomic_load_explicit(&r->page->ring[r->end].steps, memory_order_relaxed);
    bool is_fast = (uint64_t)(now - r->look.ticks) < FAST;
    r->look.ticks = now;
    if (step != r->look.step) {
        r->look.step = step;
        r->look.moved = now;
    }
    return is_fast && (uint64_t)(now - r->look.moved) < AWAKE;
}

/* ---- the reader's pace ----
 *
 * A reader that keeps up with the writer takes each cache line from under its hands, and both lose.
 * So one that finds little, look after look, gives the writer a head start (measured on two cores:
 * 14 to 18 million messages of 16 bytes a second, 1.8 to 7 million of 1 KiB). One that finds nothing
 * although the writer is at it goes on looking for a few microseconds, since to sleep and be woken
 * takes longer (messages of 1 MiB: 4 to 17 GB/s); where that was in vain, as on one core, it looks
 * half as long the next time. Who has just written, and waits for an answer, does neither. And a
 * partner that sends a message byte by byte gains no time by it.
 */
#define LITTLE         (RING / 16)
#define AMPLE          (RING / 64)
#define HEAD_START     2500 /* ticks: about a microsecond */
#define PATIENCE_LEAST 8    /* looks, of some 20 nanoseconds */
#define PATIENCE_MOST  256

static bool comes_soon(struct ring *r)
{
    const _Atomic uint64_t *head = &r->page->ring[1 - r->end].head;
    for (unsigned i = 0; i < r->patience; i++) {
        if (atomic_load_explicit(head, memory_order_relaxed) != r->in_head) {
            r->patience = r->patience < PATIENCE_MOST ? r->patience * 2 : PATIENCE_MOST;
            return true;
        }
        sys_cpu_relax();
    }
    r->patience = r->patience > PATIENCE_LEAST ? r->patience / 2 : PATIENCE_LEAST;
    return false;
}

int ring_look_for_bytes(struct ring *r, bool amid)
{
    uint64_t before = r->in_head;
    if (ring_see_head(r) != 0)
        return -1;
    if (r->in_head == before) {
        bool is_busy = amid ? r->found >= AMPLE : r->streak > 1;
        if (!is_busy || !comes_soon(r)) {
            r->streak = 0;
            return 0;
        }
    } else {
        r->streak++;
        if (r->streak > 2 && r->in_head - before < LITTLE)
            sys_cpu_relax_for(HEAD_START);
    }
    if (ring_see_head(r) != 0)
        return -1;
    r->found = r->in_head - before;
    return 0;
}

/* ---- wishes ---- */

bool ring_is_there(struct ring *r, unsigned bits)
{
    const struct shared_page *page = r->page;
    if (ends_peer_state(r->ends, r->end) != r->seen)
        return true;
    if ((bits & WANT_BYTES) && atomic_load(&page->ring[1 - r->end].head) != r->in_head)
        return true;
    if ((bits & WANT_ROOM) == 0)
        return false;
    uint64_t used = r->out_head - atomic_load(&page->ring[r->end].tail);
    return used <= MARK || used > RING; /* or makes no sense, which the next write says */
}

void ring_disarm(struct ring *r)
{
    atomic_exchange(ring_want(r, r->end), 0);
}

bool ring_arm(struct ring *r, unsigned bits)
{
    atomic_store(ring_want(r, r->end), bits);
    atomic_thread_fence(memory_order_seq_cst);
    if (!ring_is_there(r, bits))
        return false;
    ring_disarm(r);
    return true;
}
