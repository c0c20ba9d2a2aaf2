/* SPDX-License-Identifier: MIT */
/*
 * Processes are killed or stopped at every step of a rendezvous. The next two callers connect, no
 * file is left, and the surviving caller is not misled.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "fifos.h"

struct victim {
    struct fifos *fifos;
    unsigned long call; /* it dies instead of making this call */
};

static int die_at_a_call(void *arg)
{
    struct victim *victim = arg;
    fault_reset();
    fault_die_at(victim->call);
    fault_arm();
    pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &victim->fifos->options);
    fault_disarm();
    pipc_close(pipe);
    return 0;
}

static pid_t fork_victim(struct fifos *fifos, unsigned long call)
{
    struct victim victim = {fifos, call};
    return harness_fork(die_at_a_call, &victim);
}

/* --- The one who waits ------------------------------------------------------------------------ */

/* Lets it die on its way to the wait, or, when it got there alive, kills it there. Whether it got
 * there. */
static bool kill_waiter(struct fifos *fifos, unsigned long call)
{
    pid_t victim = fork_victim(fifos, call);
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)victim, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0) {
        struct stat status;
        if (stat(fifos_path(fifos, "x/door"), &status) == 0) {
            nanosleep(&(struct timespec){0, 3000000}, NULL); /* it may still die by itself */
            waitid(P_PID, (id_t)victim, &info, WEXITED | WNOHANG | WNOWAIT);
            bool alive = info.si_pid == 0;
            kill(victim, SIGKILL);
            harness_wait(victim);
            return alive;
        }
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    assert_int_equal(harness_wait(victim), -SIGKILL);
    return false;
}

TEST(the_next_two_connect_after_a_waiter_was_killed_at_any_call)
{
    struct fifos fifos;
    unsigned long call = 0;
    fifos_begin(&fifos);
    bool waited;
    do {
        waited = kill_waiter(&fifos, ++call);
        fifos_assert_two_connect(&fifos, "x");
    } while (!waited);
    assert_true(call > 20);
    fifos_end(&fifos);
}

/* The waiter dies at each call that it makes once it has been claimed; its claimer has met it
 * then. */
TEST(the_next_two_connect_after_a_waiter_was_killed_after_its_wait)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    int status = -SIGKILL;
    for (unsigned long call = 20; status == -SIGKILL; call++) {
        pid_t victim = fork_victim(&fifos, call);
        siginfo_t info = {0};
        struct stat there;
        while (stat(fifos_path(&fifos, "x/door"), &there) != 0 && info.si_pid == 0)
            waitid(P_PID, (id_t)victim, &info, WEXITED | WNOHANG | WNOWAIT);
        int result = fifos_call(&fifos, "x", 10);
        assert_true(result == 200 || result == 201 || result == ETIMEDOUT);
        kill(victim, result == ETIMEDOUT ? SIGKILL : 0);
        status = harness_wait(victim);
        fifos_assert_two_connect(&fifos, "x");
    }
    fifos_end(&fifos);
}

/* --- The one who claims ----------------------------------------------------------------------- */

/* Another waits all the time, and is met by the third, unless the victim had committed before it
 * died. */
static int kill_claimer(struct fifos *fifos, unsigned long call, bool *was_connected)
{
    pid_t waiter = fifos_fork_caller(fifos, "x", FIFOS_LONG_MS);
    fifos_await_offer(fifos, "x");
    int status = harness_wait(fork_victim(fifos, call));
    int result = fifos_call(fifos, "x", 300 * harness_scale());
    *was_connected = result == 0;
    if (result != 0)
        assert_int_equal(result, ETIMEDOUT);
    int heard = harness_wait(waiter);
    if (*was_connected)
        assert_int_equal(heard, 0);
    else /* it has a pipe that reports its end */
        assert_in_range(heard, 200, 204);
    fifos_assert_empty(fifos);
    return status;
}

TEST(the_waiter_connects_to_the_next_after_a_claimer_was_killed)
{
    struct fifos fifos;
    unsigned long call = 0, late = 0;
    int status;
    fifos_begin(&fifos);
    do {
        bool was_connected;
        status = kill_claimer(&fifos, ++call, &was_connected);
        assert_true(was_connected || late > 0 || call > 20);
        late += !was_connected;
        fifos_assert_two_connect(&fifos, "x");
    } while (status == -SIGKILL);
    assert_int_equal(status, 0);
    assert_in_range(late, 1, 14); /* the calls after the commit: closing, and making a handle */
    fifos_end(&fifos);
}

/* A caller that finds only the files of dead waiters is killed as well. */
TEST(the_next_two_connect_after_a_caller_was_killed_cleaning_up)
{
    struct fifos fifos;
    unsigned long call = 0;
    fifos_begin(&fifos);
    bool waited;
    do {
        kill_waiter(&fifos, FAULT_FOREVER);
        kill_waiter(&fifos, 18);
        waited = kill_waiter(&fifos, ++call);
        fifos_assert_two_connect(&fifos, "x");
    } while (!waited);
    fifos_end(&fifos);
}

/* --- Stopped, not dead ------------------------------------------------------------------------ */

static int come(void *arg)
{
    struct fifos *fifos = arg;
    return fifos_call(fifos, "x", FIFOS_LONG_MS);
}

