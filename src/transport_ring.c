/* SPDX-License-Identifier: MIT */
/*
 * One end of an anonymous pipe: two rings in shared memory, and a bell per end.
 *
 * A side that waits says for what in its `want` word and looks once more; a side that publishes
 * bytes or room looks at the other's `want` afterwards, takes it and rings. Between the one's store and its
 * look there is a full fence on both sides, and everything hangs on it: one of the two sees the other.
 *
 * The own positions are kept here and only copied to the shared memory; those of the partner are
 * checked at each look. A writer publishes short frames whole, long ones piece by piece.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ends.h"
#include "sys.h"
#include "transport.h"
#include "watch.h"

enum { WANT_BYTES = 1, WANT_ROOM = 2 };

#define RING  SHARED_RING_SIZE
#define PIECE (RING / 4) /* so that reader and writer of a long message work at the same time */
/*
 * Ticks, a microsecond or more. A partner that died is seen by its watch or by the hook of its thread; what they miss (exec, a
 * foreign pid namespace) by its lock, at each tick of a wait, and before a write. A look costs half
 * a microsecond, so a writer at full speed spares it for the time that no process needs less of to
 * die and be waited for.
 */
#define CHECK_INTERVAL 4000

struct ring {
    struct transport base;
    struct ends *ends;
    struct shared_page *page;
    unsigned end;
    uint8_t *in_data, *out_data;
    uint64_t in_tail, in_head;   /* own position; the partner's as last seen */
    uint64_t out_head, out_tail; /* likewise */
    bool broken;                 /* the partner's positions made no sense */
    int64_t checked;             /* in ticks, when the partner was last known to live */

    int waits;      /* set of bell (edge) and watch, for `wait`; -1: poll them */
    int descriptor; /* set of bell (level) and watch, for the program; -1: nobody asked */
    struct watch watch;
    enum { BELL_UNKNOWN, BELL_QUIET, BELL_LOUD } bell; /* quiet: until somebody takes our wish */
    uint64_t settled_in, settled_out; /* positions when the descriptor was last settled */
    bool starved;                     /* since then a look found less than it wanted */
};

static struct ring *ring_of(struct transport *transport)
{
    return (struct ring *)transport;
}

static const int *own_bell(const struct ring *r)
{
    return r->ends->shared.bell[r->end];
}

/* ---- the protocol ---- */

static atomic_uint *want_of(struct ring *r, unsigned end)
{
    return &r->page->end[end].want;
}

/* After a store that the partner may be waiting for. */
static void wake_partner(struct ring *r, unsigned bit)
{
    atomic_thread_fence(memory_order_seq_cst);
    atomic_uint *want = want_of(r, 1 - r->end);
    if ((atomic_load_explicit(want, memory_order_relaxed) & bit) != 0 &&
        atomic_exchange(want, 0) != 0)
        sys_bell_ring(r->ends->shared.bell[1 - r->end]);
}

static int see_head(struct ring *r)
{
    uint64_t head = atomic_load_explicit(&r->page->ring[1 - r->end].head, memory_order_acquire);
    /* Forwards only, and never further than the ring is long. */
    if (head - r->in_tail > RING || head - r->in_head > RING)
        r->broken = true;
    else
        r->in_head = head;
    if (r->broken)
        errno = EPROTO;
    return r->broken ? -1 : 0;
}

static int see_tail(struct ring *r)
{
    uint64_t tail = atomic_load_explicit(&r->page->ring[r->end].tail, memory_order_acquire);
    if (r->out_head - tail > RING)
        r->broken = true;
    else
        r->out_tail = tail;
    if (r->broken)
        errno = EPROTO;
    return r->broken ? -1 : 0;
}

