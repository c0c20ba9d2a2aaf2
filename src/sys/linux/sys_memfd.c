/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "sys/linux/sys_linux.h"
#include "sys/sys_memory.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#define TMPFS_TYPE 0x01021994 /* linux/magic.h */

enum {
    SEALS_NEEDED = F_SEAL_SHRINK | F_SEAL_GROW,
    SEALS_REFUSED = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE
};

int sys_memory_open_unnamed(void)
{
    return memfd_create("pipc", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/* Another holder of the descriptor must not be able to take pages away. */
void sys_memory_seal(int fd)
{
    int saved = errno;
    fcntl_nocancel(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    errno = saved;
}

void sys_memory_drop(void *pages, size_t size)
{
    int saved = errno;
    madvise(pages, size, MADV_REMOVE);
    errno = saved;
}

/* Of a shared mapping, 0 bytes make a second one (valgrind refuses that). */
void *sys_memory_again(void *where, const void *from, size_t size)
{
    int saved = errno;
    int flags = MREMAP_MAYMOVE | (where == NULL ? 0 : MREMAP_FIXED);
    void *memory = mremap((void *)(uintptr_t)from, 0, size, flags, where);
    errno = saved;
    return memory == MAP_FAILED ? NULL : memory;
}

/*
 * The seals come first: only files in memory have any, and these answer at once. Of the two kinds,
 * huge pages can be taken away (a hole there is SIGBUS where no page is free), those of tmpfs not.
 */
bool sys_memory_is_sealed(int fd, size_t size)
{
    struct statfs system;
    struct stat status;
    int saved = errno;
    int seals = fcntl_nocancel(fd, F_GET_SEALS, 0);
    bool is_sealed = seals >= 0 && (seals & SEALS_NEEDED) == SEALS_NEEDED &&
                     (seals & SEALS_REFUSED) == 0 && fstatfs(fd, &system) == 0 &&
                     system.f_type == TMPFS_TYPE && fstat_nocancel(fd, &status) == 0 &&
                     (uintmax_t)status.st_size == size;
    errno = saved;
    return is_sealed;
}
