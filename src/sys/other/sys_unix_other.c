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
#include <sys/socket.h>
#include <sys/stat.h>

#include "sys/other/sys_other.h"
#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_file.h"
#include "sys/sys_signal.h"
#include "sys/sys_unix_address.h"

static int not_here(void)
{
    errno = EOPNOTSUPP;
    return -1;
}

int sys_unix_abstract_address(struct sys_unix_address *address, const char *name)
{
    (void)address;
    (void)name;
    return not_here();
}

int sys_unix_file_address(struct sys_unix_address *address, int file)
{
    (void)address;
    (void)file;
    errno = ENOENT;
    return -1;
}

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

/* The process may have gone elsewhere since the directory was opened. */
static bool is_working_directory(int directory)
{
    struct stat one, other;
    return directory == AT_FDCWD || (fstat_nocancel(directory, &one) == 0 &&
                                     fstatat_nocancel(AT_FDCWD, ".", &other, 0) == 0 &&
                                     one.st_dev == other.st_dev && one.st_ino == other.st_ino);
}

int sys_unix_connect_in(int directory, const char *path, bool accepts_fds)
{
    struct sys_unix_address address;
    if (!is_working_directory(directory))
        return not_here();
    if (sys_unix_path_address(&address, path) != 0)
        return -1;
    return sys_unix_connect_to(&address, accepts_fds);
}

/* The file gets the access that the umask leaves, which the caller corrects. */
int sys_unix_bind_in(int fd, int directory, const char *name, const char *path, unsigned access)
{
    struct sys_unix_address address;
    (void)directory;
    (void)name;
    (void)access;
    return sys_unix_path_address(&address, path) == 0 ? sys_unix_bind_to(fd, &address) : -1;
}

int sys_unix_pair(int fd[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
        return -1;
    sys_signal_never(fd[0]);
    sys_signal_never(fd[1]);
    fd[0] = sys_other_close_on_exec(fd[0]);
    fd[1] = sys_other_close_on_exec(fd[1]);
    return sys_both_above_standard(fd);
}
#endif
