/* SPDX-License-Identifier: MIT */
/*
 * Descriptors, whatever is behind them. Those that the seam opens are above 2: 0, 1 and 2 belong to
 * the program, also when it has closed them.
 */
#ifndef PIPC_SYS_DESCRIPTOR_H
#define PIPC_SYS_DESCRIPTOR_H

#include <stdbool.h>

/*
 * Moves what the seam has opened above 2 if it is not. EMFILE: there is no room, and it is closed.
 * A negative fd is handed back.
 */
int sys_above_standard(int fd);
int sys_both_above_standard(int fd[2]); /* the same for two, of which both or none stay open */
/* Is there room for one more? For what must not be accepted when it would be lost. `fd`: any. */
int sys_room_above_standard(int fd);
int sys_check_modes(int in, int out); /* EINVAL: not open for reading, or not for writing */
int sys_nonblock(int fd, bool on);    /* what it was before: 0 or 1 */
/* Takes O_NONBLOCK from a socket of the seam that nobody else has, and that has no other flag. */
int sys_block_own(int fd);
void sys_close(int fd); /* keeps errno; a negative fd is nothing */

#endif
