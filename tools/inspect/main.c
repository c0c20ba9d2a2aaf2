/* SPDX-License-Identifier: MIT */
/* The command line of pipc-inspect(1). */
#include "inspect.h"
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pipc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"json", no_argument, NULL, 'j'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const char help_text[] =
    "usage: pipc-inspect [OPTION...] PID\n"
    "Lists the pipes of a running process, without stopping it: kind, peer, unread bytes, and who\n"
    "waits for what. Unread bytes in shared memory and in pipes need the permission to trace it.\n"
    "\n"
    "  -j, --json             for programs\n"
    "  -h, --help, -V, --version\n"
    "Exit codes: 0 the pipes are listed, 1 output or memory failed, 2 wrong usage, 3 no such\n"
    "process, 4 no permission. More: man pipc-inspect\n";

static enum code usage(const char *what)
{
    fprintf(stderr, "pipc-inspect: %s; see pipc-inspect --help\n", what);
    return CODE_USAGE;
}

static enum code finish(enum code code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    fprintf(stderr, "pipc-inspect: standard output: %s\n", strerror(errno));
    return CODE_LOCAL;
}

static enum code complain(enum code code, pid_t pid, const char *why)
{
    fprintf(stderr, "pipc-inspect: process %ld: %s\n", (long)pid, why);
    return code;
}

static enum code inspect(pid_t pid, bool as_json)
{
    struct target target;
    struct list list = {.rows = NULL};
    enum code code = target_open(&target, pid);
    if (code == CODE_NO_PROCESS && access("/proc/self", F_OK) != 0)
        return complain(code, pid, "/proc is not mounted");
    if (code != CODE_OK)
        return complain(code, pid, strerror(code == CODE_NO_PROCESS ? ESRCH : errno));
    list_make(&list, &target);
    bool lives = target_lives(&target);
    close(target.directory);
    if (!lives)
        code = complain(CODE_NO_PROCESS, pid, "it has ended");
    else if (list.failed)
        code = complain(CODE_LOCAL, pid, strerror(ENOMEM));
    else if (list.is_denied && list.count == 0)
        code = complain(CODE_DENIED, pid, "its descriptors may not be read");
    else if (as_json)
        print_json(&target, &list);
    else
        print_text(&target, &list);
    free(list.rows);
    return finish(code);
}

static bool parse_pid(const char *text, pid_t *pid)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    *pid = (pid_t)number;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && number > 0 &&
           number <= INT_MAX;
}

static enum code run(int argc, char **argv)
{
    bool as_json = false;
    pid_t pid;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "hjV", long_options, NULL)) != -1)
        switch (option) {
        case 'h':
            fputs(help_text, stdout);
            return finish(CODE_OK);
        case 'j':
            as_json = true;
            break;
        case 'V':
            printf("pipc-inspect %d.%d.%d\n", PIPC_VERSION_MAJOR, PIPC_VERSION_MINOR,
                   PIPC_VERSION_PATCH);
            return finish(CODE_OK);
        default:
            return usage("no such option");
        }
    if (optind + 1 != argc)
        return usage("one process is needed");
    if (!parse_pid(argv[optind], &pid))
        return usage("that is no process id");
    signal(SIGPIPE, SIG_IGN);
    return inspect(pid, as_json);
}

int main(int argc, char **argv)
{
    return (int)run(argc, argv);
}
