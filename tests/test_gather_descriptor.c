/* SPDX-License-Identifier: MIT */
/*
 * PIPC_GATHER and the descriptor: it is readable while anything is gathered, so that an event loop
 * sends it. A full pipe, where gathered bytes wait as other held bytes do. PIPC_DUPLEX, where they
 * are the writing thread's.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "gathering.h"
#include "platform.h"
#include "polling.h"

enum { BOTH = PIPC_WANT_READ | PIPC_WANT_WRITE };

/* Peers with timeout 0 and descriptors; nothing is readable. */
static void open_polled_gathering(struct peers *p, const struct kind *kind)
{
    open_gathering(p, kind, 0);
    peer_set_timeout(&p->a, 0, 0);
    peer_set_timeout(&p->b, 0, 0);
    assert_true(peer_fd(&p->a) >= 0 && peer_fd(&p->b) >= 0);
    assert_not_readable(&p->a);
    assert_not_readable(&p->b);
}

/* --- The descriptor --------------------------------------------------------------------------- */

TEST_OF_KIND(the_descriptor_is_readable_while_anything_is_gathered)
{
    for (enum way way = 0; way < WAYS; way++) {
        struct peers p;
        open_polled_gathering(&p, kind);
        struct poller poller = poller_begin(way, p.a.fd);
        poller_reports(&poller, 0);
        for (int i = 0; i < 3; i++) {
            assert_false(poller_reports(&poller, 0));
            gather_text(&p.a, "one");
            gather_text(&p.a, "two");
            assert_true(poller_reports(&poller, 0));
            drain(&p.a);
            assert_int_equal(held_by(&p.a), 0);
        }
        expect_pending(&p.b, 6);
        poller_end(&poller);
        peers_close(&p);
    }
}

TEST_OF_KIND(the_descriptor_is_quiet_once_16_KiB_have_gone)
{
    static const char large[GATHER_BYTES];
    struct peers p;
    open_polled_gathering(&p, kind);
    gather_text(&p.a, "one");
    assert_int_equal(write_frozen(&p.a, large, sizeof large), sizeof large);
    assert_not_readable(&p.a);
    peers_close(&p);
}

TEST_OF_KIND(a_flush_makes_the_descriptor_quiet)
{
    struct peers p;
    open_polled_gathering(&p, kind);
    gather_text(&p.a, "one");
    assert_true(harness_readable(p.a.fd, 0));
    assert_int_equal(peer_flush(&p.a), 0);
    assert_false(harness_readable(p.a.fd, 0));
    peers_close(&p);
}

TEST_OF_KIND(without_PIPC_WANT_WRITE_the_descriptor_does_not_report_what_is_gathered)
{
    struct peers p;
    open_polled_gathering(&p, kind);
    assert_int_equal(peer_want(&p.a, PIPC_WANT_READ), 0);
    gather_text(&p.a, "one");
    assert_false(harness_readable(p.a.fd, 0));
    assert_int_equal(peer_want(&p.a, BOTH), 0); /* which sends it */
    assert_int_equal(held_by(&p.a), 0);
    assert_false(harness_readable(p.a.fd, 0));
    gather_text(&p.a, "two");
    assert_true(harness_readable(p.a.fd, 0));
    peers_close(&p);
}

/* With PIPC_WANT_READ off: a call that reads is what sends. */
TEST_OF_KIND(a_loop_that_takes_no_messages_is_woken_too)
{
    platform_needs(PLATFORM_EXACT);
    struct peers p;
    open_polled_gathering(&p, kind);
    assert_int_equal(peer_want(&p.a, PIPC_WANT_WRITE), 0);
    gather_text(&p.a, "one");
    assert_true(harness_readable(p.a.fd, 0));
    assert_int_equal(peer_pending(&p.a), 0);
    assert_false(harness_readable(p.a.fd, 0));
    assert_readable(&p.b);
    expect_text(&p.b, "one");
    peers_close(&p);
}