/* Has what is wanted come since it was last looked for? */
static bool is_there(struct ring *r, unsigned bits)
{
    const struct shared_page *page = r->page;
    if (ends_partner_stamp(r->ends, r->end) != r->watch.stamp)
        return true;
    if ((bits & WANT_BYTES) && atomic_load(&page->ring[1 - r->end].head) != r->in_head)
        return true;
    if ((bits & WANT_ROOM) == 0)
        return false;
    uint64_t used = r->out_head - atomic_load(&page->ring[r->end].tail);
    return used <= RING / 2 || used > RING; /* or makes no sense, which the next write says */
}

static void disarm(struct ring *r)
{
    atomic_exchange(want_of(r, r->end), 0);
}

/* Say what is waited for, and look again. True: it is there, and nobody will ring for it. */
static bool arm(struct ring *r, unsigned bits)
{
    atomic_store(want_of(r, r->end), bits);
    atomic_thread_fence(memory_order_seq_cst);
    if (!is_there(r, bits))
        return false;
    disarm(r);
    return true;
}

static unsigned bits_of(unsigned events)
{
    return (events & TRANSPORT_IN ? WANT_BYTES : 0u) | (events & TRANSPORT_OUT ? WANT_ROOM : 0u);
}

/* ---- the partner ---- */

static enum ends_status partner_status(const struct ring *r)
{
    return ends_status_of(ends_partner_stamp(r->ends, r->end));
}

static bool is_partner_gone(struct ring *r)
{
    enum ends_status status = partner_status(r);
    if (!ends_is_held(status))
        return status == ENDS_DEAD;
    int64_t now = sys_ticks();
    if (now - r->checked < CHECK_INTERVAL && now >= r->checked)
        return false;
    r->checked = now;
    return ends_partner_gone(r->ends, r->end);
}

/* ---- input ---- */

/* Will nothing more be written? The program's own peek at what is in memory asks the kernel nothing. */
static bool is_input_over(struct ring *r, bool ask)
{
    enum ends_status status = partner_status(r);
    return status == ENDS_SHUT || status == ENDS_DEAD || (ask && is_partner_gone(r));
}

static ssize_t ring_peek(struct transport *transport, size_t want, const uint8_t **bytes, bool *end)
{
    struct ring *r = ring_of(transport);
    *end = false;
    if (r->in_head - r->in_tail < want || want == 0) {
        if (see_head(r) != 0)
            return -1;
        bool less = r->in_head - r->in_tail < want;
        r->starved = r->starved || less;
        *end = (want == 0 || less) && is_input_over(r, want > 0);
        /* It may have written between our look and its end: what it wrote comes first. */
        if (*end && see_head(r) != 0)
            return -1;
    }
    *bytes = r->in_data + (r->in_tail & (RING - 1));
    return (ssize_t)(r->in_head - r->in_tail);
}

static void ring_skip(struct transport *transport, size_t size)
{
    struct ring *r = ring_of(transport);
    r->in_tail += size;
    /* The store and the look at the wish are in one order with the writer's wish and look. */
    atomic_store(&r->page->ring[1 - r->end].tail, r->in_tail);
    if ((atomic_load(want_of(r, 1 - r->end)) & WANT_ROOM) == 0)
        return;
    /* Half a ring is what the writer waits for: each wake-up is worth many messages. */
    if (atomic_load(&r->page->ring[1 - r->end].head) - r->in_tail <= RING / 2)
        wake_partner(r, WANT_ROOM);
}

static ssize_t ring_read(struct transport *transport, void *buffer, size_t size)
{
    const uint8_t *bytes;
    bool end;
    ssize_t there = ring_peek(transport, 1, &bytes, &end);
    if (there < 0)
        return -1;
    if (there == 0) {
        errno = EAGAIN;
        return end ? 0 : -1;
    }
    size_t take = size < (size_t)there ? size : (size_t)there;
    if (take > PIECE)
        take = PIECE;
    memcpy(buffer, bytes, take);
    ring_skip(transport, take);
    return (ssize_t)take;
}

/* ---- output ---- */

static size_t total_size(const struct iovec *parts, int count)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    return total;
}

