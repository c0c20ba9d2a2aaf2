/* SPDX-License-Identifier: MIT */
/* Other rights than those of set-user-ID are not known to POSIX. */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_environment.h"

bool sys_was_given_rights(void)
{
    return false;
}
#endif
