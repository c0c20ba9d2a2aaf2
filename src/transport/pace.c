/* SPDX-License-Identifier: MIT */
#include "transport/pace.h"

#include "sys/sys.h"

#define LITTLE           2048
#define STREAK           3
#define HEAD_START_TICKS 8000 /* some microseconds */
#define PROBATION        64   /* reads, until it is tried again */

void pace_give_head_start(struct pace *pace)
{
    bool wrote = atomic_load_explicit(&pace->wrote, memory_order_relaxed);
    if (wrote)
        atomic_store_explicit(&pace->wrote, false, memory_order_relaxed);
    if (wrote && pace->streak > 0)
        pace->streak = 0;
    if (pace->streak == STREAK)
        sys_cpu_relax_for(HEAD_START_TICKS);
}

void pace_note_read(struct pace *pace, size_t got)
{
    if (pace->streak < STREAK) {
        pace->streak = got < LITTLE ? pace->streak + 1 : 0;
        pace->brought = got;
    } else if (got <= pace->brought) {
        pace->streak = -PROBATION;
    } else if (got >= LITTLE) {
        pace->streak = 0;
    }
}
