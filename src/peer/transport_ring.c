/* SPDX-License-Identifier: MIT */
/*
 * One end of an anonymous pipe as a transport: a ring in the shared memory, the doorbells by which
 * the sides wake each other, and the life of the peer.
 */
#include <errno.h>
#include <stdio.h>

#include "peer/ring_end.h"
#include "sys/sys.h"

#define BLIND_WAIT_NS 5000000 /* nanoseconds */

static struct ring_end *end_of(struct transport *transport)
{
    return (struct ring_end *)transport;
}

static unsigned interest_of(unsigned events)
{
    return (events & TRANSPORT_IN ? RING_BYTES : 0u) | (events & TRANSPORT_OUT ? RING_ROOM : 0u);
}

static const int *own_doorbell(const struct ring_end *e)
{
    return e->ends->shared.doorbell[e->end];
}

/* ---- what the ring asks for ---- */

static bool wake_peer(void *context)
{
    struct ring_end *e = context;
    transport_count_one(&e->base.counters.wakeups);
    e->owes = !sys_doorbell_ring(e->ends->shared.doorbell[1 - e->end]);
    return !e->owes;
}

static unsigned own_processor(void *unused)
{
    (void)unused;
    return sys_cpu_number() + 1;
}

static uint8_t *map_ring(void *context, bool is_out)
{
    struct ring_end *e = context;
    uint8_t **mapping = &e->mapping[is_out];
    if (*mapping == NULL)
        *mapping = shared_map_ring(&e->ends->shared, is_out ? e->end : 1 - e->end);
    return *mapping;
}

/* ---- bytes ---- */

static ssize_t end_peek(struct transport *transport, size_t want, enum transport_peek mode,
                        struct transport_view *view)
{
    (void)mode; /* all is in memory */
    return ring_peek(&end_of(transport)->ring, want, &view->bytes, &view->end);
}

static void end_skip(struct transport *transport, size_t size)
{
    ring_consume(&end_of(transport)->ring, size);
}

static ssize_t end_read(struct transport *transport, void *buffer, size_t size, bool waits)
{
    (void)waits; /* it cannot block */
    return ring_read(&end_of(transport)->ring, buffer, size);
}

static ssize_t end_writev(struct transport *transport, const struct iovec *parts, int count)
{
    return ring_writev(&end_of(transport)->ring, parts, count);
}

static uint8_t *end_reserve(struct transport *transport, size_t size)
{
    return ring_place(&end_of(transport)->ring, size);
}

static void end_commit(struct transport *transport, size_t size)
{
    ring_publish(&end_of(transport)->ring, size);
}

static bool end_goodbye(struct transport *transport)
{
    struct ring_end *e = end_of(transport);
    monitor_goodbye(&e->monitor, &e->set);
    return false;
}

static int end_shutdown(struct transport *transport)
{
    struct ring_end *e = end_of(transport);
    if (!ends_shutdown(e->ends, e->end))
        e->owes = true;
    return 0;
}

/* ---- waiting ---- */

/* In one, for a fork: a child closes what is noted, and the number may be another's by then. */
static void close_set(struct ring_end *e)
{
    self_hold_forks();
    sys_epoll_close(e->set.fd);
    e->set = (struct monitor_set){.fd = -1};
    self_release_forks();
}

/* Own doorbell and monitor behind one descriptor, which no child has: see transport_ring_disown. */
static int open_set(struct ring_end *e)
{
    self_hold_forks();
    e->set.fd = sys_epoll_open();
    self_release_forks();
    if (e->set.fd < 0)
        return -1;
    if (sys_epoll_add_doorbell(e->set.fd, own_doorbell(e)) == 0 &&
        monitor_join(&e->monitor, &e->set) == 0)
        return 0;
    close_set(e);
    return -1;
}

static int64_t earlier_of(int64_t deadline, int64_t most)
{
    int64_t other = most < 0 ? -1 : sys_now() + most;
    return deadline < 0 || (other >= 0 && other < deadline) ? other : deadline;
}

/* Without a descriptor to wait on, check again every now and then. */
static int wait_without_set(struct ring_end *e, int64_t deadline)
{
    struct pollfd process = {.fd = e->monitor.process, .events = POLLIN};
    return sys_poll(&process, 1, earlier_of(deadline, BLIND_WAIT_NS));
}

static int wait_once(struct ring_end *e, int64_t deadline, bool for_signal)
{
    transport_count_one(&e->base.counters.waits);
    if (e->set.fd < 0 && open_set(e) != 0)
        return wait_without_set(e, deadline);
    ring_end_follow_peer(e);
    int64_t until = earlier_of(deadline, monitor_wait_max(&e->monitor));
    int ready =
        for_signal ? sys_epoll_wait_for_signal(e->set.fd, until) : sys_epoll_wait(e->set.fd, until);
    if (ready > 0)
        sys_doorbell_drain(own_doorbell(e));
    return ready;
}

