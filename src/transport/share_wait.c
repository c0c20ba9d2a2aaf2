/* SPDX-License-Identifier: MIT */
/*
 * How a side that has left the socket for the ring waits: in a call, and by the descriptor that the
 * program polls. That is the one of transport_fd. The socket brings doorbells, or a pipe does, and
 * then calls wait for that descriptor too; they are watched as long as the program waits for
 * anything. That the socket has room shows what is to be done (ready.h).
 */
#include <errno.h>

#include "sys/sys.h"
#include "transport/share.h"

/* Until the kernel is asked for memory again. */
#define SHARE_PAUSE (10 * SYS_MILLISECOND)

static unsigned share_interest(unsigned events)
{
    return (events & TRANSPORT_IN ? RING_BYTES : 0u) | (events & TRANSPORT_OUT ? RING_ROOM : 0u);
}

/* What the peer has changed is known from here on, so that it ends no second wait. */
static enum ring_life news_of_peer(struct ring *ring)
{
    return ring_peer_changed(ring) ? ring_ask(ring, RING_ASK_VERSION) : RING_PEER_MAY_WRITE;
}

/* A shutdown is news for who waits for input, or for its end. */
static bool is_news(enum ring_life life, unsigned events)
{
    return life == RING_PEER_DEAD ||
           (life == RING_PEER_SHUT && (events & (TRANSPORT_IN | TRANSPORT_IN_END)) != 0);
}

/*
 * What lies before a doorbell is taken in. This may take in the doorbell as well, so a side arms
 * afterwards. False: the kernel lacks memory, look again soon.
 */
static bool prepare_wait(struct fd_transport *t, unsigned events)
{
    struct share *s = t->share;
    bool has_paid = share_pay(t);
    bool is_behind = (events & TRANSPORT_IN) == 0 && s->state == SHARE_LEAVING;
    bool is_prepared = has_paid && (!is_behind || share_absorb(t));
    return is_prepared && (!s->doorbell.is_watched || ready_hush(&t->ready));
}

bool share_arm(struct fd_transport *t, unsigned interest)
{
    struct share *s = t->share;
    if (s->state == SHARE_MOVED) {
        share_doorbell_expect(&s->doorbell);
        return ring_arm(s->ring, interest);
    }
    atomic_store(s->ring->memory.interest, interest);
    atomic_thread_fence(memory_order_seq_cst);
    bool had_mark = s->has_mark;
    share_load_mark(t);
    if (had_mark == s->has_mark && !ring_is_ready(s->ring, interest & RING_ROOM))
        return false;
    ring_disarm(s->ring);
    return true;
}

/* The peer is not waited for here, but the kernel. */
static int pause_for_memory(int64_t deadline)
{
    struct pollfd none = {.fd = -1};
    return sys_poll(&none, 1, sys_deadline_earlier(deadline, sys_now() + SHARE_PAUSE)) < 0 ? -1 : 0;
}

/*
 * An idle pipe costs no memory: pages that hold nothing unread go back. The pages of the other
 * direction are the peer's to give, since it may be about to write there.
 */
static void drop_pages(struct share *s)
{
    uint64_t head = s->ring->out_head;
    if (atomic_load(&s->ring->memory.out->tail) != head)
        return;
    share_memory_drop(&s->memory, s->own_end);
    s->dropped = head;
}

/* Which drains too. But it ends after a stop (SIGSTOP), as if a signal had been caught. */
static bool waits_in_set(const struct share *s, unsigned events)
{
    return s->doorbell.is_watched && (events & TRANSPORT_CAUGHT) == 0;
}

static int poll_once(struct fd_transport *t, unsigned events, int64_t deadline)
{
    struct pollfd entry = {.fd = t->in, .events = POLLIN};
    if (waits_in_set(t->share, events))
        return sys_epoll_wait(t->ready.set, deadline);
    if (t->share->doorbell.is_watched)
        return sys_epoll_poll(t->ready.set, deadline);
    return sys_poll(&entry, 1, deadline);
}

