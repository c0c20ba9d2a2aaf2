/* SPDX-License-Identifier: MIT */
#include "frame.h"

#define LENGTH_MAX 0x7fffffffu /* the sign bit marks special prefixes */
#define MARK_LONG  0xffffffffu
#define MARK_BYE   0xfffffffeu

/* Written out, so that compilers make one instruction of it: it is on the way of each message. */
static uint32_t get_4(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint64_t get_8(const uint8_t *bytes)
{
    return (uint64_t)get_4(bytes) << 32 | get_4(bytes + 4);
}

static size_t put_4(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
    return 4;
}

static size_t put_8(uint8_t *bytes, uint64_t value)
{
    return put_4(bytes, (uint32_t)(value >> 32)) + put_4(bytes + 4, (uint32_t)value);
}

static enum frame_status need(struct frame *frame, size_t bytes)
{
    frame->header = bytes;
    return FRAME_MORE;
}

/* The length field at `at`; what it announces is checked against `max` before anything trusts it. */
static enum frame_status parse_length(const uint8_t *bytes, size_t size, size_t at, uint64_t max,
                                      struct frame *frame)
{
    if (size < at + 4)
        return need(frame, at + 4);
    uint64_t length = get_4(bytes + at);
    frame->header = at + 4;
    if (length == MARK_LONG && max > LENGTH_MAX) {
        if (size < at + 12)
            return need(frame, at + 12);
        length = get_8(bytes + at + 4);
        frame->header = at + 12;
        if (length <= LENGTH_MAX)
            return FRAME_BAD;
    } else if (length > LENGTH_MAX) {
        return FRAME_BAD;
    }
    if (length > max)
        return FRAME_BAD;
    frame->size = (size_t)length;
    return FRAME_WHOLE;
}

enum frame_status frame_parse(const uint8_t *bytes, size_t size, size_t max, struct frame *frame)
{
    frame->bye = false;
    if (size < 4)
        return need(frame, 4);
    if (get_4(bytes) != MARK_BYE)
        return parse_length(bytes, size, 0, max, frame);
    frame->bye = true;
    uint64_t bye_max = max > SIZE_MAX - FRAME_BYE_SIZE ? SIZE_MAX : max + FRAME_BYE_SIZE;
    enum frame_status status = parse_length(bytes, size, 4, bye_max, frame);
    return status == FRAME_WHOLE && frame->size < FRAME_BYE_SIZE ? FRAME_BAD : status;
}

size_t frame_header(uint8_t header[FRAME_HEADER_MAX], size_t size, bool bye)
{
    size_t at = bye ? put_4(header, MARK_BYE) : 0;
    if (size <= LENGTH_MAX)
        return at + put_4(header + at, (uint32_t)size);
    at += put_4(header + at, MARK_LONG);
    return at + put_8(header + at, size);
}
