/* SPDX-License-Identifier: MIT */
/*
 * Answers requests on a path of this host, each client in a process of its own. A request is an id
 * of 4 bytes and a text; the answer is the same id, and the text in capitals. If the text begins
 * with a number, the answer takes so many milliseconds. The client is request_client.c.
 *
 *     cc request_server.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out PATH
 */
#include <ctype.h>
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { id_size = 4, largest = 4096, patience_ms = 60000 };

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

/* Until the client has gone, sends what is no request, or has been silent for too long. */
static void serve(pipc_t *client)
{
    char request[largest + 1];
    ssize_t size;
    pipc_set_timeout(client, patience_ms, patience_ms);
    while ((size = pipc_read(client, request, largest)) >= id_size) {
        request[size] = '\0';
        int delay_ms = atoi(request + id_size);
        if (delay_ms > 0)
            poll(NULL, 0, delay_ms); /* this is the work */
        for (ssize_t i = id_size; i < size; i++)
            request[i] = (char)toupper((unsigned char)request[i]);
        if (pipc_write(client, request, (size_t)size) == -1)
            break;
    }
    pipc_close(client);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return fprintf(stderr, "usage: %s PATH\n", argv[0]), 2;
    signal(SIGCHLD, SIG_IGN); /* no zombies */
    pipc_server_t *server = pipc_server_open_unix(argv[1], NULL);
    check(server != NULL, argv[1]);
    check(puts("ready") >= 0 && fflush(stdout) == 0, "puts");
    for (;;) {
        pipc_t *client = pipc_server_accept(server, -1);
        pid_t pid = client != NULL ? fork() : -1;
        if (pid == 0) {
            pipc_server_close(server);
            serve(client);
            return 0;
        }
        if (pid == -1)
            perror("a client is turned away"); /* the others stay */
        pipc_close(client);
    }
}
