/* SPDX-License-Identifier: MIT */
/*
 * No thread and no signal drives the rendezvous: each call that needs the peer makes a step of it.
 *
 *   state     the calls of the transport           its descriptor is readable
 *   OPENING   make a step, and then there is       when something comes that the machine waits
 *             nothing to read and no room          for, or a step is due (the timer)
 *   OPEN      are those of transport_fd            once for the news, until the call after that
 *   FAILED    fail with the same errno             as the channel asks (the timer)
 *
 * The news is for a program that waits for the descriptor alone: the call that made the last step
 * may have found nothing to read, which tells the program nothing. After the news the table of
 * functions is that of transport_fd, and nothing of this file is called any more.
 *
 * The set behind the descriptor is made once, and later has the connection in it: its number stays.
 * What the machine waits for is taken out of the set before each step and put in after it. A step
 * closes descriptors, and one that it opens may have the number of one that it closed.
 *
 * With PIPC_DUPLEX two threads come here at once: the lock is for all but the constants. While one
 * of them waits for descriptors of the machine, the other makes no step, which could close them. A
 * child after fork makes none either: the rendezvous is its parent's.
 */
#include "rendezvous/async.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "rendezvous/rendezvous.h"
#include "sys/self.h"
#include "sys/sys.h"
#include "transport/transport_fd.h"

/* How soon a thread looks again while another one waits; and when the kernel lacks memory. */
#define ASYNC_PAUSE (10 * SYS_MILLISECOND)

enum async_state { OPENING, OPEN, FAILED };

struct async {
    pthread_mutex_t lock;
    enum async_state state;
    struct rendezvous *rendezvous; /* NULL once it is over */
    uint32_t opener;               /* the process whose rendezvous it is */
    int timer;                     /* in the set; -1: nobody has asked for the descriptor yet */
    bool is_socket;
    bool is_waited_for; /* by a thread, in `wait` */
    bool is_shut_down;  /* to be done once it is open */
    bool is_told;       /* the news */
    bool is_readable;   /* FAILED: the timer is set */
    int error;
};

static struct async *async_of(struct transport *transport)
{
    return transport_fd_more(transport);
}

static bool is_opener(const struct async *a)
{
    return self_is_process(a->opener);
}

/* ---- the set ---- */

static int set_of(struct transport *transport)
{
    return fd_of(transport)->ready.set;
}

static void unwatch(struct transport *transport, struct async *a)
{
    struct rendezvous_interests *watched = &a->rendezvous->watched;
    for (nfds_t i = 0; i < watched->count; i++)
        sys_epoll_remove(set_of(transport), watched->fds[i].fd);
    watched->count = 0;
}

static void ask_interests(struct async *a, struct rendezvous_interests *what)
{
    what->count = 0;
    a->rendezvous->ops->interests(a->rendezvous, what);
    what->until = sys_deadline_earlier(what->until, a->rendezvous->limit.deadline);
}

static void watch_machine(struct transport *transport, struct async *a)
{
    struct rendezvous_interests *watched = &a->rendezvous->watched;
    if (a->timer < 0)
        return;
    ask_interests(a, watched);
    int64_t until = watched->until;
    for (nfds_t i = 0; i < watched->count; i++) {
        const struct pollfd *entry = &watched->fds[i];
        uint32_t events = entry->events & POLLOUT ? sys_epoll_out : sys_epoll_in;
        if (sys_epoll_add(set_of(transport), entry->fd, events) != 0)
            until = sys_deadline_earlier(until, sys_now() + ASYNC_PAUSE);
    }
    sys_timer_set(a->timer, until);
}

static void close_timer(struct transport *transport, struct async *a)
{
    if (a->timer >= 0 && is_opener(a))
        sys_epoll_remove(set_of(transport), a->timer); /* a child may have a copy */
    sys_close(a->timer);
    a->timer = -1;
}

static int open_timer(struct transport *transport, struct async *a)
{
    int timer = sys_timer_open();
    if (timer >= 0 && ready_open(&fd_of(transport)->ready, a->is_socket) >= 0) {
        if (sys_epoll_add(set_of(transport), timer, sys_epoll_in) == 0) {
            a->timer = timer;
            return 0;
        }
        ready_close(&fd_of(transport)->ready);
    }
    sys_close(timer);
    return -1;
}

/* ---- steps, under the lock ---- */

static void end_rendezvous(struct async *a)
{
    rendezvous_close(a->rendezvous, is_opener(a));
    a->rendezvous = NULL;
}

