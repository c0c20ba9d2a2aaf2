/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_cancel.h"
#include "sys/sys_file.h"

NOCANCEL(int, mkfifoat, (int directory, const char *name, mode_t mode), (directory, name, mode))

int sys_file_mkfifo(int directory, const char *name)
{
    return mkfifoat_nocancel(directory, name, 0600);
}
