/* SPDX-License-Identifier: MIT */
/*
 * A peer that sends descriptors as it likes: on any byte, too many, on a goodbye, in floods.
 * Nothing is left open but what the program takes.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "net.h"
#include "raw.h"

enum { KERNEL_MAX = 253 };

static const char stream[] = "\0\0\0\3one\0\0\0\0\0\0\0\5three";
enum { STREAM_SIZE = sizeof stream - 1 };
static const struct {
    size_t end;
    const char *text;
} frames[] = {{7, "one"}, {11, ""}, {20, "three"}};

static int frame_of(size_t byte)
{
    int frame = 0;
    while (byte >= frames[frame].end)
        frame++;
    return frame;
}

/* How the reader makes room between bytes: that must not matter. */
static void read_three(pipc_t *pipe, int with_fds, const struct fds *fds)
{
    for (int i = 0; i < 3; i++) {
        fds_expect(pipe, frames[i].text);
        fds_expect_taken(pipe, fds, i == with_fds ? 2 : 0);
    }
}

TEST(descriptors_on_any_byte_belong_to_the_message_of_that_byte)
{
    struct fds fds;
    int raw;
    fds_make(&fds);
    for (size_t at = 0; at < STREAM_SIZE; at++) {
        pipc_t *pipe = fds_open_raw(&raw, 0);
        if (at > 0)
            fds_send_raw(raw, stream, at, NULL, 0);
        fds_send_raw(raw, stream + at, 1, fds.fd, 2);
        if (at + 1 < STREAM_SIZE)
            fds_send_raw(raw, stream + at + 1, STREAM_SIZE - at - 1, NULL, 0);
        read_three(pipe, frame_of(at), &fds);
        close(raw);
        expect_failure(pipe, EPIPE);
        pipc_close(pipe);
    }
    fds_end(&fds);
}

TEST(descriptors_on_any_byte_belong_to_it_also_when_the_bytes_come_one_by_one)
{
    struct fds fds;
    int raw;
    fds_make(&fds);
    for (size_t at = 0; at < STREAM_SIZE; at++) {
        pipc_t *pipe = fds_open_raw(&raw, 0);
        int next = 0;
        for (size_t i = 0; i < STREAM_SIZE; i++) {
            fds_send_raw(raw, stream + i, 1, fds.fd, i == at ? 2 : 0);
            if (i + 1 < frames[next].end) {
                expect_failure(pipe, EAGAIN);
                continue;
            }
            fds_expect(pipe, frames[next].text);
            fds_expect_taken(pipe, &fds, frame_of(at) == next++ ? 2 : 0);
        }
        close(raw);
        pipc_close(pipe);
    }
    fds_end(&fds);
}

/* Programs that send a frame by one call, with its descriptors. */
TEST(a_frame_that_goes_by_one_call_brings_its_descriptors)
{
    struct fds fds;
    int raw;
    char frame[2004], got[2000];
    fds_make(&fds);
    pipc_t *pipe = fds_open_raw(&raw, 0);
    memset(frame, 'x', sizeof frame);
    memcpy(frame, "\0\0\7\xd0", 4);
    for (int i = 0; i < 40; i++) {
        fds_send_raw(raw, frame, sizeof frame, fds.fd, i % 4);
        fds_send_raw(raw, "\0\0\0\1y", 5, NULL, 0);
    }
    for (int i = 0; i < 40; i++) {
        assert_int_equal(pipc_read(pipe, got, sizeof got), sizeof got);
        fds_expect_taken(pipe, &fds, i % 4);
        fds_expect(pipe, "y");
        fds_expect_taken(pipe, &fds, 0);
    }
    close(raw);
    pipc_close(pipe);
    fds_end(&fds);
}

/* What came before is delivered; then the stream is broken, and nothing is left open. */
static void expect_refused(pipc_t *pipe, int before, int open_before)
{
    int taken[FDS_MAX];
    for (int i = 0; i < before; i++) {
        fds_expect(pipe, "one");
        assert_int_equal(pipc_take_fds(pipe, taken, FDS_MAX), 0);
    }
    expect_failure(pipe, EPROTO);
    assert_int_equal(harness_open_descriptors(), open_before);
    assert_int_equal(pipc_take_fds(pipe, taken, FDS_MAX), 0);
    expect_failure(pipe, EPROTO);
    assert_errno(pipc_write(pipe, "x", 1), EPROTO);
}

