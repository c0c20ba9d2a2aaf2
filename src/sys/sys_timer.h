/* SPDX-License-Identifier: MIT */
/* Time that a set of descriptors can hold. */
#ifndef PIPC_SYS_TIMER_H
#define PIPC_SYS_TIMER_H

#include <stdint.h>

/* Readable from the deadline on; at first there is none. */
int sys_timer_open(void);
void sys_timer_set(int timer, int64_t deadline); /* keeps errno */

/* Readable after each interval, until it is drained. */
int sys_ticker_open(int64_t nanoseconds);
void sys_ticker_drain(int ticker); /* keeps errno */

void sys_timer_close(int timer); /* both kinds; keeps errno; a negative one is nothing */

#endif
