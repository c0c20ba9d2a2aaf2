/* SPDX-License-Identifier: MIT */
/*
 * The rendezvous of two unrelated processes by name. Then they have a pair of FIFOs. What goes over
 * them, and how long they live, is not known here.
 */
#ifndef PIPC_FIFO_H
#define PIPC_FIFO_H

#include "rendezvous/limit.h"

struct rendezvous;

struct fifo_request {
    const char *name;
    const char *directory; /* NULL: the user's own */
    struct limit limit;
};

/*
 * Waits for a peer that requests the same name. Borrows nothing. NULL: EINVAL (the name), ENOMEM.
 * Its errors: ENAMETOOLONG (the name); EACCES (the directory, or what stands at the name, is not to
 * be trusted); EAGAIN, ETIMEDOUT, EINTR (nobody came); or what the file system reports.
 */
struct rendezvous *fifo_rendezvous(const struct fifo_request *request);

#endif
