/* SPDX-License-Identifier: MIT */
/*
 * The descriptor of pipc_fd, on every kind of pipe: readable whenever a call can do something, and
 * not readable otherwise, by poll. test_descriptor_ways.c has other ways of polling,
 * test_descriptor_property.c random traffic.
 */
#include "platform.h"
#include "polling.h"

/* Where a full pipe had room for a part of the last one, the rest is held, and moves on by
 * calls. */
static void let_it_be_read(struct peers *p, size_t count)
{
    struct filled filled = {BRIM_SIZE, count, 0};
    peer_set_timeout(&p->b, -1, -1);
    peer_start(&p->b, read_filled, &filled);
    while (peer_stats(&p->a).bytes_held > 0)
        if (harness_readable(p->a.fd, 10))
            assert_int_equal(peer_pending(&p->a), 0);
    assert_int_equal(peer_finish(&p->b), 0);
}

/* --- Messages --------------------------------------------------------------------------------- */

TEST_OF_KIND(the_descriptor_stays_the_same_until_close)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    int a = peer_fd(&p.a), b = peer_fd(&p.b);
    assert_true(a >= 0 && b >= 0 && a != b);
    send_text(&p.a, "x");
    expect_text(&p.b, "x");
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_fd(&p.a), a);
    peer_close(&p.a);
    assert_int_equal(peer_fd(&p.b), b);
    assert_errno(peer_skip(&p.b), EPIPE);
    assert_int_equal(peer_fd(&p.b), b);
    peers_close(&p);
}

TEST_OF_KIND(the_descriptor_is_readable_until_the_last_message_is_read)
{
    struct peers p;
    open_polled(&p, kind);
    for (uint64_t tag = 0; tag < 50; tag++)
        send_filled(&p.a, 100, tag);
    for (uint64_t tag = 0; tag < 50; tag++) {
        assert_readable(&p.b);
        expect_filled(&p.b, 100, tag);
    }
    assert_not_readable(&p.b);
    peers_close(&p);
}

TEST_OF_KIND(the_descriptor_is_readable_when_messages_are_in_memory_already)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "one");
    send_text(&p.a, "two");
    expect_pending(&p.b, 2);
    assert_true(harness_readable(peer_fd(&p.b), 0));
    expect_text(&p.b, "one");
    assert_true(harness_readable(p.b.fd, 0));
    expect_text(&p.b, "two");
    assert_not_readable(&p.b);
    peers_close(&p);
}

/* Each of these leaves the message where it is. */
TEST_OF_KIND(the_descriptor_is_readable_after_pending_and_flush)
{
    struct peers p;
    char small[2];
    pipc_msg_t view;
    open_polled(&p, kind);
    send_text(&p.a, "message");
    expect_pending(&p.b, 1);
    assert_true(harness_readable(p.b.fd, 0));
    assert_int_equal(peer_flush(&p.b), 1);
    assert_true(harness_readable(p.b.fd, 0));
    assert_int_equal(peer_peek(&p.b, &view), 0);
    assert_true(harness_readable(p.b.fd, 0));
    assert_errno(peer_read(&p.b, small, sizeof small), EMSGSIZE);
    assert_true(harness_readable(p.b.fd, 0));
    assert_int_equal(peer_read_pending(&p.b, &view, 0), 0);
    assert_true(harness_readable(p.b.fd, 0));
    send_text(&p.b, "a write");
    assert_true(harness_readable(p.b.fd, 0));
    expect_text(&p.b, "message");
    assert_not_readable(&p.b);
    peers_close(&p);
}

