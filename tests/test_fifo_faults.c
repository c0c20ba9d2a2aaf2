/* SPDX-License-Identifier: MIT */
/*
 * Each system call of a rendezvous fails in turn, in both roles. The call returns an errno, leaks
 * nothing, and the next two callers connect.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"
#include "fifos.h"

static bool is_left_out(void)
{
    return harness_random_below((size_t)harness_scale()) != 0;
}

static void assert_plausible(int result)
{
    /* 200 and more: met, and then the other failed; or what a failing call said, or time. */
    if (result == 0 || result >= 200 || result == EAGAIN || result == ETIMEDOUT)
        return;
    if (!fault_injected(result) && result != fault_error())
        fail_msg("%s, after %s", strerror(result), fault_summary());
}

static int come_armed(struct fifos *fifos, int timeout_ms)
{
    int before = harness_open_descriptors();
    fault_arm();
    pipc_t *pipe = pipc_open_fifo("x", timeout_ms, &fifos->options);
    int error = pipe == NULL ? errno : 0;
    fault_disarm();
    pipc_close(pipe);
    assert_int_equal(fault_bad_closes(), 0);
    assert_int_equal(harness_open_descriptors(), before);
    return error;
}

static void order(unsigned long nth, unsigned long more, unsigned which)
{
    fault_reset();
    fault_fail_plausibly(nth, more, which);
}

/* --- Without a peer --------------------------------------------------------------------------- */

/* What could not be removed is removed by the next, once this process is dead, and so here by
 * hand. */
static void remove_private(const struct fifos *fifos)
{
    char command[200];
    if (fifos_count(fifos) == 0)
        return;
    snprintf(command, sizeof command, "rm -rf '%s'/.pipc-*", fifos->directory);
    assert_int_equal(system(command), 0);
}

static void wait_with_fault(struct fifos *fifos, unsigned long nth, unsigned long more,
                            unsigned which)
{
    order(nth, more, which);
    int error = come_armed(fifos, 2);
    assert_int_not_equal(error, 0);
    assert_plausible(error);
    remove_private(fifos);
}

static bool sweep_place(struct fifos *fifos, unsigned long nth, unsigned long more,
                        void (*run)(struct fifos *, unsigned long, unsigned long, unsigned))
{
    unsigned which = 0;
    do
        if (nth == 1 || !is_left_out())
            run(fifos, nth, more, which);
    while (fault_failed() != CALL_NONE && ++which < fault_errors(fault_failed()));
    return fault_calls(CALL_ANY) >= nth || fault_failed() != CALL_NONE;
}

static void sweep(unsigned long more,
                  void (*run)(struct fifos *, unsigned long, unsigned long, unsigned))
{
    struct fifos fifos;
    fifos_begin(&fifos);
    unsigned long nth = 1;
    while (sweep_place(&fifos, nth, more, run))
        nth++;
    assert_true(nth > 20);
    fifos_assert_two_connect(&fifos, "x");
    fifos_end(&fifos);
}

TEST(a_wait_in_which_any_system_call_fails_returns_its_errno)
{
    sweep(0, wait_with_fault);
    sweep(FAULT_FOREVER, wait_with_fault);
}

/* Long enough to look after its offer, by a clock that runs by itself. */
static void wait_long_with_fault(struct fifos *fifos, unsigned long nth, unsigned long more,
                                 unsigned which)
{
    order(nth, more, which);
    fault_virtual_time();
    int error = come_armed(fifos, 1600);
    assert_int_not_equal(error, 0);
    assert_plausible(error);
    remove_private(fifos);
}

TEST(a_long_wait_in_which_any_call_fails_returns_its_errno_or_continues)
{
    sweep(0, wait_long_with_fault);
    sweep(FAULT_FOREVER, wait_long_with_fault);
}

/* The first of those fstatat that look for what was deleted. */
static unsigned long find_first_look(struct fifos *fifos)
{
    enum { REMOVALS = 3 };
    fault_reset();
    fault_virtual_time();
    assert_int_equal(come_armed(fifos, 1), ETIMEDOUT);
    return fault_calls(CALL_fstatat) - REMOVALS + 1;
}

