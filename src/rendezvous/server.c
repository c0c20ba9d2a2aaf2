/* SPDX-License-Identifier: MIT */
#include "rendezvous/server.h"

#include <errno.h>
#include <string.h>

#include "codec/digest.h"
#include "rendezvous/handshake.h"
#include "rendezvous/limit.h"
#include "rendezvous/listeners.h"
#include "rendezvous/pending.h"
#include "rendezvous/unix_name.h"
#include "sys/self.h"
#include "sys/sys_net.h"
#include "sys/sys_rights.h"
#include "sys/sys_socket.h"
#include "sys/sys_unix.h"
#include "trace/trace.h"

enum {
    SERVER_PORTS_MAX = 100,    /* tried, until one is free at each address */
    SERVER_TURNED_AWAY_MAX = 4 /* for a new connection, when descriptors or memory are short */
};

struct server {
    int set, timer;
    struct listeners listeners;
    bool is_listening; /* the set waits for the listeners; they may be paused else */
    bool has_stopped;  /* one of them does not listen any more, which the call has found */
    bool is_unix;
    bool is_adopted;  /* the listener */
    bool accepts_fds; /* its clients may send descriptors, with a key when they have shown it */
    struct unix_name name;
    bool interruptible;
    unsigned traced_as;
    uint32_t opener; /* the process that may hang up on pending handshakes */
    uint16_t port;
    struct auth_key key;    /* its bytes are ours */
    struct pending pending; /* the oldest is the first to be too late */
    int64_t timer_at;       /* what the timer is set to; negative: nothing */
};

/* ---- pending handshakes ---- */

static void turn_away_late_ones(struct server *s)
{
    while (s->pending.oldest != NULL && sys_deadline_has_passed(s->pending.oldest->deadline)) {
        handshake_report(s->pending.oldest, "turned away: too slow", ETIMEDOUT);
        pending_turn_away(&s->pending, s->pending.oldest, handshake_close);
    }
}

/* The descriptor of a connection that has shown the key; -1: not yet, or never. */
static int step_pending(struct server *s, struct handshake *h)
{
    int there = handshake_step(h);
    if (there < 0)
        pending_turn_away(&s->pending, h, handshake_close);
    if (there <= 0)
        return -1;
    pending_remove(&s->pending, h);
    return handshake_release(h);
}

static bool make_room_for_client(struct server *s)
{
    return pending_make_room(&s->pending, handshake_reset);
}

/* Where memory is short, also the kernel's, somebody else makes room once. */
static struct handshake *begin_handshake(struct server *s, int fd)
{
    struct handshake *h = handshake_accept(fd, &s->key);
    if (h == NULL && make_room_for_client(s))
        h = handshake_accept(fd, &s->key);
    if (h == NULL) {
        sys_socket_shutdown(fd);
        return NULL;
    }
    h->accepts_fds = s->accepts_fds;
    h->traced_as = s->traced_as;
    if (handshake_watch(h, s->set) == 0 ||
        (make_room_for_client(s) && handshake_watch(h, s->set) == 0))
        return h;
    handshake_close(h);
    return NULL;
}

/* So that a flood of one user pushes out itself. */
static void note_user(int fd, struct sys_address *from)
{
    struct sys_credentials client;
    if (from->family == SYS_UNIX && sys_unix_credentials(fd, &client) == 0)
        memcpy(from->bytes, &client.uid, sizeof client.uid);
}

/* Its challenge goes out at once, which it can: the connection is new. */
static int admit_client(struct server *s, int fd, struct sys_address *from)
{
    note_user(fd, from);
    struct handshake *h = begin_handshake(s, fd);
    if (h == NULL || !pending_admit(&s->pending, h, from, PENDING_MAX, handshake_reset))
        return -1;
    return step_pending(s, h);
}

/* ---- accepting ---- */

