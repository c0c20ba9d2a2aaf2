/* SPDX-License-Identifier: MIT */
/*
 * One end of an anonymous pipe as a transport: bytes into and out of the rings, and the partner's
 * life.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "peer/ring.h"
#include "sys/sys.h"

#define WHOLE (RING / 4)  /* a frame up to this size is written by one call, or not at all */
#define SHORT (RING / 16) /* one over this size is read as it comes */
#define PIECE (RING / 32) /* what is larger is published bit by bit: both sides work at once */
/*
 * In sys_ticks: some microseconds. A partner that died is seen by its watch or by the hook of its
 * thread; what they miss (exec, a foreign pid namespace) by its lock, at each tick of a wait, and
 * before a write. A look costs half a microsecond, so it is spared that long.
 */
#define CHECK_INTERVAL  50000
#define WHOLLY_INTERVAL 3000000 /* the same, where a peer may have handed its token on */
#define BLIND_WAIT      5000000 /* nanoseconds */
#define LINE            64
#define AHEAD           256 /* bytes */
#define AHEAD_MOST      1024
#define SPARE           7 /* messages in a stream that go without a look */

static struct ring *ring_of(struct transport *transport)
{
    return (struct ring *)transport;
}

static unsigned bits_of(unsigned events)
{
    return (events & TRANSPORT_IN ? WANT_BYTES : 0u) | (events & TRANSPORT_OUT ? WANT_ROOM : 0u);
}

/* ---- the peer ---- */

static enum ends_status peer_status(struct ring *r)
{
    r->seen = ends_peer_state(r->ends, r->end);
    return ends_status_of(r->seen);
}

static bool is_gone_now(struct ring *r, int64_t now, bool drained)
{
    bool is_held = ends_is_held(peer_status(r));
    bool wholly = (uint64_t)(now - r->checked_wholly) >= WHOLLY_INTERVAL;
    if (r->watch.is_dead || ends_status_of(r->seen) == ENDS_DEAD)
        return true;
    if (!is_held && !drained)
        return false;
    wholly = wholly || r->watch.has_ended;
    if (!wholly && (uint64_t)(now - r->checked) < CHECK_INTERVAL)
        return false;
    r->checked = now;
    if (wholly) {
        r->checked_wholly = now;
        watch_peer(&r->watch, &r->sets);
    }
    return watch_is_dead(&r->watch, r->in_tail, wholly);
}

/* At once, and in every way: for who has nothing better to do. */
static bool is_dead(struct ring *r)
{
    peer_status(r);
    watch_peer(&r->watch, &r->sets);
    return watch_is_dead(&r->watch, r->in_tail, true);
}

/*
 * The same before a small message, in whose 30 nanoseconds the 11 of the counter are many: in a
 * stream whose reader does not sleep most go without.
 */
static bool is_reader_gone(struct ring *r)
{
    bool is_awake = atomic_load_explicit(ring_want(r, 1 - r->end), memory_order_relaxed) == 0;
    if (is_awake && r->spare > 0) {
        r->spare--;
        return r->watch.is_dead || peer_status(r) == ENDS_DEAD;
    }
    int64_t now = sys_ticks();
    r->spare = ring_look_at_reader(r, now) ? SPARE : 0;
    return is_gone_now(r, now, false);
}

/* ---- input ---- */

/* Will nothing more be written? The program's own peek at what is in memory asks the kernel nothing. */
static bool is_input_over(struct ring *r, bool ask)
{
    enum ends_status status = peer_status(r);
    return r->watch.is_dead || status == ENDS_SHUT || status == ENDS_DEAD ||
           (ask && is_gone_now(r, sys_ticks(), r->in_tail == r->in_head));
}

/* A frame of more than a piece comes in pieces, but not in more of them than it has. */
static int look_for(struct ring *r, size_t want)
{
    for (size_t pieces = 0; pieces <= want / PIECE; pieces++) {
        uint64_t before = r->in_head;
        if (ring_look_for_bytes(r, before != r->in_tail) != 0)
            return -1;
        if (r->in_head - r->in_tail >= want || r->in_head == before)
            break;
    }
    return 0;
}

/* Does no more come? What the partner wrote before its end comes first. */
static int look_for_end(struct ring *r, bool ask, bool *end)
{
    *end = is_input_over(r, ask);
    return *end ? ring_see_head(r) : 0;
}

static int look_until(struct ring *r, size_t want, bool *end)
{
    if (look_for(r, want) != 0)
        return -1;
    if (r->in_head - r->in_tail >= want)
        return 0;
    r->starved = true;
    return look_for_end(r, true, end);
}

