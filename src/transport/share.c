/* SPDX-License-Identifier: MIT */
/*
 * The side that accepted the connection offers memory, once enough has flowed: its descriptor goes
 * with a byte of the stream. The side that connected looks for it, and accepts by a word in that
 * memory. A peer of another make never sees the descriptor.
 *
 * Of a pair, either end offers with what it writes, and looks from the start. If both have offered
 * before they see the other's offer, that of the first end stands. Neither has accepted then: who
 * has offered accepts nothing. The first drops what comes, the second gives its own memory up.
 *
 * Each side counts the bytes of the socket. When its own bytes leave for the ring, it writes its
 * mark into the memory: one more than the number of bytes that it has sent by the socket. The peer
 * reads the socket up to the mark, and then the ring. So a side leaves at any byte, also in the
 * middle of a message. Bytes behind the mark are doorbells.
 *
 *   event                     in AWAIT         in OFFERED        in LEAVING       in MOVED
 *   enough has flowed         offer OFFERED,   -                 -                -
 *    (offers)                 or try later
 *   an offer comes (takes)    mark  LEAVING,   of a pair's       -                -
 *                             or    NEVER      second: as AWAIT
 *   the peer has a mark       -                mark  LEAVING     -                -
 *   the socket is read up     -                -                       MOVED      -
 *    to the mark
 *   much more has flowed            NEVER      withdraw NEVER,   -                -
 *                                              or as the mark
 *   shutdown, detach                NEVER      withdraw NEVER,   -                -
 *                                              or as the mark
 *
 * NEVER: it stays a socket. LEAVING: own bytes go into the ring, and the peer's may still come by
 * the socket. "Or as the mark": the peer has accepted meanwhile; the word of the answer decides.
 *
 * What the peer does in the memory is seen in OFFERED only by what it sends. A program that polls
 * and does not wait for input would not be woken. Nothing is offered then, or it is withdrawn.
 *
 * A side that has left rings by the socket, and never before its mark is there; and by a pipe once
 * the peer has moved (share_doorbell.h). If the socket is full, the peer has something unread there
 * and is awake. A side that has left and waits for room alone must find a doorbell behind unread
 * bytes: it takes them into memory. They are few, since the peer leaves too with its next call.
 */
#include "transport/share.h"

#include <errno.h>
#include <stdint.h>

#include "sys/sys.h"
#include "sys/sys_net.h"
#include "sys/sys_rights.h"
#include "sys/sys_unix.h"

/*
 * By bytes, in both directions: an offer, and from a quarter of that on its peer looks for it. The
 * peer may have read less than was sent to it, but a read does not reach over the difference.
 */
#define SHARE_AFTER       ((uint64_t)32768)
#define SHARE_PAIR_AFTER  ((uint64_t)4096) /* both ends look from the start */
#define SHARE_READ_MAX    16384            /* while it does not look yet */
#define SHARE_SOON(after) ((after) / 4)
/*
 * The peer is of another make, or does not want: it has not answered when it has read so many bytes
 * more, or has sent so many bytes more without an offer. A refused offer is repeated, less and less
 * often.
 */
#define SHARE_PATIENCE ((uint64_t)8 * 1024 * 1024)
#define SHARE_RETRY    ((uint64_t)8192)
#define SHARE_TRIES    7

#define SHARE_STILL (5 * SYS_SECOND)

/*
 * An honest peer leaves with its next call, so no more can come by then than its socket holds. Its
 * buffer is as large as the own one, by default; or as these, whichever is more.
 */
#define SHARE_ABSORB_MAX ((size_t)512 * 1024)

_Static_assert(SHARE_SOON(SHARE_AFTER) + SHARE_READ_MAX < SHARE_AFTER, "an offer is looked for");

uint64_t share_after = SHARE_AFTER, share_pair_after = SHARE_PAIR_AFTER;
int64_t share_still = SHARE_STILL;

