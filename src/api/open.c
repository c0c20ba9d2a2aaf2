/* SPDX-License-Identifier: MIT */
/*
 * The public functions that open a handle or a server: check arguments, make the transport, put a
 * channel on it. What they promise stands in pipc.h.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "api/options.h"
#include "api/report.h"
#include "rendezvous/async.h"
#include "rendezvous/fifo.h"
#include "rendezvous/rendezvous.h"
#include "rendezvous/server.h"
#include "rendezvous/tcp.h"
#include "rendezvous/unix.h"
#include "sys/sys.h"
#include "sys/sys_unix.h"
#include "trace/trace.h"
#include "transport/transport.h"

/* ---- handles ---- */

static void *invalid_argument(void)
{
    errno = EINVAL;
    return NULL;
}

static pipc_t *allocate(struct report_open *report)
{
    trace_begin();
    pipc_t *pipe = sys_alloc(sizeof *pipe);
    if (pipe != NULL)
        *pipe = (pipc_t){&handle_this_copy, NULL, NULL, report->number = trace_number()};
    return pipe;
}

static pipc_t *open_anonymous(const pipc_options_t *options, struct report_open *report)
{
    pipc_t *pipe = options_are_valid_without_key(options) ? allocate(report) : invalid_argument();
    if (pipe == NULL)
        return NULL;
    pipc_options_t all = options_copy(options);
    all.flags &= ~PIPC_ACCEPT_FDS; /* none can come */
    pipe->anonymous = anonymous_open(&all, pipe, pipe->number);
    if (pipe->anonymous != NULL)
        return pipe;
    sys_free(pipe);
    return NULL;
}

pipc_t *pipc_open(const pipc_options_t *options)
{
    struct report_open report = {.kind = "pipe"};
    return report_opened(open_anonymous(options, &report), &report);
}

/* What is left to be had is its transport. */
static pipc_t *open_channel(const pipc_options_t *options, struct report_open *report)
{
    pipc_t *pipe = allocate(report);
    if (pipe == NULL)
        return NULL;
    pipe->channel = channel_open(options);
    if (pipe->channel != NULL)
        return pipe;
    sys_free(pipe);
    return NULL;
}

/* It was never open. */
static void discard(pipc_t *pipe)
{
    int saved = errno;
    channel_close(pipe->channel);
    sys_free(pipe);
    errno = saved;
}

typedef struct transport *open_transport(int read_fd, int write_fd);

/* NULL: the descriptors stay the caller's. */
static pipc_t *put_on(pipc_t *pipe, struct transport *transport)
{
    if (transport == NULL) {
        discard(pipe);
        return NULL;
    }
    transport->handle = pipe->number;
    channel_attach(pipe->channel, transport);
    return pipe;
}

static pipc_t *open_on(open_transport *open, int read_fd, int write_fd,
                       const pipc_options_t *options, struct report_open *report)
{
    pipc_t *pipe = open_channel(options, report);
    return pipe == NULL ? NULL : put_on(pipe, open(read_fd, write_fd));
}

pipc_t *pipc_open_fds(int read_fd, int write_fd, const pipc_options_t *options)
{
    struct report_open report = {.kind = "descriptors"};
    pipc_t *pipe = options_are_valid_without_key(options)
                       ? open_on(transport_fd, read_fd, write_fd, options, &report)
                       : invalid_argument();
    return report_opened(pipe, &report);
}

/* ---- rendezvous ---- */

static void discard_cancelled(void *pipe)
{
    trace(((pipc_t *)pipe)->number, TRACE_CLOSE, "the thread was cancelled", NULL, 0);
    discard(pipe);
}

/* The thread may be cancelled while it waits. */
static struct transport *await_peer(void *pipe, struct rendezvous *rendezvous)
{
    struct transport *transport;
    pthread_cleanup_push(discard_cancelled, pipe);
    transport = rendezvous_open(rendezvous);
    pthread_cleanup_pop(0);
    return transport;
}

/* With a timeout of 0 it is open at once or never, and there is nothing to wait for later. */
static pipc_t *open_by(pipc_t *pipe, struct rendezvous *rendezvous, bool is_async)
{
    if (rendezvous != NULL)
        rendezvous->handle = pipe->number;
    return put_on(pipe, is_async ? async_open(rendezvous) : await_peer(pipe, rendezvous));
}

static pipc_t *open_fifo(const char *name, int timeout_ms, const pipc_options_t *options,
                         struct report_open *report)
{
    pipc_options_t rest = options_copy(options);
    unsigned flags = options_take_flags(&rest, PIPC_ASYNC);
    if (timeout_ms < -1 || !options_are_valid_without_key(&rest))
        return invalid_argument();
    pipc_t *pipe =
        open_channel(&rest, report); /* before: nobody is met in vain, for lack of memory */
    if (pipe == NULL)
        return NULL;
    struct fifo_request request = {name, rest.directory,
                                   limit_of(timeout_ms, options_interruptible(&rest))};
    report_opening(report, 0);
    return open_by(pipe, fifo_rendezvous(&request), flags != 0 && timeout_ms != 0);
}

