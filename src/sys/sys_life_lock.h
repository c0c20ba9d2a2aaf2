/* SPDX-License-Identifier: MIT */
/* Tokens of life that are locks (sys_life.h). Private to src/sys. */
#ifndef PIPC_SYS_LIFE_LOCK_H
#define PIPC_SYS_LIFE_LOCK_H

#include "sys/sys_life.h"

bool sys_life_is_same(const struct sys_life_file *file, int fd);
/* fcntl(2) with that command, for the lock of that number. */
int sys_life_lock(int fd, int command, short type, uint64_t number);
/* As sys_life_check, by F_GETLK or another command like it. */
enum sys_life sys_life_ask(const struct sys_life_file *file, int command, uint64_t number);
int sys_life_error(int error); /* of the calls above, as sys_life_begin has it */

#endif