static int watch_listeners(struct server *s)
{
    for (int i = 0; i < s->listeners.count; i++)
        if (sys_epoll_add(s->set, s->listeners.fd[i], sys_epoll_in) != 0)
            return -1;
    s->is_listening = true;
    return 0;
}

/* Out of the set: what has hung up would be reported there, whatever the set waits for. */
static void pause_listening(struct server *s)
{
    for (int i = 0; i < s->listeners.count; i++)
        sys_epoll_remove(s->set, s->listeners.fd[i]);
    s->is_listening = false;
    listeners_pause(&s->listeners);
}

static void resume_listening(struct server *s)
{
    if (!s->is_listening && !listeners_are_paused(&s->listeners) && watch_listeners(s) != 0)
        pause_listening(s);
}

static enum listeners_result accept_from(const struct server *s, int listener, int *fd,
                                         struct sys_address *from)
{
    enum listeners_result result = listeners_accept(listener, fd, from);
    return result == LISTENERS_EMPTY && s->is_unix ? listeners_ask(listener) : result;
}

/* Whether to go on accepting after that failure. */
static bool recovers(struct server *s, enum listeners_result failure, int *turned_away)
{
    s->has_stopped = s->has_stopped || failure == LISTENERS_STOPPED;
    if (failure == LISTENERS_EMPTY || failure == LISTENERS_STOPPED)
        return false;
    if (failure == LISTENERS_LOST || failure == LISTENERS_SILENT)
        return true;
    if (++*turned_away <= SERVER_TURNED_AWAY_MAX && make_room_for_client(s))
        return true;
    pause_listening(s);
    return false;
}

/* As soon as they connect. */
static bool permits_fds(const struct server *s)
{
    return s->accepts_fds && s->key.bytes == NULL;
}

/* A connection that needs no handshake, or has finished it already; -1: none now. */
static int accept_client(struct server *s, int listener)
{
    struct sys_address from;
    int turned_away = 0, failures = 0, silent = 0;
    for (int i = 0; i < LISTENERS_ACCEPTS_MAX; i++) {
        int fd;
        enum listeners_result result = accept_from(s, listener, &fd, &from);
        if (result == LISTENERS_ACCEPTED) {
            if (s->is_adopted && s->is_unix)
                sys_rights_permit(fd, permits_fds(s)); /* it may have connected before we came */
            if (s->is_adopted && !s->is_unix)
                sys_socket_end_linger(fd); /* inherited */
            int done = s->key.bytes == NULL ? fd : admit_client(s, fd, &from);
            if (done >= 0)
                return done;
            turned_away = 0;
        } else if (recovers(s, result, &turned_away)) {
            failures++;
            silent += result == LISTENERS_SILENT;
        } else {
            return -1;
        }
    }
    if (silent == LISTENERS_ACCEPTS_MAX)
        s->has_stopped = true;
    else if (failures == LISTENERS_ACCEPTS_MAX)
        pause_listening(s); /* whatever is wrong, it is no reason to spin */
    return -1;
}

/* One of them may have been found ready before another one was the reason for a pause. */
static int serve_descriptor(struct server *s, int fd)
{
    for (int i = 0; i < s->listeners.count; i++)
        if (fd == s->listeners.fd[i])
            return s->is_listening ? accept_client(s, fd) : -1;
    struct handshake *h = pending_find(&s->pending, fd);
    return h == NULL ? -1 : step_pending(s, h); /* the timer is checked in any case */
}

/*
 * Then asking the set what is ready is a system call more than accepting. Where others share the
 * listener, one of them may have taken its O_NONBLOCK away.
 */
static bool has_listener_alone(const struct server *s)
{
    return s->key.bytes == NULL && s->listeners.count == 1 && s->is_listening && !s->is_adopted;
}

