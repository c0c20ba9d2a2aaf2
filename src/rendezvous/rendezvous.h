/* SPDX-License-Identifier: MIT */
/*
 * What each way to find a peer promises: a machine that goes on step by step and never waits. The
 * constructors that wait and those that do not (PIPC_ASYNC) drive the same machine: the first by
 * rendezvous_open, the second by async_open.
 *
 *     AGAIN   poll what `interests` names, until the time that it names, and step again
 *     DONE    fds[0] is read, fds[1] is written; one socket serves both. They are the caller's
 *     FAILED  errno
 *
 * After DONE, and after FAILED, `close` is all that may be called. But after a step that failed for
 * lack of descriptors or memory (EMFILE, ENFILE, ENOMEM, ENOBUFS) another step may try again.
 */
#ifndef PIPC_RENDEZVOUS_H
#define PIPC_RENDEZVOUS_H

#include <stdbool.h>
#include <stddef.h>

#include "codec/auth.h"
#include "rendezvous/limit.h"

struct transport;
struct rendezvous;

enum rendezvous_result { RENDEZVOUS_DONE, RENDEZVOUS_AGAIN, RENDEZVOUS_FAILED };

/* What a rendezvous over TCP can wait for: its listeners, pending handshakes and connection. */
enum { RENDEZVOUS_FDS_MAX = 48 };

struct rendezvous_interests {
    struct pollfd fds[RENDEZVOUS_FDS_MAX];
    nfds_t count;
    int64_t until; /* a step is due then; negative: only an event makes one due */
};

struct rendezvous_ops {
    enum rendezvous_result (*step)(struct rendezvous *rendezvous, int fds[2]);
    void (*interests)(struct rendezvous *rendezvous, struct rendezvous_interests *interests);
    /*
     * The time is up, or the wait was interrupted: `error` is why. DONE: the peer came at the last
     * moment. AGAIN: it may be about to come, and steps go on for a moment.
     */
    enum rendezvous_result (*give_up)(struct rendezvous *rendezvous, int error, int fds[2]);
    /*
     * Leave nothing, and free it. Keeps errno. `is_opener`: else this is a child after fork, which
     * closes copies and disturbs nothing.
     */
    void (*close)(struct rendezvous *rendezvous, bool is_opener);
};

/* What the machines have in common, at their beginning. */
struct rendezvous {
    const struct rendezvous_ops *ops;
    struct limit limit;
    unsigned handle;                     /* for which it looks, in the trace */
    bool is_socket;                      /* DONE brings one socket; else two descriptors */
    bool carries_fds;                    /* and it is one of this host */
    struct rendezvous_interests watched; /* by a set of descriptors, see async.c */
};

/*
 * Takes a machine over (NULL: errno), and drives it to its end. The only place here that waits, and
 * a cancellation point. NULL: errno. Nothing is left then, nor of a cancelled thread.
 */
struct transport *rendezvous_open(struct rendezvous *rendezvous);

/* One step, which also gives up when the time is up. */
enum rendezvous_result rendezvous_step(struct rendezvous *rendezvous, int fds[2]);
/* What a step has brought and nobody takes. Keeps errno. */
void rendezvous_close_met(int fds[2]);
void rendezvous_close(struct rendezvous *rendezvous, bool is_opener); /* NULL is nothing */

/*
 * Memory for a machine of `size` bytes, with copies behind it of what the caller lends: strings,
 * NULL for NULL, and a key, which rendezvous_free wipes.
 */
struct rendezvous_loan {
    const char **text[2]; /* NULL: none. They are set to the copies */
    struct auth_key *key; /* NULL: none. Its bytes are set to the copy */
};
void *rendezvous_new(size_t size, const struct rendezvous_loan *loan);
void rendezvous_free(void *machine, const struct auth_key *key); /* NULL: there was none */

#endif
