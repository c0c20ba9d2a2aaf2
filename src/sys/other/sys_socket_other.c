/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_socket.h"

#include <errno.h>

#include "sys/other/sys_other.h"
#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_rights.h"
#include "sys/sys_signal.h"

#ifdef ENONET /* Linux has it, and POSIX does not know it */
#define NO_NETWORK ENONET
#else
#define NO_NETWORK ENETUNREACH
#endif

int sys_socket_open(int domain, int type)
{
    int fd = sys_other_close_on_exec(sys_above_standard(socket(domain, type, 0)));
    sys_signal_never(fd);
    if (fd < 0 || fcntl_nocancel(fd, F_SETFL, O_NONBLOCK) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

/* Whether O_NONBLOCK comes from the listener depends on the system. */
int sys_socket_accept(int listener, struct sockaddr *address, socklen_t *size)
{
    int fd;
    do
        fd = accept_nocancel(listener, address, size);
    while (fd < 0 && errno == EINTR);
    if (fd < 0 && errno == NO_NETWORK)
        errno = ENETUNREACH;
    fd = sys_other_close_on_exec(sys_above_standard(fd));
    sys_signal_never(fd);
    if (fd < 0 || fcntl_nocancel(fd, F_SETFL, 0) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

bool sys_rights_are_behind_mark(int fd)
{
    int saved = errno;
    bool is_at_mark = sockatmark(fd) == 1;
    errno = saved;
    return is_at_mark;
}

#endif
