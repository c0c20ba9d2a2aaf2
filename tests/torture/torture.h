/* SPDX-License-Identifier: MIT */
/*
 * A campaign of faults: seeded scripts of calls on both ends of a pipe, each run with faults at
 * chosen places, against a model of what the manual promises. One process, no fork for a run.
 * Time is virtual, so that no run waits.
 */
#ifndef PIPC_TESTS_TORTURE_H
#define PIPC_TESTS_TORTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "../fuzz/lane.h"
#include "fault.h"
#include "kinds.h"

/* ---- What failed, and how to see it again ---- */

/* Prints the sentence and the command that repeats the run, and ends the program. */
__attribute__((noreturn, format(printf, 3, 4))) void torture_fail(const char *file, int line,
                                                                  const char *format, ...);
#define TORTURE_CHECK(condition, ...)                      \
    do {                                                   \
        if (!(condition))                                  \
            torture_fail(__FILE__, __LINE__, __VA_ARGS__); \
    } while (0)
/* Called by the above, by fuzz_fail and by failed assertions: what repeats the run. */
extern void (*torture_show)(void);
void torture_catch(void); /* from here on, crashes and hangs show it too */
void torture_watch(void); /* a run may take so long from now on */
__attribute__((format(printf, 1, 2))) void torture_trace(const char *format, ...);

/* ---- One side of a pipe, with the model of both directions ---- */

struct torture_side {
    pipc_t *pipe; /* NULL: closed */
    const struct kind *kind;
    unsigned flags;
    struct lane *in, *out;
    int polled;                /* -1: not asked for */
    int timeout_ms;            /* -1: not known, nothing could be set */
    int read_dead, write_dead; /* errno, for ever; 0: alive */
    int refused;               /* the errno of a call that could take no end; 0 */
    bool has_left;             /* pipc_open: by a goodbye */
};

enum torture_call {
    TORTURE_WRITE,
    TORTURE_WRITEV,
    TORTURE_BATCH,
    TORTURE_FDS,
    TORTURE_READ,
    TORTURE_READ_SHORT,
    TORTURE_READ_MSG,
    TORTURE_READ_PENDING,
    TORTURE_SKIP,
    TORTURE_PEEK,
    TORTURE_PENDING,
    TORTURE_FLUSH,
    TORTURE_POLL,
    TORTURE_WANT,
    TORTURE_TIMEOUT,
    TORTURE_STATE,
    TORTURE_SHUTDOWN,
    TORTURE_DISCONNECT,
    TORTURE_CALLS
};

/* Makes the call, and compares its result with the model. */
void torture_make(struct torture_side *side, enum torture_call call, uint32_t number);
/* Takes a message; false: there was none, and errno says why. */
bool torture_take(struct torture_side *side);
/* The descriptor of the side, which must be there once no fault is left. */
int torture_descriptor(struct torture_side *side);

/* A read or a write was made to fail with an errno that ends a stream. */
bool torture_is_broken(void);

/* ---- One run ---- */

struct torture_fault {
    unsigned long nth, more; /* nth 0: none */
    unsigned which;
};

enum torture_shape { SHAPE_WHOLE, SHAPE_SHORT, SHAPE_INTERRUPTED, SHAPE_EAGAIN, SHAPES };

enum torture_limited {
    LIMIT_NONE,
    LIMIT_DESCRIPTORS,
    LIMIT_ADDRESSES,
    LIMIT_FILES,
    LIMIT_LOCKED,
    LIMIT_WATCHES,
    LIMIT_PIPES,
    LIMIT_SPACE,
    LIMITS
};

struct torture_limit {
    enum torture_limited what;
    unsigned value, from; /* how tight; before which step: 0, before opening */
    bool closes;          /* one side closes while it holds */
};

struct torture_run {
    const struct kind *kind;
    uint64_t script; /* decides all but the faults */
    struct torture_fault fault[2];
    enum torture_shape shape;
    struct torture_limit limit;
};

void torture_run(const struct torture_run *run);

/* Opens a pipe; its calls are armed where faults cannot be mistaken for those of the test. False:
 * a fault kept it from opening, and all is as before. */
bool torture_open(const struct kind *kind, pipc_t *end[2], const pipc_options_t *options);
void torture_open_begin(void); /* before the first, and after the last */
void torture_open_end(void);
/* It opens with real limits as well: the test itself needs nothing for it. */
bool torture_opens_alone(const struct kind *kind);

/* ---- Limits ---- */

void torture_limit_begin(const struct torture_limit *limit);
void torture_limit_end(void);
bool torture_limit_holds(void);
/* The script of that run, under each limit in turn. Returns how many runs it made. */
unsigned long torture_limit_script(struct torture_run *run, uint64_t *state, unsigned long most);

/* ---- Two processes that meet ---- */

/* Where: a path, a directory for FIFOs, a port that two look for each other on, and one for a
 * server. */
struct torture_place {
    char path[128], directory[64];
    uint16_t port, free_port;
};
extern struct torture_place torture_place;

bool torture_is_named(const struct kind *kind);
/* Waits for the peer. Side 1 of a server's pipe is the server. */
pipc_t *torture_meet(const struct kind *kind, int who, int timeout_ms,
                     const pipc_options_t *options);

extern volatile bool *torture_listens; /* the server that waits, in shared memory */

/* The same in steps; true: the peer is there. */
struct torture_meeting {
    const struct kind *kind;
    pipc_options_t options;
    pipc_server_t *server;
    pipc_t *pipe;
};
void torture_meet_begin(struct torture_meeting *meeting, const struct kind *kind, int who,
                        const pipc_options_t *options);
bool torture_meet_step(struct torture_meeting *meeting, int timeout_ms);
void torture_meet_end(struct torture_meeting *meeting);

/* ---- Killing ---- */

struct torture_killing {
    const struct kind *kind;
    uint64_t script;
    int who;
    unsigned long call; /* instead of which it dies; 0: it lives */
};
extern struct torture_killing torture_killed; /* the one that runs */
void torture_kill(const struct torture_killing *killing);

/* ---- The campaigns; each returns how many runs it made ---- */

unsigned long torture_sweep(const struct kind *kind, uint64_t seed, unsigned long count);
unsigned long torture_limits(const struct kind *kind, uint64_t seed, unsigned long count);
unsigned long torture_kills(const struct kind *kind, uint64_t seed, unsigned long count);
/* Streams that are cut at every byte, or at every stride-th. */
unsigned long torture_cuts(size_t stride);
/* The kind to take, by the beginning of its name; NULL: there is none. */
const struct kind *torture_kind(const char *name);

#endif
