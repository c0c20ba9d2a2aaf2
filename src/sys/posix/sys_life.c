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
#include "sys/sys_life_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "sys/sys_cancel.h"

static char token; /* its address is all that counts */

void *sys_life_begin(const struct sys_life_file *file, uint64_t number)
{
    bool is_same = sys_life_is_same(file, file->fd);
    if (is_same && sys_life_lock(file->fd, F_SETLK, F_WRLCK, number) == 0)
        return &token;
    errno = is_same ? sys_life_error(errno) : ENOSYS;
    return NULL;
}

void sys_life_end(const struct sys_life_file *file, uint64_t number, void *held)
{
    int saved = errno;
    if (held != NULL && sys_life_is_same(file, file->fd))
        sys_life_lock(file->fd, F_SETLK, F_UNLCK, number);
    errno = saved;
}

enum sys_life sys_life_check(const struct sys_life_file *file, uint64_t number)
{
    return sys_life_ask(file, F_GETLK, number);
}

/* ---- processes ---- */

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
