/* SPDX-License-Identifier: MIT */
#include "transport/ring.h"

#include <errno.h>

#include "sys/sys.h"
#include "transport/ring_copy.h"
#include "transport/ring_wrap.h"

#define STEP_SIZE (RING_SIZE / 256) /* bytes; see "the reader's steps" */
/*
 * A writer that waits is woken when so much at most is left to read: each wake-up is worth many
 * messages. Less than a step may follow the one at which the reader checked last, so nobody sleeps
 * while half a ring is free. A reader that does not know yet that the ring has grown has less than
 * RING_SIZE to read before it learns it: the ring is not half empty by then.
 */
#define WAKE_MARK_OF(size) ((size) / 2 + STEP_SIZE)

#define PROCESSOR_SHIFT 2
#define PREFETCH_MAX    1024
#define CHECKS_TO_SKIP  7 /* messages in a stream that go without asking for the reader's life */

_Static_assert(RING_PIECE_SIZE <= RING_WHOLE_MAX, "a piece fits");
_Static_assert(STEP_SIZE > 0, "the reader makes steps");
_Static_assert(RING_WHOLE_MAX <= RING_SIZE - WAKE_MARK_OF(RING_SIZE),
               "a writer that is woken finds room for a whole message");
_Static_assert(RING_WINDOW <= RING_WHOLE_MAX, "a message that is shown whole is written whole");
_Static_assert(RING_PACE_LITTLE < RING_SIZE, "a ring can hold more than little");
_Static_assert(RING_GROWN - RING_WHOLE_MAX - RING_SIZE >= WAKE_MARK_OF(RING_GROWN),
               "a reader learns in time that the ring has grown");
_Static_assert(RING_PREFETCH_DISTANCE + PREFETCH_MAX < RING_SIZE, "prefetches stay in the mapping");

void ring_init(struct ring *r, const struct ring_memory *memory, const struct ring_peer *peer)
{
    *r = (struct ring){.memory = *memory, .peer = *peer};
    r->in_tail = atomic_load(&memory->in->tail);
    r->in_begin = r->in_head = r->in_step = r->short_tail = r->short_head = r->in_tail;
    r->out_begin = r->out_head = atomic_load(&memory->out->head);
    uint64_t in_grown = atomic_load(&memory->in->grown),
             out_grown = atomic_load(&memory->out->grown);
    r->in_area = ring_area_init(memory->in_data, in_grown, memory->keeps_size);
    r->out_area = ring_area_init(memory->out_data, out_grown, memory->keeps_size);
    ring_wrap_init(r);
    /* Unknown: loaded before the first write. */
    r->out_tail = r->out_head - ring_area_size(&r->out_area);
}

static void wake(struct ring *r)
{
    unsigned word = atomic_exchange(r->memory.peer_interest, 0);
    if (word != 0 && !r->peer.wake(r->peer.context))
        atomic_fetch_or(r->memory.peer_interest, word);
}

static unsigned peer_interest(const struct ring *r)
{
    return atomic_load_explicit(r->memory.peer_interest, memory_order_relaxed);
}

/*
 * In the middle of a call that checks again at its end: a peer that fell asleep on this processor
 * cannot run beside the call.
 */
static bool may_wake_early(const struct ring *r, unsigned interest)
{
    unsigned word = peer_interest(r);
    if ((word & interest) == 0)
        return false;
    unsigned processor = word >> PROCESSOR_SHIFT;
    return processor == 0 || processor != r->peer.processor(r->peer.context);
}

static uint64_t wake_mark(const struct ring_area *area)
{
    return WAKE_MARK_OF(ring_area_size(area));
}

static bool is_room_worth_a_wake(const struct ring *r)
{
    return atomic_load(&r->memory.in->head) - r->in_tail <= wake_mark(&r->in_area);
}

/* ---- the peer's positions ---- */

/* -1, EPROTO: they make no sense, or made none before. */
static int check_positions(struct ring *r, bool make_sense)
{
    if (make_sense && !r->is_broken)
        return 0;
    r->is_broken = true;
    errno = EPROTO;
    return -1;
}

/* Forwards only, and never further than the ring is long. ENOMEM passes. */
static int load_head(struct ring *r)
{
    uint64_t head = atomic_load_explicit(&r->memory.in->head, memory_order_acquire);
    uint64_t grown = atomic_load_explicit(&r->memory.in->grown, memory_order_relaxed);
    if (ring_wrap_needs_in(r, head, grown) && !ring_wrap_in(r))
        return -1;
    bool follows = grown == r->in_area.grown || ring_area_follow(&r->in_area, r->in_tail, grown);
    size_t size = ring_area_size(&r->in_area);
    if (check_positions(r, follows && head - r->in_tail <= size && head - r->in_head <= size) != 0)
        return -1;
    r->in_head = head;
    return 0;
}

