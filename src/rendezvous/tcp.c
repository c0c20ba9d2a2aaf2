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
 * - Whether it is one host is asked again in each round, and of each connection that is made, as
 *   long as it seems to be two: an address may come up. A connection whose two ends have one
 *   address shows it as well.
 */
#include "rendezvous/tcp.h"

#include <errno.h>
#include <string.h>

#include "rendezvous/tcp_machine.h"
#include "sys/sys.h"
#include "sys/sys_net.h"
#include "sys/sys_socket.h"
#include "trace/trace.h"

#define FIRST_PAUSE        (1 * SYS_MILLISECOND)
#define LONGEST_PAUSE_HERE (50 * SYS_MILLISECOND)
/* How long the higher address tries to connect before it listens beside that. */
#define COURTESY       (1000 * SYS_MILLISECOND)
#define RESOLVER_PAUSE (200 * SYS_MILLISECOND)

_Static_assert(FIRST_PAUSE < LONGEST_PAUSE_HERE, "pauses grow");
_Static_assert(LONGEST_PAUSE_HERE < TCP_LONGEST_PAUSE, "a host that is near is asked more often");

static struct tcp_machine *tcp_of(struct rendezvous *rendezvous)
{
    return (struct tcp_machine *)rendezvous;
}

/* ---- who is where ---- */

/* AGAIN: the resolver does not know now. */
static enum rendezvous_result resolve_peer(struct tcp_machine *r)
{
    if (sys_now() < r->resolve_at)
        return RENDEZVOUS_AGAIN;
    int count = sys_resolve(r->host, r->where.addresses, SYS_NAMED_MAX);
    if (count < 0 && (errno != EAGAIN || r->resolves_once))
        return RENDEZVOUS_FAILED;
    r->resolve_at = sys_now() + RESOLVER_PAUSE;
    if (count < 0) {
        tcp_report(r, "the resolver has no answer", errno);
        return RENDEZVOUS_AGAIN;
    }
    return tcp_where_find(&r->where, count, r->port) == 0 ? RENDEZVOUS_DONE : RENDEZVOUS_FAILED;
}

static enum rendezvous_result find_out(struct tcp_machine *r)
{
    enum rendezvous_result result = r->is_resolved ? RENDEZVOUS_DONE : resolve_peer(r);
    if (r->is_resolved || result != RENDEZVOUS_DONE)
        return result;
    r->is_resolved = true;
    tcp_report(r, r->where.is_here ? "the peer is on this host" : "the peer is on another host", 0);
    if (tcp_listens_everywhere(r))
        tcp_where_rank(&r->where);
    r->connect_at = r->listen_at = sys_now();
    if (r->where.is_higher)
        r->listen_at += COURTESY;
    return RENDEZVOUS_DONE;
}

/* ---- connecting ---- */

static bool is_ours(const struct tcp_machine *r, const struct sys_address *address)
{
    for (int i = 0; i < r->next_place; i++)
        if (sys_same_host(&r->where.places[i], address))
            return true;
    return false;
}

static void go_to_next_address(struct tcp_machine *r, int from)
{
    r->next_address = from;
    while (r->next_address < r->where.address_count &&
           is_ours(r, &r->where.addresses[r->next_address]))
        r->next_address++;
}

/*
 * What was taken for another host is this one: begin again. Who has been accepted stays. Who comes
 * just now to a listener that closes has a connection that ends.
 */
static void go_here(struct tcp_machine *r)
{
    tcp_report(r, "the peer is on this host after all", 0);
    handshake_close(r->own);
    r->own = NULL;
    tcp_listen_anew(r);
    r->next_address = r->last_begun = 0;
    memset(r->errors, 0, sizeof r->errors);
    memset(r->reported, 0, sizeof r->reported);
    r->pause = FIRST_PAUSE;
    r->connect_at = sys_now();
}

static int accept_all(struct tcp_machine *r)
{
    bool was_here = r->where.is_here;
    for (int i = 0; i < r->listeners.count && !listeners_are_paused(&r->listeners); i++)
        if (tcp_accept(r, r->listeners.fd[i]) != 0)
            return -1;
    if (r->where.is_here && !was_here)
        go_here(r);
    return 0;
}

/* The network may have come up, or changed. */
static int look_again(struct tcp_machine *r)
{
    if (r->where.is_here)
        return 0;
    if (tcp_where_look(&r->where) != 0)
        return -1;
    if (!r->where.is_here && tcp_listens_everywhere(r))
        tcp_where_rank(&r->where);
    if (!r->where.is_here)
        return 0;
    int result = accept_all(r);
    go_here(r);
    return result;
}

