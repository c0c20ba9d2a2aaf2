/* SPDX-License-Identifier: MIT */
/*
 * Standard output, without waiting for it. O_NONBLOCK would belong to all programs that share the
 * open file: so a pipe or terminal is opened once more, a socket is asked call by call. Where that
 * fails, a write takes as little as poll has promised room for.
 */
#include "pipccat.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Messages gather up to output_full. Larger pieces go out from where they lie. */
enum { output_full = 1 << 16, output_direct = 1 << 14, output_terminal_step = 256 };

void output_open(struct output *output)
{
    struct stat status;
    memset(output, 0, sizeof *output);
    output->fd = STDOUT_FILENO;
    output->step = SIZE_MAX;
    output->is_terminal = isatty(STDOUT_FILENO) == 1;
    if (fstat(STDOUT_FILENO, &status) == -1)
        return; /* the first write reports it */
    output->is_socket = S_ISSOCK(status.st_mode);
    output->never_waits = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) ||
                          (S_ISCHR(status.st_mode) && !output->is_terminal);
    if (output->is_socket || output->never_waits)
        return;
    int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    output->own_fd = fd != -1;
    if (fd != -1)
        output->fd = fd;
    else
        output->step = output->is_terminal ? output_terminal_step : PIPE_BUF;
}

void output_close(struct output *output)
{
    if (output->own_fd)
        close(output->fd);
    buffer_free(&output->buffer);
}

bool output_is_empty(const struct output *output)
{
    return buffer_size(&output->buffer) == 0 && output->at == 0;
}

bool output_has_room(const struct output *output)
{
    return buffer_size(&output->buffer) < output_full && !output->failed && !output->waits;
}

static bool output_may_write(const struct output *output)
{
    struct pollfd item = {output->fd, POLLOUT, 0};
    return output->own_fd || output->is_socket || output->never_waits || poll(&item, 1, 0) == 1;
}

/* One write. Returns how many bytes went; 0: none now, or it failed. */
static size_t output_write(struct output *output, const void *data, size_t size)
{
    size_t some = size < output->step ? size : output->step;
    if (output->failed || output->waits)
        return 0;
    if (!output_may_write(output)) {
        output->waits = true;
        return 0;
    }
    ssize_t done = output->is_socket ? send(output->fd, data, some, MSG_DONTWAIT | MSG_NOSIGNAL)
                                     : write(output->fd, data, some);
    if (done >= 0)
        return (size_t)done;
    if (errno == EAGAIN || errno == EINTR) {
        output->waits = true;
        return 0;
    }
    output->failed = true;
    output->code = errno == EPIPE ? CODE_OUTPUT_CLOSED : CODE_LOCAL;
    if (errno != EPIPE)
        complain("standard output: %s", strerror(errno));
    return 0;
}

bool output_flush(struct output *output)
{
    size_t before = buffer_size(&output->buffer), done = 1;
    if (before > 0 && output->is_terminal)
        progress_clear();
    while (buffer_size(&output->buffer) > 0 && done > 0) {
        done = output_write(output, buffer_front(&output->buffer), buffer_size(&output->buffer));
        buffer_consume(&output->buffer, done);
    }
    return buffer_size(&output->buffer) < before;
}

/* The bytes are the message, and many: they need not be copied. */
static bool output_is_direct(const struct output *output, const pipc_msg_t *message)
{
    return (config.output == OUTPUT_RAW || (config.output == OUTPUT_RECORDS && output->started)) &&
           buffer_size(&output->buffer) == 0 && message->size - output->at >= output_direct;
}

bool output_put(struct output *output, const pipc_msg_t *message)
{
    bool whole = config.output == OUTPUT_NONE;
    while (!whole && output_has_room(output)) {
        if (output_is_direct(output, message)) {
            size_t done = output_write(output, (const char *)message->data + output->at,
                                       message->size - output->at);
            output->at += done;
            whole = output->at == message->size;
            if (done == 0)
                break;
        } else {
            whole = format_piece(output, message);
        }
    }
    if (whole) {
        output->at = 0;
        output->started = false;
    }
    return whole;
}
