/* SPDX-License-Identifier: MIT */
/*
 * With PIPC_DUPLEX and without PIPC_WANT_READ: the peer has ended behind messages that nobody has
 * read. The writing thread, which may not look at them, is told of the end only when it comes next.
 */
#include "platform.h"
#include "raw.h"

enum { SMALL = 16, ENOUGH_WAKES = 20 };

static void call_write(pipc_t *pipe)
{
    assert_int_equal(pipc_write(pipe, "x", 1), 1);
}

/* Only a spurious wakeup, which the next write answers. */
static void assert_hidden_from_writer(pipc_t *pipe, int fd)
{
    for (int wakes = 0; harness_readable(fd, 0); wakes++) {
        assert_true(wakes < ENOUGH_WAKES);
        call_write(pipe);
    }
}

/* The peer sends these bytes and ends; so many messages are read before. Returns the descriptor. */
static int end_behind(struct raw *raw, const char *bytes, size_t size, int messages)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    char text[SMALL];
    options.flags = PIPC_DUPLEX;
    raw_open(raw, &raw_socket, &options);
    raw_send(raw, bytes, size);
    for (int i = 0; i < messages; i++)
        assert_int_equal(pipc_read(raw->pipe, text, sizeof text), 1);
    int fd = pipc_fd(raw->pipe);
    assert_int_equal(pipc_want(raw->pipe, PIPC_WANT_WRITE), 0);
    assert_int_equal(shutdown(raw->out, SHUT_WR), 0);
    return fd;
}

/* One message of these bytes is read, and the rest is in memory. */
static int end_behind_what_is_read_ahead(struct raw *raw, const char *bytes, size_t size)
{
    return end_behind(raw, bytes, size, 1);
}

/* The kernel has none of what is unread, so it cannot say that the end comes after it. */
TEST(without_PIPC_WANT_READ_an_end_behind_messages_in_memory_is_not_reported_to_the_writer)
{
    platform_needs(PLATFORM_EXACT);
    struct raw raw;
    char text[SMALL];
    int fd = end_behind_what_is_read_ahead(&raw, BYTES("\0\0\0\1a\0\0\0\1b\0\0\0\1c"));
    assert_hidden_from_writer(raw.pipe, fd);
    assert_int_equal(pipc_read(raw.pipe, text, sizeof text), 1);
    assert_hidden_from_writer(raw.pipe, fd);
    assert_int_equal(pipc_read(raw.pipe, text, sizeof text), 1);
    assert_true(harness_readable(fd, 0));
    call_write(raw.pipe);
    assert_true(harness_readable(fd, 0));
    assert_errno(pipc_read(raw.pipe, text, sizeof text), EPIPE);
    raw_close(&raw);
}

/* Nothing is read yet. */
TEST(without_PIPC_WANT_READ_an_end_behind_messages_in_the_kernel_is_not_reported_to_the_writer)
{
    platform_needs(PLATFORM_EXACT);
    struct raw raw;
    char text[SMALL];
    int fd = end_behind(&raw, BYTES("\0\0\0\1a"), 0);
    assert_hidden_from_writer(raw.pipe, fd);
    call_write(raw.pipe);
    assert_false(harness_readable(fd, 0));
    assert_int_equal(pipc_read(raw.pipe, text, sizeof text), 1);
    assert_true(harness_readable(fd, 0));
    assert_errno(pipc_read(raw.pipe, text, sizeof text), EPIPE);
    raw_close(&raw);
}

/* A part of a message will never be read: the end is what comes next. */
TEST(without_PIPC_WANT_READ_an_end_behind_a_part_in_memory_is_reported_to_the_writer)
{
    struct raw raw;
    char text[SMALL];
    int fd = end_behind_what_is_read_ahead(&raw, BYTES("\0\0\0\1a\0\0\0\2b"));
    call_write(raw.pipe);
    assert_true(harness_readable(fd, 0));
    assert_errno(pipc_read(raw.pipe, text, sizeof text), ECONNRESET);
    raw_close(&raw);
}

HARNESS_MAIN(
    "duplex, an end behind messages",
    IT(without_PIPC_WANT_READ_an_end_behind_messages_in_memory_is_not_reported_to_the_writer),
    IT(without_PIPC_WANT_READ_an_end_behind_messages_in_the_kernel_is_not_reported_to_the_writer),
    IT(without_PIPC_WANT_READ_an_end_behind_a_part_in_memory_is_reported_to_the_writer))
