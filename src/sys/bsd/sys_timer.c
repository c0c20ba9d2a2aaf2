/* SPDX-License-Identifier: MIT */
/* A timer is a kqueue of its own with a timer in it, and that can be a member of another. */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_timer.h"

#include <errno.h>
#include <stddef.h>

#include "sys/bsd/sys_bsd.h"
#include "sys/sys_clock.h"
#include "sys/sys_deadline.h"
#include "sys/sys_epoll.h"

enum { THE_TIMER = 1 };

/* In milliseconds, as all systems have it. None takes 0 in the same way. */
static int start(int timer, int64_t milliseconds, unsigned short flags)
{
    const struct kevent change = {.ident = THE_TIMER,
                                  .filter = EVFILT_TIMER,
                                  .flags = flags,
                                  .data = (int)(milliseconds > 0 ? milliseconds : 1)};
    return sys_bsd_kevent(timer, &change, NULL);
}

int sys_timer_open(void)
{
    return sys_epoll_open();
}

/* Removed first: then it has not expired either. */
void sys_timer_set(int timer, int64_t deadline)
{
    int saved = errno;
    start(timer, 0, EV_DELETE);
    if (deadline >= 0)
        start(timer, sys_deadline_ms_left(deadline), EV_ADD | EV_ONESHOT);
    errno = saved;
}

int sys_ticker_open(int64_t nanoseconds)
{
    int timer = sys_epoll_open();
    if (timer < 0 || start(timer, nanoseconds / SYS_MILLISECOND, EV_ADD) == 0)
        return timer;
    sys_epoll_close(timer);
    return -1;
}

void sys_ticker_drain(int ticker)
{
    int saved = errno;
    sys_epoll_wait(ticker, 0);
    errno = saved;
}

void sys_timer_close(int timer)
{
    sys_epoll_close(timer);
}
#endif
