/* SPDX-License-Identifier: MIT */
/*
 * The rendezvous of two unrelated processes by name. Then they have a pair of FIFOs. What goes over
 * them, and how long they live, is not known here.
 */
#ifndef PIPC_FIFO_H
#define PIPC_FIFO_H

#include <stdbool.h>

struct transport;

struct fifo_request {
    const char *name;
    const char *directory; /* NULL: the user's own */
    int timeout_ms;        /* -1: for ever */
    bool interruptible;    /* a caught signal ends the wait with EINTR */
};

/*
 * Wait for a peer that requests the same name. NULL: EINVAL, ENAMETOOLONG (the name); EACCES (the
 * directory, or what stands at the name, is not to be trusted); EAGAIN, ETIMEDOUT, EINTR (nobody
 * came); or what the file system reports. Then nothing of ours is left; nor is it when the thread
 * is cancelled in the wait.
 */
struct transport *fifo_open(const struct fifo_request *request);

#endif
