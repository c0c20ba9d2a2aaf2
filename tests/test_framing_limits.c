/* SPDX-License-Identifier: MIT */
/*
 * Sizes and numbers: messages at the limit, headers with large lengths, unread messages, small
 * buffers. Memory grows with the bytes that arrived, up to max_pending.
 */
#include "raw.h"

/* What a handle may hold beside the messages: itself, and a buffer to read ahead into. */
#define OVERHEAD ((size_t)256 << 10)

static pipc_options_t limits(size_t max_message, size_t max_pending)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_message = max_message;
    options.max_pending = max_pending;
    return options;
}

/* --- The largest message ---------------------------------------------------------------------- */

TEST(a_message_of_max_message_is_sent_and_a_larger_one_refused)
{
    static char data[1001], got[1000];
    pipc_options_t options = limits(1000, 0);
    struct raw raw;
    raw_open(&raw, &raw_socket, &options);
    harness_fill(data, sizeof data, 1);
    assert_errno(pipc_write(raw.pipe, data, 1001), EMSGSIZE);
    assert_errno(pipc_writev(raw.pipe, &(struct iovec){data, 1001}, 1), EMSGSIZE);
    assert_errno(pipc_write_batch(raw.pipe, &(struct iovec){data, 1001}, 1), EMSGSIZE);
    assert_int_equal(pipc_write(raw.pipe, data, 1000), 1000);
    raw_expect(&raw, BYTES("\0\0\3\xe8"));
    raw_take(&raw, got, 1000);
    harness_check(got, 1000, 1);
    raw_close(&raw);
}

TEST(a_batch_stops_before_the_message_that_is_too_large)
{
    static char data[11];
    struct iovec messages[] = {{data, 1}, {data, 10}, {data, 11}, {data, 1}};
    pipc_options_t options = limits(10, 0);
    struct raw raw;
    raw_open(&raw, &raw_socket, &options);
    assert_int_equal(pipc_write_batch(raw.pipe, messages, 4), 2);
    raw_expect(&raw, BYTES("\0\0\0\1\0\0\0\0\12\0\0\0\0\0\0\0\0\0\0"));
    assert_errno(pipc_write_batch(raw.pipe, messages + 2, 2), EMSGSIZE);
    pipc_close(raw.pipe);
    raw_expect_end(&raw);
    close(raw.in);
    close(raw.out);
}

TEST(a_message_of_max_message_is_received_and_a_larger_one_is_eproto)
{
    static char data[1001], got[1001];
    pipc_options_t options = limits(1000, 0);
    struct raw raw;
    raw_open(&raw, &raw_socket, &options);
    harness_fill(data, sizeof data, 1);
    raw_send(&raw, BYTES("\0\0\3\xe8"));
    raw_send(&raw, data, 1000);
    raw_send(&raw, BYTES("\0\0\3\xe9"));
    raw_send(&raw, data, 1001);
    assert_int_equal(pipc_read(raw.pipe, got, sizeof got), 1000);
    harness_check(got, 1000, 1);
    expect_failure(raw.pipe, EPROTO);
    raw_close(&raw);
}

TEST(the_limit_of_a_goodbye_applies_to_its_text)
{
    pipc_options_t options = limits(4, 0);
    struct raw raw;
    raw_open(&raw, &raw_socket, &options);
    assert_errno(pipc_disconnect(raw.pipe, "hello"), EMSGSIZE);
    assert_int_equal(pipc_write(raw.pipe, "live", 4), 4);
    assert_int_equal(pipc_disconnect(raw.pipe, "ciao"), 0);
    raw_expect(&raw, BYTES("\0\0\0\4live\xff\xff\xff\xfe\0\0\0\7BYEciao"));
    raw_send(&raw, BYTES("\xff\xff\xff\xfe\0\0\0\7BYEciao"));
    expect_failure(raw.pipe, ESHUTDOWN);
    raw_close(&raw);
    raw_open(&raw, &raw_socket, &options);
    raw_send(&raw, BYTES("\xff\xff\xff\xfe\0\0\0\10BYEhello"));
    expect_failure(raw.pipe, EPROTO);
    raw_close(&raw);
}

