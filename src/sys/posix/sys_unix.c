/* SPDX-License-Identifier: MIT */
/*
 * Sockets on a path that fits an address. There is no descriptor of a socket's file, and no way to
 * one from a directory's: names are looked at where they are. There are no abstract names.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "sys/posix/sys_posix.h"
#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_file.h"
#include "sys/sys_signal.h"
#include "sys/sys_socket.h"

enum { UNIX_BACKLOG = 4096 };

/* ---- addresses ---- */

static int address_of(struct sockaddr_un *address, const char *path)
{
    size_t size = strlen(path) + 1;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (size > sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address->sun_path, path, size);
    return 0;
}

bool sys_unix_is_abstract(const char *path)
{
    return path[0] == '@';
}

static int not_here(void)
{
    errno = EOPNOTSUPP;
    return -1;
}

/* ---- files ---- */

/* It keeps the place of a descriptor of the file, which nothing can open. */
int sys_unix_open_file(int directory, const char *name, struct sys_file_status *status)
{
    if (sys_file_status_at(directory, name, status) != 0)
        return -1;
    return fcntl_nocancel(directory, F_DUPFD_CLOEXEC, 3);
}

int sys_unix_set_access(int file, int directory, const char *name, unsigned access)
{
    (void)file;
    return sys_file_set_access(directory, name, access);
}

/* ---- connecting ---- */

/* The process may have gone elsewhere since the directory was opened. */
static bool is_working_directory(int directory)
{
    struct stat one, other;
    return directory == AT_FDCWD || (fstat_nocancel(directory, &one) == 0 &&
                                     fstatat_nocancel(AT_FDCWD, ".", &other, 0) == 0 &&
                                     one.st_dev == other.st_dev && one.st_ino == other.st_ino);
}

static int connect_socket(const struct sockaddr_un *address)
{
    int fd = sys_socket_open(AF_UNIX, SOCK_STREAM);
    if (fd < 0 || connect_nocancel(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

/* Also a file that is no socket refuses; and some systems say so with another error. */
static int refusal_error(const char *path, int error)
{
    struct stat found;
    if (error != ECONNREFUSED && error != ENOTSOCK)
        return error;
    if (fstatat_nocancel(AT_FDCWD, path, &found, 0) != 0)
        return errno;
    return S_ISSOCK(found.st_mode) ? ECONNREFUSED : ENOTSOCK;
}

int sys_unix_connect(int directory, const char *path, bool accepts_fds)
{
    struct sockaddr_un address;
    (void)accepts_fds;
    if (sys_unix_is_abstract(path) || !is_working_directory(directory))
        return not_here();
    if (address_of(&address, path) != 0)
        return -1;
    int fd = connect_socket(&address);
    if (fd < 0)
        errno = refusal_error(path, errno);
    return fd;
}

static bool is_file(const char *path, const struct sys_file_status *file)
{
    struct sys_file_status found;
    return sys_file_status_at(AT_FDCWD, path, &found) == 0 && found.device == file->device &&
           found.inode == file->inode;
}

/*
 * A socket of another type is asked for: it does not connect to a stream socket, listening or not,
 * and the kernel reports that. Only where no socket is at all, it refuses.
 */
int sys_unix_is_dead(int file, const char *path, const struct sys_file_status *status)
{
    struct sockaddr_un address;
    (void)file;
    if (!status->is_socket)
        return 0;
    if (address_of(&address, path) != 0)
        return -1;
    int fd = sys_socket_open(AF_UNIX, SOCK_DGRAM);
    if (fd < 0)
        return -1;
    int result = connect_nocancel(fd, (const struct sockaddr *)&address, sizeof address);
    sys_close(fd);
    if (result == 0 || errno == EPROTOTYPE || errno == EACCES || errno == EPERM)
        return 0;
    return errno == ECONNREFUSED ? is_file(path, status) : -1;
}

/* ---- listening ---- */

int sys_unix_bind_abstract(const char *name, bool accepts_fds)
{
    (void)name;
    (void)accepts_fds;
    return not_here();
}

/* The file gets the access that the umask leaves, which the caller corrects. */
int sys_unix_bind(int directory, const char *name, const char *path, unsigned access,
                  bool accepts_fds)
{
    struct sockaddr_un address;
    (void)directory;
    (void)name;
    (void)access;
    (void)accepts_fds;
    if (address_of(&address, path) != 0)
        return -1;
    int fd = sys_socket_open(AF_UNIX, SOCK_STREAM);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) == 0)
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

int sys_unix_pair(int fd[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
        return -1;
    sys_signal_never(fd[0]);
    sys_signal_never(fd[1]);
    fd[0] = sys_posix_close_on_exec(fd[0]);
    fd[1] = sys_posix_close_on_exec(fd[1]);
    return sys_both_above_standard(fd);
}
#endif
