/* SPDX-License-Identifier: MIT */
/*
 * pipc_open_tcp when it is not known at first that the named host is this one: the address comes up
 * later, or it cannot be asked for in the usual way. Also when a route forbids the way to it.
 */
#include "fault.h"
#include "hosts.h"
#include "net.h"

#define LATE "10.78.0.9" /* no interface has it at first, and no way leads there */

enum { PORT = 20000, LONG_MS = 15000 };

static void bring_up(void)
{
    assert_true(hosts_do("ip addr add " LATE "/32 dev lo"));
}

static pipc_t *begin(const char *host, const pipc_options_t *key)
{
    pipc_options_t options = key == NULL ? (pipc_options_t)PIPC_OPTIONS_INIT : *key;
    options.flags |= PIPC_ASYNC;
    pipc_t *pipe = pipc_open_tcp(host, PORT, -1, &options);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, LONG_MS, 0), 0);
    return pipe;
}

/* In this process: of any address, or of loopback. */
static bool listens_at(in_addr_t host)
{
    for (int fd = net_find_socket(3, true); fd >= 0; fd = net_find_socket(fd + 1, true)) {
        struct sockaddr_in address = {.sin_family = AF_UNSPEC};
        socklen_t size = sizeof address; /* that of IPv6 is cut off */
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        if (host == INADDR_ANY
                ? address.sin_family == AF_INET6 && net_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0
                : address.sin_family == AF_INET && address.sin_addr.s_addr == htonl(host))
            return true;
    }
    return false;
}

/* Until it has found out where it is. Nobody else is there. */
static void wait_alone(pipc_t *pipe)
{
    while (!listens_at(INADDR_LOOPBACK)) {
        harness_readable(pipc_fd(pipe), LONG_MS);
        assert_errno(pipc_flush(pipe), EAGAIN);
    }
    assert_false(listens_at(INADDR_ANY));
    assert_errno(pipc_flush(pipe), EAGAIN);
}

static void wait_for_peer(pipc_t *pipe)
{
    while (pipc_flush(pipe) == -1) {
        assert_int_equal(errno, EAGAIN);
        harness_readable(pipc_fd(pipe), LONG_MS);
    }
}

static void meet_alone(pipc_t *pipe, const pipc_options_t *options)
{
    wait_alone(pipe);
    struct net_call call = {"127.0.0.1", PORT, LONG_MS, options, NULL, 0, 0};
    pid_t pid = net_fork_call(&call);
    wait_for_peer(pipe);
    net_expect_process(pipe, pid);
    pipc_close(pipe);
}

static void come_up_while_it_waits(const pipc_options_t *options)
{
    pipc_t *pipe = begin(LATE, options);
    assert_true(listens_at(INADDR_ANY));
    bring_up();
    meet_alone(pipe, options);
    assert_true(hosts_do("ip addr del " LATE "/32 dev lo"));
}

TEST(a_name_of_this_host_that_comes_up_later_gives_nobody_a_pipe_to_himself)
{
    pipc_options_t options = net_with_key("secret");
    hosts_make_alone();
    come_up_while_it_waits(NULL);
    come_up_while_it_waits(&options);
}

/* The first packet is lost. The kernel repeats it a second later, and it comes to this host. */
TEST(a_name_of_this_host_that_comes_up_during_a_connect_gives_nobody_a_pipe_to_himself)
{
    hosts_make_alone();
    if (!hosts_do("ip route add " LATE " dev lo src " HOSTS_NEAR))
        harness_skip("this machine has no such route");
    pipc_t *pipe = begin(LATE, NULL);
    assert_true(listens_at(INADDR_ANY));
    assert_true(net_find_socket(3, false) >= 0);
    bring_up();
    meet_alone(pipe, NULL);
}

TEST(two_callers_on_one_host_whose_name_comes_up_later_connect)
{
    hosts_make_alone();
    struct net_call call = {LATE, PORT, LONG_MS, NULL, NULL, 0, 0};
    pid_t pid = net_fork_call(&call);
    net_await_listener(PORT);
    pipc_t *pipe = begin(LATE, NULL);
    bring_up();
    wait_for_peer(pipe);
    net_expect_process(pipe, pid);
    pipc_close(pipe);
}

