/* SPDX-License-Identifier: MIT */
/*
 * A call with timeout 0 receives at most 16 MiB, and the next call continues. The data comes from
 * files, which hold any amount; the descriptor is tested on a socket with a huge buffer.
 */
#include "channel/inbound.h" /* before the macro skip of cmocka */

#include "anonymous.h"
#include "fault.h"
#include "polling.h"

#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ONE_CALL = 16 << 20, COST = 64, MUCH = 40 << 20 };

/* --- A file full of messages ------------------------------------------------------------------ */

static void put(int fd, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t went = write(fd, (const char *)bytes + done, size - done);
        assert_true(went > 0);
        done += (size_t)went;
    }
}

static int open_nameless(void)
{
    char name[] = "/tmp/pipc-XXXXXX";
    int fd = memfd_create("messages", MFD_CLOEXEC);
    if (fd >= 0)
        return fd;
    fd = mkostemp(name, O_CLOEXEC); /* ./dev old-kernels */
    unlink(name);
    return fd;
}

/* `count` messages of that size, each with the tag of its place. */
static pipc_t *open_file(size_t size, size_t count)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    unsigned char *frame = malloc(4 + size);
    int fd = open_nameless(), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    uint32_t length = htonl((uint32_t)size);
    assert_true(fd >= 0 && nowhere >= 0);
    memcpy(frame, &length, 4);
    for (size_t i = 0; i < count; i++) {
        harness_fill(frame + 4, size, i);
        put(fd, frame, 4 + size);
    }
    free(frame);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    options.max_pending = (size_t)1 << 30;
    pipc_t *pipe = harness_adopt(fd, nowhere, &options);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    return pipe;
}

static size_t taken_in(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    return (size_t)(stats.bytes_pending + COST * stats.messages_pending);
}

static size_t in_memory(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    return (size_t)stats.messages_pending;
}

/* It counts the messages that it received, and whole ones in the next buffer. */
static void check_counting(size_t size, ssize_t (*count)(pipc_t *pipe))
{
    enum { BUFFER = 65536 + 4096 };
    size_t all = MUCH / (size + COST), before = 0;
    pipc_t *pipe = open_file(size, all);
    for (ssize_t there = 0; there < (ssize_t)all;) {
        there = count(pipe);
        size_t now = taken_in(pipe);
        assert_in_range(now - before, 1, ONE_CALL);
        assert_in_range(there, in_memory(pipe), in_memory(pipe) + BUFFER / (size + 4));
        assert_true(there == (ssize_t)all || now - before > ONE_CALL - 2 * (size + COST));
        before = now;
    }
    assert_int_equal(count(pipe), all);
    assert_int_equal(in_memory(pipe), all);
    pipc_close(pipe);
}

TEST(pipc_pending_receives_16_MiB_at_a_time)
{
    check_counting(1000, pipc_pending);
    check_counting(100, pipc_pending);
    check_counting(0, pipc_pending);
}

TEST(pipc_flush_receives_16_MiB_at_a_time)
{
    check_counting(1000, pipc_flush);
    check_counting(10, pipc_flush);
}

TEST(pipc_read_pending_receives_16_MiB_at_a_time)
{
    enum { SIZE = 30000 };
    size_t all = MUCH / SIZE, next = 0;
    pipc_msg_t *messages = calloc(all, sizeof *messages);
    pipc_t *pipe = open_file(SIZE, all);
    while (next < all) {
        ssize_t got = pipc_read_pending(pipe, messages, all);
        assert_in_range(got, 1, ONE_CALL / (SIZE + COST));
        for (ssize_t i = 0; i < got; i++, next++) {
            assert_int_equal(messages[i].size, SIZE);
            harness_check(messages[i].data, SIZE, next);
            pipc_msg_free(&messages[i]);
        }
    }
    assert_errno(pipc_read_pending(pipe, messages, all), EPIPE);
    free(messages);
    pipc_close(pipe);
}

