/* SPDX-License-Identifier: MIT */
/*
 * pipc_want and the descriptor, on every kind of pipe. Peer b drops PIPC_WANT_READ, like a server
 * that cannot send its answers yet.
 */
#include <fcntl.h>
#include <unistd.h>

#include "platform.h"
#include "polling.h"

enum { NOTHING = 0, BOTH = PIPC_WANT_READ | PIPC_WANT_WRITE, ENOUGH_WAKES = 20 };

/*
 * It may wake for nothing now and then, for what a call answers; not for ever. Where bytes are in
 * flight it is given time.
 */
static void assert_stays_unreadable(struct peer *peer)
{
    int patience_ms = peer->delay_ms > 0 ? PROBE_MS : 0;
    int64_t begin = harness_now_us();
    for (int wakes = 0; wakes < ENOUGH_WAKES; wakes++) {
        if (!harness_readable(peer->fd, patience_ms))
            return;
        assert_true(peer_pending(peer) >= 0);
    }
    if (platform_has(PLATFORM_EXACT) || harness_now_us() - begin < (ENOUGH_WAKES - 2) * 1000)
        fail_msg("readable for ever");
}

/* A call that reads nothing does not end it. */
static void assert_readable_for_good(struct peer *peer)
{
    for (int i = 0; i < 3; i++) {
        assert_readable(peer);
        assert_true(peer_pending(peer) >= 0);
    }
    assert_readable(peer);
}

static void want(struct peer *peer, unsigned events)
{
    assert_int_equal(peer_want(peer, events), 0);
}

/* --- Messages --------------------------------------------------------------------------------- */

TEST_OF_KIND(without_PIPC_WANT_READ_the_descriptor_does_not_report_messages)
{
    struct peers p;
    open_polled(&p, kind);
    want(&p.b, PIPC_WANT_WRITE);
    send_text(&p.a, "in the pipe");
    assert_stays_unreadable(&p.b);
    expect_pending(&p.b, 1);
    send_text(&p.a, "and this");
    assert_stays_unreadable(&p.b);
    expect_text(&p.b, "in the pipe");
    assert_stays_unreadable(&p.b);
    want(&p.b, BOTH);
    assert_readable(&p.b);
    expect_text(&p.b, "and this");
    assert_not_readable(&p.b);
    peers_close(&p);
}

TEST_OF_KIND(pipc_want_may_be_called_before_pipc_fd)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.b, 0, 0);
    want(&p.b, NOTHING);
    send_text(&p.a, "one");
    send_text(&p.a, "two");
    expect_pending(&p.b, 2);
    assert_true(peer_fd(&p.b) >= 0);
    assert_stays_unreadable(&p.b);
    expect_text(&p.b, "one");
    assert_stays_unreadable(&p.b);
    want(&p.b, PIPC_WANT_READ);
    assert_readable(&p.b);
    peers_close(&p);
}

/* Where it waits: in memory, or in the kernel. */
static void check_edge(const struct kind *kind, bool in_memory, enum way way)
{
    struct peers p;
    open_polled(&p, kind);
    want(&p.b, NOTHING);
    struct poller poller = poller_begin(way, p.b.fd);
    send_text(&p.a, "one");
    send_text(&p.a, "two");
    if (in_memory)
        expect_pending(&p.b, 2);
    bool has_edges = way == BY_EDGE || way == BY_NEST_OF_EDGES;
    if (poller_reports(&poller, 0) && !has_edges) /* the first state, or a spurious wakeup */
        assert_true(peer_pending(&p.b) >= 0);
    assert_false(poller_reports(&poller, 0));
    want(&p.b, PIPC_WANT_READ);
    assert_true(poller_reports(&poller, p.b.delay_ms));
    expect_text(&p.b, "one");
    want(&p.b, NOTHING);
    want(&p.b, PIPC_WANT_READ);
    assert_true(poller_reports(&poller, p.b.delay_ms));
    drain(&p.b);
    poller_end(&poller);
    peers_close(&p);
}

TEST_OF_KIND(asking_for_PIPC_WANT_READ_again_reports_waiting_messages)
{
    platform_needs(PLATFORM_EXACT);
    for (enum way way = 0; way < WAYS; way++) {
        check_edge(kind, false, way);
        check_edge(kind, true, way);
    }
}

TEST_OF_KIND(without_PIPC_WANT_READ_a_goodbye_is_not_reported)
{
    struct peers p;
    open_polled(&p, kind);
    want(&p.b, PIPC_WANT_WRITE);
    assert_int_equal(peer_disconnect(&p.a, "bye"), 0);
    expect_pending(&p.b, 1);
    if (!kind->tcp)
        assert_stays_unreadable(&p.b);
    want(&p.b, BOTH);
    assert_readable(&p.b);
    expect_bye(&p.b, "bye");
    peers_close(&p);
}

