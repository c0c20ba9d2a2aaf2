/* SPDX-License-Identifier: MIT */
/*
 * The table of kinds, and what a test may have to know about one. How a kind is made is all that
 * belongs here; what a pipe does afterwards is for the tests.
 */
#include "kinds.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fifos.h"
#include "net.h"

/* With buffers of a fixed size: those that the kernel tunes may take more a moment after they were full,
 * and hold many megabytes. */
static int tcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int size = 128 * 1024;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    return fd;
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = tcp_socket();
    *address = (struct sockaddr_in){.sin_family = AF_INET};
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void open_tcp(pipc_t *end[2], const pipc_options_t *options)
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address);
    int near = tcp_socket();
    assert_int_equal(connect(near, (struct sockaddr *)&address, sizeof address), 0);
    int far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(far >= 0);
    close(listener);
    end[0] = harness_adopt(near, near, options);
    end[1] = harness_adopt(far, far, options);
}

/* Under valgrind, where a test takes its time, one of several that are the same once they are open. */
static void skip_if_emulated(const char *like)
{
    if (harness_emulated())
        harness_skip(like);
}

static void open_sockets(pipc_t *end[2], const pipc_options_t *options)
{
    skip_if_emulated("under valgrind sockets are TCP connections");
    harness_open_sockets(end, options);
}

static void open_meeting(pipc_t *end[2], const pipc_options_t *options)
{
    skip_if_emulated("under valgrind TCP is adopted here; tcp_meeting opens it");
    net_open_meeting(end, options);
}

static void open_server(pipc_t *end[2], const pipc_options_t *options)
{
    skip_if_emulated("under valgrind TCP is adopted here; server_accept opens it");
    net_open_server(end, options);
}

/* clang-format off */
#define MADE                                            \
    {"pair", harness_open_pair, false, false},          \
    {"FIFOs", fifos_open_kind, false, false},           \
    {"TCP rendezvous", open_meeting, false, false},     \
    {"TCP server", open_server, false, false}
#define ADOPTED                                         \
    {"socketpair", open_sockets, false, false},         \
    {"two pipes", harness_open_pipes, false, false},    \
    {"TCP connection", open_tcp, false, false}
#define NO_MORE {NULL, NULL, false, false}
/* clang-format on */

const struct kind made_kinds[] = {MADE, NO_MORE};
const struct kind two_handle_kinds[] = {MADE, ADOPTED, NO_MORE};
const struct kind contract_kinds[] = {
    {"anonymous", harness_open_symmetric, true, true}, MADE, ADOPTED, NO_MORE};

bool kind_is_tcp(const struct kind *kind)
{
    return kind->open == open_tcp || kind->open == open_meeting || kind->open == open_server;
}

int kind_delay_ms(const struct kind *kind)
{
    return kind_is_tcp(kind) ? 2000 * harness_scale() : 0;
}
