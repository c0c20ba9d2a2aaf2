/* SPDX-License-Identifier: MIT */
/*
 * An anonymous pipe after a peer has died or closed. What the peer wrote before can still be read;
 * then every call fails with the same errno, in every process, forever. A peer that disconnected,
 * or never took an end, is not reported dead.
 */
#include "anonymous.h"

#include <signal.h>
#include <sys/wait.h>

enum { LARGE = 1 << 20 };

/* Dead in both directions, by whichever call, each time. */
static void expect_dead(pipc_t *pipe, int code)
{
    pipc_msg_t message;
    int fd = pipc_fd(pipe);
    for (int i = 0; i < 2; i++) {
        hear_the_end(pipe, code);
        assert_errno(pipc_read_msg(pipe, &message), code);
        assert_errno(pipc_read_pending(pipe, &message, 1), code);
        assert_errno(pipc_peek(pipe, &message), code);
        assert_errno(pipc_skip(pipe), code);
        expect_no_reader(pipe, code);
        assert_int_equal(pipc_pending(pipe), 0);
        assert_int_equal(pipc_flush(pipe), 0);
        assert_int_equal(pipc_fd(pipe), fd);
    }
}

/* Nor can it be written to in any other way. */
static void expect_no_way_to_write(pipc_t *pipe)
{
    struct iovec part = {"x", 1};
    for (int i = 0; i < 2; i++) {
        assert_errno(pipc_write(pipe, "x", 1), EPIPE);
        assert_errno(pipc_writev(pipe, &part, 1), EPIPE);
        assert_errno(pipc_write_batch(pipe, &part, 1), EPIPE);
        assert_errno(pipc_disconnect(pipe, NULL), EPIPE);
    }
}

/* --- What came before ------------------------------------------------------------------------ */

static void write_a_hundred_and_die(pipc_t *pipe)
{
    for (int i = 0; i < 100; i++)
        say_number(pipe, i);
}

TEST_OF_KIND(messages_written_before_a_death_are_delivered_first)
{
    pipc_t *pipe = open_anonymous();
    side_play(kind, pipe, write_a_hundred_and_die);
    for (int i = 0; i < 100; i++)
        assert_int_equal(hear_number(pipe), i);
    expect_no_way_to_write(pipe);
    expect_dead(pipe, EPIPE);
    pipc_close(pipe);
}

TEST_OF_KIND(messages_received_before_a_death_are_delivered_first)
{
    pipc_t *pipe = open_anonymous();
    int fd = pipc_fd(pipe);
    side_play(kind, pipe, write_a_hundred_and_die);
    assert_int_equal(pipc_flush(pipe), 100);
    assert_errno(pipc_write(pipe, "x", 1), EPIPE);
    for (int i = 0; i < 100; i++) {
        assert_true(harness_readable(fd, 0));
        assert_int_equal(pipc_pending(pipe), 100 - i);
        assert_int_equal(hear_number(pipe), i);
    }
    expect_dead(pipe, EPIPE);
    pipc_close(pipe);
}

static void write_one_and_a_half_and_die(pipc_t *pipe)
{
    say(pipe, "whole");
    set_timeouts(pipe, -1, 0);
    say_large(pipe, LARGE, 1);
}

TEST_OF_KIND(complete_messages_are_delivered_and_an_incomplete_one_is_dropped)
{
    pipc_t *pipe = open_anonymous();
    side_play(kind, pipe, write_one_and_a_half_and_die);
    hear(pipe, "whole");
    expect_dead(pipe, ECONNRESET);
    pipc_close(pipe);
}

static void close_with_output_held(pipc_t *pipe)
{
    write_one_and_a_half_and_die(pipe);
    pipc_close(pipe);
}

TEST_OF_KIND(a_close_cuts_off_held_output)
{
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipc_pending(pipe), 0);
    side_play(kind, pipe, close_with_output_held);
    hear(pipe, "whole");
    expect_dead(pipe, ECONNRESET);
    pipc_close(pipe);
}

static void write_a_hundred_and_close(pipc_t *pipe)
{
    write_a_hundred_and_die(pipe);
    pipc_close(pipe);
}

