/* SPDX-License-Identifier: MIT */
/*
 * A server and a client in one thread, for programs that put the server's descriptor into the event
 * loop of another library. First the client does not read, then it reads all; both times it is
 * counted how often the loop wakes the server.
 */
#ifndef PIPC_TESTS_LOOPS_ECHO_H
#define PIPC_TESTS_LOOPS_ECHO_H

#include <errno.h>
#include <pipc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ECHO_SIZE = 3000, ECHO_IDLE_MS = 300 };

#ifdef PIPC_PLATFORM_POSIX
enum { ECHO_FEW = 20 + ECHO_IDLE_MS }; /* once a millisecond, see the manual (12) */
#else
enum { ECHO_FEW = 20 };
#endif

static struct echo {
    pipc_t *client, *server;
    size_t sent, got;
    int wakes;
    bool is_stuck;
} echo;

static void echo_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* For the loop to call when the server's descriptor is readable. */
static void echo_serve(void)
{
    pipc_msg_t message;
    bool is_stuck = false;
    echo.wakes++;
    while (!is_stuck && pipc_peek(echo.server, &message) == 0) {
        is_stuck = pipc_write(echo.server, message.data, message.size) < 0;
        if (!is_stuck)
            pipc_skip(echo.server);
    }
    if (errno != EAGAIN)
        echo_fail("the server");
    echo.is_stuck = is_stuck;
    pipc_want(echo.server, is_stuck ? PIPC_WANT_WRITE : PIPC_WANT_READ | PIPC_WANT_WRITE);
}

/* Until nothing moves any more. Returns the descriptor. */
static int echo_begin(void)
{
    static const char data[ECHO_SIZE];
    pipc_t *end[2];
    if (pipc_open_pair(end, NULL) != 0)
        echo_fail("pipc_open_pair");
    echo.client = end[0];
    echo.server = end[1];
    pipc_set_timeout(echo.client, 0, 0);
    pipc_set_timeout(echo.server, 0, 0);
    int fd = pipc_fd(echo.server);
    if (fd < 0)
        echo_fail("pipc_fd");
    for (size_t before = 1; !echo.is_stuck || echo.sent != before;) {
        before = echo.sent;
        while (pipc_write(echo.client, data, ECHO_SIZE) == ECHO_SIZE)
            echo.sent++;
        echo_serve();
    }
    echo.wakes = 0;
    return fd;
}

/* After some time in the loop: then the client reads. */
static void echo_check_sleep(void)
{
    printf("%d wakes while the client did not read\n", echo.wakes);
    if (echo.wakes > ECHO_FEW)
        exit(1);
}

/* To be called again and again. True: all answers have come, and the server knows that it wrote the
 * last. */
static bool echo_read_some(void)
{
    pipc_msg_t message;
    while (pipc_read_msg(echo.client, &message) == 0) {
        echo.got++;
        pipc_msg_free(&message);
    }
    if (errno != EAGAIN)
        echo_fail("the client");
    pipc_flush(echo.client);
    return echo.got >= echo.sent && !echo.is_stuck;
}

static int echo_end(void)
{
    printf("%zu sent, %zu came back\n", echo.sent, echo.got);
    pipc_close(echo.client);
    pipc_close(echo.server);
    return echo.got == echo.sent ? 0 : 1;
}

#endif
