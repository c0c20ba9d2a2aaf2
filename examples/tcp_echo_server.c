/* SPDX-License-Identifier: MIT */
/*
 * Sends every message back to whoever sent it: one thread, one poll loop, many clients.
 *
 *     cc tcp_echo_server.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out PORT [KEY [md5]]      PORT 0: any that is free; md5: also for Python 3.11 and older
 */
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pipc_t **clients;
static struct pollfd *items; /* the server's, then the clients' in their order */
static nfds_t count;         /* of items */

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static void add_client(pipc_t *client)
{
    clients = realloc(clients, (count + 1) * sizeof(pipc_t *));
    items = realloc(items, (count + 1) * sizeof *items);
    check(clients != NULL && items != NULL, "realloc");
    check(pipc_set_timeout(client, 0, 0) == 0, "pipc_set_timeout");
    clients[count] = client;
    items[count] = (struct pollfd){pipc_fd(client), POLLIN, 0};
    check(items[count].fd != -1, "pipc_fd");
    count++;
}

static void accept_clients(pipc_server_t *server)
{
    pipc_t *client;
    while ((client = pipc_server_accept(server, 0)) != NULL)
        add_client(client);
    check(errno == EAGAIN, "pipc_server_accept");
}

static void drop_client(nfds_t i)
{
    pipc_close(clients[i]);
    count--;
    clients[i] = clients[count];
    items[i] = items[count];
}

/* Returns 0 as long as the client stays. A message that cannot go back yet stays where it is. */
static int serve(pipc_t *client)
{
    pipc_msg_t message;
    while (pipc_peek(client, &message) == 0 && message.kind == PIPC_DATA) {
        if (pipc_write(client, message.data, message.size) == -1)
            return errno == EAGAIN ? 0 : -1;
        check(pipc_skip(client) == 0, "pipc_skip");
    }
    return errno == EAGAIN ? 0 : -1;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4)
        return fprintf(stderr, "usage: %s PORT [KEY [md5]]\n", argv[0]), 2;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = argc > 2 ? argv[2] : NULL;
    options.key_size = argc > 2 ? strlen(argv[2]) : 0;
    options.flags = argc > 3 ? PIPC_KEY_MD5 : 0;
    pipc_server_t *server = pipc_server_open(NULL, (uint16_t)atoi(argv[1]), &options);
    check(server != NULL, "pipc_server_open");
    printf("%d\n", pipc_server_port(server));
    check(fflush(stdout) == 0, "fflush");

    items = malloc(sizeof *items);
    check(items != NULL, "malloc");
    items[count++] = (struct pollfd){pipc_server_fd(server), POLLIN, 0};
    for (;;) {
        check(poll(items, count, -1) > 0, "poll");
        for (nfds_t i = count; --i > 0;) /* backwards, since the last takes the place of who goes */
            if (items[i].revents != 0 && serve(clients[i]) != 0)
                drop_client(i);
        if (items[0].revents != 0)
            accept_clients(server);
    }
}
