/* SPDX-License-Identifier: MIT */
/*
 * A parent sends a hundred thousand numbers to its child, each as a message of its own. With
 * PIPC_GATHER they go in a few system calls. The child adds them up.
 */
#include <errno.h>
#include <inttypes.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { count = 100000 };

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static void open_both(pipc_t *pipe[2])
{
    /* [readme:open] */
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER;
    check(pipc_open_pair(pipe, &options) == 0, "pipc_open_pair");
    /* [/readme:open] */
}

static void write_all(pipc_t *pipe)
{
    /* [readme:write] */
    for (uint32_t i = 1; i <= count; i++)
        check(pipc_write(pipe, &i, sizeof i) != -1, "pipc_write"); /* most are only copied */
    check(pipc_flush(pipe) != -1, "pipc_flush");                   /* now all are on their way */
    /* [/readme:write] */
}

static void add_up(pipc_t *pipe)
{
    uint64_t messages = 0, sum = 0;
    uint32_t number;
    while (pipc_read(pipe, &number, sizeof number) == sizeof number) {
        messages++;
        sum += number;
    }
    check(errno == EPIPE, "pipc_read");
    printf("%" PRIu64 " messages, the sum is %" PRIu64 "\n", messages, sum);
}

int main(void)
{
    pipc_t *pipe[2];
    open_both(pipe);
    pid_t child = fork();
    check(child != -1, "fork");
    int side = child == 0;
    pipc_close(pipe[!side]); /* the other's */
    if (side == 0)
        write_all(pipe[0]);
    else
        add_up(pipe[1]);
    pipc_close(pipe[side]);
    int status = 0;
    check(side == 1 || waitpid(child, &status, 0) == child, "waitpid");
    return status != 0;
}
