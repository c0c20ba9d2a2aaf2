/* SPDX-License-Identifier: MIT */
/*
 * The public functions: check arguments, find the caller's channel, hand over. What they promise
 * stands in pipc.h.
 */
#include "pipc.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "api/anonymous.h"
#include "channel/channel.h"
#include "channel/channel_internal.h" /* for its size alone */
#include "rendezvous/fifo.h"
#include "rendezvous/server.h"
#include "rendezvous/tcp.h"
#include "sys/sys.h"
#include "transport/transport.h"

#define TEXT_OF(number)          TEXT_OF_EXPANDED(number)
#define TEXT_OF_EXPANDED(number) #number

#define KNOWN_FLAGS (PIPC_INTERRUPTIBLE | PIPC_DUPLEX | PIPC_KEY_MD5)
#define PARTS_MAX   1024 /* as writev(2) */

/*
 * A program may contain the library twice, in a plug-in say. Who is asking, and what happens at fork
 * and at the end of a thread, is known to the copy that made a handle; the rest any copy can do that
 * has the same layout of everything.
 */
struct copy {
    size_t layout;
    struct channel *(*channel)(struct anonymous *anonymous);
    struct channel *(*mine)(const struct anonymous *anonymous);
    int (*disconnect)(struct anonymous *anonymous, struct channel *channel, const char *text);
    void (*close)(struct anonymous *anonymous);
    const char *(*bye_text)(struct anonymous *anonymous);
    void (*add_stats)(struct anonymous *anonymous, pipc_stats_t *stats);
};

#define LAYOUT                                                             \
    ((size_t)PIPC_VERSION_MAJOR << 24 | (size_t)PIPC_VERSION_MINOR << 20 | \
     (size_t)PIPC_VERSION_PATCH << 16 | (sizeof(struct channel) ^ sizeof(struct transport_ops)))

static const struct copy this_copy = {
    LAYOUT,          anonymous_channel,  anonymous_mine,     anonymous_disconnect,
    anonymous_close, anonymous_bye_text, anonymous_add_stats};

/* One of the two: the symmetric handle finds a channel for each caller, the others have one. */
struct pipc {
    const struct copy *copy; /* first, in every version */
    struct anonymous *anonymous;
    struct channel *channel;
};

static int invalid(void)
{
    errno = EINVAL;
    return -1;
}

static bool are_valid(const pipc_options_t *options)
{
    return options == NULL ||
           (options->struct_size >= sizeof *options && (options->flags & ~KNOWN_FLAGS) == 0 &&
            (options->key != NULL) == (options->key_size > 0));
}

static bool is_interruptible(const pipc_options_t *options)
{
    return options != NULL && (options->flags & PIPC_INTERRUPTIBLE) != 0;
}

static bool is_usable(const pipc_t *pipe)
{
    return pipe != NULL && (pipe->copy == &this_copy || pipe->copy->layout == LAYOUT);
}

static struct channel *channel_of_other_copy(pipc_t *pipe)
{
    if (is_usable(pipe))
        return pipe->channel != NULL ? pipe->channel : pipe->copy->channel(pipe->anonymous);
    errno = EINVAL;
    return NULL;
}

static inline struct channel *channel_of(pipc_t *pipe)
{
    if (pipe == NULL || pipe->copy != &this_copy)
        return channel_of_other_copy(pipe);
    return pipe->channel != NULL ? pipe->channel : anonymous_channel(pipe->anonymous);
}

/* For calls that take no end. */
static const struct channel *channel_if_any(const pipc_t *pipe)
{
    return pipe->anonymous == NULL ? pipe->channel : pipe->copy->mine(pipe->anonymous);
}

/* ---- opening and closing ---- */

static pipc_t *allocate(const pipc_options_t *options)
{
    if (!are_valid(options)) {
        errno = EINVAL;
        return NULL;
    }
    pipc_t *pipe = sys_alloc(sizeof *pipe);
    if (pipe != NULL)
        *pipe = (pipc_t){&this_copy, NULL, NULL};
    return pipe;
}

