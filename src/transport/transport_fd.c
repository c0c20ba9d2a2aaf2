/* SPDX-License-Identifier: MIT */
/*
 * Two descriptors, or one for both ways: pipes, FIFOs, sockets, terminals, files. Reads ahead into
 * a buffer of its own, so that many short messages cost one system call. Knows nothing of frames.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "sys/self.h"
#include "sys/sys.h"
#include "sys/sys_net.h"
#include "transport/pace.h"
#include "transport/ready.h"
#include "transport/transport.h"

/*
 * As much as a pipe holds by default, so that one read empties it; and what is enough while little
 * comes, since there may be ten thousand idle connections.
 */
#define BUFFER_SIZE       ((size_t)65536)
#define SMALL_BUFFER_SIZE ((size_t)2048)
/* Larger messages go straight to their place: a second copy costs more than a second read. */
#define WINDOW 16384

struct fd_transport {
    struct transport base;
    int in, out;       /* out: -1 once it is closed */
    int writes_to;     /* its number, as a name */
    atomic_bool wrote; /* since the last update of readiness; apart from what a reader loads */
    enum sys_kind in_kind, out_kind;
    bool in_was_blocking, out_was_blocking; /* and got O_NONBLOCK from us */
    bool own; /* libpipc's: a short read has emptied it, but for a foreign writer's packets */
    uint32_t opener; /* the process that gives the descriptors their flags back */
    size_t least;    /* room that each read has to offer */
    uint8_t *buffer; /* allocated at the first read */
    size_t capacity, begin, end;
    bool flows; /* the last read brought much: the next wants a large buffer */
    bool full;  /* and it filled the one it had, or somebody waits for more */
    struct pace pace;
    bool blocks; /* a read waits; cleared when somebody has set O_NONBLOCK */
    bool at_end;
    int failed; /* why the stream is broken; or what passes, for the next look */
    struct ready ready;
};

_Static_assert(offsetof(struct fd_transport, base) == 0, "fd_of casts");
_Static_assert(SMALL_BUFFER_SIZE < WINDOW && 2 * WINDOW <= BUFFER_SIZE,
               "a message that is shown as a whole and a read have room");

static struct fd_transport *fd_of(struct transport *transport)
{
    return (struct fd_transport *)transport;
}

/* ---- input ---- */

static int grow(struct fd_transport *t, size_t capacity)
{
    uint8_t *grown = sys_realloc(t->buffer, capacity);
    if (grown == NULL)
        return -1;
    t->buffer = grown;
    t->capacity = capacity;
    return 0;
}

/* While little comes. */
static size_t small_size(const struct fd_transport *t)
{
    return t->least > SMALL_BUFFER_SIZE ? t->least : SMALL_BUFFER_SIZE;
}

/* With the bytes of a message that is not whole yet, room for a read behind them. */
static size_t large_size(const struct fd_transport *t)
{
    return t->least > BUFFER_SIZE - WINDOW ? t->least + WINDOW : BUFFER_SIZE;
}

/* Room for `want` bytes from `begin` on, and for a read; and more where much comes. */
static int make_room(struct fd_transport *t, size_t want)
{
    if (t->begin == t->end)
        t->begin = t->end = 0;
    size_t needed = t->end - t->begin + t->least;
    if (needed < want)
        needed = want;
    if (needed <= t->capacity - t->begin && !t->flows)
        return 0; /* the usual case */
    size_t large = large_size(t);
    if (t->capacity < large && (t->flows || needed > t->capacity)) {
        size_t capacity = t->flows || needed > small_size(t) ? large : small_size(t);
        if (grow(t, capacity) != 0)
            return -1;
    }
    if (t->begin + needed > t->capacity) {
        memmove(t->buffer, t->buffer + t->begin, t->end - t->begin);
        t->end -= t->begin;
        t->begin = 0;
    }
    return 0;
}

static void note_read(struct fd_transport *t, size_t got)
{
    t->flows = got >= SMALL_BUFFER_SIZE / 2;
    t->end += got;
}

/* An empty buffer of over `kept` bytes goes back to the heap, if nothing is known to follow. */
static void give_up_empty(struct fd_transport *t, size_t kept)
{
    if (t->begin != t->end || (t->flows && t->full) || t->capacity <= kept)
        return;
    sys_free(t->buffer);
    t->buffer = NULL;
    t->capacity = t->begin = t->end = 0;
}

static bool passes(int error)
{
    return error == EAGAIN || error == ENOMEM || error == ENOBUFS;
}

