/* SPDX-License-Identifier: MIT */
/*
 * The rules of the rendezvous. No byte but messages goes over the connection, so the sides must
 * agree on one without talking about it:
 *
 * - Both on one host, whatever each calls it: who listens, listens on loopback of both families,
 *   and on the named addresses, in an order whose beginning is the same for all. Only one can have
 *   the first of them, so only one listens. It connects only to addresses that somebody else has
 *   already; the other connects to all of them, those that it was given first.
 * - On two hosts: the one with the lower address connects and listens, again and again. The one
 *   with the higher tries to connect before it listens; from then on it waits for the lower, and
 *   only now and then, in case the lower cannot reach it, tries again itself. So both connect only
 *   if they miss each other for a second; then the connection of the lower lives.
 */
#include "rendezvous/tcp.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "rendezvous/handshake.h"
#include "rendezvous/pending.h"
#include "rendezvous/tcp_where.h"
#include "sys/sys.h"
#include "sys/sys_net.h"
#include "sys/sys_socket.h"

enum {
    PENDING_HERE_MAX = 16, /* showing their keys; the named host alone can be one */
    ACCEPTS_MAX = 64       /* in a row, before the clock is looked at again */
};

#define MILLISECOND ((int64_t)1000000)

static const int64_t first_pause = 1 * MILLISECOND;
static const int64_t longest_pause_here = 50 * MILLISECOND;
static const int64_t longest_pause = 1000 * MILLISECOND;
/* How long the higher address tries to connect before it listens beside that. */
static const int64_t courtesy = 1000 * MILLISECOND;
static const int64_t resolver_pause = 200 * MILLISECOND;

struct meeting {
    const struct tcp_request *request;
    int64_t deadline; /* negative: none */
    struct tcp_where where;
    int errors[TCP_ADDRESSES_MAX]; /* of the last attempt at each address; 0: not yet */
    int next_place;                /* here: the places before it are ours, or missing */
    int listeners[TCP_ADDRESSES_MAX];
    int listener_count;
    int64_t listen_at;
    struct pending pending;
    struct handshake *own;        /* the connection that we make */
    int next_address, last_begun; /* in this round; in any */
    int64_t connect_at, pause;
};

/* ---- time ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Of several addresses, the last one's reason counts. */
static int time_is_up(const struct meeting *m)
{
    bool is_at_once = m->request->timeout_ms == 0;
    int reason = m->request->connect_only ? m->errors[m->last_begun] : 0;
    if (is_at_once)
        errno = reason == ECONNREFUSED && m->own == NULL ? ECONNREFUSED : EAGAIN;
    else
        errno = reason != 0 ? reason : ETIMEDOUT;
    return -1;
}

static void leave(void *meeting);

/* 0: go on. -1: EAGAIN, ETIMEDOUT, EINTR, or why nobody could be connected to. */
static int wait_for(struct meeting *m, struct pollfd *fds, nfds_t count, int64_t until)
{
    int ready;
    if (m->request->timeout_ms == 0 || (m->deadline >= 0 && sys_now() >= m->deadline))
        return time_is_up(m);
    pthread_cleanup_push(leave, m); /* the thread may be cancelled here */
    ready = sys_poll(fds, count, earlier(m->deadline, until));
    pthread_cleanup_pop(0);
    if (ready >= 0)
        return 0;
    return errno == EINTR && !m->request->interruptible ? 0 : -1;
}

/* ---- who is where ---- */

static bool listens_here(const struct meeting *m)
{
    return m->where.is_here && !m->request->connect_only;
}

static bool listens_everywhere(const struct meeting *m)
{
    return !m->where.is_here && !m->request->connect_only;
}

static int resolve(struct meeting *m)
{
    struct sys_address *addresses = m->where.addresses;
    int count;
    while ((count = sys_resolve(m->request->host, addresses, TCP_NAMED_MAX)) < 0)
        if (errno != EAGAIN || wait_for(m, NULL, 0, sys_now() + resolver_pause) != 0)
            return -1;
    return tcp_where_find(&m->where, count, m->request->port);
}

static int find_out(struct meeting *m)
{
    if (resolve(m) != 0)
        return -1;
    if (listens_everywhere(m))
        tcp_where_rank(&m->where);
    m->connect_at = m->listen_at = sys_now();
    if (m->where.is_higher)
        m->listen_at += courtesy;
    return 0;
}

/* ---- listening ---- */

static bool has_all_places(const struct meeting *m)
{
    return listens_here(m) && m->next_place == m->where.place_count;
}

static int listen_on(struct meeting *m, const struct sys_address *address)
{
    int fd = sys_listen(address);
    if (fd >= 0)
        m->listeners[m->listener_count++] = fd;
    return fd < 0 ? -1 : 0;
}

