/* SPDX-License-Identifier: MIT */
/*
 * A message is accepted whole or not at all, on every kind of pipe. Output that a call could not
 * write in time is held; every later call writes more of it, and the descriptor says when.
 */
#include "peers.h"

#include <signal.h>
#include <sys/wait.h>

enum { MIB = 1 << 20 };

/* --- Accepted or refused ---------------------------------------------------------------------- */

static size_t write_until_refused(struct peer *peer, int write_ms, int refusal)
{
    unsigned char *data = malloc(MIB);
    size_t count = 0;
    ssize_t sent;
    peer_set_timeout(peer, -1, write_ms);
    for (;; count++) {
        harness_fill(data, MIB, count);
        if ((sent = peer_write(peer, data, MIB)) != MIB)
            break;
    }
    assert_errno(sent, refusal);
    free(data);
    return count;
}

static void check_that_what_was_accepted_arrives(const struct kind *kind, int write_ms, int refusal)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    size_t count = write_until_refused(&p.a, write_ms, refusal);
    assert_true(count > 0);
    peer_set_timeout(&p.a, -1, -1);
    peer_start(&p.b, read_filled, &(struct filled){MIB, count, 0});
    send_text(&p.a, "the next");
    assert_int_equal(peer_finish(&p.b), 0);
    expect_text(&p.b, "the next");
    expect_pending(&p.b, 0);
    peers_close(&p);
}

TEST_OF_KIND(with_timeout_0_a_large_message_is_accepted_whole_or_refused)
{
    check_that_what_was_accepted_arrives(kind, 0, EAGAIN);
}

TEST_OF_KIND(with_timeout_50_ms_a_large_message_is_accepted_whole_or_refused)
{
    check_that_what_was_accepted_arrives(kind, 50, ETIMEDOUT);
}

TEST_OF_KIND(a_write_without_a_timeout_holds_nothing_back)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_start(&p.b, read_filled, &(struct filled){MORE_THAN_A_PIPE, 1, 1});
    send_filled(&p.a, MORE_THAN_A_PIPE, 1);
    assert_int_equal(peer_stats(&p.a).bytes_held, 0);
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

TEST_OF_KIND(with_timeout_0_a_batch_ends_between_messages)
{
    struct peers p;
    static unsigned char bytes[3 * MIB];
    struct iovec batch[3];
    for (size_t i = 0; i < 3; i++) {
        batch[i] = (struct iovec){bytes + i * MIB, MIB};
        harness_fill(batch[i].iov_base, MIB, i);
    }
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, -1, 0);
    ssize_t went = peer_write_batch(&p.a, batch, 3);
    assert_in_range(went, 1, 3);
    peer_set_timeout(&p.a, -1, -1);
    peer_start(&p.b, read_filled, &(struct filled){MIB, (size_t)went, 0});
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    expect_pending(&p.b, 0);
    peers_close(&p);
}

/* --- What is held moves on -------------------------------------------------------------------- */

static void send_held(struct peer *peer, size_t size, uint64_t tag)
{
    unsigned char *data = malloc(size);
    harness_fill(data, size, tag);
    assert_int_equal(peer_write(peer, data, size), size);
    free(data);
}

static void call_something(struct peer *peer, int which)
{
    char buffer[1];
    pipc_msg_t message;
    switch (which) {
    case 0:
        assert_errno(peer_read(peer, buffer, 1), EAGAIN);
        return;
    case 1:
        assert_errno(peer_read_msg(peer, &message), EAGAIN);
        return;
    case 2:
        assert_int_equal(peer_read_pending(peer, &message, 1), 0);
        return;
    case 3:
        assert_errno(peer_peek(peer, &message), EAGAIN);
        return;
    case 4:
        assert_errno(peer_skip(peer), EAGAIN);
        return;
    case 5:
        assert_int_equal(peer_pending(peer), 0);
        return;
    case 6:
        if (peer_flush(peer) != 0)
            assert_int_equal(errno, EAGAIN);
        return;
    case 7:
        assert_true(peer_fd(peer) >= 0);
        return;
    }
}

/* Lets b receive all that is in the kernel; true when the message is complete. */
static bool arrived(struct peer *b, pipc_msg_t *message)
{
    if (peer_read_msg(b, message) == 0)
        return true;
    assert_int_equal(errno, EAGAIN);
    return false;
}

TEST_OF_KIND(every_call_writes_held_output)
{
    for (int which = 0; which <= 7; which++) {
        struct peers p;
        pipc_msg_t message;
        peers_open(&p, kind, NULL);
        peer_set_timeout(&p.a, 0, 0);
        peer_set_timeout(&p.b, 0, 0);
        send_held(&p.a, MORE_THAN_A_PIPE, 1);
        assert_true(peer_stats(&p.a).bytes_held > 0);
        while (!arrived(&p.b, &message))
            call_something(&p.a, which);
        assert_int_equal(peer_stats(&p.a).bytes_held, 0);
        assert_int_equal(message.size, MORE_THAN_A_PIPE);
        harness_check(message.data, message.size, 1);
        pipc_msg_free(&message);
        peers_close(&p);
    }
}