/*
 * For input; but when nothing has come for long, what can be given back is. As long as the peer has
 * not read it all, it is looked at again, after twice as long each time.
 */
static int poll_doorbells(struct fd_transport *t, unsigned events, int64_t deadline)
{
    struct share *s = t->share;
    int64_t still = share_still;
    for (; s->state == SHARE_MOVED && s->dropped != s->ring->out_head; still *= 2) {
        int64_t until = sys_deadline_earlier(deadline, sys_now() + still);
        int ready = poll_once(t, events, until);
        if (ready != 0 || until == deadline)
            return ready;
        drop_pages(s);
    }
    return poll_once(t, events, deadline);
}

/* A wait without a limit is one call, which also drains. -1: errno. */
static int await_doorbells(struct fd_transport *t, unsigned events, int64_t deadline)
{
    struct share *s = t->share;
    transport_count_one(&t->base.counters.waits);
    bool may_block =
        t->blocks && !s->is_still && !s->doorbell.is_watched && (events & TRANSPORT_CAUGHT) == 0;
    if (s->state == SHARE_MOVED && deadline < 0 && may_block && sys_can_wait_in_read())
        return share_await_doorbell(t);
    int ready = poll_doorbells(t, events, deadline);
    if (ready == 0)
        errno = ETIMEDOUT;
    if (ready > 0 && s->state == SHARE_MOVED && !waits_in_set(s, events))
        share_drain(t);
    return ready > 0 ? 0 : -1;
}

/* 1: something has come, or may have; 0: not yet; -1: errno. */
static int wait_once_in_ring(struct fd_transport *t, unsigned events, int64_t deadline)
{
    struct share *s = t->share;
    bool is_prepared = prepare_wait(t, events);
    if (s->state == SHARE_LEAVING && news_of_peer(s->ring) == RING_PEER_DEAD)
        return 1;
    if (share_arm(t, share_interest(events)))
        return 1;
    if (!is_prepared)
        return pause_for_memory(deadline);
    if (await_doorbells(t, events, deadline) != 0)
        return -1;
    if (s->state != SHARE_MOVED)
        return (events & TRANSPORT_IN) != 0 || share_has_news(t) || t->at_end || t->failed != 0;
    if (!ring_is_ready(s->ring, share_interest(events)))
        return ring_ask(s->ring, RING_ASK_KERNEL) == RING_PEER_DEAD;
    s->asked = sys_ticks(); /* it has just been alive */
    return 1;
}

int share_wait_in_ring(struct fd_transport *t, unsigned events, int64_t deadline)
{
    int result = 0;
    t->share->is_still = false;
    if (events == TRANSPORT_IN && t->share->state == SHARE_MOVED && share_pay(t) &&
        ring_answer_look(&t->share->answer, t->share->ring)) {
        sys_cancellation_point();
        return 0;
    }
    while (result == 0) {
        result = wait_once_in_ring(t, events, deadline);
        if (result == 0 && sys_deadline_has_passed(deadline)) {
            errno = ETIMEDOUT;
            result = -1;
        }
    }
    ring_disarm(t->share->ring);
    return result < 0 ? -1 : 0;
}

/* ---- leaving ---- */

static int too_much(void)
{
    errno = EPROTO;
    return -1;
}

/* -1: EAGAIN, that was all; ENOMEM; EPROTO. */
static int absorb_once(struct fd_transport *t)
{
    if (t->share->absorbed > t->share->absorb_max)
        return too_much();
    if (fd_make_more_room(t) != 0)
        return -1;
    ssize_t got = t->receive(t, t->buffer + t->end, t->capacity - t->end, false);
    if (got < 0)
        return -1;
    transport_count_bytes(&t->base.counters.kernel_read, got);
    t->end += (size_t)got;
    t->at_end = got == 0;
    t->share->absorbed += (size_t)got;
    return 0;
}

