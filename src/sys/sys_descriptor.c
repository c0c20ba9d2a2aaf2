/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "sys/sys_cancel.h"

int sys_above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int moved = fcntl_nocancel(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0 && errno == EINVAL)
        errno = EMFILE; /* the limit on descriptors is as low as that */
    sys_close(fd);
    return moved;
}

int sys_both_above_standard(int fd[2])
{
    fd[0] = sys_above_standard(fd[0]);
    if (fd[0] >= 0)
        fd[1] = sys_above_standard(fd[1]);
    if (fd[0] >= 0 && fd[1] >= 0)
        return 0;
    sys_close(fd[0]);
    sys_close(fd[1]);
    return -1;
}

int sys_room_above_standard(int fd)
{
    int standard = 0;
    while (standard <= STDERR_FILENO && fcntl_nocancel(standard, F_GETFD, 0) >= 0)
        standard++;
    if (standard > STDERR_FILENO)
        return 0; /* the usual case: what is opened next lies above */
    int probe = fcntl_nocancel(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (probe < 0 && errno == EINVAL)
        errno = EMFILE;
    sys_close(probe);
    return probe < 0 ? -1 : 0;
}

static int access_mode(int fd)
{
    int flags = fcntl_nocancel(fd, F_GETFL, 0);
    return flags < 0 ? -1 : flags & O_ACCMODE;
}

int sys_check_modes(int in, int out)
{
    int in_mode = access_mode(in);
    int out_mode = in_mode < 0 ? -1 : access_mode(out);
    if (out_mode < 0)
        return -1;
    if (in_mode == O_WRONLY || out_mode == O_RDONLY) {
        errno = EINVAL;
        return -1;
    }
    return 0;
}

void sys_close(int fd)
{
    int saved = errno;
    if (fd >= 0)
        close_nocancel(fd); /* never repeated: after EINTR the number may be somebody else's */
    errno = saved;
}

int sys_block_own(int fd)
{
    return fcntl_nocancel(fd, F_SETFL, 0);
}

int sys_nonblock(int fd, bool on)
{
    int flags = fcntl_nocancel(fd, F_GETFL, 0);
    if (flags < 0)
        return -1;
    bool was = (flags & O_NONBLOCK) != 0;
    if (was != on && fcntl_nocancel(fd, F_SETFL, flags ^ O_NONBLOCK) != 0)
        return -1;
    return was;
}
