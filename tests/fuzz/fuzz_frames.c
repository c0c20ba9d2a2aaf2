/* SPDX-License-Identifier: MIT */
/*
 * Raw bytes come to an adopted descriptor, split anywhere, and every reading call reads them. Each
 * result is compared with what an independent decoder finds in the same bytes: the messages, the
 * errno at the end, the counts, the descriptor to poll, and what pipc_detach leaves in the kernel.
 *
 *   input   4 bytes: kind and flags, max_message, max_pending, how it ends
 *           1 byte: how many steps; the steps, which are repeated; then the bytes of the stream
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "decoder.h"

enum { WIRE_MAX = 2 << 20, STEPS_MAX = 64, LONG_FRAMES_MAX = 6, REPORTS_MAX = 8, COST = 64 };
enum { ROUNDS_MAX = 100000 };

static uint8_t wire[WIRE_MAX]; /* the stream: decided, of which `sent` has gone */
static uint8_t buffer[WIRE_MAX];

struct reader {
    pipc_t *pipe;
    int out; /* the raw end; -1 after the end of the stream */
    bool is_duplex;
    size_t max_message, max_pending;
    size_t size, sent; /* of the stream */
    size_t at;         /* what was read of it */
    bool read_bye;
    int polled; /* -1: pipc_fd was not called */
    unsigned reports;
    uint64_t messages, bytes; /* that were read, without goodbyes */
    int long_frames;
};

/* ---- what must come ---- */

