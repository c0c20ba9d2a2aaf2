/* SPDX-License-Identifier: MIT */
/*
 * A set of descriptors behind one, which the program can poll. EPERM: something that cannot be
 * polled, a regular file.
 */
#ifndef PIPC_SYS_EPOLL_H
#define PIPC_SYS_EPOLL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Events. `end`: the peer has ended its direction. `edge`: reported once, until something
 * changes. A hang-up is reported unasked: nobody reads what is written any more.
 */
extern const uint32_t sys_epoll_in, sys_epoll_out, sys_epoll_edge, sys_epoll_end;

int sys_epoll_open(void);
void sys_epoll_close(int set); /* keeps errno; a negative set is nothing */
/*
 * The program is about to get the descriptor of the set, to poll it. Until then it is a number for
 * the calls of this file alone, and no other wait may name it.
 */
int sys_epoll_show(int set);
/*
 * What the set waits for has changed, or what came by it was taken: at the end of each call. Where
 * the kernel has no such sets, what the program polls is made right now, and this may take a
 * millisecond (posix/sys_epoll.c). Keeps errno.
 */
void sys_epoll_update(int set);
int sys_epoll_add(int set, int fd, uint32_t events);
int sys_epoll_change(int set, int fd, uint32_t events);
void sys_epoll_remove(int set, int fd);        /* keeps errno */
int sys_epoll_wait(int set, int64_t deadline); /* as sys_poll; EINTR also after a stop (SIGSTOP) */
/* The same, and EINTR is a signal that was caught, for a call more. */
int sys_epoll_wait_for_signal(int set, int64_t deadline);

/* As sys_poll of the set's own descriptor: takes nothing, and goes on after a stop. */
int sys_epoll_poll(int set, int64_t deadline);

/*
 * Which descriptors of the set are ready; returns how many, without waiting. One that waits for
 * input and for room may come twice.
 */
#define SYS_EPOLL_READY_MAX 64 /* at a time */
int sys_epoll_take_ready(int set, int *fds, int max);

/* Forget edges so far. Has the peer of `other`, a member, ended? Keeps errno. */
bool sys_epoll_forget(int set, int other);

/*
 * Has the writer to this descriptor ended, whether or not something is unread? Keeps errno. It is
 * not known of what is no socket, or has something unread, where poll(2) is refused (see sys_poll);
 * nor where this takes a descriptor of its own, and no number is free. Then a set that waits for
 * the end knows it (sys_epoll_forget).
 */
enum sys_end { SYS_NO_END, SYS_END, SYS_END_NOT_KNOWN };
enum sys_end sys_look_for_end(int fd);
/* The same of a local socket, of which neither side has ended one direction alone: in any case. */
bool sys_local_hung_up(int fd);

#endif
