/* SPDX-License-Identifier: MIT */
/* pipc_open_tcp between two hosts: see hosts.h. */
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include "fault.h"
#include "hosts.h"
#include "net.h"

enum { LONG_MS = 15000 };

/* --- Pairs ------------------------------------------------------------------------------------ */

struct pair {
    const char *near, *far; /* what each is called by the other */
    uint16_t port;
    const pipc_options_t *options;
    bool is_near;
    unsigned spin; /* how much later than the other this side begins */
    struct harness_gate start;
};

/* Meets, says who it is, hears the other, and sees the other leave. */
static int take_part(void *arg)
{
    struct pair *pair = arg;
    char me = pair->is_near ? 'n' : 'f', other = pair->is_near ? 'f' : 'n', said = 0;
    if (!pair->is_near)
        hosts_go_far();
    harness_gate_wait(&pair->start);
    for (unsigned i = pair->spin; i > 0; i--)
        __asm__ volatile("");
    pipc_t *pipe =
        pipc_open_tcp(pair->is_near ? pair->far : pair->near, pair->port, LONG_MS, pair->options);
    if (pipe == NULL)
        fail_msg("%c: %s", me, strerror(errno));
    if (pipc_write(pipe, &me, 1) != 1 || pipc_read(pipe, &said, 1) != 1)
        fail_msg("%c: %s", me, strerror(errno));
    assert_int_equal(said, other);
    assert_int_equal(pipc_shutdown(pipe), 0);
    assert_errno(pipc_read(pipe, &said, 1), EPIPE);
    pipc_close(pipe);
    return 0;
}

static void start_pair(struct pair *pair, pid_t pid[2])
{
    for (int side = 0; side < 2; side++) {
        pair->is_near = side == 0;
        pair->spin = side == 0 ? (unsigned)harness_random_below(1000000) : 500000;
        pid[side] = harness_fork(take_part, pair);
    }
}

static int count_pairs(void)
{
    return harness_setting("PIPC_TEST_PAIRS", 40 / harness_scale() + 1);
}

/* All pairs at once; within each pair one side is up to a millisecond or so ahead. Nobody else is
 * in these namespaces, so ports can be counted. */
static void connect_in_crowds(struct pair pair)
{
    int count = count_pairs();
    pid_t *pids = malloc(2 * (size_t)count * sizeof *pids);
    assert_non_null(pids);
    harness_gate_init(&pair.start);
    for (int i = 0; i < count; i++) {
        pair.port = (uint16_t)(20000 + i);
        start_pair(&pair, &pids[2 * i]);
    }
    for (int i = 0; i < 2 * count; i++)
        harness_gate_open(&pair.start);
    for (int i = 0; i < 2 * count; i++)
        assert_int_equal(harness_wait(pids[i]), 0);
    harness_gate_close(&pair.start);
    free(pids);
}

TEST(two_hosts_that_start_at_once_connect)
{
    hosts_make();
    connect_in_crowds((struct pair){.near = HOSTS_NEAR, .far = HOSTS_FAR});
    hosts_forget();
}

TEST(two_hosts_connect_over_IPv6)
{
    hosts_make();
    connect_in_crowds((struct pair){.near = HOSTS_NEAR6, .far = HOSTS_FAR6});
    hosts_forget();
}

TEST(two_hosts_connect_with_a_key)
{
    pipc_options_t options = net_with_key("secret");
    hosts_make();
    connect_in_crowds((struct pair){.near = HOSTS_NEAR, .far = HOSTS_FAR, .options = &options});
    hosts_forget();
}

static int count_addresses(const char *name)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *first;
    int count = 0;
    if (getaddrinfo(name, NULL, &hints, &first) != 0)
        return 0;
    for (const struct addrinfo *next = first; next != NULL; next = next->ai_next)
        count++;
    freeaddrinfo(first);
    return count;
}

static void name_hosts(void)
{
    hosts_name("127.0.0.1 localhost\n" HOSTS_NEAR6 " near.test\n" HOSTS_NEAR
               " near.test\n" HOSTS_FAR " far.test\n10.77.0.3 far.test\n" HOSTS_FAR6
               " far.test\n::1 self.test\n127.0.0.1 self.test\n");
    if (count_addresses("far.test") < 3)
        harness_skip("the resolver takes one line of /etc/hosts for a name");
}

/* Their first calls wait for each other. */
TEST(two_hosts_connect_whose_constructors_do_not_wait)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_ASYNC;
    hosts_make();
    connect_in_crowds((struct pair){.near = HOSTS_NEAR, .far = HOSTS_FAR, .options = &options});
    hosts_forget();
}

TEST(hosts_with_several_addresses_connect_by_name)
{
    hosts_make();
    name_hosts();
    connect_in_crowds((struct pair){.near = "near.test", .far = "far.test"});
    hosts_forget();
}

