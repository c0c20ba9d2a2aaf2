/* SPDX-License-Identifier: MIT */
/*
 * Two terminals talk: run it in both with the same name. What is typed in one appears in the other.
 * usage: fifo_chat NAME [DIRECTORY]
 */
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

/* Sends what was typed. Returns 0 when nothing more will be. */
static int forward(pipc_t *pipe)
{
    char text[4096];
    ssize_t size = read(STDIN_FILENO, text, sizeof text);
    check(size >= 0, "read");
    if (size == 0)
        size = pipc_disconnect(pipe, "the other has left");
    else
        size = pipc_write(pipe, text, (size_t)size);
    return size > 0; /* when writing failed, reading says why */
}

/* Shows what has come. Returns 0 when nothing more will. */
static int show(pipc_t *pipe)
{
    pipc_msg_t message;
    int bye = 0;
    while (!bye && pipc_read_msg(pipe, &message) == 0) {
        const char *text = message.data;
        bye = message.kind == PIPC_BYE; /* its data is "BYE" and the text */
        if (bye)
            fprintf(stderr, "-- %.*s\n", (int)message.size - 3, text + 3);
        else
            check(fwrite(text, 1, message.size, stdout) == message.size && fflush(stdout) == 0,
                  "fwrite");
        pipc_msg_free(&message);
    }
    if (bye || errno == EAGAIN)
        return !bye;
    fprintf(stderr, "-- the other is gone: %s\n", strerror(errno));
    return 0;
}

int main(int argc, char **argv)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: %s NAME [DIRECTORY]\n", argv[0]);
        return 2;
    }
    options.directory = argc == 3 ? argv[2] : NULL;
    fprintf(stderr, "-- waiting for the other\n");
    pipc_t *pipe = pipc_open_fifo(argv[1], -1, &options);
    check(pipe != NULL, argv[1]);
    check(pipc_set_timeout(pipe, 0, -1) == 0, "pipc_set_timeout");
    fprintf(stderr, "-- here we are\n");
    struct pollfd item[2] = {{pipc_fd(pipe), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    check(item[0].fd != -1, "pipc_fd");
    while (item[0].fd != -1) {
        check(poll(item, 2, -1) > 0, "poll");
        if (item[1].revents != 0 && !forward(pipe))
            item[1].fd = -1; /* poll passes over it from now on */
        if (item[0].revents != 0 && !show(pipe))
            item[0].fd = -1;
    }
    pipc_close(pipe);
    return 0;
}
