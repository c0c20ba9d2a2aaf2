/* SPDX-License-Identifier: MIT */
/*
 * For a process that misuses the anonymous pipe it inherited: it finds the descriptors and the
 * memory as an attacker would. And what the survivor must show afterwards.
 */
#ifndef PIPC_TESTS_HOSTILE_H
#define PIPC_TESTS_HOSTILE_H

#include "anonymous.h"

#include "peer/shared.h"

struct hostile_fds {
    int fd[64], count;
};

/* The descriptors of the library in this process whose names contain the word: "pipc" for the
 * memory, "eventfd"; "" for all. */
struct hostile_fds hostile_list(const char *word);
struct shared_page *hostile_page(void);                   /* where it is mapped in this process */
void hostile_free_end(struct shared_page *page, int end); /* without a goodbye */

/* --- The survivor ----------------------------------------------------------------------------- */

void expect_within(int64_t begin_ms, int ms, const char *what);
void expect_no_spin(pipc_t *pipe); /* in a level-triggered loop that goes on after the end */

#endif
