/* SPDX-License-Identifier: MIT */
/*
 * An anonymous pipe where nobody can have a token, as without /proc: a holder in another process is
 * known by its process id alone.
 */
#include "anonymous.h"
#include "fault.h"
#include "platform.h"

static pipc_t *open_without_tokens(void)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    fault_reset();
    fault_fail(CALL_openat, 1, FAULT_FOREVER, ENOENT);
    fault_arm();
    return open_anonymous();
}

static void close_without_tokens(pipc_t *pipe)
{
    pipc_close(pipe);
    fault_disarm();
    fault_reset();
}

static void take_an_end_and_die(pipc_t *pipe)
{
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
}

static void be_told_of_the_death(pipc_t *pipe)
{
    char byte;
    for (int i = 0; i < 2; i++) {
        assert_errno(pipc_read(pipe, &byte, 1), EPIPE);
        assert_errno(pipc_write(pipe, "x", 1), EPIPE);
    }
}

static void find_both_ends_held(pipc_t *pipe)
{
    char byte;
    assert_errno(pipc_read(pipe, &byte, 1), EBUSY);
    assert_errno(pipc_write(pipe, "x", 1), EBUSY);
}

/* Whether the survivor has noticed it before or not. */
TEST(a_newcomer_is_told_of_a_death_and_finds_living_holders_busy)
{
    for (int noticed = 0; noticed < 2; noticed++) {
        pipc_t *pipe = open_without_tokens();
        struct side far;
        gates_init();
        assert_int_equal(pipc_pending(pipe), 0);
        side_start(&far, anonymous_forked, pipe, take_an_end_and_die);
        hear(pipe, "here");
        side_play(anonymous_forked, pipe, find_both_ends_held);
        harness_gate_open(&gate[0]);
        side_end(&far);
        if (noticed)
            hear_the_end(pipe, EPIPE);
        side_play(anonymous_forked, pipe, be_told_of_the_death);
        hear_the_end(pipe, EPIPE);
        gates_close();
        close_without_tokens(pipe);
    }
}

static void say_two_and_leave(pipc_t *pipe)
{
    say(pipe, "one");
    harness_gate_wait(&gate[0]);
    say(pipe, "two");
    leave(pipe, "bye");
}

static void come_next(pipc_t *pipe)
{
    say(pipe, "from the next");
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[0]);
}

/* A write may omit to look for a death shortly after another one has looked. */
static void write_until_one_looks(pipc_t *pipe)
{
    for (int i = 0; i < 20; i++) {
        for (int64_t begin = harness_now_us(); harness_now_us() - begin < 100;)
            continue;
        say(pipe, "to the next");
    }
}

/* The first one was seen while it lived, and has ended before its goodbye is read. */
static void be_followed(pipc_t *pipe, bool polls)
{
    struct side first, next;
    char byte;
    gates_init();
    assert_int_equal(pipc_pending(pipe), 0);
    int fd = polls ? pipc_fd(pipe) : -1;
    side_start(&first, anonymous_forked, pipe, say_two_and_leave);
    hear(pipe, "one");
    set_timeouts(pipe, 1, -1);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    set_timeouts(pipe, -1, -1);
    harness_gate_open(&gate[0]);
    side_end(&first);
    side_start(&next, anonymous_forked, pipe, come_next);
    harness_gate_wait(&gate[1]);
    write_until_one_looks(pipe);
    hear(pipe, "two");
    write_until_one_looks(pipe);
    hear_bye(pipe, "bye");
    hear(pipe, "from the next");
    write_until_one_looks(pipe);
    assert_true(!polls || !harness_readable(fd, 0));
    harness_gate_open(&gate[0]);
    side_end(&next);
    assert_true(!polls || harness_readable(fd, SIDES_NOTICE_MS));
    hear_the_end(pipe, EPIPE);
    expect_no_reader(pipe, EPIPE);
    gates_close();
}

TEST(a_successor_is_taken_for_dead_when_it_has_died_and_not_before)
{
    for (int polls = 0; polls < 2; polls++) {
        pipc_t *pipe = open_without_tokens();
        be_followed(pipe, polls);
        close_without_tokens(pipe);
    }
}

HARNESS_MAIN("anonymous, by names", IT(a_newcomer_is_told_of_a_death_and_finds_living_holders_busy),
             IT(a_successor_is_taken_for_dead_when_it_has_died_and_not_before))
