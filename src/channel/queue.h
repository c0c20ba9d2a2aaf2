/* SPDX-License-Identifier: MIT */
/*
 * Messages in memory, and the queue of those that wait to be read. Knows nothing of descriptors.
 * The queue is bounded in bytes by its user; each message costs its size and a fixed sum, so that
 * empty ones are bounded too.
 */
#ifndef PIPC_QUEUE_H
#define PIPC_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipc.h"

#define QUEUE_COST \
    64 /* per message, beside its bytes: at least what its header and the heap take */

struct message {
    struct message *next;
    size_t size;         /* bytes of data in use */
    size_t capacity;     /* bytes of data allocated */
    atomic_uint sharers; /* in the first of a block: its messages that are not freed */
    uint16_t at;         /* bytes behind the first of its block */
    uint8_t kind;        /* a pipc_kind_t */
    uint8_t fds;         /* how many descriptors came with it */
    _Alignas(max_align_t) uint8_t data[]; /* as malloc, since programs cast it */
};

_Static_assert(sizeof(struct message) <= QUEUE_COST, "an empty message costs what it takes");

struct queue {
    struct message *first, *last;
    struct message *block; /* of the first: memcheck wants to see its begin pointed to */
    size_t count;
    size_t bytes; /* of data alone */
};

struct message *message_new(size_t capacity);
/* Make room for `capacity` bytes; the message may move. NULL: ENOMEM, and it is as before. */
struct message *message_grow(struct message *message, size_t capacity);
struct message *message_of_data(void *data);
void message_free(struct message *message); /* NULL is nothing; keeps errno */

/*
 * Each message lies in a block, alone or with other short ones, and a block goes back with the last
 * of its messages, in whatever thread each is freed: a program that keeps one keeps its block, so
 * blocks of many are small.
 */
#define BLOCK_SIZE ((size_t)4096)
struct block {
    struct message *first;
    size_t used;
};
_Static_assert(BLOCK_SIZE <= UINT16_MAX, "a message knows how far it is behind the first");
/* Room for `count` messages that cost `size` bytes in all. False: ENOMEM. */
bool block_open(struct block *block, size_t size, size_t count);
size_t block_cost(size_t message_size);
/* The next message, with `message_size` bytes in use; to be called `count` times, one at least. */
struct message *block_add(struct block *block, size_t message_size);

/* A message larger than the limit is taken when nothing else waits. */
bool queue_has_room(const struct queue *queue, size_t size, size_t limit);
void queue_push(struct queue *queue, struct message *message);
/* `count` messages with `bytes` in all, linked from the first to the last, which links to none. */
void queue_append(struct queue *queue, struct message *first, struct message *last, size_t count,
                  size_t bytes);
/* The caller has taken so many from the front; `next` is the one after them. */
void queue_drop(struct queue *queue, struct message *next, size_t count, size_t bytes);
struct message *queue_pop(struct queue *queue); /* NULL: empty */
void queue_clear(struct queue *queue);

/* What was taken into memory and not read outlives the channel of an end that is left. */
struct unread {
    struct queue queue;
    struct message *bye; /* the last goodbye that was read */
};
void unread_free(struct unread *unread);
size_t unread_cost(const struct unread *unread); /* as counted against max_pending */
/* The text of a goodbye; NULL: NULL. */
const char *message_bye_text(const struct message *bye);

#endif
