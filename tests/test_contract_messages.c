/* SPDX-License-Identifier: MIT */
/*
 * Messages on every kind of pipe: they arrive whole, in order and once, whatever their bytes and
 * however they are written and read. Limits, timeouts and ends have their own files.
 */
#include "peers.h"

#include <limits.h>

/* --- One message after another ---------------------------------------------------------------- */

TEST_OF_KIND(messages_arrive_whole_in_both_directions)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "there");
    expect_text(&p.b, "there");
    send_text(&p.b, "and back");
    expect_text(&p.a, "and back");
    peers_close(&p);
}

TEST_OF_KIND(messages_arrive_in_order_and_once)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    for (uint64_t tag = 0; tag < 200; tag++)
        send_filled(&p.a, (size_t)tag, tag);
    for (uint64_t tag = 0; tag < 200; tag++)
        expect_filled(&p.b, (size_t)tag, tag);
    expect_pending(&p.b, 0);
    peers_close(&p);
}

TEST_OF_KIND(write_and_read_return_the_size_of_the_message)
{
    struct peers p;
    char buffer[16] = "";
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_write(&p.a, "twelve bytes", 12), 12);
    assert_int_equal(peer_read(&p.b, buffer, sizeof buffer), 12);
    assert_memory_equal(buffer, "twelve bytes", 12);
    assert_int_equal(peer_write(&p.b, "x", 1), 1);
    assert_int_equal(peer_read(&p.a, buffer, 1), 1);
    peers_close(&p);
}

TEST_OF_KIND(an_empty_message_is_delivered)
{
    struct peers p;
    char buffer[4];
    pipc_msg_t message;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_write(&p.a, "", 0), 0);
    assert_int_equal(peer_write(&p.a, NULL, 0), 0);
    assert_int_equal(peer_write(&p.a, "", 0), 0);
    expect_pending(&p.b, 3);
    assert_int_equal(peer_read(&p.b, buffer, sizeof buffer), 0);
    assert_int_equal(peer_read(&p.b, NULL, 0), 0);
    assert_int_equal(peer_read_msg(&p.b, &message), 0);
    assert_int_equal(message.size, 0);
    assert_int_equal(message.kind, PIPC_DATA);
    pipc_msg_free(&message);
    expect_pending(&p.b, 0);
    peers_close(&p);
}

/* Bytes that framings use: delimiters, length prefixes, the goodbye's own words. */
TEST_OF_KIND(any_bytes_arrive_unchanged)
{
    static const char *const awkward[] = {"<E0X\\0>", "\xff\xff\xff\xff", "\xff\xff\xff\xfe",
                                          "BYE"};
    struct peers p;
    unsigned char all[256];
    peers_open(&p, kind, NULL);
    for (int i = 0; i < 256; i++)
        all[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof awkward / sizeof awkward[0]; i++)
        send_text(&p.a, awkward[i]);
    assert_int_equal(peer_write(&p.a, all, sizeof all), sizeof all);
    assert_int_equal(peer_write(&p.a, "\0\0\0\0", 4), 4);
    for (size_t i = 0; i < sizeof awkward / sizeof awkward[0]; i++)
        expect_text(&p.b, awkward[i]);
    unsigned char got[256];
    assert_int_equal(peer_read(&p.b, got, sizeof got), sizeof got);
    assert_memory_equal(got, all, sizeof all);
    assert_int_equal(peer_read(&p.b, got, sizeof got), 4);
    assert_memory_equal(got, "\0\0\0\0", 4);
    peers_close(&p);
}

/* Around every size at which a buffer, a page or a pipe may fill up. */
TEST_OF_KIND(messages_of_every_size_near_a_power_of_two_arrive)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    for (size_t power = 1; power <= ((size_t)1 << 21); power *= 2)
        for (size_t size = power > 8 ? power - 8 : 0; size <= power + 8;
             size += power < 64 ? 1 : 4) {
            struct filled filled = {size, 1, size};
            peer_start(&p.b, read_filled, &filled);
            send_filled(&p.a, size, size);
            assert_int_equal(peer_finish(&p.b), 0);
        }
    peers_close(&p);
}

/* --- The ways to write ------------------------------------------------------------------------ */

TEST_OF_KIND(writev_sends_one_message)
{
    char first[] = "one ", second[] = "message";
    const struct iovec parts[] = {{first, 4}, {NULL, 0}, {second, 7}, {first, 0}};
    struct peers p;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_writev(&p.a, parts, 4), 11);
    assert_int_equal(peer_writev(&p.a, parts + 1, 1), 0);
    assert_int_equal(peer_writev(&p.a, NULL, 0), 0);
    expect_text(&p.b, "one message");
    expect_text(&p.b, "");
    expect_text(&p.b, "");
    expect_pending(&p.b, 0);
    peers_close(&p);
}