TEST(more_than_16_on_one_byte_are_EPROTO_behind_the_messages_before)
{
    static const int counts[] = {17, 20, 31, 100, KERNEL_MAX};
    struct fds fds;
    int raw, many[KERNEL_MAX];
    harness_skip_in_qemu("qemu leaves descriptors open that were not asked for");
    fds_make(&fds);
    for (int i = 0; i < KERNEL_MAX; i++)
        many[i] = fds.fd[i % FDS_MAX];
    for (int i = 0; i < 5; i++)
        for (int before = 0; before < 3; before++) {
            pipc_t *pipe = fds_open_raw(&raw, 0);
            int open_before = harness_open_descriptors();
            for (int n = 0; n < before; n++)
                fds_send_raw(raw, BYTES("\0\0\0\3one"), NULL, 0);
            fds_send_raw(raw, "\0", 1, many, counts[i]);
            fds_send_raw(raw, BYTES("\0\0\3two"), NULL, 0);
            expect_refused(pipe, before, open_before);
            close(raw);
            pipc_close(pipe);
        }
    fds_end(&fds);
}

/* The read that takes the message before finds them, and keeps a part of theirs. */
TEST(more_than_16_behind_a_message_make_the_descriptor_readable)
{
    struct fds fds;
    int raw, many[17];
    pipc_t *pipe = fds_open_raw(&raw, 0);
    fds_make(&fds);
    for (int i = 0; i < 17; i++)
        many[i] = fds.fd[i % FDS_MAX];
    fds_send_raw(raw, "\0\0\0\3one", 7, NULL, 0);
    fds_send_raw(raw, "\0\0\0\1x", 5, many, 17);
    fds_expect(pipe, "one");
    assert_true(harness_readable(pipc_fd(pipe), 0));
    expect_failure(pipe, EPROTO);
    close(raw);
    pipc_close(pipe);
    fds_end(&fds);
}

TEST(a_whole_message_that_comes_with_more_than_16_is_not_delivered)
{
    static const char *const messages[] = {"\0\0\0\0", "\0\0\0\3two"};
    static const size_t message_sizes[] = {4, 7};
    struct fds fds;
    int raw, many[FDS_MAX + 1];
    fds_make(&fds);
    memcpy(many, fds.fd, sizeof fds.fd);
    many[FDS_MAX] = fds.fd[0];
    for (int i = 0; i < 2; i++) {
        pipc_t *pipe = fds_open_raw(&raw, 0);
        int open_before = harness_open_descriptors();
        fds_send_raw(raw, BYTES("\0\0\0\3one"), NULL, 0);
        fds_send_raw(raw, messages[i], message_sizes[i], many, FDS_MAX + 1);
        expect_refused(pipe, 1, open_before);
        close(raw);
        pipc_close(pipe);
    }
    fds_end(&fds);
}

TEST(more_than_16_on_several_bytes_of_one_message_are_EPROTO)
{
    struct fds fds;
    int raw;
    fds_make(&fds);
    pipc_t *pipe = fds_open_raw(&raw, 0);
    int open_before = harness_open_descriptors();
    fds_send_raw(raw, BYTES("\0\0\0\3one"), NULL, 0);
    fds_send_raw(raw, "\0", 1, fds.fd, 16);
    fds_send_raw(raw, BYTES("\0\0\2x"), NULL, 0);
    fds_send_raw(raw, "y", 1, fds.fd, 1);
    expect_refused(pipe, 1, open_before);
    close(raw);
    pipc_close(pipe);
    fds_end(&fds);
}

TEST(exactly_16_on_several_bytes_of_one_message_are_taken)
{
    struct fds fds;
    int raw;
    fds_make(&fds);
    pipc_t *pipe = fds_open_raw(&raw, 0);
    fds_send_raw(raw, "\0\0\0\4", 4, fds.fd, 10);
    fds_send_raw(raw, "ab", 2, fds.fd + 10, 5);
    fds_send_raw(raw, "cd", 2, fds.fd + 15, 1);
    fds_expect(pipe, "abcd");
    fds_expect_taken(pipe, &fds, 16);
    close(raw);
    pipc_close(pipe);
    fds_end(&fds);
}

