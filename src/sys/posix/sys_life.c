/* SPDX-License-Identifier: MIT */
/*
 * A token is a record lock (fcntl). It goes when its process dies or execs, a child does not
 * inherit it, and nobody can forge it. But it also goes when the process closes any descriptor of
 * the file: a program that closes descriptors which it does not know is taken for dead. Robust
 * mutexes would not be lost so. But their lists lie in the shared memory, and a peer could write
 * into these what the C library then follows.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_life.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/sys_cancel.h"

static char token; /* its address is all that counts */

static bool is_same(const struct sys_life_file *file)
{
    struct stat status;
    return fstat_nocancel(file->fd, &status) == 0 && (uint64_t)status.st_dev == file->device &&
           (uint64_t)status.st_ino == file->inode;
}

int sys_life_open(struct sys_life_file *file, int fd)
{
    struct stat status;
    if (fstat_nocancel(fd, &status) != 0)
        return -1;
    *file = (struct sys_life_file){fd, (uint64_t)status.st_dev, (uint64_t)status.st_ino};
    return 0;
}

static int ask_lock(const struct sys_life_file *file, int command, short type, uint64_t number,
                    struct flock *lock)
{
    *lock =
        (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)number, .l_len = 1};
    return fcntl_nocancel(file->fd, command, (intptr_t)lock);
}

static int life_error(int error)
{
    switch (error) {
    case EAGAIN:
    case EACCES:
        return EAGAIN;
    case ENOLCK:
    case ENOMEM:
        return ENOMEM;
    default:
        return ENOSYS;
    }
}

void *sys_life_begin(const struct sys_life_file *file, uint64_t number)
{
    struct flock lock;
    if (is_same(file) && ask_lock(file, F_SETLK, F_WRLCK, number, &lock) == 0)
        return &token;
    errno = is_same(file) ? life_error(errno) : ENOSYS;
    return NULL;
}

void sys_life_end(const struct sys_life_file *file, uint64_t number, void *held)
{
    struct flock lock;
    int saved = errno;
    if (held != NULL && is_same(file))
        ask_lock(file, F_SETLK, F_UNLCK, number, &lock);
    errno = saved;
}

enum sys_life sys_life_check(const struct sys_life_file *file, uint64_t number)
{
    struct flock lock;
    int saved = errno;
    enum sys_life life = SYS_LIFE_UNKNOWN;
    if (ask_lock(file, F_GETLK, F_WRLCK, number, &lock) != 0)
        life = SYS_LIFE_UNKNOWN;
    else if (lock.l_type != F_UNLCK)
        life = SYS_LIFE_THERE;
    else if (is_same(file))
        life = SYS_LIFE_GONE;
    errno = saved;
    return life;
}

/* ---- processes ---- */

uint64_t sys_process_namespace(void)
{
    return 0;
}

/* There is no descriptor of a process; that there is no such process is known even so. */
int sys_process_open(pid_t pid)
{
    if (kill(pid, 0) == 0 || errno != ESRCH)
        errno = ENOSYS;
    return -1;
}

bool sys_process_is_dead(int process)
{
    (void)process;
    return false;
}

void sys_process_close(int process)
{
    (void)process;
}
#endif
