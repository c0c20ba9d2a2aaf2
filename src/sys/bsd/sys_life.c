/* SPDX-License-Identifier: MIT */
/*
 * The kernel reports when a process ends or becomes another program. There are no tokens: locks of
 * shared memory are refused, and those of a file are lost with any descriptor of it. So a process
 * that dies before its peer has looked for it, and whose number another one has by then, lives on.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_life.h"

#include <errno.h>
#include <poll.h>

#include "sys/bsd/sys_bsd.h"

bool sys_life_is_open(const struct sys_life_file *file)
{
    (void)file;
    return true; /* nothing here identifies it */
}

int sys_life_open(struct sys_life_file *file, int fd)
{
    *file = (struct sys_life_file){fd, 0, 0};
    return 0;
}

void *sys_life_begin(const struct sys_life_file *file, uint64_t number)
{
    (void)file;
    (void)number;
    errno = ENOSYS;
    return NULL;
}

void sys_life_end(const struct sys_life_file *file, uint64_t number, void *token)
{
    (void)file;
    (void)number;
    (void)token;
}

enum sys_life sys_life_check(const struct sys_life_file *file, uint64_t number)
{
    (void)file;
    (void)number;
    return SYS_LIFE_UNKNOWN;
}

uint64_t sys_process_namespace(void)
{
    return 0;
}

/* Also one that has ended and was not waited for. ESRCH: there is none. */
int sys_process_open(pid_t pid)
{
    const struct kevent change = {.ident = (uintptr_t)pid,
                                  .filter = EVFILT_PROC,
                                  .flags = EV_ADD,
                                  .fflags = NOTE_EXIT | NOTE_EXEC};
    int process = sys_bsd_queue_open();
    if (process < 0 || sys_bsd_submit(process, &change) == 0)
        return process;
    sys_bsd_queue_close(process);
    return -1;
}

void sys_process_close(int process)
{
    sys_bsd_queue_close(process);
}

bool sys_process_is_dead(int process)
{
    struct pollfd entry = {.fd = process, .events = POLLIN};
    int saved = errno;
    bool is_dead = poll_nocancel(&entry, 1, 0) > 0 && (entry.revents & POLLIN) != 0;
    errno = saved;
    return is_dead;
}
#endif
