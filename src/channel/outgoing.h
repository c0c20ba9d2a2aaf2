/* SPDX-License-Identifier: MIT */
/* A message on its way to a transport, or several: what has gone, and what is left. */
#ifndef PIPC_OUTGOING_H
#define PIPC_OUTGOING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

struct outgoing {
    struct iovec *parts;
    int count;
    size_t size, left; /* bytes in all, and not yet gone */
    const int *fds;    /* go with the first byte, and all before it goes alone */
    int fd_count;      /* 0: none, or they have gone */
};

static inline void outgoing_advance(struct outgoing *o, size_t sent)
{
    o->left -= sent;
    while (o->count > 0 && sent >= o->parts->iov_len) {
        sent -= o->parts->iov_len;
        o->parts++;
        o->count--;
    }
    if (sent > 0) {
        o->parts->iov_base = (uint8_t *)o->parts->iov_base + sent;
        o->parts->iov_len -= sent;
    }
}

/* Of a message; when it is more than `max`, anything above that. */
static inline size_t outgoing_size_up_to(const struct iovec *parts, int count, size_t max)
{
    size_t size = 0;
    for (int i = 0; i < count && size <= max; i++)
        size += parts[i].iov_len <= max ? parts[i].iov_len : max + 1;
    return size;
}

/* All of it into one place; returns the bytes. */
static inline size_t outgoing_copy(uint8_t *to, const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0)
            memcpy(to + size, parts[i].iov_base, parts[i].iov_len);
        size += parts[i].iov_len;
    }
    return size;
}

#endif
