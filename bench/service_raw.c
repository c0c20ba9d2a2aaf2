/* SPDX-License-Identifier: MIT */
/* The calls of a server and its clients, with system calls alone, and the frames of libpipc. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"

#define HEADER 4   /* a big-endian length */
#define BUFFER 256 /* bytes, and so the largest frame */

struct connection {
    int fd, set; /* set: -1, or what is polled in its place */
    size_t have; /* bytes in the buffer, which a frame begins */
    unsigned char buffer[BUFFER];
};

struct server {
    int fd;
};

static struct sockaddr_in loopback(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)port)};
}

static struct sockaddr_un at_path(const struct place *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, place->path, sizeof place->path);
    return address;
}

/* ---- connections ---- */

static struct server *listen_at(const struct sockaddr *address, socklen_t size)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        fail("memory");
    server->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(server->fd, address, size) != 0 || listen(server->fd, SOMAXCONN) != 0)
        fail("listen");
    return server;
}

static void *listen_tcp(struct place *place)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    struct server *server = listen_at((struct sockaddr *)&address, size);
    if (getsockname(server->fd, (struct sockaddr *)&address, &size) != 0)
        fail("getsockname");
    place->port = ntohs(address.sin_port);
    return server;
}

static void *listen_unix(struct place *place)
{
    struct sockaddr_un address = at_path(place);
    return listen_at((struct sockaddr *)&address, sizeof address);
}

static int listen_fd(void *server)
{
    return ((struct server *)server)->fd;
}

static void stop(void *at)
{
    struct server *server = at;
    close(server->fd);
    free(server);
}

static struct connection *make_connection(int fd)
{
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL)
        fail("memory");
    connection->fd = fd;
    connection->set = -1;
    connection->have = 0;
    return connection;
}

static void no_delay(int fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail("TCP_NODELAY");
}

static int accept_fd(const struct server *server)
{
    return accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
}

static void *accept_tcp(void *server)
{
    int fd = accept_fd(server);
    if (fd < 0)
        return NULL;
    no_delay(fd);
    return make_connection(fd);
}

static void *accept_unix(void *server)
{
    int fd = accept_fd(server);
    return fd < 0 ? NULL : make_connection(fd);
}

static int connect_at(const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, address, size) != 0)
        fail("connect");
    return fd;
}

static void *connect_tcp(const struct place *place)
{
    struct sockaddr_in address = loopback(place->port);
    int fd = connect_at((struct sockaddr *)&address, sizeof address);
    no_delay(fd);
    return make_connection(fd);
}

static void *connect_unix(const struct place *place)
{
    struct sockaddr_un address = at_path(place);
    return make_connection(connect_at((struct sockaddr *)&address, sizeof address));
}

static int poll_fd(void *connection)
{
    return ((struct connection *)connection)->fd;
}

/*
 * What a library pays at least that has one descriptor for each connection, which it can make
 * readable itself: an epoll set, in the set of the event loop.
 */
static int poll_set(void *at)
{
    struct connection *connection = at;
    struct epoll_event event = {.events = EPOLLIN};
    if (connection->set < 0)
        connection->set = epoll_create1(EPOLL_CLOEXEC);
    else
        return connection->set;
    if (epoll_ctl(connection->set, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        fail("a set of its own");
    return connection->set;
}

static void close_one(void *at)
{
    struct connection *connection = at;
    if (connection->set >= 0)
        close(connection->set);
    close(connection->fd);
    free(connection);
}

/* ---- frames ---- */

static size_t frame_size(const struct connection *connection)
{
    uint32_t length;
    if (connection->have < HEADER)
        return HEADER;
    memcpy(&length, connection->buffer, sizeof length);
    return HEADER + ntohl(length);
}

static bool read_more(struct connection *connection)
{
    unsigned char *to = connection->buffer + connection->have;
    ssize_t got = recv(connection->fd, to, BUFFER - connection->have, 0);
    if (got > 0)
        connection->have += (size_t)got;
    return got > 0;
}

static void send_frame(const struct connection *connection, const void *frame, size_t size)
{
    if (send(connection->fd, frame, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("send");
}

static void consume(struct connection *connection, size_t size)
{
    connection->have -= size;
    if (connection->have > 0)
        memmove(connection->buffer, connection->buffer + size, connection->have);
}

/* Called when there is something to read: one call reads it, as a rule. */
static int echo(void *at)
{
    struct connection *connection = at;
    int count = 0;
    if (!read_more(connection))
        return -1;
    for (size_t size; (size = frame_size(connection)) <= connection->have && size > HEADER;) {
        send_frame(connection, connection->buffer, size);
        consume(connection, size);
        count++;
    }
    return count;
}

static void send_one(void *connection, const void *data, size_t size)
{
    unsigned char frame[BUFFER];
    uint32_t length = htonl((uint32_t)size);
    memcpy(frame, &length, HEADER);
    memcpy(frame + HEADER, data, size);
    send_frame(connection, frame, HEADER + size);
}

static void receive(void *at, void *data, size_t size)
{
    struct connection *connection = at;
    while (connection->have < HEADER || connection->have < frame_size(connection))
        if (!read_more(connection))
            fail("recv");
    memcpy(data, connection->buffer + HEADER, size);
    consume(connection, HEADER + size);
}

#define SERVICE(name, polled, listens, accepts, connects)                                 \
    {                                                                                     \
        .library = "raw", .transport = name, .listen = listens, .listen_fd = listen_fd,   \
        .accept = accepts, .stop = stop, .fd = polled, .echo = echo, .connect = connects, \
        .send = send_one, .receive = receive, .close = close_one                          \
    }

const struct service services_raw[] = {
    SERVICE("tcp", poll_fd, listen_tcp, accept_tcp, connect_tcp),
    SERVICE("unix", poll_fd, listen_unix, accept_unix, connect_unix),
    {0},
};

const struct service services_nested[] = {
    SERVICE("tcp nested", poll_set, listen_tcp, accept_tcp, connect_tcp),
    SERVICE("unix nested", poll_set, listen_unix, accept_unix, connect_unix),
    {0},
};
