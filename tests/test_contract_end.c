/* SPDX-License-Identifier: MIT */
/*
 * The ends of every kind of pipe that are not goodbyes: a half-close, a close, a message that was
 * cut off, a process that died. Each has its own errno, comes after all whole messages, and stays.
 */
#include "peers.h"
#include "raw.h"

#include <signal.h>
#include <unistd.h>

/* Every call that would read says the same, as often as it is asked. */
static void expect_dead_reads(struct peer *peer, int error)
{
    char buffer[8];
    pipc_msg_t message;
    for (int i = 0; i < 2; i++) {
        assert_errno(peer_read(peer, buffer, sizeof buffer), error);
        assert_errno(peer_read(peer, NULL, 0), error);
        assert_errno(peer_read_msg(peer, &message), error);
        assert_errno(peer_read_pending(peer, &message, 1), error);
        assert_errno(peer_peek(peer, &message), error);
        assert_errno(peer_skip(peer), error);
        assert_int_equal(peer_pending(peer), 0); /* never reports an end */
    }
}

/* Where bytes are in flight, the first writes may still go. */
static void expect_dead_writes(struct peer *peer, int error)
{
    const struct iovec part = {"x", 1};
    int64_t deadline = harness_now_ms() + peer->delay_ms;
    while (peer_write(peer, "x", 1) == 1 && harness_now_ms() < deadline)
        continue;
    for (int i = 0; i < 2; i++) {
        assert_errno(peer_write(peer, "x", 1), error);
        assert_errno(peer_writev(peer, &part, 1), error);
        assert_errno(peer_write_batch(peer, &part, 1), error);
        assert_errno(peer_disconnect(peer, "bye"), error);
    }
}

static intmax_t read_to_the_end(struct peer *peer, void *unused)
{
    char buffer[8];
    (void)unused;
    return peer_read(peer, buffer, sizeof buffer);
}

static intmax_t write_to_the_end(struct peer *peer, void *unused)
{
    (void)unused;
    while (peer_write(peer, "more", 4) == 4)
        continue;
    return -1;
}

/* False: the message before has not been read yet, and there is no room at all. */
static bool try_to_send(struct peer *peer, uint64_t tag)
{
    unsigned char *data = malloc(MORE_THAN_A_PIPE);
    harness_fill(data, MORE_THAN_A_PIPE, tag);
    peer_set_timeout(peer, -1, 0);
    intmax_t sent = peer_write(peer, data, MORE_THAN_A_PIPE);
    assert_true(sent == MORE_THAN_A_PIPE || (sent == -1 && errno == EAGAIN));
    free(data);
    return sent > 0;
}

static void send_held(struct peer *peer, uint64_t tag)
{
    assert_true(try_to_send(peer, tag));
}

/* While somebody reads, a message may go entirely: then another is sent, until a part of one is
 * held. */
static void send_until_held(struct peer *peer)
{
    do
        try_to_send(peer, 1);
    while (peer_stats(peer).bytes_held == 0);
}

static intmax_t skip_to_the_end(struct peer *peer, void *unused)
{
    (void)unused;
    while (peer_skip(peer) == 0)
        continue;
    return -1;
}

/* --- Half-close ------------------------------------------------------------------------------- */

TEST_OF_KIND(shutdown_ends_one_direction_after_all_messages)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "question");
    send_text(&p.a, "");
    assert_int_equal(peer_shutdown(&p.a), 0);
    assert_int_equal(peer_shutdown(&p.a), 0); /* twice is as once */
    expect_dead_writes(&p.a, EPIPE);
    expect_text(&p.b, "question");
    expect_text(&p.b, "");
    expect_dead_reads(&p.b, EPIPE);
    send_text(&p.b, "answer");
    expect_text(&p.a, "answer");
    send_text(&p.b, "and more");
    expect_text(&p.a, "and more");
    assert_int_equal(peer_shutdown(&p.b), 0);
    expect_dead_reads(&p.a, EPIPE);
    peers_close(&p);
}

TEST_OF_KIND(a_blocked_read_ends_when_the_peer_shuts_down)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_start(&p.b, read_to_the_end, NULL);
    assert_int_equal(peer_shutdown(&p.a), 0);
    assert_errno(peer_finish(&p.b), EPIPE);
    peers_close(&p);
}

