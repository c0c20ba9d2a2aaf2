/* SPDX-License-Identifier: MIT */
/*
 * Goodbyes on an anonymous pipe: they arrive in order, are distinguished from all data, and end
 * only the sender's hold of its end. A goodbye that cannot be sent changes nothing.
 */
#include "anonymous.h"

/* --- What the peer reads --------------------------------------------------------------- */

static void say_three_and_leave(pipc_t *pipe)
{
    say(pipe, "1");
    say(pipe, "2");
    say(pipe, "3");
    leave(pipe, "that was all");
}

TEST_OF_KIND(a_goodbye_arrives_in_order)
{
    pipc_t *pipe = open_anonymous();
    side_play(kind, pipe, say_three_and_leave);
    hear(pipe, "1");
    hear(pipe, "2");
    assert_null(pipc_bye_text(pipe));
    hear(pipe, "3");
    assert_null(pipc_bye_text(pipe));
    hear_bye(pipe, "that was all");
    hear_nothing(pipe);
    assert_string_equal(pipc_bye_text(pipe), "that was all");
    pipc_close(pipe);
}

static void expect_message(const pipc_msg_t *message, pipc_kind_t kind, const char *text)
{
    assert_int_equal(message->kind, kind);
    assert_int_equal(message->size, strlen(text));
    assert_memory_equal(message->data, text, message->size);
}

TEST_OF_KIND(a_goodbye_is_a_message_of_its_own_kind)
{
    pipc_t *pipe = open_anonymous();
    pipc_msg_t message;
    side_play(kind, pipe, say_three_and_leave);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pipc_skip(pipe), 0);
    assert_int_equal(pipc_read_msg(pipe, &message), 0);
    expect_message(&message, PIPC_BYE, "BYEthat was all");
    pipc_msg_free(&message);
    assert_string_equal(pipc_bye_text(pipe), "that was all");
    hear_nothing(pipe);
    pipc_close(pipe);
}

TEST_OF_KIND(a_goodbye_is_counted_and_read_with_what_is_pending)
{
    pipc_t *pipe = open_anonymous();
    pipc_msg_t message[8];
    side_play(kind, pipe, say_three_and_leave);
    assert_int_equal(pipc_pending(pipe), 4);
    assert_int_equal(pipc_read_pending(pipe, message, 8), 4);
    expect_message(&message[0], PIPC_DATA, "1");
    expect_message(&message[1], PIPC_DATA, "2");
    expect_message(&message[2], PIPC_DATA, "3");
    expect_message(&message[3], PIPC_BYE, "BYEthat was all");
    for (int i = 0; i < 4; i++)
        pipc_msg_free(&message[i]);
    assert_string_equal(pipc_bye_text(pipe), "that was all");
    assert_int_equal(pipc_pending(pipe), 0);
    pipc_close(pipe);
}

TEST_OF_KIND(a_goodbye_can_be_peeked_at_and_skipped)
{
    pipc_t *pipe = open_anonymous();
    pipc_msg_t view;
    side_play(kind, pipe, say_three_and_leave);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pipc_skip(pipe), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipc_peek(pipe, &view), 0);
        expect_message(&view, PIPC_BYE, "BYEthat was all");
    }
    assert_int_equal(pipc_skip(pipe), 0);
    hear_nothing(pipe);
    pipc_close(pipe);
}

TEST_OF_KIND(a_read_without_a_buffer_receives_a_goodbye)
{
    pipc_t *pipe = open_anonymous();
    side_play(kind, pipe, say_three_and_leave);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pipc_skip(pipe), 0);
    assert_errno(pipc_read(pipe, NULL, 0), ESHUTDOWN);
    assert_string_equal(pipc_bye_text(pipe), "that was all");
    pipc_close(pipe);
}

static const char *const lookalikes[] = {"BYE", "BYEBYE", "BYEthat was all", "", "bye", "BY"};
enum { LOOKALIKES = sizeof lookalikes / sizeof lookalikes[0] };

static void say_lookalikes(pipc_t *pipe)
{
    for (int i = 0; i < LOOKALIKES; i++)
        say(pipe, lookalikes[i]);
    leave(pipe, "BYE");
}

TEST_OF_KIND(data_that_starts_with_bye_is_not_a_goodbye)
{
    pipc_t *pipe = open_anonymous();
    pipc_msg_t message;
    for (int round = 0; round < 2; round++) {
        side_play(kind, pipe, say_lookalikes);
        for (int i = 0; i < LOOKALIKES; i++) {
            if (round == 0) {
                hear(pipe, lookalikes[i]);
                assert_null(pipc_bye_text(pipe));
                continue;
            }
            assert_int_equal(pipc_read_msg(pipe, &message), 0);
            expect_message(&message, PIPC_DATA, lookalikes[i]);
            pipc_msg_free(&message);
        }
        hear_bye(pipe, "BYE");
    }
    pipc_close(pipe);
}

static void leave_without_text(pipc_t *pipe)
{
    leave(pipe, NULL);
}

