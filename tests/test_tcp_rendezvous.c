/* SPDX-License-Identifier: MIT */
/*
 * pipc_open_tcp on one host: two callers connect, in either order or at once, under any of its
 * names. Strangers do no harm. Also what ends the wait.
 */
#include <netdb.h>
#include <signal.h>
#include <sys/time.h>

#include "fault.h"
#include "net.h"
#include "platform.h"

enum { LONG_MS = 15000 };

/* --- Rendezvous ------------------------------------------------------------ */

static void meet(const char *first, const char *second, const pipc_options_t *options)
{
    struct net_port port = net_reserve();
    struct net_call call = {first, port.number, LONG_MS, options, NULL, 0, 0};
    net_start_call(&call);
    net_await_listener(port.number);
    pipc_t *here = pipc_open_tcp(second, port.number, LONG_MS, options);
    pipc_t *there = net_finish_call(&call);
    net_expect_talk(here, there);
    pipc_close(here);
    pipc_close(there);
    close(port.fd);
}

TEST(the_second_caller_connects_to_the_waiting_one)
{
    meet("127.0.0.1", "127.0.0.1", NULL);
    meet("::1", "::1", NULL);
}

TEST(callers_with_several_addresses_connect)
{
    meet("localhost", "localhost", NULL);
    meet("localhost", "127.0.0.1", NULL);
    meet("127.0.0.1", "localhost", NULL);
}

static int connect_and_talk(const char *host, uint16_t port, const pipc_options_t *options, int me)
{
    int theirs = -1;
    pipc_t *pipe = pipc_open_tcp(host, port, LONG_MS, options);
    if (pipe == NULL)
        fail_msg("%d: %s", me, strerror(errno));
    assert_int_equal(pipc_write(pipe, &me, sizeof me), sizeof me);
    assert_int_equal(pipc_read(pipe, &theirs, sizeof theirs), sizeof theirs);
    pipc_close(pipe);
    return theirs;
}

struct crowd {
    const char *host;
    const pipc_options_t *options;
    struct net_port *ports;
    int me, pairs;
    int start[2]; /* everybody begins when its writing end is closed */
};

static int be_one_of(void *arg)
{
    struct crowd *crowd = arg;
    char byte;
    close(crowd->start[1]);
    assert_int_equal(read(crowd->start[0], &byte, 1), 0);
    uint16_t port = crowd->ports[crowd->me / 2].number;
    return connect_and_talk(crowd->host, port, crowd->options, crowd->me) == (crowd->me ^ 1) ? 0
                                                                                             : 1;
}

/* Pairs of processes that all begin at the same moment. */
static void connect_at_once(const char *host, int pairs, const pipc_options_t *options)
{
    struct crowd crowd = {.host = host, .options = options, .pairs = pairs};
    pid_t *pids = malloc(2 * (size_t)pairs * sizeof *pids);
    crowd.ports = malloc((size_t)pairs * sizeof *crowd.ports);
    assert_true(pids != NULL && crowd.ports != NULL);
    assert_int_equal(pipe2(crowd.start, O_CLOEXEC), 0);
    for (int i = 0; i < pairs; i++)
        crowd.ports[i] = net_reserve();
    for (crowd.me = 0; crowd.me < 2 * pairs; crowd.me++)
        pids[crowd.me] = harness_fork(be_one_of, &crowd);
    close(crowd.start[0]);
    close(crowd.start[1]);
    for (int i = 0; i < 2 * pairs; i++)
        assert_int_equal(harness_wait(pids[i]), 0);
    for (int i = 0; i < pairs; i++)
        close(crowd.ports[i].fd);
    free(crowd.ports);
    free(pids);
}

/* 1,000 take a few seconds. */
static int pairs_at_once(void)
{
    return harness_setting("PIPC_TEST_PAIRS", 100 / harness_scale() + 1);
}

TEST(all_simultaneous_callers_connect_in_pairs)
{
    connect_at_once("127.0.0.1", pairs_at_once(), NULL);
}

