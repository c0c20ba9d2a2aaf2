/* SPDX-License-Identifier: MIT */
/*
 * A host that vanishes is detected; a living one that reads nothing is not given up. The kernel
 * decides how long this takes, by socket options. The options are always checked; the time is
 * measured only with PIPC_TEST_SLOW, since it takes minutes.
 */
#include <limits.h>

#include "fault.h"
#include "hosts.h"
#include "net.h"
#include "platform.h"

#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44 /* since Linux 6.15 */
#endif

enum { LONG_MS = 15000, SOON_MS = 40000, LATE_MS = 100000 };

/* --- What the kernel is asked ----------------------------------------------------------------- */

static bool kernel_knows_the_longest_pause(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int pause_ms = net_option(fd, IPPROTO_TCP, TCP_RTO_MAX_MS);
    close(fd);
    return pause_ms >= 0;
}

TEST(bytes_are_retransmitted_often_and_an_idle_connection_lives)
{
    platform_needs(PLATFORM_KEEPALIVE);
    pipc_t *end[2];
    net_open_server(end, NULL);
    for (int fd = net_find_socket(0, false); fd >= 0; fd = net_find_socket(fd + 1, false)) {
        assert_int_equal(net_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
        if (kernel_knows_the_longest_pause())
            assert_int_equal(net_option(fd, IPPROTO_TCP, TCP_RTO_MAX_MS), 5000);
        assert_int_equal(net_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    }
    pipc_close(end[0]);
    pipc_close(end[1]);
}

/* --- What it answers -------------------------------------------------------------------------- */

/* The kernel reports an error once, which may be one of many, and then the end of the stream. */
static void expect_cut_by(int error)
{
    pipc_t *end[2];
    char byte;
    net_open_server(end, NULL);
    fault_reset();
    fault_fail(CALL_sendmsg, 1, 0, error);
    fault_fail(CALL_send, 1, 0, error);
    fault_arm();
    assert_errno(pipc_write(end[0], "x", 1), EPIPE);
    fault_disarm();
    assert_true(fault_injected(error));
    pipc_close(end[1]);
    assert_errno(pipc_read(end[0], &byte, 1), ECONNRESET);
    assert_errno(pipc_write(end[0], "x", 1), EPIPE);
    pipc_close(end[0]);
}

TEST(a_vanished_host_gives_EPIPE_to_a_write_and_ECONNRESET_to_reads)
{
    static const int errors[] = {ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ENETDOWN, ECONNRESET};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        expect_cut_by(errors[i]);
}

/* --- How long it takes ------------------------------------------------------------------------ */

static void skip_unless_slow(void)
{
    if (getenv("PIPC_TEST_SLOW") == NULL)
        harness_skip("PIPC_TEST_SLOW is not set: this takes minutes");
    if (!kernel_knows_the_longest_pause())
        harness_skip("this kernel takes a quarter of an hour (Linux 6.15 does not)");
}

enum what { IDLE, IN_FLIGHT, WINDOW_CLOSED, WRITER_WAITS, KINDS };

struct vanishing {
    struct harness_gate connected, gone, over;
};

/* The far host: has as many clients as come, and reads nothing. */
static int be_deaf(void *arg)
{
    struct vanishing *v = arg;
    pipc_t *pipe[KINDS];
    hosts_go_far();
    pipc_server_t *server = pipc_server_open("*", 20000, NULL);
    assert_non_null(server);
    for (int i = 0; i < KINDS; i++) {
        pipe[i] = pipc_server_accept(server, LONG_MS);
        assert_non_null(pipe[i]);
    }
    harness_gate_wait(&v->over);
    for (int i = 0; i < KINDS; i++)
        pipc_close(pipe[i]);
    pipc_server_close(server);
    return 0;
}

static void fill(pipc_t *pipe)
{
    static const char data[1 << 20];
    assert_int_equal(pipc_set_timeout(pipe, -1, 500), 0);
    while (pipc_write(pipe, data, sizeof data) >= 0)
        continue;
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
}

static void expect_vanished(pipc_t *pipe, enum what what)
{
    static const char *const names[] = {"idle", "in flight", "behind a closed window",
                                        "with a writer that waits"};
    char byte;
    int64_t begin = harness_now_ms();
    if (what == IN_FLIGHT)
        assert_int_equal(pipc_write(pipe, "x", 1), 1);
    if (what == WRITER_WAITS)
        assert_errno(pipc_write(pipe, "x", 1), EPIPE);
    assert_errno(pipc_read(pipe, &byte, 1), ECONNRESET);
    int64_t took = harness_now_ms() - begin;
    print_message("%s: noticed after %.1f s\n", names[what], (double)took / 1000);
    assert_in_range(took, SOON_MS, LATE_MS);
}

struct client {
    struct vanishing *vanishing;
    const char *host;
    enum what what;
};

static int watch_it_vanish(void *arg)
{
    struct client *client = arg;
    pipc_t *pipe = pipc_open_tcp(client->host, 20000, LONG_MS, NULL);
    assert_non_null(pipe);
    if (client->what >= WINDOW_CLOSED)
        fill(pipe);
    harness_gate_open(&client->vanishing->connected);
    harness_gate_wait(&client->vanishing->gone);
    expect_vanished(pipe, client->what);
    pipc_close(pipe);
    return 0;
}

static void vanish(const char *host, void (*take_away)(void))
{
    struct vanishing v;
    pid_t pid[KINDS];
    hosts_make();
    harness_gate_init(&v.connected);
    harness_gate_init(&v.gone);
    harness_gate_init(&v.over);
    pid_t far = harness_fork(be_deaf, &v);
    for (int i = 0; i < KINDS; i++)
        pid[i] = harness_fork(watch_it_vanish, &(struct client){&v, host, (enum what)i});
    for (int i = 0; i < KINDS; i++)
        harness_gate_wait(&v.connected);
    take_away();
    for (int i = 0; i < KINDS; i++)
        harness_gate_open(&v.gone);
    for (int i = 0; i < KINDS; i++)
        assert_int_equal(harness_wait(pid[i]), 0);
    harness_gate_open(&v.over);
    assert_int_equal(harness_wait(far), 0);
    harness_gate_close(&v.connected);
    harness_gate_close(&v.gone);
    harness_gate_close(&v.over);
    hosts_forget();
}

static void take_the_link_down(void)
{
    hosts_do_far("ip link set far down");
}

/* The cable works, and other hosts are there; this one does not answer. */
static void take_the_address_away(void)
{
    hosts_do_far("ip addr del 10.77.0.3/24 dev far");
}

/* The questions arrive and no answer comes back. */
static void lose_the_answers(void)
{
    hosts_do_far("ip route add blackhole " HOSTS_NEAR "/32");
}

TEST(a_link_that_stays_down_is_detected_in_a_minute)
{
    skip_unless_slow();
    vanish(HOSTS_FAR, take_the_link_down);
}

TEST(a_host_that_loses_its_address_is_detected_in_a_minute)
{
    skip_unless_slow();
    vanish("10.77.0.3", take_the_address_away);
}

TEST(a_host_whose_answers_are_lost_is_detected_in_a_minute)
{
    skip_unless_slow();
    vanish(HOSTS_FAR, lose_the_answers);
}

/*
 * Twice as long as it takes to notice that nobody is there. What is held moves while somebody
 * calls.
 */
TEST(a_reader_that_pauses_for_two_minutes_loses_no_message)
{
    enum { PAUSE_MS = 120000, SIZE = 1 << 16 };
    static char data[SIZE];
    int sent = 0;
    pipc_t *end[2];
    skip_unless_slow();
    net_open_server(end, NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_set_timeout(end[i], PAUSE_MS, 100), 0);
    while (pipc_write(end[0], data, SIZE) == SIZE)
        sent++;
    assert_errno(pipc_read(end[0], data, SIZE), ETIMEDOUT);
    for (int got = 0; got < sent; got++) {
        assert_int_equal(pipc_set_timeout(end[1], 10, -1), 0);
        while (pipc_read(end[1], data, SIZE) < 0)
            assert_true(errno == ETIMEDOUT && (pipc_flush(end[0]) >= 0 || errno == ETIMEDOUT));
    }
    assert_int_equal(pipc_set_timeout(end[1], -1, -1), 0);
    net_expect_talk(end[0], end[1]);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

HARNESS_MAIN("tcp, gone", IT(bytes_are_retransmitted_often_and_an_idle_connection_lives),
             IT(a_vanished_host_gives_EPIPE_to_a_write_and_ECONNRESET_to_reads),
             IT_WITHIN(a_link_that_stays_down_is_detected_in_a_minute, 150000),
             IT_WITHIN(a_host_that_loses_its_address_is_detected_in_a_minute, 150000),
             IT_WITHIN(a_host_whose_answers_are_lost_is_detected_in_a_minute, 150000),
             IT_WITHIN(a_reader_that_pauses_for_two_minutes_loses_no_message, 200000))
