/* SPDX-License-Identifier: MIT */
/*
 * A timer is a kqueue of its own with a timer in it, and that can be a member of another. A child
 * after fork gets a new kqueue, which is empty: so the time is kept here as well.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_timer.h"

#include <errno.h>
#include <stddef.h>

#include "sys/bsd/sys_bsd.h"
#include "sys/other/sys_other.h"
#include "sys/sys_alloc.h"
#include "sys/sys_clock.h"
#include "sys/sys_deadline.h"
#include "sys/sys_epoll.h"

enum { THE_TIMER = 1 };

/* A handler of fork reads it. */
struct timer {
    int64_t interval;         /* 0: it expires once */
    _Atomic int64_t deadline; /* of one without an interval; negative: none */
};

static struct sys_other_table timers;

/* In milliseconds, as all systems have it. None takes 0 in the same way. */
static int start(int number, int64_t milliseconds, unsigned short flags)
{
    const struct kevent change = {.ident = THE_TIMER,
                                  .filter = EVFILT_TIMER,
                                  .flags = flags,
                                  .data = (int)(milliseconds > 0 ? milliseconds : 1)};
    return sys_bsd_kevent(number, &change, NULL);
}

static int start_once(int number, int64_t deadline)
{
    if (deadline < 0)
        return 0;
    return start(number, sys_deadline_ms_left(deadline), EV_ADD | EV_ONESHOT);
}

static int start_ticks(int number, int64_t interval)
{
    return start(number, interval / SYS_MILLISECOND, EV_ADD);
}

static int open_timer(int64_t interval)
{
    struct timer *timer = sys_alloc(sizeof *timer);
    int number = timer == NULL ? -1 : sys_epoll_open();
    if (number < 0) {
        sys_free(timer);
        return -1;
    }
    timer->interval = interval;
    atomic_init(&timer->deadline, -1);
    sys_other_exchange(&timers, number, timer);
    return number;
}

int sys_timer_open(void)
{
    return open_timer(0);
}

/* Removed first: then it has not expired either. */
void sys_timer_set(int number, int64_t deadline)
{
    int saved = errno;
    struct timer *timer = sys_other_object(&timers, number);
    if (timer != NULL)
        atomic_store(&timer->deadline, deadline);
    start(number, 0, EV_DELETE);
    start_once(number, deadline);
    errno = saved;
}

int sys_ticker_open(int64_t nanoseconds)
{
    int number = open_timer(nanoseconds);
    if (number < 0 || start_ticks(number, nanoseconds) == 0)
        return number;
    sys_timer_close(number);
    return -1;
}

void sys_ticker_drain(int ticker)
{
    int saved = errno;
    sys_epoll_wait(ticker, 0);
    errno = saved;
}

/* First out of the table: the number may be another timer's as soon as it is closed. */
void sys_timer_close(int number)
{
    struct timer *timer = sys_other_exchange(&timers, number, NULL);
    sys_epoll_close(number);
    sys_free(timer);
}

void sys_bsd_renew_timer(int number)
{
    const struct timer *timer = sys_other_object(&timers, number);
    if (timer == NULL)
        return;
    if (timer->interval > 0)
        start_ticks(number, timer->interval);
    else
        start_once(number, atomic_load(&timer->deadline));
}
#endif
