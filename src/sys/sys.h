/* SPDX-License-Identifier: MIT */
/*
 * The seam: everything that libpipc asks of the kernel and of the allocator goes through here, so
 * that tests can make each of it fail. Linux extras are tried first and have a POSIX fallback
 * behind the same function. Nothing here knows of messages, ends or time-outs.
 *
 * Cancellation points: sys_poll, sys_epoll_wait, sys_pause and sys_read_wait, when they wait. They
 * have taken nothing when they end so. Nothing else here is a cancellation point.
 *
 * Unless said otherwise: -1 and errno on failure; descriptors are close-on-exec, and never 0, 1 or 2.
 */
#ifndef PIPC_SYS_H
#define PIPC_SYS_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Counters and states are read without a lock, also by another process, as it is in the memory of both. */
_Static_assert(
    ATOMIC_LLONG_LOCK_FREE == 2,
    "libpipc needs 64-bit atomics without locks; this machine, or this -march, has none");

/* Memory. sys_free keeps errno, so that clean-up never hides the first error. */
void *sys_alloc(size_t size);
void *sys_realloc(void *old, size_t size);
void sys_free(void *memory);

/* The monotonic clock, in nanoseconds: never jumps with the time of day. */
int64_t sys_now(void);
/*
 * The same for what is measured in microseconds, and too often for a clock of 30 nanoseconds a
 * look: a counter that runs on at some 1 to 5 a nanosecond. Where there is none it is the clock.
 */
static inline int64_t sys_ticks(void)
{
#if defined __x86_64__ && defined __GNUC__
    return (int64_t)__builtin_ia32_rdtsc();
#else
    return sys_now();
#endif
}
/* For a loop that looks at shared memory: some 10 to 50 nanoseconds in which the processor does nothing. */
static inline void sys_cpu_relax(void)
{
#if defined __x86_64__ && defined __GNUC__
    __builtin_ia32_pause();
#elif defined __aarch64__ && defined __GNUC__
    __asm__ volatile("isb" ::: "memory");
#endif
}
static inline void sys_cpu_relax_for(int64_t ticks)
{
    int64_t begin = sys_ticks();
    while ((uint64_t)(sys_ticks() - begin) < (uint64_t)ticks)
        sys_cpu_relax();
}
/* Memory that is written soon and that another processor may have now. Any address will do. */
static inline void sys_cpu_prefetch_to_write(const void *memory)
{
#if defined __x86_64__ && defined __GNUC__
    __asm__ volatile("prefetchw %0" ::"m"(*(const char *)memory)); /* the builtin asks to read */
#elif defined __GNUC__
    __builtin_prefetch(memory, 1);
#else
    (void)memory;
#endif
}
void sys_pause(int64_t nanoseconds); /* or less, when a signal comes; keeps errno */

/*
 * What lies behind a descriptor decides how it is read and written without blocking and without
 * SIGPIPE. Others may share the open file, and set or clear its O_NONBLOCK at any time, which makes
 * no difference. OWN: libpipc has opened it with O_NONBLOCK, and nobody else has this open file, so
 * that writing relies on it; reading does not. A pipe has no name, a FIFO has one.
 */
enum sys_kind { SYS_PIPE, SYS_FIFO, SYS_SOCKET, SYS_FILE, SYS_OTHER, SYS_OWN_PIPE, SYS_OWN_FIFO };

int sys_kind(int fd, enum sys_kind *kind); /* EINVAL: a socket that is no stream, or listens */
enum sys_kind sys_kind_if_own(enum sys_kind kind);
/* Between a look and the read or write that follows somebody else may be faster: then this helps. */
bool sys_needs_nonblock(enum sys_kind kind);
/*
 * What the seam has opened, moved above 2 if it is not: those belong to the program, also when it has
 * closed them. EMFILE: there is no room, and it is closed. A negative fd is handed back.
 */
