/* SPDX-License-Identifier: MIT */
/*
 * Two people, on two hosts or on one, type lines to each other. Both start this with the other's
 * host and the same port, either first.
 *
 *     cc tcp_pair.c $(pkg-config --cflags --libs libpipc)
 *     ./a.out HOST PORT [md5]            ends when both have ended their input
 *     TCP_KEY=... ./a.out HOST PORT      with a key: an argument is seen by everybody
 */
#include <errno.h>
#include <pipc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { wait_ms = 60000 };

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

/* Prints what came, a message a line. Returns 0 when nothing more will. */
static int print_messages(pipc_t *pipe)
{
    pipc_msg_t message;
    while (pipc_read_msg(pipe, &message) == 0) {
        if (message.kind == PIPC_DATA) { /* after a goodbye comes the end */
            check(fwrite(message.data, 1, message.size, stdout) == message.size, "fwrite");
            check(putchar('\n') == '\n' && fflush(stdout) == 0, "putchar");
        }
        pipc_msg_free(&message);
    }
    check(errno == EAGAIN || errno == EPIPE, "pipc_read_msg");
    if (errno == EPIPE)
        fprintf(stderr, "-- the other has ended\n");
    return errno == EAGAIN;
}

/* Sends the whole lines that have been typed. Returns 0 at the end of the input. */
static int send_lines(pipc_t *pipe)
{
    static char text[65536];
    static size_t size;
    char *line = text, *end;
    ssize_t got = read(STDIN_FILENO, text + size, sizeof text - size);
    check(got >= 0, "read");
    size += (size_t)got;
    while ((end = memchr(line, '\n', size)) != NULL) {
        size_t length = (size_t)(end - line);
        check(pipc_write(pipe, line, length) != -1, "pipc_write");
        size -= length + 1;
        line = end + 1;
    }
    if (size == sizeof text || (got == 0 && size > 0)) { /* too long, or unfinished: as it is */
        check(pipc_write(pipe, line, size) != -1, "pipc_write");
        size = 0;
    }
    memmove(text, line, size);
    if (got == 0)
        check(pipc_shutdown(pipe) == 0, "pipc_shutdown");
    return got > 0;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4)
        return fprintf(stderr, "usage: [TCP_KEY=...] %s HOST PORT [md5]\n", argv[0]), 2;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    const char *key = options.key = getenv("TCP_KEY");
    options.key_size = key != NULL ? strlen(key) : 0;
    options.flags = argc > 3 ? PIPC_KEY_MD5 : 0;
    pipc_t *pipe = pipc_open_tcp(argv[1], (uint16_t)atoi(argv[2]), wait_ms, &options);
    check(pipe != NULL, "pipc_open_tcp");
    check(pipc_set_timeout(pipe, 0, -1) == 0, "pipc_set_timeout");

    struct pollfd items[2] = {{pipc_fd(pipe), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    check(items[0].fd != -1, "pipc_fd");
    while (items[0].fd != -1 || items[1].fd != -1) {
        check(poll(items, 2, -1) > 0, "poll");
        if (items[0].revents != 0 && !print_messages(pipe))
            items[0].fd = -1;
        if (items[1].revents != 0 && !send_lines(pipe))
            items[1].fd = -1;
    }
    pipc_close(pipe);
    return 0;
}
