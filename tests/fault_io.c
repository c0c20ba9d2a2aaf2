/* SPDX-License-Identifier: MIT */
/*
 * The wrappers of the calls that read, write and wait, and the virtual clock. They can also
 * transfer less than asked, and give EAGAIN after a poll. fault.c decides whether a call fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fault_wrap.h"
#include "harness.h"

/* Both are wrapped in fault_calls.c. */
int __real_fstat(int fd, struct stat *status) REAL(fstat) __attribute__((weak));
int __real_fcntl(int fd, int command, ...) REAL(fcntl) __attribute__((weak));

static struct {
    bool shorten, eagain, hangups, withhold, virtual_time;
    struct timespec begin; /* of virtual time */
    int tick_us;           /* in virtual time: what a look at the clock takes */
    void (*after_peek)(void *context);
    void *peek_context;
} shape;

static atomic_ulong other_clocks;
static _Atomic int64_t clock_offset_us;
static _Thread_local unsigned polls;
static _Thread_local struct iovec cut_parts[IOV_MAX]; /* too large for a small stack */
static _Thread_local bool eagain_is_due;

void fault_reset_calls(void)
{
    shape.shorten = shape.eagain = shape.hangups = shape.withhold = shape.virtual_time = false;
    shape.after_peek = NULL;
    clock_offset_us = 0;
    other_clocks = 0;
    eagain_is_due = false;
}

void fault_shorten(bool on)
{
    shape.shorten = on;
}

void fault_hangups_are_input(bool on)
{
    shape.hangups = on;
}

void fault_eagain_after_poll(bool on)
{
    shape.eagain = on;
}

void fault_withhold_fds(bool on)
{
    shape.withhold = on;
}

void fault_advance_ms(int64_t ms)
{
    clock_offset_us += ms * 1000;
}

unsigned long fault_other_clocks(void)
{
    return other_clocks;
}

/* --- Reading and writing ---------------------------------------------------------------------- */

static bool is_stream(int fd, bool *pipe)
{
    struct stat status;
    if (!fault_armed() || (!shape.shorten && !shape.eagain) || __real_fstat(fd, &status) != 0)
        return false;
    *pipe = S_ISFIFO(status.st_mode);
    return *pipe || S_ISSOCK(status.st_mode) || S_ISREG(status.st_mode);
}

/* Whether this call, the first after a poll, must give EAGAIN. */
static bool gives_eagain(int fd)
{
    bool pipe;
    if (!eagain_is_due || !shape.eagain || !is_stream(fd, &pipe))
        return false;
    eagain_is_due = false;
    errno = EAGAIN;
    return true;
}

/* A pipe takes up to PIPE_BUF bytes at once or not at all; the library relies on it. */
static size_t shortened(int fd, size_t size, bool writing)
{
    bool pipe;
    if (size < 2 || !shape.shorten || !is_stream(fd, &pipe) ||
        (writing && pipe && size <= PIPE_BUF))
        return size;
    return 1 + harness_random_below(size - 1);
}

