/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <sys/socket.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_rights.h"
#include "sys/sys_socket.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04 /* Linux 6.5, on sockets with SO_PASSPIDFD */
#endif

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

const int sys_rights_flags = MSG_CMSG_CLOEXEC, sys_rights_unasked = SCM_PIDFD;

int sys_rights_are_carried(int fd)
{
    int domain = AF_UNSPEC;
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0)
        return -1;
    return domain == AF_UNIX;
}

void sys_rights_permit(int fd, bool permit)
{
    sys_socket_set(fd, SOL_SOCKET, SO_PASSRIGHTS, permit);
}

/* sockatmark(3) asks likewise, but memcheck takes its variable for one that the kernel reads. */
bool sys_rights_are_behind_mark(int fd)
{
    int is_at_mark = 0;
    int saved = errno;
    bool is_known = atmark_nocancel(fd, &is_at_mark) == 0;
    errno = saved;
    return is_known && is_at_mark != 0;
}

bool sys_rights_are_permitted(int fd)
{
    int permitted = 1;
    socklen_t size = sizeof permitted;
    int saved = errno;
    bool is_known = getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &permitted, &size) == 0;
    errno = saved;
    return !is_known || permitted != 0;
}

void sys_rights_prepare(int fd)
{
    sys_socket_set(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
}

int sys_rights_own(int fd)
{
    return sys_above_standard(fd);
}
