/* SPDX-License-Identifier: MIT */
/*
 * A handle at one end, and the test itself, with raw bytes, at the other: over a socketpair or two
 * pipes. Nothing here knows the format of a frame.
 */
#ifndef PIPC_TESTS_RAW_H
#define PIPC_TESTS_RAW_H

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

/* A string's bytes and how many, without the zero at its end. */
#define BYTES(text) (text), (sizeof(text) - 1)

struct raw {
    pipc_t *pipe; /* its timeouts are 0: what was sent has arrived */
    int in, out;  /* the test's; out is -1 after the end */
};

struct raw_kind {
    void (*make)(int pipe_side[2], int test_side[2]); /* each: to read from, to write to */
};

static inline void raw_make_socket(int pipe_side[2], int test_side[2])
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    pipe_side[0] = pipe_side[1] = fd[0];
    test_side[0] = fd[1];
    test_side[1] = fcntl(fd[1], F_DUPFD_CLOEXEC, 0);
}

static inline void raw_make_pipes(int pipe_side[2], int test_side[2])
{
    int there[2], back[2];
    assert_int_equal(pipe2(there, O_CLOEXEC), 0);
    assert_int_equal(pipe2(back, O_CLOEXEC), 0);
    pipe_side[0] = there[0];
    test_side[1] = there[1];
    test_side[0] = back[0];
    pipe_side[1] = back[1];
}

static const struct raw_kind raw_socket = {raw_make_socket};
static const struct raw_kind raw_pipes = {raw_make_pipes};

static inline void raw_open(struct raw *raw, const struct raw_kind *kind,
                            const pipc_options_t *options)
{
    int pipe_side[2], test_side[2];
    kind->make(pipe_side, test_side);
    raw->in = test_side[0];
    raw->out = test_side[1];
    raw->pipe = harness_adopt(pipe_side[0], pipe_side[1], options);
    assert_int_equal(pipc_set_timeout(raw->pipe, 0, 0), 0);
}

/* No more bytes from the test's side; on a socket its other half stays. */
static inline void raw_end(struct raw *raw)
{
    shutdown(raw->out, SHUT_WR);
    close(raw->out);
    raw->out = -1;
}

static inline void raw_close(struct raw *raw)
{
    pipc_close(raw->pipe);
    close(raw->in);
    if (raw->out >= 0)
        close(raw->out);
}

static inline void raw_send(const struct raw *raw, const char *data, size_t size)
{
    if (size > 0)
        assert_int_equal(write(raw->out, data, size), size);
}

static inline void raw_take(const struct raw *raw, char *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = read(raw->in, data + at, size - at);
        if (n <= 0)
            fail_msg("only %zu of %zu bytes came", at, size);
        at += (size_t)n;
    }
}

static inline void raw_expect(const struct raw *raw, const char *data, size_t size)
{
    char got[256];
    assert_true(size <= sizeof got);
    raw_take(raw, got, size);
    assert_memory_equal(got, data, size);
}

static inline void raw_expect_end(const struct raw *raw)
{
    char byte;
    assert_int_equal(read(raw->in, &byte, 1), 0);
}

static inline void expect_message(pipc_t *pipe, const char *data, size_t size)
{
    char got[256];
    ssize_t n = pipc_read(pipe, got, sizeof got);
    if (n < 0)
        fail_msg("read: %s", strerror(errno));
    assert_int_equal(n, size);
    assert_memory_equal(got, data, size);
}

static inline void expect_failure(pipc_t *pipe, int code)
{
    char got[256];
    assert_errno(pipc_read(pipe, got, sizeof got), code);
}

#endif