static void leave_with_an_empty_text(pipc_t *pipe)
{
    leave(pipe, "");
}

TEST_OF_KIND(a_goodbye_may_have_no_text)
{
    pipc_t *pipe = open_anonymous();
    pipc_msg_t message;
    assert_int_equal(pipc_pending(pipe), 0);
    side_play(kind, pipe, leave_without_text);
    side_play(kind, pipe, leave_with_an_empty_text);
    side_play(kind, pipe, leave_without_text);
    hear_bye(pipe, "");
    hear_bye(pipe, "");
    assert_int_equal(pipc_read_msg(pipe, &message), 0);
    expect_message(&message, PIPC_BYE, "BYE");
    pipc_msg_free(&message);
    pipc_close(pipe);
}

enum { LONG_TEXT = 4000, FAR_TOO_LONG_TEXT = 1 << 20 };

static void leave_at_length(pipc_t *pipe)
{
    char *text = calloc(1, FAR_TOO_LONG_TEXT + 1);
    assert_non_null(text);
    memset(text, 'x', FAR_TOO_LONG_TEXT);
    assert_errno(pipc_disconnect(pipe, text), EMSGSIZE);
    say(pipe, "still here");
    text[LONG_TEXT] = '\0';
    leave(pipe, text);
    free(text);
}

TEST_OF_KIND(a_long_text_arrives_whole_and_one_too_long_is_refused)
{
    pipc_t *pipe = open_anonymous();
    char byte;
    side_play(kind, pipe, leave_at_length);
    hear(pipe, "still here");
    assert_errno(pipc_read(pipe, &byte, 1), ESHUTDOWN);
    const char *text = pipc_bye_text(pipe);
    assert_int_equal(strlen(text), LONG_TEXT);
    assert_int_equal(strspn(text, "x"), LONG_TEXT);
    pipc_close(pipe);
}

TEST_OF_KIND(the_text_stays_valid_after_the_reader_has_left_too)
{
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipc_pending(pipe), 0);
    side_play(kind, pipe, say_three_and_leave);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pipc_skip(pipe), 0);
    hear_bye(pipe, "that was all");
    const char *text = pipc_bye_text(pipe);
    leave(pipe, NULL);
    assert_string_equal(text, "that was all");
    pipc_close(pipe);
}

static void leave_twice(pipc_t *pipe)
{
    leave(pipe, "first");
    leave(pipe, "second");
}

TEST_OF_KIND(a_peer_may_take_an_end_and_disconnect_again)
{
    pipc_t *pipe = open_anonymous();
    side_play(kind, pipe, leave_twice);
    hear_bye(pipe, "first");
    hear_bye(pipe, "second");
    pipc_close(pipe);
}

/* --- What goes on afterwards ----------------------------------------------------------------- */

TEST_OF_KIND(a_process_that_disconnected_and_ends_is_not_reported_dead)
{
    pipc_t *pipe = open_anonymous();
    char byte;
    int fd = pipc_fd(pipe);
    side_play(kind, pipe, say_three_and_leave);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pipc_skip(pipe), 0);
    hear_bye(pipe, "that was all");
    set_timeouts(pipe, 30, -1);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    hear_nothing(pipe);
    assert_false(harness_readable(fd, 0));
    say(pipe, "for whoever comes");
    side_play(kind, pipe, say_three_and_leave);
    hear(pipe, "1");
    pipc_close(pipe);
}

static void hear_what_was_left(pipc_t *pipe)
{
    hear(pipe, "before");
    hear(pipe, "after");
    leave(pipe, NULL);
}

TEST_OF_KIND(a_write_works_after_the_peers_goodbye)
{
    pipc_t *pipe = open_anonymous();
    side_play(kind, pipe, say_three_and_leave);
    say(pipe, "before");
    for (int i = 0; i < 3; i++)
        assert_int_equal(pipc_skip(pipe), 0);
    hear_bye(pipe, "that was all");
    say(pipe, "after");
    side_play(kind, pipe, hear_what_was_left);
    hear_bye(pipe, "");
    pipc_close(pipe);
}

static void say_a(pipc_t *pipe)
{
    say(pipe, "a");
    leave(pipe, "goodbye from a");
}

static void say_b(pipc_t *pipe)
{
    say(pipe, "b");
    leave(pipe, "goodbye from b");
}

TEST_OF_KIND(flush_receives_a_goodbye_and_the_messages_of_a_successor)
{
    pipc_t *pipe = open_anonymous();
    int fd = pipc_fd(pipe);
    side_play(kind, pipe, say_a);
    assert_int_equal(pipc_flush(pipe), 2);
    side_play(kind, pipe, say_b);
    assert_int_equal(pipc_flush(pipe), 4);
    assert_true(harness_readable(fd, 0));
    hear(pipe, "a");
    assert_true(harness_readable(fd, 0));
    hear_bye(pipe, "goodbye from a");
    assert_true(harness_readable(fd, 0));
    hear(pipe, "b");
    assert_true(harness_readable(fd, 0));
    hear_bye(pipe, "goodbye from b");
    hear_nothing(pipe);
    assert_false(harness_readable(fd, 0));
    pipc_close(pipe);
}

