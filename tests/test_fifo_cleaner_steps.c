/* SPDX-License-Identifier: MIT */
/*
 * Files of a rendezvous are deleted at each step: before each call of either caller, and while a
 * claimer is stopped inside its claim. The two still connect.
 */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "fault.h"
#include "fifos.h"
#include "platform.h"

/* --- At every step --------------------------------------------------------------------------- */

struct step {
    struct fifos fifos;
    unsigned long call; /* it stops before this one, of all that it makes */
    unsigned what;      /* is deleted then */
    pid_t stopped, other;
};

static int come_and_stop(void *arg)
{
    struct step *step = arg;
    fault_reset();
    fault_stop_at(CALL_ANY, step->call);
    fault_arm();
    pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &step->fifos.options);
    int error = errno;
    fault_disarm();
    return pipe == NULL ? error : fifos_introduce(pipe);
}

/* On the way to wait: whether it stops, and does not get so far as to wait. */
static bool stops_before_the_wait(const struct step *step)
{
    siginfo_t info = {0};
    while (info.si_pid == 0) {
        assert_int_equal(
            waitid(P_PID, (id_t)step->stopped, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT), 0);
        if (info.si_pid == 0 && fifos_is_offered(&step->fifos))
            return false;
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    return true;
}

/* One comes, and is stopped. Things are deleted, it goes on, and another comes. */
static bool clean_on_the_way_to_wait(struct step *step)
{
    step->stopped = harness_fork(come_and_stop, step);
    bool stops = stops_before_the_wait(step);
    if (!stops) { /* it may still do so, and before the wait there is nothing left to try */
        kill(step->stopped, SIGKILL);
        assert_int_equal(harness_wait(step->stopped), -SIGKILL);
        step->stopped = fifos_fork_caller(&step->fifos, "x", FIFOS_LONG_MS);
    }
    fifos_clean(&step->fifos, step->what);
    kill(step->stopped, SIGCONT);
    step->other = fifos_fork_caller(&step->fifos, "x", FIFOS_LONG_MS);
    return stops;
}

/* One waits, and the other is stopped on its way to claim it. */
static bool clean_in_the_claim(struct step *step)
{
    step->other = fifos_fork_caller(&step->fifos, "x", FIFOS_LONG_MS);
    fifos_await_whole_offer(&step->fifos);
    step->stopped = harness_fork(come_and_stop, step);
    bool stops = fifos_has_stopped(step->stopped);
    fifos_clean(&step->fifos, step->what);
    kill(step->stopped, stops ? SIGCONT : 0);
    return stops;
}

static void end_step(struct step *step)
{
    int first = harness_wait(step->stopped), second = harness_wait(step->other);
    if (first != 0 || second != 0)
        fail_msg("without %#x at call %lu: %d and %d", step->what, step->call, first, second);
    mkdir(step->fifos.directory, 0700); /* it may have been deleted when both had met */
    fifos_end(&step->fifos);
}

/* Each may take a second, so some are tried together. Returns how many calls there are. */
static unsigned long clean_at_each_step(bool (*try_step)(struct step *step))
{
    static const unsigned whats[] = {FIFOS_DOOR,
                                     FIFOS_IN,
                                     FIFOS_OUT,
                                     FIFOS_DOOR | FIFOS_IN | FIFOS_OUT,
                                     FIFOS_ALL & ~(unsigned)FIFOS_HOME,
                                     FIFOS_ALL};
    enum { KINDS = sizeof whats / sizeof whats[0], TOGETHER = 6 * KINDS };
    static struct step steps[TOGETHER];
    unsigned long call = 0;
    for (bool stops = true; stops;) {
        for (int i = 0; i < TOGETHER; i++) {
            steps[i] = (struct step){.call = call + 1 + (unsigned long)i / KINDS,
                                     .what = whats[i % KINDS]};
            fifos_begin(&steps[i].fifos);
            stops = try_step(&steps[i]);
        }
        for (int i = 0; i < TOGETHER; i++)
            end_step(&steps[i]);
        call += TOGETHER / KINDS;
    }
    return call;
}

TEST(a_deletion_before_any_call_of_a_waiter_does_not_prevent_a_connection)
{
    assert_true(clean_at_each_step(clean_on_the_way_to_wait) > 20);
}

TEST(a_deletion_before_any_call_of_a_claim_does_not_prevent_a_connection)
{
    assert_true(clean_at_each_step(clean_in_the_claim) > 20);
}

/* --- While one is claimed -------------------------------------------------------------------- */

/* Before its commit, or one of the names' removals that come first. */
static int stop_in_the_claim(void *arg)
{
    struct step *step = arg;
    fault_reset();
    fault_stop_at(step->call > 4 ? PLATFORM_FIFO_WRITE : CALL_unlinkat,
                  step->call > 4 ? 1 : step->call);
    fault_arm();
    pipc_t *pipe = pipc_open_fifo("x", 100, &step->fifos.options);
    int error = errno;
    fault_disarm();
    pipc_close(pipe);
    return pipe == NULL ? error : 0;
}

/* Its claimer is stopped: it connects to another, and the claimer sees it when it continues. */
static void clean_while_claimed(unsigned long call)
{
    static struct step steps[FIFOS_SUBSETS];
    pid_t third[FIFOS_SUBSETS];
    for (unsigned i = 0; i < FIFOS_SUBSETS; i++) {
        struct step *step = &steps[i];
        *step = (struct step){.call = call, .what = i};
        fifos_begin(&step->fifos);
        step->other = fifos_fork_caller(&step->fifos, "x", FIFOS_LONG_MS);
        fifos_await_whole_offer(&step->fifos);
        step->stopped = harness_fork(stop_in_the_claim, step);
        assert_true(fifos_has_stopped(step->stopped));
        fifos_clean(&step->fifos, i);
        third[i] = fifos_fork_caller(&step->fifos, "x", FIFOS_LONG_MS);
    }
    for (unsigned i = 0; i < FIFOS_SUBSETS; i++) {
        assert_int_equal(harness_wait(steps[i].other), 0);
        assert_int_equal(harness_wait(third[i]), 0);
        kill(steps[i].stopped, SIGCONT);
        assert_int_equal(harness_wait(steps[i].stopped), ETIMEDOUT);
        fifos_end(&steps[i].fifos);
    }
}

TEST(a_deletion_while_a_claimer_is_stopped_does_not_prevent_a_connection)
{
    for (unsigned long call = 2; call <= 5; call++)
        clean_while_claimed(call);
}

HARNESS_MAIN("FIFOs, cleaner, steps",
             IT_WITHIN(a_deletion_before_any_call_of_a_waiter_does_not_prevent_a_connection,
                       120000),
             IT_WITHIN(a_deletion_before_any_call_of_a_claim_does_not_prevent_a_connection, 120000),
             IT_WITHIN(a_deletion_while_a_claimer_is_stopped_does_not_prevent_a_connection, 120000))
