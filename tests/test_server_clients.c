/* SPDX-License-Identifier: MIT */
/*
 * Good and bad clients of a server: with the key, with a wrong one, silent, slow, of another
 * protocol, never reading, many, idle. Also processes that share a server.
 */
#include <sys/resource.h>

#include "fault.h"
#include "net.h"
#include "platform.h"

static const pipc_options_t *with_key(const char *key)
{
    static pipc_options_t options;
    options = net_with_key(key);
    return &options;
}

static pipc_server_t *open_server(const pipc_options_t *options)
{
    hosts_need_loopback();
    pipc_server_t *server = pipc_server_open(NULL, 0, options);
    if (server == NULL)
        fail_msg("pipc_server_open: %s", strerror(errno));
    return server;
}

static struct net_call call_of(const pipc_server_t *server, const pipc_options_t *options)
{
    return (struct net_call){"127.0.0.1", pipc_server_port(server), 10000, options, NULL, 0, 0};
}

/* A client in a process of its own, as it must be with a key. */
static pid_t start_client(const pipc_server_t *server, const pipc_options_t *options)
{
    struct net_call call = call_of(server, options);
    return net_fork_call(&call);
}

static void expect_service(pipc_server_t *server, const pipc_options_t *options)
{
    pid_t client = start_client(server, options);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    net_expect_process(pipe, client);
    pipc_close(pipe);
}

/* --- The key ---------------------------------------------------------------------------------- */

TEST(a_client_with_the_key_is_accepted)
{
    pipc_server_t *server = open_server(with_key("secret"));
    expect_service(server, with_key("secret"));
    pipc_server_close(server);
}

/* The program may forget the key as soon as the server is open. */
TEST(the_key_is_copied)
{
    char key[] = "secret";
    pipc_server_t *server = open_server(with_key(key));
    memset(key, 'x', sizeof key - 1);
    expect_service(server, with_key("secret"));
    pipc_server_close(server);
}

TEST(a_client_with_a_wrong_key_gets_EACCES_and_the_next_is_accepted)
{
    pipc_server_t *server = open_server(with_key("secret"));
    pipc_options_t wrong = net_with_key("Secret");
    for (int i = 0; i < 3; i++) {
        struct net_call call = call_of(server, &wrong);
        net_start_call(&call);
        while (pipc_server_accept(server, 10) == NULL && call.error == 0)
            assert_int_equal(errno, ETIMEDOUT);
        assert_null_errno(net_finish_call(&call), EACCES);
    }
    expect_service(server, with_key("secret"));
    pipc_server_close(server);
}

TEST(a_poll_loop_completes_a_handshake)
{
    pipc_server_t *server = open_server(with_key("secret"));
    pipc_t *pipe = NULL;
    pid_t client = start_client(server, with_key("secret"));
    while (pipe == NULL) {
        assert_true(harness_readable(pipc_server_fd(server), 10000));
        pipe = pipc_server_accept(server, 0);
        assert_true(pipe != NULL || errno == EAGAIN);
    }
    net_expect_process(pipe, client);
    assert_false(platform_wakes(pipc_server_fd(server), 0));
    pipc_close(pipe);
    pipc_server_close(server);
}

/* --- Bad clients ------------------------------------------------------------------------------ */

/* More of them than handshakes may go on at a time. */
TEST(silent_clients_delay_no_other_client)
{
    enum { SILENT = 300 };
    pipc_server_t *server = open_server(with_key("secret"));
    int silent[SILENT];
    char byte;
    for (int i = 0; i < SILENT; i++) {
        silent[i] = net_connect(pipc_server_port(server));
        assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    }
    while (recv(silent[0], &byte, 1, 0) > 0)
        continue; /* its challenge, and then the end, to make room */
    expect_service(server, with_key("secret"));
    pipc_server_close(server);
    for (int i = 0; i < SILENT; i++) { /* a challenge, and then the end */
        while (recv(silent[i], &byte, 1, 0) > 0)
            continue;
        close(silent[i]);
    }
}

