/* SPDX-License-Identifier: MIT */
/*
 * What the files of src/sys/bsd share: kqueues, with a number that is the program's as well.
 *
 * Private to src/sys/bsd. CMake defines what each system wants for its own names to be visible.
 */
#ifndef PIPC_SYS_BSD_H
#define PIPC_SYS_BSD_H

#include <sys/types.h>

#include <sys/event.h>

#include "sys/other/sys_other.h"
#include "sys/sys_cancel.h"

#ifdef __NetBSD__
typedef size_t sys_bsd_count;
#else
typedef int sys_bsd_count;
#endif

/* With a time of zero it does not wait. */
NOCANCEL(int, kevent,
         (int queue, const struct kevent *changes, sys_bsd_count change_count,
          struct kevent *events, sys_bsd_count event_count, const struct timespec *time),
         (queue, changes, change_count, events, event_count, time))

extern const struct timespec sys_bsd_no_time;

struct sys_bsd_queue {
    atomic_bool is_gone; /* this process, a child, could not have the number */
    bool is_shown;
    struct sys_other_members members;
};

int sys_bsd_queue_open(void);
void sys_bsd_queue_close(int number);            /* keeps errno; a negative one is nothing */
struct sys_bsd_queue *sys_bsd_queue(int number); /* EBADF */
int sys_bsd_submit(int number, const struct kevent *change);
/* What has happened so far: one event. Returns whether there was one. */
bool sys_bsd_take_one(int number, struct kevent *event);

/*
 * In a child after fork: an empty one with the same number. False: somebody has it. From the lowest
 * number on: so none is taken by the kqueue that another one is made of.
 */
bool sys_bsd_queue_renew(int number, struct sys_bsd_queue *queue);
void sys_bsd_queue_each(void (*each)(int number, struct sys_bsd_queue *queue));

#endif
