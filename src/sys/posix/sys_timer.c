/* SPDX-License-Identifier: MIT */
/*
 * A timer is a number, by which sys_epoll.c finds its time: waits end in time, and what the program
 * polls knows nothing of it.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_timer.h"

#include "sys/other/sys_other.h"
#include "sys/posix/sys_posix.h"
#include "sys/sys_alloc.h"
#include "sys/sys_clock.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_pipe.h"

static struct sys_other_table timers;

int sys_posix_number(void)
{
    int fd[2];
    if (sys_pipe(fd) != 0)
        return -1;
    sys_close(fd[0]);
    return sys_other_number(fd[1]);
}

struct sys_posix_timer *sys_posix_timer(int number)
{
    return sys_other_object(&timers, number);
}

static int open_timer(int64_t deadline, int64_t interval)
{
    struct sys_posix_timer *timer = sys_alloc(sizeof *timer);
    int number = timer == NULL ? -1 : sys_posix_number();
    if (number < 0) {
        sys_free(timer);
        return -1;
    }
    atomic_init(&timer->deadline, deadline);
    timer->interval = interval;
    sys_other_exchange(&timers, number, timer);
    return number;
}

int sys_timer_open(void)
{
    return open_timer(-1, 0);
}

int sys_ticker_open(int64_t nanoseconds)
{
    return open_timer(sys_now() + nanoseconds, nanoseconds);
}

void sys_timer_set(int timer, int64_t deadline)
{
    struct sys_posix_timer *found = sys_posix_timer(timer);
    if (found != NULL)
        atomic_store(&found->deadline, deadline);
}

void sys_ticker_drain(int ticker)
{
    struct sys_posix_timer *found = sys_posix_timer(ticker);
    int64_t now = sys_now();
    if (found != NULL && now >= atomic_load(&found->deadline))
        atomic_store(&found->deadline, now + found->interval);
}

void sys_timer_close(int timer)
{
    sys_free(sys_other_exchange(&timers, timer, NULL));
    sys_close(timer);
}
#endif
