/* SPDX-License-Identifier: MIT */
/*
 * The names of one host. Two programs on it connect under any of its names, and reach its servers
 * likewise. No other host is accepted, and an address that is not of a host is refused.
 */
#include "hosts.h"
#include "net.h"

enum { LONG_MS = 15000, SHORT_MS = 300 };

/* Of this host in a network of its own: by loopback's families, its interface, and /etc/hosts. */
static const char *const names[] = {"127.0.0.1",        "::1",         "localhost",
                                    "127.0.1.1",        HOSTS_NEAR,    HOSTS_NEAR6,
                                    "::ffff:127.0.0.1", "debian.test", "fedora.test"};
enum { NAMES = sizeof names / sizeof names[0], PAIRS = NAMES * NAMES };

static void make_host(void)
{
    hosts_make_alone();
    hosts_name("127.0.0.1 localhost\n127.0.1.1 debian.test\n" HOSTS_NEAR
               " fedora.test\n" HOSTS_NEAR6 " fedora.test\n");
}

static void start(struct net_call *call, const char *host, uint16_t port,
                  const pipc_options_t *options)
{
    *call = (struct net_call){host, port, LONG_MS, options, NULL, 0, 0};
    net_start_call(call);
}

/* --- Two who meet ----------------------------------------------------------------------------- */

static void expect_to_connect(const char *first, const char *second, uint16_t port)
{
    struct net_call call;
    start(&call, first, port, NULL);
    net_await_listener(port);
    pipc_t *here = pipc_open_tcp(second, port, LONG_MS, NULL);
    pipc_t *there = net_finish_call(&call);
    if (here == NULL || there == NULL)
        fail_msg("%s and %s: %s", first, second, strerror(errno));
    net_expect_talk(here, there);
    pipc_close(here);
    pipc_close(there);
}

/* Also where no network can be made. */
TEST(both_families_of_loopback_are_one_host)
{
    static const char *const loopback[] = {"127.0.0.1", "::1", "localhost", "127.0.1.1"};
    for (int i = 0; i < 16; i++) {
        struct net_port port = net_reserve();
        expect_to_connect(loopback[i / 4], loopback[i % 4], port.number);
        close(port.fd);
    }
}

TEST(two_callers_on_one_host_connect_by_any_of_its_names)
{
    make_host();
    for (int i = 0; i < PAIRS; i++)
        expect_to_connect(names[i / NAMES], names[i % NAMES], (uint16_t)(20000 + i));
}

struct side {
    struct net_call call;
    struct harness_gate *start;
    int me;
};

/* Says who it is and hears who the other is; that one closes first or later. */
static void *be_side(void *arg)
{
    struct side *side = arg;
    int other = -1;
    harness_gate_wait(side->start);
    net_run_call(&side->call);
    if (side->call.pipe == NULL)
        fail_msg("%s: %s", side->call.host, strerror(side->call.error));
    assert_int_equal(pipc_write(side->call.pipe, &side->me, sizeof side->me), sizeof side->me);
    assert_int_equal(pipc_read(side->call.pipe, &other, sizeof other), sizeof other);
    assert_int_equal(other, side->me ^ 1);
    return NULL;
}

/* All pairs at the same moment, each at a port of its own. */
TEST(two_simultaneous_callers_on_one_host_connect_by_any_of_its_names)
{
    static struct side sides[2 * PAIRS];
    struct harness_gate gate;
    make_host();
    harness_gate_init(&gate);
    for (int i = 0; i < 2 * PAIRS; i++) {
        int pair = i / 2;
        sides[i] = (struct side){.start = &gate, .me = i};
        sides[i].call = (struct net_call){.host = names[i % 2 ? pair / NAMES : pair % NAMES],
                                          .port = (uint16_t)(20000 + pair),
                                          .timeout_ms = LONG_MS};
        assert_int_equal(pthread_create(&sides[i].call.thread, NULL, be_side, &sides[i]), 0);
    }
    for (int i = 0; i < 2 * PAIRS; i++)
        harness_gate_open(&gate);
    for (int i = 0; i < 2 * PAIRS; i++)
        assert_int_equal(pthread_join(sides[i].call.thread, NULL), 0);
    for (int i = 0; i < 2 * PAIRS; i++)
        pipc_close(sides[i].call.pipe);
    harness_gate_close(&gate);
}