TEST(without_a_limit_large_lengths_do_no_harm)
{
    static const struct {
        const char *bytes;
        size_t size;
    } large[] = {{BYTES("\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff")},
                 {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
                 {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xc0")},
                 {BYTES("\xff\xff\xff\xff\x80\0\0\0\0\0\0\0")},
                 {BYTES("\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")}};
    pipc_options_t options = limits(SIZE_MAX, SIZE_MAX);
    char got[16];
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        struct raw raw;
        raw_open(&raw, &raw_socket, &options);
        harness_heap_peak_reset();
        raw_send(&raw, large[i].bytes, large[i].size);
        raw_send(&raw, "BYE", 3);
        assert_int_equal(pipc_read(raw.pipe, got, sizeof got), -1);
        if (errno != EAGAIN && errno != EMSGSIZE) /* EMSGSIZE: its size is known already */
            assert_int_equal(errno, EPROTO);
        assert_true(harness_heap_peak() <= harness_heap_bytes() + OVERHEAD);
        raw_close(&raw);
    }
}

/* --- Promises --------------------------------------------------------------------------------- */

static void promise_and_give_little(const char *prefix, size_t size, const pipc_options_t *options)
{
    struct raw raw;
    pipc_msg_t view;
    size_t before = harness_heap_bytes();
    raw_open(&raw, &raw_socket, options);
    harness_heap_peak_reset();
    raw_send(&raw, prefix, size);
    raw_send(&raw, "B", 1);
    assert_errno(pipc_peek(raw.pipe, &view), EAGAIN);
    assert_int_equal(pipc_flush(raw.pipe), 0);
    assert_true(harness_heap_peak() - before <= OVERHEAD);
    raw_end(&raw);
    assert_errno(pipc_peek(raw.pipe, &view), ECONNRESET);
    raw_close(&raw);
}

TEST(a_header_with_a_large_length_allocates_nothing)
{
    pipc_options_t options = limits(HARNESS_HUGE, 0);
    for (int i = 0; i < 1000 / harness_scale(); i++) {
        promise_and_give_little(BYTES("\x3f\xff\xff\xff"), &options);
        promise_and_give_little(BYTES("\xff\xff\xff\xfe\x3f\xff\xff\xff"), &options);
        if (sizeof(size_t) > 4)
            promise_and_give_little(BYTES("\xff\xff\xff\xff\0\0\0\1\0\0\0\0"), &options);
        promise_and_give_little(BYTES("\4\0\0\0"), NULL);
    }
}

TEST(many_headers_with_large_lengths_allocate_nothing)
{
    enum { COUNT = 200 }; /* three descriptors each: under the usual 1,024 */
    static struct raw raw[COUNT];
    size_t before = harness_heap_bytes();
    for (int i = 0; i < COUNT; i++) {
        raw_open(&raw[i], &raw_socket, NULL);
        raw_send(&raw[i], BYTES("\4\0\0\0x"));
        assert_int_equal(pipc_flush(raw[i].pipe), 0);
    }
    assert_true(harness_heap_bytes() - before <= COUNT * OVERHEAD);
    for (int i = 0; i < COUNT; i++)
        raw_close(&raw[i]);
}

TEST(memory_grows_with_the_bytes_that_arrived)
{
    static char chunk[10000];
    enum { TOTAL = 20000000 };
    size_t before = harness_heap_bytes();
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    raw_send(&raw, BYTES("\x01\x31\x2d\x00"));
    for (size_t came = 0; came < TOTAL; came += sizeof chunk) {
        raw_send(&raw, chunk, sizeof chunk);
        assert_int_equal(pipc_flush(raw.pipe), came + sizeof chunk == TOTAL);
        assert_true(harness_heap_bytes() - before <= 2 * (came + sizeof chunk) + OVERHEAD);
    }
    assert_int_equal(pipc_skip(raw.pipe), 0);
    assert_true(harness_heap_bytes() - before <= OVERHEAD);
    raw_close(&raw);
}

/* --- Unread messages --------------------------------------------------------------- */

/* Sends the same chunk of frames again and again, and has the handle take in what it will, until it
 * takes no more. Returns the bytes that went. */
static size_t send_until_full(const struct raw *raw, const char *chunk, size_t size, size_t limit)
{
    size_t sent = 0, at = 0;
    fcntl(raw->out, F_SETFL, O_NONBLOCK);
    for (int refused = 0; refused < 2 && sent < limit;) {
        ssize_t n = write(raw->out, chunk + at, size - at);
        refused = n < 0 ? refused + 1 : 0;
        sent += n < 0 ? 0 : (size_t)n;
        at = sent % size;
        assert_true(pipc_flush(raw->pipe) >= 0);
    }
    return sent;
}

static void assert_empty_messages_bounded(size_t max_pending)
{
    static const char zeros[4096];
    pipc_options_t options = limits(0, max_pending);
    struct raw raw;
    char byte;
    size_t before = harness_heap_bytes(), ten_million = (size_t)10000000 * 4;
    raw_open(&raw, &raw_socket, &options);
    harness_heap_peak_reset();
    size_t sent = send_until_full(&raw, zeros, sizeof zeros, ten_million);
    assert_true(sent < ten_million);
    assert_true(harness_heap_peak() - before <= max_pending + OVERHEAD);
    assert_true((size_t)pipc_pending(raw.pipe) <= max_pending / 64 + 1);
    for (size_t i = 0; i < sent / 4; i++)
        assert_int_equal(pipc_read(raw.pipe, &byte, 1), 0);
    if (sent % 4 == 0)
        expect_failure(raw.pipe, EAGAIN);
    raw_close(&raw);
}

TEST(ten_million_unread_empty_messages_use_bounded_memory)
{
    static const size_t pending[] = {1, 64, 1000, 100000};
    for (size_t i = 0; i < sizeof pending / sizeof pending[0]; i++)
        assert_empty_messages_bounded(pending[i]);
    if (harness_scale() == 1)
        assert_empty_messages_bounded((size_t)64 << 20);
}

TEST(unread_messages_of_any_size_use_bounded_memory)
{
    static char chunk[4 + 700];
    pipc_options_t options = limits(0, 100000);
    struct raw raw;
    size_t before = harness_heap_bytes();
    memcpy(chunk, "\0\0\2\xbc", 4);
    harness_fill(chunk + 4, 700, 1);
    raw_open(&raw, &raw_socket, &options);
    size_t sent = send_until_full(&raw, chunk, sizeof chunk, 100000000);
    assert_true(sent < 100000000);
    assert_true(harness_heap_bytes() - before <= 100000 + OVERHEAD);
    for (size_t i = 0; i < sent / sizeof chunk; i++) {
        char got[700];
        assert_int_equal(pipc_read(raw.pipe, got, sizeof got), 700);
        harness_check(got, 700, 1);
    }
    raw_close(&raw);
}

TEST(a_message_larger_than_max_pending_is_received_when_none_is_queued)
{
    static char data[5000], got[5000];
    pipc_options_t options = limits(0, 100);
    struct raw raw;
    raw_open(&raw, &raw_socket, &options);
    harness_fill(data, sizeof data, 1);
    for (int i = 0; i < 3; i++) {
        raw_send(&raw, BYTES("\0\0\x13\x88"));
        raw_send(&raw, data, sizeof data);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pipc_read(raw.pipe, got, sizeof got), sizeof got);
        harness_check(got, sizeof got, 1);
    }
    raw_close(&raw);
}

