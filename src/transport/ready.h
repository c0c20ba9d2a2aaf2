/* SPDX-License-Identifier: MIT */
/*
 * One honest descriptor for a stream: readable when the stream's own descriptors are, and also
 * while the program has something to do that they do not show (messages that wait in memory).
 *
 * Something that is always ready has to show the latter. Where a stream has a descriptor for each
 * direction, that is a doorbell. A socket can show it by itself, at no cost of a descriptor: while
 * the program has something to do, the set also waits for room to write, which there is nearly
 * always. If there is none, a doorbell is opened until nothing is left to do. If none can be had
 * then, the set is readable as soon as something comes or there is room.
 *
 * A socket may have a second doorbell, which the peer rings: a pipe, edge-triggered. Then what
 * comes by the socket itself makes the set readable no more, but its end does.
 *
 * One descriptor that is always ready and shared by all sets would not do: the kernel lets one file
 * wake at most 500 sets that are in another set (path_limits in fs/eventpoll.c).
 */
#ifndef PIPC_READY_H
#define PIPC_READY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What of a stream's descriptor makes the set readable. Hang-ups and errors do so as soon as the
 * descriptor is in the set.
 */
enum ready_watch { READY_NOT, READY_AT_END, READY_FOR_ALL };

struct ready_entry {
    int fd;
    bool is_there;   /* in the set */
    bool is_unknown; /* what it is in the set: a change has failed. The next update makes one */
    uint32_t events;
};

struct ready {
    int set;           /* the descriptor; -1: nobody asked for it yet */
    int doorbell[2];   /* readable while `readable` is set; -1: none */
    int pipe_doorbell; /* in the set, edge-triggered; -1: none */
    bool by_room;      /* a socket, and room to write shows what is to be done */
    bool readable;
    atomic_uint has_forgotten;  /* edges, also of the doorbell, since the last update */
    struct ready_entry in, out; /* `out` is not used when both are one descriptor */
};

struct ready_state {
    bool readable; /* whatever the stream's descriptors are */
    bool edge;     /* with a new edge, if it was readable before as well */
    bool wrote;    /* since the last update: there may be no room any more */
    enum ready_watch in, out;
};

void ready_init(struct ready *ready, int in, int out, bool is_socket);
/* The descriptor, made at the first call. EPERM: in or out cannot be polled. */
int ready_descriptor(struct ready *ready);
/*
 * The same before the stream is there, with nothing of it: then come its descriptors, and
 * ready_begin, which watches them. -1: the kernel lacks what is needed.
 */
int ready_open(struct ready *ready, bool is_socket);
void ready_set_descriptors(struct ready *ready, int in, int out, bool is_socket);
int ready_begin(struct ready *ready);
/* False: the kernel lacked something, and the next update may do better. */
bool ready_update(struct ready *ready, const struct ready_state *state);
/*
 * The socket has a pipe for a doorbell from now on, in the set, which is made if it is not there.
 * What else the set waits for stays until the next update. -1: nothing has changed.
 */
int ready_begin_pipe_doorbell(struct ready *ready, int pipe_doorbell);
/* For a wait on the set itself: nothing but that pipe and the end makes it readable. */
bool ready_hush(struct ready *ready);
/*
 * Forget edges so far. Has the peer of `in` ended? An update has to follow: if the set is to be
 * readable, it raises a new edge. Another thread may be in an update.
 */
bool ready_forget(struct ready *ready);
/* The same question, which forgets edges where nothing but the set can answer it. */
bool ready_is_over(struct ready *ready);
void ready_forget_out(struct ready *ready); /* out is about to be closed */
void ready_close(struct ready *ready);

#endif
