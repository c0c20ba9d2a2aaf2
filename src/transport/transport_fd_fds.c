/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that travel with the bytes, on a socket of this host.
 *
 * A plain read loses the descriptors for which it has no room, or for which no number is free. So a
 * reader that takes descriptors looks first, and keeps copies of those that come next. Then it
 * takes bytes, until the system says that descriptors came with the last one.
 *
 *   what the look finds                     what happens
 *   no descriptors                          as many bytes are taken as it has seen
 *   descriptors                             bytes are taken up to those that bring them
 *   no number is free for them, or it       nothing is taken: EMFILE, until one is free
 *   seems so
 *   memory that a libpipc offers (share.c)  the same, but it is closed: such a pipe never moves
 *   no room for them in `arrived`           nothing is taken: EAGAIN, until it has room
 *   too many, or the system keeps them      bytes are taken up to the last one before: so the
 *   (see is_refused)                        message is never whole. Then EPROTO, ECONNRESET
 *   nothing, twice in a row                 a byte out of band is dropped, if one is there:
 *                                           otherwise the socket would stay readable
 */
#include "sys/sys_rights.h"
#include "transport/share_doorbell.h"
#include "transport/share_memory.h"
#include "transport/transport_fd.h"

/*
 * Other threads that take and free numbers can make a look fail although there seem to be some. Not
 * each of so many looks, for so long.
 */
#define REFUSED_LOOKS 16
#define REFUSED_TIME  (500 * SYS_MILLISECOND)

/* ---- output ---- */

bool fd_carries_fds(struct transport *transport)
{
    struct fd_transport *t = fd_of(transport);
    if (t->carries == FD_CARRIES_UNKNOWN) {
        int carried = t->out_kind == SYS_SOCKET ? sys_rights_are_carried(t->out) : 0;
        if (carried < 0)
            return false; /* not known now */
        t->carries = carried > 0 ? FD_CARRIES_FDS : FD_CARRIES_NONE;
    }
    return t->carries == FD_CARRIES_FDS;
}

ssize_t fd_write_fds(struct transport *transport, const void *byte, const int *fds, int count)
{
    struct fd_transport *t = fd_of(transport);
    if (!fd_carries_fds(transport)) {
        errno = EOPNOTSUPP;
        return -1;
    }
    pace_note_write(&t->pace);
    ssize_t sent = sys_rights_send(t->out, byte, fds, count);
    transport_count_bytes(&t->base.counters.kernel_written, sent);
    atomic_store_explicit(&t->wrote, true, memory_order_relaxed);
    return sent;
}

/* ---- input ---- */

/* True: it was the other way round. */
static bool permit(int fd, enum sys_kind kind, bool accepts)
{
    if (kind != SYS_SOCKET || sys_rights_are_permitted(fd) == accepts)
        return false;
    sys_rights_permit(fd, accepts);
    return true;
}

/*
 * What libpipc made permits them from the start, or refuses them: before a peer was there. A socket
 * that is only written to needs none, and would keep them until it is closed. It may be the same
 * socket under another number, so the one that is read comes last here, and first below.
 */
bool fd_accept_fds(struct transport *transport, struct arrived *arrived)
{
    struct fd_transport *t = fd_of(transport);
    bool accepts = arrived != NULL;
    if (!t->own && t->out != t->in)
        t->out_permit_changed = permit(t->out, t->out_kind, false);
    if (!t->own)
        t->in_permit_changed = permit(t->in, t->in_kind, accepts);
    if (!t->own && accepts && t->in_kind == SYS_SOCKET)
        sys_rights_prepare(t->in);
    if (!accepts || t->in_kind != SYS_SOCKET || sys_rights_are_carried(t->in) == 0)
        return false;
    t->arrived = arrived;
    t->receive = fd_receive;
    return true;
}

void fd_permit_as_before(struct fd_transport *t)
{
    if (t->in_permit_changed)
        sys_rights_permit(t->in, t->arrived == NULL);
    if (t->out_permit_changed && t->out >= 0)
        sys_rights_permit(t->out, true);
}

