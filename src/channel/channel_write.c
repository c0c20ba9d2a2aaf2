/* SPDX-License-Identifier: MIT */
/* The calls that write. */
#include <errno.h>
#include <string.h>

#include "channel/channel.h"
#include "sys/sys.h"

/* Parts of a message that need no allocation. */
#define LOCAL_PARTS 64

/* Up to here a second copy costs less than a second part of a write. */
#define SIMPLE_MAX 512

/* Messages of a batch that go in one write: large enough that the system call counts little for each. */
#define GROUP_SIZE  8192
#define GROUPED_MAX 2048

struct group {
    uint8_t bytes[GROUP_SIZE];
    size_t size;
};

static void count_written(struct channel *c, size_t messages, size_t bytes)
{
    channel_count(&c->counts.messages_written, messages);
    channel_count(&c->counts.bytes_written, bytes);
}

/* A frame on its way, with what has to be known when the call is cancelled. */
struct frame_out {
    struct channel_outgoing outgoing;
    struct iovec *memory; /* of the parts; NULL: the caller's */
    size_t size;          /* of the message */
    bool bye;
};

/* 0: accepted. -1: nothing of it has gone. */
static int stop_frame(struct channel *c, const struct channel_outgoing *o)
{
    return channel_stop(c, o->left < o->size ? o : NULL);
}

static void frame_cancelled(struct channel *c, void *context)
{
    struct frame_out *frame = context;
    if (stop_frame(c, &frame->outgoing) == 0) {
        if (frame->bye)
            channel_close_output(c);
        else
            count_written(c, 1, frame->size);
    }
    sys_free(frame->memory);
    channel_end_output(c);
}

/* parts[0] is free for the header. */
static int send_frame(struct channel *c, struct frame_out *frame, struct iovec *parts, int count,
                      const struct channel_wait *wait)
{
    uint8_t header[FRAME_HEADER_MAX];
    struct channel_wait until = {wait->ms, wait->deadline, frame_cancelled, frame};
    struct channel_outgoing *o = &frame->outgoing;
    parts[0] = (struct iovec){header, frame_header(header, frame->size, frame->bye)};
    size_t size = parts[0].iov_len + frame->size;
    *o = (struct channel_outgoing){.parts = parts, .count = count, .size = size, .left = size};
    return channel_send(c, o, size, &until) == 0 ? 0 : stop_frame(c, o);
}

static ssize_t sum_of(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > (size_t)PTRDIFF_MAX - size) {
            errno = EMSGSIZE;
            return -1;
        }
        size += parts[i].iov_len;
    }
    return (ssize_t)size;
}

static int write_parts(struct channel *c, const struct iovec *parts, int count, size_t size,
                       const struct channel_wait *wait)
{
    struct iovec local[LOCAL_PARTS], *all = local;
    struct frame_out frame = {.size = size};
    if (count >= LOCAL_PARTS) {
        all = frame.memory = sys_alloc(((size_t)count + 1) * sizeof *all);
        if (all == NULL)
            return -1;
    }
    if (count > 0)
        memcpy(all + 1, parts, (size_t)count * sizeof *all);
    int result = send_frame(c, &frame, all, count + 1, wait);
    sys_free(frame.memory);
    return result;
}

static ssize_t write_one(struct channel *c, const struct iovec *parts, int count,
                         const struct channel_wait *wait)
{
    ssize_t size = sum_of(parts, count);
    if (size < 0 || channel_check_alive(c, (size_t)size) != 0 ||
        write_parts(c, parts, count, (size_t)size, wait) != 0)
        return -1;
    count_written(c, 1, (size_t)size);
    return size;
}

/*
 * Most messages are small, nothing is in their way, and they go at once, by a way of a third of the
 * instructions: a small message costs little else. One that may be left half gone needs memory in
 * reserve, and takes the long way; so does one that does not go.
 */
static bool is_free(const struct channel *c, size_t size)
{
    return size <= c->max_message && !c->duplex && !c->out.closing && c->out.error == 0 &&
           c->out.begin == c->out.end;
}

static bool is_placed(const struct channel *c, size_t size)
{
    return c->transport->placed > FRAME_HEADER_MIN &&
           size <= c->transport->placed - FRAME_HEADER_MIN;
}

static bool is_simple(const struct channel *c, size_t size)
{
    return size <= SIMPLE_MAX && c->write_ms < 0 && !c->interruptible;
}

