/* SPDX-License-Identifier: MIT */
/* The calls that write messages: one, and a batch. */
#include <errno.h>
#include <string.h>

#include "channel/channel_internal.h"
#include "sys/sys.h"
#include "transport/copy.h"

/* Parts of a message that need no allocation. */
#define LOCAL_PARTS 64

/*
 * Up to here a second copy costs less than a second part of a write, above all on a socket. So much
 * may stay reserved, too.
 */
#define SIMPLE_MAX 2048

/*
 * Messages of a batch that go in one write: large enough that the system call counts little for
 * each.
 */
#define GROUP_SIZE  8192
#define GROUPED_MAX 2048

_Static_assert(2 * (GROUPED_MAX + FRAME_HEADER_MAX) <= GROUP_SIZE, "two messages make a group");

struct group {
    uint8_t bytes[GROUP_SIZE];
    size_t size;
};

/* ---- one message ---- */

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

/* Of one part, with descriptors. Nothing is gathered. */
ssize_t channel_write_fds(struct channel *c, const struct iovec *part, const int *fds, int count)
{
    if (!c->transport->ops->carries_fds(c->transport)) {
        errno = EOPNOTSUPP;
        channel_report_failure(c, "pipc_write_fds", false);
        return -1;
    }
    struct channel_wait wait = channel_wait_start(c->write_ms);
    struct channel_frame frame = {.size = part->iov_len, .fds = fds, .fd_count = count};
    struct iovec parts[2] = {{NULL, 0}, *part};
    channel_begin_writing(c);
    if (c->out.gathers)
        (void)outbound_is_late(&c->out); /* the next one is not late if it follows at once */
    ssize_t size = -1;
    if (channel_check(c, frame.size) == 0 && channel_send_frame(c, &frame, parts, 2, &wait) == 0) {
        channel_count_written(c, 1, frame.size);
        size = (ssize_t)frame.size;
    }
    channel_end_writing(c);
    if (size < 0)
        channel_report_failure(c, "pipc_write_fds", false);
    trace_deliver();
    return size;
}

static int write_parts(struct channel *c, const struct iovec *parts, int count, size_t size,
                       const struct channel_wait *wait)
{
    struct iovec local[LOCAL_PARTS], *all = local;
    struct channel_frame frame = {.size = size};
    if (count >= LOCAL_PARTS) {
        all = frame.memory = sys_alloc(((size_t)count + 1) * sizeof *all);
        if (all == NULL)
            return -1;
    }
    if (count > 0)
        memcpy(all + 1, parts, (size_t)count * sizeof *all);
    int result = channel_send_frame(c, &frame, all, count + 1, wait);
    sys_free(frame.memory);
    return result;
}

static ssize_t write_one(struct channel *c, const struct iovec *parts, int count,
                         const struct channel_wait *wait)
{
    ssize_t size = sum_of(parts, count);
    if (size < 0 || channel_check(c, (size_t)size) != 0 ||
        write_parts(c, parts, count, (size_t)size, wait) != 0)
        return -1;
    channel_count_written(c, 1, (size_t)size);
    return size;
}

/*
 * Most messages are small, nothing is in their way, and they go at once, by a way of a third of the
 * instructions: a small message costs little else. One that does not go takes the long way; so does
 * one that may be left half gone, if there is no memory in reserve.
 */
static bool is_simple(struct channel *c, size_t size)
{
    if (size > SIMPLE_MAX)
        return false;
    bool is_unlimited = c->write_ms < 0 && !c->interruptible;
    size_t whole = FRAME_HEADER_MAX + size;
    return is_unlimited || outbound_is_reserved(&c->out, whole) ||
           outbound_reserve(&c->out, whole) == 0;
}

static enum io_result send_simple(struct channel *c, const struct iovec *message)
{
    uint8_t frame[FRAME_HEADER_MAX + SIMPLE_MAX];
    size_t size = frame_header(frame, message->iov_len, false);
    copy_message(frame + size, message->iov_base, message->iov_len);
    size += message->iov_len;
    struct iovec part = {frame, size};
    ssize_t sent = outbound_write(&c->out, &part);
    if (sent < 0)
        return outbound_write_failed(&c->out, errno);
    if ((size_t)sent == size)
        return IO_DONE;
    struct iovec rest = {frame + sent, size - (size_t)sent};
    return channel_send_rest(c, &rest, size, message->iov_len);
}

static ssize_t write_long_way(struct channel *c, const struct iovec *parts, int count)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    ssize_t size = write_one(c, parts, count, &wait);
    channel_end_writing(c);
    if (size < 0)
        channel_report_failure(c, "pipc_write", false);
    trace_deliver();
    return size;
}

/* IO_AGAIN: nothing of it has gone, take the long way. */
static enum io_result send_short_way(struct channel *c, const struct iovec *message)
{
    if (!outbound_is_free(&c->out, message->iov_len))
        return IO_AGAIN;
    if (outbound_is_reservable(&c->out, message->iov_len))
        return outbound_try_reserve(&c->out, message);
    return is_simple(c, message->iov_len) ? send_simple(c, message) : IO_AGAIN;
}

/* ---- gathering ---- */

/*
 * After a flush that failed nothing is gathered until the program has repeated it, or has been told
 * to: the descriptor reports that by what is held. -1: it has to be sent.
 */
static ssize_t try_to_gather(struct channel *c, const struct iovec *parts, int count)
{
    if (atomic_load_explicit(&c->flush_failed, memory_order_relaxed))
        return -1;
    ssize_t size = outbound_gather(&c->out, parts, count);
    if (size >= 0)
        channel_update_readiness(c, TRANSPORT_OUT);
    return size;
}

