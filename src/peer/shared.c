/* SPDX-License-Identifier: MIT */
#include "peer/shared.h"

#include "sys/sys.h"

static size_t head_size(void)
{
    size_t page = sys_page();
    return (sizeof(struct shared_page) + page - 1) / page * page;
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
    int fd = sys_memory_open(head_size() + 2 * RING_SIZE);
    if (fd < 0)
        return -1;
    uint8_t *memory = NULL;
    if (sys_life_open(&shared->memory, fd) == 0)
        memory = sys_memory_map(fd, head_size(), RING_SIZE, 2);
    if (memory == NULL) {
        sys_close(fd);
        return -1;
    }
    shared->page = (struct shared_page *)(void *)memory;
    shared->data[0] = memory + head_size();
    shared->data[1] = shared->data[0] + 2 * RING_SIZE;
    return 0;
}

int shared_open(struct shared *shared)
{
    if (open_memory(shared) != 0)
        return -1;
    if (open_doorbells(shared) == 0)
        return 0;
    sys_memory_unmap(shared->page, head_size(), RING_SIZE, 2);
    sys_close(shared->memory.fd);
    return -1;
}

void shared_close(struct shared *shared)
{
    sys_doorbell_close(shared->doorbell[0]);
    sys_doorbell_close(shared->doorbell[1]);
    sys_memory_unmap(shared->page, head_size(), RING_SIZE, 2);
    sys_close(shared->memory.fd);
}