/* Two loops in one thread, which answer each other. Neither flushes. */
TEST_OF_KIND(event_loops_send_by_themselves_what_is_gathered)
{
    enum { ROUNDS = 50 };
    struct peers p;
    struct peer *side[2] = {&p.a, &p.b};
    int got = 0;
    open_polled_gathering(&p, kind);
    gather_text(&p.a, "ping");
    int64_t deadline = harness_now_ms() + HARNESS_TIMEOUT_MS / 2 * harness_scale();
    while (got < ROUNDS && harness_now_ms() < deadline)
        for (int i = 0; i < 2; i++) {
            char data[10];
            if (!harness_readable(side[i]->fd, 1))
                continue;
            while (peer_read(side[i], data, sizeof data) >= 0) {
                assert_int_equal(peer_write(side[i], "ping", 4), 4);
                got++;
            }
            assert_int_equal(errno, EAGAIN);
        }
    assert_true(got >= ROUNDS);
    peers_close(&p);
}

/* --- A full pipe ------------------------------------------------------------------------------ */

enum { SIZE = 1000 };

/* On TCP room comes late. */
static bool write_if_room(struct peer *a, const char *data)
{
    bool is_sent = write_frozen(a, data, SIZE) >= 0;
    if (is_sent || a->delay_ms == 0)
        return is_sent;
    peer_set_timeout(a, 0, PROBE_MS);
    is_sent = peer_write(a, data, SIZE) >= 0;
    peer_set_timeout(a, 0, 0);
    return is_sent || write_frozen(a, data, SIZE) >= 0;
}

/* Messages of the tags from 0 on, by a write with timeout 0, until one is refused. */
static uint64_t fill(struct peer *a)
{
    static char data[SIZE];
    uint64_t count = 0;
    do
        harness_fill(data, SIZE, count);
    while (write_if_room(a, data) && ++count > 0);
    assert_int_equal(errno, EAGAIN);
    return count;
}

/* What b can read now. */
static uint64_t take(struct peer *b, uint64_t next)
{
    char data[SIZE];
    ssize_t size;
    for (; (size = peer_read(b, data, SIZE)) >= 0; next++) {
        assert_int_equal(size, SIZE);
        harness_check(data, SIZE, next);
    }
    assert_int_equal(errno, EAGAIN);
    return next;
}

static void expect_all(struct peers *p, uint64_t count)
{
    uint64_t got = 0;
    int64_t deadline = harness_now_ms() + HARNESS_TIMEOUT_MS / 2 * harness_scale();
    while (got < count && harness_now_ms() < deadline) {
        got = take(&p->b, got);
        peer_flush(&p->a);
    }
    assert_int_equal(got, count);
}

TEST_OF_KIND(a_full_pipe_refuses_a_write_and_loses_nothing)
{
    struct peers p;
    open_polled_gathering(&p, kind);
    uint64_t count = fill(&p.a);
    assert_true(held_by(&p.a) > 0);
    assert_int_equal(peer_stats(&p.a).messages_written, count);
    for (int i = 0; i < 3; i++)
        assert_errno(write_frozen(&p.a, "refused", 7), EAGAIN);
    assert_errno(peer_flush(&p.a), EAGAIN);
    expect_all(&p, count);
    peers_close(&p);
}

TEST_OF_KIND(a_write_to_a_full_pipe_times_out_and_changes_nothing)
{
    struct peers p;
    open_polled_gathering(&p, kind);
    uint64_t count = fill(&p.a);
    peer_set_timeout(&p.a, 0, 20);
    int64_t begin = harness_now_ms();
    assert_errno(peer_write(&p.a, "refused", 7), ETIMEDOUT);
    assert_true(harness_now_ms() - begin >= 19);
    assert_int_equal(peer_stats(&p.a).messages_written, count);
    peer_set_timeout(&p.a, 0, 0);
    expect_all(&p, count);
    peers_close(&p);
}

