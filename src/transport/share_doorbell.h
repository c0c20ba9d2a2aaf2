/* SPDX-License-Identifier: MIT */
/*
 * The pipes by which two sides that share memory ring each other: a byte costs a third less there
 * than on a socket. They come with the memory. A side that has moved watches its own one, says so
 * in the memory, and is rung there from then on. One that cannot is rung by the socket, for good.
 *
 * The set has a pipe edge-triggered, and each byte wakes. So they stay unread, but for a read now
 * and then: an honest peer rings once for each time that this side has armed. A full pipe is a
 * peer's own loss.
 */
#ifndef PIPC_SHARE_DOORBELL_H
#define PIPC_SHARE_DOORBELL_H

#include <stdbool.h>

struct fd_transport;

/* What an offer has: the memory, then what its taker writes to, then what its taker reads. */
enum { SHARE_OFFER_MAX = 3 };

struct share_doorbell {
    int own, peers;  /* to read, and to write; -1: none */
    bool is_watched; /* the own one */
    unsigned rings;  /* at most so many since the own one was read */
};

#define SHARE_NO_DOORBELL ((struct share_doorbell){.own = -1, .peers = -1})

/* Two pipes; the other ends go to the peer. False: there are none. Keeps errno. */
bool share_doorbell_make(struct share_doorbell *doorbell, int others[2]);
/*
 * Those of an offer, which are the doorbell's from now on. False: they are something else, or a
 * call on them might wait.
 */
bool share_doorbell_take(struct share_doorbell *doorbell, int others[2]);
void share_doorbell_close(struct share_doorbell *doorbell);

/* This side has moved. Its own one is watched, if possible. Keeps errno. */
void share_doorbell_begin(struct fd_transport *transport);
/* This side is about to arm: the peer may ring once more. */
void share_doorbell_expect(struct share_doorbell *doorbell);
/* Edges so far are forgotten, before it arms. The end of the socket is noted. */
void share_doorbell_drain(struct fd_transport *transport);

#endif
