/* SPDX-License-Identifier: MIT */
/*
 * Calls of Linux alone, none of them a cancellation point here: see sys_cancel.h. Also what the
 * headers of some C libraries lack: preadv2 and pwritev2 (musl has them from 1.2.5 on) and their
 * flags. A kernel without them reports ENOSYS or EOPNOTSUPP.
 *
 * Private to src/sys/linux, whose files define _GNU_SOURCE before they include anything.
 */
#ifndef PIPC_SYS_LINUX_H
#define PIPC_SYS_LINUX_H

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys/sys_cancel.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14 */
#endif

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

/* Of any descriptor, also of one that cannot read. Any error may mean that the kernel cannot. */
int sys_linux_set_access(int file, unsigned access);

NOCANCEL(ssize_t, preadv2, (int fd, const struct iovec *parts, int count, off_t offset, int flags),
         (fd, parts, count, offset, flags))
NOCANCEL(ssize_t, pwritev2, (int fd, const struct iovec *parts, int count, off_t offset, int flags),
         (fd, parts, count, offset, flags))
NOCANCEL(int, accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags),
         (fd, address, size, flags))
NOCANCEL(ssize_t, getrandom, (void *bytes, size_t size, unsigned flags), (bytes, size, flags))
/* With a time of 0 it does not wait. */
NOCANCEL(int, epoll_wait, (int set, struct epoll_event *events, int count, int time),
         (set, events, count, time))

#endif
