/* SPDX-License-Identifier: MIT */
/* The calling process and its user, and whether another process exists. */
#ifndef PIPC_SYS_PROCESS_H
#define PIPC_SYS_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

pid_t sys_process_id(void);
unsigned long sys_user_id(void);       /* the effective one */
bool sys_process_exists(long process); /* also when in doubt; keeps errno */

#endif
