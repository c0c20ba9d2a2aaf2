/* SPDX-License-Identifier: MIT */
/*
 * The EXAMPLES of the manual pages. What stands between the comments [man PAGE ...] and [/man] is
 * in those pages; make_pages.sh takes it from here, and tests/test_manual.c runs all of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- opening ---- */

/* [man pipc_open pipc_close pipc_t] */
/* The child answers; the parent learns it, or that the child died. */
static int ask_child(void)
{
    char text[64];
    pipc_t *pipe = pipc_open(NULL);
    if (pipe == NULL)
        return -1;
    pipc_set_timeout(pipe, 60000, -1); /* the parent takes an end */
    pid_t child = fork();
    if (child == 0) {
        ssize_t sent = pipc_write(pipe, "42", 2); /* the child the other */
        pipc_close(pipe);
        _exit(sent != 2);
    }
    ssize_t size = child == -1 ? -1 : pipc_read(pipe, text, sizeof text);
    pipc_close(pipe);
    return size == -1 ? -1 : waitpid(child, NULL, 0) == child ? 0 : -1;
}
/* [/man] */

/* [man pipc_open_pair pipc_disconnect pipc_bye_text] */
/* Each side closes the end of the other one. */
static int wait_for_child(void)
{
    pipc_t *end[2];
    char text[64];
    if (pipc_open_pair(end, NULL) == -1)
        return -1;
    pid_t child = fork(); /* if it fails, the peer is gone: EPIPE */
    pipc_close(end[child == 0 ? 0 : 1]);
    if (child == 0) {
        int failed = pipc_disconnect(end[1], "nothing to do");
        pipc_close(end[1]);
        _exit(failed != 0);
    }
    while (pipc_read(end[0], text, sizeof text) >= 0)
        ;
    int left = errno == ESHUTDOWN; /* EPIPE: it died, or has closed */
    if (left)
        printf("the child left: %s\n", pipc_bye_text(end[0]));
    pipc_close(end[0]);
    return left && waitpid(child, NULL, 0) == child ? 0 : -1;
}
/* [/man] */

/* [man pipc_open_fds] */
/* A program whose standard input and output carry frames. */
static pipc_t *start(const char *program)
{
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == -1)
        return NULL;
    pid_t child = fork();
    if (child == 0) {
        dup2(fd[1], 0);
        dup2(fd[1], 1);
        execlp(program, program, (char *)NULL);
        _exit(127);
    }
    close(fd[1]);
    pipc_t *pipe = child == -1 ? NULL : pipc_open_fds(fd[0], fd[0], NULL);
    if (pipe == NULL)
        close(fd[0]); /* it is still the caller's */
    return pipe;
}
/* [/man] */

/* [man pipc_open_fifo pipc_strerror] */
/* Two programs run this, in any order; each waits a minute for the other. */
static pipc_t *call(const char *name)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.directory = getenv("XDG_RUNTIME_DIR"); /* or /tmp/pipc-UID */
    pipc_t *pipe = pipc_open_fifo(name, 60000, &options);
    if (pipe == NULL)
        fprintf(stderr, "%s: %s\n", name, pipc_strerror(errno));
    return pipe;
}
/* [/man] */

/* [man pipc_open_tcp pipc_options_t] */
/* A client of a server that knows the same key: 32 random bytes. */
static pipc_t *dial(const char *host, uint16_t port, const void *key)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = key;
    options.key_size = 32;
    options.flags = PIPC_CONNECT_ONLY;
    return pipc_open_tcp(host, port, 60000, &options);
}
/* [/man] */

/* [man pipc_open_unix pipc_credentials pipc_credentials_t] */
/* Waits 5 s for the server. Talks to it if it is of the same user. */
static pipc_t *find_server(const char *path)
{
    pipc_credentials_t server = PIPC_CREDENTIALS_INIT;
    pipc_t *pipe = pipc_open_unix(path, 5000, NULL);
    if (pipe == NULL)
        return NULL;
    if (pipc_credentials(pipe, &server) == 0 && server.uid == geteuid())
        return pipe;
    pipc_close(pipe);
    return NULL;
}
/* [/man] */

