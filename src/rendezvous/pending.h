/* SPDX-License-Identifier: MIT */
/*
 * The pending handshakes: connections that came and have not shown the key yet, the oldest first.
 * Chooses who is turned away when there are too many: one of the largest group, so that a
 * flood from one address pushes out itself and nobody else. Does not wait for them.
 */
#ifndef PIPC_PENDING_H
#define PIPC_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "rendezvous/handshake.h"
#include "sys/sys_net.h"

enum { PENDING_MAX = 256 };

/*
 * Those from one IPv4 address, or one IPv6 network of 64 bits, all of which a host can have; or on
 * this host, those of one user.
 */
struct pending_group {
    enum sys_family family;
    uint8_t network[8];
    int count; /* 0: this place is free */
};

struct pending {
    struct handshake *oldest, *newest;
    int count; /* one more than PENDING_MAX for a moment, until one is turned away */
    struct pending_group groups[PENDING_MAX + 1];
};

void pending_add(struct pending *pending, struct handshake *handshake,
                 const struct sys_address *from);
void pending_remove(struct pending *pending, struct handshake *handshake);
struct handshake *pending_find(const struct pending *pending, int fd); /* NULL: none */

/*
 * The one to turn away: of the largest group; within it, one that has not shown the key before one
 * that has; then the oldest. `silent`: only one that has not shown the key. NULL: there is none.
 */
struct handshake *pending_choose(const struct pending *pending, bool silent);

/* How one that is turned away ends: handshake_close, handshake_reset, handshake_abandon. */
typedef void pending_end(struct handshake *handshake);

/* Add one. If that makes more than `max`, another is turned away, or this one: then false. */
bool pending_admit(struct pending *pending, struct handshake *handshake,
                   const struct sys_address *from, int max, pending_end *end);
void pending_turn_away(struct pending *pending, struct handshake *handshake, pending_end *end);
/* One that has not shown the key makes room for a new connection. false: there is none. */
bool pending_make_room(struct pending *pending, pending_end *end);
void pending_turn_away_all(struct pending *pending, pending_end *end);

#endif
