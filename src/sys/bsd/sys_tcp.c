/* SPDX-License-Identifier: MIT */
/*
 * A host that vanished is noticed after 30 s of silence and 3 probes 10 s apart, as on Linux; on
 * OpenBSD, where a socket has no times of its own, after those of the system. While bytes wait to
 * be acknowledged, the system's times count on all of them.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <sys/types.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "sys/sys_socket.h"

enum { KEEP_IDLE_S = 30, KEEP_INTERVAL_S = 10, KEEP_PROBES = 3 };

#if defined TCP_KEEPALIVE && !defined TCP_KEEPIDLE
#define TCP_KEEPIDLE TCP_KEEPALIVE /* macOS */
#endif

#ifdef TCP_KEEPIDLE
static void set_idle(int fd, int seconds)
{
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES);
}
#else
static void set_idle(int fd, int seconds)
{
    (void)fd;
    (void)seconds;
}
#endif

void sys_tcp_probe(int fd)
{
    sys_socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_idle(fd, 1);
}

void sys_tcp_options(int fd)
{
    sys_socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    sys_socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_idle(fd, KEEP_IDLE_S);
}
#endif
