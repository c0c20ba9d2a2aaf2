/* SPDX-License-Identifier: MIT */
/*
 * How the bytes of a transport went, and how often its side waited: for pipc_stats, which any
 * thread may call at any time. What goes through shared memory costs nothing to count: the
 * positions of its ring are there anyway. The rest is counted beside system calls.
 */
#ifndef PIPC_TRANSPORT_COUNT_H
#define PIPC_TRANSPORT_COUNT_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct ring;
struct transport;

struct transport_counters {
    _Atomic uint64_t kernel_read, kernel_written; /* each by one thread at a time */
    _Atomic uint64_t waits, wakeups;
    const struct ring *_Atomic ring; /* NULL: none. Stays until the transport is closed */
};

struct transport_figures {
    uint64_t kernel_read, kernel_written, shared_read, shared_written;
    uint64_t unread, unread_by_peer; /* in shared memory */
    uint64_t waits, wakeups;
};

struct transport_figures transport_figures_of(const struct transport *transport);

/* After a call that moved so many bytes of the stream; none when it failed. */
static inline void transport_count_bytes(_Atomic uint64_t *counter, ssize_t bytes)
{
    if (bytes <= 0)
        return;
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + (uint64_t)bytes, memory_order_relaxed);
}

/* A wait or a wakeup, beside a system call; by any thread. */
static inline void transport_count_one(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

#endif
