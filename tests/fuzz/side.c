/* SPDX-License-Identifier: MIT */
#include "side.h"

enum { REPORTS_MAX = 8, MANY = 16, BATCH_MAX = 12, TEXT_MAX = 70000 };

struct both_sides both;

/* ---- what the model has to be told ---- */

/* Bytes that are held come later, or never. On pipc_open the count is that of both sides. */
static void note_held(struct side *side)
{
    if (side->pipe != NULL)
        side->out->held = fuzz_stats(side->pipe).bytes_held;
}

void side_note_writing(struct side *side, bool failed)
{
    side->write_failed = failed && errno == EAGAIN;
    note_held(side);
}

void side_check_write_error(struct side *side, size_t size)
{
    int error = errno;
    if (error == EMSGSIZE) {
        FUZZ_CHECK(size > both.max_message, "%zu bytes are not too many", size);
        return;
    }
    if (error == EAGAIN && both.kind == SIDE_OPEN && side->in->held > 0)
        return; /* before a goodbye, a message that has begun to come is taken in */
    lane_check_write_error(side->out, error, side->in);
}

static void check_read_error(struct side *side)
{
    int error = errno;
    lane_check_error(side->in, error);
    if (error != EAGAIN)
        side->reports++;
}

/* The next message was taken; with its descriptors, unless it was skipped. */
static void note_taken(struct side *side, bool is_skipped)
{
    const struct lane_message *message = lane_next(side->in);
    side->fds = side->accepts_fds && !is_skipped ? message->fds : 0;
    side->first_file = message->first_file;
    lane_take(side->in);
}

/* ---- writing ---- */

static void call_write(struct side *side, bool in_parts)
{
    size_t size = fuzz_size(&both.input);
    uint32_t seed = both.next_seed++;
    if (!lane_has_room(side->out))
        return;
    uint8_t *bytes = (uint8_t *)(uintptr_t)lane_bytes(size, seed);
    struct iovec parts[3] = {{bytes, size / 3}, {NULL, 0}, {bytes + size / 3, size - size / 3}};
    ssize_t sent =
        in_parts ? pipc_writev(side->pipe, parts, 3) : pipc_write(side->pipe, bytes, size);
    FUZZ_CHECK(sent == -1 || sent == (ssize_t)size, "a write of %zu returns %zd", size, sent);
    FUZZ_CHECK(sent == -1 || !side->out->is_shut, "a write after the end");
    FUZZ_CHECK(sent == -1 || size <= both.max_message, "a message that is too large");
    if (sent == -1)
        side_check_write_error(side, size);
    else
        lane_add(side->out, PIPC_DATA, size, seed);
    side_note_writing(side, sent == -1);
}

static void call_write_batch(struct side *side)
{
    static uint8_t bytes[BATCH_MAX][512];
    struct iovec messages[BATCH_MAX] = {{NULL, 0}};
    size_t count = fuzz_byte(&both.input) % (BATCH_MAX + 1);
    if (side->out->first + side->out->count + count > LANE_MAX)
        return;
    uint32_t seed = both.next_seed;
    for (size_t i = 0; i < count; i++) {
        messages[i] = (struct iovec){bytes[i], fuzz_byte(&both.input) * 2u};
        memcpy(bytes[i], lane_bytes(messages[i].iov_len, both.next_seed++), messages[i].iov_len);
    }
    ssize_t sent = pipc_write_batch(side->pipe, messages, count);
    FUZZ_CHECK(sent >= -1 && sent <= (ssize_t)count && (sent != 0 || count == 0),
               "a batch of %zu returns %zd", count, sent);
    if (sent == -1)
        side_check_write_error(side, messages[0].iov_len);
    for (ssize_t i = 0; i < sent; i++) {
        FUZZ_CHECK(messages[i].iov_len <= both.max_message, "a message that is too large");
        lane_add(side->out, PIPC_DATA, messages[i].iov_len, seed + (uint32_t)i);
    }
    side_note_writing(side, sent < (ssize_t)count);
    if (sent >= 0 && sent < (ssize_t)count)
        side->write_failed = true;
}

