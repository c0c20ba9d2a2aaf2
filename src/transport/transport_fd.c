/* SPDX-License-Identifier: MIT */
/*
 * Two descriptors, or one for both ways: pipes, FIFOs, sockets, terminals, files. Reads ahead into
 * a buffer of its own, so that many short messages cost one system call. Knows nothing of frames.
 */
#include <stdio.h>
#include <string.h>

#include "sys/sys_net.h"
#include "sys/sys_unix.h"
#include "transport/copy.h"
#include "transport/transport_fd.h"

/* See goes_before. */
#define LONG_PART   ((size_t)65536)
#define SHORT_PART  64
#define FIRST_BYTES 64

/* ---- input ---- */

static void note_read(struct fd_transport *t, size_t got)
{
    t->end += got;
    t->flows = t->end - t->begin >= FD_SMALL_SIZE / 2;
}

static bool passes(int error)
{
    return error == EAGAIN || error == ENOMEM || error == ENOBUFS || error == EMFILE;
}

/* Nothing has arrived, or the stream is broken, and the next read would find an end instead. */
static int no_data(struct fd_transport *t, int error, struct transport_view *view)
{
    view->drained = true;
    t->flows = false;
    if (!passes(error))
        t->failed = error;
    fd_give_up_empty(t, FD_SMALL_SIZE); /* who looks in vain may be idle for long */
    return error == EAGAIN ? 0 : -1;
}

/* What an earlier read met. What passes is reported once. */
static int still_failed(struct fd_transport *t)
{
    errno = t->failed;
    if (passes(errno))
        t->failed = 0;
    return -1;
}

static ssize_t read_more(struct fd_transport *t, void *to, size_t size)
{
    ssize_t got =
        t->receive == NULL ? sys_read(t->in, t->in_kind, to, size) : t->receive(t, to, size, false);
    transport_count_bytes(&t->base.counters.kernel_read, got);
    return got;
}

static bool is_cut(const struct fd_transport *t)
{
    return t->arrived != NULL && t->arrived->is_cut;
}

static void note_no_bytes(struct fd_transport *t, ssize_t got)
{
    if (got < 0 && errno == EAGAIN)
        t->blocks = false;
    else if (got < 0 && errno != EINTR)
        t->failed = errno;
    t->at_end = got == 0;
}

/*
 * One blocking read is all that an unlimited wait for input costs. EAGAIN: somebody has set
 * O_NONBLOCK; from now on it is poll that waits.
 */
static inline ssize_t wait_in_read(struct fd_transport *t, void *buffer, size_t size)
{
    transport_count_one(&t->base.counters.waits);
    ssize_t got = t->receive == NULL ? sys_read_wait(t->in, t->in_kind, buffer, size)
                                     : t->receive(t, buffer, size, true);
    transport_count_bytes(&t->base.counters.kernel_read, got);
    if (got <= 0)
        note_no_bytes(t, got);
    return got;
}

/* -1: no bytes, and errno as sys_read. */
static ssize_t read_or_wait(struct fd_transport *t, void *to, size_t size, bool waits)
{
    if (!waits || !t->blocks || t->receive != NULL)
        return read_more(t, to, size);
    ssize_t got = wait_in_read(t, to, size);
    if (got < 0)
        errno = EAGAIN; /* a signal, or what the next read returns */
    return got;
}

static int fill(struct fd_transport *t, size_t want, bool waits, struct transport_view *view)
{
    while (t->end - t->begin < want && !t->at_end) {
        if (t->failed != 0)
            return still_failed(t);
        if (fd_make_room(t, want) != 0)
            return -1;
        size_t room = t->capacity - t->end;
        ssize_t got = read_or_wait(t, t->buffer + t->end, room, waits);
        if (got < 0)
            return no_data(t, errno, view);
        t->at_end = got == 0;
        t->full = (size_t)got == room || is_cut(t);
        view->drained = t->own && !t->full;
        note_read(t, (size_t)got);
    }
    return 0;
}

