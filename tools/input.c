/* SPDX-License-Identifier: MIT */
/*
 * Standard input, or the files of --file, as messages. The loop calls input_next; after NEXT_WAIT
 * it waits until the descriptor is readable, and calls input_fill, which reads once. So a
 * descriptor that other programs share keeps waiting as they expect, and the loop does not stand
 * still. What has been read and is no whole message yet stays in the buffer.
 */
#include "pipccat.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { input_piece = 1 << 16, record_head = 4 };

static enum next input_fail(struct input *input, int code)
{
    input->code = code;
    return NEXT_FAILED;
}

static const char *input_name(const struct input *input)
{
    return input->file == 0 ? "standard input" : config.files[input->file - 1];
}

static enum next input_too_large(struct input *input)
{
    complain("%s: a message is larger than %zu bytes%s", input_name(input), config.max_message,
             config.input == INPUT_FILE ? "; see --input=blocks and --max-message"
                                        : "; see --max-message");
    return input_fail(input, CODE_TOO_LARGE);
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* What is still to be read of a regular file; 0: unknown. */
static uint64_t input_left(int fd)
{
    struct stat status;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (fstat(fd, &status) == -1 || !S_ISREG(status.st_mode) || at == -1 || at > status.st_size)
        return 0;
    return (uint64_t)(status.st_size - at);
}

static uint64_t input_sum(void)
{
    uint64_t total = 0;
    struct stat status;
    for (size_t i = 0; i < config.file_count; i++) {
        if (stat(config.files[i], &status) == -1 || !S_ISREG(status.st_mode))
            return 0;
        total += (uint64_t)status.st_size;
    }
    return total;
}

static void input_use(struct input *input, int fd)
{
    struct stat status;
    input->fd = fd;
    input->at_eof = input->begun = false;
    input->never_waits = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (config.input == INPUT_BLOCKS)
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

static void input_leave(struct input *input)
{
    if (input->fd > STDIN_FILENO)
        close(input->fd);
    input->fd = -1;
}

/* Goes on with the next file; NEXT_WAIT when there is one. */
static enum next input_next_file(struct input *input)
{
    input_leave(input);
    if (input->file == config.file_count) {
        input->ended = true;
        return NEXT_END;
    }
    int fd = open(config.files[input->file++], O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd == -1) {
        complain("%s: %s", input_name(input), strerror(errno));
        return input_fail(input, CODE_LOCAL);
    }
    input_use(input, fd);
    return NEXT_WAIT;
}

void input_open(struct input *input)
{
    memset(input, 0, sizeof *input);
    input->fd = -1;
    if (config.work != WORK_PIPE || config.input == INPUT_NONE)
        return;
    if (config.file_count == 0) {
        input_use(input, STDIN_FILENO);
        input->total = input_left(STDIN_FILENO);
    } else {
        input->total = input_sum();
    }
}

void input_rewind(struct input *input)
{
    if (config.file_count == 0 || config.input == INPUT_NONE)
        return;
    input_leave(input);
    input->file = 0;
    input->ended = false;
    input->scanned = input->taken = 0;
    input->done = 0;
    input->buffer.start = input->buffer.end = 0;
}

void input_close(struct input *input)
{
    input_leave(input);
    buffer_free(&input->buffer);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* How much to read at a time: what is missing of the message, if that is known. */
static size_t input_wanted(const struct input *input)
{
    size_t have = buffer_size(&input->buffer);
    if (config.input == INPUT_BLOCKS)
        return config.block_size - have;
    if (config.input == INPUT_FILE && have >= input_piece)
        return have < config.max_message ? have : input_piece; /* doubles */
    if (input->taken > have)
        return input->taken - have;
    return input_piece;
}

enum next input_fill(struct input *input)
{
    size_t size = input_wanted(input);
    if (buffer_reserve(&input->buffer, size) == -1)
        return input_fail(input, CODE_LOCAL);
    ssize_t got = read(input->fd, input->buffer.data + input->buffer.end, size);
    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return NEXT_WAIT;
    if (got == -1) {
        complain("%s: %s", input_name(input), strerror(errno));
        return input_fail(input, CODE_LOCAL);
    }
    input->buffer.end += (size_t)got;
    input->at_eof = got == 0;
    return NEXT_MESSAGE;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static enum next input_found(struct input *input, struct iovec *message, size_t skip, size_t size,
                             size_t taken)
{
    if (size > config.max_message)
        return input_too_large(input);
    *message = (struct iovec){buffer_front(&input->buffer) + skip, size};
    input->taken = taken;
    return NEXT_MESSAGE;
}

/* Nothing whole is there. */
static enum next input_none(const struct input *input)
{
    return input->at_eof ? NEXT_END : NEXT_WAIT;
}

static enum next input_line(struct input *input, struct iovec *message)
{
    size_t size = buffer_size(&input->buffer), seen = input->scanned;
    unsigned char *line = buffer_front(&input->buffer);
    unsigned char *end = size > seen ? memchr(line + seen, '\n', size - seen) : NULL;
    if (end != NULL)
        return input_found(input, message, 0, (size_t)(end - line), (size_t)(end - line) + 1);
    input->scanned = size;
    if (size > config.max_message)
        return input_too_large(input);
    if (input->at_eof && size > 0)
        return input_found(input, message, 0, size, size); /* the last line has no end */
    return input_none(input);
}

static enum next input_block(struct input *input, struct iovec *message)
{
    size_t size = buffer_size(&input->buffer);
    if (size == config.block_size || (input->at_eof && size > 0))
        return input_found(input, message, 0, size, size);
    return input_none(input);
}

/* An empty file is an empty message. */
static enum next input_whole(struct input *input, struct iovec *message)
{
    size_t size = buffer_size(&input->buffer);
    if (size > config.max_message)
        return input_too_large(input);
    if (!input->at_eof || input->begun)
        return input_none(input);
    input->begun = true;
    return input_found(input, message, 0, size, size);
}

static enum next input_record(struct input *input, struct iovec *message)
{
    size_t have = buffer_size(&input->buffer);
    if (have >= record_head) {
        const unsigned char *head = buffer_front(&input->buffer);
        size_t size =
            (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        if (size > config.max_message)
            return input_too_large(input);
        if (have - record_head >= size)
            return input_found(input, message, record_head, size, size + record_head);
        input->taken = size + record_head;
    }
    if (input->at_eof && have > 0) {
        complain("%s: it ends inside a record", input_name(input));
        return input_fail(input, CODE_LOCAL);
    }
    return input_none(input);
}

static enum next input_in_file(struct input *input, struct iovec *message)
{
    switch (config.input) {
    case INPUT_LINES:
        return input_line(input, message);
    case INPUT_BLOCKS:
        return input_block(input, message);
    case INPUT_FILE:
        return input_whole(input, message);
    case INPUT_RECORDS:
        return input_record(input, message);
    default:
        return NEXT_END;
    }
}

enum next input_next(struct input *input, struct iovec *message)
{
    enum next found = NEXT_END;
    if (config.input == INPUT_NONE)
        return NEXT_WAIT; /* for ever */
    while (!input->ended) {
        if (input->fd != -1 && (found = input_in_file(input, message)) != NEXT_END)
            return found;
        if ((found = input_next_file(input)) == NEXT_FAILED)
            return found;
    }
    return NEXT_END;
}

void input_consume(struct input *input)
{
    input->done += input->taken;
    buffer_consume(&input->buffer, input->taken);
    input->scanned = input->taken = 0;
}