/* Nothing has arrived, or the stream is broken, and the next read would find an end instead. */
static int no_data(struct fd_transport *t, int error, struct transport_view *view)
{
    view->drained = true;
    t->flows = false;
    if (!passes(error))
        t->failed = error;
    give_up_empty(t, SMALL_BUFFER_SIZE); /* who looks in vain may be idle for long */
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

static int fill(struct fd_transport *t, size_t want, struct transport_view *view)
{
    while (t->end - t->begin < want && !t->at_end) {
        if (t->failed != 0)
            return still_failed(t);
        if (make_room(t, want) != 0)
            return -1;
        size_t room = t->capacity - t->end;
        ssize_t got = sys_read(t->in, t->in_kind, t->buffer + t->end, room);
        if (got < 0)
            return no_data(t, errno, view);
        t->at_end = got == 0;
        t->full = (size_t)got == room;
        view->drained = t->own && !t->full;
        note_read(t, (size_t)got);
    }
    return 0;
}

/*
 * One blocking read is all that an unlimited wait for input costs. EAGAIN: somebody has set
 * O_NONBLOCK; from now on it is poll that waits.
 */
static void fill_and_wait(struct fd_transport *t)
{
    if (!t->blocks || t->failed != 0 || t->at_end || make_room(t, 1) != 0)
        return; /* there is nothing to wait for, and another read would hide it */
    pace_give_head_start(&t->pace);
    ssize_t got = sys_read_wait(t->in, t->in_kind, t->buffer + t->end, t->capacity - t->end);
    if (got < 0 && errno == EAGAIN)
        t->blocks = false;
    else if (got < 0 && errno != EINTR)
        t->failed = errno;
    t->at_end = got == 0;
    t->full = true;
    note_read(t, got > 0 ? (size_t)got : 0);
    pace_note_read(&t->pace, got > 0 ? (size_t)got : 0);
}

static ssize_t fd_peek(struct transport *transport, size_t want, enum transport_peek mode,
                       struct transport_view *view)
{
    struct fd_transport *t = fd_of(transport);
    if (t->end - t->begin < want) {
        if (mode == PEEK_READ && fill(t, want, view) != 0)
            return -1;
        if (mode == PEEK_BLOCK && t->begin == t->end)
            fill_and_wait(t);
    }
    view->end = t->at_end;
    view->bytes = t->buffer == NULL ? (const uint8_t *)"" : t->buffer + t->begin;
    return (ssize_t)(t->end - t->begin);
}

static void fd_skip(struct transport *transport, size_t size)
{
    struct fd_transport *t = fd_of(transport);
    t->begin += size;
    give_up_empty(t, small_size(t));
}

static bool fd_goodbye(struct transport *transport)
{
    (void)transport;
    return true;
}

static ssize_t take_ahead(struct fd_transport *t, void *buffer, size_t size)
{
    size_t ahead = t->end - t->begin;
    size_t take = size < ahead ? size : ahead;
    memcpy(buffer, t->buffer + t->begin, take);
    t->begin += take;
    give_up_empty(t, small_size(t));
    return (ssize_t)take;
}

/* Where there is not enough room for a read: what does not fit stays for the next. */
static ssize_t read_by_way_of_buffer(struct fd_transport *t, void *buffer, size_t size)
{
    struct transport_view unused;
    if (fill(t, 1, &unused) != 0)
        return -1;
    if (t->begin < t->end)
        return take_ahead(t, buffer, size);
    errno = EAGAIN;
    return t->at_end ? 0 : -1;
}

static ssize_t fd_read(struct transport *transport, void *buffer, size_t size)
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
    ssize_t got = sys_read(t->in, t->in_kind, buffer, size);
    t->at_end = got == 0;
    t->full = false;
    return got;
}

/* ---- output ---- */

static ssize_t fd_writev(struct transport *transport, const struct iovec *parts, int count)
{
    struct fd_transport *t = fd_of(transport);
    if (t->out < 0) {
        errno = EPIPE;
        return -1;
    }
    pace_note_write(&t->pace);
    ssize_t sent = sys_writev(t->out, t->out_kind, parts, count);
    atomic_store_explicit(&t->wrote, true, memory_order_relaxed);
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

static void give_back(struct fd_transport *t, int fd, bool was_blocking)
{
    int saved = errno;
    if (fd >= 0 && was_blocking && self_process() == t->opener)
        sys_nonblock(fd, false);
    errno = saved;
}

static int fd_shutdown(struct transport *transport)
{
    struct fd_transport *t = fd_of(transport);
    if (t->out_kind == SYS_SOCKET)
        return sys_shutdown_write(t->out);
    if (t->out == t->in)
        return 0; /* a terminal or a file has no half to close */
    ready_forget_out(&t->ready);
    give_back(t, t->out, t->out_was_blocking);
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
    int ready = sys_poll(fds, 2, deadline);
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready > 0 ? 0 : -1;
}

static int fd_descriptor(struct transport *transport)
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
    return sys_hung_up(fd_of(transport)->in) ? TRANSPORT_IN : 0;
}

static bool fd_unread(struct transport *transport)
{
    return sys_has_unread(fd_of(transport)->in);
}

/* ---- the rest ---- */

