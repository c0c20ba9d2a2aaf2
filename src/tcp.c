/* SPDX-License-Identifier: MIT */
/*
 * The rules of the meeting. No byte but messages goes over the connection, so the sides must agree on
 * one without talking about it:
 *
 * - Both on one host: one of them gets the port and listens, and never connects; the other, refused
 *   the port, connects.
 * - On two hosts: the one with the lower address connects and listens, again and again. The one with
 *   the higher tries to connect before it listens; from then on it waits for the lower, and only now
 *   and then, in case the lower cannot reach it, tries again itself. So both connect only if
 *   they miss each other for a second; then the connection of the lower lives.
 */
#include "tcp.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "handshake.h"
#include "sys.h"
#include "sys_net.h"

enum {
    ADDRESSES_MAX = 16,
    GUESTS_MAX = 16, /* accepted, and showing their keys; the named host alone can be one */
    ACCEPTS_MAX = 64 /* in a row, before the clock is looked at again */
};

#define MILLISECOND ((int64_t)1000000)

static const int64_t first_pause = 1 * MILLISECOND;
static const int64_t longest_pause_here = 50 * MILLISECOND;
static const int64_t longest_pause = 1000 * MILLISECOND;
/* How long the higher address tries to connect before it listens beside that. */
static const int64_t courtesy = 1000 * MILLISECOND;
static const int64_t resolver_pause = 200 * MILLISECOND;

struct meeting {
    int timeout_ms;
    bool interruptible;
    int64_t deadline; /* negative: none */
    struct auth_key key;
    struct sys_address addresses[ADDRESSES_MAX]; /* of the named host */
    int address_count;
    bool is_here;   /* the named host is this one */
    bool is_higher; /* this one has the higher address */
    int listeners[ADDRESSES_MAX];
    int listener_count;
    int64_t listen_at;
    struct handshake *guests; /* the oldest first */
    int guest_count;
    struct handshake *own; /* the connection that we make */
    int next_address;
    int64_t connect_at, pause;
};

