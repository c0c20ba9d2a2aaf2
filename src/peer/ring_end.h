/* SPDX-License-Identifier: MIT */
/*
 * One end of an anonymous pipe, between its two files: transport_ring.c is the transport,
 * ring_life.c answers what its ring asks about the peer.
 */
#ifndef PIPC_RING_END_H
#define PIPC_RING_END_H

#include <stddef.h>

#include "peer/descriptor.h"
#include "peer/ends.h"
#include "peer/monitor.h"
#include "transport/ring.h"
#include "transport/ring_answer.h"
#include "transport/transport.h"

struct ring_end {
    struct transport base; /* first */
    struct ring ring;
    uint8_t *mapping[2]; /* of what it reads and what it writes, once that has wrapped */
    struct ring_answer answer;
    struct ends *ends;
    unsigned end;
    int64_t checked;         /* in sys_ticks, when the peer was last known to live */
    int64_t checked_process; /* the same, by its process too */

    struct monitor_set set; /* of own doorbell and monitor: for `wait`, and for the program */
    struct monitor monitor;
    bool has_reported_death; /* to the trace */
    enum descriptor_state descriptor;
    bool owes;                        /* the kernel had no memory for a doorbell of the peer's */
    unsigned armed;                   /* the interest it was last drained for */
    uint64_t updated_in, updated_out; /* positions at the last update of readiness */
};

_Static_assert(offsetof(struct ring_end, base) == 0, "a transport is cast to its end");

/* What the monitor has seen goes to the ring. True: there was something new. */
bool ring_end_follow_peer(struct ring_end *end);
/* For the ring of that end, as its context. */
enum ring_life ring_end_peer_life(void *context, uint64_t version, enum ring_question question,
                                  int64_t now);

#endif
