/* SPDX-License-Identifier: MIT */
/*
 * An old kernel, or a sandbox: a seccomp filter that refuses newer system calls. Fault injection
 * makes single calls fail in one thread; the filter also refuses flags, in every thread, and in all
 * that the process forks or executes.
 */
#ifndef PIPC_TESTS_FILTER_H
#define PIPC_TESTS_FILTER_H

#include <stdbool.h>

/*
 * Refuses the calls in `names` (of filter_names(), separated by commas; "" is none) until the
 * process ends. False: this system allows no filter, or a name is unknown.
 */
bool filter_refuse(const char *names);
const char *filter_names(void); /* all of them, separated by commas */

#endif
