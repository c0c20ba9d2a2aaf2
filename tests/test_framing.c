/* SPDX-License-Identifier: MIT */
/*
 * Frames on the wire, in both directions: the test writes and reads raw bytes. It covers what a
 * stranger may send, a cut at any byte, and what libpipc sends. test_frame_and_queue.c tests
 * frame.c and queue.c alone.
 */
#include "raw.h"

/* --- What libpipc sends ----------------------------------------------------------------------- */

TEST(a_message_is_its_length_and_its_bytes)
{
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_write(raw.pipe, "hello", 5), 5);
    raw_expect(&raw, BYTES("\0\0\0\5hello"));
    assert_int_equal(pipc_write(raw.pipe, NULL, 0), 0);
    raw_expect(&raw, BYTES("\0\0\0\0"));
    raw_close(&raw);
}

TEST(writev_sends_one_frame_and_a_batch_several)
{
    struct iovec parts[] = {{(char[]){'a', 'b'}, 2}, {NULL, 0}, {(char[]){'c'}, 1}};
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_writev(raw.pipe, parts, 3), 3);
    raw_expect(&raw, BYTES("\0\0\0\3abc"));
    assert_int_equal(pipc_writev(raw.pipe, parts, 0), 0);
    raw_expect(&raw, BYTES("\0\0\0\0"));
    assert_int_equal(pipc_write_batch(raw.pipe, parts, 3), 3);
    raw_expect(&raw, BYTES("\0\0\0\2ab\0\0\0\0\0\0\0\1c"));
    raw_close(&raw);
}

TEST(the_length_is_big_endian)
{
    static char data[0x10203], got[sizeof data];
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    harness_fill(data, sizeof data, 1);
    assert_int_equal(pipc_write(raw.pipe, data, sizeof data), sizeof data);
    raw_expect(&raw, BYTES("\0\1\2\3"));
    raw_take(&raw, got, sizeof got);
    harness_check(got, sizeof got, 1);
    raw_close(&raw);
}

TEST(a_goodbye_is_a_prefixed_frame_and_then_the_end)
{
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_disconnect(raw.pipe, "ciao"), 0);
    raw_expect(&raw, BYTES("\xff\xff\xff\xfe\0\0\0\7BYEciao"));
    raw_expect_end(&raw);
    raw_close(&raw);
    raw_open(&raw, &raw_pipes, NULL);
    assert_int_equal(pipc_disconnect(raw.pipe, NULL), 0);
    raw_expect(&raw, BYTES("\xff\xff\xff\xfe\0\0\0\3BYE"));
    raw_expect_end(&raw);
    raw_close(&raw);
}

static int discard_long_message(void *arg)
{
    static char drop[1 << 18];
    struct raw *raw = arg;
    size_t left = (size_t)1 << 31;
    pipc_close(raw->pipe);
    raw_expect(raw, BYTES("\xff\xff\xff\xff\0\0\0\0\x80\0\0\0"));
    while (left > 0) {
        ssize_t n = read(raw->in, drop, left < sizeof drop ? left : sizeof drop);
        assert_true(n > 0);
        left -= (size_t)n;
    }
    raw_expect(raw, BYTES("\0\0\0\1x"));
    return 0;
}

TEST(a_message_of_two_gigabytes_is_sent_in_the_long_form)
{
    size_t size = (size_t)1 << 31;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct raw raw;
    if (harness_scale() > 1)
        harness_skip("takes too long under this tool");
    if (sizeof size == 4)
        harness_skip("no message is as large as that on this machine");
    options.max_message = size;
    raw_open(&raw, &raw_socket, &options);
    pid_t pid = harness_fork(discard_long_message, &raw);
    void *zeros = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(zeros != MAP_FAILED);
    assert_int_equal(pipc_set_timeout(raw.pipe, -1, -1), 0);
    assert_int_equal(pipc_write(raw.pipe, zeros, size), size);
    assert_int_equal(pipc_write(raw.pipe, "x", 1), 1);
    munmap(zeros, size);
    assert_int_equal(harness_wait(pid), 0);
    raw_close(&raw);
}

/* --- What it takes ---------------------------------------------------------------------------- */

