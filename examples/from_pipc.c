/* SPDX-License-Identifier: MIT */
/*
 * What pIPC does, done with libpipc: docs/coming-from.md shows the loop. A parent and a child talk.
 *
 *     cc from_pipc.c $(pkg-config --cflags --libs libpipc)
 */
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most = 16 };

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

static void print_all(pipc_msg_t *messages, ssize_t count)
{
    for (ssize_t i = 0; i < count; i++) {
        printf("pending: %.*s\n", (int)messages[i].size, (const char *)messages[i].data);
        pipc_msg_free(&messages[i]);
    }
}

/* Returns 0 when nothing more will come. */
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

int main(void)
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
    return 0;
}
