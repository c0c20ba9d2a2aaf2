/* SPDX-License-Identifier: MIT */
/*
 * libpipc, as a program uses it: no call that only a benchmark would make. A transport is one line
 * of the table at the end.
 */
#include <errno.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define PATIENCE_MS 20000

struct end {
    pipc_t *pipe;
    size_t count;         /* messages of the last batch, to be freed */
    pipc_msg_t *messages; /* of BATCH_MAX, made when the first batch is read */
    bool has_read;        /* since the last message that it gathered */
};

/* Where plain reads go: the program's memory, not the handle's, so ends share it. */
static _Thread_local struct {
    void *data;
    size_t size;
} buffer;

static struct end *make_end(pipc_t *pipe, const char *what)
{
    struct end *end = calloc(1, sizeof *end);
    if (pipe == NULL || end == NULL)
        fail(what);
    end->pipe = pipe;
    return end;
}

static void make_buffer(size_t size)
{
    if (buffer.size >= size)
        return;
    free(buffer.data);
    buffer.data = malloc(size);
    buffer.size = size;
    if (buffer.data == NULL)
        fail("memory");
}

/* ---- transports ---- */

static void send_gathered(void *end, const void *data, size_t size);

static pipc_options_t options_of(const struct link *link)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    if (link->contender->send == send_gathered)
        options.flags = PIPC_GATHER;
    return options;
}

static void prepare_anonymous(struct link *link)
{
    link->end[0] = link->end[1] = pipc_open(NULL);
}

static void join_opened(struct link *link, int side)
{
    link->end[side] = make_end(link->end[side], "open");
}

static void prepare_pair(struct link *link)
{
    pipc_t *end[2];
    pipc_options_t options = options_of(link);
    if (pipc_open_pair(end, &options) != 0)
        fail("pipc_open_pair");
    link->end[0] = end[0];
    link->end[1] = end[1];
}

static void drop_opened(struct link *link, int side)
{
    pipc_close(link->end[side]);
}

static void join_fds(struct link *link, int side)
{
    pipc_options_t options = options_of(link);
    pipc_t *pipe = pipc_open_fds(link->fd[side][0], link->fd[side][1], &options);
    link->end[side] = make_end(pipe, "pipc_open_fds");
}

/* These two wait for the peer, which comes when it comes. */
static void join_fifo(struct link *link, int side)
{
    char directory[sizeof link->path];
    snprintf(directory, sizeof directory, "%s", link->path);
    char *name = strrchr(directory, '/');
    *name++ = '\0';
    pipc_options_t options = options_of(link);
    options.directory = directory;
    link->end[side] = make_end(pipc_open_fifo(name, PATIENCE_MS, &options), "pipc_open_fifo");
}

static void join_tcp(struct link *link, int side)
{
    pipc_options_t options = options_of(link);
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", (uint16_t)link->port, PATIENCE_MS, &options);
    link->end[side] = make_end(pipe, "pipc_open_tcp");
}

static pipc_t *serve_one(const char *path, const pipc_options_t *options)
{
    pipc_server_t *server = pipc_server_open_unix(path, options);
    if (server == NULL)
        fail("pipc_server_open_unix");
    pipc_t *pipe = pipc_server_accept(server, PATIENCE_MS);
    pipc_server_close(server);
    return pipe;
}

/* The first side is a server of one client: it sends, so the pipe moves into shared memory. */
static void join_at_path(struct link *link, int side, const pipc_options_t *options)
{
    pipc_t *pipe = side == 0 ? serve_one(link->path, options)
                             : pipc_open_unix(link->path, PATIENCE_MS, options);
    link->end[side] = make_end(pipe, "a Unix socket");
}

static void join_unix(struct link *link, int side)
{
    pipc_options_t options = options_of(link);
    join_at_path(link, side, &options);
}

static void join_unix_socket(struct link *link, int side)
{
    pipc_options_t options = options_of(link);
    options.flags |= PIPC_NO_SHARED_MEMORY;
    join_at_path(link, side, &options);
}

/* ---- messages ---- */

static void send_one(void *end, const void *data, size_t size)
{
    if (pipc_write(((struct end *)end)->pipe, data, size) < 0)
        fail("pipc_write");
}

/* An answer has to go, for its sender has nothing more to do. */
static void send_gathered(void *at, const void *data, size_t size)
{
    struct end *end = at;
    send_one(end, data, size);
    if (end->has_read && pipc_flush(end->pipe) < 0)
        fail("pipc_flush");
    end->has_read = false;
}

static size_t receive(void *end, const void **data)
{
    pipc_t *pipe = ((struct end *)end)->pipe;
    ssize_t size = pipc_read(pipe, buffer.data, buffer.size);
    while (size < 0 && errno == EMSGSIZE) {
        pipc_msg_t view;
        if (pipc_peek(pipe, &view) != 0)
            fail("pipc_peek");
        make_buffer(view.size);
        size = pipc_read(pipe, buffer.data, buffer.size);
    }
    if (size < 0)
        fail("pipc_read");
    *data = buffer.data;
    ((struct end *)end)->has_read = true;
    return (size_t)size;
}

