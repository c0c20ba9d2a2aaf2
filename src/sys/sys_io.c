/* SPDX-License-Identifier: MIT */
/*
 * The part of the seam that reads and writes: without blocking, without SIGPIPE.
 *
 * O_NONBLOCK belongs to the open file, which others may share and change at any time. So nothing
 * here depends on it, but for streams that libpipc has opened itself. What does not block:
 *
 *   sockets       MSG_DONTWAIT, MSG_NOSIGNAL
 *   pipes         RWF_NOWAIT (Linux 6.4), RWF_NOSIGNAL (6.18), and where they are missing as FIFOs
 *   FIFOs         reading what poll saw; writing up to PIPE_BUF bytes after poll saw room, since
 *                 there is a free page then
 *   other files   the same, but a terminal may have room for a single byte; so that is all, unless
 *                 O_NONBLOCK is set, as a program that opens them does
 *   regular files read(2) and write(2)
 */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/sys_cancel.h"
#include "sys/sys_memory.h"
#include "sys/sys_pipe.h"
#include "sys/sys_poll.h"
#include "sys/sys_signal.h"

/* Parts of one write of a piece; more of them go with the next. */
#define PIECE_PARTS 16
_Static_assert(PIECE_PARTS <= IOV_MAX, "a piece is one call");

/* 0: now; -1: EAGAIN, or errno. */
static int poll_now(int fd, short event)
{
    struct pollfd there = {.fd = fd, .events = event};
    int ready;
    do
        ready = sys_poll(&there, 1, 0); /* a signal ends it even so */
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        errno = EAGAIN;
    return ready > 0 ? 0 : -1;
}

/* ---- reading ---- */

static ssize_t read_once(int fd, void *buffer, size_t size)
{
    ssize_t got;
    do
        got = read_nocancel(fd, buffer, size);
    while (got < 0 && errno == EINTR);
    return got;
}

/*
 * A single reader finds what poll saw. Before a FIFO's first writer nothing is there, rather than
 * the end.
 */
static ssize_t read_polled(int fd, void *buffer, size_t size)
{
    return poll_now(fd, POLLIN) == 0 ? read_once(fd, buffer, size) : -1;
}

static ssize_t read_pipe(int fd, void *buffer, size_t size)
{
    ssize_t got = sys_pipe_read_nowait(fd, buffer, size);
    return got != SYS_PIPE_REFUSED ? got : read_polled(fd, buffer, size);
}

static bool is_nonblocking(int fd)
{
    int flags = fcntl_nocancel(fd, F_GETFL, 0);
    return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

/* Poll is no help: the process at the other end may be faster. */
static int check_nonblocking(int fd)
{
    if (is_nonblocking(fd))
        return 0;
    errno = EAGAIN;
    return -1;
}

static ssize_t read_doorbell(int fd, void *buffer, size_t size)
{
    ssize_t got = sys_pipe_read_nowait(fd, buffer, size);
    if (got != SYS_PIPE_REFUSED)
        return got;
    return check_nonblocking(fd) == 0 ? read_once(fd, buffer, size) : -1;
}

bool sys_socket_is_local(int fd)
{
    struct sockaddr own = {.sa_family = AF_UNSPEC};
    int saved = errno;
    socklen_t size = sizeof own; /* the rest of the address is cut off */
    bool is_local = getsockname(fd, &own, &size) == 0 && own.sa_family == AF_UNIX;
    errno = saved;
    return is_local;
}

/*
 * A local socket whose peer closed with unread bytes gives everything that was sent, then
 * ECONNRESET, then the end. Nothing was cut off, so it is the end.
 */
static ssize_t end_of_local(int fd, ssize_t got)
{
    return got < 0 && errno == ECONNRESET && sys_socket_is_local(fd) ? 0 : got;
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
    case SYS_OWN_PIPE:
        return read_pipe(fd, buffer, size);
    case SYS_DOORBELL:
        return read_doorbell(fd, buffer, size);
    case SYS_SOCKET:
        return read_socket(fd, buffer, size);
    case SYS_FILE:
        return read_once(fd, buffer, size);
    default:
        return read_polled(fd, buffer, size);
    }
}

static ssize_t poll_and_read(int fd, enum sys_kind kind, void *buffer, size_t size)
{
    struct pollfd there = {.fd = fd, .events = POLLIN};
    ssize_t got = sys_poll(&there, 1, -1); /* a wait */
    if (got >= 0)
        got = kind == SYS_OWN_FIFO ? read_once(fd, buffer, size) : sys_read(fd, kind, buffer, size);
    else
        errno = EINTR; /* whatever it is, it passes, and the descriptor is well */
    if (got < 0 && errno == EAGAIN)
        errno = EINTR;
    return got;
}

