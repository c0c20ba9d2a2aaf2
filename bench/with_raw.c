/* SPDX-License-Identifier: MIT */
/*
 * The limit: system calls and nothing around them. Messages are told apart by their size alone,
 * which both sides know; a library has to send it as well. Short ones are read in bulk and not
 * copied again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define BULK       65536
#define LARGE_PIPE (1 << 20)

struct raw {
    int in, out;
    size_t size;       /* of each message */
    size_t capacity;   /* of the buffer */
    size_t begin, end; /* what is in it */
    unsigned char *buffer;
};

/* ---- descriptors ---- */

void set_fds(struct link *link, int side, int in, int out)
{
    link->fd[side][0] = in;
    link->fd[side][1] = out;
}

void prepare_pipe(struct link *link)
{
    int there[2], back[2];
    if (pipe2(there, O_CLOEXEC) != 0 || pipe2(back, O_CLOEXEC) != 0)
        fail("pipe");
    set_fds(link, 0, back[0], there[1]);
    set_fds(link, 1, there[0], back[1]);
}

void prepare_large_pipe(struct link *link)
{
    prepare_pipe(link);
    for (int side = 0; side < 2; side++)
        if (fcntl(link->fd[side][1], F_SETPIPE_SZ, LARGE_PIPE) < 0)
            fail("F_SETPIPE_SZ");
}

/* As programs make them: what is read and written is noted in the times of a file. */
static void make_fifo(const char *path, int *in, int *out)
{
    if (mkfifo(path, 0600) != 0 || (*in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)) < 0 ||
        (*out = open(path, O_WRONLY | O_CLOEXEC)) < 0 || unlink(path) != 0 ||
        fcntl(*in, F_SETFL, 0) != 0)
        fail("FIFO");
}

static void prepare_fifo(struct link *link)
{
    make_fifo(link->path, &link->fd[1][0], &link->fd[0][1]);
    make_fifo(link->path, &link->fd[0][0], &link->fd[1][1]);
}

void prepare_socketpair(struct link *link)
{
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0)
        fail("socketpair");
    set_fds(link, 0, fd[0], fd[0]);
    set_fds(link, 1, fd[1], fd[1]);
}

static void no_delay(int fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail("TCP_NODELAY");
}

static void prepare_tcp(struct link *link)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server, (struct sockaddr *)&address, size) != 0 || listen(server, 1) != 0 ||
        getsockname(server, (struct sockaddr *)&address, &size) != 0 ||
        connect(client, (struct sockaddr *)&address, size) != 0)
        fail("TCP on loopback");
    int accepted = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    if (accepted < 0)
        fail("accept");
    close(server);
    no_delay(client);
    no_delay(accepted);
    set_fds(link, 0, client, client);
    set_fds(link, 1, accepted, accepted);
}

void drop_fds(struct link *link, int side)
{
    close(link->fd[side][0]);
    if (link->fd[side][1] != link->fd[side][0])
        close(link->fd[side][1]);
}

/* ---- messages ---- */

static void join(struct link *link, int side)
{
    struct raw *raw = calloc(1, sizeof *raw);
    if (raw == NULL)
        fail("memory");
    raw->in = link->fd[side][0];
    raw->out = link->fd[side][1];
    raw->size = link->size;
    raw->capacity = link->size <= BULK / 4 ? BULK / link->size * link->size : link->size;
    raw->buffer = malloc(raw->capacity);
    if (raw->buffer == NULL)
        fail("memory");
    link->end[side] = raw;
}

static void send_one(void *end, const void *data, size_t size)
{
    const struct raw *raw = end;
    const unsigned char *from = data;
    while (size > 0) {
        ssize_t sent = write(raw->out, from, size);
        if (sent < 0)
            fail("write");
        from += sent;
        size -= (size_t)sent;
    }
}

/* The messages of a batch lie one behind the other; one that takes several writes goes on from
 * there. */
static void send_many(void *end, const struct iovec *messages, size_t count)
{
    send_one(end, messages[0].iov_base, messages[0].iov_len * count);
}

static void read_more(struct raw *raw)
{
    if (raw->begin == raw->end)
        raw->begin = raw->end = 0;
    ssize_t got = read(raw->in, raw->buffer + raw->end, raw->capacity - raw->end);
    if (got <= 0)
        fail("read");
    raw->end += (size_t)got;
}

/* The size divides the buffer, so that a message never has to be moved. */
static size_t receive(void *end, const void **data)
{
    struct raw *raw = end;
    while (raw->end - raw->begin < raw->size)
        read_more(raw);
    *data = raw->buffer + raw->begin;
    raw->begin += raw->size;
    return raw->size;
}

#define RAW(name, how, made, what, many)                                                         \
    {                                                                                            \
        .library = "raw", .transport = name, .style = what, .setup = how, .prepare = made,       \
        .drop = drop_fds, .join = join, .send = send_one, .receive = receive, .send_many = many, \
        .handles = 2, .one_size = true                                                           \
    }
#define PLAIN(name, how, made) RAW(name, how, made, "plain", NULL)
#define BATCH(name, how, made) RAW(name, how, made, "batch", send_many)

const struct contender with_raw[] = {
    PLAIN("pipe", "two pipes; one write for each message, read in bulk", prepare_pipe),
    BATCH("pipe", "the same, up to 256 messages in one write", prepare_pipe),
    PLAIN("pipe 1M", "two pipes of 1 MiB (F_SETPIPE_SZ)", prepare_large_pipe),
    PLAIN("fifo", "two FIFOs, opened by name", prepare_fifo),
    PLAIN("socketpair", "a stream of AF_UNIX", prepare_socketpair),
    PLAIN("tcp", "loopback, TCP_NODELAY", prepare_tcp),
    BATCH("tcp", "the same, up to 256 messages in one write", prepare_tcp),
    {0},
};
