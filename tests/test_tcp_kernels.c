/* SPDX-License-Identifier: MIT */
/* TCP where the kernel, the resolver or the network is another one, or changes meanwhile. */
#include <netdb.h>
#include <signal.h>

#include "fault.h"
#include "net.h"
#include "platform.h"
#include "sys/sys_net.h"
#include "tracing.h"

enum { SHORT_MS = 50, LONG_MS = 15000, NO_PORT = 4711 }; /* nothing listens or connects there */

static pipc_server_t *open_server_armed(const char *host)
{
    fault_arm();
    pipc_server_t *server = pipc_server_open(host, 0, NULL);
    int error = errno;
    fault_disarm();
    errno = error;
    return server;
}

static pipc_t *call_armed(const char *host, uint16_t port, int timeout_ms)
{
    fault_arm();
    pipc_t *pipe = pipc_open_tcp(host, port, timeout_ms, NULL);
    int error = errno;
    fault_disarm();
    errno = error;
    return pipe;
}

static void expect_to_serve(pipc_server_t *server)
{
    assert_non_null(server);
    pipc_t *client = pipc_open_tcp("127.0.0.1", pipc_server_port(server), LONG_MS, NULL);
    pipc_t *pipe = pipc_server_accept(server, LONG_MS);
    net_expect_talk(client, pipe);
    pipc_close(client);
    pipc_close(pipe);
    pipc_server_close(server);
}

/* --- Families --------------------------------------------------------------------------------- */

TEST(a_server_for_all_addresses_works_on_a_kernel_without_IPv6)
{
    hosts_need_loopback();
    fault_reset();
    fault_fail(CALL_socket, 1, 0, EAFNOSUPPORT);
    expect_to_serve(open_server_armed("*"));
    assert_int_equal(fault_failures(CALL_socket), 1);
}

TEST(a_server_on_a_kernel_without_IP_is_EAFNOSUPPORT)
{
    static const char *const hosts[] = {"*", NULL, "127.0.0.1", "::1"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        fault_reset();
        fault_fail(CALL_socket, 1, FAULT_FOREVER, EAFNOSUPPORT);
        assert_null_errno(open_server_armed(hosts[i]), EAFNOSUPPORT);
    }
}

/* --- The resolver ----------------------------------------------------------------------------- */

static struct sockaddr_in first = {.sin_family = AF_INET}, second = {.sin_family = AF_INET};
static struct sockaddr_storage odd = {.ss_family = AF_UNIX};

static struct addrinfo of(const void *address, socklen_t size, struct addrinfo *next)
{
    return (struct addrinfo){.ai_family = ((const struct sockaddr *)address)->sa_family,
                             .ai_socktype = SOCK_STREAM,
                             .ai_addr = (struct sockaddr *)(uintptr_t)address,
                             .ai_addrlen = size,
                             .ai_next = next};
}

TEST(an_address_that_the_resolver_gives_twice_and_one_of_another_family_count_for_nothing)
{
    hosts_need_loopback();
    first.sin_addr.s_addr = second.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct addrinfo third = of(&second, sizeof second, NULL);
    struct addrinfo middle = of(&odd, sizeof(struct sockaddr_in), &third);
    struct addrinfo list = of(&first, sizeof first, &middle);
    fault_reset();
    fault_resolve(&list);
    expect_to_serve(open_server_armed("twice.test"));
}

TEST(a_name_with_addresses_of_other_families_alone_is_ENOENT)
{
    struct addrinfo list = of(&odd, sizeof odd, NULL);
    fault_reset();
    fault_resolve(&list);
    assert_null_errno(open_server_armed("odd.test"), ENOENT);
    assert_null_errno(call_armed("odd.test", NO_PORT, 0), ENOENT);
}

TEST(an_error_of_the_system_in_the_resolver_is_returned)
{
    fault_reset();
    fault_fail(CALL_getaddrinfo, 1, FAULT_FOREVER, EAI_SYSTEM); /* with EIO */
    assert_null_errno(open_server_armed("name.test"), EIO);
    assert_null_errno(call_armed("name.test", NO_PORT, SHORT_MS), EIO);
}

/* --- Connecting and accepting ----------------------------------------------------------------- */

/* The errno of a call that only connects, by a clock that runs by itself. */
static int connect_within(int timeout_ms, int error)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_CONNECT_ONLY;
    fault_reset();
    fault_virtual_time();
    fault_fail(CALL_connect, 1, FAULT_FOREVER, error);
    fault_arm();
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", NO_PORT, timeout_ms, &options);
    int result = errno;
    fault_disarm();
    assert_null(pipe);
    return result;
}

static int connect_in_vain(int error)
{
    return connect_within(SHORT_MS, error);
}

