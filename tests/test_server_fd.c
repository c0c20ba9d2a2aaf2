/* SPDX-License-Identifier: MIT */
/*
 * pipc_server_open_fd: a server on a socket that somebody else made and listens on, as a service
 * manager hands it over.
 */
#include <unistd.h>

#include "fault.h"
#include "net.h"
#include "paths.h"

static pipc_server_t *take_over(int fd, const pipc_options_t *options)
{
    pipc_server_t *server = pipc_server_open_fd(fd, options);
    if (server == NULL)
        fail_msg("pipc_server_open_fd: %s", strerror(errno));
    return server;
}

TEST(a_listening_TCP_socket_is_taken_over)
{
    struct net_port port = net_reserve();
    int fd = net_listen(port.number);
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_CONNECT_ONLY;
    pipc_server_t *server = take_over(fd, NULL);
    assert_int_equal(pipc_server_port(server), port.number);
    pipc_t *client = pipc_open_tcp("127.0.0.1", port.number, 10000, &options);
    assert_non_null(client);
    assert_true(harness_readable(pipc_server_fd(server), 10000));
    pipc_t *pipe = pipc_server_accept(server, 0);
    net_expect_talk(client, pipe);
    for (int i = net_find_socket(0, false); i >= 0; i = net_find_socket(i + 1, false))
        if (i != port.fd)
            assert_int_equal(net_option(i, IPPROTO_TCP, TCP_NODELAY), 1);
    pipc_close(pipe);
    pipc_close(client);
    pipc_server_close(server);
    assert_errno(fcntl(fd, F_GETFD), EBADF);
    close(port.fd);
}

TEST(a_listening_Unix_socket_is_taken_over_and_its_name_stays)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    int fd = paths_listen(path, 5);
    pipc_t *early = pipc_open_unix(path, 0, NULL); /* while nobody accepts */
    pipc_server_t *server = take_over(fd, NULL);
    assert_int_equal(pipc_server_port(server), 0);
    paths_assert_talk(early, server);
    paths_assert_talk(pipc_open_unix(path, 0, NULL), server);
    pipc_server_close(server);
    assert_errno(fcntl(fd, F_GETFD), EBADF);
    assert_int_equal(unlink(path), 0);
    paths_end(&paths);
}

static void expect_refused(int fd, const pipc_options_t *options)
{
    int flags = fcntl(fd, F_GETFL), descriptor_flags = fcntl(fd, F_GETFD);
    assert_null_errno(pipc_server_open_fd(fd, options), EINVAL);
    assert_int_equal(fcntl(fd, F_GETFL), flags);
    assert_int_equal(fcntl(fd, F_GETFD), descriptor_flags);
    assert_int_equal(close(fd), 0);
}

TEST(what_does_not_listen_is_refused_and_stays_as_it_was)
{
    struct paths paths;
    struct net_port port = net_reserve();
    pipc_options_t options = PIPC_OPTIONS_INIT;
    int pair[2], pipe_fd[2];
    paths_begin(&paths);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
    expect_refused(pair[0], NULL);
    expect_refused(pair[1], NULL);
    expect_refused(pipe_fd[0], NULL);
    expect_refused(pipe_fd[1], NULL);
    expect_refused(paths_bind(paths_to(&paths, "stream"), SOCK_STREAM), NULL);
    expect_refused(paths_bind(paths_to(&paths, "datagram"), SOCK_DGRAM), NULL);
    int packets = paths_bind(paths_to(&paths, "packets"), SOCK_SEQPACKET);
    assert_int_equal(listen(packets, 1), 0);
    expect_refused(packets, NULL);
    options.flags = PIPC_CONNECT_ONLY;
    expect_refused(net_listen(port.number), &options);
    expect_refused(open("/dev/null", O_RDWR | O_CLOEXEC), NULL);
    assert_null_errno(pipc_server_open_fd(-1, NULL), EBADF);
    assert_null_errno(pipc_server_open_fd(pair[0], NULL), EBADF);
    close(port.fd);
    unlink(paths_to(&paths, "stream"));
    unlink(paths_to(&paths, "datagram"));
    unlink(paths_to(&paths, "packets"));
    paths_end(&paths);
}

