/* SPDX-License-Identifier: MIT */
/*
 * PIPC_GATHER: messages arrive whole, once and in order, whatever is written between them, whatever
 * sends them, and however much of it the kernel accepts.
 */
#include "gathering.h"

/* Each way of writing and of sending, in an order that nobody knows, through short writes. */
enum { STEPS = 3000, NUMBER = 8 };

static size_t number_message(char *data, uint64_t number)
{
    static const size_t largest[] = {20, 20, 20, 300, 5000, 40000};
    size_t size = NUMBER + harness_random_below(largest[harness_random_below(6)]);
    memcpy(data, &number, NUMBER);
    harness_fill(data + NUMBER, size - NUMBER, number);
    return size;
}

/* How many of the next messages were accepted. */
static uint64_t write_some_way(struct peer *a, uint64_t number)
{
    static char data[3][50000];
    struct iovec batch[3];
    for (size_t i = 0; i < 3; i++)
        batch[i] = (struct iovec){data[i], number_message(data[i], number + i)};
    struct iovec halves[2] = {{data[0], NUMBER}, {data[0] + NUMBER, batch[0].iov_len - NUMBER}};
    ssize_t result;
    switch (harness_random_below(6)) {
    case 0:
        result = peer_write_batch(a, batch, 3);
        return result < 0 ? 0 : (uint64_t)result;
    case 1:
        return peer_writev(a, halves, 2) >= 0;
    default:
        return peer_write(a, data[0], batch[0].iov_len) >= 0;
    }
}

static void call_anything(struct peer *a)
{
    pipc_msg_t view;
    size_t which = harness_random_below(40);
    if (which == 0)
        peer_flush(a);
    else if (which == 1)
        peer_peek(a, &view);
    else if (which == 2)
        peer_fd(a);
    else if (which == 3)
        fault_advance_ms(GATHER_MS);
}

static uint64_t read_numbered(struct peer *b, uint64_t number)
{
    static char data[50000];
    ssize_t size;
    while ((size = peer_read(b, data, sizeof data)) >= 0) {
        uint64_t got;
        memcpy(&got, data, NUMBER);
        assert_int_equal(got, number);
        harness_check(data + NUMBER, (size_t)size - NUMBER, number);
        number++;
    }
    assert_int_equal(errno, EAGAIN);
    return number;
}

TEST_OF_KIND(messages_arrive_whole_and_in_order_whatever_sends_them)
{
    struct peers p;
    uint64_t sent = 0, arrived = 0;
    open_gathering(&p, kind, 0);
    fault_shorten(true);
    fault_eagain_after_poll(true);
    peer_set_timeout(&p.a, 0, 0);
    peer_set_timeout(&p.b, 0, 0);
    for (int i = 0; i < STEPS / harness_scale(); i++) {
        fault_arm();
        sent += write_some_way(&p.a, sent);
        call_anything(&p.a);
        fault_disarm();
        if (harness_random_below(20) == 0)
            arrived = read_numbered(&p.b, arrived);
    }
    assert_int_equal(peer_stats(&p.a).messages_written, sent);
    while (arrived < sent) {
        peer_flush(&p.a);
        arrived = read_numbered(&p.b, arrived);
    }
    peers_close(&p);
}

static intmax_t read_many(struct peer *b, void *count)
{
    for (uint64_t i = 0; i < *(uint64_t *)count; i++) {
        uint64_t got;
        assert_int_equal(peer_read(b, &got, sizeof got), sizeof got);
        assert_int_equal(got, i);
    }
    return 0;
}

TEST_OF_KIND(a_writer_that_waits_for_room_loses_nothing)
{
    struct peers p;
    uint64_t count = 500000 / (uint64_t)harness_scale();
    open_gathering(&p, kind, 0);
    peer_start(&p.b, read_many, &count);
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(peer_write(&p.a, &i, sizeof i), sizeof i);
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

HARNESS_MAIN("gather, the order",
             OVER_TWO_HANDLE_KINDS(messages_arrive_whole_and_in_order_whatever_sends_them),
             OVER_TWO_HANDLE_KINDS(a_writer_that_waits_for_room_loses_nothing))
