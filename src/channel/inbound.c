/* SPDX-License-Identifier: MIT */
/*
 * One message from the transport: its header, then the message, which is taken whole when it is
 * short and piece by piece when it is long. It goes to the queue or to the caller's buffer.
 */
#include "channel/inbound.h"

#include <errno.h>

#include "channel/channel_limits.h"
#include "channel/channel_lost.h"
#include "transport/transport_report.h"

/* A call takes in so much at most. */
#define TAKE_IN_MAX ((size_t)16 * 1024 * 1024)

/* What a piece of a message costs at least: a peer may feed it byte by byte. */
#define PIECE_COST ((size_t)64)

/* The first allocation for a message that comes in pieces; it doubles as bytes really come. */
#define FIRST_PIECE ((size_t)64 * 1024)

void inbound_init(struct inbound *in, const pipc_options_t *options, const atomic_bool *was_reset)
{
    *in = (struct inbound){.was_reset = was_reset,
                           .max_message = channel_limit(options->max_message)};
    atomic_init(&in->max_pending, channel_limit(options->max_pending));
}

void inbound_attach(struct inbound *in, struct transport *transport)
{
    in->transport = transport;
    in->takes_fds = transport->ops->accept_fds(transport, in->arrived);
    if (in->takes_fds)
        return;
    arrived_free(in->arrived);
    in->arrived = NULL;
}

void inbound_fini(struct inbound *in)
{
    queue_clear(&in->queue);
    message_free(in->partial);
    message_free(in->bye);
    arrived_free(in->arrived);
}

void inbound_lower_limit(struct inbound *in, const pipc_options_t *options, size_t kept)
{
    size_t limit = channel_limit(options->max_pending);
    atomic_store_explicit(&in->max_pending, kept < limit ? limit - kept : 0, memory_order_relaxed);
}

/* ---- how reading ends ---- */

/* `error` is what calls report from now on; `cause`, which may be more exact, is for the trace. */
static enum io_result end_reading(struct inbound *in, int error, const char *what, int cause)
{
    transport_report(in->transport, TRACE_DEATH, what, cause);
    inbound_drop_fds(in);
    in->error = error;
    errno = error;
    return IO_FAILED;
}

static enum io_result end_as_nonsense(struct inbound *in)
{
    return end_reading(in, EPROTO, "what has come is no message, or one that is too large", EPROTO);
}

/* No further byte comes; the message that has begun is dropped. */
static enum io_result end_stream(struct inbound *in, int error, const char *what, int cause)
{
    message_free(in->partial);
    in->partial = NULL;
    in->begun = false;
    return end_reading(in, error, what, cause);
}

/* The stream has ended; `torn`: inside a message. */
static enum io_result end_here(struct inbound *in, bool torn)
{
    int error = torn || atomic_load(in->was_reset) ? ECONNRESET : EPIPE;
    return end_stream(
        in, error, torn ? "the stream has ended inside a message" : "the stream has ended", error);
}

static enum io_result transport_failed(struct inbound *in, int error)
{
    if (transport_open_error(in->transport) == error)
        return end_reading(in, error, "there will be no peer", error);
    bool passes = error == ENOMEM || error == ENOBUFS ||
                  error == EMFILE; /* no number is free for a descriptor */
    if (passes) {
        errno = error;
        return IO_FAILED;
    }
    if (error == EPIPE || channel_is_lost(error))
        return end_stream(in, ECONNRESET, "a read finds the connection lost", error);
    return end_reading(in, error, "a read has failed", error);
}

/* ---- how much one call takes in ---- */

void inbound_begin_call(struct inbound *in)
{
    in->allowance = TAKE_IN_MAX;
    in->stopped = false;
}

static void spend(struct inbound *in, size_t cost)
{
    in->allowance -= cost < in->allowance ? cost : in->allowance;
}

/* ---- one message ---- */

enum io_result inbound_next(struct inbound *in, struct frame *frame)
{
    struct transport *t = in->transport;
    if (in->begun) {
        *frame = in->frame;
        return IO_DONE;
    }
    frame->header = FRAME_HEADER_MIN;
    for (;;) {
        size_t want = frame->header;
        ssize_t there = t->ops->peek(t, want, PEEK_READ, &in->view);
        if (there < 0)
            return transport_failed(in, errno);
        enum frame_status status =
            frame_parse(in->view.bytes, (size_t)there, in->max_message, frame);
        if (status == FRAME_BAD)
            return end_as_nonsense(in);
        if (status == FRAME_WHOLE)
            break;
        if (in->view.end)
            return end_here(in, there > 0);
        if ((size_t)there < want)
            return IO_AGAIN;
    }
    if (frame->size > t->peek_max - frame->header) {
        t->ops->skip(t, frame->header);
        in->frame = *frame;
        in->begun = true;
    }
    return IO_DONE;
}

