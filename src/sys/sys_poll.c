/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_poll.h"

#include <errno.h>
#include <sys/select.h>

#include "sys/sys_cancel.h"
#include "sys/sys_deadline.h"

/* FD_SET of musl divides an int by a size_t; that of macOS takes nothing but an int. */
#pragma GCC diagnostic ignored "-Wsign-conversion"

struct sets {
    fd_set in, out;
    int beyond; /* one more than the highest descriptor */
};

static int fill_sets(struct sets *sets, const struct pollfd *fds, nfds_t count)
{
    sets->beyond = 0;
    FD_ZERO(&sets->in);
    FD_ZERO(&sets->out);
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].fd >= FD_SETSIZE) {
            errno = EINVAL;
            return -1;
        }
        if (fds[i].fd < 0)
            continue;
        if ((fds[i].events & POLLIN) != 0)
            FD_SET(fds[i].fd, &sets->in);
        if ((fds[i].events & POLLOUT) != 0)
            FD_SET(fds[i].fd, &sets->out);
        sets->beyond = fds[i].fd < sets->beyond ? sets->beyond : fds[i].fd + 1;
    }
    return 0;
}

static int read_sets(const struct sets *sets, struct pollfd *fds, nfds_t count)
{
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        bool is_in = fds[i].fd >= 0 && FD_ISSET(fds[i].fd, &sets->in);
        bool is_out = fds[i].fd >= 0 && FD_ISSET(fds[i].fd, &sets->out);
        fds[i].revents = (short)((is_in ? POLLIN : 0) | (is_out ? POLLOUT : 0));
        ready += is_in || is_out;
    }
    return ready;
}

/*
 * poll takes no more entries than the process may have descriptors, so a sandbox that allows no new
 * ones (RLIMIT_NOFILE 0) takes poll away as well. select has another limit.
 */
static int select_instead(struct pollfd *fds, nfds_t count, int time, bool is_wait)
{
    struct timeval left = {time / 1000, (suseconds_t)(time % 1000) * 1000};
    struct sets sets;
    if (fill_sets(&sets, fds, count) != 0)
        return -1;
    struct timeval *limit = time < 0 ? NULL : &left;
    int ready = is_wait ? select(sets.beyond, &sets.in, &sets.out, NULL, limit) /* a wait */
                        : select_nocancel(sets.beyond, &sets.in, &sets.out, NULL, limit);
    return ready < 0 ? -1 : read_sets(&sets, fds, count);
}

static int poll_or_select(struct pollfd *fds, nfds_t count, int time, bool is_wait)
{
    int ready = is_wait ? poll(fds, count, time) /* a wait */ : poll_nocancel(fds, count, time);
    return ready < 0 && errno == EINVAL ? select_instead(fds, count, time, is_wait) : ready;
}

int sys_poll(struct pollfd *fds, nfds_t count, int64_t deadline)
{
    int time = sys_deadline_ms_left(deadline);
    return poll_or_select(fds, count, time, time != 0);
}

int sys_poll_in_call(struct pollfd *fds, nfds_t count, int64_t deadline)
{
    return poll_or_select(fds, count, sys_deadline_ms_left(deadline), false);
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
        ready = sys_poll_in_call(&entry, 1, 0); /* a signal ends it even so */
    while (ready < 0 && errno == EINTR);
    errno = saved;
    return ready > 0 && (entry.revents & POLLOUT) != 0;
}
