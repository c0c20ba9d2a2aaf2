/* SPDX-License-Identifier: MIT */
/* What clients that say nothing cost a server on a path: heap and descriptors. */
#include <unistd.h>

#include "net.h"
#include "paths.h"
#include "platform.h"

enum { CLIENTS = 50, HEAP_MAX = 3 * 1024, DESCRIPTORS_MAX = 2, SET_MAX = 128, LONG_MS = 20000 };

struct crowd {
    const char *path;
    struct harness_gate ready, end;
};

/* All clients, in a process of their own: what they cost does not count. */
static int be_clients(void *arg)
{
    struct crowd *crowd = arg;
    pipc_t *client[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        client[i] = pipc_open_unix(crowd->path, LONG_MS, NULL);
        assert_non_null(client[i]);
        assert_int_equal(pipc_set_timeout(client[i], LONG_MS, LONG_MS), 0);
        net_say(client[i], "ask");
        net_expect(client[i], "answer");
    }
    harness_gate_open(&crowd->ready);
    harness_gate_wait(&crowd->end);
    for (int i = 0; i < CLIENTS; i++)
        pipc_close(client[i]);
    return 0;
}

/* One exchange, then it waits as a loop does: with a look in vain. */
static pipc_t *serve_one(pipc_server_t *server, bool polls)
{
    char byte;
    pipc_t *pipe = pipc_server_accept(server, LONG_MS);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, LONG_MS, LONG_MS), 0);
    if (polls)
        assert_true(pipc_fd(pipe) >= 0);
    net_expect(pipe, "ask");
    net_say(pipe, "answer");
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    return pipe;
}

static void count_cost(bool polls)
{
    struct paths paths;
    pipc_t *pipe[CLIENTS];
    paths_begin(&paths);
    struct crowd crowd = {paths_to(&paths, "socket"), {{0}}, {{0}}};
    harness_gate_init(&crowd.ready);
    harness_gate_init(&crowd.end);
    pipc_server_t *server = paths_serve(crowd.path, NULL);
    pid_t pid = harness_fork(be_clients, &crowd);
    size_t heap = harness_heap_bytes(), mapped = harness_mapped_bytes();
    int descriptors = harness_open_descriptors();
    for (int i = 0; i < CLIENTS; i++)
        pipe[i] = serve_one(server, polls);
    harness_gate_wait(&crowd.ready);
    size_t most = HEAP_MAX + (platform_has(PLATFORM_SETS) ? 0 : SET_MAX);
    int fds = DESCRIPTORS_MAX + (platform_has(PLATFORM_DESCRIPTORS) ? 0 : 2);
    assert_in_range(harness_heap_bytes() - heap, 1, CLIENTS * most);
    assert_int_equal(harness_mapped_bytes(), mapped);
    assert_in_range(harness_open_descriptors() - descriptors, CLIENTS, CLIENTS * fds);
    for (int i = 0; i < CLIENTS; i++)
        pipc_close(pipe[i]);
    harness_gate_open(&crowd.end);
    assert_int_equal(harness_wait(pid), 0);
    pipc_server_close(server);
    harness_gate_close(&crowd.ready);
    harness_gate_close(&crowd.end);
    paths_end(&paths);
}

TEST(an_idle_client_costs_its_server_at_most_3_KiB_and_2_descriptors)
{
    count_cost(false);
}

TEST(an_idle_client_whose_handle_is_polled_costs_no_more)
{
    count_cost(true);
}

HARNESS_MAIN("Unix sockets, cost",
             IT(an_idle_client_costs_its_server_at_most_3_KiB_and_2_descriptors),
             IT(an_idle_client_whose_handle_is_polled_costs_no_more))
