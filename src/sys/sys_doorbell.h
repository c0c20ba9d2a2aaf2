/* SPDX-License-Identifier: MIT */
/*
 * A doorbell wakes those whose set has it. It is two descriptors: of one eventfd, then they are
 * equal, or the ends of a pipe. It is shared with every child that inherited it. So neither its
 * flags nor what it holds decide anything here: ringing never blocks, and an eventfd is never read.
 * A set becomes readable with each ring, and stays so until the doorbell is drained in that set.
 */
#ifndef PIPC_SYS_DOORBELL_H
#define PIPC_SYS_DOORBELL_H

#include <stdbool.h>

int sys_doorbell_open(int bell[2]);
void sys_doorbell_close(int bell[2]);
/* False: the kernel lacks memory for it, which no eventfd needs; again later. Keeps errno. */
bool sys_doorbell_ring(const int bell[2]);
void sys_doorbell_drain(const int bell[2]); /* after a wait on a set that has it; keeps errno */

int sys_epoll_add_doorbell(int set, const int bell[2]);
/* Forget all rings so far. Returns whether `other`, a member of the set, is ready. Keeps errno. */
bool sys_epoll_drain_doorbell(int set, const int bell[2], int other);

#endif
