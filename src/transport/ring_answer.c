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

static bool yield(const struct ring *ring)
{
    int64_t begin = sys_ticks();
    if (begin < atomic_load_explicit(&yields.from, memory_order_relaxed))
        return false;
    sys_cpu_yield();
    ring_yields_note(&yields, begin, sys_ticks() - begin);
    return ring_is_ready(ring, RING_BYTES);
}

bool ring_answer_look(struct ring_answer *answer, const struct ring *ring)
{
    if (!ring_answer_wants_look(answer, ring->out_head))
        return false;
    bool came = answer->yields ? yield(ring) : look(ring);
    ring_answer_looked(answer, came);
    return came;
}
