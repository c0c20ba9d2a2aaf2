/* SPDX-License-Identifier: MIT */
/*
 * A server that sends back what it receives, and a client that does not read. On every kind of
 * pipe and in every way of polling, the server's loop sleeps until there is room or the client has
 * gone.
 */
#include "platform.h"
#include "polling.h"

#include <sys/resource.h>

enum {
    SIZE = 3000,
    BOTH = PIPC_WANT_READ | PIPC_WANT_WRITE,
    IDLE_MS = 200,
    FEW = 20 /* spurious wakeups: TCP has timers that make a little room */
};

struct server {
    struct peer *peer;
    struct poller poller;
    size_t answered;
    bool is_stuck, has_ended;
};

/* What the program does when its descriptor is readable, and once at the beginning. */
static void serve(struct server *server)
{
    struct peer *peer = server->peer;
    pipc_msg_t message;
    bool is_stuck = false;
    while (peer_peek(peer, &message) == 0) {
        if (peer_write(peer, message.data, message.size) < 0) {
            is_stuck = errno == EAGAIN;
            server->has_ended = !is_stuck;
            break;
        }
        assert_int_equal(peer_skip(peer), 0);
        server->answered++;
    }
    if (is_stuck != server->is_stuck)
        assert_int_equal(peer_want(peer, is_stuck ? PIPC_WANT_WRITE : BOTH), 0);
    server->is_stuck = is_stuck;
}

/* Wakes the server whenever its loop would, for some time; returns how often. */
static int run(struct server *server, int ms)
{
    int wakes = 0;
    for (int64_t end = harness_now_ms() + ms, left = ms; left > 0; left = end - harness_now_ms())
        if (!server->has_ended && poller_reports(&server->poller, (int)left)) {
            serve(server);
            wakes++;
        }
    return wakes;
}

/* Returns how many messages the client has sent when nothing moves any more. */
static size_t get_stuck(struct peers *p, struct server *server)
{
    static char data[SIZE];
    size_t sent = 0, before;
    do {
        before = sent;
        for (; peer_write(&p->a, data, SIZE) == SIZE; sent++)
            serve(server);
        assert_int_equal(errno, EAGAIN);
        serve(server);
        if (p->a.delay_ms > 0)
            run(server, PROBE_MS);
    } while (!server->is_stuck || sent != before);
    return sent;
}

static struct server begin(struct peers *p, const struct kind *kind, enum way way)
{
    open_polled(p, kind);
    return (struct server){.peer = &p->b, .poller = poller_begin(way, p->b.fd)};
}

TEST_OF_KIND(a_server_sleeps_while_its_client_does_not_read)
{
    for (enum way way = 0; way < WAYS; way++) {
        struct peers p;
        struct server server = begin(&p, kind, way);
        get_stuck(&p, &server);
        int64_t before = harness_cpu_ms();
        int most = platform_has(PLATFORM_EXACT) ? FEW : IDLE_MS; /* one a millisecond */
        assert_in_range(run(&server, IDLE_MS), 0, most);
        assert_true(harness_cpu_ms() - before < IDLE_MS / 2 * harness_scale());
        poller_end(&server.poller);
        peers_close(&p);
    }
}

TEST_OF_KIND(a_server_continues_when_its_client_reads_again)
{
    for (enum way way = 0; way < WAYS; way++) {
        struct peers p;
        pipc_msg_t message;
        struct server server = begin(&p, kind, way);
        size_t sent = get_stuck(&p, &server), got = 0;
        int64_t deadline = harness_now_ms() + HARNESS_TIMEOUT_MS / 2 * harness_scale();
        while (got < sent && harness_now_ms() < deadline) {
            while (peer_read_msg(&p.a, &message) == 0) {
                got += message.size == SIZE;
                pipc_msg_free(&message);
            }
            if (peer_flush(&p.a) < 0)
                assert_int_equal(errno, EAGAIN);
            if (poller_reports(&server.poller, 1))
                serve(&server);
        }
        assert_int_equal(got, sent);
        assert_false(server.is_stuck);
        poller_end(&server.poller);
        peers_close(&p);
    }
}

TEST_OF_KIND(a_waiting_server_is_told_that_its_client_has_gone)
{
    for (enum way way = 0; way < WAYS; way++) {
        struct peers p;
        struct server server = begin(&p, kind, way);
        get_stuck(&p, &server);
        run(&server, 1);
        peer_close(&p.a);
        int wakes = 0;
        for (; !server.has_ended && wakes < FEW; wakes++) {
            assert_true(poller_reports(&server.poller, p.b.delay_ms));
            serve(&server);
        }
        assert_true(server.has_ended);
        poller_end(&server.poller);
        peers_close(&p);
    }
}

#define SLOWLY(name) OVER(name, ALL_KINDS, 3 * HARNESS_TIMEOUT_MS)

HARNESS_MAIN("back_pressure", SLOWLY(a_server_sleeps_while_its_client_does_not_read),
             SLOWLY(a_server_continues_when_its_client_reads_again),
             SLOWLY(a_waiting_server_is_told_that_its_client_has_gone))