TEST(hostile_clients_are_refused_and_delay_no_other_client)
{
    static const char *const words[] = {"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n",
                                        "\x16\x03\x01\x02\x01\x01\x01", "\x7f\xff\xff\xff"};
    pipc_server_t *server = open_server(with_key("secret"));
    char challenge[104];
    for (int i = 0; i < 100; i++) {
        int fd = net_connect(pipc_server_port(server));
        const char *word = words[harness_random_below(4)];
        net_give(fd, word, strlen(word));
        int64_t deadline = harness_now_ms() + 10000;
        do
            assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
        while (recv(fd, challenge, sizeof challenge, MSG_PEEK | MSG_DONTWAIT) < 104 &&
               harness_now_ms() < deadline);
        assert_true(net_take(fd, challenge, sizeof challenge));
        while (pipc_server_accept(server, 1) != NULL)
            continue;
        while (recv(fd, challenge, sizeof challenge, 0) > 0)
            continue; /* the refusal, if the reset was not faster */
        close(fd);
    }
    expect_service(server, with_key("secret"));
    pipc_server_close(server);
}

/* It answers one byte at a time, and others pass it. */
TEST(a_slow_client_delays_no_other_client)
{
    pipc_server_t *server = open_server(with_key("secret"));
    int slow = net_connect(pipc_server_port(server));
    for (int i = 0; i < 20; i++) {
        net_give(slow, "\0", 1);
        expect_service(server, with_key("secret"));
        if (i == 3)
            break; /* a frame of no bytes is refused */
    }
    close(slow);
    pipc_server_close(server);
}

TEST(each_handshake_has_its_own_deadline)
{
    pipc_server_t *server = open_server(with_key("secret"));
    int silent = net_connect(pipc_server_port(server));
    char challenge[104];
    fault_reset();
    fault_virtual_time();
    fault_arm();
    assert_null_errno(pipc_server_accept(server, 9000), ETIMEDOUT);
    fault_disarm();
    assert_true(net_take(silent, challenge, sizeof challenge));
    assert_int_equal(recv(silent, challenge, 1, MSG_DONTWAIT), -1); /* still there */
    fault_arm();
    assert_null_errno(pipc_server_accept(server, 2000), ETIMEDOUT);
    fault_disarm();
    net_expect_end(silent);
    close(silent);
    pipc_server_close(server);
}

/* Nothing else would wake it: the wait after that is ended by a signal. */
TEST(an_accept_that_waits_without_a_limit_turns_late_handshakes_away)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    pipc_options_t options = *with_key("secret");
    options.flags |= PIPC_INTERRUPTIBLE;
    pipc_server_t *server = open_server(&options);
    int silent = net_connect(pipc_server_port(server));
    char challenge[104];
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    fault_reset();
    fault_fail(CALL_poll, 2, 0, EINTR); /* the first one lasts until the deadline */
    fault_virtual_time();
    fault_arm();
    assert_null_errno(pipc_server_accept(server, -1), EINTR);
    fault_disarm();
    assert_true(net_take(silent, challenge, sizeof challenge));
    net_expect_end(silent);
    close(silent);
    pipc_server_close(server);
}

/* Who is connected without a key may be silent as long as he likes; there is nothing to hold up. */
TEST(a_client_that_never_reads_affects_no_other_client)
{
    enum { SIZE = 1 << 20 };
    pipc_server_t *server = open_server(NULL);
    char *data = calloc(1, SIZE);
    int deaf = net_connect(pipc_server_port(server));
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    for (int i = 0; i < 100 && pipc_write(pipe, data, SIZE) == SIZE; i++)
        expect_service(server, NULL);
    assert_errno(pipc_write(pipe, data, SIZE), EAGAIN);
    assert_true(harness_heap_bytes() < 4 * SIZE); /* what is held is one message */
    expect_service(server, NULL);
    pipc_close(pipe);
    close(deaf);
    free(data);
    pipc_server_close(server);
}

/* --- Cut off ---------------------------------------------------------------------------------- */

static pipc_t *accept_raw(pipc_server_t *server, int *fd)
{
    *fd = net_connect(pipc_server_port(server));
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    return pipe;
}

static void expect_cut(pipc_server_t *server, const char *bytes, size_t size, bool reset, int code)
{
    int fd;
    char buffer[16];
    pipc_t *pipe = accept_raw(server, &fd);
    net_give(fd, "\0\0\0\2hi", 6);
    assert_int_equal(pipc_read(pipe, buffer, sizeof buffer), 2);
    if (size > 0)
        net_give(fd, bytes, size);
    if (reset)
        net_reset(fd);
    else
        close(fd);
    for (int i = 0; i < 2; i++)
        assert_errno(pipc_read(pipe, buffer, sizeof buffer), code);
    pipc_close(pipe);
}

