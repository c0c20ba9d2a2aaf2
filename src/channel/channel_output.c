/* SPDX-License-Identifier: MIT */
/*
 * From messages to the transport's bytes: what is sent until it is gone, or the time is up; and what is held,
 * the rest of a message that had begun to go by then.
 */
#include <errno.h>
#include <string.h>

#include "channel/channel.h"
#include "sys/sys.h"

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
    uint8_t *grown = sys_realloc(c->out.held, size);
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

/* What the kernel says of a connection that it has given up, once, to whichever call comes first. */
static bool is_reset(int error)
{
    return error == ECONNRESET || error == ETIMEDOUT || error == EHOSTUNREACH ||
           error == ENETUNREACH || error == ENETDOWN;
}

/* Writing is dead. */
static int output_failed(struct channel *c)
{
    if (is_reset(errno)) {
        atomic_store(&c->reset_seen, true);
        errno = EPIPE;
    }
    c->out.error = errno;
    atomic_store(&c->out_failed, true);
    drop_held(c);
    return -1;
}

int channel_write_failed(struct channel *c)
{
    if (errno == EAGAIN)
        return 0;
    return is_passing(errno) ? -1 : output_failed(c);
}

/* All but the last `keep` bytes. */
static int push_but(struct channel *c, size_t keep)
{
    if (c->out.error != 0)
        drop_held(c); /* reading has found out, and how writing died does not change */
    while (held_size(c) > keep) {
        struct iovec part = {c->out.held + c->out.begin, held_size(c) - keep};
        ssize_t sent = c->transport->ops->writev(c->transport, &part, 1);
        if (sent < 0)
            return channel_write_failed(c);
        c->out.begin += (size_t)sent;
        note_held(c);
        if (held_size(c) == 0)
            drop_held(c);
    }
    if (held_size(c) > 0)
        return 0;
    if (c->out.closing && c->out.error == 0 && c->out.waiting == 0) {
        channel_end_transport_output(c);
        c->out.error = EPIPE;
    }
    return 1;
}

static int push(struct channel *c)
{
    return push_but(c, 0);
}

static bool is_anything_held(const struct channel *c)
{
    return atomic_load_explicit(&c->counts.bytes_held, memory_order_relaxed) > 0;
}

static int try_push(struct channel *c, size_t keep)
{
    if (!is_anything_held(c))
        return 1;
    if (c->duplex && pthread_mutex_trylock(&c->out_lock) != 0)
        return 1; /* the writer is at it */
    int saved = errno;
    int result = push_but(c, keep);
    free_spare(c);
    errno = saved;
    unlock_out(c);
    return result;
}

/* ---- a flush that failed ----
 *
 * It is worth repeating as soon as nothing is held, and the descriptor has to say so. But who reads until there
 * is nothing more before it polls would push out the last byte in one read, and be told of it for the next
 * one. So the last byte is left for a call that found nothing, after which a program polls; and the next such
 * call ends it, or who ignores it would be told for ever.
 */

int channel_push(struct channel *c)
{
    return try_push(c, atomic_load_explicit(&c->flush_failed, memory_order_relaxed) ? 1 : 0);
}

bool channel_tells_of_flush(const struct channel *c)
{
    return atomic_load(&c->flush_failed) && !is_anything_held(c);
}

int channel_push_last(struct channel *c)
{
    bool held = is_anything_held(c);
    int result = try_push(c, 0);
    if (held && channel_tells_of_flush(c))
        atomic_store(&c->news, true);
    return result;
}

void channel_find_nothing(struct channel *c, bool was_told)
{
    channel_push_last(c);
    if (was_told)
        atomic_store(&c->flush_failed, false);
}

/*
 * With duplex each of the two threads may wait for room, and the other one may push out the last of what is
 * held. What is waited on is closed by the one who waits, then: its number may be somebody else's afterwards.
 */
bool channel_begin_wait(struct channel *c)
{
    lock_out(c);
    bool is_alive = c->out.error == 0;
    if (is_alive)
        c->out.waiting++;
    unlock_out(c);
    return is_alive;
}

