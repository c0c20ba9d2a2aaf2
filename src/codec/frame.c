/* SPDX-License-Identifier: MIT */
#include "codec/frame.h"

#define MARK_LONG 0xffffffffu
#define MARK_BYE  0xfffffffeu

static uint64_t load_be64(const uint8_t *bytes)
{
    return (uint64_t)load_be32(bytes) << 32 | load_be32(bytes + 4);
}

static size_t store_be64(uint8_t *bytes, uint64_t value)
{
    return store_be32(bytes, (uint32_t)(value >> 32)) + store_be32(bytes + 4, (uint32_t)value);
}

static enum frame_status need(struct frame *frame, size_t bytes)
{
    frame->header = bytes;
    return FRAME_MORE;
}

/* The length field at `at`. It is checked against `max` before anything trusts it. */
static enum frame_status parse_length(const uint8_t *bytes, size_t size, size_t at, uint64_t max,
                                      struct frame *frame)
{
    if (size < at + 4)
        return need(frame, at + 4);
    uint64_t length = load_be32(bytes + at);
    frame->header = at + 4;
    if (length == MARK_LONG && max > FRAME_SHORT_MAX) {
        if (size < at + 12)
            return need(frame, at + 12);
        length = load_be64(bytes + at + 4);
        frame->header = at + 12;
        if (length <= FRAME_SHORT_MAX)
            return FRAME_BAD;
    } else if (length > FRAME_SHORT_MAX) {
        return FRAME_BAD;
    }
    if (length > max)
        return FRAME_BAD;
    frame->size = (size_t)length;
    return FRAME_WHOLE;
}

enum frame_status frame_parse_any(const uint8_t *bytes, size_t size, size_t max,
                                  struct frame *frame)
{
    frame->bye = false;
    if (size < 4)
        return need(frame, 4);
    if (load_be32(bytes) != MARK_BYE)
        return parse_length(bytes, size, 0, max, frame);
    frame->bye = true;
    uint64_t bye_max = max > SIZE_MAX - FRAME_BYE_SIZE ? SIZE_MAX : max + FRAME_BYE_SIZE;
    enum frame_status status = parse_length(bytes, size, 4, bye_max, frame);
    return status == FRAME_WHOLE && frame->size < FRAME_BYE_SIZE ? FRAME_BAD : status;
}

size_t frame_header_any(uint8_t header[FRAME_HEADER_MAX], size_t size, bool bye)
{
    size_t at = bye ? store_be32(header, MARK_BYE) : 0;
    if (size <= FRAME_SHORT_MAX)
        return at + store_be32(header + at, (uint32_t)size);
    at += store_be32(header + at, MARK_LONG);
    return at + store_be64(header + at, size);
}
