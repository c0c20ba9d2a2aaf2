/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "sys/linux/sys_linux.h"
#include "sys/sys_descriptor.h"

/*
 * While something waits to be sent or acknowledged, a host counts as vanished when the kernel has
 * repeated it 15 times (net.ipv4.tcp_retries2) without an answer, at most 5 s apart: a minute as
 * well. TCP_USER_TIMEOUT would not do: it also counts the time for which a living peer has no room.
 */
enum { REPEAT_MS = 5000 };

/* Since Linux 6.15. An older one refuses it, and the pauses grow to 2 minutes. */
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif

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

void sys_tcp_set_idle(int fd, int seconds)
{
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
}

void sys_tcp_set_times(int fd)
{
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, SYS_TCP_INTERVAL_S);
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPCNT, SYS_TCP_PROBES);
    sys_socket_set(fd, IPPROTO_TCP, TCP_RTO_MAX_MS, REPEAT_MS);
}
