/* SPDX-License-Identifier: MIT */
/*
 * The transport of a socket that may move into shared memory: see share.c. It has three tables of
 * functions, one after the other; the number of its descriptors stays the same.
 *
 *   share_ops   until it has moved, and while transport_fd has bytes in memory
 *   moved_ops   from then on: the ring
 *   fd_ops      once it is known that it stays a socket
 */
#include <errno.h>

#include "sys/sys.h"
#include "transport/share.h"

static const struct transport_ops share_ops, moved_ops;

static struct ring *ring_of(struct transport *transport)
{
    return fd_of(transport)->share->ring;
}

static void become(struct transport *transport, const struct transport_ops *ops)
{
    struct fd_transport *t = fd_of(transport);
    t->open_ops = ops;
    if (atomic_load(&transport->ops) == &share_ops)
        atomic_store(&transport->ops, ops);
}

static void stay_a_socket(struct fd_transport *t)
{
    become(&t->base, &fd_ops);
    share_free(t->share);
    t->share = NULL;
    t->receive = NULL;
}

/* Make the steps that are due. NULL: it is a socket, for good. */
static struct share *advance(struct transport *transport)
{
    struct fd_transport *t = fd_of(transport);
    if (share_is_quiet(t) || t->share == NULL)
        return t->share;
    share_advance(t);
    if (t->share->state == SHARE_NEVER)
        stay_a_socket(t);
    return t->share;
}

/* ---- reading ---- */

static void become_moved(struct transport *transport)
{
    fd_free_buffer(fd_of(transport));
    become(transport, &moved_ops);
}

/* A message of which the socket brought the beginning goes on in the ring. */
static int take_from_ring(struct fd_transport *t, size_t want, bool *end)
{
    if (fd_make_room(t, want) != 0)
        return -1;
    while (t->end - t->begin < want && !*end) {
        ssize_t got = ring_read(t->share->ring, t->buffer + t->end, want - (t->end - t->begin));
        if (got < 0)
            return errno == EAGAIN ? 0 : -1;
        t->end += (size_t)got;
        *end = got == 0;
    }
    return 0;
}

/* What was loaded of the ring is in memory too, and is shown to whoever wants more. */
static bool see_ring(struct fd_transport *t, struct transport_view *view)
{
    const uint8_t *unused;
    ssize_t there = ring_peek(t->share->ring, 0, &unused, &view->end);
    view->more = there > 0;
    return there >= 0;
}

static ssize_t peek_after_move(struct transport *transport, size_t want,
                               struct transport_view *view)
{
    struct fd_transport *t = fd_of(transport);
    if (t->begin == t->end) {
        become_moved(transport);
        return ring_peek(ring_of(transport), want, &view->bytes, &view->end);
    }
    view->end = false;
    if (want == 0 ? !see_ring(t, view) : take_from_ring(t, want, &view->end) != 0)
        return -1;
    view->bytes = t->buffer + t->begin;
    return (ssize_t)(t->end - t->begin);
}

/* A look at memory makes no step. In a read that blocks the doorbell would not be armed. */
static ssize_t share_peek(struct transport *transport, size_t want, enum transport_peek mode,
                          struct transport_view *view)
{
    struct fd_transport *t = fd_of(transport);
    if (share_reads_quietly(t))
        return fd_ops.peek(transport, want, mode, view);
    if (mode == PEEK_WAIT)
        mode = PEEK_READ;
    for (;;) {
        if (mode == PEEK_READ && advance(transport) == NULL)
            return fd_ops.peek(transport, want, mode, view);
        if (t->share->state == SHARE_MOVED)
            return peek_after_move(transport, want, view);
        if (mode == PEEK_BLOCK && share_has_left(t->share))
            mode = PEEK_MEMORY;
        ssize_t there = fd_ops.peek(transport, want, mode, view);
        if (mode != PEEK_READ || there < 0 || (size_t)there >= want || !share_has_news(t))
            return there;
    }
}

static ssize_t share_read(struct transport *transport, void *buffer, size_t size, bool waits)
{
    struct fd_transport *t = fd_of(transport);
    if (share_reads_quietly(t))
        return fd_ops.read(transport, buffer, size, waits);
    for (;;) {
        if (advance(transport) != NULL && t->share->state == SHARE_MOVED && t->begin == t->end)
            return ring_read(ring_of(transport), buffer, size);
        ssize_t got = fd_ops.read(transport, buffer, size, waits);
        if (got >= 0 || errno != EAGAIN || t->share == NULL || !share_has_news(t))
            return got;
    }
}

static ssize_t moved_peek(struct transport *transport, size_t want, enum transport_peek mode,
                          struct transport_view *view)
{
    (void)mode; /* all is in memory */
    return ring_peek(ring_of(transport), want, &view->bytes, &view->end);
}

static void moved_skip(struct transport *transport, size_t size)
{
    ring_consume(ring_of(transport), size);
}

static ssize_t moved_read(struct transport *transport, void *buffer, size_t size, bool waits)
{
    (void)waits; /* it cannot block */
    return ring_read(ring_of(transport), buffer, size);
}

/* ---- writing ---- */

/* NULL: no part, from a thread for which it was opening a moment ago. */
static const void *first_byte(const struct iovec *parts, int count)
{
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len > 0)
            return parts[i].iov_base;
    return NULL;
}

static ssize_t write_socket(struct transport *transport, const struct iovec *parts, int count)
{
    ssize_t sent = fd_ops.writev(transport, parts, count);
    if (sent > 0)
        fd_of(transport)->sent += (uint64_t)sent;
    return sent;
}