static int begin_here(struct tcp_machine *r, const struct sys_address *own)
{
    tcp_where_note_own(&r->where, own);
    int result = accept_all(r);
    go_here(r);
    return result;
}

/* Nobody else can listen there meanwhile: what we begin to connect to is ourselves. */
static int leave_ourselves(struct tcp_machine *r)
{
    struct sys_address own, *there = &r->where.addresses[r->next_address];
    if (r->where.is_here || r->listeners.count == 0 || sys_local_address(r->own->fd, &own) != 0 ||
        !sys_same_host(&own, there))
        return 0;
    return begin_here(r, &own);
}

/* The address may have come up here meanwhile. Where that cannot be asked, it has not. */
static bool has_met_ourselves(const struct tcp_machine *r)
{
    return !r->where.is_here && r->listeners.count > 0 &&
           sys_is_own(&r->where.addresses[r->next_address]) > 0;
}

static int end_round(struct tcp_machine *r)
{
    int64_t longest = r->where.is_here ? LONGEST_PAUSE_HERE : TCP_LONGEST_PAUSE;
    r->next_address = 0;
    r->connect_at = sys_now() + (r->where.is_higher ? longest : r->pause);
    r->pause = 2 * r->pause < longest ? 2 * r->pause : longest;
    r->listen_at = sys_deadline_earlier(r->listen_at, sys_now());
    return look_again(r);
}

/* Who is at an address that was not named, and does not know the key, is somebody else. */
static int connect_failed(struct tcp_machine *r)
{
    const struct sys_address *address = &r->where.addresses[r->next_address];
    bool is_named = r->next_address < r->where.named_count;
    int error = errno;
    bool is_route = r->own == NULL && tcp_where_is_route(address, error);
    bool is_stranger = r->own != NULL && error == EACCES && !is_named;
    handshake_close(r->own);
    r->own = NULL;
    if (r->reported[r->next_address] != error)
        tcp_report_peer(r, "cannot connect", address, error);
    r->reported[r->next_address] = error;
    errno = error;
    if (!tcp_where_may_come_up(error) && !is_route && !is_stranger)
        return -1;
    if (is_named)
        r->errors[r->next_address] = error == EPIPE ? ECONNRESET : error;
    go_to_next_address(r, r->next_address + 1);
    return r->next_address >= r->where.address_count ? end_round(r) : 0;
}

static int begin_to_connect(struct tcp_machine *r)
{
    go_to_next_address(r, r->next_address);
    if (r->next_address >= r->where.address_count)
        return end_round(r);
    if (r->next_address < r->where.named_count && r->next_address > r->last_begun)
        r->last_begun = r->next_address;
    r->own = handshake_connect(&r->where.addresses[r->next_address], &r->key);
    if (r->own == NULL)
        return connect_failed(r);
    r->own->traced_as = r->base.handle;
    return leave_ourselves(r);
}

static bool is_due_to_connect(const struct tcp_machine *r)
{
    return r->own == NULL && !tcp_has_all_places(r) && sys_now() >= r->connect_at;
}

/* Listen or connect, as is due. */
static int listen_or_connect(struct tcp_machine *r)
{
    if (tcp_listens_everywhere(r) && tcp_listen_everywhere(r) != 0)
        return -1;
    while (is_due_to_connect(r)) {
        if (tcp_listens_here(r) && tcp_listen_here(r) != 0)
            return -1;
        if (!tcp_has_all_places(r) && begin_to_connect(r) != 0)
            return -1;
    }
    return 0;
}

/* ---- the rendezvous ---- */

/*
 * Once the lower of two hosts is connected, that connection comes first until it fails. Who has
 * come from the higher gets no further than to show the key: what is missing then, the higher
 * cannot do without.
 */
static bool must_wait(const struct tcp_machine *r, const struct handshake *h)
{
    return !r->where.is_here && !r->where.is_higher && r->own != NULL && !r->own->connecting &&
           handshake_has_shown_key(h);
}

/* 1: *done is it; 0: not yet. One that fails is turned away, and the wait goes on. */
static int step_any_pending(struct tcp_machine *r, struct handshake **done)
{
    for (struct handshake *h = r->pending.oldest, *next; h != NULL; h = next) {
        next = h->next;
        int there = must_wait(r, h) ? 0 : handshake_step(h);
        if (there > 0) {
            pending_remove(&r->pending, h);
            *done = h;
            return 1;
        }
        if (there < 0)
            pending_turn_away(&r->pending, h, handshake_close);
    }
    return 0;
}