TEST_OF_KIND(writev_accepts_as_many_parts_as_the_systems_writev)
{
    enum { COUNT = IOV_MAX };
    static struct iovec parts[COUNT + 1];
    static unsigned char bytes[COUNT], got[COUNT];
    struct peers p;
    harness_fill(bytes, COUNT, 7);
    for (int i = 0; i < COUNT; i++)
        parts[i] = (struct iovec){bytes + i, 1};
    peers_open(&p, kind, NULL);
    assert_errno(peer_writev(&p.a, parts, COUNT + 1), EINVAL);
    assert_int_equal(peer_writev(&p.a, parts, COUNT), COUNT);
    assert_int_equal(peer_read(&p.b, got, sizeof got), COUNT);
    harness_check(got, COUNT, 7);
    peers_close(&p);
}

TEST_OF_KIND(a_large_writev_arrives_whole)
{
    enum { PART = 300 * 1000, PARTS = 5 };
    struct peers p;
    unsigned char *data = malloc(PART * PARTS);
    struct iovec parts[PARTS];
    harness_fill(data, PART * PARTS, 3);
    for (int i = 0; i < PARTS; i++)
        parts[i] = (struct iovec){data + i * PART, PART};
    peers_open(&p, kind, NULL);
    struct filled filled = {PART * PARTS, 1, 3};
    peer_start(&p.b, read_filled, &filled);
    assert_int_equal(peer_writev(&p.a, parts, PARTS), PART * PARTS);
    assert_int_equal(peer_finish(&p.b), 0);
    free(data);
    peers_close(&p);
}

TEST_OF_KIND(write_batch_sends_each_part_as_a_message)
{
    char one[] = "one", three[] = "three";
    const struct iovec batch[] = {{one, 3}, {NULL, 0}, {three, 5}};
    struct peers p;
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_write_batch(&p.a, batch, 3), 3);
    assert_int_equal(peer_write_batch(&p.a, batch, 0), 0);
    expect_text(&p.b, "one");
    expect_text(&p.b, "");
    expect_text(&p.b, "three");
    expect_pending(&p.b, 0);
    peers_close(&p);
}

enum { BATCH = 4000, BATCH_SIZE = 500 };

static void make_batch(struct iovec *batch, unsigned char *bytes)
{
    for (size_t i = 0; i < BATCH; i++) {
        batch[i] = (struct iovec){bytes + i * BATCH_SIZE, BATCH_SIZE};
        harness_fill(batch[i].iov_base, BATCH_SIZE, i);
    }
}

TEST_OF_KIND(a_batch_larger_than_the_pipe_is_written_while_the_peer_reads)
{
    static unsigned char bytes[BATCH * BATCH_SIZE];
    static struct iovec batch[BATCH];
    struct peers p;
    struct filled filled = {BATCH_SIZE, BATCH, 0};
    make_batch(batch, bytes);
    peers_open(&p, kind, NULL);
    peer_start(&p.b, read_filled, &filled);
    assert_int_equal(peer_write_batch(&p.a, batch, BATCH), BATCH);
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

static intmax_t read_batches(struct peer *peer, void *count)
{
    for (size_t i = 0; i < *(size_t *)count; i++)
        expect_filled(peer, BATCH_SIZE, i % BATCH);
    return 0;
}

/* -1: none of it, and where bytes are in flight, none a while later either. */
static ssize_t write_rest_of_batch(struct peer *peer, const struct iovec *batch, size_t count)
{
    ssize_t went = peer_write_batch(peer, batch, count);
    if (went >= 0 || peer->delay_ms == 0)
        return went;
    assert_int_equal(errno, EAGAIN);
    peer_set_timeout(peer, 0, PROBE_MS);
    went = peer_write_batch(peer, batch, count);
    peer_set_timeout(peer, 0, 0);
    return went;
}

TEST_OF_KIND(write_batch_returns_the_number_of_messages_written)
{
    static unsigned char bytes[BATCH * BATCH_SIZE];
    static struct iovec batch[BATCH];
    struct peers p;
    size_t sent = 0;
    ssize_t went;
    make_batch(batch, bytes);
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, 0, 0);
    do {
        size_t at = sent % BATCH;
        went = write_rest_of_batch(&p.a, batch + at, BATCH - at);
        assert_true(went <= (ssize_t)(BATCH - at) && went != 0);
        sent += went < 0 ? 0 : (size_t)went;
    } while (went > 0);
    assert_int_equal(errno, p.a.delay_ms == 0 ? EAGAIN : ETIMEDOUT);
    peer_set_timeout(&p.a, -1, -1);
    peer_start(&p.b, read_batches, &sent);
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    expect_pending(&p.b, 0);
    peers_close(&p);
}

/* --- The ways to read ------------------------------------------------------------------------- */

