/* SPDX-License-Identifier: MIT */
/*
 * pipc_open_tcp with PIPC_CONNECT_ONLY never listens. Clients of a server that is down do not
 * connect to each other, nor take its port, and get an errno that says why they failed.
 */
#include <netdb.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "fault.h"
#include "hosts.h"
#include "net.h"

enum { LONG_MS = 15000, SHORT_MS = 60 };

static pipc_options_t connect_only(const char *key)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    if (key != NULL)
        options = net_with_key(key);
    options.flags = PIPC_CONNECT_ONLY;
    return options;
}

static void start(struct net_call *call, uint16_t port, const pipc_options_t *options)
{
    *call = (struct net_call){"127.0.0.1", port, LONG_MS, options, NULL, 0, 0};
    net_start_call(call);
}

/* --- Who meets whom --------------------------------------------------------------------------- */

TEST(clients_wait_for_a_server_that_is_down)
{
    enum { CLIENTS = 4 };
    pipc_options_t options = connect_only(NULL);
    struct net_port port = net_reserve();
    struct net_call call[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        start(&call[i], port.number, &options);
    /* When this one was refused, they were as well, and have not connected. */
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, SHORT_MS, &options), ECONNREFUSED);
    assert_false(net_is_listening(port.number));
    pipc_server_t *server = pipc_server_open(NULL, port.number, NULL);
    assert_non_null(server);
    for (int i = 0; i < CLIENTS; i++) {
        pipc_t *pipe = pipc_server_accept(server, LONG_MS);
        assert_non_null(pipe);
        assert_int_equal(pipc_write(pipe, "served", 6), 6);
        assert_int_equal(pipc_disconnect(pipe, NULL), 0);
        pipc_close(pipe);
    }
    for (int i = 0; i < CLIENTS; i++) {
        char buffer[16];
        pipc_t *client = net_finish_call(&call[i]);
        assert_non_null(client);
        assert_int_equal(pipc_read(client, buffer, sizeof buffer), 6);
        pipc_close(client);
    }
    pipc_server_close(server);
    close(port.fd);
}

TEST(a_client_connects_to_a_waiting_peer)
{
    pipc_options_t options = connect_only("secret"), other = net_with_key("secret");
    struct net_port port = net_reserve();
    struct net_call call = {"127.0.0.1", port.number, LONG_MS, &other, NULL, 0, 0};
    pid_t pid = net_fork_call(&call);
    pipc_t *pipe = pipc_open_tcp("localhost", port.number, LONG_MS, &options);
    net_expect_process(pipe, pid);
    pipc_close(pipe);
    close(port.fd);
}

/* A server of this host may be on the other family of loopback. */
struct lost {
    int listener;
    struct net_call server; /* of it, the place and the options */
    pid_t pid;
};

static int serve_one(void *context)
{
    struct lost *l = context;
    pipc_server_t *server = pipc_server_open(NULL, l->server.port, l->server.options);
    pipc_t *pipe = pipc_server_accept(server, LONG_MS);
    assert_non_null(pipe);
    net_expect(pipe, "ping");
    net_say(pipe, "pong");
    pipc_close(pipe);
    pipc_server_close(server);
    return 0;
}

static bool replace_listener(void *context)
{
    struct lost *l = context;
    if (l->listener < 0)
        return false;
    close(l->listener);
    l->listener = -1;
    l->pid = harness_fork(serve_one, l);
    return false;
}

/* TCP_DEFER_ACCEPT: the client is connected, and its listener forgets it when it closes. */
TEST(a_client_whose_server_has_lost_the_connection_connects_again)
{
    pipc_options_t options = connect_only("secret"), others = net_with_key("secret");
    struct net_port port = net_reserve();
    struct lost l = {net_listen(port.number), {.port = port.number, .options = &others}, 0};
    int defer_s = 60, soon_ms = 5000 * harness_scale();
    assert_int_equal(
        setsockopt(l.listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer_s, sizeof defer_s), 0);
    fault_reset();
    fault_before_wait(replace_listener, &l);
    fault_arm();
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", port.number, soon_ms, &options);
    fault_disarm();
    net_expect_process(pipe, l.pid);
    pipc_close(pipe);
    close(port.fd);
}

TEST(a_client_finds_a_server_by_any_name_of_this_host)
{
    static const char *const servers[] = {NULL, "localhost", "127.0.0.1"};
    static const char *const clients[] = {"localhost", "127.0.0.1", "::1", "127.0.1.1"};
    pipc_options_t options = connect_only(NULL);
    for (int i = 0; i < 12; i++) {
        pipc_server_t *server = pipc_server_open(servers[i / 4], 0, NULL);
        pipc_t *client = pipc_open_tcp(clients[i % 4], pipc_server_port(server), LONG_MS, &options);
        pipc_t *pipe = pipc_server_accept(server, LONG_MS);
        net_expect_talk(client, pipe);
        pipc_close(client);
        pipc_close(pipe);
        pipc_server_close(server);
    }
}

/* --- Why not ---------------------------------------------------------------------------------- */