static void call_disconnect(struct side *side)
{
    static char text[TEXT_MAX + 1];
    size_t size = fuzz_size(&both.input) % TEXT_MAX;
    uint32_t seed = 0x01010101u * (1 + both.next_seed++ % 29); /* no byte of it is 0 */
    if (!lane_has_room(side->out))
        return;
    memcpy(text, lane_bytes(size, seed), size);
    text[size] = '\0';
    size = strlen(text);
    int result = pipc_disconnect(side->pipe, text);
    if (result == -1 && errno == EMSGSIZE && both.kind == SIDE_OPEN && size > 65000) {
        note_held(side);
        return; /* here it must go in one piece */
    }
    if (result == -1)
        side_check_write_error(side, size);
    else
        lane_add(side->out, PIPC_BYE, size + 3, seed);
    FUZZ_CHECK(result == -1 || !side->out->is_shut, "a goodbye after the end");
    side_note_writing(side, result == -1);
    if (result == -1)
        return;
    side->has_left = side->out->is_left = both.kind == SIDE_OPEN;
    side->out->is_shut = both.kind != SIDE_OPEN;
    if (side->has_left)
        side->polled = -1;
}

static void call_shutdown(struct side *side)
{
    FUZZ_CHECK(pipc_shutdown(side->pipe) == 0, "pipc_shutdown fails");
    side->out->is_shut = true;
    side_note_writing(side, false);
}

static void check_count(struct side *side, ssize_t got, bool takes_in)
{
    size_t certain = lane_certain(side->in);
    FUZZ_CHECK(got <= (ssize_t)side->in->count, "%zd messages are there, not %zu", got,
               side->in->count);
    FUZZ_CHECK(got > 0 || certain == 0 || !takes_in, "%zd messages are there, not %zu", got,
               certain);
}

static void call_flush(struct side *side)
{
    bool was_held = side->out->held > 0;
    ssize_t got = pipc_flush(side->pipe);
    bool may_be_lost = side->out->is_shut && side->out->is_deaf;
    FUZZ_CHECK(got >= 0 || (errno == EAGAIN && was_held) || (errno == EPIPE && may_be_lost),
               "pipc_flush fails");
    side_note_writing(side, got == -1);
    FUZZ_CHECK(got == -1 || side->out->held == 0 || both.kind == SIDE_OPEN, "bytes are still held");
    if (got >= 0)
        check_count(side, got, !both.is_duplex);
}

/* ---- reading ---- */

static void call_read(struct side *side, size_t room)
{
    static uint8_t buffer[LANE_MESSAGE_MAX];
    const struct lane_message *next = lane_next(side->in);
    ssize_t got = pipc_read(side->pipe, buffer, room);
    if (got >= 0) {
        pipc_msg_t view = {buffer, (size_t)got, PIPC_DATA};
        lane_check_next(side->in, &view);
        note_taken(side, false);
    } else if (errno == ESHUTDOWN) {
        FUZZ_CHECK(side->in->count > 0 && next->kind == PIPC_BYE, "a goodbye out of nothing");
        const char *text = pipc_bye_text(side->pipe);
        FUZZ_CHECK(text != NULL && strlen(text) == next->size - 3, "another text");
        note_taken(side, false);
    } else if (errno == EMSGSIZE) {
        FUZZ_CHECK(side->in->count > 0 && next->size > room, "it fits");
    } else {
        check_read_error(side);
    }
    note_held(side);
}

/* pipc_read_msg, pipc_peek and pipc_skip. */
static void call_on_first(struct side *side, unsigned call)
{
    pipc_msg_t got = {NULL, 0, PIPC_DATA};
    int result = call == 0   ? pipc_read_msg(side->pipe, &got)
                 : call == 1 ? pipc_peek(side->pipe, &got)
                             : pipc_skip(side->pipe);
    if (result == -1)
        check_read_error(side);
    else if (call < 2)
        lane_check_next(side->in, &got);
    FUZZ_CHECK(result == -1 || side->in->count > 0, "a message out of nothing");
    if (result == 0 && call != 1)
        note_taken(side, call == 2);
    if (result == 0 && call == 0)
        pipc_msg_free(&got);
    note_held(side);
}

