/* SPDX-License-Identifier: MIT */
/*
 * A flood of silent connections from one address, and honest clients of other addresses that are
 * far away: their packets take 25 ms each way. Three hosts: this process has the server, the far
 * one floods it, and the clients are behind a relay that delays each packet (two tun devices).
 */
#define _GNU_SOURCE
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "hosts.h"
#include "net.h"

enum {
    CLIENTS = 20,
    SILENT = 2000,
    A_SECOND = 5000, /* connects of the flood */
    DELAY_US = 25000,
    LONG_MS = 15000
};

static pipc_options_t with_key(void)
{
    return net_with_key("32 random bytes that nobody knows");
}

/* --- The long way ----------------------------------------------------------------------------- */

struct packet {
    int64_t due_us;
    int to;
    ssize_t size;
    char data[2048];
};

static struct packet packets[8192];
static unsigned first_packet, end_packet;

static int open_tun(void)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    strcpy(request.ifr_name, "slow");
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0)
        return fd;
    close(fd);
    return -1;
}

/* What does not fit is lost, as on any way. */
static void take_packet(int from, int to)
{
    struct packet *packet = &packets[end_packet % 8192];
    if (end_packet - first_packet == 8192)
        first_packet++;
    packet->size = read(from, packet->data, sizeof packet->data);
    packet->due_us = harness_now_us() + DELAY_US;
    packet->to = to;
    if (packet->size > 0)
        end_packet++;
}

/* Returns for how long there is nothing to do, in milliseconds. */
static int pass_packets_on(void)
{
    for (; first_packet != end_packet; first_packet++) {
        struct packet *packet = &packets[first_packet % 8192];
        int64_t left_us = packet->due_us - harness_now_us();
        if (left_us > 0)
            return (int)(left_us / 1000) + 1;
        if (write(packet->to, packet->data, (size_t)packet->size) < 0)
            continue; /* lost */
    }
    return -1;
}

struct way {
    struct harness_gate built;
    bool *there;
};

static int be_the_way(void *arg)
{
    struct way *way = arg;
    int near = open_tun();
    bool made =
        near >= 0 && hosts_do("ip link set slow up && ip route add 10.78.0.0/24 dev slow && "
                              "for i in $(seq 20); do ip addr add 10.77.1.$i/32 dev slow || "
                              "exit 1; done");
    made = made && unshare(CLONE_NEWNET) == 0;
    int far = made ? open_tun() : -1;
    *way->there =
        far >= 0 && hosts_do("ip link set lo up && ip link set slow up && for i in $(seq 20); do "
                             "ip addr add 10.78.0.$i/32 dev slow && "
                             "ip route add 10.77.1.$i/32 dev slow src 10.78.0.$i || exit 1; done");
    harness_gate_open(&way->built);
    struct pollfd fds[2] = {{near, POLLIN, 0}, {far, POLLIN, 0}};
    while (poll(fds, *way->there ? 2 : 0, pass_packets_on()) >= 0) {
        if (fds[0].revents != 0)
            take_packet(near, far);
        if (fds[1].revents != 0)
            take_packet(far, near);
    }
    return 1;
}

/* --- Clients ---------------------------------------------------------------------------------- */

/* In memory that all processes share. */
struct shared {
    bool way_is_there;
    _Atomic long connects; /* of the flood */
    int64_t took_ms[CLIENTS];
};

struct client {
    struct shared *shared;
    int number, namespace;
    uint16_t port;
    struct harness_gate start, over;
};

/* Each has an address of its own, because it calls the server by one. */
static int be_client(void *arg)
{
    struct client *client = arg;
    pipc_options_t options = with_key();
    char host[32];
    if (setns(client->namespace, CLONE_NEWNET) != 0)
        fail_msg("setns: %s", strerror(errno));
    snprintf(host, sizeof host, "10.77.1.%d", client->number + 1);
    harness_gate_wait(&client->start);
    int64_t begin = harness_now_ms();
    pipc_t *pipe = pipc_open_tcp(host, client->port, LONG_MS, &options);
    if (pipe == NULL)
        fail_msg("client %d: %s", client->number, strerror(errno));
    client->shared->took_ms[client->number] = harness_now_ms() - begin;
    harness_gate_wait(&client->over);
    pipc_close(pipe);
    return 0;
}

/* They are there and wait for their start, whatever descriptors this process has later. */
static void prepare_clients(struct client *client, pid_t pid[CLIENTS])
{
    harness_gate_init(&client->start);
    harness_gate_init(&client->over);
    for (client->number = 0; client->number < CLIENTS; client->number++)
        pid[client->number] = harness_fork(be_client, client);
}

