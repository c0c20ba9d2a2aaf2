/* SPDX-License-Identifier: MIT */
#include "rendezvous/tcp_where.h"

#include <errno.h>
#include <string.h>

static bool is_here(const struct sys_address *address)
{
    struct sys_address source;
    return sys_is_loopback(address) ||
           (sys_source(address, &source) == 0 && sys_same_host(address, &source));
}

static int keep(struct tcp_where *w, int count, bool (*is_right)(const struct sys_address *address))
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (is_right(&w->addresses[i]))
            w->addresses[kept++] = w->addresses[i];
    return kept;
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
static void find_here(struct tcp_where *w)
{
    struct tcp_where here = *w;
    here.named_count = keep(&here, w->named_count, is_here);
    if (here.named_count == 0)
        return;
    *w = here;
    w->is_here = true;
    w->address_count = sys_add_loopback(w->addresses, w->named_count);
    choose_places(w);
}

int tcp_where_find(struct tcp_where *w, int count, uint16_t port)
{
    w->address_count = w->named_count = keep(w, count, sys_is_host);
    if (w->named_count == 0) {
        errno = EINVAL;
        return -1;
    }
    find_here(w);
    for (int i = 0; i < w->address_count; i++)
        w->addresses[i].port = port;
    for (int i = 0; i < w->place_count; i++)
        w->places[i].port = port;
    return 0;
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
