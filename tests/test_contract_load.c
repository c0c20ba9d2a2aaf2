/* SPDX-License-Identifier: MIT */
/*
 * Much data on every kind of pipe: two peers that both write before they read, and with
 * PIPC_DUPLEX a reader and a writer thread at each peer. Less under sanitizers and valgrind.
 */
#include "peers.h"

enum { SMALL = 1000, HUGE_SIZE = 30 * 1000 * 1000, TOTAL = 100 * 1000 * 1000 };

static size_t scaled(size_t amount)
{
    return amount / (size_t)harness_scale();
}

/* --- Both write first ------------------------------------------------------------------------- */

/* Cheaper than harness_fill: the place in the order at both ends, and one byte in between. */
static void fill_edges(unsigned char *data, size_t size, uint64_t tag)
{
    memset(data, (int)(tag & 0xff), size);
    memcpy(data, &tag, sizeof tag);
    memcpy(data + size - sizeof tag, &tag, sizeof tag);
}

static void check_edges(const unsigned char *data, size_t size, uint64_t tag)
{
    assert_memory_equal(data, &tag, sizeof tag);
    assert_memory_equal(data + size - sizeof tag, &tag, sizeof tag);
    const unsigned char *between = data + sizeof tag;
    assert_int_equal(between[0], tag & 0xff);
    assert_true(memcmp(between, between + 1, size - 2 * sizeof tag - 1) == 0);
}

static void write_marked(struct peer *peer, const struct filled *marked)
{
    unsigned char *data = malloc(marked->size);
    for (size_t i = 0; i < marked->count; i++) {
        fill_edges(data, marked->size, marked->tag + i);
        assert_int_equal(peer_write(peer, data, marked->size), marked->size);
    }
    free(data);
}

static void read_marked(struct peer *peer, const struct filled *marked)
{
    unsigned char *data = malloc(marked->size);
    for (size_t i = 0; i < marked->count; i++) {
        assert_int_equal(peer_read(peer, data, marked->size), marked->size);
        check_edges(data, marked->size, marked->tag + i);
    }
    free(data);
}

static intmax_t write_all_then_read_all(struct peer *peer, void *marked)
{
    write_marked(peer, marked);
    read_marked(peer, marked);
    return 0;
}

