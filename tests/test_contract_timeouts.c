/* SPDX-License-Identifier: MIT */
/*
 * Timeouts and signals on every kind of pipe. A call waits exactly as long as requested, whatever
 * interrupts it, and a call that timed out has done nothing. Large messages are in
 * test_contract_whole.c.
 */
#include "anonymous.h"
#include "peers.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>

/* --- What is measured ------------------------------------------------------------------------- */

enum { ASKED_MS = 40, LATE_MS = 50 };

/* A call that waits in vain. Returns what the call returns. */
typedef intmax_t vain_call(struct peer *peer);

/* Never earlier than asked. A machine that has better things to do may make one try late, but a
 * library that waits too long is late each time. */
static void assert_gives_up_in_time(struct peer *peer, vain_call *call, int asked_ms)
{
    int64_t late_us = INT64_MAX;
    for (int i = 0; i < 8 && late_us > LATE_MS * 1000 * harness_scale(); i++) {
        int64_t begin = harness_now_us();
        assert_errno(call(peer), ETIMEDOUT);
        late_us = harness_now_us() - begin - asked_ms * 1000;
        assert_true(late_us >= 0);
    }
    assert_true(late_us <= LATE_MS * 1000 * harness_scale());
}

static intmax_t vain_read(struct peer *peer)
{
    char buffer[16];
    return peer_read(peer, buffer, sizeof buffer);
}

static intmax_t vain_read_msg(struct peer *peer)
{
    pipc_msg_t message;
    return peer_read_msg(peer, &message);
}

static intmax_t vain_peek(struct peer *peer)
{
    pipc_msg_t view;
    return peer_peek(peer, &view);
}

static intmax_t vain_skip(struct peer *peer)
{
    return peer_skip(peer);
}

static intmax_t vain_write(struct peer *peer)
{
    char data[1000] = "";
    return peer_write(peer, data, sizeof data);
}

static intmax_t vain_writev(struct peer *peer)
{
    char data[1000] = "";
    const struct iovec parts[] = {{data, 500}, {data + 500, 500}};
    return peer_writev(peer, parts, 2);
}

static intmax_t vain_write_batch(struct peer *peer)
{
    char data[1000] = "";
    const struct iovec batch[] = {{data, 1000}, {data, 1000}};
    return peer_write_batch(peer, batch, 2);
}

static intmax_t vain_flush(struct peer *peer)
{
    return peer_flush(peer);
}

static intmax_t vain_disconnect(struct peer *peer)
{
    return peer_disconnect(peer, "text");
}

static vain_call *const vain_reads[] = {vain_read, vain_read_msg, vain_peek, vain_skip};
static vain_call *const vain_writes[] = {vain_write, vain_writev, vain_write_batch};

#define COUNT(array) (sizeof array / sizeof array[0])

/* --- Timeout 0 -------------------------------------------------------------------------------- */

TEST_OF_KIND(with_timeout_0_a_read_of_an_empty_pipe_returns_EAGAIN)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, 0, -1);
    for (size_t i = 0; i < COUNT(vain_reads); i++)
        assert_errno(vain_reads[i](&p.a), EAGAIN);
    send_text(&p.b, "something");
    expect_pending(&p.a, 1);
    expect_text(&p.a, "something");
    peers_close(&p);
}

TEST_OF_KIND(with_timeout_0_a_write_to_a_full_pipe_returns_EAGAIN)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    struct brim brim = fill_to_the_brim(&p.a);
    for (size_t i = 0; i < COUNT(vain_writes); i++)
        assert_errno(vain_writes[i](&p.a), EAGAIN);
    assert_errno(peer_disconnect(&p.a, "text"), EAGAIN);
    peer_start(&p.b, read_brim, &brim);
    peer_set_timeout(&p.a, -1, -1);
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    expect_pending(&p.b, 0);
    send_text(&p.a, "next");
    expect_text(&p.b, "next");
    peers_close(&p);
}

/* --- Deadlines -------------------------------------------------------------------------------- */

TEST_OF_KIND(a_read_returns_ETIMEDOUT_at_its_deadline)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, ASKED_MS, 0);
    for (size_t i = 0; i < COUNT(vain_reads); i++)
        assert_gives_up_in_time(&p.a, vain_reads[i], ASKED_MS);
    send_text(&p.b, "after all");
    expect_text(&p.a, "after all");
    peers_close(&p);
}

TEST_OF_KIND(a_write_returns_ETIMEDOUT_at_its_deadline)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    struct brim brim = fill_to_the_brim(&p.a);
    peer_set_timeout(&p.a, 0, ASKED_MS);
    for (size_t i = 0; i < COUNT(vain_writes); i++)
        assert_gives_up_in_time(&p.a, vain_writes[i], ASKED_MS);
    peer_start(&p.b, read_brim, &brim);
    peer_set_timeout(&p.a, -1, -1);
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    expect_pending(&p.b, 0);
    peers_close(&p);
}

