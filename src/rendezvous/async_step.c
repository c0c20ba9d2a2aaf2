/* SPDX-License-Identifier: MIT */
#include "rendezvous/async_step.h"

#include <errno.h>

#include "sys/self.h"
#include "trace/trace.h"

bool async_is_opener(const struct async *a)
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
    a->is_watched = false;
}

void async_ask_interests(struct async *a, struct rendezvous_interests *what)
{
    what->count = 0;
    what->until = a->retry_at;
    if (a->retry_at == 0)
        a->rendezvous->ops->interests(a->rendezvous, what);
    what->until = sys_deadline_earlier(what->until, a->rendezvous->limit.deadline);
}

static void watch_machine(struct transport *transport, struct async *a)
{
    struct rendezvous_interests *watched = &a->rendezvous->watched;
    if (a->timer < 0)
        return;
    a->is_watched = true;
    async_ask_interests(a, watched);
    int64_t until = watched->until;
    for (nfds_t i = 0; i < watched->count; i++) {
        const struct pollfd *entry = &watched->fds[i];
        uint32_t events = entry->events & POLLOUT ? sys_epoll_out : sys_epoll_in;
        if (sys_epoll_add(set_of(transport), entry->fd, events) != 0)
            until = sys_deadline_earlier(until, sys_now() + ASYNC_PAUSE);
    }
    sys_timer_set(a->timer, until);
}

void async_hide_machine(struct transport *transport, struct async *a)
{
    if (!a->is_watched)
        return;
    unwatch(transport, a);
    sys_timer_set(a->timer, -1);
}

void async_show_machine(struct transport *transport, struct async *a)
{
    if (a->state == ASYNC_OPENING && !a->is_waited_for && !a->is_watched && async_is_opener(a))
        watch_machine(transport, a);
}

void async_close_timer(struct transport *transport, struct async *a)
{
    if (a->timer >= 0 && async_is_opener(a))
        sys_epoll_remove(set_of(transport), a->timer); /* a child may have a copy */
    sys_timer_close(a->timer);
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
    sys_timer_close(timer);
    return -1;
}

int async_open_set(struct transport *transport, struct async *a)
{
    if (!async_is_opener(a)) {
        errno = EPERM;
        return -1;
    }
    if (a->timer < 0) {
        if (open_timer(transport, a) != 0)
            return -1;
        async_show_machine(transport, a);
        sys_epoll_update(set_of(transport));
    }
    return set_of(transport);
}

/* ---- steps, under the lock ---- */

static void end_rendezvous(struct async *a)
{
    rendezvous_close(a->rendezvous, async_is_opener(a));
    a->rendezvous = NULL;
}

static void fail_to_open(struct transport *transport, struct async *a, int error)
{
    end_rendezvous(a);
    trace(transport->handle, TRACE_RENDEZVOUS, "there will be no peer", NULL, error);
    a->state = ASYNC_FAILED;
    a->error = error == EAGAIN ? ETIMEDOUT : error; /* EAGAIN is what an attempt failed with */
    if (a->timer >= 0 && async_is_opener(a))
        sys_timer_set(a->timer, -1);
    atomic_store(&transport->opening, a->error);
}

/* This thread may wait on, for a message, and another one that polls has to know. */
static void show_news(struct transport *transport, struct async *a)
{
    if (a->timer < 0)
        return;
    sys_timer_set(a->timer, 0);
    sys_epoll_update(set_of(transport));
}

static void become_transport_fd(struct transport *transport)
{
    atomic_store(&transport->ops, fd_of(transport)->open_ops);
}

/* What comes back by itself, or when the program closes something. */
static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* The step that has just failed is worth another try, after a pause. */
static bool tries_later(struct async *a)
{
    const struct limit *limit = &a->rendezvous->limit;
    if (!is_shortage(errno) || sys_deadline_has_passed(limit->deadline))
        return false;
    a->retry_at = sys_deadline_earlier(limit->deadline, sys_now() + ASYNC_SHORTAGE_PAUSE);
    return true;
}

static void close_met(struct async *a)
{
    if (a->has_met)
        rendezvous_close_met(a->met);
    a->has_met = false;
}

