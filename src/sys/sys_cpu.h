/* SPDX-License-Identifier: MIT */
/*
 * What the processor does for loops that look at shared memory. Each has a form for every machine,
 * and one that does nothing, or asks the clock.
 *
 * sys_ticks       a counter of some 1 to 5 a nanosecond, for what is measured in microseconds and
 *                 too often for a clock of 30 nanoseconds a call
 * sys_ticks_or_clock  the same; in the tests, which replace the clock, that clock: 1 a nanosecond
 * sys_cpu_relax   some 10 to 50 nanoseconds in which the processor does nothing
 * sys_cpu_prefetch_to_write  memory that is written soon and that another processor may have now;
 *                 any address will do
 */
#ifndef PIPC_SYS_CPU_H
#define PIPC_SYS_CPU_H

#include <stdint.h>

#include "sys/sys_clock.h"

#if defined __x86_64__ && defined __GNUC__
static inline int64_t sys_ticks(void)
{
    return (int64_t)__builtin_ia32_rdtsc();
}

static inline void sys_cpu_relax(void)
{
    __builtin_ia32_pause();
}

/* The builtin would ask to read. */
static inline void sys_cpu_prefetch_to_write(const void *memory)
{
    __asm__ volatile("prefetchw %0" ::"m"(*(const char *)memory));
}
#else
static inline int64_t sys_ticks(void)
{
    return sys_now();
}

#if defined __aarch64__ && defined __GNUC__
static inline void sys_cpu_relax(void)
{
    __asm__ volatile("isb" ::: "memory");
}
#else
static inline void sys_cpu_relax(void)
{
}
#endif

#if defined __GNUC__
static inline void sys_cpu_prefetch_to_write(const void *memory)
{
    __builtin_prefetch(memory, 1);
}
#else
static inline void sys_cpu_prefetch_to_write(const void *memory)
{
    (void)memory;
}
#endif
#endif

/* Of the processor that the caller runs on, or did a moment ago; UINT_MAX: unknown. Cheap. */
unsigned sys_cpu_number(void);
/* Lets others run that are ready to, on the processor of the caller. Keeps errno. */
void sys_cpu_yield(void);

static inline int64_t sys_ticks_or_clock(void)
{
#ifdef PIPC_TICKS_ARE_THE_CLOCK
    return sys_now();
#else
    return sys_ticks();
#endif
}

static inline void sys_cpu_relax_for(int64_t ticks)
{
    int64_t begin = sys_ticks(); /* where that is the clock, a test can stop it: see the count */
    for (int64_t i = 0; i < ticks && (uint64_t)(sys_ticks() - begin) < (uint64_t)ticks; i++)
        sys_cpu_relax();
}

#endif