pipc_t *pipc_open_fifo(const char *name, int timeout_ms, const pipc_options_t *options)
{
    struct report_open report = {.kind = "FIFO", .name = name};
    return report_opened(open_fifo(name, timeout_ms, options, &report), &report);
}

static pipc_t *open_tcp(const char *host, uint16_t port, int timeout_ms,
                        const pipc_options_t *options, struct report_open *report)
{
    pipc_options_t rest = options_copy(options);
    unsigned flags = options_take_flags(&rest, PIPC_CONNECT_ONLY | PIPC_ASYNC);
    bool is_async = (flags & PIPC_ASYNC) != 0 && timeout_ms != 0;
    if (host == NULL || strcmp(host, "*") == 0 || port == 0 || timeout_ms < -1 ||
        !options_are_valid(&rest))
        return invalid_argument();
    pipc_t *pipe = open_channel(&rest, report);
    if (pipe == NULL)
        return NULL;
    struct tcp_request request = {.host = host,
                                  .port = port,
                                  .limit = limit_of(timeout_ms, options_interruptible(&rest)),
                                  .connect_only = (flags & PIPC_CONNECT_ONLY) != 0,
                                  .resolves_once = is_async,
                                  .key = options_key(&rest)};
    report_opening(report, port);
    return open_by(pipe, tcp_rendezvous(&request), is_async);
}

pipc_t *pipc_open_tcp(const char *host, uint16_t port, int timeout_ms,
                      const pipc_options_t *options)
{
    struct report_open report = {.kind = "TCP", .name = host};
    return report_opened(open_tcp(host, port, timeout_ms, options, &report), &report);
}

static pipc_t *open_unix(const char *path, int timeout_ms, const pipc_options_t *options,
                         struct report_open *report)
{
    pipc_options_t rest = options_copy(options);
    bool is_async = options_take_flags(&rest, PIPC_ASYNC) != 0 && timeout_ms != 0;
    if (path == NULL || path[0] == '\0' || timeout_ms < -1 || !options_are_valid(&rest))
        return invalid_argument();
    pipc_t *pipe = open_channel(&rest, report);
    if (pipe == NULL)
        return NULL;
    struct unix_request request = {.path = path,
                                   .limit = limit_of(timeout_ms, options_interruptible(&rest)),
                                   .keeps_directory = is_async,
                                   .accepts_fds = options_accept_fds(&rest),
                                   .key = options_key(&rest)};
    report_opening(report, 0);
    pipe = open_by(pipe, unix_rendezvous(&request), is_async);
    if (pipe != NULL && options_may_share(&rest))
        transport_share(channel_transport(pipe->channel), SHARE_OPENED_IT);
    return pipe;
}

pipc_t *pipc_open_unix(const char *path, int timeout_ms, const pipc_options_t *options)
{
    struct report_open report = {.kind = "Unix socket", .name = path};
    return report_opened(open_unix(path, timeout_ms, options, &report), &report);
}

/* ---- two handles ---- */

/* Of two ends: what each reads from and writes to, which may be the same. */
struct both_fds {
    int in[2], out[2];
};

static void close_fds(const struct both_fds *fds, int end)
{
    sys_close(fds->in[end]);
    if (fds->out[end] != fds->in[end])
        sys_close(fds->out[end]);
}

static int make_sockets(struct both_fds *fds)
{
    if (sys_unix_pair(fds->in) != 0)
        return -1;
    memcpy(fds->out, fds->in, sizeof fds->out);
    return 0;
}

static int make_pipes(struct both_fds *fds)
{
    int there[2], back[2];
    if (sys_pipe(there) != 0)
        return -1;
    if (sys_pipe(back) != 0) {
        sys_close(there[0]);
        sys_close(there[1]);
        return -1;
    }
    *fds = (struct both_fds){.in = {back[0], there[0]}, .out = {there[1], back[1]}};
    return 0;
}

/* Takes the descriptors over, or closes those that no end has taken. */
static int open_ends(pipc_t *end[2], const struct both_fds *fds, const pipc_options_t *options,
                     struct report_open *report)
{
    pipc_t *first = open_on(transport_fd_own, fds->in[0], fds->out[0], options, report);
    if (first == NULL) {
        close_fds(fds, 0);
        close_fds(fds, 1);
        return -1;
    }
    pipc_t *second = open_on(transport_fd_own, fds->in[1], fds->out[1], options, report);
    if (second == NULL) {
        close_fds(fds, 1);
        pipc_close(first);
        return -1;
    }
    end[0] = first;
    end[1] = second;
    return 0;
}

/* Two pipes are faster than sockets that stay sockets, but carry no descriptors. */
static int open_pair(pipc_t *end[2], const pipc_options_t *options, struct report_open *report)
{
    struct both_fds fds;
    if (end == NULL || !options_are_valid_without_key(options)) {
        errno = EINVAL;
        return -1;
    }
    bool moves = options_may_share(options);
    int made = moves || options_accept_fds(options) ? make_sockets(&fds) : make_pipes(&fds);
    if (made != 0 || open_ends(end, &fds, options, report) != 0)
        return -1;
    if (moves) {
        transport_share(channel_transport(end[0]->channel), SHARE_FIRST_OF_PAIR);
        transport_share(channel_transport(end[1]->channel), SHARE_SECOND_OF_PAIR);
    }
    return 0;
}

