/* SPDX-License-Identifier: MIT */
/*
 * A handle that reads raw bytes, and what each of its calls must return by the decoder: the
 * messages, the errno at the end, the counts, the descriptor to poll, and what pipc_detach leaves
 * in the kernel.
 */
#ifndef PIPC_TESTS_FUZZ_READER_H
#define PIPC_TESTS_FUZZ_READER_H

#include "decoder.h"

enum { READER_WIRE_MAX = 8 << 20, READER_DEFAULT_LIMIT = 64 << 20 };

extern uint8_t reader_wire[READER_WIRE_MAX];   /* the stream, of which `sent` has gone */
extern uint8_t reader_buffer[READER_WIRE_MAX]; /* for anything, between two calls */

struct reader {
    pipc_t *pipe;
    int out;   /* the raw end; -1 after the end of the stream */
    int other; /* keeps the peer alive */
    bool is_duplex;
    size_t max_message, max_pending;
    size_t size, sent; /* of the stream */
    size_t at;         /* what was read of it */
    bool read_bye;
    int polled; /* -1: pipc_fd was not called */
    unsigned reports;
    uint64_t messages, bytes; /* that were read, without goodbyes */
    uint64_t written;         /* messages */
};

/* Of a socket, or of two pipes. */
void reader_open(struct reader *r, bool is_pipe, const pipc_options_t *options);

/* Adds to the stream, as much as it has room for. */
void reader_add(struct reader *r, const uint8_t *bytes, size_t size);
/* Sends so much of it, as far as the kernel has room. */
void reader_send(struct reader *r, size_t size);

/* 0: that message must come next; else the errno. */
int reader_expected(const struct reader *r, struct decoded *message);
void reader_check_message(const pipc_msg_t *got, const struct decoded *message);

/* A call of the handle, or one of the raw end. Those that are not named here do nothing. */
enum {
    READER_READ = 3,
    READER_READ_SHORT = 4, /* into a buffer of `number` bytes */
    READER_READ_MSG = 5,
    READER_READ_PENDING = 6,
    READER_PEEK = 7,
    READER_SKIP = 8,
    READER_PENDING = 9,
    READER_FLUSH = 10,
    READER_STATS = 11,
    READER_POLL = 12,
    READER_SEND_ALL = 14,
    READER_END = 15 /* of the stream, whatever would have come; with number 15 */
};
void reader_take_step(struct reader *r, unsigned call, unsigned number);

/* Sends and reads all that is left, until there is nothing or an error; then checks the end. */
void reader_finish(struct reader *r, const uint8_t *steps, size_t count, bool ends);
void reader_close(struct reader *r, bool detaches);

#endif
