/* SPDX-License-Identifier: MIT */
/* What Linux adds to sys_file.c. The C library may have no function for it. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <stdio.h>

#include "sys/linux/sys_linux.h"
#include "sys/sys_file.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* Linux 6.6, with this number on each machine but Alpha */
#endif

int sys_file_rename_new(int directory, const char *from, const char *to)
{
    return (int)syscall(SYS_renameat2, (long)directory, from, (long)directory, to,
                        (long)RENAME_NOREPLACE);
}

int sys_linux_set_access(int file, unsigned access)
{
    return (int)syscall(SYS_fchmodat2, (long)file, "", (long)access, (long)AT_EMPTY_PATH);
}