/* --- Output ----------------------------------------------------------------------------------- */

TEST_OF_KIND(without_PIPC_WANT_READ_a_repeatable_write_is_reported)
{
    platform_needs(PLATFORM_EXACT);
    struct peers p;
    open_polled(&p, kind);
    send_text(&p.a, "unread");
    fill_to_the_brim(&p.b);
    assert_errno(peer_write(&p.b, "refused", 7), EAGAIN);
    want(&p.b, PIPC_WANT_WRITE);
    assert_stays_unreadable(&p.b);
    while (peer_stats(&p.b).bytes_held > 0 || !harness_readable(p.b.fd, 0)) {
        drain(&p.a);
        assert_true(peer_pending(&p.b) >= 0);
    }
    assert_readable_for_good(&p.b);
    send_text(&p.b, "repeated");
    assert_stays_unreadable(&p.b);
    peers_close(&p);
}

TEST_OF_KIND(without_PIPC_WANT_READ_writable_held_output_is_reported)
{
    struct peers p;
    unsigned char *data = calloc(1, MORE_THAN_A_PIPE);
    open_polled(&p, kind);
    send_text(&p.a, "unread");
    want(&p.b, PIPC_WANT_WRITE);
    assert_int_equal(peer_write(&p.b, data, MORE_THAN_A_PIPE), MORE_THAN_A_PIPE);
    assert_stays_unreadable(&p.b);
    while (peer_stats(&p.b).bytes_held > 0) {
        drain(&p.a);
        assert_readable(&p.b);
        assert_true(peer_pending(&p.b) >= 0);
    }
    assert_stays_unreadable(&p.b);
    free(data);
    peers_close(&p);
}

TEST_OF_KIND(without_PIPC_WANT_WRITE_room_is_not_reported)
{
    struct peers p;
    open_polled(&p, kind);
    fill_to_the_brim(&p.b);
    assert_errno(peer_write(&p.b, "refused", 7), EAGAIN);
    want(&p.b, PIPC_WANT_READ);
    for (int i = 0; i < 3; i++) {
        drain(&p.a);
        assert_stays_unreadable(&p.b);
    }
    send_text(&p.a, "a message");
    assert_readable(&p.b);
    expect_text(&p.b, "a message");
    want(&p.b, BOTH);
    assert_readable_for_good(&p.b);
    send_text(&p.b, "repeated");
    peers_close(&p);
}

/* --- Ends ------------------------------------------------------------------------------------- */

TEST_OF_KIND(an_end_without_unread_messages_is_reported)
{
    for (unsigned events = 0; events <= BOTH; events++) {
        struct peers p;
        open_polled(&p, kind);
        want(&p.b, events);
        assert_stays_unreadable(&p.b);
        peer_close(&p.a);
        assert_readable_for_good(&p.b);
        assert_errno(peer_skip(&p.b), EPIPE);
        assert_readable_for_good(&p.b);
        peers_close(&p);
    }
}

/* Half an end: the writing of peer b has not failed. */
TEST_OF_KIND(without_PIPC_WANT_READ_an_end_is_reported_when_the_messages_are_read)
{
    struct peers p;
    open_polled(&p, kind);
    want(&p.b, PIPC_WANT_WRITE);
    send_text(&p.a, "one");
    send_text(&p.a, "two");
    assert_int_equal(peer_shutdown(&p.a), 0);
    assert_stays_unreadable(&p.b);
    expect_text(&p.b, "one");
    assert_stays_unreadable(&p.b);
    send_text(&p.b, "still open");
    assert_stays_unreadable(&p.b);
    expect_text(&p.b, "two");
    assert_readable_for_good(&p.b);
    assert_errno(peer_skip(&p.b), EPIPE);
    peers_close(&p);
}

TEST_OF_KIND(without_PIPC_WANT_READ_a_message_that_was_cut_off_is_reported)
{
    struct peers p;
    unsigned char *data = calloc(1, MORE_THAN_A_PIPE);
    open_polled(&p, kind);
    want(&p.b, NOTHING);
    assert_int_equal(peer_write(&p.a, data, MORE_THAN_A_PIPE), MORE_THAN_A_PIPE);
    assert_stays_unreadable(&p.b);
    peer_close(&p.a);
    while (p.b.delay_ms > 0 && !harness_readable(p.b.fd, 50)) /* an end comes after all bytes */
        assert_int_equal(peer_pending(&p.b), 0);
    assert_readable_for_good(&p.b);
    assert_errno(peer_skip(&p.b), ECONNRESET);
    free(data);
    peers_close(&p);
}

