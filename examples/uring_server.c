/* SPDX-License-Identifier: MIT */
/*
 * The echo server (tcp_echo_server.c) in a loop of io_uring (Debian: liburing-dev). A poll request
 * is on the descriptor of each handle, made anew after each completion: so it finds what is still
 * to be done. Back-pressure is pipc_want alone.
 *
 *     cc uring_server.c $(pkg-config --cflags --libs libpipc liburing)
 *     ./a.out       prints its port
 */
#include <errno.h>
#include <liburing.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

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

/* Returns -1 when the descriptor or the ring fails. */
static int watch(struct io_uring *ring, int fd, void *data)
{
    struct io_uring_sqe *request = io_uring_get_sqe(ring);
    if (request == NULL && io_uring_submit(ring) >= 0) /* the queue was full */
        request = io_uring_get_sqe(ring);
    if (request == NULL || fd == -1)
        return -1;
    io_uring_prep_poll_add(request, fd, POLLIN);
    io_uring_sqe_set_data(request, data);
    return 0;
}

/* One at a time: the descriptor stays readable when more are there. */
static void accept_client(struct io_uring *ring, pipc_server_t *server)
{
    pipc_t *pipe = pipc_server_accept(server, 0);
    if (pipe != NULL &&
        (pipc_set_timeout(pipe, 0, 0) == -1 || watch(ring, pipc_fd(pipe), pipe) == -1))
        pipc_close(pipe); /* no descriptor is free, say; the others stay */
}

int main(void)
{
    struct io_uring ring;
    struct io_uring_cqe *event;
    int error = io_uring_queue_init(256, &ring, 0);
    if (error < 0)
        return fprintf(stderr, "io_uring: %s\n", strerror(-error)), 77;
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    if (server == NULL || printf("%d\n", pipc_server_port(server)) < 0 || fflush(stdout) != 0)
        return perror("pipc_server_open"), 1;
    watch(&ring, pipc_server_fd(server), NULL);
    for (;;) {
        if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &event) != 0)
            continue; /* a signal, say */
        pipc_t *pipe = io_uring_cqe_get_data(event);
        io_uring_cqe_seen(&ring, event);
        if (pipe == NULL) {
            accept_client(&ring, server);
            watch(&ring, pipc_server_fd(server), NULL);
        } else if (serve(pipe) == -1 || watch(&ring, pipc_fd(pipe), pipe) == -1) {
            pipc_close(pipe); /* no request is on its descriptor */
        }
    }
}
