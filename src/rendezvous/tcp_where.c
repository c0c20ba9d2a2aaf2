/* SPDX-License-Identifier: MIT */
#include "rendezvous/tcp_where.h"

#include <errno.h>
#include <string.h>

static int keep_hosts(struct tcp_where *w, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (sys_is_host(&w->addresses[i]))
            w->addresses[kept++] = w->addresses[i];
    return kept;
}

static void set_port(struct tcp_where *w, uint16_t port)
{
    for (int i = 0; i < w->address_count; i++)
        w->addresses[i].port = port;
    for (int i = 0; i < w->place_count; i++)
        w->places[i].port = port;
}

/* Loopback's two come first, in whatever way this host was named. */
static void choose_places(struct tcp_where *w)
{
    w->place_count = sys_add_loopback(w->places, 0);
    for (int i = 0; i < w->named_count; i++)
        if (!sys_same_host(&w->addresses[i], &w->places[0]) &&
            !sys_same_host(&w->addresses[i], &w->places[1]))
            w->places[w->place_count++] = w->addresses[i];
}

/* If some of the addresses are this host's, the others do not count, and loopback does. */
static void go_here(struct tcp_where *w, const bool is_own[])
{
    uint16_t port = w->addresses[0].port;
    int kept = 0;
    for (int i = 0; i < w->named_count; i++)
        if (is_own[i])
            w->addresses[kept++] = w->addresses[i];
    if (kept == 0)
        return;
    w->is_here = true;
    w->named_count = kept;
    w->address_count = sys_add_loopback(w->addresses, kept);
    choose_places(w);
    set_port(w, port);
}

int tcp_where_look(struct tcp_where *w)
{
    bool is_own[SYS_ADDRESSES_MAX] = {false};
    for (int i = 0; i < w->named_count && !w->is_here; i++) {
        int own = sys_is_loopback(&w->addresses[i]) ? 1 : sys_is_own(&w->addresses[i]);
        if (own < 0)
            return -1;
        is_own[i] = own > 0;
    }
    if (!w->is_here)
        go_here(w, is_own);
    return 0;
}

void tcp_where_note_own(struct tcp_where *w, const struct sys_address *address)
{
    bool is_own[SYS_ADDRESSES_MAX] = {false};
    for (int i = 0; i < w->named_count && !w->is_here; i++)
        is_own[i] = sys_same_host(&w->addresses[i], address);
    if (!w->is_here)
        go_here(w, is_own);
}

int tcp_where_find(struct tcp_where *w, int count, uint16_t port)
{
    w->address_count = w->named_count = keep_hosts(w, count);
    if (w->named_count == 0) {
        errno = EINVAL;
        return -1;
    }
    set_port(w, port);
    return tcp_where_look(w);
}

static int compare(const struct sys_address *a, const struct sys_address *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

/* Of several addresses the lowest is the one that both sides are most likely to think of. */
void tcp_where_rank(struct tcp_where *w)
{
    struct sys_address source, own, theirs;
    bool found = false;
    for (int i = 0; i < w->address_count; i++)
        if (sys_source(&w->addresses[i], &source) == 0 &&
            (!found || compare(&w->addresses[i], &theirs) < 0)) {
            theirs = w->addresses[i];
            own = source;
            found = true;
        }
    w->is_higher = found && compare(&own, &theirs) > 0;
}

bool tcp_where_is_named(const struct tcp_where *w, const struct sys_address *from)
{
    if (w->is_here && sys_is_loopback(from))
        return true;
    for (int i = 0; i < w->named_count; i++)
        if (sys_same_host(&w->addresses[i], from))
            return true;
    return false;
}

bool tcp_where_may_come_up(int error)
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

static bool finds(const struct sys_address *to, int error)
{
    struct sys_address source;
    return sys_source(to, &source) != 0 && errno == error;
}

/* A sandbox says the same of all addresses; it may let no socket be made. */
bool tcp_where_is_route(const struct sys_address *address, int error)
{
    struct sys_address loopback[SYS_LOOPBACK_MAX];
    int saved = errno;
    if ((error != EINVAL && error != EACCES) || sys_lacks_scope(address) ||
        sys_is_loopback(address))
        return false;
    sys_add_loopback(loopback, 0);
    bool is_one =
        finds(address, error) && !finds(&loopback[address->family == SYS_IPV4 ? 0 : 1], error);
    errno = saved;
    return is_one;
}
