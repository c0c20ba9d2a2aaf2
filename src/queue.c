/* SPDX-License-Identifier: MIT */
#include "queue.h"

#include <errno.h>
#include <stdatomic.h>

#include "sys.h"

struct block {
    atomic_uint users; /* messages that are not freed */
    uint32_t used;     /* bytes */
};

_Static_assert(sizeof(struct block) <= BLOCK_HEAD, "a message after it is aligned");

struct message *message_grow(struct message *message, size_t capacity)
{
    if (capacity > SIZE_MAX - sizeof *message) {
        errno = ENOMEM;
        return NULL;
    }
    struct message *grown = sys_grow(message, sizeof *message + capacity);
    if (grown != NULL)
        grown->capacity = capacity;
    return grown;
}

struct message *message_new(size_t capacity)
{
    struct message *message = message_grow(NULL, capacity);
    if (message != NULL) {
        message->next = NULL;
        message->size = 0;
        message->kind = PIPC_DATA;
        message->at = 0;
    }
    return message;
}

struct message *message_of_data(void *data)
{
    return data == NULL ? NULL
                        : (struct message *)(void *)((char *)data - offsetof(struct message, data));
}

void message_free(struct message *message)
{
    if (message == NULL || message->at == 0) {
        sys_free(message);
        return;
    }
    struct block *block = (struct block *)(void *)((char *)message - message->at);
    if (atomic_fetch_sub(&block->users, 1) == 1)
        sys_free(block);
}

size_t block_cost(size_t message_size)
{
    return sizeof(struct message) + ((message_size + BLOCK_HEAD - 1) & ~(BLOCK_HEAD - 1));
}

struct block *block_new(size_t size)
{
    struct block *block = sys_alloc(size);
    if (block != NULL) {
        atomic_init(&block->users, 0);
        block->used = BLOCK_HEAD;
    }
    return block;
}

struct message *block_add(struct block *block, size_t message_size)
{
    struct message *message = (struct message *)(void *)((char *)block + block->used);
    *message = (struct message){
        .size = message_size, .capacity = message_size, .at = block->used, .kind = PIPC_DATA};
    unsigned users = atomic_load_explicit(&block->users, memory_order_relaxed);
    atomic_store_explicit(&block->users, users + 1, memory_order_relaxed);
    block->used += (uint32_t)block_cost(message_size);
    return message;
}

bool queue_has_room(const struct queue *queue, size_t size, size_t limit)
{
    if (queue->count == 0)
        return true;
    size_t used = queue->bytes + queue->count * QUEUE_COST;
    return used <= limit && limit - used >= QUEUE_COST && size <= limit - used - QUEUE_COST;
}

void queue_push(struct queue *queue, struct message *message)
{
    message->next = NULL;
    if (queue->last != NULL)
        queue->last->next = message;
    else
        queue->first = message;
    queue->last = message;
    queue->count++;
    queue->bytes += message->size;
}

struct message *queue_pop(struct queue *queue)
{
    struct message *message = queue->first;
    if (message == NULL)
        return NULL;
    queue->first = message->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->count--;
    queue->bytes -= message->size;
    return message;
}

void queue_clear(struct queue *queue)
{
    struct message *message;
    while ((message = queue_pop(queue)) != NULL)
        message_free(message);
}
