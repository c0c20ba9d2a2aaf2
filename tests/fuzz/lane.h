/* SPDX-License-Identifier: MIT */
/*
 * The model of one direction of a pipe: what its writer was told is sent or accepted, and what its
 * reader may get. Messages come in order, each whole and once.
 */
#ifndef PIPC_TESTS_FUZZ_LANE_H
#define PIPC_TESTS_FUZZ_LANE_H

#include "fuzz.h"

enum { LANE_MAX = 1024, LANE_MESSAGE_MAX = 300000 };

struct lane_message {
    pipc_kind_t kind;
    size_t size; /* of a goodbye, with "BYE" */
    uint32_t seed;
    int fds, first_file; /* descriptors that it brings, of files in turn (rights_send.h) */
    uint64_t end;        /* how many bytes of the stream there are up to its end */
};

struct lane {
    struct lane_message message[LANE_MAX]; /* those that nobody has read */
    size_t first, count;
    uint64_t size;     /* bytes of the stream that were accepted */
    uint64_t held;     /* of these by the writer; never sent if it has closed */
    bool is_shut;      /* by its writer: nothing more comes */
    bool is_left;      /* by its writer's goodbye, but a next writer may come */
    bool is_closed;    /* its writer has closed */
    bool is_deaf;      /* its reader has closed */
    bool may_be_reset; /* the connection, by a close with bytes unread */
    bool read_bye;     /* and nothing comes behind it */
    int dead;          /* the error that its reader got; 0 */
    uint64_t sent, sent_bytes, read, read_bytes; /* without goodbyes */
};

/* The bytes of a message; valid until the next call. */
const uint8_t *lane_bytes(size_t size, uint32_t seed);

bool lane_has_room(const struct lane *lane);
void lane_add(struct lane *lane, pipc_kind_t kind, size_t size, uint32_t seed);
/* The message that was added last brings descriptors. */
void lane_add_fds(struct lane *lane, int fds, int first_file);
/* A message that was read, or that was seen, must be the next one. */
void lane_check_next(const struct lane *lane, const pipc_msg_t *got);
void lane_take(struct lane *lane);

static inline const struct lane_message *lane_next(const struct lane *lane)
{
    return &lane->message[lane->first];
}

/* How many messages the reader must be able to get now. At most `count` can come. */
size_t lane_certain(const struct lane *lane);
/* Nothing comes any more, and the reader must be told so. */
bool lane_is_over(const struct lane *lane);
/* The reader got this error. */
void lane_check_error(struct lane *lane, int error);
/* A write failed with this error, for a reason other than the message itself. */
void lane_check_write_error(const struct lane *lane, int error, const struct lane *back);

#endif
