/* SPDX-License-Identifier: MIT */
/* Listeners on which accepting goes on failing, or that somebody with a copy has shut down. */
#include "fault.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

enum { LONG_MS = 10000, PAUSE_MS = 50 };

struct stop {
    int how; /* SHUT_RD is enough */
    bool first_alone;
};

static int shut_down_listeners(void *arg)
{
    const struct stop *stop = arg;
    for (int fd = 3; fd < 1024; fd++)
        if (net_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1) {
            assert_int_equal(shutdown(fd, stop->how), 0);
            if (stop->first_alone)
                break;
        }
    return 0;
}

static void let_a_child_shut_down(int how, bool first_alone)
{
    struct stop stop = {how, first_alone};
    assert_int_equal(harness_wait(harness_fork(shut_down_listeners, &stop)), 0);
}

/* --- A server --------------------------------------------------------------------------------- */

/* A loop is woken to learn it, and once more each 50 ms, however often it asks. */
static void expect_stopped(pipc_server_t *server, int how)
{
    enum { TIMES = 3, WAKES_MAX = 10000 };
    assert_non_null(server);
    let_a_child_shut_down(how, false);
    int64_t start = harness_now_ms();
    int wakes = 0;
    for (int times = 0; times < TIMES; wakes++) {
        assert_true(wakes < WAKES_MAX);
        assert_true(harness_readable(pipc_server_fd(server), LONG_MS));
        assert_null(pipc_server_accept(server, 0));
        times += errno == EINVAL;
        assert_true(errno == EINVAL || errno == EAGAIN);
    }
    assert_true(harness_now_ms() - start >= (TIMES - 1) * (int64_t)PAUSE_MS);
    if (platform_has(PLATFORM_EXACT))
        assert_in_range(wakes, TIMES, 2 * TIMES);
    assert_null_errno(pipc_server_accept(server, LONG_MS), EINVAL);
    pipc_server_close(server);
}

TEST(a_server_whose_listener_a_child_has_shut_down_returns_EINVAL_and_does_not_spin)
{
    pipc_options_t options = net_with_key("secret");
    struct paths paths;
    hosts_need_loopback();
    paths_begin(&paths);
    expect_stopped(pipc_server_open(NULL, 0, NULL), SHUT_RDWR);
    expect_stopped(pipc_server_open("127.0.0.1", 0, NULL), SHUT_RD);
    expect_stopped(pipc_server_open(NULL, 0, &options), SHUT_RDWR);
    for (int how = SHUT_RD; how <= SHUT_RDWR; how += SHUT_RDWR - SHUT_RD) {
        expect_stopped(pipc_server_open_unix(paths_to(&paths, "server"), NULL), how);
        int adopted = paths_listen(paths_to(&paths, "adopted"), 5);
        expect_stopped(pipc_server_open_fd(adopted, NULL), how);
        unlink(paths_to(&paths, "adopted"));
    }
    paths_end(&paths);
}

TEST(a_listener_that_was_shut_down_keeps_no_client_of_the_others_waiting)
{
    hosts_need_loopback();
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    assert_non_null(server);
    let_a_child_shut_down(SHUT_RDWR, true);
    pipc_t *client = pipc_open_tcp("::1", pipc_server_port(server), LONG_MS, NULL), *pipe = NULL;
    for (int tries = 0; pipe == NULL && tries < 3; tries++)
        pipe = pipc_server_accept(server, LONG_MS);
    net_expect_talk(client, pipe);
    assert_null_errno(pipc_server_accept(server, LONG_MS), EINVAL);
    pipc_close(client);
    pipc_close(pipe);
    pipc_server_close(server);
}

static unsigned long count_accepts(pipc_server_t *server)
{
    unsigned long before = fault_calls(CALL_accept4);
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    return fault_calls(CALL_accept4) - before;
}

/* Of an armed server for whom a client waits, and accept fails. */
static void expect_accepted_after_the_pause(pipc_server_t *server)
{
    fault_lift();
    assert_int_equal(count_accepts(server), 0);
    fault_advance_ms(PAUSE_MS);
    pipc_t *pipe = pipc_server_accept(server, 0);
    fault_disarm();
    assert_non_null(pipe);
    pipc_close(pipe);
}

/* Also by the listeners that were found ready at the same time. */
TEST(a_server_that_pauses_accepts_nobody_meanwhile)
{
    hosts_need_loopback();
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    assert_non_null(server);
    pipc_t *first = pipc_open_tcp("127.0.0.1", pipc_server_port(server), LONG_MS, NULL);
    pipc_t *second = pipc_open_tcp("::1", pipc_server_port(server), LONG_MS, NULL);
    fault_reset();
    fault_frozen_time();
    fault_fail(CALL_accept4, 1, FAULT_FOREVER, EMFILE);
    fault_arm();
    assert_int_equal(count_accepts(server), 1);
    expect_accepted_after_the_pause(server);
    pipc_close(first);
    pipc_close(second);
    pipc_server_close(server);
}