static int load_tail(struct ring *r)
{
    uint64_t tail = atomic_load_explicit(&r->memory.out->tail, memory_order_acquire);
    if (check_positions(r, r->out_head - tail <= ring_area_size(&r->out_area)) != 0)
        return -1;
    r->out_tail = tail;
    return 0;
}

/* ---- the peer's life ---- */

static enum ring_life ask_at(struct ring *r, enum ring_question question, int64_t now)
{
    r->version = atomic_load(r->memory.peer_version);
    r->life = r->peer.life(r->peer.context, r->version, question, now);
    return r->life;
}

/* A wait asks about death alone: what else the version says is news for the next read. */
static enum ring_life ask_kernel(struct ring *r)
{
    uint64_t version = atomic_load(r->memory.peer_version);
    enum ring_life life = r->peer.life(r->peer.context, version, RING_ASK_KERNEL, 0);
    if (life == RING_PEER_DEAD) {
        r->version = version;
        r->life = life;
    }
    return life;
}

enum ring_life ring_ask(struct ring *r, enum ring_question question)
{
    if (question == RING_ASK_KERNEL)
        return ask_kernel(r);
    bool is_paced = question == RING_ASK_READER || question == RING_ASK_WRITER;
    return ask_at(r, question, is_paced ? sys_ticks() : 0);
}

/* RING_ASK_VERSION, without a call while the version is the same. */
static enum ring_life last_life(struct ring *r)
{
    return ring_peer_changed(r) ? ask_at(r, RING_ASK_VERSION, 0) : r->life;
}

/* ---- the reader's steps ----
 *
 * The tail is exactly how far the reader has come. It is loaded only by a writer that knows of no
 * more room: each load costs both sides the way between two cores. While messages stream, a writer
 * loads `steps` instead, which moves when the reader has read all it knew of, or so many bytes; and
 * then alone the reader checks whether the writer waits (16 B where the cores are far from each
 * other: 19 to 38 million messages a second).
 */