TEST_OF_KIND(flush_waits_for_the_write_timeout)
{
    enum { SIZE = MORE_THAN_A_PIPE };
    struct peers p;
    unsigned char *data = malloc(SIZE);
    harness_fill(data, SIZE, 1);
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, -1, 0);
    assert_int_equal(peer_write(&p.a, data, SIZE), SIZE);
    assert_errno(peer_flush(&p.a), EAGAIN);
    peer_set_timeout(&p.a, -1, ASKED_MS);
    assert_gives_up_in_time(&p.a, vain_flush, ASKED_MS);
    peer_set_timeout(&p.a, 0, -1);
    peer_start(&p.b, read_filled, &(struct filled){SIZE, 1, 1});
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    assert_int_equal(peer_stats(&p.a).bytes_held, 0);
    free(data);
    peers_close(&p);
}

TEST_OF_KIND(a_disconnect_that_times_out_changes_nothing)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    struct brim brim = fill_to_the_brim(&p.a);
    peer_set_timeout(&p.a, 0, ASKED_MS);
    assert_gives_up_in_time(&p.a, vain_disconnect, ASKED_MS);
    send_text(&p.b, "still connected");
    expect_pending(&p.a, 1);
    expect_text(&p.a, "still connected");
    peer_start(&p.b, read_brim, &brim);
    peer_set_timeout(&p.a, -1, -1);
    send_text(&p.a, "more");
    assert_int_equal(peer_finish(&p.b), 0);
    assert_int_equal(peer_disconnect(&p.a, "at last"), 0);
    expect_text(&p.b, "more");
    expect_bye(&p.b, "at last");
    expect_pending(&p.b, 0);
    peers_close(&p);
}

TEST_OF_KIND(each_peer_and_each_direction_has_its_own_timeout)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, 10, 0);
    peer_set_timeout(&p.b, 0, 10);
    assert_errno(vain_read(&p.a), ETIMEDOUT);
    assert_errno(vain_read(&p.b), EAGAIN);
    fill_to_the_brim(&p.a);
    peer_set_timeout(&p.a, 0, 10);
    assert_errno(vain_read(&p.a), EAGAIN);
    assert_errno(vain_write(&p.a), ETIMEDOUT);
    peer_set_timeout(&p.a, 10, 0);
    assert_errno(vain_read(&p.a), ETIMEDOUT);
    peers_close(&p);
}

TEST_OF_KIND(the_longest_timeout_does_not_overflow)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, INT_MAX, INT_MAX);
    peer_set_timeout(&p.b, INT_MAX, INT_MAX);
    peer_start(&p.b, read_filled, &(struct filled){3 << 20, 1, 5});
    send_filled(&p.a, 3 << 20, 5);
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

/* --- Signals ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t signals_caught;

static void count_signal(int number)
{
    (void)number;
    signals_caught++;
}

/* Side b's thread has all signals blocked, so each is caught in the test's own. */
static void set_alarm_clock(int every_ms, int flags)
{
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = flags};
    struct itimerval timer = {{0, every_ms * 1000}, {0, every_ms * 1000}};
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void stop_alarm_clock(void)
{
    struct itimerval never = {{0, 0}, {0, 0}};
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
}

TEST_OF_KIND(a_wait_continues_after_signals_until_its_deadline)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    fill_to_the_brim(&p.a);
    peer_set_timeout(&p.a, ASKED_MS, ASKED_MS);
    set_alarm_clock(2, 0);
    assert_gives_up_in_time(&p.a, vain_read, ASKED_MS);
    assert_gives_up_in_time(&p.a, vain_write, ASKED_MS);
    stop_alarm_clock();
    assert_true(signals_caught > 2);
    peers_close(&p);
}

static intmax_t echo_filled(struct peer *peer, void *arg)
{
    struct filled *filled = arg;
    for (size_t i = 0; i < filled->count; i++) {
        expect_filled(peer, filled->size, filled->tag + i);
        send_filled(peer, filled->size, filled->tag + i);
    }
    return 0;
}

TEST_OF_KIND(many_signals_have_no_effect)
{
    struct peers p;
    struct filled filled = {150 * 1000, 40, 1};
    peers_open(&p, kind, NULL);
    set_alarm_clock(1, 0);
    peer_start(&p.b, echo_filled, &filled);
    for (size_t i = 0; i < filled.count; i++) {
        send_filled(&p.a, filled.size, filled.tag + i);
        expect_filled(&p.a, filled.size, filled.tag + i);
    }
    assert_int_equal(peer_finish(&p.b), 0);
    stop_alarm_clock();
    peers_close(&p);
}

static void check_that_a_signal_ends_the_wait(const struct kind *kind, int flags)
{
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_INTERRUPTIBLE;
    peers_open(&p, kind, &options);
    set_alarm_clock(5, flags);
    for (size_t i = 0; i < COUNT(vain_reads); i++)
        assert_errno(vain_reads[i](&p.a), EINTR);
    stop_alarm_clock();
    struct brim brim = fill_to_the_brim(&p.a);
    peer_set_timeout(&p.a, -1, -1);
    set_alarm_clock(5, flags);
    for (size_t i = 0; i < COUNT(vain_writes); i++)
        assert_errno(vain_writes[i](&p.a), EINTR);
    assert_errno(vain_disconnect(&p.a), EINTR);
    stop_alarm_clock();
    peer_start(&p.b, read_brim, &brim);
    send_text(&p.a, "as before");
    assert_int_equal(peer_finish(&p.b), 0);
    expect_text(&p.b, "as before");
    peers_close(&p);
}

