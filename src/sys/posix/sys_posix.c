/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/posix/sys_posix.h"

#include <errno.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_pipe.h"

int sys_posix_close_on_exec(int fd)
{
    if (fd < 0 || fcntl_nocancel(fd, F_SETFD, FD_CLOEXEC) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

int sys_posix_number(void)
{
    int fd[2];
    if (sys_pipe(fd) != 0)
        return -1;
    sys_close(fd[0]);
    if (fd[1] < SYS_POSIX_NUMBERS)
        return fd[1];
    sys_close(fd[1]);
    errno = EMFILE;
    return -1;
}
#endif
