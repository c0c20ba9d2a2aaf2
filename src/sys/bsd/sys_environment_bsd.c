/* SPDX-License-Identifier: MIT */
#include "sys/sys_environment.h"

#include <unistd.h>

bool sys_was_given_rights(void)
{
    return issetugid() != 0;
}
