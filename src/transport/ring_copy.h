/* SPDX-License-Identifier: MIT */
/*
 * How long messages are copied. memcpy takes string instructions for some thousand bytes, and on
 * some processors these fall from 40 to 3 GB/s where `to` is a few bytes further than `from`,
 * modulo a page: at three positions in a thousand, and with the first messages of every ring. There
 * it goes in steps that are too short for those instructions: 40 GB/s.
 */
#ifndef PIPC_RING_COPY_H
#define PIPC_RING_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#define RING_COPY_STEP  ((size_t)512)
#define RING_COPY_PAGE  ((uintptr_t)4096)
#define RING_COPY_AHEAD ((uintptr_t)32) /* bytes; 15 are slow */

/* A step ends where `to` is a multiple of its length. So compilers see no constant length, for
 * which they would put in such an instruction. */
static inline void ring_copy_in_steps(uint8_t *to, const uint8_t *from, size_t size)
{
    while (size > 0) {
        size_t step = RING_COPY_STEP - ((uintptr_t)to & (RING_COPY_STEP - 1));
        if (step > size)
            step = size;
        memcpy(to, from, step);
        to += step;
        from += step;
        size -= step;
    }
}

static inline void ring_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    uintptr_t ahead = ((uintptr_t)to - (uintptr_t)from) & (RING_COPY_PAGE - 1);
    if (ahead > 0 && ahead < RING_COPY_AHEAD)
        ring_copy_in_steps(to, from, size);
    else
        memcpy(to, from, size);
}

/* ---- the parts of a message ---- */

static inline size_t ring_size_of_parts(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

/* How far a write has come. */
struct ring_source {
    const struct iovec *part;
    size_t done; /* of that part */
};

static inline void ring_copy_parts(uint8_t *to, struct ring_source *from, size_t size)
{
    while (size > 0) {
        size_t left = from->part->iov_len - from->done;
        size_t some = left < size ? left : size;
        if (some > 0)
            ring_copy(to, (const uint8_t *)from->part->iov_base + from->done, some);
        to += some;
        size -= some;
        from->done += some;
        if (some == left)
            *from = (struct ring_source){from->part + 1, 0};
    }
}

#endif
