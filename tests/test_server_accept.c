/* SPDX-License-Identifier: MIT */
/*
 * The server: where it listens, which clients it accepts, what its descriptor reports, what ends
 * its wait, and how it survives failures of accept and a lack of descriptors.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "fault.h"
#include "net.h"
#include "platform.h"

static pipc_server_t *open_server(const char *host, const pipc_options_t *options)
{
    hosts_need_loopback();
    pipc_server_t *server = pipc_server_open(host, 0, options);
    if (server == NULL)
        fail_msg("pipc_server_open: %s", strerror(errno));
    assert_int_not_equal(pipc_server_port(server), 0);
    return server;
}

static pipc_t *call(const char *host, const pipc_server_t *server, const pipc_options_t *options)
{
    pipc_t *pipe = pipc_open_tcp(host, pipc_server_port(server), 10000, options);
    if (pipe == NULL)
        fail_msg("pipc_open_tcp: %s", strerror(errno));
    return pipe;
}

static void accept_and_talk(pipc_server_t *server, pipc_t *client)
{
    pipc_t *pipe = pipc_server_accept(server, 10000);
    net_expect_talk(client, pipe);
    pipc_close(pipe);
    pipc_close(client);
}

TEST(an_accepted_socket_has_nodelay_keepalive_and_close_on_exec)
{
    platform_needs(PLATFORM_KEEPALIVE);
    pipc_server_t *server = open_server(NULL, NULL);
    int client = net_connect(pipc_server_port(server));
    pipc_t *pipe = pipc_server_accept(server, 10000);
    int fd = net_find_socket(client + 1, false);
    assert_non_null(pipe);
    net_expect_tuned(fd);
    pipc_close(pipe);
    close(client);
    pipc_server_close(server);
}

/* --- Where it listens ------------------------------------------------------------------------- */

TEST(a_server_listens_on_loopback_by_default)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    pipc_server_t *server = open_server(NULL, NULL);
    int fd = net_find_socket(3, true);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(address.sin_family, AF_INET);
    assert_int_equal(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(ntohs(address.sin_port), pipc_server_port(server));
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    accept_and_talk(server, call("127.0.0.1", server, NULL));
    accept_and_talk(server, call("localhost", server, NULL));
    pipc_server_close(server);
}

TEST(a_server_listens_on_all_addresses_of_both_families)
{
    pipc_server_t *server = open_server("*", NULL);
    accept_and_talk(server, call("127.0.0.1", server, NULL));
    accept_and_talk(server, call("127.0.0.2", server, NULL));
    accept_and_talk(server, call("::1", server, NULL));
    pipc_server_close(server);
}

