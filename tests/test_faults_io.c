/* SPDX-License-Identifier: MIT */
/*
 * Reads, writes and waits that are short, interrupted or give EAGAIN; a thousand signals a second;
 * readers that are gone. No message is lost, and deadlines hold.
 */
#include <signal.h>
#include <sys/time.h>

#include "fault.h"
#include "raw.h"
#include "scenario.h"

/* --- Bad days --------------------------------------------------------------------------------- */

static void assert_complete(const struct kind *kind)
{
    struct scenario_result result = scenario_run(kind);
    assert_true(result.opened);
    assert_true(result.complete);
}

struct weather {
    bool shorten, dry;
    unsigned interrupt;
};

static void run_in(const struct kind *kind, struct weather weather)
{
    scenario_name(kind->name);
    for (int i = 0; i < 20; i++) {
        fault_reset();
        fault_virtual_time();
        fault_shorten(weather.shorten);
        fault_eagain_after_poll(weather.dry);
        fault_interrupt(weather.interrupt);
        assert_complete(kind);
    }
}

TEST_OF_KIND(short_reads_and_writes_lose_no_message)
{
    run_in(kind, (struct weather){true, false, 0});
}

TEST_OF_KIND(EAGAIN_after_poll_loses_no_message)
{
    run_in(kind, (struct weather){false, true, 0});
}

TEST_OF_KIND(interrupted_calls_lose_no_message)
{
    run_in(kind, (struct weather){false, false, 3});
}

TEST_OF_KIND(short_EAGAIN_and_interrupted_calls_together_lose_no_message)
{
    run_in(kind, (struct weather){true, true, 3});
}

TEST_OF_KIND(closes_that_fail_are_not_repeated)
{
    static const int errors[] = {EIO, EINTR, ENOSPC};
    scenario_name(kind->name);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        fault_reset();
        fault_virtual_time();
        fault_fail(CALL_close, 1, FAULT_FOREVER, errors[i]);
        assert_complete(kind);
        assert_true(fault_calls(CALL_close) > 0);
    }
}

/* So it does not matter when the time of day is set. */
TEST_OF_KIND(deadlines_use_only_the_monotonic_clock)
{
    scenario_name(kind->name);
    fault_virtual_time();
    assert_complete(kind);
    assert_int_equal(fault_other_clocks(), 0);
}

/* --- Deadlines -------------------------------------------------------------------------------- */

static void assert_times_out(pipc_t *pipe)
{
    char byte;
    assert_int_equal(pipc_set_timeout(pipe, 50, 50), 0);
    fault_virtual_time();
    fault_arm();
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    fault_disarm();
}

TEST(a_read_ends_at_its_deadline_when_poll_is_always_wrong)
{
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    raw_send(&raw, BYTES("\0\0\0\1x"));
    fault_fail(CALL_recv, 1, FAULT_FOREVER, EAGAIN);
    assert_times_out(raw.pipe);
    raw_close(&raw);
    fault_reset();
    raw_open(&raw, &raw_pipes, NULL);
    raw_send(&raw, BYTES("\0\0\0\1x"));
    fault_fail(CALL_preadv2, 1, FAULT_FOREVER, EAGAIN);
    fault_fail(CALL_read, 1, FAULT_FOREVER, EAGAIN); /* in its place on older kernels */
    assert_times_out(raw.pipe);
    raw_close(&raw);
}

TEST(a_write_ends_at_its_deadline_when_poll_is_always_wrong)
{
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_set_timeout(raw.pipe, 50, 50), 0);
    fault_virtual_time();
    fault_fail(CALL_send, 1, FAULT_FOREVER, EAGAIN);
    fault_fail(CALL_sendmsg, 1, FAULT_FOREVER, EAGAIN);
    fault_arm();
    assert_errno(pipc_write(raw.pipe, "x", 1), ETIMEDOUT);
    fault_disarm();
    raw_close(&raw);
}

/* How much later than asked a call may come back on a busy machine. */
#define LATE_MS (400 * harness_scale())

