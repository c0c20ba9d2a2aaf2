/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_memory.h"

void *sys_page_wiped_on_fork(void)
{
    return NULL;
}
#endif