static void copy_out(struct ring *r, const struct iovec *parts, size_t size)
{
    uint8_t *to = r->out_data + (r->out_head & (RING - 1));
    while (size > 0) {
        size_t part = parts->iov_len < size ? parts->iov_len : size;
        if (part > 0)
            memcpy(to, parts->iov_base, part);
        to += part;
        size -= part;
        parts++;
    }
}

/* How many of `total` bytes may go now; 0: none. */
static size_t room_for(struct ring *r, size_t total)
{
    size_t room = RING - (size_t)(r->out_head - r->out_tail);
    if (total <= PIECE)
        return room >= total ? total : 0;
    return room < PIECE ? room : PIECE;
}

static ssize_t ring_writev(struct transport *transport, const struct iovec *parts, int count)
{
    struct ring *r = ring_of(transport);
    size_t total = total_size(parts, count);
    size_t size = room_for(r, total);
    if (size == 0 && see_tail(r) == 0)
        size = room_for(r, total);
    if (r->broken || is_partner_gone(r)) {
        errno = r->broken ? EPROTO : EPIPE;
        return -1;
    }
    if (size == 0) {
        errno = EAGAIN;
        return -1;
    }
    copy_out(r, parts, size);
    r->out_head += size;
    atomic_store_explicit(&r->page->ring[r->end].head, r->out_head, memory_order_release);
    wake_partner(r, WANT_BYTES);
    return (ssize_t)size;
}

static int ring_shutdown(struct transport *transport)
{
    struct ring *r = ring_of(transport);
    ends_shutdown(r->ends, r->end);
    return 0;
}

/* ---- waiting ---- */

static int wait_once(struct ring *r, int64_t deadline)
{
    if (r->watch.remote && r->watch.ticker < 0) { /* none to be had */
        int64_t tick = sys_now() + WATCH_TICK;
        deadline = deadline < 0 || tick < deadline ? tick : deadline;
    }
    if (r->waits >= 0)
        return sys_set_wait(r->waits, deadline);
    struct pollfd fds[3] = {{.fd = own_bell(r)[0], .events = POLLIN},
                            {.fd = r->watch.process, .events = POLLIN},
                            {.fd = r->watch.ticker, .events = POLLIN}};
    int ready = sys_poll(fds, 3, deadline);
    if (ready > 0)
        sys_bell_quiet(own_bell(r));
    return ready;
}

static int ring_wait(struct transport *transport, unsigned events, int64_t deadline)
{
    struct ring *r = ring_of(transport);
    unsigned bits = bits_of(events);
    int ready;
    watch_partner(&r->watch, r->waits, r->descriptor);
    r->bell = BELL_UNKNOWN;
    for (;;) {
        if (arm(r, bits))
            return 0;
        ready = wait_once(r, deadline);
        if (ready < 0)
            break;
        if (is_there(r, bits)) {
            r->checked = sys_ticks(); /* it has just been alive */
            break;
        }
        /* A tick, a death, or a ring for something that we have already seen. */
        watch_quiet(&r->watch);
        if (ends_partner_gone(r->ends, r->end))
            break;
        if (deadline >= 0 && sys_now() >= deadline) {
            errno = ETIMEDOUT;
            ready = -1;
            break;
        }
    }
    disarm(r);
    return ready < 0 ? -1 : 0;
}

/* ---- the descriptor ---- */

/* The watch joins when there is somebody to be watched. */
static int open_set(const struct ring *r, uint32_t bell_events)
{
    int set = sys_set_open();
    if (set < 0)
        return -1;
    if (sys_set_add(set, own_bell(r)[0], bell_events) == 0)
        return set;
    sys_close(set);
    return -1;
}

static int ring_descriptor(struct transport *transport)
{
    struct ring *r = ring_of(transport);
    if (r->descriptor < 0) {
        r->descriptor = open_set(r, sys_set_in);
        watch_descriptor(&r->watch, r->descriptor);
    }
    return r->descriptor;
}