ssize_t sys_read_wait(int fd, enum sys_kind kind, void *buffer, size_t size)
{
    if (!sys_can_wait_in_read())
        return poll_and_read(fd, kind, buffer, size);
    ssize_t got = read(fd, buffer, size); /* a wait */
    return kind == SYS_SOCKET ? end_of_local(fd, got) : got;
}

ssize_t sys_readv_wait(int fd, enum sys_kind kind, const struct iovec *parts, int count)
{
    if (!sys_can_wait_in_read())
        return poll_and_read(fd, kind, parts->iov_base, parts->iov_len);
    ssize_t got = readv(fd, parts, count); /* a wait */
    return kind == SYS_SOCKET ? end_of_local(fd, got) : got;
}

size_t sys_read_least(enum sys_kind kind)
{
    if (kind == SYS_SOCKET || kind == SYS_FILE)
        return 1;
    return sys_page() > PIPE_BUF ? sys_page() : PIPE_BUF;
}

/* ---- writing ---- */

static ssize_t write_once(int fd, const struct iovec *parts, int count)
{
    ssize_t sent;
    do
        sent = writev_nocancel(fd, parts, count);
    while (sent < 0 && errno == EINTR);
    return sent;
}

/* The first `size` bytes of the parts, or fewer; returns how many parts they are. */
static int cut_parts(const struct iovec *parts, int count, size_t size,
                     struct iovec piece[PIECE_PARTS])
{
    int used = 0;
    for (int i = 0; i < count && used < PIECE_PARTS && size > 0; i++) {
        if (parts[i].iov_len == 0)
            continue;
        piece[used] = parts[i];
        if (piece[used].iov_len > size)
            piece[used].iov_len = size;
        size -= piece[used++].iov_len;
    }
    return used;
}

static ssize_t write_unsignalled(int fd, const struct iovec *parts, int count)
{
    struct sys_blocked blocked;
    ssize_t sent = sys_pipe_write_nosignal(fd, parts, count);
    if (sent != SYS_PIPE_REFUSED)
        return sent;
    sys_signal_block(&blocked, SIGPIPE);
    sent = write_once(fd, parts, count);
    sys_signal_restore(&blocked, sent < 0 && errno == EPIPE);
    return sent;
}

static ssize_t write_polled(int fd, const struct iovec *parts, int count, size_t size)
{
    struct iovec piece[PIECE_PARTS];
    if (poll_now(fd, POLLOUT) != 0)
        return -1;
    return write_unsignalled(fd, piece, cut_parts(parts, count, size, piece));
}

static ssize_t write_other(int fd, const struct iovec *parts, int count)
{
    return write_polled(fd, parts, count, is_nonblocking(fd) ? SIZE_MAX : 1);
}

static ssize_t write_pipe(int fd, enum sys_kind kind, const struct iovec *parts, int count)
{
    ssize_t sent = sys_pipe_write_nowait(fd, parts, count);
    if (sent != SYS_PIPE_REFUSED)
        return sent;
    return kind == SYS_OWN_PIPE ? write_unsignalled(fd, parts, count)
                                : write_polled(fd, parts, count, PIPE_BUF);
}

static ssize_t write_doorbell(int fd, const struct iovec *parts, int count)
{
    ssize_t sent = sys_pipe_write_nowait(fd, parts, count);
    if (sent != SYS_PIPE_REFUSED)
        return sent;
    return check_nonblocking(fd) == 0 ? write_unsignalled(fd, parts, count) : -1;
}

/* Beyond the limit on the size of files there is EFBIG, and the kernel would send SIGXFSZ. */
static ssize_t write_file(int fd, const struct iovec *parts, int count)
{
    struct sys_blocked blocked;
    sys_signal_block(&blocked, SIGXFSZ);
    ssize_t sent = write_once(fd, parts, count);
    sys_signal_restore(&blocked, sent < 0 && errno == EFBIG);
    return sent;
}

/* One part goes by send, which has less to look at: a tenth of a microsecond. */
static ssize_t send_once(int fd, const struct iovec *parts, int count)
{
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts};
    /* Systems do not agree on its type. */
    message.msg_iovlen = _Generic(message.msg_iovlen, size_t : (size_t)count, default : count);
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
    case SYS_OWN_PIPE:
        return write_pipe(fd, kind, parts, count);
    case SYS_DOORBELL:
        return write_doorbell(fd, parts, count);
    case SYS_FIFO:
        return write_polled(fd, parts, count, PIPE_BUF);
    case SYS_OWN_FIFO:
        return write_unsignalled(fd, parts, count);
    case SYS_SOCKET:
        return write_socket(fd, parts, count);
    case SYS_FILE:
        return write_file(fd, parts, count);
    default:
        return write_other(fd, parts, count);
    }
}

int sys_shutdown_write(int fd)
{
    return shutdown(fd, SHUT_WR);
}