TEST(an_end_or_a_reset_inside_a_message_returns_ECONNRESET)
{
    pipc_server_t *server = open_server(NULL);
    for (size_t size = 1; size < 8; size++)
        for (int reset = 0; reset < 2; reset++)
            expect_cut(server, "\0\0\0\4four", size, reset, ECONNRESET);
    expect_cut(server, NULL, 0, false, EPIPE);
    expect_cut(server, NULL, 0, true, ECONNRESET);
    pipc_server_close(server);
}

TEST(after_a_half_close_the_answers_still_arrive)
{
    pipc_server_t *server = open_server(NULL);
    char buffer[16];
    pipc_t *client = pipc_open_tcp("127.0.0.1", pipc_server_port(server), 10000, NULL);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_int_equal(pipc_write(client, "question", 8), 8);
    assert_int_equal(pipc_shutdown(client), 0);
    assert_int_equal(pipc_read(pipe, buffer, sizeof buffer), 8);
    assert_errno(pipc_read(pipe, buffer, sizeof buffer), EPIPE);
    assert_int_equal(pipc_write(pipe, "answer", 6), 6);
    assert_int_equal(pipc_read(client, buffer, sizeof buffer), 6);
    pipc_close(pipe);
    assert_errno(pipc_read(client, buffer, sizeof buffer), EPIPE);
    pipc_close(client);
    pipc_server_close(server);
}

/* --- Many ------------------------------------------------------------------------------------- */

struct many {
    uint16_t port;
    int count;
};

/* Each says something once, and no more. */
static int call_many_times(void *arg)
{
    static const char message[5] = {0, 0, 0, 1, '!'};
    struct many *many = arg;
    int last = -1;
    for (int i = 0; i < many->count; i++) {
        last = net_connect(many->port);
        net_give(last, message, sizeof message);
    }
    net_expect_end(last);
    return 0;
}

static int count_clients(void)
{
    return harness_setting("PIPC_TEST_CLIENTS", 100);
}

