/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <sys/types.h>

#include <sys/mman.h>

#include "sys/sys_memory.h"

#if !defined INHERIT_ZERO && defined MAP_INHERIT_ZERO
#define INHERIT_ZERO MAP_INHERIT_ZERO /* NetBSD */
#elif !defined INHERIT_ZERO
#define INHERIT_ZERO (-1) /* macOS has no such thing, and refuses this */
#endif

void *sys_page_wiped_on_fork(void)
{
    size_t size = sys_page();
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (minherit(page, size, INHERIT_ZERO) == 0)
        return page;
    munmap(page, size);
    return NULL;
}
#endif