TEST(all_simultaneous_callers_connect_in_pairs_with_a_key)
{
    pipc_options_t options = net_with_key("secret");
    connect_at_once("localhost", pairs_at_once(), &options);
}

TEST(one_port_serves_one_pair_after_the_other)
{
    struct net_port port = net_reserve();
    for (int i = 0; i < 20; i++) {
        struct net_call call = {"127.0.0.1", port.number, LONG_MS, NULL, NULL, 0, 0};
        net_start_call(&call);
        pipc_t *here = pipc_open_tcp("127.0.0.1", port.number, LONG_MS, NULL);
        pipc_t *there = net_finish_call(&call);
        net_expect_talk(here, there);
        pipc_close(i % 2 ? here : there);
        pipc_close(i % 2 ? there : here);
    }
    close(port.fd);
}

static int wait_for_ever(void *arg)
{
    pipc_open_tcp("127.0.0.1", *(uint16_t *)arg, -1, NULL);
    return 0;
}

TEST(a_caller_killed_while_waiting_blocks_no_other_caller)
{
    struct net_port port = net_reserve();
    for (int i = 0; i < 10; i++) {
        pid_t pid = harness_fork(wait_for_ever, &port.number);
        net_await_listener(port.number);
        kill(pid, SIGKILL);
        assert_int_equal(harness_wait(pid), -SIGKILL);
    }
    close(port.fd);
    meet("127.0.0.1", "127.0.0.1", NULL);
}

/* --- Strangers -------------------------------------------------------------------------------- */

TEST(a_stranger_without_the_key_does_not_end_the_wait)
{
    struct net_port port = net_reserve();
    pipc_options_t options = net_with_key("secret");
    struct net_call call = {"127.0.0.1", port.number, LONG_MS, &options, NULL, 0, 0};
    enum { STRANGERS = 100 };
    int strangers[STRANGERS];
    char byte;
    pid_t other = net_fork_call(&call);
    net_await_listener(port.number);
    for (int i = 0; i < STRANGERS; i++) { /* talking about something else, gone, or silent */
        strangers[i] = net_connect(port.number);
        if (i % 10 == 1)
            net_give(strangers[i], "GET / HTTP/1.1\r\n\r\n", 18);
        if (i % 10 == 2)
            shutdown(strangers[i], SHUT_RDWR);
    }
    pipc_t *here = pipc_open_tcp("127.0.0.1", port.number, LONG_MS, &options);
    net_expect_process(here, other);
    for (int i = 0; i < STRANGERS; i++) { /* all are turned away */
        while (recv(strangers[i], &byte, 1, 0) > 0)
            continue;
        close(strangers[i]);
    }
    pipc_close(here);
    close(port.fd);
}

TEST(a_wrong_key_returns_EACCES_and_the_waiter_continues)
{
    struct net_port port = net_reserve();
    pipc_options_t right = net_with_key("secret"), wrong = net_with_key("Secret");
    struct net_call call = {"127.0.0.1", port.number, LONG_MS, &right, NULL, 0, 0};
    pid_t other = net_fork_call(&call);
    net_await_listener(port.number);
    for (int i = 0; i < 3; i++)
        assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, LONG_MS, &wrong), EACCES);
    pipc_t *here = pipc_open_tcp("127.0.0.1", port.number, LONG_MS, &right);
    net_expect_process(here, other);
    pipc_close(here);
    close(port.fd);
}

TEST(a_key_at_one_peer_only_never_connects_there)
{
    struct net_port port = net_reserve();
    pipc_options_t options = net_with_key("secret");
    struct net_call call = {"127.0.0.1", port.number, 2000, &options, NULL, 0, 0};
    char buffer[200];
    net_start_call(&call);
    net_await_listener(port.number);
    pipc_t *without = pipc_open_tcp("127.0.0.1", port.number, LONG_MS, NULL);
    assert_non_null(without);
    assert_null_errno(net_finish_call(&call), ETIMEDOUT);
    assert_int_equal(pipc_read(without, buffer, sizeof buffer), 100); /* the challenge, a message */
    assert_errno(pipc_read(without, buffer, sizeof buffer), EPIPE);
    pipc_close(without);
    close(port.fd);
}

