/* SPDX-License-Identifier: MIT */
/*
 * OpenBSD has no times for one socket. While bytes wait to be acknowledged, the system's times
 * count on all of them.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <sys/types.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "sys/sys_socket.h"

#if !defined TCP_KEEPIDLE && defined TCP_KEEPALIVE
#define TCP_KEEPIDLE TCP_KEEPALIVE /* macOS */
#elif !defined TCP_KEEPIDLE
enum { TCP_KEEPIDLE = -1, TCP_KEEPINTVL = -1, TCP_KEEPCNT = -1 }; /* OpenBSD refuses these */
#endif

void sys_tcp_set_idle(int fd, int seconds)
{
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
}

void sys_tcp_set_times(int fd)
{
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, SYS_TCP_INTERVAL_S);
    sys_socket_set(fd, IPPROTO_TCP, TCP_KEEPCNT, SYS_TCP_PROBES);
}
#endif
