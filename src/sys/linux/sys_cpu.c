/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sys/sys_cpu.h"

#include <sched.h>

unsigned sys_cpu_number(void)
{
    return (unsigned)sched_getcpu();
}

void sys_cpu_yield(void)
{
    sched_yield(); /* cannot fail here */
}
