/* SPDX-License-Identifier: MIT */
/*
 * The sockets that a rendezvous listens on: at most one for each address of a host, with loopback's
 * two, or two for all addresses. Also what a failure to accept means, and the pause after failures
 * that last. What else is done about it is for tcp and server.
 */
#ifndef PIPC_LISTENERS_H
#define PIPC_LISTENERS_H

#include <stdint.h>

#include "sys/sys_net.h"

#define LISTENERS_ACCEPTS_MAX 64 /* in a row, before others have their turn */

struct listeners {
    int fd[SYS_ADDRESSES_MAX];
    int count;
    int64_t resume_at; /* nothing is accepted before */
};

/* One more, or two for SYS_ANY. EADDRINUSE, and what else bind(2) reports. */
int listeners_add(struct listeners *listeners, const struct sys_address *address);
/* One that listens already, and does not block. */
void listeners_adopt(struct listeners *listeners, int fd);
/* The last one first: the rendezvous that gets the first place finds the others free. */
void listeners_close(struct listeners *listeners);

enum listeners_result {
    LISTENERS_ACCEPTED,
    LISTENERS_EMPTY,    /* nobody waits */
    LISTENERS_LOST,     /* the failure of one connection, which is gone: accept the next */
    LISTENERS_SHORTAGE, /* of descriptors or memory, with somebody waiting */
    LISTENERS_STOPPED,  /* somebody who has a copy of it has shut it down */
    LISTENERS_SILENT,   /* accept finds nobody, and poll somebody: accept again, some times */
    LISTENERS_FAILED    /* whatever else is wrong, with somebody waiting; it may pass */
};

/* Accept one. Sets errno unless it is ACCEPTED or EMPTY. */
enum listeners_result listeners_accept(int listener, int *fd, struct sys_address *from);

/*
 * Where accept finds nobody: that of a Unix socket says no more, and poll does. EMPTY, STOPPED or
 * SILENT: somebody has come just now; or it has been shut down for reading alone, which not each
 * system tells from that. Then it stays so.
 */
enum listeners_result listeners_ask(int listener);

/* Accept nothing for a while, and wait for none of them: a lack is no reason to spin. */
void listeners_pause(struct listeners *listeners);
bool listeners_are_paused(const struct listeners *listeners);

#endif
