/* SPDX-License-Identifier: MIT */
/*
 * Each system call of a meeting fails in turn, in both roles: an errno, nothing left open, nothing in
 * the way of the next two.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fifos.h"
#include "sys_double.h"

static bool is_left_out(void)
{
    return harness_random_below((size_t)harness_scale()) != 0;
}

static void assert_plausible(int result)
{
    /* 200 and more: met, and then the other failed; or what a failing call said, or time. */
    if (result == 0 || result >= 200 || result == EAGAIN || result == ETIMEDOUT)
        return;
    if (!sys_double_gave(result))
        fail_msg("%s, after %s", strerror(result), sys_double_story());
}

static int come_armed(struct fifos *fifos, int timeout_ms)
{
    int before = harness_open_descriptors();
    sys_double_arm();
    pipc_t *pipe = pipc_open_fifo("x", timeout_ms, &fifos->options);
    int error = pipe == NULL ? errno : 0;
    sys_double_disarm();
    pipc_close(pipe);
    assert_int_equal(sys_double_bad_closes(), 0);
    assert_int_equal(harness_open_descriptors(), before);
    return error;
}

static void order(unsigned long nth, unsigned long more, unsigned which)
{
    sys_double_reset();
    sys_double_fail_plausibly(nth, more, which);
}

/* --- Nobody comes ---------------------------------------------------------------------------------- */

/* What could not be removed is removed by the next, once this process is dead, and so here by hand. */
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
    while (sys_double_failed() != CALL_NONE && ++which < sys_double_errors(sys_double_failed()));
    return sys_double_calls(CALL_ANY) >= nth || sys_double_failed() != CALL_NONE;
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
    fifos_assert_two_meet(&fifos, "x");
    fifos_end(&fifos);
}

TEST(a_wait_in_which_any_call_fails_ends_with_its_errno)
{
    sweep(0, wait_with_fault);
    sweep(SYS_DOUBLE_FOR_GOOD, wait_with_fault);
}

/* --- Somebody waits ---------------------------------------------------------------------------------- */

static void claim_with_fault(struct fifos *fifos, unsigned long nth, unsigned long more,
                             unsigned which)
{
    pid_t waiter = fifos_fork_comer(fifos, "x", FIFOS_LONG_MS);
    fifos_await_offer(fifos, "x");
    order(nth, more, which);
    int error = come_armed(fifos, 0);
    assert_plausible(error);
    if (error != 0 && fifos_come(fifos, "x", 100 * harness_scale()) == 0) {
        assert_int_equal(harness_wait(waiter), 0);
        return;
    }
    assert_in_range(harness_wait(waiter), 200, 204); /* it has met, and was told of the end */
}

TEST(a_claim_in_which_any_call_fails_leaves_the_waiter_waiting)
{
    sweep(0, claim_with_fault);
    sweep(SYS_DOUBLE_FOR_GOOD, claim_with_fault);
}

/* --- Real limits --------------------------------------------------------------------------------------- */

TEST(out_of_descriptors_at_any_step_is_emfile_and_leaves_nothing)
{
    struct fifos fifos;
    struct rlimit before, limit;
    fifos_begin(&fifos);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int error = EMFILE;
    for (rlim_t room = 0; error == EMFILE; room++) {
        limit = before;
        limit.rlim_cur = (rlim_t)harness_open_descriptors() + room;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        pipc_t *pipe = pipc_open_fifo("x", 1, &fifos.options);
        error = errno;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_null(pipe);
        fifos_assert_empty(&fifos);
    }
    assert_int_equal(error, ETIMEDOUT);
    fifos_end(&fifos);
}

HARNESS_MAIN("FIFOs, faults", IT_WITHIN(a_wait_in_which_any_call_fails_ends_with_its_errno, 40000),
             IT_WITHIN(a_claim_in_which_any_call_fails_leaves_the_waiter_waiting, 60000),
             IT(out_of_descriptors_at_any_step_is_emfile_and_leaves_nothing))