static void call_read_pending(struct side *side)
{
    pipc_msg_t got[MANY];
    size_t max = fuzz_byte(&both.input) % (MANY + 1);
    ssize_t count = pipc_read_pending(side->pipe, got, max);
    FUZZ_CHECK(count <= (ssize_t)max, "%zd messages for %zu", count, max);
    if (count == -1)
        check_read_error(side);
    FUZZ_CHECK(count != -1 || errno != EAGAIN, "EAGAIN instead of 0");
    FUZZ_CHECK(count != 0 || max == 0 || lane_certain(side->in) == 0, "messages are there");
    for (ssize_t i = 0; i < count; i++) {
        lane_check_next(side->in, &got[i]);
        note_taken(side, false);
        FUZZ_CHECK(side->fds == 0 || i == count - 1, "the batch goes on behind descriptors");
        pipc_msg_free(&got[i]);
    }
    note_held(side);
}

static void call_pending(struct side *side)
{
    ssize_t got = pipc_pending(side->pipe);
    FUZZ_CHECK(got >= 0, "pipc_pending fails");
    note_held(side);
    check_count(side, got, true);
}

/* ---- state ---- */

static void call_want(struct side *side)
{
    side->wanted = fuzz_byte(&both.input) & (PIPC_WANT_READ | PIPC_WANT_WRITE);
    FUZZ_CHECK(pipc_want(side->pipe, side->wanted) == 0, "pipc_want fails");
    note_held(side);
}

/* Whether anything but what can be read may make the descriptor readable. */
#ifdef PIPC_PLATFORM_POSIX
enum { WAKES_FOR_NOTHING = 1 }; /* the manual, 12 */
#else
enum { WAKES_FOR_NOTHING = 0 };
#endif

static bool may_be_woken(const struct side *side)
{
    bool may_write =
        (side->wanted & PIPC_WANT_WRITE) != 0 && (side->write_failed || side->out->held > 0);
    bool is_dead = (side->wanted & PIPC_WANT_READ) == 0 &&
                   (side->out->is_deaf || side->in->is_closed || side->in->is_shut ||
                    side->in->dead != 0 || side->in->may_be_reset);
    return may_write || is_dead || WAKES_FOR_NOTHING;
}

static void call_poll(struct side *side)
{
    if (side->polled < 0)
        side->polled = pipc_fd(side->pipe);
    FUZZ_CHECK(side->polled >= 0, "no descriptor to poll");
    note_held(side);
    bool is_readable = fuzz_is_readable(side->polled);
    bool reads = (side->wanted & PIPC_WANT_READ) != 0;
    bool is_over = lane_is_over(side->in) && side->reports < REPORTS_MAX;
    FUZZ_CHECK(is_readable || !reads || (lane_certain(side->in) == 0 && !is_over),
               "not readable, and something is to be read");
    if (!is_readable || may_be_woken(side) || (reads && side->in->count > 0) || is_over)
        return;
    call_pending(side);
    call_read(side, 0); /* what was left of a wakeup for nothing */
    bool is_new = reads && side->in->count > 0;
    is_over = lane_is_over(side->in) && side->reports < REPORTS_MAX;
    FUZZ_CHECK(!fuzz_is_readable(side->polled) || is_new || is_over,
               "readable, and nothing is to be read");
}

static void call_stats(struct side *side)
{
    pipc_stats_t stats = fuzz_stats(side->pipe);
    bool is_shared = both.kind == SIDE_OPEN;
    const struct lane *in = side->in, *out = side->out;
    FUZZ_CHECK(stats.messages_written == out->sent + (is_shared ? in->sent : 0) &&
                   stats.bytes_written == out->sent_bytes + (is_shared ? in->sent_bytes : 0) &&
                   stats.messages_read == in->read + (is_shared ? out->read : 0) &&
                   stats.bytes_read == in->read_bytes + (is_shared ? out->read_bytes : 0),
               "the counts are wrong");
    FUZZ_CHECK(stats.messages_pending <= in->count + (is_shared ? out->count : 0),
               "messages_pending is wrong");
}

