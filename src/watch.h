/* SPDX-License-Identifier: MIT */
/*
 * Has the death of a partner in another process wake those who wait: puts its pidfd, or a timer that
 * makes them look, into their sets of descriptors. Knows nothing of bytes.
 */
#ifndef PIPC_WATCH_H
#define PIPC_WATCH_H

#include <stdbool.h>

#include "ends.h"

#define WATCH_TICK 400000000 /* nanoseconds; a death is told within a second */

struct watch {
    struct ends *ends;
    unsigned end;
    unsigned stamp; /* of the partner that this watches */
    bool remote;    /* it lives in another process */
    int process;    /* its pidfd; -1: none */
    int ticker;     /* made for the first partner in another process; -1: none */
    bool ticks;     /* the program's descriptor has the ticker, for want of a pidfd */
};

void watch_init(struct watch *watch, struct ends *ends, unsigned end);
/*
 * See who is the partner now. `waits` is the set of a waiting call, which is ticked too;
 * `descriptor` the program's, which only is without a pidfd; -1: there is none. Returns whether
 * the partner has changed.
 */
bool watch_partner(struct watch *watch, int waits, int descriptor);
/* The program's descriptor has just been made. */
void watch_descriptor(struct watch *watch, int descriptor);
void watch_quiet(struct watch *watch); /* until the next tick */
void watch_close(struct watch *watch);

#endif
