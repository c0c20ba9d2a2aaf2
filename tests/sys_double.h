/* SPDX-License-Identifier: MIT */
/*
 * A double of what src/sys.c asks of the C library, put in its place by the linker (--wrap). It lets
 * each call through unless it is armed in the calling thread; armed, it counts, and it fails, shortens
 * and interrupts as it was told. Tests arm it around calls of the library only, so that their own
 * calls stay what they are. It does what a kernel could do and nothing else: a close that fails has
 * closed, a read that fails has taken nothing. An armed call that is a cancellation point, and no wait,
 * fails the test.
 */
#ifndef PIPC_TESTS_SYS_DOUBLE_H
#define PIPC_TESTS_SYS_DOUBLE_H

#include <stdbool.h>
#include <stdint.h>

/* Every call that can fail. What only gives back or cannot fail (free, getpid) is not here. */
/* The formatter would put each on a step of its own. */
/* clang-format off */
#define SYS_DOUBLE_CALLS(X)                                                                       \
    X(malloc)                                                                                     \
    X(calloc) X(realloc) X(read) X(recv) X(preadv2) X(readv) X(write) X(writev) X(pwritev2)       \
        X(send) X(sendmsg) X(poll) X(epoll_create1) X(epoll_ctl) X(epoll_wait) X(eventfd)         \
            X(pipe2) X(close) X(fcntl) X(fstat) X(getsockopt) X(getpeername) X(getnameinfo)       \
                X(ioctl) X(shutdown)                                                                       \
                X(memfd_create) X(ftruncate) X(shm_open) X(shm_unlink) X(posix_fallocate) X(mmap) \
                    X(munmap) X(madvise) X(syscall) X(timerfd_create) X(timerfd_settime)          \
                        X(sigpending) X(sigtimedwait) X(pthread_sigmask) X(openat) X(mkdirat)     \
                            X(mkfifoat) X(unlinkat) X(fstatat) X(renameat) X(fchmodat)            \
                                X(fdopendir) X(readdir) X(closedir) X(kill) X(socket) X(bind)     \
                                    X(listen) X(accept4) X(connect) X(getsockname) X(setsockopt)  \
                                        X(getaddrinfo) X(getrandom) X(nanosleep) X(utimensat)
/* clang-format on */

enum sys_double_call {
#define X(name) CALL_##name,
    SYS_DOUBLE_CALLS(X)
#undef X
        CALL_COUNT,
    CALL_ANY = CALL_COUNT,
    CALL_NONE
};

const char *sys_double_name(enum sys_double_call call);

/* Forget all faults and counts, real time, disarmed. */
void sys_double_reset(void);
void sys_double_arm(void); /* this thread, and what it forks */
void sys_double_disarm(void);

/* Armed calls since the reset, of one sort or of all (CALL_ANY). */
unsigned long sys_double_calls(enum sys_double_call call);
/* Armed closes of what was not open: one too many, each of them. */
unsigned long sys_double_bad_closes(void);

/* Armed looks at any other clock than the monotonic one. */
unsigned long sys_double_other_clocks(void);

/* The nth (from 1) armed call of that sort fails with this error, and so do the `more` that follow.
 * With CALL_ANY the nth of all, and then those of the same sort that follow. Several may be set. */
void sys_double_fail(enum sys_double_call call, unsigned long nth, unsigned long more, int error);
#define SYS_DOUBLE_FOR_GOOD (~0ul)

/* The process kills itself instead of making the nth armed call of all. */
void sys_double_die_at(unsigned long nth);
/* It stops itself, until somebody lets it go on, before the nth armed call of that sort, or all. */
void sys_double_stop_at(enum sys_double_call call, unsigned long nth);

/*
 * The thread cancels itself before the nth armed call of all; it goes on until its next
 * cancellation point. With `starve` there is no memory from then on, for what puts things in order.
 */
void sys_double_cancel_at(unsigned long nth, bool starve);
bool sys_double_cancelled(void); /* it has come so far */
/*
 * Called before each armed wait, disarmed and with cancellation disabled: it may do what the wait waits for.
 * A poll that finds nothing afterwards calls it again, unless it returns false.
 */
void sys_double_before_wait(bool (*step)(void *context), void *context);

/* The same, with the call's own errors instead of one given: `which` counts through them. */
void sys_double_fail_plausibly(unsigned long nth, unsigned long more, unsigned which);

/* The first call that failed by order, or CALL_NONE; how many errors it has; the one it got. */
enum sys_double_call sys_double_failed(void);
unsigned sys_double_errors(enum sys_double_call call);
int sys_double_error(void);
/* How many calls of that sort were made to fail. */
unsigned long sys_double_failures(enum sys_double_call call);
/* All that failed and with what, for a message. */
const char *sys_double_story(void);
/* Whether some call was made to fail with this error. */
bool sys_double_gave(int error);
/* Whether only calls that neither read nor write were made to fail with this error. */
bool sys_double_gave_beside_io(int error);

/* Reads and writes on streams transfer 1 ... n-1 of n bytes. */
void sys_double_shorten(bool on);
/* One of so many calls that may be interrupted is (0: none), with EINTR. */
void sys_double_interrupt(unsigned one_of);
/* The first read or write after each poll that reported something gets EAGAIN. */
void sys_double_dry(bool on);

/* Armed clocks go on from here; armed waits do not wait but move the clock, and a wait for ever that
 * nothing would end aborts. For scenarios of a single thread. */
void sys_double_virtual_time(void);
void sys_double_advance_ms(int64_t ms);

/* --- Between sys_double.c and sys_double_calls.c ------------------------------------------------- */

int sys_double_refusal(enum sys_double_call call); /* 0, or the error that this call is to give */
bool sys_double_denied(enum sys_double_call call); /* the same, with errno set */
bool sys_double_armed(void);
void sys_double_count_bad_close(void);
bool sys_double_step_before_wait(void);
/* For a call that would not wait: cancellation must be disabled, if it is armed. */
void sys_double_assert_no_point(enum sys_double_call call);
void sys_double_reset_calls(void);

#endif
