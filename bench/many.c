/* SPDX-License-Identifier: MIT */
/*
 * A server of many connections: an event loop (epoll, level-triggered) that sends back
 * each message, in a process and on a core of its own. A client process has all connections; in
 * each turn it sends a message on every one of them, and then reads the echoes. Both processes use
 * the same library.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define PATIENCE 120 /* seconds until a process that is stuck ends */
#define SIZE     16
#define EVENTS   256

/* What the two processes and the driver share. */
struct turns {
    pthread_barrier_t barrier;
    struct many result;
};

struct crowd {
    const struct service *service;
    unsigned connections;
    double seconds;
    struct turns *turns;
    void *server;
    struct place place;
};

/* ---- the server ---- */

struct loop {
    struct crowd *crowd;
    int set;
    unsigned accepted, closed;
    unsigned long echoes;
    double bytes_before, descriptors_before;
};

static double count_descriptors(void)
{
    double count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        fail("/proc/self/fd");
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void add(struct loop *loop, int fd, void *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(loop->set, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
}

static void accept_all(struct loop *loop)
{
    const struct service *service = loop->crowd->service;
    for (void *connection; (connection = service->accept(loop->crowd->server)) != NULL;) {
        add(loop, service->fd(connection), connection);
        loop->accepted++;
    }
}

static void leave(struct loop *loop, void *connection)
{
    const struct service *service = loop->crowd->service;
    if (epoll_ctl(loop->set, EPOLL_CTL_DEL, service->fd(connection), NULL) != 0)
        fail("epoll_ctl");
    service->close(connection);
    loop->closed++;
}

/* A spurious wakeup is no echo: each connection has been used once when the echoes are as many. */
static void send_back(struct loop *loop, void *connection)
{
    int echoes = loop->crowd->service->echo(connection);
    if (echoes < 0)
        leave(loop, connection);
    else
        loop->echoes += (unsigned)echoes;
}

static void handle(struct loop *loop, void *connection)
{
    if (connection == NULL)
        accept_all(loop);
    else
        send_back(loop, connection);
}

static void turn(struct loop *loop)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(loop->set, events, EVENTS, -1);
    if (count < 0)
        fail("epoll_wait");
    for (int i = 0; i < count; i++)
        handle(loop, events[i].data.ptr);
}

/* After each connection has been used once, the client waits for this. */
static void weigh(const struct loop *loop)
{
    const struct crowd *crowd = loop->crowd;
    struct many *result = &crowd->turns->result;
    result->bytes = (resident() - loop->bytes_before) / crowd->connections;
    result->descriptors = (count_descriptors() - loop->descriptors_before) / crowd->connections;
    pthread_barrier_wait(&crowd->turns->barrier);
}

static void serve(struct crowd *crowd)
{
    struct loop loop = {.crowd = crowd, .set = epoll_create1(EPOLL_CLOEXEC)};
    if (loop.set < 0)
        fail("epoll_create1");
    add(&loop, crowd->service->listen_fd(crowd->server), NULL);
    loop.descriptors_before = count_descriptors();
    loop.bytes_before = resident();
    while (loop.accepted < crowd->connections || loop.echoes < crowd->connections)
        turn(&loop);
    weigh(&loop);
    while (loop.closed < crowd->connections)
        turn(&loop);
}

/* ---- the client ---- */

static void send_and_receive(const struct crowd *crowd, void **connections)
{
    unsigned char sent[SIZE] = "0123456789abcde", got[SIZE];
    for (unsigned i = 0; i < crowd->connections; i++)
        crowd->service->send(connections[i], sent, SIZE);
    for (unsigned i = 0; i < crowd->connections; i++) {
        crowd->service->receive(connections[i], got, SIZE);
        if (memcmp(sent, got, SIZE) != 0)
            fail("an echo with another content");
    }
}

static double time_turns(const struct crowd *crowd, void **connections)
{
    unsigned turns = 0;
    double start = now(CLOCK_MONOTONIC), time = 0;
    while (turns < 5 || time < crowd->seconds * 1e9) {
        send_and_receive(crowd, connections);
        turns++;
        time = now(CLOCK_MONOTONIC) - start;
    }
    return time / turns / crowd->connections;
}

static void be_client(const struct crowd *crowd)
{
    void **connections = calloc(crowd->connections, sizeof *connections);
    if (connections == NULL)
        fail("memory");
    for (unsigned i = 0; i < crowd->connections; i++)
        connections[i] = crowd->service->connect(&crowd->place);
    send_and_receive(crowd, connections);
    pthread_barrier_wait(&crowd->turns->barrier);
    time_turns(crowd, connections); /* warms up */
    crowd->turns->result.ns = time_turns(crowd, connections);
    for (unsigned i = 0; i < crowd->connections; i++)
        crowd->service->close(connections[i]);
}

/* ---- the processes ---- */

static void have_core(int side)
{
    size_t cores[2];
    alarm(PATIENCE);
    pin(side, find_cores(cores) < 2 ? ONE_CORE : TWO_CORES);
}

static _Noreturn void second_process(const struct crowd *crowd)
{
    have_core(1);
    crowd->service->stop(crowd->server);
    be_client(crowd);
    _exit(0);
}

static _Noreturn void first_process(struct crowd *crowd)
{
    allow_descriptors();
    place_make(&crowd->place);
    crowd->server = crowd->service->listen(&crowd->place);
    pid_t second = fork_or_fail();
    if (second == 0)
        second_process(crowd);
    have_core(0);
    serve(crowd);
    _exit(child_succeeded(second) ? 0 : 1);
}

static struct turns *new_turns(void)
{
    struct turns *turns = new_shared(sizeof *turns);
    barrier_init(&turns->barrier);
    return turns;
}

bool many_run(const struct service *service, unsigned connections, double seconds,
              struct many *result)
{
    struct crowd crowd = {
        .service = service, .connections = connections, .seconds = seconds, .turns = new_turns()};
    pid_t first = fork_or_fail();
    if (first == 0)
        first_process(&crowd);
    bool done = child_succeeded(first);
    *result = crowd.turns->result;
    munmap(crowd.turns, sizeof *crowd.turns);
    return done;
}
