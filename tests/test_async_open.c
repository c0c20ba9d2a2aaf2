/* SPDX-License-Identifier: MIT */
/*
 * PIPC_ASYNC: opening returns at once; the descriptor reports when the peer is there, or why it
 * never will be; until then no call finds a peer.
 */
#include "async.h"
#include "platform.h"

#include <sys/epoll.h>

static void expect_talk(pipc_t *a, pipc_t *b)
{
    assert_int_equal(pipc_set_timeout(a, -1, -1), 0);
    assert_int_equal(pipc_set_timeout(b, -1, -1), 0);
    net_expect_talk(a, b);
    assert_int_equal(pipc_set_timeout(a, 0, 0), 0);
    assert_int_equal(pipc_set_timeout(b, 0, 0), 0);
}

/* Every call that needs the peer. `waits`: as long as its timeout lets it, but for the last two. */
static void expect_each_call(pipc_t *pipe, int error, bool waits)
{
    char byte;
    int fds[2];
    pipc_msg_t message;
    struct iovec part = {"x", 1};
    pipc_credentials_t credentials = PIPC_CREDENTIALS_INIT;
    assert_errno(pipc_read(pipe, &byte, 1), error);
    assert_errno(pipc_read_msg(pipe, &message), error);
    assert_errno(pipc_peek(pipe, &message), error);
    assert_errno(pipc_skip(pipe), error);
    assert_errno(pipc_write(pipe, "x", 1), error);
    assert_errno(pipc_writev(pipe, &part, 1), error);
    assert_errno(pipc_write_batch(pipe, &part, 1), error);
    assert_errno(pipc_flush(pipe), error);
    assert_errno(pipc_disconnect(pipe, "bye"), error);
    error = error == ETIMEDOUT && waits ? EAGAIN : error;
    assert_errno(pipc_credentials(pipe, &credentials), error);
    assert_errno(pipc_detach(pipe, fds), error);
}

static void expect_each_call_fails(pipc_t *pipe, int error)
{
    expect_each_call(pipe, error, false);
}

static void expect_nothing_written(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    assert_int_equal(stats.messages_written, 0);
    assert_int_equal(stats.bytes_held, 0);
    assert_int_equal(stats.messages_pending, 0);
}

TEST_OF_KIND(without_a_peer_calls_return_EAGAIN_and_change_nothing)
{
    struct async_place place;
    pipc_msg_t message;
    char text[64];
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    expect_each_call_fails(pipe, EAGAIN);
    assert_int_equal(pipc_pending(pipe), 0);
    assert_int_equal(pipc_read_pending(pipe, &message, 1), 0);
    assert_int_equal(pipc_peer(pipe, text, sizeof text), 0);
    assert_null(pipc_bye_text(pipe));
    expect_nothing_written(pipe);
    assert_true(pipc_fd(pipe) > 2);
    expect_each_call_fails(pipe, EAGAIN);
    pipc_t *peer = async_meet(&place, pipe, NULL);
    assert_int_equal(pipc_peer(pipe, text, sizeof text), 0);
    assert_string_not_equal(text, "nobody yet");
    expect_talk(pipe, peer);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

TEST_OF_KIND(a_handle_that_is_closed_before_its_peer_came_leaves_nothing)
{
    struct async_place place;
    async_begin(&place, kind);
    harness_new_baseline();
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        pipc_t *pipe = async_open_at(&place, with_fd ? 60000 : -1, NULL);
        if (with_fd)
            assert_true(pipc_fd(pipe) > 2);
        assert_errno(pipc_flush(pipe), EAGAIN);
        pipc_close(pipe);
        harness_assert_nothing_left();
    }
    async_end(&place);
}

static bool wakes(int set, int timeout_ms)
{
    struct epoll_event event;
    int count = epoll_wait(set, &event, 1, timeout_ms);
    assert_true(count >= 0);
    return count > 0;
}

static int watch_fd(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};
    int set = epoll_create1(EPOLL_CLOEXEC);
    assert_true(set >= 0);
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
    return set;
}

