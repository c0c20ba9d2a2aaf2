/* SPDX-License-Identifier: MIT */
/*
 * Keys over real connections: which processes connect to each other, and what an attacker without
 * the key gains. It gains nothing by reflecting a process's own handshake. It can only relay the
 * handshake of two honest peers, as the manual says.
 */
#include "auth_words.h"
#include "net.h"

enum { LONG_MS = 10000, SHORT_MS = 300 };

static const pipc_options_t with_key = {
    .struct_size = sizeof with_key, .key = "secret", .key_size = 6};

static struct net_call call_of(uint16_t port, int timeout_ms)
{
    return (struct net_call){"127.0.0.1", port, timeout_ms, &with_key, NULL, 0, 0};
}

static pipc_server_t *open_server(void)
{
    pipc_server_t *server = pipc_server_open(NULL, 0, &with_key);
    assert_non_null(server);
    return server;
}

/* --- Processes -------------------------------------------------------------------------------- */

struct late {
    struct harness_gate gate;
    struct net_call call;
};

static int be_called_late(void *arg)
{
    struct late *late = arg;
    harness_gate_wait(&late->gate);
    return net_be_called(&late->call);
}

/* The connecting caller fails at once; the waiting one waits on and connects to another. */
TEST(a_process_with_a_key_does_not_connect_to_itself)
{
    struct net_port port = net_reserve();
    struct net_call call = call_of(port.number, LONG_MS);
    struct late late = {.call = call};
    harness_gate_init(&late.gate);
    pid_t other = harness_fork(be_called_late, &late);
    net_start_call(&call);
    net_await_listener(port.number);
    assert_null_errno(pipc_open_tcp("127.0.0.1", port.number, LONG_MS, &with_key), EACCES);
    harness_gate_open(&late.gate);
    pipc_t *pipe = net_finish_call(&call);
    net_expect_process(pipe, other);
    pipc_close(pipe);
    harness_gate_close(&late.gate);
    close(port.fd);
}

static void expect_child_to_be_served(pipc_server_t *server)
{
    struct net_call call = call_of(pipc_server_port(server), LONG_MS);
    pid_t child = net_fork_call(&call);
    pipc_t *pipe = pipc_server_accept(server, LONG_MS);
    net_expect_process(pipe, child);
    pipc_close(pipe);
}

static int serve_a_child(void *unused)
{
    (void)unused;
    pipc_server_t *server = open_server();
    expect_child_to_be_served(server);
    pipc_server_close(server);
    return 0;
}

/* Each generation begins when the one before has a mark already. */
TEST(a_child_and_its_parent_authenticate_each_other)
{
    pipc_server_t *server = open_server();
    for (int i = 0; i < 3; i++)
        expect_child_to_be_served(server);
    assert_int_equal(harness_wait(harness_fork(serve_a_child, NULL)), 0);
    pipc_server_close(server);
}

static int connect_to_a_sibling(void *port)
{
    pipc_t *pipe = pipc_open_tcp("127.0.0.1", *(uint16_t *)port, LONG_MS, &with_key);
    if (pipe == NULL)
        return errno;
    net_say(pipe, "hello");
    net_expect(pipe, "hello");
    pipc_close(pipe);
    return 0;
}

TEST(children_of_one_process_connect_to_each_other)
{
    struct net_port port = net_reserve();
    assert_int_equal(serve_a_child(NULL), 0);
    pid_t one = harness_fork(connect_to_a_sibling, &port.number);
    pid_t other = harness_fork(connect_to_a_sibling, &port.number);
    assert_int_equal(harness_wait(one), 0);
    assert_int_equal(harness_wait(other), 0);
    close(port.fd);
}

/* --- The mark --------------------------------------------------------------------------------- */

enum { THREADS = 8 };

struct challenger {
    struct harness_gate *start;
    uint8_t frame[4 + WORDS_SIZE];
    pthread_t thread;
};

/* What a server of this process sends to a new client. */
static void get_challenge(uint8_t frame[4 + WORDS_SIZE])
{
    pipc_server_t *server = open_server();
    int fd = net_connect(pipc_server_port(server));
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    assert_true(net_take(fd, frame, 4 + WORDS_SIZE));
    close(fd);
    pipc_server_close(server);
}

static void *challenge_at_once(void *arg)
{
    struct challenger *challenger = arg;
    harness_gate_wait(challenger->start);
    get_challenge(challenger->frame);
    return NULL;
}

static const uint8_t *mark_of(const struct challenger *challenger)
{
    return challenger->frame + 4 + WORDS_MARK;
}

