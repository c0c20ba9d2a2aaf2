/* SPDX-License-Identifier: MIT */
/*
 * Three processes in a row. The first sends the lines of standard input, the second turns them into
 * capitals, the third numbers and prints them. The end is a goodbye that goes down the row behind
 * the last line. A stage that dies says none: the stages behind it report that the text is cut off,
 * and those before it find that nobody reads.
 *
 *     cc pipeline.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out <FILE
 *     ./a.out capitals      the second stage alone, with frames on standard input and output
 */
#include <ctype.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { stage_count = 3 };

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

static void send_lines(pipc_t *in, pipc_t *out)
{
    char *line = NULL;
    size_t capacity = 0;
    (void)in;
    for (ssize_t size; (size = getline(&line, &capacity, stdin)) != -1;)
        check(pipc_write(out, line, (size_t)size) == size, "lines: nobody reads");
    check(feof(stdin), "lines: standard input");
    check(pipc_disconnect(out, NULL) == 0, "lines: nobody reads");
    free(line);
}

/* Returns 0 at the goodbye. Any other end is a failure: something may be missing. */
static int next(pipc_t *in, pipc_msg_t *message, const char *what)
{
    check(pipc_read_msg(in, message) == 0, what);
    if (message->kind == PIPC_DATA)
        return 1;
    pipc_msg_free(message);
    return 0;
}

static void turn_into_capitals(pipc_t *in, pipc_t *out)
{
    for (pipc_msg_t line; next(in, &line, "capitals: the text is cut off"); pipc_msg_free(&line)) {
        char *text = line.data;
        for (size_t i = 0; i < line.size; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        check(pipc_write(out, text, line.size) != -1, "capitals: nobody reads");
    }
    check(pipc_disconnect(out, NULL) == 0, "capitals: nobody reads");
}

static void print_lines(pipc_t *in, pipc_t *out)
{
    unsigned long number = 0;
    (void)out;
    for (pipc_msg_t line; next(in, &line, "print: the text is cut off"); pipc_msg_free(&line))
        printf("%lu %.*s", ++number, (int)line.size, (char *)line.data);
    check(fflush(stdout) == 0, "print: standard output");
}

int main(int argc, char **argv)
{
    void (*const stages[])(pipc_t *, pipc_t *) = {send_lines, turn_into_capitals, print_lines};
    pipc_t *in = NULL; /* from the stage before */
    int status, failed = 0;
    if (argc > 1 && strcmp(argv[1], "capitals") == 0) {
        check((in = pipc_open_fds(STDIN_FILENO, STDOUT_FILENO, NULL)) != NULL, "pipc_open_fds");
        return turn_into_capitals(in, in), pipc_close(in), 0;
    }
    for (int i = 0; i < stage_count; i++) {
        pipc_t *end[2] = {NULL, NULL};
        check(i == stage_count - 1 || pipc_open_pair(end, NULL) == 0, "pipc_open_pair");
        pid_t pid = fork();
        check(pid != -1, "fork");
        if (pid == 0)
            pipc_close(end[1]); /* the next stage's: a copy here would hide its death */
        if (pid == 0)
            stages[i](in, end[0]);
        pipc_close(in);
        pipc_close(end[0]);
        if (pid == 0)
            exit(0);
        in = end[1];
    }
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed ? fprintf(stderr, "a stage has failed\n"), 1 : 0;
}
