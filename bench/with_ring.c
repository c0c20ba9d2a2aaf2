/* SPDX-License-Identifier: MIT */
/*
 * The line of what is possible: a ring of 1 MiB for each direction, in shared memory, with futexes
 * to sleep on. It knows nothing of deaths, timeouts, descriptors to poll, or the size of a message,
 * and nobody would use it as it is. Bytes are copied in and out, as by write and read.
 *
 * A side that has to wait says so in the ring; its peer then wakes it: the reader when there
 * is anything to read, the writer when half of the ring is free, so that both sides do not take
 * turns for every few bytes.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define CAPACITY (1u << 20)
#define PIECE    (1u << 17) /* copied before the peer may go on with it */

/* The two counts run on past CAPACITY, and past 32 bits. */
struct ring {
    _Alignas(64) atomic_uint written;
    atomic_uint reader_waits;
    _Alignas(64) atomic_uint consumed;
    atomic_uint writer_waits;
    _Alignas(64) unsigned char data[CAPACITY];
};

struct end {
    struct ring *in, *out;
    size_t size; /* of each message */
    unsigned char *buffer;
};

/* ---- sleep and wake up ---- */

/* It sleeps on the flag, not on the count: the flag that a late waker clears ends the sleep. */
static void sleep_while(atomic_uint *count, atomic_uint *waits, unsigned value)
{
    atomic_store(waits, 1);
    if (atomic_load(count) == value &&
        syscall(SYS_futex, waits, FUTEX_WAIT, 1, NULL, NULL, 0) != 0 && errno != EAGAIN &&
        errno != EINTR)
        fail("futex");
    atomic_store_explicit(waits, 0, memory_order_relaxed);
}

static void wake(atomic_uint *waits)
{
    if (atomic_exchange(waits, 0) != 0 &&
        syscall(SYS_futex, waits, FUTEX_WAKE, INT_MAX, NULL, NULL, 0) < 0)
        fail("futex");
}

/* ---- bytes ---- */

static unsigned smaller(size_t a, size_t b)
{
    return (unsigned)(a < b ? a : b);
}

static unsigned wait_for_room(struct ring *ring, unsigned written)
{
    for (unsigned least = 1;; least = CAPACITY / 2) {
        unsigned consumed = atomic_load_explicit(&ring->consumed, memory_order_acquire);
        unsigned room = CAPACITY - (written - consumed);
        if (room >= least)
            return room;
        sleep_while(&ring->consumed, &ring->writer_waits, consumed);
    }
}

static void put(struct ring *ring, const unsigned char *from, size_t size)
{
    unsigned written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    while (size > 0) {
        unsigned at = written % CAPACITY;
        unsigned count = smaller(smaller(size, PIECE), CAPACITY - at);
        count = smaller(count, wait_for_room(ring, written));
        memcpy(ring->data + at, from, count);
        atomic_store(&ring->written, written += count);
        if (atomic_load(&ring->reader_waits) != 0)
            wake(&ring->reader_waits);
        from += count;
        size -= count;
    }
}

static unsigned wait_for_data(struct ring *ring, unsigned consumed)
{
    for (;;) {
        unsigned written = atomic_load_explicit(&ring->written, memory_order_acquire);
        if (written != consumed)
            return written - consumed;
        sleep_while(&ring->written, &ring->reader_waits, written);
    }
}

static void get(struct ring *ring, unsigned char *to, size_t size)
{
    unsigned consumed = atomic_load_explicit(&ring->consumed, memory_order_relaxed);
    while (size > 0) {
        unsigned at = consumed % CAPACITY;
        unsigned there = wait_for_data(ring, consumed);
        unsigned count = smaller(smaller(size, PIECE), smaller(there, CAPACITY - at));
        memcpy(to, ring->data + at, count);
        atomic_store(&ring->consumed, consumed += count);
        if (there - count <= CAPACITY / 2 && atomic_load(&ring->writer_waits) != 0)
            wake(&ring->writer_waits);
        to += count;
        size -= count;
    }
}

/* ---- the contender ---- */

static void prepare(struct link *link)
{
    struct ring *rings = new_shared(2 * sizeof *rings);
    link->end[0] = link->end[1] = rings;
}

static void join(struct link *link, int side)
{
    struct ring *rings = link->end[side];
    struct end *end = calloc(1, sizeof *end);
    if (end == NULL || (end->buffer = malloc(link->size)) == NULL)
        fail("memory");
    end->in = &rings[side];
    end->out = &rings[1 - side];
    end->size = link->size;
    link->end[side] = end;
}

static void send_one(void *end, const void *data, size_t size)
{
    put(((struct end *)end)->out, data, size);
}

static size_t receive(void *at, const void **data)
{
    struct end *end = at;
    get(end->in, end->buffer, end->size);
    *data = end->buffer;
    return end->size;
}

const struct contender with_ring[] = {
    {
        .library = "raw",
        .transport = "ring",
        .style = "plain",
        .setup = "shared memory, 1 MiB each way, and futexes: the line of what is possible",
        .prepare = prepare,
        .join = join,
        .send = send_one,
        .receive = receive,
        .handles = 2,
        .one_size = true,
    },
    {0},
};
