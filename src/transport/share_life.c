/* SPDX-License-Identifier: MIT */
/*
 * What the socket is once a side has left it for the ring: lifeline, and doorbell for a peer that
 * watches no pipe.
 *
 * Whether the peer lives is asked of the socket. Once a side has left, a socket has no end but the
 * last one: a shutdown is a bit of the side's `version`. Other changes of that word say no more
 * than that it is worth to ask.
 */
#include <errno.h>

#include "sys/sys.h"
#include "sys/sys_process.h"
#include "transport/share.h"

#define SHARE_SHUT ((uint64_t)1) /* of a version */
#define SHARE_STEP ((uint64_t)2)

/* In sys_ticks, some microseconds: a check of the peer's life takes a system call. */
#define SHARE_ASK_TICKS 50000

/* Reads: a peer that keeps ringing is not waited for. */
enum { SHARE_DRAINS = 16, SHARE_DRAIN_SIZE = 1024 };

/* ---- what the ring asks for ---- */

static bool peer_watches(const struct share *s)
{
    return atomic_load(&s->memory.page->end[1 - s->own_end].doorbell) != 0;
}

/* Of an honest peer, it has room. The kernel may still say that a write would wait, for memory. */
static ssize_t ring_pipe(int fd, const struct iovec *byte)
{
    ssize_t sent = sys_writev(fd, SYS_DOORBELL, byte, 1);
    bool is_tried_again = sent < 0 && errno == EAGAIN && sys_has_room(fd);
    return is_tried_again ? sys_writev(fd, SYS_DOORBELL, byte, 1) : sent;
}

bool share_ring_doorbell(void *context)
{
    struct fd_transport *t = context;
    struct iovec byte = {(void *)(uintptr_t) "", 1};
    struct share *s = t->share;
    int saved = errno;
    transport_count_one(&t->base.counters.wakeups);
    bool by_pipe = s->doorbell.peers >= 0 && peer_watches(s);
    ssize_t sent =
        by_pipe ? ring_pipe(s->doorbell.peers, &byte) : sys_writev(t->out, SYS_SOCKET, &byte, 1);
    s->owes = sent < 0 && (errno == ENOMEM || errno == ENOBUFS);
    if (!by_pipe)
        atomic_store_explicit(&t->wrote, true, memory_order_relaxed);
    errno = saved;
    return !s->owes;
}

bool share_pay(struct fd_transport *t)
{
    return !t->share->owes || share_ring_doorbell(t);
}

static bool is_worth_asking(const struct share *s, uint64_t version, enum ring_question question,
                            int64_t now)
{
    if (question == RING_ASK_KERNEL || version != s->asked_version)
        return true;
    bool may_be_more = question == RING_ASK_WRITER && ring_tried(s->ring) != s->ring->in_head;
    if (question == RING_ASK_VERSION || may_be_more)
        return false;
    return (uint64_t)(now - s->asked) >= SHARE_ASK_TICKS;
}

enum ring_life share_life(void *context, uint64_t version, enum ring_question question, int64_t now)
{
    struct fd_transport *t = context;
    struct share *s = t->share;
    if (!s->is_dead && is_worth_asking(s, version, question, now)) {
        s->asked_version = version;
        s->asked = now;
        if (sys_local_hung_up(t->in))
            share_note_death(t, "the socket has hung up");
    }
    if (s->is_dead)
        return RING_PEER_DEAD;
    return (version & SHARE_SHUT) != 0 ? RING_PEER_SHUT : RING_PEER_MAY_WRITE;
}

unsigned share_processor(void *unused)
{
    (void)unused;
    return sys_cpu_number() + 1;
}

/* ---- doorbells ---- */

static void note_doorbells(struct fd_transport *t, ssize_t got)
{
    if (got == 0) {
        share_note_death(t, "the socket has ended");
        ring_set_dead(t->share->ring);
    }
}

void share_drain(struct fd_transport *t)
{
    uint8_t doorbells[SHARE_DRAIN_SIZE];
    int saved = errno;
    ssize_t got = sizeof doorbells;
    if (t->share->doorbell.is_watched) {
        share_doorbell_drain(t);
        return;
    }
    for (int i = 0; i < SHARE_DRAINS && got == (ssize_t)sizeof doorbells; i++)
        got = sys_read(t->in, SYS_SOCKET, doorbells, sizeof doorbells);
    note_doorbells(t, got);
    errno = saved;
}

int share_await_doorbell(struct fd_transport *t)
{
    uint8_t doorbells[SHARE_DRAIN_SIZE];
    ssize_t got = sys_read_wait(t->in, SYS_SOCKET, doorbells, sizeof doorbells);
    if (got < 0 && errno == EAGAIN)
        t->share->is_still = true; /* or somebody has set O_NONBLOCK */
    else if (got < 0 && errno == EINTR)
        return -1;
    note_doorbells(t, got);
    return 0;
}

/* ---- ends ---- */

/* After fork, a parent that closes may do so while its child does the same. */
static void change_version(struct share *s, uint64_t bits)
{
    _Atomic uint64_t *version = &s->memory.page->end[s->own_end].version;
    atomic_fetch_or(version, bits);
    atomic_fetch_add(version, SHARE_STEP);
}

void share_note_left(struct fd_transport *t)
{
    struct share *s = t->share;
    atomic_store(&s->memory.page->end[s->own_end].process, (int)sys_process_id());
    atomic_store(&t->base.counters.ring, s->ring);
}

void share_shut(struct fd_transport *t)
{
    change_version(t->share, SHARE_SHUT);
    share_ring_doorbell(t);
}

void share_note_close(struct share *s)
{
    if (share_has_left(s))
        change_version(s, 0);
}
