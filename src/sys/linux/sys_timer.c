/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_timer.h"

#include <errno.h>
#include <sys/timerfd.h>

#include "sys/linux/sys_linux.h"
#include "sys/sys_clock.h"
#include "sys/sys_descriptor.h"

static struct timespec to_timespec(int64_t nanoseconds)
{
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / SYS_SECOND),
                             .tv_nsec = (long)(nanoseconds % SYS_SECOND)};
}

int sys_timer_open(void)
{
    return sys_above_standard(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

void sys_timer_set(int timer, int64_t deadline)
{
    struct itimerspec spec = {0}; /* never */
    int saved = errno;
    if (deadline >= 0) {
        spec.it_value = to_timespec(deadline);
        spec.it_value.tv_nsec |= 1; /* all zeros would mean never */
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL);
    errno = saved;
}

int sys_ticker_open(int64_t nanoseconds)
{
    struct timespec interval = to_timespec(nanoseconds);
    struct itimerspec periodic = {.it_interval = interval, .it_value = interval};
    int fd = sys_timer_open();
    if (fd >= 0 && timerfd_settime(fd, 0, &periodic, NULL) != 0) {
        sys_close(fd);
        return -1;
    }
    return fd;
}

void sys_timer_close(int timer)
{
    sys_close(timer);
}

void sys_ticker_drain(int ticker)
{
    uint64_t ticks;
    int saved = errno;
    while (read_nocancel(ticker, &ticks, sizeof ticks) < 0 && errno == EINTR)
        continue;
    errno = saved;
}
