/* SPDX-License-Identifier: MIT */
/*
 * The seam. Everything that libpipc asks of the kernel and of the allocator goes through src/sys,
 * so that tests can make each call fail. Nothing here knows of messages, ends or timeouts.
 *
 * One file serves one concern. What POSIX.1-2008 has is in src/sys; what a system adds to it, or
 * needs instead, is in a folder of its own: src/sys/linux. CMake chooses the folder
 * (PIPC_PLATFORM).
 *
 * What a system must provide:
 *   - readiness: one descriptor that stands for several (sys_epoll.h);
 *   - a doorbell that wakes whoever waits for such a descriptor (sys_doorbell.h);
 *   - timers that can be waited for in the same way (sys_timer.h);
 *   - non-blocking reads and writes that raise no SIGPIPE (sys_io.h; MSG_DONTWAIT, MSG_NOSIGNAL);
 *   - pipes and sockets that are close-on-exec from the start (sys_pipe.h, sys_socket.h);
 *   - sockets on a path, and who is at their other end (sys_unix.h);
 *   - descriptors that travel over these, without a loss where no number is free (sys_rights.h);
 *   - random bytes that an attacker cannot guess (sys_random.h).
 *
 * What is optional. Without it the function returns what its header says, and the layers above live
 * with that:
 *   - reads and writes of pipes with flags of their own (sys_pipe.h): costs more calls;
 *   - memory without a name, and a page that fork wipes (sys_memory.h): shm_open and a handler
 *     serve;
 *   - memory that a stranger sends, whose size is sealed (sys_memory.h): Unix sockets stay sockets;
 *   - tokens of life, and processes as descriptors (sys_life.h): a death is noticed later;
 *   - whether the program was given rights when it started (sys_environment.h): without it, by more
 *     than set-user-ID. Then the function returns false.
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
 * Cancellation points: sys_poll, sys_epoll_wait and sys_read_wait, when they wait. They have
 * consumed nothing when they end so. Nothing else in src/sys is a cancellation point.
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
