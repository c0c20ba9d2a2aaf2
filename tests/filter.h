/* SPDX-License-Identifier: MIT */
/*
 * The kernel of many years ago, or a sandbox: a filter (seccomp) that refuses what is newer. The
 * double of the seam refuses by call; this refuses by flag as well, in every thread, and also in what
 * the process forks or execs.
 */
#ifndef PIPC_TESTS_FILTER_H
#define PIPC_TESTS_FILTER_H

#include <stdbool.h>

/*
 * `names` are of filter_names(), with commas between; "" is none. It holds as long as the process lives.
 * False: no filter can be set up here, or there is no such name.
 */
bool filter_refuse(const char *names);
const char *filter_names(void); /* all of them, with commas between */

#endif