TEST_OF_KIND(shutdown_writes_held_output_first)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_held(&p.a, 1);
    assert_int_equal(peer_shutdown(&p.a), 0);
    assert_errno(peer_write(&p.a, "x", 1), EPIPE);
    peer_set_timeout(&p.a, -1, -1);
    peer_start(&p.b, read_filled, &(struct filled){MORE_THAN_A_PIPE, 1, 1});
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    expect_dead_reads(&p.b, EPIPE);
    send_text(&p.b, "reading goes on");
    expect_text(&p.a, "reading goes on");
    peers_close(&p);
}

TEST_OF_KIND(after_a_shutdown_flush_returns_EPIPE_when_held_output_is_lost)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_held(&p.a, 1);
    assert_int_equal(peer_shutdown(&p.a), 0);
    peer_close(&p.b);
    peer_set_timeout(&p.a, -1, -1);
    assert_errno(peer_flush(&p.a), EPIPE);
    assert_errno(peer_flush(&p.a), EPIPE);
    peers_close(&p);
}

TEST_OF_KIND(after_a_shutdown_flush_returns_EPIPE_when_output_was_lost_before)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_held(&p.a, 1);
    peer_close(&p.b);
    peer_set_timeout(&p.a, -1, -1);
    assert_int_equal(peer_flush(&p.a), 0); /* the next write would report it */
    assert_int_equal(peer_shutdown(&p.a), 0);
    assert_errno(peer_flush(&p.a), EPIPE);
    peers_close(&p);
}

/* --- Close ------------------------------------------------------------------------------------ */

TEST_OF_KIND(after_the_peers_close_reads_return_all_messages_and_then_EPIPE)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    for (uint64_t tag = 0; tag < 10; tag++)
        send_filled(&p.a, 3000, tag);
    peer_close(&p.a);
    for (uint64_t tag = 0; tag < 10; tag++)
        expect_filled(&p.b, 3000, tag);
    expect_dead_reads(&p.b, EPIPE);
    expect_dead_writes(&p.b, EPIPE);
    expect_dead_reads(&p.b, EPIPE);
    assert_null(peer_bye_text(&p.b));
    peers_close(&p);
}

TEST_OF_KIND(a_blocked_read_ends_when_the_peer_closes)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_start(&p.b, read_to_the_end, NULL);
    peer_close(&p.a);
    assert_errno(peer_finish(&p.b), EPIPE);
    peers_close(&p);
}

/* TCP is reset then, since what was sent was not read. Who hears of that first, a write or the read
 * of a write that waits, differs; but a read that comes later hears of it, too. */
TEST_OF_KIND(a_blocked_write_ends_when_the_peer_closes)
{
    struct peers p;
    bool is_reset = kind->tcp;
    peers_open(&p, kind, NULL);
    fill_to_the_brim(&p.b);
    peer_set_timeout(&p.b, -1, -1);
    peer_start(&p.b, write_to_the_end, NULL);
    peer_close(&p.a);
    assert_int_equal(peer_finish(&p.b), -1);
    int end = errno;
    assert_true(end == EPIPE || (is_reset && end == ECONNRESET));
    expect_dead_writes(&p.b, end);
    expect_dead_reads(&p.b, is_reset ? ECONNRESET : EPIPE);
    expect_dead_writes(&p.b, end);
    peers_close(&p);
}

/* A TCP connection is reset, and what was on its way may be lost. */
TEST_OF_KIND(all_messages_arrive_when_the_peer_closed_with_unread_input)
{
    struct peers p;
    bool is_reset = kind->tcp;
    peers_open(&p, kind, NULL);
    send_text(&p.b, "never read");
    send_text(&p.a, "one");
    send_text(&p.a, "two");
    expect_text(&p.b, "one");
    peer_close(&p.a);
    if (is_reset)
        assert_errno(skip_to_the_end(&p.b, NULL), ECONNRESET);
    else
        expect_text(&p.b, "two");
    expect_dead_reads(&p.b, is_reset ? ECONNRESET : EPIPE);
    peers_close(&p);
}

