/* SPDX-License-Identifier: MIT */
/*
 * A socket of this host that moves into shared memory: the steps of the two sides, and what follows
 * from each. transport_share.c has the functions of the transport. One thread at a time uses it.
 */
#ifndef PIPC_SHARE_H
#define PIPC_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "trace/trace.h"
#include "transport/ring.h"
#include "transport/ring_answer.h"
#include "transport/share_doorbell.h"
#include "transport/share_memory.h"
#include "transport/transport_fd.h"

/* See the table in share.c. */
enum share_state { SHARE_AWAIT, SHARE_OFFERED, SHARE_LEAVING, SHARE_MOVED, SHARE_NEVER };

struct share {
    enum share_state state;
    unsigned tries;                      /* to offer, that failed */
    int offered, offer[SHARE_OFFER_MAX]; /* has come, see sys_rights_take_few */
    enum share_role role;
    unsigned own_end; /* of the memory */
    bool looks;       /* for an offer, which may come with the next bytes */
    bool has_mark;    /* the peer's */
    bool is_deaf;     /* the program polls, and does not wait for input */
    bool owes;        /* the kernel had no memory for a doorbell */
    bool is_still;    /* a wait has lasted for share_still */
    bool is_dead;     /* the peer: nobody has its end of the socket */
    unsigned armed;   /* the events for which the descriptor was drained; see transport_share.c */
    uint64_t updated_in, updated_out; /* likewise */
    uint64_t after;                   /* bytes that have to flow before */
    uint64_t until;                   /* bytes that it has sent then: an offer is withdrawn */
    uint64_t mark;               /* bytes of the socket after which the peer's go on in the ring */
    uint64_t asked_version;      /* of the peer, when that was checked last */
    int64_t asked;               /* sys_ticks */
    uint64_t dropped;            /* own position, when the own ring's pages were given back last */
    size_t absorbed, absorb_max; /* by share_absorb; what an honest peer can have sent then */
    struct ring_answer answer;
    struct share_memory memory;
    struct share_doorbell doorbell;
    struct ring *ring; /* NULL: no memory, either */
};

/* So many bytes, of both directions, have to flow before a pipe moves. Tests change it. */
extern uint64_t share_after, share_pair_after;
/* A wait of twice that gives back what the peer has read. Tests change it. */
extern int64_t share_still;

struct share *share_new(struct fd_transport *transport, enum share_role role); /* NULL: ENOMEM */
void share_free(struct share *share);

/* Make the steps that are due now. Keeps errno. */
void share_advance(struct fd_transport *transport);
/* Is one due that a read has made so? */
bool share_has_news(const struct fd_transport *transport);
/*
 * An offer is due: write one byte, with the memory: 1. 0: it is not to be now, or never; nothing
 * was written.
 */
int share_offer(struct fd_transport *transport, const void *byte);
/* An offer that nobody has accepted is taken back. Afterwards the state is NEVER, or LEAVING. */
void share_withdraw(struct fd_transport *transport);
/* Nothing of this happens any more; only before the own bytes have left. */
void share_end(struct fd_transport *transport);
/* Look for an offer now. */
void share_look(struct fd_transport *transport);
/* The peer's mark, loaded once. */
void share_load_mark(struct fd_transport *transport);
/* As ring_arm, but before all of the socket has been read, what is in the ring does not count. */
bool share_arm(struct fd_transport *transport, unsigned interest);

/* ---- share_life.c ---- */

/* Whose end it is, for others; and what goes through the ring is counted. */
void share_note_left(struct fd_transport *transport);
/* No more bytes from here, in the ring. */
void share_shut(struct fd_transport *transport);
/* After close: a peer that looks only at the memory learns of it. */
void share_note_close(struct share *share);
/* The doorbells that have come. Notes the end of the socket. */
void share_drain(struct fd_transport *transport);
/*
 * The same, which waits for one, for ever, where `blocks` is set. -1: EINTR. A cancellation point.
 */
int share_await_doorbell(struct fd_transport *transport);

/* Ring again where a doorbell is owed. False: it still is. */
bool share_pay(struct fd_transport *transport);

/* For the ring, whose context is the transport. */
bool share_ring_doorbell(void *transport);
enum ring_life share_life(void *context, uint64_t version, enum ring_question question,
                          int64_t now);
unsigned share_processor(void *unused);

static inline bool share_is_pair(const struct share *share)
{
    return share->role >= SHARE_FIRST_OF_PAIR;
}

static inline bool share_may_offer(const struct share *share)
{
    return share->role != SHARE_OPENED_IT;
}

static inline bool share_may_take(const struct share *share)
{
    return share->role != SHARE_ACCEPTED_IT;
}

/* Bytes that have flowed, in both directions. */
static inline uint64_t share_flowed(const struct fd_transport *t)
{
    return t->received + t->sent;
}

/* It is in AWAIT, and nothing is due. */
static inline bool share_is_quiet(const struct fd_transport *t)
{
    return share_flowed(t) < t->due;
}

/* The same, and a read brings nothing but bytes. */
static inline bool share_reads_quietly(const struct fd_transport *t)
{
    return share_flowed(t) < t->read_due;
}

static inline bool share_has_left(const struct share *share)
{
    return share->state == SHARE_LEAVING || share->state == SHARE_MOVED;
}

/* ---- share_report.c ---- */

/* A line for the trace. Keeps errno. */
void share_report(struct fd_transport *transport, enum trace_event event, const char *what);
/* The peer has been found dead, by that. */
void share_note_death(struct fd_transport *transport, const char *how);

/* ---- share_wait.c ---- */

/*
 * After it has left: all that is unread in the socket, into memory. False: the rest is still there.
 */
bool share_absorb(struct fd_transport *transport);
/* As the members of the table, once the side has left. */
int share_wait_in_ring(struct fd_transport *transport, unsigned events, int64_t deadline);
bool share_update_in_ring(struct fd_transport *transport, bool readable, unsigned events);

#endif