static ssize_t gather(struct channel *c, const struct iovec *parts, int count)
{
    return count == 1 && outbound_gather_more(&c->out, parts) ? (ssize_t)parts->iov_len
                                                              : try_to_gather(c, parts, count);
}

static ssize_t write_gathering(struct channel *c, const struct iovec *parts, int count)
{
    ssize_t size = outbound_is_late(&c->out) ? -1 : gather(c, parts, count);
    if (size >= 0)
        channel_count_written(c, 1, (size_t)size);
    return size;
}

ssize_t channel_write(struct channel *c, const struct iovec *parts, int count)
{
    channel_begin_writing(c);
    enum io_result result = count == 1 ? send_short_way(c, parts) : IO_AGAIN;
    if (result == IO_AGAIN) {
        ssize_t size = c->out.gathers ? write_gathering(c, parts, count) : -1;
        trace_deliver();
        return size >= 0 ? size : write_long_way(c, parts, count);
    }
    if (result != IO_DONE) {
        channel_update_readiness(c, TRANSPORT_OUT);
        channel_report_failure(c, "pipc_write", false);
        return -1;
    }
    channel_count_written(c, 1, parts->iov_len);
    channel_update_if_changed(c, TRANSPORT_OUT);
    trace_deliver();
    return (ssize_t)parts->iov_len;
}

/* ---- batches ---- */

/*
 * A message that may share a write with others: up to this size copying it costs less than a write
 * of its own.
 */
static bool is_grouped(const struct channel *c, const struct iovec *message, size_t room)
{
    return message->iov_len <= GROUPED_MAX && message->iov_len <= c->out.max_message &&
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
    channel_count_written(c, count, bytes);
}

/*
 * How many messages of the group went, when `left` of its bytes did not; of one that began the rest
 * is held.
 */
static size_t stop_group(struct channel *c, struct group *group, size_t left,
                         const struct iovec *messages, int error)
{
    uint8_t header[FRAME_HEADER_MAX];
    size_t gone = group->size - left, begin = 0, end = 0, n = 0;
    while (end <= gone) {
        size_t length = messages[n++].iov_len;
        begin = end;
        end += frame_header(header, length, false) + length;
    }
    if (begin == gone) {
        channel_stop(c, NULL, error);
        return n - 1;
    }
    struct iovec part = {group->bytes + gone, end - gone};
    struct outgoing rest = {.parts = &part, .count = 1, .size = part.iov_len, .left = part.iov_len};
    return channel_stop(c, &rest, error) == 0 ? n : n - 1;
}

/* A group on its way, as struct channel_frame. */
struct group_out {
    struct outgoing outgoing;
    struct group *group;
    const struct iovec *messages;
};

static size_t end_group(struct channel *c, const struct group_out *out, int error)
{
    size_t went = stop_group(c, out->group, out->outgoing.left, out->messages, error);
    count_group(c, out->messages, went);
    return went;
}

static void group_cancelled(struct channel *c, void *out)
{
    end_group(c, out, ECANCELED);
    channel_end_writing(c);
}

/* Returns how many messages went; fewer than `count`: errno says why. */
static size_t write_group(struct channel *c, struct group *group, const struct iovec *messages,
                          size_t count, const struct channel_wait *wait)
{
    struct iovec part = {group->bytes, group->size};
    struct group_out out = {
        {.parts = &part, .count = 1, .size = group->size, .left = group->size}, group, messages};
    struct channel_wait until = {wait->ms, wait->deadline, group_cancelled, &out};
    if (channel_check(c, 0) != 0)
        return 0;
    if (channel_send(c, &out.outgoing, GROUPED_MAX + FRAME_HEADER_MAX, &until) != 0)
        return end_group(c, &out, errno);
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
    if (channel_check(c, 0) != 0 || outbound_is_holding(&c->out) ||
        outbound_write(&c->out, &part) < 0)
        return false;
    count_group(c, messages, count);
    return true;
}

/* Apart, so that the group is not on the stack while a single message waits. 0: send one. */
__attribute__((noinline)) static size_t write_grouped(struct channel *c,
                                                      const struct iovec *messages, size_t count,
                                                      bool *stopped,
                                                      const struct channel_wait *wait)
{
    struct group group;
    size_t n = collect(c, messages, count, &group);
    if (n < 2)
        return 0;
    if (c->transport->atomic_max != 0)
        return write_whole_group(c, &group, messages, n) ? n : 0;
    size_t went = write_group(c, &group, messages, n, wait);
    *stopped = went < n;
    return went;
}

static size_t write_some(struct channel *c, const struct iovec *messages, size_t count,
                         bool *stopped, const struct channel_wait *wait)
{
    size_t went = write_grouped(c, messages, count, stopped, wait);
    if (went > 0 || *stopped)
        return went;
    *stopped = write_one(c, messages, 1, wait) < 0;
    return *stopped ? 0 : 1;
}

/* How many of the first messages. */
static size_t gather_some(struct channel *c, const struct iovec *messages, size_t count)
{
    size_t n = 0;
    while (n < count && gather(c, messages + n, 1) >= 0)
        n++;
    count_group(c, messages, n);
    return n;
}

ssize_t channel_write_batch(struct channel *c, const struct iovec *messages, size_t count)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    size_t done = 0;
    bool stopped = false;
    channel_begin_writing(c);
    bool gathers = c->out.gathers && !outbound_is_late(&c->out);
    while (done < count && !stopped) {
        if (gathers)
            done += gather_some(c, messages + done, count - done);
        if (done < count)
            done += write_some(c, messages + done, count - done, &stopped, &wait);
    }
    channel_end_writing(c);
    if (stopped)
        channel_report_failure(c, "pipc_write_batch", false);
    trace_deliver();
    return done > 0 || count == 0 ? (ssize_t)done : -1;
}
