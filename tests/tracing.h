/* SPDX-License-Identifier: MIT */
/* What tests of the trace share: a file that PIPC_TRACE names, and what is in it. */
#ifndef PIPC_TESTS_TRACING_H
#define PIPC_TESTS_TRACING_H

#include <sys/stat.h>

#include "harness.h"

struct tracing {
    char directory[64], file[96];
};

/* A new directory, and PIPC_TRACE for a file in it. Before the library is used at all. */
void tracing_begin(struct tracing *tracing);
/* Closes the descriptor that the library keeps, and removes file and directory. */
void tracing_end(const struct tracing *tracing);
/* The descriptor of this process that has that file open; -1: none. */
int tracing_descriptor(const struct tracing *tracing);
bool tracing_leads_to(int fd, const struct stat *file); /* it has that very file open */

/* Two lines: a pipe is opened and closed. For harness_fork and threads; 0: it worked. */
int tracing_use_library(void *unused);

/* The file, with a zero behind it; "" if there is none. In a static buffer. */
const char *tracing_text(const struct tracing *tracing);
/* How many lines match, from the number of the handle on (fnmatch). */
int tracing_count(const struct tracing *tracing, const char *pattern);
void tracing_assert(const struct tracing *tracing, const char *pattern); /* there is one at least */
/* Each line of the text is a whole one: time, process, handle, event. */
void tracing_assert_whole_lines(const char *text);

#endif