/* One byte after the other, each with descriptors, of a message that never ends. */
TEST(a_flood_inside_one_message_is_EPROTO_and_not_kept)
{
    struct fds fds;
    int raw;
    fds_make(&fds);
    pipc_t *pipe = fds_open_raw(&raw, 0);
    int open_before = harness_open_descriptors();
    fds_send_raw(raw, BYTES("\0\1\0\0"), NULL, 0);
    int sent = 0;
    char got[32];
    while (sent < 100 && pipc_read(pipe, got, sizeof got) < 0 && errno == EAGAIN) {
        fds_send_raw(raw, "x", 1, fds.fd, 3);
        sent++;
        assert_in_range(harness_open_descriptors(), open_before, open_before + 2 * FDS_MAX);
    }
    assert_in_range(sent, 6, 8);
    expect_refused(pipe, 0, open_before);
    close(raw);
    pipc_close(pipe);
    fds_end(&fds);
}

TEST(a_flood_of_messages_keeps_no_more_open_than_may_wait)
{
    struct fds fds;
    int raw, sent = 0;
    fds_make(&fds);
    pipc_t *pipe = fds_open_raw(&raw, 0);
    int open_before = harness_open_descriptors();
    while (fds_try_send_raw(raw, "\0\0\0\0", 4, fds.fd, FDS_MAX) == 4)
        sent++;
    assert_int_equal(errno, EAGAIN);
    assert_true(pipc_pending(pipe) > 0);
    assert_in_range(harness_open_descriptors() - open_before, 32, FDS_WAITING_MAX);
    for (int i = 0; i < sent; i++) {
        fds_expect(pipe, "");
        assert_in_range(harness_open_descriptors() - open_before, 16, FDS_WAITING_MAX);
        if (i % 2 == 0)
            assert_int_equal(fds_take_all(pipe), 16);
        if (i % 5 == 0)
            assert_true(pipc_pending(pipe) >= 0);
    }
    expect_failure(pipe, EAGAIN);
    assert_in_range(harness_open_descriptors() - open_before, 0, 16);
    close(raw);
    pipc_close(pipe);
    fds_end(&fds);
}

TEST(descriptors_of_a_goodbye_can_be_taken_and_else_are_closed)
{
    struct fds fds;
    int raw;
    fds_make(&fds);
    for (size_t at = 0; at < 11; at++) {
        static const char bye[] = "\xff\xff\xff\xfe\0\0\0\3BYE";
        pipc_t *pipe = fds_open_raw(&raw, 0);
        int open_before = harness_open_descriptors();
        fds_send_raw(raw, bye, at + 1, fds.fd, 2);
        if (at + 1 < 11)
            fds_send_raw(raw, bye + at + 1, 10 - at, NULL, 0);
        fds_send_raw(raw, "\0", 1, fds.fd, 3); /* behind the end */
        expect_failure(pipe, ESHUTDOWN);
        assert_int_equal(harness_open_descriptors(), open_before + 2);
        if (at % 2 == 0)
            fds_expect_taken(pipe, &fds, 2);
        expect_failure(pipe, EPIPE);
        close(raw);
        pipc_close(pipe);
        assert_int_equal(harness_open_descriptors(), open_before - 2);
    }
    fds_end(&fds);
}

TEST(a_message_that_is_never_whole_keeps_no_descriptors_behind_the_end)
{
    static const struct {
        const char *bytes;
        size_t size;
        int error;
    } ends[] = {{BYTES("\0"), ECONNRESET},
                {BYTES("\0\0\0\5ab"), ECONNRESET},
                {BYTES("\x80\0\0\0"), EPROTO},
                {BYTES("\xff\xff\xff\xfe\0\0\0\2"), EPROTO},
                {BYTES("\xff\xff\xff\xfe\0\0\0\3ABC"), EPROTO}};
    struct fds fds;
    int raw;
    fds_make(&fds);
    for (int i = 0; i < 5; i++) {
        pipc_t *pipe = fds_open_raw(&raw, 0);
        int open_before = harness_open_descriptors();
        fds_send_raw(raw, BYTES("\0\0\0\3one"), NULL, 0);
        fds_send_raw(raw, ends[i].bytes, ends[i].size, fds.fd, 5);
        close(raw);
        fds_expect(pipe, "one");
        expect_failure(pipe, ends[i].error);
        assert_int_equal(harness_open_descriptors(), open_before - 1);
        pipc_close(pipe);
    }
    fds_end(&fds);
}

