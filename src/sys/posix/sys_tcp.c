/* SPDX-License-Identifier: MIT */
/*
 * Keepalive has no interval in POSIX: a host that vanished is noticed after the time that the
 * system has for all, often two hours.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "sys/sys_socket.h"

void sys_tcp_probe(int fd)
{
    sys_socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void sys_tcp_options(int fd)
{
    sys_socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    sys_socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}
#endif