static ssize_t share_writev(struct transport *transport, const struct iovec *parts, int count)
{
    if (share_is_quiet(fd_of(transport)))
        return write_socket(transport, parts, count);
    struct share *s = advance(transport);
    if (s == NULL)
        return fd_ops.writev(transport, parts, count);
    if (share_has_left(s))
        return ring_writev(s->ring, parts, count);
    const void *byte = first_byte(parts, count);
    if (byte != NULL && share_offer(fd_of(transport), byte) == 1)
        return 1;
    return write_socket(transport, parts, count);
}

/* Nobody asks for room before reserve_max says so. */
static uint8_t *share_reserve(struct transport *transport, size_t size)
{
    return ring_place(ring_of(transport), size);
}

static void share_commit(struct transport *transport, size_t size)
{
    ring_publish(ring_of(transport), size);
}

static ssize_t moved_writev(struct transport *transport, const struct iovec *parts, int count)
{
    return ring_writev(ring_of(transport), parts, count);
}

static bool share_carries_fds(struct transport *transport)
{
    struct share *s = advance(transport);
    return s == NULL || !share_has_left(s) ? fd_ops.carries_fds(transport) : false;
}

static ssize_t share_write_fds(struct transport *transport, const void *byte, const int *fds,
                               int count)
{
    struct share *s = advance(transport);
    if (s == NULL || !share_has_left(s)) {
        ssize_t sent = fd_ops.write_fds(transport, byte, fds, count);
        if (sent > 0)
            fd_of(transport)->sent++;
        return sent;
    }
    errno = EOPNOTSUPP; /* the peer takes none: else it would have stayed a socket */
    return -1;
}

/* It stays a socket, unless it has left. */
static struct share *end_unless_left(struct transport *transport)
{
    struct share *s = advance(transport);
    if (s != NULL && s->state == SHARE_OFFERED)
        share_withdraw(fd_of(transport));
    else if (s != NULL && s->state == SHARE_AWAIT)
        share_end(fd_of(transport));
    return advance(transport);
}

static int share_shutdown(struct transport *transport)
{
    if (end_unless_left(transport) == NULL)
        return fd_ops.shutdown(transport);
    share_shut(fd_of(transport));
    return 0;
}

/* ---- waiting ---- */

static int share_wait(struct transport *transport, unsigned events, int64_t deadline)
{
    struct share *s = advance(transport);
    return s == NULL || !share_has_left(s) ? fd_ops.wait(transport, events, deadline)
                                           : share_wait_in_ring(fd_of(transport), events, deadline);
}

static bool share_update_readiness(struct transport *transport, bool readable, unsigned events)
{
    struct share *s = advance(transport);
    if (s != NULL)
        s->is_deaf = (events & TRANSPORT_IN) == 0;
    if (s != NULL && s->is_deaf && s->state == SHARE_OFFERED) {
        share_withdraw(fd_of(transport));
        s = advance(transport);
    }
    return s == NULL || !share_has_left(s)
               ? fd_ops.update_readiness(transport, readable, events)
               : share_update_in_ring(fd_of(transport), readable, events);
}

/* ---- the rest ---- */

static unsigned share_over(struct transport *transport)
{
    struct share *s = advance(transport);
    if (s == NULL || !share_has_left(s))
        return fd_ops.over(transport);
    switch (ring_ask(s->ring, RING_ASK_KERNEL)) {
    case RING_PEER_DEAD:
        return TRANSPORT_IN | TRANSPORT_OUT;
    case RING_PEER_SHUT:
        return s->state == SHARE_MOVED ? TRANSPORT_IN : 0;
    default:
        return 0;
    }
}

static void share_close(struct transport *transport)
{
    struct share *s = fd_of(transport)->share;
    fd_ops.close(transport);
    share_note_close(s);
    share_free(s);
}

/* With bytes read ahead it fails, and then nothing has changed: an offer stays. */
static int share_detach(struct transport *transport, int fds[2])
{
    const struct fd_transport *t = fd_of(transport);
    bool has_left = t->share != NULL && share_has_left(t->share);
    if (!has_left && t->begin != t->end)
        return fd_ops.detach(transport, fds);
    if (end_unless_left(transport) == NULL)
        return fd_ops.detach(transport, fds);
    errno = EOPNOTSUPP;
    return -1;
}

/* In both tables: these look at the state. */
#define SHARE_MEMBERS                                                                       \
    .goodbye = fd_goodbye, .accept_fds = fd_accept_fds, .reserve = share_reserve,           \
    .commit = share_commit, .carries_fds = share_carries_fds, .write_fds = share_write_fds, \
    .shutdown = share_shutdown, .wait = share_wait, .descriptor = fd_descriptor,            \
    .update_readiness = share_update_readiness, .over = share_over, .unread = fd_unread,    \
    .peer = fd_peer, .credentials = fd_credentials, .close = share_close, .detach = share_detach

static const struct transport_ops share_ops = {SHARE_MEMBERS, .peek = share_peek, .skip = fd_skip,
                                               .read = share_read, .writev = share_writev};

static const struct transport_ops moved_ops = {SHARE_MEMBERS, .peek = moved_peek,
                                               .skip = moved_skip, .read = moved_read,
                                               .writev = moved_writev};

void transport_share(struct transport *transport, enum share_role role)
{
    struct fd_transport *t = fd_of(transport);
    transport->peek_max = RING_WINDOW; /* what it can become shows no more */
    if (role >= SHARE_FIRST_OF_PAIR)
        t->carries = FD_CARRIES_NONE;
    if (share_new(t, role) == NULL)
        return;
    t->open_ops = &share_ops;
    if (atomic_load(&transport->ops) == &fd_ops)
        atomic_store(&transport->ops, &share_ops);
    if (t->in >= 0 && role == SHARE_OPENED_IT)
        share_look(t);
}
