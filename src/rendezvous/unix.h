/* SPDX-License-Identifier: MIT */
/*
 * The client of a server on a path, or on an abstract name. Waits for the server to be there, and
 * opens a connected socket; what flows through it is for others.
 */
#ifndef PIPC_UNIX_H
#define PIPC_UNIX_H

#include <stdbool.h>

#include "codec/auth.h"

struct unix_request {
    const char *path; /* or "@NAME" */
    int timeout_ms;   /* -1: without limit; 0: not at all */
    bool interruptible;
    struct auth_key key;
};

/*
 * The connected descriptor. EAGAIN, ETIMEDOUT: no server was there, for whatever reason. At once:
 * EACCES (permissions, or the key), ENOTSOCK, EPROTOTYPE, ENOTDIR, ELOOP, ENAMETOOLONG. EINTR only
 * when `interruptible`.
 */
int unix_open(const struct unix_request *request);

#endif
