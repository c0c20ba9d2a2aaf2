/* SPDX-License-Identifier: MIT */
/*
 * The states of a handshake, and what each event does. A test walks this table. A cell is the next
 * state, or the errno with which the handshake fails; `.` is: nothing happens yet.
 *
 *   state               waits  nothing  half a   the right  another  the peer    the deadline
 *                       for    new      frame    frame      frame    has gone    has passed
 *   connecting          write  .        n/a      n/a        n/a      ECONNREFUSED etc.  ETIMEDOUT
 *   accepted:
 *     AWAITS_RESPONSE   read   .        .        CHALLENGE  EACCES   ECONNRESET  ETIMEDOUT
 *     AWAITS_CHALLENGE  read   .        .        VERDICT    EACCES   ECONNRESET  ETIMEDOUT
 *     AWAITS_VERDICT    read   .        .        DONE       EACCES   ECONNRESET  ETIMEDOUT
 *   connected:
 *     AWAITS_CHALLENGE  read   .        .        VERDICT    EACCES   ECONNRESET  ETIMEDOUT
 *     AWAITS_VERDICT    read   .        .        RESPONSE   EACCES   ECONNRESET  ETIMEDOUT
 *     AWAITS_RESPONSE   read   .        .        DONE       EACCES   ECONNRESET  ETIMEDOUT
 *   REFUSED             write  .        .        .          .        EACCES      ETIMEDOUT
 *
 * A connection that is made goes from connecting to connected, with a new deadline. The peer of an
 * accepted one is silent in AWAITS_RESPONSE; afterwards it has shown the key.
 * While there is no room for the frame that a state sends, the state waits to write, and reads
 * nothing. REFUSED is such a state: it lasts while the word that refuses has no room, and then
 * fails with EACCES. An event that came goes before a deadline that has passed. Without a key there
 * is no handshake: what is accepted or connected is done.
 */
#include "rendezvous/handshake.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "sys/self.h"
#include "sys/sys.h"
#include "sys/sys_random.h"
#include "sys/sys_rights.h"
#include "sys/sys_socket.h"
#include "sys/sys_unix.h"
#include "trace/trace.h"

/*
 * Ample for an exchange of six short frames across the world, short enough that the silent do not
 * pile up.
 */
#define HANDSHAKE_NS (10 * SYS_SECOND)
/* A connect that is not answered; the kernel knows after 3 s that no host is there. */
#define CONNECT_NS (4 * SYS_SECOND)
_Static_assert(CONNECT_NS > 3 * SYS_SECOND, "the kernel's reason comes first");

/*
 * The mark of this process: all its threads see the same, and a child after fork another. Each
 * part stands beside the number of the process that chose it: a child finds its parent's outdated.
 * Of threads that choose at the same time, the first decides: `mark` comes as 16 random bytes, and
 * leaves as what was decided.
 */
static void agree_on_mark(uint8_t mark[AUTH_MARK])
{
    enum { PARTS = AUTH_MARK / sizeof(uint32_t) };
    _Static_assert(PARTS * sizeof(uint32_t) == AUTH_MARK, "a mark is made of whole parts");
    static _Atomic uint64_t agreed[PARTS]; /* upper half: the process; lower half: of the mark */
    uint32_t parts[PARTS];
    uint64_t process = (uint64_t)self_process() << 32;
    memcpy(parts, mark, sizeof parts);
    for (int i = 0; i < PARTS; i++) {
        uint64_t part = atomic_load(&agreed[i]);
        while (part >> 32 != process >> 32)
            if (atomic_compare_exchange_weak(&agreed[i], &part, process | parts[i]))
                part = process | parts[i];
        parts[i] = (uint32_t)part;
    }
    memcpy(mark, parts, sizeof parts);
}

static int begin_auth(struct handshake *h, bool accepting)
{
    uint8_t random[AUTH_NONCE + AUTH_MARK], *mark = random + AUTH_NONCE;
    if (h->key.bytes == NULL)
        return 0;
    if (sys_random(random, sizeof random) != 0)
        return -1;
    agree_on_mark(mark);
    auth_init(&h->auth, accepting, &h->key, random, mark);
    return 0;
}