/* Who finds one address of this host in use may not sit down at another. */
TEST(all_or_none_of_several_local_addresses_are_listened_on)
{
    hosts_make();
    name_hosts();
    struct net_call call = {"127.0.0.1", 20000, LONG_MS, NULL, NULL, 0, 0};
    net_start_call(&call);
    net_await_listener(20000);
    pipc_t *here = pipc_open_tcp("self.test", 20000, LONG_MS, NULL);
    pipc_t *there = net_finish_call(&call);
    net_expect_talk(here, there);
    pipc_close(here);
    pipc_close(there);
    hosts_forget();
}

/* One side is there for long, whichever. */
static void connect_late(bool near_first)
{
    struct pair pair = {.near = HOSTS_NEAR, .far = HOSTS_FAR, .port = 20000, .is_near = near_first};
    harness_gate_init(&pair.start);
    harness_gate_open(&pair.start);
    pid_t first = harness_fork(take_part, &pair);
    if (near_first)
        net_await_listener(20000);
    else
        hosts_do_far("until ss -Hltn 2>/dev/null | grep -q :20000 || "
                     "grep -q ':4E20 .* 0A ' /proc/net/tcp /proc/net/tcp6; do :; done");
    pair.is_near = !near_first;
    harness_gate_open(&pair.start);
    assert_int_equal(harness_wait(harness_fork(take_part, &pair)), 0);
    assert_int_equal(harness_wait(first), 0);
    harness_gate_close(&pair.start);
}

TEST(either_host_may_start_first)
{
    hosts_make();
    for (int i = 0; i < 6; i++)
        connect_late(i & 1);
    hosts_forget();
}

/* --- Strangers -------------------------------------------------------------------------------- */

struct stranger {
    const char *from, *to;
    uint16_t port;
};

static int be_stranger(void *arg)
{
    struct stranger *stranger = arg;
    struct sockaddr_in own = {.sin_family = AF_INET}, there = own;
    char byte;
    hosts_go_far();
    inet_pton(AF_INET, stranger->from, &own.sin_addr);
    inet_pton(AF_INET, stranger->to, &there.sin_addr);
    there.sin_port = htons(stranger->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&there, sizeof there), 0);
    send(fd, "\0\0\0\2hi", 6, MSG_NOSIGNAL); /* a message, if it were let in */
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
    return 0;
}

TEST(only_the_named_host_is_accepted)
{
    hosts_make();
    struct pair pair = {.near = HOSTS_NEAR, .far = HOSTS_FAR, .port = 20000, .is_near = true};
    struct stranger stranger = {"10.77.0.3", HOSTS_NEAR, 20000};
    harness_gate_init(&pair.start);
    harness_gate_open(&pair.start);
    pid_t near = harness_fork(take_part, &pair);
    net_await_listener(20000);
    for (int i = 0; i < 5; i++)
        assert_int_equal(harness_wait(harness_fork(be_stranger, &stranger)), 0);
    pair.is_near = false;
    harness_gate_open(&pair.start);
    assert_int_equal(harness_wait(harness_fork(take_part, &pair)), 0);
    assert_int_equal(harness_wait(near), 0);
    harness_gate_close(&pair.start);
    hosts_forget();
}

/* An attacker at the host that the victim names, who does not know the key. */
struct mirror {
    bool is_near;
    struct harness_gate listens;
};

static int socket_at(const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    assert_true(fd >= 0);
    inet_pton(AF_INET, host, &address.sin_addr);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* From that host: connected to the victim, who may take a second before it listens. */
static int connect_from(const char *host, const char *victim)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(20000)};
    inet_pton(AF_INET, victim, &there.sin_addr);
    for (;;) {
        int fd = socket_at(host, 0);
        if (connect(fd, (struct sockaddr *)&there, sizeof there) == 0)
            return fd;
        assert_int_equal(errno, ECONNREFUSED);
        close(fd);
        sched_yield();
    }
}

static int be_mirror(void *arg)
{
    struct mirror *mirror = arg;
    const char *here = mirror->is_near ? HOSTS_NEAR : HOSTS_FAR,
               *victim = mirror->is_near ? HOSTS_FAR : HOSTS_NEAR;
    if (!mirror->is_near)
        hosts_go_far();
    int listener = socket_at(here, 20000);
    assert_int_equal(listen(listener, 1), 0);
    harness_gate_open(&mirror->listens);
    int in = accept4(listener, NULL, NULL, SOCK_CLOEXEC), out = connect_from(here, victim);
    assert_true(in >= 0);
    net_carry(in, out);
    return 0;
}

static int look_into_mirror(void *arg)
{
    struct mirror *mirror = arg;
    pipc_options_t options = net_with_key("secret");
    if (mirror->is_near)
        hosts_go_far();
    harness_gate_wait(&mirror->listens);
    assert_null_errno(
        pipc_open_tcp(mirror->is_near ? HOSTS_NEAR : HOSTS_FAR, 20000, LONG_MS, &options), EACCES);
    return 0;
}

