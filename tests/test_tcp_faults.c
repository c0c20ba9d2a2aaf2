/* SPDX-License-Identifier: MIT */
/*
 * Each system call of a rendezvous, or of a server, fails in turn, once and forever, with each
 * possible error. The call then works or reports an error; it never hangs or leaks, and the next
 * caller connects.
 */
#include <signal.h>

#include "fault.h"
#include "net.h"

enum { SHORT_MS = 20, LONG_MS = 10000 };

static const pipc_options_t *the_key(void)
{
    static pipc_options_t options;
    options = net_with_key("secret");
    return &options;
}

/* The peer, a process to which nothing happens: it comes again and again, until it is killed. */
struct other {
    pipc_server_t *server; /* NULL: it calls */
    uint16_t port;
    pid_t pid;
};

static int come_again(void *arg)
{
    struct other *other = arg;
    while (other->pid == 0)
        pipc_close(other->server != NULL
                       ? pipc_server_accept(other->server, SHORT_MS)
                       : pipc_open_tcp("127.0.0.1", other->port, SHORT_MS, the_key()));
    return 1;
}

static void start_other(struct other *other)
{
    other->pid = harness_fork(come_again, other);
}

static void stop_other(struct other *other)
{
    kill(other->pid, SIGKILL);
    assert_int_equal(harness_wait(other->pid), -SIGKILL);
}

struct victim {
    pipc_t *(*call)(struct victim *victim, int timeout_ms);
    uint16_t port;
    pipc_server_t *server;
};

static pipc_t *call_host(struct victim *victim, int timeout_ms)
{
    return pipc_open_tcp("127.0.0.1", victim->port, timeout_ms, the_key());
}

static pipc_t *accept_client(struct victim *victim, int timeout_ms)
{
    return pipc_server_accept(victim->server, timeout_ms);
}

/* Errors of single connections, and of waiting; all others must have been ordered. */
static bool is_explained(int error)
{
    return error == ETIMEDOUT || error == EACCES || error == ENOENT || error == ENOMEM ||
           fault_injected(error);
}

static void try_once(struct victim *victim, unsigned long nth, unsigned long more, unsigned which)
{
    fault_reset();
    fault_fail_plausibly(nth, more, which);
    fault_arm();
    pipc_t *pipe = victim->call(victim, SHORT_MS);
    int error = errno;
    pipc_close(pipe);
    fault_disarm();
    if (pipe == NULL && !is_explained(error))
        fail_msg("%s gives %s", fault_summary(), strerror(error));
    assert_int_equal(fault_bad_closes(), 0);
}

/* Without a failure. The sweep means something only if this takes many system calls. */
static void succeed(struct victim *victim)
{
    fault_reset();
    fault_arm();
    pipc_t *pipe = victim->call(victim, LONG_MS);
    fault_disarm();
    assert_non_null(pipe);
    assert_true(fault_calls(CALL_ANY) >= 10);
    pipc_close(pipe);
}

/* How many calls there are depends on who comes when: so many, and then some. */
static void sweep(struct victim *victim, struct other *other)
{
    enum { PLACES = 40 };
    start_other(other);
    for (unsigned long nth = 1; nth <= PLACES; nth++)
        for (unsigned which = 0; which < 6; which++) {
            if (harness_random_below((size_t)harness_scale()) != 0)
                continue;
            try_once(victim, nth, 0, which);
            try_once(victim, nth, FAULT_FOREVER, which);
        }
    succeed(victim);
    stop_other(other);
}

TEST(a_client_survives_the_failure_of_any_system_call)
{
    struct other other = {.server = pipc_server_open(NULL, 0, the_key())};
    assert_non_null(other.server);
    struct victim victim = {call_host, pipc_server_port(other.server), NULL};
    sweep(&victim, &other);
    pipc_server_close(other.server);
}

TEST(a_rendezvous_survives_the_failure_of_any_system_call)
{
    struct net_port port = net_reserve();
    struct other other = {.port = port.number};
    struct victim victim = {call_host, port.number, NULL};
    sweep(&victim, &other);
    close(port.fd);
}

TEST(a_server_survives_the_failure_of_any_system_call)
{
    pipc_server_t *server = pipc_server_open(NULL, 0, the_key());
    assert_non_null(server);
    struct other other = {.port = pipc_server_port(server)};
    struct victim victim = {accept_client, 0, server};
    sweep(&victim, &other);
    pipc_server_close(server);
}

/* --- Death ------------------------------------------------------------------------------------ */

struct mortal {
    uint16_t port;
    unsigned long call; /* it dies instead of making this call */
};

static int die_at_a_call(void *arg)
{
    struct mortal *mortal = arg;
    fault_reset();
    fault_die_at(mortal->call);
    fault_arm();
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", mortal->port, 5 * SHORT_MS, the_key());
    fault_disarm();
    pipc_close(pipe);
    return 0;
}

static void expect_that_two_connect(uint16_t port)
{
    const pipc_options_t *options = the_key();
    struct net_call call = {"127.0.0.1", port, LONG_MS, options, NULL, 0, 0};
    pid_t far = net_fork_call(&call);
    pipc_t *near = pipc_open_tcp("127.0.0.1", port, LONG_MS, options);
    net_expect_process(near, far);
    pipc_close(near);
}

/* Whether it died, alone on its way to the wait and in it, or with a peer who then is killed as
 * well. */
static bool die_and_be_followed(uint16_t port, unsigned long call, bool has_peer)
{
    struct mortal mortal = {port, call};
    struct other other = {.port = port};
    if (has_peer)
        start_other(&other);
    int status = harness_wait(harness_fork(die_at_a_call, &mortal));
    if (has_peer)
        stop_other(&other);
    expect_that_two_connect(port);
    assert_true(status == 0 || status == -SIGKILL);
    return status != 0;
}

TEST(the_next_two_connect_after_a_caller_was_killed_at_any_call)
{
    enum { PLACES = 40 };
    struct net_port port = net_reserve();
    int alone = 0, met = 0;
    for (unsigned long call = 1; call <= PLACES; call++) {
        alone += die_and_be_followed(port.number, call, false);
        met += die_and_be_followed(port.number, call, true);
    }
    assert_in_range(alone, 8, PLACES);
    assert_in_range(met, 12, PLACES);
    close(port.fd);
}

HARNESS_MAIN("tcp, faults", IT_WITHIN(a_client_survives_the_failure_of_any_system_call, 120000),
             IT_WITHIN(a_rendezvous_survives_the_failure_of_any_system_call, 120000),
             IT_WITHIN(a_server_survives_the_failure_of_any_system_call, 120000),
             IT_WITHIN(the_next_two_connect_after_a_caller_was_killed_at_any_call, 120000))
