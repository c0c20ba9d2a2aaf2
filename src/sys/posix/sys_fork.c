/* SPDX-License-Identifier: MIT */
#include "sys/sys_memory.h"

void *sys_page_wiped_on_fork(void)
{
    return NULL;
}
