/* SPDX-License-Identifier: MIT */
/*
 * The seam's calls for descriptors that travel with the bytes of a stream socket of this host
 * (SCM_RIGHTS), with the rules of sys.h. They have no position of their own. A receiving call joins
 * the bytes before with those that carry descriptors, and stops behind them. So descriptors belong
 * to the last byte that the call returned.
 */
#ifndef PIPC_SYS_RIGHTS_H
#define PIPC_SYS_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SYS_RIGHTS_MAX = 16 }; /* that travel together */

/* 1: descriptors travel over this socket; 0: it is none of this host. */
int sys_rights_are_carried(int fd);
/*
 * May the peer send descriptors here? Where the kernel knows no such switch (before Linux 6.16), it
 * may always, and this does nothing. Sockets that are accepted have it from their listener, as it
 * was when they connected.
 */
void sys_rights_permit(int fd, bool permit);
bool sys_rights_are_permitted(int fd);
/* Looks begin with the next byte, also if the program has set another place (SO_PEEK_OFF). */
void sys_rights_prepare(int fd);

/*
 * One byte, which carries copies of the descriptors: 1. -1, and nothing was sent: EAGAIN; EPIPE and
 * the like; EOPNOTSUPP, the peer takes none; what is wrong with the descriptors (EBADF,
 * ETOOMANYREFS, EINVAL).
 */
ssize_t sys_rights_send(int fd, const void *byte, const int *fds, int count);

/* The first descriptors that are on their way. */
struct sys_rights {
    int fds[SYS_RIGHTS_MAX]; /* the caller's from now on */
    int count;
    /*
     * 0. Otherwise there are descriptors, and none is here. EMFILE: no number is free for them.
     * EPROTO: they are more than SYS_RIGHTS_MAX. ECONNRESET: numbers seem to be free. Either other
     * threads took and freed them at the wrong moments; or the system keeps descriptors from us,
     * if that is so again and again, at the same place.
     */
    int error;
    int place; /* the first that did not come */
};
/*
 * As sys_read, but all stays there, and copies of the first descriptors are given. They may also
 * come with a byte behind these: Linux goes on looking for them when the buffer is full. If none
 * are given, none come with these bytes. A byte that was sent out of band (MSG_OOB) is passed over.
 */
ssize_t sys_rights_peek(int fd, void *buffer, size_t size, struct sys_rights *rights);
/*
 * As sys_read. *brought: descriptors came with the last byte. They are dropped, since a peek gave
 * copies before. So is a byte that was sent out of band.
 */
ssize_t sys_rights_take(int fd, void *buffer, size_t size, bool *brought);
/* The next byte was sent out of band. While it is there, the socket is readable. Keeps errno. */
bool sys_rights_are_behind_mark(int fd);

enum { SYS_RIGHTS_FEW = 3 };
/*
 * As sys_read, and up to SYS_RIGHTS_FEW descriptors that came with the last byte, which are the
 * caller's. *count -1: there were more, or no number is free for one of them, and all are dropped.
 */
ssize_t sys_rights_take_few(int fd, void *buffer, size_t size, int *rights, int *count);

/* Private to src/sys: flags of recvmsg(2), and the type of a message that brings one unasked. */
extern const int sys_rights_flags, sys_rights_unasked;
int sys_rights_own(int fd); /* one that came: above 2 and close-on-exec, or -1 and it is closed */

#endif
