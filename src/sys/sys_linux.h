/* SPDX-License-Identifier: MIT */
/*
 * Calls of Linux that the headers of some C libraries lack: preadv2 and pwritev2 (musl has them from
 * 1.2.5 on) and their flags. A kernel without them says ENOSYS or EOPNOTSUPP.
 *
 * Private to src/sys*.c, which define _GNU_SOURCE before they include anything.
 */
#ifndef PIPC_SYS_LINUX_H
#define PIPC_SYS_LINUX_H

#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* On 32-bit systems too: else large files are refused, and locks of open files do not work. */
_Static_assert(sizeof(off_t) == 8, "define _FILE_OFFSET_BITS as 64 before anything is included");

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100 /* Linux 6.18 */
#endif

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008

/* A 64-bit kernel takes the position from its first half. */
static inline ssize_t sys_linux_vector(long number, int fd, const struct iovec *parts, int count,
                                       off_t position, int flags)
{
    return syscall(number, (long)fd, parts, (long)count, (long)position, (long)(position >> 32),
                   (long)flags);
}
#define preadv2(fd, parts, count, position, flags) \
    sys_linux_vector(SYS_preadv2, fd, parts, count, position, flags)
#define pwritev2(fd, parts, count, position, flags) \
    sys_linux_vector(SYS_pwritev2, fd, parts, count, position, flags)
#endif

#endif