/* One step, which comes `ms` later, and in which `failing` calls of connect find no way. */
static void come_before_step(int ms, unsigned long failing)
{
    fault_reset();
    fault_frozen_time();
    fault_arm();
    pipc_t *pipe = begin(LATE, NULL);
    fault_disarm();
    bring_up();
    int peer = net_connect(PORT);
    if (failing > 0)
        fault_fail(CALL_connect, fault_calls(CALL_connect) + 1, failing - 1, ENETUNREACH);
    fault_advance_ms(ms);
    fault_arm();
    assert_int_equal(pipc_flush(pipe), 0);
    fault_disarm();
    net_give(peer, "\0\0\0\2hi", 6);
    net_expect(pipe, "hi");
    pipc_close(pipe);
    net_expect_end(peer);
    close(peer);
    assert_true(hosts_do("ip addr del " LATE "/32 dev lo"));
}

/*
 * Who has connected to the listener for all interfaces keeps the connection: if it is this which
 * shows where the named host is, or the next try to connect, or the look after a try that failed.
 */
TEST(a_peer_that_came_by_loopback_before_this_host_was_known_is_let_in)
{
    hosts_make_alone();
    come_before_step(0, 0);
    come_before_step(LONG_MS, 0);
    come_before_step(LONG_MS, 1);
}

/* Which listens on loopback alone. The time is that of the clock, and each step is a later one. */
TEST(a_client_reaches_a_server_of_this_host_by_a_name_that_comes_up_later)
{
    enum { STEPS_MAX = 20 };
    pipc_options_t options = PIPC_OPTIONS_INIT;
    hosts_make_alone();
    pipc_server_t *server = pipc_server_open("127.0.0.1", PORT, NULL);
    assert_non_null(server);
    options.flags = PIPC_CONNECT_ONLY;
    fault_reset();
    fault_frozen_time();
    fault_arm();
    pipc_t *pipe = begin(LATE, &options);
    fault_disarm();
    bring_up();
    fault_arm();
    int steps = 0;
    ssize_t result;
    do
        fault_advance_ms(LONG_MS);
    while ((result = pipc_flush(pipe)) == -1 && ++steps < STEPS_MAX);
    fault_disarm();
    assert_int_equal(result, 0);
    pipc_close(pipe);
    pipc_server_close(server);
}

/* The first datagram socket asks for a broadcast address, the second for this host. */
TEST(this_host_is_known_also_where_datagram_sockets_are_forbidden)
{
    hosts_make_alone();
    fault_reset();
    fault_fail(CALL_socket, 1, 1, EPERM);
    fault_arm();
    pipc_t *pipe = begin(HOSTS_NEAR, NULL);
    fault_disarm();
    assert_int_equal(fault_failures(CALL_socket), 2);
    assert_true(listens_at(INADDR_LOOPBACK));
    assert_false(listens_at(INADDR_ANY));
    pipc_close(pipe);
}

TEST(another_host_is_known_also_where_datagram_sockets_are_forbidden)
{
    static const char *const switches[] = {"0", "1"};
    hosts_make_alone();
    for (int i = 0; i < 2; i++) {
        hosts_write_file("/proc/sys/net/ipv4/ip_nonlocal_bind", switches[i]);
        fault_reset();
        fault_fail(CALL_socket, 1, 1, EPERM);
        fault_arm();
        pipc_t *pipe = begin(HOSTS_FAR, NULL);
        fault_disarm();
        assert_int_equal(fault_failures(CALL_socket), 2);
        assert_true(listens_at(INADDR_ANY));
        pipc_close(pipe);
    }
}

TEST(a_lack_of_descriptors_does_not_make_this_host_another_one)
{
    hosts_make_alone();
    fault_reset();
    fault_fail(CALL_socket, 2, 0, EMFILE);
    fault_arm();
    assert_null_errno(pipc_open_tcp(HOSTS_NEAR, PORT, 0, NULL), EMFILE);
    fault_disarm();
}

/* In virtual time. Connects again and again until the time is up. */
static void expect_to_wait(const char *host, int error)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    enum { WAIT_MS = 500 };
    for (int i = 0; i < 2; i++) {
        fault_reset();
        fault_virtual_time();
        fault_arm();
        pipc_t *pipe = pipc_open_tcp(host, PORT, WAIT_MS, &options);
        int result = errno;
        fault_disarm();
        assert_null(pipe);
        assert_int_equal(result, i == 0 ? ETIMEDOUT : error);
        options.flags = PIPC_CONNECT_ONLY;
    }
}

