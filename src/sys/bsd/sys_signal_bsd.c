/* SPDX-License-Identifier: MIT */
/*
 * macOS and NetBSD send SIGPIPE to the process. So sockets and pipes are told to raise none, also
 * those of the program, which keep this. On FreeBSD and OpenBSD a mask of the thread serves.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_signal.h"

#include <errno.h>

#include "sys/sys_cancel.h"
#include "sys/sys_socket.h"

#ifdef F_SETNOSIGPIPE
void sys_signal_never(int fd)
{
    int saved = errno;
    if (fd < 0)
        return;
    fcntl_nocancel(fd, F_SETNOSIGPIPE, 1);
    sys_socket_set(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
    errno = saved;
}
#else
void sys_signal_never(int fd)
{
    (void)fd;
}
#endif
#endif
