/* SPDX-License-Identifier: MIT */
/*
 * Two processes find each other by name: in any order, within their timeouts, in pairs, and
 * without a trace afterwards.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "fifos.h"
#include "net.h"

/* PIPC_TEST_RENDEZVOUS=1000 PIPC_TEST_CROWDS=100 is the long run. */
static int times(const char *variable, int usual)
{
    return harness_setting(variable, usual / harness_scale() + 1);
}

/* --- Order and timeouts ----------------------------------------------------------------------- */

TEST(the_second_caller_connects_to_the_first)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pid_t first = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
    fifos_await_offer(&fifos, "x");
    assert_int_equal(fifos_call(&fifos, "x", FIFOS_LONG_MS), 0);
    assert_int_equal(harness_wait(first), 0);
    fifos_end(&fifos);
}

TEST(the_first_caller_is_connected_by_the_second)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    struct fifos copy = fifos;
    pid_t second = fifos_fork_caller(&copy, "x", -1);
    assert_int_equal(fifos_call(&fifos, "x", -1), 0);
    assert_int_equal(harness_wait(second), 0);
    fifos_end(&fifos);
}

TEST(without_a_wait_it_connects_to_a_waiting_peer)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pid_t first = fifos_fork_caller(&fifos, "x", -1);
    fifos_await_offer(&fifos, "x");
    assert_int_equal(fifos_call(&fifos, "x", 0), 0);
    assert_int_equal(harness_wait(first), 0);
    fifos_end(&fifos);
}

TEST(without_a_wait_and_a_peer_it_returns_eagain_and_leaks_nothing)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    int64_t start = harness_now_ms();
    assert_null_errno(pipc_open_fifo("x", 0, &fifos.options), EAGAIN);
    assert_true(harness_now_ms() - start < 1000 * harness_scale());
    fifos_end(&fifos);
}

TEST(without_a_peer_it_returns_etimedout_in_time_and_leaks_nothing)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    int64_t start = harness_now_ms();
    assert_null_errno(pipc_open_fifo("x", 150, &fifos.options), ETIMEDOUT);
    int64_t waited = harness_now_ms() - start;
    assert_true(waited >= 150 && waited < 150 + 1000 * harness_scale());
    fifos_end(&fifos);
}

TEST(a_name_can_be_used_again_and_again)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    for (int i = 0; i < 20; i++)
        fifos_assert_two_connect(&fifos, "x");
    fifos_end(&fifos);
}

TEST(callers_with_different_names_do_not_connect)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pid_t x = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
    fifos_await_offer(&fifos, "x");
    assert_null_errno(pipc_open_fifo("y", 20, &fifos.options), ETIMEDOUT);
    assert_null_errno(pipc_open_fifo("X", 0, &fifos.options), EAGAIN);
    assert_int_equal(fifos_call(&fifos, "x", 0), 0);
    assert_int_equal(harness_wait(x), 0);
    fifos_end(&fifos);
}

TEST(a_third_caller_waits_for_a_fourth_and_affects_no_other)
{
    struct fifos fifos;
    pipc_t *end[2];
    char text[8];
    fifos_begin(&fifos);
    fifos_open_both(&fifos, "x", end);
    assert_null_errno(pipc_open_fifo("x", 20, &fifos.options), ETIMEDOUT);
    fifos_assert_two_connect(&fifos, "x");
    assert_int_equal(pipc_write(end[0], "still", 5), 5);
    assert_int_equal(pipc_read(end[1], text, sizeof text), 5);
    pipc_close(end[0]);
    pipc_close(end[1]);
    fifos_end(&fifos);
}

TEST(all_files_are_gone_when_either_caller_has_connected)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    for (int i = 0; i < 50; i++) {
        pid_t other = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
        pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &fifos.options);
        assert_non_null(pipe);
        fifos_assert_empty(&fifos);
        pipc_close(pipe);
        assert_int_not_equal(harness_wait(other), 0);
    }
    fifos_end(&fifos);
}

/* --- Waiting ---------------------------------------------------------------------------------- */

static void do_nothing(int signal_number)
{
    (void)signal_number;
}

static int interrupt_parent(void *arg)
{
    fifos_await_offer(arg, "x");
    while (kill(getppid(), SIGUSR1) == 0 && getppid() != 1)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    return 0;
}

