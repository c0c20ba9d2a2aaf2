/* SPDX-License-Identifier: MIT */
/* Random bytes that an attacker cannot guess. */
#ifndef PIPC_SYS_RANDOM_H
#define PIPC_SYS_RANDOM_H

#include <stddef.h>

int sys_random(void *bytes, size_t size);

#endif
