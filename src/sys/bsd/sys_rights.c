/* SPDX-License-Identifier: MIT */
/*
 * Descriptors do not travel here. A reader has to look at them before it takes them, and these
 * systems answer such a look (MSG_PEEK) with numbers that are no descriptors. Those that a peer
 * sends even so are dropped by the kernel, since no read has room for them.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_rights.h"

#include <errno.h>

#include "sys/sys_io.h"

int sys_rights_are_carried(int fd)
{
    (void)fd;
    return 0;
}

void sys_rights_permit(int fd, bool permit)
{
    (void)fd;
    (void)permit;
}

bool sys_rights_are_permitted(int fd)
{
    (void)fd;
    return true;
}

void sys_rights_prepare(int fd)
{
    (void)fd;
}

static ssize_t not_here(void)
{
    errno = EOPNOTSUPP;
    return -1;
}

ssize_t sys_rights_send(int fd, const void *byte, const int *fds, int count)
{
    (void)fd;
    (void)byte;
    (void)fds;
    (void)count;
    return not_here();
}

ssize_t sys_rights_peek(int fd, void *buffer, size_t size, struct sys_rights *rights)
{
    (void)fd;
    (void)buffer;
    (void)size;
    *rights = (struct sys_rights){.count = 0};
    return not_here();
}

ssize_t sys_rights_take(int fd, void *buffer, size_t size, bool *brought)
{
    *brought = false;
    return sys_read(fd, SYS_SOCKET, buffer, size);
}

bool sys_rights_are_behind_mark(int fd)
{
    (void)fd;
    return false;
}

ssize_t sys_rights_take_few(int fd, void *buffer, size_t size, int *rights, int *count)
{
    (void)rights;
    *count = 0;
    return sys_read(fd, SYS_SOCKET, buffer, size);
}
#endif
