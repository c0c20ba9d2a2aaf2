/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_clock.h"

#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now = {0, 0};
    clock_gettime(clock, &now); /* each system has both clocks */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t sys_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t sys_time_of_day(void)
{
    return read_clock(CLOCK_REALTIME);
}
