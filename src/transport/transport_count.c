/* SPDX-License-Identifier: MIT */
#include "transport/transport_count.h"

#include "transport/ring.h"
#include "transport/transport.h"

/* Between two positions of which the peer can write at least one. The first was loaded first. */
static uint64_t unread_between(uint64_t tail, uint64_t head)
{
    uint64_t unread = head - tail;
    return unread <= RING_GROWN ? unread : RING_GROWN;
}

/* Only the shared words: what the ring keeps for itself belongs to the thread that uses it. */
static void add_ring(struct transport_figures *figures, const struct ring *ring)
{
    const struct ring_words *in = ring->memory.in, *out = ring->memory.out;
    uint64_t in_tail = atomic_load(&in->tail), out_tail = atomic_load(&out->tail);
    uint64_t in_head = atomic_load(&in->head), out_head = atomic_load(&out->head);
    figures->shared_read = in_tail - ring->in_begin;
    figures->shared_written = out_head - ring->out_begin;
    figures->unread = unread_between(in_tail, in_head);
    figures->unread_by_peer = unread_between(out_tail, out_head);
}

struct transport_figures transport_figures_of(const struct transport *transport)
{
    const struct transport_counters *counters = &transport->counters;
    struct transport_figures figures = {.kernel_read = atomic_load(&counters->kernel_read),
                                        .kernel_written = atomic_load(&counters->kernel_written),
                                        .waits = atomic_load(&counters->waits),
                                        .wakeups = atomic_load(&counters->wakeups)};
    const struct ring *ring = atomic_load(&counters->ring);
    if (ring != NULL)
        add_ring(&figures, ring);
    return figures;
}
