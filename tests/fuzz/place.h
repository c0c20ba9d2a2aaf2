/* SPDX-License-Identifier: MIT */
/*
 * Where a client and hostile servers meet: a port of loopback or an abstract name, which is this
 * input's alone, and a socket that may listen there. Each server serves one connection.
 */
#ifndef PIPC_TESTS_FUZZ_PLACE_H
#define PIPC_TESTS_FUZZ_PLACE_H

#include <sys/socket.h>

#include "stranger.h"

enum { PLACE_SERVERS = 4 };

struct place {
    int reserved; /* keeps the port; -1: a name */
    int listener; /* -1: none */
    struct sockaddr_storage address;
    socklen_t address_size;
    char name[64]; /* "@..." */
    uint16_t port;
    bool is_mutual;          /* the client may listen itself, and be connected to */
    enum stranger_key knows; /* each server */
    struct stranger server[PLACE_SERVERS];
};

void place_open_tcp(struct place *place);
void place_open_unix(struct place *place);
void place_hang_up(struct place *place); /* each server */
void place_close(struct place *place);

/* Somebody else may listen there already: then there is no listener. */
void place_listen(struct place *place);

/* If the server is free, it gets a connection that waits. Neither call waits. */
void place_accept(struct place *place, struct stranger *server);
/* The same with a connection to a client that listens itself. */
void place_connect(struct place *place, struct stranger *server);

/* A step of an input, one of PLACE_STEPS; below STRANGER_STEPS, it is one of that server. */
enum { PLACE_STEPS = STRANGER_STEPS + 4 };
void place_step(struct place *place, struct stranger *server, unsigned step, unsigned number,
                struct fuzz_input *in);

#endif
