/* SPDX-License-Identifier: MIT */
/* The calls that write. */
#include <errno.h>
#include <string.h>

#include "channel.h"
#include "sys.h"

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

/* parts[0] is free for the header. */
static int send_frame(struct channel *c, struct iovec *parts, int count, bool bye,
                      const struct channel_wait *wait)
{
    uint8_t header[FRAME_HEADER_MAX];
    size_t size = 0;
    for (int i = 1; i < count; i++)
        size += parts[i].iov_len;
    parts[0] = (struct iovec){header, frame_header(header, size, bye)};
    size += parts[0].iov_len;
    struct channel_outgoing o = {.parts = parts, .count = count, .size = size, .left = size};
    if (channel_send(c, &o, size, wait) == 0)
        return 0;
    return channel_stop(c, o.left < o.size ? &o : NULL);
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

static int write_parts(struct channel *c, const struct iovec *parts, int count,
                       const struct channel_wait *wait)
{
    struct iovec local[LOCAL_PARTS], *all = local;
    if (count >= LOCAL_PARTS) {
        all = sys_alloc(((size_t)count + 1) * sizeof *all);
        if (all == NULL)
            return -1;
    }
    if (count > 0)
        memcpy(all + 1, parts, (size_t)count * sizeof *all);
    int result = send_frame(c, all, count + 1, false, wait);
    if (all != local)
        sys_free(all);
    return result;
}

static void count_written(struct channel *c, size_t messages, size_t bytes)
{
    channel_count(&c->counts.messages_written, messages);
    channel_count(&c->counts.bytes_written, bytes);
}

static ssize_t write_one(struct channel *c, const struct iovec *parts, int count,
                         const struct channel_wait *wait)
{
    ssize_t size = sum_of(parts, count);
    if (size < 0 || channel_check_alive(c, (size_t)size) != 0 ||
        write_parts(c, parts, count, wait) != 0)
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
    struct channel_wait for_ever = channel_wait_start(-1);
    struct iovec rest = {frame + sent, size - (size_t)sent};
    struct channel_outgoing o = {&rest, 1, size, rest.iov_len};
    return channel_send(c, &o, 0, &for_ever) == 0 || channel_stop(c, &o) == 0 ? 1 : -1;
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

/* Returns how many messages went; fewer than `count`: errno says why. */
static size_t write_group(struct channel *c, struct group *group, const struct iovec *messages,
                          size_t count, const struct channel_wait *wait)
{
    struct iovec part = {group->bytes, group->size};
    struct channel_outgoing o = {&part, 1, group->size, group->size};
    if (channel_check_alive(c, 0) != 0)
        return 0;
    size_t went = channel_send(c, &o, GROUPED_MAX + FRAME_HEADER_MAX, wait) == 0
                      ? count
                      : stop_group(c, group, o.left, messages);
    count_group(c, messages, went);
    return went;
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
    channel_begin_output(c);
    int result = channel_drain(c, &wait);
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
    return send_frame(c, parts, 3, true, wait);
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
