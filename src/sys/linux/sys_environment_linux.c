/* SPDX-License-Identifier: MIT */
/* What secure_getenv asks too: set-user-ID, capabilities of the file, a transition of SELinux. */
#include "sys/sys_environment.h"

#include <sys/auxv.h>

bool sys_was_given_rights(void)
{
    return getauxval(AT_SECURE) != 0;
}
