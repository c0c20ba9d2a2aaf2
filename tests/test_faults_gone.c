/* SPDX-License-Identifier: MIT */
/*
 * The peer is gone. A write never raises SIGPIPE, however the program handles that signal, on new
 * and old kernels. A death is detected without newer system calls.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"
#include "harness.h"
#include "platform.h"

/* --- SIGPIPE ---------------------------------------------------------------------------------- */

static bool is_pending(void)
{
    sigset_t pending;
    assert_int_equal(sigpending(&pending), 0);
    return sigismember(&pending, SIGPIPE) == 1;
}

static void block(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    assert_int_equal(pthread_sigmask(how, &set, NULL), 0);
}

static bool is_blocked(void)
{
    sigset_t set;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
    return sigismember(&set, SIGPIPE) == 1;
}

/* Everything that could write, to a reader that has gone. */
static void write_to_nobody(const struct kind *kind)
{
    static char large[300000];
    pipc_t *end[2];
    struct iovec part = {large, 10};
    kind_open(kind, end, NULL);
    pipc_close(end[1]);
    fault_arm();
    assert_errno(pipc_write(end[0], "x", 1), EPIPE);
    assert_errno(pipc_write(end[0], large, sizeof large), EPIPE);
    assert_errno(pipc_writev(end[0], &part, 1), EPIPE);
    assert_errno(pipc_write_batch(end[0], &part, 1), EPIPE);
    assert_errno(pipc_disconnect(end[0], "nobody"), EPIPE);
    assert_int_equal(pipc_flush(end[0]), 0);
    pipc_shutdown(end[0]);
    pipc_close(end[0]);
    fault_disarm();
}

/* What was held when the reader went is pushed on by whatever call comes next. */
static void hold_for_nobody(const struct kind *kind)
{
    static char large[3000000];
    pipc_t *end[2];
    char byte;
    kind_open(kind, end, NULL);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    assert_int_equal(pipc_write(end[0], large, sizeof large), sizeof large);
    pipc_close(end[1]);
    fault_arm();
    assert_int_equal(pipc_read(end[0], &byte, 1), -1);
    assert_int_equal(pipc_pending(end[0]), 0);
    pipc_flush(end[0]);
    assert_int_equal(pipc_write(end[0], "x", 1), -1);
    pipc_close(end[0]);
    fault_disarm();
}

static void write_all_ways(const struct kind *kind)
{
    write_to_nobody(kind);
    hold_for_nobody(kind);
}

/* A kernel before Linux 6.18. */
static void write_all_ways_on_old_kernel(const struct kind *kind)
{
    fault_reset();
    fault_fail(CALL_pwritev2, 1, FAULT_FOREVER, EOPNOTSUPP);
    write_all_ways(kind);
    assert_true(kind->moves || fault_calls(CALL_writev) + fault_calls(CALL_send) > 0);
}

static void (*const kernels[])(const struct kind *) = {write_all_ways,
                                                       write_all_ways_on_old_kernel};

TEST_OF_KIND(a_write_without_a_peer_does_not_kill_by_sigpipe)
{
    for (size_t i = 0; i < 2; i++) {
        kernels[i](kind);
        assert_false(is_blocked());
        assert_false(is_pending());
    }
}

TEST_OF_KIND(a_blocked_sigpipe_stays_blocked_and_none_is_left_pending)
{
    block(SIG_BLOCK);
    for (size_t i = 0; i < 2; i++) {
        kernels[i](kind);
        assert_true(is_blocked());
        assert_false(is_pending());
    }
}

static int caught;

static void catch (int unused)
{
    (void)unused;
    caught++;
}

TEST_OF_KIND(the_programs_own_pending_sigpipe_stays_pending)
{
    signal(SIGPIPE, catch);
    block(SIG_BLOCK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(raise(SIGPIPE), 0);
        kernels[i](kind);
        assert_true(is_pending());
    }
    assert_int_equal(kill(getpid(), SIGPIPE), 0); /* and one for the process */
    kernels[1](kind);
    assert_true(is_pending());
    block(SIG_UNBLOCK);
    assert_int_equal(caught, 2);
}

TEST_OF_KIND(the_programs_own_sigpipe_handler_is_not_called)
{
    signal(SIGPIPE, catch);
    for (size_t i = 0; i < 2; i++)
        kernels[i](kind);
    assert_int_equal(caught, 0);
}

/* --- Death, with system calls refused --------------------------------------------------------- */

#define NOTICE_MS (1000 * harness_scale())

/* CALL_ANY: all of them. These are what a filter or an old kernel would refuse. */
static void refuse(enum fault_call call, int error)
{
    static const enum fault_call newer[] = {CALL_syscall,        CALL_eventfd, CALL_memfd_create,
                                            CALL_timerfd_create, CALL_madvise, CALL_epoll_create1,
                                            CALL_pwritev2,       CALL_preadv2};
    fault_reset();
    for (size_t i = 0; i < sizeof newer / sizeof newer[0]; i++)
        if (call == CALL_ANY || call == newer[i])
            fault_fail(newer[i], 1, FAULT_FOREVER, error);
}

