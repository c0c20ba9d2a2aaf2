/* SPDX-License-Identifier: MIT */
/*
 * One end of a pipe and the calls on it, each compared with the model of both directions (lane.h).
 * Timeouts are 0. What a call needs, it takes from the input.
 */
#ifndef PIPC_TESTS_FUZZ_SIDE_H
#define PIPC_TESTS_FUZZ_SIDE_H

#include "lane.h"

enum side_kind { SIDE_PAIR, SIDE_SOCKETS, SIDE_OPEN, SIDE_KINDS };

struct side {
    pipc_t *pipe; /* NULL: closed */
    struct lane *in, *out;
    int polled;
    unsigned wanted, reports;
    bool has_left;     /* pipc_open: with a goodbye; it makes no call but pipc_close */
    bool write_failed; /* and was not repeated: the descriptor may report that */
    bool accepts_fds;
    int fds, first_file; /* of the message that was taken last, and not taken yet */
};

/* What both ends have in common. */
struct both_sides {
    enum side_kind kind;
    size_t max_message;
    bool is_duplex;
    struct fuzz_input input;
    uint32_t next_seed; /* of contents */
    struct lane lane[2];
    struct side side[2];
};
extern struct both_sides both;

/* Begins a model; the handles are the caller's to open. */
void sides_begin(enum side_kind kind, const pipc_options_t *options, pipc_t *const end[2]);

/* After a write of any kind: what is held, and whether the descriptor may report room. */
void side_note_writing(struct side *side, bool failed);
void side_check_write_error(struct side *side, size_t size);

enum {
    SIDE_WRITE,
    SIDE_WRITEV,
    SIDE_WRITE_BATCH,
    SIDE_FLUSH,
    SIDE_READ,
    SIDE_READ_SHORT,
    SIDE_READ_MSG,
    SIDE_PEEK,
    SIDE_SKIP,
    SIDE_READ_PENDING,
    SIDE_PENDING,
    SIDE_POLL,
    SIDE_STATS,
    SIDE_WANT,
    SIDE_CALLS
};
void side_call(struct side *side, unsigned call);

/* Those that end something. */
enum { SIDE_SHUTDOWN, SIDE_DISCONNECT, SIDE_CLOSE, SIDE_DETACH };
void side_end(struct side *side, unsigned call);

void side_trace(const struct side *side);

#endif
