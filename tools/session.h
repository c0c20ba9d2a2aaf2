/* SPDX-License-Identifier: MIT */
/*
 * One peer, from its first message to the end of both directions.
 *
 *   direction   ends when                                        then
 *   reading     goodbye, end of stream, error, --count           read_end; what came is put out
 *   writing     input ends, or every reply is sent               write_end, by a shutdown or a
 *                                                                goodbye; `drained` when all is out
 *               the peer reads no more                           write_end and drained
 *
 * The session is over when both have ended, all is drained, and the output is empty; or at once
 * when something has failed on this side.
 */
#ifndef PIPCCAT_SESSION_H
#define PIPCCAT_SESSION_H

#include "pipccat.h"

struct session {
    pipc_t *pipe;
    int fd; /* of the pipe, for poll */
    struct input *input;
    struct output *output;
    struct command command;
    bool read_end, write_end, drained;
    bool blocked; /* a write found no room, and is to be repeated */
    bool ready;   /* input has a message, and the turn ended before it */
    bool bye;     /* the peer sent a goodbye */
    bool counted; /* --count messages have come */
    bool failed;  /* over at once */
    bool moved;   /* something did, in this turn */
    unsigned idle_wakes;
    int64_t idle_since; /* when the first of them was */
    int code;
    uint64_t sent, received; /* messages */
    int64_t active;          /* when something moved last */
    uint64_t bytes;          /* that had moved by then */
};

void session_fail(struct session *session, int code);

/* Each moves what it can without waiting for long, and not for ever: the other one has its turn. */
void session_receive(struct session *session);
void session_send(struct session *session);

/* May a further message be taken from the pipe? */
bool session_can_read(const struct session *session);

#endif
