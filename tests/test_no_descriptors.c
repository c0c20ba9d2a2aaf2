/* SPDX-License-Identifier: MIT */
/*
 * A process that has everything open and may have no more descriptors (RLIMIT_NOFILE 0), so that
 * the kernel takes no poll: it finds the end of a stream behind what is unread, and does not spin.
 * One that had none for a moment watches its peer later, and shows the end of one that died before.
 */
#include <signal.h>

#include "anonymous.h"
#include "fault.h"
#include "moving.h"
#include "platform.h"
#include "raw.h"

enum { ENOUGH_WAKES = 20, ENOUGH_WAITS = 20 };

static uint64_t waits_of(const pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    return stats.waits;
}

/* Both watch pipes; or without sets they have the socket alone. */
static void open_moved(pipc_t *end[2], bool has_sets)
{
    moving_open(end, 0, NULL);
    fault_reset();
    if (!has_sets)
        fault_fail(CALL_epoll_create1, 1, FAULT_FOREVER, EMFILE);
    fault_arm();
    moving_move(end);
    fault_disarm();
    fault_reset();
}

/* A doorbell that came before this side watched its pipe stays in the socket. */
TEST(a_close_is_seen_behind_a_doorbell_in_the_socket)
{
    for (int has_sets = 0; has_sets < 2; has_sets++) {
        pipc_t *end[2];
        char byte;
        open_moved(end, has_sets);
        assert_int_equal(send(moving_transport(end[1])->out, "", 1, MSG_NOSIGNAL), 1);
        pipc_close(end[1]);
        assert_int_equal(pipc_set_timeout(end[0], 1000, 1000), 0);
        uint64_t before = waits_of(end[0]);
        rlim_t limit = harness_limit(RLIMIT_NOFILE, 0);
        assert_errno(pipc_read(end[0], &byte, 1), EPIPE);
        assert_errno(pipc_write(end[0], "x", 1), EPIPE);
        harness_limit(RLIMIT_NOFILE, limit);
        assert_in_range(waits_of(end[0]) - before, 0, ENOUGH_WAITS);
        pipc_close(end[0]);
    }
}

/* The test polls between the calls, with its limit as before. */
static void expect_no_spin_before_a_message(const struct raw_kind *kind)
{
    struct raw raw;
    raw_open(&raw, kind, NULL);
    int fd = pipc_fd(raw.pipe);
    assert_int_equal(pipc_want(raw.pipe, PIPC_WANT_WRITE), 0);
    raw_send(&raw, BYTES("\0\0\0\1a\0\0\0\1b"));
    raw_end(&raw);
    for (int wakes = 0; harness_readable(fd, 0); wakes++) {
        assert_true(wakes < ENOUGH_WAKES);
        rlim_t limit = harness_limit(RLIMIT_NOFILE, 0);
        assert_int_equal(pipc_write(raw.pipe, "x", 1), 1);
        harness_limit(RLIMIT_NOFILE, limit);
    }
    expect_message(raw.pipe, "a", 1);
    expect_message(raw.pipe, "b", 1);
    assert_true(harness_readable(fd, 0));
    expect_failure(raw.pipe, EPIPE);
    raw_close(&raw);
}

TEST(without_PIPC_WANT_READ_an_end_behind_a_message_wakes_no_loop_again_and_again)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    expect_no_spin_before_a_message(&raw_socket);
    expect_no_spin_before_a_message(&raw_pipes);
}

/* Whatever the program calls: a look for the end forgets no doorbell of its own. */
static void expect_dead_writing_shown(const struct raw_kind *kind)
{
    enum { TIMES = 3 };
    struct raw raw;
    raw_open(&raw, kind, NULL);
    int fd = pipc_fd(raw.pipe);
    assert_int_equal(pipc_want(raw.pipe, PIPC_WANT_WRITE), 0);
    raw_end(&raw);
    close(raw.in);
    for (int i = 0; i < 2 * TIMES; i++) {
        rlim_t limit = harness_limit(RLIMIT_NOFILE, 0);
        if (i < TIMES)
            assert_errno(pipc_write(raw.pipe, "x", 1), EPIPE);
        else
            expect_failure(raw.pipe, EPIPE);
        harness_limit(RLIMIT_NOFILE, limit);
        assert_true(harness_readable(fd, 0));
    }
    pipc_close(raw.pipe);
}

TEST(without_PIPC_WANT_READ_dead_writing_stays_readable)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    expect_dead_writing_shown(&raw_socket);
    expect_dead_writing_shown(&raw_pipes);
}