TEST_OF_KIND(a_message_larger_than_the_buffer_stays_and_peek_returns_its_size)
{
    struct peers p;
    char small[4], buffer[16];
    pipc_msg_t view;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "five!");
    send_text(&p.a, "next");
    assert_errno(peer_read(&p.b, small, sizeof small), EMSGSIZE);
    assert_errno(peer_read(&p.b, NULL, 0), EMSGSIZE);
    assert_int_equal(peer_peek(&p.b, &view), 0);
    assert_int_equal(view.size, 5);
    assert_int_equal(peer_read(&p.b, buffer, 5), 5);
    assert_memory_equal(buffer, "five!", 5);
    assert_int_equal(peer_read(&p.b, small, sizeof small), 4);
    peers_close(&p);
}

TEST_OF_KIND(a_large_message_stays_when_the_buffer_is_too_small)
{
    enum { SIZE = 700 * 1000 };
    struct peers p;
    unsigned char *buffer = malloc(SIZE);
    pipc_msg_t view;
    peers_open(&p, kind, NULL);
    struct filled filled = {SIZE, 1, 5};
    peer_start(&p.b, write_filled, &filled);
    assert_errno(peer_read(&p.a, buffer, SIZE - 1), EMSGSIZE);
    assert_int_equal(peer_peek(&p.a, &view), 0);
    assert_int_equal(view.size, SIZE);
    harness_check(view.data, SIZE, 5);
    assert_int_equal(peer_read(&p.a, buffer, SIZE), SIZE);
    harness_check(buffer, SIZE, 5);
    assert_int_equal(peer_finish(&p.b), 0);
    free(buffer);
    peers_close(&p);
}

TEST_OF_KIND(read_msg_gives_the_message_to_the_caller)
{
    struct peers p;
    pipc_msg_t first, second;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "first");
    send_text(&p.a, "second");
    assert_int_equal(peer_read_msg(&p.b, &first), 0);
    assert_int_equal(peer_read_msg(&p.b, &second), 0);
    peers_close(&p); /* what was given away outlives the handle */
    assert_int_equal(first.size, 5);
    assert_memory_equal(first.data, "first", 5);
    assert_int_equal(second.size, 6);
    assert_memory_equal(second.data, "second", 6);
    pipc_msg_free(&first);
    pipc_msg_free(&second);
    assert_null(second.data);
    assert_int_equal(second.size, 0);
    pipc_msg_free(&second);
    pipc_msg_free(NULL);
}

TEST_OF_KIND(a_failed_read_msg_does_not_change_its_argument)
{
    struct peers p;
    pipc_msg_t message = {NULL, 4711, PIPC_BYE};
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, 0, 0);
    assert_errno(peer_read_msg(&p.a, &message), EAGAIN);
    peer_close(&p.b);
    peer_set_timeout(&p.a, -1, 0);
    assert_errno(peer_read_msg(&p.a, &message), EPIPE);
    assert_null(message.data);
    assert_int_equal(message.size, 4711);
    assert_int_equal(message.kind, PIPC_BYE);
    peers_close(&p);
}

TEST_OF_KIND(read_pending_returns_up_to_the_given_number_of_messages)
{
    struct peers p;
    pipc_msg_t got[4];
    peers_open(&p, kind, NULL);
    for (uint64_t tag = 0; tag < 6; tag++)
        send_filled(&p.a, 10 + (size_t)tag, tag);
    expect_pending(&p.b, 6);
    assert_int_equal(peer_read_pending(&p.b, got, 4), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(got[i].size, 10 + i);
        assert_int_equal(got[i].kind, PIPC_DATA);
        harness_check(got[i].data, got[i].size, i);
        pipc_msg_free(&got[i]);
    }
    assert_int_equal(peer_read_pending(&p.b, got, 4), 2);
    for (size_t i = 0; i < 2; i++) {
        harness_check(got[i].data, 14 + i, 4 + i);
        pipc_msg_free(&got[i]);
    }
    peers_close(&p);
}

TEST_OF_KIND(read_pending_receives_messages_that_were_not_counted_before)
{
    struct peers p;
    pipc_msg_t got[4];
    peers_open(&p, kind, NULL);
    send_text(&p.a, "one");
    send_text(&p.a, "two");
    expect_text(&p.b, "one");
    if (kind_delay_ms(kind) > 0)
        expect_pending(&p.b, 1);
    assert_int_equal(peer_read_pending(&p.b, got, 4), 1);
    assert_memory_equal(got[0].data, "two", 3);
    pipc_msg_free(&got[0]);
    peers_close(&p);
}

