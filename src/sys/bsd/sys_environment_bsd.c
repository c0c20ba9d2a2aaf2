/* SPDX-License-Identifier: MIT */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_environment.h"

#include <unistd.h>

bool sys_was_given_rights(void)
{
    return issetugid() != 0;
}
#endif