pipc_t *pipc_open(const pipc_options_t *options)
{
    pipc_t *pipe = allocate(options);
    if (pipe == NULL)
        return NULL;
    pipe->anonymous = anonymous_open(options, pipe);
    if (pipe->anonymous != NULL)
        return pipe;
    sys_free(pipe);
    return NULL;
}

/* What is left to be had is its transport. */
static pipc_t *open_channel(const pipc_options_t *options)
{
    pipc_t *pipe = allocate(options);
    if (pipe == NULL)
        return NULL;
    pipe->channel = channel_open(options);
    if (pipe->channel != NULL)
        return pipe;
    sys_free(pipe);
    return NULL;
}

typedef struct transport *open_transport(int read_fd, int write_fd);

/* On failure the descriptors stay the caller's. */
static pipc_t *open_on(open_transport *open, int read_fd, int write_fd,
                       const pipc_options_t *options)
{
    pipc_t *pipe = open_channel(options);
    struct transport *transport = pipe == NULL ? NULL : open(read_fd, write_fd);
    if (transport != NULL) {
        channel_attach(pipe->channel, transport);
        return pipe;
    }
    pipc_close(pipe);
    return NULL;
}

pipc_t *pipc_open_fds(int read_fd, int write_fd, const pipc_options_t *options)
{
    return open_on(transport_fd, read_fd, write_fd, options);
}

static void discard(void *pipe)
{
    pipc_close(pipe);
}

/* The thread may be cancelled while it waits. */
static int rendezvous(pipc_t *pipe, const struct fifo_request *request)
{
    struct transport *transport;
    pthread_cleanup_push(discard, pipe);
    transport = fifo_open(request);
    pthread_cleanup_pop(transport == NULL);
    if (transport == NULL)
        return -1;
    channel_attach(pipe->channel, transport);
    return 0;
}

pipc_t *pipc_open_fifo(const char *name, int timeout_ms, const pipc_options_t *options)
{
    if (timeout_ms < -1) {
        errno = EINVAL;
        return NULL;
    }
    struct fifo_request request = {name, options == NULL ? NULL : options->directory, timeout_ms,
                                   is_interruptible(options)};
    pipc_t *pipe = open_channel(options); /* before: nobody is met in vain, for lack of memory */
    return pipe != NULL && rendezvous(pipe, &request) == 0 ? pipe : NULL;
}

/* NULL: none, which is no empty one. */
static struct auth_key key_of(const pipc_options_t *options)
{
    struct auth_key none = {NULL, 0, false};
    if (options == NULL)
        return none;
    return (struct auth_key){options->key, options->key_size, (options->flags & PIPC_KEY_MD5) != 0};
}

/* Takes over a connected socket, also when it fails. */
static pipc_t *open_socket(int fd, const pipc_options_t *options)
{
    pipc_t *pipe = fd < 0 ? NULL : open_on(transport_fd_own, fd, fd, options);
    if (pipe == NULL)
        sys_close(fd);
    return pipe;
}

/* Only pipc_open_tcp knows that flag. A struct that is too small stays so, and is refused. */
static pipc_options_t without_connect_only(const pipc_options_t *options, bool *connect_only)
{
    pipc_options_t rest = PIPC_OPTIONS_INIT;
    if (options != NULL && options->struct_size < sizeof rest)
        rest.struct_size = options->struct_size;
    else if (options != NULL)
        rest = *options;
    *connect_only = (rest.flags & PIPC_CONNECT_ONLY) != 0;
    rest.flags &= ~PIPC_CONNECT_ONLY;
    return rest;
}

pipc_t *pipc_open_tcp(const char *host, uint16_t port, int timeout_ms,
                      const pipc_options_t *options)
{
    bool connect_only;
    pipc_options_t rest = without_connect_only(options, &connect_only);
    if (host == NULL || strcmp(host, "*") == 0 || port == 0 || timeout_ms < -1 ||
        !are_valid(&rest)) {
        errno = EINVAL;
        return NULL;
    }
    struct tcp_request request = {.host = host,
                                  .port = port,
                                  .timeout_ms = timeout_ms,
                                  .interruptible = is_interruptible(&rest),
                                  .connect_only = connect_only,
                                  .key = key_of(&rest)};
    return open_socket(tcp_open(&request), &rest);
}

