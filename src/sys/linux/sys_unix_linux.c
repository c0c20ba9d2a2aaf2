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

#include "sys/linux/sys_linux.h"
#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_file.h"
#include "sys/sys_process.h"
#include "sys/sys_unix_address.h"

/* ---- addresses ---- */

/* Of its exact length: a zero behind the name would belong to the name. */
int sys_unix_abstract_address(struct sys_unix_address *address, const char *name)
{
    if (sys_unix_address_of(address, name, strlen(name)) != 0)
        return -1;
    address->kernel.sun_path[0] = '\0';
    if (name[1] != '\0')
        return 0;
    errno = EINVAL;
    return -1;
}

#define DESCRIPTORS "/proc/thread-self/fd/"

/* That always fits. */
int sys_unix_file_address(struct sys_unix_address *address, int file)
{
    char path[sizeof DESCRIPTORS + sizeof "-2147483648"];
    _Static_assert(sizeof path <= sizeof address->kernel.sun_path, "a number fits");
    snprintf(path, sizeof path, DESCRIPTORS "%d", file);
    return sys_unix_path_address(address, path);
}

/* One byte more than an address has shows that the name does not fit. */
static int address_in(struct sys_unix_address *address, int directory, const char *name)
{
    char path[sizeof address->kernel.sun_path + 1];
    snprintf(path, sizeof path, DESCRIPTORS "%d/%s", directory, name);
    return sys_unix_path_address(address, path);
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
    struct sys_unix_address address;
    (void)directory;
    (void)name;
    if (sys_linux_set_access(file, access) == 0)
        return 0;
    sys_unix_file_address(&address, file);
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

static int connect_to_file(int file, bool accepts_fds)
{
    struct sys_unix_address address;
    if (!is_socket_file(file)) {
        errno = ENOTSOCK;
        return -1;
    }
    sys_unix_file_address(&address, file);
    int fd = sys_unix_connect_to(&address, accepts_fds);
    if (fd < 0 && errno == ENOENT)
        return sys_unix_too_long(); /* the file is there; /proc is not */
    return fd;
}

int sys_unix_connect_in(int directory, const char *path, bool accepts_fds)
{
    int file = open_path(directory, path, 0);
    int fd = file < 0 ? -1 : connect_to_file(file, accepts_fds);
    sys_close(file);
    return fd;
}

/* ---- listening ---- */

static bool has_proc(int fd)
{
    struct sys_unix_address address;
    struct stat found;
    sys_unix_file_address(&address, fd);
    return fstatat_nocancel(AT_FDCWD, address.kernel.sun_path, &found, 0) == 0;
}

static int bind_near(int fd, int directory, const char *name, const char *path)
{
    struct sys_unix_address address;
    if (address_in(&address, directory, name) != 0)
        return -1;
    if (sys_unix_bind_to(fd, &address) == 0)
        return 0;
    if (errno != ENOENT)
        return -1;
    if (has_proc(directory)) {
        errno = ENOENT; /* the directory was removed */
        return -1;
    }
    return sys_unix_path_address(&address, path) == 0 ? sys_unix_bind_to(fd, &address) : -1;
}

/* A file that is made gets the access of the socket's own inode, less the umask. */
int sys_unix_bind_in(int fd, int directory, const char *name, const char *path, unsigned access)
{
    return fchmod_nocancel(fd, (mode_t)access) == 0 ? bind_near(fd, directory, name, path) : -1;
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

struct sys_credentials *sys_unix_keep_credentials(int fd)
{
    (void)fd;
    return NULL;
}

#define OVERFLOW_USER 65534 /* as the kernel names users without a number here, by default */

bool sys_unix_peer_is_own_user(int fd)
{
    struct ucred peer;
    return find_peer(fd, &peer) == 0 && peer.uid != OVERFLOW_USER &&
           (peer.uid == 0 || peer.uid == sys_user_id());
}
