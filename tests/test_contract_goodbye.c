/* SPDX-License-Identifier: MIT */
/*
 * Goodbyes on every kind of pipe: they arrive in order and in the form that the reader asks for,
 * and are never mistaken for data. Also what follows them. That another caller takes the end is
 * tested for anonymous pipes alone.
 */
#include "peers.h"

/* --- The forms it has ------------------------------------------------------------------------- */

TEST_OF_KIND(a_read_of_a_goodbye_returns_ESHUTDOWN_and_keeps_its_text)
{
    struct peers p;
    char buffer[64];
    peers_open(&p, kind, NULL);
    assert_null(peer_bye_text(&p.b));
    assert_int_equal(peer_disconnect(&p.a, "see you"), 0);
    assert_errno(peer_read(&p.b, buffer, sizeof buffer), ESHUTDOWN);
    assert_string_equal(peer_bye_text(&p.b), "see you");
    peers_close(&p);
}

TEST_OF_KIND(a_goodbye_without_a_text_has_an_empty_text)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_disconnect(&p.a, NULL), 0);
    expect_bye(&p.b, "");
    peers_close(&p);
}

static void check_bye_message(const pipc_msg_t *message, const char *text)
{
    assert_int_equal(message->kind, PIPC_BYE);
    assert_int_equal(message->size, 3 + strlen(text));
    assert_memory_equal(message->data, "BYE", 3);
    assert_memory_equal((const char *)message->data + 3, text, strlen(text));
}

static void expect_bye_message(struct peer *peer, const char *text)
{
    pipc_msg_t message;
    assert_int_equal(peer_read_msg(peer, &message), 0);
    check_bye_message(&message, text);
    assert_string_equal(peer_bye_text(peer), text);
    pipc_msg_free(&message);
    assert_string_equal(peer_bye_text(peer), text);
}

TEST_OF_KIND(read_msg_returns_the_goodbye_as_a_message)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_disconnect(&p.a, "see you"), 0);
    expect_bye_message(&p.b, "see you");
    peers_close(&p);
}

TEST_OF_KIND(read_pending_returns_the_goodbye_among_the_messages)
{
    struct peers p;
    pipc_msg_t got[4];
    peers_open(&p, kind, NULL);
    send_text(&p.a, "before");
    assert_int_equal(peer_disconnect(&p.a, "see you"), 0);
    expect_pending(&p.b, 2);
    assert_int_equal(peer_read_pending(&p.b, got, 4), 2);
    assert_int_equal(got[0].kind, PIPC_DATA);
    check_bye_message(&got[1], "see you");
    pipc_msg_free(&got[0]);
    pipc_msg_free(&got[1]);
    peers_close(&p);
}

TEST_OF_KIND(peek_shows_the_goodbye_and_skip_drops_it)
{
    struct peers p;
    pipc_msg_t view;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_disconnect(&p.a, "see you"), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(peer_peek(&p.b, &view), 0);
        check_bye_message(&view, "see you");
    }
    assert_int_equal(peer_skip(&p.b), 0);
    expect_pending(&p.b, 0);
    peers_close(&p);
}

/* A read that finds no room says so for data only: a goodbye needs none. */
TEST_OF_KIND(a_read_without_a_buffer_receives_the_goodbye)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_disconnect(&p.a, "see you"), 0);
    assert_errno(peer_read(&p.b, NULL, 0), ESHUTDOWN);
    assert_string_equal(peer_bye_text(&p.b), "see you");
    peers_close(&p);
}

TEST_OF_KIND(a_goodbye_can_be_read_after_a_peek)
{
    struct peers p;
    pipc_msg_t view;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_disconnect(&p.a, "see you"), 0);
    assert_int_equal(peer_peek(&p.b, &view), 0);
    expect_bye(&p.b, "see you");
    peers_close(&p);
}

/* --- Order, and no confusion ------------------------------------------------------------------ */

TEST_OF_KIND(a_goodbye_arrives_after_all_messages_written_before)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    for (uint64_t tag = 0; tag < 20; tag++)
        send_filled(&p.a, 100, tag);
    assert_int_equal(peer_disconnect(&p.a, "last"), 0);
    for (uint64_t tag = 0; tag < 20; tag++)
        expect_filled(&p.b, 100, tag);
    expect_bye(&p.b, "last");
    peers_close(&p);
}