TEST(a_host_refuses_its_own_reflected_handshake)
{
    struct mirror mirror;
    hosts_make();
    for (int i = 0; i < 2; i++) {
        mirror.is_near = i == 1;
        harness_gate_init(&mirror.listens);
        pid_t attacker = harness_fork(be_mirror, &mirror);
        pid_t victim = harness_fork(look_into_mirror, &mirror);
        assert_int_equal(harness_wait(victim), 0);
        assert_int_equal(harness_wait(attacker), 0);
        harness_gate_close(&mirror.listens);
    }
    hosts_forget();
}

/* --- The link --------------------------------------------------------------------------------- */

struct echo {
    struct harness_gate gone;
};

static int echo_all(void *unused)
{
    char buffer[64];
    ssize_t size;
    (void)unused;
    hosts_go_far();
    pipc_t *pipe = pipc_open_tcp(HOSTS_NEAR, 20000, LONG_MS, NULL);
    assert_non_null(pipe);
    while ((size = pipc_read(pipe, buffer, sizeof buffer)) >= 0)
        assert_int_equal(pipc_write(pipe, buffer, (size_t)size), size);
    assert_int_equal(errno, EPIPE);
    pipc_close(pipe);
    return 0;
}

TEST(a_link_that_goes_down_and_recovers_loses_no_message)
{
    char buffer[64];
    hosts_make();
    pid_t pid = harness_fork(echo_all, NULL);
    pipc_t *pipe = pipc_open_tcp(HOSTS_FAR, 20000, LONG_MS, NULL);
    assert_non_null(pipe);
    for (int i = 0; i < 3; i++) {
        assert_true(hosts_do("ip link set near down"));
        for (char message = 'a'; message < 'f'; message++)
            assert_int_equal(pipc_write(pipe, &message, 1), 1);
        assert_int_equal(pipc_set_timeout(pipe, 50, -1), 0);
        assert_errno(pipc_read(pipe, buffer, sizeof buffer), ETIMEDOUT);
        assert_int_equal(pipc_set_timeout(pipe, LONG_MS, -1), 0);
        assert_true(hosts_do("ip link set near up"));
        for (char message = 'a'; message < 'f'; message++) {
            assert_int_equal(pipc_read(pipe, buffer, sizeof buffer), 1);
            assert_int_equal(buffer[0], message);
        }
    }
    pipc_close(pipe);
    assert_int_equal(harness_wait(pid), 0);
    hosts_forget();
}

TEST(a_waiting_host_connects_when_the_network_is_up_again)
{
    hosts_make();
    struct pair pair = {.near = HOSTS_NEAR, .far = HOSTS_FAR, .port = 20000, .is_near = true};
    pid_t pid[2];
    harness_gate_init(&pair.start);
    assert_true(hosts_do("ip link set near down"));
    start_pair(&pair, pid);
    harness_gate_open(&pair.start);
    harness_gate_open(&pair.start);
    net_await_listener(20000);
    assert_true(hosts_do("ip link set near up"));
    for (int i = 0; i < 2; i++)
        assert_int_equal(harness_wait(pid[i]), 0);
    harness_gate_close(&pair.start);
    hosts_forget();
}

/* --- Oneself ---------------------------------------------------------------------------------- */

/* With a single local port, a socket that connects to it on this host connects to itself. */
TEST(a_connection_to_oneself_is_not_a_rendezvous)
{
    hosts_make();
    hosts_write_file("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000");
    int fd = net_try_connect(40000);
    if (fd < 0)
        harness_skip("this kernel connects no socket to itself");
    net_reset(fd); /* or the port would have to rest for a while */
    fault_reset();
    fault_fail(CALL_listen, 1, FAULT_FOREVER, EADDRINUSE);
    fault_virtual_time();
    fault_arm();
    assert_null_errno(pipc_open_tcp("127.0.0.1", 40000, 200, NULL), ETIMEDOUT);
    fault_disarm();
    assert_true(fault_calls(CALL_connect) > 2);
    hosts_forget();
}

HARNESS_MAIN("tcp, hosts", IT(two_hosts_that_start_at_once_connect),
             IT(two_hosts_connect_over_IPv6), IT(two_hosts_connect_with_a_key),
             IT(two_hosts_connect_whose_constructors_do_not_wait),
             IT(hosts_with_several_addresses_connect_by_name),
             IT(all_or_none_of_several_local_addresses_are_listened_on),
             IT(either_host_may_start_first), IT(only_the_named_host_is_accepted),
             IT(a_host_refuses_its_own_reflected_handshake),
             IT(a_link_that_goes_down_and_recovers_loses_no_message),
             IT(a_waiting_host_connects_when_the_network_is_up_again),
             IT(a_connection_to_oneself_is_not_a_rendezvous))
