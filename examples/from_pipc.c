/* SPDX-License-Identifier: MIT */
/*
 * What pIPC's examples do, done with libpipc, between threads, processes, names, and by a server.
 *     cc -pthread from_pipc.c $(pkg-config --cflags --libs libpipc)
 */
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most = 16, wait_ms = 60000 };

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

static void hear(pipc_t *pipe)
{
    check(pipe != NULL && pipc_set_timeout(pipe, 0, -1) == 0, "no pipe");
    while (look_once(pipe))
        ;
    pipc_close(pipe);
}

static void *speak(void *pipe) /* its timeouts are the default: each end has its own */
{
    char answer[8];
    check(pipe != NULL && pipc_write(pipe, "one", 3) != -1, "pipc_write");
    check(pipc_read(pipe, answer, sizeof answer) == 5, "pipc_read");
    check(pipc_disconnect(pipe, NULL) == 0, "pipc_disconnect");
    pipc_close(pipe);
    return NULL;
}

int main(void)
{
    char name[32];
    pthread_t t;
    pipc_options_t client = PIPC_OPTIONS_INIT;
    client.flags = PIPC_CONNECT_ONLY;
    setvbuf(stdout, NULL, _IOLBF, 0); /* a child gets no unwritten lines */
    snprintf(name, sizeof name, "from-pipc-%d", (int)getpid());
    /* [readme:open] */
    pipc_t *pipe = pipc_open(NULL);                              /* pipe = IPC.Pipe() */
    check(pthread_create(&t, NULL, speak, pipe) == 0, "thread"); /* start_new_thread(speak, ... */
    hear(pipe);
    pthread_join(t, NULL);
    pipe = pipc_open(NULL); /* pipe = IPC.Pipe() */
    if (fork() == 0)        /* if os.fork() == 0: */
        _exit((speak(pipe), 0));
    hear(pipe);
    if (fork() == 0) /* another program: pipe = IPC.Pipe("name") */
        _exit((speak(pipc_open_fifo(name, wait_ms, NULL)), 0));
    hear(pipc_open_fifo(name, wait_ms, NULL));               /* pipe = IPC.Pipe("name") */
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL); /* server = IPC.PipeServer(port) */
    uint16_t port = pipc_server_port(server);
    if (fork() == 0) /* another program: pipe = IPC.Pipe("localhost", port) */
        _exit((speak(pipc_open_tcp("localhost", port, wait_ms, &client)), 0));
    hear(pipc_server_accept(server, wait_ms)); /* pipe = server.accept() */
    /* [/readme:open] */
    pipc_server_close(server);
    for (int status; wait(&status) != -1;)
        check(status == 0, "a child has failed");
    return 0;
}