TEST_OF_KIND(received_messages_can_be_read_after_the_peer_closed)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "one");
    send_text(&p.a, "two");
    expect_pending(&p.b, 2);
    peer_close(&p.a);
    assert_int_equal(peer_pending(&p.b), 2);
    expect_text(&p.b, "one");
    assert_int_equal(peer_pending(&p.b), 1);
    expect_text(&p.b, "two");
    expect_dead_reads(&p.b, EPIPE);
    peers_close(&p);
}

static intmax_t close_with_errno(struct peer *peer, void *unused)
{
    (void)unused;
    errno = ENOTTY;
    pipc_close(peer->pipe);
    peer->pipe = NULL;
    return errno;
}

TEST_OF_KIND(close_does_not_change_errno)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_held(&p.a, 1);
    assert_int_equal(peer_do(&p.a, close_with_errno, NULL), ENOTTY);
    assert_int_equal(peer_do(&p.b, close_with_errno, NULL), ENOTTY);
    peers_close(&p);
}

/* Close must not wait for a reader that is not there. */
TEST_OF_KIND(close_does_not_block_and_cuts_off_held_output)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "whole");
    send_held(&p.a, 1);
    peer_set_timeout(&p.a, -1, -1);
    peer_close(&p.a);
    expect_text(&p.b, "whole");
    expect_dead_reads(&p.b, ECONNRESET);
    expect_dead_writes(&p.b, ECONNRESET);
    peers_close(&p);
}

TEST_OF_KIND(a_blocked_read_ends_when_its_message_is_cut_off)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_start(&p.b, skip_to_the_end, NULL);
    send_until_held(&p.a);
    peer_close(&p.a);
    assert_errno(peer_finish(&p.b), ECONNRESET);
    peers_close(&p);
}

/* --- Flush ------------------------------------------------------------------------------------ */

TEST_OF_KIND(flush_returns_the_number_of_pending_messages_when_the_peer_has_gone)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.b, "one");
    send_text(&p.b, "two");
    peer_close(&p.b);
    expect_pending(&p.a, 2);
    assert_int_equal(peer_flush(&p.a), 2);
    expect_text(&p.a, "one");
    assert_int_equal(peer_flush(&p.a), 1);
    expect_text(&p.a, "two");
    assert_int_equal(peer_flush(&p.a), 0);
    expect_dead_reads(&p.a, EPIPE);
    assert_int_equal(peer_flush(&p.a), 0);
    peers_close(&p);
}

TEST_OF_KIND(flush_does_not_wait_when_the_peer_has_gone)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.b, "one");
    expect_pending(&p.a, 1);
    send_held(&p.a, 1);
    peer_set_timeout(&p.a, -1, -1);
    peer_close(&p.b);
    assert_int_equal(peer_flush(&p.a), 1);
    assert_int_equal(peer_stats(&p.a).bytes_held, 0);
    expect_text(&p.a, "one");
    peers_close(&p);
}

/* --- SIGPIPE ---------------------------------------------------------------------------------- */

TEST_OF_KIND(a_write_without_a_peer_does_not_affect_SIGPIPE)
{
    struct peers p;
    sigset_t only, pending;
    sigemptyset(&only);
    sigaddset(&only, SIGPIPE);
    peers_open(&p, kind, NULL);
    peer_close(&p.b);
    expect_dead_writes(&p.a, EPIPE); /* unblocked, and its default is death */
    sigprocmask(SIG_BLOCK, &only, NULL);
    expect_dead_writes(&p.a, EPIPE);
    sigpending(&pending);
    assert_false(sigismember(&pending, SIGPIPE));
    raise(SIGPIPE);
    expect_dead_writes(&p.a, EPIPE);
    sigpending(&pending);
    assert_true(sigismember(&pending, SIGPIPE));
    peers_close(&p);
}

/* --- A process that dies ---------------------------------------------------------------------- */

static int say_ready_and_die(struct peer *b, void *unused)
{
    (void)unused;
    send_text(b, "ready");
    raise(SIGKILL);
    return 1;
}

static int die_inside_a_message(struct peer *b, void *unused)
{
    (void)unused;
    send_text(b, "whole");
    send_until_held(b);
    raise(SIGKILL);
    return 1;
}

