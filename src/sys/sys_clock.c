/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_clock.h"

#include <errno.h>
#include <time.h>

#include "sys/sys_cancel.h"

int64_t sys_now(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void sys_pause(int64_t nanoseconds)
{
    struct timespec pause = {.tv_sec = (time_t)(nanoseconds / 1000000000),
                             .tv_nsec = (long)(nanoseconds % 1000000000)};
    int saved = errno;
    if (nanoseconds > 0)
        nanosleep(&pause, NULL); /* a wait */
    else
        nanosleep_nocancel(&pause, NULL);
    errno = saved;
}