/* Where it cannot be switched off, it is on. */
static void make_sockets_of_IPv6_alone(void *unused)
{
    int on = 1;
    (void)unused;
    for (int fd = 3; fd < 100; fd++)
        if (net_option(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6)
            assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
}

TEST(where_no_socket_serves_both_families_a_server_listens_with_two)
{
    hosts_need_loopback();
    fault_reset();
    fault_fail(CALL_setsockopt, 2, 0, EINVAL); /* IPV6_V6ONLY, as on OpenBSD */
    fault_before(CALL_bind, 1, make_sockets_of_IPv6_alone, NULL);
    fault_arm();
    pipc_server_t *server = pipc_server_open("*", 0, NULL);
    fault_disarm();
    assert_non_null(server);
    assert_true(fault_injected(EINVAL));
    for (int i = 0; i < 2; i++) {
        int fd = net_connect(pipc_server_port(server)); /* by IPv4 alone */
        accept_and_talk(server, pipc_open_fds(fd, fd, NULL));
        accept_and_talk(server, call("::1", server, NULL));
    }
    assert_null_errno(pipc_server_open("127.0.0.1", pipc_server_port(server), NULL), EADDRINUSE);
    assert_null_errno(pipc_server_open("::1", pipc_server_port(server), NULL), EADDRINUSE);
    pipc_server_close(server);
}

static void expect_caller(pipc_server_t *server, const char *host, const char *begin)
{
    char text[100];
    pipc_t *client = call(host, server, NULL), *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    assert_int_equal(pipc_peer(pipe, text, sizeof text), 0);
    if (strncmp(text, begin, strlen(begin)) != 0)
        fail_msg("a caller from %s is told as %s", host, text);
    pipc_close(pipe);
    pipc_close(client);
}

TEST(a_client_is_named_by_its_address_in_its_own_family)
{
    pipc_server_t *server = open_server("*", NULL);
    expect_caller(server, "127.0.0.1", "127.0.0.1:");
    expect_caller(server, "::1", "[::1]:");
    pipc_server_close(server);
}

TEST(a_server_listens_on_the_given_address)
{
    pipc_server_t *server = open_server("::1", NULL);
    accept_and_talk(server, call("::1", server, NULL));
    errno = 0;
    assert_int_equal(net_try_connect(pipc_server_port(server)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    pipc_server_close(server);
}

TEST(a_port_in_use_returns_EADDRINUSE)
{
    pipc_server_t *server = open_server(NULL, NULL);
    uint16_t port = pipc_server_port(server);
    assert_null_errno(pipc_server_open(NULL, port, NULL), EADDRINUSE);
    assert_null_errno(pipc_server_open("*", port, NULL), EADDRINUSE);
    pipc_server_close(server);
}

TEST(a_port_can_be_used_again_at_once)
{
    struct net_port port = net_reserve();
    for (int i = 0; i < 5; i++) {
        pipc_server_t *server = pipc_server_open(NULL, port.number, NULL);
        assert_non_null(server);
        pipc_t *client = call("127.0.0.1", server, NULL);
        pipc_t *pipe = pipc_server_accept(server, 10000);
        net_expect_talk(client, pipe);
        pipc_close(pipe); /* first, so that what remains of the connection is on this side */
        pipc_close(client);
        pipc_server_close(server);
    }
    close(port.fd);
}

TEST(a_handle_outlives_its_server)
{
    pipc_server_t *server = open_server(NULL, NULL);
    pipc_t *client = call("127.0.0.1", server, NULL), *pipe = pipc_server_accept(server, 10000);
    pipc_server_close(server);
    net_expect_talk(client, pipe);
    pipc_close(pipe);
    pipc_close(client);
}

TEST(accepted_handles_have_the_options_of_the_server)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_message = 10;
    pipc_server_t *server = open_server(NULL, &options);
    pipc_t *client = call("127.0.0.1", server, NULL), *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    assert_errno(pipc_write(pipe, "eleven chars", 11), EMSGSIZE);
    pipc_close(pipe);
    pipc_close(client);
    pipc_server_close(server);
}

TEST(invalid_arguments_return_EINVAL)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = "";
    assert_null_errno(pipc_server_open(NULL, 0, &options), EINVAL);
    assert_null_errno(pipc_server_accept(NULL, 0), EINVAL);
    assert_errno(pipc_server_fd(NULL), EINVAL);
    assert_int_equal(pipc_server_port(NULL), 0);
    pipc_server_close(NULL);
    pipc_server_t *server = open_server(NULL, NULL);
    assert_null_errno(pipc_server_accept(server, -2), EINVAL);
    pipc_server_close(server);
}

/* --- Waiting ---------------------------------------------------------------------------------- */

TEST(the_servers_descriptor_is_readable_while_a_client_waits)
{
    pipc_server_t *server = open_server(NULL, NULL);
    int fd = pipc_server_fd(server);
    assert_true(fd >= 0);
    assert_false(platform_wakes(fd, 0));
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    pipc_t *client[2] = {call("127.0.0.1", server, NULL), call("127.0.0.1", server, NULL)};
    for (int i = 0; i < 2; i++) {
        assert_true(harness_readable(fd, 10000));
        assert_int_equal(pipc_server_fd(server), fd);
        accept_and_talk(server, client[i]);
    }
    assert_false(platform_wakes(fd, 0));
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    pipc_server_close(server);
}

static void *accept_one(void *server)
{
    return pipc_server_accept(server, -1);
}

TEST(a_waiting_accept_returns_when_a_client_comes)
{
    pipc_server_t *server = open_server(NULL, NULL);
    pthread_t thread;
    void *pipe;
    assert_int_equal(pthread_create(&thread, NULL, accept_one, server), 0);
    pipc_t *client = call("127.0.0.1", server, NULL);
    pthread_join(thread, &pipe);
    net_expect_talk(client, pipe);
    pipc_close(pipe);
    pipc_close(client);
    pipc_server_close(server);
}

static void note_signal(int number)
{
    (void)number;
}

TEST(accept_ends_at_its_timeout_and_by_a_signal_when_interruptible)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct sigaction action = {.sa_handler = note_signal};
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    pipc_server_t *server = open_server(NULL, NULL);
    int64_t begin = harness_now_us();
    assert_null_errno(pipc_server_accept(server, 60), ETIMEDOUT);
    assert_true(harness_now_us() - begin >= 60000);
    pipc_server_close(server);
    options.flags = PIPC_INTERRUPTIBLE;
    server = open_server(NULL, &options);
    assert_null_errno(pipc_server_accept(server, -1), EINTR);
    setitimer(ITIMER_REAL, &never, NULL);
    pipc_server_close(server);
}