static int end_wait(struct transport *transport, unsigned events, int64_t deadline)
{
    struct ring_end *e = end_of(transport);
    unsigned interest = interest_of(events);
    int ready;
    if (events == TRANSPORT_IN && ring_answer_look(&e->answer, &e->ring)) {
        sys_cancellation_point();
        return 0;
    }
    descriptor_step(&e->descriptor, DESCRIPTOR_WAITED);
    for (;;) {
        if (ring_arm(&e->ring, interest))
            return 0;
        bool still_owes = e->owes && !wake_peer(e);
        ready = wait_once(e, still_owes ? earlier_of(deadline, BLIND_WAIT_NS) : deadline,
                          (events & TRANSPORT_CAUGHT) != 0);
        if (ready < 0)
            break;
        if (ring_is_ready(&e->ring, interest)) {
            e->checked = sys_ticks(); /* it has just been alive */
            break;
        }
        /* A tick, a death, or a ring for something that is known already. */
        monitor_drain(&e->monitor);
        monitor_look_at_process(&e->monitor, &e->set);
        if (ring_ask(&e->ring, RING_ASK_KERNEL) == RING_PEER_DEAD)
            break;
        if (deadline >= 0 && sys_now() >= deadline) {
            errno = ETIMEDOUT;
            ready = -1;
            break;
        }
    }
    ring_disarm(&e->ring);
    return ready < 0 ? -1 : 0;
}

/* ---- the descriptor ---- */

static int end_descriptor(struct transport *transport)
{
    struct ring_end *e = end_of(transport);
    bool was_polled = e->set.is_polled;
    e->set.is_polled = true;
    if (e->set.fd < 0 && open_set(e) != 0)
        e->set.is_polled = false;
    else if (!was_polled)
        monitor_note_polled(&e->monitor, &e->set);
    return e->set.fd < 0 || sys_epoll_show(e->set.fd) != 0 ? -1 : e->set.fd;
}

/* Work that its caller may not have known of needs a new edge. */
static enum descriptor_event work_event(struct ring_end *e, unsigned interest)
{
    bool is_new = e->ring.ran_short;
    if ((interest & RING_ROOM) == 0)
        ring_disarm(&e->ring);
    else if (ring_arm(&e->ring, RING_ROOM))
        is_new = true;
    return is_new ? DESCRIPTOR_NEW_WORK : DESCRIPTOR_WORK;
}

/*
 * Still armed, and something was done: the doorbell has not rung, and nothing is missed. Without an
 * interest that cannot be told: a change of the peer rings all the same.
 */
static enum descriptor_event idle_event(struct ring_end *e, unsigned interest, bool peer_changed)
{
    bool has_progress = e->updated_in != e->ring.in_tail || e->updated_out != e->ring.out_head;
    e->updated_in = e->ring.in_tail;
    e->updated_out = e->ring.out_head;
    bool is_still = interest != 0 && has_progress && !peer_changed && e->armed == interest &&
                    ring_is_armed(&e->ring, interest);
    return is_still ? DESCRIPTOR_STILL_IDLE : DESCRIPTOR_IDLE;
}

/* True: something has come meanwhile. */
static bool drain_and_arm(struct ring_end *e, unsigned interest)
{
    ring_disarm(&e->ring);
    if (e->monitor.ticks)
        monitor_drain(&e->monitor);
    bool has_ended = sys_epoll_drain_doorbell(e->set.fd, own_doorbell(e), e->monitor.process);
    if (has_ended)
        monitor_process_ended(&e->monitor, &e->set);
    e->armed = interest;
    if (ring_arm(&e->ring, interest))
        return true;
    if ((!has_ended && !monitor_is_blind(&e->monitor)) ||
        ring_ask(&e->ring, RING_ASK_KERNEL) != RING_PEER_DEAD)
        return false;
    ring_disarm(&e->ring);
    return true;
}

static void step_descriptor(struct ring_end *e, enum descriptor_event event, unsigned interest)
{
    enum descriptor_action action = descriptor_step(&e->descriptor, event);
    if (action == DESCRIPTOR_DRAIN && drain_and_arm(e, interest))
        action = descriptor_step(&e->descriptor, DESCRIPTOR_CAME);
    if (action == DESCRIPTOR_RING && !sys_doorbell_ring(own_doorbell(e)))
        e->descriptor = DESCRIPTOR_UNKNOWN;
}

/* What arms the doorbell is spent with each message: every update counts. */
static bool end_update_readiness(struct transport *transport, bool readable, unsigned events)
{
    struct ring_end *e = end_of(transport);
    unsigned interest = interest_of(events);
    bool changed = ring_peer_changed(&e->ring); /* since the caller read */
    bool was_dead = e->monitor.is_dead;
    ring_end_follow_peer(e);
    if (e->monitor.is_dead && !was_dead)
        readable = true; /* the caller does not know it */
    if (e->owes && !wake_peer(e))
        readable = true; /* so that the program comes back */
    if (events & TRANSPORT_EDGE)
        e->ring.ran_short = true;
    bool has_work =
        readable || (changed && ring_ask(&e->ring, RING_ASK_VERSION) != RING_PEER_MAY_WRITE);
    step_descriptor(e, has_work ? work_event(e, interest) : idle_event(e, interest, changed),
                    interest);
    e->ring.ran_short = false;
    return false;
}

