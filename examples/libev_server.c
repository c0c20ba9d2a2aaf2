/* SPDX-License-Identifier: MIT */
/*
 * The echo server (tcp_echo_server.c) in a loop of libev (Debian: libev-dev). An ev_io is on the
 * descriptor of each handle, for reading only; back-pressure is pipc_want alone.
 *
 *     cc libev_server.c $(pkg-config --cflags --libs libpipc) -lev
 *     ./a.out       prints its port
 */
#include <errno.h>
#include <ev.h>
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

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    if (serve(io->data) == 0)
        return;
    ev_io_stop(loop, io); /* before its descriptor is closed */
    pipc_close(io->data);
    free(io);
}

/* One at a time: the descriptor stays readable when more are there. */
static void on_client(struct ev_loop *loop, ev_io *listener, int events)
{
    pipc_t *pipe = pipc_server_accept(listener->data, 0);
    ev_io *io = pipe != NULL ? malloc(sizeof *io) : NULL;
    (void)events;
    if (io == NULL || pipc_set_timeout(pipe, 0, 0) == -1 || pipc_fd(pipe) == -1) {
        pipc_close(pipe); /* no descriptor is free, say; the others stay */
        free(io);
        return;
    }
    ev_io_init(io, on_readable, pipc_fd(pipe), EV_READ);
    io->data = pipe;
    ev_io_start(loop, io);
}

int main(void)
{
    ev_io listener;
    struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    if (server == NULL || printf("%d\n", pipc_server_port(server)) < 0 || fflush(stdout) != 0)
        return perror("pipc_server_open"), 1;
    if (loop == NULL)
        return fprintf(stderr, "libev fails\n"), 1;
    ev_io_init(&listener, on_client, pipc_server_fd(server), EV_READ);
    listener.data = server;
    ev_io_start(loop, &listener);
    ev_run(loop, 0);
    return 0;
}
