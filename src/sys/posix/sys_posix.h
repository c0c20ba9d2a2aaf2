/* SPDX-License-Identifier: MIT */
/*
 * What the files of src/sys/posix share. Those of other systems may use it with them.
 *
 * A set of descriptors and a timer each have a number, which the layers above keep like any
 * descriptor. Here it is one, so that nobody else has it, and a table leads from it to the rest.
 */
#ifndef PIPC_SYS_POSIX_H
#define PIPC_SYS_POSIX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Numbers of sets and timers are below: EMFILE. */
enum { SYS_POSIX_NUMBERS = 65536 };

/* Hands fd back, close-on-exec from here on; or -1, and it is closed. A negative one is nothing. */
int sys_posix_close_on_exec(int fd);

/* A descriptor that nobody reads, writes or polls: all that counts is its number. */
int sys_posix_number(void);

struct sys_posix_timer {
    _Atomic int64_t deadline; /* negative: none */
    int64_t interval;         /* of a ticker; 0: it is none */
};
struct sys_posix_timer *sys_posix_timer(int fd); /* NULL: it is none */

#endif
