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

/* A message larger than the limit is taken when nothing else waits. */
bool queue_has_room(const struct queue *queue, size_t size, size_t limit);
void queue_push(struct queue *queue, struct message *message);
struct message *queue_pop(struct queue *queue); /* NULL: empty */
void queue_clear(struct queue *queue);

#endif
