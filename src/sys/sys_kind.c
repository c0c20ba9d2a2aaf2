/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_kind.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sys/sys_cancel.h"
#include "sys/sys_pipe.h"
#include "sys/sys_signal.h"

static int socket_kind(int fd, enum sys_kind *kind)
{
    int type = 0, listens = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0)
        return -1;
    if (type != SOCK_STREAM || listens != 0) {
        errno = EINVAL;
        return -1;
    }
    sys_signal_never(fd);
    *kind = SYS_SOCKET;
    return 0;
}

int sys_kind(int fd, enum sys_kind *kind)
{
    struct stat status;
    if (fstat_nocancel(fd, &status) != 0)
        return -1;
    if (S_ISSOCK(status.st_mode))
        return socket_kind(fd, kind);
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    sys_signal_never(fd);
    if (S_ISFIFO(status.st_mode))
        *kind = sys_pipe_is_nameless(status.st_dev) ? SYS_PIPE : SYS_FIFO;
    else
        *kind = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) ? SYS_FILE : SYS_OTHER;
    return 0;
}

enum sys_kind sys_kind_if_own(enum sys_kind kind)
{
    return kind == SYS_PIPE ? SYS_OWN_PIPE : kind == SYS_FIFO ? SYS_OWN_FIFO : kind;
}

bool sys_needs_nonblock(enum sys_kind kind)
{
    return kind == SYS_FIFO || kind == SYS_OTHER || (kind == SYS_PIPE && !sys_pipe_has_nowait());
}
