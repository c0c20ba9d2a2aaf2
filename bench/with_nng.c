/* SPDX-License-Identifier: MIT */
/*
 * nng, pair0. Messages go by nng_sendmsg and nng_recvmsg, which the manual calls more efficient
 * than nng_send and nng_recv, being without a copy of their own. Socket buffers of 128 messages:
 * much faster than its default, none, and than the 8,192 that it allows. TCP_NODELAY is its
 * default.
 */
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define DEPTH 128

struct end {
    nng_socket socket;
    nng_msg *message; /* the last one received */
};

static void check(int error, const char *what)
{
    if (error != 0)
        fail(what);
}

static void set_options(nng_socket socket)
{
    check(nng_socket_set_int(socket, NNG_OPT_SENDBUF, DEPTH), "NNG_OPT_SENDBUF");
    check(nng_socket_set_int(socket, NNG_OPT_RECVBUF, DEPTH), "NNG_OPT_RECVBUF");
    check(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0), "NNG_OPT_RECVMAXSZ");
    check(nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, 1), "NNG_OPT_RECONNMINT");
}

static void join(struct link *link, int side)
{
    char url[128];
    struct end *end = calloc(1, sizeof *end);
    if (end == NULL)
        fail("memory");
    check(nng_pair0_open(&end->socket), "nng_pair0_open");
    set_options(end->socket);
    link_url(link, url, sizeof url);
    if (side == 0)
        check(nng_listen(end->socket, url, NULL, 0), "nng_listen");
    else
        check(nng_dial(end->socket, url, NULL, NNG_FLAG_NONBLOCK), "nng_dial");
    link->end[side] = end;
}

static void send_one(void *end, const void *data, size_t size)
{
    nng_msg *message;
    check(nng_msg_alloc(&message, size), "nng_msg_alloc");
    memcpy(nng_msg_body(message), data, size);
    check(nng_sendmsg(((struct end *)end)->socket, message, 0), "nng_sendmsg");
}

static size_t receive(void *at, const void **data)
{
    struct end *end = at;
    nng_msg_free(end->message);
    check(nng_recvmsg(end->socket, &end->message, 0), "nng_recvmsg");
    *data = nng_msg_body(end->message);
    return nng_msg_len(end->message);
}

#define NNG(name)                                                                               \
    {                                                                                           \
        .library = "nng", .transport = name, .style = "plain",                                  \
        .setup = "pair0, nng_sendmsg, buffers of 128 messages", .join = join, .send = send_one, \
        .receive = receive, .handles = 2                                                        \
    }

const struct contender with_nng[] = {NNG("ipc"), NNG("tcp"), {0}};