/* --- Failures of accept ----------------------------------------------------------------------- */

/* The failure concerns one who has gone; the next one is served. */
TEST(accept_skips_a_connection_that_was_reset)
{
    static const int errors[] = {ECONNABORTED, EPROTO, ENETDOWN,     ENOPROTOOPT,
                                 EHOSTDOWN,    ENONET, EHOSTUNREACH, EOPNOTSUPP,
                                 ENETUNREACH,  EPERM,  EINTR};
    pipc_server_t *server = open_server(NULL, NULL);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        pipc_t *client = call("127.0.0.1", server, NULL);
        assert_true(harness_readable(pipc_server_fd(server), 10000));
        fault_reset();
        fault_fail(CALL_accept4, 1, harness_random_below(5), errors[i]);
        fault_arm();
        pipc_t *pipe = pipc_server_accept(server, 0); /* it does not even have to wait */
        fault_disarm();
        net_expect_talk(client, pipe);
        pipc_close(pipe);
        pipc_close(client);
    }
    pipc_server_close(server);
}

/* In virtual time, at whose end there is a descriptor again: tried at least every 100 ms, and no
 * oftener than it takes. */
static void expect_no_spin(int error)
{
    enum { FAILURES = 100 };
    pipc_server_t *server = open_server(NULL, NULL);
    pipc_t *client = call("127.0.0.1", server, NULL);
    fault_reset();
    fault_fail(CALL_accept4, 1, FAILURES - 1, error);
    fault_virtual_time();
    fault_arm();
    assert_null_errno(pipc_server_accept(server, FAILURES * 10), ETIMEDOUT);
    assert_in_range(fault_calls(CALL_accept4), FAILURES / 10, FAILURES / 2);
    pipc_t *pipe = pipc_server_accept(server, FAILURES * 100);
    fault_disarm();
    net_expect_talk(client, pipe);
    pipc_close(pipe);
    pipc_close(client);
    pipc_server_close(server);
}

TEST(a_lack_of_descriptors_or_memory_neither_spins_nor_ends_a_server)
{
    expect_no_spin(EMFILE);
    expect_no_spin(ENFILE);
    expect_no_spin(ENOBUFS);
    expect_no_spin(ENOMEM);
}

TEST(resolving_a_name_without_a_free_descriptor_returns_EMFILE)
{
    int spare = dup(0);
    close(spare);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)spare);
    pipc_server_t *server = pipc_server_open("localhost", 0, NULL);
    int error = errno;
    pipc_t *pipe = pipc_open_tcp("localhost", 1, 0, NULL);
    int error_of_call = errno;
    harness_limit(RLIMIT_NOFILE, before);
    assert_null(server);
    assert_null(pipe);
    assert_int_equal(error, EMFILE);
    assert_int_equal(error_of_call, EMFILE);
}

