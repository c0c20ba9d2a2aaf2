/* SPDX-License-Identifier: MIT */
/*
 * Before glibc 2.41 (its bug 12683) a cancellation that comes just when read returns loses what it
 * has read. There, a thread that others may cancel has to wait in poll, which takes nothing.
 */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_cancel.h"

#include "sys/sys_io.h"

bool sys_is_safe_glibc(const char *version)
{
    int minor = 0;
    if (version[0] != '2' || version[1] != '.')
        return true; /* 3, some day */
    for (const char *at = version + 2; *at >= '0' && *at <= '9'; at++)
        minor = 10 * minor + (*at - '0');
    return minor >= 41;
}

#ifdef __GLIBC__
#include <gnu/libc-version.h>

static bool is_library_safe(void)
{
    return sys_is_safe_glibc(gnu_get_libc_version());
}
#else
static bool is_library_safe(void)
{
    return true; /* musl */
}
#endif

static bool is_cancellable(void)
{
    int before = nocancel_begin();
    nocancel_end(before);
    return before == PTHREAD_CANCEL_ENABLE;
}

bool sys_can_wait_in_read(void)
{
    return sys_is_alone() || is_library_safe() || !is_cancellable();
}
