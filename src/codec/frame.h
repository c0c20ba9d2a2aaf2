/* SPDX-License-Identifier: MIT */
/*
 * Bytes to frames and back: pure, no descriptors, no allocation. A frame is a length and a payload;
 * a goodbye is a prefix and a frame, taken here as one. See README, "On the wire".
 */
#ifndef PIPC_FRAME_H
#define PIPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_HEADER_MIN 4  /* of a message */
#define FRAME_HEADER_MAX 16 /* goodbye prefix, mark of a long frame, 8-byte length */

#define FRAME_BYE      "BYE" /* how the payload of a goodbye begins; its text follows */
#define FRAME_BYE_SIZE 3

#define FRAME_SHORT_MAX 0x7fffffffu /* the sign bit of a length marks what is special */

enum frame_status { FRAME_MORE, FRAME_WHOLE, FRAME_BAD };

struct frame {
    size_t header; /* bytes before the payload; with FRAME_MORE: bytes needed to know more */
    size_t size;   /* bytes of payload */
    bool bye;
};

/* Written out, so that compilers make one instruction of it: it is on the way of each message. */
static inline uint32_t load_be32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static inline size_t store_be32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
    return 4;
}

enum frame_status frame_parse_any(const uint8_t *bytes, size_t size, size_t max,
                                  struct frame *frame);
size_t frame_header_any(uint8_t header[FRAME_HEADER_MAX], size_t size, bool bye);

/*
 * Read the header of the frame that starts at `bytes`, of which `size` have arrived. A message over
 * `max` bytes is FRAME_BAD (a goodbye may have its three bytes more), and so is anything that is no
 * frame.
 */
static inline enum frame_status frame_parse(const uint8_t *bytes, size_t size, size_t max,
                                            struct frame *frame)
{
    uint32_t length = size < FRAME_HEADER_MIN ? UINT32_MAX : load_be32(bytes);
    if (length > FRAME_SHORT_MAX || length > max)
        return frame_parse_any(bytes, size, max, frame);
    *frame = (struct frame){.header = FRAME_HEADER_MIN, .size = length, .bye = false};
    return FRAME_WHOLE;
}

/*
 * The payload's size, if a message with the shortest header lies whole in these `size` bytes and is
 * of at most `max` bytes; else -1: call frame_parse.
 */
static inline ssize_t frame_short_size(const uint8_t *bytes, size_t size, size_t max)
{
    uint32_t length = size < FRAME_HEADER_MIN ? UINT32_MAX : load_be32(bytes);
    return length > FRAME_SHORT_MAX || length > max || length > size - FRAME_HEADER_MIN
               ? -1
               : (ssize_t)length;
}

/* Write the header for a payload of `size` bytes; returns its length. */
static inline size_t frame_header(uint8_t header[FRAME_HEADER_MAX], size_t size, bool bye)
{
    return bye || size > FRAME_SHORT_MAX ? frame_header_any(header, size, bye)
                                         : store_be32(header, (uint32_t)size);
}

#endif
