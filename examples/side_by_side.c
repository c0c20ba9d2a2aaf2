/* SPDX-License-Identifier: MIT */
/*
 * What others do, done with libpipc: docs/coming-from.md shows the parts. A parent and a child talk
 * as with multiprocessing.Pipe, and over a socketpair. from_pipc.c has the same for pIPC.
 *
 *     cc side_by_side.c $(pkg-config --cflags --libs libpipc)
 */
#include <errno.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

/* The child of as_with_multiprocessing. */
static void work(pipc_t *pipe[2])
{
    char number[8];
    pipc_close(pipe[0]);
    ssize_t size = pipc_read(pipe[1], number, sizeof number);
    check(size >= 0 && pipc_write(pipe[1], number, (size_t)size) != -1, "work");
    _exit(0);
}

static void as_with_multiprocessing(void)
{
    char answer[64];
    pipc_t *pipe[2];
    /* [readme:multiprocessing] */
    check(pipc_open_pair(pipe, NULL) == 0, "pipc_open_pair"); /* here, there = Pipe() */
    if (fork() == 0)
        work(pipe); /* Process(target=work, args=(there,)).start() */
    pipc_close(pipe[1]);
    check(pipc_write(pipe[0], "7", 1) != -1, "pipc_write");         /* here.send_bytes(b"7") */
    ssize_t size = pipc_read(pipe[0], answer, sizeof answer);       /* here.recv_bytes() */
    ssize_t after = pipc_read(pipe[0], answer + 1, 63);             /* again: EOFError */
    check(size == 1 && after == -1 && errno == EPIPE, "pipc_read"); /* that is EPIPE */
    /* [/readme:multiprocessing] */
    printf("answer: %.*s\n", (int)size, answer);
    pipc_close(pipe[0]);
    wait(NULL);
}

static void as_with_sockets(void)
{
    char text[64];
    int fd[2];
    /* [readme:sockets] */
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0, "socketpair");
    if (fork() == 0) /* this side does without the library: a length of 4 bytes, and the message */
        _exit(write(fd[1], "\0\0\0\5hello", 9) != 9);
    close(fd[1]);
    pipc_t *pipe = pipc_open_fds(fd[0], fd[0], NULL); /* owns the socket from here on */
    check(pipe != NULL, "pipc_open_fds");
    ssize_t size = pipc_read(pipe, text, sizeof text); /* all of it, however the bytes come */
    /* [/readme:sockets] */
    check(size >= 0, "pipc_read");
    printf("socket: %.*s\n", (int)size, text);
    pipc_close(pipe);
    wait(NULL);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0); /* or a child has a copy of what is not written yet */
    as_with_multiprocessing();
    as_with_sockets();
    return 0;
}