TEST_OF_KIND(the_descriptor_of_a_full_pipe_is_readable_when_there_is_room)
{
    platform_needs(PLATFORM_EXACT);
    for (enum way way = 0; way < WAYS; way++) {
        struct peers p;
        open_polled_gathering(&p, kind);
        uint64_t count = fill(&p.a), got = 0;
        struct poller poller = poller_begin(way, p.a.fd);
        poller_reports(&poller, 0);
        drain(&p.a);
        if (p.a.delay_ms == 0)
            assert_false(poller_reports(&poller, 0));
        while (held_by(&p.a) > 0) {
            got = take(&p.b, got);
            assert_true(poller_reports(&poller, HARNESS_TIMEOUT_MS));
            drain(&p.a);
        }
        assert_int_equal(peer_flush(&p.a), 0); /* the refused message is given up */
        if (p.a.delay_ms == 0)
            assert_int_equal(take(&p.b, got), count);
        gather_text(&p.a, "again");
        poller_end(&poller);
        peers_close(&p);
    }
}

TEST_OF_KIND(a_write_is_gathered_again_once_the_full_pipe_has_room)
{
    platform_needs(PLATFORM_EXACT);
    struct peers p;
    open_polled_gathering(&p, kind);
    uint64_t count = fill(&p.a);
    assert_errno(peer_flush(&p.a), EAGAIN);
    expect_all(&p, count);
    assert_int_equal(held_by(&p.a), 0);
    assert_int_equal(peer_flush(&p.a), 0);
    gather_text(&p.a, "one");
    gather_text(&p.a, "two");
    peers_close(&p);
}

TEST_OF_KIND(after_a_try_without_room_nothing_is_added_to_what_waits)
{
    struct peers p;
    open_polled_gathering(&p, kind);
    gather_text(&p.a, "one");
    refuse_next_write(true, EAGAIN);
    fault_arm();
    assert_true(peer_fd(&p.a) >= 0);
    fault_disarm();
    assert_int_equal(held_by(&p.a), FRAME_BYTES + 3);
    write_text(&p.a, "two");
    assert_int_equal(held_by(&p.a), 0);
    gather_text(&p.a, "three");
    fault_advance_ms(GATHER_MS);
    refuse_next_write(false, EAGAIN);
    assert_errno(write_frozen(&p.a, "refused", 7), EAGAIN);
    assert_int_equal(held_by(&p.a), FRAME_BYTES + 5);
    write_text(&p.a, "four");
    assert_int_equal(held_by(&p.a), 0);
    expect_pending(&p.b, 4);
    peers_close(&p);
}

/* What the flush that failed promised its caller is not forgotten for what comes later. */
TEST_OF_KIND(after_a_failed_flush_messages_are_sent_until_it_is_repeated)
{
    struct peers p;
    open_polled_gathering(&p, kind);
    uint64_t got = 0;
    fill(&p.a);
    assert_errno(peer_flush(&p.a), EAGAIN);
    while (held_by(&p.a) > 0) {
        got = take(&p.b, got);
        drain(&p.a);
    }
    write_text(&p.a, "at once");
    assert_int_equal(held_by(&p.a), 0);
    assert_true(harness_readable(p.a.fd, p.a.delay_ms));
    assert_int_equal(peer_flush(&p.a), 0);
    gather_text(&p.a, "later");
    peers_close(&p);
}

/* Where closing with unread input resets, the reader may miss the last ones. */
TEST_OF_KIND(close_sends_what_it_can_without_waiting)
{
    struct peers p;
    char data[SIZE];
    uint64_t got = 0;
    open_polled_gathering(&p, kind);
    uint64_t count = fill(&p.a);
    peer_close(&p.a);
    peer_set_timeout(&p.b, -1, -1);
    for (; peer_read(&p.b, data, SIZE) == SIZE; got++)
        harness_check(data, SIZE, got);
    assert_true(errno == EPIPE || errno == ECONNRESET);
    assert_in_range(got, 1, count);
    peers_close(&p);
}

/* --- With PIPC_DUPLEX ------------------------------------------------------------------------- */

TEST_OF_KIND(with_PIPC_DUPLEX_reading_calls_send_nothing)
{
    pipc_msg_t message;
    char byte;
    struct peers p;
    open_gathering(&p, kind, PIPC_DUPLEX);
    peer_set_timeout(&p.a, 0, 0);
    gather_text(&p.a, "one");
    assert_errno(peer_read(&p.a, &byte, 1), EAGAIN);
    assert_errno(peer_read_msg(&p.a, &message), EAGAIN);
    assert_errno(peer_peek(&p.a, &message), EAGAIN);
    assert_errno(peer_skip(&p.a), EAGAIN);
    assert_int_equal(peer_read_pending(&p.a, &message, 1), 0);
    assert_int_equal(peer_pending(&p.a), 0);
    assert_int_equal(held_by(&p.a), FRAME_BYTES + 3);
    assert_int_equal(peer_flush(&p.a), 0);
    expect_text(&p.b, "one");
    peers_close(&p);
}