static int step_own(struct tcp_machine *r, struct handshake **done)
{
    int there = r->own == NULL ? 0 : handshake_step(r->own);
    if (there < 0)
        return connect_failed(r);
    if (there > 0 && has_met_ourselves(r))
        return begin_here(r, &r->where.addresses[r->next_address]);
    if (there > 0) {
        *done = r->own;
        r->own = NULL;
    }
    return there;
}

/* If there are two, the one that comes from the lower address. */
static int step_each(struct tcp_machine *r, struct handshake **done)
{
    int there = accept_all(r);
    if (there == 0 && r->where.is_higher)
        there = step_any_pending(r, done);
    if (there == 0)
        there = step_own(r, done);
    if (there == 0 && !r->where.is_higher)
        there = step_any_pending(r, done);
    return there;
}

static void add_interest(struct rendezvous_interests *what, const struct handshake *h)
{
    int64_t deadline = handshake_entry(h, &what->fds[what->count++]);
    what->until = sys_deadline_earlier(what->until, deadline);
}

static void tcp_interests(struct rendezvous *rendezvous, struct rendezvous_interests *what)
{
    struct tcp_machine *r = tcp_of(rendezvous);
    what->until = r->is_resolved ? -1 : r->resolve_at;
    if (!r->is_resolved)
        return;
    bool is_paused = listeners_are_paused(&r->listeners);
    for (int i = 0; i < r->listeners.count && !is_paused; i++)
        what->fds[what->count++] = (struct pollfd){.fd = r->listeners.fd[i], .events = POLLIN};
    if (is_paused)
        what->until = sys_deadline_earlier(what->until, r->listeners.resume_at);
    for (struct handshake *h = r->pending.oldest; h != NULL; h = h->next)
        if (!must_wait(r, h))
            add_interest(what, h);
    if (r->own != NULL)
        add_interest(what, r->own);
    else if (!tcp_has_all_places(r))
        what->until = sys_deadline_earlier(what->until, r->connect_at);
    if (tcp_listens_everywhere(r) && r->listeners.count == 0)
        what->until = sys_deadline_earlier(what->until, r->listen_at);
}

static enum rendezvous_result tcp_step(struct rendezvous *rendezvous, int fds[2])
{
    struct tcp_machine *r = tcp_of(rendezvous);
    struct handshake *done = NULL;
    int there = 0;
    enum rendezvous_result found = find_out(r);
    if (found != RENDEZVOUS_DONE)
        return found;
    do {
        if (listen_or_connect(r) != 0)
            return RENDEZVOUS_FAILED;
        there = step_each(r, &done);
    } while (there == 0 && is_due_to_connect(r));
    if (there <= 0)
        return there == 0 ? RENDEZVOUS_AGAIN : RENDEZVOUS_FAILED;
    sys_tcp_options(done->fd);
    fds[0] = fds[1] = handshake_release(done);
    return RENDEZVOUS_DONE;
}

/* When the time is up, why nobody could be connected to: of several addresses, the last one's. */
static enum rendezvous_result tcp_give_up(struct rendezvous *rendezvous, int error, int fds[2])
{
    struct tcp_machine *r = tcp_of(rendezvous);
    (void)fds;
    int reason = r->connect_only && error != EINTR ? r->errors[r->last_begun] : 0;
    if (limit_is_at_once(&r->base.limit) && (reason != ECONNREFUSED || r->own != NULL))
        reason = 0;
    errno = reason != 0 ? reason : error;
    return RENDEZVOUS_FAILED;
}

static void tcp_close(struct rendezvous *rendezvous, bool is_opener)
{
    struct tcp_machine *r = tcp_of(rendezvous);
    pending_end *end = is_opener ? handshake_close : handshake_abandon;
    listeners_close(&r->listeners);
    pending_turn_away_all(&r->pending, end);
    if (r->own != NULL)
        end(r->own);
    rendezvous_free(r, &r->key);
}

static const struct rendezvous_ops tcp_ops = {tcp_step, tcp_interests, tcp_give_up, tcp_close};

struct rendezvous *tcp_rendezvous(const struct tcp_request *request)
{
    const char *host = request->host;
    struct auth_key key = request->key;
    const struct rendezvous_loan loan = {{&host}, &key};
    struct tcp_machine *r = rendezvous_new(sizeof *r, &loan);
    if (r == NULL)
        return NULL;
    r->base = (struct rendezvous){&tcp_ops, request->limit, .is_socket = true};
    r->host = host;
    r->port = request->port;
    r->connect_only = request->connect_only;
    r->resolves_once = request->resolves_once;
    r->key = key;
    r->pause = FIRST_PAUSE;
    return &r->base;
}