/* A program that only polls for input and calls when the descriptor says so. */
TEST_OF_KIND(a_poll_loop_writes_held_output)
{
    struct peers p;
    pipc_msg_t message;
    bool there = false;
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, 0, 0);
    peer_set_timeout(&p.b, 0, 0);
    int a = peer_fd(&p.a), b = peer_fd(&p.b);
    send_held(&p.a, MORE_THAN_A_PIPE, 1);
    while (!there) {
        bool a_asks = harness_readable(a, 0), b_asks = harness_readable(b, 0);
        if (!a_asks && !b_asks)
            assert_true(harness_readable(b, p.b.delay_ms) || harness_readable(a, 0));
        if (a_asks)
            assert_int_equal(peer_pending(&p.a), 0);
        if (b_asks)
            there = arrived(&p.b, &message);
    }
    harness_check(message.data, message.size, 1);
    pipc_msg_free(&message);
    assert_int_equal(peer_stats(&p.a).bytes_held, 0);
    peers_close(&p);
}

static intmax_t answer_large(struct peer *peer, void *unused)
{
    (void)unused;
    expect_filled(peer, MORE_THAN_A_PIPE, 1);
    send_filled(peer, MORE_THAN_A_PIPE, 2);
    return 0;
}

TEST_OF_KIND(with_timeout_0_a_large_request_gets_its_answer)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, -1, 0);
    peer_start(&p.b, answer_large, NULL);
    send_held(&p.a, MORE_THAN_A_PIPE, 1);
    expect_filled(&p.a, MORE_THAN_A_PIPE, 2); /* waits, and moves the request on meanwhile */
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

static intmax_t send_held_then_read(struct peer *peer, void *unused)
{
    (void)unused;
    peer_set_timeout(peer, -1, 0);
    send_held(peer, MORE_THAN_A_PIPE, 1);
    expect_filled(peer, MORE_THAN_A_PIPE, 1);
    peer_set_timeout(peer, -1, -1);
    assert_true(peer_flush(peer) >= 0);
    return 0;
}

TEST_OF_KIND(with_timeout_0_both_peers_can_send_and_then_wait_for_each_other)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    peer_start(&p.b, send_held_then_read, NULL);
    send_held_then_read(&p.a, NULL);
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

/* --- A peer that is stopped ------------------------------------------------------------------- */

/* Messages of tags 0, 1, 2 ..., then one with their number. */
static int read_until_count(struct peer *b, void *unused)
{
    (void)unused;
    pipc_msg_t message;
    uint64_t count = 0, told;
    send_text(b, "ready");
    for (;; count++) {
        assert_int_equal(peer_read_msg(b, &message), 0);
        if (message.size == sizeof told)
            break;
        assert_int_equal(message.size, MIB);
        harness_check(message.data, message.size, count);
        pipc_msg_free(&message);
    }
    memcpy(&told, message.data, sizeof told);
    pipc_msg_free(&message);
    assert_int_equal(told, count);
    return 0;
}

static void stop_process(pid_t pid)
{
    int status;
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
}

TEST_OF_KIND(a_stopped_peer_reads_whole_messages_when_it_continues)
{
    struct peers p;
    pid_t pid = peers_fork(&p, kind, NULL, read_until_count, NULL);
    expect_text(&p.a, "ready");
    stop_process(pid);
    uint64_t count = write_until_refused(&p.a, 50, ETIMEDOUT);
    assert_int_equal(kill(pid, SIGCONT), 0);
    peer_set_timeout(&p.a, -1, -1);
    assert_int_equal(peer_write(&p.a, &count, sizeof count), sizeof count);
    assert_int_equal(harness_wait(pid), 0);
    peers_close(&p);
}

HARNESS_MAIN("whole", OVER_KINDS(with_timeout_0_a_large_message_is_accepted_whole_or_refused),
             OVER_KINDS(with_timeout_50_ms_a_large_message_is_accepted_whole_or_refused),
             OVER_KINDS(a_write_without_a_timeout_holds_nothing_back),
             OVER_KINDS(with_timeout_0_a_batch_ends_between_messages),
             OVER_KINDS(every_call_writes_held_output), OVER_KINDS(a_poll_loop_writes_held_output),
             OVER_KINDS(with_timeout_0_a_large_request_gets_its_answer),
             OVER_KINDS(with_timeout_0_both_peers_can_send_and_then_wait_for_each_other),
             OVER_KINDS(a_stopped_peer_reads_whole_messages_when_it_continues))