static void wait_among_signals(unsigned flags, int error)
{
    struct fifos fifos;
    struct sigaction action = {.sa_handler = do_nothing};
    fifos_begin(&fifos);
    sigaction(SIGUSR1, &action, NULL);
    pid_t child = harness_fork(interrupt_parent, &fifos);
    fifos.options.flags = flags;
    int64_t start = harness_now_ms();
    assert_null_errno(pipc_open_fifo("x", 400, &fifos.options), error);
    if (error == ETIMEDOUT)
        assert_true(harness_now_ms() - start >= 400);
    kill(child, SIGKILL);
    harness_wait(child);
    fifos_end(&fifos);
}

TEST(signals_do_not_end_the_wait)
{
    wait_among_signals(0, ETIMEDOUT);
}

TEST(an_interruptible_wait_ends_with_eintr_and_leaks_nothing)
{
    wait_among_signals(PIPC_INTERRUPTIBLE, EINTR);
}

TEST(a_wait_uses_no_processor_time)
{
    struct fifos fifos;
    struct rusage before, after;
    fifos_begin(&fifos);
    getrusage(RUSAGE_SELF, &before);
    assert_null_errno(pipc_open_fifo("x", 500, &fifos.options), ETIMEDOUT);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw < 100);
    assert_true((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
                    after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
                    before.ru_stime.tv_usec <
                250000);
    fifos_end(&fifos);
}

/* Somebody who opens the door and goes away again wakes the waiter, which must neither take it for
 * a peer nor spin from then on. */
TEST(processes_that_open_the_files_neither_end_the_wait_nor_make_it_spin)
{
    struct fifos fifos;
    struct rusage before, after;
    fifos_begin(&fifos);
    pid_t first = fifos_fork_caller(&fifos, "x", -1);
    for (int i = 0; i < 100; i++)
        fifos_await_offer(&fifos, "x");
    getrusage(RUSAGE_CHILDREN, &before);
    nanosleep(&(struct timespec){0, 300000000}, NULL);
    assert_int_equal(fifos_call(&fifos, "x", 0), 0);
    assert_int_equal(harness_wait(first), 0);
    getrusage(RUSAGE_CHILDREN, &after);
    assert_true(after.ru_nvcsw - before.ru_nvcsw < 250);
    assert_true(after.ru_utime.tv_usec + after.ru_stime.tv_usec < 200000 * harness_scale());
    fifos_end(&fifos);
}

static pipc_t *wait_by_flushing(const struct fifos *fifos)
{
    pipc_options_t options = fifos->options;
    options.flags = PIPC_ASYNC;
    pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &options);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    return pipe;
}

TEST(a_door_that_cannot_be_read_ends_the_rendezvous_with_that_error)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pipc_t *pipe = wait_by_flushing(&fifos);
    fifos_await_offer(&fifos, "x"); /* opens the door, and goes */
    fault_reset();
    fault_fail(CALL_read, 1, 0, EIO);
    fault_arm();
    assert_errno(pipc_flush(pipe), EIO);
    fault_disarm();
    fifos_assert_empty(&fifos);
    pipc_close(pipe);
    fifos_end(&fifos);
}

TEST(a_passer_by_is_no_peer_where_poll_reports_each_hang_up_as_input)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pipc_t *pipe = wait_by_flushing(&fifos);
    fault_hangups_are_input(true);
    for (int i = 0; i < 3; i++) {
        fifos_await_offer(&fifos, "x"); /* opens the door, and goes */
        fault_arm();
        assert_errno(pipc_flush(pipe), EAGAIN);
        fault_disarm();
    }
    fault_hangups_are_input(false);
    pipc_t *other = pipc_open_fifo("x", FIFOS_LONG_MS, &fifos.options);
    assert_non_null(other);
    net_say(other, "peer");
    net_expect(pipe, "peer");
    pipc_close(pipe);
    pipc_close(other);
    fifos_end(&fifos);
}

/* --- Many at once ----------------------------------------------------------------------------- */

struct crowd {
    struct fifos *fifos;
    int start[2];
};

