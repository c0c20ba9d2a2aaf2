/* SPDX-License-Identifier: MIT */
/*
 * nanomsg, PAIR. Messages from nn_allocmsg, sent and received as NN_MSG, which its manual calls
 * more efficient for large ones (its copy is avoided); NN_TCP_NODELAY. Buffers as by default, 128
 * KiB: of 4 MiB they were hardly faster for short messages, and slower for large ones.
 */
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

struct end {
    int socket;
    void *message; /* the last one received */
};

static void set(int socket, int level, int option, int value)
{
    if (nn_setsockopt(socket, level, option, &value, sizeof value) != 0)
        fail("nn_setsockopt");
}

static int make_socket(void)
{
    int socket = nn_socket(AF_SP, NN_PAIR);
    if (socket < 0)
        fail("nn_socket");
    set(socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, -1);
    set(socket, NN_SOL_SOCKET, NN_RECONNECT_IVL, 1);
    set(socket, NN_TCP, NN_TCP_NODELAY, 1);
    return socket;
}

static void join(struct link *link, int side)
{
    char url[128];
    struct end *end = calloc(1, sizeof *end);
    if (end == NULL)
        fail("memory");
    end->socket = make_socket();
    link_url(link, url, sizeof url);
    if ((side == 0 ? nn_bind : nn_connect)(end->socket, url) < 0)
        fail(side == 0 ? "nn_bind" : "nn_connect");
    link->end[side] = end;
}

static void send_one(void *end, const void *data, size_t size)
{
    void *message = nn_allocmsg(size, 0);
    if (message == NULL)
        fail("nn_allocmsg");
    memcpy(message, data, size);
    if (nn_send(((struct end *)end)->socket, &message, NN_MSG, 0) < 0)
        fail("nn_send");
}

static size_t receive(void *at, const void **data)
{
    struct end *end = at;
    if (end->message != NULL)
        nn_freemsg(end->message);
    int size = nn_recv(end->socket, &end->message, NN_MSG, 0);
    if (size < 0)
        fail("nn_recv");
    *data = end->message;
    return (size_t)size;
}

#define NANOMSG(name)                                                            \
    {                                                                            \
        .library = "nanomsg", .transport = name, .style = "plain",               \
        .setup = "PAIR, NN_MSG, NN_TCP_NODELAY", .join = join, .send = send_one, \
        .receive = receive, .handles = 2, .max_links = 200                       \
    }

/* At most 512 sockets in a process, which is fixed when it is compiled. */
const struct contender with_nanomsg[] = {NANOMSG("ipc"), NANOMSG("tcp"), {0}};