static void assert_took(int64_t begin, int asked_ms)
{
    int64_t took = harness_now_ms() - begin;
    assert_true(took >= asked_ms - 1);
    if (took > asked_ms + LATE_MS)
        fail_msg("%lld ms instead of %d", (long long)took, asked_ms);
}

static int stream_for_ever(void *arg)
{
    static char zeros[1 << 16];
    struct raw *raw = arg;
    pipc_close(raw->pipe);
    raw_send(raw, BYTES("\x3f\xff\xff\xff")); /* more than comes in time */
    signal(SIGPIPE, SIG_IGN);
    while (write(raw->out, zeros, sizeof zeros) > 0)
        continue;
    return 0;
}

TEST(a_read_ends_at_its_deadline_while_an_endless_message_arrives)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct raw raw;
    pipc_msg_t message;
    options.max_message = HARNESS_HUGE;
    raw_open(&raw, &raw_pipes, &options);
    pid_t pid = harness_fork(stream_for_ever, &raw);
    assert_int_equal(pipc_set_timeout(raw.pipe, 100, -1), 0);
    int64_t begin = harness_now_ms();
    assert_errno(pipc_read_msg(raw.pipe, &message), ETIMEDOUT);
    assert_took(begin, 100);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    raw_close(&raw);
}

/* --- A timer at 1 kHz ------------------------------------------------------------------------- */

static volatile sig_atomic_t alarms;

static void count_alarm(int unused)
{
    (void)unused;
    alarms++;
}

static void tick(bool on)
{
    struct itimerval interval = {{0, on ? 1000 : 0}, {0, on ? 1000 : 0}};
    struct sigaction action = {.sa_handler = count_alarm}; /* without SA_RESTART */
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &interval, NULL), 0);
}

enum { ROUNDS = 20, LARGE = 1000000 };

static void exchange(pipc_t *end, bool first)
{
    static char out[LARGE], in[LARGE];
    for (uint64_t i = 0; i < ROUNDS; i++) {
        size_t size = harness_random_below(i % 2 == 0 ? LARGE : 100);
        harness_fill(out, size, i);
        if (first)
            assert_int_equal(pipc_write(end, out, size), size);
        ssize_t n = pipc_read(end, in, sizeof in);
        assert_true(n >= 0);
        harness_check(in, (size_t)n, i);
        if (!first)
            assert_int_equal(pipc_write(end, out, size), size);
    }
}

static void play_first(pipc_t *end, void *unused)
{
    (void)unused;
    tick(true);
    exchange(end, true);
    tick(false);
    assert_true(alarms > 0);
}

static void play_second(pipc_t *end, void *unused)
{
    (void)unused;
    tick(true);
    exchange(end, false);
}

static void play_second_without_signals(pipc_t *end, void *unused)
{
    (void)unused;
    static char out[LARGE], in[LARGE]; /* of its own: the first side may be a thread beside it */
    for (uint64_t i = 0; i < ROUNDS; i++) {
        ssize_t n = pipc_read(end, in, sizeof in);
        assert_true(n >= 0);
        harness_check(in, (size_t)n, i);
        harness_fill(out, (size_t)n, i);
        assert_int_equal(pipc_write(end, out, (size_t)n), n);
    }
}

TEST_OF_KIND(a_thousand_signals_a_second_have_no_effect)
{
    kind_run_both(kind, NULL, play_first,
                  kind->in_threads ? play_second_without_signals : play_second, NULL);
}

static void read_in_vain(pipc_t *end, int timeout_ms)
{
    char byte;
    assert_int_equal(pipc_set_timeout(end, timeout_ms, -1), 0);
    tick(true);
    int64_t begin = harness_now_ms();
    assert_errno(pipc_read(end, &byte, 1), ETIMEDOUT);
    tick(false);
    assert_took(begin, timeout_ms);
}