/* Have all of a short message in view. */
static enum io_result load_short(struct inbound *in, const struct frame *frame, bool waits)
{
    size_t whole = frame->header + frame->size;
    enum transport_peek mode = waits ? PEEK_WAIT : PEEK_READ;
    ssize_t there = in->transport->ops->peek(in->transport, whole, mode, &in->view);
    if (there < 0)
        return transport_failed(in, errno);
    if ((size_t)there < whole)
        return in->view.end ? end_here(in, true) : IO_AGAIN;
    return IO_DONE;
}

/* Goodbyes have one byte more, so that their text ends with a NUL. */
static size_t room_of(const struct frame *frame)
{
    return frame->bye ? frame->size + 1 : frame->size;
}

static enum io_result take_short(struct inbound *in, const struct frame *frame,
                                 struct message **taken)
{
    enum io_result result = load_short(in, frame, false);
    if (result != IO_DONE)
        return result;
    struct message *message = message_new(room_of(frame));
    if (message == NULL)
        return IO_FAILED;
    copy_message(message->data, in->view.bytes + frame->header, frame->size);
    message->size = frame->size;
    in->transport->ops->skip(in->transport, frame->header + frame->size);
    spend(in, frame->size + QUEUE_COST);
    *taken = message;
    return IO_DONE;
}

static int grow_partial(struct inbound *in)
{
    struct message *partial = in->partial;
    size_t goal = room_of(&in->frame);
    if (partial == NULL) {
        in->partial = message_new(goal < FIRST_PIECE ? goal : FIRST_PIECE);
        return in->partial == NULL ? -1 : 0;
    }
    if (partial->size < partial->capacity || partial->capacity == goal)
        return 0;
    size_t capacity = partial->capacity < goal / 2 ? partial->capacity * 2 : goal;
    partial = message_grow(partial, capacity);
    if (partial == NULL)
        return -1;
    in->partial = partial;
    return 0;
}

/* Up to `size` more bytes of a message that has begun; *got grows by what came. */
static enum io_result take_piece(struct inbound *in, uint8_t *to, size_t size, bool waits,
                                 size_t *got)
{
    ssize_t piece = in->transport->ops->read(in->transport, to, size, waits);
    if (piece < 0)
        return errno == EAGAIN ? IO_AGAIN : transport_failed(in, errno);
    if (piece == 0)
        return end_here(in, true);
    *got += (size_t)piece;
    return IO_DONE;
}

static enum io_result take_long(struct inbound *in, struct message **taken)
{
    size_t goal = in->frame.size;
    while (in->partial == NULL || in->partial->size < goal) {
        if (grow_partial(in) != 0)
            return IO_FAILED;
        struct message *partial = in->partial;
        size_t before = partial->size;
        size_t room = (partial->capacity < goal ? partial->capacity : goal) - before;
        if (room > in->allowance)
            room = in->allowance;
        in->stopped = room == 0;
        if (in->stopped)
            return IO_AGAIN;
        enum io_result result = take_piece(in, partial->data + before, room, false, &partial->size);
        if (result != IO_DONE)
            return result;
        size_t piece = partial->size - before;
        spend(in, piece < PIECE_COST ? PIECE_COST : piece);
    }
    spend(in, QUEUE_COST);
    if (in->frame.bye && grow_partial(in) != 0)
        return IO_FAILED;
    *taken = in->partial;
    in->partial = NULL;
    in->begun = false;
    return IO_DONE;
}

static void end_with_goodbye(struct inbound *in, struct message *bye)
{
    transport_report(in->transport, TRACE_GOODBYE, "the peer said goodbye", 0);
    bye->kind = PIPC_BYE;
    bye->data[bye->size] = '\0';
    if (!in->transport->ops->goodbye(in->transport))
        return;
    in->error = EPIPE; /* the end itself may be long in coming: others may hold copies */
    inbound_drop_fds(in);
}

static enum io_result take_message(struct inbound *in, const struct frame *frame,
                                   struct message **taken)
{
    enum io_result result = in->begun ? take_long(in, taken) : take_short(in, frame, taken);
    if (result != IO_DONE)
        return result;
    struct message *message = *taken;
    bool is_good = !frame->bye || memcmp(message->data, FRAME_BYE, FRAME_BYE_SIZE) == 0;
    if (!is_good || !inbound_claim_fds(in, &message->fds)) {
        message_free(message);
        return end_as_nonsense(in);
    }
    if (frame->bye)
        end_with_goodbye(in, message);
    return IO_DONE;
}

/* ---- to the queue ---- */

void inbound_note_queue(struct inbound *in)
{
    atomic_store_explicit(&in->messages_pending, in->queue.count, memory_order_relaxed);
    atomic_store_explicit(&in->bytes_pending, in->queue.bytes, memory_order_relaxed);
}