static void take_IPv6_away(void)
{
    make_host();
    hosts_write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
}

static void take_IPv4_away(void)
{
    make_host();
    assert_true(hosts_do("ip addr del 127.0.0.1/8 dev lo"));
}

TEST(two_callers_on_one_host_connect_without_IPv6)
{
    take_IPv6_away();
    expect_to_connect("localhost", "127.0.1.1", 20000);
    expect_to_connect("::1", "fedora.test", 20001);
}

TEST(two_callers_on_one_host_connect_without_IPv4)
{
    take_IPv4_away();
    expect_to_connect("::1", "localhost", 20000);
    expect_to_connect(HOSTS_NEAR, "debian.test", 20001);
}

/* --- A stranger at one of the addresses ---------------------------------------------------- */

static int listen_on_IPv6(uint16_t port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    address.sin6_addr = in6addr_loopback;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

/* Who has the port at the other address says nothing, and the key shows that it is not the one. */
TEST(two_callers_with_a_key_connect_beside_a_stranger_on_the_other_family)
{
    pipc_options_t options = net_with_key("secret");
    struct net_call call = {"127.0.0.1", 20000, LONG_MS, &options, NULL, 0, 0};
    make_host();
    int stranger = listen_on_IPv6(20000), probe;
    pid_t pid = net_fork_call(&call);
    while ((probe = net_try_connect(20000)) < 0) /* until it listens; this one is turned away */
        sched_yield();
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", 20000, LONG_MS, &options);
    net_expect_process(pipe, pid);
    pipc_close(pipe);
    close(probe);
    close(stranger);
}

static int call_from_far(void *unused)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(20000)};
    char byte;
    (void)unused;
    hosts_go_far();
    inet_pton(AF_INET, HOSTS_NEAR, &there.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&there, sizeof there), 0);
    send(fd, "\0\0\0\2hi", 6, MSG_NOSIGNAL); /* a message, if it were let in */
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
    return 0;
}

TEST(a_caller_that_waits_for_this_host_accepts_no_other_host)
{
    struct net_call call;
    hosts_make();
    start(&call, HOSTS_NEAR, 20000, NULL);
    net_await_listener(20000);
    while (!hosts_do("ss -Hltn | grep -q " HOSTS_NEAR ":20000"))
        sched_yield(); /* it began with loopback */
    assert_int_equal(harness_wait(harness_fork(call_from_far, NULL)), 0);
    pipc_t *here = pipc_open_tcp("::1", 20000, LONG_MS, NULL);
    pipc_t *there = net_finish_call(&call);
    net_expect_talk(here, there);
    pipc_close(here);
    pipc_close(there);
    hosts_forget();
}

/* --- Servers ---------------------------------------------------------------------------------- */

static void expect_service(pipc_server_t *server, const char *host)
{
    struct net_call call;
    start(&call, host, pipc_server_port(server), NULL);
    pipc_t *pipe = pipc_server_accept(server, LONG_MS), *client = net_finish_call(&call);
    if (client == NULL || pipe == NULL)
        fail_msg("a client that calls %s: %s", host, strerror(errno));
    net_expect_talk(client, pipe);
    pipc_close(client);
    pipc_close(pipe);
}

static void expect_service_by_all_names(const char *host)
{
    pipc_server_t *server = pipc_server_open(host, 0, NULL);
    if (server == NULL)
        fail_msg("a server on %s: %s", host, strerror(errno));
    for (int i = 0; i < NAMES; i++)
        expect_service(server, names[i]);
    pipc_server_close(server);
}

TEST(a_server_on_loopback_is_reached_by_all_names_of_this_host)
{
    static const char *const hosts[] = {NULL, "localhost", "debian.test", "127.0.0.1", "::1", "*"};
    make_host();
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        expect_service_by_all_names(hosts[i]);
}

TEST(a_server_on_any_name_is_reached_by_that_name)
{
    make_host();
    for (int i = 0; i < NAMES; i++) {
        pipc_server_t *server = pipc_server_open(names[i], 0, NULL);
        assert_non_null(server);
        expect_service(server, names[i]);
        pipc_server_close(server);
    }
}

