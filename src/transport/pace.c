/* SPDX-License-Identifier: MIT */
#include "transport/pace.h"

#include "sys/sys.h"

#define LITTLE      2048
#define STREAK      3
#define FAST_TICKS  200000 /* a streak over more is of a stream that nobody need hurry for */
#define PROBATION   64     /* reads, until it is tried again */
#define YIELD_GAIN  4      /* so much faster, or it was not the writer that ran meanwhile */
#define YIELD_SHARE 32     /* what is lost by giving the processor away is so little of all */
#define PAUSE_MAX   (YIELD_SHARE * PACE_YIELD_MAX)

/* Whoever else is ready to run here may be the writer, and may not. */
static bool may_yield(const struct pace *pace, int64_t now)
{
    bool is_pause = now < pace->yields_from && pace->yields_from - now <= PAUSE_MAX;
    return pace->streak_ticks < FAST_TICKS && !is_pause;
}

int64_t pace_give_head_start(struct pace *pace)
{
    bool wrote = atomic_load_explicit(&pace->wrote, memory_order_relaxed);
    if (wrote)
        atomic_store_explicit(&pace->wrote, false, memory_order_relaxed);
    if (wrote && pace->streak > 0)
        pace->streak = 0;
    if (pace->streak < STREAK)
        return 0;
    int64_t begin = sys_ticks();
    pace->streak_ticks = begin - pace->began_streak;
    if (may_yield(pace, begin))
        sys_cpu_yield();
    int64_t lasted = sys_ticks() - begin;
    if (lasted >= PACE_HEAD_START_TICKS)
        return lasted;
    sys_cpu_relax_for(pace_rest(lasted));
    return 0;
}

void pace_note_yield(struct pace *pace, int64_t lasted, size_t came)
{
    if (lasted > PACE_YIELD_MAX)
        lasted = PACE_YIELD_MAX;
    double before = (double)pace->streak_brought * (double)lasted;
    double after = (double)came * (double)pace->streak_ticks;
    if (after <= YIELD_GAIN * before)
        pace->yields_from = sys_ticks() + YIELD_SHARE * lasted;
}

static void note_little(struct pace *pace, size_t got)
{
    if (pace->streak == 0) {
        pace->began_streak = sys_ticks();
        pace->streak_brought = 0;
    } else {
        pace->streak_brought += (uint32_t)got;
    }
    pace->streak++;
}

void pace_note_read(struct pace *pace, size_t got)
{
    if (pace->streak < STREAK) {
        pace->brought = (uint32_t)got;
        if (got < LITTLE)
            note_little(pace, got);
        else
            pace->streak = 0;
        return;
    }
    if (got <= pace->brought)
        pace->streak = -PROBATION;
    else if (got >= LITTLE)
        pace->streak = 0;
}