static int make_ring(struct fd_transport *t)
{
    struct share *s = t->share;
    s->ring = sys_alloc(sizeof *s->ring);
    if (s->ring == NULL)
        return -1;
    struct share_page *page = s->memory.page;
    unsigned own = s->own_end, peer = 1 - own;
    const struct ring_peer reach = {.context = t,
                                    .wake = share_ring_doorbell,
                                    .life = share_life,
                                    .processor = share_processor};
    const struct ring_memory memory = {.in = &page->ring[peer],
                                       .out = &page->ring[own],
                                       .in_data = s->memory.data[peer],
                                       .out_data = s->memory.data[own],
                                       .keeps_size = !s->memory.is_large,
                                       .interest = &page->end[own].interest,
                                       .peer_interest = &page->end[peer].interest,
                                       .peer_version = &page->end[peer].version};
    ring_init(s->ring, &memory, &reach);
    ring_answer_init(&s->answer, s->ring->out_head);
    atomic_store(&page->end[own].interest, RING_INTERESTS); /* the first bytes ring */
    return 0;
}

static void give_memory_up(struct share *s)
{
    share_memory_give_up(&s->memory);
    share_doorbell_close(&s->doorbell);
    sys_free(s->ring);
    s->ring = NULL;
}

static void drop_offer(struct share *s)
{
    for (int i = 0; i < s->offered; i++)
        sys_close(s->offer[i]);
    s->offered = 0;
}

/* ---- steps ---- */

/* Own bytes go into the ring from here on. */
static void leave(struct fd_transport *t)
{
    struct share *s = t->share;
    atomic_store(&s->memory.page->end[s->own_end].mark, t->sent + 1);
    s->state = SHARE_LEAVING;
    share_note_left(t);
    share_report(t, TRACE_MEMORY, "this side writes to shared memory");
    size_t buffers = 2 * sys_socket_buffer(t->out);
    s->absorb_max = buffers > SHARE_ABSORB_MAX ? buffers : SHARE_ABSORB_MAX;
    t->read_due = t->due = 0;
    t->base.reads_ahead = false;
    t->base.atomic_max = RING_WHOLE_MAX;
    t->base.reserve_max = RING_PIECE_SIZE;
}

static bool decide(struct share *s, unsigned answer)
{
    unsigned offered = SHARE_IS_OFFERED;
    return atomic_compare_exchange_strong(&s->memory.page->answer, &offered, answer);
}

static void look(struct fd_transport *t, bool looks)
{
    if (t->share->looks != looks && !share_is_pair(t->share))
        sys_rights_permit(t->in, looks);
    t->share->looks = looks;
}

void share_end(struct fd_transport *t)
{
    struct share *s = t->share;
    look(t, false);
    give_memory_up(s);
    drop_offer(s);
    s->state = SHARE_NEVER;
    share_report(t, TRACE_MEMORY, "stays a socket");
    t->read_due = t->due = 0;
}

/*
 * Who shares memory can delay each access to it by what the kernel locks (by punching holes, say),
 * and can keep it when this side has closed. So it has to be trusted as much as this user's own
 * processes, which could stop this one as well.
 */
static bool is_trusted(const struct fd_transport *t)
{
    return share_is_pair(t->share) || sys_unix_peer_is_own_user(t->in);
}

void share_look(struct fd_transport *t)
{
    if (t->share->looks || share_flowed(t) < SHARE_SOON(t->share->after))
        return;
    if (!is_trusted(t)) {
        share_end(t);
        return;
    }
    look(t, true);
    t->read_due = 0;
    t->due = UINT64_MAX;
}

/* A pair has no stranger at the other end, who could use up what the others may have. */
static enum share_limit share_limit(const struct share *s)
{
    return share_is_pair(s) ? SHARE_UNLIMITED : SHARE_LIMITED;
}

/* Memory, and the pipes where the peer has some. */
static bool take_all(struct share *s)
{
    if (s->offered != 1 && s->offered != SHARE_OFFER_MAX)
        return false;
    return share_memory_take(&s->memory, s->offer[0], share_limit(s)) == 0 &&
           (s->offered == 1 || share_doorbell_take(&s->doorbell, s->offer + 1));
}

static void take_offer(struct fd_transport *t)
{
    struct share *s = t->share;
    bool is_taken = take_all(s);
    s->own_end = 1;
    look(t, false);
    drop_offer(s);
    if (is_taken && make_ring(t) == 0 && decide(s, SHARE_IS_ACCEPTED))
        leave(t);
    else
        share_end(t);
}

static int try_later(struct fd_transport *t)
{
    struct share *s = t->share;
    t->due = share_flowed(t) + ((s->after > SHARE_RETRY ? s->after : SHARE_RETRY) << s->tries);
    if (++s->tries == SHARE_TRIES)
        share_end(t);
    return 0;
}

