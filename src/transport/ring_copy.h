/* SPDX-License-Identifier: MIT */
/* How a ring takes the parts of a message. */
#ifndef PIPC_RING_COPY_H
#define PIPC_RING_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "transport/copy.h"

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

#endif