TEST(golden_bytes_are_read_as_the_right_messages)
{
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    raw_send(&raw, BYTES("\0\0\0\0\0\0\0\5hello\0\0\0\3BYE\0\0\0\4\xff\xff\xff\xfe"));
    expect_message(raw.pipe, "", 0);
    expect_message(raw.pipe, BYTES("hello"));
    expect_message(raw.pipe, BYTES("BYE"));
    expect_message(raw.pipe, BYTES("\xff\xff\xff\xfe"));
    expect_failure(raw.pipe, EAGAIN);
    raw_close(&raw);
}

TEST(a_goodbye_is_distinguished_from_similar_data)
{
    pipc_msg_t message;
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    raw_send(&raw, BYTES("\0\0\0\7BYEciao\xff\xff\xff\xfe\0\0\0\7BYEciao"));
    assert_int_equal(pipc_read_msg(raw.pipe, &message), 0);
    assert_int_equal(message.kind, PIPC_DATA);
    pipc_msg_free(&message);
    assert_null(pipc_bye_text(raw.pipe));
    assert_int_equal(pipc_read_msg(raw.pipe, &message), 0);
    assert_int_equal(message.kind, PIPC_BYE);
    assert_int_equal(message.size, 7);
    assert_memory_equal(message.data, "BYEciao", 7);
    pipc_msg_free(&message);
    assert_string_equal(pipc_bye_text(raw.pipe), "ciao");
    raw_close(&raw);
}

TEST(goodbyes_without_text_or_with_zeros_in_it_are_accepted)
{
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    raw_send(&raw, BYTES("\xff\xff\xff\xfe\0\0\0\3BYE"));
    assert_int_equal(pipc_pending(raw.pipe), 1);
    expect_failure(raw.pipe, ESHUTDOWN);
    assert_string_equal(pipc_bye_text(raw.pipe), "");
    raw_close(&raw);
    raw_open(&raw, &raw_socket, NULL);
    raw_send(&raw, BYTES("\xff\xff\xff\xfe\0\0\0\6BYEa\0b"));
    expect_failure(raw.pipe, ESHUTDOWN);
    assert_string_equal(pipc_bye_text(raw.pipe), "a");
    raw_close(&raw);
}

TEST(bytes_after_a_goodbye_are_not_read)
{
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    raw_send(&raw, BYTES("\xff\xff\xff\xfe\0\0\0\3BYE\0\0\0\1x"));
    assert_int_equal(pipc_pending(raw.pipe), 1);
    expect_failure(raw.pipe, ESHUTDOWN);
    expect_failure(raw.pipe, EPIPE);
    assert_int_equal(pipc_write(raw.pipe, "y", 1), 1);
    raw_expect(&raw, BYTES("\0\0\0\1y"));
    raw_close(&raw);
}

/* What is held when reading finds the stream broken is not sent on: its failure would be another
 * errno. */
TEST(held_output_does_not_change_the_error_of_a_broken_stream)
{
    enum { SIZE = 4 << 20 };
    struct raw raw;
    char *data = calloc(1, SIZE);
    raw_open(&raw, &raw_pipes, NULL);
    assert_int_equal(pipc_write(raw.pipe, data, SIZE), SIZE);
    raw_send(&raw, BYTES("\xff\xff\xff\xfd"));
    expect_failure(raw.pipe, EPROTO);
    close(raw.in);
    raw.in = -1;
    expect_failure(raw.pipe, EPROTO);
    assert_errno(pipc_write(raw.pipe, "x", 1), EPROTO);
    raw_close(&raw);
    free(data);
}

/* --- What is no frame ------------------------------------------------------------------------- */

struct bytes {
    const char *data;
    size_t size;
};

/* The message before it is delivered; then the handle is dead, both ways, and stays so. */
static void assert_no_frame(struct bytes bytes, const pipc_options_t *options)
{
    struct raw raw;
    raw_open(&raw, &raw_socket, options);
    raw_send(&raw, BYTES("\0\0\0\1x"));
    raw_send(&raw, bytes.data, bytes.size);
    expect_message(raw.pipe, BYTES("x"));
    for (int i = 0; i < 2; i++)
        expect_failure(raw.pipe, EPROTO);
    raw_send(&raw, BYTES("\0\0\0\1x"));
    expect_failure(raw.pipe, EPROTO);
    assert_errno(pipc_write(raw.pipe, "y", 1), EPROTO);
    assert_int_equal(pipc_pending(raw.pipe), 0);
    assert_int_equal(pipc_flush(raw.pipe), 0);
    raw_close(&raw);
}