/* A TCP writer learns it from the answer to what it writes. */
TEST_OF_KIND(without_PIPC_WANT_READ_a_failed_direction_of_writing_is_reported)
{
    struct peers p;
    open_polled(&p, kind);
    want(&p.b, PIPC_WANT_WRITE);
    send_text(&p.a, "unread");
    expect_pending(&p.b, 1);
    peer_close(&p.a);
    while (!harness_readable(p.b.fd, p.b.delay_ms > 0 ? 50 : 0))
        send_text(&p.b, "into nothing");
    assert_readable_for_good(&p.b);
    while (peer_write(&p.b, "x", 1) >= 0)
        continue;
    assert_int_equal(errno, EPIPE);
    assert_readable_for_good(&p.b);
    expect_text(&p.b, "unread");
    peers_close(&p);
}

/* The other direction stays open, so nothing but this one wakes the program. */
TEST(a_writer_that_waits_for_room_in_a_pipe_is_woken_when_its_reader_goes)
{
    int in[2], out[2];
    char block[4096] = {0};
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pipc_t *pipe = pipc_open_fds(in[0], out[1], NULL);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    assert_int_equal(pipc_want(pipe, BOTH), 0);
    while (pipc_write(pipe, block, sizeof block) == sizeof block)
        continue;
    assert_int_equal(errno, EAGAIN);
    assert_false(platform_wakes(pipc_fd(pipe), 0));
    close(out[0]);
    for (int i = 0; i < 3; i++)
        assert_true(harness_readable(pipc_fd(pipe), 10000)); /* and it stays so */
    while (pipc_write(pipe, block, sizeof block) == sizeof block)
        continue;
    assert_int_equal(errno, EPIPE);
    pipc_close(pipe);
    close(in[1]);
}

/* The program asked for it, so it is not reported. */
TEST_OF_KIND(without_PIPC_WANT_READ_the_callers_own_shutdown_is_not_reported)
{
    struct peers p;
    open_polled(&p, kind);
    send_text(&p.a, "unread");
    want(&p.b, BOTH);
    assert_int_equal(peer_shutdown(&p.b), 0);
    want(&p.b, PIPC_WANT_WRITE);
    assert_stays_unreadable(&p.b);
    peer_close(&p.a);
    if (!kind->tcp)
        assert_stays_unreadable(&p.b);
    expect_text(&p.b, "unread");
    assert_readable_for_good(&p.b);
    peers_close(&p);
}

/* --- The call --------------------------------------------------------------------------------- */

TEST_OF_KIND(pipc_want_refuses_unknown_events)
{
    struct peers p;
    open_polled(&p, kind);
    assert_errno(pipc_want(NULL, 0), EINVAL);
    assert_errno(peer_want(&p.b, 4), EINVAL);
    assert_errno(peer_want(&p.b, ~0u), EINVAL);
    want(&p.b, NOTHING);
    assert_errno(peer_want(&p.b, 4 | PIPC_WANT_READ), EINVAL);
    send_text(&p.a, "unread");
    assert_stays_unreadable(&p.b);
    peers_close(&p);
}

TEST(pipc_disconnect_on_an_anonymous_pipe_resets_it)
{
    struct peers p;
    open_polled(&p, anonymous_in_threads);
    want(&p.b, NOTHING);
    assert_int_equal(peer_disconnect(&p.b, NULL), 0);
    expect_bye(&p.a, "");
    assert_int_equal(peer_set_timeout(&p.b, 0, 0), 0);
    assert_true(peer_fd(&p.b) >= 0);
    send_text(&p.a, "for the next holder");
    assert_readable(&p.b);
    expect_text(&p.b, "for the next holder");
    peers_close(&p);
}

HARNESS_MAIN("descriptor_want",
             OVER_KINDS(without_PIPC_WANT_READ_the_descriptor_does_not_report_messages),
             OVER_KINDS(pipc_want_may_be_called_before_pipc_fd),
             OVER_KINDS(asking_for_PIPC_WANT_READ_again_reports_waiting_messages),
             OVER_KINDS(without_PIPC_WANT_READ_a_goodbye_is_not_reported),
             OVER_KINDS(without_PIPC_WANT_READ_a_repeatable_write_is_reported),
             OVER_KINDS(without_PIPC_WANT_READ_writable_held_output_is_reported),
             OVER_KINDS(without_PIPC_WANT_WRITE_room_is_not_reported),
             OVER_KINDS(an_end_without_unread_messages_is_reported),
             OVER_KINDS(without_PIPC_WANT_READ_an_end_is_reported_when_the_messages_are_read),
             OVER_KINDS(without_PIPC_WANT_READ_a_message_that_was_cut_off_is_reported),
             OVER_KINDS(without_PIPC_WANT_READ_a_failed_direction_of_writing_is_reported),
             IT(a_writer_that_waits_for_room_in_a_pipe_is_woken_when_its_reader_goes),
             OVER_KINDS(without_PIPC_WANT_READ_the_callers_own_shutdown_is_not_reported),
             OVER_KINDS(pipc_want_refuses_unknown_events),
             IT(pipc_disconnect_on_an_anonymous_pipe_resets_it))
