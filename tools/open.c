/* SPDX-License-Identifier: MIT */
/*
 * The pipe to the peer. Opening does not wait in the library (PIPC_ASYNC): the loop here waits, so
 * that a signal ends it, and what a FIFO or a server leaves in the file system is removed.
 */
#include "pipccat.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { open_socket_ms = 5000, peer_text = 200 };

static pid_t program_pid;

pid_t open_program(void)
{
    return program_pid;
}

static const char *open_what(void)
{
    return config.mode == MODE_EXEC    ? config.program[0]
           : config.mode == MODE_FD    ? "fd"
           : config.mode == MODE_TCP   ? config.host
           : config.mode == MODE_SERVE ? "serve"
           : config.name != NULL       ? config.name
                                       : "pipe";
}

/* The library's meaning of an errno, where the system's text means something else. */
static const char *open_reason(int error)
{
    bool host = config.mode == MODE_TCP || config.mode == MODE_SERVE;
    if (error == EACCES && config.key != NULL)
        return "the key is wrong";
    if (error == ENOENT && host)
        return "this host has no address";
    if (error == ETIMEDOUT)
        return "nobody came in time";
    if (error == EAGAIN)
        return host ? "nobody is there, or the name cannot be looked up now" : "nobody is there";
    return strerror(error);
}

static int open_failed(int error)
{
    bool key = error == EACCES && config.key != NULL;
    complain("%s: %s%s", open_what(), open_reason(error),
             key && config.key_ends_with_newline ? " (it ends with a newline, which counts)" : "");
    switch (error) {
    case EACCES:
        return key ? CODE_KEY : CODE_NO_PEER;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return CODE_LOCAL;
    case EINVAL:
    case EBADF:
    case EPERM: /* a regular file, which nobody can poll */
        return CODE_USAGE;
    default:
        return CODE_NO_PEER;
    }
}

int pipe_failed(const char *what, int error)
{
    complain("%s: %s", what,
             error == EPIPE    ? "the peer has gone"
             : error == EPROTO ? "the peer sends bytes that are no message, or one that is larger "
                                 "than --max-message"
             : error == EMSGSIZE ? "the message is larger than --max-message"
                                 : strerror(error));
    return error == EPROTO     ? CODE_GARBAGE
           : error == EMSGSIZE ? CODE_TOO_LARGE
           : error == ENOMEM   ? CODE_LOCAL
                               : CODE_BROKEN;
}

static pipc_options_t open_options(void)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_message = config.max_message;
    options.key = config.key;
    options.key_size = config.key_size;
    if (config.key_md5)
        options.flags |= PIPC_KEY_MD5;
    /* Lines go together: 16 KiB in one call. The loop sends them before it waits. */
    if (config.work == WORK_PIPE && (config.input == INPUT_LINES || config.input == INPUT_RECORDS))
        options.flags |= PIPC_GATHER;
    return options;
}

static pipc_t *open_exec(const pipc_options_t *options, int *code)
{
    int fds[2];
    program_pid = child_start(config.program, fds, false);
    if (program_pid == -1) {
        program_pid = 0;
        *code = CODE_PROGRAM;
        return NULL;
    }
    pipc_t *pipe = pipc_open_fds(fds[0], fds[1], options);
    if (pipe == NULL) {
        *code = open_failed(errno);
        close(fds[0]);
        close(fds[1]);
    }
    return pipe;
}

static pipc_t *open_begin(int *code)
{
    pipc_options_t options = open_options();
    int wait_ms = config.wait_ms;
    pipc_t *pipe;
    if (config.mode == MODE_EXEC)
        return open_exec(&options, code);
    if (config.mode != MODE_FD)
        options.flags |= PIPC_ASYNC;
    if (config.mode == MODE_FIFO) {
        options.directory = config.directory;
        pipe = pipc_open_fifo(config.name, wait_ms, &options);
    } else if (config.mode == MODE_TCP) {
        options.flags |= config.pair ? 0 : PIPC_CONNECT_ONLY;
        wait_ms = wait_ms == -1 && !config.pair ? open_socket_ms : wait_ms;
        pipe = pipc_open_tcp(config.host, config.port, wait_ms, &options);
    } else if (config.mode == MODE_UNIX) {
        pipe = pipc_open_unix(config.name, wait_ms == -1 ? open_socket_ms : wait_ms, &options);
    } else {
        pipe = pipc_open_fds(config.fds[0], config.fds[1], &options);
    }
    if (pipe == NULL)
        *code = open_failed(errno);
    return pipe;
}

/* Returns 0, or the errno; EINTR after a signal that ends the program. */
static int open_wait(int fd, int64_t deadline)
{
    int64_t left = deadline - now_ms();
    struct pollfd items[2] = {{signals_fd(), POLLIN, 0}, {fd, POLLIN, 0}};
    if (left <= 0)
        return ETIMEDOUT;
    poll(items, 2, deadline == INT64_MAX ? -1 : (int)left);
    if (items[0].revents != 0)
        signals_drain();
    return signals_caught() != 0 ? EINTR : 0;
}

static void open_report(pipc_t *pipe)
{
    char peer[peer_text];
    if (pipc_peer(pipe, peer, sizeof peer) == 0)
        note("connected: %s", peer);
}

pipc_t *open_pipe(int *code)
{
    int error = 0, fd;
    pipc_t *pipe = open_begin(code);
    if (pipe == NULL)
        return NULL;
    if (pipc_set_timeout(pipe, 0, 0) == -1 || (fd = pipc_fd(pipe)) == -1)
        error = errno;
    /* The flush fails with EAGAIN as long as the peer is not there yet. */
    while (error == 0 && pipc_flush(pipe) == -1)
        error = errno == EAGAIN ? open_wait(fd, INT64_MAX) : errno;
    if (error == 0) {
        open_report(pipe);
        return pipe;
    }
    pipc_close(pipe);
    *code = error == EINTR ? CODE_OK : open_failed(error);
    return NULL;
}

pipc_server_t *open_server(int *code)
{
    pipc_options_t options = open_options();
    pipc_server_t *server;
    if (config.mode == MODE_SERVE_UNIX) {
        options.mode = config.socket_mode;
        server = pipc_server_open_unix(config.name, &options);
    } else {
        server = pipc_server_open(config.host, config.port, &options);
    }
    if (server == NULL)
        *code = open_failed(errno);
    else if (config.mode == MODE_SERVE && (config.port == 0 || config.verbose))
        complain("listening on port %d", pipc_server_port(server));
    else
        note("listening on %s", open_what());
    return server;
}

pipc_t *open_client(pipc_server_t *server, int *code)
{
    int error = 0;
    int64_t deadline = config.wait_ms == -1 ? INT64_MAX : now_ms() + config.wait_ms;
    for (;;) {
        pipc_t *pipe = pipc_server_accept(server, 0);
        if (pipe != NULL && pipc_set_timeout(pipe, 0, 0) == 0 && pipc_fd(pipe) != -1) {
            open_report(pipe);
            return pipe;
        }
        error = errno;
        pipc_close(pipe);
        if (error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE)
            error = open_wait(pipc_server_fd(server), deadline);
        if (error != 0) {
            *code = error == EINTR ? CODE_OK : open_failed(error);
            return NULL;
        }
    }
}