static int serve_ready(struct server *s)
{
    int fds[SYS_EPOLL_READY_MAX];
    int fd = -1;
    turn_away_late_ones(s);
    resume_listening(s);
    if (has_listener_alone(s))
        return accept_client(s, s->listeners.fd[0]);
    int count = sys_epoll_take_ready(s->set, fds, SYS_EPOLL_READY_MAX);
    for (int i = 0; i < count && fd < 0; i++)
        fd = serve_descriptor(s, fds[i]);
    return fd;
}

/* When there is something to do that no descriptor reports. */
static int64_t next_time(const struct server *s)
{
    int64_t next = s->pending.oldest == NULL ? -1 : s->pending.oldest->deadline;
    return s->is_listening ? next : sys_deadline_earlier(next, s->listeners.resume_at);
}

static void update_timer(struct server *s)
{
    int64_t next = next_time(s);
    if (next != s->timer_at)
        sys_timer_set(s->timer, next);
    s->timer_at = next;
}

static int await_client(struct server *s, const struct limit *limit)
{
    trace_deliver();
    return limit_poll_set(limit, s->set, next_time(s)) == LIMIT_GOES_ON ? 0 : -1;
}

int server_accept(struct server *s, int timeout_ms)
{
    struct limit limit = limit_of(timeout_ms, s->interruptible);
    int fd;
    do {
        s->has_stopped = false;
        fd = serve_ready(s);
        if (fd < 0 && s->has_stopped && s->is_listening)
            pause_listening(s); /* the others have had their turn */
        update_timer(s);
    } while (fd < 0 && !s->has_stopped && await_client(s, &limit) == 0);
    sys_epoll_update(s->set);
    if (fd < 0 && s->has_stopped)
        errno = EINVAL;
    if (fd >= 0 && s->is_adopted && !s->is_unix)
        sys_tcp_options(fd); /* those of our own listener are inherited */
    return fd;
}

int server_descriptor(const struct server *s)
{
    return sys_epoll_show(s->set) == 0 ? s->set : -1;
}

void server_trace_as(struct server *s, unsigned number)
{
    s->traced_as = number;
}

bool server_is_unix(const struct server *s)
{
    return s->is_unix;
}

uint16_t server_port(const struct server *s)
{
    return s->port;
}

/* ---- opening and closing ---- */

