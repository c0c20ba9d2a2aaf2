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

#endif
