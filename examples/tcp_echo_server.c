/* SPDX-License-Identifier: MIT */
/*
 * Sends every message back to whoever sent it: one thread, one epoll loop, many clients.
 *     cc tcp_echo_server.c $(pkg-config --cflags --libs libpipc)
 *     [TCP_KEY=...] ./a.out PORT [md5]      PORT 0: any that is free; md5: for Python before 3.12
 */
#include <errno.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { events_at_once = 64, messages_at_once = 64 };

static int set; /* the server's descriptor and the clients' */

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static int watch(int fd, void *data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

/* One at a time: the descriptor stays readable when more are there. */
static void accept_client(pipc_server_t *server)
{
    pipc_t *pipe = pipc_server_accept(server, 0);
    if (pipe == NULL)
        return; /* it has gone, or has no key, or no descriptor is free: then it waits for one */
    if (pipc_set_timeout(pipe, 0, 0) == 0 && pipc_fd(pipe) != -1 && watch(pipc_fd(pipe), pipe) == 0)
        return;
    perror("a client is turned away"); /* the others stay */
    pipc_close(pipe);
}

static void drop_client(pipc_t *pipe)
{
    epoll_ctl(set, EPOLL_CTL_DEL, pipc_fd(pipe), NULL); /* while it is open */
    pipc_close(pipe);
}

static pipc_stats_t stats_of(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    return pipc_stats(pipe, &stats), stats;
}

/* Sends messages back, and says what to wait for next. A message stays unread until all of its
 * answer has left: so who does not read is not read from. Returns -1 when the client has gone. */
static int serve(pipc_t *pipe)
{
    pipc_msg_t message;
    for (int i = 0; i < messages_at_once; i++) { /* then the others have their turn */
        if (pipc_peek(pipe, &message) == -1)
            return errno == EAGAIN ? pipc_want(pipe, PIPC_WANT_READ) : -1;
        if (message.kind == PIPC_BYE)
            return -1;
        int is_answered = stats_of(pipe).messages_written > stats_of(pipe).messages_read;
        if (!is_answered && pipc_write(pipe, message.data, message.size) == -1)
            return errno == EAGAIN ? pipc_want(pipe, PIPC_WANT_WRITE) : -1;
        if (stats_of(pipe).bytes_held > 0 && pipc_want(pipe, PIPC_WANT_WRITE) == 0 &&
            stats_of(pipe).bytes_held > 0) /* pipc_want has sent some of it, too */
            return 0;
        pipc_skip(pipe);
    }
    return pipc_want(pipe, PIPC_WANT_READ);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3)
        return fprintf(stderr, "usage: [TCP_KEY=...] %s PORT [md5]\n", argv[0]), 2;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    const char *key = options.key = getenv("TCP_KEY");
    options.key_size = key != NULL ? strlen(key) : 0;
    options.flags = argc > 2 ? PIPC_KEY_MD5 : 0;
    pipc_server_t *server = pipc_server_open(NULL, (uint16_t)atoi(argv[1]), &options);
    check(server != NULL, "pipc_server_open");
    check((set = epoll_create1(EPOLL_CLOEXEC)) != -1, "epoll_create1");
    check(watch(pipc_server_fd(server), NULL) == 0, "epoll_ctl");
    check(printf("%d\n", pipc_server_port(server)) > 0 && fflush(stdout) == 0, "printf");
    for (;;) {
        struct epoll_event events[events_at_once];
        int count = epoll_wait(set, events, events_at_once, -1);
        check(count != -1 || errno == EINTR, "epoll_wait");
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr == NULL)
                accept_client(server);
            else if (serve(events[i].data.ptr) == -1)
                drop_client(events[i].data.ptr);
    }
}
