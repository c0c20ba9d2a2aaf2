/* SPDX-License-Identifier: MIT */
/*
 * Fault injection. The linker (--wrap) replaces each call of src/sys to the C library by a wrapper.
 * A wrapper calls the real function unless the calling thread is armed. An armed call is counted;
 * it may fail, transfer less or be interrupted, as the test planned. Tests arm only around calls of
 * the library, so their own calls are not affected. A wrapper does only what a kernel could do: a
 * close that fails has closed, a read that fails has consumed nothing. An armed call fails the test
 * if it is a cancellation point where the library does not wait.
 */
#ifndef PIPC_TESTS_FAULT_H
#define PIPC_TESTS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every call that can fail. Calls that only free or cannot fail (free, getpid) are not here.
 * clang-format would indent each line of the list more than the one before. */
/* clang-format off */
#define FAULT_CALLS(X)                                                                         \
    X(malloc) X(calloc) X(realloc) X(read) X(recv) X(recvmsg) X(preadv2) X(readv) X(write)     \
    X(writev) X(pwritev2) X(send) X(sendmsg) X(poll) X(select) X(epoll_create1) X(epoll_ctl)   \
    X(epoll_wait) X(eventfd) X(pipe2) X(close) X(fcntl) X(fstat) X(getsockopt) X(getpeername)  \
    X(getnameinfo) X(ioctl) X(shutdown) X(memfd_create) X(ftruncate) X(shm_open) X(shm_unlink) \
    X(posix_fallocate) X(mmap) X(munmap) X(madvise) X(syscall) X(timerfd_create)               \
    X(timerfd_settime) X(sigpending) X(sigwait) X(pthread_sigmask) X(openat) X(mkdirat)        \
    X(mkfifoat) X(unlinkat) X(fstatat) X(renameat) X(fchmodat) X(fdopendir) X(readdir)         \
    X(closedir) X(kill) X(socket) X(bind) X(listen) X(accept4) X(connect) X(getsockname)       \
    X(setsockopt) X(getaddrinfo) X(getrandom) X(utimensat) X(linkat) X(fchmod) X(fstatfs)  \
    X(socketpair) X(dup2) X(sockatmark) X(mremap) X(pthread_setspecific) X(sched_yield)
/* clang-format on */

enum fault_call {
#define X(name) CALL_##name,
    FAULT_CALLS(X)
#undef X
        CALL_COUNT,
    CALL_ANY = CALL_COUNT,
    CALL_NONE
};

const char *fault_call_name(enum fault_call call);

/* Forgets all faults and counts, returns to real time, disarms. */
void fault_reset(void);
void fault_arm(void); /* this thread, and what it forks */
void fault_disarm(void);

/* Armed calls since the reset, of one function or of all (CALL_ANY). */
unsigned long fault_calls(enum fault_call call);
/* Which function the nth armed call (from 1) since the reset was; CALL_NONE beyond the last one, or
 * beyond so many. */
enum { FAULT_ORDER_MAX = 4096 };
enum fault_call fault_call_at(unsigned long nth);
/* From now on nothing fails, is cut short or interrupted. What failed stays known; time goes on. */
void fault_lift(void);
/* Armed closes of descriptors that were not open. */
unsigned long fault_bad_closes(void);

/* Armed readings of any clock but the monotonic one. */
unsigned long fault_other_clocks(void);

/* The nth (from 1) armed call of that function fails with this error, and so do the next `more`
 * calls of it. With CALL_ANY: the nth call of all, then the next `more` of the same function. A
 * test may set several faults. */
void fault_fail(enum fault_call call, unsigned long nth, unsigned long more, int error);
#define FAULT_FOREVER (~0ul)
/* The peer reads nothing and no buffer grows: every armed write to it finds no room. */
void fault_refuse_writes(void);

/* The process kills itself instead of making the nth armed call of all. */
void fault_die_at(unsigned long nth);
/* The process stops itself (SIGSTOP) before the nth armed call of that function, or of all. */
void fault_stop_at(enum fault_call call, unsigned long nth);

