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

static bool is_interrupted(ssize_t result)
{
    return result < 0 && errno == EINTR;
}

int sys_random(void *bytes, size_t size)
{
    int fd;
    size_t done = 0;
    ssize_t got = 1;
    do
        fd = openat_nocancel(AT_FDCWD, "/dev/urandom", O_RDONLY | O_CLOEXEC);
    while (is_interrupted(fd));
    while (fd >= 0 && done < size && (got > 0 || is_interrupted(got))) {
        got = read_nocancel(fd, (uint8_t *)bytes + done, size - done);
        done += got > 0 ? (size_t)got : 0;
    }
    if (got == 0)
        errno = EIO;
    sys_close(fd);
    return fd >= 0 && done == size ? 0 : -1;
}
#endif
