/* SPDX-License-Identifier: MIT */
/*
 * A thread is cancelled in pipc_open_fifo. Only the wait is a cancellation point. No offer,
 * descriptor or memory of the thread is left, and nobody connects to it afterwards.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "fifos.h"

struct opening {
    struct fifos *fifos;
    int timeout_ms;
    bool armed;        /* fault injection is set up */
    bool uncancelable; /* PTHREAD_CANCEL_DISABLE */
    pipc_t *pipe;
    int error;
};

static void *open_in_thread(void *arg)
{
    struct opening *opening = arg;
    if (opening->uncancelable)
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    if (opening->armed)
        fault_arm();
    opening->pipe = pipc_open_fifo("x", opening->timeout_ms, &opening->fifos->options);
    opening->error = errno;
    fault_disarm();
    return NULL;
}

static void begin(struct opening *opening, pthread_t *thread)
{
    assert_int_equal(pthread_create(thread, NULL, open_in_thread, opening), 0);
}

/* Whether it ended by cancellation. */
static bool end(pthread_t thread)
{
    void *result;
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal(fault_bad_closes(), 0);
    return result == PTHREAD_CANCELED;
}

static bool run(struct opening *opening)
{
    pthread_t thread;
    begin(opening, &thread);
    return end(thread);
}

/* Looks only: to open the door would wake the waiter. */
static void await_name(const struct fifos *fifos)
{
    struct stat status;
    while (stat(fifos_path(fifos, "x/door"), &status) != 0)
        nanosleep(&(struct timespec){0, 200000}, NULL);
}

/* --- In the wait for a peer ---------------------------------------------------------------- */

TEST(a_cancelled_wait_removes_its_files_and_frees_the_name)
{
    struct fifos fifos;
    pthread_t thread;
    fifos_begin(&fifos);
    for (int i = 0; i < 20; i++) {
        struct opening opening = {.fifos = &fifos, .timeout_ms = i % 2 == 0 ? -1 : FIFOS_LONG_MS};
        begin(&opening, &thread);
        await_name(&fifos);
        pthread_cancel(thread);
        assert_true(end(thread));
        fifos_assert_empty(&fifos);
        harness_assert_nothing_left();
    }
    fifos_assert_two_connect(&fifos, "x");
    fifos_end(&fifos);
}

/*
 * The request comes before each call in turn, until there are no more. Returns the last one that
 * ended the thread.
 */
static unsigned long cancel_at_each_call(struct fifos *fifos, bool starve)
{
    unsigned long last = 0, call = 0;
    do {
        struct opening opening = {.fifos = fifos, .timeout_ms = 20, .armed = true};
        fault_reset();
        fault_frozen_time(); /* on a busy machine the time would be up before it waits */
        fault_cancel_at(++call, starve);
        if (run(&opening)) {
            last = call;
        } else if (opening.pipe != NULL ||
                   opening.error != (starve && last == 0 ? ENOMEM : ETIMEDOUT)) {
            fail_msg("call %lu: %s", call, strerror(opening.error));
        }
        fifos_assert_empty(fifos);
        harness_assert_nothing_left();
    } while (fault_cancelled());
    return last;
}

TEST(cancelled_before_any_call_it_ends_at_the_wait_and_leaks_nothing)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    assert_in_range(cancel_at_each_call(&fifos, false), 20, 200);
    assert_in_range(cancel_at_each_call(&fifos, true), 20, 200);
    fifos_assert_two_connect(&fifos, "x");
    fifos_end(&fifos);
}

/* A cleaner has deleted its files, and the waiter does not know yet. */
TEST(a_cancelled_wait_whose_directory_is_gone_leaks_nothing)
{
    struct fifos fifos;
    pthread_t thread;
    char command[200];
    fifos_begin(&fifos);
    struct opening opening = {.fifos = &fifos, .timeout_ms = -1};
    begin(&opening, &thread);
    await_name(&fifos);
    snprintf(command, sizeof command, "rm -rf '%s'", fifos.directory);
    assert_int_equal(system(command), 0);
    pthread_cancel(thread);
    assert_true(end(thread));
    mkdir(fifos.directory, 0700); /* or it was made anew by then */
    fifos_end(&fifos);
}

/* --- In other waits -------------------------------------------------------------------------- */

static int stop_before_the_commit(void *arg)
{
    struct fifos *fifos = arg;
    await_name(fifos);
    return fifos_stop_before_commit(fifos);
}

struct claim {
    pid_t claimer;
    int status; /* once it has stopped */
};

static bool await_claim(void *context)
{
    struct claim *claim = context;
    if (claim->status == 0)
        assert_int_equal(waitpid(claim->claimer, &claim->status, WUNTRACED), claim->claimer);
    return false;
}

/* Its time is up, it is claimed at that moment, and waits for the commit. */
static void cancel_in_the_grace(struct fifos *fifos, unsigned long call)
{
    struct opening opening = {.fifos = fifos, .timeout_ms = 20, .armed = true};
    pthread_t thread;
    /* First: it shares no descriptors. */
    struct claim claim = {harness_fork(stop_before_the_commit, fifos), 0};
    fault_reset();
    fault_frozen_time();
    fault_before_wait(await_claim, &claim);
    fault_cancel_at(call, false);
    begin(&opening, &thread);
    assert_true(end(thread));
    assert_true(WIFSTOPPED(claim.status));
    assert_true(fault_calls(CALL_poll) >= 2);
    kill(claim.claimer, SIGCONT);
    assert_int_equal(harness_wait(claim.claimer), ETIMEDOUT); /* it finds the door closed */
    fifos_assert_empty(fifos);
}