static void write_in_vain(pipc_t *end, int timeout_ms)
{
    static const char data[10000];
    assert_int_equal(pipc_set_timeout(end, -1, 0), 0);
    while (pipc_write(end, data, sizeof data) >= 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(pipc_set_timeout(end, -1, timeout_ms), 0);
    tick(true);
    int64_t begin = harness_now_ms();
    assert_errno(pipc_write(end, data, sizeof data), ETIMEDOUT);
    tick(false);
    assert_took(begin, timeout_ms);
}

TEST_OF_KIND(an_interrupted_wait_keeps_its_deadline)
{
    pipc_t *end[2];
    kind_open(kind, end, NULL);
    read_in_vain(end[0], 200);
    write_in_vain(end[0], 200);
    kind_close(kind, end);
}

TEST_OF_KIND(an_interruptible_wait_ends_with_eintr)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pipc_t *end[2];
    char byte;
    options.flags = PIPC_INTERRUPTIBLE;
    kind_open(kind, end, &options);
    tick(true);
    assert_errno(pipc_read(end[0], &byte, 1), EINTR);
    assert_int_equal(pipc_set_timeout(end[0], 10000, -1), 0);
    assert_errno(pipc_read(end[0], &byte, 1), EINTR);
    tick(false);
    kind_close(kind, end);
}

/* --- A kernel without memory for a moment ----------------------------------------------------- */

static const enum fault_call waiting_calls[] = {CALL_read,  CALL_recv, CALL_preadv2,
                                                CALL_readv, CALL_poll, CALL_epoll_wait};

/* The next read brings what this one did not. */
static void lack_once(const struct kind *kind, enum fault_call call, int error, int timeout_ms)
{
    pipc_t *end[2];
    char byte;
    kind_open(kind, end, NULL);
    assert_int_equal(pipc_set_timeout(end[1], timeout_ms, -1), 0);
    for (char i = 0; i < 3; i++) {
        assert_int_equal(pipc_write(end[0], &i, 1), 1);
        fault_reset();
        fault_fail(call, 1, 0, error);
        fault_arm();
        ssize_t n = pipc_read(end[1], &byte, 1);
        if (n < 0) {
            assert_int_equal(errno, error);
            n = pipc_read(end[1], &byte, 1);
        }
        fault_disarm();
        assert_int_equal(n, 1);
        assert_int_equal(byte, i);
    }
    pipc_close(end[0]);
    pipc_close(end[1]);
}

TEST_OF_KIND(a_read_can_be_repeated_when_the_kernel_lacked_memory)
{
    static const int errors[] = {ENOMEM, ENOBUFS};
    for (size_t i = 0; i < sizeof waiting_calls / sizeof waiting_calls[0]; i++)
        for (size_t e = 0; e < 2; e++) {
            lack_once(kind, waiting_calls[i], errors[e], -1);
            lack_once(kind, waiting_calls[i], errors[e], 10000);
        }
}

/* ---- memory for a goodbye ---- */

static ssize_t read_one(pipc_t *pipe, pipc_msg_t *message)
{
    return pipc_read_msg(pipe, message) == 0 ? 1 : -1;
}

static ssize_t read_what_is_there(pipc_t *pipe, pipc_msg_t *message)
{
    return pipc_read_pending(pipe, message, 1);
}

static void check_goodbye(pipc_t *pipe, pipc_msg_t *message)
{
    assert_int_equal(message->kind, PIPC_BYE);
    pipc_msg_free(message);
    assert_non_null(pipc_bye_text(pipe));
    assert_string_equal(pipc_bye_text(pipe), "so long");
}

