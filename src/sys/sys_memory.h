/* SPDX-License-Identifier: MIT */
/* Memory that processes share over fork, behind a descriptor. It cannot shrink under us. */
#ifndef PIPC_SYS_MEMORY_H
#define PIPC_SYS_MEMORY_H

#include <stddef.h>

int sys_memory_open(size_t size);
/*
 * Map a head of `head` bytes followed by `rings` areas of `ring` bytes, each of them twice in a
 * row, so that a span which wraps is contiguous. All sizes are multiples of sys_page().
 */
void *sys_memory_map(int fd, size_t head, size_t ring, int rings);
void sys_memory_unmap(void *memory, size_t head, size_t ring, int rings);
size_t sys_page(void);

/* A page that reads as zeros in a child after fork. NULL where the kernel has no such thing. */
void *sys_page_wiped_on_fork(void);

/* Private to src/sys: memory without a name, to be sized and sealed. ENOSYS, EPERM: not here. */
int sys_memory_open_unnamed(void);
void sys_memory_seal(int fd); /* nobody can change its size from here on, where that is possible */

#endif