/* Such routes come and go, with a VPN for example. */
TEST(a_route_that_forbids_the_way_is_waited_for_like_one_that_is_missing)
{
    hosts_make_alone();
    expect_to_wait("10.79.0.1", ENETUNREACH);
    if (!hosts_do("ip route add blackhole 10.79.0.1 && ip route add prohibit 10.79.0.2 && "
                  "ip route add unreachable 10.79.0.3 && ip -6 route add blackhole fd79::1 && "
                  "ip -6 route add prohibit fd79::2"))
        harness_skip("this machine has no such routes");
    expect_to_wait("10.79.0.1", EINVAL);
    expect_to_wait("10.79.0.2", EACCES);
    expect_to_wait("10.79.0.3", EHOSTUNREACH);
    expect_to_wait("fd79::1", EINVAL);
    expect_to_wait("fd79::2", EACCES);
}

TEST(an_address_that_lacks_its_interface_is_EINVAL_at_once)
{
    hosts_make_alone();
    assert_null_errno(pipc_open_tcp("fe80::1", PORT, LONG_MS, NULL), EINVAL);
}

/* A security module: datagrams get through. */
TEST(a_connection_that_is_forbidden_is_EACCES_at_once)
{
    hosts_make_alone();
    fault_reset();
    fault_virtual_time();
    fault_fail(CALL_connect, 4, 0, EACCES); /* behind those of datagram sockets */
    fault_arm();
    assert_null_errno(pipc_open_tcp(HOSTS_FAR, PORT, LONG_MS, NULL), EACCES);
    fault_disarm();
}

static void expect_forbidden(enum fault_call call, const char *host, unsigned flags, int error)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = flags;
    fault_reset();
    fault_virtual_time();
    fault_fail(call, 1, FAULT_FOREVER, error);
    fault_arm();
    assert_null_errno(pipc_open_tcp(host, PORT, LONG_MS, &options), error);
    fault_disarm();
    assert_int_equal(fault_calls(CALL_poll), 0);
}

/* Datagrams as well: all connections, or all sockets. */
TEST(a_sandbox_that_forbids_to_connect_ends_the_call_at_once)
{
    static const char *const hosts[] = {HOSTS_FAR, HOSTS_FAR6, "10.79.0.1"};
    static const enum fault_call calls[] = {CALL_connect, CALL_socket};
    hosts_make_alone();
    for (int i = 0; i < 3; i++)
        for (int call = 0; call < 2; call++) {
            expect_forbidden(calls[call], hosts[i], 0, EPERM);
            expect_forbidden(calls[call], hosts[i], 0, EACCES);
            expect_forbidden(calls[call], hosts[i], PIPC_CONNECT_ONLY, EACCES);
        }
}

/* It was not named, and so a stranger there would not end the call. */
TEST(a_sandbox_that_forbids_the_other_address_of_loopback_ends_the_call_at_once)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    hosts_make_alone();
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin6_addr = in6addr_loopback;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    expect_forbidden(CALL_connect, "127.0.0.1", 0, EPERM);
    expect_forbidden(CALL_connect, "127.0.0.1", 0, EACCES);
    close(fd);
}

HARNESS_MAIN("tcp, here",
             IT(a_name_of_this_host_that_comes_up_later_gives_nobody_a_pipe_to_himself),
             IT(a_name_of_this_host_that_comes_up_during_a_connect_gives_nobody_a_pipe_to_himself),
             IT(two_callers_on_one_host_whose_name_comes_up_later_connect),
             IT(a_peer_that_came_by_loopback_before_this_host_was_known_is_let_in),
             IT(a_client_reaches_a_server_of_this_host_by_a_name_that_comes_up_later),
             IT(this_host_is_known_also_where_datagram_sockets_are_forbidden),
             IT(another_host_is_known_also_where_datagram_sockets_are_forbidden),
             IT(a_lack_of_descriptors_does_not_make_this_host_another_one),
             IT(a_route_that_forbids_the_way_is_waited_for_like_one_that_is_missing),
             IT(an_address_that_lacks_its_interface_is_EINVAL_at_once),
             IT(a_connection_that_is_forbidden_is_EACCES_at_once),
             IT(a_sandbox_that_forbids_to_connect_ends_the_call_at_once),
             IT(a_sandbox_that_forbids_the_other_address_of_loopback_ends_the_call_at_once))
