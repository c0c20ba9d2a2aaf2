/* SPDX-License-Identifier: MIT */
#include "queue.h"

#include <errno.h>

#include "sys.h"

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
    sys_free(message);
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