static void fill_and_wait(struct fd_transport *t)
{
    if (!t->blocks || t->failed != 0 || t->at_end)
        return; /* there is nothing to wait for, and another read would hide it */
    int64_t yielded = pace_give_head_start(&t->pace);
    t->flows = t->flows || yielded > 0;
    if (fd_make_room(t, 1) != 0)
        return;
    ssize_t got = wait_in_read(t, t->buffer + t->end, t->capacity - t->end);
    t->full = true;
    note_read(t, got > 0 ? (size_t)got : 0);
    if (yielded > 0 && got > 0)
        pace_note_yield(&t->pace, yielded, (size_t)got + sys_unread(t->in));
    pace_note_read(&t->pace, got > 0 ? (size_t)got : 0);
}

/* The next read reports it. */
static bool is_broken(const struct fd_transport *t)
{
    return t->failed != 0 && !passes(t->failed);
}

static ssize_t fd_peek(struct transport *transport, size_t want, enum transport_peek mode,
                       struct transport_view *view)
{
    struct fd_transport *t = fd_of(transport);
    if (t->end - t->begin < want) {
        bool reads = mode == PEEK_READ || mode == PEEK_WAIT;
        if (reads && fill(t, want, mode == PEEK_WAIT, view) != 0)
            return -1;
        if (mode == PEEK_BLOCK && t->begin == t->end)
            fill_and_wait(t);
    }
    view->end = t->at_end || (mode == PEEK_MEMORY && is_broken(t));
    view->bytes = t->buffer == NULL ? (const uint8_t *)"" : t->buffer + t->begin;
    return (ssize_t)(t->end - t->begin);
}

void fd_skip(struct transport *transport, size_t size)
{
    struct fd_transport *t = fd_of(transport);
    t->begin += size;
    fd_give_up_empty(t, fd_small_size(t));
}

bool fd_goodbye(struct transport *transport)
{
    (void)transport;
    return true;
}

static ssize_t take_ahead(struct fd_transport *t, void *buffer, size_t size)
{
    size_t ahead = t->end - t->begin;
    size_t take = size < ahead ? size : ahead;
    copy_message(buffer, t->buffer + t->begin, take);
    t->begin += take;
    fd_give_up_empty(t, fd_small_size(t));
    return (ssize_t)take;
}

/* Where there is not enough room for a read: what does not fit stays for the next. */
static ssize_t read_by_way_of_buffer(struct fd_transport *t, void *buffer, size_t size)
{
    struct transport_view unused;
    if (fill(t, 1, false, &unused) != 0)
        return -1;
    if (t->begin < t->end)
        return take_ahead(t, buffer, size);
    errno = EAGAIN;
    return t->at_end ? 0 : -1;
}

/*
 * What follows a long message comes by the same read: the header of the next one, which is as long
 * perhaps.
 */
static ssize_t wait_for_more(struct fd_transport *t, void *buffer, size_t size)
{
    if (fd_make_room(t, 1) != 0)
        return wait_in_read(t, buffer, size);
    size_t room = t->flows ? t->capacity - t->end : fd_small_size(t);
    struct iovec parts[2] = {{buffer, size}, {t->buffer + t->end, room}};
    transport_count_one(&t->base.counters.waits);
    ssize_t got = sys_readv_wait(t->in, t->in_kind, parts, 2);
    transport_count_bytes(&t->base.counters.kernel_read, got);
    if (got <= 0)
        note_no_bytes(t, got);
    if (got <= (ssize_t)size)
        return got;
    t->end += (size_t)got - size;
    return (ssize_t)size;
}

/* Asked once, when it matters for the first time. */
static bool is_tcp(struct fd_transport *t)
{
    if (t->in_kind != SYS_SOCKET)
        return false;
    if (t->in_is_local == 0)
        t->in_is_local = sys_socket_is_local(t->in) ? 1 : -1;
    return t->in_is_local < 0;
}

/*
 * A message so long is better read to its place by a second call than copied there. TCP is faster
 * with a wait of its own and a large first read (256 KiB there and back on one core: a sixth).
 */
static bool is_long(struct fd_transport *t, size_t size)
{
    return size >= LONG_PART / 2 && !is_tcp(t);
}

/* Past the buffer. Behind a long message it may be small, since the next one may be as long. */
static ssize_t read_directly(struct fd_transport *t, void *buffer, size_t size, bool waits)
{
    t->full = false;
    if (is_long(t, size))
        t->flows = false;
    if (waits && t->blocks && t->receive == NULL && !is_tcp(t)) {
        ssize_t got = wait_for_more(t, buffer, size);
        if (got < 0)
            errno = EAGAIN;
        return got;
    }
    ssize_t got = read_more(t, buffer, size);
    t->at_end = got == 0;
    return got;
}