static void challenge_in_threads(struct challenger challengers[THREADS])
{
    struct harness_gate start;
    harness_gate_init(&start);
    for (int i = 0; i < THREADS; i++) {
        challengers[i].start = &start;
        assert_int_equal(
            pthread_create(&challengers[i].thread, NULL, challenge_at_once, &challengers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        harness_gate_open(&start);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(challengers[i].thread, NULL), 0);
    harness_gate_close(&start);
}

static int compare_with_parent(void *parent)
{
    struct challenger challengers[THREADS];
    challenge_in_threads(challengers);
    for (int i = 0; i < THREADS; i++) {
        assert_memory_equal(mark_of(&challengers[i]), mark_of(&challengers[0]), AUTH_MARK);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(challengers[i].frame + 4 + WORDS_NONCE,
                                    challengers[j].frame + 4 + WORDS_NONCE, AUTH_NONCE);
    }
    for (int part = 0; parent != NULL && part < AUTH_MARK; part += 4)
        assert_memory_not_equal(mark_of(&challengers[0]) + part,
                                mark_of((struct challenger *)parent) + part, 4);
    return 0;
}

TEST(all_threads_of_a_process_have_its_mark_and_its_children_do_not)
{
    struct challenger own;
    assert_int_equal(harness_wait(harness_fork(compare_with_parent, NULL)), 0);
    get_challenge(own.frame);
    for (int i = 0; i < 20; i++)
        assert_int_equal(harness_wait(harness_fork(compare_with_parent, &own)), 0);
}

/* --- In between ------------------------------------------------------------------------------- */

/* A relay: one peer connects to it, it connects to the other, and carries all their bytes. */
struct relay {
    int listener;
    uint16_t to;
    pthread_t thread;
};

static void *run_relay(void *arg)
{
    struct relay *relay = arg;
    int near = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC), far = net_connect(relay->to);
    assert_true(near >= 0);
    net_carry(near, far);
    close(near);
    close(far);
    return NULL;
}

/* After the forks: it is a thread. Who connects before that waits. */
static void start_relay(struct relay *relay)
{
    assert_int_equal(pthread_create(&relay->thread, NULL, run_relay, relay), 0);
}

static void finish_relay(struct relay *relay)
{
    assert_int_equal(pthread_join(relay->thread, NULL), 0);
    close(relay->listener);
}

struct victim {
    uint16_t connects_to;
    pipc_server_t *server;
};

/* A process that accepts and connects, with one key. */
static int be_victim(void *arg)
{
    struct victim *victim = arg;
    struct net_call call = call_of(victim->connects_to, LONG_MS);
    net_start_call(&call);
    while (call.error == 0)
        assert_null_errno(pipc_server_accept(victim->server, 10), ETIMEDOUT);
    assert_null_errno(net_finish_call(&call), EACCES);
    assert_null_errno(pipc_server_accept(victim->server, SHORT_MS), ETIMEDOUT);
    return 0;
}

TEST(a_process_refuses_its_own_handshake)
{
    struct net_port port = net_reserve();
    struct victim victim = {port.number, open_server()};
    struct relay relay = {.listener = net_listen(port.number),
                          .to = pipc_server_port(victim.server)};
    pid_t pid = harness_fork(be_victim, &victim);
    start_relay(&relay);
    assert_int_equal(harness_wait(pid), 0);
    finish_relay(&relay);
    pipc_server_close(victim.server);
    close(port.fd);
}

/* What no key can prevent: use a tunnel. */
TEST(a_relay_of_the_handshake_connects_the_two_honest_peers)
{
    struct net_port port = net_reserve();
    pipc_server_t *server = open_server();
    struct relay relay = {.listener = net_listen(port.number), .to = pipc_server_port(server)};
    struct net_call call = call_of(port.number, LONG_MS);
    pid_t client = net_fork_call(&call);
    start_relay(&relay);
    pipc_t *pipe = pipc_server_accept(server, LONG_MS);
    net_expect_process(pipe, client);
    pipc_close(pipe);
    finish_relay(&relay);
    pipc_server_close(server);
    close(port.fd);
}

HARNESS_MAIN("tcp, keys", IT(a_process_with_a_key_does_not_connect_to_itself),
             IT(a_child_and_its_parent_authenticate_each_other),
             IT(children_of_one_process_connect_to_each_other),
             IT(all_threads_of_a_process_have_its_mark_and_its_children_do_not),
             IT(a_process_refuses_its_own_handshake),
             IT(a_relay_of_the_handshake_connects_the_two_honest_peers))
