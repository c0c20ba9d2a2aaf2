/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "sys/linux/sys_linux.h"
#include "sys/sys_memory.h"

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