static ssize_t fd_read(struct transport *transport, void *buffer, size_t size, bool waits)
{
    struct fd_transport *t = fd_of(transport);
    if (t->begin < t->end)
        return take_ahead(t, buffer, size);
    if (t->at_end)
        return 0;
    if (size < t->least)
        return read_by_way_of_buffer(t, buffer, size);
    if (t->failed != 0)
        return still_failed(t);
    return read_directly(t, buffer, size, waits);
}

/* ---- output ---- */

/*
 * Into a pipe a header and the first bytes of a long part go by themselves, and the rest begins a
 * page then. Otherwise each page holds the long part four bytes further (a frame's header) than
 * memory from mmap has it, and 16 bytes before where memory from malloc has it. Copies to addresses
 * that are 1 to 31 bytes further within their page are four times slower on some processors
 * (AMD's): 64 KiB took 30 microseconds more, on either side.
 */
static bool goes_before(const struct fd_transport *t, const struct iovec *parts, int count)
{
    return count == 2 && parts[1].iov_len >= LONG_PART && parts[0].iov_len < SHORT_PART &&
           t->out_kind != SYS_SOCKET;
}

static ssize_t fd_writev(struct transport *transport, const struct iovec *parts, int count)
{
    struct fd_transport *t = fd_of(transport);
    if (t->out < 0) {
        errno = EPIPE;
        return -1;
    }
    struct iovec first[2];
    if (goes_before(t, parts, count)) { /* the rest goes with the next call */
        first[0] = parts[0];
        first[1] = (struct iovec){parts[1].iov_base, FIRST_BYTES};
        parts = first;
    }
    pace_note_write(&t->pace);
    ssize_t sent = sys_writev(t->out, t->out_kind, parts, count);
    atomic_store_explicit(&t->wrote, true, memory_order_relaxed);
    transport_count_bytes(&t->base.counters.kernel_written, sent);
    return sent;
}

/* A write is a system call, which needs no room of ours: reserve_max is 0. */
static uint8_t *fd_reserve(struct transport *transport, size_t size)
{
    (void)transport;
    (void)size;
    errno = EMSGSIZE;
    return NULL;
}

static void fd_commit(struct transport *transport, size_t size)
{
    (void)transport;
    (void)size;
}

static int fd_shutdown(struct transport *transport)
{
    struct fd_transport *t = fd_of(transport);
    if (t->out_kind == SYS_SOCKET)
        return sys_shutdown_write(t->out);
    if (t->out == t->in)
        return 0; /* a terminal or a file has no half to close */
    ready_forget_out(&t->ready);
    fd_give_back(t, t->out, t->out_was_blocking);
    sys_close(t->out);
    t->out = -1;
    return 0;
}

/* ---- waiting ---- */

static int fd_wait(struct transport *transport, unsigned events, int64_t deadline)
{
    struct fd_transport *t = fd_of(transport);
    /* poll reports hang-ups, wanted or not: so what is not wanted has a negative number. */
    struct pollfd fds[2] = {{.fd = events & TRANSPORT_IN ? t->in : -1, .events = POLLIN},
                            {.fd = events & TRANSPORT_OUT ? t->out : -1, .events = POLLOUT}};
    transport_count_one(&t->base.counters.waits);
    int ready = sys_poll(fds, 2, deadline);
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready > 0 ? 0 : -1;
}

int fd_descriptor(struct transport *transport)
{
    return ready_descriptor(&fd_of(transport)->ready);
}

static enum ready_watch watch_of(unsigned events, unsigned all, unsigned end)
{
    return events & all ? READY_FOR_ALL : events & end ? READY_AT_END : READY_NOT;
}

static bool fd_update_readiness(struct transport *transport, bool readable, unsigned events)
{
    struct fd_transport *t = fd_of(transport);
    struct ready_state state = {.readable = readable,
                                .edge = (events & TRANSPORT_EDGE) != 0,
                                .wrote = atomic_load(&t->wrote),
                                .in = watch_of(events, TRANSPORT_IN, TRANSPORT_IN_END),
                                .out = watch_of(events, TRANSPORT_OUT, TRANSPORT_OUT_END)};
    if (state.wrote)
        atomic_store_explicit(&t->wrote, false, memory_order_relaxed);
    if (t->out < 0)
        state.out = READY_NOT;
    return ready_update(&t->ready, &state);
}

