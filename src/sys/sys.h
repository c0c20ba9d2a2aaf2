/* SPDX-License-Identifier: MIT */
/*
 * The seam. Everything that libpipc asks of the kernel and of the allocator goes through src/sys,
 * so that tests can make each call fail. Nothing here knows of messages, ends or timeouts.
 *
 * One file serves one concern. What systems share is in src/sys; what one has for itself is in a
 * folder of its own: src/sys/linux, src/sys/bsd, src/sys/posix. What BSD and POSIX alone share is
 * in src/sys/other. CMake chooses (PIPC_PLATFORM; BSD has its own of sys_file_fifo.c,
 * sys_memory_named.c and sys_signal_thread.c), and no function has an #ifdef. Who compiles all
 * files at once gets Linux: the other folders are empty without PIPC_OTHER_SYSTEM.
 *
 * src/sys/posix is for all that have POSIX.1-2008 and nothing else, with MSG_DONTWAIT, FIONREAD and
 * SCM_RIGHTS, which it does not name and which all have.
 *
 * What a system must provide, and what src/sys/posix makes of POSIX:
 *   - readiness, one descriptor that stands for several (sys_epoll.h): poll, and dup2 for what the
 *     program polls, which is a guess at times;
 *   - a doorbell that wakes whoever waits for such a descriptor (sys_doorbell.h): a pipe;
 *   - timers that can be waited for in the same way (sys_timer.h): numbers, which end the waits of
 *     the set that has them;
 *   - non-blocking reads and writes that raise no SIGPIPE (sys_io.h; MSG_DONTWAIT, MSG_NOSIGNAL):
 *     pipes are polled first, and SIGPIPE is blocked and taken back (sys_signal.h);
 *   - pipes and sockets that are close-on-exec (sys_pipe.h, sys_socket.h): by fcntl. A child that
 *     another thread starts in that moment inherits them;
 *   - sockets on a path (sys_unix.h): one that fits an address, by its name;
 *   - descriptors that travel over these, without a loss where no number is free (sys_rights.h);
 *   - memory that processes share over fork (sys_memory.h): shm_open, with a random name for a
 *     moment;
 *   - random bytes that an attacker cannot guess (sys_random.h): /dev/urandom;
 *   - a monotonic clock (sys_clock.h).
 *
 * What is optional. Without it the function returns what its header says, ENOSYS or EOPNOTSUPP or a
 * value for "not here", and the layers above live with that:
 *
 *   what                                  without it (src/sys/posix has none of it, unless said)
 *   flags for one read or write           more calls
 *     (sys_pipe.h)
 *   a page that fork wipes (sys_memory.h) a fork without fork handlers is not noticed
 *   memory whose size is sealed           Unix sockets and pairs stay sockets
 *     (sys_memory.h)
 *   tokens of life (sys_life.h)           a death is known by its process id alone. POSIX: record
 *                                         locks, which go too when the process closes the file
 *   processes as descriptors (sys_life.h) waits ask several times a second, calls when they find
 *                                         nothing to do; who polls is not woken by a death
 *   who is at the other end, and names    EOPNOTSUPP; all clients count as one user
 *     that are no paths (sys_unix.h)
 *   a switch against descriptors          those that nobody asked for come, and are closed
 *     (sys_rights.h)
 *   keepalive of a minute (sys_socket.h)  a vanished host is noticed when the system says so
 *   rights that a program was given       set-user-ID alone is noticed (sys_environment.h)
 *
 * The oldest Linux that it runs on is 3.17 (getrandom), and the oldest C libraries are glibc 2.27
 * and musl 1.1.20 (memfd_create). What newer ones add is tried first:
 *
 *   since         what                        without it
 *   Linux 4.14    MADV_WIPEONFORK             a fork without fork handlers is not noticed
 *   Linux 5.3     pidfd_open                  sys_process_open: ENOSYS
 *   Linux 6.4     RWF_NOWAIT on pipes         poll first; at most PIPE_BUF bytes a call
 *   Linux 6.6     fchmodat2                   the access of a socket is corrected through /proc
 *   Linux 6.15    TCP_RTO_MAX_MS              a vanished host is noticed later while bytes wait
 *   Linux 6.16    SO_PASSRIGHTS               peers can send descriptors that are slow to close
 *   Linux 6.18    RWF_NOSIGNAL                SIGPIPE is blocked around each write
 *   glibc 2.41    read loses no bytes         a thread that can be cancelled waits in poll
 *   glibc 2.32    __libc_single_threaded      two more atomic operations a call
 *
 * A filter may refuse more, and that is no error either: a pipe serves for eventfd, and shm_open
 * for memfd_create; where there is no /proc, sys_life_begin fails with ENOSYS, and sockets on long
 * paths with ENAMETOOLONG.
 *
 * Cancellation points: sys_poll, the waits of sys_epoll.h and sys_read_wait, when they wait. They
 * have consumed nothing when they end so. Nothing else in src/sys is a cancellation point.
 *
 * Unless said otherwise: -1 and errno on failure; descriptors are close-on-exec, and never 0, 1
 * or 2.
 */
#ifndef PIPC_SYS_H
#define PIPC_SYS_H

#include <stdatomic.h>

#include "sys/sys_alloc.h"
#include "sys/sys_clock.h"
#include "sys/sys_cpu.h"
#include "sys/sys_deadline.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_doorbell.h"
#include "sys/sys_epoll.h"
#include "sys/sys_io.h"
#include "sys/sys_kind.h"
#include "sys/sys_memory.h"
#include "sys/sys_pipe.h"
#include "sys/sys_poll.h"
#include "sys/sys_timer.h"

/*
 * Counters and states are read without a lock, also by another process, as they are in the memory
 * of both.
 */
_Static_assert(
    ATOMIC_LLONG_LOCK_FREE == 2,
    "libpipc needs 64-bit atomics without locks; this machine, or this -march, has none");

#endif
