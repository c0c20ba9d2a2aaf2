/* SPDX-License-Identifier: MIT */
/*
 * No thread and no signal drives the rendezvous: each call that needs the peer makes a step of it.
 *
 *   state     the calls of the transport           its descriptor is readable
 *   OPENING   make a step, and then there is       when something comes that the machine waits
 *             nothing to read and no room          for, or a step is due (the timer); not while
 *                                                  a thread waits for that, and so makes the step
 *   OPEN      are those of transport_fd            at once (the timer); after the call once for
 *                                                  the news, unless a call has shown it
 *   FAILED    fail with the same errno             as the channel asks (the timer)
 *
 * The news is for a program that waits for the descriptor alone: the constructor may have made the
 * last step, or a call that found nothing to read, which tells the program nothing. Once the news
 * is out, by the descriptor or by a call that moved bytes, the next call puts the functions of
 * transport_fd in place of these, and nothing of this file is called any more. A channel that waits
 * for no input any more has read something, or what has ended reading.
 *
 * The set behind the descriptor is made once, and later has the connection in it: its number stays.
 * What the machine waits for is taken out of the set before each step and put in after it. A step
 * closes descriptors, and one that it opens may have the number of one that it closed.
 *
 * With PIPC_DUPLEX two threads come here at once: the lock is for all but the constants. While one
 * of them waits for descriptors of the machine, the other makes no step, which could close them.
 * The first may open it and wait on, for a message: the set is readable from that moment, for the
 * second. A child after fork makes no step either: the rendezvous is its parent's.
 */
#include "rendezvous/async.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "rendezvous/async_step.h"
#include "rendezvous/rendezvous.h"
#include "sys/sys.h"
#include "trace/trace.h"
#include "transport/transport_fd.h"

/* ---- reading ---- */

static ssize_t async_peek(struct transport *transport, size_t want, enum transport_peek mode,
                          struct transport_view *view)
{
    bool reads = mode == PEEK_READ || mode == PEEK_WAIT;
    enum async_state state = reads ? async_advance(transport) : async_state_of(transport);
    if (state == ASYNC_OPEN) {
        ssize_t there = fd_open_ops(transport)->peek(transport, want, mode, view);
        if (view->end)
            async_note_known(transport);
        return there;
    }
    view->bytes = (const uint8_t *)"";
    view->end = false;
    if (reads)
        view->drained = true;
    return state == ASYNC_OPENING || !reads ? 0 : -1;
}

static void async_skip(struct transport *transport, size_t size)
{
    fd_open_ops(transport)->skip(transport, size);
}

static ssize_t async_read(struct transport *transport, void *buffer, size_t size, bool waits)
{
    return async_advance(transport) == ASYNC_OPEN
               ? fd_open_ops(transport)->read(transport, buffer, size, waits)
               : -1;
}

/* While it is opening, it is known what will be there: a socket of this host, or something else. */
static bool async_accept_fds(struct transport *transport, struct arrived *arrived)
{
    struct async *a = async_of(transport);
    if (async_state_of(transport) == ASYNC_OPEN)
        return fd_open_ops(transport)->accept_fds(transport, arrived);
    a->arrived = a->carries_fds ? arrived : NULL; /* no step was made since */
    return a->arrived != NULL;
}

static bool async_goodbye(struct transport *transport)
{
    return fd_open_ops(transport)->goodbye(transport);
}

/* ---- writing ---- */

static ssize_t async_writev(struct transport *transport, const struct iovec *parts, int count)
{
    if (async_advance(transport) != ASYNC_OPEN)
        return -1;
    async_note_known(transport);
    return count == 0 ? 0 : fd_open_ops(transport)->writev(transport, parts, count);
}

static uint8_t *async_reserve(struct transport *transport, size_t size)
{
    return fd_open_ops(transport)->reserve(transport, size);
}

static void async_commit(struct transport *transport, size_t size)
{
    fd_open_ops(transport)->commit(transport, size);
    async_note_known(transport);
}

static bool async_carries_fds(struct transport *transport)
{
    return async_of(transport)->carries_fds;
}

static ssize_t async_write_fds(struct transport *transport, const void *byte, const int *fds,
                               int count)
{
    if (async_advance(transport) != ASYNC_OPEN)
        return -1;
    async_note_known(transport);
    return fd_open_ops(transport)->write_fds(transport, byte, fds, count);
}

static int async_shutdown(struct transport *transport)
{
    struct async *a = async_of(transport);
    async_lock(a);
    enum async_state state = async_state_locked(transport, a);
    a->is_shut_down = true;
    async_unlock(a);
    return state == ASYNC_OPEN ? fd_open_ops(transport)->shutdown(transport) : 0;
}

/* ---- waiting ---- */

static void end_wait_for_machine(void *async)
{
    struct async *a = async;
    int saved = errno;
    async_lock(a);
    a->is_waited_for = false;
    async_unlock(a);
    errno = saved;
}

/* -1: the deadline of the caller has passed, or a signal has come. */
static int poll_until(struct rendezvous_interests *what, int64_t deadline)
{
    int ready = sys_poll(what->fds, what->count, sys_deadline_earlier(what->until, deadline));
    if (ready == 0 && sys_deadline_has_passed(deadline)) {
        errno = ETIMEDOUT;
        return -1;
    }
    return ready < 0 ? -1 : 0;
}

static int wait_for_machine(struct async *a, struct rendezvous_interests *what, int64_t deadline)
{
    int result;
    pthread_cleanup_push(end_wait_for_machine, a); /* the thread may be cancelled here */
    result = poll_until(what, deadline);
    pthread_cleanup_pop(1);
    return result;
}