/* 0: that message; else the errno. */
static int expected(const struct reader *r, struct decoded *message)
{
    if (r->read_bye)
        return EPIPE;
    switch (decode(wire, r->sent, r->at, r->max_message, message)) {
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
    while (count < max && expected(&ahead, &message) == 0) {
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

static void check_message(const pipc_msg_t *got, const struct decoded *message)
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
    int error = expected(r, &message);
    ssize_t got = pipc_read(r->pipe, buffer, room);
    if (error != 0) {
        FUZZ_CHECK(got == -1, "a message of %zd bytes out of nothing", got);
        check_error(r, error);
    } else if (message.kind == PIPC_BYE) {
        FUZZ_CHECK(got == -1 && errno == ESHUTDOWN, "%zd instead of a goodbye", got);
        consume(r, &message);
    } else if (message.size > room) {
        FUZZ_CHECK(got == -1 && errno == EMSGSIZE, "%zd for a buffer that is too small", got);
    } else {
        pipc_msg_t view = {buffer, (size_t)got, PIPC_DATA};
        FUZZ_CHECK(got >= 0, "no message");
        check_message(&view, &message);
        consume(r, &message);
    }
}

static void call_read_msg(struct reader *r)
{
    struct decoded message;
    pipc_msg_t got;
    int error = expected(r, &message);
    int result = pipc_read_msg(r->pipe, &got);
    FUZZ_CHECK(result == (error == 0 ? 0 : -1), "pipc_read_msg returns %d", result);
    if (error != 0) {
        check_error(r, error);
        return;
    }
    check_message(&got, &message);
    consume(r, &message);
    pipc_msg_free(&got);
}

static void call_read_pending(struct reader *r, size_t max)
{
    pipc_msg_t got[32];
    struct decoded message;
    int error = expected(r, &message);
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
        FUZZ_CHECK(expected(r, &message) == 0, "a message too many");
        check_message(&got[i], &message);
        /* The text is that of the last goodbye, and nothing follows a goodbye. */
        consume(r, &message);
        pipc_msg_free(&got[i]);
    }
}

static void call_peek(struct reader *r)
{
    struct decoded message;
    pipc_msg_t view;
    int error = expected(r, &message);
    int result = pipc_peek(r->pipe, &view);
    FUZZ_CHECK(result == (error == 0 ? 0 : -1), "pipc_peek returns %d", result);
    if (error != 0)
        check_error(r, error);
    else
        check_message(&view, &message);
}

static void call_skip(struct reader *r)
{
    struct decoded message;
    int error = expected(r, &message);
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
    int error = expected(r, &message);
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
    FUZZ_CHECK(stats.messages_written == 0 && stats.bytes_held == 0, "nothing was written");
}

/* ---- the raw end ---- */

static void send_bytes(struct reader *r, size_t size)
{
    if (size > r->size - r->sent)
        size = r->size - r->sent;
    if (r->out >= 0)
        r->sent += fuzz_write_some(r->out, wire + r->sent, size);
}

static void add_bytes(struct reader *r, const uint8_t *bytes, size_t size)
{
    if (size > WIRE_MAX - r->size)
        size = WIRE_MAX - r->size;
    if (size > 0)
        memcpy(wire + r->size, bytes, size);
    r->size += size;
}

/* A good frame that is longer than an input. */
static void add_long_frame(struct reader *r, unsigned which)
{
    static const uint32_t sizes[] = {5000, 16380, 32768, 65531, 65532, 65536, 100000, 200000};
    uint32_t size = sizes[which % 8];
    if (r->long_frames++ >= LONG_FRAMES_MAX)
        return;
    memset(buffer, (int)which, size + 4);
    for (int i = 0; i < 4; i++)
        buffer[i] = (uint8_t)(size >> (24 - 8 * i));
    add_bytes(r, buffer, size + 4);
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

static void take_step(struct reader *r, uint8_t step)
{
    static const uint32_t pieces[] = {1, 2, 3, 4, 5, 7, 16, 4096};
    unsigned number = step >> 4;
    switch (step & 15) {
    case 0:
    case 1:
    case 2:
        send_bytes(r, pieces[number & 7]);
        break;
    case 3:
        call_read(r, sizeof buffer);
        break;
    case 4:
        call_read(r, number);
        break;
    case 5:
        call_read_msg(r);
        break;
    case 6:
        call_read_pending(r, (size_t)number * 2);
        break;
    case 7:
        call_peek(r);
        break;
    case 8:
        call_skip(r);
        break;
    case 9:
        call_pending(r);
        break;
    case 10:
        call_flush(r);
        break;
    case 11:
        call_stats(r);
        break;
    case 12:
        call_poll(r);
        break;
    case 13:
        if (r->out >= 0)
            add_long_frame(r, number);
        break;
    case 14:
        send_bytes(r, SIZE_MAX);
        break;
    default:
        if (number == 15)
            end_stream(r);
        break;
    }
}

/* ---- one input ---- */

static void open_ends(struct reader *r, uint8_t kind, const pipc_options_t *options, int *other)
{
    int in[2], back[2];
    if (kind & 1) {
        FUZZ_NEED(pipe(in) == 0 && pipe(back) == 0);
        r->pipe = fuzz_adopt(in[0], back[1], options);
        r->out = in[1];
        *other = back[0];
    } else {
        fuzz_socketpair(in);
        r->pipe = fuzz_adopt(in[0], in[0], options);
        r->out = in[1];
        *other = dup(in[1]);
    }
    fuzz_nonblock(r->out);
}

static void open_reader(struct reader *r, struct fuzz_input *in, int *other)
{
    static const size_t messages[] = {0,     1,     2,          3,          4,       16,
                                      100,   255,   256,        1000,       4096,    65531,
                                      65532, 65536, 0x7fffffff, 0x80000000, SIZE_MAX};
    static const size_t pendings[] = {0, 1, 64, 65, 128, 200, 1000, 70000};
    static const unsigned flags[] = {0, PIPC_DUPLEX, PIPC_ACCEPT_FDS, PIPC_GATHER,
                                     PIPC_INTERRUPTIBLE};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    uint8_t kind = fuzz_byte(in);
    options.flags = flags[(kind >> 1) % 5];
    options.max_message = FUZZ_PICK(in, messages);
    options.max_pending = FUZZ_PICK(in, pendings);
    *r = (struct reader){.polled = -1, .is_duplex = options.flags == PIPC_DUPLEX};
    r->max_message = options.max_message == 0 ? (size_t)64 << 20 : options.max_message;
    if (r->max_message > PTRDIFF_MAX / 2)
        r->max_message = PTRDIFF_MAX / 2; /* no object is larger */
    r->max_pending = options.max_pending == 0 ? (size_t)64 << 20 : options.max_pending;
    open_ends(r, kind, &options, other);
}

static bool may_go_on(const struct reader *r)
{
    struct decoded message;
    int error = expected(r, &message);
    return error == 0 || error == EAGAIN;
}

/* All that is left is sent and read, until there is nothing or an error. */
static void finish(struct reader *r, const uint8_t *steps, size_t count, bool ends)
{
    struct decoded message;
    for (int round = 0; r->sent < r->size && may_go_on(r); round++) {
        FUZZ_CHECK(round < ROUNDS_MAX, "it does not come to an end");
        send_bytes(r, SIZE_MAX);
        if (count > 0)
            take_step(r, steps[(size_t)round % count]);
        call_read_msg(r);
    }
    if (ends)
        end_stream(r);
    while (expected(r, &message) == 0)
        call_read_msg(r);
    for (int i = 0; i <= REPORTS_MAX; i++) {
        call_poll(r);
        call_read(r, 0);
    }
    call_poll(r);
    call_pending(r);
    call_stats(r);
    if (expected(r, &message) == EPROTO)
        FUZZ_CHECK(pipc_write(r->pipe, "x", 1) == -1, "EPROTO leaves writing alive");
}

/* What is in the kernel must be what was not read. */
static void check_kernel(const struct reader *r, int fd)
{
    size_t got = 0;
    fuzz_nonblock(fd);
    for (ssize_t n; (n = read(fd, buffer + got, sizeof buffer - got)) > 0;)
        got += (size_t)n;
    FUZZ_CHECK(got == r->sent - r->at || r->read_bye, "%zu bytes are left, not %zu", got,
               r->sent - r->at);
    FUZZ_CHECK(memcmp(buffer, wire + r->sent - got, got) == 0, "other bytes are left");
}

static void detach(struct reader *r)
{
    struct decoded message;
    int fd[2], error = expected(r, &message);
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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input in = {bytes, size};
    struct fuzz_fds before = fuzz_fds_now();
    struct reader r;
    int other;
    open_reader(&r, &in, &other);
    uint8_t ending = fuzz_byte(&in);
    size_t count = fuzz_byte(&in) % STEPS_MAX;
    const uint8_t *steps = fuzz_take(&in, &count);
    add_bytes(&r, in.bytes, in.size);
    for (size_t i = 0; i < count; i++)
        take_step(&r, steps[i]);
    if ((ending & 3) != 3)
        finish(&r, steps, count, (ending & 1) != 0);
    if (ending & 4)
        detach(&r);
    else
        pipc_close(r.pipe);
    close(other);
    if (r.out >= 0)
        close(r.out);
    fuzz_fds_check(&before);
    return 0;
}