/* [man pipc_detach] */
/*
 * Hands a client to a worker. What has been read ahead goes first, as
 * messages; the message with the descriptor is the last one. A client that
 * goes on sending, or has left, stays here: the caller closes it.
 */
static int hand_over(pipc_t *client, pipc_t *worker)
{
    int fds[2], most = 100;
    pipc_msg_t message;
    pipc_set_timeout(client, 1000, 1000); /* for the rest of a message */
    if (pipc_flush(client) == -1)         /* answers that are held */
        return -1;
    while (pipc_detach(client, fds) == -1) {
        if (errno != EAGAIN || most-- == 0)
            return -1;
        if (pipc_read_msg(client, &message) == -1)
            return -1;
        ssize_t sent = -1;
        if (message.kind == PIPC_DATA)
            sent = pipc_write(worker, message.data, message.size);
        pipc_msg_free(&message);
        if (sent == -1)
            return -1;
    }
    /* Both are the same, a socket. The worker adopts it: pipc_open_fds. */
    ssize_t sent = pipc_write_fds(worker, "client", 6, fds, 1);
    close(fds[0]);
    return sent == -1 ? -1 : 0;
}
/* [/man] */

/* ---- servers ---- */

/* [man pipc_server_open pipc_server_port] */
/* On a free port of this host; clients on other hosts cannot come in. */
static pipc_server_t *listen_with(const void *key)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = key;
    options.key_size = 32;
    pipc_server_t *server = pipc_server_open(NULL, 0, &options);
    if (server != NULL)
        printf("port %u\n", (unsigned)pipc_server_port(server));
    return server;
}
/* [/man] */

/* [man pipc_server_open_unix] */
/* For this user, and for the group of the process. */
static pipc_server_t *listen_for_group(const char *path)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.mode = 0660;
    pipc_server_t *server = pipc_server_open_unix(path, &options);
    if (server == NULL && errno == EADDRINUSE)
        fprintf(stderr, "%s: another server is there\n", path);
    return server;
}
/* [/man] */

/* [man pipc_server_open_fd] */
/* The socket that systemd passes, or inetd. */
static pipc_server_t *take_over(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    int fd = STDIN_FILENO;
    if (pid != NULL && fds != NULL && atol(pid) == (long)getpid())
        fd = 3;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return pipc_server_open_fd(fd, NULL);
}
/* [/man] */

/* [man pipc_server_accept pipc_server_close pipc_server_t] */
/* Serves one client after the other, until none comes for idle_ms. */
static void serve(pipc_server_t *server, int idle_ms)
{
    char text[512];
    ssize_t size;
    pipc_t *client;
    while ((client = pipc_server_accept(server, idle_ms)) != NULL) {
        pipc_set_timeout(client, 10000, 10000);
        while ((size = pipc_read(client, text, sizeof text)) >= 0)
            if (pipc_write(client, text, (size_t)size) == -1)
                break;
        pipc_flush(client); /* what a slow client did not take yet */
        pipc_close(client);
    }
    pipc_server_close(server);
}
/* [/man] */

/* [man pipc_server_fd] */
/* A turn of a loop that polls a server, and then the client that came. */
static int turn(pipc_server_t *server, pipc_t **client)
{
    int fd = *client == NULL ? pipc_server_fd(server) : pipc_fd(*client);
    struct pollfd item = {fd, POLLIN, 0};
    if (poll(&item, 1, -1) == -1)
        return -1;
    if (*client != NULL)
        return 1;                            /* now read until EAGAIN */
    *client = pipc_server_accept(server, 0); /* NULL: it has gone again */
    if (*client != NULL)
        pipc_set_timeout(*client, 0, 0);
    return 0;
}
/* [/man] */

