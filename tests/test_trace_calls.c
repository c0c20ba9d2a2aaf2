/* SPDX-License-Identifier: MIT */
/* pipc_set_trace: what a call has to tell is told before it returns, and before it waits. */
#include "fault.h"
#include "moving.h"
#include "trace/trace.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int lines;

static void count_lines(void *unused, const char *line)
{
    (void)unused;
    assert_non_null(line);
    lines++;
}

static ssize_t call_write(pipc_t *pipe)
{
    return pipc_write(pipe, "1", 1);
}

static ssize_t call_writev(pipc_t *pipe)
{
    struct iovec part = {(void *)(uintptr_t) "2", 1};
    return pipc_writev(pipe, &part, 1);
}

static ssize_t call_write_fds(pipc_t *pipe)
{
    return pipc_write_fds(pipe, "3", 1, NULL, 0);
}

static ssize_t call_write_batch(pipc_t *pipe)
{
    struct iovec messages[2] = {{(void *)(uintptr_t) "4", 1}, {(void *)(uintptr_t) "5", 1}};
    return pipc_write_batch(pipe, messages, 2);
}

static ssize_t call_read(pipc_t *pipe)
{
    char byte;
    return pipc_read(pipe, &byte, 1);
}

static ssize_t call_read_msg(pipc_t *pipe)
{
    pipc_msg_t message;
    int result = pipc_read_msg(pipe, &message);
    pipc_msg_free(&message);
    return result;
}

static ssize_t call_peek(pipc_t *pipe)
{
    pipc_msg_t view;
    return pipc_peek(pipe, &view);
}

static ssize_t call_skip(pipc_t *pipe)
{
    return pipc_skip(pipe);
}

static ssize_t call_read_pending(pipc_t *pipe)
{
    pipc_msg_t messages[8];
    ssize_t count = pipc_read_pending(pipe, messages, 8);
    for (ssize_t i = 0; i < count; i++)
        pipc_msg_free(&messages[i]);
    return count;
}

static ssize_t call_fd(pipc_t *pipe)
{
    return pipc_fd(pipe);
}

static ssize_t call_want(pipc_t *pipe)
{
    return pipc_want(pipe, PIPC_WANT_READ);
}

static ssize_t call_peer(pipc_t *pipe)
{
    char text[128];
    return pipc_peer(pipe, text, sizeof text);
}

static ssize_t call_shutdown(pipc_t *pipe)
{
    return pipc_shutdown(pipe);
}

/* Each of them on the second end, which gets as much as it has written. */
static const struct {
    const char *name;
    ssize_t (*call)(pipc_t *pipe);
} calls[] = {{"write", call_write},         {"writev", call_writev},
             {"write_fds", call_write_fds}, {"write_batch", call_write_batch},
             {"read", call_read},           {"peek", call_peek},
             {"read_msg", call_read_msg},   {"skip", call_skip},
             {"pending", pipc_pending},     {"read_pending", call_read_pending},
             {"flush", pipc_flush},         {"fd", call_fd},
             {"want", call_want},           {"peer", call_peer},
             {"shutdown", call_shutdown}};

static void call_each(pipc_t *end[2])
{
    for (size_t i = 0; i < 4; i++)
        assert_true(calls[i].call(end[0]) >= 0);
    lines = 0;
    pipc_set_trace(count_lines, NULL);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        int before = lines;
        trace_write_plain(1, TRACE_CLOSE, calls[i].name, NULL, 0);
        assert_int_equal(lines, before);
        if (calls[i].call(end[1]) < 0 || lines == before)
            fail_msg("%s: %d", calls[i].name, errno);
    }
    pipc_set_trace(NULL, NULL);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

TEST(each_call_hands_over_the_lines_that_wait)
{
    pipc_t *end[2];
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    call_each(end);
    moving_need();
    moving_open_moved_pair_kind(end, NULL);
    call_each(end);
}

/* Without any memory there is not even a server; who asks why is told. */
TEST(a_server_that_there_is_no_memory_for_and_a_text_that_does_not_fit_are_told)
{
    char text[2];
    pipc_t *end[2];
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    lines = 0;
    pipc_set_trace(count_lines, NULL);
    fault_reset();
    fault_fail(CALL_malloc, 1, FAULT_FOREVER, ENOMEM);
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix("@nobody", NULL);
    int error = errno;
    fault_disarm();
    assert_null(server);
    assert_int_equal(error, ENOMEM);
    assert_int_equal(lines, 1);
    assert_errno(pipc_peer(end[0], text, sizeof text), ERANGE);
    assert_int_equal(lines, 2);
    pipc_set_trace(NULL, NULL);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

static void say_that_it_is_told(void *context, const char *line)
{
    count_lines(NULL, line);
    if (strstr(line, "a write has failed") != NULL)
        assert_int_equal(write(*(const int *)context, "\0\0\0\1x", 5), 5);
}

/* Nobody reads what is gathered, and the peer writes only when the function has been told so. */
TEST(the_function_is_called_before_a_read_blocks)
{
    int in[2], out[2];
    char byte;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER;
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pipc_t *pipe = pipc_open_fds(in[0], out[1], &options);
    assert_non_null(pipe);
    close(out[0]);
    assert_int_equal(pipc_write(pipe, "a", 1), 1);
    pipc_set_trace(say_that_it_is_told, &in[1]);
    assert_int_equal(pipc_read(pipe, &byte, 1), 1);
    pipc_set_trace(NULL, NULL);
    pipc_close(pipe);
    close(in[1]);
}

TEST(the_function_is_called_before_a_write_that_gathers_returns)
{
    pipc_t *end[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER;
    assert_int_equal(pipc_open_pair(end, &options), 0);
    assert_true(pipc_fd(end[0]) >= 0);
    assert_int_equal(pipc_want(end[0], PIPC_WANT_WRITE), 0);
    pipc_close(end[1]);
    lines = 0;
    pipc_set_trace(count_lines, NULL);
    assert_int_equal(pipc_write(end[0], "x", 1), 1);
    assert_int_equal(lines, 1);
    pipc_set_trace(NULL, NULL);
    pipc_close(end[0]);
}

static void replace(void *unused, const char *line)
{
    (void)unused;
    assert_non_null(strstr(line, "first"));
    pipc_set_trace(count_lines, NULL);
}

/* Set by a call, or by the function before. */
TEST(a_new_function_does_not_get_the_lines_that_wait)
{
    lines = 0;
    pipc_set_trace(replace, NULL);
    trace_write_plain(1, TRACE_CLOSE, "first", NULL, 0);
    trace_write_plain(1, TRACE_CLOSE, "older", NULL, 0);
    trace_deliver();
    assert_int_equal(lines, 0);
    trace_write_plain(1, TRACE_CLOSE, "newer", NULL, 0);
    trace_deliver();
    assert_int_equal(lines, 1);
    trace_write_plain(1, TRACE_CLOSE, "older", NULL, 0);
    pipc_set_trace(count_lines, NULL);
    trace_deliver();
    assert_int_equal(lines, 1);
    pipc_set_trace(NULL, NULL);
}

HARNESS_MAIN("trace, each call", IT(each_call_hands_over_the_lines_that_wait),
             IT(a_server_that_there_is_no_memory_for_and_a_text_that_does_not_fit_are_told),
             IT(the_function_is_called_before_a_read_blocks),
             IT(the_function_is_called_before_a_write_that_gathers_returns),
             IT(a_new_function_does_not_get_the_lines_that_wait))