static void succeed_when_told(pipc_t *pipe)
{
    harness_gate_wait(&gate[0]);
    say_b(pipe);
}

/* One successor was started before its predecessor's goodbye, one afterwards. */
TEST_OF_KIND(a_successor_may_exist_before_the_goodbye)
{
    pipc_t *pipe = open_anonymous();
    struct side earlier, first, later;
    gates_init();
    assert_int_equal(pipc_pending(pipe), 0);
    side_start(&earlier, kind, pipe, succeed_when_told);
    side_start(&first, kind, pipe, say_a);
    hear(pipe, "a");
    hear_bye(pipe, "goodbye from a");
    harness_gate_open(&gate[0]);
    hear(pipe, "b");
    hear_bye(pipe, "goodbye from b");
    side_start(&later, kind, pipe, say_a);
    hear(pipe, "a");
    hear_bye(pipe, "goodbye from a");
    side_end(&earlier);
    side_end(&first);
    side_end(&later);
    pipc_close(pipe);
    gates_close();
}

static void fork_a_successor_and_leave(pipc_t *pipe)
{
    struct side successor;
    say(pipe, "a");
    side_start(&successor, anonymous_forked, pipe, succeed_when_told);
    leave(pipe, "goodbye from a");
    harness_gate_open(&gate[0]);
    side_end(&successor);
}

TEST_OF_KIND(a_process_may_fork_its_successor_and_disconnect)
{
    pipc_t *pipe = open_anonymous();
    gates_init();
    assert_int_equal(pipc_pending(pipe), 0);
    side_play(kind, pipe, fork_a_successor_and_leave);
    hear(pipe, "a");
    hear_bye(pipe, "goodbye from a");
    hear(pipe, "b");
    hear_bye(pipe, "goodbye from b");
    pipc_close(pipe);
    gates_close();
}

static void leave_at_the_same_time(pipc_t *pipe)
{
    for (int i = 0; i < 500 / harness_scale(); i++) {
        say_number(pipe, i);
        assert_int_equal(hear_number(pipe), i);
        leave(pipe, "see you");
        hear_bye(pipe, "see you");
    }
}

TEST_OF_KIND(both_peers_may_disconnect_at_the_same_time)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    side_start(&far, kind, pipe, leave_at_the_same_time);
    leave_at_the_same_time(pipe);
    side_end(&far);
    pipc_close(pipe);
}

static void shut_down_and_listen(pipc_t *pipe)
{
    say(pipe, "my last word");
    assert_int_equal(pipc_shutdown(pipe), 0);
    assert_errno(pipc_write(pipe, "x", 1), EPIPE);
    hear(pipe, "but not mine");
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
}

TEST_OF_KIND(a_shutdown_ends_only_one_direction)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    side_start(&far, kind, pipe, shut_down_and_listen);
    hear(pipe, "my last word");
    hear_the_end(pipe, EPIPE);
    say(pipe, "but not mine");
    harness_gate_wait(&gate[0]);
    hear_the_end(pipe, EPIPE);
    harness_gate_open(&gate[1]);
    side_end(&far);
    pipc_close(pipe);
    gates_close();
}

HARNESS_MAIN("anonymous goodbye", OVER_ANONYMOUS_KINDS(a_goodbye_arrives_in_order),
             OVER_ANONYMOUS_KINDS(a_goodbye_is_a_message_of_its_own_kind),
             OVER_ANONYMOUS_KINDS(a_goodbye_is_counted_and_read_with_what_is_pending),
             OVER_ANONYMOUS_KINDS(a_goodbye_can_be_peeked_at_and_skipped),
             OVER_ANONYMOUS_KINDS(a_read_without_a_buffer_receives_a_goodbye),
             OVER_ANONYMOUS_KINDS(data_that_starts_with_bye_is_not_a_goodbye),
             OVER_ANONYMOUS_KINDS(a_goodbye_may_have_no_text),
             OVER_ANONYMOUS_KINDS(a_long_text_arrives_whole_and_one_too_long_is_refused),
             OVER_ANONYMOUS_KINDS(the_text_stays_valid_after_the_reader_has_left_too),
             OVER_ANONYMOUS_KINDS(a_peer_may_take_an_end_and_disconnect_again),
             OVER_ANONYMOUS_KINDS(a_process_that_disconnected_and_ends_is_not_reported_dead),
             OVER_ANONYMOUS_KINDS(a_write_works_after_the_peers_goodbye),
             OVER_ANONYMOUS_KINDS(flush_receives_a_goodbye_and_the_messages_of_a_successor),
             OVER_ANONYMOUS_KINDS(a_successor_may_exist_before_the_goodbye),
             OVER_ANONYMOUS_KINDS(a_process_may_fork_its_successor_and_disconnect),
             OVER_ANONYMOUS_KINDS(both_peers_may_disconnect_at_the_same_time),
             OVER_ANONYMOUS_KINDS(a_shutdown_ends_only_one_direction))
