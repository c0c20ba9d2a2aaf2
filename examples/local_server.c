/* SPDX-License-Identifier: MIT */
/*
 * Answers each message of its clients with a number and the message: one loop, many clients, on a
 * path of this host. Only the users of a list are served, as the kernel names them.
 *
 *     cc local_server.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out PATH UID...
 */
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { clients_max = 500, answers_at_once = 64 };

static pipc_t *clients[clients_max];
static struct pollfd items[1 + clients_max]; /* the server, then the clients */
static int client_count;
static unsigned long answers, nobody = 65534;

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

/* A process or a user that is not visible here is nobody, whatever the list has. */
static int is_allowed(pipc_t *pipe, char **uids)
{
    pipc_credentials_t client = PIPC_CREDENTIALS_INIT;
    if (pipc_credentials(pipe, &client) == -1 || client.pid == 0 || client.uid == nobody)
        return 0;
    while (*uids != NULL && strtoul(*uids, NULL, 10) != client.uid)
        uids++;
    return *uids != NULL;
}

static void accept_client(pipc_server_t *server, char **uids)
{
    pipc_t *pipe = pipc_server_accept(server, 0);
    if (pipe == NULL)
        return; /* it has gone, or no descriptor is free: then it waits for one */
    const char *reason = client_count == clients_max ? "there are too many clients"
                         : is_allowed(pipe, uids)    ? NULL
                                                     : "this user is not served";
    if (reason == NULL && pipc_set_timeout(pipe, 0, 0) == 0 && pipc_fd(pipe) != -1) {
        clients[client_count++] = pipe;
        items[client_count] = (struct pollfd){.fd = pipc_fd(pipe), .events = POLLIN};
        return;
    }
    pipc_set_timeout(pipe, 0, 0);
    pipc_disconnect(pipe, reason); /* there is room for it: nothing was sent yet */
    pipc_close(pipe);
}

/* Returns 0 when the client has gone, or does not take its answers. */
static int serve(pipc_t *pipe)
{
    char number[32];
    int ok = 1;
    pipc_msg_t message;
    for (int i = 0; ok && i < answers_at_once; i++) { /* then the others have their turn */
        if (pipc_read_msg(pipe, &message) == -1)
            return errno == EAGAIN;
        int size = snprintf(number, sizeof number, "%lu ", ++answers);
        struct iovec answer[2] = {{number, (size_t)size}, {message.data, message.size}};
        ok = message.kind == PIPC_DATA && pipc_writev(pipe, answer, 2) != -1;
        pipc_msg_free(&message);
    }
    return ok;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return fprintf(stderr, "usage: %s PATH UID...\n", argv[0]), 2;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.mode = 0666; /* the list decides, and not the mode */
    pipc_server_t *server = pipc_server_open_unix(argv[1], &options);
    check(server != NULL, argv[1]);
    FILE *overflow = fopen("/proc/sys/kernel/overflowuid", "r");
    if (overflow != NULL && fscanf(overflow, "%lu", &nobody) == 1)
        fclose(overflow);
    items[0] = (struct pollfd){.fd = pipc_server_fd(server), .events = POLLIN};
    check(puts("ready") >= 0 && fflush(stdout) == 0, "puts");
    for (;;) {
        check(poll(items, 1 + (nfds_t)client_count, -1) != -1 || errno == EINTR, "poll");
        for (int i = client_count; i > 0; i--) /* backwards: the last one takes a free place */
            if (items[i].revents != 0 && !serve(clients[i - 1])) {
                pipc_close(clients[i - 1]);
                clients[i - 1] = clients[--client_count];
                items[i] = items[client_count + 1];
            }
        if (items[0].revents != 0)
            accept_client(server, argv + 2);
    }
}
