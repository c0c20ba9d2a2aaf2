/* SPDX-License-Identifier: MIT */
/*
 * What the files of src/sys/bsd share: the call of a kqueue. Each of theirs is a set of
 * sys_epoll.h, so that a child after fork has it too.
 *
 * Private to src/sys/bsd. CMake defines what each system wants for its own names to be visible.
 */
#ifndef PIPC_SYS_BSD_H
#define PIPC_SYS_BSD_H

#include <sys/types.h>

#include <sys/event.h>

#define SYS_BSD_EVENTS 64

/*
 * Makes a change, unless it is NULL; or returns how many events there are now, and takes edges. It
 * never waits.
 */
int sys_bsd_kevent(int number, const struct kevent *change, struct kevent events[SYS_BSD_EVENTS]);

/* In a child after fork, when it has the kqueue of that number again. No timer: nothing. */
void sys_bsd_renew_timer(int number);

#endif