/* --- Buffers, and what is no argument --------------------------------------------------------- */

TEST(a_read_with_a_small_buffer_leaves_the_message)
{
    pipc_msg_t view;
    char got[5];
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    raw_send(&raw, BYTES("\0\0\0\5hello\0\0\0\1x"));
    assert_errno(pipc_read(raw.pipe, got, 4), EMSGSIZE);
    assert_errno(pipc_read(raw.pipe, NULL, 0), EMSGSIZE);
    assert_int_equal(pipc_peek(raw.pipe, &view), 0);
    assert_int_equal(view.size, 5);
    assert_memory_equal(view.data, "hello", 5);
    expect_message(raw.pipe, BYTES("hello"));
    assert_errno(pipc_read(raw.pipe, NULL, 0), EMSGSIZE);
    expect_message(raw.pipe, BYTES("x"));
    raw_close(&raw);
}

/* Told before, there would be no size to ask for, and no end of it when the rest never comes. */
TEST(a_small_buffer_is_reported_when_the_message_is_complete)
{
    static char data[100000];
    pipc_msg_t view;
    struct raw raw;
    for (int ends = 0; ends < 2; ends++) {
        raw_open(&raw, &raw_socket, NULL);
        raw_send(&raw, BYTES("\0\1\x86\xa0"));
        raw_send(&raw, data, sizeof data / 2);
        expect_failure(raw.pipe, EAGAIN);
        if (ends) {
            raw_end(&raw);
            expect_failure(raw.pipe, ECONNRESET);
        } else {
            raw_send(&raw, data, sizeof data / 2);
            expect_failure(raw.pipe, EMSGSIZE);
            assert_int_equal(pipc_peek(raw.pipe, &view), 0);
            assert_int_equal(view.size, sizeof data);
        }
        raw_close(&raw);
    }
}