static ssize_t send_offer(struct fd_transport *t, const void *byte)
{
    struct share *s = t->share;
    int fds[SHARE_OFFER_MAX] = {share_memory_make(&s->memory, share_limit(s)), -1, -1};
    ssize_t sent = -1;
    s->own_end = 0;
    if (fds[0] >= 0 && make_ring(t) == 0)
        sent = sys_rights_send(t->out, byte, fds,
                               share_doorbell_make(&s->doorbell, fds + 1) ? SHARE_OFFER_MAX : 1);
    for (int i = 0; i < SHARE_OFFER_MAX; i++)
        sys_close(fds[i]);
    return sent;
}

int share_offer(struct fd_transport *t, const void *byte)
{
    struct share *s = t->share;
    bool may_offer = s->state == SHARE_AWAIT && share_may_offer(s) && !s->is_deaf;
    if (!may_offer || share_is_quiet(t) || !sys_has_room(t->out))
        return 0;
    int saved = errno;
    if (s->tries == 0 && !is_trusted(t)) {
        share_end(t);
        errno = saved;
        return 0;
    }
    ssize_t sent = send_offer(t, byte);
    errno = saved;
    if (sent <= 0) {
        give_memory_up(s);
        return try_later(t);
    }
    t->sent++;
    transport_count_bytes(&t->base.counters.kernel_written, sent);
    atomic_store_explicit(&t->wrote, true, memory_order_relaxed);
    s->state = SHARE_OFFERED;
    share_report(t, TRACE_MEMORY, "offers shared memory");
    s->until = t->sent + SHARE_PATIENCE;
    t->read_due = t->due = 0;
    return 1;
}

void share_load_mark(struct fd_transport *t)
{
    struct share *s = t->share;
    if (s->has_mark || s->memory.page == NULL)
        return;
    uint64_t mark = atomic_load(&s->memory.page->end[1 - s->own_end].mark);
    s->has_mark = mark != 0;
    s->mark = mark - 1;
}

static bool is_at_mark(const struct fd_transport *t)
{
    return t->share->has_mark && t->received == t->share->mark;
}

void share_withdraw(struct fd_transport *t)
{
    if (decide(t->share, SHARE_IS_WITHDRAWN))
        share_end(t);
    else
        leave(t);
}

/* It may have written its mark at this moment, or a hostile one never does. */
static void advance_offered(struct fd_transport *t)
{
    share_load_mark(t);
    if (t->share->has_mark)
        leave(t);
    else if (t->sent >= t->share->until)
        share_withdraw(t);
}

static void advance_awaiting(struct fd_transport *t)
{
    struct share *s = t->share;
    if (!share_may_take(s))
        return;
    if (s->offered != 0)
        take_offer(t);
    else if (t->received >= s->after + SHARE_PATIENCE)
        share_end(t);
    else
        share_look(t);
}

/*
 * Where the socket wakes from here on, a wait there is not for ever. A shutdown that was known
 * while the socket had more to read is an end now, and nothing else would show it.
 */
static void arrive(struct fd_transport *t)
{
    ring_forget_version(t->share->ring);
    share_doorbell_begin(t);
    if (!t->share->doorbell.is_watched)
        sys_socket_limit_waits(t->in, share_still);
    t->share->state = SHARE_MOVED;
    share_report(t, TRACE_MEMORY, "has moved into shared memory");
}

void share_advance(struct fd_transport *t)
{
    struct share *s = t->share;
    int saved = errno;
    if (s->state == SHARE_AWAIT)
        advance_awaiting(t);
    else if (s->state == SHARE_OFFERED)
        advance_offered(t);
    if (s->state == SHARE_LEAVING) {
        share_load_mark(t);
        if (is_at_mark(t))
            arrive(t);
    }
    errno = saved;
}

bool share_has_news(const struct fd_transport *t)
{
    const struct share *s = t->share;
    return (s->state == SHARE_AWAIT && s->offered != 0) ||
           (s->state == SHARE_OFFERED && s->has_mark) ||
           (s->state == SHARE_LEAVING && is_at_mark(t));
}

/* ---- reading the socket ---- */

static ssize_t receive_plain(struct fd_transport *t, void *to, size_t size, bool waits)
{
    return waits ? sys_read_wait(t->in, SYS_SOCKET, to, size)
                 : sys_read(t->in, SYS_SOCKET, to, size);
}

