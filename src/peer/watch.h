/* SPDX-License-Identifier: MIT */
/*
 * Watches the process of a peer: has its death wake those who wait, and knows whether it has died.
 * What it has once seen is final, whatever the shared words say later. Knows nothing of bytes.
 */
#ifndef PIPC_WATCH_H
#define PIPC_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "peer/ends.h"

struct watch {
    struct ends *ends;
    unsigned end;
    uint64_t state;  /* of the peer, when it was last looked at */
    bool is_remote;  /* it holds its end in another process */
    bool has_left;   /* it said goodbye, and nobody has come since */
    bool is_dead;    /* for good */
    int process;     /* its pidfd, as long as it may still die unseen; -1: none */
    uint32_t name;   /* of the process that is watched */
    bool has_token;  /* it has shown one */
    bool has_ended;  /* it has, and its pidfd has nothing more to tell */
    int ticker;      /* makes those who wait look again; -1: none yet */
    bool is_waited;  /* the set of a waiting call has `process` */
    bool is_polled;  /* the program's descriptor has it */
    bool ticks;      /* the program's descriptor listens to the ticker */
    int64_t look_at; /* sys_now time: when to try again what could not be had */
};

/* The two sets that a death has to wake; -1: not there yet. */
struct watch_sets {
    int waits;      /* of a waiting call */
    int descriptor; /* the program's */
};

void watch_init(struct watch *watch, struct ends *ends, unsigned end);
/* For each set, once it is made. -1: EMFILE, ENFILE, ENOMEM, ENOSPC, and the set is of no use. */
int watch_join_waits(struct watch *watch, int waits);
int watch_join_descriptor(struct watch *watch, int descriptor);

/* See who is the peer now. True: another one than before, or in another state. */
bool watch_peer(struct watch *watch, const struct watch_sets *sets);
/* A goodbye was taken from the stream. */
void watch_goodbye(struct watch *watch, const struct watch_sets *sets);
/* The descriptor's set has told that `process` is dead. */
void watch_process_ended(struct watch *watch, const struct watch_sets *sets);
/* Has the peer died? `read`: so many bytes of what it wrote. `wholly`: ask the kernel twice. */
bool watch_is_dead(struct watch *watch, uint64_t read, bool wholly);

/* A wait that no ticker ends has to end by itself after so many nanoseconds; -1: it need not. */
int64_t watch_longest_wait(const struct watch *watch);
void watch_quiet(struct watch *watch); /* until the next tick */
void watch_close(struct watch *watch);

#endif
