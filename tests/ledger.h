/* SPDX-License-Identifier: MIT */
/*
 * Which blocks the library and the test hold. Fault injection enters and strikes them;
 * harness_heap_blocks and similar calls (harness.h) return the sums.
 */
#ifndef PIPC_TESTS_LEDGER_H
#define PIPC_TESTS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>

void ledger_enter(const void *block, size_t size); /* NULL is nothing */

/* Whether the block was entered; those that the C library made were not. */
bool ledger_strike(const void *block, size_t *size);

/* The thread is in a function of the C library that keeps memory. In a static program its calls of
 * malloc are replaced as well, but they are not the library's: none fails, and none is entered. */
extern _Thread_local bool ledger_is_away;

/* The thread frees memory. A static musl does it with a munmap that is replaced as well, after an
 * mmap that is not. */
extern _Thread_local bool ledger_in_heap;

#endif