/* Who may take, when an offer may come. */
static ssize_t receive_looking(struct fd_transport *t, void *to, size_t size, bool waits)
{
    struct share *s = t->share;
    struct pollfd entry = {.fd = t->in, .events = POLLIN};
    share_look(t);
    if (!s->looks)
        return receive_plain(t, to, size, waits);
    if (waits && sys_poll(&entry, 1, -1) < 0) {
        errno = EINTR; /* whatever it is, it passes */
        return -1;
    }
    ssize_t got = sys_rights_take_few(t->in, to, size, s->offer, &s->offered);
    if (got < 0 && waits && errno == EAGAIN)
        errno = EINTR;
    if (s->offered != 0 || t->received >= s->after + SHARE_PATIENCE)
        t->due = 0;
    return got;
}

/*
 * Both ends of a pair have offered before either has seen the other's. Neither has accepted, nor
 * will: that of the first stands, and the second takes it.
 */
static void give_way(struct fd_transport *t)
{
    struct share *s = t->share;
    if (s->offered == 0 || s->state != SHARE_OFFERED)
        return;
    if (s->role == SHARE_SECOND_OF_PAIR) {
        give_memory_up(s);
        s->state = SHARE_AWAIT;
    } else {
        drop_offer(s);
    }
}

/* How much more of the socket is the stream's. -1: nothing for now, or the mark makes no sense. */
static ssize_t left_until_mark(const struct fd_transport *t, bool waits)
{
    const struct share *s = t->share;
    if (s->mark <= t->received) {
        errno = s->mark < t->received ? EPROTO : waits ? EINTR : EAGAIN;
        return -1;
    }
    uint64_t left = s->mark - t->received;
    return left < PTRDIFF_MAX ? (ssize_t)left : PTRDIFF_MAX;
}

/* What came may go beyond a mark that was written meanwhile: doorbells. */
static ssize_t cut_at_mark(const struct fd_transport *t, ssize_t got, bool waits)
{
    ssize_t left = left_until_mark(t, waits);
    return got < left ? got : left;
}

static ssize_t receive_until_mark(struct fd_transport *t, void *to, size_t size, bool waits)
{
    ssize_t left = left_until_mark(t, waits);
    return left < 0 ? -1 : receive_plain(t, to, size < (size_t)left ? size : (size_t)left, waits);
}

static ssize_t receive_in_step(struct fd_transport *t, void *to, size_t size, bool waits)
{
    struct share *s = t->share;
    if (s->has_mark)
        return receive_until_mark(t, to, size, waits);
    bool looks = share_may_take(s) && s->offered == 0 &&
                 (s->state == SHARE_AWAIT || (s->state == SHARE_OFFERED && s->looks));
    ssize_t got = looks ? receive_looking(t, to, size, waits) : receive_plain(t, to, size, waits);
    give_way(t);
    if (got < 0)
        return got;
    share_load_mark(t);
    if (!s->has_mark)
        return got;
    t->base.reads_ahead = false; /* a step is due, and the call that reads has to look for it */
    return cut_at_mark(t, got, waits);
}

static ssize_t share_receive(struct fd_transport *t, void *to, size_t size, bool waits)
{
    ssize_t got;
    if (!share_reads_quietly(t))
        got = receive_in_step(t, to, size, waits);
    else if (!share_may_take(t->share) || size <= SHARE_READ_MAX)
        got = receive_plain(t, to, size, waits);
    else /* so a read does not reach over both limits */
        got = receive_plain(t, to, SHARE_READ_MAX, waits);
    if (got > 0)
        t->received += (uint64_t)got;
    return got;
}

/* ---- lifetime ---- */

/* Before this, a read need not look for an offer. */
static uint64_t first_read_due(const struct share *s)
{
    if (!share_may_take(s))
        return UINT64_MAX;
    return share_is_pair(s) ? 0 : SHARE_SOON(s->after);
}

struct share *share_new(struct fd_transport *t, enum share_role role)
{
    struct share *s = sys_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (struct share){.role = role, .after = share_after, .doorbell = SHARE_NO_DOORBELL};
    if (share_is_pair(s)) {
        s->after = share_pair_after;
        s->looks = true;
    }
    t->share = s;
    t->due = share_may_offer(s) ? s->after : SHARE_SOON(s->after);
    t->read_due = first_read_due(s);
    t->receive = share_receive;
    return s;
}

void share_free(struct share *s)
{
    give_memory_up(s);
    drop_offer(s);
    sys_free(s);
}
