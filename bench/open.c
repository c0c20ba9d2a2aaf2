/* SPDX-License-Identifier: MIT */
/*
 * What it takes to open a connection, use it and close it, again and again; on one core, so that it
 * is the sum of both sides' work. A server in a process of its own accepts, receives a
 * message, answers and closes.
 */
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define PATIENCE    60 /* seconds until a process that is stuck ends */
#define CONNECTIONS 300
#define WARM_UP     20
#define SIZE        16

const struct opener openers[] = {
    {"libpipc", "anonymous", "pipc_open, one pipc_write, pipc_close", open_anonymous, NULL},
    {"libpipc", "pair", "pipc_open_pair, pipc_close twice", open_pair, NULL},
    {"libpipc", "tcp", "connect, accept, a message each way, close", NULL, &services_pipc[0]},
    {"raw", "tcp", "connect, accept, a message each way, close", NULL, &services_raw[0]},
    {"libpipc", "unix", "connect, accept, a message each way, close", NULL, &services_pipc[1]},
    {"raw", "unix", "connect, accept, a message each way, close", NULL, &services_raw[1]},
    {NULL, NULL, NULL, NULL, NULL},
};

static void *wait_and_accept(const struct service *service, void *server)
{
    struct pollfd item = {service->listen_fd(server), POLLIN, 0};
    for (;;) {
        if (poll(&item, 1, -1) < 0)
            fail("poll");
        void *connection = service->accept(server);
        if (connection != NULL)
            return connection;
    }
}

static void serve(const struct service *service, void *server)
{
    for (unsigned i = 0; i < WARM_UP + CONNECTIONS; i++) {
        unsigned char message[SIZE];
        void *connection = wait_and_accept(service, server);
        service->receive(connection, message, SIZE);
        service->send(connection, message, SIZE);
        service->close(connection);
    }
}

static void use_service(const struct service *service, const struct place *place)
{
    unsigned char message[SIZE] = "0123456789abcde";
    void *connection = service->connect(place);
    service->send(connection, message, SIZE);
    service->receive(connection, message, SIZE);
    service->close(connection);
}

static void use(const struct opener *opener, const struct place *place)
{
    if (opener->use != NULL)
        opener->use();
    else
        use_service(opener->service, place);
}

static double measure(const struct opener *opener, const struct place *place)
{
    for (unsigned i = 0; i < WARM_UP; i++)
        use(opener, place);
    double start = now(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        use(opener, place);
    return (now(CLOCK_MONOTONIC) - start) / CONNECTIONS;
}

static _Noreturn void first_process(const struct opener *opener, double *ns)
{
    const struct service *service = opener->service;
    struct place place;
    place_make(&place);
    void *server = service != NULL ? service->listen(&place) : NULL;
    alarm(PATIENCE);
    pin(0, ONE_CORE);
    pid_t second = service != NULL ? fork_or_fail() : -1;
    if (second == 0) {
        alarm(PATIENCE);
        serve(service, server);
        _exit(0);
    }
    *ns = measure(opener, &place);
    _exit(second < 0 || child_succeeded(second) ? 0 : 1);
}

bool open_run(const struct opener *opener, double *ns)
{
    double *shared = new_shared(sizeof *shared);
    pid_t first = fork_or_fail();
    if (first == 0)
        first_process(opener, shared);
    bool done = child_succeeded(first);
    *ns = *shared;
    munmap(shared, sizeof *shared);
    return done;
}