TEST_OF_KIND(data_that_starts_with_BYE_is_data)
{
    struct peers p;
    char buffer[8];
    pipc_msg_t got[2];
    peers_open(&p, kind, NULL);
    for (int i = 0; i < 4; i++)
        send_text(&p.a, "BYEtext");
    assert_int_equal(peer_read(&p.b, buffer, sizeof buffer), 7);
    expect_text(&p.b, "BYEtext");
    expect_pending(&p.b, 2);
    assert_int_equal(peer_read_pending(&p.b, got, 2), 2);
    assert_int_equal(got[0].kind, PIPC_DATA);
    assert_int_equal(got[1].kind, PIPC_DATA);
    assert_null(peer_bye_text(&p.b));
    pipc_msg_free(&got[0]);
    pipc_msg_free(&got[1]);
    peers_close(&p);
}

TEST_OF_KIND(pending_and_flush_count_the_goodbye)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "one");
    assert_int_equal(peer_disconnect(&p.a, "bye"), 0);
    expect_pending(&p.b, 2);
    assert_int_equal(peer_flush(&p.b), 2);
    expect_text(&p.b, "one");
    assert_int_equal(peer_pending(&p.b), 1);
    expect_bye(&p.b, "bye");
    assert_int_equal(peer_pending(&p.b), 0);
    peers_close(&p);
}

static void check_statistics(const struct kind *kind, bool by_message)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "data");
    assert_int_equal(peer_disconnect(&p.a, "bye"), 0);
    expect_text(&p.b, "data");
    if (by_message)
        expect_bye_message(&p.b, "bye");
    else
        expect_bye(&p.b, "bye");
    assert_int_equal(peer_stats(&p.a).messages_written, 1);
    assert_int_equal(peer_stats(&p.a).bytes_written, 4);
    assert_int_equal(peer_stats(&p.b).messages_read, 1);
    assert_int_equal(peer_stats(&p.b).bytes_read, 4);
    peers_close(&p);
}

TEST_OF_KIND(statistics_do_not_count_goodbyes)
{
    check_statistics(kind, false);
    check_statistics(kind, true);
}

TEST_OF_KIND(a_long_text_arrives_whole)
{
    struct peers p;
    static char text[60 * 1000];
    peers_open(&p, kind, NULL);
    memset(text, 't', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(peer_disconnect(&p.a, text), 0);
    expect_bye(&p.b, text);
    peers_close(&p);
}

TEST_OF_KIND(max_message_limits_only_the_text_of_a_goodbye)
{
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_message = 4;
    peers_open(&p, kind, &options);
    assert_errno(peer_disconnect(&p.a, "12345"), EMSGSIZE);
    send_text(&p.a, "here");
    assert_int_equal(peer_disconnect(&p.a, "1234"), 0);
    expect_text(&p.b, "here");
    expect_bye(&p.b, "1234");
    peers_close(&p);
}

TEST_OF_KIND(disconnect_writes_held_output_first)
{
    struct peers p;
    unsigned char *data = malloc(MORE_THAN_A_PIPE);
    harness_fill(data, MORE_THAN_A_PIPE, 1);
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, -1, 0);
    assert_int_equal(peer_write(&p.a, data, MORE_THAN_A_PIPE), MORE_THAN_A_PIPE);
    assert_errno(peer_disconnect(&p.a, "not yet"), EAGAIN);
    peer_set_timeout(&p.a, -1, -1);
    peer_start(&p.b, read_filled, &(struct filled){MORE_THAN_A_PIPE, 1, 1});
    assert_int_equal(peer_disconnect(&p.a, "now"), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    expect_bye(&p.b, "now");
    free(data);
    peers_close(&p);
}

/* --- After it, where an end has one peer forever --------------------------------------------- */

TEST_OF_KIND(after_a_goodbye_reads_return_EPIPE)
{
    struct peers p;
    char buffer[8];
    pipc_msg_t message;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_disconnect(&p.a, "gone"), 0);
    expect_bye(&p.b, "gone");
    for (int i = 0; i < 2; i++) {
        assert_errno(peer_read(&p.b, buffer, sizeof buffer), EPIPE);
        assert_errno(peer_read_msg(&p.b, &message), EPIPE);
        assert_errno(peer_peek(&p.b, &message), EPIPE);
        assert_errno(peer_skip(&p.b), EPIPE);
        assert_errno(peer_read_pending(&p.b, &message, 1), EPIPE);
        assert_int_equal(peer_pending(&p.b), 0);
        assert_string_equal(peer_bye_text(&p.b), "gone");
    }
    peers_close(&p);
}