/* These return 1: gone; 0: nothing of it; -1: errno. */
static int send_placed(struct channel *c, const struct iovec *message)
{
    const struct transport_ops *ops = c->transport->ops;
    size_t size = FRAME_HEADER_MIN + message->iov_len;
    uint8_t *frame = ops->place(c->transport, size);
    if (frame == NULL)
        return channel_write_failed(c);
    frame_header(frame, message->iov_len, false);
    if (message->iov_len > 0)
        memcpy(frame + FRAME_HEADER_MIN, message->iov_base, message->iov_len);
    ops->publish(c->transport, size);
    return 1;
}

/* The rest of a message that has begun to go. */
static int send_rest(struct channel *c, struct iovec *rest, size_t whole, size_t message_size)
{
    struct frame_out frame = {.outgoing = {rest, 1, whole, rest->iov_len}, .size = message_size};
    struct channel_wait for_ever = channel_wait_start(-1);
    for_ever.cancelled = frame_cancelled;
    for_ever.context = &frame;
    if (channel_send(c, &frame.outgoing, 0, &for_ever) == 0)
        return 1;
    return channel_stop(c, &frame.outgoing) == 0 ? 1 : -1;
}

static int send_simple(struct channel *c, const struct iovec *message)
{
    uint8_t frame[FRAME_HEADER_MAX + SIMPLE_MAX];
    size_t size = frame_header(frame, message->iov_len, false);
    if (message->iov_len > 0)
        memcpy(frame + size, message->iov_base, message->iov_len);
    size += message->iov_len;
    struct iovec part = {frame, size};
    ssize_t sent = c->transport->ops->writev(c->transport, &part, 1);
    if (sent < 0)
        return channel_write_failed(c);
    if ((size_t)sent == size)
        return 1;
    struct iovec rest = {frame + sent, size - (size_t)sent};
    return send_rest(c, &rest, size, message->iov_len);
}

static ssize_t write_long_way(struct channel *c, const struct iovec *parts, int count)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    ssize_t size = write_one(c, parts, count, &wait);
    channel_end_output(c);
    return size;
}

static int send_short_way(struct channel *c, const struct iovec *message)
{
    if (!is_free(c, message->iov_len))
        return 0;
    if (is_placed(c, message->iov_len))
        return send_placed(c, message);
    return is_simple(c, message->iov_len) ? send_simple(c, message) : 0;
}

ssize_t channel_write(struct channel *c, const struct iovec *parts, int count)
{
    channel_begin_output(c);
    int sent = count == 1 ? send_short_way(c, parts) : 0;
    if (sent == 0)
        return write_long_way(c, parts, count);
    if (sent > 0)
        count_written(c, 1, parts->iov_len);
    channel_settle(c, TRANSPORT_OUT);
    return sent > 0 ? (ssize_t)parts->iov_len : -1;
}

/* ---- batches ---- */

/*
 * A message that may share a write with others: up to this size copying it costs less than a write
 * of its own.
 */
static bool is_grouped(const struct channel *c, const struct iovec *message, size_t room)
{
    return message->iov_len <= GROUPED_MAX && message->iov_len <= c->max_message &&
           message->iov_len + FRAME_HEADER_MAX <= room;
}

/* The frames of the first messages, as many as fit; returns how many. */
static size_t collect(const struct channel *c, const struct iovec *messages, size_t count,
                      struct group *group)
{
    size_t n = 0;
    group->size = 0;
    while (n < count && is_grouped(c, &messages[n], sizeof group->bytes - group->size)) {
        size_t length = messages[n].iov_len;
        group->size += frame_header(group->bytes + group->size, length, false);
        if (length > 0)
            memcpy(group->bytes + group->size, messages[n].iov_base, length);
        group->size += length;
        n++;
    }
    return n;
}

static void count_group(struct channel *c, const struct iovec *messages, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += messages[i].iov_len;
    count_written(c, count, bytes);
}

/*
 * How many messages of the group went, when `left` of its bytes did not; of one that began the rest
 * is held.
 */
static size_t stop_group(struct channel *c, struct group *group, size_t left,
                         const struct iovec *messages)
{
    uint8_t header[FRAME_HEADER_MAX];
    size_t gone = group->size - left, begin = 0, end = 0, n = 0;
    while (end <= gone) {
        size_t length = messages[n++].iov_len;
        begin = end;
        end += frame_header(header, length, false) + length;
    }
    if (begin == gone) {
        channel_stop(c, NULL);
        return n - 1;
    }
    struct iovec part = {group->bytes + gone, end - gone};
    struct channel_outgoing rest = {&part, 1, part.iov_len, part.iov_len};
    return channel_stop(c, &rest) == 0 ? n : n - 1;
}