/* The program registers the descriptor once, and reads at each wakeup, until a write succeeds. */
static void expect_driven_by(struct async_place *place, uint32_t events)
{
    char byte;
    pipc_t *pipe = async_open_at(place, -1, NULL), *peer = NULL;
    int fd = pipc_fd(pipe), set = watch_fd(fd, events);
    do {
        while (pipc_read(pipe, &byte, 1) >= 0)
            continue;
        assert_int_equal(errno, EAGAIN);
        peer = peer != NULL ? peer : async_answer(place, NULL);
        if (peer == NULL)
            async_await(place, pipe, NULL);
    } while (peer == NULL || (wakes(set, -1) && pipc_write(pipe, "ping", 4) == -1));
    assert_int_equal(pipc_set_timeout(peer, -1, -1), 0);
    net_expect(peer, "ping");
    assert_int_equal(pipc_fd(pipe), fd);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    wakes(set, 0);
    assert_false(wakes(set, 0));
    assert_false(harness_readable(fd, 0));
    net_say(peer, "x");
    assert_true(wakes(set, -1));
    assert_int_equal(pipc_read(pipe, &byte, 1), 1);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    assert_false(harness_readable(fd, 0));
    pipc_close(peer);
    assert_true(wakes(set, -1));
    assert_errno(pipc_read(pipe, &byte, 1), EPIPE);
    close(set);
    pipc_close(pipe);
}

TEST_OF_KIND(one_descriptor_reports_the_peer_and_later_its_messages)
{
    platform_needs(PLATFORM_SETS);
    struct async_place place;
    async_begin(&place, kind);
    expect_driven_by(&place, EPOLLIN);
    pipc_server_close(place.server);
    place.server = NULL;
    expect_driven_by(&place, EPOLLIN | EPOLLET);
    async_end(&place);
}

/* Makes no step, and takes no news. */
static bool is_open(pipc_t *pipe)
{
    pipc_credentials_t credentials = PIPC_CREDENTIALS_INIT;
    return pipc_credentials(pipe, &credentials) == 0 || errno == EOPNOTSUPP;
}

typedef pipc_t *answer(struct async_place *place, const pipc_options_t *options);

/* The program makes no other call than a read, which reports nothing. Returns the peer, if any. */
static pipc_t *expect_readable_once(struct async_place *place, pipc_t *pipe, answer *answers)
{
    char byte;
    pipc_t *peer = NULL;
    int fd = pipc_fd(pipe);
    assert_int_equal(pipc_want(pipe, 0), 0);
    do {
        peer = peer != NULL ? peer : answers(place, NULL);
        if (!harness_readable(fd, 0))
            async_await(place, pipe, peer);
        assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    } while (!is_open(pipe));
    assert_true(harness_readable(fd, 0));
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    assert_false(platform_wakes(fd, 0));
    return peer;
}

