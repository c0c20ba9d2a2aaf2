/* SPDX-License-Identifier: MIT */
#include "transport/share_memory.h"

#include <errno.h>

#include "sys/sys.h"

/*
 * Of all pipes of this process together: what a crowd of peers can make it use. The first ones get
 * memory whose rings can grow, for long messages.
 */
#define SHARE_TOTAL_MAX ((size_t)64 * 1024 * 1024)

_Static_assert(sizeof(struct share_page) == (size_t)12 * RING_APART_SIZE,
               "each word that matters stands alone");

static atomic_size_t total;
size_t share_large_max = SHARE_TOTAL_MAX / 2;

static struct sys_memory_layout layout_of(bool is_large)
{
    size_t page = sys_page();
    return (struct sys_memory_layout){.head = (sizeof(struct share_page) + page - 1) / page * page,
                                      .first = is_large ? RING_SIZE : 0,
                                      .ring = is_large ? RING_GROWN : RING_SIZE,
                                      .rings = 2};
}

/* So an offer says by its size which one it is. */
static size_t file_size(bool is_large)
{
    const struct sys_memory_layout layout = layout_of(is_large);
    return layout.head + 2 * layout.ring;
}

static bool reserve_total(bool is_large, size_t most, enum share_limit limit)
{
    size_t size = file_size(is_large);
    if (limit == SHARE_UNLIMITED)
        return true;
    if (atomic_fetch_add(&total, size) + size <= most)
        return true;
    atomic_fetch_sub(&total, size);
    errno = EDQUOT;
    return false;
}

static void release_total(bool is_large, enum share_limit limit)
{
    if (limit == SHARE_LIMITED)
        atomic_fetch_sub(&total, file_size(is_large));
}

static int map_memory(struct share_memory *memory, int fd, bool is_large)
{
    const struct sys_memory_layout map = layout_of(is_large);
    uint8_t *bytes = sys_memory_map(fd, &map);
    if (bytes == NULL)
        return -1;
    memory->page = (struct share_page *)(void *)bytes;
    memory->data[0] = bytes + map.head;
    memory->data[1] = memory->data[0] + map.first + 2 * map.ring;
    memory->is_large = is_large;
    return 0;
}

static void unmap_memory(struct share_memory *memory)
{
    const struct sys_memory_layout map = layout_of(memory->is_large);
    sys_memory_unmap(memory->page, &map);
    *memory = (struct share_memory){.page = NULL};
}

static void write_head(const struct share_memory *memory)
{
    for (int i = 0; i < 2 && !memory->is_large; i++)
        atomic_store(&memory->page->ring[i].grown, RING_AREA_KEPT);
    atomic_store(&memory->page->magic, SHARE_MAGIC);
}

int share_memory_make(struct share_memory *memory, enum share_limit limit)
{
    bool is_large = reserve_total(true, share_large_max, limit);
    if (!is_large && !reserve_total(false, SHARE_TOTAL_MAX, limit))
        return -1;
    int fd = sys_memory_open_sealed(file_size(is_large));
    if (fd >= 0 && map_memory(memory, fd, is_large) == 0) {
        memory->limit = limit;
        write_head(memory);
        return fd;
    }
    release_total(is_large, limit);
    sys_close(fd);
    return -1;
}

/* Which of the two it may be. -1: none. */
static int find_size(int fd, bool *is_large)
{
    *is_large = sys_memory_is_sealed(fd, file_size(true));
    if (*is_large || sys_memory_is_sealed(fd, file_size(false)))
        return 0;
    errno = EINVAL;
    return -1;
}

static int map_offer(struct share_memory *memory, int fd, bool is_large)
{
    if (map_memory(memory, fd, is_large) != 0)
        return -1;
    if (atomic_load(&memory->page->magic) == SHARE_MAGIC)
        return 0;
    unmap_memory(memory);
    errno = EINVAL;
    return -1;
}

int share_memory_take(struct share_memory *memory, int fd, enum share_limit limit)
{
    bool is_large;
    if (find_size(fd, &is_large) != 0 || !reserve_total(is_large, SHARE_TOTAL_MAX, limit))
        return -1;
    memory->limit = limit;
    if (map_offer(memory, fd, is_large) == 0)
        return 0;
    release_total(is_large, limit);
    return -1;
}

void share_memory_drop(const struct share_memory *memory, unsigned end)
{
    const struct sys_memory_layout map = layout_of(memory->is_large);
    sys_memory_drop(memory->data[end] + map.first, map.ring);
}

bool share_memory_is_offered(int fd)
{
    struct share_memory memory;
    bool is_large;
    int saved = errno;
    bool is_offered = find_size(fd, &is_large) == 0 && map_offer(&memory, fd, is_large) == 0;
    if (is_offered)
        unmap_memory(&memory);
    errno = saved;
    return is_offered;
}

void share_memory_give_up(struct share_memory *memory)
{
    if (memory->page == NULL)
        return;
    release_total(memory->is_large, memory->limit);
    unmap_memory(memory);
}
