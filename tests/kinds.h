/* SPDX-License-Identifier: MIT */
/*
 * The kinds of pipes that tests run over: one body, every transport. A new transport is one open
 * function and one row in the table of kinds.c. Part of harness.h.
 */
#ifndef PIPC_TESTS_KINDS_H
#define PIPC_TESTS_KINDS_H

#include <stdbool.h>

#include "pipc.h"

struct kind {
    const char *name;
    /* Both ends of a new pipe; or -1 and errno, with everything as it was before. Only kinds that
     * are `local` return an error: the others assert that they open. */
    int (*open)(pipc_t *end[2], const pipc_options_t *options);
    bool same_handle;  /* both ends are one handle: the peers must be two threads or processes */
    bool in_threads;   /* of a kind with same_handle: they are threads */
    bool made;         /* the library made the descriptors; false: it adopts them */
    bool local;        /* needs neither a name nor the network */
    bool tcp;          /* bytes may be under way for a while; closing with unread input resets */
    bool path;         /* a Unix socket that the library has opened and accepted */
    bool moves;        /* into shared memory, with its first messages or before the test */
    bool moves_later;  /* the same, after some messages */
    bool terminal;     /* only tests that ask for it run over it */
    bool open_differs; /* once open it is like another kind: left out where tests take long */
    int descriptors, most_descriptors; /* of both ends, when opened; with all that they may add */
};

/* Which kinds a test runs over. */
enum kind_set {
    ALL_KINDS,              /* each transport; an anonymous pipe is between threads */
    TWO_HANDLE_KINDS,       /* without the anonymous pipe */
    MADE_KINDS,             /* of those, on descriptors that the library made */
    LOCAL_KINDS,            /* of all, where opening can fail in a test */
    LOCAL_TWO_HANDLE_KINDS, /* of those, without the anonymous pipe */
    LOCAL_OR_FORKED_KINDS,  /* the local ones, and the anonymous pipe also between processes */
    MOVING_KINDS,           /* sockets that move into shared memory, or have moved */
    ANONYMOUS_KINDS,        /* the anonymous pipe, between threads and between processes */
    TERMINALS,
};

/* The first of a set (after NULL), the next, and NULL after the last. */
const struct kind *kind_next(enum kind_set set, const struct kind *kind);
extern const struct kind *const anonymous_in_threads, *const anonymous_forked;

/* Opens a pipe and asserts that this works. */
void kind_open(const struct kind *kind, pipc_t *end[2], const pipc_options_t *options);
/* pipc_open_fds, and asserts that it works. */
pipc_t *harness_adopt(int read_fd, int write_fd, const pipc_options_t *options);
/* Closes both ends; in this process, which has both. */
void kind_close(const struct kind *kind, pipc_t *end[2]);

/* More bytes than any of these pipes holds when its peer does not read. */
enum { MORE_THAN_A_PIPE = 4 << 20 };

/* How long what one peer gave to the kernel may take to reach the other: 0 where the kernel passes
 * it on within the call. */
int kind_delay_ms(const struct kind *kind);

/* Opens a pipe, runs `first` with one end here and `second` with the other end in a child or a
 * thread, at the same time. Closes each end where it was used, waits, and asserts that `second`
 * ended well. Neither may close its end. In kinds with threads both hold their ends before either
 * begins. */
void kind_run_both(const struct kind *kind, const pipc_options_t *options,
                   void (*first)(pipc_t *end, void *arg), void (*second)(pipc_t *end, void *arg),
                   void *arg);

#endif
