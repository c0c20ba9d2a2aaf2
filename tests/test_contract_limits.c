/* SPDX-License-Identifier: MIT */
/*
 * Limits on every kind of pipe: the size of a message, the memory for unread messages, and what
 * happens beyond. Bad arguments are refused.
 */
#include "peers.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEFAULT_LIMIT = 64 << 20 };

/* --- max_message ------------------------------------------------------------------------------ */

static ssize_t write_in_parts(struct peer *peer, unsigned char *data, size_t size)
{
    const struct iovec parts[] = {{data, 1}, {data + 1, size - 1}};
    return peer_writev(peer, parts, 2);
}

static ssize_t write_as_batch(struct peer *peer, unsigned char *data, size_t size)
{
    const struct iovec message = {data, size};
    return peer_write_batch(peer, &message, 1) == 1 ? (ssize_t)size : -1;
}

static void expect_most_sent(struct peer *from, struct peer *to, size_t most)
{
    unsigned char data[4001];
    harness_fill(data, most, 1);
    assert_errno(peer_write(from, data, most + 1), EMSGSIZE);
    assert_int_equal(peer_write(from, data, most), most);
    assert_errno(write_in_parts(from, data, most + 1), EMSGSIZE);
    assert_int_equal(write_in_parts(from, data, most), most);
    assert_errno(write_as_batch(from, data, most + 1), EMSGSIZE);
    assert_int_equal(write_as_batch(from, data, most), most);
    for (int i = 0; i < 3; i++)
        expect_filled(to, most, 1);
    expect_pending(to, 0);
}

/* Small and large messages go by different ways. */
TEST_OF_KIND(a_message_of_max_message_bytes_is_sent_and_a_larger_one_refused)
{
    for (size_t most = 1000; most <= 4000; most += 3000) {
        struct peers p;
        pipc_options_t options = PIPC_OPTIONS_INIT;
        options.max_message = most;
        peers_open(&p, kind, &options);
        expect_most_sent(&p.a, &p.b, most);
        expect_most_sent(&p.b, &p.a, most);
        peers_close(&p);
    }
}

TEST_OF_KIND(a_writev_over_max_message_sends_nothing)
{
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    char data[] = "12345678";
    const struct iovec parts[] = {{data, 8}, {data, 3}};
    options.max_message = 10;
    peers_open(&p, kind, &options);
    assert_errno(peer_writev(&p.a, parts, 2), EMSGSIZE);
    send_text(&p.a, "next");
    expect_text(&p.b, "next");
    peers_close(&p);
}

TEST_OF_KIND(a_batch_stops_before_a_message_over_max_message)
{
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    char data[16] = "123456789abcdef";
    const struct iovec batch[] = {{data, 1}, {data, 10}, {data, 11}, {data, 2}};
    options.max_message = 10;
    peers_open(&p, kind, &options);
    assert_int_equal(peer_write_batch(&p.a, batch, 4), 2);
    assert_errno(peer_write_batch(&p.a, batch + 2, 2), EMSGSIZE);
    assert_int_equal(peer_write_batch(&p.a, batch + 3, 1), 1);
    expect_text(&p.b, "1");
    expect_text(&p.b, "123456789a");
    expect_text(&p.b, "12");
    peers_close(&p);
}

static intmax_t read_one(struct peer *peer, void *message)
{
    return peer_read_msg(peer, message);
}

static void skip_where_it_takes_minutes(void)
{
    if (harness_emulated())
        harness_skip("64 MiB take too long under valgrind");
}

TEST_OF_KIND(the_default_limit_of_a_message_is_64_MiB)
{
    skip_where_it_takes_minutes();
    struct peers p;
    unsigned char *data = calloc(1, DEFAULT_LIMIT + 1);
    pipc_msg_t message;
    peers_open(&p, kind, NULL);
    assert_errno(peer_write(&p.a, data, DEFAULT_LIMIT + 1), EMSGSIZE);
    data[DEFAULT_LIMIT - 1] = 'x';
    peer_start(&p.b, read_one, &message);
    assert_int_equal(peer_write(&p.a, data, DEFAULT_LIMIT), DEFAULT_LIMIT);
    assert_int_equal(peer_finish(&p.b), 0);
    assert_int_equal(message.size, DEFAULT_LIMIT);
    assert_int_equal(((char *)message.data)[DEFAULT_LIMIT - 1], 'x');
    pipc_msg_free(&message);
    free(data);
    peers_close(&p);
}

