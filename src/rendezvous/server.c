/* SPDX-License-Identifier: MIT */
#include "rendezvous/server.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "codec/digest.h"
#include "rendezvous/handshake.h"
#include "rendezvous/pending.h"
#include "sys/self.h"
#include "sys/sys.h"
#include "sys/sys_net.h"
#include "sys/sys_socket.h"

enum {
    ADDRESSES_MAX = 18, /* of one name, with loopback's two */
    PORTS_MAX = 100,    /* tried, until one is free at each address */
    ACCEPTS_MAX = 64,   /* in a row, before the handshakes have their turn */
    TURNED_AWAY_MAX = 4 /* for one who comes, when descriptors or memory are short */
};

#define MILLISECOND ((int64_t)1000000)

/* How long nothing is accepted after descriptors ran out: half of what may pass at most. */
static const int64_t shortage_pause = 50 * MILLISECOND;

struct server {
    int set, timer;
    int listeners[ADDRESSES_MAX];
    int listener_count;
    bool is_listening; /* the set tells of the listeners */
    bool interruptible;
    uint32_t opener; /* the process that may hang up on pending handshakes */
    uint16_t port;
    struct auth_key key;    /* its bytes are ours */
    struct pending pending; /* the oldest is the first to be too late */
    int64_t listen_at;      /* when to go on accepting, unless it is listening */
    int64_t timer_at;       /* what the timer is set to; negative: nothing */
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* ---- pending handshakes ---- */

/* Out of the set before it is closed: a child that has a copy would keep it in there. */
static void forget(struct server *s, struct handshake *h)
{
    pending_remove(&s->pending, h);
    sys_epoll_remove(s->set, h->fd);
}

static void turn_away(struct server *s, struct handshake *h)
{
    forget(s, h);
    handshake_drop(h);
}

static void turn_away_late_ones(struct server *s)
{
    int64_t now = sys_now();
    while (s->pending.oldest != NULL && s->pending.oldest->deadline <= now)
        turn_away(s, s->pending.oldest);
}

/* One that has not shown the key makes room for who comes. false: there is none. */
static bool make_room(struct server *s)
{
    struct handshake *h = pending_choose(&s->pending, true);
    if (h == NULL)
        return false;
    forget(s, h);
    handshake_cut_off(h);
    return true;
}

/* The descriptor of a connection that has shown the key; -1: not yet, or never. */
static int step_pending(struct server *s, struct handshake *h)
{
    int there = handshake_step(h);
    if (there > 0) {
        forget(s, h);
        return handshake_release(h);
    }
    bool wants_out = handshake_wants_out(h);
    if (there < 0 ||
        (wants_out != h->out_watched &&
         sys_epoll_change(s->set, h->fd, wants_out ? sys_epoll_out : sys_epoll_in) != 0))
        turn_away(s, h);
    else
        h->out_watched = wants_out;
    return -1;
}

/* Where memory is short, also the kernel's, somebody else makes room once. */
static struct handshake *begin_handshake(struct server *s, int fd)
{
    struct handshake *h = handshake_accept(fd, &s->key);
    if (h == NULL && make_room(s))
        h = handshake_accept(fd, &s->key);
    if (h == NULL) {
        sys_socket_shutdown(fd);
        return NULL;
    }
    if (sys_epoll_add(s->set, fd, sys_epoll_in) == 0 ||
        (make_room(s) && sys_epoll_add(s->set, fd, sys_epoll_in) == 0))
        return h;
    handshake_drop(h);
    return NULL;
}

/* Its challenge goes out at once, which it can: the connection is new. */
static int let_in(struct server *s, int fd, const struct sys_address *from)
{
    struct handshake *h = begin_handshake(s, fd);
    if (h == NULL)
        return -1;
    pending_add(&s->pending, h, from);
    if (s->pending.count > PENDING_MAX) {
        struct handshake *chosen = pending_choose(&s->pending, false);
        forget(s, chosen);
        handshake_cut_off(chosen);
        if (chosen == h)
            return -1;
    }
    return step_pending(s, h);
}

/* ---- accepting ---- */

static void pause_listening(struct server *s)
{
    for (int i = 0; i < s->listener_count; i++)
        sys_epoll_change(s->set, s->listeners[i], 0);
    s->is_listening = false;
    s->listen_at = sys_now() + shortage_pause;
}

static void resume_listening(struct server *s)
{
    if (s->is_listening || sys_now() < s->listen_at)
        return;
    s->is_listening = true;
    for (int i = 0; i < s->listener_count; i++)
        if (sys_epoll_change(s->set, s->listeners[i], sys_epoll_in) != 0)
            s->is_listening = false;
    if (!s->is_listening)
        s->listen_at = sys_now() + shortage_pause;
}

/* These concern one connection, which is gone. Whatever else is wrong may pass. */
static bool is_of_one(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:
        return true;
    default:
        return false;
    }
}

