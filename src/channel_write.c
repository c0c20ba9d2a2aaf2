/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "channel.h"
#include "sys.h"

/* Parts of a message that need no allocation; a batch goes in groups of half as many messages. */
#define LOCAL_PARTS 64
/* A held buffer larger than this goes back to the heap once it is empty. */
#define KEEP_HELD 4096

static void lock_out(struct channel *c)
{
    if (c->duplex)
        pthread_mutex_lock(&c->out_lock);
}

static void unlock_out(struct channel *c)
{
    if (c->duplex)
        pthread_mutex_unlock(&c->out_lock);
}

/* ---- held output ---- */

static size_t held_size(const struct channel *c)
{
    return c->out.end - c->out.begin;
}

static void note_held(struct channel *c)
{
    atomic_store_explicit(&c->counts.bytes_held, held_size(c), memory_order_relaxed);
}

static void drop_held(struct channel *c)
{
    c->out.begin = c->out.end = 0;
    note_held(c);
}

/* At the end of a call, since in its course the memory may be reserved for what is still to come. */
static void free_spare(struct channel *c)
{
    if (held_size(c) > 0 || c->out.capacity <= KEEP_HELD)
        return;
    sys_free(c->out.held);
    c->out.held = NULL;
    c->out.capacity = 0;
}

/* Nothing is held when this is filled: only the last message that began to go can be held. */
static int reserve(struct channel *c, size_t size)
{
    if (c->out.capacity >= size)
        return 0;
    uint8_t *grown = sys_grow(c->out.held, size);
    if (grown == NULL)
        return -1;
    c->out.held = grown;
    c->out.capacity = size;
    return 0;
}

/* The kernel's memory comes back; then what is held, or the call, can be tried again. */
static bool is_passing(int error)
{
    return error == ENOMEM || error == ENOBUFS;
}

/* Writing is dead. */
static int output_failed(struct channel *c)
{
    if (errno == ECONNRESET || errno == ETIMEDOUT) {
        atomic_store(&c->reset_seen, true);
        errno = EPIPE;
    }
    c->out.error = errno;
    drop_held(c);
    return -1;
}

static int push(struct channel *c)
{
    while (held_size(c) > 0) {
        struct iovec part = {c->out.held + c->out.begin, held_size(c)};
        ssize_t sent = c->transport->ops->writev(c->transport, &part, 1);
        if (sent < 0 && errno == EAGAIN)
            return 0;
        if (sent < 0)
            return is_passing(errno) ? -1 : output_failed(c);
        c->out.begin += (size_t)sent;
        note_held(c);
        if (held_size(c) == 0)
            drop_held(c);
    }
    if (c->out.closing && c->out.error == 0) {
        c->transport->ops->shutdown(
            c->transport); /* may tell that the other side is gone: no news */
        c->out.error = EPIPE;
    }
    return 1;
}

int channel_push(struct channel *c)
{
    int result = 1;
    if (atomic_load_explicit(&c->counts.bytes_held, memory_order_relaxed) == 0)
        return 1;
    if (c->duplex && pthread_mutex_trylock(&c->out_lock) != 0)
        return 1; /* the writer is at it */
    int saved = errno;
    result = push(c);
    free_spare(c);
    errno = saved;
    unlock_out(c);
    return result;
}

/* ---- one message, or a group of them, on its way ---- */

struct outgoing {
    struct iovec *parts;
    int count;
    size_t size, left; /* bytes in all, and not yet gone */
};

static void advance(struct outgoing *o, size_t sent)
{
    o->left -= sent;
    while (o->count > 0 && sent >= o->parts->iov_len) {
        sent -= o->parts->iov_len;
        o->parts++;
        o->count--;
    }
    if (sent > 0) {
        o->parts->iov_base = (uint8_t *)o->parts->iov_base + sent;
        o->parts->iov_len -= sent;
    }
}

/* 1: gone; 0: not now; -1: errno. */
static int try_send(struct channel *c, struct outgoing *o)
{
    if (c->out.error != 0) {
        errno = c->out.error;
        return -1;
    }
    int pushed = push(c);
    if (pushed <= 0)
        return pushed;
    while (o->left > 0) {
        ssize_t sent = c->transport->ops->writev(c->transport, o->parts, o->count);
        if (sent < 0)
            return errno == EAGAIN ? 0 : is_passing(errno) ? -1 : output_failed(c);
        advance(o, (size_t)sent);
    }
    return 1;
}

/*
 * The rest of a message that has begun to go. Its memory was reserved before, unless nothing but a
 * kernel without memory could end the call.
 */
static int hold(struct channel *c, const struct outgoing *o)
{
    if (reserve(c, o->left) != 0)
        return output_failed(c);
    c->out.begin = c->out.end = 0;
    for (int i = 0; i < o->count; i++) {
        if (o->parts[i].iov_len > 0)
            memcpy(c->out.held + c->out.end, o->parts[i].iov_base, o->parts[i].iov_len);
        c->out.end += o->parts[i].iov_len;
    }
    note_held(c);
    return 0;
}

