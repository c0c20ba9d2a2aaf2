/* SPDX-License-Identifier: MIT */
/*
 * A disconnect that cannot be done now fails and changes nothing: with held output, with a full
 * pipe, or while a large message arrives. The caller keeps its end and may try again. Its
 * successor always starts at a whole message.
 */
#include "hostile.h"

enum { LARGE = 1 << 20 };

static void be_refused(pipc_t *pipe)
{
    assert_errno(pipc_pending(pipe), EBUSY);
}

/* Neither at once nor soon; and then the end is still held, as another one sees. */
static void fail_to_leave(const struct kind *kind, pipc_t *pipe)
{
    set_timeouts(pipe, -1, 0);
    assert_errno(pipc_disconnect(pipe, "in vain"), EAGAIN);
    set_timeouts(pipe, -1, 30);
    assert_errno(pipc_disconnect(pipe, "in vain"), ETIMEDOUT);
    set_timeouts(pipe, -1, -1);
    side_play(kind, pipe, be_refused);
}

/* --- Output ---------------------------------------------------------------------------------- */

static void hear_the_large_one(pipc_t *pipe)
{
    assert_int_equal(pipc_pending(pipe), 0);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    hear_large(pipe, LARGE, 3);
    hear_bye(pipe, "at last");
    leave(pipe, "me too");
}

TEST_OF_KIND(a_disconnect_fails_until_held_output_is_written)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    side_start(&far, kind, pipe, hear_the_large_one);
    harness_gate_wait(&gate[0]);
    set_timeouts(pipe, -1, 0);
    say_large(pipe, LARGE, 3);
    fail_to_leave(kind, pipe);
    harness_gate_open(&gate[1]);
    leave(pipe, "at last");
    hear_bye(pipe, "me too");
    side_end(&far);
    pipc_close(pipe);
    gates_close();
}

static int filled;

static void hear_what_filled_it(pipc_t *pipe)
{
    assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    for (int i = 0; i < filled; i++)
        assert_int_equal(pipc_skip(pipe), 0);
    hear_bye(pipe, "at last");
    leave(pipe, "me too");
}

/* `between`: what else the caller does before it leaves. */
static void leave_a_full_pipe(const struct kind *kind, size_t size, script *between)
{
    anonymous_need_tokens_that_stay(kind);
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    filled = fill_up(pipe, size) + fill_up(pipe, 1) + fill_up(pipe, 0);
    side_start(&far, kind, pipe, hear_what_filled_it);
    harness_gate_wait(&gate[0]);
    fail_to_leave(kind, pipe);
    harness_gate_open(&gate[1]);
    if (between != NULL)
        between(pipe);
    leave(pipe, "at last");
    hear_bye(pipe, "me too");
    side_end(&far);
    pipc_close(pipe);
    gates_close();
}

TEST_OF_KIND(a_disconnect_fails_while_the_pipe_is_full)
{
    leave_a_full_pipe(kind, 1000, NULL);
}

static void flush_and_hear_nothing(pipc_t *pipe)
{
    assert_int_equal(pipc_flush(pipe), 0);
    hear_nothing(pipe);
}

TEST_OF_KIND(both_directions_work_after_a_failed_disconnect)
{
    leave_a_full_pipe(kind, 60000, flush_and_hear_nothing);
}

/* Or two peers that both wait for room would wake each other all the time. */
TEST(a_disconnect_that_finds_no_room_shows_the_peer_nothing)
{
    harness_skip_without_proc();
    pipc_t *pipe = open_anonymous();
    fill_up(pipe, 1000);
    fill_up(pipe, 1);
    const struct shared_page *page = hostile_page();
    uint64_t state = atomic_load(&page->end[0].state);
    set_timeouts(pipe, -1, 0);
    assert_errno(pipc_disconnect(pipe, NULL), EAGAIN);
    assert_true(atomic_load(&page->end[0].state) == state);
    pipc_close(pipe);
}

/* Some tens of KiB are free, but not enough for its text. */
TEST(a_disconnect_whose_text_finds_too_little_room_shows_the_peer_nothing)
{
    enum { MESSAGE = 30000, TEXT = 60000, PIECE = 8192 };
    static char text[TEXT + 1];
    harness_skip_without_proc();
    pipc_t *pipe = open_anonymous();
    memset(text, 'x', TEXT);
    fill_up(pipe, MESSAGE); /* so it has grown as well */
    const struct shared_page *page = hostile_page();
    uint64_t room = RING_GROWN - atomic_load(&page->ring[0].head);
    assert_in_range(room, PIECE + 1, TEXT - 1);
    uint64_t state = atomic_load(&page->end[0].state);
    set_timeouts(pipe, -1, 0);
    assert_errno(pipc_disconnect(pipe, text), EAGAIN);
    assert_true(atomic_load(&page->end[0].state) == state);
    text[room - 100] = '\0';
    assert_int_equal(pipc_disconnect(pipe, text), 0);
    assert_true(atomic_load(&page->end[0].state) != state);
    pipc_close(pipe);
}

