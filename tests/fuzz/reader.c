/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include <fcntl.h>
#include <sys/socket.h>

enum { REPORTS_MAX = 8, COST = 64, ROUNDS_MAX = 100000 };

uint8_t reader_wire[READER_WIRE_MAX], reader_buffer[READER_WIRE_MAX];

/* ---- what must come ---- */

/* 0: that message; else the errno. */
int reader_expected(const struct reader *r, struct decoded *message)
{
    if (r->read_bye)
        return EPIPE;
    switch (decode(reader_wire, r->sent, r->at, r->max_message, message)) {
    case DECODED_MESSAGE:
        return 0;
    case DECODED_BAD:
        return EPROTO;
    case DECODED_NONE:
        return r->out < 0 ? EPIPE : EAGAIN;
    default:
        return r->out < 0 ? ECONNRESET : EAGAIN;
    }
}

/* How many messages fit into memory, at most `max`. */
static size_t expected_count(const struct reader *r, size_t max)
{
    struct reader ahead = *r;
    struct decoded message;
    size_t count = 0, cost = 0;
    while (count < max && reader_expected(&ahead, &message) == 0) {
        cost += message.size + COST;
        if (count > 0 && cost > r->max_pending)
            break;
        count++;
        ahead.at = message.end;
        ahead.read_bye = message.kind == PIPC_BYE;
    }
    return count;
}

static void check_error(struct reader *r, int error)
{
    FUZZ_CHECK(errno == error, "errno should be %s", strerror(error));
    if (error != EAGAIN)
        r->reports++;
}

void reader_check_message(const pipc_msg_t *got, const struct decoded *message)
{
    FUZZ_CHECK(got->kind == message->kind, "the kind is %d", got->kind);
    FUZZ_CHECK(got->size == message->size, "%zu bytes, not %zu", got->size, message->size);
    FUZZ_CHECK(memcmp(got->data, message->data, got->size) == 0, "other bytes");
}

static void check_text(const struct reader *r, const struct decoded *message)
{
    const char *text = pipc_bye_text(r->pipe);
    size_t size = message->size - 3;
    FUZZ_CHECK(text != NULL && memcmp(text, message->data + 3, size) == 0 && text[size] == '\0',
               "another text of the goodbye");
}

static void consume(struct reader *r, const struct decoded *message)
{
    r->at = message->end;
    if (message->kind == PIPC_BYE) {
        r->read_bye = true;
        check_text(r, message);
        return;
    }
    r->messages++;
    r->bytes += message->size;
}

/* ---- the calls ---- */

static void call_read(struct reader *r, size_t room)
{
    struct decoded message;
    int error = reader_expected(r, &message);
    ssize_t got = pipc_read(r->pipe, reader_buffer, room);
    if (error != 0) {
        FUZZ_CHECK(got == -1, "a message of %zd bytes out of nothing", got);
        check_error(r, error);
    } else if (message.kind == PIPC_BYE) {
        FUZZ_CHECK(got == -1 && errno == ESHUTDOWN, "%zd instead of a goodbye", got);
        consume(r, &message);
    } else if (message.size > room) {
        FUZZ_CHECK(got == -1 && errno == EMSGSIZE, "%zd for a reader_buffer that is too small",
                   got);
    } else {
        pipc_msg_t view = {reader_buffer, (size_t)got, PIPC_DATA};
        FUZZ_CHECK(got >= 0, "no message");
        reader_check_message(&view, &message);
        consume(r, &message);
    }
}

static void call_read_msg(struct reader *r)
{
    struct decoded message;
    pipc_msg_t got;
    int error = reader_expected(r, &message);
    int result = pipc_read_msg(r->pipe, &got);
    FUZZ_CHECK(result == (error == 0 ? 0 : -1), "pipc_read_msg returns %d", result);
    if (error != 0) {
        check_error(r, error);
        return;
    }
    reader_check_message(&got, &message);
    consume(r, &message);
    pipc_msg_free(&got);
}

static void call_read_pending(struct reader *r, size_t max)
{
    pipc_msg_t got[32];
    struct decoded message;
    int error = reader_expected(r, &message);
    size_t limit = expected_count(r, max);
    ssize_t count = pipc_read_pending(r->pipe, got, max);
    if (count < 0) {
        FUZZ_CHECK(error != 0 && error != EAGAIN && max > 0, "pipc_read_pending fails");
        check_error(r, error);
        return;
    }
    FUZZ_CHECK((size_t)count <= limit && (count > 0 || limit == 0), "%zd messages, not %zu", count,
               limit);
    FUZZ_CHECK(count > 0 || max == 0 || error == EAGAIN, "0 instead of an error");
    for (ssize_t i = 0; i < count; i++) {
        FUZZ_CHECK(reader_expected(r, &message) == 0, "a message too many");
        reader_check_message(&got[i], &message);
        /* The text is that of the last goodbye, and nothing follows a goodbye. */
        consume(r, &message);
        pipc_msg_free(&got[i]);
    }
}

