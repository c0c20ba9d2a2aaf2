/* SPDX-License-Identifier: MIT */
/*
 * The echo server (tcp_echo_server.c) in a loop of GLib (Debian: libglib2.0-dev). A source is on
 * the descriptor of each handle, for reading only; back-pressure is pipc_want alone.
 *
 *     cc glib_server.c $(pkg-config --cflags --libs libpipc glib-2.0)
 *     ./a.out       prints its port
 */
#include <errno.h>
#include <glib-unix.h>
#include <pipc.h>
#include <stdio.h>

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

static gboolean on_readable(gint fd, GIOCondition condition, gpointer pipe)
{
    (void)fd, (void)condition;
    return serve(pipe) == 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void on_removed(gpointer pipe) /* now the loop does not poll the descriptor any more */
{
    pipc_close(pipe);
}

/* One at a time: the descriptor stays readable when more are there. */
static gboolean on_client(gint fd, GIOCondition condition, gpointer server)
{
    pipc_t *pipe = pipc_server_accept(server, 0);
    (void)fd, (void)condition;
    if (pipe == NULL)
        return G_SOURCE_CONTINUE; /* it has gone, or no descriptor is free: then it waits for one */
    if (pipc_set_timeout(pipe, 0, 0) == 0 && pipc_fd(pipe) != -1)
        g_unix_fd_add_full(G_PRIORITY_DEFAULT, pipc_fd(pipe), G_IO_IN, on_readable, pipe,
                           on_removed);
    else
        pipc_close(pipe); /* no descriptor is free, say; the others stay */
    return G_SOURCE_CONTINUE;
}

int main(void)
{
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    if (server == NULL || printf("%d\n", pipc_server_port(server)) < 0 || fflush(stdout) != 0)
        return perror("pipc_server_open"), 1;
    g_unix_fd_add(pipc_server_fd(server), G_IO_IN, on_client, server);
    g_main_loop_run(g_main_loop_new(NULL, FALSE));
    return 0;
}
