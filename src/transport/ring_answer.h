/* SPDX-License-Identifier: MIT */
/*
 * What a wait for bytes does before it sleeps. A side that has written expects an answer, and one
 * whose last load found much expects more of it. There are two ways to have it without sleeping:
 *
 *   look   for some microseconds. A peer on another processor may answer meanwhile, and to be woken
 *          takes 15 to 30 of them there (two idle cores, 16 bytes there and back: 42 to 0.6
 *          microseconds).
 *   yield  the processor, once. A peer that waits for it may write then, and neither side has to be
 *          woken (one core: 16 bytes there and back 9 to 5 microseconds, a pipe 8; 64 KiB one way
 *          10 to 6).
 *
 *   event                  to_skip      action       next
 *   wait, nothing written  any          sleep; after AMPLE (ring_pace.h) yield
 *   wait, has written      above 0      sleep        to_skip - 1
 *   wait, has written      0            look, or yield if `yields`
 *   it came                                          skips = ANSWER_SKIPS_MIN
 *   looked in vain                                   yields
 *   yielded in vain                                  looks; to_skip = skips; skips * 2, at most
 *                                                    ANSWER_SKIPS_MAX
 *   it came in a yield so short that nobody else ran here      looks; spins longer (ring_pace.h)
 *
 * So with a peer that takes its time one wait of a thousand costs a look. Where others have work
 * for the processor, a yield can cost the milliseconds that the scheduler gives them. After one
 * that took long no side of the process yields for ANSWER_SHARE_MIN times as long; and twice that,
 * up to ANSWER_SHARE_MAX times, if the next one takes long again.
 */
#ifndef PIPC_RING_ANSWER_H
#define PIPC_RING_ANSWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/ring.h"

#define ANSWER_SKIPS_MIN   4
#define ANSWER_SKIPS_MAX   1024
#define ANSWER_LOOK_TICKS  60000  /* sys_ticks: some 15 to 30 microseconds */
#define ANSWER_SHORT_TICKS 2500   /* of a yield: less than it takes to run others */
#define ANSWER_LONG_TICKS  250000 /* some 60 to 120 microseconds */
#define ANSWER_SHARE_MIN   32
#define ANSWER_SHARE_MAX   8192
/* 20 to 100 milliseconds. A yield that lasted longer was a stop, of the process or the machine. */
#define ANSWER_YIELD_MAX ((int64_t)100000000)

struct ring_answer {
    uint64_t written;    /* position of this side as a writer, at the last wait */
    unsigned to_skip;    /* waits, until the next look */
    unsigned skips : 31; /* how many, after a yield in vain */
    unsigned yields : 1;
};

static inline void ring_answer_init(struct ring_answer *answer, uint64_t written)
{
    *answer = (struct ring_answer){.written = written, .skips = ANSWER_SKIPS_MIN};
}

enum ring_answer_way {
    RING_ANSWER_SLEEP,
    RING_ANSWER_LOOK,  /* for an answer; then comes ring_answer_looked */
    RING_ANSWER_YIELD, /* likewise */
    RING_ANSWER_YIELD_FOR_MORE
};

/* A wait begins. */
static inline enum ring_answer_way ring_answer_begin(struct ring_answer *answer, uint64_t written,
                                                     bool was_ample)
{
    bool has_written = answer->written != written;
    answer->written = written;
    if (!has_written)
        return was_ample ? RING_ANSWER_YIELD_FOR_MORE : RING_ANSWER_SLEEP;
    if (answer->to_skip == 0)
        return answer->yields ? RING_ANSWER_YIELD : RING_ANSWER_LOOK;
    answer->to_skip--;
    return RING_ANSWER_SLEEP;
}

static inline void ring_answer_looked(struct ring_answer *answer, bool came)
{
    if (came) {
        answer->skips = ANSWER_SKIPS_MIN;
        return;
    }
    answer->yields = !answer->yields;
    if (answer->yields)
        return;
    answer->to_skip = answer->skips;
    if (answer->skips < ANSWER_SKIPS_MAX)
        answer->skips *= 2;
}

/* Of a process: the processors of its threads are busy, or not, for all its pipes. */
struct ring_yields {
    _Atomic int64_t from; /* sys_ticks; not before */
    atomic_int share;
};

/* Ticks may have gone backwards: then what was noted lies further ahead than any pause lasts. */
static inline bool ring_yields_may(const struct ring_yields *yields, int64_t now)
{
    int64_t from = atomic_load_explicit(&yields->from, memory_order_relaxed);
    return now >= from || from - now > ANSWER_YIELD_MAX * ANSWER_SHARE_MAX;
}

/* Threads may do this at once: at worst one of them yields once too often, or too rarely. */
static inline void ring_yields_note(struct ring_yields *yields, int64_t begin, int64_t lasted)
{
    int share = atomic_load_explicit(&yields->share, memory_order_relaxed);
    bool was_long = lasted >= ANSWER_LONG_TICKS;
    int64_t counts = lasted < ANSWER_YIELD_MAX ? lasted : ANSWER_YIELD_MAX;
    if (was_long)
        atomic_store_explicit(&yields->from, begin + counts * share, memory_order_relaxed);
    int next = !was_long ? ANSWER_SHARE_MIN : share < ANSWER_SHARE_MAX ? 2 * share : share;
    if (next != share)
        atomic_store_explicit(&yields->share, next, memory_order_relaxed);
}

/* A wait for bytes begins. True: they came before a sleep. */
bool ring_answer_look(struct ring_answer *answer, struct ring *ring);

#endif
