/* SPDX-License-Identifier: MIT */
/*
 * For tests of the network: reserved ports, plain sockets, the options of a descriptor, and
 * callers that wait for one another. Nothing leaves this machine: addresses are those of loopback,
 * or of network namespaces that a test made.
 */
#ifndef PIPC_TESTS_NET_H
#define PIPC_TESTS_NET_H

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "hosts.h"

/* --- Ports ------------------------------------------------------------------------------------ */

/* A port of ours as long as the descriptor is open: it was free, nobody is given it, and only who
 * asks for it by number, as the library does, can listen on it. */
struct net_port {
    int fd;
    uint16_t number;
};

static inline struct net_port net_reserve(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    socklen_t size = sizeof address;
    int off = 0, on = 1;
    hosts_need_loopback();
    struct net_port port = {.fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(port.fd >= 0);
    assert_int_equal(setsockopt(port.fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    assert_int_equal(bind(port.fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setsockopt(port.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(getsockname(port.fd, (struct sockaddr *)&address, &size), 0);
    port.number = ntohs(address.sin6_port);
    return port;
}

/* --- Plain sockets ---------------------------------------------------------------------------- */

static inline struct sockaddr_in net_loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* -1 and errno when no socket listens there. */
static inline int net_try_connect(uint16_t port)
{
    struct sockaddr_in address = net_loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static inline int net_connect(uint16_t port)
{
    int fd = net_try_connect(port);
    if (fd < 0)
        fail_msg("connect: %s", strerror(errno));
    return fd;
}

static inline int net_listen(uint16_t port)
{
    struct sockaddr_in address = net_loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

/* Closes with a reset instead of an end. */
static inline void net_reset(int fd)
{
    struct linger at_once = {1, 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(fd);
}

/* Reads that many bytes; false when the stream ends or breaks before. */
static inline bool net_take(int fd, void *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = recv(fd, (char *)data + at, size - at, 0);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static inline void net_give(int fd, const void *data, size_t size)
{
    assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

/* Nothing more comes: an end or a reset. */
static inline void net_expect_end(int fd)
{
    char byte;
    assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static inline bool net_pass_on(int from, int to)
{
    char bytes[256];
    ssize_t size = recv(from, bytes, sizeof bytes, 0);
    return size > 0 && send(to, bytes, (size_t)size, MSG_NOSIGNAL) == size;
}

/* All that comes from either goes to the other, until one of them ends. */
static inline void net_carry(int a, int b)
{
    struct pollfd fds[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
    bool goes_on = true;
    while (goes_on && poll(fds, 2, -1) > 0)
        goes_on = (fds[0].revents == 0 || net_pass_on(a, b)) &&
                  (fds[1].revents == 0 || net_pass_on(b, a));
}

static inline int net_option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

/* The options of a pipe's socket. */
static inline void net_expect_tuned(int fd)
{
    assert_true(fd >= 0);
    assert_int_equal(net_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(net_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(net_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(net_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 10);
    assert_int_equal(net_option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

/* The first descriptor from `from` on that is a TCP socket, listening or not; -1: none. */
static inline int net_find_socket(int from, bool listening)
{
    for (int fd = from; fd < 1024; fd++)
        if (net_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP &&
            net_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == listening)
            return fd;
    return -1;
}

/* Whether a socket of this machine (this network namespace) listens on that port. */
static inline bool net_is_listening(uint16_t port)
{
    static const char *const tables[] = {"/proc/self/net/tcp", "/proc/self/net/tcp6"};
    char line[512];
    unsigned number, state;
    bool found = false;
    harness_need_proc();
    for (int i = 0; i < 2 && !found; i++) {
        FILE *table = fopen(tables[i], "r");
        while (table != NULL && !found && fgets(line, sizeof line, table) != NULL)
            found = sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &number, &state) == 2 &&
                    number == port && state == TCP_LISTEN;
        if (table != NULL)
            fclose(table);
    }
    return found;
}

static inline void net_await_listener(uint16_t port)
{
    while (!net_is_listening(port))
        sched_yield();
}

/* --- A rendezvous with a thread ----------------------- */

struct net_call {
    const char *host;
    uint16_t port;
    int timeout_ms;
    const pipc_options_t *options;
    pipc_t *pipe;
    _Atomic int error;
    pthread_t thread;
};

static inline void *net_run_call(void *arg)
{
    struct net_call *call = arg;
    call->pipe = pipc_open_tcp(call->host, call->port, call->timeout_ms, call->options);
    call->error = errno;
    return NULL;
}

static inline void net_start_call(struct net_call *call)
{
    assert_int_equal(pthread_create(&call->thread, NULL, net_run_call, call), 0);
}

/* What the call gave, with its errno. */
static inline pipc_t *net_finish_call(struct net_call *call)
{
    assert_int_equal(pthread_join(call->thread, NULL), 0);
    errno = call->error;
    return call->pipe;
}

static inline void net_say(pipc_t *pipe, const char *text)
{
    assert_int_equal(pipc_write(pipe, text, strlen(text)), strlen(text));
}

static inline void net_expect(pipc_t *pipe, const char *text)
{
    char got[8];
    assert_int_equal(pipc_read(pipe, got, sizeof got), strlen(text));
    assert_memory_equal(got, text, strlen(text));
}

static inline void net_expect_talk(pipc_t *a, pipc_t *b)
{
    assert_non_null(a);
    assert_non_null(b);
    net_say(a, "ping");
    net_expect(b, "ping");
    net_say(b, "pong");
    net_expect(a, "pong");
}

/* --- A rendezvous with a process: with a key, a process does not connect to itself --- */

static inline int net_be_called(void *arg)
{
    struct net_call *call = arg;
    net_run_call(call);
    if (call->pipe == NULL)
        return call->error;
    net_expect(call->pipe, "ping");
    net_say(call->pipe, "pong");
    pipc_close(call->pipe);
    return 0;
}

/* Its exit status: the errno of the call, or 0 after net_expect_process at the other end. */
static inline pid_t net_fork_call(struct net_call *call)
{
    return harness_fork(net_be_called, call);
}

static inline void net_expect_process(pipc_t *pipe, pid_t pid)
{
    assert_non_null(pipe);
    net_say(pipe, "ping");
    net_expect(pipe, "pong");
    assert_int_equal(harness_wait(pid), 0);
}

/* For the table of kinds: both ends called pipc_open_tcp, or one of them is a server's. */
void net_open_rendezvous(pipc_t *end[2], const pipc_options_t *options);
void net_open_server(pipc_t *end[2], const pipc_options_t *options);

static inline pipc_options_t net_with_key(const char *key)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = key;
    options.key_size = strlen(key);
    return options;
}

#endif
