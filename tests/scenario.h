/* SPDX-License-Identifier: MIT */
/*
 * One script through all of pipc.h, for tests of faults: opening, messages of many sizes both
 * ways, waits, the descriptor, goodbye, end, closing. Every call may fail. The script still
 * asserts: only accepted messages arrive, whole, in order and once; none is lost unless a
 * direction is dead; a dead direction stays dead, with one errno; a descriptor that is not
 * readable has nothing to report; nothing is leaked. Its calls are armed (fault.h) and never wait
 * forever.
 */
#ifndef PIPC_TESTS_SCENARIO_H
#define PIPC_TESTS_SCENARIO_H

#include <stdbool.h>

#include "harness.h"

struct scenario_result {
    bool opened;
    bool complete; /* every step worked, and every message arrived */
    int error;     /* errno of the constructor when it failed */
};

/* What the script's own waits are: it runs in one thread, or in two that take turns. */
#define SCENARIO_WAIT_MS 50

struct scenario_result scenario_run(const struct kind *kind);

/* Of the pipes that it opens from now on. */
void scenario_flags(unsigned flags);

/* Only opening, a first call, and closing. */
struct scenario_result scenario_open(const struct kind *kind);

/* Printed when an assertion fails from here on; NULL: nothing. */
void scenario_name(const char *text);

#endif