static void call_peek(struct reader *r)
{
    struct decoded message;
    pipc_msg_t view;
    int error = reader_expected(r, &message);
    int result = pipc_peek(r->pipe, &view);
    FUZZ_CHECK(result == (error == 0 ? 0 : -1), "pipc_peek returns %d", result);
    if (error != 0)
        check_error(r, error);
    else
        reader_check_message(&view, &message);
}

static void call_skip(struct reader *r)
{
    struct decoded message;
    int error = reader_expected(r, &message);
    int result = pipc_skip(r->pipe);
    FUZZ_CHECK(result == (error == 0 ? 0 : -1), "pipc_skip returns %d", result);
    if (error != 0)
        check_error(r, error);
    else
        consume(r, &message);
}

static void call_pending(struct reader *r)
{
    size_t count = expected_count(r, SIZE_MAX);
    ssize_t got = pipc_pending(r->pipe);
    FUZZ_CHECK(got == (ssize_t)count, "%zd messages are pending, not %zu", got, count);
}

static void call_flush(struct reader *r)
{
    size_t count = expected_count(r, SIZE_MAX);
    ssize_t got = pipc_flush(r->pipe);
    FUZZ_CHECK(got >= 0 && (size_t)got <= count && (r->is_duplex || (size_t)got == count),
               "pipc_flush returns %zd, not %zu", got, count);
}

/* Readable if and only if a call is worth making; one spurious wakeup is allowed. */
static void call_poll(struct reader *r)
{
    struct decoded message;
    int error = reader_expected(r, &message);
    if (r->polled < 0)
        r->polled = pipc_fd(r->pipe);
    FUZZ_CHECK(r->polled >= 0 && pipc_fd(r->pipe) == r->polled, "no descriptor to poll");
    bool should_be = error == 0 || (error != EAGAIN && r->reports < REPORTS_MAX);
    bool is_readable = fuzz_is_readable(r->polled);
    FUZZ_CHECK(is_readable || !should_be, "not readable, and something is to be read");
    if (should_be || !is_readable)
        return;
    call_read(r, 0);
    FUZZ_CHECK(!fuzz_is_readable(r->polled), "readable, and nothing is to be read");
}

static void call_stats(struct reader *r)
{
    pipc_stats_t stats = fuzz_stats(r->pipe);
    uint64_t cost = stats.bytes_pending + stats.messages_pending * COST;
    FUZZ_CHECK(stats.messages_read == r->messages, "messages_read is wrong");
    FUZZ_CHECK(stats.bytes_read == r->bytes, "bytes_read is wrong");
    FUZZ_CHECK(stats.messages_pending <= expected_count(r, SIZE_MAX), "messages_pending is wrong");
    FUZZ_CHECK(stats.messages_pending <= 1 || cost <= r->max_pending, "more than max_pending");
    FUZZ_CHECK(stats.messages_written == r->written && stats.bytes_held == 0,
               "messages_written is wrong");
}

/* ---- the raw end ---- */

void reader_send(struct reader *r, size_t size)
{
    if (size > r->size - r->sent)
        size = r->size - r->sent;
    if (r->out >= 0)
        r->sent += fuzz_write_some(r->out, reader_wire + r->sent, size);
}

void reader_add(struct reader *r, const uint8_t *bytes, size_t size)
{
    if (size > READER_WIRE_MAX - r->size)
        size = READER_WIRE_MAX - r->size;
    if (size > 0)
        memcpy(reader_wire + r->size, bytes, size);
    r->size += size;
}

/* The stream ends here, whatever would have come. */
static void end_stream(struct reader *r)
{
    if (r->out < 0)
        return;
    shutdown(r->out, SHUT_WR); /* of a pipe it fails, and closing does it */
    close(r->out);
    r->out = -1;
    r->size = r->sent;
}

