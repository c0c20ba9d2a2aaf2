/* SPDX-License-Identifier: MIT */
/*
 * What the kernel has for messages, and keeps apart by itself: sockets of AF_UNIX that send packets
 * (SEQPACKET), and POSIX message queues. Neither carries messages of any size.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define QUEUE_DEPTH     10 /* what the system allows everybody (fs/mqueue/msg_max) */
#define PACKET_OVERHEAD 32 /* of a socket's buffer, beside the packet */

struct packets {
    int in, out;
    size_t size; /* of each message */
    void *buffer;
};

static void join(struct link *link, int side)
{
    struct packets *packets = calloc(1, sizeof *packets);
    if (packets == NULL || (packets->buffer = malloc(link->size)) == NULL)
        fail("memory");
    packets->in = link->fd[side][0];
    packets->out = link->fd[side][1];
    packets->size = link->size;
    link->end[side] = packets;
}

/* ---- SEQPACKET ---- */

/* A larger buffer only for packets that do not fit into the default one. */
static bool fits(int fd, size_t size)
{
    int room;
    socklen_t length = sizeof room;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &length) != 0)
        fail("SO_SNDBUF");
    if ((size_t)room >= size + PACKET_OVERHEAD)
        return true;
    room = (int)size + PACKET_OVERHEAD;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &length) != 0)
        fail("SO_SNDBUF");
    return (size_t)room >= size + PACKET_OVERHEAD;
}

static void make_sockets(int fd[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) != 0)
        fail("SEQPACKET");
}

static void prepare_sockets(struct link *link)
{
    int fd[2];
    make_sockets(fd);
    errno = EMSGSIZE;
    if (!fits(fd[0], link->size) || !fits(fd[1], link->size))
        fail("SEQPACKET");
    set_fds(link, 0, fd[0], fd[0]);
    set_fds(link, 1, fd[1], fd[1]);
}

static const char *sockets_lack(size_t size)
{
    int fd[2];
    make_sockets(fd);
    bool fit = fits(fd[0], size);
    close(fd[0]);
    close(fd[1]);
    return fit ? NULL : "over what a socket's buffer may hold (net/core/wmem_max)";
}

static void send_packet(void *end, const void *data, size_t size)
{
    if (send(((struct packets *)end)->out, data, size, 0) < 0)
        fail("send");
}

static size_t receive_packet(void *end, const void **data)
{
    const struct packets *packets = end;
    ssize_t got = recv(packets->in, packets->buffer, packets->size, 0);
    if (got <= 0)
        fail("recv");
    *data = packets->buffer;
    return (size_t)got;
}

/* ---- message queues ---- */

/* Its name is gone at once. -1: the system allows no such queue. */
static int make_queue(size_t size)
{
    static unsigned number;
    char name[64];
    struct mq_attr attributes = {.mq_maxmsg = QUEUE_DEPTH, .mq_msgsize = (long)size};
    snprintf(name, sizeof name, "/bench-%d-%u", (int)getpid(), number++);
    int queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
    if (queue >= 0)
        mq_unlink(name);
    return queue;
}

static void prepare_queues(struct link *link)
{
    int there = make_queue(link->size), back = make_queue(link->size);
    if (there < 0 || back < 0)
        fail("mq_open");
    set_fds(link, 0, back, there);
    set_fds(link, 1, there, back);
}

static const char *queues_lack(size_t size)
{
    int there = make_queue(size), back = make_queue(size);
    bool fit = there >= 0 && back >= 0;
    if (there >= 0)
        close(there);
    if (back >= 0)
        close(back);
    return fit ? NULL : "over what the system allows (ulimit -q, fs/mqueue/msgsize_max)";
}

static void send_queued(void *end, const void *data, size_t size)
{
    if (mq_send(((struct packets *)end)->out, data, size, 0) != 0)
        fail("mq_send");
}

static size_t receive_queued(void *end, const void **data)
{
    const struct packets *packets = end;
    ssize_t got = mq_receive(packets->in, packets->buffer, packets->size, NULL);
    if (got < 0)
        fail("mq_receive");
    *data = packets->buffer;
    return (size_t)got;
}

const struct contender with_packets[] = {
    {
        .library = "raw",
        .transport = "seqpacket",
        .style = "plain",
        .setup = "AF_UNIX, SOCK_SEQPACKET; its buffer enlarged (SO_SNDBUF) for large messages",
        .prepare = prepare_sockets,
        .drop = drop_fds,
        .join = join,
        .send = send_packet,
        .receive = receive_packet,
        .handles = 2,
        .one_size = true,
        .lacks = sockets_lack,
    },
    {
        .library = "raw",
        .transport = "mqueue",
        .style = "plain",
        .setup = "two POSIX message queues, of 10 messages each",
        .prepare = prepare_queues,
        .join = join,
        .send = send_queued,
        .receive = receive_queued,
        .handles = 2,
        .max_links = 100,
        .one_size = true,
        .lacks = queues_lack,
    },
    {0},
};
