/* SPDX-License-Identifier: MIT */
/*
 * Two hosts meet: each names the other and the same port, and whoever comes first listens. Opens a
 * connected socket and nothing more; what flows through it is for others.
 */
#ifndef PIPC_TCP_H
#define PIPC_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "auth.h"

/*
 * The connected descriptor. Time-outs as everywhere: -1 without limit, 0 not at all. EINTR only when
 * `interruptible`. ENOENT: no such host; EACCES: the key was wrong; EAGAIN, ETIMEDOUT: nobody came.
 */
int tcp_open(const char *host, uint16_t port, int timeout_ms, bool interruptible,
             const struct auth_key *key);

#endif
