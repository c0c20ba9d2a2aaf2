/* SPDX-License-Identifier: MIT */
/* How long the caller of a rendezvous waits, and what ends the wait. */
#ifndef PIPC_LIMIT_H
#define PIPC_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/sys.h"

struct limit {
    int64_t deadline;   /* see sys_deadline.h */
    bool interruptible; /* a caught signal ends the wait */
};

static inline struct limit limit_of(int timeout_ms, bool interruptible)
{
    return (struct limit){sys_deadline_in_ms(timeout_ms), interruptible};
}

static inline bool limit_is_at_once(const struct limit *limit)
{
    return limit->deadline == 0;
}

/* The errno of a call whose time is up: EAGAIN, ETIMEDOUT. */
int limit_error(const struct limit *limit);

enum limit_result {
    LIMIT_GOES_ON, /* see what has come */
    LIMIT_EXPIRED, /* the time is up; errno is limit_error */
    LIMIT_FAILED   /* EINTR, and what else poll(2) reports */
};

/* Wait for descriptors until `until` (negative: without end) or the limit. A cancellation point. */
enum limit_result limit_poll(const struct limit *limit, struct pollfd *fds, nfds_t count,
                             int64_t until);
/* The same for a set of descriptors (sys_epoll.h). */
enum limit_result limit_poll_set(const struct limit *limit, int set, int64_t until);

#endif
