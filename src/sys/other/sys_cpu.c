/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE 700
#include "sys/sys_cpu.h"

#include <limits.h>
#include <sched.h>

unsigned sys_cpu_number(void)
{
    return UINT_MAX;
}

void sys_cpu_yield(void)
{
    sched_yield();
}
#endif