/* A socket shows what is in memory by its room to write, as long as there is some. */
TEST_OF_KIND(the_descriptor_is_readable_for_messages_in_memory_when_there_is_no_room_to_write)
{
    struct peers p;
    open_polled(&p, kind);
    send_text(&p.b, "one");
    send_text(&p.b, "two");
    expect_pending(&p.a, 2);
    struct brim brim = fill_to_the_brim(&p.a);
    assert_errno(peer_write(&p.a, "refused", 7), EAGAIN);
    assert_true(harness_readable(p.a.fd, 0));
    expect_text(&p.a, "one");
    assert_true(harness_readable(p.a.fd, 0));
    expect_text(&p.a, "two");
    assert_not_readable(&p.a);
    let_it_be_read(&p, brim.large);
    assert_readable(&p.a);
    assert_int_equal(peer_flush(&p.a), 0);
    assert_not_readable(&p.a);
    peers_close(&p);
}

TEST_OF_KIND(the_descriptor_is_readable_after_a_write_received_messages)
{
    struct peers p;
    open_polled(&p, kind);
    send_text(&p.b, "on its way");
    fill_to_the_brim(&p.a);
    peer_set_timeout(&p.a, 0, 20);
    if (strcmp(kind->name, "Unix socket, moving") == 0)
        assert_int_equal(peer_write(&p.a, "", 0), 0); /* what came has moved it: there is room */
    else
        assert_errno(peer_write(&p.a, "", 0), ETIMEDOUT);
    assert_readable(&p.a);
    expect_text(&p.a, "on its way");
    peers_close(&p);
}

TEST_OF_KIND(the_descriptor_is_readable_while_an_empty_message_is_pending)
{
    struct peers p;
    open_polled(&p, kind);
    send_text(&p.a, "");
    send_text(&p.a, "");
    assert_readable(&p.b);
    expect_text(&p.b, "");
    assert_readable(&p.b);
    expect_text(&p.b, "");
    assert_not_readable(&p.b);
    peers_close(&p);
}

/* A part of a message is nothing that a call could give to the program. */
TEST_OF_KIND(the_descriptor_is_not_readable_while_a_message_is_incomplete)
{
    struct peers p;
    unsigned char *data = calloc(1, MORE_THAN_A_PIPE);
    open_polled(&p, kind);
    assert_int_equal(peer_write(&p.a, data, MORE_THAN_A_PIPE), MORE_THAN_A_PIPE);
    assert_readable(&p.b);
    drain(&p.b);
    if (p.b.delay_ms == 0)
        assert_not_readable(&p.b);
    free(data);
    peers_close(&p);
}

/* --- Output ----------------------------------------------------------------------------------- */

TEST_OF_KIND(the_descriptor_is_readable_when_held_output_can_be_written)
{
    struct peers p;
    unsigned char *data = calloc(1, MORE_THAN_A_PIPE);
    open_polled(&p, kind);
    assert_int_equal(peer_write(&p.a, data, MORE_THAN_A_PIPE), MORE_THAN_A_PIPE);
    while (p.a.delay_ms > 0 && platform_wakes(p.a.fd, 300))
        assert_int_equal(peer_pending(&p.a), 0);
    assert_not_readable(&p.a);
    while (peer_stats(&p.a).bytes_held > 0) {
        drain_until_readable(&p);
        assert_int_equal(peer_pending(&p.a), 0);
    }
    assert_not_readable(&p.a);
    free(data);
    peers_close(&p);
}

static intmax_t try_write(struct peer *peer)
{
    return peer_write(peer, "again", 5);
}

static intmax_t try_flush(struct peer *peer)
{
    return peer_flush(peer);
}

/* The write interest lasts until the call that it is for. */
static void check_write_interest(const struct kind *kind, intmax_t (*call)(struct peer *peer))
{
    struct peers p;
    pipc_msg_t message;
    open_polled(&p, kind);
    struct brim brim = fill_to_the_brim(&p.a);
    assert_errno(peer_write(&p.a, "refused", 7), EAGAIN);
    assert_not_readable(&p.a);
    let_it_be_read(&p, brim.large);
    for (int i = 0; i < 3; i++) {
        assert_readable(&p.a);
        assert_errno(peer_read_msg(&p.a, &message), EAGAIN);
        assert_int_equal(peer_pending(&p.a), 0);
    }
    assert_readable(&p.a);
    assert_true(call(&p.a) >= 0);
    assert_not_readable(&p.a);
    peers_close(&p);
}

