/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_life_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/sys_cancel.h"

bool sys_life_is_same(const struct sys_life_file *file, int fd)
{
    struct stat status;
    return fstat_nocancel(fd, &status) == 0 && (uint64_t)status.st_dev == file->device &&
           (uint64_t)status.st_ino == file->inode;
}

bool sys_life_is_open(const struct sys_life_file *file)
{
    return sys_life_is_same(file, file->fd);
}

int sys_life_open(struct sys_life_file *file, int fd)
{
    struct stat status;
    if (fstat_nocancel(fd, &status) != 0)
        return -1;
    *file = (struct sys_life_file){fd, (uint64_t)status.st_dev, (uint64_t)status.st_ino};
    return 0;
}

static struct flock lock_of(short type, uint64_t number)
{
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)number, .l_len = 1};
}

int sys_life_lock(int fd, int command, short type, uint64_t number)
{
    struct flock lock = lock_of(type, number);
    return fcntl_nocancel(fd, command, (intptr_t)&lock);
}

enum sys_life sys_life_ask(const struct sys_life_file *file, int command, uint64_t number)
{
    struct flock lock = lock_of(F_WRLCK, number);
    int saved = errno;
    enum sys_life life = SYS_LIFE_UNKNOWN;
    if (fcntl_nocancel(file->fd, command, (intptr_t)&lock) != 0)
        life = SYS_LIFE_UNKNOWN;
    else if (lock.l_type != F_UNLCK)
        life = SYS_LIFE_THERE;
    else if (sys_life_is_same(file, file->fd))
        life = SYS_LIFE_GONE;
    errno = saved;
    return life;
}

int sys_life_error(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return error;
    case EAGAIN:
    case EACCES:
        return EAGAIN;
    case ENOLCK:
        return ENOMEM;
    default:
        return ENOSYS;
    }
}