/* Whether to go on accepting after that failure. */
static bool get_over(struct server *s, int listener, int error, int *turned_away)
{
    if (error == EAGAIN)
        return false;
    if (is_of_one(error))
        return true;
    if (!sys_is_somebody_waiting(listener))
        return false;
    if (++*turned_away <= TURNED_AWAY_MAX && make_room(s))
        return true;
    pause_listening(s);
    return false;
}

/* A connection that needs no handshake, or has done with it already; -1: none now. */
static int accept_from(struct server *s, int listener)
{
    struct sys_address from;
    int turned_away = 0, failures = 0;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = sys_accept(listener, &from);
        int met = fd < 0 || s->key.bytes == NULL ? fd : let_in(s, fd, &from);
        if (met >= 0)
            return met;
        if (fd >= 0)
            turned_away = 0;
        else if (!get_over(s, listener, errno, &turned_away))
            return -1;
        else
            failures++;
    }
    if (failures == ACCEPTS_MAX)
        pause_listening(s); /* whatever is wrong, it is no reason to spin */
    return -1;
}

static int take_turn(struct server *s, int fd)
{
    for (int i = 0; i < s->listener_count; i++)
        if (fd == s->listeners[i])
            return accept_from(s, fd);
    struct handshake *h = pending_find(&s->pending, fd);
    return h == NULL ? -1 : step_pending(s, h); /* the timer is looked at in any case */
}

static int look_round(struct server *s)
{
    int fds[SYS_EPOLL_READY_MAX];
    int met = -1;
    turn_away_late_ones(s);
    resume_listening(s);
    int count = sys_epoll_take_ready(s->set, fds, SYS_EPOLL_READY_MAX);
    for (int i = 0; i < count && met < 0; i++)
        met = take_turn(s, fds[i]);
    return met;
}

/* When there is something to do that no descriptor tells of. */
static int64_t next_time(const struct server *s)
{
    int64_t next = s->pending.oldest == NULL ? -1 : s->pending.oldest->deadline;
    return s->is_listening ? next : earlier(next, s->listen_at);
}

static void settle(struct server *s)
{
    int64_t next = next_time(s);
    if (next != s->timer_at)
        sys_timer_set(s->timer, next);
    s->timer_at = next;
}

static int wait_for(struct server *s, int timeout_ms, int64_t deadline)
{
    struct pollfd entry = {.fd = s->set, .events = POLLIN};
    if (timeout_ms == 0 || (deadline >= 0 && sys_now() >= deadline)) {
        errno = timeout_ms == 0 ? EAGAIN : ETIMEDOUT;
        return -1;
    }
    if (sys_poll(&entry, 1, earlier(deadline, next_time(s))) >= 0)
        return 0;
    return errno == EINTR && !s->interruptible ? 0 : -1;
}

int server_accept(struct server *s, int timeout_ms)
{
    int64_t deadline = timeout_ms > 0 ? sys_now() + timeout_ms * MILLISECOND : -1;
    int met;
    do {
        met = look_round(s);
        settle(s);
    } while (met < 0 && wait_for(s, timeout_ms, deadline) == 0);
    if (met >= 0)
        sys_tcp_options(met);
    return met;
}

int server_descriptor(const struct server *s)
{
    return s->set;
}

uint16_t server_port(const struct server *s)
{
    return s->port;
}

/* ---- opening and closing ---- */

static void stop_listening(struct server *s)
{
    while (s->listener_count > 0)
        sys_close(s->listeners[--s->listener_count]);
}