/* By whatever call it is noticed: a read that finds nothing reports nothing. */
TEST_OF_KIND(the_descriptor_is_readable_once_after_the_peer_has_come)
{
    struct async_place place;
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    pipc_t *peer = expect_readable_once(&place, pipe, async_answer);
    assert_int_equal(pipc_want(pipe, PIPC_WANT_READ | PIPC_WANT_WRITE), 0);
    while (peer == NULL)
        peer = async_answer(&place, NULL);
    expect_talk(pipe, peer);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

/* More than a kernel takes: so a part of it is there before this side makes its last step. */
static pipc_t *answer_with_a_part(struct async_place *place, const pipc_options_t *options)
{
    enum { SIZE = 12 << 20 };
    pipc_t *peer = async_answer(place, options);
    char *data = calloc(1, SIZE);
    if (peer != NULL)
        assert_int_equal(pipc_write(peer, data, SIZE), SIZE);
    free(data);
    return peer;
}

TEST_OF_KIND(a_part_of_a_message_does_not_hide_that_the_peer_has_come)
{
    struct async_place place;
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    pipc_t *peer = expect_readable_once(&place, pipe, answer_with_a_part);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

/* The program makes no other call on the handle than that one, at each wakeup. */
TEST_OF_KIND(calls_that_take_in_messages_bring_the_peer)
{
    struct async_place place;
    pipc_msg_t message;
    async_begin(&place, kind);
    for (int pending = 0; pending < 2; pending++) {
        pipc_t *pipe = async_open_at(&place, -1, NULL), *peer = NULL;
        int fd = pipc_fd(pipe);
        while (peer == NULL || !is_open(pipe)) {
            assert_int_equal(pending ? pipc_pending(pipe) : pipc_read_pending(pipe, &message, 1),
                             0);
            peer = peer != NULL ? peer : async_answer(&place, NULL);
            if (!is_open(pipe))
                async_await(&place, pipe, peer);
        }
        assert_int_equal(pipc_fd(pipe), fd);
        net_say(pipe, "ping");
        pipc_close(pipe);
        pipc_close(peer);
        pipc_server_close(place.server);
        place.server = NULL;
    }
    async_end(&place);
}

/* Eight reports, as of any end. */
TEST_OF_KIND(every_call_reports_why_the_peer_did_not_come)
{
    struct async_place place;
    pipc_msg_t message;
    char byte;
    async_begin(&place, kind);
    harness_new_baseline();
    for (int round = 0; round < 2; round++) {
        pipc_t *pipe = async_open_at(&place, 30, NULL);
        int error = async_absent_error(&place), fd = pipc_fd(pipe);
        if (round == 0)
            assert_int_equal(async_outcome(pipe), error);
        while (round == 1 && pipc_read(pipe, &byte, 1) == -1 && errno == EAGAIN)
            assert_true(harness_readable(fd, -1));
        for (int i = 0; i < 2; i++)
            expect_each_call_fails(pipe, error);
        assert_errno(pipc_pending(pipe), error);
        assert_errno(pipc_read_pending(pipe, &message, 1), error);
        assert_int_equal(pipc_fd(pipe), fd);
        expect_nothing_written(pipe);
        assert_false(harness_readable(fd, 0));
        assert_errno(pipc_shutdown(pipe), error);
        pipc_close(pipe);
        harness_assert_nothing_left();
    }
    async_end(&place);
}

TEST_OF_KIND(a_failure_is_reported_eight_times_by_the_descriptor)
{
    struct async_place place;
    char byte;
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, 100 * harness_scale(), NULL);
    int error = async_absent_error(&place), reports = 0;
    assert_errno(pipc_write(pipe, "x", 1), EAGAIN); /* is not what keeps it readable */
    while (harness_readable(pipc_fd(pipe), reports == 0 ? -1 : 0)) {
        assert_int_equal(pipc_read(pipe, &byte, 1), -1);
        if (errno != EAGAIN) {
            assert_int_equal(errno, error);
            reports++;
        }
    }
    assert_int_equal(reports, 8);
    assert_int_equal(pipc_want(pipe, 0), 0);
    assert_true(harness_readable(pipc_fd(pipe), 0) || error == 0);
    pipc_close(pipe);
    async_end(&place);
}

TEST_OF_KIND(calls_that_wait_end_by_their_own_timeouts)
{
    struct async_place place;
    char byte;
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    assert_int_equal(pipc_set_timeout(pipe, 20, 30), 0);
    expect_each_call(pipe, ETIMEDOUT, true);
    int64_t begin = harness_now_ms();
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    assert_in_range(harness_now_ms() - begin, 20, 20 + 1000 * harness_scale());
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    pipc_t *peer = async_meet(&place, pipe, NULL);
    expect_talk(pipe, peer);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

struct answering {
    struct async_place *place;
    pthread_t thread;
};

/* Says ping, hears pong. */
static void *answer_in_thread(void *arg)
{
    struct answering *a = arg;
    pipc_t *peer;
    while ((peer = async_answer(a->place, NULL)) == NULL)
        async_await(a->place, NULL, NULL);
    assert_int_equal(pipc_set_timeout(peer, -1, -1), 0);
    net_say(peer, "ping");
    net_expect(peer, "pong");
    pipc_close(peer);
    return NULL;
}

static void start_answer(struct answering *a, struct async_place *place)
{
    a->place = place;
    assert_int_equal(pthread_create(&a->thread, NULL, answer_in_thread, a), 0);
}

TEST_OF_KIND(a_read_that_waits_gets_the_first_message_of_a_peer_that_comes_later)
{
    struct async_place place;
    struct answering answering;
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
    start_answer(&answering, &place);
    net_expect(pipe, "ping");
    net_say(pipe, "pong");
    assert_int_equal(pthread_join(answering.thread, NULL), 0);
    pipc_close(pipe);
    async_end(&place);
}

TEST_OF_KIND(a_write_and_a_flush_that_wait_do_so_until_the_peer_comes)
{
    struct async_place place;
    struct answering answering;
    async_begin(&place, kind);
    for (int flush = 0; flush < 2; flush++) {
        pipc_t *pipe = async_open_at(&place, -1, NULL);
        assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
        start_answer(&answering, &place);
        if (flush)
            assert_true(pipc_flush(pipe) >= 0);
        net_say(pipe, "pong");
        net_expect(pipe, "ping");
        assert_int_equal(pthread_join(answering.thread, NULL), 0);
        pipc_close(pipe);
        pipc_server_close(place.server);
        place.server = NULL;
    }
    async_end(&place);
}

TEST_OF_KIND(a_shutdown_before_the_peer_has_come_is_what_the_peer_sees)
{
    struct async_place place;
    char byte;
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    assert_true(pipc_fd(pipe) > 2);
    assert_int_equal(pipc_shutdown(pipe), 0);
    assert_errno(pipc_write(pipe, "x", 1), EPIPE);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    pipc_t *peer = NULL;
    while (peer == NULL) {
        peer = async_answer(&place, NULL);
        pipc_pending(pipe);
    }
    assert_int_equal(pipc_set_timeout(peer, -1, -1), 0);
    net_say(peer, "ping");
    assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
    net_expect(pipe, "ping");
    assert_errno(pipc_read(peer, &byte, 1), EPIPE);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

/* A flush says whether the peer is there, also when there is nothing more to be written. */
TEST_OF_KIND(after_a_shutdown_a_flush_still_waits_for_the_peer)
{
    struct async_place place;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    async_begin(&place, kind);
    for (int duplex = 0; duplex < 2; duplex++) {
        options.flags = duplex ? PIPC_DUPLEX : 0;
        pipc_t *pipe = async_open_at(&place, -1, &options);
        assert_int_equal(pipc_shutdown(pipe), 0);
        assert_errno(pipc_flush(pipe), EAGAIN);
        assert_int_equal(pipc_set_timeout(pipe, 0, 20), 0);
        assert_errno(pipc_flush(pipe), ETIMEDOUT);
        assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
        pipc_t *peer = async_meet(&place, pipe, NULL);
        assert_int_equal(pipc_flush(pipe), 0);
        assert_errno(pipc_write(pipe, "x", 1), EPIPE);
        pipc_close(pipe);
        pipc_close(peer);
        pipc_server_close(place.server);
        place.server = NULL;
    }
    async_end(&place);
}

TEST_OF_KIND(after_a_shutdown_every_call_reports_why_the_peer_did_not_come)
{
    struct async_place place;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    async_begin(&place, kind);
    for (int duplex = 0; duplex < 2; duplex++) {
        int error = async_absent_error(&place);
        options.flags = duplex ? PIPC_DUPLEX : 0;
        pipc_t *pipe = async_open_at(&place, 30, &options);
        assert_int_equal(pipc_shutdown(pipe), 0);
        assert_int_equal(async_outcome(pipe), error);
        expect_each_call_fails(pipe, error);
        assert_errno(pipc_shutdown(pipe), error);
        pipc_close(pipe);
    }
    async_end(&place);
}

TEST_OF_KIND(with_a_timeout_of_0_it_opens_at_once_or_fails)
{
    struct async_place place;
    async_begin(&place, kind);
    assert_null_errno(async_try(&place, 0, NULL),
                      async_absent_error(&place) == ECONNREFUSED ? ECONNREFUSED : EAGAIN);
    assert_null_errno(async_try(&place, -2, NULL), EINVAL);
    async_end(&place);
}

TEST(constructors_that_wait_for_nobody_refuse_the_flag)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pipc_t *end[2];
    options.flags = PIPC_ASYNC;
    assert_null_errno(pipc_open(&options), EINVAL);
    assert_errno(pipc_open_pair(end, &options), EINVAL);
    assert_null_errno(pipc_open_fds(0, 1, &options), EINVAL);
    assert_null_errno(pipc_server_open(NULL, 0, &options), EINVAL);
    assert_null_errno(pipc_server_open_unix("/nowhere/x", &options), EINVAL);
    assert_null_errno(pipc_server_open_fd(0, &options), EINVAL);
}

HARNESS_MAIN("async, open",
             OVER_CASES(without_a_peer_calls_return_EAGAIN_and_change_nothing, async_ways),
             OVER_CASES(a_handle_that_is_closed_before_its_peer_came_leaves_nothing, async_ways),
             OVER_CASES(one_descriptor_reports_the_peer_and_later_its_messages, async_ways),
             OVER_CASES(the_descriptor_is_readable_once_after_the_peer_has_come, async_ways),
             OVER_CASES(a_part_of_a_message_does_not_hide_that_the_peer_has_come, async_ways),
             OVER_CASES(calls_that_take_in_messages_bring_the_peer, async_ways),
             OVER_CASES(every_call_reports_why_the_peer_did_not_come, async_ways),
             OVER_CASES(a_failure_is_reported_eight_times_by_the_descriptor, async_ways),
             OVER_CASES(calls_that_wait_end_by_their_own_timeouts, async_ways),
             OVER_CASES(a_read_that_waits_gets_the_first_message_of_a_peer_that_comes_later,
                        async_ways),
             OVER_CASES(a_write_and_a_flush_that_wait_do_so_until_the_peer_comes, async_ways),
             OVER_CASES(a_shutdown_before_the_peer_has_come_is_what_the_peer_sees, async_ways),
             OVER_CASES(after_a_shutdown_a_flush_still_waits_for_the_peer, async_ways),
             OVER_CASES(after_a_shutdown_every_call_reports_why_the_peer_did_not_come, async_ways),
             OVER_CASES(with_a_timeout_of_0_it_opens_at_once_or_fails, async_ways),
             IT(constructors_that_wait_for_nobody_refuse_the_flag))
