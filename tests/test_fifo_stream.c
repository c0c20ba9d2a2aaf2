/* SPDX-License-Identifier: MIT */
/*
 * Messages over FIFOs: ends of every kind, both directions full, small pipes, and the descriptor
 * from its first moment.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"
#include "fifos.h"
#include "platform.h"

static void descriptors_of(pipc_t *pipe, int *in, int *out)
{
    char peer[100];
    assert_int_equal(pipc_peer(pipe, peer, sizeof peer), 0);
    assert_int_equal(sscanf(peer, "descriptors %d and %d", in, out), 2);
}

/* --- Killed inside the stream ----------------------------------------------------------------- */

/* Frames of these sizes make up STREAM bytes. */
static const size_t sizes[] = {0, 1, 100, 4092, 4096, 20000, 41687};
enum { FRAMES = sizeof sizes / sizeof sizes[0], STREAM = 70004 };

static size_t stream_of(unsigned char *stream)
{
    size_t at = 0;
    for (size_t i = 0; i < FRAMES; i++) {
        unsigned char header[4] = {0, (unsigned char)(sizes[i] >> 16),
                                   (unsigned char)(sizes[i] >> 8), (unsigned char)sizes[i]};
        memcpy(stream + at, header, 4);
        harness_fill(stream + at + 4, sizes[i], i);
        at += 4 + sizes[i];
    }
    return at;
}

struct cut {
    struct fifos *fifos;
    size_t at;
};

/* Meets, sends so many bytes past the library, and is killed. */
static int send_and_be_killed(void *arg)
{
    static unsigned char stream[STREAM];
    struct cut *cut = arg;
    pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &cut->fifos->options);
    assert_non_null(pipe);
    assert_int_equal(stream_of(stream), STREAM);
    int in, out;
    descriptors_of(pipe, &in, &out);
    for (size_t done = 0; done < cut->at;) {
        struct pollfd item = {out, POLLOUT, 0};
        ssize_t n = write(out, stream + done, cut->at - done);
        if (n > 0)
            done += (size_t)n;
        else
            poll(&item, 1, -1);
    }
    raise(SIGKILL);
    return 0;
}

/* How many messages are whole in that many bytes; and whether that is a boundary. */
static size_t whole_in(size_t bytes, bool *boundary)
{
    size_t at = 0, count = 0;
    while (count < FRAMES && at + 4 + sizes[count] <= bytes)
        at += 4 + sizes[count++];
    *boundary = at == bytes;
    return count;
}

static void cut_at(struct fifos *fifos, size_t at)
{
    static char buffer[50000];
    struct cut cut = {fifos, at};
    bool boundary;
    size_t whole = whole_in(at, &boundary);
    pid_t child = harness_fork(send_and_be_killed, &cut);
    pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &fifos->options);
    assert_non_null(pipe);
    for (size_t i = 0; i < whole; i++) {
        assert_int_equal(pipc_read(pipe, buffer, sizeof buffer), sizes[i]);
        harness_check(buffer, sizes[i], i);
    }
    assert_errno(pipc_read(pipe, buffer, sizeof buffer), boundary ? EPIPE : ECONNRESET);
    assert_errno(pipc_read(pipe, buffer, sizeof buffer), boundary ? EPIPE : ECONNRESET);
    pipc_close(pipe);
    assert_int_equal(harness_wait(child), -SIGKILL);
}

/* PIPC_TEST_CUTS=1 cuts at every byte; else at those around each boundary, and some between. */
TEST(a_writer_killed_at_any_byte_leaves_whole_messages_and_the_right_end)
{
    struct fifos fifos;
    size_t step = (size_t)harness_setting("PIPC_TEST_CUTS", 173 * harness_scale());
    fifos_begin(&fifos);
    for (size_t at = 0; at <= STREAM; at += step)
        cut_at(&fifos, at);
    size_t boundary = 0;
    for (size_t i = 0; i < FRAMES; boundary += 4 + sizes[i++])
        for (size_t at = boundary > 5 ? boundary - 5 : 0; at < boundary + 6; at++)
            cut_at(&fifos, at);
    cut_at(&fifos, STREAM);
    fifos_end(&fifos);
}

/* --- Much, both ways -------------------------------------------------------------------------- */

enum { PIECE = 3000000, PIECES = 10 };

static int send_and_receive(struct fifos *fifos, uint64_t mine, uint64_t theirs)
{
    pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &fifos->options);
    assert_non_null(pipe);
    char *buffer = malloc(PIECE);
    for (uint64_t i = 0; i < PIECES; i++) {
        harness_fill(buffer, PIECE, mine + i);
        assert_int_equal(pipc_write(pipe, buffer, PIECE), PIECE);
    }
    assert_int_equal(pipc_disconnect(pipe, "all sent"), 0);
    for (uint64_t i = 0; i < PIECES; i++) {
        assert_int_equal(pipc_read(pipe, buffer, PIECE), PIECE);
        harness_check(buffer, PIECE, theirs + i);
    }
    assert_errno(pipc_read(pipe, buffer, PIECE), ESHUTDOWN);
    assert_string_equal(pipc_bye_text(pipe), "all sent");
    assert_errno(pipc_read(pipe, buffer, PIECE), EPIPE);
    free(buffer);
    pipc_close(pipe);
    return 0;
}

