/* SPDX-License-Identifier: MIT */
/* What a pipc_t is: shared by the functions that open one and those that use it. */
#ifndef PIPC_HANDLE_H
#define PIPC_HANDLE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "api/anonymous.h"
#include "channel/channel.h"
#include "pipc.h"

/*
 * A program may contain the library twice, in a plug-in for example. Only the copy that made a
 * handle knows the calling threads, and what happens at fork and at a thread's end. Any copy with
 * the same layout of all structs can do the rest.
 */
struct handle_copy {
    size_t layout;
    struct channel *(*channel)(struct anonymous *anonymous);
    struct channel *(*mine)(const struct anonymous *anonymous);
    int (*disconnect)(struct anonymous *anonymous, struct channel *channel, const char *text);
    void (*close)(struct anonymous *anonymous);
    const char *(*bye_text)(struct anonymous *anonymous);
    void (*stats)(struct anonymous *anonymous, pipc_stats_t *stats);
};

extern const struct handle_copy handle_this_copy;

/* One of the two: the symmetric handle finds a channel for each caller, the others have one. */
struct pipc {
    const struct handle_copy *copy; /* first, in every version */
    struct anonymous *anonymous;
    struct channel *channel;
    unsigned number; /* in the trace */
};

#endif
