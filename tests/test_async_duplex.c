/* SPDX-License-Identifier: MIT */
/*
 * PIPC_ASYNC with PIPC_DUPLEX: while one thread waits for a message, the other one has the
 * descriptor, and is told by it that the peer has come, and nothing else.
 */
#include "anonymous.h"
#include "async.h"
#include "platform.h"

#include <poll.h>
#include <stdatomic.h>

struct reading {
    pipc_t *pipe;
    pthread_t thread;
    struct sleeper sleeper;
    atomic_bool has_begun, has_ended;
    ssize_t got;
    int error;
};

static void *read_one(void *arg)
{
    struct reading *r = arg;
    char bytes[8];
    r->sleeper = sleeper_me();
    atomic_store(&r->has_begun, true);
    r->got = pipc_read(r->pipe, bytes, sizeof bytes);
    r->error = errno;
    atomic_store(&r->has_ended, true);
    return NULL;
}

static void begin_to_read(struct reading *r, pipc_t *pipe, int read_ms)
{
    *r = (struct reading){.pipe = pipe};
    assert_int_equal(pipc_set_timeout(pipe, read_ms, 0), 0);
    assert_int_equal(pthread_create(&r->thread, NULL, read_one, r), 0);
}

static void await_waiting(struct reading *r)
{
    while (!atomic_load(&r->has_begun))
        continue;
    sleeper_wait(r->sleeper);
}

static void end_reading(struct reading *r, ssize_t got, int error)
{
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    assert_int_equal(r->got, got);
    if (got < 0)
        assert_int_equal(r->error, error);
}

static pipc_t *open_duplex(struct async_place *place, int timeout_ms)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_DUPLEX;
    return async_open_at(place, timeout_ms, &options);
}

/* Makes no step, so the reading thread makes the one that opens. */
static bool is_open(pipc_t *pipe)
{
    pipc_credentials_t credentials = PIPC_CREDENTIALS_INIT;
    return pipc_credentials(pipe, &credentials) == 0 || errno == EOPNOTSUPP;
}

static pipc_t *await_peer(struct async_place *place, pipc_t *pipe)
{
    pipc_t *peer = NULL;
    while (peer == NULL || !is_open(pipe)) {
        peer = peer != NULL ? peer : async_answer(place, NULL);
        poll(NULL, 0, 1);
    }
    return peer;
}

TEST_OF_KIND(a_writer_that_polls_is_woken_by_a_peer_that_a_waiting_reader_has_met)
{
    struct async_place place;
    struct reading reading;
    async_begin(&place, kind);
    for (int was_refused = 0; was_refused < 2; was_refused++) {
        pipc_t *pipe = open_duplex(&place, -1);
        int fd = pipc_fd(pipe);
        if (was_refused)
            assert_errno(pipc_write(pipe, "pong", 4), EAGAIN);
        begin_to_read(&reading, pipe, -1);
        pipc_t *peer = await_peer(&place, pipe);
        assert_true(harness_readable(fd, 0));
        net_say(pipe, "pong");
        assert_false(harness_readable(fd, 0));
        assert_int_equal(pipc_set_timeout(peer, -1, -1), 0);
        net_expect(peer, "pong");
        net_say(peer, "ping");
        end_reading(&reading, 4, 0);
        pipc_close(pipe);
        pipc_close(peer);
        pipc_server_close(place.server);
        place.server = NULL;
    }
    async_end(&place);
}

/* With POSIX alone a poll that has begun may miss it; one that begins later does not. */
static void await_readable(int fd)
{
    for (int polls = 0; !harness_readable(fd, 50); polls++)
        assert_true(polls < 200);
}

TEST_OF_KIND(without_a_call_between_a_poll_shows_that_another_thread_has_met_the_peer)
{
    struct async_place place;
    struct reading reading;
    pipc_t *peer = NULL;
    async_begin(&place, kind);
    pipc_t *pipe = open_duplex(&place, -1);
    int fd = pipc_fd(pipe);
    begin_to_read(&reading, pipe, -1);
    await_waiting(&reading);
    while (harness_readable(fd, 0)) /* a spurious wakeup */
        assert_errno(pipc_flush(pipe), EAGAIN);
    while (peer == NULL)
        peer = async_answer(&place, NULL);
    while (!is_open(pipe))
        await_readable(fd);
    net_say(peer, "ping");
    end_reading(&reading, 4, 0);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

TEST_OF_KIND(a_writer_that_polls_is_woken_when_the_peer_of_a_waiting_reader_does_not_come)
{
    platform_needs(PLATFORM_SETS);
    struct async_place place;
    struct reading reading;
    async_begin(&place, kind);
    pipc_t *pipe = open_duplex(&place, 30);
    int fd = pipc_fd(pipe), error = async_absent_error(&place);
    begin_to_read(&reading, pipe, -1);
    do {
        assert_true(harness_readable(fd, -1));
        assert_int_equal(pipc_write(pipe, "x", 1), -1);
    } while (errno == EAGAIN);
    assert_int_equal(errno, error);
    end_reading(&reading, -1, error);
    pipc_close(pipe);
    async_end(&place);
}

/* 20 a second are promised, or one a millisecond; a loop that spins has many thousands. */
TEST_OF_KIND(while_a_reader_waits_the_descriptor_does_not_wake_a_writer_again_and_again)
{
    struct async_place place;
    struct reading reading;
    int wakeups = 0;
    async_begin(&place, kind);
    pipc_t *pipe = open_duplex(&place, -1);
    int fd = pipc_fd(pipe);
    int64_t begin = harness_now_ms();
    begin_to_read(&reading, pipe, 300);
    while (!atomic_load(&reading.has_ended))
        if (harness_readable(fd, 20)) {
            assert_errno(pipc_write(pipe, "x", 1), EAGAIN);
            wakeups++;
        }
    end_reading(&reading, -1, ETIMEDOUT);
    int64_t most = platform_has(PLATFORM_EXACT) ? 0 : harness_now_ms() - begin;
    assert_in_range(wakeups, 0, most + 30);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    pipc_t *peer = async_meet(&place, pipe, NULL); /* the descriptor goes on */
    net_say(pipe, "ping");
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

HARNESS_MAIN(
    "async, duplex",
    OVER_CASES(a_writer_that_polls_is_woken_by_a_peer_that_a_waiting_reader_has_met, async_ways),
    OVER_CASES(without_a_call_between_a_poll_shows_that_another_thread_has_met_the_peer,
               async_ways),
    OVER_CASES(a_writer_that_polls_is_woken_when_the_peer_of_a_waiting_reader_does_not_come,
               async_ways),
    OVER_CASES(while_a_reader_waits_the_descriptor_does_not_wake_a_writer_again_and_again,
               async_ways))