/* One that listens without a key answers nothing. */
TEST(connecting_with_a_key_to_a_peer_without_one_times_out)
{
    struct net_port port = net_reserve();
    pipc_options_t options = net_with_key("secret");
    int listener = net_listen(port.number);
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, 200, &options), ETIMEDOUT);
    close(listener);
    close(port.fd);
}

/* --- What ends the wait ----------------------------------------------------------------------- */

TEST(without_a_peer_the_wait_times_out)
{
    struct net_port port = net_reserve();
    int64_t begin = harness_now_us();
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, 60, NULL), ETIMEDOUT);
    assert_true(harness_now_us() - begin >= 60000);
    assert_null_errno(pipc_open_tcp("localhost", port.number, 0, NULL), EAGAIN);
    assert_false(net_is_listening(port.number));
    close(port.fd);
}

TEST(the_wait_times_out_when_the_handshake_is_not_answered)
{
    struct net_port port = net_reserve();
    pipc_options_t options = net_with_key("secret");
    int listener = net_listen(port.number);
    int64_t begin = harness_now_us();
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, 60, &options), ETIMEDOUT);
    assert_in_range(harness_now_us() - begin, 60000, 5000000);
    close(listener);
    close(port.fd);
}

/* It may have been a stranger, or have died with its connection open. */
TEST(a_peer_that_does_not_answer_the_handshake_is_called_again)
{
    struct net_port port = net_reserve();
    pipc_options_t options = net_with_key("secret");
    int listener = net_listen(port.number);
    fault_reset();
    fault_virtual_time();
    fault_arm();
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, 35000, &options), ETIMEDOUT);
    fault_disarm();
    assert_int_equal(fault_calls(CALL_connect), 4 + 3); /* in between, ::1 is tried */
    close(listener);
    close(port.fd);
}

TEST(with_timeout_0_a_waiting_peer_is_found)
{
    struct net_port port = net_reserve();
    struct net_call call = {"127.0.0.1", port.number, LONG_MS, NULL, NULL, 0, 0};
    net_start_call(&call);
    net_await_listener(port.number);
    pipc_t *here = pipc_open_tcp("127.0.0.1", port.number, 0, NULL);
    pipc_t *there = net_finish_call(&call);
    net_expect_talk(here, there);
    pipc_close(here);
    pipc_close(there);
    close(port.fd);
}

static void note_signal(int number)
{
    (void)number;
}

static void interrupt_every(int ms)
{
    struct sigaction action = {.sa_handler = note_signal}; /* without SA_RESTART */
    struct itimerval interval = {{0, ms * 1000}, {0, ms * 1000}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &interval, NULL);
}

TEST(a_signal_ends_only_an_interruptible_wait)
{
    struct net_port port = net_reserve();
    pipc_options_t options = PIPC_OPTIONS_INIT;
    interrupt_every(5);
    int64_t begin = harness_now_us();
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, 60, &options), ETIMEDOUT);
    assert_true(harness_now_us() - begin >= 60000);
    options.flags = PIPC_INTERRUPTIBLE;
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, -1, &options), EINTR);
    interrupt_every(0);
    close(port.fd);
}

TEST(invalid_arguments_return_EINVAL)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    assert_null_errno(pipc_open_tcp(NULL, 1, 0, NULL), EINVAL);
    assert_null_errno(pipc_open_tcp("*", 1, 0, NULL), EINVAL);
    assert_null_errno(pipc_open_tcp("127.0.0.1", 0, 0, NULL), EINVAL);
    assert_null_errno(pipc_open_tcp("127.0.0.1", 1, -2, NULL), EINVAL);
    options.key = "";
    assert_null_errno(pipc_open_tcp("127.0.0.1", 1, 0, &options), EINVAL);
    options.key = NULL;
    options.key_size = 1;
    assert_null_errno(pipc_open_tcp("127.0.0.1", 1, 0, &options), EINVAL);
}