TEST(close_disconnects_clients_that_were_not_accepted)
{
    pipc_server_t *server = open_server(NULL, NULL);
    pipc_t *client = call("127.0.0.1", server, NULL);
    char byte;
    pipc_server_close(server);
    assert_int_equal(pipc_read(client, &byte, 1), -1);
    assert_true(errno == EPIPE || errno == ECONNRESET);
    pipc_close(client);
}

/* Wakes up ten times for nothing; no two of them follow at once, and soon is when the next
 * comes. */
static void expect_no_spurious_wakeups(pipc_server_t *server)
{
    int64_t least = INT64_MAX, before = 0;
    for (int wakes = 0; wakes < 10; wakes++) {
        assert_true(harness_readable(pipc_server_fd(server), 10000));
        assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
        int64_t now = harness_now_ms();
        if (wakes > 0 && now - before < least)
            least = now - before;
        before = now;
    }
    assert_in_range(least, 5, 100 * harness_scale());
}

/* The real thing: a poll loop at the limit, until a descriptor comes free: the next wake-up finds
 * it. */
TEST(at_the_limit_of_descriptors_a_poll_loop_pauses_and_continues)
{
    platform_needs(PLATFORM_EXACT);
    pipc_server_t *server = open_server(NULL, NULL);
    pipc_t *client = call("127.0.0.1", server, NULL), *pipe = NULL;
    int spare = dup(0), wakes = 0;
    assert_true(harness_readable(pipc_server_fd(server), 10000));
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)spare + 1);
    expect_no_spurious_wakeups(server);
    close(spare);
    for (; pipe == NULL && wakes < 10; wakes++) {
        assert_true(harness_readable(pipc_server_fd(server), 10000));
        pipe = pipc_server_accept(server, 0);
    }
    harness_limit(RLIMIT_NOFILE, before);
    net_expect_talk(client, pipe);
    assert_in_range(wakes, 1, 2); /* one to take it from the kernel, one for its handshake */
    pipc_close(pipe);
    pipc_close(client);
    pipc_server_close(server);
}

TEST(an_opening_that_fails_leaks_nothing)
{
    pipc_options_t options = net_with_key("secret");
    unsigned long calls;
    for (unsigned which = 0; which < 6; which++) {
        unsigned long nth = 0;
        do {
            fault_reset();
            fault_fail_plausibly(++nth, FAULT_FOREVER, which);
            fault_arm();
            pipc_server_t *server = pipc_server_open("127.0.0.1", 0, &options);
            int error = errno;
            fault_disarm();
            calls = fault_calls(CALL_ANY);
            assert_true(server != NULL || error != 0);
            pipc_server_close(server);
        } while (calls >= nth);
        assert_true(nth > 8);
    }
}

HARNESS_MAIN("server, accept", IT(an_accepted_socket_has_nodelay_keepalive_and_close_on_exec),
             IT(a_server_listens_on_loopback_by_default),
             IT(a_server_listens_on_all_addresses_of_both_families),
             IT(where_no_socket_serves_both_families_a_server_listens_with_two),
             IT(a_client_is_named_by_its_address_in_its_own_family),
             IT(a_server_listens_on_the_given_address), IT(a_port_in_use_returns_EADDRINUSE),
             IT(a_port_can_be_used_again_at_once), IT(a_handle_outlives_its_server),
             IT(accepted_handles_have_the_options_of_the_server),
             IT(invalid_arguments_return_EINVAL),
             IT(the_servers_descriptor_is_readable_while_a_client_waits),
             IT(a_waiting_accept_returns_when_a_client_comes),
             IT(accept_ends_at_its_timeout_and_by_a_signal_when_interruptible),
             IT(accept_skips_a_connection_that_was_reset),
             IT(a_lack_of_descriptors_or_memory_neither_spins_nor_ends_a_server),
             IT(resolving_a_name_without_a_free_descriptor_returns_EMFILE),
             IT(close_disconnects_clients_that_were_not_accepted),
             IT(at_the_limit_of_descriptors_a_poll_loop_pauses_and_continues),
             IT(an_opening_that_fails_leaks_nothing))
