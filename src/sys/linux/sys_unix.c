/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "sys/linux/sys_linux.h"
#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_file.h"
#include "sys/sys_process.h"
#include "sys/sys_rights.h"
#include "sys/sys_socket.h"

/* As for TCP; the kernel takes net.core.somaxconn if that is less. */
enum { UNIX_BACKLOG = 4096 };

/* ---- addresses ---- */

struct unix_address {
    struct sockaddr_un kernel;
    socklen_t size;
};

static int too_long(void)
{
    errno = ENAMETOOLONG;
    return -1;
}

static int address_of_size(struct unix_address *address, const char *text, size_t size)
{
    memset(address, 0, sizeof *address);
    address->kernel.sun_family = AF_UNIX;
    if (size > sizeof address->kernel.sun_path)
        return too_long();
    memcpy(address->kernel.sun_path, text, size);
    address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return 0;
}

static int path_address(struct unix_address *address, const char *path)
{
    return address_of_size(address, path, strlen(path) + 1);
}

/* Of its exact length: a zero behind the name would belong to the name. */
static int abstract_address(struct unix_address *address, const char *name)
{
    if (address_of_size(address, name, strlen(name)) != 0)
        return -1;
    address->kernel.sun_path[0] = '\0';
    if (name[1] != '\0')
        return 0;
    errno = EINVAL;
    return -1;
}

/* `name`: in a directory that the descriptor is of; NULL: the file that it is of. */
static int descriptor_address(struct unix_address *address, int fd, const char *name)
{
    char path[sizeof address->kernel.sun_path];
    int length = snprintf(path, sizeof path, "/proc/thread-self/fd/%d%s%s", fd,
                          name == NULL ? "" : "/", name == NULL ? "" : name);
    if (length < 0 || (size_t)length >= sizeof path)
        return too_long();
    return path_address(address, path);
}

bool sys_unix_is_abstract(const char *path)
{
    return path[0] == '@';
}

/* ---- files ---- */

static int open_path(int directory, const char *name, int flags)
{
    int fd;
    do
        fd = openat_nocancel(directory, name, O_PATH | O_CLOEXEC | flags);
    while (fd < 0 && errno == EINTR);
    return sys_above_standard(fd);
}

int sys_unix_open_file(int directory, const char *name, struct sys_file_status *status)
{
    int file = open_path(directory, name, O_NOFOLLOW);
    if (file < 0 || sys_file_status(file, status) == 0)
        return file;
    sys_close(file);
    return -1;
}

int sys_unix_set_access(int file, int directory, const char *name, unsigned access)
{
    struct unix_address address;
    (void)directory;
    (void)name;
    if (sys_linux_set_access(file, access) == 0)
        return 0;
    if (descriptor_address(&address, file, NULL) != 0)
        return -1;
    int result = fchmodat_nocancel(AT_FDCWD, address.kernel.sun_path, (mode_t)access, 0);
    if (result != 0 && errno == ENOENT)
        errno = EOPNOTSUPP;
    return result;
}

static bool is_socket_file(int file)
{
    struct stat found;
    return fstat_nocancel(file, &found) == 0 && S_ISSOCK(found.st_mode);
}

/* ---- connecting ---- */

/*
 * Who takes no descriptors lets nobody send any, from the start: the peer could send one whose
 * closing takes as long as the peer likes (SO_LINGER), and the kernel closes it in our next call.
 */
static int open_stream_socket(bool accepts_fds)
{
    int fd = sys_socket_open(AF_UNIX, SOCK_STREAM);
    if (fd >= 0 && !accepts_fds)
        sys_rights_permit(fd, false);
    return fd;
}

