/* SPDX-License-Identifier: MIT */
/*
 * One connection on its way to become a pipe: it connects, if it is ours to connect, and shows the
 * key, if there is one. Each has a deadline of its own, and none ever blocks, so that any number of
 * them can go on beside one another. Whom it leads to is for tcp and server.
 */
#ifndef PIPC_HANDSHAKE_H
#define PIPC_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/auth.h"
#include "sys/sys_net.h"

struct handshake {
    struct handshake *previous, *next; /* this and the next: for pending */
    struct pending_group *group;
    bool out_watched; /* for server: what its set waits for */
    int fd;
    int64_t deadline;
    bool connecting;
    struct auth_key key; /* bytes NULL: none, and then there is no handshake */
    struct auth auth;
};

/* For a connection that was accepted; owns `fd` when it succeeds. The key's bytes are borrowed. */
struct handshake *handshake_accept(int fd, const struct auth_key *key);
/* Begins to connect. What connect(2) says. */
struct handshake *handshake_connect(const struct sys_address *address, const struct auth_key *key);

/*
 * Go on. 1: it is done; 0: not yet; -1: it failed. EACCES: one side did not show that it knows the
 * key; ETIMEDOUT: too slow; ECONNRESET: the other side has gone; ECONNREFUSED and the like.
 */
int handshake_step(struct handshake *handshake);

/* The peer of an accepted connection has shown that it knows the key; the rest is to come. */
bool handshake_has_shown_key(const struct handshake *handshake);

/* What it waits for, until its deadline. */
bool handshake_wants_out(const struct handshake *handshake);

int handshake_release(
    struct handshake *handshake); /* the descriptor is the caller's, the rest is gone */
void handshake_drop(struct handshake *handshake); /* hang up; NULL is nothing; keeps errno */
void handshake_cut_off(
    struct handshake *handshake); /* the same, and the kernel forgets it at once */

#endif