void channel_end_wait(struct channel *c)
{
    int saved = errno;
    lock_out(c);
    c->out.waiting--;
    if (c->out.closing && held_size(c) == 0)
        push(c);
    unlock_out(c);
    errno = saved;
}

/* ---- one message, or a group of them, on its way ---- */

static void advance(struct channel_outgoing *o, size_t sent)
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
static int try_send(struct channel *c, struct channel_outgoing *o)
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
            return channel_write_failed(c);
        advance(o, (size_t)sent);
    }
    return 1;
}

/*
 * The rest of a message that has begun to go. Its memory was reserved before, unless nothing but a
 * kernel without memory could end the call.
 */
static int hold(struct channel *c, const struct channel_outgoing *o)
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

/*
 * Wait for room; meanwhile take in what the other side writes, or two that write at once would wait
 * for ever.
 */
int channel_wait_for_room(struct channel *c, const struct channel_wait *wait)
{
    if (wait->ms == 0 || c->duplex)
        return channel_wait(c, wait, TRANSPORT_OUT);
    int taken = channel_take_in(c, SIZE_MAX);
    if (c->out.error != 0)
        return 0; /* what came says that writing is dead too, as the next try finds */
    if (taken < 0)
        return channel_wait_a_little(c, wait, TRANSPORT_OUT);
    bool more = taken > 0 || c->in.stopped;
    return channel_wait(c, wait, more ? TRANSPORT_IN | TRANSPORT_OUT : TRANSPORT_OUT);
}

/* Can the call end while a message is half gone? */
static bool may_hold(const struct channel *c, const struct channel_outgoing *o,
                     const struct channel_wait *wait)
{
    return (wait->ms >= 0 || c->interruptible) && o->size > c->transport->whole;
}

static int reserve_for(struct channel *c, size_t largest)
{
    lock_out(c);
    int pushed = c->out.error == 0 ? push(c) : 1; /* what is held stays where it is */
    int reserved = pushed >= 0 ? reserve(c, largest) : -1;
    unlock_out(c);
    return reserved;
}

int channel_send(struct channel *c, struct channel_outgoing *o, size_t largest,
                 const struct channel_wait *wait)
{
    bool looked = false;
    if (may_hold(c, o, wait) && reserve_for(c, largest) != 0)
        return -1;
    for (;;) {
        lock_out(c);
        int sent = try_send(c, o);
        bool dead = c->out.error != 0;
        unlock_out(c);
        if (sent > 0)
            return 0;
        if (sent < 0 || dead ||
            (channel_wait_for_room(c, wait) != 0 && !channel_looks_again(&looked)))
            return -1;
    }
}

int channel_stop(struct channel *c, const struct channel_outgoing *rest)
{
    int result = -1;
    lock_out(c);
    if (c->out.error != 0)
        errno = c->out.error;
    else if (rest == NULL)
        atomic_store(&c->out_wish, errno == EAGAIN || errno == ETIMEDOUT);
    else
        result = hold(c, rest);
    unlock_out(c);
    return result;
}

void channel_end_output(struct channel *c)
{
    lock_out(c);
    free_spare(c);
    unlock_out(c);
    channel_settle(c, TRANSPORT_OUT);
}

void channel_begin_output(struct channel *c)
{
    atomic_store_explicit(&c->out_wish, false, memory_order_relaxed);
}

int channel_check_alive(struct channel *c, size_t size)
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

int channel_drain(struct channel *c, const struct channel_wait *wait)
{
    bool looked = false;
    atomic_store(&c->flush_failed, false);
    for (;;) {
        lock_out(c);
        int pushed = push(c);
        bool dead = c->out.error != 0;
        unlock_out(c);
        if (pushed > 0 || dead)
            return 0;
        if (pushed < 0 || (channel_wait_for_room(c, wait) != 0 && !channel_looks_again(&looked)))
            break;
    }
    atomic_store(&c->flush_failed, true);
    return -1;
}

void channel_close_output(struct channel *c)
{
    lock_out(c);
    c->out.closing = true;
    push(c);
    unlock_out(c);
}
