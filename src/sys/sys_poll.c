/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_poll.h"

#include <errno.h>

#include "sys/sys_cancel.h"
#include "sys/sys_deadline.h"

int sys_poll(struct pollfd *fds, nfds_t count, int64_t deadline)
{
    int time = sys_deadline_ms_left(deadline);
    return time == 0 ? poll_nocancel(fds, count, 0) : poll(fds, count, time); /* a wait */
}

void sys_cancellation_point(void)
{
    pthread_testcancel();
}

size_t sys_unread(int fd)
{
    int size = 0, saved = errno;
    bool is_known = fionread_nocancel(fd, &size) == 0 && size > 0;
    errno = saved;
    return is_known ? (size_t)size : 0;
}

bool sys_has_room(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    int saved = errno;
    int ready;
    do
        ready = poll_nocancel(&entry, 1, 0); /* a signal ends it even so */
    while (ready < 0 && errno == EINTR);
    errno = saved;
    return ready > 0 && (entry.revents & POLLOUT) != 0;
}
