/* SPDX-License-Identifier: MIT */
/* What tests of the descriptor look at, and the ways to look: poll, select, epoll by level and by edge, nested. */
#ifndef PIPC_TESTS_POLLING_H
#define PIPC_TESTS_POLLING_H

#include "peers.h"

/* Two peers with time-outs 0 that have asked for their descriptors, which are quiet. */
void open_polled(struct peers *p, const struct kind *kind);
void assert_readable(struct peer *peer);
/* It may be readable for nothing once: then a read says EAGAIN, and it is quiet. */
void assert_quiet(struct peer *peer);
/* Read until EAGAIN. */
void drain(struct peer *peer);

/* Ways to watch a descriptor for as long as the watch is open. */
enum way { BY_POLL, BY_SELECT, BY_LEVEL, BY_EDGE, BY_NEST_OF_LEVELS, BY_NEST_OF_EDGES, WAYS };

struct watch {
    enum way way;
    int fd, set, outer;
};

struct watch watch_begin(enum way way, int fd);
void watch_end(struct watch *watch);
/* With edges: whether one has come since the last look. */
bool watch_says(struct watch *watch, int timeout_ms);

#endif