/* At those of the addresses that this machine has, all at one port. */
static int listen_at_addresses(struct server *s, const struct sys_address *addresses, int count)
{
    int error = EADDRNOTAVAIL;
    for (int i = 0; i < count; i++) {
        struct sys_address own = addresses[i];
        own.port = s->port;
        if (listeners_add(&s->listeners, &own) != 0) {
            error = errno;
            if (error != EADDRNOTAVAIL && error != EAFNOSUPPORT)
                return -1;
            continue;
        }
        if (sys_local_address(s->listeners.fd[s->listeners.count - 1], &own) != 0)
            return -1;
        s->port = own.port;
    }
    errno = error;
    return s->listeners.count > 0 ? 0 : -1;
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
static int resolve_own(const char *host, struct sys_address addresses[SYS_ADDRESSES_MAX])
{
    int count = sys_resolve(host, addresses, SYS_NAMED_MAX);
    bool is_loopback = false;
    if (count < 0)
        return -1;
    for (int i = 0; i < count && host != NULL; i++)
        is_loopback = is_loopback || sys_is_loopback(&addresses[i]);
    count = keep_own(addresses, count);
    return is_loopback && !sys_is_numeric(host) ? sys_add_loopback(addresses, count) : count;
}

static int listen_at_host(struct server *s, const char *host, uint16_t port)
{
    struct sys_address addresses[SYS_ADDRESSES_MAX];
    int count = resolve_own(host, addresses);
    if (count < 0)
        return -1;
    for (int tries = 0; tries < SERVER_PORTS_MAX; tries++) {
        s->port = port;
        if (listen_at_addresses(s, addresses, count) == 0)
            return 0;
        listeners_close(&s->listeners);
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

static int open_server_set(struct server *s)
{
    s->set = sys_epoll_open();
    if (s->set < 0)
        return -1;
    s->timer = sys_timer_open();
    return s->timer < 0 ? -1 : sys_epoll_add(s->set, s->timer, sys_epoll_in);
}

static struct server *new_server(bool interruptible, const struct auth_key *key)
{
    struct server *s = sys_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (struct server){.set = -1,
                         .timer = -1,
                         .interruptible = interruptible,
                         .name = unix_name_none,
                         .opener = self_process(),
                         .timer_at = -1};
    if (copy_key(s, key) == 0)
        return s;
    server_close(s);
    return NULL;
}

struct server *server_open(const char *host, uint16_t port, bool interruptible,
                           const struct auth_key *key)
{
    struct server *s = new_server(interruptible, key);
    if (s != NULL && listen_at_host(s, host, port) == 0 && open_server_set(s) == 0 &&
        watch_listeners(s) == 0)
        return s;
    server_close(s);
    return NULL;
}

/* All that can fail comes before the name: clients find a server that stays, or none. */
static int listen_on_path(struct server *s, const char *path, unsigned access)
{
    if (open_server_set(s) != 0)
        return -1;
    int fd = unix_name_listen(&s->name, path, access, permits_fds(s));
    if (fd < 0)
        return -1;
    listeners_adopt(&s->listeners, fd);
    return watch_listeners(s) == 0 ? unix_name_publish(&s->name) : -1;
}

struct server *server_open_unix(const char *path, unsigned access, bool interruptible,
                                bool accepts_fds, const struct auth_key *key)
{
    struct server *s = new_server(interruptible, key);
    if (s == NULL)
        return NULL;
    s->is_unix = true;
    s->accepts_fds = accepts_fds;
    if (listen_on_path(s, path, access) == 0)
        return s;
    server_close(s);
    return NULL;
}

/*
 * A client sees the credentials of the process that called listen last: let that be this one. All
 * that can fail comes before O_NONBLOCK, so that a socket that is refused is as it was. That flag
 * is never taken away again: other processes may share the socket, and rely on it by now.
 */
static int adopt_listener(struct server *s, int fd)
{
    struct sys_address own;
    s->is_adopted = true;
    listeners_adopt(&s->listeners, fd);
    if (!s->is_unix && sys_local_address(fd, &own) == 0)
        s->port = own.port;
    if (open_server_set(s) == 0 && watch_listeners(s) == 0 &&
        (!s->is_unix || sys_unix_listen(fd) == 0) && sys_nonblock(fd, true) >= 0) {
        if (s->is_unix)
            sys_rights_permit(fd, permits_fds(s));
        return 0;
    }
    s->listeners.count = 0;
    return -1;
}

struct server *server_open_fd(int fd, bool interruptible, bool accepts_fds,
                              const struct auth_key *key)
{
    bool is_unix;
    if (sys_listener_check(fd, &is_unix) != 0)
        return NULL;
    struct server *s = new_server(interruptible, key);
    if (s == NULL)
        return NULL;
    s->is_unix = is_unix;
    s->accepts_fds = accepts_fds;
    if (adopt_listener(s, fd) == 0)
        return s;
    server_close(s);
    return NULL;
}

/*
 * In a child it closes copies: the server goes on in the process that opened it. The name goes
 * first: clients that come later find no server, rather than one that hangs up.
 */
void server_close(struct server *s)
{
    if (s == NULL)
        return;
    bool is_opener = s->opener == self_process();
    unix_name_close(&s->name, is_opener);
    pending_turn_away_all(&s->pending, is_opener ? handshake_close : handshake_abandon);
    sys_epoll_close(s->set);
    sys_timer_close(s->timer);
    listeners_close(&s->listeners);
    if (s->key.bytes != NULL) {
        void *bytes = (void *)(uintptr_t)s->key.bytes;
        digest_wipe(bytes, s->key.size);
        sys_free(bytes);
    }
    sys_free(s);
}
