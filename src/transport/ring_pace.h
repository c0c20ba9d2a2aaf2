/* SPDX-License-Identifier: MIT */
/*
 * The pace of a ring's reader: what it does after each load of the writer's position.
 *
 * A reader that keeps up with the writer takes each cache line from under its hands, and both lose.
 * So one that finds little, again and again, gives the writer a head start (measured on two cores:
 * 14 to 18 million messages of 16 bytes a second, 1.8 to 7 million of 1 KiB). One that finds
 * nothing although the writer is at it goes on loading for a few microseconds, since to sleep and
 * be woken takes longer (messages of 1 MiB: 4 to 17 GB/s); where that was in vain, as on one core,
 * it loads half as often the next time. A side that has just written, and waits for an answer, does
 * neither. And a peer that sends a message byte by byte gains no time by it.
 *
 *   event                      at a streak of        action       next streak
 *   loaded LITTLE              0, 1                  use it       + 1
 *   loaded LITTLE              2 or more             head start   + 1
 *   loaded more                any                   use it       + 1
 *   loaded nothing             0, 1                  give up      0
 *   loaded nothing             2 or more             spin         same
 *   loaded nothing, amid *)    any                   give up      0
 *   the same, after AMPLE **)  any                   spin         same
 *   spun in vain               any                   give up      0; patience / 2
 *   spun, and something came   any                   use it       same; patience * 2
 *   has written                any                   -            0
 *
 *   *) in the middle of a long message   **) the last load that found something found that much
 */
#ifndef PIPC_RING_PACE_H
#define PIPC_RING_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define RING_PACE_LITTLE       16384 /* bytes; less is little */
#define RING_PACE_AMPLE        4096  /* bytes */
#define RING_PACE_STREAK       2     /* loads in a row */
#define RING_PACE_PATIENCE_MIN 8     /* loads, of some 20 nanoseconds */
#define RING_PACE_PATIENCE_MAX 256

_Static_assert(RING_PACE_AMPLE <= RING_PACE_LITTLE, "a reader that spins may find little");
_Static_assert(0 < RING_PACE_PATIENCE_MIN, "patience can grow");
_Static_assert(RING_PACE_PATIENCE_MIN < RING_PACE_PATIENCE_MAX, "patience can shrink");

struct ring_pace {
    uint64_t found;    /* by the last load that found something */
    unsigned streak;   /* loads in a row that found something */
    unsigned patience; /* the number of loads of the next spin */
};

enum ring_pace_action {
    RING_PACE_USE,        /* what was found */
    RING_PACE_HEAD_START, /* wait a moment, then load again and use it */
    RING_PACE_SPIN,       /* load again, `patience` times at most; then ring_pace_spun */
    RING_PACE_GIVE_UP     /* there is nothing */
};

static inline enum ring_pace_action ring_pace_give_up(struct ring_pace *pace)
{
    pace->streak = 0;
    return RING_PACE_GIVE_UP;
}

/* A load found so many new bytes. `amid`: in the middle of a long message. */
static inline enum ring_pace_action ring_pace_loaded(struct ring_pace *pace, uint64_t bytes,
                                                     bool amid)
{
    if (bytes == 0) {
        bool is_busy = amid ? pace->found >= RING_PACE_AMPLE : pace->streak >= RING_PACE_STREAK;
        return is_busy ? RING_PACE_SPIN : ring_pace_give_up(pace);
    }
    bool is_streak = pace->streak >= RING_PACE_STREAK;
    pace->streak++;
    return is_streak && bytes < RING_PACE_LITTLE ? RING_PACE_HEAD_START : RING_PACE_USE;
}

static inline enum ring_pace_action ring_pace_spun(struct ring_pace *pace, bool came)
{
    if (came) {
        if (pace->patience < RING_PACE_PATIENCE_MAX)
            pace->patience *= 2;
        return RING_PACE_USE;
    }
    pace->patience /= 2;
    if (pace->patience < RING_PACE_PATIENCE_MIN)
        pace->patience = RING_PACE_PATIENCE_MIN;
    return ring_pace_give_up(pace);
}

/* This side has written: what comes now may be an answer. */
static inline void ring_pace_wrote(struct ring_pace *pace)
{
    pace->streak = 0;
}

#endif
