/* SPDX-License-Identifier: MIT */
/* How a ring takes the parts of a message, and what is fetched for the next ones. */
#ifndef PIPC_RING_COPY_H
#define PIPC_RING_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "sys/sys_cpu.h"
#include "transport/copy.h"

#define RING_CACHE_LINE        64
#define RING_PREFETCH_DISTANCE 256 /* bytes */

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
            copy_bytes(to, (const uint8_t *)from->part->iov_base + from->done, some);
        to += some;
        size -= some;
        from->done += some;
        if (some == left)
            *from = (struct ring_source){from->part + 1, 0};
    }
}

/*
 * Lines that the reader has had are asked back some messages before they are written, or each write
 * would wait for them: 30 to 41 million messages of 16 bytes a second, and where cores are far from
 * each other 13 to 38. Long messages gain nothing.
 */
static inline void ring_prefetch(const uint8_t *to, size_t size)
{
    for (size_t i = 0; i <= size; i += RING_CACHE_LINE)
        sys_cpu_prefetch_to_write(to + RING_PREFETCH_DISTANCE + i);
}

#endif