TEST_OF_KIND(after_EAGAIN_the_descriptor_is_readable_until_the_write_is_repeated)
{
    check_write_interest(kind, try_write);
}

TEST_OF_KIND(flush_ends_the_write_interest)
{
    check_write_interest(kind, try_flush);
}

TEST_OF_KIND(the_descriptor_is_readable_when_the_rest_of_a_batch_can_be_written)
{
    struct peers p;
    static char bytes[1000];
    static struct iovec batch[10000];
    open_polled(&p, kind);
    for (size_t i = 0; i < 10000; i++)
        batch[i] = (struct iovec){bytes, sizeof bytes};
    assert_in_range(peer_write_batch(&p.a, batch, 10000), 1, 9999);
    while (p.a.delay_ms > 0 && platform_wakes(p.a.fd, 300))
        peer_write_batch(&p.a, batch, 10000);
    assert_not_readable(&p.a);
    drain_until_readable(&p);
    peers_close(&p);
}

TEST_OF_KIND(a_write_that_timed_out_leaves_a_write_interest)
{
    struct peers p;
    open_polled(&p, kind);
    struct brim brim = fill_to_the_brim(&p.a);
    peer_set_timeout(&p.a, 0, 10);
    assert_errno(peer_write(&p.a, "", 0), ETIMEDOUT);
    assert_not_readable(&p.a);
    let_it_be_read(&p, brim.large);
    assert_readable(&p.a);
    peers_close(&p);
}

TEST_OF_KIND(the_descriptor_is_not_readable_for_room_without_write_interest)
{
    struct peers p;
    open_polled(&p, kind);
    for (int i = 0; i < 3; i++) {
        send_text(&p.a, "x");
        assert_not_readable(&p.a);
        expect_pending(&p.b, 1);
        expect_text(&p.b, "x");
        assert_not_readable(&p.a);
        assert_not_readable(&p.b);
    }
    peers_close(&p);
}

/* --- Ends ------------------------------------------------------------------------------------- */

TEST_OF_KIND(the_descriptor_stays_readable_at_the_end)
{
    struct peers p;
    pipc_msg_t message;
    open_polled(&p, kind);
    send_text(&p.a, "last");
    peer_close(&p.a);
    assert_readable(&p.b);
    expect_pending(&p.b, 1);
    expect_text(&p.b, "last");
    for (int i = 0; i < 3; i++) {
        assert_readable(&p.b);
        assert_errno(peer_read_msg(&p.b, &message), EPIPE);
    }
    assert_readable(&p.b);
    peers_close(&p);
}

/* It goes on writing after the peer has ended, in a loop that looks at the descriptor alone. */
TEST_OF_KIND(a_loop_that_ignores_the_end_does_not_spin)
{
    struct peers p;
    char byte;
    int wakeups = 0;
    open_polled(&p, kind);
    peer_shutdown(&p.a);
    assert_readable(&p.b);
    while (wakeups < 100 && harness_readable(peer_fd(&p.b), 50)) {
        assert_errno(peer_read(&p.b, &byte, 1), EPIPE);
        wakeups++;
    }
    assert_in_range(wakeups, 4, 12);
    send_text(&p.b, "still");
    expect_text(&p.a, "still");
    assert_false(harness_readable(peer_fd(&p.b), 0));
    peers_close(&p);
}

TEST_OF_KIND(the_descriptor_reports_a_half_close)
{
    struct peers p;
    pipc_msg_t message;
    open_polled(&p, kind);
    assert_int_equal(peer_shutdown(&p.a), 0);
    assert_readable(&p.b);
    assert_errno(peer_read_msg(&p.b, &message), EPIPE);
    assert_readable(&p.b);
    assert_not_readable(&p.a);
    send_text(&p.b, "answer");
    assert_readable(&p.a);
    peers_close(&p);
}

