/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_alloc.h"

#include <errno.h>
#include <stdlib.h>

void *sys_alloc(size_t size)
{
    return malloc(size > 0 ? size : 1);
}

void *sys_realloc(void *old, size_t size)
{
    return realloc(old, size);
}

void sys_free(void *memory)
{
    int saved = errno;
    free(memory);
    errno = saved;
}