TEST_OF_KIND(a_higher_limit_allows_larger_messages)
{
    skip_where_it_takes_minutes();
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    size_t size = DEFAULT_LIMIT + 4321;
    unsigned char *data = calloc(1, size);
    pipc_msg_t message;
    options.max_message = size;
    data[size - 1] = 'x';
    peers_open(&p, kind, &options);
    peer_start(&p.b, read_one, &message);
    assert_int_equal(peer_write(&p.a, data, size), size);
    assert_int_equal(peer_finish(&p.b), 0);
    assert_int_equal(message.size, size);
    assert_int_equal(((char *)message.data)[size - 1], 'x');
    pipc_msg_free(&message);
    free(data);
    peers_close(&p);
}

TEST_OF_KIND(sizes_that_overflow_are_refused_and_send_nothing)
{
    struct peers p;
    char data[8] = "1234567";
    const struct iovec half[] = {{data, SIZE_MAX / 2 + 1}, {data, SIZE_MAX / 2 + 1}, {data, 4}};
    const struct iovec batch[] = {{data, SIZE_MAX}};
    peers_open(&p, kind, NULL);
    assert_errno(peer_write(&p.a, data, SIZE_MAX), EMSGSIZE);
    assert_errno(peer_write(&p.a, data, (size_t)SSIZE_MAX + 1), EMSGSIZE);
    assert_errno(peer_writev(&p.a, half, 3), EMSGSIZE);
    assert_errno(peer_write_batch(&p.a, batch, 1), EMSGSIZE);
    send_text(&p.a, "next");
    expect_text(&p.b, "next");
    peers_close(&p);
}

/* --- max_pending ------------------------------------------------------------------------------ */

enum { PENDING_LIMIT = 256 * 1024, PENDING_COST = 64 };

static uint64_t pending_cost(struct peer *peer)
{
    pipc_stats_t stats = peer_stats(peer);
    return stats.bytes_pending + PENDING_COST * stats.messages_pending;
}

/* Until one cannot send and the other cannot receive any more; returns how many were accepted. */
static size_t fill_pipe_and_memory(struct peers *p, size_t size)
{
    size_t count = 0, more;
    do {
        count += more = fill_pipe(&p->a, size, count);
        assert_true(peer_flush(&p->b) >= 0);
    } while (more > 0);
    return count;
}

static void check_that_pending_is_bounded(const struct kind *kind, size_t size)
{
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_pending = PENDING_LIMIT;
    peers_open(&p, kind, &options);
    size_t before = harness_heap_bytes();
    size_t sent = fill_pipe_and_memory(&p, size);
    assert_in_range(pending_cost(&p.b), PENDING_LIMIT / 2, PENDING_LIMIT);
    assert_in_range(harness_heap_bytes() - before, 0, PENDING_LIMIT + 256 * 1024);
    peer_set_timeout(&p.a, -1, -1);
    peer_start(&p.b, read_filled, &(struct filled){size, sent, 0});
    assert_int_equal(peer_flush(&p.a), 0);
    assert_int_equal(peer_finish(&p.b), 0);
    send_text(&p.a, "room again");
    expect_text(&p.b, "room again");
    peers_close(&p);
}

TEST_OF_KIND(messages_in_memory_are_bounded_in_bytes)
{
    check_that_pending_is_bounded(kind, 1000);
}

TEST_OF_KIND(empty_messages_in_memory_are_bounded)
{
    check_that_pending_is_bounded(kind, 0);
}

/* No call reads here: a's writes received what leaves the pipe while they waited. */
TEST_OF_KIND(a_waiting_write_receives_at_most_max_pending)
{
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    char data[1000] = "";
    options.max_pending = PENDING_LIMIT;
    peers_open(&p, kind, &options);
    fill_to_the_brim(&p.a);
    peer_set_timeout(&p.a, 0, 30);
    peer_set_timeout(&p.b, 0, 0);
    /* TCP that is full both ways may rest for longer than a round: it counts only once much
     * came. */
    for (int idle = 0; idle < 3 || pending_cost(&p.a) <= PENDING_LIMIT / 2; idle++) {
        while (peer_write(&p.b, data, sizeof data) == sizeof data)
            idle = 0;
        assert_true(peer_write(&p.a, "", 0) == 0 || errno == ETIMEDOUT);
        assert_in_range(pending_cost(&p.a), 1, PENDING_LIMIT);
    }
    peers_close(&p);
}

