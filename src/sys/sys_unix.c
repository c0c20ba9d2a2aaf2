/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_socket.h"
#include "sys/sys_unix_address.h"

/* As for TCP; the kernel takes net.core.somaxconn if that is less. */
enum { UNIX_BACKLOG = 4096 };

bool sys_unix_is_abstract(const char *path)
{
    return path[0] == '@';
}

/* ---- connecting ---- */

/* Also a file that is no socket refuses; and some systems say so with another error. */
static int refusal_error(int directory, const char *path, int error)
{
    struct stat found;
    if (error != ECONNREFUSED && error != ENOTSOCK)
        return error;
    bool is_known = fstatat_nocancel(directory, path, &found, 0) == 0;
    return !is_known ? errno : S_ISSOCK(found.st_mode) ? ECONNREFUSED : ENOTSOCK;
}

int sys_unix_connect(int directory, const char *path, bool accepts_fds)
{
    struct sys_unix_address address;
    bool is_abstract = sys_unix_is_abstract(path);
    if (is_abstract && sys_unix_abstract_address(&address, path) != 0)
        return -1;
    bool fits =
        is_abstract || (directory == AT_FDCWD && sys_unix_path_address(&address, path) == 0);
    int fd = fits ? sys_unix_connect_to(&address, accepts_fds)
                  : sys_unix_connect_in(directory, path, accepts_fds);
    if (fd < 0 && !is_abstract)
        errno = refusal_error(directory, path, errno);
    return fd;
}

/*
 * A socket of another type is asked for: it does not connect to a stream socket, listening or not,
 * and the kernel reports that (EPROTOTYPE). Only where no socket is at all, it refuses. Who has no
 * permission to connect does not learn it.
 */
static int is_nobody_at(const struct sys_unix_address *address)
{
    int fd = sys_socket_open(AF_UNIX, SOCK_DGRAM);
    if (fd < 0)
        return -1;
    int result = connect_nocancel(fd, (const struct sockaddr *)&address->kernel, address->size);
    sys_close(fd);
    if (result == 0 || errno == EPROTOTYPE || errno == EACCES || errno == EPERM)
        return 0;
    return errno == ECONNREFUSED ? 1 : -1;
}

/* A path may lead elsewhere by now. */
static int is_nobody_at_path(const char *path, const struct sys_file_status *expected)
{
    struct sys_unix_address address;
    struct sys_file_status found;
    if (sys_unix_path_address(&address, path) != 0)
        return -1;
    int result = is_nobody_at(&address);
    if (result <= 0)
        return result;
    return sys_file_status_at(AT_FDCWD, path, &found) == 0 && found.device == expected->device &&
           found.inode == expected->inode;
}

int sys_unix_is_dead(int file, const char *path, const struct sys_file_status *status)
{
    struct sys_unix_address address;
    int result = sys_unix_file_address(&address, file) == 0 ? is_nobody_at(&address) : -1;
    return result < 0 && errno == ENOENT ? is_nobody_at_path(path, status) : result;
}

/* ---- listening ---- */

int sys_unix_bind_abstract(const char *name, bool accepts_fds)
{
    struct sys_unix_address address;
    if (sys_unix_abstract_address(&address, name) != 0)
        return -1;
    int fd = sys_unix_stream(accepts_fds);
    if (fd < 0 || sys_unix_bind_to(fd, &address) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

int sys_unix_bind(int directory, const char *name, const char *path, unsigned access,
                  bool accepts_fds)
{
    int fd = sys_unix_stream(accepts_fds);
    if (fd < 0 || sys_unix_bind_in(fd, directory, name, path, access) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

int sys_unix_listen(int fd)
{
    return listen(fd, UNIX_BACKLOG);
}

static bool is_option(int fd, int name, int value)
{
    int found = 0;
    socklen_t size = sizeof found;
    return getsockopt(fd, SOL_SOCKET, name, &found, &size) == 0 && found == value;
}

int sys_listener_check(int fd, bool *is_unix)
{
    struct sockaddr own = {.sa_family = AF_UNSPEC};
    socklen_t size = sizeof own; /* the rest of the address is cut off */
    if (fcntl_nocancel(fd, F_GETFD, 0) < 0)
        return -1; /* EBADF */
    if (is_option(fd, SO_TYPE, SOCK_STREAM) && is_option(fd, SO_ACCEPTCONN, 1) &&
        getsockname(fd, &own, &size) == 0) {
        *is_unix = own.sa_family == AF_UNIX;
        if (*is_unix || own.sa_family == AF_INET || own.sa_family == AF_INET6)
            return 0;
    }
    errno = EINVAL;
    return -1;
}