/* ---- writing ---- */

/* [man pipc_write pipc_set_timeout] */
/* For a loop, after pipc_set_timeout(pipe, 0, 0). Returns 1 if it went. */
static int send_now(pipc_t *pipe, const char *text)
{
    if (pipc_write(pipe, text, strlen(text)) != -1)
        return 1;
    if (errno == EAGAIN)
        return 0; /* repeat it when the descriptor is readable */
    return -1;    /* EPIPE: nobody will read it */
}
/* [/man] */

/* [man pipc_writev] */
/* A header and a body become one message. */
static ssize_t send_as(pipc_t *pipe, char kind, void *body, size_t size)
{
    struct iovec parts[2] = {{&kind, 1}, {body, size}};
    return pipc_writev(pipe, parts, 2);
}
/* [/man] */

/* [man pipc_write_fds] */
/* The peer needs no right to open the file. */
static int send_file(pipc_t *pipe, const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -1;
    ssize_t sent = pipc_write_fds(pipe, name, strlen(name), &fd, 1);
    close(fd);
    return sent == -1 ? -1 : 0;
}
/* [/man] */

/* [man pipc_take_fds] */
/* On a handle with PIPC_ACCEPT_FDS. Returns the descriptor, or -1. */
static int receive_file(pipc_t *pipe, char *name, size_t room)
{
    int fd;
    ssize_t size = pipc_read(pipe, name, room - 1);
    if (size == -1)
        return -1;
    name[size] = '\0';
    return pipc_take_fds(pipe, &fd, 1) == 1 ? fd : -1;
}
/* [/man] */

/* [man pipc_write_batch] */
/* Goes on after a part of them. */
static int send_all(pipc_t *pipe, struct iovec *messages, size_t count)
{
    while (count > 0) {
        ssize_t sent = pipc_write_batch(pipe, messages, count);
        if (sent == -1)
            return -1;
        messages += sent;
        count -= (size_t)sent;
    }
    return 0;
}
/* [/man] */

/* ---- reading ---- */

/* [man pipc_read] */
/* An empty message has size 0: so the loop tests >= 0. */
static int print_all(pipc_t *pipe)
{
    char text[4096];
    ssize_t size;
    while ((size = pipc_read(pipe, text, sizeof text)) >= 0)
        printf("%.*s\n", (int)size, text);
    if (errno == ESHUTDOWN)
        printf("the peer left: %s\n", pipc_bye_text(pipe));
    else if (errno != EPIPE) /* that is an end between two messages */
        fprintf(stderr, "reading: %s\n", pipc_strerror(errno));
    return errno == ESHUTDOWN || errno == EPIPE ? 0 : -1;
}
/* [/man] */

/* [man pipc_read_msg pipc_msg_free pipc_msg_t pipc_kind_t] */
/* Messages of any size, and the goodbye, which begins with "BYE". */
static int sum_of_sizes(pipc_t *pipe, size_t *sum)
{
    pipc_msg_t message;
    *sum = 0;
    while (pipc_read_msg(pipe, &message) == 0) {
        int is_bye = message.kind == PIPC_BYE;
        if (!is_bye)
            *sum += message.size;
        pipc_msg_free(&message); /* message is empty then */
        if (is_bye)
            return 0;
    }
    return -1;
}
/* [/man] */

/* [man pipc_read_pending] */
/* What has come by now, in one call for many messages. */
static ssize_t take_what_came(pipc_t *pipe)
{
    pipc_msg_t messages[64];
    ssize_t count = pipc_read_pending(pipe, messages, 64);
    for (ssize_t i = 0; i < count; i++) {
        if (messages[i].kind == PIPC_DATA)
            printf("%zu bytes\n", messages[i].size);
        pipc_msg_free(&messages[i]);
    }
    return count; /* 0: nothing was there; -1: an end or an error */
}
/* [/man] */

