/* SPDX-License-Identifier: MIT */
/*
 * A listening socket that hands out connections which have shown the key, if there is one. A
 * bounded number of handshakes go on beside one another, while the program calls. One descriptor
 * is readable when a call has something to do. Knows nothing of what flows through the
 * connections.
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
 * On a path of this host, or an abstract name. What unix_name_listen reports. `accepts_fds`: its
 * clients may send descriptors.
 */
struct server *server_open_unix(const char *path, unsigned access, bool interruptible,
                                bool accepts_fds, const struct auth_key *key);
/* On a socket that listens already, which is the server's when it succeeds. EINVAL: it does not. */
struct server *server_open_fd(int fd, bool interruptible, bool accepts_fds,
                              const struct auth_key *key);
/*
 * A connected descriptor, the caller's. EAGAIN, ETIMEDOUT, EINTR. Running out of descriptors is no
 * error: it is tried again.
 */
int server_accept(struct server *server, int timeout_ms);
int server_descriptor(const struct server *server);
void server_trace_as(struct server *server, unsigned number);
bool server_is_unix(const struct server *server);
uint16_t server_port(const struct server *server);
void server_close(struct server *server);

#endif
