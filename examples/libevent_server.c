/* SPDX-License-Identifier: MIT */
/*
 * The echo server (tcp_echo_server.c) in a loop of libevent (Debian: libevent-dev). Each handle has
 * an event for reading, on its descriptor; back-pressure is pipc_want alone. It prints its port.
 *     cc libevent_server.c $(pkg-config --cflags --libs libpipc libevent_core); ./a.out
 */
#include <errno.h>
#include <event2/event.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>

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
    pipc_t *pipe;
    struct event *event;
};

static void drop(struct client *client)
{
    if (client->event != NULL)
        event_free(client->event); /* before its descriptor is closed */
    pipc_close(client->pipe);
    free(client);
}

static void on_readable(evutil_socket_t fd, short what, void *client)
{
    (void)fd, (void)what;
    if (serve(((struct client *)client)->pipe) == -1)
        drop(client);
}

struct listener {
    pipc_server_t *server;
    struct event_base *base;
};

/* One at a time: the descriptor stays readable when more are there. */
static void on_client(evutil_socket_t fd, short what, void *context)
{
    struct listener *listener = context;
    pipc_t *pipe = pipc_server_accept(listener->server, 0);
    struct client *client = pipe != NULL ? calloc(1, sizeof *client) : NULL;
    (void)fd, (void)what;
    if (client == NULL) {
        pipc_close(pipe);
        return;
    }
    client->pipe = pipe;
    if (pipc_set_timeout(pipe, 0, 0) == 0 && pipc_fd(pipe) != -1)
        client->event =
            event_new(listener->base, pipc_fd(pipe), EV_READ | EV_PERSIST, on_readable, client);
    if (client->event == NULL || event_add(client->event, NULL) == -1)
        drop(client); /* no descriptor is free, say; the others stay */
}

int main(void)
{
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    if (server == NULL || printf("%d\n", pipc_server_port(server)) < 0 || fflush(stdout) != 0)
        return perror("pipc_server_open"), 1;
    struct listener listener = {server, event_base_new()};
    struct event *event = listener.base == NULL
                              ? NULL
                              : event_new(listener.base, pipc_server_fd(server),
                                          EV_READ | EV_PERSIST, on_client, &listener);
    if (event == NULL || event_add(event, NULL) == -1)
        return fprintf(stderr, "libevent fails\n"), 1;
    return event_base_dispatch(listener.base) == 0 ? 0 : 1;
}
