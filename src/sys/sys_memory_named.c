/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "sys/sys_cancel.h"
#include "sys/sys_memory.h"

NOCANCEL(int, posix_fallocate, (int fd, off_t offset, off_t size), (fd, offset, size))

int sys_memory_give_pages(int fd, size_t size)
{
    int failed;
    do
        failed = posix_fallocate_nocancel(fd, 0, (off_t)size);
    while (failed == EINTR);
    errno = failed;
    return failed == 0 ? 0 : -1;
}

/* A file can be mapped beyond its end. */
void *sys_memory_room(int fd, size_t offset, size_t first, size_t size)
{
    (void)first;
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
}
