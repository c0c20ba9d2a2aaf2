/* SPDX-License-Identifier: MIT */
#include "rendezvous/limit.h"

#include <errno.h>

int limit_error(const struct limit *limit)
{
    return limit_is_at_once(limit) ? EAGAIN : ETIMEDOUT;
}

static bool has_expired(const struct limit *limit)
{
    if (!sys_deadline_has_passed(limit->deadline))
        return false;
    errno = limit_error(limit);
    return true;
}

static enum limit_result result_of_wait(const struct limit *limit, int ready)
{
    if (ready >= 0)
        return LIMIT_GOES_ON;
    return errno == EINTR && !limit->interruptible ? LIMIT_GOES_ON : LIMIT_FAILED;
}

enum limit_result limit_poll(const struct limit *limit, struct pollfd *fds, nfds_t count,
                             int64_t until)
{
    if (has_expired(limit))
        return LIMIT_EXPIRED;
    until = sys_deadline_earlier(limit->deadline, until);
    return result_of_wait(limit, sys_poll(fds, count, until));
}

enum limit_result limit_poll_set(const struct limit *limit, int set, int64_t until)
{
    if (has_expired(limit))
        return LIMIT_EXPIRED;
    until = sys_deadline_earlier(limit->deadline, until);
    return result_of_wait(limit, sys_epoll_poll(set, until));
}