static int far_side_of_much(void *fifos)
{
    return send_and_receive(fifos, 100, 200);
}

TEST(thirty_megabytes_arrive_both_ways_at_once)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pid_t child = harness_fork(far_side_of_much, &fifos);
    assert_int_equal(send_and_receive(&fifos, 200, 100), 0);
    assert_int_equal(harness_wait(child), 0);
    fifos_end(&fifos);
}

/* --- Capacity --------------------------------------------------------------------------------- */

TEST(each_direction_requests_a_capacity_of_1_MiB)
{
    platform_needs(PLATFORM_PIPES);
    struct fifos fifos;
    pipc_t *end[2];
    int in, out;
    fifos_begin(&fifos);
    fifos_open_both(&fifos, "x", end);
    for (int i = 0; i < 2; i++) {
        descriptors_of(end[i], &in, &out);
        assert_true(fcntl(in, F_GETPIPE_SZ) == 1 << 20 || geteuid() != 0);
        assert_true(fcntl(out, F_GETPIPE_SZ) == 1 << 20 || geteuid() != 0);
        pipc_close(end[i]);
    }
    fifos_end(&fifos);
}

static int echo(void *arg)
{
    struct fifos *fifos = arg;
    pipc_msg_t message;
    pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &fifos->options);
    int in, out;
    descriptors_of(pipe, &in, &out);
    assert_true(fcntl(out, F_SETPIPE_SZ, 4096) == 4096);
    while (pipc_read_msg(pipe, &message) == 0) {
        assert_int_equal(pipc_write(pipe, message.data, message.size), message.size);
        pipc_msg_free(&message);
    }
    assert_int_equal(errno, EPIPE);
    pipc_close(pipe);
    return 0;
}

TEST(messages_of_all_sizes_pass_through_the_smallest_capacity)
{
    static const size_t some[] = {0, 1, 4091, 4092, 4093, 4096, 65536, 300000, 16, 1000000};
    static char buffer[1000000];
    struct fifos fifos;
    int in, out;
    fifos_begin(&fifos);
    pid_t child = harness_fork(echo, &fifos);
    pipc_t *pipe = pipc_open_fifo("x", FIFOS_LONG_MS, &fifos.options);
    assert_non_null(pipe);
    descriptors_of(pipe, &in, &out);
    assert_true(fcntl(out, F_SETPIPE_SZ, 4096) == 4096);
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        harness_fill(buffer, some[i], i);
        assert_int_equal(pipc_write(pipe, buffer, some[i]), some[i]);
    }
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        assert_int_equal(pipc_read(pipe, buffer, sizeof buffer), some[i]);
        harness_check(buffer, some[i], i);
    }
    pipc_close(pipe);
    assert_int_equal(harness_wait(child), 0);
    fifos_end(&fifos);
}

/* --- The descriptor, and the end -------------------------------------------------------------- */

TEST(the_descriptor_reports_a_message_and_the_end)
{
    struct fifos fifos;
    pipc_t *end[2];
    char text[8];
    fifos_begin(&fifos);
    fifos_open_both(&fifos, "x", end);
    for (int i = 0; i < 2; i++)
        assert_false(harness_readable(pipc_fd(end[i]), 30));
    assert_int_equal(pipc_write(end[0], "one", 3), 3);
    assert_true(harness_readable(pipc_fd(end[1]), 0));
    assert_int_equal(pipc_read(end[1], text, sizeof text), 3);
    assert_false(harness_readable(pipc_fd(end[1]), 30));
    pipc_close(end[0]);
    assert_true(harness_readable(pipc_fd(end[1]), 0));
    assert_errno(pipc_read(end[1], text, sizeof text), EPIPE);
    pipc_close(end[1]);
    fifos_end(&fifos);
}

static void expect_death(pipc_t *pipe, struct fifos *fifos, pipc_t *peer)
{
    assert_false(harness_readable(pipc_fd(pipe), 30));
    pipc_close(peer);
    assert_true(harness_readable(pipc_fd(pipe), FIFOS_LONG_MS));
    assert_errno(pipc_write(pipe, "lost", 4), EPIPE);
    pipc_close(pipe);
    fifos_end(fifos);
}

/* Then the FIFO that is written is watched for nothing but its reader. */
TEST(without_PIPC_WANT_READ_the_descriptor_reports_that_the_reader_has_gone)
{
    struct fifos fifos;
    pipc_t *end[2];
    fifos_begin(&fifos);
    fifos_open_both(&fifos, "x", end);
    assert_int_equal(pipc_want(end[1], PIPC_WANT_WRITE), 0);
    assert_int_equal(pipc_write(end[0], "unread", 6), 6);
    assert_int_equal(pipc_pending(end[1]), 1);
    expect_death(end[1], &fifos, end[0]);
}

