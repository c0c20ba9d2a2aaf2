/* SPDX-License-Identifier: MIT */
/*
 * read(2) and writev(2) that never block: EAGAIN. They go on after EINTR. Writing may send a part
 * only. It raises neither SIGPIPE nor SIGXFSZ, and leaves one that was pending.
 */
#ifndef PIPC_SYS_IO_H
#define PIPC_SYS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "sys/sys_kind.h"

ssize_t sys_read(int fd, enum sys_kind kind, void *buffer, size_t size);
ssize_t sys_writev(int fd, enum sys_kind kind, const struct iovec *parts, int count);
/*
 * Waits for the first byte. EINTR: look again. EAGAIN: somebody has set O_NONBLOCK, and it does not
 * wait here any more.
 */
ssize_t sys_read_wait(int fd, enum sys_kind kind, void *buffer, size_t size);
/* The same into several parts, or into the first alone. */
ssize_t sys_readv_wait(int fd, enum sys_kind kind, const struct iovec *parts, int count);
/* Does it, in this thread, by read(2) itself? Else it polls, and then reads without waiting. */
bool sys_can_wait_in_read(void);
/*
 * Room that a read has to offer. A pipe whose writer is in packet mode (O_DIRECT), which the reader
 * cannot know, drops what a read does not take of a packet.
 */
size_t sys_read_least(enum sys_kind kind);
int sys_shutdown_write(int fd);
bool sys_socket_is_local(int fd); /* of this host; keeps errno */

#endif