TEST_OF_KIND(an_interruptible_wait_ends_with_a_signal)
{
    check_that_a_signal_ends_the_wait(kind, 0);
}

TEST_OF_KIND(an_interruptible_wait_ends_with_a_signal_that_would_restart_system_calls)
{
    check_that_a_signal_ends_the_wait(kind, SA_RESTART);
}

/* Its first bytes have gone when the signal comes, so it counts as accepted. */
TEST_OF_KIND(an_interruptible_write_that_has_begun_is_accepted_whole)
{
    enum { SIZE = MORE_THAN_A_PIPE };
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    unsigned char *data = malloc(SIZE);
    harness_fill(data, SIZE, 1);
    options.flags = PIPC_INTERRUPTIBLE;
    peers_open(&p, kind, &options);
    set_alarm_clock(20, 0);
    assert_int_equal(peer_write(&p.a, data, SIZE), SIZE);
    stop_alarm_clock();
    peer_start(&p.b, read_filled, &(struct filled){SIZE, 1, 1});
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    free(data);
    peers_close(&p);
}

/* --- The last look ---------------------------------------------------------------------------- */

/* A writer in a thread of its own, which sleeps when the room comes. */
struct late_writer {
    atomic_int tid;
    peer_fn *write;
};

static intmax_t write_late(struct peer *peer, void *arg)
{
    struct late_writer *writer = arg;
    atomic_store(&writer->tid, gettid());
    return writer->write(peer, NULL);
}

static intmax_t write_one(struct peer *peer, void *unused)
{
    (void)unused;
    return vain_write(peer);
}

static intmax_t write_two(struct peer *peer, void *unused)
{
    (void)unused;
    return vain_write_batch(peer);
}

static intmax_t say_goodbye(struct peer *peer, void *unused)
{
    (void)unused;
    return peer_disconnect(peer, "bye");
}

/* Some of what fills the pipe is read, but less than a wait for room ends for, on some kinds.
 * False: not before the deadline, as this machine was busy. */
static bool try_while_little_is_read(const struct kind *kind, peer_fn *write, int timeout_ms,
                                     intmax_t *result)
{
    struct peers p;
    struct late_writer writer = {.write = write};
    peers_open(&p, kind, NULL);
    fill_to_the_brim(&p.b);
    peer_set_timeout(&p.b, 0, timeout_ms);
    int64_t begin = harness_now_ms();
    peer_set_timeout(&p.a, -1, -1);
    peer_start(&p.b, write_late, &writer);
    while (atomic_load(&writer.tid) == 0)
        sched_yield();
    sleeper_wait((struct sleeper){getpid(), atomic_load(&writer.tid)});
    for (int i = 0; i < 20; i++)
        assert_int_equal(peer_skip(&p.a), 0);
    bool in_time = harness_now_ms() - begin < timeout_ms;
    *result = peer_finish(&p.b);
    peer_close(&p.b);
    peers_close(&p);
    return in_time;
}

static intmax_t write_while_little_is_read(const struct kind *kind, peer_fn *write)
{
    intmax_t result;
    int timeout_ms = 100;
    while (!try_while_little_is_read(kind, write, timeout_ms, &result))
        timeout_ms *= 2;
    return result;
}

TEST_OF_KIND(a_write_at_its_deadline_uses_room_that_became_free)
{
    if (kind->tcp)
        harness_skip("what is read makes room here when the peer has been told");
    assert_int_equal(write_while_little_is_read(kind, write_one), 1000);
    assert_int_equal(write_while_little_is_read(kind, write_two), 2);
    assert_int_equal(write_while_little_is_read(kind, say_goodbye), 0);
}

HARNESS_MAIN("timeouts", OVER_KINDS(with_timeout_0_a_read_of_an_empty_pipe_returns_EAGAIN),
             OVER_KINDS(with_timeout_0_a_write_to_a_full_pipe_returns_EAGAIN),
             OVER_KINDS(a_read_returns_ETIMEDOUT_at_its_deadline),
             OVER_KINDS(a_write_returns_ETIMEDOUT_at_its_deadline),
             OVER_KINDS(flush_waits_for_the_write_timeout),
             OVER_KINDS(a_disconnect_that_times_out_changes_nothing),
             OVER_KINDS(each_peer_and_each_direction_has_its_own_timeout),
             OVER_KINDS(the_longest_timeout_does_not_overflow),
             OVER_KINDS(a_wait_continues_after_signals_until_its_deadline),
             OVER_KINDS(many_signals_have_no_effect),
             OVER_KINDS(an_interruptible_wait_ends_with_a_signal),
             OVER_KINDS(an_interruptible_wait_ends_with_a_signal_that_would_restart_system_calls),
             OVER_KINDS(an_interruptible_write_that_has_begun_is_accepted_whole),
             OVER_KINDS(a_write_at_its_deadline_uses_room_that_became_free))