static void close_pipe(const int fd[2])
{
    sys_close(fd[0]);
    sys_close(fd[1]);
}

/* Takes the four descriptors over, or closes those that no end has taken. */
static int open_ends(pipc_t *end[2], const int there[2], const int back[2],
                     const pipc_options_t *options)
{
    pipc_t *first = open_on(transport_fd_own, back[0], there[1], options);
    if (first == NULL) {
        close_pipe(there);
        close_pipe(back);
        return -1;
    }
    pipc_t *second = open_on(transport_fd_own, there[0], back[1], options);
    if (second == NULL) {
        sys_close(there[0]);
        sys_close(back[1]);
        pipc_close(first);
        return -1;
    }
    end[0] = first;
    end[1] = second;
    return 0;
}

int pipc_open_pair(pipc_t *end[2], const pipc_options_t *options)
{
    int there[2], back[2];
    if (end == NULL || !are_valid(options))
        return invalid();
    if (sys_pipe(there) != 0)
        return -1;
    if (sys_pipe(back) != 0) {
        close_pipe(there);
        return -1;
    }
    return open_ends(end, there, back, options);
}

void pipc_close(pipc_t *pipe)
{
    if (!is_usable(pipe))
        return;
    int saved = errno;
    if (pipe->anonymous != NULL) {
        pipe->copy->close(pipe->anonymous);
    } else {
        channel_close(pipe->channel);
        sys_free(pipe);
    }
    errno = saved;
}

/* ---- writing ---- */

