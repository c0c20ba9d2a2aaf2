/* SPDX-License-Identifier: MIT */
/* Memory that processes share over fork, behind a descriptor. It cannot shrink under us. */
#ifndef PIPC_SYS_MEMORY_H
#define PIPC_SYS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

int sys_memory_open(size_t size);
/*
 * The same for a stranger, who checks it: its size can never change, and everybody may write. -1:
 * errno; ENOSYS and EPERM where the system has no such memory.
 */
int sys_memory_open_sealed(size_t size);
/*
 * What came from a stranger: is it such memory, of that size, in the page cache? If so, no access
 * to it can fail for what others do. Never waits, whatever the descriptor is. Keeps errno.
 */
bool sys_memory_is_sealed(int fd, size_t size);
/*
 * Map a head of `head` bytes followed by `rings` areas of `ring` bytes: of each of them the first
 * `first` bytes, and then all of it twice, so that a span which wraps in either is contiguous. All
 * sizes are multiples of sys_page().
 */
struct sys_memory_layout {
    size_t head, first, ring;
    int rings;
    size_t offset;      /* of all that in the file */
    const void *mapped; /* it has been mapped here before, and the descriptor may be gone */
};
void *sys_memory_map(int fd, const struct sys_memory_layout *layout);
void sys_memory_unmap(void *memory, const struct sys_memory_layout *layout);
size_t sys_page(void);
/* Give pages of such memory back, of all who map it: they read as zeros. If possible. */
void sys_memory_drop(void *pages, size_t size);

/* A page that reads as zeros in a child after fork. NULL where the kernel has no such thing. */
void *sys_page_wiped_on_fork(void);

/* Private to src/sys: memory without a name, to be sized and sealed. ENOSYS, EPERM: not here. */
int sys_memory_open_unnamed(void);
void sys_memory_seal(int fd); /* nobody can change its size from here on, where that is possible */
/* Of memory that has a name: all of its pages, now. -1: errno. */
int sys_memory_give_pages(int fd, size_t size);
/*
 * Room for so many bytes, of which the first are those of the file from `offset` on, and what the
 * rest is does not matter. Fails as mmap(2) does.
 */
void *sys_memory_room(int fd, size_t offset, size_t first, size_t size);
/*
 * Without the descriptor: what is mapped at `from`, and so much of what follows in the file, once
 * more, in place of what is at `where`, or anywhere for NULL. NULL: there is no such way.
 */
void *sys_memory_again(void *where, const void *from, size_t size);

#endif
