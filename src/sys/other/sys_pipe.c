/* SPDX-License-Identifier: MIT */
/*
 * Pipes. Reads and writes have no flags of their own here, and a pipe without a name is not told
 * from a FIFO: sys_io.c polls before each.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_pipe.h"

#include <errno.h>
#include <unistd.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"

const int sys_fifo_read_flags = 0;

static int prepare(int fd)
{
    return fcntl_nocancel(fd, F_SETFD, FD_CLOEXEC) == 0 &&
                   fcntl_nocancel(fd, F_SETFL, O_NONBLOCK) == 0
               ? 0
               : -1;
}

int sys_pipe(int fd[2])
{
    if (pipe(fd) != 0)
        return -1;
    for (int i = 0; i < 2; i++)
        if (prepare(fd[i]) != 0) {
            sys_close(fd[0]);
            sys_close(fd[1]);
            return -1;
        }
    return sys_both_above_standard(fd);
}

void sys_pipe_set_size(int fd, int size)
{
    (void)fd;
    (void)size;
}

int sys_pipe_doorbell(int fd[2])
{
    (void)fd;
    errno = ENOSYS;
    return -1;
}

bool sys_pipe_can_be_doorbell(int fd, bool writes)
{
    (void)fd;
    (void)writes;
    return false;
}

bool sys_pipe_is_end(int fd, bool writes)
{
    struct stat status;
    int saved = errno;
    int flags = fcntl_nocancel(fd, F_GETFL, 0);
    bool is_end = flags >= 0 && (flags & O_ACCMODE) == (writes ? O_WRONLY : O_RDONLY) &&
                  fstat_nocancel(fd, &status) == 0 && S_ISFIFO(status.st_mode);
    errno = saved;
    return is_end;
}

bool sys_pipe_is_nameless(dev_t device)
{
    (void)device;
    return false;
}

bool sys_pipe_has_nowait(void)
{
    return false;
}

ssize_t sys_pipe_read_nowait(int fd, void *buffer, size_t size)
{
    (void)fd;
    (void)buffer;
    (void)size;
    return SYS_PIPE_REFUSED;
}

ssize_t sys_pipe_write_nowait(int fd, const struct iovec *parts, int count)
{
    (void)fd;
    (void)parts;
    (void)count;
    return SYS_PIPE_REFUSED;
}

ssize_t sys_pipe_write_nosignal(int fd, const struct iovec *parts, int count)
{
    (void)fd;
    (void)parts;
    (void)count;
    return SYS_PIPE_REFUSED;
}
#endif
