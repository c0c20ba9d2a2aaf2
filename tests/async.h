/* SPDX-License-Identifier: MIT */
/*
 * What tests of PIPC_ASYNC share: the ways to open a handle before its peer is there, as cases of a
 * test, and a peer that comes. Neither side waits in a call: both go on by their descriptors.
 */
#ifndef PIPC_TESTS_ASYNC_H
#define PIPC_TESTS_ASYNC_H

#include "fifos.h"
#include "net.h"
#include "paths.h"

/* The ways, for OVER_CASES; the last has no name. */
extern const struct kind async_ways[];

/* Where the two sides are to find each other, by one of the ways. */
struct async_place {
    const struct kind *way;
    char path[128];
    struct paths paths;
    struct net_port port;
    struct fifos fifos;
    pipc_server_t *server; /* the peer, where it is a server */
    pipc_t *peer;          /* or an asynchronous caller, until it has come */
};

void async_begin(struct async_place *place, const struct kind *way);
void async_end(struct async_place *place); /* asserts that nothing is left there */
/* Whether the peer is a server, which gets the key of its clients by options of its own. */
bool async_is_client(const struct async_place *place);
/* What nobody answers at all until the deadline. */
int async_absent_error(const struct async_place *place);

/* A handle with PIPC_ASYNC, and whatever the options (NULL: none) have. NULL and errno. */
pipc_t *async_try(struct async_place *place, int timeout_ms, const pipc_options_t *options);
/* The same; asserts that it is there, and sets both timeouts to 0. */
pipc_t *async_open_at(struct async_place *place, int timeout_ms, const pipc_options_t *options);
/* One attempt of the peer, which does not wait: its handle, with timeouts 0, once it has come. */
pipc_t *async_answer(struct async_place *place, const pipc_options_t *options);
/* The same until both have come. Only the descriptors wake them. */
pipc_t *async_meet(struct async_place *place, pipc_t *pipe, const pipc_options_t *options);
/* Until one side is woken: by the handle's descriptor, or by that of the peer that is to come. */
void async_await(const struct async_place *place, pipc_t *pipe, pipc_t *there);
/* The errno with which a flush of this handle fails, by its descriptor alone; 0: it is open. */
int async_outcome(pipc_t *pipe);

#endif