/* The heap of both, where both are of this process. They end as loops do, with a look in vain. */
TEST_OF_KIND(an_idle_handle_keeps_at_most_4_KiB)
{
    struct peers p;
    char byte;
    size_t before = harness_heap_bytes();
    peers_open(&p, kind, NULL);
    for (int i = 0; i < 3; i++) {
        send_text(&p.a, "ask");
        expect_text(&p.b, "ask");
        send_text(&p.b, "answer");
        expect_text(&p.a, "answer");
    }
    peer_set_timeout(&p.a, 0, 0);
    peer_set_timeout(&p.b, 0, 0);
    assert_errno(peer_read(&p.a, &byte, 1), EAGAIN);
    assert_errno(peer_read(&p.b, &byte, 1), EAGAIN);
    assert_in_range(harness_heap_bytes() - before, 0, 2 * 4096);
    peers_close(&p);
}

TEST_OF_KIND(a_message_larger_than_max_pending_is_received_when_none_is_queued)
{
    enum { SIZE = 1 << 20 };
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_pending = 1000;
    peers_open(&p, kind, &options);
    struct filled filled = {SIZE, 2, 1};
    peer_start(&p.b, write_filled, &filled);
    while (peer_flush(&p.a) == 0) /* takes it in, without reading */
        assert_true(harness_readable(peer_fd(&p.a), -1));
    assert_int_equal(peer_stats(&p.a).messages_pending, 1);
    assert_int_equal(peer_stats(&p.a).bytes_pending, SIZE);
    expect_filled(&p.a, SIZE, 1);
    expect_filled(&p.a, SIZE, 2);
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

/* --- Large messages of many pipes ------------------------------------------------------------- */

enum { PIPES = 4, LARGE = 1 << 20, LARGE_MESSAGES = 4 };

TEST_OF_KIND(large_messages_of_several_pipes_at_once_arrive_whole)
{
    struct peers p[PIPES];
    struct filled filled[PIPES];
    struct pollfd fds[PIPES];
    unsigned left = PIPES * LARGE_MESSAGES;
    uint64_t next[PIPES] = {0};
    for (size_t i = 0; i < PIPES; i++) {
        peers_open(&p[i], kind, NULL);
        peer_set_timeout(&p[i].a, 0, 0);
        fds[i] = (struct pollfd){peer_fd(&p[i].a), POLLIN, 0};
        filled[i] = (struct filled){LARGE + i, LARGE_MESSAGES, 100 * i};
    }
    for (size_t i = 0; i < PIPES; i++)
        peer_start(&p[i].b, write_filled, &filled[i]);
    while (left > 0) {
        pipc_msg_t message;
        assert_true(poll(fds, PIPES, -1) > 0);
        for (size_t i = 0; i < PIPES; i++) {
            if (fds[i].revents == 0 || peer_read_msg(&p[i].a, &message) != 0)
                continue;
            assert_int_equal(message.size, LARGE + i);
            harness_check(message.data, message.size, 100 * i + next[i]++);
            pipc_msg_free(&message);
            left--;
        }
    }
    for (size_t i = 0; i < PIPES; i++) {
        assert_int_equal(peer_finish(&p[i].b), 0);
        peers_close(&p[i]);
    }
}

/* --- Bad arguments ---------------------------------------------------------------------------- */

/* Who gives one would believe that it keeps strangers out. */
static void expect_refused(const pipc_options_t *options)
{
    int fds[2];
    pipc_t *end[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_null_errno(pipc_open(options), EINVAL);
    assert_errno(pipc_open_pair(end, options), EINVAL);
    assert_null_errno(pipc_open_fds(fds[0], fds[0], options), EINVAL);
    assert_null_errno(pipc_open_fifo("name", 0, options), EINVAL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(close(fds[i]), 0);
}

TEST(a_key_that_nobody_would_ask_for_is_refused)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = "secret";
    options.key_size = 6;
    expect_refused(&options);
    options = (pipc_options_t)PIPC_OPTIONS_INIT;
    options.flags = PIPC_KEY_MD5;
    expect_refused(&options);
}

TEST(every_call_without_a_handle_returns_EINVAL)
{
    char buffer[4] = "abc";
    pipc_msg_t message;
    pipc_stats_t stats = PIPC_STATS_INIT;
    const struct iovec part = {buffer, 3};
    assert_errno(pipc_write(NULL, buffer, 3), EINVAL);
    assert_errno(pipc_writev(NULL, &part, 1), EINVAL);
    assert_errno(pipc_write_batch(NULL, &part, 1), EINVAL);
    assert_errno(pipc_read(NULL, buffer, 3), EINVAL);
    assert_errno(pipc_read_msg(NULL, &message), EINVAL);
    assert_errno(pipc_read_pending(NULL, &message, 1), EINVAL);
    assert_errno(pipc_peek(NULL, &message), EINVAL);
    assert_errno(pipc_skip(NULL), EINVAL);
    assert_errno(pipc_pending(NULL), EINVAL);
    assert_errno(pipc_flush(NULL), EINVAL);
    assert_errno(pipc_shutdown(NULL), EINVAL);
    assert_errno(pipc_disconnect(NULL, "text"), EINVAL);
    assert_errno(pipc_fd(NULL), EINVAL);
    assert_errno(pipc_set_timeout(NULL, 0, 0), EINVAL);
    assert_errno(pipc_peer(NULL, buffer, 3), EINVAL);
    assert_errno(pipc_stats(NULL, &stats), EINVAL);
    assert_null(pipc_bye_text(NULL));
    assert_errno(pipc_open_pair(NULL, NULL), EINVAL);
    pipc_close(NULL);
    pipc_msg_free(NULL);
}

TEST_OF_KIND(bad_arguments_return_EINVAL_and_change_nothing)
{
    struct peers p;
    const struct iovec bad[] = {{NULL, 0}, {NULL, 3}};
    peers_open(&p, kind, NULL);
    assert_errno(peer_write(&p.a, NULL, 1), EINVAL);
    assert_errno(peer_writev(&p.a, NULL, 1), EINVAL);
    assert_errno(peer_writev(&p.a, bad, -1), EINVAL);
    assert_errno(peer_writev(&p.a, bad, 2), EINVAL);
    assert_errno(peer_write_batch(&p.a, NULL, 1), EINVAL);
    assert_errno(peer_write_batch(&p.a, (const struct iovec[]){{"good", 4}, {NULL, 5}}, 2), EINVAL);
    expect_pending(&p.b, 0);
    send_text(&p.a, "still there");
    assert_errno(peer_read(&p.b, NULL, 16), EINVAL);
    assert_errno(peer_read_msg(&p.b, NULL), EINVAL);
    assert_errno(peer_read_pending(&p.b, NULL, 1), EINVAL);
    assert_errno(peer_peek(&p.b, NULL), EINVAL);
    assert_errno(peer_name(&p.b, NULL, 16), EINVAL);
    assert_errno(pipc_stats(p.a.pipe, NULL), EINVAL);
    assert_errno(peer_set_timeout(&p.b, -2, 0), EINVAL);
    assert_errno(peer_set_timeout(&p.b, 0, INT_MIN), EINVAL);
    expect_text(&p.b, "still there"); /* and the timeout is as it was */
    peers_close(&p);
}

HARNESS_MAIN("limits", OVER_KINDS(a_message_of_max_message_bytes_is_sent_and_a_larger_one_refused),
             OVER_KINDS(a_writev_over_max_message_sends_nothing),
             OVER_KINDS(a_batch_stops_before_a_message_over_max_message),
             OVER_KINDS(the_default_limit_of_a_message_is_64_MiB),
             OVER_KINDS(a_higher_limit_allows_larger_messages),
             OVER_KINDS(sizes_that_overflow_are_refused_and_send_nothing),
             OVER_KINDS(messages_in_memory_are_bounded_in_bytes),
             OVER_KINDS(empty_messages_in_memory_are_bounded),
             OVER_KINDS(a_waiting_write_receives_at_most_max_pending),
             OVER_KINDS(an_idle_handle_keeps_at_most_4_KiB),
             OVER_KINDS(a_message_larger_than_max_pending_is_received_when_none_is_queued),
             OVER_KINDS(large_messages_of_several_pipes_at_once_arrive_whole),
             OVER_KINDS(bad_arguments_return_EINVAL_and_change_nothing),
             IT(a_key_that_nobody_would_ask_for_is_refused),
             IT(every_call_without_a_handle_returns_EINVAL))