static void fail_to_open(struct transport *transport, struct async *a, int error)
{
    end_rendezvous(a);
    a->state = FAILED;
    a->error = error == EAGAIN ? ETIMEDOUT : error; /* EAGAIN is what an attempt failed with */
    if (a->timer >= 0 && is_opener(a))
        sys_timer_set(a->timer, -1);
    atomic_store(&transport->opening, a->error);
}

static void become_transport_fd(struct transport *transport)
{
    atomic_store(&transport->ops, &fd_ops);
}

static void open_with(struct transport *transport, struct async *a, int fds[2])
{
    if (transport_fd_adopt(transport, fds[0], fds[1]) != 0) {
        fail_to_open(transport, a, errno);
        return;
    }
    close_timer(transport, a);
    end_rendezvous(a);
    if (a->is_shut_down)
        fd_ops.shutdown(transport);
    a->state = OPEN;
    a->is_told = set_of(transport) < 0;
    atomic_store(&transport->opening, 0);
}

static void make_step(struct transport *transport, struct async *a)
{
    int fds[2];
    unwatch(transport, a);
    enum rendezvous_result result = rendezvous_step(a->rendezvous, fds);
    if (result == RENDEZVOUS_DONE)
        open_with(transport, a, fds);
    else if (result == RENDEZVOUS_FAILED)
        fail_to_open(transport, a, errno);
    else
        watch_machine(transport, a);
}

static void lock_async(struct async *a)
{
    pthread_mutex_lock(&a->lock);
}

static void unlock_async(struct async *a)
{
    pthread_mutex_unlock(&a->lock);
}

static enum async_state step_locked(struct transport *transport, struct async *a)
{
    if (a->state == OPENING && !is_opener(a))
        fail_to_open(transport, a, EPERM);
    else if (a->state == OPENING && !a->is_waited_for)
        make_step(transport, a);
    if (a->state == OPEN && a->is_told)
        become_transport_fd(transport);
    return a->state;
}

/* Sets errno unless it is OPEN, from where on nothing here changes any more. */
static enum async_state advance_async(struct transport *transport)
{
    struct async *a = async_of(transport);
    int saved = errno;
    lock_async(a);
    enum async_state state = step_locked(transport, a);
    errno = state == OPEN ? saved : state == OPENING ? EAGAIN : a->error;
    unlock_async(a);
    return state;
}

/* The same without a step. */
static enum async_state async_state_of(struct transport *transport)
{
    struct async *a = async_of(transport);
    lock_async(a);
    enum async_state state = a->state;
    if (state != OPEN)
        errno = state == OPENING ? EAGAIN : a->error;
    unlock_async(a);
    return state;
}

/* ---- reading ---- */

static ssize_t async_peek(struct transport *transport, size_t want, enum transport_peek mode,
                          struct transport_view *view)
{
    enum async_state state =
        mode == PEEK_READ ? advance_async(transport) : async_state_of(transport);
    if (state == OPEN)
        return fd_ops.peek(transport, want, mode, view);
    *view = (struct transport_view){.bytes = (const uint8_t *)"", .drained = true};
    return state == OPENING || mode != PEEK_READ ? 0 : -1;
}

static void async_skip(struct transport *transport, size_t size)
{
    fd_ops.skip(transport, size);
}

static ssize_t async_read(struct transport *transport, void *buffer, size_t size)
{
    return advance_async(transport) == OPEN ? fd_ops.read(transport, buffer, size) : -1;
}

static bool async_goodbye(struct transport *transport)
{
    return fd_ops.goodbye(transport);
}

/* ---- writing ---- */

static ssize_t async_writev(struct transport *transport, const struct iovec *parts, int count)
{
    if (advance_async(transport) != OPEN)
        return -1;
    return count == 0 ? 0 : fd_ops.writev(transport, parts, count);
}

static uint8_t *async_reserve(struct transport *transport, size_t size)
{
    return fd_ops.reserve(transport, size);
}

static void async_commit(struct transport *transport, size_t size)
{
    fd_ops.commit(transport, size);
}

static int async_shutdown(struct transport *transport)
{
    struct async *a = async_of(transport);
    lock_async(a);
    bool is_open = a->state == OPEN;
    a->is_shut_down = true;
    unlock_async(a);
    return is_open ? fd_ops.shutdown(transport) : 0;
}

/* ---- waiting ---- */

