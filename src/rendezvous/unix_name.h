/* SPDX-License-Identifier: MIT */
/*
 * The name of a server on a path, or in the abstract namespace: how a server gets it although
 * others want it too, and gives it up. Knows nothing of clients.
 */
#ifndef PIPC_UNIX_NAME_H
#define PIPC_UNIX_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "sys/sys_file.h"

enum { UNIX_NAME_PRIVATE_MAX = 32 };

struct unix_name {
    int directory; /* where it is; -1: it is abstract, or there is none */
    char *name;    /* in there */
    char *path;    /* of the directory, and then of whatever name in it */
    size_t before; /* bytes of the path before the name */
    size_t room;   /* for the name, with its zero */
    char private_name[UNIX_NAME_PRIVATE_MAX]; /* of the same socket; empty: it has none */
    struct sys_file_status file;              /* of the socket; inode 0: not known */
    bool is_published;
};

extern const struct unix_name unix_name_none;

/*
 * A socket that listens, with that access, and that nobody finds yet. (On an abstract name it is
 * found at once. EADDRINUSE: another server is there.) Without `accepts_fds` clients can send no
 * descriptors.
 */
int unix_name_listen(struct unix_name *name, const char *path, unsigned access, bool accepts_fds);
/*
 * From now on clients find it at its path. EADDRINUSE: another server is there, or is starting;
 * EEXIST: something else is there, which stays.
 */
int unix_name_publish(struct unix_name *name);
/* `remove`: what is left of it, if it is still this server's. Keeps errno. */
void unix_name_close(struct unix_name *name, bool remove);

#endif
