/* SPDX-License-Identifier: MIT */
/* What tests of the descriptor look at, and the ways to look: poll, select, epoll by level and by
 * edge, nested. */
#ifndef PIPC_TESTS_POLLING_H
#define PIPC_TESTS_POLLING_H

#include "peers.h"

/* Two peers with timeouts 0 that have called pipc_fd; nothing is readable. */
void open_polled(struct peers *p, const struct kind *kind);
void assert_readable(struct peer *peer);
/* One spurious wakeup is allowed: then a read returns EAGAIN, and it is not readable. */
void assert_not_readable(struct peer *peer);
/* Read until EAGAIN. */
void drain(struct peer *peer);

/* Ways to watch a descriptor for as long as the poller is open. */
enum way { BY_POLL, BY_SELECT, BY_LEVEL, BY_EDGE, BY_NEST_OF_LEVELS, BY_NEST_OF_EDGES, WAYS };

struct poller {
    enum way way;
    int fd, set, outer;
};

struct poller poller_begin(enum way way, int fd);
void poller_end(struct poller *poller);
/* With edges: whether one has come since the last call. */
bool poller_reports(struct poller *poller, int timeout_ms);
/*
 * Peer a has written more than there was room for, and peer b reads. Bytes that are in flight may
 * reach b after a first look: they make room only once they are read. The poller is a's.
 */
bool poller_reports_when_drained(struct poller *poller, struct peers *p);
void drain_until_readable(struct peers *p);

#endif
