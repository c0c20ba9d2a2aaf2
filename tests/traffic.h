/* SPDX-License-Identifier: MIT */
/*
 * Messages between the two ends of a pipe, and what must hold when calls fail. Each function makes
 * one call of pipc.h on one end and compares the result with what is known.
 */
#ifndef PIPC_TESTS_TRAFFIC_H
#define PIPC_TESTS_TRAFFIC_H

#include "harness.h"

enum { TRAFFIC_MESSAGES = 11 };

/* What is known of one direction. */
struct flow {
    bool accepted[TRAFFIC_MESSAGES], received[TRAFFIC_MESSAGES];
    size_t next, last;         /* next to be sent; one after the last received */
    int write_dead, read_dead; /* errno, forever; 0: alive */
    int last_error;            /* of the last read, once faults are over */
    bool bye_accepted, bye_received;
};

struct traffic {
    pipc_t *end[2];
    bool same_handle;
    bool moves;          /* into shared memory: a call to the system wakes the peer */
    struct flow flow[2]; /* from end 0, from end 1 */
    int descriptor;      /* of end 1 */
};

/* Any failure of a call that reads or writes: `dead` is the direction's. */
void traffic_note_failure(int *dead, int error);

/* Each sends the next message or messages from that end. */
void traffic_send_next(struct traffic *t, int side);
void traffic_send_next_in_parts(struct traffic *t, int side);
void traffic_send_three_at_once(struct traffic *t, int side);

/* Each takes what is there for that end; a goodbye as well. */
bool traffic_receive_into_buffer(struct traffic *t, int side); /* whether it was a message */
void traffic_receive_into_small_buffer(struct traffic *t, int side);
void traffic_receive_allocated(struct traffic *t, int side);
void traffic_receive_by_peeking(struct traffic *t, int side);
void traffic_receive_pending(struct traffic *t, int side);

void traffic_flush(struct traffic *t, int side);

#endif