/* ---- time ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* 0: go on. -1: EAGAIN, ETIMEDOUT, EINTR. */
static int wait_for(struct meeting *m, struct pollfd *fds, nfds_t count, int64_t until)
{
    if (m->timeout_ms == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (m->deadline >= 0 && sys_now() >= m->deadline) {
        errno = ETIMEDOUT;
        return -1;
    }
    if (sys_poll(fds, count, earlier(m->deadline, until)) >= 0)
        return 0;
    return errno == EINTR && !m->interruptible ? 0 : -1;
}

/* ---- who is where ---- */

static int resolve(struct meeting *m, const char *host, uint16_t port)
{
    while ((m->address_count = sys_resolve(host, m->addresses, ADDRESSES_MAX)) < 0)
        if (errno != EAGAIN || wait_for(m, NULL, 0, sys_now() + resolver_pause) != 0)
            return -1;
    for (int i = 0; i < m->address_count; i++)
        m->addresses[i].port = port;
    return 0;
}

static bool is_here(const struct sys_address *address)
{
    struct sys_address source;
    return sys_is_loopback(address) ||
           (sys_source(address, &source) == 0 && sys_same_host(address, &source));
}

/* If some of the addresses are this host's, the others do not count. */
static void find_here(struct meeting *m)
{
    int here = 0;
    for (int i = 0; i < m->address_count; i++)
        if (is_here(&m->addresses[i]))
            m->addresses[here++] = m->addresses[i];
    m->is_here = here > 0;
    if (m->is_here)
        m->address_count = here;
}

static int compare(const struct sys_address *a, const struct sys_address *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

/* Of several addresses the lowest is the one that both sides are most likely to think of. */
static void find_rank(struct meeting *m)
{
    struct sys_address source, own, theirs;
    bool found = false;
    for (int i = 0; i < m->address_count; i++)
        if (sys_source(&m->addresses[i], &source) == 0 &&
            (!found || compare(&m->addresses[i], &theirs) < 0)) {
            theirs = m->addresses[i];
            own = source;
            found = true;
        }
    m->is_higher = found && compare(&own, &theirs) > 0;
}

/* ---- listening ---- */

static void stop_listening(struct meeting *m)
{
    while (m->listener_count > 0)
        sys_close(m->listeners[--m->listener_count]);
}

static int listen_on(struct meeting *m, const struct sys_address *address)
{
    int fd = sys_listen(address);
    if (fd >= 0)
        m->listeners[m->listener_count++] = fd;
    return fd < 0 ? -1 : 0;
}

/* All addresses or none: who has one of them in use has the port. */
static int listen_here(struct meeting *m)
{
    for (int i = 0; i < m->address_count; i++)
        if (listen_on(m, &m->addresses[i]) != 0 && errno != EADDRNOTAVAIL &&
            errno != EAFNOSUPPORT) {
            stop_listening(m);
            return -1;
        }
    return m->listener_count > 0 ? 0 : -1;
}

/* The port may belong to somebody else here; connecting works all the same. */
static bool is_port_refused(int error)
{
    return error == EADDRINUSE || error == EACCES;
}

static int listen_everywhere(struct meeting *m)
{
    const struct sys_address every = {.family = SYS_ANY, .port = m->addresses[0].port};
    if (m->listener_count > 0 || sys_now() < m->listen_at || listen_on(m, &every) == 0)
        return 0;
    m->listen_at = sys_now() + longest_pause;
    return is_port_refused(errno) ? 0 : -1;
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

static int connect_failed(struct meeting *m)
{
    if (!is_passing(errno))
        return -1;
    handshake_drop(m->own);
    m->own = NULL;
    if (m->next_address != 0)
        return 0; /* the next one at once */
    int64_t longest = m->is_here ? longest_pause_here : longest_pause;
    m->connect_at = sys_now() + (m->is_higher ? longest : m->pause);
    m->pause = 2 * m->pause < longest ? 2 * m->pause : longest;
    m->listen_at = earlier(m->listen_at, sys_now());
    if (!m->is_here)
        find_rank(m); /* the network may have come up, or changed */
    return 0;
}

static int begin_to_connect(struct meeting *m)
{
    m->own = handshake_connect(&m->addresses[m->next_address], &m->key);
    m->next_address = (m->next_address + 1) % m->address_count;
    return m->own != NULL ? 0 : connect_failed(m);
}

/* Listen or connect, as is due. */
static int begin(struct meeting *m)
{
    if (!m->is_here && listen_everywhere(m) != 0)
        return -1;
    while (m->own == NULL && sys_now() >= m->connect_at) {
        if (m->is_here && m->listener_count == 0 && listen_here(m) != 0 && !is_port_refused(errno))
            return -1;
        if (m->is_here && m->listener_count > 0)
            return 0;
        if (begin_to_connect(m) != 0)
            return -1;
    }
    return 0;
}

/* ---- guests ---- */

static void remove_guest(struct meeting *m, struct handshake **at)
{
    struct handshake *guest = *at;
    *at = guest->next;
    guest->next = NULL;
    m->guest_count--;
}

static void drop_guest(struct meeting *m, struct handshake **at)
{
    struct handshake *guest = *at;
    remove_guest(m, at);
    handshake_drop(guest);
}

static bool is_named(const struct meeting *m, const struct sys_address *from)
{
    if (m->is_here && sys_is_loopback(from))
        return true;
    for (int i = 0; i < m->address_count; i++)
        if (sys_same_host(&m->addresses[i], from))
            return true;
    return false;
}

static int let_in(struct meeting *m, int fd)
{
    struct handshake *guest = handshake_accept(fd, &m->key);
    if (guest == NULL) {
        sys_close(fd);
        return -1;
    }
    if (m->guest_count == GUESTS_MAX)
        drop_guest(m, &m->guests);
    struct handshake **at = &m->guests;
    while (*at != NULL)
        at = &(*at)->next;
    *at = guest;
    m->guest_count++;
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
        if (fd < 0 && is_shortage(errno))
            return -1;
        if (fd >= 0 && !is_named(m, &from))
            sys_hang_up(fd);
        else if (fd >= 0 && let_in(m, fd) != 0)
            return -1;
    }
    return 0;
}

static int accept_guests(struct meeting *m)
{
    for (int i = 0; i < m->listener_count; i++)
        if (accept_from(m, m->listeners[i]) != 0)
            return -1;
    return 0;
}

/* ---- the meeting ---- */

/* 1: *met is it; 0: not yet. A guest that fails is turned away, and the wait goes on. */
static int step_guests(struct meeting *m, struct handshake **met)
{
    for (struct handshake **at = &m->guests; *at != NULL;) {
        struct handshake *guest = *at;
        int there = handshake_step(guest);
        if (there > 0) {
            remove_guest(m, at);
            *met = guest;
            return 1;
        }
        if (there < 0)
            drop_guest(m, at);
        else
            at = &guest->next;
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
    int there = accept_guests(m);
    if (there == 0 && m->is_higher)
        there = step_guests(m, met);
    if (there == 0)
        there = step_own(m, met);
    if (there == 0 && !m->is_higher)
        there = step_guests(m, met);
    return there;
}

static int64_t watch(const struct handshake *h, struct pollfd *entry)
{
    *entry = (struct pollfd){.fd = h->fd, .events = handshake_wants_out(h) ? POLLOUT : POLLIN};
    return h->deadline;
}

static int wait_for_something(struct meeting *m)
{
    struct pollfd fds[ADDRESSES_MAX + GUESTS_MAX + 1];
    nfds_t count = 0;
    int64_t until = -1;
    for (int i = 0; i < m->listener_count; i++)
        fds[count++] = (struct pollfd){.fd = m->listeners[i], .events = POLLIN};
    for (struct handshake *guest = m->guests; guest != NULL; guest = guest->next)
        until = earlier(until, watch(guest, &fds[count++]));
    if (m->own != NULL)
        until = earlier(until, watch(m->own, &fds[count++]));
    else if (!m->is_here || m->listener_count == 0)
        until = earlier(until, m->connect_at);
    if (!m->is_here && m->listener_count == 0)
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
        if (there == 0 && wait_for_something(m) != 0)
            return NULL;
    }
    return met;
}

static void leave(struct meeting *m)
{
    stop_listening(m);
    while (m->guests != NULL)
        drop_guest(m, &m->guests);
    handshake_drop(m->own);
}

int tcp_open(const char *host, uint16_t port, int timeout_ms, bool interruptible,
             const struct auth_key *key)
{
    struct meeting m = {.timeout_ms = timeout_ms,
                        .interruptible = interruptible,
                        .deadline = -1,
                        .key = *key,
                        .pause = first_pause};
    int64_t now = sys_now();
    if (timeout_ms > 0)
        m.deadline = now + timeout_ms * MILLISECOND;
    if (resolve(&m, host, port) != 0)
        return -1;
    find_here(&m);
    if (!m.is_here)
        find_rank(&m);
    m.connect_at = m.listen_at = now;
    if (m.is_higher)
        m.listen_at = now + courtesy;
    struct handshake *met = meet(&m);
    leave(&m);
    if (met == NULL)
        return -1;
    sys_tcp_options(met->fd);
    return handshake_release(met);
}
