/* SPDX-License-Identifier: MIT */
/*
 * One poll loop over two pipes and a foreign descriptor, standard input. What is typed goes to two
 * forked workers: one answers with it in capitals, the other with the number of bytes.
 *     cc poll_loop.c $(pkg-config --cflags --libs libpipc)
 */
#include <ctype.h>
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { text_size = 4096 };
static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

static void work(pipc_t *pipe, int counts, pipc_t *other)
{
    char text[text_size];
    pipc_close(other); /* a copy here would hide our parent's end from the other worker */
    for (ssize_t size; (size = pipc_read(pipe, text, sizeof text)) >= 0;) {
        for (ssize_t i = 0; i < size; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        if (counts)
            size = snprintf(text, sizeof text, "(%zd bytes)\n", size);
        check(pipc_write(pipe, text, (size_t)size) == size, "pipc_write");
    }
    check(errno == EPIPE && pipc_disconnect(pipe, NULL) == 0, "worker"); /* EPIPE: no more input */
    pipc_close(pipe);
    exit(0);
}

static pipc_t *start_worker(int counts, pipc_t *other)
{
    pipc_t *end[2];
    pid_t pid = pipc_open_pair(end, NULL) == 0 ? fork() : -1;
    check(pid != -1, "pipc_open_pair, fork");
    pipc_close(end[pid == 0 ? 0 : 1]);
    if (pid == 0)
        work(end[1], counts, other);
    check(pipc_set_timeout(end[0], 0, -1) == 0, "pipc_set_timeout");
    return end[0];
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
    ssize_t size = read(STDIN_FILENO, text, sizeof text), sent = 0;
    check(size >= 0, "read");
    for (int i = 0; i < 2; i++)
        if (size == 0)
            check(pipc_shutdown(pipe[i]) == 0, "pipc_shutdown");
        else
            sent += pipc_write(pipe[i], text, (size_t)size) == size; /* drain learns why not */
    return sent == 0;
}

int main(void)
{
    int status, failed = 0;
    pipc_t *pipe[2] = {start_worker(0, NULL), NULL};
    pipe[1] = start_worker(1, pipe[0]);
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
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed || fflush(stdout) != 0;
}