static void fd_peer(struct transport *transport, char *text, size_t size)
{
    struct fd_transport *t = fd_of(transport);
    if (t->in_kind == SYS_SOCKET && sys_peer_address_text(t->in, text, size) == 0)
        return;
    if (t->in == t->writes_to)
        snprintf(text, size, "descriptor %d", t->in);
    else
        snprintf(text, size, "descriptors %d and %d", t->in, t->writes_to);
}

static void fd_close(struct transport *transport)
{
    struct fd_transport *t = fd_of(transport);
    ready_close(&t->ready);
    give_back(t, t->in, t->in_was_blocking);
    if (t->out != t->in) {
        give_back(t, t->out, t->out_was_blocking);
        sys_close(t->out);
    }
    sys_close(t->in);
    sys_free(t->buffer);
    sys_free(t);
}

static const struct transport_ops fd_ops = {
    .peek = fd_peek,
    .skip = fd_skip,
    .goodbye = fd_goodbye,
    .read = fd_read,
    .writev = fd_writev,
    .reserve = fd_reserve,
    .commit = fd_commit,
    .shutdown = fd_shutdown,
    .wait = fd_wait,
    .descriptor = fd_descriptor,
    .update_readiness = fd_update_readiness,
    .over = fd_over,
    .unread = fd_unread,
    .peer = fd_peer,
    .close = fd_close,
};

/* On what needs it; *was_blocking says whether it is to be given back. */
static int need_nonblock(int fd, enum sys_kind kind, bool *was_blocking)
{
    int was = sys_needs_nonblock(kind) ? sys_nonblock(fd, true) : 1;
    *was_blocking = was == 0;
    return was < 0 ? -1 : 0;
}

static int set_nonblock(struct fd_transport *t)
{
    if (need_nonblock(t->in, t->in_kind, &t->in_was_blocking) != 0)
        return -1;
    if (t->out == t->in || need_nonblock(t->out, t->out_kind, &t->out_was_blocking) == 0)
        return 0;
    give_back(t, t->in, t->in_was_blocking);
    return -1;
}

static void start(struct fd_transport *t, int read_fd, int write_fd)
{
    t->in = read_fd;
    t->out = t->writes_to = write_fd;
    t->least = sys_read_least(t->in_kind);
    ready_init(&t->ready, read_fd, write_fd, t->in_kind == SYS_SOCKET);
}

static int find_kinds(struct fd_transport *t, int read_fd, int write_fd)
{
    if (sys_check_modes(read_fd, write_fd) != 0 || sys_kind(read_fd, &t->in_kind) != 0)
        return -1;
    return sys_kind(write_fd, &t->out_kind);
}

static void start_own(struct fd_transport *t, int read_fd, int write_fd)
{
    start(t, read_fd, write_fd);
    t->own = true;
    t->blocks = t->base.can_block = sys_nonblock(read_fd, false) >= 0;
}

struct transport *transport_fd_reserve(void)
{
    struct fd_transport *t = sys_alloc(sizeof *t);
    if (t == NULL)
        return NULL;
    *t = (struct fd_transport){.base = {.ops = &fd_ops, .peek_max = WINDOW, .reads_ahead = true},
                               .in = -1,
                               .out = -1,
                               .opener = self_process()};
    ready_init(&t->ready, -1, -1, false);
    return &t->base;
}

struct transport *transport_fd(int read_fd, int write_fd)
{
    struct transport *transport = transport_fd_reserve();
    if (transport == NULL)
        return NULL;
    struct fd_transport *t = fd_of(transport);
    int found = find_kinds(t, read_fd, write_fd);
    start(t, read_fd, write_fd);
    if (found == 0 && set_nonblock(t) == 0) {
        t->blocks = t->base.can_block = !sys_needs_nonblock(t->in_kind) && t->in_kind != SYS_FILE;
        return transport;
    }
    sys_free(t);
    return NULL;
}

/* Writing keeps the O_NONBLOCK that these were opened with; a socket needs none. */
int transport_fd_adopt(struct transport *transport, int read_fd, int write_fd)
{
    struct fd_transport *t = fd_of(transport);
    int found = find_kinds(t, read_fd, write_fd);
    t->in_kind = sys_kind_if_own(t->in_kind);
    t->out_kind = sys_kind_if_own(t->out_kind);
    start_own(t, read_fd, write_fd);
    return found;
}

struct transport *transport_fd_own(int read_fd, int write_fd)
{
    struct transport *transport = transport_fd_reserve();
    if (transport == NULL || transport_fd_adopt(transport, read_fd, write_fd) == 0)
        return transport;
    sys_free(transport);
    return NULL;
}

struct transport *transport_fd_socket(int fd)
{
    struct transport *transport = transport_fd_reserve();
    if (transport != NULL) {
        fd_of(transport)->in_kind = fd_of(transport)->out_kind = SYS_SOCKET;
        start_own(fd_of(transport), fd, fd);
    }
    return transport;
}
