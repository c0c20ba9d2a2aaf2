/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_random.h"

#include <errno.h>
#include <sys/random.h>

#include "sys/linux/sys_linux.h"

int sys_random(void *bytes, size_t size)
{
    uint8_t *at = bytes;
    while (size > 0) {
        ssize_t got = getrandom_nocancel(at, size, 0);
        if (got < 0 && errno != EINTR)
            return -1;
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
    return 0;
}
