/* SPDX-License-Identifier: MIT */
/*
 * What Linux has and these systems lack, or have in a way that is of no use here: what it takes to
 * share memory with a stranger, whose size can be changed by all who have it; a second mapping
 * without the descriptor; a rename that takes no place; switches of a socket for descriptors; and
 * a number for the namespace of process ids.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <errno.h>

#include "sys/sys_file.h"
#include "sys/sys_life.h"
#include "sys/sys_memory.h"
#include "sys/sys_rights.h"

void sys_memory_seal(int fd)
{
    (void)fd;
}

void *sys_memory_again(void *where, const void *from, size_t size)
{
    (void)where;
    (void)from;
    (void)size;
    return NULL;
}

void sys_memory_drop(void *pages, size_t size)
{
    (void)pages;
    (void)size;
}

bool sys_memory_is_sealed(int fd, size_t size)
{
    (void)fd;
    (void)size;
    return false;
}

int sys_file_rename_new(int directory, const char *from, const char *to)
{
    (void)directory;
    (void)from;
    (void)to;
    errno = ENOSYS;
    return -1;
}

void sys_rights_permit(int fd, bool permit)
{
    (void)fd;
    (void)permit;
}

bool sys_rights_are_permitted(int fd)
{
    (void)fd;
    return true;
}

void sys_rights_prepare(int fd)
{
    (void)fd;
}

uint64_t sys_process_namespace(void)
{
    return 0;
}
#endif
