/* SPDX-License-Identifier: MIT */
/*
 * What the backend that libpipc is built with promises less than that of Linux. The manual has the
 * same ("What differs where"), and a test that needs it is skipped with the reason.
 */
#ifndef PIPC_TESTS_PLATFORM_H
#define PIPC_TESTS_PLATFORM_H

#include <stdbool.h>

enum platform_feature {
    PLATFORM_SETS,          /* the descriptor of pipc_fd can be in a set, also of edges */
    PLATFORM_EXACT,         /* and is readable only when there is something to do */
    PLATFORM_DEATH_IN_POLL, /* a death makes that of an anonymous pipe readable */
    PLATFORM_TOKENS,        /* closing descriptors does not look like a death */
    PLATFORM_ABSTRACT,      /* names that are no paths, long paths, and relative ones for good */
    PLATFORM_CREDENTIALS,
    PLATFORM_DESCRIPTORS, /* as few of them as the manual says */
    PLATFORM_SWITCH,      /* descriptors that nobody asked for do not come */
    PLATFORM_KEEPALIVE,
    PLATFORM_PIPES,    /* their size can be asked for, and no flag of theirs is changed */
    PLATFORM_RAW_FORK, /* a fork without handlers is noticed */
    PLATFORM_GIVEN_RIGHTS,
    PLATFORM_LINUX_CALLS /* the test refuses a call that is made on Linux alone */
};

bool platform_has(enum platform_feature feature);
/* The call that writes to a FIFO. */
#define PLATFORM_FIFO_WRITE (platform_has(PLATFORM_LINUX_CALLS) ? CALL_pwritev2 : CALL_writev)
/* Is it readable, within that time? Where that may be a guess, no. */
bool platform_wakes(int fd, int timeout_ms);
/* Ends the test as skipped where that is not promised. */
void platform_needs(enum platform_feature feature);

#endif
