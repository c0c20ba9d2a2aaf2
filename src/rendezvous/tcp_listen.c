/* SPDX-License-Identifier: MIT */
#include "rendezvous/tcp_machine.h"

#include <errno.h>

#include "sys/sys.h"
#include "sys/sys_net.h"
#include "trace/trace.h"

void tcp_report(const struct tcp_machine *r, const char *what, int error)
{
    trace(r->base.handle, TRACE_RENDEZVOUS, what, NULL, error);
}

void tcp_report_peer(const struct tcp_machine *r, const char *what, const struct sys_address *peer,
                     int error)
{
    char text[TRACE_PEER_MAX];
    int saved = errno;
    struct trace_line line = {r->base.handle, TRACE_RENDEZVOUS, what, NULL, NULL, error};
    if (!trace_is_on())
        return;
    line.peer = sys_address_text(peer, text, sizeof text) == 0 ? text : NULL;
    trace_write(&line);
    errno = saved;
}

/* ---- listening ---- */

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
int tcp_listen_here(struct tcp_machine *r)
{
    int before = r->listeners.count;
    for (; r->next_place < r->where.place_count; r->next_place++)
        if (listeners_add(&r->listeners, &r->where.places[r->next_place]) != 0 &&
            !is_missing(errno))
            return is_port_refused(errno) ? 0 : -1;
    if (r->listeners.count == 0)
        r->next_place = 0; /* the network may come up */
    else if (before != r->listeners.count)
        tcp_report(r, "listens on this host", 0);
    return 0;
}

int tcp_listen_everywhere(struct tcp_machine *r)
{
    const struct sys_address every = {.family = SYS_ANY, .port = r->port};
    if (r->listeners.count > 0 || sys_now() < r->listen_at)
        return 0;
    if (listeners_add(&r->listeners, &every) == 0) {
        tcp_report(r, "listens on all interfaces", 0);
        return 0;
    }
    tcp_report(r, "cannot listen", errno);
    r->listen_at = sys_now() + TCP_LONGEST_PAUSE;
    return is_port_refused(errno) ? 0 : -1;
}

/* ---- accepting ---- */

static int admit(struct tcp_machine *r, int fd, const struct sys_address *from)
{
    struct handshake *h = handshake_accept(fd, &r->key);
    if (h == NULL) {
        sys_close(fd);
        return -1;
    }
    h->traced_as = r->base.handle;
    pending_admit(&r->pending, h, from, TCP_PENDING_MAX, handshake_close);
    return 0;
}

void tcp_listen_anew(struct tcp_machine *r)
{
    listeners_close(&r->listeners);
    r->next_place = 0;
}

/* Who comes from an address of this host shows that the named one is this, if it is. */
static int learn_from(struct tcp_machine *r, int fd, const struct sys_address *from)
{
    struct sys_address own;
    if (r->where.is_here || sys_local_address(fd, &own) != 0 || !sys_same_host(&own, from))
        return 0;
    tcp_where_note_own(&r->where, from);
    return tcp_where_look(&r->where);
}

static bool is_from_ourselves(const struct tcp_machine *r, const struct sys_address *from)
{
    struct sys_address own;
    return r->own != NULL && sys_local_address(r->own->fd, &own) == 0 && own.port == from->port &&
           sys_same_host(&own, from);
}

static int let_in(struct tcp_machine *r, int fd, const struct sys_address *from)
{
    if (learn_from(r, fd, from) != 0) {
        sys_close(fd);
        return -1;
    }
    bool is_named = tcp_where_is_named(&r->where, from) && !is_from_ourselves(r, from);
    tcp_report_peer(r, is_named ? "accepted" : "turned away another host", from, 0);
    if (is_named)
        return admit(r, fd, from);
    sys_socket_shutdown(fd);
    return 0;
}

/* Whether to go on accepting after that failure. One that was shut down is opened again. */
static bool recovers(struct tcp_machine *r, enum listeners_result failure)
{
    if (failure == LISTENERS_STOPPED)
        tcp_listen_anew(r);
    if (failure == LISTENERS_FAILED)
        listeners_pause(&r->listeners);
    return failure == LISTENERS_LOST || failure == LISTENERS_SHORTAGE;
}

/* Out of memory or descriptors ends the rendezvous; all else is the fault of one connection. */
int tcp_accept(struct tcp_machine *r, int listener)
{
    struct sys_address from;
    int failures = 0;
    for (int i = 0; i < LISTENERS_ACCEPTS_MAX; i++) {
        int fd;
        enum listeners_result result = listeners_accept(listener, &fd, &from);
        if (result == LISTENERS_SHORTAGE && !pending_make_room(&r->pending, handshake_close))
            return -1;
        if (result != LISTENERS_ACCEPTED && !recovers(r, result))
            return 0;
        if (result != LISTENERS_ACCEPTED) {
            failures++;
            continue;
        }
        if (let_in(r, fd, &from) != 0)
            return -1;
    }
    if (failures == LISTENERS_ACCEPTS_MAX)
        listeners_pause(&r->listeners);
    return 0;
}
