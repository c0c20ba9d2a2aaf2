/* SPDX-License-Identifier: MIT */
/*
 * A listening socket that hands out connections which have shown the key, if there is one. Handshakes
 * go on beside one another, within a bounded number, and move on while the program calls; one
 * descriptor says when that is worth while. Knows nothing of what flows through the connections.
 */
#ifndef PIPC_SERVER_H
#define PIPC_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/auth.h"

struct server;

/* The key is copied. ENOENT: no such host; EADDRINUSE and what else bind(2) says. */
struct server *server_open(const char *host, uint16_t port, bool interruptible,
                           const struct auth_key *key);
/*
 * A connected descriptor, the caller's. Time-outs as everywhere; EAGAIN, ETIMEDOUT, EINTR. Running out
 * of descriptors is no error: it is tried again.
 */
int server_accept(struct server *server, int timeout_ms);
int server_descriptor(const struct server *server);
uint16_t server_port(const struct server *server);
void server_close(struct server *server);

#endif
