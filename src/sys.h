/* SPDX-License-Identifier: MIT */
/*
 * The seam: everything that libpipc asks of the kernel and of the allocator goes through here, so
 * that tests can make each of it fail. Linux extras are tried first and have a POSIX fallback
 * behind the same function. Nothing here knows of messages, ends or time-outs.
 *
 * Cancellation points: sys_poll, sys_set_wait, sys_pause and sys_read_wait, when they wait. They
 * have taken nothing when they end so. Nothing else here is a cancellation point.
 *
 * Unless said otherwise: -1 and errno on failure; descriptors are close-on-exec.
 */
#ifndef PIPC_SYS_H
#define PIPC_SYS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Memory. sys_free keeps errno, so that clean-up never hides the first error. */
void *sys_alloc(size_t size);
void *sys_grow(void *old, size_t size);
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
static inline void sys_relax(void)
{
#if defined __x86_64__ && defined __GNUC__
    __builtin_ia32_pause();
#elif defined __aarch64__ && defined __GNUC__
    __asm__ volatile("isb" ::: "memory");
#endif
}
static inline void sys_relax_for(int64_t ticks)
{
    int64_t begin = sys_ticks();
    while ((uint64_t)(sys_ticks() - begin) < (uint64_t)ticks)
        sys_relax();
}
/* Memory that is written soon and that another processor may have now. Any address will do. */
static inline void sys_fetch_to_write(const void *memory)
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
 * What lies behind a descriptor decides how it is written without SIGPIPE, and read without blocking. A pipe
 * without a name takes a flag for that with each call, a FIFO does not.
 */
enum sys_kind { SYS_PIPE, SYS_FIFO, SYS_SOCKET, SYS_FILE, SYS_OTHER };

int sys_kind(int fd, enum sys_kind *kind); /* EINVAL: a socket that is no stream */
int sys_access_mode(int fd);               /* O_RDONLY, O_WRONLY or O_RDWR */
int sys_pipe(int fd[2]);                   /* non-blocking */
void sys_close(int fd);                    /* keeps errno; a negative fd is nothing */
int sys_nonblock(int fd, bool on);         /* what it was before: 0 or 1 */
int sys_shutdown_write(int fd);

/*
 * read(2) and writev(2), resumed after EINTR. On pipes and sockets they do not block, even when somebody who
 * shares the descriptor has cleared O_NONBLOCK, where the kernel can be asked so. Writing raises no
 * SIGPIPE and takes none that was pending.
 */
ssize_t sys_read(int fd, enum sys_kind kind, void *buffer, size_t size);
/* On a descriptor without O_NONBLOCK: waits for the first byte. EINTR, EAGAIN: look again. */
ssize_t sys_read_wait(int fd, enum sys_kind kind, void *buffer, size_t size);
/*
 * Is reading, or writing, non-blocking without O_NONBLOCK? Pipes are asked once in the life of the
 * process.
 */
bool sys_reads_at_once(enum sys_kind kind);
bool sys_writes_at_once(enum sys_kind kind);
/* A pipe or a FIFO, by the device of its inode. */
enum sys_kind sys_kind_of_fifo(dev_t device);
ssize_t sys_writev(int fd, enum sys_kind kind, const struct iovec *parts, int count);

/* poll(2) until the deadline (sys_now time; negative: for ever). 0: time is up. EINTR is told. */
int sys_poll(struct pollfd *fds, nfds_t count, int64_t deadline);

/* Has whoever writes to it ended, whether or not something is unread? Keeps errno. */
bool sys_hung_up(int fd);
bool sys_has_unread(int fd); /* false also when it cannot be told; keeps errno */

/* A set of descriptors behind one. EPERM: something that cannot be polled, a regular file. */
int sys_set_open(void);
int sys_set_add(int set, int fd, uint32_t events);
int sys_set_change(int set, int fd, uint32_t events);
void sys_set_remove(int set, int fd);
int sys_set_wait(int set, int64_t deadline); /* as sys_poll */
extern const uint32_t sys_set_in, sys_set_out, sys_set_edge, sys_set_end;

/*
 * A doorbell wakes those whose set has it: an eventfd, then both are the same descriptor, or a pipe.
 * It is shared with whoever inherited it, so neither its flags nor what it holds decide anything
 * here: ringing never blocks, and an eventfd is never read. The sets are told of each ring, and
 * remember it until they are made quiet.
 */
int sys_bell_open(int bell[2]);
void sys_bell_ring(const int bell[2]);
int sys_set_add_bell(int set, const int bell[2]);
void sys_set_quiet(int set, const int bell[2]); /* of all rings so far */
void sys_bell_settle(const int bell[2]);        /* after a wait on a set that has it */
void sys_bell_close(int bell[2]);

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
void sys_ticker_quiet(int ticker);

/* A page that reads as zeros in a child after fork. NULL where the kernel has no such thing. */
void *sys_page_wiped_on_fork(void);

#endif
