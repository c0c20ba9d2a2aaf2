/* SPDX-License-Identifier: MIT */
/*
 * The rendezvous over TCP, between its two files: tcp.c connects and decides, tcp_listen.c listens
 * and accepts. tcp.c has the rules.
 */
#ifndef PIPC_TCP_MACHINE_H
#define PIPC_TCP_MACHINE_H

#include "rendezvous/handshake.h"
#include "rendezvous/listeners.h"
#include "rendezvous/pending.h"
#include "rendezvous/rendezvous.h"
#include "rendezvous/tcp_where.h"

enum { TCP_PENDING_MAX = 16 }; /* showing their keys; the named host alone can be one */

_Static_assert((int)TCP_PENDING_MAX <= (int)PENDING_MAX, "the list has room for them");
_Static_assert((int)SYS_ADDRESSES_MAX + (int)TCP_PENDING_MAX + 1 <= (int)RENDEZVOUS_FDS_MAX,
               "all of it can be polled");

/* Between two tries of what cannot be now; between tries to connect, it grows to this. */
#define TCP_LONGEST_PAUSE (1000 * SYS_MILLISECOND)

struct tcp_machine {
    struct rendezvous base;
    const char *host;
    uint16_t port;
    bool connect_only, resolves_once;
    struct auth_key key;
    bool is_resolved;
    int64_t resolve_at;
    struct tcp_where where;
    int errors[SYS_ADDRESSES_MAX]; /* of the last attempt at each address; 0: not yet */
    int next_place;                /* here: the places before it are ours, or missing */
    struct listeners listeners;
    int64_t listen_at;
    struct pending pending;
    struct handshake *own;           /* the connection that we make */
    int next_address, last_begun;    /* in this round; in any */
    int reported[SYS_ADDRESSES_MAX]; /* errors, as the trace has them */
    int64_t connect_at, pause;
};

_Static_assert(offsetof(struct tcp_machine, base) == 0, "tcp_of casts");

/* Lines for the trace. The second keeps errno. */
void tcp_report(const struct tcp_machine *machine, const char *what, int error);
void tcp_report_peer(const struct tcp_machine *machine, const char *what,
                     const struct sys_address *peer, int error);

static inline bool tcp_listens_here(const struct tcp_machine *r)
{
    return r->where.is_here && !r->connect_only;
}

static inline bool tcp_listens_everywhere(const struct tcp_machine *r)
{
    return !r->where.is_here && !r->connect_only;
}

/* Here: there is nowhere else to connect to. */
static inline bool tcp_has_all_places(const struct tcp_machine *r)
{
    return tcp_listens_here(r) && r->next_place == r->where.place_count;
}

/* If it is due. -1: no descriptor, no memory and the like. */
int tcp_listen_here(struct tcp_machine *machine);
int tcp_listen_everywhere(struct tcp_machine *machine);
/* Close what listens; the next call of these two begins again. */
void tcp_listen_anew(struct tcp_machine *machine);
/*
 * Who has come to that listener is pending from now on. May find that the named host is this one.
 * -1 as above.
 */
int tcp_accept(struct tcp_machine *machine, int listener);

#endif
