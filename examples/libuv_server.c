/* SPDX-License-Identifier: MIT */
/*
 * The echo server (tcp_echo_server.c) in a loop of libuv (Debian: libuv1-dev). A uv_poll_t is on
 * the descriptor of each handle, for reading only; back-pressure is pipc_want alone.
 *
 *     cc libuv_server.c $(pkg-config --cflags --libs libpipc libuv)
 *     ./a.out       prints its port
 */
#include <errno.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { messages_at_once = 64 };

static pipc_stats_t stats_of(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    pipc_stats(pipe, &stats);
    return stats;
}

/* Sends messages back, and says what to wait for next. A message stays unread until all of its
 * answer has left: so who does not read is not read from. Returns -1 when the client has gone. */
static int serve(pipc_t *pipe)
{
    pipc_msg_t message;
    for (int i = 0; i < messages_at_once; i++) { /* then the others have their turn */
        if (pipc_peek(pipe, &message) == -1)
            return errno == EAGAIN ? pipc_want(pipe, PIPC_WANT_READ) : -1;
        if (message.kind == PIPC_BYE)
            return -1;
        int is_answered = stats_of(pipe).messages_written > stats_of(pipe).messages_read;
        if (!is_answered && pipc_write(pipe, message.data, message.size) == -1)
            return errno == EAGAIN ? pipc_want(pipe, PIPC_WANT_WRITE) : -1;
        if (stats_of(pipe).bytes_held > 0 && pipc_want(pipe, PIPC_WANT_WRITE) == 0 &&
            stats_of(pipe).bytes_held > 0) /* pipc_want has sent some of it, too */
            return 0;
        pipc_skip(pipe);
    }
    return pipc_want(pipe, PIPC_WANT_READ);
}

struct client {
    uv_poll_t poll; /* the first member: libuv's handle is the client's address */
    pipc_t *pipe;
};

static void on_closed(uv_handle_t *poll) /* now the loop does not know the descriptor any more */
{
    struct client *client = (struct client *)poll;
    pipc_close(client->pipe);
    free(client);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    if (status < 0 || serve(((struct client *)poll)->pipe) == -1)
        uv_close((uv_handle_t *)poll, on_closed);
}

/* One at a time: the descriptor stays readable when more are there. */
static void on_client(uv_poll_t *poll, int status, int events)
{
    pipc_t *pipe = pipc_server_accept(poll->data, 0);
    struct client *client = pipe != NULL ? malloc(sizeof *client) : NULL;
    (void)status, (void)events;
    if (client == NULL || pipc_set_timeout(pipe, 0, 0) == -1 || pipc_fd(pipe) == -1 ||
        uv_poll_init(poll->loop, &client->poll, pipc_fd(pipe)) != 0) {
        pipc_close(pipe); /* no descriptor is free, say; the others stay */
        free(client);
        return;
    }
    client->pipe = pipe;
    if (uv_poll_start(&client->poll, UV_READABLE, on_readable) != 0)
        uv_close((uv_handle_t *)&client->poll, on_closed);
}

int main(void)
{
    uv_poll_t poll;
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    if (server == NULL || printf("%d\n", pipc_server_port(server)) < 0 || fflush(stdout) != 0)
        return perror("pipc_server_open"), 1;
    poll.data = server;
    if (uv_poll_init(uv_default_loop(), &poll, pipc_server_fd(server)) != 0 ||
        uv_poll_start(&poll, UV_READABLE, on_client) != 0)
        return fprintf(stderr, "libuv fails\n"), 1;
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
