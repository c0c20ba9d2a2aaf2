/* SPDX-License-Identifier: MIT */
/*
 * An offer: a directory with three FIFOs, which the side that waits has put where it can be
 * found. Here it is made, looked after and removed; when, and what it means, is not known here.
 */
#ifndef PIPC_FIFO_OFFER_H
#define PIPC_FIFO_OFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "rendezvous/fifo_dir.h"

struct fifo_offer {
    int directory;    /* -1: there is none */
    int door;         /* read */
    int in, out;      /* what stays of the rendezvous: read and written */
    int out_reader;   /* keeps `out` open for writing until the claimer reads it */
    const char *name; /* of the directory: private, until the offer is published */
    char private_name[FIFO_PRIVATE_SIZE];
    int64_t young_until; /* sys_now time */
};

extern const struct fifo_offer fifo_offer_none;

/* Under a private name. -1: nothing is left of it. ENOENT: somebody else has removed it. */
int fifo_offer_make(struct fifo_offer *offer, int base);

/* The door's last writer has gone: only a reader that is opened anew is quiet again. */
int fifo_offer_reopen_door(struct fifo_offer *offer);

/* Whether all of it has its name still, as far as can be seen. */
bool fifo_offer_is_whole(const struct fifo_offer *offer, int base);
/* Cleaners go by the times of files: these are set to now, once in a while. */
void fifo_offer_keep_young(struct fifo_offer *offer);

/* Remove and close what is left of it: it is private, or nobody can claim it. Keeps errno. */
void fifo_offer_discard(struct fifo_offer *offer, int base);
void fifo_offer_close(struct fifo_offer *offer);

/* The two that stay lose their names, and the directory, when it is empty, its own. */
int fifo_offer_remove_names(int base, int directory, const char *name);

#endif