/* ---- closing ---- */

/* What is unread at a socket that closes resets the connection. */
static void note_close(struct side *side)
{
    bool is_unread = both.kind != SIDE_OPEN && side->in->count > 0;
    side->out->is_closed = side->in->is_deaf = true;
    side->out->may_be_reset = side->in->may_be_reset = is_unread;
    side->polled = -1;
}

static void call_close(struct side *side)
{
    note_held(side);
    note_close(side);
    pipc_close(side->pipe);
    side->pipe = NULL;
}

static void call_detach(struct side *side)
{
    int fd[2];
    bool may_be_torn = side->in->may_be_reset || (side->in->is_closed && side->in->held > 0);
    if (pipc_detach(side->pipe, fd) == -1) {
        bool is_in_memory = errno == EOPNOTSUPP && both.kind != SIDE_SOCKETS; /* a pair may move */
        FUZZ_CHECK(is_in_memory || (errno == EAGAIN && both.kind != SIDE_OPEN) ||
                       (errno == ECONNRESET && may_be_torn),
                   "pipc_detach fails");
        return;
    }
    FUZZ_CHECK(side->out->held == 0, "held bytes are lost");
    if (fd[1] != fd[0] && fd[1] >= 0)
        close(fd[1]);
    close(fd[0]);
    note_close(side);
    side->pipe = NULL;
}

/* ---- by number ---- */

void sides_begin(enum side_kind kind, const pipc_options_t *options, pipc_t *const end[2])
{
    both.kind = kind;
    both.max_message = options->max_message == 0 ? (size_t)64 << 20 : options->max_message;
    both.is_duplex = (options->flags & PIPC_DUPLEX) != 0 && kind != SIDE_OPEN;
    both.next_seed = 1;
    for (int i = 0; i < 2; i++) {
        both.lane[i] = (struct lane){.first = 0};
        both.side[i] = (struct side){.pipe = end[i],
                                     .in = &both.lane[1 - i],
                                     .out = &both.lane[i],
                                     .polled = -1,
                                     .wanted = PIPC_WANT_READ | PIPC_WANT_WRITE};
    }
}

void side_call(struct side *side, unsigned call)
{
    switch (call) {
    case SIDE_WRITE:
    case SIDE_WRITEV:
        call_write(side, call == SIDE_WRITEV);
        break;
    case SIDE_WRITE_BATCH:
        call_write_batch(side);
        break;
    case SIDE_FLUSH:
        call_flush(side);
        break;
    case SIDE_READ:
        call_read(side, LANE_MESSAGE_MAX);
        break;
    case SIDE_READ_SHORT:
        call_read(side, fuzz_byte(&both.input));
        break;
    case SIDE_READ_MSG:
    case SIDE_PEEK:
    case SIDE_SKIP:
        call_on_first(side, call - SIDE_READ_MSG);
        break;
    case SIDE_READ_PENDING:
        call_read_pending(side);
        break;
    case SIDE_PENDING:
        call_pending(side);
        break;
    case SIDE_POLL:
        call_poll(side);
        break;
    case SIDE_STATS:
        call_stats(side);
        break;
    case SIDE_WANT:
        call_want(side);
        break;
    default:
        FUZZ_NEED(false);
    }
}

void side_end(struct side *side, unsigned call)
{
    switch (call) {
    case SIDE_SHUTDOWN:
        call_shutdown(side);
        break;
    case SIDE_DISCONNECT:
        call_disconnect(side);
        break;
    case SIDE_CLOSE:
        call_close(side);
        break;
    case SIDE_DETACH:
        call_detach(side);
        break;
    default:
        break;
    }
}

void side_trace(const struct side *side)
{
    fuzz_trace("    in: %zu, certain %zu, dead %d; out: %zu, held %llu\n", side->in->count,
               lane_certain(side->in), side->in->dead, side->out->count,
               (unsigned long long)side->out->held);
}
