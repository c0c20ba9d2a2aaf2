/* SPDX-License-Identifier: MIT */
#include "transport/ring_answer.h"

#include "sys/sys.h"

static struct ring_yields yields = {.share = ANSWER_SHARE_MIN};

/* Nobody has to wake this side for what comes meanwhile. */
static bool look(const struct ring *ring)
{
    bool came;
    int64_t begin = sys_ticks(), looks = 0;
    do { /* counted as well, since a test can stop what is the clock on some machines */
        sys_cpu_relax();
        came = ring_is_ready(ring, RING_BYTES);
    } while (!came && ++looks < ANSWER_LOOK_TICKS &&
             (uint64_t)(sys_ticks() - begin) < ANSWER_LOOK_TICKS);
    return came;
}

/* How long it lasted, in ticks; -1: there is to be none now. */
static int64_t yield(void)
{
    int64_t begin = sys_ticks();
    if (!ring_yields_may(&yields, begin))
        return -1;
    sys_cpu_yield();
    int64_t lasted = sys_ticks() - begin;
    ring_yields_note(&yields, begin, lasted);
    return lasted;
}

static bool yield_for(struct ring_answer *answer, struct ring *ring)
{
    int64_t lasted = yield();
    bool came = lasted >= 0 && ring_is_ready(ring, RING_BYTES);
    if (came && lasted < ANSWER_SHORT_TICKS) {
        answer->yields = 0;
        ring_pace_spun(&ring->pace, true);
    }
    return came;
}

bool ring_answer_look(struct ring_answer *answer, struct ring *ring)
{
    bool was_ample = ring->pace.found >= RING_PACE_AMPLE;
    enum ring_answer_way way = ring_answer_begin(answer, ring->out_head, was_ample);
    if (way == RING_ANSWER_SLEEP)
        return false;
    bool came = way == RING_ANSWER_LOOK ? look(ring) : yield_for(answer, ring);
    if (way != RING_ANSWER_YIELD_FOR_MORE)
        ring_answer_looked(answer, came);
    return came;
}