/* Accepted sockets inherit it, and would make pipc_close wait. */
TEST(SO_LINGER_of_a_listener_is_not_that_of_its_clients)
{
    struct net_port port = net_reserve();
    pipc_options_t options = net_with_key("secret");
    struct linger slow = {1, 100}, found = slow;
    socklen_t size = sizeof found;
    for (int i = 0; i < 2; i++) {
        int fd = net_listen(port.number);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &slow, sizeof slow), 0);
        pipc_server_t *server = take_over(fd, i == 0 ? NULL : &options);
        int client = net_connect(port.number);
        pipc_t *pipe = pipc_server_accept(server, 0); /* with the key: not yet */
        assert_int_equal(pipe != NULL, i == 0);
        int accepted = net_find_socket(client + 1, false);
        assert_int_equal(getsockopt(accepted, SOL_SOCKET, SO_LINGER, &found, &size), 0);
        assert_int_equal(found.l_onoff, 0);
        pipc_close(pipe);
        pipc_server_close(server);
        close(client);
    }
    close(port.fd);
}

/* It belongs to the open file: a worker that closes its server must not make others wait. */
TEST(O_NONBLOCK_stays_on_a_listener_that_other_servers_may_share)
{
    struct paths paths;
    paths_begin(&paths);
    int fd = paths_listen(paths_to(&paths, "socket"), 5), copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    pipc_server_t *first = take_over(fd, NULL);
    pipc_server_t *second = take_over(copy, NULL);
    pipc_server_close(first);
    assert_true(fcntl(copy, F_GETFL) & O_NONBLOCK);
    assert_null_errno(pipc_server_accept(second, 0), EAGAIN); /* and does not wait */
    paths_assert_talk(pipc_open_unix(paths_to(&paths, "socket"), 0, NULL), second);
    pipc_server_close(second);
    unlink(paths_to(&paths, "socket"));
    paths_end(&paths);
}

TEST(a_forked_copy_that_is_closed_leaves_the_listener_as_it_is)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    pipc_server_t *server = take_over(paths_listen(path, 5), NULL);
    assert_int_equal(harness_wait(harness_fork(paths_close_server, server)), 0);
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN); /* else it would wait here */
    paths_assert_talk(pipc_open_unix(path, 0, NULL), server);
    pipc_server_close(server);
    unlink(path);
    paths_end(&paths);
}

TEST(a_key_is_asked_for_on_a_socket_that_was_taken_over)
{
    struct paths paths;
    pipc_options_t options = net_with_key("secret");
    paths_begin(&paths);
    struct paths_caller client = {paths_to(&paths, "socket"), "secret", 10000};
    pipc_server_t *server = take_over(paths_listen(client.path, 5), &options);
    pid_t pid = harness_fork(paths_call, &client);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    net_expect_process(pipe, pid);
    pipc_close(pipe);
    pipc_server_close(server);
    unlink(client.path);
    paths_end(&paths);
}

/* Returns how many system calls it made. */
static unsigned long take_over_with_fault(int fd, unsigned long nth)
{
    pipc_options_t options = net_with_key("secret");
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    fault_reset();
    fault_fail_plausibly(nth, 0, 0);
    fault_arm();
    pipc_server_t *server = pipc_server_open_fd(fd, &options);
    int error = errno;
    fault_disarm();
    unsigned long calls = fault_calls(CALL_ANY);
    if (server == NULL) {
        assert_true(fault_injected(error) || error == EINVAL);
        assert_false(fcntl(copy, F_GETFL) & O_NONBLOCK);
        assert_int_equal(close(fd), 0); /* it is still the program's */
    }
    pipc_server_close(server);
    close(copy);
    return calls;
}

TEST(a_takeover_that_fails_leaves_the_socket_to_the_program)
{
    struct paths paths;
    unsigned long calls, nth = 0;
    paths_begin(&paths);
    do {
        int fd = paths_listen(paths_to(&paths, "socket"), 5);
        calls = take_over_with_fault(fd, ++nth);
        unlink(paths_to(&paths, "socket"));
    } while (calls >= nth);
    assert_in_range(nth, 10, 40);
    paths_end(&paths);
}

HARNESS_MAIN("server on a descriptor", IT(a_listening_TCP_socket_is_taken_over),
             IT(a_listening_Unix_socket_is_taken_over_and_its_name_stays),
             IT(what_does_not_listen_is_refused_and_stays_as_it_was),
             IT(SO_LINGER_of_a_listener_is_not_that_of_its_clients),
             IT(O_NONBLOCK_stays_on_a_listener_that_other_servers_may_share),
             IT(a_forked_copy_that_is_closed_leaves_the_listener_as_it_is),
             IT(a_key_is_asked_for_on_a_socket_that_was_taken_over),
             IT(a_takeover_that_fails_leaves_the_socket_to_the_program))
