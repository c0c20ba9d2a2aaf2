/* SPDX-License-Identifier: MIT */
/*
 * Messages in memory, and the queue of those that wait to be read. Knows nothing of descriptors.
 * The queue is bounded in bytes by its user; each message costs its size and a fixed sum, so that
 * empty ones are bounded too.
 */
#ifndef PIPC_QUEUE_H
#define PIPC_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipc.h"

#define QUEUE_COST \
    64 /* per message, beside its bytes: at least what its header and the heap take */

struct message {
    struct message *next;
    size_t size;     /* bytes of data in use */
    size_t capacity; /* bytes of data allocated */
    pipc_kind_t kind;
    uint32_t at; /* how far behind the begin of its block; 0: it has memory of its own */
    _Alignas(16) uint8_t data[]; /* 16: as malloc, since programs cast it */
};

struct queue {
    struct message *first, *last;
    size_t count;
    size_t bytes; /* of data alone */
};

struct message *message_new(size_t capacity);
/* Make room for `capacity` bytes; the message may move. NULL: ENOMEM, and it is as before. */
struct message *message_grow(struct message *message, size_t capacity);
struct message *message_of_data(void *data);
void message_free(struct message *message); /* NULL is nothing; keeps errno */

/*
 * Many short messages in one allocation, which goes with the last of them, in whatever thread each is
 * freed: a program that keeps one message keeps its block, so blocks are small.
 */
#define BLOCK_SIZE ((size_t)4096)
#define BLOCK_HEAD ((size_t)16)
struct block;
/* `size` is of the head and what its messages cost, of which it has at least one. */
struct block *block_new(size_t size);
size_t block_cost(size_t message_size);
/* The next message, with `message_size` bytes in use and kind PIPC_DATA. */
struct message *block_add(struct block *block, size_t message_size);

/* A message larger than the limit is taken when nothing else waits. */
bool queue_has_room(const struct queue *queue, size_t size, size_t limit);
void queue_push(struct queue *queue, struct message *message);
struct message *queue_pop(struct queue *queue); /* NULL: empty */
void queue_clear(struct queue *queue);

#endif