static struct handshake *new_handshake(const struct auth_key *key, int64_t time)
{
    struct handshake *h = sys_alloc(sizeof *h);
    if (h != NULL)
        *h = (struct handshake){.fd = -1, .set = -1, .deadline = sys_now() + time, .key = *key};
    return h;
}

static struct handshake *begin_on(int fd, const struct auth_key *key, bool accepting)
{
    struct handshake *h = new_handshake(key, HANDSHAKE_NS);
    if (h == NULL)
        return NULL;
    if (begin_auth(h, accepting) != 0) {
        sys_free(h);
        return NULL;
    }
    h->fd = fd;
    return h;
}

struct handshake *handshake_accept(int fd, const struct auth_key *key)
{
    return begin_on(fd, key, true);
}

struct handshake *handshake_begin(int fd, const struct auth_key *key)
{
    return begin_on(fd, key, false);
}

struct handshake *handshake_connect(const struct sys_address *address, const struct auth_key *key)
{
    struct handshake *h = new_handshake(key, CONNECT_NS);
    if (h == NULL)
        return NULL;
    h->connecting = true;
    if (begin_auth(h, false) != 0 || (h->fd = sys_connect(address)) < 0) {
        handshake_close(h);
        return NULL;
    }
    return h;
}

/* A connect to a free port of this machine can connect to itself. */
static bool is_connected_to_itself(int fd, const struct sys_address *peer)
{
    struct sys_address own;
    return sys_local_address(fd, &own) == 0 && own.port == peer->port && sys_same_host(&own, peer);
}

/*
 * A listener that closes can leave a connection that this side alone has. Nobody says so, and the
 * peer speaks first: so its host is asked.
 */
static int finish_connecting(struct handshake *h)
{
    struct sys_address peer;
    if (sys_connected(h->fd, &peer) != 0)
        return errno == EINPROGRESS ? 0 : -1;
    if (is_connected_to_itself(h->fd, &peer)) {
        errno = ECONNREFUSED;
        return -1;
    }
    if (h->key.bytes != NULL)
        sys_tcp_probe(h->fd);
    h->connecting = false;
    h->deadline = sys_now() + HANDSHAKE_NS;
    return 1;
}

/* 1: all is sent; 0: not now. */
static int send_output(struct handshake *h)
{
    const uint8_t *bytes;
    size_t size;
    while ((size = auth_output(&h->auth, &bytes)) > 0) {
        struct iovec part = {(void *)(uintptr_t)bytes, size};
        ssize_t sent = sys_writev(h->fd, SYS_SOCKET, &part, 1);
        if (sent < 0)
            return errno == EAGAIN ? 0 : -1;
        auth_sent(&h->auth, (size_t)sent);
    }
    return 1;
}

/* 1: all that was wanted has come; 0: not yet. */
static int receive_input(struct handshake *h)
{
    uint8_t *where;
    size_t size;
    while ((size = auth_wants(&h->auth, &where)) > 0) {
        ssize_t got = sys_read(h->fd, SYS_SOCKET, where, size);
        if (got == 0)
            errno = ECONNRESET;
        if (got <= 0)
            return got < 0 && errno == EAGAIN ? 0 : -1;
        auth_received(&h->auth, (size_t)got);
    }
    return 1;
}

static bool awaits_key(const struct handshake *h)
{
    return h->auth.state == AUTH_AWAITS_RESPONSE;
}

/*
 * Descriptors that come with a handshake would be closed in our next call, which may take as long
 * as the peer likes. So it may send some only when it has shown the key, but before it learns that.
 */
static int receive_response(struct handshake *h)
{
    bool was_awaited = awaits_key(h);
    int there = receive_input(h);
    if (h->accepts_fds && was_awaited && !awaits_key(h) && h->auth.state != AUTH_REFUSED)
        sys_rights_permit(h->fd, true);
    return there;
}

static int authenticate(struct handshake *h)
{
    int there = 1;
    while (there > 0 && !auth_is_over(&h->auth)) {
        there = send_output(h);
        if (there > 0)
            there = receive_response(h);
    }
    if (h->auth.state != AUTH_REFUSED)
        return there;
    errno = EACCES; /* also when the word that says so has not gone through */
    return there == 0 ? 0 : -1;
}