/* At those of the addresses that this machine has, all at one port. */
static int listen_at(struct server *s, const struct sys_address *addresses, int count)
{
    int error = EADDRNOTAVAIL;
    for (int i = 0; i < count; i++) {
        struct sys_address own = addresses[i];
        own.port = s->port;
        int fd = sys_listen(&own);
        if (fd < 0 && errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT)
            return -1;
        if (fd < 0) {
            error = errno;
            continue;
        }
        s->listeners[s->listener_count++] = fd;
        if (sys_local_address(fd, &own) != 0)
            return -1;
        s->port = own.port;
    }
    errno = error;
    return s->listener_count > 0 ? 0 : -1;
}

/* Groups of hosts and the like are no addresses of this machine. Keeps those that may be. */
static int keep_own(struct sys_address *addresses, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (addresses[i].family == SYS_ANY || sys_is_unspecified(&addresses[i]) ||
            sys_is_host(&addresses[i]))
            addresses[kept++] = addresses[i];
    return kept;
}

/* A name for loopback means it in both families, whichever the resolver knows it by. */
static int resolve(const char *host, struct sys_address addresses[ADDRESSES_MAX])
{
    int count = sys_resolve(host, addresses, ADDRESSES_MAX - 2);
    bool is_loopback = false;
    if (count < 0)
        return -1;
    for (int i = 0; i < count && host != NULL; i++)
        is_loopback = is_loopback || sys_is_loopback(&addresses[i]);
    count = keep_own(addresses, count);
    return is_loopback && !sys_is_numeric(host) ? sys_add_loopback(addresses, count, ADDRESSES_MAX)
                                                : count;
}

static int listen_on(struct server *s, const char *host, uint16_t port)
{
    struct sys_address addresses[ADDRESSES_MAX];
    int count = resolve(host, addresses);
    if (count < 0)
        return -1;
    for (int tries = 0; tries < PORTS_MAX; tries++) {
        s->port = port;
        if (listen_at(s, addresses, count) == 0)
            return 0;
        stop_listening(s);
        if (port != 0 || errno != EADDRINUSE)
            break;
    }
    return -1;
}

static int copy_key(struct server *s, const struct auth_key *key)
{
    if (key->bytes == NULL)
        return 0;
    void *bytes = sys_alloc(key->size);
    if (bytes == NULL)
        return -1;
    memcpy(bytes, key->bytes, key->size);
    s->key = (struct auth_key){bytes, key->size, key->md5};
    return 0;
}

static int open_set(struct server *s)
{
    s->set = sys_epoll_open();
    if (s->set < 0)
        return -1;
    s->timer = sys_timer_open();
    if (s->timer < 0 || sys_epoll_add(s->set, s->timer, sys_epoll_in) != 0)
        return -1;
    for (int i = 0; i < s->listener_count; i++)
        if (sys_epoll_add(s->set, s->listeners[i], sys_epoll_in) != 0)
            return -1;
    s->is_listening = true;
    return 0;
}

struct server *server_open(const char *host, uint16_t port, bool interruptible,
                           const struct auth_key *key)
{
    struct server *s = sys_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (struct server){.set = -1,
                         .timer = -1,
                         .interruptible = interruptible,
                         .opener = self_process(),
                         .timer_at = -1};
    if (copy_key(s, key) == 0 && listen_on(s, host, port) == 0 && open_set(s) == 0)
        return s;
    server_close(s);
    return NULL;
}

/* In a child it closes copies: all goes on in the process that opened the server. */
void server_close(struct server *s)
{
    bool is_opener = s->opener == self_process();
    while (s->pending.oldest != NULL) {
        struct handshake *h = s->pending.oldest;
        pending_remove(&s->pending, h);
        if (is_opener)
            handshake_drop(h);
        else
            sys_close(handshake_release(h));
    }
    sys_close(s->set);
    sys_close(s->timer);
    stop_listening(s);
    if (s->key.bytes != NULL) {
        void *bytes = (void *)(uintptr_t)s->key.bytes;
        digest_wipe(bytes, s->key.size);
        sys_free(bytes);
    }
    sys_free(s);
}
