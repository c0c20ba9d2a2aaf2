/* SPDX-License-Identifier: MIT */
/*
 * Memory has a name for a moment (sys_memory.c), and its size can be changed by all who have it. So
 * none is taken from a stranger.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <errno.h>

#include "sys/sys_memory.h"

int sys_memory_open_unnamed(void)
{
    errno = ENOSYS;
    return -1;
}

void sys_memory_seal(int fd)
{
    (void)fd;
}

void sys_memory_drop(void *pages, size_t size)
{
    (void)pages;
    (void)size;
}

bool sys_memory_is_sealed(int fd, size_t size)
{
    (void)fd;
    (void)size;
    return false;
}
#endif
