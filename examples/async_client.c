/* SPDX-License-Identifier: MIT */
/*
 * Asks several servers on paths of this host the same question, all at the same time: one loop
 * waits for the servers and for their answers. A server that is down delays none of the others.
 *
 *     cc async_client.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out MILLISECONDS QUESTION PATH...      as long as it may take a server to be there
 */
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { servers_max = 100, answer_size = 4096 };

struct server {
    const char *path;
    pipc_t *pipe; /* NULL: it is done */
    int is_asked;
};

static struct server servers[servers_max];
static struct pollfd items[servers_max];
static int server_count, failed;

static void finish(struct server *server, const char *text, int size)
{
    printf("%s: %.*s\n", server->path, size, text);
    fflush(stdout);
    pipc_close(server->pipe);
    server->pipe = NULL;
}

static void fail(struct server *server)
{
    const char *reason = strerror(errno);
    failed = 1;
    finish(server, reason, (int)strlen(reason));
}

/* The server may not be there yet: then the question waits until the descriptor is readable. */
static void open_server(struct server *server, const char *path, int timeout_ms)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_ASYNC;
    server->path = path;
    server->pipe = pipc_open_unix(path, timeout_ms, &options);
    if (server->pipe == NULL || pipc_set_timeout(server->pipe, 0, 0) == -1)
        fail(server);
}

/* Goes as far as it can now: EAGAIN is no failure. */
static void serve(struct server *server, const char *question)
{
    char answer[answer_size];
    if (!server->is_asked && pipc_write(server->pipe, question, strlen(question)) >= 0)
        server->is_asked = 1;
    ssize_t size = -1;
    if (server->is_asked)
        size = pipc_read(server->pipe, answer, sizeof answer);
    if (size >= 0)
        finish(server, answer, (int)size);
    else if (errno != EAGAIN)
        fail(server);
}

/* A call that finds nothing costs little. Returns how many are not done yet. */
static int serve_all(const char *question)
{
    int left = 0;
    for (int i = 0; i < server_count; i++) {
        if (servers[i].pipe != NULL)
            serve(&servers[i], question);
        items[i] = (struct pollfd){.fd = -1, .events = POLLIN};
        if (servers[i].pipe == NULL)
            continue;
        items[i].fd = pipc_fd(servers[i].pipe);
        if (items[i].fd == -1)
            fail(&servers[i]); /* no descriptor is free */
        else
            left++;
    }
    return left;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc - 3 > servers_max)
        return fprintf(stderr, "usage: %s MILLISECONDS QUESTION PATH...\n", argv[0]), 2;
    server_count = argc - 3;
    for (int i = 0; i < server_count; i++)
        open_server(&servers[i], argv[3 + i], atoi(argv[1]));
    while (serve_all(argv[2]) > 0)
        if (poll(items, (nfds_t)server_count, -1) == -1 && errno != EINTR)
            return perror("poll"), 1;
    return failed;
}