bool share_absorb(struct fd_transport *t)
{
    int saved = errno, result = 0;
    while (result == 0 && t->failed == 0 && !t->at_end)
        result = absorb_once(t);
    bool is_empty = result == 0 || errno == EAGAIN;
    if (result != 0 && errno == EPROTO) {
        t->failed = EPROTO;
        t->share->ring->is_broken = true;
    }
    share_advance(t);
    errno = saved;
    return is_empty;
}

/* ---- the descriptor ---- */

/* Work that its caller may not have known of needs a new edge. */
static bool is_new_work(struct fd_transport *t, unsigned interest)
{
    struct ring *r = t->share->ring;
    bool is_new = r->ran_short;
    if ((interest & RING_ROOM) == 0)
        ring_disarm(r);
    else if (share_arm(t, RING_ROOM))
        is_new = true;
    return is_new;
}

/*
 * Still armed, and something was done: nothing has rung, and nothing is missed. Without an interest
 * that cannot be told: the last doorbell may have come after it was looked for.
 */
static bool is_still_idle(struct fd_transport *t, unsigned events, bool peer_changed)
{
    struct share *s = t->share;
    bool has_progress = s->updated_in != s->ring->in_tail || s->updated_out != s->ring->out_head;
    s->updated_in = s->ring->in_tail;
    s->updated_out = s->ring->out_head;
    return share_interest(events) != 0 && has_progress && !peer_changed && !s->owes &&
           !t->ready.readable && s->state == SHARE_MOVED && s->armed == events &&
           ring_is_armed(s->ring, share_interest(events));
}

/* True: something has come meanwhile. */
static bool drain_and_arm_socket(struct fd_transport *t, unsigned events)
{
    struct share *s = t->share;
    bool was_dead = s->is_dead;
    ring_disarm(s->ring);
    if (s->state == SHARE_MOVED)
        share_drain(t);
    else if ((events & TRANSPORT_IN) == 0 && !share_absorb(t))
        return true;
    if (s->state == SHARE_MOVED && is_news(news_of_peer(s->ring), events))
        return true;
    s->armed = s->state == SHARE_MOVED ? events : 0;
    if (share_arm(t, share_interest(events)))
        return true;
    if (was_dead || !s->is_dead)
        return false;
    ring_disarm(s->ring);
    return true;
}

/* Nothing could show that there is something to do: then what comes next rings. */
static void expect_bytes(struct fd_transport *t, unsigned events)
{
    t->share->armed = 0; /* what is there already was not looked at */
    share_doorbell_expect(&t->share->doorbell);
    atomic_store(t->share->ring->memory.interest, share_interest(events));
}

bool share_update_in_ring(struct fd_transport *t, bool readable, unsigned events)
{
    struct ring *r = t->share->ring;
    bool changed = ring_peer_changed(r);
    if (events & TRANSPORT_EDGE)
        r->ran_short = true;
    events &= ~(unsigned)TRANSPORT_EDGE;
    bool has_work = readable || (changed && is_news(ring_ask(r, RING_ASK_VERSION), events));
    struct ready_state state = {.readable = has_work,
                                .edge = has_work && is_new_work(t, share_interest(events)),
                                .wrote = atomic_load(&t->wrote)};
    if (!has_work && is_still_idle(t, events, changed)) {
        r->ran_short = false;
        return false;
    }
    if (!has_work && drain_and_arm_socket(t, events))
        state.readable = state.edge = true;
    if (!share_pay(t))
        state.readable = true;
    atomic_store_explicit(&t->wrote, false, memory_order_relaxed);
    state.in = events != 0 ? READY_FOR_ALL : READY_NOT;
    ready_update(&t->ready, &state);
    if (state.readable && !t->ready.readable)
        expect_bytes(t, events);
    r->ran_short = false;
    return false;
}
