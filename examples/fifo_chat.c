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
#include <unistd.h>

enum { text_size = 4096 };
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
    char text[text_size];
    ssize_t size = read(STDIN_FILENO, text, sizeof text);
    check(size >= 0, "read");
    if (size == 0)
        check(pipc_disconnect(pipe, "the other has left") == 0 || errno == EPIPE,
              "pipc_disconnect");
    else if (pipc_write(pipe, text, (size_t)size) == -1)
        check(errno == EPIPE, "pipc_write"); /* reading tells why */
    return size > 0;
}

/* Shows what has come. Returns 0 when nothing more will. */
static int show(pipc_t *pipe)
{
    char text[text_size];
    ssize_t size;
    while ((size = pipc_read(pipe, text, sizeof text)) >= 0)
        check(fwrite(text, 1, (size_t)size, stdout) == (size_t)size, "fwrite");
    int why = errno;
    check(fflush(stdout) == 0, "fflush");
    if (why == EAGAIN)
        return 1;
    check((errno = why) == ESHUTDOWN || why == EPIPE || why == ECONNRESET, "pipc_read");
    fprintf(stderr, "-- %s\n", why == ESHUTDOWN ? pipc_bye_text(pipe) : "the other is gone");
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