/*
 * Looks pass over a byte that was sent out of band; a read drops it. Descriptors that come between
 * the two are lost, and that is reported: an honest peer sends no such byte.
 */
static ssize_t find_nothing(struct fd_transport *t, size_t size)
{
    bool is_again = t->arrived->is_empty;
    t->arrived->is_empty = true;
    return is_again && sys_rights_are_behind_mark(t->in) ? (ssize_t)size : -1;
}

/* The system keeps these descriptors from us: a security module, say. */
static bool is_refused(struct arrived *a, const struct sys_rights *rights)
{
    if (rights->error != ECONNRESET) {
        a->refusals = 0;
        return false;
    }
    if (a->refusals == 0 || a->refused_place != rights->place) {
        a->refusals = 0;
        a->refused_place = rights->place;
        a->refused_since = sys_now();
    }
    if (a->refusals < REFUSED_LOOKS)
        a->refusals++;
    return a->refusals == REFUSED_LOOKS && sys_now() - a->refused_since >= REFUSED_TIME;
}

static bool is_offer(const struct sys_rights *rights)
{
    if (rights->count == SHARE_OFFER_MAX &&
        (!sys_pipe_is_end(rights->fds[1], true) || !sys_pipe_is_end(rights->fds[2], false)))
        return false;
    return (rights->count == 1 || rights->count == SHARE_OFFER_MAX) &&
           share_memory_is_offered(rights->fds[0]);
}

static void close_all(const struct sys_rights *rights)
{
    for (int i = 0; i < rights->count; i++)
        sys_close(rights->fds[i]);
}

/* Those that come next, unless they are known. -1: errno; 0: the end. */
static ssize_t look_ahead(struct fd_transport *t, void *to, size_t size)
{
    struct arrived *a = t->arrived;
    struct sys_rights rights;
    if (a->ahead > 0 || a->error != 0 || a->skips)
        return (ssize_t)size;
    ssize_t there = sys_rights_peek(t->in, to, size, &rights);
    if (there < 0 && errno == EAGAIN)
        return find_nothing(t, size);
    if (there <= 0)
        return there;
    a->is_empty = false;
    bool is_lost = is_refused(a, &rights) || rights.error == EPROTO;
    if (rights.error != 0 && !is_lost) {
        errno = EMFILE;
        return -1;
    }
    a->error = rights.error;
    a->skips = is_offer(&rights);
    if (a->skips) {
        close_all(&rights);
        return (ssize_t)size;
    }
    if (!arrived_add(a, &rights)) {
        close_all(&rights);
        a->is_full = true;
        errno = EAGAIN;
        return -1;
    }
    return rights.count > 0 || rights.error != 0 ? (ssize_t)size : there;
}

/* The last byte is not given: so the message that it belongs to is never whole. */
static ssize_t give_all_but_last(struct fd_transport *t, ssize_t got)
{
    t->failed = t->arrived->error;
    t->arrived->received--;
    if (got > 1)
        return got - 1;
    errno = t->failed;
    return -1;
}

ssize_t fd_receive(struct fd_transport *t, void *to, size_t size, bool waits)
{
    (void)waits;
    struct arrived *a = t->arrived;
    bool brought;
    a->is_cut = a->is_full = false;
    if (arrived_unclaimed(a) > ARRIVED_OF_MESSAGE_MAX) {
        t->failed = errno = EPROTO;
        return -1;
    }
    ssize_t got = look_ahead(t, to, size);
    if (got > 0)
        got = sys_rights_take(t->in, to, (size_t)got, &brought);
    if (got <= 0)
        return got;
    a->received += (uint64_t)got;
    a->is_cut = brought;
    if (brought && a->skips) {
        a->skips = false;
        return got;
    }
    if (brought && a->ahead == 0 && a->error == 0)
        a->error = ECONNRESET; /* no look has found them, and they are lost */
    if (brought && a->error != 0)
        return give_all_but_last(t, got);
    if (brought)
        arrived_come(a);
    return got;
}