/* Its set waits for what it waits for itself. */
static int update_interest(struct handshake *h)
{
    bool wants_out = handshake_wants_out(h);
    if (h->set < 0 || wants_out == h->out_watched)
        return 0;
    h->out_watched = wants_out;
    return sys_epoll_change(h->set, h->fd, wants_out ? sys_epoll_out : sys_epoll_in);
}

/* ---- what the trace says of it ---- */

static void describe_peer(int fd, char *text, size_t size)
{
    struct sys_credentials peer;
    if (sys_peer_address_text(fd, text, size) == 0)
        return;
    if (sys_unix_credentials(fd, &peer) == 0)
        snprintf(text, size, "process %lld of user %u", (long long)peer.pid, (unsigned)peer.uid);
    else
        snprintf(text, size, "gone");
}

static const char *verdict(const struct handshake *h, int there)
{
    static const char *const refusals[] = {
        [AUTH_NO_REASON] = "failed",
        [AUTH_NO_HANDSHAKE] = "what the peer sends is none",
        [AUTH_ANOTHER_DIGEST] = "the peer knows no digest that this side accepts",
        [AUTH_NOT_FOR_US] = "the peer is this process, or passes on what it got elsewhere",
        [AUTH_WRONG_RESPONSE] = "the peer has another key",
        [AUTH_PEER_REFUSED] = "the peer refuses this side's key"};
    return there > 0 ? "both sides know the key" : refusals[h->auth.reason];
}

void handshake_report(const struct handshake *h, const char *what, int error)
{
    char peer[TRACE_PEER_MAX];
    int saved = errno;
    if (!trace_is_on())
        return;
    describe_peer(h->fd, peer, sizeof peer);
    trace_write(&(struct trace_line){h->traced_as, TRACE_HANDSHAKE, what, NULL, peer, error});
    errno = saved;
}

static void report_verdict(const struct handshake *h, int there)
{
    if (h->key.bytes != NULL && !h->connecting && there != 0)
        handshake_report(h, verdict(h, there), there < 0 ? errno : 0);
}

/* ---- steps ---- */

static int make_step(struct handshake *h)
{
    int there = h->connecting ? finish_connecting(h) : 1;
    if (there > 0 && h->key.bytes != NULL)
        there = authenticate(h);
    if (there == 0 && sys_deadline_has_passed(h->deadline)) {
        errno = ETIMEDOUT;
        return -1;
    }
    return there == 0 ? update_interest(h) : there;
}

int handshake_step(struct handshake *h)
{
    int there = make_step(h);
    report_verdict(h, there);
    return there;
}

bool handshake_has_shown_key(const struct handshake *h)
{
    return h->auth.state != AUTH_AWAITS_RESPONSE && h->auth.state != AUTH_REFUSED;
}

bool handshake_wants_out(const struct handshake *h)
{
    const uint8_t *bytes;
    return h->connecting || auth_output(&h->auth, &bytes) > 0;
}

int64_t handshake_entry(const struct handshake *h, struct pollfd *entry)
{
    *entry = (struct pollfd){.fd = h->fd, .events = handshake_wants_out(h) ? POLLOUT : POLLIN};
    return h->deadline;
}

int handshake_watch(struct handshake *h, int set)
{
    if (sys_epoll_add(set, h->fd, sys_epoll_in) != 0)
        return -1;
    h->set = set;
    return 0;
}

/* ---- ends ---- */

static void free_handshake(struct handshake *h)
{
    if (h->key.bytes != NULL)
        auth_fini(&h->auth);
    sys_free(h);
}

/* Out of the set before it is closed: a child that has a copy would keep it in there. */
int handshake_release(struct handshake *h)
{
    int fd = h->fd;
    if (h->set >= 0)
        sys_epoll_remove(h->set, fd);
    free_handshake(h);
    return fd;
}

void handshake_close(struct handshake *h)
{
    int fd = h != NULL ? handshake_release(h) : -1;
    if (fd >= 0)
        sys_socket_shutdown(fd);
}

void handshake_reset(struct handshake *h)
{
    sys_socket_reset(handshake_release(h));
}

void handshake_abandon(struct handshake *h)
{
    sys_close(h->fd);
    free_handshake(h);
}
