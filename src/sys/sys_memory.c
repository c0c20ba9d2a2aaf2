/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_random.h"
#include "sys/sys_signal.h"

/*
 * The size may be beyond the limit on the size of files: EFBIG, and the kernel would send
 * SIGXFSZ. On a file system that is full it fails now, instead of with SIGBUS later.
 */
static int give_size(int fd, size_t size, bool is_on_disk)
{
    struct sys_blocked blocked;
    sys_signal_block(&blocked, SIGXFSZ);
    int failed = is_on_disk ? sys_memory_give_pages(fd, size) : ftruncate(fd, (off_t)size);
    sys_signal_restore(&blocked, failed != 0 && errno == EFBIG);
    return failed == 0 ? 0 : -1;
}

static int memory_by_name(void)
{
    char name[sizeof "/pipc-" + 16]; /* 31 bytes is all that some systems take */
    uint64_t number;
    int fd;
    do {
        if (sys_random(&number, sizeof number) != 0)
            return -1;
        snprintf(name, sizeof name, "/pipc-%016llx", (unsigned long long)number);
        fd = shm_open_nocancel(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    } while (fd < 0 && errno == EEXIST);
    if (fd >= 0)
        shm_unlink(name);
    return fd;
}

int sys_memory_open(size_t size)
{
    int fd = sys_memory_open_unnamed();
    bool is_named = fd < 0 && (errno == ENOSYS || errno == EPERM);
    fd = sys_above_standard(is_named ? memory_by_name() : fd);
    if (fd < 0)
        return -1;
    if (give_size(fd, size, is_named) != 0) {
        sys_close(fd);
        return -1;
    }
    if (!is_named)
        sys_memory_seal(fd);
    return fd;
}

int sys_memory_open_sealed(size_t size)
{
    int fd = sys_above_standard(sys_memory_open_unnamed());
    if (fd < 0)
        return -1;
    bool is_sized = give_size(fd, size, false) == 0;
    if (is_sized) {
        sys_memory_seal(fd);
        if (sys_memory_is_sealed(fd, size))
            return fd;
        errno = ENOSYS;
    }
    sys_close(fd);
    return -1;
}

/* After mlockall, more than may be locked is EAGAIN. NULL: errno. */
static void *checked(void *memory)
{
    if (memory == MAP_FAILED && errno == EAGAIN)
        errno = ENOMEM;
    return memory == MAP_FAILED ? NULL : memory;
}

static size_t span_of(const struct sys_memory_layout *layout)
{
    return layout->head + (size_t)layout->rings * (layout->first + 2 * layout->ring);
}

static void *map_again(void *where, size_t size, const struct sys_memory_layout *layout,
                       size_t offset)
{
    const uint8_t *mapped = layout->mapped;
    return mapped == NULL ? NULL
                          : sys_memory_again(where, mapped + (offset - layout->offset), size);
}

/* In place of what is there. */
static bool map_file(void *where, size_t size, int fd, const struct sys_memory_layout *layout,
                     size_t offset)
{
    const int flags = MAP_SHARED | MAP_FIXED;
    return map_again(where, size, layout, offset) != NULL ||
           checked(mmap(where, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset)) != NULL;
}

/*
 * The file has the head and the rings one after the other. The room is right up to the end of the
 * first area's `first` bytes; the rest is laid over it. The second copy
 * of a ring and the first bytes of the next lie in a row in the file as well: one mapping.
 */
static bool map_copies(uint8_t *memory, int fd, const struct sys_memory_layout *layout, int number)
{
    size_t ring = layout->ring, offset = layout->offset + layout->head + (size_t)number * ring;
    size_t next = number + 1 < layout->rings ? layout->first : 0;
    memory += layout->head + layout->first + (size_t)number * (layout->first + 2 * ring);
    return map_file(memory, ring, fd, layout, offset) &&
           map_file(memory + ring, ring + next, fd, layout, offset);
}

static void *map_room(int fd, const struct sys_memory_layout *layout)
{
    void *room = map_again(NULL, span_of(layout), layout, layout->offset);
    return room != NULL ? room
                        : checked(sys_memory_room(fd, layout->offset, layout->head + layout->first,
                                                  span_of(layout)));
}

void *sys_memory_map(int fd, const struct sys_memory_layout *layout)
{
    uint8_t *memory = map_room(fd, layout);
    for (int i = 0; i < layout->rings && memory != NULL; i++)
        if (!map_copies(memory, fd, layout, i)) {
            sys_memory_unmap(memory, layout);
            memory = NULL;
        }
    return memory;
}

void sys_memory_unmap(void *memory, const struct sys_memory_layout *layout)
{
    int saved = errno;
    munmap(memory, span_of(layout));
    errno = saved;
}

size_t sys_page(void)
{
    long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (size_t)size : 4096;
}
