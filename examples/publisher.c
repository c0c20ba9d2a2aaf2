/* SPDX-License-Identifier: MIT */
/*
 * Sends each line of standard input, with its number, to all subscribers on a path of this host, up
 * to 100. None of them delays the others: one that does not take its messages misses some ("skip"),
 * or is turned away ("drop"). The numbers tell a subscriber what it has missed: see subscriber.c.
 *     cc publisher.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out PATH skip | drop
 */
#include <endian.h>
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { subscribers_max = 100, line_size = 4096, farewell_ms = 10 /* each */ };
static pipc_t *subscribers[subscribers_max];
static struct pollfd items[2 + subscribers_max]; /* standard input, the server, the subscribers */
static int subscriber_count;

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

static void accept_subscriber(pipc_server_t *server)
{
    pipc_t *pipe = pipc_server_accept(server, 0);
    if (pipe == NULL)
        return; /* it has gone, or no descriptor is free: then it waits for one */
    if (subscriber_count < subscribers_max && pipc_set_timeout(pipe, 0, 0) == 0 &&
        pipc_fd(pipe) != -1) {
        subscribers[subscriber_count++] = pipe;
        items[1 + subscriber_count] = (struct pollfd){.fd = pipc_fd(pipe), .events = POLLIN};
    } else {
        pipc_disconnect(pipe, "there are too many subscribers");
        pipc_close(pipe);
    }
}

static void remove_subscriber(int i) /* the last one takes its place */
{
    pipc_close(subscribers[i]);
    subscribers[i] = subscribers[--subscriber_count];
    items[2 + i] = items[2 + subscriber_count];
}

/* Sends what the handle holds of a message, and looks whether the subscriber is there. It has
 * nothing to say: a message, a goodbye or an end is its last word. Returns 0 then. */
static int is_there(pipc_t *pipe)
{
    pipc_flush(pipe); /* also gives up the message that there was no room for */
    return pipc_read(pipe, NULL, 0) == -1 && errno == EAGAIN;
}

/* Backwards, because of remove_subscriber. */
static void publish(char *line, int drops)
{
    static uint64_t number;
    uint64_t wire = htobe64(++number);
    struct iovec parts[] = {{&wire, sizeof wire}, {line, strlen(line)}};
    for (int i = subscriber_count - 1; i >= 0; i--)
        if (pipc_writev(subscribers[i], parts, 2) == -1 && (drops || !is_there(subscribers[i])))
            remove_subscriber(i);
}

int main(int argc, char **argv)
{
    char line[line_size];
    int drops = argc == 3 && strcmp(argv[2], "drop") == 0;
    if (argc != 3 || (!drops && strcmp(argv[2], "skip") != 0))
        return fprintf(stderr, "usage: %s PATH skip | drop\n", argv[0]), 2;
    pipc_server_t *server = pipc_server_open_unix(argv[1], NULL);
    check(server != NULL, argv[1]);
    items[0] = (struct pollfd){STDIN_FILENO, POLLIN, 0};
    items[1] = (struct pollfd){pipc_server_fd(server), POLLIN, 0};
    setvbuf(stdin, NULL, _IONBF, 0); /* poll does not see what stdio has in its buffer */
    check(puts("ready") >= 0 && fflush(stdout) == 0, "puts");
    for (;;) {
        check(poll(items, 2 + (nfds_t)subscriber_count, -1) > 0, "poll");
        for (int i = subscriber_count - 1; i >= 0; i--)
            if (items[2 + i].revents != 0 && !is_there(subscribers[i]))
                remove_subscriber(i);
        if (items[1].revents != 0)
            accept_subscriber(server);
        if (items[0].revents != 0 && fgets(line, sizeof line, stdin) == NULL)
            break;
        if (items[0].revents != 0)
            publish(line, drops);
    }
    for (; subscriber_count > 0; remove_subscriber(0)) {
        pipc_set_timeout(subscribers[0], 0, farewell_ms);
        pipc_disconnect(subscribers[0], "that was all");
    }
    pipc_server_close(server);
    return 0;
}