static void open_with(struct transport *transport, struct async *a)
{
    if (transport_fd_adopt(transport, a->met[0], a->met[1]) != 0) {
        if (tries_later(a)) {
            watch_machine(transport, a);
            return;
        }
        close_met(a);
        fail_to_open(transport, a, errno);
        return;
    }
    a->has_met = false;
    end_rendezvous(a);
    if (a->arrived != NULL)
        fd_open_ops(transport)->accept_fds(transport, a->arrived);
    if (a->is_shut_down)
        fd_open_ops(transport)->shutdown(transport);
    a->state = ASYNC_OPEN;
    show_news(transport, a);
    atomic_store(&transport->opening, 0);
    trace(transport->handle, TRACE_RENDEZVOUS, "the peer is there", NULL, 0);
}

static enum rendezvous_result try_step(struct async *a)
{
    a->retry_at = 0;
    if (a->has_met)
        return RENDEZVOUS_DONE;
    enum rendezvous_result result = rendezvous_step(a->rendezvous, a->met);
    a->has_met = result == RENDEZVOUS_DONE;
    return result == RENDEZVOUS_FAILED && tries_later(a) ? RENDEZVOUS_AGAIN : result;
}

static void make_step(struct transport *transport, struct async *a)
{
    if (a->retry_at > 0 && sys_now() < a->retry_at)
        return;
    unwatch(transport, a);
    enum rendezvous_result result = try_step(a);
    if (result == RENDEZVOUS_DONE)
        open_with(transport, a);
    else if (result == RENDEZVOUS_FAILED)
        fail_to_open(transport, a, errno);
    else
        watch_machine(transport, a);
}

void async_lock(struct async *a)
{
    pthread_mutex_lock(&a->lock);
}

void async_unlock(struct async *a)
{
    pthread_mutex_unlock(&a->lock);
}

enum async_state async_state_locked(struct transport *transport, struct async *a)
{
    if (a->state == ASYNC_OPENING && !async_is_opener(a))
        fail_to_open(transport, a, EPERM);
    return a->state;
}

enum async_state async_advance_locked(struct transport *transport, struct async *a)
{
    if (async_state_locked(transport, a) == ASYNC_OPENING && !a->is_waited_for)
        make_step(transport, a);
    if (a->state == ASYNC_OPEN && (a->is_reported || a->is_known) && a->timer < 0)
        become_transport_fd(transport);
    return a->state;
}

enum async_state async_advance(struct transport *transport)
{
    struct async *a = async_of(transport);
    int saved = errno;
    async_lock(a);
    enum async_state state = async_advance_locked(transport, a);
    errno = state == ASYNC_OPEN ? saved : state == ASYNC_OPENING ? EAGAIN : a->error;
    async_unlock(a);
    return state;
}

enum async_state async_state_of(struct transport *transport)
{
    struct async *a = async_of(transport);
    async_lock(a);
    enum async_state state = async_state_locked(transport, a);
    if (state != ASYNC_OPEN)
        errno = state == ASYNC_OPENING ? EAGAIN : a->error;
    async_unlock(a);
    return state;
}

void async_note_known(struct transport *transport)
{
    struct async *a = async_of(transport);
    async_lock(a);
    a->is_known = true;
    async_unlock(a);
}

/* Its time cannot be up yet, however long the resolver took. */
int async_make_first_step(struct transport *transport, struct async *a)
{
    enum rendezvous_result result = a->rendezvous->ops->step(a->rendezvous, a->met);
    a->has_met = result == RENDEZVOUS_DONE;
    if (a->has_met)
        open_with(transport, a);
    return result == RENDEZVOUS_FAILED || a->state == ASYNC_FAILED ? -1 : 0;
}

/* ---- lifetime ---- */

void async_init(struct async *a, struct rendezvous *r)
{
    *a = (struct async){.state = ASYNC_OPENING,
                        .rendezvous = r,
                        .opener = self_process(),
                        .timer = -1,
                        .is_socket = r->is_socket,
                        .carries_fds = r->carries_fds};
    pthread_mutex_init(&a->lock, NULL);
}

void async_fini(struct transport *transport, struct async *a)
{
    close_met(a);
    if (a->rendezvous != NULL)
        end_rendezvous(a);
    async_close_timer(transport, a);
}