static void end_wait_for_machine(void *async)
{
    struct async *a = async;
    int saved = errno;
    lock_async(a);
    a->is_waited_for = false;
    unlock_async(a);
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
    lock_async(a);
    enum async_state state = step_locked(transport, a);
    bool is_first = state == OPENING && !a->is_waited_for;
    if (is_first) {
        a->is_waited_for = true;
        ask_interests(a, &what);
    }
    unlock_async(a);
    if (state == OPEN)
        return fd_ops.wait(transport, events, deadline);
    if (state == FAILED)
        return 0;
    if (is_first)
        return wait_for_machine(a, &what, deadline);
    what.until = sys_now() + ASYNC_PAUSE;
    return poll_until(&what, deadline);
}

static bool async_unread(struct transport *transport)
{
    return async_state_of(transport) == OPEN && fd_ops.unread(transport);
}

static unsigned async_over(struct transport *transport)
{
    enum async_state state = async_state_of(transport);
    if (state == OPEN)
        return fd_ops.over(transport);
    return state == FAILED ? TRANSPORT_IN | TRANSPORT_OUT : 0;
}

/* ---- the descriptor ---- */

static int open_descriptor(struct transport *transport, struct async *a)
{
    if (!is_opener(a)) {
        errno = EPERM;
        return -1;
    }
    if (a->timer < 0) {
        if (open_timer(transport, a) != 0)
            return -1;
        if (a->state == OPENING)
            watch_machine(transport, a);
    }
    return set_of(transport);
}

static int async_descriptor(struct transport *transport)
{
    struct async *a = async_of(transport);
    lock_async(a);
    bool is_open = a->state == OPEN;
    int fd = is_open ? -1 : open_descriptor(transport, a);
    unlock_async(a);
    return is_open ? fd_ops.descriptor(transport) : fd;
}

/* Nothing comes any more, and so all that one could wait for has come. */
static void update_failed(struct async *a, bool readable, unsigned events)
{
    unsigned any = TRANSPORT_IN | TRANSPORT_OUT | TRANSPORT_IN_END | TRANSPORT_OUT_END;
    readable = readable || (events & any) != 0;
    if (a->timer < 0 || !is_opener(a))
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
    lock_async(a);
    enum async_state state = a->state;
    if (state == FAILED)
        update_failed(a, readable, events);
    if (state == OPEN)
        a->is_told = true;
    unlock_async(a);
    if (state == OPEN)
        fd_ops.update_readiness(transport, true, events);
    return false;
}

/* ---- the rest ---- */

static void async_peer(struct transport *transport, char *text, size_t size)
{
    enum async_state state = async_state_of(transport);
    if (state == OPEN)
        fd_ops.peer(transport, text, size);
    else
        snprintf(text, size, state == OPENING ? "nobody yet" : "nobody");
}

static int async_credentials(struct transport *transport, struct sys_credentials *credentials)
{
    if (async_state_of(transport) != OPEN)
        return -1;
    return fd_ops.credentials(transport, credentials);
}

static void async_close(struct transport *transport)
{
    struct async *a = async_of(transport);
    if (a->rendezvous != NULL)
        end_rendezvous(a);
    close_timer(transport, a);
    fd_ops.close(transport);
}

static int async_detach(struct transport *transport, int fds[2])
{
    return async_state_of(transport) == OPEN ? fd_ops.detach(transport, fds) : -1;
}

static const struct transport_ops async_ops = {
    .peek = async_peek,
    .skip = async_skip,
    .goodbye = async_goodbye,
    .read = async_read,
    .writev = async_writev,
    .reserve = async_reserve,
    .commit = async_commit,
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

static void init_async(struct async *a, struct rendezvous *r)
{
    *a = (struct async){.state = OPENING,
                        .rendezvous = r,
                        .opener = self_process(),
                        .timer = -1,
                        .is_socket = r->is_socket};
    pthread_mutex_init(&a->lock, NULL);
}

/* Its time cannot be up yet, however long the resolver took. */
static int make_first_step(struct transport *transport, struct async *a)
{
    int fds[2];
    enum rendezvous_result result = a->rendezvous->ops->step(a->rendezvous, fds);
    if (result == RENDEZVOUS_DONE)
        open_with(transport, a, fds);
    if (a->state == OPEN)
        become_transport_fd(transport);
    return result == RENDEZVOUS_FAILED || a->state == FAILED ? -1 : 0;
}

struct transport *async_open(struct rendezvous *r)
{
    if (r == NULL)
        return NULL;
    struct transport *transport = transport_fd_reserve(sizeof(struct async));
    if (transport != NULL) {
        init_async(async_of(transport), r);
        transport->ops = &async_ops;
        transport->opening = EINPROGRESS;
        if (make_first_step(transport, async_of(transport)) == 0)
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
