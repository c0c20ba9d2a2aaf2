/* SPDX-License-Identifier: MIT */
/* A timer is a kqueue of its own with a timer in it, and that can be a member of another. */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_timer.h"

#include <errno.h>

#include "sys/bsd/sys_bsd.h"
#include "sys/sys_deadline.h"

enum { THE_TIMER = 1 };

/* In milliseconds, as all systems have it. None takes 0 in the same way. */
static int start(int timer, int64_t milliseconds, bool repeats)
{
    const struct kevent change = {.ident = THE_TIMER,
                                  .filter = EVFILT_TIMER,
                                  .flags = repeats ? EV_ADD : EV_ADD | EV_ONESHOT,
                                  .data = (int)(milliseconds > 0 ? milliseconds : 1)};
    return sys_bsd_submit(timer, &change);
}

int sys_timer_open(void)
{
    return sys_bsd_queue_open();
}

/* Removed first: then it has not expired either. */
void sys_timer_set(int timer, int64_t deadline)
{
    static const struct kevent stop = {
        .ident = THE_TIMER, .filter = EVFILT_TIMER, .flags = EV_DELETE};
    int saved = errno;
    sys_bsd_submit(timer, &stop);
    if (deadline >= 0)
        start(timer, sys_deadline_ms_left(deadline), false);
    errno = saved;
}

int sys_ticker_open(int64_t nanoseconds)
{
    int timer = sys_bsd_queue_open();
    if (timer < 0 || start(timer, nanoseconds / SYS_MILLISECOND, true) == 0)
        return timer;
    sys_bsd_queue_close(timer);
    return -1;
}

void sys_ticker_drain(int ticker)
{
    struct kevent event;
    int saved = errno;
    sys_bsd_take_one(ticker, &event);
    errno = saved;
}

void sys_timer_close(int timer)
{
    sys_bsd_queue_close(timer);
}
#endif