static void both_write_before_they_read(const struct kind *kind, size_t size, size_t count)
{
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct filled marked = {size, count, 1};
    options.max_pending = (size + 64) * count;
    peers_open(&p, kind, &options);
    peer_start(&p.b, write_all_then_read_all, &marked);
    write_all_then_read_all(&p.a, &marked);
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

TEST_OF_KIND(both_peers_can_write_100_MB_of_small_messages_before_they_read)
{
    both_write_before_they_read(kind, SMALL, scaled(TOTAL / SMALL));
}

TEST_OF_KIND(both_peers_can_write_a_message_of_30_MB_before_they_read)
{
    both_write_before_they_read(kind, scaled(HUGE_SIZE), 1);
}

/* --- PIPC_DUPLEX ------------------------------------------------------------------------------ */

struct traffic {
    struct peer peer; /* a copy without a thread: its calls are made where it is used */
    bool polled;
};

enum { DUPLEX_MESSAGES = 6000, LARGE_EVERY = 500 };

/* Mostly small, sometimes more than a pipe holds. */
static size_t duplex_size(uint64_t tag)
{
    return tag % LARGE_EVERY == 1 ? 1000 * 1000 + (size_t)tag : (size_t)(tag * 37 % 900);
}

static void *write_traffic(void *arg)
{
    struct traffic *traffic = arg;
    for (uint64_t tag = 0; tag < scaled(DUPLEX_MESSAGES); tag++)
        send_filled(&traffic->peer, duplex_size(tag), tag);
    return NULL;
}

static void expect_polled(struct peer *peer, size_t size, uint64_t tag)
{
    pipc_msg_t message;
    int fd = peer_fd(peer);
    do {
        assert_true(harness_readable(fd, -1));
    } while (peer_read_msg(peer, &message) != 0 && errno == EAGAIN);
    assert_int_equal(message.size, size);
    harness_check(message.data, size, tag);
    pipc_msg_free(&message);
}

static void *read_traffic(void *arg)
{
    struct traffic *traffic = arg;
    for (uint64_t tag = 0; tag < scaled(DUPLEX_MESSAGES); tag++)
        if (traffic->polled)
            expect_polled(&traffic->peer, duplex_size(tag), tag);
        else
            expect_filled(&traffic->peer, duplex_size(tag), tag);
    return NULL;
}

static void run_four_threads(const struct kind *kind, bool polled)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pipc_t *end[2];
    struct traffic traffic[2];
    pthread_t thread[4];
    options.flags = PIPC_DUPLEX;
    kind_open(kind, end, &options);
    for (size_t i = 0; i < 2; i++) {
        traffic[i] = (struct traffic){.peer = {.pipe = end[i]}, .polled = polled};
        if (polled)
            assert_int_equal(pipc_set_timeout(end[i], 0, -1), 0);
        assert_int_equal(pthread_create(&thread[2 * i], NULL, read_traffic, &traffic[i]), 0);
        assert_int_equal(pthread_create(&thread[2 * i + 1], NULL, write_traffic, &traffic[i]), 0);
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

TEST_OF_KIND(a_reader_and_a_writer_thread_share_a_duplex_handle)
{
    run_four_threads(kind, false);
}

TEST_OF_KIND(a_reader_that_polls_and_a_writer_thread_share_a_duplex_handle)
{
    run_four_threads(kind, true);
}

/* Many small segments overfill a socket that nobody reads, and then TCP drops the other direction's
 * acknowledgements with them: each message back would take one of its timers. */
enum { ALMOST_A_WINDOW = 16384 };

static void *fill_and_wait(void *arg)
{
    struct peer peer = {.pipe = arg};
    static const char data[ALMOST_A_WINDOW];
    while (peer_write(&peer, data, sizeof data) == sizeof data)
        continue;
    assert_int_equal(errno, EPIPE);
    return NULL;
}

static intmax_t push_all(struct peer *peer, void *unused)
{
    (void)unused;
    return peer_set_timeout(peer, -1, -1) == 0 ? peer_flush(peer) : -1;
}

/* What the peer sends stays for the reader while the writer waits for room. */
TEST_OF_KIND(a_waiting_duplex_writer_receives_no_messages)
{
    struct peers p;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pthread_t writer;
    options.flags = PIPC_DUPLEX;
    peers_open(&p, kind, &options);
    assert_int_equal(pthread_create(&writer, NULL, fill_and_wait, p.a.pipe), 0);
    for (uint64_t tag = 0; tag < 50; tag++) {
        send_filled(&p.b, 100, tag);
        expect_filled(&p.a, 100, tag);
    }
    size_t sent = fill_pipe(&p.b, ALMOST_A_WINDOW, 0); /* it ends, since no call receives it */
    assert_int_equal(peer_stats(&p.a).messages_pending, 0);
    peer_start(&p.b, push_all, NULL);
    read_filled(&p.a, &(struct filled){ALMOST_A_WINDOW, sent, 0});
    assert_true(peer_finish(&p.b) >= 0);
    peer_close(&p.b);
    assert_int_equal(pthread_join(writer, NULL), 0);
    peers_close(&p);
}

#define SLOWLY(name, kinds) OVER(name, kinds, 2 * HARNESS_TIMEOUT_MS)

HARNESS_MAIN("load",
             SLOWLY(both_peers_can_write_100_MB_of_small_messages_before_they_read, ALL_KINDS),
             SLOWLY(both_peers_can_write_a_message_of_30_MB_before_they_read, ALL_KINDS),
             SLOWLY(a_reader_and_a_writer_thread_share_a_duplex_handle, TWO_HANDLE_KINDS),
             SLOWLY(a_reader_that_polls_and_a_writer_thread_share_a_duplex_handle,
                    TWO_HANDLE_KINDS),
             OVER_TWO_HANDLE_KINDS(a_waiting_duplex_writer_receives_no_messages))