static ssize_t ring_peek(struct transport *transport, size_t want, const uint8_t **bytes, bool *end)
{
    struct ring *r = ring_of(transport);
    *end = false;
    if (want == 0 && (ring_see_head(r) != 0 || look_for_end(r, false, end) != 0))
        return -1;
    if (r->in_head - r->in_tail < want && look_until(r, want, end) != 0)
        return -1;
    *bytes = r->in_data + (r->in_tail & (RING - 1));
    return (ssize_t)(r->in_head - r->in_tail);
}

static void ring_skip(struct transport *transport, size_t size)
{
    ring_take(ring_of(transport), size);
}

static bool ring_goodbye(struct transport *transport)
{
    struct ring *r = ring_of(transport);
    watch_goodbye(&r->watch, &r->sets);
    return false;
}

/* Called in the middle of a message. */
static ssize_t ring_read(struct transport *transport, void *buffer, size_t size)
{
    struct ring *r = ring_of(transport);
    bool end = false;
    if (r->in_head == r->in_tail && ring_look_for_bytes(r, true) != 0)
        return -1;
    r->starved = r->starved || r->in_head == r->in_tail;
    if (r->in_head == r->in_tail && look_for_end(r, true, &end) != 0)
        return -1;
    size_t there = (size_t)(r->in_head - r->in_tail);
    if (there == 0) {
        errno = EAGAIN;
        return end ? 0 : -1;
    }
    size_t take = size < there ? size : there;
    if (take > PIECE)
        take = PIECE;
    memcpy(buffer, r->in_data + (r->in_tail & (RING - 1)), take);
    ring_take(r, take);
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

/* How far a write has come. */
struct source {
    const struct iovec *part;
    size_t gone; /* of that part */
};

static void copy_out(struct ring *r, struct source *from, size_t size)
{
    uint8_t *to = r->out_data + (r->out_head & (RING - 1));
    while (size > 0) {
        size_t left = from->part->iov_len - from->gone;
        size_t some = left < size ? left : size;
        if (some > 0)
            memcpy(to, (const uint8_t *)from->part->iov_base + from->gone, some);
        to += some;
        size -= some;
        from->gone += some;
        if (some == left)
            *from = (struct source){from->part + 1, 0};
    }
}

static void ring_publish(struct transport *transport, size_t size)
{
    struct ring *r = ring_of(transport);
    r->out_head += size;
    atomic_store_explicit(&r->page->ring[r->end].head, r->out_head, memory_order_release);
    ring_wake(r, WANT_BYTES);
    r->streak = 0; /* what comes now may be an answer */
}

static void write_pieces(struct ring *r, const struct iovec *parts, size_t size)
{
    struct source from = {parts, 0};
    while (size > 0) {
        size_t piece = size < PIECE ? size : PIECE;
        copy_out(r, &from, piece);
        ring_publish(&r->base, piece);
        size -= piece;
    }
}

/* How many of `total` bytes may go now; 0: none. */
static size_t room_for(struct ring *r, size_t total)
{
    size_t room = RING - (size_t)(r->out_head - r->out_tail);
    if (total <= WHOLE)
        return room >= total ? total : 0;
    return room < WHOLE ? room : WHOLE;
}

static size_t find_room(struct ring *r, size_t total)
{
    size_t size = room_for(r, total);
    return size == 0 && ring_see_tail(r) == 0 ? room_for(r, total) : size;
}

/* The errno of a write that cannot be, or 0. A full ring leaves time to ask who would empty it. */
static int refusal(struct ring *r, size_t size, bool is_gone)
{
    if (r->broken)
        return EPROTO;
    if (is_gone || (size == 0 && is_dead(r)))
        return EPIPE;
    return size == 0 ? EAGAIN : 0;
}

static ssize_t ring_writev(struct transport *transport, const struct iovec *parts, int count)
{
    struct ring *r = ring_of(transport);
    size_t size = find_room(r, total_size(parts, count));
    int error = refusal(r, size, is_gone_now(r, sys_ticks(), false));
    if (error != 0) {
        errno = error;
        return -1;
    }
    write_pieces(r, parts, size);
    return (ssize_t)size;
}

/*
 * Lines that the reader has had are asked back some messages before they are written, or each write
 * would wait for them: 30 to 41 million messages of 16 bytes a second, and where cores are far from
 * each other 13 to 38. Long messages gain nothing.
 */
static void fetch_ahead(const uint8_t *to, size_t size)
{
    for (size_t i = 0; i <= size; i += LINE)
        sys_cpu_prefetch_to_write(to + AHEAD + i);
}

static uint8_t *ring_place(struct transport *transport, size_t size)
{
    struct ring *r = ring_of(transport);
    int error = refusal(r, find_room(r, size), is_reader_gone(r));
    if (error != 0) {
        errno = error;
        return NULL;
    }
    uint8_t *to = r->out_data + (r->out_head & (RING - 1));
    if (size <= AHEAD_MOST)
        fetch_ahead(to, size);
    return to;
}

static int ring_shutdown(struct transport *transport)
{
    struct ring *r = ring_of(transport);
    ends_shutdown(r->ends, r->end);
    return 0;
}

/* ---- waiting ---- */

/* Own doorbell and watch behind one descriptor, which no child has: see transport_ring_disown. */
static int open_set(struct ring *r, int *set, int (*join)(struct watch *watch, int set))
{
    self_hold_forks();
    *set = sys_epoll_open();
    self_release_forks();
    if (*set < 0)
        return -1;
    if (sys_epoll_add_doorbell(*set, ring_own_bell(r)) == 0 && join(&r->watch, *set) == 0)
        return 0;
    sys_close(*set);
    *set = -1;
    return -1;
}

static int64_t earlier_of(int64_t deadline, int64_t most)
{
    int64_t other = most < 0 ? -1 : sys_now() + most;
    return deadline < 0 || (other >= 0 && other < deadline) ? other : deadline;
}

/* Without a descriptor to wait on, look again every now and then. */
static int wait_without_set(struct ring *r, int64_t deadline)
{
    struct pollfd process = {.fd = r->watch.process, .events = POLLIN};
    return sys_poll(&process, 1, earlier_of(deadline, BLIND_WAIT));
}

static int wait_once(struct ring *r, int64_t deadline, bool for_signal)
{
    if (r->sets.waits < 0 && open_set(r, &r->sets.waits, watch_join_waits) != 0)
        return wait_without_set(r, deadline);
    watch_peer(&r->watch, &r->sets);
    int64_t until = earlier_of(deadline, watch_longest_wait(&r->watch));
    int ready = for_signal ? sys_epoll_wait_for_signal(r->sets.waits, until)
                           : sys_epoll_wait(r->sets.waits, until);
    if (ready > 0)
        sys_doorbell_drain(ring_own_bell(r));
    return ready;
}

static int ring_wait(struct transport *transport, unsigned events, int64_t deadline)
{
    struct ring *r = ring_of(transport);
    unsigned bits = bits_of(events);
    int ready;
    r->bell = BELL_UNKNOWN;
    for (;;) {
        if (ring_arm(r, bits))
            return 0;
        ready = wait_once(r, deadline, (events & TRANSPORT_CAUGHT) != 0);
        if (ready < 0)
            break;
        if (ring_is_there(r, bits)) {
            r->checked = sys_ticks(); /* it has just been alive */
            break;
        }
        /* A tick, a death, or a ring for something that we have already seen. */
        watch_quiet(&r->watch);
        if (is_dead(r))
            break;
        if (deadline >= 0 && sys_now() >= deadline) {
            errno = ETIMEDOUT;
            ready = -1;
            break;
        }
    }
    ring_disarm(r);
    return ready < 0 ? -1 : 0;
}

/* ---- the descriptor ---- */

static int ring_descriptor(struct transport *transport)
{
    struct ring *r = ring_of(transport);
    if (r->sets.descriptor < 0)
        open_set(r, &r->sets.descriptor, watch_join_descriptor);
    return r->sets.descriptor;
}

/*
 * Readable now; and a new edge for who waits for one after it was told that there is no more, or no room:
 * what came since then, or comes later, may find the bell loud already.
 */
static void make_loud(struct ring *r, unsigned bits)
{
    bool news = r->starved || r->bell != BELL_LOUD;
    if ((bits & WANT_ROOM) == 0)
        ring_disarm(r);
    else if (ring_arm(r, WANT_ROOM))
        news = true;
    if (news)
        sys_doorbell_ring(ring_own_bell(r));
    r->bell = BELL_LOUD;
}

/* Still armed, and something was done: then nothing has rung, and nothing is missed. */
static bool is_settled(struct ring *r, unsigned bits)
{
    bool idle = r->settled_in == r->in_tail && r->settled_out == r->out_head;
    r->settled_in = r->in_tail;
    r->settled_out = r->out_head;
    return r->bell == BELL_QUIET && r->armed == bits && !idle &&
           atomic_load(ring_want(r, r->end)) == bits;
}

static void make_quiet(struct ring *r, unsigned bits)
{
    ring_disarm(r);
    if (r->watch.ticks)
        watch_quiet(&r->watch);
    bool has_ended =
        sys_epoll_drain_doorbell(r->sets.descriptor, ring_own_bell(r), r->watch.process);
    if (has_ended)
        watch_process_ended(&r->watch, &r->sets);
    r->bell = BELL_QUIET;
    r->armed = bits;
    if (ring_arm(r, bits) || (has_ended && is_dead(r)))
        make_loud(r, 0);
}

static void ring_settle(struct transport *transport, bool loud, unsigned events)
{
    struct ring *r = ring_of(transport);
    unsigned bits = bits_of(events);
    bool changed = ends_peer_state(r->ends, r->end) != r->seen;
    watch_peer(&r->watch, &r->sets);
    if (events & TRANSPORT_EDGE)
        r->starved = true;
    if (loud || (changed && is_input_over(r, false))) /* since the caller looked */
        make_loud(r, bits);
    else if (!is_settled(r, bits) || changed)
        make_quiet(r, bits);
    r->starved = false;
}

static unsigned ring_over(struct transport *transport)
{
    struct ring *r = ring_of(transport);
    if (is_gone_now(r, sys_ticks(), r->in_tail == r->in_head))
        return TRANSPORT_IN | TRANSPORT_OUT;
    return ends_status_of(r->seen) == ENDS_SHUT ? TRANSPORT_IN : 0;
}

/* A side is one thread, which looks into the ring itself. */
static bool ring_unread(struct transport *transport)
{
    (void)transport;
    return false;
}

/* ---- the rest ---- */

static void ring_peer(struct transport *transport, char *text, size_t size)
{
    struct ring *r = ring_of(transport);
    uint64_t state = ends_peer_state(r->ends, r->end);
    pid_t pid = ends_peer_process(r->ends, state);
    if (r->watch.is_dead || ends_status_of(state) == ENDS_DEAD)
        snprintf(text, size, "gone");
    else if (!ends_is_held(ends_status_of(state)))
        snprintf(text, size, "nobody yet");
    else if (ends_peer_is_here(r->ends, r->end))
        snprintf(text, size, "thread of this process");
    else if (pid > 0)
        snprintf(text, size, "process %ld", (long)pid);
    else
        snprintf(text, size, "process of another namespace");
}

static void close_own(struct ring *r)
{
    sys_close(r->sets.waits);
    sys_close(r->sets.descriptor);
    r->sets = (struct watch_sets){-1, -1};
    watch_close(&r->watch);
}

static void ring_close(struct transport *transport)
{
    struct ring *r = ring_of(transport);
    close_own(r);
    sys_free(r);
}

void transport_ring_disown(struct transport *transport)
{
    close_own(ring_of(transport));
}

static const struct transport_ops ring_ops = {
    .peek = ring_peek,
    .skip = ring_skip,
    .goodbye = ring_goodbye,
    .read = ring_read,
    .writev = ring_writev,
    .place = ring_place,
    .publish = ring_publish,
    .shutdown = ring_shutdown,
    .wait = ring_wait,
    .descriptor = ring_descriptor,
    .settle = ring_settle,
    .over = ring_over,
    .unread = ring_unread,
    .peer = ring_peer,
    .close = ring_close,
};

struct transport *transport_ring(struct ends *ends)
{
    struct ring *r = sys_alloc(sizeof *r);
    if (r == NULL)
        return NULL;
    *r = (struct ring){.base = {.ops = &ring_ops, .window = SHORT, .whole = WHOLE, .placed = PIECE},
                       .ends = ends,
                       .page = ends->shared.page,
                       .sets = {-1, -1}};
    watch_init(&r->watch, ends, 0);
    return &r->base;
}

/* Positions go on from where the last holder of this end left them. */
void transport_ring_take(struct transport *transport, unsigned end)
{
    struct ring *r = ring_of(transport);
    struct shared_page *page = r->page;
    r->end = end;
    r->in_data = r->ends->shared.data[1 - end];
    r->out_data = r->ends->shared.data[end];
    r->in_tail = atomic_load(&page->ring[1 - end].tail);
    r->in_head = r->in_tail;
    r->in_step = r->in_tail;
    r->out_head = atomic_load(&page->ring[end].head);
    r->out_tail = r->out_head - RING; /* unknown: looked at before the first write */
    watch_init(&r->watch, r->ends, end);
}

uint64_t transport_ring_written(const struct transport *transport)
{
    return ((const struct ring *)(const void *)transport)->out_head;
}
