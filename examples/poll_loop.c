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
#include <sys/wait.h>
#include <unistd.h>

enum { text_size = 4096, start_ms = 10000 };

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
    check(pipc_write(pipe, NULL, 0) == 0, "pipc_write"); /* here we are */
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
    /* Our first call, before the fork: should we die, the worker learns it. */
    check(pipc_set_timeout(pipe, start_ms, -1) == 0, "pipc_set_timeout");
    pid_t pid = fork();
    check(pid != -1, "fork");
    if (pid == 0) {
        work(pipe, counts);
        exit(0);
    }
    /* The worker's first call. Should it die before, nobody learns it: so wait, but not for
     * ever. */
    check(pipc_read(pipe, NULL, 0) == 0, "a worker does not start");
    check(pipc_set_timeout(pipe, 0, -1) == 0, "pipc_set_timeout");
    return pipe;
}

/* [readme:drain] */
/* Reads until nothing is there. Returns 0 when more may come, 1 when nothing more will. */
static int drain(pipc_t *pipe)
{
    char text[text_size];
    ssize_t size;
    while ((size = pipc_read(pipe, text, sizeof text)) >= 0)
        check(fwrite(text, 1, (size_t)size, stdout) == (size_t)size, "fwrite");
    if (errno != EAGAIN && errno != ESHUTDOWN)
        perror("a worker has gone without a goodbye");
    return errno != EAGAIN;
}
/* [/readme:drain] */

/* Sends what standard input has. Returns 1 at its end, and when nobody is there any more. */
static int forward(pipc_t *const pipe[2])
{
    char text[text_size];
    ssize_t size = read(STDIN_FILENO, text, sizeof text);
    int sent = 0;
    check(size >= 0, "read");
    for (int i = 0; i < 2; i++)
        if (size == 0)
            check(pipc_shutdown(pipe[i]) == 0, "pipc_shutdown");
        else if (pipc_write(pipe[i], text, (size_t)size) == size)
            sent++;
        else
            check(errno == EPIPE, "pipc_write"); /* drain learns it as well */
    return sent == 0;
}

int main(void)
{
    int status, failed = 0;
    pipc_t *pipe[2] = {start_worker(0), start_worker(1)};
    /* [readme] */
    int fd[3] = {pipc_fd(pipe[0]), pipc_fd(pipe[1]), STDIN_FILENO};
    check(fd[0] != -1 && fd[1] != -1, "pipc_fd");
    while (fd[0] != -1 || fd[1] != -1) {
        struct pollfd item[3] = {{fd[0], POLLIN, 0}, {fd[1], POLLIN, 0}, {fd[2], POLLIN, 0}};
        check(poll(item, 3, -1) > 0, "poll");
        for (int i = 0; i < 3; i++)
            if (item[i].revents != 0 && (i < 2 ? drain(pipe[i]) : forward(pipe)))
                fd[i] = -1; /* poll passes over it from now on */
    }
    /* [/readme] */
    pipc_close(pipe[0]);
    pipc_close(pipe[1]);
    check(fflush(stdout) == 0, "fflush");
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}
