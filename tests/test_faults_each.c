/* SPDX-License-Identifier: MIT */
/*
 * Each call of the library to the system fails in turn, once and forever, with each possible
 * error, alone and in pairs, through the whole scenario (scenario.h), which checks the results.
 */
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fault.h"
#include "harness.h"
#include "platform.h"
#include "scenario.h"

static char name[200];

static void describe(const struct kind *kind, unsigned long nth, unsigned long more, unsigned which)
{
    snprintf(name, sizeof name, "%s: armed call %lu fails %s, error %u", kind->name, nth,
             more > 0 ? "for good" : "once", which);
    scenario_name(name);
}

/*
 * Where there is no eventfd a doorbell is a pipe, with one byte at most. The kernel refuses that
 * only when it has no page left; fault injection cannot tell it from the pipes of messages.
 */
static void skip_doorbells_of_pipes(const struct kind *kind)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    if ((fd < 0 || !platform_has(PLATFORM_LINUX_CALLS)) && kind->same_handle)
        harness_skip("skipped: without eventfd, doorbells are pipes");
    close(fd);
}

/* Under slow tools a sample of the cases, another one with each seed. */
static bool is_left_out(void)
{
    return harness_random_below((size_t)harness_scale()) != 0;
}

/* More memory than may be locked is a lack of memory, too. */
static int error_to_report(void)
{
    bool is_locked = fault_failed() == CALL_mmap && fault_error() == EAGAIN;
    return is_locked ? ENOMEM : fault_error();
}

static struct scenario_result run_once(const struct kind *kind,
                                       struct scenario_result (*run)(const struct kind *kind),
                                       unsigned long nth, unsigned long more, unsigned which)
{
    describe(kind, nth, more, which);
    fault_reset();
    fault_virtual_time();
    if (nth > 0)
        fault_fail_plausibly(nth, more, which);
    struct scenario_result result = run(kind);
    if (!result.opened && fault_failed() != CALL_NONE)
        assert_int_equal(result.error, error_to_report());
    return result;
}

static void assert_works(const struct kind *kind)
{
    struct scenario_result result = run_once(kind, scenario_run, 0, 0, 0);
    assert_true(result.opened);
    assert_true(result.complete);
}

/* The call at that place with each of its errors. */
static void sweep_place(const struct kind *kind,
                        struct scenario_result (*run)(const struct kind *kind), unsigned long nth,
                        unsigned long more)
{
    unsigned which = 0;
    do
        run_once(kind, run, nth, more, which);
    while (fault_failed() != CALL_NONE && ++which < fault_errors(fault_failed()));
}

static unsigned long calls_of(const struct kind *kind,
                              struct scenario_result (*run)(const struct kind *kind))
{
    run_once(kind, run, 0, 0, 0);
    return fault_calls(CALL_ANY);
}

static void sweep(const struct kind *kind, struct scenario_result (*run)(const struct kind *kind),
                  unsigned long more)
{
    unsigned long calls = calls_of(kind, run);
    assert_true(calls > 10);
    for (unsigned long nth = 1; nth <= calls; nth++)
        if (!is_left_out())
            sweep_place(kind, run, nth, more);
}

TEST_OF_KIND(without_faults_the_scenario_is_complete)
{
    assert_works(kind);
}

TEST_OF_KIND(any_system_call_may_fail_once)
{
    skip_doorbells_of_pipes(kind);
    sweep(kind, scenario_run, 0);
    assert_works(kind);
}

TEST_OF_KIND(any_system_call_may_fail_forever)
{
    skip_doorbells_of_pipes(kind);
    sweep(kind, scenario_run, FAULT_FOREVER);
    assert_works(kind);
}

TEST_OF_KIND(any_system_call_may_fail_with_PIPC_GATHER)
{
    scenario_flags(PIPC_GATHER);
    assert_works(kind);
    sweep(kind, scenario_run, 0);
    sweep(kind, scenario_run, FAULT_FOREVER);
    assert_works(kind);
}

/* --- The constructors ------------------------------------------------------------------------- */

TEST_OF_KIND(an_opening_that_fails_leaks_nothing)
{
    sweep(kind, scenario_open, 0);
    sweep(kind, scenario_open, FAULT_FOREVER);
}

static void order_pair(const struct kind *kind, unsigned long first, unsigned long second,
                       unsigned long more, unsigned which_first, unsigned which_second)
{
    snprintf(name, sizeof name, "%s: armed calls %lu (error %u) and %lu (error %u, %lu more) fail",
             kind->name, first, which_first, second, which_second, more);
    scenario_name(name);
    fault_reset();
    fault_virtual_time();
    fault_fail_plausibly(first, 0, which_first);
    fault_fail_plausibly(second, more, which_second);
}

static void open_with_pair(const struct kind *kind, unsigned long first, unsigned long second)
{
    order_pair(kind, first, second, 0, 0, 0);
    struct scenario_result result = scenario_open(kind);
    if (result.opened)
        return;
    assert_true(fault_injected(result.error));
    if (fault_failures(CALL_close) > 0 &&
        fault_failures(CALL_read) == 0) /* clean-up does not hide what came first */
        assert_int_not_equal(result.error, EIO);
}

TEST_OF_KIND(an_opening_that_fails_twice_leaks_nothing)
{
    unsigned long calls = calls_of(kind, scenario_open);
    for (unsigned long first = 1; first <= calls; first++)
        for (unsigned long second = first + 1; second <= calls + 3; second++)
            if (!is_left_out())
                open_with_pair(kind, first, second);
}

/* --- Two and more ----------------------------------------------------------------------------- */

TEST_OF_KIND(any_two_system_calls_may_fail)
{
    skip_doorbells_of_pipes(kind);
    size_t calls = calls_of(kind, scenario_run);
    for (int i = 0; i < 400 / harness_scale() + 1; i++) {
        unsigned long first = 1 + harness_random_below(calls);
        unsigned long second = first + 1 + harness_random_below(i % 2 == 0 ? 5 : calls);
        order_pair(kind, first, second, harness_random_below(3), (unsigned)harness_random_below(7),
                   (unsigned)harness_random_below(7));
        scenario_run(kind);
    }
}

HARNESS_MAIN("faults, each", OVER(without_faults_the_scenario_is_complete, LOCAL_KINDS, 20000),
             OVER(an_opening_that_fails_leaks_nothing, LOCAL_KINDS, 20000),
             OVER(an_opening_that_fails_twice_leaks_nothing, LOCAL_KINDS, 60000),
             OVER(any_two_system_calls_may_fail, LOCAL_KINDS, 240000),
             OVER(any_system_call_may_fail_once, LOCAL_KINDS, 240000),
             OVER(any_system_call_may_fail_forever, LOCAL_KINDS, 240000),
             OVER(any_system_call_may_fail_with_PIPC_GATHER, LOCAL_TWO_HANDLE_KINDS, 240000),
             OVER(without_faults_the_scenario_is_complete, MOVING_KINDS, 20000),
             OVER(any_two_system_calls_may_fail, MOVING_KINDS, 240000),
             OVER(any_system_call_may_fail_once, MOVING_KINDS, 240000),
             OVER(any_system_call_may_fail_forever, MOVING_KINDS, 240000))
