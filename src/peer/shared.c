/* SPDX-License-Identifier: MIT */
#include "peer/shared.h"

#include "sys/sys.h"

static size_t head_size(void)
{
    size_t page = sys_page();
    return (sizeof(struct shared_page) + page - 1) / page * page;
}

static struct sys_memory_layout layout(void)
{
    return (struct sys_memory_layout){
        .head = head_size(), .first = RING_SIZE, .ring = RING_GROWN, .rings = 2};
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
    int fd = sys_memory_open(map.head + 2 * RING_GROWN);
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
    shared->data[0] = memory + map.head;
    shared->data[1] = shared->data[0] + RING_SPAN;
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