/* A group on its way, as struct frame_out. */
struct group_out {
    struct channel_outgoing outgoing;
    struct group *group;
    const struct iovec *messages;
};

static size_t end_group(struct channel *c, const struct group_out *out)
{
    size_t went = stop_group(c, out->group, out->outgoing.left, out->messages);
    count_group(c, out->messages, went);
    return went;
}

static void group_cancelled(struct channel *c, void *out)
{
    end_group(c, out);
    channel_end_output(c);
}

/* Returns how many messages went; fewer than `count`: errno says why. */
static size_t write_group(struct channel *c, struct group *group, const struct iovec *messages,
                          size_t count, const struct channel_wait *wait)
{
    struct iovec part = {group->bytes, group->size};
    struct group_out out = {{&part, 1, group->size, group->size}, group, messages};
    struct channel_wait until = {wait->ms, wait->deadline, group_cancelled, &out};
    if (channel_check_alive(c, 0) != 0)
        return 0;
    if (channel_send(c, &out.outgoing, GROUPED_MAX + FRAME_HEADER_MAX, &until) != 0)
        return end_group(c, &out);
    count_group(c, messages, count);
    return count;
}

/*
 * Where a write goes whole or not at all, so does a group. If it does not, its first message is
 * sent by itself: a batch must not wait for more room than it needs.
 */
static bool write_whole_group(struct channel *c, struct group *group, const struct iovec *messages,
                              size_t count)
{
    struct iovec part = {group->bytes, group->size};
    if (channel_check_alive(c, 0) != 0 || c->out.begin != c->out.end ||
        c->transport->ops->writev(c->transport, &part, 1) < 0)
        return false;
    count_group(c, messages, count);
    return true;
}

static size_t write_some(struct channel *c, const struct iovec *messages, size_t count,
                         bool *stopped, const struct channel_wait *wait)
{
    struct group group;
    size_t n = collect(c, messages, count, &group);
    if (n >= 2 && c->transport->whole == 0) {
        size_t went = write_group(c, &group, messages, n, wait);
        *stopped = went < n;
        return went;
    }
    if (n >= 2 && write_whole_group(c, &group, messages, n))
        return n;
    *stopped = write_one(c, messages, 1, wait) < 0;
    return *stopped ? 0 : 1;
}

ssize_t channel_write_batch(struct channel *c, const struct iovec *messages, size_t count)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    size_t done = 0;
    bool stopped = false;
    channel_begin_output(c);
    while (done < count && !stopped)
        done += write_some(c, messages + done, count - done, &stopped, &wait);
    channel_end_output(c);
    return done > 0 || count == 0 ? (ssize_t)done : -1;
}

/* ---- both directions ---- */

ssize_t channel_flush(struct channel *c)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    int result = channel_drain(c, &wait);
    if (result == 0)
        channel_begin_output(c); /* a write that was refused is worth no more than this */
    int saved = errno;
    if (!c->duplex)
        channel_take_in(c, SIZE_MAX);
    size_t unread =
        c->duplex ? (size_t)atomic_load(&c->counts.messages_pending) : channel_count_unread(c);
    errno = saved;
    channel_end_output(c);
    return result == 0 ? (ssize_t)unread : -1;
}

int channel_shutdown(struct channel *c)
{
    channel_begin_output(c);
    channel_close_output(c);
    channel_end_output(c);
    return 0;
}

static int send_bye(struct channel *c, const char *text, size_t size,
                    const struct channel_wait *wait)
{
    struct iovec parts[3] = {
        {NULL, 0}, {(void *)(uintptr_t)FRAME_BYE, FRAME_BYE_SIZE}, {(void *)(uintptr_t)text, size}};
    struct frame_out frame = {.size = FRAME_BYE_SIZE + size, .bye = true};
    return send_frame(c, &frame, parts, 3, wait);
}

static size_t size_of_text(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

int channel_prepare_goodbye(struct channel *c, const char *text, const struct channel_wait *wait)
{
    channel_begin_output(c);
    return channel_check_alive(c, size_of_text(text)) == 0 ? channel_drain(c, wait) : -1;
}

int channel_send_goodbye(struct channel *c, const char *text, const struct channel_wait *wait)
{
    int result = send_bye(c, text == NULL ? "" : text, size_of_text(text), wait);
    channel_end_output(c);
    return result;
}

int channel_disconnect(struct channel *c, const char *text)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    if (channel_prepare_goodbye(c, text, &wait) != 0 || channel_send_goodbye(c, text, &wait) != 0) {
        channel_end_output(c);
        return -1;
    }
    return channel_shutdown(c);
}
