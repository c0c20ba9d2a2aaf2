/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_clock.h"

#include <time.h>

int64_t sys_now(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
