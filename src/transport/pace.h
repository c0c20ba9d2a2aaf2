/* SPDX-License-Identifier: MIT */
/*
 * The pace of a reader. One that reads each small message as soon as it is written makes the writer
 * wake it for each, and both do hardly anything else. So a reader that has read little several
 * times in a row gives the writer a head start before it reads again (16 B one way through a FIFO:
 * 1.0 to 1.5 million a second), as long as that brings more than a read without it.
 *
 *   streak             the next blocking read    what it brings, and the next streak
 *   below STREAK       at once                   little: streak + 1; else 0
 *   STREAK             after a head start        no more than one without: -PROBATION;
 *                                                else ample: 0; else STREAK
 *
 * A write in between makes a streak 0: what comes next may be an answer.
 *
 * A head start is a look at the clock for some microseconds, which is enough for a writer on
 * another processor. One on this processor needs it: so after a fast streak the reader first gives
 * it away. If nobody else is ready to run, that ends at once. Somebody else may get it, for
 * milliseconds. So it is compared how fast bytes came meanwhile and in the streak before. If not
 * four times as fast, the processor is kept for 32 times as long.
 */
#ifndef PIPC_PACE_H
#define PIPC_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACE_HEAD_START_TICKS 8000 /* some microseconds */
/* 20 to 100 milliseconds. A yield that lasted longer was a stop, of the process or the machine. */
#define PACE_YIELD_MAX ((int64_t)100000000)

struct pace {
    int streak;              /* reads in a row that brought little; below 0: probation */
    atomic_bool wrote;       /* since the last read */
    uint32_t brought;        /* by the last read without a head start */
    uint32_t streak_brought; /* by all reads of the streak but the first */
    int64_t began_streak;    /* when the first had ended, in ticks */
    int64_t streak_ticks;    /* from then to the head start */
    int64_t yields_from;     /* from then on the processor may be given away */
};

/*
 * Before a blocking read. Returns for how many ticks others have had the processor: much may have
 * come; 0: nobody had it.
 */
int64_t pace_give_head_start(struct pace *pace);
/* After it, if somebody had: how many bytes have come, unread ones too. */
void pace_note_yield(struct pace *pace, int64_t lasted, size_t came);
/* After it: how many bytes it brought. */
void pace_note_read(struct pace *pace, size_t got);
/* The rest of a head start. Ticks may have gone backwards: after a sleep of the machine, say. */
static inline int64_t pace_rest(int64_t lasted)
{
    return lasted < 0 || lasted >= PACE_HEAD_START_TICKS ? 0 : PACE_HEAD_START_TICKS - lasted;
}
/* By the writing side, in any thread. */
static inline void pace_note_write(struct pace *pace)
{
    atomic_store_explicit(&pace->wrote, true, memory_order_relaxed);
}

#endif
