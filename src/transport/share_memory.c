/* SPDX-License-Identifier: MIT */
#include "transport/share_memory.h"

#include <errno.h>

#include "sys/sys.h"

/* Of all pipes of this process together: what a crowd of peers can make it use. */
#define SHARE_TOTAL_MAX ((size_t)64 * 1024 * 1024)

/* Changes with all that both sides have to agree on. */
#define SHARE_MAGIC (UINT64_C(0x7069706320310000) + sizeof(struct share_page))

_Static_assert(sizeof(struct share_page) == (size_t)12 * RING_APART_SIZE,
               "each word that matters stands alone");

static atomic_size_t total;

static size_t share_head_size(void)
{
    size_t page = sys_page();
    return (sizeof(struct share_page) + page - 1) / page * page;
}

static struct sys_memory_layout share_layout(void)
{
    return (struct sys_memory_layout){
        .head = share_head_size(), .first = RING_SIZE, .ring = RING_GROWN, .rings = 2};
}

static size_t file_size(void)
{
    return share_head_size() + 2 * RING_GROWN;
}

static int reserve_total(void)
{
    if (atomic_fetch_add(&total, file_size()) + file_size() <= SHARE_TOTAL_MAX)
        return 0;
    atomic_fetch_sub(&total, file_size());
    errno = EDQUOT;
    return -1;
}

static int map_memory(struct share_memory *memory, int fd)
{
    const struct sys_memory_layout map = share_layout();
    uint8_t *bytes = sys_memory_map(fd, &map);
    if (bytes == NULL)
        return -1;
    memory->page = (struct share_page *)(void *)bytes;
    memory->data[0] = bytes + map.head;
    memory->data[1] = memory->data[0] + RING_SPAN;
    return 0;
}

int share_memory_make(struct share_memory *memory)
{
    if (reserve_total() != 0)
        return -1;
    int fd = sys_memory_open_sealed(file_size());
    if (fd >= 0 && map_memory(memory, fd) == 0) {
        atomic_store(&memory->page->magic, SHARE_MAGIC);
        return fd;
    }
    atomic_fetch_sub(&total, file_size());
    sys_close(fd);
    return -1;
}

int share_memory_take(struct share_memory *memory, int fd)
{
    if (!sys_memory_is_sealed(fd, file_size())) {
        errno = EINVAL;
        return -1;
    }
    if (reserve_total() != 0)
        return -1;
    if (map_memory(memory, fd) != 0) {
        atomic_fetch_sub(&total, file_size());
        return -1;
    }
    if (atomic_load(&memory->page->magic) == SHARE_MAGIC)
        return 0;
    share_memory_give_up(memory);
    errno = EINVAL;
    return -1;
}

void share_memory_give_up(struct share_memory *memory)
{
    if (memory->page == NULL)
        return;
    const struct sys_memory_layout map = share_layout();
    sys_memory_unmap(memory->page, &map);
    atomic_fetch_sub(&total, file_size());
    *memory = (struct share_memory){.page = NULL};
}

bool share_memory_is_offered(int fd)
{
    struct share_memory memory;
    int saved = errno;
    bool is_offered = share_memory_take(&memory, fd) == 0;
    if (is_offered)
        share_memory_give_up(&memory);
    errno = saved;
    return is_offered;
}