/* The thread cancels itself before the nth armed call of all; it runs on until its next
 * cancellation point. With `starve`, allocations fail from then on, also in cleanup handlers. */
void fault_cancel_at(unsigned long nth, bool starve);
bool fault_cancelled(void); /* the thread has cancelled itself */
/* Calls `step` before the nth armed call of that function, disarmed: what another process or thread
 * does at this moment. */
void fault_before(enum fault_call call, unsigned long nth, void (*step)(void *context),
                  void *context);
/* Calls `step` before each armed wait, disarmed and with cancellation disabled. The step may cause
 * the event of the wait. A poll that finds nothing afterwards calls it again, until it returns
 * false. */
void fault_before_wait(bool (*step)(void *context), void *context);

/* Like fault_fail(CALL_ANY), with error number `which` of those that the function can give. */
void fault_fail_plausibly(unsigned long nth, unsigned long more, unsigned which);

/* The same as a plan, for a script that is repeated; nth 0: nothing fails. */
struct fault_plan {
    unsigned long nth, more;
    unsigned which;
};
void fault_follow(void *plan);

/* The first call that was made to fail, or CALL_NONE; how many errors a function can give; the
 * error that was given. */
enum fault_call fault_failed(void);
unsigned fault_errors(enum fault_call call);
int fault_error(void);
/* How many calls of that function were made to fail. */
unsigned long fault_failures(enum fault_call call);
/* The error of that planned fault (from 0), and to which function it was given; 0: not yet. */
int fault_begun(size_t which, enum fault_call *call);
/* The failed calls with their errors, for a message. */
const char *fault_summary(void);
/* Whether a call was made to fail with this error. */
bool fault_injected(int error);
/* Whether calls were made to fail with this error, and none of them reads or writes. */
bool fault_injected_outside_io(int error);

/* Reads and writes on streams transfer 1 ... n-1 of n bytes. */
void fault_shorten(bool on);
/* One of so many interruptible calls fails with EINTR (0: none). */
void fault_interrupt(unsigned one_of);
/* The first read or write after each poll that reported an event gets EAGAIN. */
void fault_eagain_after_poll(bool on);

/* Armed poll reports input with each hang-up, as that of other systems does. */
void fault_hangups_are_input(bool on);

/* Calls `step` after each armed recvmsg that only looked (MSG_PEEK), disarmed. */
void fault_after_peek(void (*step)(void *context), void *context);
/* Calls `step` after each armed realloc that has moved a block, disarmed: who called it does not
 * know yet where the block is. */
void fault_after_move(void (*step)(void *context), void *context);
/* Changes of an entry of a set fail, each armed one, as a kqueue's may. Those of epoll never do. */
void fault_refuse_changes(bool on);
/* Armed getaddrinfo finds this list, which is not freed; NULL: what there is. */
struct addrinfo;
void fault_resolve(const struct addrinfo *list);
/* A security module lets no descriptor in: armed recvmsg cuts them off. */
void fault_withhold_fds(bool on);

/* Armed clocks go on from here, a microsecond at each look, so that however slow the machine is,
 * nothing is late. An armed wait moves the clock instead of waiting; an endless wait that no event
 * would end aborts. For tests of a single thread. */
void fault_virtual_time(void);
/* The same, but a look takes no time: only waits and fault_advance_ms move the clock. */
void fault_frozen_time(void);
void fault_advance_ms(int64_t ms);

/* --- Between fault.c and the wrappers --------------------------------------------------------- */

int fault_refusal(enum fault_call call); /* 0, or the error that this call must give */
bool fault_denied(enum fault_call call); /* the same, with errno set */
void fault_count(enum fault_call call);  /* the same for a call that cannot fail */
bool fault_armed(void);
void fault_count_bad_close(void);
bool fault_step_before_wait(void);
/* For a call that does not wait: if armed, cancellation must be disabled. */
void fault_assert_no_point(enum fault_call call);
void fault_reset_calls(void);
void fault_reset_results(void);
void fault_act_before(enum fault_call call);

#endif
