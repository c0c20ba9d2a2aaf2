/* SPDX-License-Identifier: MIT */
#include "peer/shared.h"

#include <errno.h>

#include "sys/sys.h"

static size_t head_size(void)
{
    size_t page = sys_page();
    return (sizeof(struct shared_page) + page - 1) / page * page;
}

/* All of the file once: each mapping more takes longer than all else that opens a pipe. */
static struct sys_memory_layout layout(void)
{
    return (struct sys_memory_layout){.head = head_size() + 2 * RING_GROWN};
}

static struct sys_memory_layout layout_of_ring(const struct shared *shared, unsigned ring)
{
    return (struct sys_memory_layout){.first = RING_SIZE,
                                      .ring = RING_GROWN,
                                      .rings = 1,
                                      .offset = head_size() + ring * RING_GROWN,
                                      .mapped = shared->data[ring]};
}

static int open_doorbells(struct shared *shared)
{
    if (sys_doorbell_open(shared->doorbell[0]) != 0)
        return -1;
    if (sys_doorbell_open(shared->doorbell[1]) == 0)
        return 0;
    sys_doorbell_close(shared->doorbell[0]);
    return -1;
}

static int open_memory(struct shared *shared)
{
    const struct sys_memory_layout map = layout();
    int fd = sys_memory_open(map.head);
    if (fd < 0)
        return -1;
    uint8_t *memory = NULL;
    if (sys_life_open(&shared->memory, fd) == 0)
        memory = sys_memory_map(fd, &map);
    if (memory == NULL) {
        sys_close(fd);
        return -1;
    }
    shared->page = (struct shared_page *)(void *)memory;
    atomic_store(&shared->page->magic, SHARED_MAGIC);
    shared->data[0] = memory + head_size();
    shared->data[1] = shared->data[0] + RING_GROWN;
    return 0;
}

static void unmap_memory(struct shared *shared)
{
    const struct sys_memory_layout map = layout();
    sys_memory_unmap(shared->page, &map);
    sys_close(shared->memory.fd);
}

int shared_open(struct shared *shared)
{
    if (open_memory(shared) != 0)
        return -1;
    if (open_doorbells(shared) == 0)
        return 0;
    unmap_memory(shared);
    return -1;
}

void shared_close(struct shared *shared)
{
    sys_doorbell_close(shared->doorbell[0]);
    sys_doorbell_close(shared->doorbell[1]);
    unmap_memory(shared);
}

uint8_t *shared_map_ring(const struct shared *shared, unsigned ring)
{
    const struct sys_memory_layout map = layout_of_ring(shared, ring);
    int fd = sys_life_is_open(&shared->memory) ? shared->memory.fd : -1;
    uint8_t *mapping = sys_memory_map(fd, &map);
    if (mapping == NULL)
        errno = ENOMEM; /* passes; it may be said in other ways */
    return mapping;
}

void shared_unmap_ring(uint8_t *mapping)
{
    const struct sys_memory_layout map = {.first = RING_SIZE, .ring = RING_GROWN, .rings = 1};
    if (mapping != NULL)
        sys_memory_unmap(mapping, &map);
}
