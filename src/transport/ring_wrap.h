/* SPDX-License-Identifier: MIT */
/*
 * A ring that is mapped only as far as it goes before it wraps for the first time. To map what
 * ring_area.h asks for takes longer than all else that opens a pipe, and many pipes never carry so
 * much. Each side maps for itself, and each direction by itself.
 *
 * Until then, `in_row` bytes from `in_begin` on lie in a row, and a reader looks at no more than
 * that; UINT64_MAX: all is mapped. A writer keeps to the row by what it takes the reader's position
 * for: the beginning of the row.
 */
#ifndef PIPC_RING_WRAP_H
#define PIPC_RING_WRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/ring.h"

void ring_wrap_init(struct ring *ring);

/* Where ring_wrap_needs_in. False: ENOMEM. */
bool ring_wrap_in(struct ring *ring);
/* Before so many bytes are written, when the reader's position has been loaded. False: ENOMEM. */
bool ring_wrap_out(struct ring *ring, size_t total);

/* The peer has written beyond the row, or its ring has grown. */
static inline bool ring_wrap_needs_in(const struct ring *ring, uint64_t head, uint64_t grown)
{
    return head - ring->in_begin > ring->in_row || grown != ring->in_area.grown;
}

#endif
