/* SPDX-License-Identifier: MIT */
/*
 * What POSIX does not know: who is at the other end of a socket, other rights than those of
 * set-user-ID, a page that fork wipes, times of keepalive, memory without a name. A host that
 * vanished is noticed after the time that the system has for all, often two hours.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE 700
#include <errno.h>

#include "sys/sys_environment.h"
#include "sys/sys_memory.h"
#include "sys/sys_rights.h"
#include "sys/sys_socket.h"
#include "sys/sys_unix.h"

int sys_unix_credentials(int fd, struct sys_credentials *credentials)
{
    (void)fd;
    (void)credentials;
    errno = EOPNOTSUPP;
    return -1;
}

struct sys_credentials *sys_unix_keep_credentials(int fd)
{
    (void)fd;
    return NULL;
}

bool sys_unix_peer_is_own_user(int fd)
{
    (void)fd;
    return false;
}

int sys_rights_are_carried(int fd)
{
    struct sockaddr own = {.sa_family = AF_UNSPEC};
    socklen_t size = sizeof own; /* the rest of the address is cut off */
    return getsockname(fd, &own, &size) != 0 ? -1 : own.sa_family == AF_UNIX;
}

bool sys_was_given_rights(void)
{
    return false;
}

void *sys_page_wiped_on_fork(void)
{
    return NULL;
}

int sys_memory_open_unnamed(void)
{
    errno = ENOSYS;
    return -1;
}

void sys_tcp_set_idle(int fd, int seconds)
{
    (void)fd;
    (void)seconds;
}

void sys_tcp_set_times(int fd)
{
    (void)fd;
}
#endif
