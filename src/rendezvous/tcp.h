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

struct tcp_request {
    const char *host;
    uint16_t port;
    int timeout_ms; /* -1: without limit; 0: not at all */
    bool interruptible;
    bool connect_only; /* never listen */
    struct auth_key key;
};

/*
 * The connected descriptor. EINTR only when `interruptible`. ENOENT: there is no such host; EINVAL:
 * the name is that of no single host; EACCES: the key was wrong; EAGAIN, ETIMEDOUT: nobody came.
 * When `connect_only`, once the time is up: why the last attempt failed.
 */
int tcp_open(const struct tcp_request *request);

#endif