TEST(the_descriptor_reports_after_the_end_that_the_reader_has_gone)
{
    enum { REPORTS = 8 };
    struct fifos fifos;
    pipc_t *end[2];
    char byte;
    fifos_begin(&fifos);
    fifos_open_both(&fifos, "x", end);
    assert_int_equal(pipc_shutdown(end[0]), 0);
    assert_true(harness_readable(pipc_fd(end[1]), 0));
    for (int i = 0; i < REPORTS; i++)
        assert_errno(pipc_read(end[1], &byte, 1), EPIPE);
    assert_int_equal(pipc_want(end[1], PIPC_WANT_WRITE), 0);
    expect_death(end[1], &fifos, end[0]);
}

TEST(a_message_sent_before_the_first_poll_is_reported)
{
    struct fifos fifos;
    pipc_t *end[2];
    fifos_begin(&fifos);
    fifos_open_both(&fifos, "x", end);
    assert_int_equal(pipc_write(end[1], "", 0), 0);
    assert_true(harness_readable(pipc_fd(end[0]), 0));
    pipc_close(end[0]);
    pipc_close(end[1]);
    fifos_end(&fifos);
}

/* The peer has shut down writing and reads on: its FIFO reports a hang-up all the time. */
TEST(after_the_end_a_wait_for_room_uses_no_processor_time)
{
    struct fifos fifos;
    pipc_t *end[2];
    char byte;
    fifos_begin(&fifos);
    fifos_open_both(&fifos, "x", end);
    assert_int_equal(pipc_shutdown(end[1]), 0);
    assert_errno(pipc_read(end[0], &byte, 1), EPIPE);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    while (pipc_write(end[0], "some text", 9) == 9)
        continue;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(pipc_set_timeout(end[0], 0, 300), 0);
    int64_t before = harness_cpu_ms();
    assert_errno(pipc_flush(end[0]) < 0 || pipc_write(end[0], "some text", 9) < 0 ? -1 : 0,
                 ETIMEDOUT);
    assert_true(harness_cpu_ms() - before < 150);
    pipc_close(end[0]);
    pipc_close(end[1]);
    fifos_end(&fifos);
}

TEST(a_write_without_a_peer_returns_epipe_and_raises_no_signal)
{
    struct fifos fifos;
    pipc_t *end[2];
    fifos_begin(&fifos);
    fifos_open_both(&fifos, "x", end);
    pipc_close(end[1]);
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 3; i++)
        assert_errno(pipc_write(end[0], "text", 4), EPIPE);
    pipc_close(end[0]);
    fifos_end(&fifos);
}

/* Four descriptors, and whatever they are, exec closes them. */
TEST(a_handle_has_two_descriptors_and_neither_survives_exec)
{
    struct fifos fifos;
    pipc_t *end[2];
    int fd[2];
    fifos_begin(&fifos);
    int before = harness_open_descriptors();
    fifos_open_both(&fifos, "x", end);
    assert_int_equal(harness_open_descriptors(), before + 4);
    for (int i = 0; i < 2; i++) {
        descriptors_of(end[i], &fd[0], &fd[1]);
        assert_true((fcntl(fd[0], F_GETFD) & FD_CLOEXEC) != 0);
        assert_true((fcntl(fd[1], F_GETFD) & FD_CLOEXEC) != 0);
        pipc_close(end[i]);
    }
    fifos_end(&fifos);
}

/* Each read looks first whether there is something to read, and a signal may come then. */
TEST(a_read_with_timeout_0_is_not_interrupted)
{
    pipc_t *end[2];
    char byte;
    fifos_open_kind(end, NULL);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    fault_reset();
    fault_interrupt(2);
    fault_arm();
    for (int i = 0; i < 50; i++)
        assert_errno(pipc_read(end[0], &byte, 1), EAGAIN);
    fault_disarm();
    pipc_close(end[0]);
    pipc_close(end[1]);
}

HARNESS_MAIN("FIFOs, streams",
             IT_WITHIN(a_writer_killed_at_any_byte_leaves_whole_messages_and_the_right_end, 900000),
             IT(thirty_megabytes_arrive_both_ways_at_once),
             IT(each_direction_requests_a_capacity_of_1_MiB),
             IT(messages_of_all_sizes_pass_through_the_smallest_capacity),
             IT(the_descriptor_reports_a_message_and_the_end),
             IT(without_PIPC_WANT_READ_the_descriptor_reports_that_the_reader_has_gone),
             IT(the_descriptor_reports_after_the_end_that_the_reader_has_gone),
             IT(a_message_sent_before_the_first_poll_is_reported),
             IT(after_the_end_a_wait_for_room_uses_no_processor_time),
             IT(a_write_without_a_peer_returns_epipe_and_raises_no_signal),
             IT(a_handle_has_two_descriptors_and_neither_survives_exec),
             IT(a_read_with_timeout_0_is_not_interrupted))
