/* SPDX-License-Identifier: MIT */
/*
 * The kernel reports when a process ends or becomes another program. There are no tokens: locks of
 * shared memory are refused, and those of a file are lost with any descriptor of it. So a process
 * that dies before its peer has looked for it, and whose number another one has by then, lives on.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_life.h"

#include <errno.h>

#include "sys/bsd/sys_bsd.h"
#include "sys/sys_epoll.h"
#include "sys/sys_poll.h"

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

/* Also one that has ended and was not waited for. ESRCH: there is none. */
int sys_process_open(pid_t pid)
{
    const struct kevent change = {.ident = (uintptr_t)pid,
                                  .filter = EVFILT_PROC,
                                  .flags = EV_ADD,
                                  .fflags = NOTE_EXIT | NOTE_EXEC};
    int process = sys_epoll_open();
    if (process < 0 || sys_bsd_kevent(process, &change, NULL) == 0)
        return process;
    sys_epoll_close(process);
    return -1;
}

void sys_process_close(int process)
{
    sys_epoll_close(process);
}

bool sys_process_is_dead(int process)
{
    struct pollfd entry = {.fd = process, .events = POLLIN};
    int saved = errno;
    bool is_dead = sys_poll(&entry, 1, 0) > 0 && (entry.revents & POLLIN) != 0;
    errno = saved;
    return is_dead;
}
#endif