TEST(a_server_needs_its_port_in_both_families)
{
    make_host();
    int stranger = listen_on_IPv6(20000);
    assert_null_errno(pipc_server_open(NULL, 20000, NULL), EADDRINUSE);
    assert_null_errno(pipc_server_open("localhost", 20000, NULL), EADDRINUSE);
    pipc_server_t *server = pipc_server_open("127.0.0.1", 20000, NULL);
    assert_non_null(server);
    pipc_server_close(server);
    close(stranger);
}

TEST(a_port_that_the_system_chooses_is_free_in_both_families)
{
    make_host();
    hosts_write_file("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001");
    int stranger = listen_on_IPv6(40000);
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    assert_non_null(server);
    assert_int_equal(pipc_server_port(server), 40001);
    assert_null_errno(pipc_server_open(NULL, 0, NULL), EADDRINUSE);
    pipc_server_close(server);
    close(stranger);
}

static void expect_server_on(const char *host)
{
    static const char *const servers[] = {NULL, "localhost"};
    for (int i = 0; i < 2; i++) {
        pipc_server_t *server = pipc_server_open(servers[i], 0, NULL);
        assert_non_null(server);
        expect_service(server, host);
        pipc_server_close(server);
    }
}

TEST(a_server_works_without_IPv6)
{
    take_IPv6_away();
    expect_server_on("127.0.0.1");
}

TEST(a_server_works_without_IPv4)
{
    take_IPv4_away();
    expect_server_on("::1");
}

/* --- Addresses of no host --------------------------------------------------------------------- */

TEST(an_address_that_is_not_of_one_host_returns_EINVAL)
{
    static const char *const hosts[] = {
        "0.0.0.0",   "::",          "::ffff:0.0.0.0",   "0",
        "224.0.0.1", "ff02::1",     "::ffff:224.0.0.1", "255.255.255.255",
        "0.1.2.3",   "10.77.0.255", "127.255.255.255"};
    make_host();
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        assert_null_errno(pipc_open_tcp(hosts[i], 20000, SHORT_MS, NULL), EINVAL);
    assert_null_errno(pipc_server_open("224.0.0.1", 0, NULL), EADDRNOTAVAIL);
    assert_null_errno(pipc_server_open("ff02::1", 0, NULL), EADDRNOTAVAIL);
    assert_null_errno(pipc_server_open("10.77.0.255", 0, NULL), EADDRNOTAVAIL);
}

TEST(a_server_on_the_unspecified_address_serves_its_whole_family)
{
    make_host();
    pipc_server_t *server = pipc_server_open("0.0.0.0", 0, NULL);
    assert_non_null(server);
    expect_service(server, "127.0.0.1");
    expect_service(server, HOSTS_NEAR);
    pipc_server_close(server);
    server = pipc_server_open("::", 0, NULL);
    assert_non_null(server);
    expect_service(server, "::1");
    expect_service(server, HOSTS_NEAR6);
    assert_int_equal(net_try_connect(pipc_server_port(server)), -1);
    pipc_server_close(server);
}

HARNESS_MAIN("tcp, names", IT(both_families_of_loopback_are_one_host),
             IT(two_callers_on_one_host_connect_by_any_of_its_names),
             IT(two_simultaneous_callers_on_one_host_connect_by_any_of_its_names),
             IT(two_callers_on_one_host_connect_without_IPv6),
             IT(two_callers_on_one_host_connect_without_IPv4),
             IT(two_callers_with_a_key_connect_beside_a_stranger_on_the_other_family),
             IT(a_caller_that_waits_for_this_host_accepts_no_other_host),
             IT(a_server_on_loopback_is_reached_by_all_names_of_this_host),
             IT(a_server_on_any_name_is_reached_by_that_name),
             IT(a_server_needs_its_port_in_both_families),
             IT(a_port_that_the_system_chooses_is_free_in_both_families),
             IT(a_server_works_without_IPv6), IT(a_server_works_without_IPv4),
             IT(an_address_that_is_not_of_one_host_returns_EINVAL),
             IT(a_server_on_the_unspecified_address_serves_its_whole_family))