static int exit_without_closing(struct peer *b, void *unused)
{
    (void)unused;
    send_text(b, "last words");
    _exit(0);
}

TEST_OF_KIND(a_read_returns_EPIPE_when_the_peer_was_killed)
{
    struct peers p;
    pid_t pid = peers_fork(&p, kind, NULL, say_ready_and_die, NULL);
    expect_text(&p.a, "ready");
    expect_dead_reads(&p.a, EPIPE);
    assert_int_equal(harness_wait(pid), -SIGKILL); /* its descriptors close one by one */
    expect_dead_writes(&p.a, EPIPE);
    peers_close(&p);
}

TEST_OF_KIND(a_read_returns_ECONNRESET_when_the_peer_was_killed_inside_a_message)
{
    struct peers p;
    pid_t pid = peers_fork(&p, kind, NULL, die_inside_a_message, NULL);
    expect_text(&p.a, "whole");
    assert_errno(skip_to_the_end(&p.a, NULL), ECONNRESET);
    expect_dead_reads(&p.a, ECONNRESET);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    peers_close(&p);
}

TEST_OF_KIND(a_read_returns_EPIPE_when_the_peer_exited_without_closing)
{
    struct peers p;
    pid_t pid = peers_fork(&p, kind, NULL, exit_without_closing, NULL);
    assert_int_equal(harness_wait(pid), 0);
    expect_text(&p.a, "last words");
    expect_dead_reads(&p.a, EPIPE);
    peers_close(&p);
}

/* A failure of reading ends writing as well, but where the program has ended that before. */
TEST(a_direction_that_the_program_has_ended_keeps_its_errno_when_the_other_one_fails)
{
    enum { MUCH = 1 << 20 };
    struct raw raw;
    char *bytes = calloc(1, MUCH), byte;
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_write(raw.pipe, bytes, MUCH), MUCH);
    assert_int_equal(pipc_shutdown(raw.pipe), 0);
    assert_errno(pipc_write(raw.pipe, "x", 1), EPIPE);
    raw_send(&raw, BYTES("\xff\xff\xff\xff"));
    assert_errno(pipc_read(raw.pipe, &byte, 1), EPROTO);
    assert_errno(pipc_write(raw.pipe, "x", 1), EPIPE);
    assert_errno(pipc_disconnect(raw.pipe, NULL), EPIPE);
    raw_close(&raw);
    free(bytes);
}

HARNESS_MAIN("end", OVER_KINDS(shutdown_ends_one_direction_after_all_messages),
             OVER_KINDS(a_blocked_read_ends_when_the_peer_shuts_down),
             OVER_KINDS(shutdown_writes_held_output_first),
             OVER_KINDS(after_a_shutdown_flush_returns_EPIPE_when_held_output_is_lost),
             OVER_KINDS(after_a_shutdown_flush_returns_EPIPE_when_output_was_lost_before),
             OVER_KINDS(after_the_peers_close_reads_return_all_messages_and_then_EPIPE),
             OVER_KINDS(a_blocked_read_ends_when_the_peer_closes),
             OVER_KINDS(a_blocked_write_ends_when_the_peer_closes),
             OVER_KINDS(all_messages_arrive_when_the_peer_closed_with_unread_input),
             OVER_KINDS(received_messages_can_be_read_after_the_peer_closed),
             OVER_KINDS(close_does_not_change_errno),
             OVER_KINDS(close_does_not_block_and_cuts_off_held_output),
             OVER_KINDS(a_blocked_read_ends_when_its_message_is_cut_off),
             OVER_KINDS(flush_returns_the_number_of_pending_messages_when_the_peer_has_gone),
             OVER_KINDS(flush_does_not_wait_when_the_peer_has_gone),
             OVER_KINDS(a_write_without_a_peer_does_not_affect_SIGPIPE),
             OVER_KINDS(a_read_returns_EPIPE_when_the_peer_was_killed),
             OVER_KINDS(a_read_returns_ECONNRESET_when_the_peer_was_killed_inside_a_message),
             OVER_KINDS(a_read_returns_EPIPE_when_the_peer_exited_without_closing),
             IT(a_direction_that_the_program_has_ended_keeps_its_errno_when_the_other_one_fails))
