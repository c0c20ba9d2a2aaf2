/* SPDX-License-Identifier: MIT */
/*
 * without NAMES COMMAND...: runs the command where the system calls of these names (commas between)
 * are refused. A launcher for tests: -DPIPC_LAUNCHER='.../without;nosignal,nowait'. 77: it cannot
 * be done here.
 */
#include <stdio.h>
#include <unistd.h>

#include "filter.h"

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: without NAMES COMMAND...\nNAMES: of %s\n", filter_names());
        return 2;
    }
    if (!filter_refuse(argv[1])) {
        fprintf(stderr, "without: no filter can be set up here for %s\n", argv[1]);
        return 77;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