static bool is_missing(int error)
{
    return error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
}

/* The port may belong to somebody else here; connecting works all the same. */
static bool is_port_refused(int error)
{
    return error == EADDRINUSE || error == EACCES;
}

/* Up to the first place that somebody else has. Who has the first of all is the one who listens. */
static int listen_here(struct meeting *m)
{
    for (; m->next_place < m->where.place_count; m->next_place++)
        if (listen_on(m, &m->where.places[m->next_place]) != 0 && !is_missing(errno))
            return is_port_refused(errno) ? 0 : -1;
    if (m->listener_count == 0)
        m->next_place = 0; /* the network may come up */
    return 0;
}

static int listen_everywhere(struct meeting *m)
{
    const struct sys_address every = {.family = SYS_ANY, .port = m->request->port};
    if (m->listener_count > 0 || sys_now() < m->listen_at || listen_on(m, &every) == 0)
        return 0;
    m->listen_at = sys_now() + longest_pause;
    return is_port_refused(errno) ? 0 : -1;
}

/* The last one first: who gets the first place finds the others free. */
static void stop_listening(struct meeting *m)
{
    while (m->listener_count > 0)
        sys_close(m->listeners[--m->listener_count]);
}

/* ---- connecting ---- */

/* The network, the host, or the program there may still come up. */
static bool is_passing(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case EADDRNOTAVAIL:
    case EADDRINUSE:
    case EAFNOSUPPORT:
    case EAGAIN:
    case EPROTO:
        return true;
    default:
        return false;
    }
}

static bool is_ours(const struct meeting *m, const struct sys_address *address)
{
    for (int i = 0; i < m->next_place; i++)
        if (sys_same_host(&m->where.places[i], address))
            return true;
    return false;
}

static void go_to_next_address(struct meeting *m, int from)
{
    m->next_address = from;
    while (m->next_address < m->where.address_count &&
           is_ours(m, &m->where.addresses[m->next_address]))
        m->next_address++;
}

static void end_round(struct meeting *m)
{
    int64_t longest = m->where.is_here ? longest_pause_here : longest_pause;
    m->next_address = 0;
    m->connect_at = sys_now() + (m->where.is_higher ? longest : m->pause);
    m->pause = 2 * m->pause < longest ? 2 * m->pause : longest;
    m->listen_at = earlier(m->listen_at, sys_now());
    if (listens_everywhere(m))
        tcp_where_rank(&m->where); /* the network may have come up, or changed */
}

/* Who is at an address that was not named, and does not know the key, is somebody else. */
static int connect_failed(struct meeting *m)
{
    bool is_named = m->next_address < m->where.named_count;
    if (!is_passing(errno) && (errno != EACCES || is_named))
        return -1;
    if (is_named)
        m->errors[m->next_address] = errno == EPIPE ? ECONNRESET : errno;
    handshake_drop(m->own);
    m->own = NULL;
    go_to_next_address(m, m->next_address + 1);
    if (m->next_address >= m->where.address_count)
        end_round(m);
    return 0;
}

static int begin_to_connect(struct meeting *m)
{
    go_to_next_address(m, m->next_address);
    if (m->next_address >= m->where.address_count) {
        end_round(m);
        return 0;
    }
    if (m->next_address < m->where.named_count && m->next_address > m->last_begun)
        m->last_begun = m->next_address;
    m->own = handshake_connect(&m->where.addresses[m->next_address], &m->request->key);
    return m->own != NULL ? 0 : connect_failed(m);
}

static bool is_due_to_connect(const struct meeting *m)
{
    return m->own == NULL && !has_all_places(m) && sys_now() >= m->connect_at;
}

/* Listen or connect, as is due. */
static int begin(struct meeting *m)
{
    if (listens_everywhere(m) && listen_everywhere(m) != 0)
        return -1;
    while (is_due_to_connect(m)) {
        if (listens_here(m) && listen_here(m) != 0)
            return -1;
        if (!has_all_places(m) && begin_to_connect(m) != 0)
            return -1;
    }
    return 0;
}

/* ---- pending handshakes ---- */

static void turn_away(struct meeting *m, struct handshake *h)
{
    pending_remove(&m->pending, h);
    handshake_drop(h);
}

/* One that has not shown the key makes room for who comes. false: there is none. */
static bool make_room(struct meeting *m)
{
    struct handshake *h = pending_choose(&m->pending, true);
    if (h != NULL)
        turn_away(m, h);
    return h != NULL;
}

static int let_in(struct meeting *m, int fd, const struct sys_address *from)
{
    struct handshake *h = handshake_accept(fd, &m->request->key);
    if (h == NULL) {
        sys_close(fd);
        return -1;
    }
    pending_add(&m->pending, h, from);
    if (m->pending.count > PENDING_HERE_MAX)
        turn_away(m, pending_choose(&m->pending, false));
    return 0;
}

