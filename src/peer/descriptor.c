/* SPDX-License-Identifier: MIT */
/*
 *   event       in UNKNOWN          in DRAINED          in READABLE
 *   WAITED      -      UNKNOWN      -      UNKNOWN      -      UNKNOWN
 *   WORK        ring   READABLE     ring   READABLE     -      READABLE
 *   NEW_WORK    ring   READABLE     ring   READABLE     ring   READABLE
 *   IDLE        drain  DRAINED      drain  DRAINED      drain  DRAINED
 *   STILL_IDLE  drain  DRAINED      -      DRAINED      drain  DRAINED
 *   CAME        ring   READABLE     ring   READABLE     ring   READABLE
 *
 * NEW_WORK rings again: what has come since the caller found too little, or comes later, may find
 * the doorbell rung already, and a program that waits for an edge would miss it. STILL_IDLE keeps
 * what it finds: while the interest is armed, the peer has not rung, so there is nothing to drain.
 */
#include "peer/descriptor.h"

struct cell {
    enum descriptor_action action;
    enum descriptor_state next;
};

#define KEEP(state)                         \
    {                                       \
        DESCRIPTOR_KEEP, DESCRIPTOR_##state \
    }
#define RING                                 \
    {                                        \
        DESCRIPTOR_RING, DESCRIPTOR_READABLE \
    }
#define DRAIN                                \
    {                                        \
        DESCRIPTOR_DRAIN, DESCRIPTOR_DRAINED \
    }

/* clang-format off */
static const struct cell table[][DESCRIPTOR_READABLE + 1] = {
    /*                         in UNKNOWN      in DRAINED      in READABLE */
    [DESCRIPTOR_WAITED]     = {KEEP(UNKNOWN), KEEP(UNKNOWN), KEEP(UNKNOWN)},
    [DESCRIPTOR_WORK]       = {RING,          RING,          KEEP(READABLE)},
    [DESCRIPTOR_NEW_WORK]   = {RING,          RING,          RING},
    [DESCRIPTOR_IDLE]       = {DRAIN,         DRAIN,         DRAIN},
    [DESCRIPTOR_STILL_IDLE] = {DRAIN,         KEEP(DRAINED), DRAIN},
    [DESCRIPTOR_CAME]       = {RING,          RING,          RING},
};
/* clang-format on */

_Static_assert(sizeof table / sizeof table[0] == DESCRIPTOR_CAME + 1, "a row for each event");

enum descriptor_action descriptor_step(enum descriptor_state *state, enum descriptor_event event)
{
    const struct cell *cell = &table[event][*state];
    *state = cell->next;
    return cell->action;
}
