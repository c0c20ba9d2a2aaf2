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
#include "sys/sys_poll.h"

struct handshake {
    struct handshake *previous, *next; /* this and the next: for pending */
    struct pending_group *group;
    int fd;
    int set;          /* that waits for what it waits for; -1: none */
    bool out_watched; /* the set waits for room to write */
    int64_t deadline;
    bool connecting;
    unsigned traced_as;  /* the handle or server that it is for */
    bool accepts_fds;    /* the peer may send descriptors once it has shown the key */
    struct auth_key key; /* bytes NULL: none, and then there is no handshake */
    struct auth auth;
};

/*
 * For a connection that was accepted; owns `fd` when it succeeds. The key's bytes are borrowed,
 * here and below.
 */
struct handshake *handshake_accept(int fd, const struct auth_key *key);
/* The same for a connection that this side has made. */
struct handshake *handshake_begin(int fd, const struct auth_key *key);
/* Begin to connect. Fails with what connect(2) reports. */
struct handshake *handshake_connect(const struct sys_address *address, const struct auth_key *key);

/*
 * Go on. 1: it is done; 0: not yet; -1: it failed. EACCES: one side did not show that it knows the
 * key; ETIMEDOUT: too slow; ECONNRESET: the peer has gone; ECONNREFUSED and the like.
 */
int handshake_step(struct handshake *handshake);

/* A line for the trace: what becomes of it, if that is not what a step has found. Keeps errno. */
void handshake_report(const struct handshake *handshake, const char *what, int error);

/* The peer of an accepted connection has shown that it knows the key; the rest is to come. */
bool handshake_has_shown_key(const struct handshake *handshake);

/* What it waits for, until its deadline. */
bool handshake_wants_out(const struct handshake *handshake);
/* The same for poll(2); returns the deadline. */
int64_t handshake_entry(const struct handshake *handshake, struct pollfd *entry);

/* Put a new one into a set of descriptors, which from its first step on waits for what it needs. */
int handshake_watch(struct handshake *handshake, int set);

/* The four ways to end it; each frees it, and keeps errno. */
int handshake_release(struct handshake *handshake); /* the descriptor is the caller's */
void handshake_close(struct handshake *handshake);  /* hang up; NULL is nothing */
void handshake_reset(struct handshake *handshake);  /* the same; the kernel keeps nothing */
/* In a child after fork: close our copies. The connection and the set are the parent's. */
void handshake_abandon(struct handshake *handshake);

#endif
