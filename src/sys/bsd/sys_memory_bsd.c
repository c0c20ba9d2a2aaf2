/* SPDX-License-Identifier: MIT */
/*
 * Memory has a name for a moment (sys_memory.c), and its size can be changed by all who have it. So
 * none is taken from a stranger. It lies in no file system that could be full.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>

#include <sys/mman.h>

#include "sys/sys_cancel.h"
#include "sys/sys_memory.h"

#ifdef SHM_ANON
int sys_memory_open_unnamed(void)
{
    return shm_open_nocancel(SHM_ANON, O_RDWR, 0);
}
#else
int sys_memory_open_unnamed(void)
{
    errno = ENOSYS;
    return -1;
}
#endif

int sys_memory_give_pages(int fd, size_t size)
{
    return ftruncate(fd, (off_t)size);
}

/* Memory is not mapped beyond its end here. */
void *sys_memory_room(int fd, size_t offset, size_t first, size_t size)
{
    const int access = PROT_READ | PROT_WRITE;
    void *room = mmap(NULL, size, access, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (room == MAP_FAILED ||
        mmap(room, first, access, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) != MAP_FAILED)
        return room;
    int saved = errno;
    munmap(room, size);
    errno = saved;
    return MAP_FAILED;
}
#endif
