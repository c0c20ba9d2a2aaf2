/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_pipe.h"
#include "sys/sys_signal.h"

const int sys_file_cwd = AT_FDCWD;

/* ---- what is there ---- */

static void describe_file(const struct stat *from, struct sys_file_status *to)
{
    to->is_own = from->st_uid == geteuid();
    to->is_directory = S_ISDIR(from->st_mode);
    to->is_fifo = S_ISFIFO(from->st_mode);
    to->is_socket = S_ISSOCK(from->st_mode);
    to->access = (unsigned)from->st_mode & 0777;
    to->device = (uint64_t)from->st_dev;
    to->inode = (uint64_t)from->st_ino;
}

int sys_file_status(int fd, struct sys_file_status *status)
{
    struct stat found;
    if (fstat_nocancel(fd, &found) != 0)
        return -1;
    describe_file(&found, status);
    return 0;
}

int sys_file_status_at(int directory, const char *name, struct sys_file_status *status)
{
    struct stat found;
    if (fstatat_nocancel(directory, name, &found, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    describe_file(&found, status);
    return 0;
}

/* ---- opening ---- */

static int open_at(int directory, const char *name, int flags)
{
    int fd;
    do
        fd = openat_nocancel(directory, name, flags | O_NOFOLLOW | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return sys_above_standard(fd);
}

int sys_file_open_directory(int directory, const char *name)
{
    return open_at(directory, name, O_RDONLY | O_DIRECTORY);
}

/*
 * Who reads a FIFO can spare the kernel its time stamps: 3 of 100 parts of a round trip. Not
 * everywhere, and not for other users' files.
 */
int sys_file_open_fifo(int directory, const char *name, bool writing)
{
    const int flags = O_NONBLOCK | O_NOCTTY;
    int fd = open_at(directory, name,
                     writing ? O_WRONLY | flags : O_RDONLY | flags | sys_fifo_read_flags);
    if (writing)
        sys_signal_never(fd);
    if (!writing && fd < 0 && (errno == EPERM || errno == EINVAL))
        fd = open_at(directory, name, O_RDONLY | flags);
    return fd;
}

/* ---- making and removing ---- */

int sys_file_set_access(int directory, const char *name, unsigned access)
{
    int result = fchmodat_nocancel(directory, name, (mode_t)access, AT_SYMLINK_NOFOLLOW);
    if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) /* no /proc, or an old C library */
        result = fchmodat_nocancel(directory, name, (mode_t)access, 0);
    return result;
}

/* The umask belongs to the whole process, all threads of it: it is left alone and corrected. */
static int correct_umask(int directory, const char *name, unsigned access,
                         int (*remove_again)(int directory, const char *name))
{
    struct sys_file_status made;
    if (sys_file_status_at(directory, name, &made) == 0 &&
        (made.access == access || sys_file_set_access(directory, name, access) == 0))
        return 0;
    int saved = errno;
    remove_again(directory, name);
    errno = saved;
    return -1;
}

int sys_file_make_directory(int directory, const char *name)
{
    return mkdirat_nocancel(directory, name, 0700) != 0
               ? -1
               : correct_umask(directory, name, 0700, sys_file_remove_directory);
}

int sys_file_make_fifo(int directory, const char *name)
{
    return sys_file_mkfifo(directory, name) != 0
               ? -1
               : correct_umask(directory, name, 0600, sys_file_remove);
}

int sys_file_link(int directory, const char *from, const char *to)
{
    return linkat_nocancel(directory, from, directory, to, 0);
}

int sys_file_remove(int directory, const char *name)
{
    return unlinkat_nocancel(directory, name, 0);
}

int sys_file_remove_directory(int directory, const char *name)
{
    int result = unlinkat_nocancel(directory, name, AT_REMOVEDIR);
    if (result != 0 && errno == EEXIST)
        errno = ENOTEMPTY; /* POSIX allows either */
    return result;
}

int sys_file_rename(int directory, const char *from, const char *to)
{
    int result = renameat_nocancel(directory, from, directory, to);
    if (result != 0 && errno == EEXIST)
        errno = ENOTEMPTY;
    return result;
}

void sys_file_touch(int directory, const char *name)
{
    int saved = errno;
    utimensat_nocancel(directory, name, NULL, AT_SYMLINK_NOFOLLOW);
    errno = saved;
}

int sys_file_list(int directory, void (*each)(void *context, const char *name), void *context)
{
    int fd = open_at(directory, ".", O_RDONLY | O_DIRECTORY);
    DIR *list = fd < 0 ? NULL : fdopendir_nocancel(fd);
    if (list == NULL) {
        sys_close(fd);
        return -1;
    }
    for (struct dirent *entry; (entry = readdir_nocancel(list)) != NULL;)
        each(context, entry->d_name);
    closedir_nocancel(list);
    return 0;
}
