/* SPDX-License-Identifier: MIT */
/* The memory that a transport of descriptors reads ahead into. It grows when much comes. */
#include <string.h>

#include "transport/transport_fd.h"

/*
 * As much as a pipe holds by default, so that one read empties it, and as a message of 64 KiB has
 * with its header.
 */
#define BUFFER_SIZE ((size_t)65536 + 4096)

_Static_assert(FD_SMALL_SIZE < FD_WINDOW, "a message that is shown as a whole has room");
_Static_assert(FD_WINDOW <= BUFFER_SIZE / 2, "a read has room beside it");

/*
 * Where a read into an empty buffer begins, within a page. What the kernel has begins with a page,
 * mostly, and copies to addresses that are 1 to 31 bytes further within theirs are three times
 * slower on some processors (see copy.h). That is where memory from malloc begins.
 */
#define FRONT ((uintptr_t)64)
#define PAGE  ((uintptr_t)4096)

/* From the front on. */
static size_t room(const struct fd_transport *t)
{
    return t->capacity - t->front;
}

static void move_to_front(struct fd_transport *t)
{
    size_t size = t->end - t->begin;
    if (size > 0 && t->begin != t->front)
        memmove(t->buffer + t->front, t->buffer + t->begin, size);
    t->begin = t->front;
    t->end = t->begin + size;
}

static int grow(struct fd_transport *t, size_t larger)
{
    size_t slack = larger >= BUFFER_SIZE ? PAGE : 0;
    uint8_t *grown = sys_realloc(t->buffer, larger + slack);
    if (grown == NULL)
        return -1;
    t->buffer = grown;
    t->front = slack > 0 ? (uint16_t)((FRONT - (uintptr_t)grown) & (PAGE - 1)) : 0;
    t->capacity = t->front + larger;
    move_to_front(t); /* what was there began elsewhere */
    return 0;
}

/* With the bytes of a message that is not whole yet, room for a read behind them. */
static size_t large_size(const struct fd_transport *t)
{
    return t->least > BUFFER_SIZE - FD_WINDOW ? t->least + FD_WINDOW : BUFFER_SIZE;
}

/*
 * Much comes, and little of it would fit behind what is there: a read of a page of a full pipe
 * wakes the writer for that page.
 */
static bool is_cramped(const struct fd_transport *t)
{
    return t->flows && t->begin > t->front && t->end > t->capacity / 2;
}

/* Room for `want` bytes from `begin` on, and for a read; and more where much comes. */
int fd_make_room(struct fd_transport *t, size_t want)
{
    if (t->begin == t->end)
        t->begin = t->end = t->front;
    size_t needed = t->end - t->begin + t->least;
    if (needed < want)
        needed = want;
    if (needed <= t->capacity - t->begin && !t->flows)
        return 0; /* the usual case */
    size_t large = large_size(t);
    if (room(t) < large && (t->flows || needed > room(t))) {
        size_t larger = t->flows || needed > fd_small_size(t) ? large : fd_small_size(t);
        if (grow(t, larger) != 0 && needed > room(t))
            return -1;
    }
    if (t->begin + needed > t->capacity || is_cramped(t))
        move_to_front(t);
    return 0;
}

/* However much is in the buffer already. */
int fd_make_more_room(struct fd_transport *t)
{
    if (t->capacity - t->end >= FD_SMALL_SIZE)
        return 0;
    move_to_front(t);
    return t->capacity - t->end >= FD_SMALL_SIZE ? 0 : grow(t, t->capacity + BUFFER_SIZE);
}

void fd_free_buffer(struct fd_transport *t)
{
    sys_free(t->buffer);
    t->buffer = NULL;
    t->capacity = t->begin = t->end = 0;
    t->front = 0;
}
