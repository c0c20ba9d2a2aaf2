/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_process.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

pid_t sys_process_id(void)
{
    return getpid();
}

unsigned long sys_user_id(void)
{
    return geteuid();
}

bool sys_process_exists(long process)
{
    int saved = errno;
    bool exists = kill((pid_t)process, 0) == 0 || errno != ESRCH;
    errno = saved;
    return exists;
}
