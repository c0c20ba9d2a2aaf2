/* SPDX-License-Identifier: MIT */
/* What sys_file.c does better where the system knows how. POSIX does not. */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <errno.h>

#include "sys/sys_file.h"

int sys_file_rename_new(int directory, const char *from, const char *to)
{
    (void)directory;
    (void)from;
    (void)to;
    errno = ENOSYS;
    return -1;
}
#endif
