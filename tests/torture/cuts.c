/* SPDX-License-Identifier: MIT */
/*
 * A stream that is cut at every byte: the handle at the other end gets the messages that are
 * whole, then EPIPE between two of them, or ECONNRESET inside one.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "torture.h"

/* What pipc.h promises for each stream is all within so many bytes. */
enum { STREAM_MAX = 65540, HEADER = 4 };

static uint8_t stream[STREAM_MAX];
static size_t ends[STREAM_MAX]; /* of the messages in it */
static size_t messages, cut_at;
static const char *cut_name;

static void show_cut(void)
{
    fprintf(stderr, "the stream of %s was cut after %zu bytes\n", cut_name, cut_at);
}

static void add_message(size_t at, size_t size)
{
    for (int i = 0; i < HEADER; i++)
        stream[at + (size_t)i] = (uint8_t)(size >> (8 * (HEADER - 1 - i)));
    harness_fill(stream + at + HEADER, size, messages);
    ends[messages++] = at + HEADER + size;
}

/* One message, or many of all sizes up to that. */
static void make_stream(size_t largest)
{
    size_t at = 0;
    messages = 0;
    for (size_t size = largest; at < STREAM_MAX; size = (size * 7 + 13) % (largest + 1)) {
        if (size > STREAM_MAX - at - HEADER)
            size = STREAM_MAX - at - HEADER;
        add_message(at, size);
        at = ends[messages - 1];
        if (STREAM_MAX - at < HEADER)
            break;
    }
}

static int open_raw(bool is_socket, pipc_t **pipe)
{
    int fd[2], unused[2];
    if (is_socket) {
        TORTURE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0, "no sockets");
        *pipe = harness_adopt(fd[0], fd[0], NULL);
        return fd[1];
    }
    TORTURE_CHECK(pipe2(fd, O_CLOEXEC) == 0 && pipe2(unused, O_CLOEXEC) == 0, "no pipes");
    TORTURE_CHECK(fcntl(fd[1], F_SETPIPE_SZ, 2 * STREAM_MAX) > 0, "no room");
    close(unused[0]);
    *pipe = harness_adopt(fd[0], unused[1], NULL);
    return fd[1];
}

static void expect_messages(pipc_t *pipe, size_t size)
{
    static uint8_t data[STREAM_MAX];
    size_t count = 0, at = 0;
    ssize_t got;
    while ((got = pipc_read(pipe, data, sizeof data)) >= 0) {
        TORTURE_CHECK(count < messages && ends[count] <= size, "a message that was cut off");
        TORTURE_CHECK((size_t)got == ends[count] - at - HEADER, "a message of %zd bytes", got);
        harness_check(data, (size_t)got, count);
        at = ends[count++];
    }
    TORTURE_CHECK(count == messages || ends[count] > size, "%zu messages are lost", messages);
    TORTURE_CHECK(errno == (at == size ? EPIPE : ECONNRESET), "another end");
}

static unsigned long cut_everywhere(bool is_socket, size_t largest, size_t stride)
{
    unsigned long cuts = 0;
    cut_name = is_socket ? "a socket" : "a pipe";
    make_stream(largest);
    for (cut_at = 0; cut_at <= ends[messages - 1]; cut_at += stride, cuts++) {
        pipc_t *pipe;
        int raw = open_raw(is_socket, &pipe);
        torture_watch();
        TORTURE_CHECK(write(raw, stream, cut_at) == (ssize_t)cut_at, "it does not fit");
        close(raw);
        expect_messages(pipe, cut_at);
        pipc_close(pipe);
    }
    return cuts;
}

unsigned long torture_cuts(size_t stride)
{
    unsigned long cuts = 0;
    torture_show = show_cut;
    fault_reset();
    for (int is_socket = 0; is_socket < 2; is_socket++) {
        cuts += cut_everywhere(is_socket == 1, STREAM_MAX - HEADER, stride);
        cuts += cut_everywhere(is_socket == 1, 900, stride);
    }
    return cuts;
}