TEST(a_reader_that_did_not_ask_gets_the_messages_alone)
{
    struct fds fds;
    struct raw raw;
    int on = 1;
    fds_make(&fds);
    raw_open(&raw, &raw_socket, NULL);
    int open_before = harness_open_descriptors();
    /* As on a kernel that knows no such switch; where it knows one, the peer is refused. */
    for (int refused = 1; refused >= 0; refused--) {
        ssize_t sent = fds_try_send_raw(raw.out, "\0\0\0\1x", 5, fds.fd, 4);
        if (sent < 0) {
            assert_int_equal(errno, EPERM);
            assert_true(refused);
            int fd = fds_adopted(raw.pipe);
            assert_int_equal(setsockopt(fd, SOL_SOCKET, 83 /* SO_PASSRIGHTS */, &on, sizeof on), 0);
            continue;
        }
        fds_expect(raw.pipe, "x");
        assert_int_equal(harness_open_descriptors(), open_before);
        assert_int_equal(pipc_take_fds(raw.pipe, (int[1]){0}, 1), 0);
    }
    raw_close(&raw);
    fds_end(&fds);
}

/* ---- anything, in any order ---- */

enum { STEPS = 3000 };

static size_t random_bytes(char *bytes)
{
    static const char *const starts[] = {"\0\0\0\0", "\0\0\0\1", "\0\0\0\7", "\0\0\4\0"};
    size_t size = 1 + harness_random_below(40);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)harness_random_below(2);
    if (harness_random_below(2) == 0 && size >= 4)
        memcpy(bytes, starts[harness_random_below(4)], 4);
    return size;
}

static void read_somehow(pipc_t *pipe)
{
    char got[2000];
    pipc_msg_t messages[4];
    switch (harness_random_below(6)) {
    case 0:
        pipc_pending(pipe);
        break;
    case 1:
        pipc_skip(pipe);
        break;
    case 2:
        for (ssize_t n = pipc_read_pending(pipe, messages, 4); n > 0; n--)
            pipc_msg_free(&messages[n - 1]);
        break;
    case 3:
        fds_take_all(pipe);
        break;
    default:
        pipc_read(pipe, got, sizeof got);
    }
}

TEST(random_bytes_with_random_descriptors_leave_nothing_open)
{
    struct fds fds;
    int raw;
    char bytes[64];
    fds_make(&fds);
    pipc_t *pipe = fds_open_raw(&raw, 0);
    int open_before = harness_open_descriptors();
    for (int i = 0; i < STEPS; i++) {
        int count = harness_random_below(3) == 0 ? (int)harness_random_below(FDS_MAX) + 1 : 0;
        fds_try_send_raw(raw, bytes, random_bytes(bytes), fds.fd, count);
        read_somehow(pipe);
        assert_in_range(harness_open_descriptors() - open_before, 0, FDS_WAITING_MAX);
        if (pipc_write(pipe, "", 0) < 0) {
            pipc_close(pipe);
            close(raw);
            pipe = fds_open_raw(&raw, 0);
        }
    }
    pipc_close(pipe);
    close(raw);
    assert_int_equal(harness_open_descriptors(), open_before - 2);
    fds_end(&fds);
}

HARNESS_MAIN("hostile descriptors", IT(descriptors_on_any_byte_belong_to_the_message_of_that_byte),
             IT(descriptors_on_any_byte_belong_to_it_also_when_the_bytes_come_one_by_one),
             IT(a_frame_that_goes_by_one_call_brings_its_descriptors),
             IT(more_than_16_on_one_byte_are_EPROTO_behind_the_messages_before),
             IT(more_than_16_behind_a_message_make_the_descriptor_readable),
             IT(a_whole_message_that_comes_with_more_than_16_is_not_delivered),
             IT(more_than_16_on_several_bytes_of_one_message_are_EPROTO),
             IT(exactly_16_on_several_bytes_of_one_message_are_taken),
             IT(a_flood_inside_one_message_is_EPROTO_and_not_kept),
             IT(a_flood_of_messages_keeps_no_more_open_than_may_wait),
             IT(descriptors_of_a_goodbye_can_be_taken_and_else_are_closed),
             IT(a_message_that_is_never_whole_keeps_no_descriptors_behind_the_end),
             IT(a_reader_that_did_not_ask_gets_the_messages_alone),
             IT(random_bytes_with_random_descriptors_leave_nothing_open))