int pipc_open_pair(pipc_t *end[2], const pipc_options_t *options)
{
    struct report_open report = {.kind = "pair"};
    if (open_pair(end, options, &report) != 0) {
        report_opened(NULL, &report);
        return -1;
    }
    report_opened(end[0], &(struct report_open){.kind = "first of a pair"});
    report_opened(end[1], &(struct report_open){.kind = "second of a pair"});
    return 0;
}

/* ---- the server ---- */

struct pipc_server {
    struct server *server;
    unsigned number;        /* in the trace */
    pipc_options_t options; /* of the handles to come */
};

static pipc_server_t *new_server(const pipc_options_t *options, const char *name)
{
    trace_begin();
    unsigned number = trace_number();
    pipc_server_t *server = sys_alloc(sizeof *server);
    if (server == NULL) {
        report_listening(NULL, number, name);
        return NULL;
    }
    server->number = number;
    server->options = options_copy(options);
    server->options.key = NULL; /* the caller's, for this call only; the server has a copy */
    server->options.key_size = 0;
    return server;
}

/* Frees it where it has nothing to listen with. */
static pipc_server_t *start_server(pipc_server_t *server, struct server *listening,
                                   const char *name)
{
    report_listening(listening, server->number, name);
    server->server = listening;
    if (listening != NULL) {
        server_trace_as(listening, server->number);
        return server;
    }
    int error = errno;
    sys_free(server);
    errno = error;
    return NULL;
}

pipc_server_t *pipc_server_open(const char *host, uint16_t port, const pipc_options_t *options)
{
    if (!options_are_valid(options))
        return invalid_handle(__func__);
    struct auth_key key = options_key(options);
    pipc_server_t *server = new_server(options, host);
    if (server == NULL)
        return NULL;
    return start_server(server, server_open(host, port, options_interruptible(options), &key),
                        host);
}

#define ACCESS_DEFAULT 0600
#define ACCESS_ALL     0777
#define ACCESS_LEAST   0200

/*
 * An abstract name has no permissions: who asks for some must not believe that it has. The user of
 * a server must be able to connect to it, or the next server cannot find out whether it is dead.
 */
static bool is_access(const char *path, mode_t mode)
{
    return mode == 0 ||
           (path[0] != '@' && (mode & ~(mode_t)ACCESS_ALL) == 0 && (mode & ACCESS_LEAST) != 0);
}

pipc_server_t *pipc_server_open_unix(const char *path, const pipc_options_t *options)
{
    if (path == NULL || !options_are_valid(options))
        return invalid_handle(__func__);
    pipc_options_t all = options_copy(options);
    if (!is_access(path, all.mode))
        return invalid_handle(__func__);
    struct auth_key key = options_key(options);
    pipc_server_t *server = new_server(options, path);
    if (server == NULL)
        return NULL;
    unsigned access = all.mode == 0 ? ACCESS_DEFAULT : (unsigned)all.mode;
    return start_server(server,
                        server_open_unix(path, access, options_interruptible(options),
                                         options_accept_fds(options), &key),
                        path);
}

pipc_server_t *pipc_server_open_fd(int listening_fd, const pipc_options_t *options)
{
    if (!options_are_valid(options))
        return invalid_handle(__func__);
    struct auth_key key = options_key(options);
    pipc_server_t *server = new_server(options, NULL);
    if (server == NULL)
        return NULL;
    return start_server(server,
                        server_open_fd(listening_fd, options_interruptible(options),
                                       options_accept_fds(options), &key),
                        NULL);
}

/* Takes over a connected socket, also when it fails. */
static pipc_t *open_socket(int fd, const pipc_options_t *options)
{
    struct report_open unused;
    pipc_t *pipe = fd < 0 ? NULL : open_channel(options, &unused);
    if (pipe != NULL)
        pipe = put_on(pipe, transport_fd_socket(fd));
    if (pipe == NULL)
        sys_close(fd);
    return pipe;
}

pipc_t *pipc_server_accept(pipc_server_t *server, int timeout_ms)
{
    if (server == NULL || timeout_ms < -1)
        return invalid_handle(__func__);
    const pipc_options_t *options = &server->options;
    pipc_t *pipe = open_socket(server_accept(server->server, timeout_ms), options);
    if (pipe != NULL && server_is_unix(server->server) && options_may_share(options))
        transport_share(channel_transport(pipe->channel), SHARE_ACCEPTED_IT);
    return report_accepted(pipe, server->number);
}

int pipc_server_fd(pipc_server_t *server)
{
    return server == NULL ? invalid(NULL, __func__) : server_descriptor(server->server);
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
    trace(server->number, TRACE_CLOSE, "server", NULL, 0);
    server_close(server->server);
    sys_free(server);
    trace_deliver();
    errno = saved;
}