TEST(what_may_come_up_is_connected_to_again_until_the_time_is_up)
{
    static const int errors[] = {ECONNREFUSED, ECONNRESET,    ECONNABORTED, ENOTCONN, ETIMEDOUT,
                                 EHOSTUNREACH, EHOSTDOWN,     ENETUNREACH,  ENETDOWN, ENETRESET,
                                 EADDRINUSE,   EADDRNOTAVAIL, EAFNOSUPPORT, EPROTO};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        assert_int_equal(connect_in_vain(errors[i]), errors[i]);
        assert_true(fault_calls(CALL_connect) > 2);
    }
    assert_int_equal(connect_in_vain(EPIPE), ECONNRESET);
    assert_int_equal(connect_within(0, ECONNREFUSED), ECONNREFUSED);
    assert_int_equal(connect_within(0, EHOSTUNREACH), EAGAIN);
}

TEST(what_no_wait_would_change_is_reported_by_the_first_connect)
{
    static const int errors[] = {EPERM, EINVAL, ENOMEM};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        assert_int_equal(connect_in_vain(errors[i]), errors[i]);
        assert_int_equal(fault_calls(CALL_connect), 1);
    }
}

/* A connection that is lost at that moment, a shortage, and whatever else there may be. */
TEST(a_client_gets_in_after_any_error_of_accept)
{
    static const int errors[] = {EMFILE,     ENFILE,      ENOMEM,      ENOBUFS,   ECONNABORTED,
                                 EPROTO,     ENETDOWN,    ENOPROTOOPT, EHOSTDOWN, EHOSTUNREACH,
                                 EOPNOTSUPP, ENETUNREACH, EPERM,       EINVAL,    EAGAIN};
    hosts_need_loopback();
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    assert_non_null(server);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        int client = net_connect(pipc_server_port(server));
        fault_reset();
        fault_fail(CALL_accept4, 1, 0, errors[i]);
        fault_arm();
        pipc_t *pipe = pipc_server_accept(server, LONG_MS);
        fault_disarm();
        assert_non_null(pipe);
        pipc_close(pipe);
        close(client);
    }
    pipc_server_close(server);
}

static int connect_and_stay(void *arg)
{
    const struct net_port *port = arg;
    while (net_try_connect(port->number) < 0)
        sched_yield();
    pause();
    return 1;
}

/* The peer connects, and each allocation fails in turn. */
TEST(a_caller_without_memory_for_the_peer_that_connects_is_ENOMEM)
{
    bool has_failed = true;
    for (unsigned long nth = 1; has_failed; nth++) {
        struct net_port port = net_reserve();
        fault_reset();
        fault_fail(CALL_malloc, nth, 0, ENOMEM);
        pid_t pid = harness_fork(connect_and_stay, &port);
        pipc_t *pipe = call_armed("127.0.0.1", port.number, LONG_MS);
        int error = errno;
        has_failed = fault_failures(CALL_malloc) > 0;
        if (pipe == NULL)
            assert_int_equal(error, ENOMEM);
        assert_int_equal(pipe == NULL, has_failed);
        kill(pid, SIGKILL);
        assert_int_equal(harness_wait(pid), -SIGKILL);
        pipc_close(pipe);
        close(port.fd);
        assert_true(nth < 50);
    }
}

TEST(a_host_of_which_the_kernel_has_one_family_alone_is_waited_for)
{
    fault_reset();
    fault_fail(CALL_socket, 2, 0, EAFNOSUPPORT); /* that of ::1 */
    hosts_need_loopback();
    struct net_port port = net_reserve();
    assert_null_errno(call_armed("127.0.0.1", port.number, SHORT_MS), ETIMEDOUT);
    assert_int_equal(fault_failures(CALL_socket), 1);
    close(port.fd);
}

/* --- The trace and the resolver without memory ------------------------------------------------ */

TEST(an_address_that_cannot_be_written_leaves_a_line_without_it)
{
    struct tracing tracing;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_CONNECT_ONLY;
    tracing_begin(&tracing);
    fault_reset();
    fault_fail(CALL_getnameinfo, 1, FAULT_FOREVER, EAI_MEMORY);
    fault_fail(CALL_connect, 1, FAULT_FOREVER, ECONNREFUSED);
    fault_arm();
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", NO_PORT, 0, &options);
    fault_disarm();
    assert_null(pipe);
    tracing_assert(&tracing, "#1 rendezvous: cannot connect ECONNREFUSED");
    tracing_end(&tracing);
}