enum io_result inbound_queue_next(struct inbound *in, const struct frame *frame)
{
    struct message *message;
    /* A message that has begun stops by itself. */
    in->stopped = !in->begun && frame->size + QUEUE_COST > in->allowance;
    if (in->stopped)
        return IO_AGAIN;
    enum io_result result = take_message(in, frame, &message);
    if (result == IO_DONE) {
        queue_push(&in->queue, message);
        inbound_note_queue(in);
    }
    return result;
}

static enum io_result still_dead(const struct inbound *in)
{
    errno = in->error;
    return IO_FAILED;
}

/* The next one alone: its size is limited by max_message, and not by the allowance. */
enum io_result inbound_load(struct inbound *in)
{
    struct frame frame;
    struct message *message;
    if (in->queue.count > 0)
        return IO_DONE;
    if (in->error != 0)
        return still_dead(in);
    enum io_result result = inbound_next(in, &frame);
    if (result == IO_DONE)
        result = take_message(in, &frame, &message);
    if (result == IO_DONE) {
        queue_push(&in->queue, message);
        inbound_note_queue(in);
    }
    return result;
}

enum io_result inbound_complete(struct inbound *in)
{
    if (!in->begun || in->error != 0)
        return IO_DONE;
    enum io_result result = inbound_queue_next(in, &in->frame);
    return result == IO_FAILED && in->error != 0 ? IO_DONE : result;
}

/* ---- to the caller's buffer ---- */

static struct message *dequeue(struct inbound *in)
{
    struct message *message = queue_pop(&in->queue);
    inbound_note_queue(in);
    return message;
}

static enum io_result read_queued(struct inbound *in, struct inbound_target *target)
{
    const struct message *first = in->queue.first;
    if (first->kind == PIPC_BYE) {
        inbound_give_fds(in, first->fds);
        message_free(in->bye);
        in->bye = dequeue(in);
        errno = ESHUTDOWN;
        return IO_FAILED;
    }
    if (first->size > target->size) {
        errno = EMSGSIZE;
        return IO_FAILED;
    }
    copy_message(target->buffer, first->data, first->size);
    target->got = first->size;
    inbound_give_fds(in, first->fds);
    message_free(dequeue(in));
    return IO_DONE;
}

static enum io_result read_by_way_of_queue(struct inbound *in, struct inbound_target *target)
{
    enum io_result result = inbound_load(in);
    return result == IO_DONE ? read_queued(in, target) : result;
}

/* A message has gone to the caller's buffer. */
static enum io_result end_direct(struct inbound *in)
{
    uint8_t count;
    if (!inbound_claim_fds(in, &count))
        return end_as_nonsense(in);
    inbound_give_fds(in, count);
    return IO_DONE;
}

static enum io_result read_short(struct inbound *in, const struct frame *frame,
                                 struct inbound_target *target)
{
    enum io_result result = load_short(in, frame, target->waits);
    if (result != IO_DONE)
        return result;
    copy_message(target->buffer, in->view.bytes + frame->header, frame->size);
    target->got = frame->size;
    in->transport->ops->skip(in->transport, frame->header + frame->size);
    return end_direct(in);
}

/*
 * Straight to the caller's buffer when the call cannot end before the message does. Otherwise what
 * has come is kept in memory of ours until it is whole.
 */
static enum io_result read_long(struct inbound *in, struct inbound_target *target)
{
    if (!target->is_direct || in->partial != NULL)
        return read_by_way_of_queue(in, target);
    while (target->got < in->frame.size) {
        enum io_result result =
            take_piece(in, target->buffer + target->got, in->frame.size - target->got,
                       target->waits, &target->got);
        if (result != IO_DONE)
            return result;
    }
    in->begun = false;
    return end_direct(in);
}

enum io_result inbound_read(struct inbound *in, struct inbound_target *target)
{
    struct frame frame;
    if (in->queue.count > 0)
        return read_queued(in, target);
    if (in->error != 0)
        return still_dead(in);
    enum io_result result = inbound_next(in, &frame);
    if (result != IO_DONE)
        return result;
    /*
     * A goodbye is kept; what does not fit stays, and that is reported when it is known to be
     * whole.
     */
    if (frame.bye || frame.size > target->size)
        return read_by_way_of_queue(in, target);
    return in->begun ? read_long(in, target) : read_short(in, &frame, target);
}

bool inbound_keep_pieces(struct inbound *in, struct inbound_target *target)
{
    if (target->got == 0 || !in->begun || in->error != 0)
        return true;
    int saved = errno;
    struct message *partial = message_new(target->got);
    errno = saved;
    if (partial == NULL)
        return false;
    memcpy(partial->data, target->buffer, target->got);
    partial->size = target->got;
    in->partial = partial;
    target->got = 0;
    return true;
}

void inbound_lose_pieces(struct inbound *in)
{
    end_reading(in, ENOMEM, "no memory for what has come", ENOMEM);
}

void inbound_block(struct inbound *in)
{
    in->transport->ops->peek(in->transport, 1, PEEK_BLOCK, &in->view);
}