/* Or a loop that reads would spin. */
TEST_OF_KIND(with_PIPC_DUPLEX_the_descriptor_does_not_report_what_is_gathered)
{
    struct peers p;
    open_gathering(&p, kind, PIPC_DUPLEX);
    int fd = peer_fd(&p.a);
    gather_text(&p.a, "one");
    assert_false(harness_readable(fd, 0));
    assert_int_equal(peer_fd(&p.a), fd);
    assert_int_equal(held_by(&p.a), 0);
    expect_text(&p.b, "one");
    peers_close(&p);
}

struct talk {
    pipc_t *pipe;
    uint64_t count;
};

static void *read_answers(void *arg)
{
    struct talk *talk = arg;
    for (uint64_t i = 0; i < talk->count; i++) {
        uint64_t got;
        assert_int_equal(pipc_read(talk->pipe, &got, sizeof got), sizeof got);
        assert_int_equal(got, i);
    }
    return NULL;
}

static void *write_numbers(void *arg)
{
    struct talk *talk = arg;
    for (uint64_t i = 0; i < talk->count; i++)
        assert_int_equal(pipc_write(talk->pipe, &i, sizeof i), sizeof i);
    assert_true(pipc_flush(talk->pipe) >= 0);
    return NULL;
}

TEST_OF_KIND(two_threads_read_and_write_and_gather_at_once)
{
    pipc_t *end[2];
    pthread_t threads[4];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER | PIPC_DUPLEX;
    kind_open(kind, end, &options);
    assert_true(pipc_fd(end[0]) >= 0);
    struct talk talks[2] = {{end[0], 20000}, {end[1], 20000}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_answers, &talks[i]), 0);
        assert_int_equal(pthread_create(&threads[i + 2], NULL, write_numbers, &talks[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    kind_close(kind, end);
}

HARNESS_MAIN(
    "gather, the descriptor",
    OVER_TWO_HANDLE_KINDS(the_descriptor_is_readable_while_anything_is_gathered),
    OVER_TWO_HANDLE_KINDS(the_descriptor_is_quiet_once_16_KiB_have_gone),
    OVER_TWO_HANDLE_KINDS(a_flush_makes_the_descriptor_quiet),
    OVER_TWO_HANDLE_KINDS(without_PIPC_WANT_WRITE_the_descriptor_does_not_report_what_is_gathered),
    OVER_TWO_HANDLE_KINDS(a_loop_that_takes_no_messages_is_woken_too),
    OVER_TWO_HANDLE_KINDS(event_loops_send_by_themselves_what_is_gathered),
    OVER_TWO_HANDLE_KINDS(a_full_pipe_refuses_a_write_and_loses_nothing),
    OVER_TWO_HANDLE_KINDS(a_write_to_a_full_pipe_times_out_and_changes_nothing),
    OVER_TWO_HANDLE_KINDS(the_descriptor_of_a_full_pipe_is_readable_when_there_is_room),
    OVER_TWO_HANDLE_KINDS(a_write_is_gathered_again_once_the_full_pipe_has_room),
    OVER_TWO_HANDLE_KINDS(after_a_try_without_room_nothing_is_added_to_what_waits),
    OVER_TWO_HANDLE_KINDS(after_a_failed_flush_messages_are_sent_until_it_is_repeated),
    OVER_TWO_HANDLE_KINDS(close_sends_what_it_can_without_waiting),
    OVER_TWO_HANDLE_KINDS(with_PIPC_DUPLEX_reading_calls_send_nothing),
    OVER_TWO_HANDLE_KINDS(with_PIPC_DUPLEX_the_descriptor_does_not_report_what_is_gathered),
    OVER_TWO_HANDLE_KINDS(two_threads_read_and_write_and_gather_at_once))