TEST(a_long_message_is_received_16_MiB_at_a_time)
{
    pipc_msg_t message;
    pipc_t *pipe = open_file(MUCH, 1);
    for (size_t part = 1; part <= MUCH / ONE_CALL; part++) {
        harness_heap_peak_reset();
        assert_errno(part == 1 ? pipc_peek(pipe, &message) : pipc_read_msg(pipe, &message), EAGAIN);
        assert_in_range(harness_heap_peak(), part * ONE_CALL / 2, 3 * part * ONE_CALL);
    }
    assert_int_equal(pipc_read_msg(pipe, &message), 0);
    assert_int_equal(message.size, MUCH);
    harness_check(message.data, MUCH, 0);
    pipc_msg_free(&message);
    pipc_close(pipe);
}

TEST(a_blocking_read_receives_a_long_message_in_one_call)
{
    static const int time_outs[] = {HARNESS_TIMEOUT_MS, -1};
    for (size_t i = 0; i < 2; i++) {
        pipc_msg_t message;
        pipc_t *pipe = open_file(MUCH, 1);
        assert_int_equal(pipc_set_timeout(pipe, time_outs[i], 0), 0);
        assert_int_equal(pipc_read_msg(pipe, &message), 0);
        pipc_msg_free(&message);
        pipc_close(pipe);
    }
}

/* Empty messages without end. */
TEST(an_endless_source_keeps_no_call_from_returning)
{
    enum { MESSAGES = 100 };
    pipc_msg_t messages[MESSAGES];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_pending = (size_t)1 << 30;
    pipc_t *pipe = harness_adopt(open("/dev/zero", O_RDONLY | O_CLOEXEC),
                                 open("/dev/null", O_WRONLY | O_CLOEXEC), &options);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    for (size_t calls = 1; calls <= 3; calls++) {
        assert_true(pipc_pending(pipe) >= (ssize_t)calls * ONE_CALL / COST);
        assert_int_equal(taken_in(pipe), calls * ONE_CALL);
    }
    assert_int_equal(pipc_read_pending(pipe, messages, MESSAGES), MESSAGES);
    for (size_t i = 0; i < MESSAGES; i++)
        pipc_msg_free(&messages[i]);
    pipc_close(pipe);
}

/* --- A peer that feeds byte by byte ---------------------------------------------------------- */

static size_t pieces; /* that were read */

static bool accept_no_fds(struct transport *transport, struct arrived *arrived)
{
    (void)transport;
    (void)arrived;
    return false;
}

static ssize_t show_header(struct transport *transport, size_t want, enum transport_peek mode,
                           struct transport_view *view)
{
    static const uint8_t header[] = {MUCH >> 24, MUCH >> 16 & 255, MUCH >> 8 & 255, MUCH & 255};
    (void)transport;
    (void)want;
    (void)mode;
    *view = (struct transport_view){.bytes = header};
    return sizeof header;
}

static void skip_nothing(struct transport *transport, size_t size)
{
    (void)transport;
    (void)size;
}

static ssize_t read_one_byte(struct transport *transport, void *buffer, size_t size, bool waits)
{
    (void)transport;
    (void)size;
    (void)waits;
    *(char *)buffer = 0;
    pieces++;
    return 1;
}

TEST(a_message_that_comes_byte_by_byte_keeps_no_call_from_returning)
{
    static const struct transport_ops ops = {.accept_fds = accept_no_fds,
                                             .peek = show_header,
                                             .skip = skip_nothing,
                                             .read = read_one_byte};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    atomic_bool was_reset = false;
    struct transport transport = {.ops = &ops, .peek_max = 4096};
    struct inbound in;
    inbound_init(&in, &options, &was_reset);
    inbound_attach(&in, &transport);
    for (size_t calls = 1; calls <= 3; calls++) {
        inbound_begin_call(&in);
        assert_int_equal(inbound_load(&in), IO_AGAIN);
        assert_true(inbound_is_stopped(&in));
        assert_int_equal(pieces, calls * ONE_CALL / COST);
    }
    inbound_fini(&in);
}

/* --- What the descriptor says ----------------------------------------------------------------- */

/* All of it lies in the kernel when the first call comes, so nothing that is still to come wakes
 * anybody. */
