/* SPDX-License-Identifier: MIT */
/*
 * What a reader of a stream must get, decoded from section 11 of the manual alone: nothing of the
 * library is used. It begins at the first byte of the stream, however much is there.
 */
#ifndef PIPC_TESTS_FUZZ_DECODER_H
#define PIPC_TESTS_FUZZ_DECODER_H

#include "fuzz.h"

struct decoded {
    pipc_kind_t kind;
    const uint8_t *data;
    size_t size;
    size_t end; /* the place in the stream behind it */
};

/* What comes behind a message that is at `at` of the stream. */
enum decoded_status {
    DECODED_MESSAGE,
    DECODED_MORE, /* of a message that is not whole: nothing to read, or the end of all */
    DECODED_NONE, /* nothing has come behind the last message */
    DECODED_BAD
};

enum decoded_status decode(const uint8_t *stream, size_t size, size_t at, size_t max_message,
                           struct decoded *message);

#endif