static size_t total_of(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

/* The first `size` bytes of *parts. Returns how many parts those are. */
static int cut(const struct iovec **parts, int count, size_t size)
{
    int used = 0;
    while (used < count && used < IOV_MAX && size > 0) {
        cut_parts[used] = (*parts)[used];
        if (cut_parts[used].iov_len > size)
            cut_parts[used].iov_len = size;
        size -= cut_parts[used++].iov_len;
    }
    *parts = cut_parts;
    return used;
}

/* A blocking descriptor: the call is a wait. */
static void check_wait_in_read(int fd, enum fault_call call)
{
    if (!fault_armed())
        return;
    if ((__real_fcntl(fd, F_GETFL) & O_NONBLOCK) != 0)
        fault_assert_no_point(call);
    else
        fault_step_before_wait();
}

WRAP(ssize_t, read, int fd, void *buffer, size_t size)
{
    if (DENIED(read) || gives_eagain(fd))
        return -1;
    check_wait_in_read(fd, CALL_read);
    return __real_read(fd, buffer, shortened(fd, size, false));
}

WRAP(ssize_t, recv, int fd, void *buffer, size_t size, int flags)
{
    if (DENIED(recv) || gives_eagain(fd))
        return -1;
    return __real_recv(fd, buffer, shortened(fd, size, false), flags);
}

void fault_after_peek(void (*step)(void *context), void *context)
{
    shape.after_peek = step;
    shape.peek_context = context;
}

static void step_after_peek(int flags)
{
    if (!fault_armed() || (flags & MSG_PEEK) == 0 || shape.after_peek == NULL)
        return;
    int saved = errno;
    fault_disarm();
    shape.after_peek(shape.peek_context);
    fault_arm();
    errno = saved;
}

static void withhold_fds(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header == NULL || header->cmsg_type != SCM_RIGHTS)
        return;
    for (size_t at = CMSG_LEN(0); at < header->cmsg_len; at += sizeof(int)) {
        int fd;
        memcpy(&fd, (char *)header + at, sizeof fd);
        close(fd);
    }
    message->msg_controllen = 0;
    message->msg_flags |= MSG_CTRUNC;
}

/* Of one part, as the library makes it. */
WRAP(ssize_t, recvmsg, int fd, struct msghdr *message, int flags)
{
    if (DENIED(recvmsg) || gives_eagain(fd))
        return -1;
    size_t whole = message->msg_iov->iov_len;
    message->msg_iov->iov_len = shortened(fd, whole, false);
    ssize_t got = __real_recvmsg(fd, message, flags);
    message->msg_iov->iov_len = whole;
    if (fault_armed() && shape.withhold && got > 0)
        withhold_fds(message);
    step_after_peek(flags);
    return got;
}

WRAP(ssize_t, write, int fd, const void *buffer, size_t size)
{
    if (DENIED(write) || gives_eagain(fd))
        return -1;
    return __real_write(fd, buffer, shortened(fd, size, true));
}

WRAP(ssize_t, send, int fd, const void *buffer, size_t size, int flags)
{
    if (DENIED(send) || gives_eagain(fd))
        return -1;
    return __real_send(fd, buffer, shortened(fd, size, true), flags);
}

