/* SPDX-License-Identifier: MIT */
/*
 * A second thread that makes calls in the place of the first, one at a time: so both sides of a
 * pipc_open take turns in an order that the input decides. It lives as long as the program.
 */
#ifndef PIPC_TESTS_FUZZ_LOCKSTEP_H
#define PIPC_TESTS_FUZZ_LOCKSTEP_H

/* Calls the function in the second thread, and waits for it. */
void lockstep_run(void (*step)(void *context), void *context);
/* The same in two parts, for steps that run beside what the first thread does. */
void lockstep_start(void (*step)(void *context), void *context);
void lockstep_wait(void);

#endif
