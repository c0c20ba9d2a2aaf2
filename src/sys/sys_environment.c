/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE 700
#include "sys/sys_environment.h"

#include <stdlib.h>
#include <unistd.h>

static bool has_ids_of_its_caller(void)
{
    return getuid() == geteuid() && getgid() == getegid();
}

const char *sys_environment(const char *name)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): only setenv beside it is, and a program knows that */
    return has_ids_of_its_caller() && !sys_was_given_rights() ? getenv(name) : NULL;
}