static void open_full_sockets(pipc_t *end[2], const void *data, size_t size, size_t count)
{
    int fd[2], room = 2 * MUCH;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_pending = (size_t)1 << 30;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    if (setsockopt(fd[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0) {
        close(fd[0]);
        close(fd[1]);
        harness_skip("no socket buffer of that size without CAP_NET_ADMIN");
    }
    end[0] = harness_adopt(fd[0], fd[0], &options);
    end[1] = harness_adopt(fd[1], fd[1], &options);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_set_timeout(end[i], 0, 0), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pipc_write(end[1], data, size), size);
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(end[1], &stats), 0);
    assert_int_equal(stats.bytes_held, 0);
}

TEST(the_descriptor_is_readable_when_a_call_stopped_in_a_message)
{
    char *data = calloc(1, MUCH);
    for (enum way way = 0; way < WAYS; way++) {
        pipc_t *end[2];
        pipc_msg_t message;
        open_full_sockets(end, data, MUCH, 1);
        struct poller poller = poller_begin(way, pipc_fd(end[0]));
        for (int part = 0; part < MUCH / ONE_CALL; part++) {
            assert_true(poller_reports(&poller, 0));
            assert_errno(pipc_read_msg(end[0], &message), EAGAIN);
        }
        assert_true(poller_reports(&poller, 0));
        assert_int_equal(pipc_read_msg(end[0], &message), 0);
        pipc_msg_free(&message);
        assert_errno(pipc_read_msg(end[0], &message), EAGAIN);
        assert_false(way < BY_EDGE && poller_reports(&poller, 0));
        poller_end(&poller);
        pipc_close(end[0]);
        pipc_close(end[1]);
    }
    free(data);
}

/* The program takes what one call gives, and waits then. */
TEST(the_descriptor_is_readable_when_a_call_stopped_between_messages)
{
    enum { SIZE = 100000, COUNT = MUCH / SIZE };
    char *data = calloc(1, SIZE);
    for (enum way way = 0; way < WAYS; way++) {
        pipc_t *end[2];
        static pipc_msg_t messages[COUNT];
        open_full_sockets(end, data, SIZE, COUNT);
        struct poller poller = poller_begin(way, pipc_fd(end[0]));
        for (size_t all = 0; all < COUNT;) {
            assert_true(poller_reports(&poller, 0));
            ssize_t got = pipc_read_pending(end[0], messages, COUNT);
            assert_in_range(got, 1, ONE_CALL / SIZE + 1); /* one had begun */
            for (ssize_t i = 0; i < got; i++)
                pipc_msg_free(&messages[i]);
            all += (size_t)got;
        }
        assert_int_equal(pipc_read_pending(end[0], messages, COUNT), 0);
        assert_false(way < BY_EDGE && poller_reports(&poller, 0));
        poller_end(&poller);
        pipc_close(end[0]);
        pipc_close(end[1]);
    }
    free(data);
}

/* --- An end while one call takes in all that it may ------------------------------------------- */

/* The writer goes on when the reader rings for room, and the reader waits for that. */
static struct feeding {
    struct side writer;
    bool is_over;
} feeding;

/* Ends inside the message once more has gone than the reader's call takes. */
static void feed(pipc_t *pipe)
{
    enum { ENOUGH = ONE_CALL + 100000 };
    char *data = calloc(1, MUCH);
    set_timeouts(pipe, -1, 0);
    assert_true(pipc_fd(pipe) >= 0);
    assert_int_equal(pipc_write(pipe, data, MUCH), MUCH);
    free(data);
    while (!feeding.is_over) {
        pipc_stats_t stats = PIPC_STATS_INIT;
        assert_errno(pipc_flush(pipe), EAGAIN);
        assert_int_equal(pipc_stats(pipe, &stats), 0);
        feeding.is_over = MUCH - stats.bytes_held >= ENOUGH;
        harness_gate_open(&gate[0]);
        if (!feeding.is_over)
            harness_gate_wait(&gate[1]);
    }
}