TEST(null_arguments_return_einval)
{
    pipc_msg_t message;
    pipc_t *end[2];
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    assert_errno(pipc_write(raw.pipe, NULL, 1), EINVAL);
    assert_errno(pipc_writev(raw.pipe, NULL, 1), EINVAL);
    assert_errno(pipc_writev(raw.pipe, &(struct iovec){NULL, 1}, 1), EINVAL);
    assert_errno(pipc_writev(raw.pipe, &(struct iovec){NULL, 0}, -1), EINVAL);
    assert_errno(pipc_write_batch(raw.pipe, NULL, 1), EINVAL);
    assert_errno(pipc_read(raw.pipe, NULL, 1), EINVAL);
    assert_errno(pipc_read_msg(raw.pipe, NULL), EINVAL);
    assert_errno(pipc_read_pending(raw.pipe, NULL, 1), EINVAL);
    assert_errno(pipc_peek(raw.pipe, NULL), EINVAL);
    assert_errno(pipc_stats(raw.pipe, NULL), EINVAL);
    assert_errno(pipc_set_timeout(raw.pipe, -2, 0), EINVAL);
    assert_errno(pipc_set_timeout(raw.pipe, 0, -2), EINVAL);
    assert_errno(pipc_write(NULL, "", 0), EINVAL);
    assert_errno(pipc_read_msg(NULL, &message), EINVAL);
    assert_errno(pipc_open_pair(NULL, NULL), EINVAL);
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    pipc_close(end[0]);
    pipc_close(end[1]);
    pipc_close(NULL);
    pipc_msg_free(NULL);
    raw_close(&raw);
}

HARNESS_MAIN("framing limits", IT(a_message_of_max_message_is_sent_and_a_larger_one_refused),
             IT(a_batch_stops_before_the_message_that_is_too_large),
             IT(a_message_of_max_message_is_received_and_a_larger_one_is_eproto),
             IT(the_limit_of_a_goodbye_applies_to_its_text),
             IT(without_a_limit_large_lengths_do_no_harm),
             IT(a_header_with_a_large_length_allocates_nothing),
             IT(many_headers_with_large_lengths_allocate_nothing),
             IT(memory_grows_with_the_bytes_that_arrived),
             IT_WITHIN(ten_million_unread_empty_messages_use_bounded_memory, 120000),
             IT(unread_messages_of_any_size_use_bounded_memory),
             IT(a_message_larger_than_max_pending_is_received_when_none_is_queued),
             IT(a_read_with_a_small_buffer_leaves_the_message),
             IT(a_small_buffer_is_reported_when_the_message_is_complete),
             IT(null_arguments_return_einval))
