/* SPDX-License-Identifier: MIT */
#include "rendezvous/limit.h"

#include <errno.h>

int limit_error(const struct limit *limit)
{
    return limit_is_at_once(limit) ? EAGAIN : ETIMEDOUT;
}

enum limit_result limit_poll(const struct limit *limit, struct pollfd *fds, nfds_t count,
                             int64_t until)
{
    if (sys_deadline_has_passed(limit->deadline)) {
        errno = limit_error(limit);
        return LIMIT_EXPIRED;
    }
    if (sys_poll(fds, count, sys_deadline_earlier(limit->deadline, until)) >= 0)
        return LIMIT_GOES_ON;
    return errno == EINTR && !limit->interruptible ? LIMIT_GOES_ON : LIMIT_FAILED;
}