/* What it looks for seems to be deleted, and it begins again. */
static int wait_and_begin_again(struct fifos *fifos, unsigned long look)
{
    fault_fail(CALL_fstatat, look, 0, ENOENT);
    fault_virtual_time();
    return come_armed(fifos, 1600);
}

TEST(a_restarted_wait_in_which_any_call_fails_leaks_nothing)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    unsigned long look = find_first_look(&fifos);
    fault_reset();
    assert_int_equal(wait_and_begin_again(&fifos, look), ETIMEDOUT);
    assert_int_equal(fault_calls(CALL_mkdirat), 2);
    unsigned long calls = fault_calls(CALL_ANY);
    for (unsigned long nth = 1; nth <= calls; nth++)
        for (unsigned which = 0; which < 5 && !is_left_out(); which++) {
            order(nth, 0, which);
            assert_plausible(wait_and_begin_again(&fifos, look));
            remove_private(&fifos);
        }
    fifos_assert_two_connect(&fifos, "x");
    fifos_end(&fifos);
}

/* --- With a waiting peer ---------------------------------------------------------------------- */

static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid != 0;
}

static void claim_with_fault(struct fifos *fifos, unsigned long nth, unsigned long more,
                             unsigned which)
{
    pid_t waiter = fifos_fork_caller(fifos, "x", FIFOS_LONG_MS);
    fifos_await_offer(fifos, "x");
    order(nth, more, which);
    int error = come_armed(fifos, 0);
    assert_plausible(error);
    bool met = false;
    while (error != 0 && !met && !has_ended(waiter))
        met = fifos_call(fifos, "x", 20) == 0;
    int heard = harness_wait(waiter);
    if (met)
        assert_int_equal(heard, 0);
    else /* it has connected to the failed caller, and got the end */
        assert_in_range(heard, 200, 204);
}

TEST(a_claim_in_which_any_call_fails_does_not_affect_the_waiter)
{
    sweep(0, claim_with_fault);
    sweep(FAULT_FOREVER, claim_with_fault);
}

/* A shortage shows before the claim: no claimer connects to the waiter and then leaves. */
TEST(without_memory_it_returns_enomem_and_does_not_affect_the_waiter)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    int error = ENOMEM;
    for (unsigned long nth = 1; error == ENOMEM; nth++) {
        pid_t waiter = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
        fifos_await_offer(&fifos, "x");
        fault_reset();
        fault_fail(CALL_malloc, nth, FAULT_FOREVER, ENOMEM);
        error = come_armed(&fifos, 0);
        assert_true(nth > 2 || error == ENOMEM);
        if (error == ENOMEM)
            assert_int_equal(fifos_call(&fifos, "x", 0), 0);
        int heard = harness_wait(waiter);
        assert_true(error == ENOMEM ? heard == 0 : heard >= 200);
    }
    assert_int_equal(error, 0);
    fifos_end(&fifos);
}

/* --- Real limits ------------------------------------------------------------------------------ */

TEST(a_lack_of_descriptors_at_any_step_returns_emfile_and_leaks_nothing)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    int error = EMFILE;
    for (rlim_t room = 0; error == EMFILE; room++) {
        rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)harness_open_descriptors() + room);
        pipc_t *pipe = pipc_open_fifo("x", 1, &fifos.options);
        error = errno;
        harness_limit(RLIMIT_NOFILE, before);
        assert_null(pipe);
        fifos_assert_empty(&fifos);
    }
    assert_int_equal(error, ETIMEDOUT);
    fifos_end(&fifos);
}

HARNESS_MAIN("FIFOs, faults",
             IT_WITHIN(a_wait_in_which_any_system_call_fails_returns_its_errno, 120000),
             IT_WITHIN(a_long_wait_in_which_any_call_fails_returns_its_errno_or_continues, 120000),
             IT_WITHIN(a_restarted_wait_in_which_any_call_fails_leaks_nothing, 120000),
             IT_WITHIN(a_claim_in_which_any_call_fails_does_not_affect_the_waiter, 120000),
             IT(without_memory_it_returns_enomem_and_does_not_affect_the_waiter),
             IT(a_lack_of_descriptors_at_any_step_returns_emfile_and_leaks_nothing))
