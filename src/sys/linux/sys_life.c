/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_life_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/linux/sys_linux.h"
#include "sys/self.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_memory.h"
#include "sys/sys_poll.h"
#include "sys/sys_process.h"

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif

/* Of a process whose parent is in another one, and that cannot learn more. */
#define NAMESPACE_BELOW 1

/* An open file of our own: locks belong to open files, and the one of `fd` is everybody's. */
static int open_private(const struct sys_life_file *file)
{
    char path[40];
    if (!sys_life_is_same(file, file->fd)) {
        errno = ENOSYS;
        return -1;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", file->fd);
    int fd = sys_above_standard(openat_nocancel(AT_FDCWD, path, O_RDWR | O_CLOEXEC));
    if (fd >= 0 && !sys_life_is_same(file, fd)) {
        sys_close(fd);
        errno = ENOSYS;
        return -1;
    }
    return fd;
}

static void *map_and_lock(int fd, uint64_t number)
{
    void *token = mmap(NULL, sys_page(), PROT_NONE, MAP_SHARED, fd, 0);
    if (token == MAP_FAILED) {
        errno = ENOMEM; /* EAGAIN: more than may be locked */
        return NULL;
    }
    if (madvise(token, sys_page(), MADV_DONTFORK) == 0 &&
        sys_life_lock(fd, F_OFD_SETLK, F_WRLCK, number) == 0)
        return token;
    munmap(token, sys_page());
    return NULL;
}

void *sys_life_begin(const struct sys_life_file *file, uint64_t number)
{
    int fd = open_private(file);
    if (fd < 0) {
        errno = errno == EACCES ? ENOSYS : sys_life_error(errno);
        return NULL;
    }
    void *token = map_and_lock(fd, number);
    int error = errno;
    sys_close(fd);
    errno = sys_life_error(error);
    return token;
}

void sys_life_end(const struct sys_life_file *file, uint64_t number, void *token)
{
    (void)file;
    (void)number;
    int saved = errno;
    if (token != NULL)
        munmap(token, sys_page());
    errno = saved;
}

enum sys_life sys_life_check(const struct sys_life_file *file, uint64_t number)
{
    return sys_life_ask(file, F_OFD_GETLK, number);
}

/* ---- processes ---- */

/* Without /proc. */
static int open_namespace(void)
{
    int process = sys_process_open(sys_process_id());
    int space = process < 0 ? -1 : pid_namespace_nocancel(process);
    sys_close(process);
    return sys_above_standard(space);
}

static uint64_t ask_for_namespace(void)
{
    struct stat status;
    int saved = errno;
    bool known = fstatat_nocancel(AT_FDCWD, "/proc/self/ns/pid", &status, 0) == 0;
    if (!known) {
        int space = open_namespace();
        known = space >= 0 && fstat_nocancel(space, &status) == 0;
        sys_close(space);
    }
    errno = saved;
    return known ? (uint64_t)status.st_ino : getppid() == 0 ? NAMESPACE_BELOW : 0;
}

/* It takes some microseconds to ask, and a process stays in its namespace: only children change. */
uint64_t sys_process_namespace(void)
{
    static _Atomic uint64_t known;
    static atomic_uint asked_by; /* the process that `known` is of */
    uint32_t here = self_process();
    if (atomic_load(&asked_by) == here)
        return atomic_load(&known);
    uint64_t space = ask_for_namespace();
    if (space != 0) {
        atomic_store(&known, space);
        atomic_store(&asked_by, here);
    }
    return space;
}

#ifdef SYS_pidfd_open
static int open_pidfd(pid_t pid)
{
    return sys_above_standard((int)syscall(SYS_pidfd_open, pid, 0));
}
#else
static int open_pidfd(pid_t pid)
{
    (void)pid;
    errno = ENOSYS;
    return -1;
}
#endif

/* Where it cannot be watched, it is known at least that there is none any more. */
int sys_process_open(pid_t pid)
{
    int process = open_pidfd(pid);
    if (process < 0 && !sys_process_exists(pid))
        errno = ESRCH;
    return process;
}

void sys_process_close(int process)
{
    sys_close(process);
}

bool sys_process_is_dead(int process)
{
    struct pollfd entry = {.fd = process, .events = POLLIN};
    int saved = errno;
    bool is_dead = sys_poll(&entry, 1, 0) > 0 && (entry.revents & POLLIN) != 0;
    errno = saved;
    return is_dead;
}