/* Polled, when there are three descriptors for each. */
static void accept_one_of(const struct many *many, pipc_server_t *server, pipc_t **pipe)
{
    char byte;
    struct rlimit limit;
    *pipe = pipc_server_accept(server, 10000);
    assert_non_null(*pipe);
    assert_int_equal(pipc_read(*pipe, &byte, 1), 1);
    assert_int_equal(pipc_set_timeout(*pipe, 0, 0), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if ((rlim_t)many->count * 3 + 100 < limit.rlim_cur)
        assert_true(pipc_fd(*pipe) >= 0);
    assert_errno(pipc_read(*pipe, &byte, 1), EAGAIN);
}

TEST(an_idle_client_uses_at_most_4_KiB)
{
    pipc_server_t *server = open_server(NULL);
    struct many many = {pipc_server_port(server), count_clients()};
    pipc_t **pipe = calloc((size_t)many.count, sizeof *pipe);
    pid_t clients = harness_fork(call_many_times, &many);
    size_t before = harness_heap_bytes();
    for (int i = 0; i < many.count; i++)
        accept_one_of(&many, server, &pipe[i]);
    size_t each = (harness_heap_bytes() - before) / (size_t)many.count;
    if (many.count > 100)
        print_message("%d clients, %zu bytes each\n", many.count, each);
    assert_in_range(each, 1, 4096);
    for (int i = 0; i < many.count; i++)
        pipc_close(pipe[i]);
    assert_int_equal(harness_wait(clients), 0);
    pipc_server_close(server);
    free(pipe);
}

/* --- Processes -------------------------------------------------------------------------------- */

struct service {
    pipc_server_t *server;
    pipc_t *pipe;
};

static int echo_once(void *arg)
{
    struct service *service = arg;
    char buffer[16];
    pipc_server_close(service->server);
    ssize_t size = pipc_read(service->pipe, buffer, sizeof buffer);
    assert_true(size >= 0);
    assert_int_equal(pipc_write(service->pipe, buffer, (size_t)size), size);
    pipc_close(service->pipe);
    return 0;
}

TEST(a_server_may_fork_for_each_client)
{
    pipc_server_t *server = open_server(NULL);
    for (int i = 0; i < 5; i++) {
        char buffer[16];
        pipc_t *client = pipc_open_tcp("127.0.0.1", pipc_server_port(server), 10000, NULL);
        assert_non_null(client);
        struct service service = {server, pipc_server_accept(server, 10000)};
        assert_non_null(service.pipe);
        pid_t pid = harness_fork(echo_once, &service);
        pipc_close(service.pipe);
        assert_int_equal(pipc_write(client, "hello", 5), 5);
        assert_int_equal(pipc_read(client, buffer, sizeof buffer), 5);
        assert_errno(pipc_read(client, buffer, sizeof buffer), EPIPE); /* only the child had it */
        pipc_close(client);
        assert_int_equal(harness_wait(pid), 0);
        assert_false(platform_wakes(pipc_server_fd(server), 0));
    }
    pipc_server_close(server);
}

static int close_server(void *server)
{
    pipc_server_close(server);
    return 0;
}

TEST(a_close_in_a_child_affects_no_handshake)
{
    pipc_server_t *server = open_server(with_key("secret"));
    int silent = net_connect(pipc_server_port(server));
    char byte;
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    assert_int_equal(harness_wait(harness_fork(close_server, server)), 0);
    assert_int_equal(recv(silent, &byte, 1, 0), 1); /* the challenge, and no end behind it */
    ssize_t more;
    while ((more = recv(silent, &byte, 1, MSG_DONTWAIT)) == 1)
        continue;
    assert_errno(more, EAGAIN);
    pid_t client = start_client(server, with_key("secret"));
    assert_true(harness_readable(pipc_server_fd(server), 10000)); /* its set still reports it */
    pipc_t *pipe = pipc_server_accept(server, 10000);
    net_expect_process(pipe, client);
    pipc_close(pipe);
    close(silent);
    pipc_server_close(server);
}

/* A child that keeps copies of everything must not keep the descriptor readable. */
static int hold_until(void *gate)
{
    harness_gate_wait(gate);
    return 0;
}

TEST(descriptors_inherited_by_a_child_do_not_keep_the_descriptor_readable)
{
    pipc_server_t *server = open_server(with_key("secret"));
    struct harness_gate gate;
    int fd = net_connect(pipc_server_port(server));
    char byte;
    harness_gate_init(&gate);
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    pid_t pid = harness_fork(hold_until, &gate);
    net_give(fd, "\xff\xff\xff\xff", 4); /* refused: its connection is closed here, and not there */
    assert_true(harness_readable(pipc_server_fd(server), 10000));
    assert_null_errno(pipc_server_accept(server, 0), EAGAIN);
    assert_false(platform_wakes(pipc_server_fd(server), 0));
    while (recv(fd, &byte, 1, 0) > 0)
        continue; /* the end comes although the child has a copy */
    harness_gate_open(&gate);
    assert_int_equal(harness_wait(pid), 0);
    harness_gate_close(&gate);
    close(fd);
    pipc_server_close(server);
}

HARNESS_MAIN("server, clients", IT(a_client_with_the_key_is_accepted), IT(the_key_is_copied),
             IT(a_client_with_a_wrong_key_gets_EACCES_and_the_next_is_accepted),
             IT(a_poll_loop_completes_a_handshake), IT(silent_clients_delay_no_other_client),
             IT(hostile_clients_are_refused_and_delay_no_other_client),
             IT(a_slow_client_delays_no_other_client), IT(each_handshake_has_its_own_deadline),
             IT(an_accept_that_waits_without_a_limit_turns_late_handshakes_away),
             IT(a_client_that_never_reads_affects_no_other_client),
             IT(an_end_or_a_reset_inside_a_message_returns_ECONNRESET),
             IT(after_a_half_close_the_answers_still_arrive),
             IT_WITHIN(an_idle_client_uses_at_most_4_KiB, 120000),
             IT(a_server_may_fork_for_each_client), IT(a_close_in_a_child_affects_no_handshake),
             IT(descriptors_inherited_by_a_child_do_not_keep_the_descriptor_readable))