int sys_above_standard(int fd);
/* Is there room for one more? For what must not be taken when it would be lost then. `fd`: any. */
int sys_room_above_standard(int fd);
int sys_access_mode(int fd);       /* O_RDONLY, O_WRONLY or O_RDWR */
int sys_pipe(int fd[2]);           /* non-blocking */
void sys_close(int fd);            /* keeps errno; a negative fd is nothing */
int sys_nonblock(int fd, bool on); /* what it was before: 0 or 1 */
int sys_shutdown_write(int fd);

/*
 * read(2) and writev(2) that never block: EAGAIN. They go on after EINTR. Writing may take a part
 * only; it raises neither SIGPIPE nor SIGXFSZ, and takes none that was pending.
 */
ssize_t sys_read(int fd, enum sys_kind kind, void *buffer, size_t size);
ssize_t sys_writev(int fd, enum sys_kind kind, const struct iovec *parts, int count);
/*
 * Waits for the first byte. EINTR: look again. EAGAIN: somebody has set O_NONBLOCK, and it does not
 * wait here any more.
 */
ssize_t sys_read_wait(int fd, enum sys_kind kind, void *buffer, size_t size);
/*
 * Room that a read has to offer. A pipe whose writer is in packet mode (O_DIRECT), which the reader
 * cannot know, drops what a read does not take of a packet.
 */
size_t sys_read_least(enum sys_kind kind);
/* A pipe or a FIFO, by the device of its inode. */
enum sys_kind sys_kind_of_fifo(dev_t device);

/* poll(2) until the deadline (sys_now time; negative: for ever). 0: time is up. EINTR: a caught signal. */
int sys_poll(struct pollfd *fds, nfds_t count, int64_t deadline);

/* Has whoever writes to it ended, whether or not something is unread? Keeps errno. */
bool sys_hung_up(int fd);
bool sys_has_unread(int fd); /* false also when it cannot be told; keeps errno */

/* A set of descriptors behind one. EPERM: something that cannot be polled, a regular file. */
int sys_epoll_open(void);
int sys_epoll_add(int set, int fd, uint32_t events);
int sys_epoll_change(int set, int fd, uint32_t events);
void sys_epoll_remove(int set, int fd);
int sys_epoll_wait(int set, int64_t deadline); /* as sys_poll; EINTR also after a stop (SIGSTOP) */
/* The same, and EINTR is a signal that was caught, for a call more. */
int sys_epoll_wait_for_signal(int set, int64_t deadline);
extern const uint32_t sys_epoll_in, sys_epoll_out, sys_epoll_edge, sys_epoll_end;

/*
 * A doorbell wakes those whose set has it: an eventfd, then both are the same descriptor, or a pipe.
 * It is shared with whoever inherited it, so neither its flags nor what it holds decide anything
 * here: ringing never blocks, and an eventfd is never read. The sets are told of each ring, and
 * remember it until they are made quiet.
 */
int sys_doorbell_open(int bell[2]);
void sys_doorbell_ring(const int bell[2]);
int sys_epoll_add_doorbell(int set, const int bell[2]);
/* Forget all rings so far. Returns whether another member of the set is readable. */
bool sys_epoll_drain_doorbell(int set, const int bell[2], int other);
void sys_doorbell_drain(const int bell[2]); /* after a wait on a set that has it */
void sys_doorbell_close(int bell[2]);

/* Memory that processes share over fork, behind a descriptor; it cannot shrink under us. */
int sys_memory_open(size_t size);
/*
 * Map a head of `head` bytes followed by `rings` areas of `ring` bytes, each of them twice in a row, so
 * that a span which wraps is contiguous. All sizes are multiples of sys_page().
 */
void *sys_memory_map(int fd, size_t head, size_t ring, int rings);
void sys_memory_unmap(void *memory, size_t head, size_t ring, int rings);
size_t sys_page(void);

int sys_ticker_open(int64_t nanoseconds); /* readable after each interval, until it is quiet */
void sys_ticker_drain(int ticker);

/* A page that reads as zeros in a child after fork. NULL where the kernel has no such thing. */
void *sys_page_wiped_on_fork(void);

#endif