TEST_OF_KIND(a_closed_peer_is_reported_after_its_messages)
{
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipc_pending(pipe), 0);
    side_play(kind, pipe, write_a_hundred_and_close);
    for (int i = 0; i < 100; i++)
        assert_int_equal(hear_number(pipe), i);
    expect_no_way_to_write(pipe);
    expect_dead(pipe, EPIPE);
    pipc_close(pipe);
}

TEST_OF_KIND(held_output_is_dropped_when_the_peer_has_died)
{
    pipc_t *pipe = open_anonymous();
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_pending(pipe), 0);
    set_timeouts(pipe, -1, 0);
    say_large(pipe, LARGE, 1);
    side_play(kind, pipe, write_a_hundred_and_die);
    set_timeouts(pipe, -1, -1);
    assert_int_equal(pipc_flush(pipe), 100);
    assert_errno(pipc_write(pipe, "x", 1), EPIPE);
    assert_int_equal(hear_number(pipe), 0);
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    pipc_close(pipe);
}

/* --- First use after a death ----------------------------------------------------------------- */

static void take_an_end_and_die(pipc_t *pipe)
{
    assert_int_equal(pipc_pending(pipe), 0);
}

static void first_use_is_a_read(pipc_t *pipe)
{
    hear_the_end(pipe, EPIPE);
}

static void first_use_is_a_write(pipc_t *pipe)
{
    assert_errno(pipc_write(pipe, "x", 1), EPIPE);
}

static void first_use_is_poll(pipc_t *pipe)
{
    assert_true(harness_readable(pipc_fd(pipe), SIDES_NOTICE_MS));
    hear_the_end(pipe, EPIPE);
}

static void (*const first_uses[])(pipc_t *) = {first_use_is_a_read, first_use_is_a_write,
                                               first_use_is_poll};
enum { FIRST_USES = sizeof first_uses / sizeof first_uses[0] };

TEST_OF_KIND(the_first_call_reports_a_peer_that_has_died)
{
    for (int i = 0; i < FIRST_USES; i++) {
        pipc_t *pipe = open_anonymous();
        side_play(kind, pipe, take_an_end_and_die);
        first_uses[i](pipe);
        expect_dead(pipe, EPIPE);
        pipc_close(pipe);
    }
}

TEST(a_zombie_peer_counts_as_dead)
{
    for (int i = 0; i < FIRST_USES; i++) {
        siginfo_t info;
        struct side far;
        pipc_t *pipe = open_anonymous();
        side_start(&far, anonymous_forked, pipe, take_an_end_and_die);
        assert_int_equal(waitid(P_PID, (id_t)far.pid, &info, WEXITED | WNOWAIT), 0);
        first_uses[i](pipe);
        expect_dead(pipe, EPIPE);
        side_end(&far);
        pipc_close(pipe);
    }
}

static void never_use_it(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
}

static void answer(pipc_t *pipe)
{
    hear(pipe, "question");
    say(pipe, "answer");
    leave(pipe, NULL);
}

TEST_OF_KIND(a_caller_that_ends_before_its_first_call_is_not_a_peer)
{
    pipc_t *pipe = open_anonymous();
    char byte;
    for (int i = 0; i < 3; i++)
        side_play(kind, pipe, never_use_it);
    set_timeouts(pipe, 30, -1);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    set_timeouts(pipe, -1, -1);
    say(pipe, "question");
    side_play(kind, pipe, answer);
    hear(pipe, "answer");
    pipc_close(pipe);
}

/* --- The next write -------------------------------------------------------------------------- */

static void die_when_told(pipc_t *pipe)
{
    say(pipe, "here");
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[0]);
}

static void do_nothing(pipc_t *pipe)
{
    (void)pipe;
}

static void have_read_in_vain(pipc_t *pipe)
{
    hear_nothing(pipe);
}

static void have_waited_in_vain(pipc_t *pipe)
{
    char byte;
    set_timeouts(pipe, 10, 10);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
}

static void have_polled(pipc_t *pipe)
{
    assert_false(harness_readable(pipc_fd(pipe), 0));
}

static void have_written(pipc_t *pipe)
{
    for (int i = 0; i < 1000; i++)
        say(pipe, "x");
}

static void have_a_full_pipe(pipc_t *pipe)
{
    fill_up(pipe, 1000);
}

static void (*const pasts[])(pipc_t *) = {do_nothing,  have_read_in_vain, have_waited_in_vain,
                                          have_polled, have_written,      have_a_full_pipe};