#define WRAP_VECTOR(name, writing, parameters, arguments)                            \
    ssize_t __real_##name parameters REAL(name) __attribute__((weak));               \
    ssize_t __wrap_##name parameters WRAPPED(name);                                  \
    ssize_t __wrap_##name parameters                                                 \
    {                                                                                \
        if (DENIED(name) || gives_eagain(fd))                                        \
            return -1;                                                               \
        size_t total = total_of(parts, count), size = shortened(fd, total, writing); \
        if (size < total)                                                            \
            count = cut(&parts, count, size);                                        \
        if (CALL_##name == CALL_readv)                                               \
            check_wait_in_read(fd, CALL_readv);                                      \
        return __real_##name arguments;                                              \
    }

WRAP_VECTOR(readv, false, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WRAP_VECTOR(writev, true, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WRAP_VECTOR(preadv2, false, (int fd, const struct iovec *parts, int count, off_t offset, int flags),
            (fd, parts, count, offset, flags))
WRAP_VECTOR(pwritev2, true, (int fd, const struct iovec *parts, int count, off_t offset, int flags),
            (fd, parts, count, offset, flags))

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
    struct msghdr less = *message;
    const struct iovec *parts = message->msg_iov;
    if (DENIED(sendmsg) || gives_eagain(fd))
        return -1;
    size_t total = total_of(parts, (int)less.msg_iovlen), size = shortened(fd, total, true);
    if (size < total)
        less.msg_iovlen = (size_t)cut(&parts, (int)less.msg_iovlen, size);
    less.msg_iov = (struct iovec *)(uintptr_t)parts;
    return __real_sendmsg(fd, &less, flags);
}

/* --- Waiting and the clock -------------------------------------------------------------------- */

WRAP(int, clock_gettime, clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);
    if (fault_armed() && clock != CLOCK_MONOTONIC)
        other_clocks++;
    if (fault_armed() && result == 0 && clock == CLOCK_MONOTONIC) {
        if (shape.virtual_time) {
            *now = shape.begin;
            clock_offset_us += shape.tick_us;
        }
        int64_t us = now->tv_nsec / 1000 + clock_offset_us % 1000000 + 1000000;
        now->tv_sec += (time_t)(clock_offset_us / 1000000 + us / 1000000 - 1);
        now->tv_nsec = (long)(us % 1000000) * 1000 + now->tv_nsec % 1000;
    }
    return result;
}

static void begin_virtual_time(int tick_us)
{
    __real_clock_gettime(CLOCK_MONOTONIC, &shape.begin);
    shape.tick_us = tick_us;
    shape.virtual_time = true;
}

void fault_virtual_time(void)
{
    begin_virtual_time(1);
}

void fault_frozen_time(void)
{
    begin_virtual_time(0);
}

/* How long the real call may wait. In virtual time, a wait that reports an event still takes some
 * time: so a loop that never blocks reaches its deadline. */
static int real_timeout(int timeout)
{
    return fault_armed() && shape.virtual_time ? 0 : timeout;
}

static int waited(int ready, int timeout)
{
    if (!fault_armed())
        return ready;
    if (ready > 0 && shape.eagain && timeout != 0) /* timeout 0: no other reader may come between */
        eagain_is_due = polls++ % 2 == 0;
    if (!shape.virtual_time)
        return ready;
    if (ready == 0 && timeout < 0) {
        fprintf(stderr, "waits forever, and no event will come\n");
        abort();
    }
    clock_offset_us += ready == 0 ? (int64_t)timeout * 1000 : 100;
    return ready;
}

static void note_hangups(struct pollfd *fds, nfds_t count)
{
    if (!shape.hangups || !fault_armed())
        return;
    for (nfds_t i = 0; i < count; i++)
        if ((fds[i].revents & POLLHUP) != 0)
            fds[i].revents = (short)(fds[i].revents | (fds[i].events & POLLIN));
}

WRAP(int, poll, struct pollfd *fds, nfds_t count, int timeout)
{
    if (timeout == 0)
        fault_assert_no_point(CALL_poll);
    if (DENIED(poll))
        return -1;
    while (timeout != 0 && fault_step_before_wait() && __real_poll(fds, count, 0) == 0)
        continue;
    int ready = __real_poll(fds, count, real_timeout(timeout));
    note_hangups(fds, count);
    return waited(ready, timeout);
}

WRAP(int, select, int beyond, fd_set *in, fd_set *out, fd_set *odd, struct timeval *timeout)
{
    int ms = timeout == NULL ? -1 : (int)(timeout->tv_sec * 1000 + timeout->tv_usec / 1000);
    struct timeval none = {0, 0}, *real = real_timeout(ms) == 0 ? &none : timeout;
    if (ms == 0)
        fault_assert_no_point(CALL_select);
    if (DENIED(select))
        return -1;
    if (ms != 0)
        fault_step_before_wait();
    return waited(__real_select(beyond, in, out, odd, real), ms);
}

WRAP(int, epoll_wait, int set, struct epoll_event *events, int count, int timeout)
{
    if (timeout == 0) { /* the kernel neither sleeps nor needs memory: it cannot fail */
        fault_assert_no_point(CALL_epoll_wait);
        fault_count(CALL_epoll_wait);
        return __real_epoll_wait(set, events, count, 0);
    }
    if (DENIED(epoll_wait))
        return -1;
    fault_step_before_wait();
    return waited(__real_epoll_wait(set, events, count, real_timeout(timeout)), timeout);
}