static unsigned end_over(struct transport *transport)
{
    switch (ring_ask(&end_of(transport)->ring, RING_ASK_WRITER)) {
    case RING_PEER_DEAD:
        return TRANSPORT_IN | TRANSPORT_OUT;
    case RING_PEER_SHUT:
        return TRANSPORT_IN;
    default:
        return 0;
    }
}

/* A side is one thread, which checks the ring itself. */
static bool end_unread(struct transport *transport)
{
    (void)transport;
    return false;
}

/* ---- the rest ---- */

static void end_peer(struct transport *transport, char *text, size_t size)
{
    struct ring_end *e = end_of(transport);
    uint64_t state = ends_peer_state(e->ends, e->end);
    pid_t pid = ends_peer_process(e->ends, state);
    if (e->monitor.is_dead || ends_status_of(state) == ENDS_DEAD)
        snprintf(text, size, "gone");
    else if (!ends_is_held(ends_status_of(state)))
        snprintf(text, size, "nobody yet");
    else if (ends_peer_is_here(e->ends, e->end))
        snprintf(text, size, "thread of this process");
    else if (pid > 0)
        snprintf(text, size, "process %ld", (long)pid);
    else
        snprintf(text, size, "process of another namespace");
}

static void close_own(struct ring_end *e)
{
    close_set(e);
    monitor_close(&e->monitor);
}

static void end_close(struct transport *transport)
{
    struct ring_end *e = end_of(transport);
    close_own(e);
    shared_unmap_ring(e->mapping[0]);
    shared_unmap_ring(e->mapping[1]);
    sys_free(e);
}

void transport_ring_disown(struct transport *transport)
{
    close_own(end_of(transport));
}

/* A pipe that was inherited has nobody who called connect, and no descriptor that carries it. */
static int end_credentials(struct transport *transport, struct sys_credentials *credentials)
{
    (void)transport;
    (void)credentials;
    errno = EOPNOTSUPP;
    return -1;
}

static bool end_accept_fds(struct transport *transport, struct arrived *arrived)
{
    (void)transport;
    (void)arrived;
    return false;
}

static bool end_carries_fds(struct transport *transport)
{
    (void)transport;
    return false;
}

static ssize_t end_write_fds(struct transport *transport, const void *byte, const int *fds,
                             int count)
{
    (void)transport;
    (void)byte;
    (void)fds;
    (void)count;
    errno = EOPNOTSUPP;
    return -1;
}

static int end_detach(struct transport *transport, int fds[2])
{
    (void)transport;
    (void)fds;
    errno = EOPNOTSUPP;
    return -1;
}

static const struct transport_ops end_ops = {
    .peek = end_peek,
    .skip = end_skip,
    .goodbye = end_goodbye,
    .read = end_read,
    .writev = end_writev,
    .reserve = end_reserve,
    .commit = end_commit,
    .shutdown = end_shutdown,
    .wait = end_wait,
    .descriptor = end_descriptor,
    .update_readiness = end_update_readiness,
    .over = end_over,
    .unread = end_unread,
    .peer = end_peer,
    .accept_fds = end_accept_fds,
    .carries_fds = end_carries_fds,
    .write_fds = end_write_fds,
    .credentials = end_credentials,
    .close = end_close,
    .detach = end_detach,
};

struct transport *transport_ring(struct ends *ends)
{
    struct ring_end *e = sys_alloc(sizeof *e);
    if (e == NULL)
        return NULL;
    *e = (struct ring_end){.base = {.ops = &end_ops,
                                    .peek_max = RING_WINDOW,
                                    .atomic_max = RING_WHOLE_MAX,
                                    .reserve_max = RING_PIECE_SIZE},
                           .ends = ends,
                           .set = {.fd = -1}};
    monitor_init(&e->monitor, ends, 0);
    return &e->base;
}

void transport_ring_take(struct transport *transport, unsigned end)
{
    struct ring_end *e = end_of(transport);
    struct shared *shared = &e->ends->shared;
    const struct ring_peer peer = {.context = e,
                                   .wake = wake_peer,
                                   .life = ring_end_peer_life,
                                   .processor = own_processor,
                                   .wrap = map_ring};
    const struct ring_memory memory = {
        .in = &shared->page->ring[1 - end],
        .out = &shared->page->ring[end],
        .in_data = shared->data[1 - end],
        .out_data = shared->data[end],
        .interest = &shared->page->end[end].interest,
        .peer_interest = &shared->page->end[1 - end].interest,
        .peer_version = &shared->page->end[1 - end].state,
    };
    e->end = end;
    ring_init(&e->ring, &memory, &peer);
    atomic_store(&e->base.counters.ring, &e->ring);
    ring_answer_init(&e->answer, e->ring.out_head);
    monitor_init(&e->monitor, e->ends, end);
}

uint64_t transport_ring_written(const struct transport *transport)
{
    return ((const struct ring_end *)(const void *)transport)->ring.out_head;
}
