/* SPDX-License-Identifier: MIT */
#include "channel/queue.h"

#include <errno.h>

#include "codec/frame.h"
#include "sys/sys.h"

#define ALIGNMENT _Alignof(struct message)

struct message *message_grow(struct message *message, size_t capacity)
{
    if (capacity > SIZE_MAX - sizeof *message) {
        errno = ENOMEM;
        return NULL;
    }
    struct message *grown = sys_realloc(message, sizeof *message + capacity);
    if (grown != NULL)
        grown->capacity = capacity;
    return grown;
}

static void init_message(struct message *message, size_t size, size_t at)
{
    message->next = NULL;
    message->size = size;
    message->kind = PIPC_DATA;
    message->fds = 0;
    message->at = (uint16_t)at;
}

struct message *message_new(size_t capacity)
{
    struct message *message = message_grow(NULL, capacity);
    if (message != NULL) {
        init_message(message, 0, 0);
        atomic_init(&message->sharers, 1);
    }
    return message;
}

struct message *message_of_data(void *data)
{
    return data == NULL ? NULL
                        : (struct message *)(void *)((char *)data - offsetof(struct message, data));
}

static struct message *first_of_block(struct message *message)
{
    return (struct message *)(void *)((char *)message - message->at);
}

void message_free(struct message *message)
{
    if (message == NULL)
        return;
    struct message *first = first_of_block(message);
    if (atomic_load(&first->sharers) == 1 || atomic_fetch_sub(&first->sharers, 1) == 1)
        sys_free(first);
}

size_t block_cost(size_t message_size)
{
    return sizeof(struct message) + ((message_size + ALIGNMENT - 1) & ~(ALIGNMENT - 1));
}

bool block_open(struct block *block, size_t size, size_t count)
{
    *block = (struct block){sys_alloc(size), 0};
    if (block->first == NULL)
        return false;
    atomic_init(&block->first->sharers, (unsigned)count);
    return true;
}

struct message *block_add(struct block *block, size_t message_size)
{
    struct message *message = (struct message *)(void *)((char *)block->first + block->used);
    init_message(message, message_size, block->used);
    message->capacity = message_size;
    block->used += block_cost(message_size);
    return message;
}

bool queue_has_room(const struct queue *queue, size_t size, size_t limit)
{
    if (queue->count == 0)
        return true;
    size_t used = queue->bytes + queue->count * QUEUE_COST;
    return used <= limit && limit - used >= QUEUE_COST && size <= limit - used - QUEUE_COST;
}

static void set_first(struct queue *queue, struct message *message)
{
    queue->first = message;
    queue->block = message == NULL ? NULL : first_of_block(message);
}

void queue_append(struct queue *queue, struct message *first, struct message *last, size_t count,
                  size_t bytes)
{
    if (queue->last != NULL)
        queue->last->next = first;
    else
        set_first(queue, first);
    queue->last = last;
    queue->count += count;
    queue->bytes += bytes;
}

void queue_push(struct queue *queue, struct message *message)
{
    message->next = NULL;
    queue_append(queue, message, message, 1, message->size);
}

void queue_drop(struct queue *queue, struct message *next, size_t count, size_t bytes)
{
    set_first(queue, next);
    if (next == NULL)
        queue->last = NULL;
    queue->count -= count;
    queue->bytes -= bytes;
}

struct message *queue_pop(struct queue *queue)
{
    struct message *message = queue->first;
    if (message != NULL)
        queue_drop(queue, message->next, 1, message->size);
    return message;
}

void queue_clear(struct queue *queue)
{
    struct message *message;
    while ((message = queue_pop(queue)) != NULL)
        message_free(message);
}

void unread_free(struct unread *unread)
{
    queue_clear(&unread->queue);
    message_free(unread->bye);
    *unread = (struct unread){0};
}

size_t unread_cost(const struct unread *unread)
{
    return unread->queue.bytes + unread->queue.count * QUEUE_COST;
}

const char *message_bye_text(const struct message *bye)
{
    return bye == NULL ? NULL : (const char *)bye->data + FRAME_BYE_SIZE;
}
