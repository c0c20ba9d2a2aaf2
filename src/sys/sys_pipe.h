/* SPDX-License-Identifier: MIT */
/*
 * What a system does for pipes and FIFOs beyond POSIX.
 *
 * The second half is private to src/sys. Its reads and writes return SYS_PIPE_REFUSED where the
 * kernel, or a filter in front of it, does not know how; then POSIX has to do.
 */
#ifndef PIPC_SYS_PIPE_H
#define PIPC_SYS_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

int sys_pipe(int fd[2]); /* non-blocking */
/*
 * Ask for room for so many bytes in a pipe or FIFO; it keeps what it has when the kernel refuses.
 */
void sys_pipe_set_size(int fd, int size);
/*
 * A pipe whose bytes say nothing: one write of a byte wakes a set that has it edge-triggered, also
 * while others are unread. It holds SYS_PIPE_DOORBELL_SIZE of them. ENOSYS: pipes are not so here.
 */
int sys_pipe_doorbell(int fd[2]);
enum { SYS_PIPE_DOORBELL_SIZE = 4096 };
/*
 * Can that end be a SYS_DOORBELL? A property of the open file, which this tries: a byte may go or
 * come. Never waits; keeps errno.
 */
bool sys_pipe_can_be_doorbell(int fd, bool writes);
bool sys_pipe_is_end(int fd, bool writes); /* of a pipe or FIFO, and that one; keeps errno */

enum { SYS_PIPE_REFUSED = -2 };

/* Flags for the opening of a FIFO to read. Refused with EPERM or EINVAL: open it without them. */
extern const int sys_fifo_read_flags;
bool sys_pipe_is_nameless(dev_t device); /* by the device of the inode; keeps errno */
/* Neither of the next two is known to be refused. */
bool sys_pipe_has_nowait(void);
ssize_t sys_pipe_read_nowait(int fd, void *buffer, size_t size);
/* Without SIGPIPE. */
ssize_t sys_pipe_write_nowait(int fd, const struct iovec *parts, int count);
/* As writev(2), and may wait as that does, but without SIGPIPE; on anything but sockets. */
ssize_t sys_pipe_write_nosignal(int fd, const struct iovec *parts, int count);

#endif
