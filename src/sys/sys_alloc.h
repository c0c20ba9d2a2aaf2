/* SPDX-License-Identifier: MIT */
/* The allocator. */
#ifndef PIPC_SYS_ALLOC_H
#define PIPC_SYS_ALLOC_H

#include <stddef.h>

void *sys_alloc(size_t size); /* never NULL for want of bytes: 0 is taken as 1 */
void *sys_realloc(void *old, size_t size);
void sys_free(void *memory); /* keeps errno, so that clean-up never hides the first error */

#endif
