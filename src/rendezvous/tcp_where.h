/* SPDX-License-Identifier: MIT */
/*
 * Where the two sides of a rendezvous over TCP are: which addresses the named host has, whether
 * that is this host, and if not, which of the two has the higher address. Decides and remembers;
 * opens nothing that stays.
 */
#ifndef PIPC_TCP_WHERE_H
#define PIPC_TCP_WHERE_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/sys_net.h"

struct tcp_where {
    struct sys_address addresses[SYS_ADDRESSES_MAX]; /* to connect to, in this order */
    int address_count, named_count;                  /* the named ones come first */
    bool is_here;                                    /* the named host is this one */
    bool is_higher;                                  /* this one has the higher address */
    struct sys_address places[SYS_ADDRESSES_MAX];    /* here: where to listen, in this order */
    int place_count;
};

/*
 * Begins with `count` addresses, which the resolver knows, and looks. EINVAL: none of them is a
 * host's.
 */
int tcp_where_find(struct tcp_where *where, int count, uint16_t port);
/* Is it this host by now? It stays here. EMFILE and the like: that could not be asked. */
int tcp_where_look(struct tcp_where *where);
/* A connection has shown that this is an address of this host. */
void tcp_where_note_own(struct tcp_where *where, const struct sys_address *address);
/* Sets is_higher; asks anew each time, since the network may come up, or change. */
void tcp_where_rank(struct tcp_where *where);
/* Whether a connection from there comes from the named host. */
bool tcp_where_is_named(const struct tcp_where *where, const struct sys_address *from);
/* Why connecting failed: the network, the host, or the program there may still come up. */
bool tcp_where_may_come_up(int error);
/*
 * It is what a route says, which a datagram meets as well, but not one to loopback: routes come and
 * go. Keeps errno.
 */
bool tcp_where_is_route(const struct sys_address *address, int error);

#endif
