/* SPDX-License-Identifier: MIT */
#include "decoder.h"

static uint64_t number(const uint8_t *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value * 256 + bytes[i];
    return value;
}

/* The length at `at`; *begin: of the payload. `limit`: the longest that is allowed. */
static enum decoded_status decode_length(const uint8_t *stream, size_t size, size_t at,
                                         uint64_t limit, uint64_t *length, size_t *begin)
{
    if (size - at < 4)
        return DECODED_MORE;
    *length = number(stream + at, 4);
    *begin = at + 4;
    if (*length == 0xffffffff && limit > 0x7fffffff) {
        if (size - at < 12)
            return DECODED_MORE;
        *length = number(stream + at + 4, 8);
        *begin = at + 12;
        if (*length <= 0x7fffffff)
            return DECODED_BAD;
    } else if (*length > 0x7fffffff) {
        return DECODED_BAD;
    }
    return *length <= limit ? DECODED_MESSAGE : DECODED_BAD;
}

enum decoded_status decode(const uint8_t *stream, size_t size, size_t at, size_t max_message,
                           struct decoded *message)
{
    uint64_t limit = max_message, length;
    size_t begin;
    if (size == at)
        return DECODED_NONE;
    message->kind = PIPC_DATA;
    if (size - at >= 4 && number(stream + at, 4) == 0xfffffffe) {
        message->kind = PIPC_BYE;
        limit += limit > UINT64_MAX - 3 ? UINT64_MAX - limit : 3; /* "BYE" does not count */
        at += 4;
    }
    enum decoded_status status = decode_length(stream, size, at, limit, &length, &begin);
    if (status != DECODED_MESSAGE)
        return status;
    if (message->kind == PIPC_BYE && length < 3)
        return DECODED_BAD;
    if (length > size - begin)
        return DECODED_MORE;
    message->data = stream + begin;
    message->size = (size_t)length;
    message->end = begin + (size_t)length;
    bool is_good = message->kind == PIPC_DATA || memcmp(message->data, "BYE", 3) == 0;
    return is_good ? DECODED_MESSAGE : DECODED_BAD;
}
