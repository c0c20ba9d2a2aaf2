/* SPDX-License-Identifier: MIT */
/*
 * A host that vanished is noticed after 30 s of silence and 3 probes 10 s apart, where a socket
 * has such times of its own.
 *
 * A receiver whose memory is full, not its window, closes the window when a segment is on its way.
 * If that is shorter than 2^wscale, its sender's number in answers to probes is beyond the window,
 * and Linux 6.18 drops them (BeyondWindow): so the probes end a connection whose reader does not
 * read for a minute. Only small segments fill the memory first. Of the options of a socket only a
 * small receive buffer would avoid it.
 */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "sys/sys_socket.h"

enum { KEEP_IDLE_S = 30, PROBE_IDLE_S = 1 };
_Static_assert(KEEP_IDLE_S + SYS_TCP_PROBES * SYS_TCP_INTERVAL_S <= 60,
               "noticed in about a minute");

void sys_tcp_probe(int fd)
{
    sys_socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    sys_tcp_set_idle(fd, PROBE_IDLE_S);
}

void sys_tcp_options(int fd)
{
    sys_socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    sys_tcp_set_idle(fd, KEEP_IDLE_S);
    sys_tcp_set_times(fd);
    sys_socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1); /* its timer begins once, by these times */
}
