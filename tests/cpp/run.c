/* SPDX-License-Identifier: MIT */
/* Runs the tests of test_cpp.cpp. */
#include "cpp.h"
#include "harness.h"

void cpp_fail(const char *what, const char *file, int line)
{
    print_error("%s\n", what);
    _fail(file, line);
}

void cpp_skip_if_cancelling_confuses(void)
{
    harness_skip_if_cancelling_confuses();
}

#define RUN(name) IT(name),

HARNESS_MAIN("C++", CPP_TESTS(RUN))