/* As after SHUT_RD, on systems where nothing else shows it; but here it passes. */
TEST(a_server_whose_clients_are_reported_but_never_accepted_returns_EINVAL_and_pauses)
{
    enum { SPIN = 1000 };
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "server");
    pipc_server_t *server = paths_serve(path, NULL);
    int client = paths_connect(path);
    fault_reset();
    fault_frozen_time();
    fault_fail(CALL_accept4, 1, SPIN, EAGAIN);
    fault_arm();
    assert_null_errno(pipc_server_accept(server, LONG_MS), EINVAL);
    assert_in_range(fault_calls(CALL_accept4), 2, SPIN);
    expect_accepted_after_the_pause(server);
    close(client);
    pipc_server_close(server);
    paths_end(&paths);
}

/* Who connects between accept and poll needs no further wait. */
TEST(a_server_finds_who_comes_while_it_looks_whether_it_was_shut_down)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "server");
    pipc_server_t *server = paths_serve(path, NULL);
    int client = paths_connect(path);
    fault_reset();
    fault_fail(CALL_accept4, 1, 0, EAGAIN);
    fault_arm();
    pipc_t *pipe = pipc_server_accept(server, 0);
    fault_disarm();
    assert_non_null(pipe);
    pipc_close(pipe);
    close(client);
    pipc_server_close(server);
    paths_end(&paths);
}

/* --- A rendezvous ----------------------------------------------------------------------------- */

struct caller {
    struct net_port port;
    int fd; /* once it listens: of somebody who waits to be accepted */
};

static bool come_once(void *arg)
{
    struct caller *caller = arg;
    if (caller->fd < 0)
        caller->fd = net_try_connect(caller->port.number);
    return caller->fd < 0;
}

/* In virtual time: so many waits of 50 ms, and each time as many tries as there are in a row. */
static void expect_pauses(int error)
{
    enum { TIME_MS = 1000, IN_A_ROW = 64 };
    struct caller caller = {net_reserve(), -1};
    fault_reset();
    fault_fail(CALL_accept4, 1, FAULT_FOREVER, error);
    fault_virtual_time();
    fault_before_wait(come_once, &caller);
    fault_arm();
    assert_null_errno(pipc_open_tcp("127.0.0.1", caller.port.number, TIME_MS, NULL), ETIMEDOUT);
    fault_disarm();
    assert_true(caller.fd >= 0);
    assert_in_range(fault_calls(CALL_poll), 2, 10 * TIME_MS / PAUSE_MS);
    assert_in_range(fault_calls(CALL_accept4), TIME_MS / PAUSE_MS / 2,
                    3 * IN_A_ROW * TIME_MS / PAUSE_MS);
    close(caller.fd);
    close(caller.port.fd);
}

TEST(a_rendezvous_on_which_accepting_goes_on_failing_pauses)
{
    expect_pauses(EPERM);
    expect_pauses(EBADMSG);
}

static bool has_failed_again(pipc_t *pipe)
{
    unsigned long before = fault_failures(CALL_accept4);
    fault_arm();
    assert_int_equal(pipc_pending(pipe), 0);
    fault_disarm();
    return fault_failures(CALL_accept4) > before;
}

TEST(the_descriptor_of_an_asynchronous_rendezvous_pauses_as_well)
{
    enum { TIMES = 3, WAKES_MAX = 10000 };
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct net_port port = net_reserve();
    options.flags = PIPC_ASYNC;
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", port.number, -1, &options);
    assert_non_null(pipe);
    int wakes = 0, client = net_connect(port.number);
    int64_t start = harness_now_ms();
    fault_reset();
    fault_fail(CALL_accept4, 1, FAULT_FOREVER, EBADMSG);
    for (int times = 0; times < TIMES; wakes++) {
        assert_true(wakes < WAKES_MAX);
        assert_true(harness_readable(pipc_fd(pipe), LONG_MS));
        times += has_failed_again(pipe);
    }
    assert_true(harness_now_ms() - start >= (TIMES - 1) * (int64_t)PAUSE_MS);
    if (platform_has(PLATFORM_EXACT))
        assert_in_range(wakes, TIMES, 2 * TIMES);
    pipc_close(pipe);
    close(client);
    close(port.fd);
}

TEST(a_rendezvous_whose_listener_a_child_has_shut_down_listens_anew)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct net_port port = net_reserve();
    options.flags = PIPC_ASYNC;
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", port.number, -1, &options);
    assert_non_null(pipe);
    let_a_child_shut_down(SHUT_RDWR, false);
    assert_int_equal(pipc_pending(pipe), 0);
    options.flags = PIPC_CONNECT_ONLY;
    pipc_t *peer = pipc_open_tcp("127.0.0.1", port.number, LONG_MS, &options);
    net_expect_talk(pipe, peer);
    pipc_close(pipe);
    pipc_close(peer);
    close(port.fd);
}

HARNESS_MAIN("listeners",
             IT(a_server_whose_listener_a_child_has_shut_down_returns_EINVAL_and_does_not_spin),
             IT(a_listener_that_was_shut_down_keeps_no_client_of_the_others_waiting),
             IT(a_server_that_pauses_accepts_nobody_meanwhile),
             IT(a_server_whose_clients_are_reported_but_never_accepted_returns_EINVAL_and_pauses),
             IT(a_server_finds_who_comes_while_it_looks_whether_it_was_shut_down),
             IT(a_rendezvous_on_which_accepting_goes_on_failing_pauses),
             IT(the_descriptor_of_an_asynchronous_rendezvous_pauses_as_well),
             IT(a_rendezvous_whose_listener_a_child_has_shut_down_listens_anew))
