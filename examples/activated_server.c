/* SPDX-License-Identifier: MIT */
/*
 * A server that its service manager starts when the first client comes, on the socket that the
 * manager listens on: systemd's socket activation, or `inetd` in mode "wait". It sends the text of
 * each message back in capitals, to one client after the other, and ends when nobody has come for a
 * while. The manager goes on listening.
 *
 *     cc activated_server.c $(pkg-config --cflags --libs libpipc)
 *     systemd-socket-activate -l /run/user/1000/capitals ./a.out
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { first_passed_fd = 3, idle_ms = 1000, client_ms = 5000 };

/* The first socket that was passed to this process; standard input if none was. */
static int passed_socket(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (pid == NULL || count == NULL || atol(pid) != (long)getpid() || atoi(count) < 1)
        return STDIN_FILENO;
    fcntl(first_passed_fd, F_SETFD, FD_CLOEXEC);
    unsetenv("LISTEN_PID"); /* what this program starts is not meant */
    unsetenv("LISTEN_FDS");
    return first_passed_fd;
}

static void name_client(pipc_t *pipe)
{
    char text[128];
    pipc_credentials_t client = PIPC_CREDENTIALS_INIT;
    if (pipc_credentials(pipe, &client) == 0)
        fprintf(stderr, "user %u\n", (unsigned)client.uid);
    else if (pipc_peer(pipe, text, sizeof text) == 0)
        fprintf(stderr, "%s\n", text); /* by TCP: an address */
}

static void serve(pipc_t *pipe)
{
    pipc_msg_t message;
    if (pipc_set_timeout(pipe, client_ms, client_ms) == -1)
        return;
    name_client(pipe);
    while (pipc_read_msg(pipe, &message) == 0) {
        unsigned char *text = message.data;
        for (size_t i = 0; i < message.size; i++)
            text[i] = (unsigned char)toupper(text[i]);
        int ok = message.kind == PIPC_DATA && pipc_write(pipe, text, message.size) != -1;
        pipc_msg_free(&message);
        if (!ok)
            return;
    }
}

int main(void)
{
    pipc_server_t *server = pipc_server_open_fd(passed_socket(), NULL);
    if (server == NULL)
        return perror("no listening socket was passed"), 1;
    pipc_t *pipe;
    while ((pipe = pipc_server_accept(server, idle_ms)) != NULL) {
        serve(pipe);
        pipc_flush(pipe); /* what a slow client did not take yet */
        pipc_close(pipe);
    }
    int is_idle = errno == ETIMEDOUT;
    if (!is_idle)
        perror("accept");
    pipc_server_close(server);
    return !is_idle;
}
