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

#define FRAME_HEADER_MIN 4  /* of a message */
#define FRAME_HEADER_MAX 16 /* goodbye prefix, mark of a long frame, 8-byte length */

#define FRAME_BYE      "BYE" /* how the payload of a goodbye begins; its text follows */
#define FRAME_BYE_SIZE 3

enum frame_status { FRAME_MORE, FRAME_WHOLE, FRAME_BAD };

struct frame {
    size_t header; /* bytes before the payload; with FRAME_MORE: bytes needed to know more */
    size_t size;   /* bytes of payload */
    bool bye;
};

/*
 * Read the header of the frame that starts at `bytes`, of which `size` have arrived. A message over
 * `max` bytes is FRAME_BAD (a goodbye may have its three bytes more), and so is anything that is no
 * frame.
 */
enum frame_status frame_parse(const uint8_t *bytes, size_t size, size_t max, struct frame *frame);

/* Write the header for a payload of `size` bytes; returns its length. */
size_t frame_header(uint8_t header[FRAME_HEADER_MAX], size_t size, bool bye);

#endif
