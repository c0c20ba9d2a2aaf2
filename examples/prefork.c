/* SPDX-License-Identifier: MIT */
/*
 * Four workers serve the clients of one TCP port. The parent looks at the first message of each;
 * its first byte decides which worker gets the connection. Where that has too many, the parent
 * hangs up. A worker answers one client at a time, with its process id and the message.
 *     cc prefork.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out PORT                  PORT 0: any that is free
 */
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { workers = 4, clients_max = 500, largest = 4096, patience_ms = 10000 };
static pipc_t *to_worker[workers], *clients[clients_max]; /* not handed over yet */

static void check(int ok, const char *what)
{
    if (!ok)
        exit((perror(what), 1));
}

static void work(pipc_t *parent)
{
    char pid[32], text[largest];
    size_t pid_size = (size_t)snprintf(pid, sizeof pid, "%d ", (int)getpid());
    ssize_t size;
    pipc_t *client;
    int fd;
    while ((size = pipc_read(parent, text, sizeof text)) != -1) {
        check(pipc_take_fds(parent, &fd, 1) == 1, "pipc_take_fds");
        check((client = pipc_open_fds(fd, fd, NULL)) != NULL, "pipc_open_fds");
        pipc_set_timeout(client, patience_ms, patience_ms); /* then the next one has its turn */
        do {
            struct iovec answer[2] = {{pid, pid_size}, {text, (size_t)size}};
            size = pipc_writev(client, answer, 2);
        } while (size != -1 && (size = pipc_read(client, text, sizeof text)) != -1);
        pipc_close(client);
    }
    exit(errno == EPIPE ? 0 : 1); /* the parent has ended */
}

static void start_worker(int number)
{
    pipc_t *end[2];
    pipc_options_t options = {.struct_size = sizeof options, .flags = PIPC_ACCEPT_FDS};
    pid_t child = pipc_open_pair(end, &options) == 0 ? fork() : -1;
    check(child != -1, "pipc_open_pair, fork");
    pipc_close(end[child == 0 ? 0 : 1]);
    for (int other = 0; child == 0 && other < number; other++)
        pipc_close(to_worker[other]);
    if (child == 0)
        work(end[1]);
    pipc_set_timeout(to_worker[number] = end[0], -1, 0);
}

/* Nothing may be unread in a handle that is detached: so the message goes along. */
static int hand_over(pipc_t *client)
{
    char text[largest];
    int fds[2];
    pipc_msg_t first = {NULL, 0, PIPC_BYE};
    if (pipc_peek(client, &first) == -1 && errno == EAGAIN)
        return 0; /* it has said nothing yet */
    pipc_t *worker = to_worker[first.size == 0 ? 0 : *(unsigned char *)first.data % workers];
    ssize_t size = pipc_read(client, text, sizeof text);
    if (size == -1 || pipc_detach(client, fds) == -1)
        return pipc_close(client), 1; /* it has gone, sent too much, or did not wait */
    if (pipc_write_fds(worker, text, (size_t)size, fds, 1) == -1) /* it has too many */
        check(errno == EAGAIN || errno == ETOOMANYREFS, "pipc_write_fds");
    return close(fds[0]), 1;
}

int main(int argc, char **argv)
{
    struct pollfd items[1 + clients_max]; /* the server, then the clients */
    int count = 0;
    for (int i = 0; i < workers; i++)
        start_worker(i);
    pipc_server_t *server = pipc_server_open(NULL, (uint16_t)atoi(argc > 1 ? argv[1] : "0"), NULL);
    check(server != NULL && dprintf(1, "%d\n", pipc_server_port(server)) > 0, "pipc_server_open");
    items[0] = (struct pollfd){.fd = pipc_server_fd(server), .events = POLLIN};
    for (;;) {
        check(poll(items, 1 + (nfds_t)count, -1) != -1, "poll");
        for (int i = count; i > 0; i--) /* backwards: the last one takes a free place */
            if (items[i].revents != 0 && hand_over(clients[i - 1])) {
                clients[i - 1] = clients[--count];
                items[i] = items[count + 1];
            }
        pipc_t *client = items[0].revents != 0 ? pipc_server_accept(server, 0) : NULL;
        if (client != NULL && count < clients_max && pipc_set_timeout(client, 0, 0) == 0) {
            clients[count++] = client;
            items[count] = (struct pollfd){.fd = pipc_fd(client), .events = POLLIN};
        } else {
            pipc_close(client); /* nobody is there, or there is no room */
        }
    }
}