static int keep_a_copy(void *gate)
{
    harness_gate_wait(gate);
    return 0;
}

/* A third process that has copies keeps the end of a pipe from coming, but not that of the talk. */
TEST_OF_KIND(after_a_goodbye_reads_do_not_wait_for_the_end)
{
    struct peers p;
    struct harness_gate gate;
    char buffer[8];
    harness_gate_init(&gate);
    peers_open(&p, kind, NULL);
    pid_t bystander = harness_fork(keep_a_copy, &gate);
    assert_int_equal(peer_disconnect(&p.a, "gone"), 0);
    expect_bye(&p.b, "gone");
    peer_set_timeout(&p.b, 0, 0);
    assert_errno(peer_read(&p.b, buffer, sizeof buffer), EPIPE);
    assert_true(harness_readable(peer_fd(&p.b), 0));
    send_text(&p.b, "still open");
    expect_text(&p.a, "still open");
    harness_gate_open(&gate);
    assert_int_equal(harness_wait(bystander), 0);
    harness_gate_close(&gate);
    peers_close(&p);
}

TEST_OF_KIND(after_disconnect_writes_fail_and_reads_work)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.b, "written before");
    assert_int_equal(peer_disconnect(&p.a, "bye"), 0);
    for (int i = 0; i < 2; i++) {
        assert_errno(peer_write(&p.a, "x", 1), EPIPE);
        assert_errno(peer_disconnect(&p.a, "again"), EPIPE);
    }
    send_text(&p.b, "written after");
    expect_text(&p.a, "written before");
    expect_text(&p.a, "written after");
    assert_int_equal(peer_disconnect(&p.b, "bye too"), 0);
    expect_bye(&p.a, "bye too");
    expect_bye(&p.b, "bye");
    peers_close(&p);
}

/* What the peer has begun to send is none of its business. */
TEST_OF_KIND(disconnect_does_not_wait_for_an_incoming_message)
{
    struct peers p;
    unsigned char *data = calloc(1, MORE_THAN_A_PIPE);
    char buffer[8];
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.b, -1, 0);
    assert_int_equal(peer_write(&p.b, data, MORE_THAN_A_PIPE), MORE_THAN_A_PIPE);
    assert_int_equal(peer_pending(&p.a), 0); /* a part of it is in a's memory now */
    assert_int_equal(peer_disconnect(&p.a, "bye"), 0);
    peer_set_timeout(&p.b, -1, -1);
    assert_errno(peer_read(&p.b, buffer, sizeof buffer), ESHUTDOWN);
    free(data);
    peers_close(&p);
}

HARNESS_MAIN("goodbye", OVER_KINDS(a_read_of_a_goodbye_returns_ESHUTDOWN_and_keeps_its_text),
             OVER_KINDS(a_goodbye_without_a_text_has_an_empty_text),
             OVER_KINDS(read_msg_returns_the_goodbye_as_a_message),
             OVER_KINDS(read_pending_returns_the_goodbye_among_the_messages),
             OVER_KINDS(peek_shows_the_goodbye_and_skip_drops_it),
             OVER_KINDS(a_read_without_a_buffer_receives_the_goodbye),
             OVER_KINDS(a_goodbye_can_be_read_after_a_peek),
             OVER_KINDS(a_goodbye_arrives_after_all_messages_written_before),
             OVER_KINDS(data_that_starts_with_BYE_is_data),
             OVER_KINDS(pending_and_flush_count_the_goodbye),
             OVER_KINDS(statistics_do_not_count_goodbyes), OVER_KINDS(a_long_text_arrives_whole),
             OVER_KINDS(max_message_limits_only_the_text_of_a_goodbye),
             OVER_KINDS(disconnect_writes_held_output_first),
             OVER_TWO_HANDLE_KINDS(after_a_goodbye_reads_return_EPIPE),
             OVER_TWO_HANDLE_KINDS(after_a_goodbye_reads_do_not_wait_for_the_end),
             OVER_TWO_HANDLE_KINDS(after_disconnect_writes_fail_and_reads_work),
             OVER_TWO_HANDLE_KINDS(disconnect_does_not_wait_for_an_incoming_message))