/* [man pipc_peek pipc_skip] */
/* Takes the next message that fits, and passes over larger ones. */
static ssize_t read_fitting(pipc_t *pipe, void *buffer, size_t room)
{
    pipc_msg_t view;
    while (pipc_peek(pipe, &view) == 0) {
        if (view.kind == PIPC_BYE || view.size <= room)
            return pipc_read(pipe, buffer, room);
        fprintf(stderr, "passed over %zu bytes\n", view.size);
        if (pipc_skip(pipe) == -1)
            break;
    }
    return -1;
}
/* [/man] */

/* ---- state ---- */

/* [man pipc_pending] */
/* Drops what is old: only the newest message counts. */
static ssize_t read_newest(pipc_t *pipe, void *buffer, size_t room)
{
    while (pipc_pending(pipe) > 1)
        if (pipc_skip(pipe) == -1)
            return -1;
    return pipc_read(pipe, buffer, room);
}
/* [/man] */

/* [man pipc_flush] */
/* Before pipc_close, where a write may have left something behind. */
static int finish(pipc_t *pipe)
{
    pipc_set_timeout(pipe, -1, 10000); /* for at most 10 s */
    if (pipc_flush(pipe) != -1)
        return 0;
    fprintf(stderr, "not all has gone: %s\n", pipc_strerror(errno));
    return -1;
}
/* [/man] */

/* [man pipc_shutdown] */
/* An end in order: both sides do this, and nothing is lost, over TCP too. */
static int end_in_order(pipc_t *pipe)
{
    if (pipc_shutdown(pipe) == -1)
        return -1;
    while (pipc_skip(pipe) == 0)
        ; /* nobody wants what still comes */
    int reason = errno;
    pipc_close(pipe);
    return reason == EPIPE ? 0 : -1;
}
/* [/man] */

/* [man pipc_fd] */
/* Prints messages until the peer ends. Something else can be polled too. */
static int print_in_a_loop(pipc_t *pipe)
{
    char text[4096];
    ssize_t size;
    struct pollfd item = {pipc_fd(pipe), POLLIN, 0};
    if (item.fd == -1 || pipc_set_timeout(pipe, 0, 0) == -1)
        return -1;
    while (poll(&item, 1, -1) != -1) {
        while ((size = pipc_read(pipe, text, sizeof text)) >= 0)
            printf("%.*s\n", (int)size, text);
        if (errno != EAGAIN)
            break;
    }
    return errno == EPIPE || errno == ESHUTDOWN ? 0 : -1;
}
/* [/man] */

/* [man pipc_want] */
/* While its answers find no room, a client may not ask more. */
static int choose(pipc_t *client, int has_answers)
{
    unsigned events = PIPC_WANT_WRITE;
    if (!has_answers)
        events |= PIPC_WANT_READ;
    return pipc_want(client, events);
}
/* [/man] */

/* [man pipc_peer pipc_stats pipc_stats_t] */
/* A line for the log. */
static void report(pipc_t *pipe)
{
    char peer[128];
    pipc_stats_t stats = PIPC_STATS_INIT;
    if (pipc_peer(pipe, peer, sizeof peer) == -1)
        return;
    pipc_stats(pipe, &stats);
    unsigned long long in = stats.messages_read, held = stats.bytes_held;
    printf("%s: %llu messages read, %llu bytes held\n", peer, in, held);
}
/* [/man] */

/* [man pipc_set_trace pipc_trace_t] */
/* After pipc_set_trace(log_line, stderr), as with PIPC_TRACE=-. */
static void log_line(void *context, const char *line)
{
    fprintf(context, "%s\n", line);
}
/* [/man] */

/* [man pipc_version] */
/* What this program was compiled with, and what it runs with. */
static void print_versions(void)
{
    printf("compiled with %d\n", PIPC_VERSION_NUMBER); /* 1002003: 1.2.3 */
    printf("running with %s\n", pipc_version());
}
/* [/man] */