static void send_many(void *end, const struct iovec *messages, size_t count)
{
    while (count > 0) {
        ssize_t sent = pipc_write_batch(((struct end *)end)->pipe, messages, count);
        if (sent < 0)
            fail("pipc_write_batch");
        messages += sent;
        count -= (size_t)sent;
    }
}

static void free_messages(struct end *end)
{
    for (size_t i = 0; i < end->count; i++)
        pipc_msg_free(&end->messages[i]);
    end->count = 0;
}

/* pipc_read_pending never waits, so what waits is a look at the first message. */
static size_t take_pending(struct end *end, size_t max)
{
    pipc_msg_t first;
    ssize_t got = pipc_read_pending(end->pipe, end->messages, max);
    while (got == 0) {
        if (pipc_peek(end->pipe, &first) != 0)
            fail("pipc_peek");
        got = pipc_read_pending(end->pipe, end->messages, max);
    }
    if (got < 0)
        fail("pipc_read_pending");
    return (size_t)got;
}

static void look(void *end)
{
    if (pipc_pending(((struct end *)end)->pipe) != 0)
        fail("pipc_pending");
}

static size_t receive_many(void *at, struct iovec *messages, size_t max)
{
    struct end *end = at;
    if (end->messages == NULL)
        end->messages = calloc(BATCH_MAX, sizeof *end->messages);
    if (end->messages == NULL)
        fail("memory");
    free_messages(end);
    end->count = take_pending(end, max);
    for (size_t i = 0; i < end->count; i++) {
        messages[i].iov_base = end->messages[i].data;
        messages[i].iov_len = end->messages[i].size;
    }
    return end->count;
}

#define PIPC_STYLE(name, what, how, ends, made, dropped, joined, many, take)                      \
    {                                                                                             \
        .library = "libpipc", .transport = name, .style = what, .setup = how, .prepare = made,    \
        .drop = dropped, .join = joined, .send = send_one, .receive = receive, .send_many = many, \
        .receive_many = take, .look = look, .handles = ends                                       \
    }

/* Arguments: transport, how it is set up, handles, prepare, drop, join. */
#define PIPC(name, how, ...)                                 \
    PIPC_STYLE(name, "plain", how, __VA_ARGS__, NULL, NULL), \
        PIPC_STYLE(name, "batch", how ", batches", __VA_ARGS__, send_many, receive_many)

/* The reader does not know that there are batches. */
#define PIPC_READ(name, how, ...) \
    PIPC_STYLE(name, "batch, read", how ", plain reads", __VA_ARGS__, send_many, NULL)

/* For one way: many small messages, from one call each, that nobody waits for. */
#define PIPC_GATHERED(name, how, ends, made, dropped, joined)                                     \
    {                                                                                             \
        .library = "libpipc", .transport = name, .style = "gather", .setup = how ", PIPC_GATHER", \
        .prepare = made, .drop = dropped, .join = joined, .send = send_gathered,                  \
        .receive = receive, .handles = ends                                                       \
    }

const struct contender with_pipc[] = {
    PIPC("anonymous", "pipc_open", 1, prepare_anonymous, NULL, join_opened),
    PIPC("pair", "pipc_open_pair, which moves", 2, prepare_pair, drop_opened, join_opened),
    PIPC("fifo", "pipc_open_fifo", 2, NULL, NULL, join_fifo),
    PIPC_READ("fifo", "pipc_open_fifo", 2, NULL, NULL, join_fifo),
    PIPC("pipe", "pipc_open_fds, two pipes", 2, prepare_pipe, drop_fds, join_fds),
    PIPC("socketpair", "pipc_open_fds, AF_UNIX stream", 2, prepare_socketpair, drop_fds, join_fds),
    PIPC("unix", "pipc_open_unix, in shared memory", 2, NULL, NULL, join_unix),
    PIPC("unix socket", "pipc_open_unix, PIPC_NO_SHARED_MEMORY", 2, NULL, NULL, join_unix_socket),
    PIPC("tcp", "pipc_open_tcp on loopback", 2, NULL, NULL, join_tcp),
    PIPC_READ("tcp", "pipc_open_tcp on loopback", 2, NULL, NULL, join_tcp),
    PIPC_GATHERED("pair", "pipc_open_pair, pipes", 2, prepare_pair, drop_opened, join_opened),
    PIPC_GATHERED("fifo", "pipc_open_fifo", 2, NULL, NULL, join_fifo),
    PIPC_GATHERED("unix socket", "pipc_open_unix", 2, NULL, NULL, join_unix),
    PIPC_GATHERED("tcp", "pipc_open_tcp on loopback", 2, NULL, NULL, join_tcp),
    {0},
};