/* Out of memory or descriptors ends the meeting; all else is the fault of one connection. */
static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

static int accept_from(struct meeting *m, int listener)
{
    struct sys_address from;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = sys_accept(listener, &from);
        if (fd < 0 && errno == EAGAIN)
            break;
        if (fd < 0 && is_shortage(errno)) {
            int error = errno;
            if (!sys_is_somebody_waiting(listener))
                break;
            errno = error;
            if (!make_room(m))
                return -1;
        }
        if (fd >= 0 && !tcp_where_is_named(&m->where, &from))
            sys_socket_shutdown(fd);
        else if (fd >= 0 && let_in(m, fd, &from) != 0)
            return -1;
    }
    return 0;
}

static int accept_all(struct meeting *m)
{
    for (int i = 0; i < m->listener_count; i++)
        if (accept_from(m, m->listeners[i]) != 0)
            return -1;
    return 0;
}

/* ---- the meeting ---- */

/*
 * Once the lower of two hosts is connected, that connection comes first until it fails. Who has
 * come from the higher gets no further than to show the key: what is missing then, the higher
 * cannot do without.
 */
static bool must_wait(const struct meeting *m, const struct handshake *h)
{
    return !m->where.is_here && !m->where.is_higher && m->own != NULL && !m->own->connecting &&
           handshake_has_shown_key(h);
}

/* 1: *met is it; 0: not yet. One that fails is turned away, and the wait goes on. */
static int step_pending(struct meeting *m, struct handshake **met)
{
    for (struct handshake *h = m->pending.oldest, *next; h != NULL; h = next) {
        next = h->next;
        int there = must_wait(m, h) ? 0 : handshake_step(h);
        if (there > 0) {
            pending_remove(&m->pending, h);
            *met = h;
            return 1;
        }
        if (there < 0)
            turn_away(m, h);
    }
    return 0;
}

static int step_own(struct meeting *m, struct handshake **met)
{
    int there = m->own == NULL ? 0 : handshake_step(m->own);
    if (there < 0)
        return connect_failed(m);
    if (there > 0) {
        *met = m->own;
        m->own = NULL;
    }
    return there;
}

/* If there are two, the one that comes from the lower address. */
static int step(struct meeting *m, struct handshake **met)
{
    int there = accept_all(m);
    if (there == 0 && m->where.is_higher)
        there = step_pending(m, met);
    if (there == 0)
        there = step_own(m, met);
    if (there == 0 && !m->where.is_higher)
        there = step_pending(m, met);
    return there;
}

static int64_t watch(const struct handshake *h, struct pollfd *entry)
{
    *entry = (struct pollfd){.fd = h->fd, .events = handshake_wants_out(h) ? POLLOUT : POLLIN};
    return h->deadline;
}

static int wait_for_something(struct meeting *m)
{
    struct pollfd fds[TCP_ADDRESSES_MAX + PENDING_HERE_MAX + 1];
    nfds_t count = 0;
    int64_t until = -1;
    for (int i = 0; i < m->listener_count; i++)
        fds[count++] = (struct pollfd){.fd = m->listeners[i], .events = POLLIN};
    for (struct handshake *h = m->pending.oldest; h != NULL; h = h->next)
        if (!must_wait(m, h))
            until = earlier(until, watch(h, &fds[count++]));
    if (m->own != NULL)
        until = earlier(until, watch(m->own, &fds[count++]));
    else if (!has_all_places(m))
        until = earlier(until, m->connect_at);
    if (listens_everywhere(m) && m->listener_count == 0)
        until = earlier(until, m->listen_at);
    return wait_for(m, fds, count, until);
}

static struct handshake *meet(struct meeting *m)
{
    struct handshake *met = NULL;
    int there = 0;
    while (there == 0) {
        if (begin(m) != 0)
            return NULL;
        there = step(m, &met);
        if (there == 0 && !is_due_to_connect(m) && wait_for_something(m) != 0)
            return NULL;
    }
    return met;
}

static void leave(void *meeting)
{
    struct meeting *m = meeting;
    stop_listening(m);
    while (m->pending.oldest != NULL)
        turn_away(m, m->pending.oldest);
    handshake_drop(m->own);
}

int tcp_open(const struct tcp_request *request)
{
    struct meeting m = {.request = request, .deadline = -1, .pause = first_pause};
    if (request->timeout_ms > 0)
        m.deadline = sys_now() + request->timeout_ms * MILLISECOND;
    struct handshake *met = find_out(&m) == 0 ? meet(&m) : NULL;
    leave(&m);
    if (met == NULL)
        return -1;
    sys_tcp_options(met->fd);
    return handshake_release(met);
}