/* Whether an allocation was there to fail. */
static bool lack_memory_at(const struct kind *kind, unsigned long nth,
                           ssize_t (*take)(pipc_t *pipe, pipc_msg_t *message))
{
    pipc_t *end[2];
    pipc_msg_t message;
    fault_reset();
    kind_open(kind, end, NULL);
    assert_int_equal(pipc_set_timeout(end[1], 1000, 1000), 0);
    assert_int_equal(pipc_disconnect(end[0], "so long"), 0);
    fault_fail(CALL_realloc, nth, 0, ENOMEM);
    fault_arm();
    ssize_t taken = take(end[1], &message);
    fault_disarm();
    bool is_lacking = fault_failures(CALL_realloc) > 0;
    if (taken != 1) {
        assert_errno(taken, ENOMEM);
        assert_int_equal(take(end[1], &message), 1);
    }
    check_goodbye(end[1], &message);
    assert_errno(take(end[1], &message), EPIPE);
    kind_close(kind, end);
    harness_assert_nothing_left();
    return is_lacking;
}

TEST_OF_KIND(a_goodbye_without_memory_is_read_by_the_next_call)
{
    unsigned long nth = 1;
    while (lack_memory_at(kind, nth, read_one))
        nth++;
    assert_true(nth > 1);
    for (nth = 1; lack_memory_at(kind, nth, read_what_is_there);)
        nth++;
    assert_true(nth > 1);
}

HARNESS_MAIN(
    "faults in reads, writes and waits",
    OVER(short_reads_and_writes_lose_no_message, LOCAL_KINDS, 20000),
    OVER(EAGAIN_after_poll_loses_no_message, LOCAL_KINDS, 20000),
    OVER(interrupted_calls_lose_no_message, LOCAL_KINDS, 20000),
    OVER(short_EAGAIN_and_interrupted_calls_together_lose_no_message, LOCAL_KINDS, 20000),
    OVER(closes_that_fail_are_not_repeated, LOCAL_KINDS, 20000),
    OVER(deadlines_use_only_the_monotonic_clock, LOCAL_KINDS, 20000),
    IT(a_read_ends_at_its_deadline_when_poll_is_always_wrong),
    IT(a_write_ends_at_its_deadline_when_poll_is_always_wrong),
    IT(a_read_ends_at_its_deadline_while_an_endless_message_arrives),
    OVER(a_thousand_signals_a_second_have_no_effect, LOCAL_OR_FORKED_KINDS, HARNESS_TIMEOUT_MS),
    OVER(an_interrupted_wait_keeps_its_deadline, LOCAL_OR_FORKED_KINDS, HARNESS_TIMEOUT_MS),
    OVER(an_interruptible_wait_ends_with_eintr, LOCAL_OR_FORKED_KINDS, HARNESS_TIMEOUT_MS),
    OVER(a_read_can_be_repeated_when_the_kernel_lacked_memory, LOCAL_TWO_HANDLE_KINDS,
         HARNESS_TIMEOUT_MS),
    OVER(a_goodbye_without_memory_is_read_by_the_next_call, LOCAL_TWO_HANDLE_KINDS,
         HARNESS_TIMEOUT_MS),
    OVER(a_goodbye_without_memory_is_read_by_the_next_call, MOVING_KINDS, HARNESS_TIMEOUT_MS),
    OVER(short_reads_and_writes_lose_no_message, MOVING_KINDS, 20000),
    OVER(EAGAIN_after_poll_loses_no_message, MOVING_KINDS, 20000),
    OVER(interrupted_calls_lose_no_message, MOVING_KINDS, 20000),
    OVER(short_EAGAIN_and_interrupted_calls_together_lose_no_message, MOVING_KINDS, 20000),
    OVER(closes_that_fail_are_not_repeated, MOVING_KINDS, 20000),
    OVER(deadlines_use_only_the_monotonic_clock, MOVING_KINDS, 20000),
    OVER(a_thousand_signals_a_second_have_no_effect, MOVING_KINDS, HARNESS_TIMEOUT_MS),
    OVER(an_interrupted_wait_keeps_its_deadline, MOVING_KINDS, HARNESS_TIMEOUT_MS),
    OVER(an_interruptible_wait_ends_with_eintr, MOVING_KINDS, HARNESS_TIMEOUT_MS),
    OVER(a_read_can_be_repeated_when_the_kernel_lacked_memory, MOVING_KINDS, HARNESS_TIMEOUT_MS))
