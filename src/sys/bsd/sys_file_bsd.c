/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "sys/sys_cancel.h"
#include "sys/sys_file.h"

#ifdef __APPLE__
NOCANCEL(int, mkfifo, (const char *path, mode_t mode), (path, mode))

/*
 * Before macOS 13 there is no mkfifoat. The directory may be moved meanwhile; then the caller, who
 * looks for the name in it, finds none.
 */
int sys_file_mkfifo(int directory, const char *name)
{
    char path[PATH_MAX], whole[PATH_MAX];
    if (directory == AT_FDCWD)
        return mkfifo_nocancel(name, 0600);
    if (fcntl_nocancel(directory, F_GETPATH, (intptr_t)path) != 0)
        return -1;
    int length = snprintf(whole, sizeof whole, "%s/%s", path, name);
    if (length < 0 || (size_t)length >= sizeof whole) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return mkfifo_nocancel(whole, 0600);
}
#else
NOCANCEL(int, mkfifoat, (int directory, const char *name, mode_t mode), (directory, name, mode))

int sys_file_mkfifo(int directory, const char *name)
{
    return mkfifoat_nocancel(directory, name, 0600);
}
#endif
#endif