/* On a busy machine even this host may take a moment to refuse. */
static void expect_refusal(const char *host, uint16_t port)
{
    pipc_options_t options = connect_only(NULL);
    int64_t deadline = harness_now_ms() + LONG_MS;
    do
        assert_null(pipc_open_tcp(host, port, 0, &options));
    while (errno == EAGAIN && harness_now_ms() < deadline);
    assert_int_equal(errno, ECONNREFUSED);
}

TEST(with_timeout_0_a_refused_connection_returns_ECONNREFUSED)
{
    struct net_port port = net_reserve();
    static const char *const hosts[] = {"127.0.0.1", "::1", "localhost", "127.0.1.1"};
    for (int i = 0; i < 4; i++)
        expect_refusal(hosts[i], port.number);
    close(port.fd);
}

static int64_t armed_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

TEST(a_connection_refused_until_the_timeout_returns_ECONNREFUSED)
{
    pipc_options_t options = connect_only(NULL);
    struct net_port port = net_reserve();
    fault_reset();
    fault_virtual_time();
    fault_arm();
    int64_t begin = armed_now_ms();
    assert_null_errno(pipc_open_tcp("localhost", port.number, 100, &options), ECONNREFUSED);
    assert_in_range(armed_now_ms() - begin, 100, 101);
    fault_disarm();
    assert_true(fault_calls(CALL_connect) >= 7); /* again and again */
    assert_int_equal(fault_calls(CALL_bind), 0);
    assert_int_equal(fault_calls(CALL_listen), 0);
    close(port.fd);
}

/* It listens and accepts no client, or sends nothing. */
TEST(no_answer_returns_EAGAIN_with_timeout_0_and_else_ETIMEDOUT)
{
    pipc_options_t options = connect_only("secret");
    struct net_port port = net_reserve();
    int listener = net_listen(port.number);
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, 0, &options), EAGAIN);
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, SHORT_MS, &options), ETIMEDOUT);
    close(listener);
    close(port.fd);
}

TEST(a_wrong_key_returns_EACCES_at_once)
{
    pipc_options_t wrong = connect_only("Secret"), right = net_with_key("secret");
    pipc_server_t *server = pipc_server_open(NULL, 0, &right);
    struct net_call call;
    assert_non_null(server);
    start(&call, pipc_server_port(server), &wrong);
    while (pipc_server_accept(server, 10) == NULL && call.error == 0)
        assert_int_equal(errno, ETIMEDOUT);
    assert_null_errno(net_finish_call(&call), EACCES);
    pipc_server_close(server);
}

/* The address of another name is asked where the named one refuses; what it says does not count. */
TEST(the_error_is_that_of_the_named_address)
{
    pipc_options_t options = connect_only(NULL);
    hosts_make();
    hosts_write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
    assert_null_errno(pipc_open_tcp("127.0.0.1", 20000, SHORT_MS, &options), ECONNREFUSED);
    expect_refusal(HOSTS_NEAR, 20000);
    hosts_forget();
}

TEST(another_host_refuses_or_is_not_reached)
{
    pipc_options_t options = connect_only(NULL);
    hosts_make();
    /* The link may be new, and the first packet lost. */
    assert_null_errno(pipc_open_tcp(HOSTS_FAR, 20000, 3500, &options), ECONNREFUSED);
    assert_null_errno(pipc_open_tcp("192.0.2.1", 20000, SHORT_MS, &options), ENETUNREACH);
    assert_null_errno(pipc_open_tcp("192.0.2.1", 20000, 0, &options), EAGAIN);
    assert_null_errno(pipc_open_tcp("10.77.0.99", 20000, 6000, &options), EHOSTUNREACH);
    hosts_do_far("ip route add blackhole " HOSTS_NEAR "/32");
    assert_null_errno(pipc_open_tcp(HOSTS_FAR, 20000, 0, &options), EAGAIN);
    assert_null_errno(pipc_open_tcp(HOSTS_FAR, 20000, 500, &options), ETIMEDOUT);
    hosts_forget();
}

