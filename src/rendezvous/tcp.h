/* SPDX-License-Identifier: MIT */
/*
 * A rendezvous: each of two programs names the other's host and the same port, and whichever
 * comes first listens. Opens a connected socket and nothing more; what flows through it is for
 * others.
 */
#ifndef PIPC_TCP_H
#define PIPC_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/auth.h"
#include "rendezvous/limit.h"

struct rendezvous;

struct tcp_request {
    const char *host;
    uint16_t port;
    struct limit limit;
    bool connect_only;  /* never listen */
    bool resolves_once; /* the host's name, in the first step: the resolver blocks */
    struct auth_key key;
};

/*
 * Borrows nothing. NULL: ENOMEM. Its errors: ENOENT: there is no such host; EINVAL: the name is
 * that of no single host; EACCES: the key was wrong; EAGAIN, ETIMEDOUT: nobody came. When
 * `connect_only`, once the time is up: why the last attempt failed. When `resolves_once`, EAGAIN:
 * the resolver has no answer now.
 */
struct rendezvous *tcp_rendezvous(const struct tcp_request *request);

#endif