/* All begin at once; returns how long the slowest took. */
static int64_t serve_clients(pipc_server_t *server, struct client *client, const pid_t pid[CLIENTS])
{
    pipc_t *pipe[CLIENTS];
    int64_t longest = 0;
    for (int i = 0; i < CLIENTS; i++)
        harness_gate_open(&client->start);
    for (int i = 0; i < CLIENTS; i++) {
        pipe[i] = pipc_server_accept(server, LONG_MS);
        if (pipe[i] == NULL)
            fail_msg("%d clients are in, and then %s", i, strerror(errno));
    }
    for (int i = 0; i < CLIENTS; i++)
        harness_gate_open(&client->over);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(harness_wait(pid[i]), 0);
        longest = client->shared->took_ms[i] > longest ? client->shared->took_ms[i] : longest;
        pipc_close(pipe[i]);
    }
    harness_gate_close(&client->start);
    harness_gate_close(&client->over);
    return longest;
}

/* --- The flood -------------------------------------------------------------------------------- */

struct flood {
    struct shared *shared;
    uint16_t port;
};

static int connect_to_near(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    inet_pton(AF_INET, HOSTS_NEAR, &address.sin_addr);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        assert_int_equal(errno, EINPROGRESS);
    return fd;
}

/* Who has been silent for longest goes, and another one comes. */
static int be_the_flood(void *arg)
{
    struct flood *flood = arg;
    static int fd[SILENT];
    hosts_go_far();
    harness_limit(RLIMIT_NOFILE, SILENT + 1000); /* it has inherited many */
    for (int i = 0; i < SILENT; i++)
        fd[i] = connect_to_near(flood->port);
    int64_t begin = harness_now_us();
    for (long i = 0; i < 1000000; i++) {
        while ((harness_now_us() - begin) * A_SECOND / 1000000 < i)
            usleep(1000);
        net_reset(fd[i % SILENT]);
        fd[i % SILENT] = connect_to_near(flood->port);
        flood->shared->connects = i;
    }
    return 1;
}

/* The server serves all the while. */
static void await_connects(pipc_server_t *server, struct shared *shared, long count)
{
    int64_t deadline = harness_now_ms() + LONG_MS;
    while (shared->connects < count && harness_now_ms() < deadline)
        assert_null_errno(pipc_server_accept(server, 1), ETIMEDOUT);
    assert_true(shared->connects >= count);
}

static void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(harness_wait(pid), -SIGKILL);
}

static int start_the_way(struct shared *shared, pid_t *pid)
{
    struct way way = {.there = &shared->way_is_there};
    char path[64];
    harness_gate_init(&way.built);
    *pid = harness_fork(be_the_way, &way);
    harness_gate_wait(&way.built);
    harness_gate_close(&way.built);
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)*pid);
    int namespace = open(path, O_RDONLY | O_CLOEXEC);
    if (shared->way_is_there && namespace >= 0)
        return namespace;
    stop(*pid);
    harness_skip("this machine lets a test have no tun device");
}

/*
 * With so many descriptors to spare (0: any number). A server that is not fair lets hardly anybody
 * in while the flood lasts: by far the most have their timeout then.
 */
static void serve_beside_flood(pipc_server_t *server, struct client *client, int spare)
{
    struct shared *shared = client->shared;
    pid_t pid[CLIENTS];
    prepare_clients(client, pid);
    pid_t flood = harness_fork(be_the_flood, &(struct flood){shared, client->port});
    int next = dup(0);
    close(next);
    rlim_t limit = spare == 0 ? 0 : harness_limit(RLIMIT_NOFILE, (rlim_t)(next + spare));
    await_connects(server, shared, A_SECOND / 2);
    int64_t begin_us = harness_now_us();
    long before = shared->connects;
    int64_t took_ms = serve_clients(server, client, pid);
    if (spare > 0)
        harness_limit(RLIMIT_NOFILE, limit);
    int64_t all_us = harness_now_us() - begin_us;
    print_message("%d clients: %d ms beside %ld connects a second\n", CLIENTS, (int)took_ms,
                  (long)((shared->connects - before) * 1000000 / all_us));
    stop(flood);
}

static void flood(int spare)
{
    pipc_options_t options = with_key();
    pid_t way;
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    if (harness_emulated())
        harness_skip("valgrind is too slow for a flood");
    hosts_make();
    struct client client = {.shared = shared, .namespace = start_the_way(shared, &way)};
    pipc_server_t *server = pipc_server_open("*", 0, &options);
    assert_non_null(server);
    client.port = pipc_server_port(server);
    serve_beside_flood(server, &client, spare);
    stop(way);
    close(client.namespace);
    pipc_server_close(server);
    munmap(shared, sizeof *shared);
    hosts_forget();
}

TEST(a_flood_from_one_address_blocks_no_other_address)
{
    flood(0);
}

TEST(a_flood_that_uses_all_descriptors_blocks_no_other_address)
{
    flood(2 * CLIENTS);
}

HARNESS_MAIN("server, flood", IT_WITHIN(a_flood_from_one_address_blocks_no_other_address, 120000),
             IT_WITHIN(a_flood_that_uses_all_descriptors_blocks_no_other_address, 120000))
