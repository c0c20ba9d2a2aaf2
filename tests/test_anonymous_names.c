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

/* What the test does itself is no call of the library. */
static void open_gate(struct harness_gate *one)
{
    fault_disarm();
    harness_gate_open(one);
    fault_arm();
}

static void await_gate(struct harness_gate *one)
{
    fault_disarm();
    harness_gate_wait(one);
    fault_arm();
}

static bool is_readable(int fd, int timeout_ms)
{
    fault_disarm();
    bool readable = harness_readable(fd, timeout_ms);
    fault_arm();
    return readable;
}

static void take_an_end_and_die(pipc_t *pipe)
{
    say(pipe, "here");
    await_gate(&gate[0]);
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
        open_gate(&gate[0]);
        side_end(&far);
        if (noticed)
            hear_the_end(pipe, EPIPE);
        side_play(anonymous_forked, pipe, be_told_of_the_death);
        hear_the_end(pipe, EPIPE);
        close_without_tokens(pipe);
        gates_close();
    }
}

static void say_two_and_leave(pipc_t *pipe)
{
    say(pipe, "one");
    await_gate(&gate[0]);
    say(pipe, "two");
    leave(pipe, "bye");
}

static void come_next(pipc_t *pipe)
{
    say(pipe, "from the next");
    open_gate(&gate[1]);
    await_gate(&gate[0]);
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
    open_gate(&gate[0]);
    side_end(&first);
    side_start(&next, anonymous_forked, pipe, come_next);
    await_gate(&gate[1]);
    write_until_one_looks(pipe);
    hear(pipe, "two");
    write_until_one_looks(pipe);
    hear_bye(pipe, "bye");
    hear(pipe, "from the next");
    write_until_one_looks(pipe);
    assert_true(!polls || !is_readable(fd, 0));
    open_gate(&gate[0]);
    side_end(&next);
    assert_true(!polls || is_readable(fd, SIDES_NOTICE_MS));
    hear_the_end(pipe, EPIPE);
    expect_no_reader(pipe, EPIPE);
}

TEST(a_successor_is_taken_for_dead_when_it_has_died_and_not_before)
{
    for (int polls = 0; polls < 2; polls++) {
        pipc_t *pipe = open_without_tokens();
        be_followed(pipe, polls);
        close_without_tokens(pipe);
        gates_close();
    }
}

HARNESS_MAIN("anonymous, by names", IT(a_newcomer_is_told_of_a_death_and_finds_living_holders_busy),
             IT(a_successor_is_taken_for_dead_when_it_has_died_and_not_before))
