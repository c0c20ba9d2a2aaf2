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
 */
#ifndef PIPC_PACE_H
#define PIPC_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct pace {
    int streak;        /* reads in a row that brought little; below 0: probation */
    size_t brought;    /* by the last read without a head start */
    atomic_bool wrote; /* since the last read */
};

/* Before a blocking read. */
void pace_give_head_start(struct pace *pace);
/* After it: how many bytes it brought. */
void pace_note_read(struct pace *pace, size_t got);
/* By the writing side, in any thread. */
static inline void pace_note_write(struct pace *pace)
{
    atomic_store_explicit(&pace->wrote, true, memory_order_relaxed);
}

#endif
