/* SPDX-License-Identifier: MIT */
/*
 * The name of a server on a path, or in the abstract namespace: how a server gets it although
 * others want it too, and gives it up. Knows nothing of clients.
 */
#ifndef PIPC_UNIX_NAME_H
#define PIPC_UNIX_NAME_H

#include <stdbool.h>
#include <stdint.h>

struct unix_name {
    int directory; /* where it is; -1: it is abstract, or there is none */
    char *name;    /* in there */
    uint64_t device, inode;
};

extern const struct unix_name unix_name_none;

/*
 * A listening socket at that path, with that access. EADDRINUSE: a server is there, or the
 * directory was locked for a second; EEXIST: something else is there, which stays. Waits for the
 * lock at most a second, and cannot be cancelled.
 */
int unix_name_listen(struct unix_name *name, const char *path, unsigned access);
/* `remove`: if it is still this server's, and the directory is not locked. Keeps errno. */
void unix_name_close(struct unix_name *name, bool remove);

#endif
