/* SPDX-License-Identifier: MIT */
/*
 * A deadline is a sys_now time; negative: none. 0 has always passed, and needs no clock to say so:
 * it is the deadline of a call that must not wait.
 */
#ifndef PIPC_SYS_DEADLINE_H
#define PIPC_SYS_DEADLINE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "sys/sys_clock.h"

/* From a timeout in milliseconds; -1: none. */
static inline int64_t sys_deadline_in_ms(int timeout_ms)
{
    return timeout_ms > 0 ? sys_now() + timeout_ms * SYS_MILLISECOND : timeout_ms;
}

static inline bool sys_deadline_has_passed(int64_t deadline)
{
    return deadline == 0 || (deadline > 0 && sys_now() >= deadline);
}

static inline int64_t sys_deadline_earlier(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* For poll, rounded up: a wait that ends early would only go round once more. -1: no deadline. */
static inline int sys_deadline_ms_left(int64_t deadline)
{
    if (deadline <= 0)
        return deadline < 0 ? -1 : 0;
    int64_t left = deadline - sys_now();
    if (left <= 0)
        return 0;
    int64_t rounded = (left + SYS_MILLISECOND - 1) / SYS_MILLISECOND;
    return rounded > INT_MAX ? INT_MAX : (int)rounded;
}

#endif