static unsigned fd_over(struct transport *transport)
{
    return ready_is_over(&fd_of(transport)->ready) ? TRANSPORT_IN : 0;
}

bool fd_unread(struct transport *transport)
{
    return sys_unread(fd_of(transport)->in) > 0;
}

/* ---- the rest ---- */

/*
 * Only of a connection that libpipc has made: who brings a socket may have made both of its ends.
 */
int fd_credentials(struct transport *transport, struct sys_credentials *credentials)
{
    struct fd_transport *t = fd_of(transport);
    if (t->peer != NULL) {
        *credentials = *t->peer;
        return 0;
    }
    if (t->own && t->in_kind == SYS_SOCKET)
        return sys_unix_credentials(t->in, credentials);
    errno = EOPNOTSUPP;
    return -1;
}

void fd_peer(struct transport *transport, char *text, size_t size)
{
    struct fd_transport *t = fd_of(transport);
    struct sys_credentials peer;
    if (fd_credentials(transport, &peer) == 0) {
        snprintf(text, size, "process %lld of user %u", (long long)peer.pid, (unsigned)peer.uid);
        return;
    }
    if (t->in_kind == SYS_SOCKET && sys_peer_address_text(t->in, text, size) == 0)
        return;
    if (t->in == t->writes_to)
        snprintf(text, size, "descriptor %d", t->in);
    else
        snprintf(text, size, "descriptors %d and %d", t->in, t->writes_to);
}

/* All but the descriptors. */
static void free_transport(struct fd_transport *t)
{
    ready_close(&t->ready);
    fd_give_back(t, t->in, t->in_was_blocking);
    if (t->out != t->in)
        fd_give_back(t, t->out, t->out_was_blocking);
    sys_free(t->buffer);
    sys_free(t->peer);
    sys_free(t);
}

/* In a child that closes its copy the socket is its parent's as well, and no close waits. */
static void end_linger(const struct fd_transport *t)
{
    if (t->own || self_process() != t->opener)
        return;
    if (t->in_kind == SYS_SOCKET)
        sys_socket_end_linger(t->in);
    if (t->out_kind == SYS_SOCKET && t->out >= 0 && t->out != t->in)
        sys_socket_end_linger(t->out);
}

static void fd_close(struct transport *transport)
{
    struct fd_transport *t = fd_of(transport);
    int in = t->in, out = t->out;
    end_linger(t);
    free_transport(t);
    sys_close(in);
    if (out != in)
        sys_close(out);
}

/* Not all of the descriptors that the library has made were so; and see pipc.h, 12. */
static void give_back_blocking(const struct fd_transport *t)
{
    if (!t->own)
        return;
    sys_nonblock(t->in, false);
    if (t->out != t->in && t->out >= 0)
        sys_nonblock(t->out, false);
}

static int fd_detach(struct transport *transport, int fds[2])
{
    struct fd_transport *t = fd_of(transport);
    if (t->begin != t->end) {
        errno = EAGAIN;
        return -1;
    }
    if (t->failed != 0 && !passes(t->failed)) {
        errno = t->failed; /* bytes of the stream may be gone */
        return -1;
    }
    give_back_blocking(t);
    fd_permit_as_before(t);
    fds[0] = t->in;
    fds[1] = t->out;
    free_transport(t);
    return 0;
}

const struct transport_ops fd_ops = {
    .peek = fd_peek,
    .skip = fd_skip,
    .goodbye = fd_goodbye,
    .read = fd_read,
    .accept_fds = fd_accept_fds,
    .writev = fd_writev,
    .reserve = fd_reserve,
    .commit = fd_commit,
    .carries_fds = fd_carries_fds,
    .write_fds = fd_write_fds,
    .shutdown = fd_shutdown,
    .wait = fd_wait,
    .descriptor = fd_descriptor,
    .update_readiness = fd_update_readiness,
    .over = fd_over,
    .unread = fd_unread,
    .peer = fd_peer,
    .credentials = fd_credentials,
    .close = fd_close,
    .detach = fd_detach,
};
