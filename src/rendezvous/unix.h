/* SPDX-License-Identifier: MIT */
/*
 * The client of a server on a path, or on an abstract name. Waits for the server to be there, and
 * opens a connected socket; what flows through it is for others.
 */
#ifndef PIPC_UNIX_H
#define PIPC_UNIX_H

#include <stdbool.h>

#include "codec/auth.h"
#include "rendezvous/limit.h"

struct rendezvous;

struct unix_request {
    const char *path; /* or "@NAME" */
    struct limit limit;
    bool keeps_directory; /* the program may change its directory meanwhile */
    bool accepts_fds;     /* else the server can send none */
    struct auth_key key;
};

/*
 * Borrows nothing. NULL: ENOMEM. Its errors: EAGAIN, ETIMEDOUT: no server was there, for whatever
 * reason. At once: EACCES (permissions, or the key), ENOTSOCK, EPROTOTYPE, ENOTDIR, ELOOP,
 * ENAMETOOLONG.
 */
struct rendezvous *unix_rendezvous(const struct unix_request *request);

#endif
