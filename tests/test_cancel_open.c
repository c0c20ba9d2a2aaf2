/* SPDX-License-Identifier: MIT */
/*
 * A thread is cancelled before each system call and each allocation of the calls that wait for a
 * TCP peer, and of all calls that do not wait. Nothing is leaked, its port is free, and later
 * callers connect to each other. test_fifo_cancel.c does the same for pipc_open_fifo.
 */
#include <pthread.h>
#include <stdio.h>

#include "fault.h"
#include "net.h"

struct attempt {
    pipc_t *(*open)(struct attempt *a); /* armed */
    uint16_t port;
    pipc_options_t options;
    pipc_server_t *server;
    bool offline; /* there is no way to another host */
    pipc_t *pipe;
};

static void disarm(void *unused)
{
    (void)unused;
    fault_disarm();
}

/* A request that met no wait is not for what the test does afterwards. */
static void *run_attempt(void *context)
{
    struct attempt *a = context;
    int unused;
    pthread_cleanup_push(disarm, NULL);
    fault_arm();
    a->pipe = a->open(a);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
    pthread_cleanup_pop(1);
    return NULL;
}

/* Whether it ended by cancellation. */
static bool run(struct attempt *a)
{
    pthread_t thread;
    void *result;
    harness_skip_if_cancelling_confuses();
    a->pipe = NULL;
    assert_int_equal(pthread_create(&thread, NULL, run_attempt, a), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal(fault_bad_closes(), 0);
    return result == PTHREAD_CANCELED;
}

/* Under slow tools a sample. */
static bool is_left_out(unsigned long nth)
{
    return nth > 1 && harness_random_below((size_t)harness_scale()) != 0;
}

static void report(const char *what, unsigned long requests, unsigned long ended)
{
    printf("%s: %lu requests to be cancelled, %lu of them ended a wait\n", what, requests, ended);
}

/* ---- without a peer ---- */

static pipc_t *open_both_ways(struct attempt *a)
{
    return pipc_open_tcp("127.0.0.1", a->port, 500, &a->options);
}

/* It listens on all addresses, and connects again and again; but nothing leaves this machine. */
static pipc_t *open_far(struct attempt *a)
{
    return pipc_open_tcp("192.0.2.1", a->port, 500, &a->options);
}

static void assert_place_is_free(const struct attempt *a)
{
    assert_false(net_is_listening(a->port));
    harness_assert_nothing_left();
}

static void assert_two_connect(const struct attempt *a)
{
    struct net_call call = {"127.0.0.1", a->port, 10000, NULL, NULL, 0, 0};
    net_start_call(&call);
    pipc_t *one = pipc_open_tcp("127.0.0.1", a->port, 10000, NULL);
    pipc_t *other = net_finish_call(&call);
    net_expect_talk(one, other);
    pipc_close(one);
    pipc_close(other);
}

/* In virtual time the rounds take no time. */
static void sweep_in_vain(const char *what, struct attempt *a)
{
    unsigned long ended = 0, nth = 1;
    for (bool requested = true; requested; nth++) {
        if (is_left_out(nth))
            continue;
        fault_reset();
        fault_virtual_time();
        if (a->offline)
            fault_fail(CALL_connect, 1, FAULT_FOREVER, ENETUNREACH);
        fault_cancel_at(nth, false);
        ended += run(a);
        requested = fault_cancelled();
        assert_null(a->pipe);
        assert_place_is_free(a);
        if (nth % 16 == 0 || !requested)
            assert_two_connect(a);
    }
    assert_true(ended > 0);
    report(what, nth - 2, ended);
}

static struct attempt at_port(const struct net_port *port, pipc_t *(*open)(struct attempt *a))
{
    return (struct attempt){.open = open, .port = port->number, .options = net_with_key("secret")};
}

TEST(a_cancelled_rendezvous_frees_its_port)
{
    struct net_port port = net_reserve();
    harness_new_baseline();
    struct attempt here = at_port(&port, open_both_ways);
    struct attempt far = at_port(&port, open_far);
    far.offline = true;
    sweep_in_vain("rendezvous here", &here);
    sweep_in_vain("rendezvous with another host", &far);
    here.options.flags = PIPC_CONNECT_ONLY;
    sweep_in_vain("connecting", &here);
    close(port.fd);
}

/* ---- strangers, and a silent server ---- */

static int stranger = -1;

/* Comes when it is listened for, and shows no key. */
static bool come_as_stranger(void *context)
{
    const struct attempt *a = context;
    if (stranger < 0 && net_is_listening(a->port))
        stranger = net_connect(a->port);
    return false;
}

static void send_stranger_away(void)
{
    if (stranger >= 0)
        close(stranger);
    stranger = -1;
}

static void sweep_with_strangers(struct attempt *a)
{
    unsigned long ended = 0, nth = 1;
    for (bool requested = true; requested; nth++) {
        if (is_left_out(nth))
            continue;
        fault_reset();
        fault_virtual_time();
        fault_before_wait(come_as_stranger, a);
        fault_cancel_at(nth, false);
        ended += run(a);
        requested = fault_cancelled();
        send_stranger_away();
        assert_null(a->pipe);
        assert_place_is_free(a);
    }
    assert_true(ended > 0);
    report("rendezvous, a stranger comes", nth - 2, ended);
}

TEST(a_cancelled_rendezvous_drops_its_pending_handshakes)
{
    struct net_port port = net_reserve();
    harness_new_baseline();
    struct attempt a = at_port(&port, open_both_ways);
    sweep_with_strangers(&a);
    close(port.fd);
}

TEST(a_cancelled_rendezvous_drops_its_own_handshake)
{
    struct net_port port = net_reserve();
    int silent = net_listen(port.number);
    harness_new_baseline();
    struct attempt a = at_port(&port, open_both_ways);
    a.options.flags = PIPC_CONNECT_ONLY;
    unsigned long ended = 0, nth = 1;
    for (bool requested = true; requested; nth++) {
        fault_reset();
        fault_virtual_time();
        fault_cancel_at(nth, false);
        ended += run(&a);
        requested = fault_cancelled();
        assert_null(a.pipe);
        harness_assert_nothing_left();
    }
    assert_true(ended > 0);
    report("connecting to who is silent", nth - 2, ended);
    close(silent);
    close(port.fd);
}

/* ---- with a peer ---- */

static pipc_t *open_with_time(struct attempt *a)
{
    return pipc_open_tcp("127.0.0.1", a->port, 10000 * harness_scale(), &a->options);
}

/*
 * The other one is not told of the cancellation, and waits on for the next. But one that has
 * connected without a key is there: its end is seen at once. With a key, one process does not meet
 * itself. A connection that comes while the kernel takes the listener down may be established on
 * this side alone, and only a keepalive probe ends it: so the wait for a word has an end here.
 */
static int come_until_it_talks(void *context)
{
    struct attempt *a = context;
    char text[8];
    for (;;) {
        pipc_t *pipe = open_with_time(a);
        assert_non_null(pipe);
        pipc_set_timeout(pipe, 3000 * harness_scale(), -1);
        ssize_t size = pipc_read(pipe, text, sizeof text);
        if (size < 0)
            assert_true(errno == EPIPE || errno == ECONNRESET || errno == ETIMEDOUT);
        else
            assert_int_equal(pipc_write(pipe, text, (size_t)size), size);
        pipc_close(pipe);
        if (size >= 0)
            return 0;
    }
}

static void expect_echo(pipc_t *pipe)
{
    char text[8];
    if (pipe == NULL)
        fail_msg("nobody was met: %s", strerror(errno));
    assert_int_equal(pipc_write(pipe, "echo", 4), 4);
    assert_int_equal(pipc_read(pipe, text, sizeof text), 4);
    assert_memory_equal(text, "echo", 4);
    pipc_close(pipe);
}

static unsigned long sweep_rendezvous(struct attempt *a, unsigned long *ended)
{
    unsigned long nth = 1;
    for (bool requested = true; requested; nth++) {
        if (is_left_out(nth))
            continue;
        fault_reset();
        pid_t other = harness_fork(come_until_it_talks, a);
        fault_cancel_at(nth, false);
        bool was_ended = run(a);
        *ended += was_ended;
        requested = fault_cancelled();
        expect_echo(was_ended ? open_with_time(a) : a->pipe);
        assert_int_equal(harness_wait(other), 0);
        assert_place_is_free(a);
    }
    return nth - 2;
}

TEST(a_caller_that_waits_for_a_cancelled_thread_connects_to_the_next)
{
    struct net_port port = net_reserve();
    harness_new_baseline();
    struct attempt a = at_port(&port, open_with_time);
    unsigned long ended = 0, requests = sweep_rendezvous(&a, &ended);
    a.options = (pipc_options_t)PIPC_OPTIONS_INIT; /* without a key */
    requests += sweep_rendezvous(&a, &ended);
    assert_true(ended > 0);
    report("rendezvous of two", requests, ended);
    close(port.fd);
}

/* ---- the server ---- */

static pipc_t *accept_one(struct attempt *a)
{
    return pipc_server_accept(a->server, 10000 * harness_scale());
}

static int be_client(void *context)
{
    expect_echo(open_with_time(context));
    return 0;
}

static void serve(pipc_t *pipe)
{
    char text[8];
    assert_non_null(pipe);
    assert_int_equal(pipc_read(pipe, text, sizeof text), 4);
    assert_int_equal(pipc_write(pipe, text, 4), 4);
    assert_errno(pipc_read(pipe, text, sizeof text), EPIPE);
    pipc_close(pipe);
}

static unsigned long sweep_server(struct attempt *a, unsigned long *ended)
{
    unsigned long nth = 1;
    for (bool requested = true; requested; nth++) {
        if (is_left_out(nth))
            continue;
        fault_reset();
        a->server = pipc_server_open(NULL, 0, &a->options);
        assert_non_null(a->server);
        a->port = pipc_server_port(a->server);
        pid_t client = harness_fork(be_client, a);
        fault_cancel_at(nth, false);
        bool was_ended = run(a);
        *ended += was_ended;
        requested = fault_cancelled();
        serve(was_ended ? accept_one(a) : a->pipe);
        assert_int_equal(harness_wait(client), 0);
        pipc_server_close(a->server);
        harness_assert_nothing_left();
    }
    return nth - 2;
}

TEST(a_client_is_accepted_by_the_next_thread_after_a_cancellation)
{
    struct attempt a = {.open = accept_one, .options = net_with_key("secret")};
    unsigned long ended = 0, requests = sweep_server(&a, &ended);
    a.options = (pipc_options_t)PIPC_OPTIONS_INIT;
    requests += sweep_server(&a, &ended);
    assert_true(ended > 0);
    report("accepting", requests, ended);
}

/* ---- what does not wait ---- */

static void use_all_that_does_not_wait(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    pipc_msg_t message = {NULL, 0, PIPC_DATA};
    char text[100];
    pipc_set_timeout(pipe, 0, 0);
    pipc_fd(pipe);
    pipc_want(pipe, PIPC_WANT_READ);
    pipc_pending(pipe);
    pipc_read(pipe, text, sizeof text);
    pipc_read_pending(pipe, &message, 1);
    pipc_msg_free(&message);
    pipc_write(pipe, "x", 1);
    pipc_flush(pipe);
    pipc_peer(pipe, text, sizeof text);
    pipc_stats(pipe, &stats);
    pipc_bye_text(pipe);
    pipc_disconnect(pipe, "so long");
    pipc_shutdown(pipe);
    pipc_close(pipe);
}

static pipc_t *open_all_that_does_not_wait(struct attempt *a)
{
    pipc_t *end[2];
    use_all_that_does_not_wait(pipc_open(NULL));
    if (pipc_open_pair(end, NULL) == 0) {
        use_all_that_does_not_wait(end[0]);
        use_all_that_does_not_wait(end[1]);
    }
    pipc_open_tcp("127.0.0.1", a->port, 0, &a->options);
    pipc_server_t *server = pipc_server_open(NULL, 0, &a->options);
    pipc_server_accept(server, 0);
    pipc_server_close(server);
    return NULL;
}

TEST(a_call_that_does_not_wait_is_not_a_cancellation_point)
{
    struct net_port port = net_reserve();
    harness_new_baseline();
    struct attempt a = at_port(&port, open_all_that_does_not_wait);
    fault_cancel_at(1, false);
    assert_false(run(&a));
    assert_true(fault_cancelled());
    report("what does not wait", 1, 0);
    assert_place_is_free(&a);
    close(port.fd);
}

HARNESS_MAIN("cancellation, opening", IT_WITHIN(a_cancelled_rendezvous_frees_its_port, 120000),
             IT_WITHIN(a_cancelled_rendezvous_drops_its_pending_handshakes, 120000),
             IT_WITHIN(a_cancelled_rendezvous_drops_its_own_handshake, 120000),
             IT_WITHIN(a_caller_that_waits_for_a_cancelled_thread_connects_to_the_next, 120000),
             IT_WITHIN(a_client_is_accepted_by_the_next_thread_after_a_cancellation, 120000),
             IT(a_call_that_does_not_wait_is_not_a_cancellation_point))
