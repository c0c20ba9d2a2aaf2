/* SPDX-License-Identifier: MIT */
/*
 * ZeroMQ, PAIR, set up as its own measuring programs (perf/ in its sources) do: with the defaults.
 * One I/O thread, which by its guide is enough up to a gigabyte a second; two were slower on two
 * cores. A high-water mark above the default of 1,000 messages was no faster.
 */
#include <pthread.h>
#include <stdlib.h>
#include <zmq.h>

#include "bench.h"

struct end {
    void *socket;
    zmq_msg_t message; /* the last one received */
};

static void *context;

static void make_context(void)
{
    context = zmq_ctx_new();
    if (context == NULL || zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 8192) != 0)
        fail("zmq_ctx_new");
}

static void *make_socket(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_context);
    void *socket = zmq_socket(context, ZMQ_PAIR);
    if (socket == NULL)
        fail("zmq_socket");
    return socket;
}

static void join(struct link *link, int side)
{
    char url[128];
    struct end *end = calloc(1, sizeof *end);
    if (end == NULL)
        fail("memory");
    end->socket = make_socket();
    zmq_msg_init(&end->message);
    link_url(link, url, sizeof url);
    if ((side == 0 ? zmq_bind : zmq_connect)(end->socket, url) != 0)
        fail(side == 0 ? "zmq_bind" : "zmq_connect");
    link->end[side] = end;
}

static void send_one(void *end, const void *data, size_t size)
{
    if (zmq_send(((struct end *)end)->socket, data, size, 0) < 0)
        fail("zmq_send");
}

static size_t receive(void *at, const void **data)
{
    struct end *end = at;
    if (zmq_msg_recv(&end->message, end->socket, 0) < 0)
        fail("zmq_msg_recv");
    *data = zmq_msg_data(&end->message);
    return zmq_msg_size(&end->message);
}

#define ZMQ(name)                                                                 \
    {                                                                             \
        .library = "ZeroMQ", .transport = name, .style = "plain",                 \
        .setup = "PAIR, defaults (1 I/O thread)", .join = join, .send = send_one, \
        .receive = receive, .handles = 2                                          \
    }

const struct contender with_zmq[] = {ZMQ("ipc"), ZMQ("tcp"), {0}};