/* By IPv4 connect(2) calls that EHOSTUNREACH; by IPv6 EACCES, like a key that is wrong. */
TEST(a_way_that_a_router_forbids_is_waited_for_like_one_that_is_missing)
{
    pipc_options_t options = connect_only(NULL);
    hosts_make();
    hosts_do_far("ip -6 route add prohibit fd78::1 && "
                 "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    assert_true(hosts_do("ip -6 route add fd78::1 via " HOSTS_FAR6));
    options.flags |= PIPC_ASYNC;
    fault_reset();
    fault_arm();
    pipc_t *pipe = pipc_open_tcp("fd78::1", 20000, -1, &options);
    unsigned long before = fault_calls(CALL_connect);
    fault_disarm();
    assert_non_null(pipe);
    int fd = pipc_fd(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    while (fault_calls(CALL_connect) == before) { /* until it looks for the way again */
        harness_readable(fd, LONG_MS);
        fault_arm();
        assert_errno(pipc_flush(pipe), EAGAIN);
        fault_disarm();
    }
    pipc_close(pipe);
    hosts_forget();
}

/* The resolver puts the one that cannot be reached last. */
/* The order of the two is the resolver's. */
static int error_of_the_last(const char *name)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list, *last;
    struct in_addr far;
    assert_int_equal(inet_pton(AF_INET, HOSTS_FAR, &far), 1);
    assert_int_equal(getaddrinfo(name, NULL, &hints, &list), 0);
    for (last = list; last->ai_next != NULL; last = last->ai_next)
        continue;
    bool is_far =
        ((const struct sockaddr_in *)(void *)last->ai_addr)->sin_addr.s_addr == far.s_addr;
    freeaddrinfo(list);
    return is_far ? ECONNREFUSED : ENETUNREACH;
}

TEST(the_error_is_that_of_the_last_of_several_addresses)
{
    pipc_options_t options = connect_only(NULL);
    hosts_make();
    hosts_name(HOSTS_FAR " two.test\n192.0.2.1 two.test\n");
    int error = error_of_the_last("two.test");
    assert_null_errno(pipc_open_tcp("two.test", 20000, 500, &options), error);
    hosts_forget();
}

/* The only system call is the resolver's, which takes as long as it likes. */
static void outlast_the_timeout(void *unused)
{
    (void)unused;
    fault_advance_ms(2 * SHORT_MS);
}

static void open_without_an_answer(int timeout_ms, int error)
{
    pipc_options_t options = connect_only(NULL);
    fault_arm();
    pipc_t *pipe = pipc_open_tcp("host.test", 7, timeout_ms, &options);
    int got = errno;
    fault_disarm();
    assert_null(pipe);
    assert_int_equal(got, error);
}

TEST(a_resolver_that_outlasts_the_timeout_is_not_waited_for_again)
{
    fault_reset();
    fault_frozen_time();
    fault_fail(CALL_getaddrinfo, 1, FAULT_FOREVER, EAI_AGAIN);
    fault_before(CALL_getaddrinfo, 1, outlast_the_timeout, NULL);
    open_without_an_answer(SHORT_MS, ETIMEDOUT);
    assert_int_equal(fault_calls(CALL_getaddrinfo), 1);
    assert_int_equal(fault_calls(CALL_poll), 0);
}

TEST(a_wait_that_signals_interrupt_asks_the_resolver_no_sooner)
{
    fault_reset();
    fault_frozen_time();
    fault_fail(CALL_getaddrinfo, 1, FAULT_FOREVER, EAI_AGAIN);
    fault_fail(CALL_poll, 1, 9, EINTR);
    open_without_an_answer(SHORT_MS, ETIMEDOUT);
    assert_in_range(fault_calls(CALL_poll), 11, 12);
    assert_int_equal(fault_calls(CALL_getaddrinfo), 1);
}

static void note_signal(int number)
{
    (void)number;
}

TEST(a_signal_ends_an_interruptible_connect)
{
    struct sigaction action = {.sa_handler = note_signal};
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    pipc_options_t options = connect_only(NULL);
    struct net_port port = net_reserve();
    options.flags |= PIPC_INTERRUPTIBLE;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, -1, &options), EINTR);
    setitimer(ITIMER_REAL, &never, NULL);
    close(port.fd);
}

/* --- Elsewhere -------------------------------------------------------------------------------- */

TEST(the_connect_flag_returns_EINVAL_in_other_constructors)
{
    pipc_options_t options = connect_only(NULL);
    pipc_t *end[2];
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_null_errno(pipc_open(&options), EINVAL);
    assert_errno(pipc_open_pair(end, &options), EINVAL);
    assert_null_errno(pipc_open_fds(fd[0], fd[1], &options), EINVAL);
    assert_null_errno(pipc_open_fifo("name", 0, &options), EINVAL);
    assert_null_errno(pipc_server_open(NULL, 0, &options), EINVAL);
    options.struct_size = 0;
    assert_null_errno(pipc_open_tcp("127.0.0.1", 1, 0, &options), EINVAL);
    close(fd[0]);
    close(fd[1]);
}

HARNESS_MAIN("tcp, connect only", IT(clients_wait_for_a_server_that_is_down),
             IT(a_client_connects_to_a_waiting_peer),
             IT(a_client_whose_server_has_lost_the_connection_connects_again),
             IT(a_client_finds_a_server_by_any_name_of_this_host),
             IT(with_timeout_0_a_refused_connection_returns_ECONNREFUSED),
             IT(a_connection_refused_until_the_timeout_returns_ECONNREFUSED),
             IT(no_answer_returns_EAGAIN_with_timeout_0_and_else_ETIMEDOUT),
             IT(a_wrong_key_returns_EACCES_at_once), IT(the_error_is_that_of_the_named_address),
             IT(another_host_refuses_or_is_not_reached),
             IT(a_way_that_a_router_forbids_is_waited_for_like_one_that_is_missing),
             IT(the_error_is_that_of_the_last_of_several_addresses),
             IT(a_resolver_that_outlasts_the_timeout_is_not_waited_for_again),
             IT(a_wait_that_signals_interrupt_asks_the_resolver_no_sooner),
             IT(a_signal_ends_an_interruptible_connect),
             IT(the_connect_flag_returns_EINVAL_in_other_constructors))
