/* SPDX-License-Identifier: MIT */
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