TEST(a_resolver_that_lacks_descriptors_is_EMFILE_and_a_name_that_it_does_not_know_is_ENOENT)
{
    static const struct {
        int failure, result;
    } cases[] = {{EMFILE, EMFILE}, {ENFILE, ENFILE}, {EACCES, ENOENT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fault_reset();
        fault_fail(CALL_getaddrinfo, 1, 0, EAI_NONAME);
        fault_fail(CALL_socket, 1, 0, cases[i].failure);
        assert_null_errno(open_server_armed("name.test"), cases[i].result);
    }
}

/* A scope that is not known counts as the same. */
TEST(link_local_addresses_of_two_interfaces_are_two_hosts)
{
    struct sys_address a = {.family = SYS_IPV6, .bytes = {0xfe, 0x80, [15] = 7}}, b = a;
    assert_true(sys_same_host(&a, &b));
    a.scope = 1;
    assert_true(sys_same_host(&a, &b));
    b.scope = 2;
    assert_false(sys_same_host(&a, &b));
    a.scope = 0;
    assert_true(sys_same_host(&a, &b));
    a.scope = 2;
    assert_true(sys_same_host(&a, &b));
    a.bytes[15] = 8;
    assert_false(sys_same_host(&a, &b));
}

/* --- The network ------------------------------------------------------------------------------ */

TEST(a_caller_for_whose_host_there_is_no_address_at_first_meets_its_peer_later)
{
    struct net_port port = net_reserve();
    struct net_call call = {"127.0.0.1", port.number, LONG_MS, NULL, NULL, 0, 0};
    fault_reset();
    fault_fail(CALL_bind, 1, 3, EADDRNOTAVAIL); /* both of loopback, twice */
    net_start_call(&call);
    pipc_t *pipe = call_armed("127.0.0.1", port.number, LONG_MS);
    net_expect_talk(pipe, net_finish_call(&call));
    pipc_close(pipe);
    pipc_close(call.pipe);
    close(port.fd);
}

TEST(a_caller_whose_port_comes_free_while_it_connects_waits_for_its_peer)
{
    hosts_make_alone();
    fault_reset();
    fault_fail(CALL_bind, 1, 0, EADDRINUSE);             /* that of loopback ... */
    fault_fail(CALL_bind, 4, FAULT_FOREVER, EADDRINUSE); /* ... and that of the interface */
    assert_null_errno(call_armed(HOSTS_NEAR, NO_PORT, SHORT_MS), ETIMEDOUT);
    assert_in_range(fault_calls(CALL_bind), 4, 100);
}

/* Of a host that answers nothing. */
TEST(a_caller_of_another_host_goes_on_when_its_port_is_taken_here)
{
    static const int errors[] = {EADDRINUSE, EACCES};
    hosts_make_alone();
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        fault_reset();
        fault_fail(CALL_bind, 1, FAULT_FOREVER, errors[i]);
        assert_null_errno(call_armed(HOSTS_FAR, NO_PORT, SHORT_MS), ETIMEDOUT);
        assert_int_equal(fault_calls(CALL_bind), 1);
    }
    fault_reset();
    fault_fail(CALL_bind, 1, FAULT_FOREVER, ENOMEM);
    assert_null_errno(call_armed(HOSTS_FAR, NO_PORT, SHORT_MS), ENOMEM);
    fault_reset();
    fault_fail(CALL_bind, 1, FAULT_FOREVER, ENOMEM);
    assert_null_errno(call_armed(HOSTS_NEAR, NO_PORT, SHORT_MS), ENOMEM);
}

HARNESS_MAIN(
    "TCP, other kernels", IT(a_server_for_all_addresses_works_on_a_kernel_without_IPv6),
    IT(a_server_on_a_kernel_without_IP_is_EAFNOSUPPORT),
    IT(an_address_that_the_resolver_gives_twice_and_one_of_another_family_count_for_nothing),
    IT(a_name_with_addresses_of_other_families_alone_is_ENOENT),
    IT(an_error_of_the_system_in_the_resolver_is_returned),
    IT(what_may_come_up_is_connected_to_again_until_the_time_is_up),
    IT(what_no_wait_would_change_is_reported_by_the_first_connect),
    IT(a_client_gets_in_after_any_error_of_accept),
    IT(a_caller_without_memory_for_the_peer_that_connects_is_ENOMEM),
    IT(a_host_of_which_the_kernel_has_one_family_alone_is_waited_for),
    IT(an_address_that_cannot_be_written_leaves_a_line_without_it),
    IT(a_resolver_that_lacks_descriptors_is_EMFILE_and_a_name_that_it_does_not_know_is_ENOENT),
    IT(link_local_addresses_of_two_interfaces_are_two_hosts),
    IT(a_caller_for_whose_host_there_is_no_address_at_first_meets_its_peer_later),
    IT(a_caller_whose_port_comes_free_while_it_connects_waits_for_its_peer),
    IT(a_caller_of_another_host_goes_on_when_its_port_is_taken_here))