static bool are_parts(const struct iovec *parts, size_t count)
{
    if (parts == NULL && count > 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (parts[i].iov_base == NULL && parts[i].iov_len > 0)
            return false;
    return true;
}

ssize_t pipc_writev(pipc_t *pipe, const struct iovec *parts, int count)
{
    if (count < 0 || count > PARTS_MAX || !are_parts(parts, (size_t)count))
        return invalid();
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_write(channel, parts, count);
}

ssize_t pipc_write(pipc_t *pipe, const void *data, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    if (data == NULL && size > 0)
        return invalid();
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_write(channel, &part, 1);
}

ssize_t pipc_write_batch(pipc_t *pipe, const struct iovec *messages, size_t count)
{
    if (count > PTRDIFF_MAX || !are_parts(messages, count))
        return invalid();
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_write_batch(channel, messages, count);
}

/* ---- reading ---- */

ssize_t pipc_read(pipc_t *pipe, void *buffer, size_t size)
{
    if (buffer == NULL && size > 0)
        return invalid();
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_read(channel, buffer, size);
}

int pipc_read_msg(pipc_t *pipe, pipc_msg_t *message)
{
    if (message == NULL)
        return invalid();
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_read_message(channel, message);
}

ssize_t pipc_read_pending(pipc_t *pipe, pipc_msg_t *messages, size_t max)
{
    if ((messages == NULL && max > 0) || max > PTRDIFF_MAX)
        return invalid();
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_read_pending(channel, messages, max);
}

int pipc_peek(pipc_t *pipe, pipc_msg_t *view)
{
    if (view == NULL)
        return invalid();
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_peek(channel, view);
}

int pipc_skip(pipc_t *pipe)
{
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_skip(channel);
}

const char *pipc_bye_text(const pipc_t *pipe)
{
    if (!is_usable(pipe))
        return NULL;
    return pipe->anonymous == NULL ? channel_bye_text(pipe->channel)
                                   : pipe->copy->bye_text(pipe->anonymous);
}

void pipc_msg_free(pipc_msg_t *message)
{
    if (message == NULL)
        return;
    message_free(message_of_data(message->data));
    message->data = NULL;
    message->size = 0;
}

ssize_t pipc_pending(pipc_t *pipe)
{
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_pending(channel);
}

/* ---- both directions ---- */

ssize_t pipc_flush(pipc_t *pipe)
{
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_flush(channel);
}

int pipc_shutdown(pipc_t *pipe)
{
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_shutdown(channel);
}

int pipc_disconnect(pipc_t *pipe, const char *text)
{
    struct channel *channel = channel_of(pipe);
    if (channel == NULL)
        return -1;
    return pipe->anonymous == NULL ? channel_disconnect(channel, text)
                                   : pipe->copy->disconnect(pipe->anonymous, channel, text);
}

int pipc_fd(pipc_t *pipe)
{
    struct channel *channel = channel_of(pipe);
    return channel == NULL ? -1 : channel_descriptor(channel);
}

int pipc_want(pipc_t *pipe, unsigned events)
{
    if ((events & ~(PIPC_WANT_READ | PIPC_WANT_WRITE)) != 0)
        return invalid();
    struct channel *channel = channel_of(pipe);
    if (channel == NULL)
        return -1;
    channel_want(channel, events);
    return 0;
}

int pipc_set_timeout(pipc_t *pipe, int read_ms, int write_ms)
{
    if (read_ms < -1 || write_ms < -1)
        return invalid();
    struct channel *channel = channel_of(pipe);
    if (channel == NULL)
        return -1;
    channel_set_timeout(channel, read_ms, write_ms);
    return 0;
}

int pipc_peer(pipc_t *pipe, char *buffer, size_t size)
{
    char text[128];
    if (!is_usable(pipe) || buffer == NULL || size == 0)
        return invalid();
    const struct channel *channel = channel_if_any(pipe);
    struct transport *transport = channel == NULL ? NULL : channel_transport(channel);
    if (transport == NULL)
        snprintf(text, sizeof text, "no end held");
    else
        transport->ops->peer(transport, text, sizeof text);
    if ((size_t)snprintf(buffer, size, "%s", text) < size)
        return 0;
    errno = ERANGE;
    return -1;
}

int pipc_stats(const pipc_t *pipe, pipc_stats_t *stats)
{
    if (!is_usable(pipe) || stats == NULL || stats->struct_size < sizeof *stats)
        return invalid();
    size_t struct_size = stats->struct_size;
    *stats = (pipc_stats_t)PIPC_STATS_INIT;
    stats->struct_size = struct_size;
    if (pipe->anonymous != NULL)
        pipe->copy->add_stats(pipe->anonymous, stats);
    else
        channel_add_stats(pipe->channel, stats);
    return 0;
}

/* ---- the server ---- */

struct pipc_server {
    struct server *server;
    pipc_options_t options; /* of the handles to come */
};

pipc_server_t *pipc_server_open(const char *host, uint16_t port, const pipc_options_t *options)
{
    if (!are_valid(options)) {
        errno = EINVAL;
        return NULL;
    }
    struct auth_key key = key_of(options);
    pipc_server_t *server = sys_alloc(sizeof *server);
    if (server == NULL)
        return NULL;
    server->options = (pipc_options_t)PIPC_OPTIONS_INIT;
    if (options != NULL)
        server->options = *options;
    server->options.key = NULL; /* the caller's, for this call only; the server has a copy */
    server->options.key_size = 0;
    server->server = server_open(host, port, is_interruptible(options), &key);
    if (server->server != NULL)
        return server;
    sys_free(server);
    return NULL;
}

pipc_t *pipc_server_accept(pipc_server_t *server, int timeout_ms)
{
    if (server == NULL || timeout_ms < -1) {
        errno = EINVAL;
        return NULL;
    }
    return open_socket(server_accept(server->server, timeout_ms), &server->options);
}

int pipc_server_fd(pipc_server_t *server)
{
    return server == NULL ? invalid() : server_descriptor(server->server);
}

uint16_t pipc_server_port(const pipc_server_t *server)
{
    return server == NULL ? 0 : server_port(server->server);
}

void pipc_server_close(pipc_server_t *server)
{
    if (server == NULL)
        return;
    int saved = errno;
    server_close(server->server);
    sys_free(server);
    errno = saved;
}

const char *pipc_version(void)
{
    return TEXT_OF(PIPC_VERSION_MAJOR) "." TEXT_OF(PIPC_VERSION_MINOR) "." TEXT_OF(
        PIPC_VERSION_PATCH);
}
