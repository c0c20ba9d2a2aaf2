/* SPDX-License-Identifier: MIT */
/*
 * A program that another one starts and talks to over standard input and output: answers each
 * message with the same in capitals. Erlang calls this a port, and opens it with {packet, 4}; what
 * is started over ssh or through any other tunnel works the same way.
 *
 *     cc port_program.c $(pkg-config --cflags --libs libpipc)
 */
#include <ctype.h>
#include <errno.h>
#include <pipc.h>
#include <stdio.h>
#include <unistd.h>

static int answer(pipc_t *pipe)
{
    pipc_msg_t message;
    while (pipc_read_msg(pipe, &message) == 0) {
        ssize_t sent = 0;
        unsigned char *text = message.data;
        for (size_t i = 0; i < message.size; i++)
            text[i] = (unsigned char)toupper(text[i]);
        if (message.kind == PIPC_DATA) /* a goodbye needs no answer: the end comes next */
            sent = pipc_write(pipe, text, message.size);
        pipc_msg_free(&message);
        if (sent == -1)
            return -1;
    }
    return errno == EPIPE ? 0 : -1; /* EPIPE: who started us is done with us */
}

int main(void)
{
    pipc_t *pipe = pipc_open_fds(STDIN_FILENO, STDOUT_FILENO, NULL);
    if (pipe == NULL || answer(pipe) != 0) {
        perror("port_program");
        return 1;
    }
    pipc_close(pipe);
    return 0;
}