TEST(without_PIPC_WANT_READ_a_flush_that_failed_stays_reported)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    static char data[100000]; /* more than a pipe holds, and less than two */
    struct raw raw;
    raw_open(&raw, &raw_pipes, NULL);
    int fd = pipc_fd(raw.pipe);
    assert_int_equal(pipc_want(raw.pipe, PIPC_WANT_WRITE), 0);
    assert_int_equal(pipc_write(raw.pipe, data, sizeof data), sizeof data);
    assert_errno(pipc_flush(raw.pipe), EAGAIN);
    raw_take(&raw, data, sizeof data / 2);
    for (int i = 0; i < 3; i++) {
        rlim_t limit = harness_limit(RLIMIT_NOFILE, 0);
        assert_int_equal(pipc_write(raw.pipe, "x", 1), 1);
        harness_limit(RLIMIT_NOFILE, limit);
        assert_true(harness_readable(fd, 0));
    }
    raw_close(&raw);
}

/* --- Later there is one ----------------------------------------------------------------------- */

/* Where it may not open a file of its own to lock, its process alone proves that it lives. */
static int say_without_a_lock(void *pipe)
{
    fault_reset();
    fault_fail(CALL_openat, 1, FAULT_FOREVER, EACCES);
    fault_arm();
    say(pipe, "here");
    fault_disarm();
    assert_true(fault_failures(CALL_openat) > 0);
    pause();
    return 1;
}

static void expect_death_noticed(unsigned long more_failures, int error)
{
    char byte;
    pipc_t *pipe = open_anonymous();
    pid_t pid = harness_fork(say_without_a_lock, pipe);
    fault_reset();
    fault_fail(CALL_syscall, 1, more_failures, error);
    fault_arm();
    hear(pipe, "here");
    assert_int_equal(pipc_set_timeout(pipe, 1, -1), 0);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    assert_true(fault_failures(CALL_syscall) > 0);
    kill(pid, SIGKILL);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    assert_int_equal(pipc_set_timeout(pipe, SIDES_LONG_MS, -1), 0);
    assert_errno(pipc_read(pipe, &byte, 1), EPIPE);
    fault_disarm();
    pipc_close(pipe);
}

TEST(a_death_is_noticed_though_the_process_could_not_be_watched_at_first)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    expect_death_noticed(0, EMFILE);
}

TEST(a_death_is_noticed_by_who_has_waited_for_the_process_where_none_can_be_watched)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    expect_death_noticed(FAULT_FOREVER, ENOSYS);
}

/* --- It is too late for one ------------------------------------------------------------------- */

static int take_the_end_without_a_lock(void *pipe)
{
    fault_reset();
    fault_fail(CALL_openat, 1, FAULT_FOREVER, EACCES);
    fault_arm();
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    fault_disarm();
    assert_true(fault_failures(CALL_openat) > 0);
    kill(getpid(), SIGKILL);
    return 1;
}

/* Its process is gone before this side has looked for it. */
static void let_a_peer_die(pipc_t *pipe)
{
    assert_int_equal(harness_wait(harness_fork(take_the_end_without_a_lock, pipe)), -SIGKILL);
}

static void expect_end_shown(pipc_t *pipe, int fd)
{
    char byte;
    assert_true(harness_readable(fd, 0));
    assert_errno(pipc_read(pipe, &byte, 1), EPIPE);
    assert_true(harness_readable(fd, 0));
    pipc_close(pipe);
}

TEST(the_first_pipc_fd_shows_the_end_of_a_peer_that_is_long_dead)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    let_a_peer_die(pipe);
    expect_end_shown(pipe, pipc_fd(pipe));
}

TEST(a_pipc_want_hides_no_end_of_a_peer_that_is_long_dead)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    char byte;
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    int fd = pipc_fd(pipe);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    let_a_peer_die(pipe);
    assert_int_equal(pipc_want(pipe, PIPC_WANT_READ | PIPC_WANT_WRITE), 0);
    expect_end_shown(pipe, fd);
}

HARNESS_MAIN("no descriptors", IT(a_close_is_seen_behind_a_doorbell_in_the_socket),
             IT(without_PIPC_WANT_READ_an_end_behind_a_message_wakes_no_loop_again_and_again),
             IT(without_PIPC_WANT_READ_dead_writing_stays_readable),
             IT(without_PIPC_WANT_READ_a_flush_that_failed_stays_reported),
             IT(a_death_is_noticed_though_the_process_could_not_be_watched_at_first),
             IT(a_death_is_noticed_by_who_has_waited_for_the_process_where_none_can_be_watched),
             IT(the_first_pipc_fd_shows_the_end_of_a_peer_that_is_long_dead),
             IT(a_pipc_want_hides_no_end_of_a_peer_that_is_long_dead))
