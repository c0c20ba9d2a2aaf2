/* SPDX-License-Identifier: MIT */
/*
 * Writers in packet mode (O_DIRECT on a pipe or FIFO). Bytes of a packet that a read does not take
 * are lost, and the reader cannot know the mode. Messages of all sizes arrive whole in every way
 * of reading.
 */
#define _GNU_SOURCE
#include "fifos.h"
#include "harness.h"
#include "raw.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { MESSAGES = 250, LARGEST = 200000 };

static size_t sizes[MESSAGES];

static void choose_sizes(void)
{
    static const size_t limits[] = {1, 20, 600, 5000, 17000, LARGEST};
    static const size_t exact[] = {4091, 4092, 4093, 8188, 16376, 16380, 16384, 65532, 65536};
    for (size_t i = 0; i < MESSAGES; i++)
        sizes[i] =
            i < sizeof exact / sizeof exact[0] ? exact[i] : harness_random_below(limits[i % 6]);
}

/* --- Writing ---------------------------------------------------------------------------------- */

static void put_all(int fd, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        assert_true(n > 0);
        bytes += n;
        size -= (size_t)n;
    }
}

/* Frames as one write each; the header by itself; in pieces of any size; many frames in one
 * write. */
enum way { WHOLE, HEADER_FIRST, PIECES, TOGETHER, WAYS };

static void put_pieces(int fd, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        size_t piece = 1 + harness_random_below(harness_random_below(2) ? 50 : 6000);
        piece = piece < size ? piece : size;
        put_all(fd, bytes, piece);
        bytes += piece;
        size -= piece;
    }
}

struct batch {
    unsigned char *bytes;
    size_t size;
};

static void put_frame(int fd, enum way way, struct batch *batch, int i, size_t size)
{
    unsigned char *frame = batch->bytes + batch->size;
    for (int byte = 0; byte < 4; byte++)
        frame[byte] = (unsigned char)(size >> (24 - 8 * byte));
    harness_fill(frame + 4, size, (uint64_t)i);
    batch->size += 4 + size;
    if (way == TOGETHER && batch->size < LARGEST && i < MESSAGES - 1)
        return;
    if (way == PIECES)
        put_pieces(fd, batch->bytes, batch->size);
    else if (way == HEADER_FIRST) {
        put_all(fd, frame, 4);
        put_all(fd, frame + 4, size);
    } else
        put_all(fd, batch->bytes, batch->size);
    batch->size = 0;
}

struct writer {
    int fd, reader;
    enum way way;
};

static int write_messages(void *arg)
{
    const struct writer *writer = arg;
    struct batch batch = {malloc(2 * LARGEST + 100), 0};
    close(writer->reader);
    for (int i = 0; i < MESSAGES; i++)
        put_frame(writer->fd, writer->way, &batch, i, sizes[i]);
    free(batch.bytes);
    return 0;
}

/* --- Reading ---------------------------------------------------------------------------------- */

static char buffer[LARGEST];

/* However long its buffer, a read without a limit takes a large message straight to it. */
static ssize_t read_into(pipc_t *pipe)
{
    return pipc_read(pipe, buffer, sizeof buffer);
}

static ssize_t give(pipc_msg_t *message)
{
    ssize_t size = (ssize_t)message->size;
    if (size > 0)
        memcpy(buffer, message->data, message->size);
    pipc_msg_free(message);
    return size;
}

static ssize_t read_message(pipc_t *pipe)
{
    pipc_msg_t message;
    if (pipc_read_msg(pipe, &message) != 0)
        return -1;
    return give(&message);
}

static ssize_t read_what_fits(pipc_t *pipe)
{
    ssize_t size = pipc_read(pipe, buffer, 10);
    if (size >= 0 || errno != EMSGSIZE)
        return size;
    pipc_msg_t view;
    assert_int_equal(pipc_peek(pipe, &view), 0);
    assert_true(view.size > 10);
    return pipc_read(pipe, buffer, view.size);
}

static ssize_t count_and_read(pipc_t *pipe)
{
    pipc_msg_t message;
    ssize_t count = pipc_read_pending(pipe, &message, 1);
    if (count <= 0) {
        errno = count == 0 ? EAGAIN : errno;
        return -1;
    }
    return give(&message);
}

