/* SPDX-License-Identifier: MIT */
/* Who is at the other end of a socket is not known to POSIX. */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <errno.h>

#include "sys/sys_unix.h"

int sys_unix_credentials(int fd, struct sys_credentials *credentials)
{
    (void)fd;
    (void)credentials;
    errno = EOPNOTSUPP;
    return -1;
}

bool sys_unix_peer_is_own_user(int fd)
{
    (void)fd;
    return false;
}
#endif
