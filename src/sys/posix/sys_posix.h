/* SPDX-License-Identifier: MIT */
/* What sys_epoll.c has to know of timers. Private to src/sys/posix. */
#ifndef PIPC_SYS_POSIX_H
#define PIPC_SYS_POSIX_H

#include <stdatomic.h>
#include <stdint.h>

/* A descriptor that nobody reads, writes or polls: all that counts is its number. */
int sys_posix_number(void);

struct sys_posix_timer {
    _Atomic int64_t deadline; /* negative: none */
    int64_t interval;         /* of a ticker; 0: it is none */
};
struct sys_posix_timer *sys_posix_timer(int number); /* NULL: it is none */

#endif