typedef ssize_t read_way(pipc_t *pipe);
static read_way *const read_ways[] = {read_into, read_message, read_what_fits, count_and_read};
enum { READ_WAYS = sizeof read_ways / sizeof read_ways[0] };

static void read_messages(pipc_t *pipe, read_way *read)
{
    char byte;
    for (int i = 0; i < MESSAGES; i++) {
        ssize_t size;
        while ((size = read(pipe)) < 0)
            if (errno != EAGAIN && errno != ETIMEDOUT)
                fail_msg("message %d of %zu bytes: %s", i, sizes[i], strerror(errno));
        if ((size_t)size != sizes[i])
            fail_msg("message %d of %zu bytes: %zd", i, sizes[i], size);
        harness_check(buffer, (size_t)size, (uint64_t)i);
    }
    while (pipc_read(pipe, &byte, 1) < 0 && (errno == EAGAIN || errno == ETIMEDOUT))
        continue;
    assert_int_equal(errno, EPIPE);
}

/* --- Pipes and FIFOs -------------------------------------------------------------------------- */

static void open_pipe(int fd[2])
{
    assert_int_equal(pipe2(fd, O_CLOEXEC | O_DIRECT), 0);
}

static void open_fifo(int fd[2])
{
    fifos_make_unnamed(fd);
    assert_int_equal(fcntl(fd[1], F_SETFL, O_DIRECT), 0);
}

static void try_all(void (*open_stream)(int fd[2]), int timeout_ms, unsigned flags)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = flags;
    for (size_t i = 0; i < WAYS * READ_WAYS; i++) {
        int fd[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        open_stream(fd);
        choose_sizes();
        struct writer writer = {fd[1], fd[0], (enum way)(i % WAYS)};
        pid_t pid = harness_fork(write_messages, &writer);
        close(fd[1]);
        pipc_t *pipe = harness_adopt(fd[0], null, &options);
        assert_int_equal(pipc_set_timeout(pipe, timeout_ms, -1), 0);
        read_messages(pipe, read_ways[i / WAYS]);
        assert_int_equal(harness_wait(pid), 0);
        pipc_close(pipe);
    }
}

TEST(a_blocking_read_receives_packets_of_a_pipe_as_whole_messages)
{
    try_all(open_pipe, -1, 0);
}

TEST(a_read_with_a_deadline_receives_packets_as_whole_messages)
{
    try_all(open_pipe, 1, 0);
}

TEST(an_interruptible_read_receives_packets_as_whole_messages)
{
    try_all(open_pipe, -1, PIPC_INTERRUPTIBLE);
}

TEST(a_read_receives_packets_of_a_FIFO_as_whole_messages)
{
    try_all(open_fifo, -1, 0);
    try_all(open_fifo, 1, 0);
}

/* libpipc as the writer in packet mode. */
TEST(one_handle_writes_packets_and_another_reads_them)
{
    static char large[LARGEST], got[LARGEST];
    int there[2], back[2];
    open_pipe(there);
    open_pipe(back);
    assert_true(fcntl(there[1], F_SETPIPE_SZ, 1 << 20) > 0);
    pipc_t *first = harness_adopt(back[0], there[1], NULL);
    pipc_t *second = harness_adopt(there[0], back[1], NULL);
    choose_sizes();
    for (int i = 0; i < MESSAGES; i++) {
        harness_fill(large, sizes[i], (uint64_t)i);
        assert_int_equal(pipc_write(first, large, sizes[i]), sizes[i]);
        assert_int_equal(pipc_read(second, got, sizes[i]), sizes[i]);
        harness_check(got, sizes[i], (uint64_t)i);
    }
    pipc_close(first);
    pipc_close(second);
}

HARNESS_MAIN("packets", IT(a_blocking_read_receives_packets_of_a_pipe_as_whole_messages),
             IT(a_read_with_a_deadline_receives_packets_as_whole_messages),
             IT(an_interruptible_read_receives_packets_as_whole_messages),
             IT(a_read_receives_packets_of_a_FIFO_as_whole_messages),
             IT(one_handle_writes_packets_and_another_reads_them))