enum { PASTS = sizeof pasts / sizeof pasts[0] };

TEST_OF_KIND(a_write_fails_after_waitpid_returned_the_dead_peer)
{
    if (!kind->in_threads)
        harness_skip_without_proc(); /* a process is looked for once a millisecond */
    gates_init();
    for (int round = 0; round < 10 * PASTS; round++) {
        pipc_t *pipe = open_anonymous();
        struct side far;
        side_start(&far, kind, pipe, die_when_told);
        hear(pipe, "here");
        pasts[round % PASTS](pipe);
        harness_gate_open(&gate[0]);
        side_end(&far);
        assert_errno(pipc_write(pipe, "x", 1), EPIPE);
        expect_dead(pipe, EPIPE);
        pipc_close(pipe);
    }
    gates_close();
}

/* --- For everybody --------------------------------------------------------------------------- */

static void be_told_of_the_death(pipc_t *pipe)
{
    char byte;
    assert_errno(pipc_read(pipe, &byte, 1), EPIPE);
    assert_errno(pipc_write(pipe, "x", 1), EPIPE);
}

TEST_OF_KIND(new_callers_get_an_error_on_a_dead_pipe)
{
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipc_pending(pipe), 0);
    side_play(kind, pipe, take_an_end_and_die);
    side_play(anonymous_in_threads, pipe, be_told_of_the_death);
    side_play(anonymous_forked, pipe, be_told_of_the_death);
    expect_dead(pipe, EPIPE);
    side_play(anonymous_forked, pipe, be_told_of_the_death);
    pipc_close(pipe);
}

TEST_OF_KIND(new_callers_get_an_error_when_both_peers_have_died)
{
    pipc_t *pipe = open_anonymous();
    side_play(kind, pipe, take_an_end_and_die);
    side_play(kind, pipe, be_told_of_the_death);
    side_play(kind, pipe, be_told_of_the_death);
    be_told_of_the_death(pipe);
    pipc_close(pipe);
}

static void hear_and_be_told(pipc_t *pipe)
{
    hear(pipe, "here");
    be_told_of_the_death(pipe);
}

/* The test left its end before the death: the next holder reads what the dead peer wrote. */
TEST_OF_KIND(a_new_caller_reads_what_a_dead_peer_wrote)
{
    for (int comes_back = 0; comes_back < 2; comes_back++) {
        pipc_t *pipe = open_anonymous();
        struct side far;
        gates_init();
        assert_int_equal(pipc_pending(pipe), 0);
        side_start(&far, kind, pipe, die_when_told);
        harness_gate_wait(&gate[1]);
        leave(pipe, NULL);
        harness_gate_open(&gate[0]);
        side_end(&far);
        if (comes_back)
            hear_and_be_told(pipe);
        else
            side_play(kind, pipe, hear_and_be_told);
        pipc_close(pipe);
        gates_close();
    }
}

HARNESS_MAIN("anonymous dead",
             OVER_ANONYMOUS_KINDS(messages_written_before_a_death_are_delivered_first),
             OVER_ANONYMOUS_KINDS(messages_received_before_a_death_are_delivered_first),
             OVER_ANONYMOUS_KINDS(complete_messages_are_delivered_and_an_incomplete_one_is_dropped),
             OVER_ANONYMOUS_KINDS(a_close_cuts_off_held_output),
             OVER_ANONYMOUS_KINDS(a_closed_peer_is_reported_after_its_messages),
             OVER_ANONYMOUS_KINDS(held_output_is_dropped_when_the_peer_has_died),
             OVER_ANONYMOUS_KINDS(the_first_call_reports_a_peer_that_has_died),
             IT(a_zombie_peer_counts_as_dead),
             OVER_ANONYMOUS_KINDS(a_caller_that_ends_before_its_first_call_is_not_a_peer),
             OVER_ANONYMOUS_KINDS(a_write_fails_after_waitpid_returned_the_dead_peer),
             OVER_ANONYMOUS_KINDS(new_callers_get_an_error_on_a_dead_pipe),
             OVER_ANONYMOUS_KINDS(new_callers_get_an_error_when_both_peers_have_died),
             OVER_ANONYMOUS_KINDS(a_new_caller_reads_what_a_dead_peer_wrote))