/* Wait for room; meanwhile take in what the other side writes, or two that write at once would wait for ever. */
int channel_wait_for_room(struct channel *c, const struct channel_wait *wait)
{
    unsigned events = TRANSPORT_OUT;
    if (wait->ms != 0 && !c->duplex && channel_take_in(c))
        events |= TRANSPORT_IN;
    return channel_wait(c, wait, events);
}

/* Can the call end while its message is half gone? */
static bool may_hold(const struct channel *c, const struct outgoing *o)
{
    return (c->write_ms >= 0 || c->interruptible) && o->size > c->transport->whole;
}

/* The call cannot go on: accepted if its first byte has gone, and as before if not. */
static int stop_sending(struct channel *c, struct outgoing *o)
{
    if (o->left == o->size) {
        atomic_store(&c->out_wish, errno == EAGAIN || errno == ETIMEDOUT);
        return -1;
    }
    lock_out(c);
    int held = hold(c, o);
    unlock_out(c);
    return held;
}

/* Until it is gone, or the time is up. */
static int send_until(struct channel *c, struct outgoing *o, const struct channel_wait *wait)
{
    for (;;) {
        lock_out(c);
        int sent = try_send(c, o);
        bool dead = c->out.error != 0;
        unlock_out(c);
        if (sent > 0)
            return 0;
        if (dead)
            return -1;
        if (sent < 0 || channel_wait_for_room(c, wait) != 0)
            return stop_sending(c, o);
    }
}

static int send_one(struct channel *c, struct outgoing *o, const struct channel_wait *wait)
{
    if (may_hold(c, o)) {
        lock_out(c);
        int pushed = c->out.error == 0 ? push(c) : 1; /* what is held stays where it is */
        int reserved = pushed >= 0 ? reserve(c, o->size) : -1;
        unlock_out(c);
        if (reserved != 0)
            return -1;
    }
    return send_until(c, o, wait);
}

static void end_call(struct channel *c)
{
    lock_out(c);
    free_spare(c);
    unlock_out(c);
    channel_settle(c, TRANSPORT_OUT);
}

static void begin_call(struct channel *c)
{
    atomic_store_explicit(&c->out_wish, false, memory_order_relaxed);
}

static int check_alive(struct channel *c, size_t size)
{
    lock_out(c);
    int error = c->out.closing && c->out.error == 0 ? EPIPE : c->out.error;
    unlock_out(c);
    if (error == 0 && size > c->max_message)
        error = EMSGSIZE;
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

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
    struct outgoing o = {.parts = parts, .count = count, .size = size, .left = size};
    return send_one(c, &o, wait);
}

/* ---- the calls ---- */

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

static void count_written(struct channel *c, size_t bytes)
{
    channel_count(&c->counts.messages_written, 1);
    channel_count(&c->counts.bytes_written, bytes);
}

static ssize_t write_one(struct channel *c, const struct iovec *parts, int count,
                         const struct channel_wait *wait)
{
    ssize_t size = sum_of(parts, count);
    if (size < 0 || check_alive(c, (size_t)size) != 0 || write_parts(c, parts, count, wait) != 0)
        return -1;
    count_written(c, (size_t)size);
    return size;
}

ssize_t channel_write(struct channel *c, const struct iovec *parts, int count)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    begin_call(c);
    ssize_t size = write_one(c, parts, count, &wait);
    end_call(c);
    return size;
}

ssize_t channel_write_batch(struct channel *c, const struct iovec *messages, size_t count)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    size_t done = 0;
    begin_call(c);
    while (done < count && write_one(c, &messages[done], 1, &wait) >= 0)
        done++;
    end_call(c);
    return done > 0 || count == 0 ? (ssize_t)done : -1;
}

/* Until nothing is held. 0 also when writing is dead: then nothing is held either. */
static int drain(struct channel *c, const struct channel_wait *wait)
{
    for (;;) {
        lock_out(c);
        int pushed = push(c);
        bool dead = c->out.error != 0;
        unlock_out(c);
        if (pushed > 0 || dead)
            return 0;
        if (pushed < 0 || channel_wait_for_room(c, wait) != 0)
            return -1;
    }
}

ssize_t channel_flush(struct channel *c)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    begin_call(c);
    int result = drain(c, &wait);
    if (!c->duplex)
        channel_take_in(c);
    end_call(c);
    return result == 0 ? (ssize_t)atomic_load(&c->counts.messages_pending) : -1;
}

/* Shuts down at once, or, with output held, when the last of it has gone. */
static void close_output(struct channel *c)
{
    lock_out(c);
    c->out.closing = true;
    push(c);
    unlock_out(c);
}

int channel_shutdown(struct channel *c)
{
    begin_call(c);
    close_output(c);
    end_call(c);
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
    begin_call(c);
    return check_alive(c, size_of_text(text)) == 0 ? drain(c, wait) : -1;
}

int channel_send_goodbye(struct channel *c, const char *text, const struct channel_wait *wait)
{
    int result = send_bye(c, text == NULL ? "" : text, size_of_text(text), wait);
    end_call(c);
    return result;
}

int channel_disconnect(struct channel *c, const char *text)
{
    struct channel_wait wait = channel_wait_start(c->write_ms);
    if (channel_prepare_goodbye(c, text, &wait) != 0 || channel_send_goodbye(c, text, &wait) != 0) {
        end_call(c);
        return -1;
    }
    return channel_shutdown(c);
}
