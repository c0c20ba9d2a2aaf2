/* SPDX-License-Identifier: MIT */
/*
 * The descriptor after a failed flush, on every kind of pipe. It reports when the flush can be
 * repeated, whichever call wrote the last byte, and reports it only once to a caller that does not
 * repeat it.
 */
#include "polling.h"

/* Peer a holds output, and a flush has failed. */
static void open_unflushed(struct peers *p, const struct kind *kind)
{
    unsigned char *data = calloc(1, MORE_THAN_A_PIPE);
    open_polled(p, kind);
    assert_int_equal(peer_write(&p->a, data, MORE_THAN_A_PIPE), MORE_THAN_A_PIPE);
    assert_errno(peer_flush(&p->a), EAGAIN);
    free(data);
}

static bool is_held(struct peers *p)
{
    return peer_stats(&p->a).bytes_held > 0;
}

/* --- Calls that move held output -------------------------------------------------------------- */

static void find_no_message(struct peer *peer)
{
    pipc_msg_t message;
    assert_errno(peer_read_msg(peer, &message), EAGAIN);
}

static void find_nothing_to_see(struct peer *peer)
{
    pipc_msg_t view;
    assert_errno(peer_peek(peer, &view), EAGAIN);
}

static void find_nothing_to_skip(struct peer *peer)
{
    assert_errno(peer_skip(peer), EAGAIN);
}

static void find_none(struct peer *peer)
{
    pipc_msg_t message;
    assert_int_equal(peer_read_pending(peer, &message, 1), 0);
}

static void count_none(struct peer *peer)
{
    assert_int_equal(peer_pending(peer), 0);
}

typedef void call_fn(struct peer *peer);
static call_fn *const calls[] = {find_no_message, find_nothing_to_see, find_nothing_to_skip,
                                 find_none, count_none};
enum { CALLS = sizeof calls / sizeof calls[0] };

/* Ask for the descriptor before each poll, as programs do. */
static void poll_readable(struct peer *peer)
{
    assert_true(harness_readable(peer_fd(peer), peer->delay_ms));
}

/* --- The descriptor reports it ---------------------------------------------------------------- */

TEST_OF_KIND(the_descriptor_is_readable_when_a_failed_flush_can_be_repeated)
{
    for (size_t i = 0; i < CALLS; i++) {
        struct peers p;
        open_unflushed(&p, kind);
        do {
            drain_until_readable(&p);
            calls[i](&p.a);
        } while (is_held(&p));
        poll_readable(&p.a);
        assert_int_equal(peer_flush(&p.a), 0);
        assert_not_readable(&p.a);
        peers_close(&p);
    }
}

/* The loop reads until there is no more; one of the reads that find something pushes the rest
 * out. */
TEST_OF_KIND(the_descriptor_reports_flush_to_a_loop_that_also_reads)
{
    struct peers p;
    open_unflushed(&p, kind);
    while (is_held(&p)) {
        drain(&p.b);
        send_text(&p.b, "one");
        send_text(&p.b, "two");
        assert_readable(&p.a);
        drain(&p.a);
    }
    poll_readable(&p.a);
    assert_true(peer_flush(&p.a) >= 0);
    peers_close(&p);
}

TEST_OF_KIND(the_descriptor_raises_an_edge_when_flush_can_be_repeated)
{
    struct peers p;
    open_unflushed(&p, kind);
    struct poller poller = poller_begin(BY_EDGE, p.a.fd);
    while (is_held(&p)) {
        assert_true(poller_reports_when_drained(&poller, &p));
        drain(&p.a);
    }
    assert_true(poller_reports(&poller, 0));
    assert_int_equal(peer_flush(&p.a), 0);
    poller_end(&poller);
    peers_close(&p);
}

/* Where bytes are in flight, the large message is still on its way. */
static void expect_the_rest(struct peer *peer)
{
    pipc_msg_t message = {.kind = PIPC_DATA};
    peer_set_timeout(peer, -1, -1);
    while (message.kind != PIPC_BYE) {
        assert_int_equal(peer_read_msg(peer, &message), 0);
        pipc_msg_free(&message);
    }
}

TEST_OF_KIND(the_descriptor_is_readable_when_a_failed_disconnect_can_be_repeated)
{
    struct peers p;
    open_polled(&p, kind);
    unsigned char *data = calloc(1, MORE_THAN_A_PIPE);
    assert_int_equal(peer_write(&p.a, data, MORE_THAN_A_PIPE), MORE_THAN_A_PIPE);
    free(data);
    assert_errno(peer_disconnect(&p.a, "bye"), EAGAIN);
    while (is_held(&p)) {
        drain_until_readable(&p);
        find_no_message(&p.a);
    }
    poll_readable(&p.a);
    assert_int_equal(peer_disconnect(&p.a, "bye"), 0);
    expect_the_rest(&p.b);
    peer_close(&p.b);
    peers_close(&p);
}

TEST_OF_KIND(without_PIPC_WANT_WRITE_the_descriptor_does_not_report_flush)
{
    struct peers p;
    open_unflushed(&p, kind);
    assert_int_equal(peer_want(&p.a, PIPC_WANT_READ), 0);
    while (is_held(&p)) {
        drain(&p.b);
        count_none(&p.a);
    }
    assert_false(harness_readable(p.a.fd, 0));
    assert_int_equal(peer_want(&p.a, PIPC_WANT_READ | PIPC_WANT_WRITE), 0);
    poll_readable(&p.a);
    assert_int_equal(peer_flush(&p.a), 0);
    peers_close(&p);
}

/* --- And no more ------------------------------------------------------------------------------ */

TEST_OF_KIND(flush_is_reported_once_to_a_caller_that_ignores_it)
{
    for (size_t i = 0; i < CALLS; i++) {
        struct peers p;
        open_unflushed(&p, kind);
        while (is_held(&p)) {
            drain_until_readable(&p);
            calls[i](&p.a);
        }
        poll_readable(&p.a);
        calls[i](&p.a);
        assert_not_readable(&p.a);
        peers_close(&p);
    }
}

TEST_OF_KIND(a_failed_flush_does_not_end_the_write_interest)
{
    struct peers p;
    open_unflushed(&p, kind);
    assert_errno(peer_write(&p.a, "refused", 7), EAGAIN);
    assert_errno(peer_flush(&p.a), EAGAIN);
    while (is_held(&p)) {
        drain_until_readable(&p);
        find_no_message(&p.a);
    }
    drain_until_readable(&p); /* the last of it may have filled the pipe over half */
    for (int i = 0; i < 5; i++) {
        poll_readable(&p.a);
        find_no_message(&p.a);
    }
    send_text(&p.a, "refused");
    assert_not_readable(&p.a);
    peers_close(&p);
}

HARNESS_MAIN("descriptor_flush",
             OVER_KINDS(the_descriptor_is_readable_when_a_failed_flush_can_be_repeated),
             OVER_KINDS(the_descriptor_reports_flush_to_a_loop_that_also_reads),
             OVER_KINDS(the_descriptor_raises_an_edge_when_flush_can_be_repeated),
             OVER_KINDS(the_descriptor_is_readable_when_a_failed_disconnect_can_be_repeated),
             OVER_KINDS(without_PIPC_WANT_WRITE_the_descriptor_does_not_report_flush),
             OVER_KINDS(flush_is_reported_once_to_a_caller_that_ignores_it),
             OVER_KINDS(a_failed_flush_does_not_end_the_write_interest))