/*
 * Readable now; and a new edge for who waits for one after it was told that there is no more, or no room:
 * what came since then, or comes later, may find the bell loud already.
 */
static void make_loud(struct ring *r, unsigned bits)
{
    bool news = r->starved || r->bell != BELL_LOUD;
    if ((bits & WANT_ROOM) == 0)
        disarm(r);
    else if (arm(r, WANT_ROOM))
        news = true;
    if (news)
        sys_bell_ring(own_bell(r));
    r->bell = BELL_LOUD;
}

/* Still armed, and something was done: then nothing has rung, and nothing is missed. */
static bool is_settled(struct ring *r, unsigned bits)
{
    bool idle = r->settled_in == r->in_tail && r->settled_out == r->out_head;
    r->settled_in = r->in_tail;
    r->settled_out = r->out_head;
    return r->bell == BELL_QUIET && !idle && atomic_load(want_of(r, r->end)) == bits;
}

static void make_quiet(struct ring *r, unsigned bits)
{
    disarm(r);
    if (r->watch.ticks)
        watch_quiet(&r->watch);
    sys_bell_quiet(own_bell(r));
    r->bell = BELL_QUIET;
    if (arm(r, bits))
        make_loud(r, 0);
}

static void ring_settle(struct transport *transport, bool loud, unsigned events)
{
    struct ring *r = ring_of(transport);
    unsigned bits = bits_of(events);
    bool changed = watch_partner(&r->watch, r->waits, r->descriptor);
    if (loud)
        make_loud(r, bits);
    else if (!is_settled(r, bits) || changed)
        make_quiet(r, bits);
    r->starved = false;
}

/* ---- the rest ---- */

static void ring_peer(struct transport *transport, char *text, size_t size)
{
    struct ring *r = ring_of(transport);
    enum ends_status status = partner_status(r);
    pid_t pid = ends_partner_process(r->ends, r->end);
    if (!ends_is_held(status))
        snprintf(text, size, status == ENDS_DEAD ? "gone" : "nobody yet");
    else if (pid > 0)
        snprintf(text, size, "process %ld", (long)pid);
    else
        snprintf(text, size, pid == 0 ? "thread of this process" : "process of another namespace");
}

static void ring_close(struct transport *transport)
{
    struct ring *r = ring_of(transport);
    sys_close(r->waits);
    sys_close(r->descriptor);
    watch_close(&r->watch);
    sys_free(r);
}

static const struct transport_ops ring_ops = {
    .peek = ring_peek,
    .skip = ring_skip,
    .read = ring_read,
    .writev = ring_writev,
    .shutdown = ring_shutdown,
    .wait = ring_wait,
    .descriptor = ring_descriptor,
    .settle = ring_settle,
    .peer = ring_peer,
    .close = ring_close,
};

/* Positions go on from where the last holder of this end left them. */
static void take_positions(struct ring *r)
{
    struct shared_page *page = r->page;
    r->in_tail = atomic_load(&page->ring[1 - r->end].tail);
    r->in_head = r->in_tail;
    r->out_head = atomic_load(&page->ring[r->end].head);
    r->out_tail = r->out_head - RING; /* unknown: looked at before the first write */
}

struct transport *transport_ring(struct ends *ends, unsigned end)
{
    struct ring *r = sys_alloc(sizeof *r);
    if (r == NULL)
        return NULL;
    *r = (struct ring){.base = {.ops = &ring_ops, .window = PIECE, .whole = PIECE},
                       .ends = ends,
                       .page = ends->shared.page,
                       .end = end,
                       .in_data = ends->shared.data[1 - end],
                       .out_data = ends->shared.data[end],
                       .waits = -1,
                       .descriptor = -1};
    watch_init(&r->watch, ends, end);
    take_positions(r);
    /* One call to wait instead of two. A bell that is a pipe must be emptied, so there it is poll. */
    if (own_bell(r)[0] == own_bell(r)[1])
        r->waits = open_set(r, sys_set_in | sys_set_edge);
    return &r->base;
}