TEST_OF_KIND(the_descriptor_reports_a_goodbye)
{
    struct peers p;
    open_polled(&p, kind);
    send_text(&p.a, "before");
    assert_int_equal(peer_disconnect(&p.a, "bye"), 0);
    expect_pending(&p.b, 2);
    assert_readable(&p.b);
    expect_text(&p.b, "before");
    assert_readable(&p.b);
    expect_bye(&p.b, "bye");
    if (kind->same_handle)
        assert_not_readable(&p.b);
    else
        assert_readable(&p.b);
    peers_close(&p);
}

TEST_OF_KIND(the_descriptor_reports_a_message_that_was_cut_off)
{
    struct peers p;
    unsigned char *data = calloc(1, MORE_THAN_A_PIPE);
    pipc_msg_t message;
    open_polled(&p, kind);
    assert_int_equal(peer_write(&p.a, data, MORE_THAN_A_PIPE), MORE_THAN_A_PIPE);
    drain(&p.b);
    peer_close(&p.a);
    while (peer_read_msg(&p.b, &message) != 0 && errno == EAGAIN)
        assert_readable(&p.b);
    for (int i = 0; i < 2; i++) {
        assert_errno(peer_read_msg(&p.b, &message), ECONNRESET);
        assert_readable(&p.b);
    }
    free(data);
    peers_close(&p);
}

/* A write without a peer can be repeated: it returns EPIPE. */
TEST_OF_KIND(the_descriptor_tells_a_waiting_writer_that_the_peer_has_gone)
{
    struct peers p;
    open_polled(&p, kind);
    fill_to_the_brim(&p.a);
    assert_errno(peer_write(&p.a, "refused", 7), EAGAIN);
    assert_not_readable(&p.a);
    peer_close(&p.b);
    assert_readable(&p.a);
    assert_errno(peer_write(&p.a, "refused", 7), EPIPE);
    peers_close(&p);
}

HARNESS_MAIN(
    "descriptor", OVER_KINDS(the_descriptor_stays_the_same_until_close),
    OVER_KINDS(the_descriptor_is_readable_until_the_last_message_is_read),
    OVER_KINDS(the_descriptor_is_readable_when_messages_are_in_memory_already),
    OVER_KINDS(the_descriptor_is_readable_after_pending_and_flush),
    OVER_KINDS(the_descriptor_is_readable_for_messages_in_memory_when_there_is_no_room_to_write),
    OVER_KINDS(the_descriptor_is_readable_after_a_write_received_messages),
    OVER_KINDS(the_descriptor_is_readable_while_an_empty_message_is_pending),
    OVER_KINDS(the_descriptor_is_not_readable_while_a_message_is_incomplete),
    OVER_KINDS(the_descriptor_is_readable_when_held_output_can_be_written),
    OVER_KINDS(after_EAGAIN_the_descriptor_is_readable_until_the_write_is_repeated),
    OVER_KINDS(flush_ends_the_write_interest),
    OVER_KINDS(the_descriptor_is_readable_when_the_rest_of_a_batch_can_be_written),
    OVER_KINDS(a_write_that_timed_out_leaves_a_write_interest),
    OVER_KINDS(the_descriptor_is_not_readable_for_room_without_write_interest),
    OVER_KINDS(the_descriptor_stays_readable_at_the_end),
    OVER_KINDS(a_loop_that_ignores_the_end_does_not_spin),
    OVER_KINDS(the_descriptor_reports_a_half_close), OVER_KINDS(the_descriptor_reports_a_goodbye),
    OVER_KINDS(the_descriptor_reports_a_message_that_was_cut_off),
    OVER_KINDS(the_descriptor_tells_a_waiting_writer_that_the_peer_has_gone))