TEST(cancelled_while_waiting_for_a_commit_the_claimer_tries_again)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    unsigned long wait = cancel_at_each_call(&fifos, false);
    for (unsigned long call = wait + 1; call <= wait + 3; call++)
        cancel_in_the_grace(&fifos, call);
    fifos_end(&fifos);
}

TEST(cancelled_in_the_pause_after_lost_rounds_it_leaks_nothing)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    struct opening opening = {.fifos = &fifos, .timeout_ms = FIFOS_LONG_MS, .armed = true};
    fault_reset();
    fault_fail(CALL_renameat, 1, FAULT_FOREVER, ENOTEMPTY); /* others are faster */
    fault_cancel_at(1, false);
    assert_true(run(&opening));
    assert_true(fault_calls(CALL_renameat) > 1);
    fifos_end(&fifos);
}

/* --- Not where there is no wait -------------------------------------------------------------- */

TEST(a_rendezvous_without_a_wait_is_not_a_cancellation_point)
{
    struct fifos fifos;
    unsigned long call = 0;
    fifos_begin(&fifos);
    do {
        struct opening opening = {
            .fifos = &fifos, .timeout_ms = FIFOS_LONG_MS * (int)(call % 2), .armed = true};
        pid_t waiter = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
        fifos_await_offer(&fifos, "x");
        fault_reset();
        fault_cancel_at(++call, false);
        assert_false(run(&opening));
        assert_non_null(opening.pipe);
        assert_int_equal(fifos_introduce(opening.pipe), 0);
        assert_int_equal(harness_wait(waiter), 0);
    } while (fault_cancelled());
    assert_true(call > 20);
    fifos_end(&fifos);
}

TEST(without_a_wait_and_a_peer_it_returns_eagain_when_cancelled)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    struct opening opening = {.fifos = &fifos, .timeout_ms = 0, .armed = true};
    fault_reset();
    fault_cancel_at(1, false);
    assert_false(run(&opening));
    assert_null(opening.pipe);
    assert_int_equal(opening.error, EAGAIN);
    fifos_end(&fifos);
}

TEST(with_cancellation_disabled_the_wait_continues)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    struct opening opening = {
        .fifos = &fifos, .timeout_ms = 50, .armed = true, .uncancelable = true};
    fault_reset();
    fault_cancel_at(1, false);
    assert_false(run(&opening));
    assert_int_equal(opening.error, ETIMEDOUT);
    fifos_end(&fifos);
}

/* --- At any moment --------------------------------------------------------------------------- */

static void pause_below(long nanoseconds)
{
    nanosleep(&(struct timespec){0, (long)harness_random_below((size_t)nanoseconds)}, NULL);
}

static int come_some_time(void *arg)
{
    pause_below(1000000);
    return fifos_call(arg, "x", 20);
}

/*
 * Either it was cancelled, or it has met the caller, who then sees nothing but an end in that very
 * moment.
 */
static bool cancel_while_somebody_comes(struct fifos *fifos)
{
    struct opening opening = {.fifos = fifos, .timeout_ms = -1};
    pthread_t thread;
    pid_t caller = harness_fork(come_some_time, fifos);
    begin(&opening, &thread);
    pause_below(1000000);
    pthread_cancel(thread);
    bool is_cancelled = end(thread);
    if (!is_cancelled) {
        assert_non_null(opening.pipe);
        assert_int_equal(fifos_introduce(opening.pipe), 0);
        assert_int_equal(harness_wait(caller), 0);
    } else {
        int result = harness_wait(caller);
        if (result != ETIMEDOUT)
            assert_in_range(result, 200, 204);
    }
    fifos_assert_empty(fifos);
    harness_assert_nothing_left();
    return is_cancelled;
}

TEST(cancelled_at_any_moment_it_has_connected_or_has_not)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    int cancelled = 0, rounds = 300 / harness_scale();
    for (int i = 0; i < rounds; i++)
        cancelled += cancel_while_somebody_comes(&fifos);
    print_message("%d were cancelled, %d had met\n", cancelled, rounds - cancelled);
    fifos_end(&fifos);
}

HARNESS_MAIN("FIFOs, cancel", IT(a_cancelled_wait_removes_its_files_and_frees_the_name),
             IT(cancelled_before_any_call_it_ends_at_the_wait_and_leaks_nothing),
             IT(a_cancelled_wait_whose_directory_is_gone_leaks_nothing),
             IT(cancelled_while_waiting_for_a_commit_the_claimer_tries_again),
             IT(cancelled_in_the_pause_after_lost_rounds_it_leaks_nothing),
             IT(a_rendezvous_without_a_wait_is_not_a_cancellation_point),
             IT(without_a_wait_and_a_peer_it_returns_eagain_when_cancelled),
             IT(with_cancellation_disabled_the_wait_continues),
             IT(cancelled_at_any_moment_it_has_connected_or_has_not))