TEST(a_malformed_frame_returns_eproto_forever)
{
    static const struct bytes wrong[] = {
        {BYTES("\x80\0\0\0")},                               /* the smallest number */
        {BYTES("\xff\xff\xff\xfd")},                         /* -3 */
        {BYTES("\xff\xff\xff\xff\0\0\0\0\0\0\0\5hello")},    /* a small long one */
        {BYTES("\xff\xff\xff\xff\0\0\0\0\x7f\xff\xff\xff")}, /* largest that is too small */
        {BYTES("\xff\xff\xff\xff\x80\0\0\0\0\0\0\0")},       /* negative */
        {BYTES("\x7f\xff\xff\xff")},                         /* over max_message */
        {BYTES("\xff\xff\xff\xfe\xff\xff\xff\xfe")},         /* a goodbye's goodbye */
        {BYTES("\xff\xff\xff\xfe\0\0\0\0")},                 /* a goodbye with nothing */
        {BYTES("\xff\xff\xff\xfe\0\0\0\2BY")},               /* too short for a goodbye */
        {BYTES("\xff\xff\xff\xfe\0\0\0\5hello")},            /* what is not BYE */
        {BYTES("\xff\xff\xff\xfe\0\0\0\3bye")},              /* nor this */
        {BYTES("\xff\xff\xff\xfe\x7f\xff\xff\xff")},         /* a goodbye over max_message */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_no_frame(wrong[i], NULL);
}

TEST(other_protocols_return_eproto)
{
    static const struct bytes other[] = {
        {BYTES("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
        {BYTES("SSH-2.0-OpenSSH_9.2\r\n")},
        {BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")}, /* a TLS hello */
        {BYTES("{\"jsonrpc\": \"2.0\"}\n")},
    };
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_no_frame(other[i], NULL);
}

TEST(a_short_message_in_the_long_form_is_refused)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_message = HARNESS_HUGE;
    assert_no_frame((struct bytes){BYTES("\xff\xff\xff\xff\0\0\0\0\0\0\0\5hello")}, &options);
    assert_no_frame((struct bytes){BYTES("\xff\xff\xff\xff\0\0\0\0\x7f\xff\xff\xff")}, &options);
    assert_no_frame((struct bytes){BYTES("\xff\xff\xff\xff\0\0\1\0\0\0\0\1")}, &options);
    assert_no_frame((struct bytes){BYTES("\xff\xff\xff\xff\x80\0\0\0\0\0\0\0")}, &options);
}

/* --- Wherever it is cut ----------------------------------------------------------------------- */

/* Four messages, the last a goodbye, and where each of them ends. */
static const char stream[] = "\0\0\0\0"
                             "\0\0\0\1a"
                             "\0\0\0\4data"
                             "\xff\xff\xff\xfe\0\0\0\5BYEup";
static const size_t ends[] = {4, 9, 17, 30};
enum { STREAM = sizeof stream - 1 };

static ssize_t whole_messages(size_t arrived)
{
    ssize_t count = 0;
    while (count < 4 && ends[count] <= arrived)
        count++;
    return count;
}

static void expect_stream(pipc_t *pipe, ssize_t count)
{
    if (count > 0)
        expect_message(pipe, "", 0);
    if (count > 1)
        expect_message(pipe, BYTES("a"));
    if (count > 2)
        expect_message(pipe, BYTES("data"));
    if (count > 3) {
        expect_failure(pipe, ESHUTDOWN);
        assert_string_equal(pipc_bye_text(pipe), "up");
    }
}

/* In pieces that end there and there; what is whole counts as soon as it is. */
static void send_cut(const struct raw_kind *kind, size_t first, size_t second)
{
    const size_t cut[] = {0, first, second, STREAM};
    struct raw raw;
    raw_open(&raw, kind, NULL);
    for (size_t i = 0; i < 3; i++) {
        raw_send(&raw, stream + cut[i], cut[i + 1] - cut[i]);
        assert_int_equal(pipc_pending(raw.pipe), whole_messages(cut[i + 1]));
    }
    expect_stream(raw.pipe, 4);
    raw_close(&raw);
}

TEST(every_way_to_cut_a_stream_in_three_gives_the_same_messages)
{
    for (size_t first = 0; first <= STREAM; first++)
        for (size_t second = first; second <= STREAM; second++)
            send_cut(&raw_socket, first, second);
}

TEST(a_stream_of_single_bytes_gives_the_same_messages)
{
    struct raw raw;
    raw_open(&raw, &raw_pipes, NULL);
    for (size_t i = 0; i < STREAM; i++) {
        raw_send(&raw, stream + i, 1);
        if (whole_messages(i + 1) == whole_messages(i))
            expect_failure(raw.pipe, EAGAIN);
        else if (i + 1 < STREAM)
            assert_int_equal(pipc_skip(raw.pipe), 0);
    }
    expect_failure(raw.pipe, ESHUTDOWN);
    raw_close(&raw);
}

static void end_after(const struct raw_kind *kind, size_t offset, bool pending_first)
{
    struct raw raw;
    ssize_t whole = whole_messages(offset);
    bool inside = offset > 0 && (whole == 0 || ends[whole - 1] != offset);
    raw_open(&raw, kind, NULL);
    raw_send(&raw, stream, offset);
    raw_end(&raw);
    if (pending_first)
        assert_int_equal(pipc_pending(raw.pipe), whole);
    expect_stream(raw.pipe, whole);
    for (int i = 0; i < 2; i++)
        expect_failure(raw.pipe, inside ? ECONNRESET : EPIPE);
    assert_int_equal(pipc_pending(raw.pipe), 0);
    raw_close(&raw);
}

TEST(an_end_after_any_byte_returns_EPIPE_or_ECONNRESET)
{
    for (size_t offset = 0; offset <= STREAM; offset++)
        for (int pending = 0; pending < 2; pending++) {
            end_after(&raw_socket, offset, pending);
            end_after(&raw_pipes, offset, pending);
        }
}

/* --- Many at once ----------------------------------------------------------------------------- */

TEST(the_descriptor_is_readable_while_frames_of_one_write_are_unread)
{
    enum { COUNT = 1000 };
    static char frames[COUNT * 5];
    struct raw raw;
    char byte;
    for (size_t i = 0; i < COUNT; i++)
        memcpy(frames + 5 * i, "\0\0\0\1x", 5);
    raw_open(&raw, &raw_socket, NULL);
    int fd = pipc_fd(raw.pipe);
    assert_true(fd >= 0);
    assert_false(harness_readable(fd, 0));
    raw_send(&raw, frames, sizeof frames);
    for (int i = 0; i < COUNT; i++) {
        assert_true(harness_readable(fd, 0));
        assert_int_equal(pipc_read(raw.pipe, &byte, 1), 1);
    }
    if (harness_readable(fd, 0))
        expect_failure(raw.pipe, EAGAIN);
    assert_false(harness_readable(fd, 0));
    raw_close(&raw);
}

TEST(a_waiting_write_ends_when_malformed_input_arrives)
{
    static char data[4 << 20]; /* more than any socket holds */
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_set_timeout(raw.pipe, -1, -1), 0);
    raw_send(&raw, BYTES("\x80\0\0\1"));
    assert_errno(pipc_write(raw.pipe, data, sizeof data), EPROTO);
    raw_close(&raw);
}

HARNESS_MAIN("framing", IT(a_message_is_its_length_and_its_bytes),
             IT(writev_sends_one_frame_and_a_batch_several), IT(the_length_is_big_endian),
             IT(a_goodbye_is_a_prefixed_frame_and_then_the_end),
             IT_WITHIN(a_message_of_two_gigabytes_is_sent_in_the_long_form, 120000),
             IT(a_waiting_write_ends_when_malformed_input_arrives),
             IT(golden_bytes_are_read_as_the_right_messages),
             IT(a_goodbye_is_distinguished_from_similar_data),
             IT(goodbyes_without_text_or_with_zeros_in_it_are_accepted),
             IT(bytes_after_a_goodbye_are_not_read),
             IT(held_output_does_not_change_the_error_of_a_broken_stream),
             IT(a_malformed_frame_returns_eproto_forever), IT(other_protocols_return_eproto),
             IT(a_short_message_in_the_long_form_is_refused),
             IT(every_way_to_cut_a_stream_in_three_gives_the_same_messages),
             IT(a_stream_of_single_bytes_gives_the_same_messages),
             IT(an_end_after_any_byte_returns_EPIPE_or_ECONNRESET),
             IT(the_descriptor_is_readable_while_frames_of_one_write_are_unread))
