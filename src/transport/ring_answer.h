/* SPDX-License-Identifier: MIT */
/*
 * A side that has written and now waits to read expects an answer. When the peer runs on another
 * processor the answer may be there before this side has gone to sleep, and to be woken takes 15 to
 * 30 microseconds there. So such a wait begins with a look of that length, for as long as that has
 * paid lately (two idle cores, 16 bytes there and back: 42 to 0.6 microseconds).
 *
 *   event                  to_skip      action       next
 *   wait, nothing written  any          sleep        same
 *   wait, has written      above 0      sleep        to_skip - 1
 *   wait, has written      0            look         -
 *   looked, it came                                  skips = ANSWER_SKIPS_MIN
 *   looked in vain                                   to_skip = skips; skips * 2, at most
 *                                                    ANSWER_SKIPS_MAX
 *
 * So on one core, or with a peer that takes its time, one wait of a thousand costs a look.
 */
#ifndef PIPC_RING_ANSWER_H
#define PIPC_RING_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/ring.h"

#define ANSWER_SKIPS_MIN  4
#define ANSWER_SKIPS_MAX  1024
#define ANSWER_LOOK_TICKS 60000 /* sys_ticks: some 15 to 30 microseconds */

struct ring_answer {
    uint64_t written; /* position of this side as a writer, at the last wait */
    unsigned to_skip; /* waits, until the next look */
    unsigned skips;   /* how many, after a look in vain */
};

static inline void ring_answer_init(struct ring_answer *answer, uint64_t written)
{
    *answer = (struct ring_answer){.written = written, .skips = ANSWER_SKIPS_MIN};
}

/* A wait begins. True: look first; then comes ring_answer_looked. */
static inline bool ring_answer_wants_look(struct ring_answer *answer, uint64_t written)
{
    bool has_written = answer->written != written;
    answer->written = written;
    if (!has_written)
        return false;
    if (answer->to_skip == 0)
        return true;
    answer->to_skip--;
    return false;
}

static inline void ring_answer_looked(struct ring_answer *answer, bool came)
{
    if (came) {
        answer->skips = ANSWER_SKIPS_MIN;
        return;
    }
    answer->to_skip = answer->skips;
    if (answer->skips < ANSWER_SKIPS_MAX)
        answer->skips *= 2;
}

/* A wait for bytes begins. True: they came, in a look. */
bool ring_answer_look(struct ring_answer *answer, const struct ring *ring);

#endif
