/* SPDX-License-Identifier: MIT */
/* The part of the seam that reads and writes: without blocking, without SIGPIPE. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "sys.h"
#include "sys_cancel.h"

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100 /* Linux 6.18; not in every libc's headers yet */
#endif

/* The kernel, or a filter in front of it, does not know the call or the flag. */
static bool is_refusal(int error)
{
    return error == EOPNOTSUPP || error == ENOSYS || error == EPERM || error == EINVAL;
}

static ssize_t read_once(int fd, void *buffer, size_t size)
{
    ssize_t got;
    do
        got = read_nocancel(fd, buffer, size);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Set when the kernel refused; it is asked once. */
static atomic_bool no_nowait_read, no_nosignal_write;

static ssize_t read_pipe(int fd, void *buffer, size_t size)
{
    if (!atomic_load_explicit(&no_nowait_read, memory_order_relaxed)) {
        struct iovec part = {buffer, size};
        ssize_t got;
        do
            got = preadv2_nocancel(fd, &part, 1, -1, RWF_NOWAIT);
        while (got < 0 && errno == EINTR);
        if (got >= 0 || !is_refusal(errno))
            return got;
        if (sys_nonblock(fd, true) < 0)
            return -1; /* it would block from now on: so it is asked again */
        atomic_store_explicit(&no_nowait_read, true, memory_order_relaxed);
    }
    return read_once(fd, buffer, size);
}

/* Who alone reads it finds what poll saw. Before the first writer nothing is there, rather than the end. */
static ssize_t read_fifo(int fd, void *buffer, size_t size)
{
    struct pollfd there = {.fd = fd, .events = POLLIN};
    int ready;
    do
        ready = poll_nocancel(&there, 1, 0); /* a signal ends it even so */
    while (ready < 0 && errno == EINTR);
    if (ready > 0)
        return read_once(fd, buffer, size);
    if (ready == 0)
        errno = EAGAIN;
    return -1;
}

static bool is_local_socket(int fd)
{
    int family = 0, saved = errno;
    socklen_t size = sizeof family;
    bool local = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family == AF_UNIX;
    errno = saved;
    return local;
}

/*
 * A local socket whose other side closed with unread bytes gives everything that was sent, then
 * ECONNRESET, then the end. Nothing was cut off, so it is the end.
 */
static ssize_t end_of_local(int fd, ssize_t got)
{
    return got < 0 && errno == ECONNRESET && is_local_socket(fd) ? 0 : got;
}

static ssize_t read_socket(int fd, void *buffer, size_t size)
{
    ssize_t got;
    do
        got = recv_nocancel(fd, buffer, size, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return end_of_local(fd, got);
}

ssize_t sys_read(int fd, enum sys_kind kind, void *buffer, size_t size)
{
    switch (kind) {
    case SYS_PIPE:
        return read_pipe(fd, buffer, size);
    case SYS_FIFO:
        return read_fifo(fd, buffer, size);
    case SYS_SOCKET:
        return read_socket(fd, buffer, size);
    default:
        return read_once(fd, buffer, size);
    }
}

static ssize_t poll_and_read(int fd, enum sys_kind kind, void *buffer, size_t size)
{
    struct pollfd there = {.fd = fd, .events = POLLIN};
    if (poll(&there, 1, -1) < 0) { /* a wait */
        errno = EINTR;             /* whatever it is, it passes, and the descriptor is well */
        return -1;
    }
    return kind == SYS_FIFO ? read_once(fd, buffer, size) : sys_read(fd, kind, buffer, size);
}

ssize_t sys_read_wait(int fd, enum sys_kind kind, void *buffer, size_t size)
{
    if (!sys_can_wait_in_read())
        return poll_and_read(fd, kind, buffer, size);
    ssize_t got = read(fd, buffer, size); /* a wait */
    return kind == SYS_SOCKET ? end_of_local(fd, got) : got;
}

static ssize_t write_once(int fd, const struct iovec *parts, int count)
{
    ssize_t sent;
    do
        sent = writev_nocancel(fd, parts, count);
    while (sent < 0 && errno == EINTR);
    return sent;
}

/*
 * The way for kernels that cannot be asked to hold SIGPIPE back: block it, write, and take the one
 * that this write made, unless one was pending before, which is the program's own.
 */
static ssize_t write_masked(int fd, const struct iovec *parts, int count)
{
    static const struct timespec no_time = {0, 0};
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    bool theirs = sigismember(&pending, SIGPIPE) == 1;
    int failed = pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    if (failed != 0) {
        errno = failed;
        return -1;
    }
    ssize_t sent = write_once(fd, parts, count);
    int saved = errno;
    if (sent < 0 && saved == EPIPE && !theirs)
        while (sigtimedwait_nocancel(&pipe_only, NULL, &no_time) < 0 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return sent;
}

static ssize_t write_with(int fd, const struct iovec *parts, int count, int flags)
{
    ssize_t sent;
    do
        sent = pwritev2_nocancel(fd, parts, count, -1, flags);
    while (sent < 0 && errno == EINTR);
    return sent;
}

static ssize_t write_pipe(int fd, const struct iovec *parts, int count)
{
    if (!atomic_load_explicit(&no_nosignal_write, memory_order_relaxed)) {
        ssize_t sent = write_with(fd, parts, count, RWF_NOSIGNAL | RWF_NOWAIT);
        if (sent >= 0 || !is_refusal(errno))
            return sent;
        if (sys_nonblock(fd, true) < 0)
            return -1;
        atomic_store_explicit(&no_nosignal_write, true, memory_order_relaxed);
    }
    return write_masked(fd, parts, count);
}

static ssize_t write_fifo(int fd, const struct iovec *parts, int count)
{
    if (!atomic_load_explicit(&no_nosignal_write, memory_order_relaxed)) {
        ssize_t sent = write_with(fd, parts, count, RWF_NOSIGNAL);
        if (sent >= 0 || !is_refusal(errno))
            return sent;
    }
    return write_masked(fd, parts, count);
}

/* The device that pipes without a name live on; 0: not known. */
static _Atomic dev_t pipe_device;

/* One byte through a pipe of our own tells what the kernel takes. False: not known, no descriptors. */
static bool ask_kernel(void)
{
    static atomic_bool asked;
    int fd[2];
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct stat status;
    if (atomic_load(&asked))
        return true;
    if (sys_pipe(fd) != 0)
        return false;
    write_pipe(fd[1], &part, 1);
    read_pipe(fd[0], &byte, 1);
    bool known = fstat_nocancel(fd[0], &status) == 0;
    if (known)
        atomic_store(&pipe_device, status.st_dev);
    sys_close(fd[0]);
    sys_close(fd[1]);
    atomic_store(&asked, known);
    return known;
}

enum sys_kind sys_kind_of_fifo(dev_t device)
{
    int saved = errno;
    bool known = ask_kernel();
    errno = saved;
    return known && atomic_load(&pipe_device) == device ? SYS_PIPE : SYS_FIFO;
}

bool sys_reads_at_once(enum sys_kind kind)
{
    bool asks = kind == SYS_SOCKET || kind == SYS_FIFO;
    return asks || (kind == SYS_PIPE && !atomic_load(&no_nowait_read));
}

bool sys_writes_at_once(enum sys_kind kind)
{
    return kind == SYS_SOCKET || (kind == SYS_PIPE && !atomic_load(&no_nosignal_write));
}

/* One part goes by send, which has less to look at: a tenth of a microsecond. */
static ssize_t send_once(int fd, const struct iovec *parts, int count)
{
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = (size_t)count};
    return count == 1 ? send_nocancel(fd, parts->iov_base, parts->iov_len, flags)
                      : sendmsg_nocancel(fd, &message, flags);
}

static ssize_t write_socket(int fd, const struct iovec *parts, int count)
{
    ssize_t sent;
    do
        sent = send_once(fd, parts, count);
    while (sent < 0 && errno == EINTR);
    return sent;
}

ssize_t sys_writev(int fd, enum sys_kind kind, const struct iovec *parts, int count)
{
    if (count > IOV_MAX)
        count = IOV_MAX; /* the rest goes with the next call */
    switch (kind) {
    case SYS_PIPE:
        return write_pipe(fd, parts, count);
    case SYS_FIFO:
        return write_fifo(fd, parts, count);
    case SYS_SOCKET:
        return write_socket(fd, parts, count);
    default:
        return write_once(fd, parts, count);
    }
}
