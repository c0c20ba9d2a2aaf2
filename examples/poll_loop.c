/* SPDX-License-Identifier: MIT */
/*
 * One poll loop over two pipes and a foreign descriptor, standard input. What is typed goes to two
 * forked workers: one answers with it in capitals, the other with the number of bytes.
 */
#include <ctype.h>
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { text_size = 4096 };
static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static void work(pipc_t *pipe, int counts)
{
    char text[text_size];
    ssize_t size;
    while ((size = pipc_read(pipe, text, sizeof text)) >= 0) {
        for (ssize_t i = 0; i < size; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        if (counts)
            size = snprintf(text, sizeof text, "(%zd bytes)\n", size);
        check(pipc_write(pipe, text, (size_t)size) == size, "pipc_write");
    }
    check(errno == EPIPE && pipc_disconnect(pipe, NULL) == 0, "worker"); /* EPIPE: no more input */
    pipc_close(pipe);
}

static pipc_t *start_worker(int counts)
{
    pipc_t *pipe = pipc_open(NULL);
    check(pipe != NULL, "pipc_open");
    check(pipc_set_timeout(pipe, 0, -1) == 0, "pipc_set_timeout"); /* takes our end, before ... */
    pid_t pid = fork();
    check(pid != -1, "fork");
    if (pid == 0) {
        work(pipe, counts);
        exit(0);
    }
    return pipe;
}

/* [readme:drain] */
/* Reads until nothing is there. Returns 0 when more may come, 1 after a goodbye. */
static int drain(pipc_t *pipe)
{
    char text[text_size];
    ssize_t size;
    while ((size = pipc_read(pipe, text, sizeof text)) >= 0)
        check(fwrite(text, 1, (size_t)size, stdout) == (size_t)size, "fwrite");
    check(errno == EAGAIN || errno == ESHUTDOWN, "pipc_read");
    return errno == ESHUTDOWN;
}
/* [/readme:drain] */

/* Sends what standard input has; at its end shuts down writing and returns 1. */
static int forward(pipc_t *const pipe[2])
{
    char text[text_size];
    ssize_t size = read(STDIN_FILENO, text, sizeof text);
    check(size >= 0, "read");
    for (int i = 0; i < 2; i++)
        if (size == 0)
            check(pipc_shutdown(pipe[i]) == 0, "pipc_shutdown");
        else
            check(pipc_write(pipe[i], text, (size_t)size) == size, "pipc_write");
    return size == 0;
}

int main(void)
{
    pipc_t *pipe[2] = {start_worker(0), start_worker(1)};
    /* [readme] */
    int fd[3] = {pipc_fd(pipe[0]), pipc_fd(pipe[1]), STDIN_FILENO};
    check(fd[0] != -1 && fd[1] != -1, "pipc_fd");
    for (int open = 3; open > 0;) {
        struct pollfd item[3] = {{fd[0], POLLIN, 0}, {fd[1], POLLIN, 0}, {fd[2], POLLIN, 0}};
        check(poll(item, 3, -1) > 0, "poll");
        for (int i = 0; i < 3; i++)
            if (item[i].revents != 0 && (i < 2 ? drain(pipe[i]) : forward(pipe))) {
                fd[i] = -1; /* poll passes over it from now on */
                open--;
            }
    }
    /* [/readme] */
    pipc_close(pipe[0]);
    pipc_close(pipe[1]);
    check(fflush(stdout) == 0, "fflush");
    return 0;
}