static int come_at_the_start(void *arg)
{
    struct crowd *crowd = arg;
    char byte;
    close(crowd->start[1]);
    assert_int_equal(read(crowd->start[0], &byte, 1), 0);
    close(crowd->start[0]);
    return fifos_call(crowd->fifos, "x", FIFOS_LONG_MS);
}

/* All start when the barrier's last writer goes. */
static void connect_in_crowds(struct fifos *fifos, int size)
{
    struct crowd crowd = {fifos, {-1, -1}};
    pid_t child[64];
    assert_int_equal(pipe2(crowd.start, O_CLOEXEC), 0);
    for (int i = 0; i < size; i++)
        child[i] = harness_fork(come_at_the_start, &crowd);
    close(crowd.start[0]);
    close(crowd.start[1]);
    for (int i = 0; i < size; i++)
        assert_int_equal(harness_wait(child[i]), 0);
    fifos_assert_empty(fifos);
}

TEST(two_simultaneous_callers_always_connect)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    for (int i = times("PIPC_TEST_RENDEZVOUS", 300); i > 0; i--)
        connect_in_crowds(&fifos, 2);
    fifos_end(&fifos);
}

TEST(forty_simultaneous_callers_on_one_name_form_separate_pairs)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    for (int i = times("PIPC_TEST_CROWDS", 20); i > 0; i--)
        connect_in_crowds(&fifos, harness_emulated() ? 10 : 40);
    fifos_end(&fifos);
}

/* Threads of one process are callers like any other; and they come and go without a pause. */
static void *come_often(void *arg)
{
    for (int i = 0; i < 200; i++) {
        pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &((struct fifos *)arg)->options);
        char text[4];
        if (pipe == NULL || pipc_write(pipe, &i, sizeof i) != sizeof i ||
            pipc_read(pipe, text, sizeof text) != sizeof i)
            fail_msg("round %d: %s", i, strerror(errno));
        pipc_close(pipe);
    }
    return NULL;
}

TEST(threads_of_one_process_connect_to_each_other_repeatedly)
{
    struct fifos fifos;
    pthread_t thread[2];
    fifos_begin(&fifos);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, come_often, &fifos), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    fifos_end(&fifos);
}

/* Waits of any length that end while others come: both callers agree that they connected. */
static int come_impatiently(void *arg)
{
    for (int i = 0; i < 200; i++) {
        int result = fifos_call(arg, "x", i % 4);
        if (result != 0 && result != ETIMEDOUT && result != EAGAIN)
            return result;
    }
    return 0;
}

TEST(a_wait_that_times_out_leaves_no_half_connection)
{
    struct fifos fifos;
    pid_t child[5];
    fifos_begin(&fifos);
    for (int i = 0; i < 5; i++)
        child[i] = harness_fork(come_impatiently, &fifos);
    for (int i = 0; i < 5; i++)
        assert_int_equal(harness_wait(child[i]), 0);
    fifos_end(&fifos);
}

HARNESS_MAIN("FIFOs, rendezvous", IT(the_second_caller_connects_to_the_first),
             IT(the_first_caller_is_connected_by_the_second),
             IT(without_a_wait_it_connects_to_a_waiting_peer),
             IT(without_a_wait_and_a_peer_it_returns_eagain_and_leaks_nothing),
             IT(without_a_peer_it_returns_etimedout_in_time_and_leaks_nothing),
             IT(a_name_can_be_used_again_and_again),
             IT(callers_with_different_names_do_not_connect),
             IT(a_third_caller_waits_for_a_fourth_and_affects_no_other),
             IT(all_files_are_gone_when_either_caller_has_connected),
             IT(signals_do_not_end_the_wait),
             IT(an_interruptible_wait_ends_with_eintr_and_leaks_nothing),
             IT(a_wait_uses_no_processor_time),
             IT(processes_that_open_the_files_neither_end_the_wait_nor_make_it_spin),
             IT(a_door_that_cannot_be_read_ends_the_rendezvous_with_that_error),
             IT(a_passer_by_is_no_peer_where_poll_reports_each_hang_up_as_input),
             IT_WITHIN(two_simultaneous_callers_always_connect, 120000),
             IT_WITHIN(forty_simultaneous_callers_on_one_name_form_separate_pairs, 100000),
             IT(threads_of_one_process_connect_to_each_other_repeatedly),
             IT(a_wait_that_times_out_leaves_no_half_connection))
