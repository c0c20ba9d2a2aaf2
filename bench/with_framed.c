/* SPDX-License-Identifier: MIT */
/*
 * The limit of framing: what system calls alone reach when each message carries its size, as
 * libpipc's do. One writev for the size and the message; short ones are read in bulk and not
 * copied again, and long ones in one read each, since the reader here knows what comes. Nothing is
 * checked, no peer can die, and a write to nobody raises SIGPIPE.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define BULK 65536

typedef uint32_t length; /* before each message */

struct framed {
    int in, out;
    size_t capacity;   /* of the buffer */
    size_t begin, end; /* what is in it */
    unsigned char *buffer;
};

static void join(struct link *link, int side)
{
    struct framed *framed = calloc(1, sizeof *framed);
    if (framed == NULL)
        fail("memory");
    framed->in = link->fd[side][0];
    framed->out = link->fd[side][1];
    framed->capacity = link->size <= BULK / 4 ? BULK : link->size + sizeof(length);
    framed->buffer = malloc(framed->capacity);
    if (framed->buffer == NULL)
        fail("memory");
    link->end[side] = framed;
}

static void send_one(void *end, const void *data, size_t size)
{
    const struct framed *framed = end;
    length prefix = (length)size;
    struct iovec parts[2] = {{&prefix, sizeof prefix}, {(void *)data, size}}, *part = parts;
    while (part < parts + 2) {
        ssize_t sent = writev(framed->out, part, (int)(parts + 2 - part));
        if (sent < 0)
            fail("writev");
        for (size_t left = (size_t)sent; part < parts + 2; part++) {
            size_t gone = left < part->iov_len ? left : part->iov_len;
            left -= gone;
            part->iov_base = (char *)part->iov_base + gone;
            part->iov_len -= gone;
            if (part->iov_len > 0)
                break;
        }
    }
}

static void read_more(struct framed *framed)
{
    if (framed->begin > 0) {
        memmove(framed->buffer, framed->buffer + framed->begin, framed->end - framed->begin);
        framed->end -= framed->begin;
        framed->begin = 0;
    }
    ssize_t got = read(framed->in, framed->buffer + framed->end, framed->capacity - framed->end);
    if (got <= 0)
        fail("read");
    framed->end += (size_t)got;
}

static const void *need(struct framed *framed, size_t size)
{
    while (framed->end - framed->begin < size)
        read_more(framed);
    return framed->buffer + framed->begin;
}

static size_t receive(void *end, const void **data)
{
    struct framed *framed = end;
    length size;
    memcpy(&size, need(framed, sizeof size), sizeof size);
    *data = (const unsigned char *)need(framed, sizeof size + size) + sizeof size;
    framed->begin += sizeof size + size;
    return size;
}

#define FRAMED(name, how, made)                                                                \
    {                                                                                          \
        .library = "raw", .transport = name, .style = "framed", .setup = how, .prepare = made, \
        .drop = drop_fds, .join = join, .send = send_one, .receive = receive, .handles = 2,    \
        .one_size = true                                                                       \
    }

const struct contender with_framed[] = {
    FRAMED("pipe", "two pipes; size and message in one writev", prepare_pipe),
    FRAMED("pipe 1M", "the same, pipes of 1 MiB", prepare_large_pipe),
    FRAMED("socketpair", "the same, a stream of AF_UNIX", prepare_socketpair),
    {0},
};