/* Timeouts are unlimited here: it would hang. */
TEST_OF_KIND(read_pending_returns_0_without_blocking_when_there_are_none)
{
    struct peers p;
    pipc_msg_t got[4];
    peers_open(&p, kind, NULL);
    assert_int_equal(peer_read_pending(&p.b, got, 4), 0);
    send_text(&p.a, "x");
    expect_text(&p.b, "x");
    assert_int_equal(peer_read_pending(&p.b, got, 4), 0);
    peers_close(&p);
}

TEST_OF_KIND(peek_shows_the_same_message_until_it_is_read)
{
    struct peers p;
    pipc_msg_t view;
    peers_open(&p, kind, NULL);
    send_text(&p.a, "first");
    send_text(&p.a, "second");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(peer_peek(&p.b, &view), 0);
        assert_int_equal(view.kind, PIPC_DATA);
        assert_int_equal(view.size, 5);
        assert_memory_equal(view.data, "first", 5);
    }
    expect_pending(&p.b, 2);
    expect_text(&p.b, "first");
    assert_int_equal(peer_peek(&p.b, &view), 0);
    assert_memory_equal(view.data, "second", 6);
    expect_text(&p.b, "second");
    peers_close(&p);
}

static intmax_t write_then_read(struct peer *peer, void *size)
{
    send_filled(peer, *(size_t *)size, 1);
    expect_filled(peer, *(size_t *)size, 2);
    return 0;
}

/* A waiting write receives messages: the view must not move for that. */
TEST_OF_KIND(a_peeked_view_stays_valid_while_a_write_waits)
{
    struct peers p;
    size_t size = 3000 * 1000;
    pipc_msg_t view;
    peers_open(&p, kind, NULL);
    send_filled(&p.b, 100, 0);
    assert_int_equal(peer_peek(&p.a, &view), 0);
    peer_start(&p.b, write_then_read, &size);
    send_filled(&p.a, size, 2);
    assert_int_equal(view.size, 100);
    harness_check(view.data, 100, 0);
    expect_filled(&p.a, 100, 0);
    expect_filled(&p.a, size, 1);
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

TEST_OF_KIND(skip_drops_one_message_of_any_size)
{
    struct peers p;
    struct filled filled = {400 * 1000, 1, 1};
    peers_open(&p, kind, NULL);
    send_text(&p.b, "dropped");
    send_text(&p.b, "");
    send_text(&p.b, "kept");
    assert_int_equal(peer_skip(&p.a), 0);
    assert_int_equal(peer_skip(&p.a), 0);
    expect_text(&p.a, "kept");
    peer_start(&p.b, write_filled, &filled);
    assert_int_equal(peer_skip(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    send_text(&p.b, "after");
    expect_text(&p.a, "after");
    peers_close(&p);
}

TEST_OF_KIND(skip_drops_one_of_the_messages_that_are_in_memory)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    send_text(&p.b, "dropped");
    send_text(&p.b, "kept");
    send_text(&p.b, "last");
    while (peer_pending(&p.a) < 3)
        continue; /* a connection may need a moment */
    assert_int_equal(peer_skip(&p.a), 0);
    expect_text(&p.a, "kept");
    expect_text(&p.a, "last");
    peers_close(&p);
}

HARNESS_MAIN("messages", OVER_KINDS(messages_arrive_whole_in_both_directions),
             OVER_KINDS(messages_arrive_in_order_and_once),
             OVER_KINDS(write_and_read_return_the_size_of_the_message),
             OVER_KINDS(an_empty_message_is_delivered), OVER_KINDS(any_bytes_arrive_unchanged),
             OVER_KINDS(messages_of_every_size_near_a_power_of_two_arrive),
             OVER_KINDS(writev_sends_one_message),
             OVER_KINDS(writev_accepts_as_many_parts_as_the_systems_writev),
             OVER_KINDS(a_large_writev_arrives_whole),
             OVER_KINDS(write_batch_sends_each_part_as_a_message),
             OVER_KINDS(a_batch_larger_than_the_pipe_is_written_while_the_peer_reads),
             OVER_KINDS(write_batch_returns_the_number_of_messages_written),
             OVER_KINDS(a_message_larger_than_the_buffer_stays_and_peek_returns_its_size),
             OVER_KINDS(a_large_message_stays_when_the_buffer_is_too_small),
             OVER_KINDS(read_msg_gives_the_message_to_the_caller),
             OVER_KINDS(a_failed_read_msg_does_not_change_its_argument),
             OVER_KINDS(read_pending_returns_up_to_the_given_number_of_messages),
             OVER_KINDS(read_pending_receives_messages_that_were_not_counted_before),
             OVER_KINDS(read_pending_returns_0_without_blocking_when_there_are_none),
             OVER_KINDS(peek_shows_the_same_message_until_it_is_read),
             OVER_KINDS(a_peeked_view_stays_valid_while_a_write_waits),
             OVER_KINDS(skip_drops_one_message_of_any_size),
             OVER_KINDS(skip_drops_one_of_the_messages_that_are_in_memory))
