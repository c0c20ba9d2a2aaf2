/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#include "sys/linux/sys_linux.h"
#include "sys/sys_clock.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_net.h"

/*
 * A host that vanished is noticed after 30 s of silence and 3 probes 10 s apart; or, while
 * something waits to be sent or acknowledged, when the kernel has repeated it 15 times
 * (net.ipv4.tcp_retries2) without an answer, at most 5 s apart: a minute as well. TCP_USER_TIMEOUT
 * would not do: it also counts the time for which a living peer has no room.
 *
 * A receiver whose memory is full, not its window, closes the window when a segment is on its way.
 * If that is shorter than 2^wscale, its sender's number in answers to probes is beyond the window,
 * and Linux 6.18 drops them (BeyondWindow): so the probes end a connection whose reader does not
 * read for a minute. Only small segments fill the memory first. Of the options of a socket only a
 * small receive buffer would avoid it.
 */
enum { KEEP_IDLE_S = 30, KEEP_INTERVAL_S = 10, KEEP_PROBES = 3, REPEAT_MS = 5000 };
_Static_assert(KEEP_IDLE_S + KEEP_PROBES * KEEP_INTERVAL_S <= 60, "noticed in about a minute");

/* Since Linux 6.15. An older one refuses it, and the pauses grow to 2 minutes. */
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif

void sys_socket_set(int fd, int level, int name, int value)
{
    int saved = errno;
    setsockopt(fd, level, name, &value, sizeof value); /* without it the connection works as well */
    errno = saved;
}

void sys_socket_limit_waits(int fd, int64_t time)
{
    int64_t microseconds = time / (SYS_MILLISECOND / 1000);
    struct timeval limit = {.tv_sec = (time_t)(microseconds / 1000000),
                            .tv_usec = (suseconds_t)(microseconds % 1000000)};
    int saved = errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    errno = saved;
}

size_t sys_socket_buffer(int fd)
{
    int saved = errno, bytes = 0;
    socklen_t size = sizeof bytes;
    bool is_known = getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size) == 0 && bytes > 0;
    errno = saved;
    return is_known ? (size_t)bytes : 0;
}

int sys_socket_open(int domain, int type)
{
    return sys_above_standard(socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

int sys_socket_accept(int listener, struct sockaddr *address, socklen_t *size)
{
    int fd;
    do
        fd = accept4_nocancel(listener, address, size, SOCK_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0 && errno == ENONET)
        errno = ENETUNREACH; /* POSIX does not know the other */
    return sys_above_standard(fd);
}

void sys_tcp_probe(int fd)
{
    sys_socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
}

void sys_tcp_options(int fd)
{
    sys_socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    sys_socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES);
    sys_socket_set(fd, IPPROTO_TCP, TCP_RTO_MAX_MS, REPEAT_MS);
}