static int async_wait(struct transport *transport, unsigned events, int64_t deadline)
{
    struct async *a = async_of(transport);
    struct rendezvous_interests what = {.until = -1};
    async_lock(a);
    enum async_state state = async_advance_locked(transport, a);
    bool is_first = state == ASYNC_OPENING && !a->is_waited_for;
    if (is_first) {
        a->is_waited_for = true;
        async_hide_machine(transport, a);
        async_ask_interests(a, &what);
    }
    async_unlock(a);
    trace_deliver();
    if (state == ASYNC_OPEN)
        return fd_open_ops(transport)->wait(transport, events, deadline);
    if (state == ASYNC_FAILED)
        return 0;
    if (is_first)
        return wait_for_machine(a, &what, deadline);
    what.until = sys_now() + ASYNC_PAUSE;
    return poll_until(&what, deadline);
}

static bool async_unread(struct transport *transport)
{
    return async_state_of(transport) == ASYNC_OPEN && fd_open_ops(transport)->unread(transport);
}

static unsigned async_over(struct transport *transport)
{
    enum async_state state = async_state_of(transport);
    if (state == ASYNC_OPEN)
        return fd_open_ops(transport)->over(transport);
    return state == ASYNC_FAILED ? TRANSPORT_IN | TRANSPORT_OUT : 0;
}

/* ---- the descriptor ---- */

static int async_descriptor(struct transport *transport)
{
    struct async *a = async_of(transport);
    async_lock(a);
    bool is_open = a->state == ASYNC_OPEN;
    int fd = is_open ? -1 : async_open_set(transport, a);
    async_unlock(a);
    return is_open ? fd_open_ops(transport)->descriptor(transport) : fd;
}

/*
 * Nothing comes any more, and so all that a reader could wait for has come. Not what a writer waits
 * for: a write that was refused would keep it readable after reading has reported the failure.
 */
static void update_failed(struct async *a, bool readable, unsigned events)
{
    unsigned any = TRANSPORT_IN | TRANSPORT_IN_END | TRANSPORT_OUT_END;
    readable = readable || (events & any) != 0;
    if (a->timer < 0 || !async_is_opener(a))
        return;
    if (readable && (!a->is_readable || (events & TRANSPORT_EDGE) != 0))
        sys_timer_set(a->timer, 0);
    else if (!readable && a->is_readable)
        sys_timer_set(a->timer, -1);
    a->is_readable = readable;
}

static bool async_update_readiness(struct transport *transport, bool readable, unsigned events)
{
    struct async *a = async_of(transport);
    async_lock(a);
    if (a->state == ASYNC_OPEN) {
        a->is_known = a->is_known || (events & (TRANSPORT_IN | TRANSPORT_IN_END)) == 0;
        fd_open_ops(transport)->update_readiness(transport, readable || !a->is_known, events);
        a->is_reported = true;
        async_close_timer(transport, a);
    } else if (a->state == ASYNC_FAILED) {
        update_failed(a, readable, events);
    } else {
        async_show_machine(transport, a); /* the call may have ended while it waited */
    }
    sys_epoll_update(fd_of(transport)->ready.set);
    async_unlock(a);
    return false;
}

/* ---- the rest ---- */

static void async_peer(struct transport *transport, char *text, size_t size)
{
    enum async_state state = async_state_of(transport);
    if (state == ASYNC_OPEN)
        fd_open_ops(transport)->peer(transport, text, size);
    else
        snprintf(text, size, state == ASYNC_OPENING ? "nobody yet" : "nobody");
}

static int async_credentials(struct transport *transport, struct sys_credentials *credentials)
{
    if (async_state_of(transport) != ASYNC_OPEN)
        return -1;
    return fd_open_ops(transport)->credentials(transport, credentials);
}

static void async_close(struct transport *transport)
{
    struct async *a = async_of(transport);
    async_fini(transport, a);
    fd_open_ops(transport)->close(transport);
}

static int async_detach(struct transport *transport, int fds[2])
{
    return async_state_of(transport) == ASYNC_OPEN ? fd_open_ops(transport)->detach(transport, fds)
                                                   : -1;
}

static const struct transport_ops async_ops = {
    .peek = async_peek,
    .skip = async_skip,
    .goodbye = async_goodbye,
    .read = async_read,
    .accept_fds = async_accept_fds,
    .writev = async_writev,
    .reserve = async_reserve,
    .commit = async_commit,
    .carries_fds = async_carries_fds,
    .write_fds = async_write_fds,
    .shutdown = async_shutdown,
    .wait = async_wait,
    .descriptor = async_descriptor,
    .update_readiness = async_update_readiness,
    .over = async_over,
    .unread = async_unread,
    .peer = async_peer,
    .credentials = async_credentials,
    .close = async_close,
    .detach = async_detach,
};

/* ---- opening ---- */

struct transport *async_open(struct rendezvous *r)
{
    if (r == NULL)
        return NULL;
    struct transport *transport = transport_fd_reserve(sizeof(struct async));
    if (transport != NULL) {
        async_init(async_of(transport), r);
        transport->ops = &async_ops;
        transport->opening = EINPROGRESS;
        if (async_make_first_step(transport, async_of(transport)) == 0)
            return transport;
    }
    int error = errno;
    if (transport == NULL)
        rendezvous_close(r, true);
    else
        async_close(transport);
    errno = error;
    return NULL;
}
