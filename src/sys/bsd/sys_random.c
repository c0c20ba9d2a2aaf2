/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_random.h"

#include <stdlib.h>

/* It cannot fail, and a child after fork gets others. */
int sys_random(void *bytes, size_t size)
{
    arc4random_buf(bytes, size);
    return 0;
}
#endif
