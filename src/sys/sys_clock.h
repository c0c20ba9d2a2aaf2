/* SPDX-License-Identifier: MIT */
/* The monotonic clock, in nanoseconds: it never jumps with the time of day. And the other one. */
#ifndef PIPC_SYS_CLOCK_H
#define PIPC_SYS_CLOCK_H

#include <stdint.h>

#define SYS_SECOND      INT64_C(1000000000)
#define SYS_MILLISECOND INT64_C(1000000)

int64_t sys_now(void);
int64_t sys_time_of_day(void); /* since 1970; for people alone */

#endif