/* --- The resolver ----------------------------------------------------------------------------- */

/* The timeout 0 in each: nothing here waits for the peer. */
static void expect_of_resolver(int error, int timeout_ms, int code)
{
    fault_reset();
    fault_virtual_time();
    fault_fail(CALL_getaddrinfo, 1, FAULT_FOREVER, error);
    fault_arm();
    assert_null_errno(pipc_open_tcp("host.example", 9, timeout_ms, NULL), code);
    fault_disarm();
}

TEST(a_host_that_does_not_exist_returns_ENOENT)
{
    expect_of_resolver(EAI_NONAME, -1, ENOENT);
    expect_of_resolver(EAI_FAIL, -1, ENOENT);
    expect_of_resolver(EAI_MEMORY, -1, ENOMEM);
}

TEST(a_failed_name_resolution_is_repeated_until_the_timeout)
{
    expect_of_resolver(EAI_AGAIN, 5000, ETIMEDOUT);
    assert_in_range(fault_calls(CALL_getaddrinfo), 10, 100);
    expect_of_resolver(EAI_AGAIN, 0, EAGAIN);
}

/* --- The socket ------------------------------------------------------------------------------- */

TEST(both_sockets_have_nodelay_keepalive_and_close_on_exec)
{
    platform_needs(PLATFORM_KEEPALIVE);
    struct net_port port = net_reserve();
    struct net_call call = {"127.0.0.1", port.number, LONG_MS, NULL, NULL, 0, 0};
    net_start_call(&call);
    pipc_t *here = pipc_open_tcp("127.0.0.1", port.number, LONG_MS, NULL);
    pipc_t *there = net_finish_call(&call);
    net_expect_talk(here, there);
    int fd = net_find_socket(port.fd + 1, false);
    net_expect_tuned(fd);
    net_expect_tuned(net_find_socket(fd + 1, false));
    pipc_close(here);
    pipc_close(there);
    close(port.fd);
}

TEST(the_peer_is_named_by_its_address)
{
    struct net_port port = net_reserve();
    char text[64];
    int listener = net_listen(port.number);
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", port.number, LONG_MS, NULL);
    assert_non_null(pipe);
    assert_int_equal(pipc_peer(pipe, text, sizeof text), 0);
    char expected[64];
    snprintf(expected, sizeof expected, "127.0.0.1:%d", port.number);
    assert_string_equal(text, expected);
    pipc_close(pipe);
    close(listener);
    close(port.fd);
}

HARNESS_MAIN("tcp, rendezvous", IT(the_second_caller_connects_to_the_waiting_one),
             IT(callers_with_several_addresses_connect),
             IT(all_simultaneous_callers_connect_in_pairs),
             IT(all_simultaneous_callers_connect_in_pairs_with_a_key),
             IT(one_port_serves_one_pair_after_the_other),
             IT(a_caller_killed_while_waiting_blocks_no_other_caller),
             IT(a_stranger_without_the_key_does_not_end_the_wait),
             IT(a_wrong_key_returns_EACCES_and_the_waiter_continues),
             IT(a_key_at_one_peer_only_never_connects_there),
             IT(connecting_with_a_key_to_a_peer_without_one_times_out),
             IT(without_a_peer_the_wait_times_out),
             IT(the_wait_times_out_when_the_handshake_is_not_answered),
             IT(a_peer_that_does_not_answer_the_handshake_is_called_again),
             IT(with_timeout_0_a_waiting_peer_is_found),
             IT(a_signal_ends_only_an_interruptible_wait), IT(invalid_arguments_return_EINVAL),
             IT(a_host_that_does_not_exist_returns_ENOENT),
             IT(a_failed_name_resolution_is_repeated_until_the_timeout),
             IT(both_sockets_have_nodelay_keepalive_and_close_on_exec),
             IT(the_peer_is_named_by_its_address))
