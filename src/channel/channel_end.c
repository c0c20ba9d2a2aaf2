/* SPDX-License-Identifier: MIT */
/* The calls that flush and that end: a shutdown, a goodbye, and a goodbye that leaves an end. */
#include <errno.h>
#include <string.h>

#include "channel/channel_internal.h"

ssize_t channel_flush(struct channel *c)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    int result = channel_drain(c, &wait);
    if (result == 0)
        channel_begin_writing(c); /* a write that was refused is worth no more than this */
    int saved = errno;
    if (!c->duplex)
        channel_take_in(c, SIZE_MAX);
    size_t unread =
        c->duplex ? (size_t)atomic_load(&c->in.messages_pending) : inbound_count_unread(&c->in);
    errno = saved;
    channel_end_writing(c);
    if (result != 0)
        return -1;
    trace_deliver();
    if (!outbound_lost_at_end(&c->out))
        return (ssize_t)unread;
    errno = EPIPE;
    return -1;
}

int channel_shutdown(struct channel *c)
{
    channel_begin_writing(c);
    outbound_close(&c->out);
    channel_end_writing(c);
    return channel_check_open(c);
}

static size_t size_of_text(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

/* Check, and push out what is held. */
static int prepare_goodbye(struct channel *c, const char *text, const struct channel_wait *wait)
{
    channel_begin_writing(c);
    return channel_check(c, size_of_text(text)) == 0 ? channel_drain(c, wait) : -1;
}

static int send_goodbye(struct channel *c, const char *text, const struct channel_wait *wait)
{
    size_t size = size_of_text(text);
    struct iovec parts[3] = {{NULL, 0},
                             {(void *)(uintptr_t)FRAME_BYE, FRAME_BYE_SIZE},
                             {(void *)(uintptr_t)(size == 0 ? "" : text), size}};
    struct channel_frame frame = {.size = FRAME_BYE_SIZE + size, .bye = true};
    return channel_send_frame(c, &frame, parts, 3, wait);
}

/* Once it is out, the end may be another's: from then on nothing that is shared is touched. */
int channel_try_goodbye(struct channel *c, const char *text)
{
    const struct channel_wait not_at_all = channel_wait_start(0);
    if (send_goodbye(c, text, &not_at_all) == 0)
        return 0;
    channel_end_writing(c);
    return -1;
}

int channel_disconnect(struct channel *c, const char *text)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    if (prepare_goodbye(c, text, &wait) != 0 || send_goodbye(c, text, &wait) != 0) {
        channel_end_writing(c);
        return -1;
    }
    return channel_shutdown(c);
}

/* A message that has begun to come is completed, into the queue. */
static int complete_input(struct channel *c, const struct channel_wait *wait)
{
    bool has_tried = false;
    for (;;) {
        inbound_begin_call(&c->in);
        enum io_result result = inbound_complete(&c->in);
        channel_share_failure(c);
        if (result != IO_AGAIN)
            return result == IO_DONE ? 0 : -1;
        if (channel_wait(c, wait, TRANSPORT_IN) != 0 && !channel_tries_again(&has_tried, errno))
            return -1;
    }
}

/*
 * A try to leave wakes the peer twice, since it begins and is given up: two sides that wait for
 * room would wake each other for ever. So there has to be room for all of it, at once. What else
 * is missing, sending finds.
 */
static bool has_room_to_leave(struct channel *c, const char *text)
{
    struct transport *t = c->transport;
    uint8_t header[FRAME_HEADER_MAX];
    size_t size = FRAME_BYE_SIZE + size_of_text(text);
    size += frame_header(header, size, true);
    if (t->ops->reserve(t, size) != NULL || errno != EAGAIN)
        return true;
    channel_stop(c, NULL, EAGAIN);
    return false;
}

int channel_leave(struct channel *c, const char *text,
                  int (*send_goodbye_once)(struct channel *channel, const char *text,
                                           void *context),
                  void *context)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    bool has_tried = false;
    /* It must go in one piece, since nobody stays behind to push on the rest. */
    if (size_of_text(text) > c->transport->atomic_max - FRAME_HEADER_MAX - FRAME_BYE_SIZE) {
        errno = EMSGSIZE;
        return -1;
    }
    int result = prepare_goodbye(c, text, &wait);
    if (result == 0)
        result = complete_input(c, &wait);
    while (result == 0) {
        if (has_room_to_leave(c, text) && send_goodbye_once(c, text, context) == 0)
            return 0;
        if (errno != EAGAIN ||
            (channel_wait_for_room(c, &wait) != 0 && !channel_tries_again(&has_tried, errno)))
            result = -1;
    }
    channel_end_writing(c);
    return -1;
}
