/* SPDX-License-Identifier: MIT */
/* The calls of a server and its clients, with libpipc; and what is opened without a server. */
#include <errno.h>
#include <pipc.h>
#include <stdint.h>

#include "bench.h"

#define PATIENCE_MS 20000
#define BUFFER      256 /* bytes, and so the largest message */

/* ---- connections ---- */

static void *listen_tcp(struct place *place)
{
    pipc_server_t *server = pipc_server_open("127.0.0.1", 0, NULL);
    if (server == NULL)
        fail("pipc_server_open");
    place->port = pipc_server_port(server);
    return server;
}

static void *listen_unix(struct place *place)
{
    pipc_server_t *server = pipc_server_open_unix(place->path, NULL);
    if (server == NULL)
        fail("pipc_server_open_unix");
    return server;
}

static int listen_fd(void *server)
{
    return pipc_server_fd(server);
}

static void *accept_one(void *server)
{
    return pipc_server_accept(server, 0);
}

static void stop(void *server)
{
    pipc_server_close(server);
}

static void *connect_tcp(const struct place *place)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_CONNECT_ONLY;
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", (uint16_t)place->port, PATIENCE_MS, &options);
    if (pipe == NULL)
        fail("pipc_open_tcp");
    return pipe;
}

static void *connect_unix(const struct place *place)
{
    pipc_t *pipe = pipc_open_unix(place->path, PATIENCE_MS, NULL);
    if (pipe == NULL)
        fail("pipc_open_unix");
    return pipe;
}

static int poll_fd(void *pipe)
{
    int fd = pipc_fd(pipe);
    if (fd < 0 || pipc_set_timeout(pipe, 0, -1) != 0)
        fail("pipc_fd");
    return fd;
}

static void close_one(void *pipe)
{
    pipc_close(pipe);
}

/* ---- messages ---- */

/* One message for each wakeup, as the bare server reads once: what else has come wakes it again. */
static int echo(void *pipe)
{
    unsigned char buffer[BUFFER];
    ssize_t size = pipc_read(pipe, buffer, sizeof buffer);
    if (size < 0)
        return errno == EAGAIN ? 0 : -1;
    if (pipc_write(pipe, buffer, (size_t)size) < 0)
        fail("pipc_write");
    return 1;
}

static void send_one(void *pipe, const void *data, size_t size)
{
    if (pipc_write(pipe, data, size) < 0)
        fail("pipc_write");
}

static void receive(void *pipe, void *data, size_t size)
{
    if (pipc_read(pipe, data, size) != (ssize_t)size)
        fail("pipc_read");
}

#define SERVICE(name, listens, connects)                                                      \
    {                                                                                         \
        .library = "libpipc", .transport = name, .listen = listens, .listen_fd = listen_fd,   \
        .accept = accept_one, .stop = stop, .fd = poll_fd, .echo = echo, .connect = connects, \
        .send = send_one, .receive = receive, .close = close_one                              \
    }

const struct service services_pipc[] = {
    SERVICE("tcp", listen_tcp, connect_tcp),
    SERVICE("unix", listen_unix, connect_unix),
    {0},
};

/* ---- without a server ---- */

void open_anonymous(void)
{
    pipc_t *pipe = pipc_open(NULL);
    if (pipe == NULL || pipc_write(pipe, "0123456789abcdef", 16) < 0)
        fail("pipc_open");
    pipc_close(pipe);
}

void open_pair(void)
{
    pipc_t *end[2];
    if (pipc_open_pair(end, NULL) != 0)
        fail("pipc_open_pair");
    pipc_close(end[0]);
    pipc_close(end[1]);
}