static int say_and_stay(void *pipe)
{
    if (pipc_write(pipe, "here", 4) == 4)
        for (;;)
            pause();
    return 1;
}

/* Without /proc and a pidfd, a death is known once somebody has waited for the process. */
static bool shows_itself;

static void reap(pid_t peer, bool when_it_shows_itself)
{
    if (shows_itself == when_it_shows_itself)
        assert_int_equal(harness_wait(peer), -SIGKILL);
}

static void detect_while_reading(pipc_t *pipe, pid_t peer)
{
    char text[4];
    fault_arm();
    assert_int_equal(pipc_read(pipe, text, 4), 4);
    fault_disarm();
    assert_int_equal(kill(peer, SIGKILL), 0);
    reap(peer, false);
    int64_t begin = harness_now_ms();
    fault_arm();
    assert_errno(pipc_read(pipe, text, 4), EPIPE);
    fault_disarm();
    assert_true(harness_now_ms() - begin <= NOTICE_MS);
    reap(peer, true);
}

static void detect_while_polling(pipc_t *pipe, pid_t peer)
{
    char text[4];
    fault_arm();
    assert_int_equal(pipc_read(pipe, text, 4), 4);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    int fd = pipc_fd(pipe);
    fault_disarm();
    assert_true(fd >= 0);
    assert_int_equal(kill(peer, SIGKILL), 0);
    reap(peer, false);
    int64_t deadline = harness_now_ms() + NOTICE_MS;
    ssize_t result = -1;
    errno = EAGAIN;
    while (result < 0 && errno == EAGAIN) { /* a spurious wakeup */
        assert_true(harness_now_ms() < deadline);
        assert_true(harness_readable(fd, NOTICE_MS));
        fault_arm();
        result = pipc_read(pipe, text, 4);
        fault_disarm();
    }
    assert_int_equal(errno, EPIPE);
    reap(peer, true);
}

static void die_beside(void (*detect)(pipc_t *pipe, pid_t peer), enum fault_call call, int error)
{
    shows_itself = harness_has_proc() || (call != CALL_syscall && call != CALL_ANY);
    refuse(call, error);
    fault_arm();
    pipc_t *pipe = pipc_open(NULL);
    fault_disarm();
    assert_non_null(pipe);
    detect(pipe, harness_fork(say_and_stay, pipe));
    pipc_close(pipe);
}

static const enum fault_call refusable[] = {CALL_NONE,    CALL_syscall,      CALL_eventfd,
                                            CALL_madvise, CALL_memfd_create, CALL_timerfd_create,
                                            CALL_ANY};

/* The descriptor needs epoll, and in it a pidfd or a timer. */
static bool leaves_a_watch(enum fault_call call)
{
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd >= 0)
        close(pidfd);
    return call != CALL_ANY && (call != CALL_timerfd_create || pidfd >= 0);
}

static void die_on_all_kernels(void (*detect)(pipc_t *pipe, pid_t peer), bool with_descriptor)
{
    static const int errors[] = {ENOSYS, EPERM};
    for (size_t i = 0; i < sizeof refusable / sizeof refusable[0]; i++)
        for (size_t e = 0; e < 2; e++)
            if (!with_descriptor || leaves_a_watch(refusable[i]))
                die_beside(detect, refusable[i], errors[e]);
}

TEST(a_read_detects_a_death_when_newer_calls_are_refused)
{
    die_on_all_kernels(detect_while_reading, false);
}

TEST(the_descriptor_reports_a_death_when_newer_calls_are_refused)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    die_on_all_kernels(detect_while_polling, true);
}

HARNESS_MAIN("faults when nobody is there",
             OVER(a_write_without_a_peer_does_not_kill_by_sigpipe, LOCAL_TWO_HANDLE_KINDS,
                  HARNESS_TIMEOUT_MS),
             OVER(a_blocked_sigpipe_stays_blocked_and_none_is_left_pending, LOCAL_TWO_HANDLE_KINDS,
                  HARNESS_TIMEOUT_MS),
             OVER(the_programs_own_pending_sigpipe_stays_pending, LOCAL_TWO_HANDLE_KINDS,
                  HARNESS_TIMEOUT_MS),
             OVER(the_programs_own_sigpipe_handler_is_not_called, LOCAL_TWO_HANDLE_KINDS,
                  HARNESS_TIMEOUT_MS),
             OVER(a_write_without_a_peer_does_not_kill_by_sigpipe, MOVING_KINDS,
                  HARNESS_TIMEOUT_MS),
             OVER(a_blocked_sigpipe_stays_blocked_and_none_is_left_pending, MOVING_KINDS,
                  HARNESS_TIMEOUT_MS),
             OVER(the_programs_own_pending_sigpipe_stays_pending, MOVING_KINDS, HARNESS_TIMEOUT_MS),
             OVER(the_programs_own_sigpipe_handler_is_not_called, MOVING_KINDS, HARNESS_TIMEOUT_MS),
             IT(a_read_detects_a_death_when_newer_calls_are_refused),
             IT(the_descriptor_reports_a_death_when_newer_calls_are_refused))
