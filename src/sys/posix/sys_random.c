/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"

static int open_source(void)
{
    int fd;
    do
        fd = openat_nocancel(AT_FDCWD, "/dev/urandom", O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int read_all(int fd, uint8_t *at, size_t size)
{
    while (size > 0) {
        ssize_t got = read_nocancel(fd, at, size);
        if (got == 0)
            errno = EIO;
        if (got == 0 || (got < 0 && errno != EINTR))
            return -1;
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
    return 0;
}

int sys_random(void *bytes, size_t size)
{
    int fd = open_source();
    if (fd < 0)
        return -1;
    int result = read_all(fd, bytes, size);
    sys_close(fd);
    return result;
}
#endif