TEST(a_stopped_waiter_is_connected_and_answers_when_it_continues)
{
    struct fifos fifos;
    int status;
    fifos_begin(&fifos);
    pid_t waiter = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
    fifos_await_offer(&fifos, "x");
    kill(waiter, SIGSTOP);
    assert_int_equal(waitpid(waiter, &status, WUNTRACED), waiter);
    pid_t other = harness_fork(come, &fifos);
    while (fifos_count(&fifos) > 0)
        nanosleep(&(struct timespec){0, 200000}, NULL);
    fifos_assert_two_connect(&fifos, "x");
    kill(waiter, SIGCONT);
    assert_int_equal(harness_wait(waiter), 0);
    assert_int_equal(harness_wait(other), 0);
    fifos_end(&fifos);
}

static int stop_before_the_commit(void *arg)
{
    return fifos_stop_before_commit(arg);
}

/* Between its claim and its commit it delays others only briefly: the waiter gives it up. */
TEST(a_claimer_stopped_before_its_commit_blocks_no_other_caller)
{
    struct fifos fifos;
    int status;
    fifos_begin(&fifos);
    pid_t waiter = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
    fifos_await_offer(&fifos, "x");
    pid_t claimer = harness_fork(stop_before_the_commit, &fifos);
    assert_int_equal(waitpid(claimer, &status, WUNTRACED), claimer);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(fifos_call(&fifos, "x", FIFOS_LONG_MS), 0);
    assert_int_equal(harness_wait(waiter), 0);
    fifos_assert_two_connect(&fifos, "x");
    kill(claimer, SIGCONT);
    assert_int_equal(harness_wait(claimer), ETIMEDOUT);
    fifos_end(&fifos);
}

/* --- What the dead may have left, in any mixture ---------------------------------------------- */

static void make_files(struct fifos *fifos, const char *where, unsigned parts)
{
    static const char *const fifo[] = {"door", "in", "out"};
    char name[64];
    assert_int_equal(mkdir(fifos_path(fifos, where), 0700), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/%s", where, fifo[i]);
        if (parts & 1u << i)
            assert_int_equal(mkfifo(fifos_path(fifos, name), 0600), 0);
    }
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

TEST(stale_files_of_every_kind_are_removed)
{
    struct fifos fifos;
    char private_name[64];
    fifos_begin(&fifos);
    pid_t dead = harness_fork(do_nothing, NULL);
    harness_wait(dead);
    snprintf(private_name, sizeof private_name, ".pipc-%ld-1-0", (long)dead);
    for (unsigned parts = 0; parts < 8; parts++) {
        make_files(&fifos, "x", parts);
        make_files(&fifos, private_name, parts);
        fifos_assert_two_connect(&fifos, "x");
        make_files(&fifos, "x", parts);
        assert_null_errno(pipc_open_fifo("x", parts % 2 == 0 ? 0 : 1, &fifos.options),
                          parts % 2 == 0 ? EAGAIN : ETIMEDOUT);
        fifos_assert_empty(&fifos);
    }
    fifos_end(&fifos);
}

TEST(files_that_a_living_process_is_making_stay)
{
    struct fifos fifos;
    char private_name[64];
    fifos_begin(&fifos);
    snprintf(private_name, sizeof private_name, ".pipc-%ld-1-0", (long)getpid());
    for (unsigned parts = 0; parts < 8; parts++) {
        make_files(&fifos, private_name, parts);
        int made = fifos_count(&fifos);
        assert_null_errno(pipc_open_fifo("x", 0, &fifos.options), EAGAIN);
        assert_int_equal(fifos_count(&fifos), made);
        fifos_clean(&fifos, FIFOS_ALL & ~(unsigned)FIFOS_HOME);
    }
    fifos_end(&fifos);
}

TEST(the_death_of_a_peer_after_the_rendezvous_is_an_end)
{
    struct fifos fifos;
    char byte = 0;
    fifos_begin(&fifos);
    pid_t victim = fork_victim(&fifos, FAULT_FOREVER); /* opens, closes, ends */
    pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &fifos.options);
    assert_non_null(pipe);
    assert_errno(pipc_read(pipe, &byte, 1), EPIPE);
    assert_int_equal(harness_wait(victim), 0);
    assert_errno(pipc_write(pipe, &byte, 1), EPIPE);
    pipc_close(pipe);
    fifos_end(&fifos);
}

HARNESS_MAIN("FIFOs, death",
             IT_WITHIN(the_next_two_connect_after_a_waiter_was_killed_at_any_call, 120000),
             IT_WITHIN(the_next_two_connect_after_a_waiter_was_killed_after_its_wait, 120000),
             IT_WITHIN(the_waiter_connects_to_the_next_after_a_claimer_was_killed, 120000),
             IT_WITHIN(the_next_two_connect_after_a_caller_was_killed_cleaning_up, 120000),
             IT(a_stopped_waiter_is_connected_and_answers_when_it_continues),
             IT(a_claimer_stopped_before_its_commit_blocks_no_other_caller),
             IT(stale_files_of_every_kind_are_removed),
             IT(files_that_a_living_process_is_making_stay),
             IT(the_death_of_a_peer_after_the_rendezvous_is_an_end))
