/* SPDX-License-Identifier: MIT */
/* The environment, as far as a program may trust it. */
#ifndef PIPC_SYS_ENVIRONMENT_H
#define PIPC_SYS_ENVIRONMENT_H

#include <stdbool.h>

/*
 * The value of that variable. NULL: there is none, or the program has rights that whoever started
 * it may not have: a set-user-ID program must not write where its caller tells it to.
 */
const char *sys_environment(const char *name);
/* Of the system: the kernel gave this program rights when it started, by whatever means. */
bool sys_was_given_rights(void);

#endif
