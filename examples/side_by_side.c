/* SPDX-License-Identifier: MIT */
/*
 * What other libraries do, done with libpipc: docs/coming-from.md shows the parts. A parent and a
 * child talk as with pIPC, as with multiprocessing.Pipe, and over a socketpair.
 */
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most = 16 };

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static void print_all(pipc_msg_t *messages, ssize_t count)
{
    for (ssize_t i = 0; i < count; i++) {
        printf("pending: %.*s\n", (int)messages[i].size, (const char *)messages[i].data);
        pipc_msg_free(&messages[i]);
    }
}

/* As with pIPC. Returns 0 when nothing more will come. */
static int look_once(pipc_t *pipe)
{
    char data[64];
    pipc_msg_t more[most];
    /* [readme:pipc] */
    struct pollfd item = {pipc_fd(pipe), POLLIN, 0};
    if (poll(&item, 1, 1000) == 1) {                       /* select([pipe], [], [], 1) */
        ssize_t size = pipc_read(pipe, data, sizeof data); /* data = pipe.read() */
        if (size == -1)
            return errno == EAGAIN; /* a spurious wakeup; otherwise a goodbye or the end */
        printf("read: %.*s\n", (int)size, data);
        if (pipc_pending(pipe) > 0)                               /* if len(pipe) > 0: */
            print_all(more, pipc_read_pending(pipe, more, most)); /* more = pipe.pending() */
        else
            check(pipc_write(pipe, "go on", 5) != -1, "pipc_write"); /* pipe.write("go on") */
    }
    /* [/readme:pipc] */
    return 1;
}

static void as_with_pipc(void)
{
    pipc_t *pipe = pipc_open(NULL); /* pipe = IPC.Pipe() */
    check(pipe != NULL && pipc_set_timeout(pipe, 0, -1) == 0, "pipc_open");
    pid_t child = fork();
    check(child != -1, "fork");
    if (child == 0) { /* its timeouts are the default: each end has its own */
        char answer[8];
        check(pipc_write(pipe, "one", 3) != -1, "pipc_write");
        check(pipc_read(pipe, answer, sizeof answer) == 5, "pipc_read");
        check(pipc_disconnect(pipe, NULL) == 0, "pipc_disconnect");
        _exit(0);
    }
    while (look_once(pipe))
        ;
    pipc_close(pipe);
    check(waitpid(child, NULL, 0) == child, "waitpid");
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
    as_with_pipc();
    as_with_multiprocessing();
    as_with_sockets();
    return 0;
}
