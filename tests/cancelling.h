/* SPDX-License-Identifier: MIT */
/*
 * Calls on one end of a pipe, in a thread that is cancelled before its nth armed call. The main
 * thread has the other end: it does a step whenever the first thread would wait. Afterwards
 * another thread continues with the end or, where an end belongs to its thread, a clean-up
 * handler.
 * Messages are numbered, so each peer can check what arrives: only messages that were sent, whole,
 * in order and once.
 */
#ifndef PIPC_TESTS_CANCELLING_H
#define PIPC_TESTS_CANCELLING_H

#include <pthread.h>

#include "harness.h"

enum { CANCELLING_MESSAGES_MAX = 8192 };

/* One direction, by the numbers of its messages. */
struct stream {
    unsigned char *from, *to;              /* where the writer and the reader have their messages */
    size_t sizes[CANCELLING_MESSAGES_MAX]; /* of those that a call was given */
    size_t given;
    size_t next; /* one more than the last that arrived */
    size_t arrived;
};

/* The least size of a message. */
enum { CANCELLING_LEAST = 8 };

enum cancelling_outcome {
    CANCELLING_ENDED, /* in a wait */
    CANCELLING_LASTED /* there was no wait any more, or no request */
};

struct cancelling {
    /* Set by the test. */
    void (*act)(struct cancelling *c);   /* armed, in the thread that is cancelled */
    bool (*step)(struct cancelling *c);  /* of the main thread; whether another may help */
    void (*go_on)(struct cancelling *c); /* with `mine`, afterwards; closes it */
    void (*peer)(struct cancelling *c);  /* of the main thread, meanwhile */
    void (*check)(struct cancelling *c); /* in the end */
    unsigned flags;
    bool polled; /* the descriptor is asked for before */
    bool starve; /* no memory for what puts things in order */

    /* Set here. */
    const struct kind *kind;
    pipc_t *mine, *theirs;
    struct stream out, in; /* as seen from `mine` */
    size_t volume;         /* the bytes that this kind holds when its peer does not read */
    enum cancelling_outcome outcome;

    /* For the test. */
    int descriptor;
    bool has_acted; /* act has returned */
    bool is_dead;   /* the direction has ended for lack of memory */
    pipc_stats_t stats;

    /* Private. */
    pthread_mutex_t lock;
    pthread_cond_t turn;
    bool wants_step, helps, acted;
    unsigned long nth;
};

/* How many requests there were, and how many of them ended a thread. */
struct cancelling_counts {
    unsigned long requested, ended, dead;
};

/*
 * All rounds: the request comes before the first, the second, ... armed call of `act`, until that
 * makes no more calls. After each round nothing may be left.
 */
struct cancelling_counts cancelling_sweep(const struct kind *kind, const struct cancelling *what);
void cancelling_report(const struct kind *kind, const char *what, struct cancelling_counts counts);

/* ---- Messages. `s` is the direction; what is given to a call is noted before. ---- */

ssize_t cancelling_write(struct stream *s, pipc_t *pipe, size_t size);
ssize_t cancelling_write_fds(struct stream *s, pipc_t *pipe, size_t size, const int *fds,
                             int count);
ssize_t cancelling_writev(struct stream *s, pipc_t *pipe, size_t size, int parts);
ssize_t cancelling_batch(struct stream *s, pipc_t *pipe, size_t size, size_t count);

/* How many were given to calls; and that none was given since, when a call has said so. */
size_t cancelling_given(struct stream *s);
void cancelling_take_back(struct stream *s, size_t given);

void cancelling_note(struct stream *s, const void *data, size_t size);
/* Each notes what arrives and returns as the call does. */
ssize_t cancelling_read(struct stream *s, pipc_t *pipe);
int cancelling_read_msg(struct stream *s, pipc_t *pipe);
int cancelling_peek_and_skip(struct stream *s, pipc_t *pipe);
ssize_t cancelling_read_pending(struct stream *s, pipc_t *pipe);

#endif