static void make_step(struct ring *r)
{
    r->in_step = r->in_tail;
    atomic_store_explicit(&r->memory.in->steps, r->in_tail, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if ((peer_interest(r) & RING_ROOM) != 0 && is_room_worth_a_wake(r))
        wake(r);
}

/* In the middle of a read, which ends with a step. */
static void make_early_step(struct ring *r)
{
    atomic_store_explicit(&r->memory.in->steps, r->in_tail, memory_order_relaxed);
    if (may_wake_early(r, RING_ROOM) && is_room_worth_a_wake(r))
        wake(r);
}

static void advance_tail(struct ring *r, size_t size)
{
    r->in_tail += size;
    atomic_store_explicit(&r->memory.in->tail, r->in_tail, memory_order_release);
}

void ring_consume(struct ring *r, size_t size)
{
    advance_tail(r, size);
    if (r->in_tail == r->in_head || r->in_tail - r->in_step >= STEP_SIZE)
        make_step(r);
}

static void read_pieces(struct ring *r, uint8_t *to, size_t size)
{
    for (;;) {
        size_t piece = size < RING_PIECE_SIZE ? size : RING_PIECE_SIZE;
        copy_bytes(to, ring_area_at(&r->in_area, r->in_tail), piece);
        size -= piece;
        if (size == 0) {
            ring_consume(r, piece);
            return;
        }
        advance_tail(r, piece);
        make_early_step(r);
        to += piece;
    }
}

/* Readers rest, and make steps: together up to some microseconds. */
#define FAST_TICKS  4000 /* for the few messages between two checks */
#define AWAKE_TICKS 8000

/* Is this a stream that is read as it is written? */
static bool reader_keeps_up(struct ring *r, int64_t now)
{
    uint64_t step = atomic_load_explicit(&r->memory.out->steps, memory_order_relaxed);
    bool is_fast = (uint64_t)(now - r->reader.checked_at) < FAST_TICKS;
    r->reader.checked_at = now;
    if (step != r->reader.step) {
        r->reader.step = step;
        r->reader.moved_at = now;
    }
    return is_fast && (uint64_t)(now - r->reader.moved_at) < AWAKE_TICKS;
}

/* ---- the reader's pace: ring_pace.h ---- */

#define HEAD_START_TICKS 2500 /* about a microsecond */

static bool spin(const struct ring *r)
{
    for (unsigned i = 0; i < r->pace.patience; i++) {
        if (atomic_load_explicit(&r->memory.in->head, memory_order_relaxed) != r->in_head)
            return true;
        sys_cpu_relax();
    }
    return false;
}

/* load_head, at the reader's pace. `amid`: in the middle of a long message. */
static int load_head_at_pace(struct ring *r, bool amid)
{
    uint64_t before = r->in_head;
    if (load_head(r) != 0)
        return -1;
    enum ring_pace_action action = ring_pace_loaded(&r->pace, r->in_head - before, amid);
    if (action == RING_PACE_SPIN)
        action = ring_pace_spun(&r->pace, spin(r));
    if (action == RING_PACE_GIVE_UP)
        return 0;
    if (action == RING_PACE_HEAD_START)
        sys_cpu_relax_for(HEAD_START_TICKS);
    if (load_head(r) != 0)
        return -1;
    r->pace.found = r->in_head - before;
    return 0;
}

/* ---- input ---- */

/* A frame of more than a piece comes in pieces, but not in more of them than it has. */
static int load_pieces(struct ring *r, size_t want)
{
    for (size_t pieces = 0; pieces <= want / RING_PIECE_SIZE; pieces++) {
        uint64_t before = r->in_head;
        if (load_head_at_pace(r, before != r->in_tail) != 0)
            return -1;
        if (r->in_head - r->in_tail >= want || r->in_head == before)
            break;
    }
    return 0;
}

/* Will nothing more be written? A peer may shut down between the two questions. */
static bool is_input_over(struct ring *r, bool may_ask_kernel)
{
    if (last_life(r) != RING_PEER_MAY_WRITE)
        return true;
    return may_ask_kernel && ring_ask(r, RING_ASK_WRITER) != RING_PEER_MAY_WRITE;
}

/* What the peer wrote before its end comes first. */
static int check_end(struct ring *r, bool may_ask_kernel, bool *end)
{
    *end = is_input_over(r, may_ask_kernel);
    return *end ? load_head(r) : 0;
}

static int load_until(struct ring *r, size_t want, bool *end)
{
    if (load_pieces(r, want) != 0)
        return -1;
    if (r->in_head - r->in_tail >= want)
        return 0;
    r->ran_short = true;
    r->short_tail = r->in_tail;
    r->short_head = r->in_head;
    return check_end(r, true, end);
}

ssize_t ring_peek(struct ring *r, size_t want, const uint8_t **bytes, bool *end)
{
    *end = false;
    if (want == 0 && (load_head(r) != 0 || check_end(r, false, end) != 0))
        return -1;
    if (r->in_head - r->in_tail < want && load_until(r, want, end) != 0)
        return -1;
    *bytes = ring_area_at(&r->in_area, r->in_tail);
    return (ssize_t)(r->in_head - r->in_tail);
}

ssize_t ring_read(struct ring *r, void *buffer, size_t size)
{
    bool end = false;
    /* Before the first piece: without memory for the rest, all of it stays where it is. */
    if (ring_wrap_needs_in(r, r->in_tail + size, r->in_area.grown) && !ring_wrap_in(r))
        return -1;
    if (ring_is_drained(r) && load_head_at_pace(r, true) != 0)
        return -1;
    if (ring_is_drained(r)) {
        r->ran_short = true;
        if (check_end(r, true, &end) != 0)
            return -1;
    }
    size_t unread = (size_t)(r->in_head - r->in_tail);
    if (unread == 0) {
        errno = EAGAIN;
        return end ? 0 : -1;
    }
    if (size > unread)
        size = unread;
    read_pieces(r, buffer, size);
    return (ssize_t)size;
}

/* ---- output ---- */

static void advance_head(struct ring *r, size_t size)
{
    r->out_head += size;
    atomic_store_explicit(&r->memory.out->head, r->out_head, memory_order_release);
}

void ring_publish(struct ring *r, size_t size)
{
    advance_head(r, size);
    atomic_thread_fence(memory_order_seq_cst);
    if ((peer_interest(r) & RING_BYTES) != 0)
        wake(r);
    ring_pace_wrote(&r->pace);
}

static void write_pieces(struct ring *r, const struct iovec *parts, size_t size)
{
    struct ring_source from = {parts, 0};
    size_t unwoken = RING_AGAIN_SIZE; /* bytes since the last early wakeup */
    while (size > RING_PIECE_SIZE) {
        ring_copy_parts(ring_area_at(&r->out_area, r->out_head), &from, RING_PIECE_SIZE);
        advance_head(r, RING_PIECE_SIZE);
        size -= RING_PIECE_SIZE;
        unwoken += RING_PIECE_SIZE;
        if (unwoken > RING_AGAIN_SIZE && may_wake_early(r, RING_BYTES)) {
            wake(r);
            unwoken = 0;
        }
    }
    ring_copy_parts(ring_area_at(&r->out_area, r->out_head), &from, size);
    ring_publish(r, size);
}

/* How many of `total` bytes may go now; 0: none. */
static size_t room_for(const struct ring *r, size_t total)
{
    size_t room = ring_area_size(&r->out_area) - (size_t)(r->out_head - r->out_tail);
    if (total <= RING_WHOLE_MAX)
        return room >= total ? total : 0;
    if (room < RING_LEAST)
        return 0; /* or a reader that takes byte by byte could keep the call */
    return room < total ? room : total;
}

/*
 * A long message has found too little room: at once, or when some message comes to where a ring can
 * grow. A part of one that goes in parts ends there.
 */
static size_t grow_for(struct ring *r, size_t total)
{
    if (ring_area_grow(&r->out_area, r->out_tail, r->out_head))
        atomic_store_explicit(&r->memory.out->grown, r->out_area.grown, memory_order_relaxed);
    size_t room = room_for(r, total);
    if (r->out_area.grown != 0 || total <= RING_WHOLE_MAX)
        return room;
    size_t most = ring_area_until_growth(r->out_head);
    return room < most ? room : most;
}

static size_t find_room(struct ring *r, size_t total)
{
    size_t size = room_for(r, total);
    if (size == total || load_tail(r) != 0)
        return size;
    if (!ring_wrap_out(r, total))
        return 0;
    size = room_for(r, total);
    if (total <= RING_LONG || r->out_area.grown != 0)
        return size;
    if (size < total)
        r->is_too_small = true;
    return r->is_too_small ? grow_for(r, total) : size;
}

/* The errno of a write that cannot be, or 0. A full ring leaves time to ask for its reader. */
static int refusal(struct ring *r, size_t size, bool is_dead)
{
    if (r->is_broken)
        return EPROTO;
    if (is_dead || (size == 0 && ring_ask(r, RING_ASK_KERNEL) == RING_PEER_DEAD))
        return EPIPE;
    if (size == 0)
        return r->lacks_memory ? ENOMEM : EAGAIN;
    return 0;
}

ssize_t ring_writev(struct ring *r, const struct iovec *parts, int count)
{
    size_t size = find_room(r, ring_size_of_parts(parts, count));
    int error = refusal(r, size, ring_ask(r, RING_ASK_READER) == RING_PEER_DEAD);
    if (error != 0) {
        errno = error;
        return -1;
    }
    write_pieces(r, parts, size);
    return (ssize_t)size;
}

/*
 * Before a small message, in whose 30 nanoseconds the 11 of the counter are many: in a stream whose
 * reader does not sleep most go without.
 */
static bool is_reader_dead(struct ring *r)
{
    bool is_awake = atomic_load_explicit(r->memory.peer_interest, memory_order_relaxed) == 0;
    if (is_awake && r->reader.to_skip > 0) {
        r->reader.to_skip--;
        return last_life(r) == RING_PEER_DEAD;
    }
    int64_t now = sys_ticks();
    r->reader.to_skip = reader_keeps_up(r, now) ? CHECKS_TO_SKIP : 0;
    return ask_at(r, RING_ASK_READER, now) == RING_PEER_DEAD;
}

uint8_t *ring_place(struct ring *r, size_t size)
{
    int error = refusal(r, find_room(r, size), is_reader_dead(r));
    if (error != 0) {
        errno = error;
        return NULL;
    }
    uint8_t *to = ring_area_at(&r->out_area, r->out_head);
    if (size <= PREFETCH_MAX)
        ring_prefetch(to, size);
    return to;
}

/* ---- waiting ---- */

bool ring_is_ready(const struct ring *r, unsigned interest)
{
    if (ring_peer_changed(r))
        return true;
    if ((interest & RING_BYTES) && atomic_load(&r->memory.in->head) != r->in_head)
        return true;
    if ((interest & RING_ROOM) == 0)
        return false;
    uint64_t used = r->out_head - atomic_load(&r->memory.out->tail);
    return used <= wake_mark(&r->out_area) ||
           used > ring_area_size(&r->out_area); /* or makes no sense, as the next write reports */
}

void ring_disarm(struct ring *r)
{
    atomic_exchange(r->memory.interest, 0);
}

/* Where this side falls asleep, as far as that matters: only long messages go in pieces. */
static unsigned processor_to_note(const struct ring *r, unsigned interest)
{
    bool is_long = (interest & RING_ROOM) != 0 || r->pace.found >= RING_PACE_AMPLE;
    return is_long ? r->peer.processor(r->peer.context) : 0;
}

bool ring_arm(struct ring *r, unsigned interest)
{
    unsigned word = interest | processor_to_note(r, interest) << PROCESSOR_SHIFT;
    atomic_store_explicit(r->memory.interest, word, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (!ring_is_ready(r, interest))
        return false;
    ring_disarm(r);
    return true;
}
