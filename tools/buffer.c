/* SPDX-License-Identifier: MIT */
/* Bytes that are put in at one end and taken out at the other. */
#include "pipccat.h"
#include <stdlib.h>
#include <string.h>

size_t buffer_size(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

unsigned char *buffer_front(const struct buffer *buffer)
{
    return buffer->data == NULL ? NULL : buffer->data + buffer->start;
}

int buffer_reserve(struct buffer *buffer, size_t size)
{
    size_t used = buffer_size(buffer);
    if (buffer->capacity - buffer->end >= size && buffer->data != NULL)
        return 0;
    /* Moving costs little when most of the buffer is free. */
    if (buffer->data != NULL && buffer->capacity / 2 >= used && buffer->capacity - used >= size) {
        memmove(buffer->data, buffer_front(buffer), used);
        buffer->start = 0;
        buffer->end = used;
        return 0;
    }
    size_t capacity = buffer->capacity != 0 ? buffer->capacity : 4096;
    while (capacity < SIZE_MAX / 2 && capacity - used < size)
        capacity *= 2;
    unsigned char *data = malloc(capacity);
    if (data == NULL) {
        complain("no memory for %zu bytes", capacity);
        return -1;
    }
    if (used > 0)
        memcpy(data, buffer_front(buffer), used);
    free(buffer->data);
    *buffer = (struct buffer){data, 0, used, capacity};
    return 0;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    buffer->start += size;
    if (buffer->start == buffer->end)
        buffer->start = buffer->end = 0;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){NULL, 0, 0, 0};
}
