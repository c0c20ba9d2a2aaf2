/* SPDX-License-Identifier: MIT */
/*
 * What a system does for sockets beyond POSIX. All but sys_tcp_* is private to src/sys.
 */
#ifndef PIPC_SYS_SOCKET_H
#define PIPC_SYS_SOCKET_H

#include <sys/socket.h>

/*
 * Send at once, and notice in about a minute that a host has vanished; never give up a living
 * one.
 */
void sys_tcp_options(int fd);
/*
 * Until then: when the peer is silent for a second, ask its host whether it has the connection at
 * all. If not, reads fail with ECONNRESET.
 */
void sys_tcp_probe(int fd);

void sys_socket_set(int fd, int level, int name, int value); /* if possible; keeps errno */
int sys_socket_open(int domain, int type);                   /* non-blocking */
/* As accept(2). It goes on after EINTR. */
int sys_socket_accept(int listener, struct sockaddr *address, socklen_t *size);

/* Of the system, if possible: when probes begin, and how often and how many they are. */
enum { SYS_TCP_INTERVAL_S = 10, SYS_TCP_PROBES = 3 };
void sys_tcp_set_idle(int fd, int seconds);
void sys_tcp_set_times(int fd);

#endif