static int connect_to(const struct unix_address *address, bool accepts_fds)
{
    int fd = open_stream_socket(accepts_fds);
    if (fd < 0 ||
        connect_nocancel(fd, (const struct sockaddr *)&address->kernel, address->size) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

static int connect_to_file(int file, bool accepts_fds)
{
    struct unix_address address;
    if (!is_socket_file(file)) {
        errno = ENOTSOCK;
        return -1;
    }
    if (descriptor_address(&address, file, NULL) != 0)
        return -1;
    int fd = connect_to(&address, accepts_fds);
    if (fd < 0 && errno == ENOENT)
        return too_long(); /* the file is there; /proc is not */
    return fd;
}

static int connect_by_descriptor(int directory, const char *path, bool accepts_fds)
{
    int file = open_path(directory, path, 0);
    int fd = file < 0 ? -1 : connect_to_file(file, accepts_fds);
    sys_close(file);
    return fd;
}

/* Also a file that is no socket refuses. */
static int refusal_error(const char *path)
{
    int file = open_path(AT_FDCWD, path, 0);
    int error = file < 0 ? errno : is_socket_file(file) ? ECONNREFUSED : ENOTSOCK;
    sys_close(file);
    return error;
}

int sys_unix_connect(int directory, const char *path, bool accepts_fds)
{
    struct unix_address address;
    bool is_abstract = sys_unix_is_abstract(path);
    if (is_abstract && abstract_address(&address, path) != 0)
        return -1;
    if (!is_abstract && (directory != AT_FDCWD || path_address(&address, path) != 0))
        return connect_by_descriptor(directory, path, accepts_fds);
    int fd = connect_to(&address, accepts_fds);
    if (fd < 0 && errno == ECONNREFUSED && !is_abstract)
        errno = refusal_error(path);
    return fd;
}

/*
 * A socket of another type is asked for: it does not connect to a stream socket, listening or not,
 * and the kernel reports that (EPROTOTYPE). Only where no socket is at all, it refuses. Who has no
 * permission to connect does not learn it.
 */
static int is_nobody_at(const struct unix_address *address)
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
static int is_nobody_at_path(const char *path, const struct stat *expected)
{
    struct unix_address address;
    struct stat found;
    if (path_address(&address, path) != 0)
        return -1;
    int result = is_nobody_at(&address);
    if (result <= 0)
        return result;
    return fstatat_nocancel(AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           found.st_dev == expected->st_dev && found.st_ino == expected->st_ino;
}

int sys_unix_is_dead(int file, const char *path, const struct sys_file_status *expected)
{
    struct unix_address address;
    (void)expected;
    struct stat status;
    if (fstat_nocancel(file, &status) != 0)
        return -1;
    if (!S_ISSOCK(status.st_mode))
        return 0;
    int result = descriptor_address(&address, file, NULL) == 0 ? is_nobody_at(&address) : -1;
    return result < 0 && errno == ENOENT ? is_nobody_at_path(path, &status) : result;
}

/* ---- listening ---- */

static int bind_to(int fd, const struct unix_address *address)
{
    return bind(fd, (const struct sockaddr *)&address->kernel, address->size);
}

int sys_unix_bind_abstract(const char *name, bool accepts_fds)
{
    struct unix_address address;
    if (abstract_address(&address, name) != 0)
        return -1;
    int fd = open_stream_socket(accepts_fds);
    if (fd < 0 || bind_to(fd, &address) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

static bool has_proc(int fd)
{
    struct unix_address address;
    struct stat found;
    return descriptor_address(&address, fd, NULL) == 0 &&
           fstatat_nocancel(AT_FDCWD, address.kernel.sun_path, &found, 0) == 0;
}

static int bind_in(int fd, int directory, const char *name, const char *path)
{
    struct unix_address address;
    if (descriptor_address(&address, directory, name) != 0)
        return -1;
    if (bind_to(fd, &address) == 0)
        return 0;
    if (errno != ENOENT)
        return -1;
    if (has_proc(directory)) {
        errno = ENOENT; /* the directory was removed */
        return -1;
    }
    return path_address(&address, path) == 0 ? bind_to(fd, &address) : -1;
}

/* A file that is made gets the access of the socket's own inode, less the umask. */
int sys_unix_bind(int directory, const char *name, const char *path, unsigned access,
                  bool accepts_fds)
{
    int fd = open_stream_socket(accepts_fds);
    if (fd < 0)
        return -1;
    if (fchmod_nocancel(fd, (mode_t)access) == 0 && bind_in(fd, directory, name, path) == 0)
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

/* ---- who is there ---- */

/* Its own name, or the other end's: 1; both ends without: 0; no socket of this host: -1. */
static int is_named(int fd)
{
    struct sockaddr_un own, peer;
    socklen_t own_size = sizeof own, peer_size = sizeof peer;
    own.sun_family = AF_UNSPEC;
    if (getsockname(fd, (struct sockaddr *)&own, &own_size) != 0 || own.sun_family != AF_UNIX)
        return -1;
    if (own_size > offsetof(struct sockaddr_un, sun_path))
        return 1;
    return getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0 &&
           peer_size > offsetof(struct sockaddr_un, sun_path);
}

int sys_unix_pair(int fd[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0)
        return -1;
    return sys_both_above_standard(fd);
}

static int find_peer(int fd, struct ucred *peer)
{
    socklen_t size = sizeof *peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &size);
}

int sys_unix_credentials(int fd, struct sys_credentials *credentials)
{
    struct ucred found;
    if (is_named(fd) <= 0) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (find_peer(fd, &found) != 0)
        return -1;
    *credentials = (struct sys_credentials){found.pid, found.uid, found.gid};
    return 0;
}

#define OVERFLOW_USER 65534 /* as the kernel names users without a number here, by default */

bool sys_unix_peer_is_own_user(int fd)
{
    struct ucred peer;
    return find_peer(fd, &peer) == 0 && peer.uid != OVERFLOW_USER &&
           (peer.uid == 0 || peer.uid == sys_user_id());
}
