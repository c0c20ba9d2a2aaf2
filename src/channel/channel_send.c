/* SPDX-License-Identifier: MIT */
/* How the calls that write send: until all has gone, or the time is up. */
#include <errno.h>

#include "channel/channel_internal.h"
#include "sys/sys.h"

int channel_check(struct channel *c, size_t size)
{
    int error = outbound_refusal(&c->out, size);
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

/* Can the call end while a message is half gone? */
static bool may_hold(const struct channel *c, const struct outgoing *o,
                     const struct channel_wait *wait)
{
    return (wait->ms >= 0 || c->interruptible) && o->size > c->transport->atomic_max;
}

int channel_send(struct channel *c, struct outgoing *o, size_t largest,
                 const struct channel_wait *wait)
{
    bool has_tried = false;
    if (may_hold(c, o, wait) && outbound_reserve(&c->out, largest) != 0)
        return -1;
    for (;;) {
        enum io_result result = outbound_try_send(&c->out, o);
        if (result != IO_AGAIN)
            return result == IO_DONE ? 0 : -1;
        if (channel_wait_for_room(c, wait) != 0 && !channel_tries_again(&has_tried, errno))
            return -1;
    }
}

int channel_stop(struct channel *c, const struct outgoing *rest, int error)
{
    if (rest != NULL)
        return outbound_hold(&c->out, rest);
    int dead = outbound_error(&c->out);
    if (dead == 0)
        atomic_store(&c->write_interest, error == EAGAIN || error == ETIMEDOUT);
    errno = dead != 0 ? dead : error;
    return -1;
}

int channel_drain(struct channel *c, const struct channel_wait *wait)
{
    bool has_tried = false;
    enum io_result result;
    atomic_store(&c->flush_failed, false);
    while ((result = outbound_push(&c->out)) == IO_AGAIN)
        if (channel_wait_for_room(c, wait) != 0 && !channel_tries_again(&has_tried, errno))
            break;
    if (result == IO_DONE)
        return 0;
    atomic_store(&c->flush_failed, transport_open_error(c->transport) == 0);
    return -1;
}

/* 0: accepted. -1: nothing of it has gone. */
static int stop_frame(struct channel *c, const struct outgoing *o, int error)
{
    return channel_stop(c, o->left < o->size ? o : NULL, error);
}

static void frame_cancelled(struct channel *c, void *context)
{
    struct channel_frame *frame = context;
    if (stop_frame(c, &frame->outgoing, ECANCELED) == 0) {
        if (frame->bye)
            outbound_close(&c->out);
        else
            channel_count_written(c, 1, frame->size);
    }
    sys_free(frame->memory);
    channel_end_writing(c);
}

int channel_send_frame(struct channel *c, struct channel_frame *frame, struct iovec *parts,
                       int count, const struct channel_wait *wait)
{
    uint8_t header[FRAME_HEADER_MAX];
    struct channel_wait until = {wait->ms, wait->deadline, frame_cancelled, frame};
    struct outgoing *o = &frame->outgoing;
    parts[0] = (struct iovec){header, frame_header(header, frame->size, frame->bye)};
    size_t size = parts[0].iov_len + frame->size;
    *o = (struct outgoing){.parts = parts,
                           .count = count,
                           .size = size,
                           .left = size,
                           .fds = frame->fds,
                           .fd_count = frame->fd_count};
    return channel_send(c, o, size, &until) == 0 ? 0 : stop_frame(c, o, errno);
}

enum io_result channel_send_rest(struct channel *c, struct iovec *rest, size_t whole,
                                 size_t message_size)
{
    struct channel_frame frame = {
        .outgoing = {.parts = rest, .count = 1, .size = whole, .left = rest->iov_len},
        .size = message_size};
    struct channel_wait wait = channel_wait_start(c->write_ms);
    c->awaits_input = false;
    wait.cancelled = frame_cancelled;
    wait.context = &frame;
    if (channel_send(c, &frame.outgoing, 0, &wait) == 0 ||
        channel_stop(c, &frame.outgoing, errno) == 0)
        return IO_DONE;
    return IO_FAILED;
}