/* --- Input ----------------------------------------------------------------------------------- */

/* Most of the large message is held here until the gate opens. */
static void send_half_and_wait(pipc_t *pipe)
{
    set_timeouts(pipe, -1, 0);
    say_large(pipe, LARGE, 5);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    set_timeouts(pipe, -1, -1);
    assert_true(pipc_flush(pipe) >= 0);
    say(pipe, "next");
    hear_bye(pipe, "at last");
    hear_bye(pipe, "new_caller");
    leave(pipe, "far");
}

static void hear_only_the_next(pipc_t *pipe)
{
    hear(pipe, "next");
    leave(pipe, "new_caller");
}

/* What had begun to come in is completed, and stays with the one who took it. */
static void leave_in_the_middle(const struct kind *kind, void (*begin)(pipc_t *pipe))
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    assert_int_equal(pipc_pending(pipe), 0);
    side_start(&far, kind, pipe, send_half_and_wait);
    harness_gate_wait(&gate[0]);
    begin(pipe);
    fail_to_leave(kind, pipe);
    harness_gate_open(&gate[1]);
    leave(pipe, "at last");
    side_play(kind, pipe, hear_only_the_next);
    side_end(&far);
    hear_large(pipe, LARGE, 5);
    hear_bye(pipe, "far");
    pipc_close(pipe);
    gates_close();
}

static void begin_by_counting(pipc_t *pipe)
{
    assert_int_equal(pipc_pending(pipe), 0);
}

static void begin_by_reading(pipc_t *pipe)
{
    pipc_msg_t message;
    set_timeouts(pipe, 20, -1);
    assert_errno(pipc_read_msg(pipe, &message), ETIMEDOUT);
    set_timeouts(pipe, -1, -1);
}

TEST_OF_KIND(a_disconnect_receives_the_rest_of_a_large_message_that_was_counted)
{
    leave_in_the_middle(kind, begin_by_counting);
}

TEST_OF_KIND(a_disconnect_receives_the_rest_of_a_message_whose_read_timed_out)
{
    leave_in_the_middle(kind, begin_by_reading);
}

static void send_large_and_stay(pipc_t *pipe)
{
    hear(pipe, "");
    set_timeouts(pipe, -1, 0);
    say_large(pipe, LARGE, 5);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    set_timeouts(pipe, -1, -1);
    assert_true(pipc_flush(pipe) >= 0);
    hear_bye(pipe, "at once");
    hear_bye(pipe, "new_caller");
    leave(pipe, "far");
}

static void hear_the_large_one_instead(pipc_t *pipe)
{
    hear_large(pipe, LARGE, 5);
    leave(pipe, "new_caller");
}

/* No call received a part of it, so it is the successor's. */
TEST_OF_KIND(a_large_message_that_was_not_begun_is_left_to_the_successor)
{
    pipc_t *pipe = open_anonymous();
    struct side far, successor;
    gates_init();
    say(pipe, "");
    side_start(&far, kind, pipe, send_large_and_stay);
    harness_gate_wait(&gate[0]);
    leave(pipe, "at once");
    side_start(&successor, kind, pipe, hear_the_large_one_instead);
    harness_gate_open(&gate[1]);
    side_end(&successor);
    side_end(&far);
    hear_bye(pipe, "far");
    pipc_close(pipe);
    gates_close();
}

HARNESS_MAIN(
    "anonymous stay", OVER_ANONYMOUS_KINDS(a_disconnect_fails_until_held_output_is_written),
    OVER_ANONYMOUS_KINDS(a_disconnect_fails_while_the_pipe_is_full),
    OVER_ANONYMOUS_KINDS(both_directions_work_after_a_failed_disconnect),
    IT(a_disconnect_that_finds_no_room_shows_the_peer_nothing),
    IT(a_disconnect_whose_text_finds_too_little_room_shows_the_peer_nothing),
    OVER_ANONYMOUS_KINDS(a_disconnect_receives_the_rest_of_a_large_message_that_was_counted),
    OVER_ANONYMOUS_KINDS(a_disconnect_receives_the_rest_of_a_message_whose_read_timed_out),
    OVER_ANONYMOUS_KINDS(a_large_message_that_was_not_begun_is_left_to_the_successor))
