/* SPDX-License-Identifier: MIT */
/*
 * What src/sys/bsd asks of its systems, for ./dev bsd, which runs it on Linux (kqueue.c). It is
 * included before everything else.
 */
#ifndef PIPC_TESTS_KQUEUE_H
#define PIPC_TESTS_KQUEUE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned fflags;
    int64_t data;
};

enum { EVFILT_READ = -1, EVFILT_WRITE = -2, EVFILT_PROC = -5, EVFILT_TIMER = -7 };
enum { EV_ADD = 1, EV_DELETE = 2, EV_ONESHOT = 0x10, EV_CLEAR = 0x20, EV_EOF = 0x8000 };
enum { NOTE_LOWAT = 1, NOTE_EXEC = 0x20000000, NOTE_EXIT = 0x40000000 };

int kqueue(void);
int kevent(int number, const struct kevent *changes, int change_count, struct kevent *events,
           int event_count, const struct timespec *time);

struct sockpeercred {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};
int getpeereid(int fd, uid_t *user, gid_t *group);
int issetugid(void);
int minherit(void *pages, size_t size, int how);
void arc4random_buf(void *bytes, size_t size);

#endif