void reader_take_step(struct reader *r, unsigned call, unsigned number)
{
    switch (call) {
    case READER_READ:
        call_read(r, sizeof reader_buffer);
        break;
    case READER_READ_SHORT:
        call_read(r, number);
        break;
    case READER_READ_MSG:
        call_read_msg(r);
        break;
    case READER_READ_PENDING:
        call_read_pending(r, (size_t)number * 2);
        break;
    case READER_PEEK:
        call_peek(r);
        break;
    case READER_SKIP:
        call_skip(r);
        break;
    case READER_PENDING:
        call_pending(r);
        break;
    case READER_FLUSH:
        call_flush(r);
        break;
    case READER_STATS:
        call_stats(r);
        break;
    case READER_POLL:
        call_poll(r);
        break;
    case READER_SEND_ALL:
        reader_send(r, SIZE_MAX);
        break;
    case READER_END:
        if (number == 15)
            end_stream(r);
        break;
    default:
        break;
    }
}

/* ---- opening and the end ---- */

static void open_ends(struct reader *r, bool is_pipe, const pipc_options_t *options)
{
    int in[2], back[2];
    if (is_pipe) {
        FUZZ_NEED(pipe(in) == 0 && pipe(back) == 0);
        r->pipe = fuzz_adopt(in[0], back[1], options);
        r->out = in[1];
        r->other = back[0];
    } else {
        fuzz_socketpair(in);
        r->pipe = fuzz_adopt(in[0], in[0], options);
        r->out = in[1];
        r->other = dup(in[1]);
    }
    fuzz_nonblock(r->out);
}

void reader_open(struct reader *r, bool is_pipe, const pipc_options_t *options)
{
    *r = (struct reader){.polled = -1, .is_duplex = (options->flags & PIPC_DUPLEX) != 0};
    r->max_message = options->max_message == 0 ? READER_DEFAULT_LIMIT : options->max_message;
    if (r->max_message > PTRDIFF_MAX / 2)
        r->max_message = PTRDIFF_MAX / 2; /* no object is larger */
    r->max_pending = options->max_pending == 0 ? READER_DEFAULT_LIMIT : options->max_pending;
    open_ends(r, is_pipe, options);
}

static bool may_go_on(const struct reader *r)
{
    struct decoded message;
    int error = reader_expected(r, &message);
    return error == 0 || error == EAGAIN;
}

/* All that is left is sent and read, until there is nothing or an error. */
void reader_finish(struct reader *r, const uint8_t *steps, size_t count, bool ends)
{
    struct decoded message;
    for (int round = 0; r->sent < r->size && may_go_on(r); round++) {
        FUZZ_CHECK(round < ROUNDS_MAX, "it does not come to an end");
        reader_send(r, SIZE_MAX);
        if (count > 0)
            reader_take_step(r, steps[(size_t)round % count] & 15,
                             steps[(size_t)round % count] >> 4);
        call_read_msg(r);
    }
    if (ends)
        end_stream(r);
    while (reader_expected(r, &message) == 0)
        call_read_msg(r);
    for (int i = 0; i <= REPORTS_MAX; i++) {
        call_poll(r);
        call_read(r, 0);
    }
    call_poll(r);
    call_pending(r);
    call_stats(r);
    if (reader_expected(r, &message) == EPROTO)
        FUZZ_CHECK(pipc_write(r->pipe, "x", 1) == -1, "EPROTO leaves writing alive");
}

/* What is in the kernel must be what was not read. */
static void check_kernel(const struct reader *r, int fd)
{
    size_t got = 0;
    fuzz_nonblock(fd);
    for (ssize_t n; (n = read(fd, reader_buffer + got, sizeof reader_buffer - got)) > 0;)
        got += (size_t)n;
    FUZZ_CHECK(got == r->sent - r->at || r->read_bye, "%zu bytes are left, not %zu", got,
               r->sent - r->at);
    FUZZ_CHECK(memcmp(reader_buffer, reader_wire + r->sent - got, got) == 0,
               "other bytes are left");
}

static void detach(struct reader *r)
{
    struct decoded message;
    int fd[2], error = reader_expected(r, &message);
    bool unread = r->sent > r->at;
    int result = pipc_detach(r->pipe, fd);
    if (result == 0) {
        check_kernel(r, fd[0]);
        close(fd[0]);
        if (fd[1] != fd[0])
            close(fd[1]);
        return;
    }
    FUZZ_CHECK((errno == EAGAIN && unread && !r->read_bye) ||
                   (errno == EPIPE && unread && r->read_bye) ||
                   (errno == error && (error == EPROTO || error == ECONNRESET)),
               "pipc_detach fails, with %zu bytes unread", r->sent - r->at);
    pipc_close(r->pipe);
}

void reader_close(struct reader *r, bool detaches)
{
    if (detaches)
        detach(r);
    else
        pipc_close(r->pipe);
    close(r->other);
    if (r->out >= 0)
        close(r->out);
}
