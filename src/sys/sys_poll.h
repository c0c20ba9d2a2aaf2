/* SPDX-License-Identifier: MIT */
/* Waiting for descriptors, and asking what has come. */
#ifndef PIPC_SYS_POLL_H
#define PIPC_SYS_POLL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * poll(2) for POLLIN and POLLOUT, until the deadline; 0: only a look. Returns 0: it has passed.
 * EINTR: a caught signal. EINVAL: this process may have fewer descriptors than `count`, and one has
 * a number that select(2) does not take.
 */
int sys_poll(struct pollfd *fds, nfds_t count, int64_t deadline);
/* The same where no thread can be cancelled. */
int sys_poll_in_call(struct pollfd *fds, nfds_t count, int64_t deadline);
/* For a wait that ended before it came to a call that waits. */
void sys_cancellation_point(void);
size_t sys_unread(int fd); /* bytes; 0 also when the kernel cannot say; keeps errno */
bool sys_has_room(int fd); /* likewise */

#endif