static void let_it_feed(void *context)
{
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[0]);
    if (feeding.is_over)
        side_end(&feeding.writer);
    else
        fault_before(CALL_write, fault_calls(CALL_write) + 1, let_it_feed, context);
}

static void take_in_while_it_feeds(pipc_t *pipe)
{
    fault_reset();
    fault_before(CALL_write, 1, let_it_feed, NULL);
    fault_arm();
    assert_int_equal(pipc_pending(pipe), 0);
    fault_disarm();
    assert_true(feeding.is_over);
}

TEST(without_PIPC_WANT_READ_an_end_that_comes_during_a_call_that_stopped_is_reported)
{
    anonymous_need_eventfd();
    pipc_t *pipe = open_anonymous();
    gates_init();
    set_timeouts(pipe, 0, 0);
    int fd = pipc_fd(pipe);
    assert_int_equal(pipc_shutdown(pipe), 0);
    assert_int_equal(pipc_want(pipe, 0), 0);
    side_start(&feeding.writer, anonymous_in_threads, pipe, feed);
    harness_gate_wait(&gate[0]);
    take_in_while_it_feeds(pipe);
    assert_true(harness_readable(fd, 0));
    assert_int_equal(pipc_pending(pipe), 0);
    assert_true(harness_readable(fd, 0));
    hear_the_end(pipe, ECONNRESET);
    gates_close();
    pipc_close(pipe);
}

/* --- On every kind ---------------------------------------------------------------------------- */

/* By edges alone, while it comes. */
static intmax_t write_much(struct peer *peer, void *data)
{
    if (peer_set_timeout(peer, -1, -1) != 0)
        return -1;
    return peer_write(peer, data, MUCH);
}

TEST_OF_KIND(a_long_message_arrives_under_edge_triggered_polling)
{
    struct peers p;
    pipc_msg_t message;
    char *data = calloc(1, MUCH);
    open_polled(&p, kind);
    struct poller poller = poller_begin(BY_EDGE, p.a.fd);
    peer_start(&p.b, write_much, data);
    do
        assert_true(poller_reports(&poller, HARNESS_TIMEOUT_MS));
    while (peer_read_msg(&p.a, &message) != 0 && errno == EAGAIN);
    assert_int_equal(message.size, MUCH);
    assert_int_equal(peer_finish(&p.b), MUCH);
    pipc_msg_free(&message);
    poller_end(&poller);
    free(data);
    peers_close(&p);
}

TEST_OF_KIND(a_read_with_a_timeout_receives_a_long_message_in_one_call)
{
    struct peers p;
    pipc_msg_t message;
    char *data = calloc(1, MUCH);
    peers_open(&p, kind, NULL);
    peer_set_timeout(&p.a, HARNESS_TIMEOUT_MS * harness_scale(), -1);
    peer_start(&p.b, write_much, data);
    assert_int_equal(peer_read_msg(&p.a, &message), 0);
    assert_int_equal(message.size, MUCH);
    assert_int_equal(peer_finish(&p.b), MUCH);
    pipc_msg_free(&message);
    free(data);
    peers_close(&p);
}

HARNESS_MAIN("bounded_work", IT(pipc_pending_receives_16_MiB_at_a_time),
             IT(pipc_flush_receives_16_MiB_at_a_time),
             IT(pipc_read_pending_receives_16_MiB_at_a_time),
             IT(a_long_message_is_received_16_MiB_at_a_time),
             IT(a_blocking_read_receives_a_long_message_in_one_call),
             IT(an_endless_source_keeps_no_call_from_returning),
             IT(a_message_that_comes_byte_by_byte_keeps_no_call_from_returning),
             IT(the_descriptor_is_readable_when_a_call_stopped_in_a_message),
             IT(the_descriptor_is_readable_when_a_call_stopped_between_messages),
             IT(without_PIPC_WANT_READ_an_end_that_comes_during_a_call_that_stopped_is_reported),
             OVER_KINDS(a_long_message_arrives_under_edge_triggered_polling),
             OVER_KINDS(a_read_with_a_timeout_receives_a_long_message_in_one_call))
