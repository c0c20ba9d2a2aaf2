/* SPDX-License-Identifier: MIT */
/* Descriptors that travel with messages, on handles that are there before their peer. */
#include "async.h"
#include "fault.h"
#include "fds.h"
#include "platform.h"

static bool carries_fds(const struct async_place *place)
{
    return place->way == async_ways; /* a path */
}

static void end_server(struct async_place *place)
{
    pipc_server_close(place->server);
    place->server = NULL;
}

static void allow_time(pipc_t *pipe, pipc_t *peer)
{
    assert_int_equal(pipc_set_timeout(pipe, 10000, 10000), 0);
    assert_int_equal(pipc_set_timeout(peer, 10000, 10000), 0);
}

static void expect_brought(pipc_t *from, pipc_t *to, const struct fds *fds, int count)
{
    fds_say(from, "here", fds, count);
    fds_expect(to, "here");
    fds_expect_taken(to, fds, count);
}

/* ---- before the peer is there ---- */

static void expect_as_before(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    assert_int_equal(stats.messages_written, 0);
    assert_int_equal(stats.bytes_held, 0);
}

TEST_OF_KIND(without_a_peer_descriptors_are_neither_sent_nor_taken)
{
    struct async_place place;
    struct fds fds;
    fds_make(&fds);
    async_begin(&place, kind);
    for (unsigned asks = 0; asks < 2; asks++) {
        int detached[2], taken[1];
        pipc_credentials_t credentials = PIPC_CREDENTIALS_INIT;
        pipc_options_t options = fds_options(0);
        pipc_t *pipe = async_open_at(&place, -1, asks ? &options : NULL);
        assert_errno(pipc_write_fds(pipe, "x", 1, fds.fd, 2),
                     carries_fds(&place) ? EAGAIN : EOPNOTSUPP);
        assert_errno(pipc_write_fds(pipe, "x", 1, fds.fd, FDS_MAX + 1), EINVAL);
        assert_int_equal(pipc_take_fds(pipe, taken, 1), 0);
        assert_errno(pipc_credentials(pipe, &credentials), EAGAIN);
        assert_errno(pipc_detach(pipe, detached), EAGAIN);
        assert_int_equal(pipc_set_timeout(pipe, 0, 20), 0);
        assert_errno(pipc_write_fds(pipe, "x", 1, fds.fd, 2),
                     carries_fds(&place) ? ETIMEDOUT : EOPNOTSUPP);
        assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
        expect_as_before(pipe);
        pipc_t *peer = async_meet(&place, pipe, NULL);
        allow_time(pipe, peer);
        net_expect_talk(pipe, peer);
        pipc_close(pipe);
        pipc_close(peer);
        end_server(&place);
    }
    async_end(&place);
    fds_end(&fds);
}

/* No other call has noticed it before. */
TEST(when_the_server_never_comes_a_write_with_descriptors_reports_why)
{
    struct async_place place;
    struct fds fds;
    int detached[2], taken[1];
    fds_make(&fds);
    async_begin(&place, async_ways);
    for (int i = 0; i < 2; i++) {
        pipc_options_t options = fds_options(i == 0 ? 0 : PIPC_GATHER);
        pipc_t *pipe = async_open_at(&place, 60, &options);
        if (i == 1)
            net_say(pipe, "gathered");
        while (pipc_write_fds(pipe, "x", 1, fds.fd, 1) == -1 && errno == EAGAIN)
            assert_true(harness_readable(pipc_fd(pipe), -1));
        assert_int_equal(errno, ETIMEDOUT);
        assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0); /* which is not this timeout */
        assert_errno(pipc_write_fds(pipe, "x", 1, fds.fd, 1), ETIMEDOUT);
        assert_errno(pipc_write(pipe, "x", 1), ETIMEDOUT);
        assert_errno(pipc_read(pipe, NULL, 0), ETIMEDOUT);
        assert_int_equal(pipc_take_fds(pipe, taken, 1), 0);
        assert_errno(pipc_detach(pipe, detached), ETIMEDOUT);
        pipc_close(pipe);
    }
    async_end(&place);
    fds_end(&fds);
}

struct later {
    struct async_place *place;
    const struct fds *fds;
};

static void *serve_later(void *arg)
{
    struct later *later = arg;
    pipc_options_t options = fds_options(0);
    pipc_server_t *server = pipc_server_open_unix(later->place->path, &options);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_int_equal(pipc_set_timeout(pipe, 10000, 10000), 0);
    fds_expect(pipe, "first");
    fds_expect_taken(pipe, later->fds, 3);
    pipc_close(pipe);
    pipc_server_close(server);
    return NULL;
}

TEST(a_write_with_descriptors_waits_for_the_server)
{
    struct async_place place;
    struct fds fds;
    pthread_t thread;
    fds_make(&fds);
    async_begin(&place, async_ways);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
    struct later later = {&place, &fds};
    assert_int_equal(pthread_create(&thread, NULL, serve_later, &later), 0);
    fds_say(pipe, "first", &fds, 3);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pipc_close(pipe);
    async_end(&place);
    fds_end(&fds);
}

/* The clock stands still: a write that comes late would not only gather. */
static void gather(pipc_t *pipe, const char *text)
{
    fault_arm();
    ssize_t size = pipc_write(pipe, text, strlen(text));
    fault_disarm();
    assert_int_equal(size, strlen(text));
}

TEST(what_was_gathered_before_the_server_came_goes_before_descriptors)
{
    struct async_place place;
    struct fds fds;
    pipc_options_t options = fds_options(PIPC_GATHER);
    fds_make(&fds);
    async_begin(&place, async_ways);
    pipc_t *pipe = async_open_at(&place, -1, &options);
    fault_reset();
    fault_frozen_time();
    gather(pipe, "gathered");
    gather(pipe, "as well");
    assert_errno(pipc_write_fds(pipe, "now", 3, fds.fd, 1), EAGAIN);
    pipc_t *peer = async_meet(&place, pipe, &options);
    allow_time(pipe, peer);
    fds_say(pipe, "now", &fds, 1);
    fds_expect(peer, "gathered");
    fds_expect(peer, "as well");
    fds_expect_taken(peer, &fds, 0);
    fds_expect(peer, "now");
    fds_expect_taken(peer, &fds, 1);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
    fds_end(&fds);
}

/* ---- once it is there ---- */

struct meeting {
    bool is_there; /* the server, before the client */
    bool asks_for_descriptor, asks_for_fds;
};

static void meet_and_bring(const struct meeting *m, const struct fds *fds)
{
    struct async_place place;
    pipc_options_t server_options = fds_options(0), options = PIPC_OPTIONS_INIT;
    options.flags = m->asks_for_fds ? PIPC_ACCEPT_FDS : 0;
    async_begin(&place, async_ways);
    if (m->is_there)
        assert_null(async_answer(&place, &server_options));
    pipc_t *pipe = async_open_at(&place, -1, &options);
    if (m->asks_for_descriptor)
        assert_true(pipc_fd(pipe) > 2);
    pipc_t *peer = async_meet(&place, pipe, &server_options);
    allow_time(pipe, peer);
    expect_brought(pipe, peer, fds, 2);
    if (m->asks_for_fds)
        expect_brought(peer, pipe, fds, FDS_MAX);
    else if (fds_can_refuse())
        assert_errno(pipc_write_fds(peer, "no", 2, fds->fd, 1), EOPNOTSUPP);
    net_expect_talk(peer, pipe);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

TEST(a_client_takes_descriptors_if_it_has_asked_for_them)
{
    platform_needs(PLATFORM_SWITCH);
    struct fds fds;
    fds_make(&fds);
    for (unsigned i = 0; i < 8; i++) {
        struct meeting m = {(i & 1) != 0, (i & 2) != 0, (i & 4) != 0};
        meet_and_bring(&m, &fds);
    }
    fds_end(&fds);
}

/* Only another process can have the key as well. */
static int call_with_key(void *arg)
{
    const struct later *later = arg;
    pipc_options_t options = net_with_key("secret");
    options.flags = PIPC_ACCEPT_FDS;
    pipc_t *pipe = async_open_at(later->place, -1, &options);
    assert_int_equal(pipc_set_timeout(pipe, 10000, 10000), 0);
    fds_say(pipe, "there", later->fds, 2);
    fds_expect(pipe, "back");
    fds_expect_taken(pipe, later->fds, 3);
    pipc_close(pipe);
    return 0;
}

TEST(behind_a_handshake_with_a_key_descriptors_travel_both_ways)
{
    struct async_place place;
    struct fds fds;
    pipc_options_t options = net_with_key("secret");
    options.flags = PIPC_ACCEPT_FDS;
    fds_make(&fds);
    async_begin(&place, async_ways);
    struct later later = {&place, &fds};
    pid_t pid = harness_fork(call_with_key, &later);
    pipc_server_t *server = pipc_server_open_unix(place.path, &options);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 10000, 10000), 0);
    fds_expect(pipe, "there");
    fds_expect_taken(pipe, &fds, 2);
    fds_say(pipe, "back", &fds, 3);
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(pipe);
    pipc_server_close(server);
    async_end(&place);
    fds_end(&fds);
}

/* The flag changes nothing where no descriptors travel. */
TEST_OF_KIND(the_other_ways_bring_none_also_if_they_were_asked_for)
{
    struct async_place place;
    struct fds fds;
    pipc_options_t options = fds_options(0);
    fds_make(&fds);
    async_begin(&place, kind);
    pipc_t *pipe = async_open_at(&place, -1, &options);
    pipc_t *peer = async_meet(&place, pipe, &options);
    allow_time(pipe, peer);
    if (!carries_fds(&place))
        assert_errno(pipc_write_fds(pipe, "no", 2, fds.fd, 1), EOPNOTSUPP);
    net_expect_talk(pipe, peer);
    assert_int_equal(fds_take_all(peer), 0);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
    fds_end(&fds);
}

/* ---- detaching ---- */

static pipc_t *detach_and_adopt(pipc_t *pipe, unsigned flags)
{
    int detached[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = flags;
    assert_int_equal(pipc_detach(pipe, detached), 0);
    assert_int_equal(detached[0], detached[1]);
    return harness_adopt(detached[0], detached[1], &options);
}

TEST(a_detached_client_takes_along_what_has_come_with_descriptors)
{
    struct async_place place;
    struct fds fds;
    pipc_options_t options = fds_options(0);
    fds_make(&fds);
    async_begin(&place, async_ways);
    pipc_t *pipe = async_open_at(&place, -1, &options);
    pipc_t *peer = async_meet(&place, pipe, &options);
    fds_say(peer, "unread", &fds, 5);
    pipe = detach_and_adopt(pipe, PIPC_ACCEPT_FDS);
    fds_expect(pipe, "unread");
    fds_expect_taken(pipe, &fds, 5);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
    fds_end(&fds);
}

TEST(a_detached_client_that_did_not_ask_refuses_descriptors_until_an_adopter_does)
{
    platform_needs(PLATFORM_SWITCH);
    struct async_place place;
    struct fds fds;
    if (!fds_can_refuse())
        harness_skip("needs SO_PASSRIGHTS");
    fds_make(&fds);
    async_begin(&place, async_ways);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    pipc_t *peer = async_meet(&place, pipe, NULL);
    pipe = detach_and_adopt(pipe, 0);
    assert_errno(pipc_write_fds(peer, "no", 2, fds.fd, 1), EOPNOTSUPP);
    pipe = detach_and_adopt(pipe, PIPC_ACCEPT_FDS);
    allow_time(pipe, peer);
    expect_brought(peer, pipe, &fds, 1);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
    fds_end(&fds);
}

HARNESS_MAIN("asynchronous descriptors",
             OVER_CASES(without_a_peer_descriptors_are_neither_sent_nor_taken, async_ways),
             IT(when_the_server_never_comes_a_write_with_descriptors_reports_why),
             IT(a_write_with_descriptors_waits_for_the_server),
             IT(what_was_gathered_before_the_server_came_goes_before_descriptors),
             IT(a_client_takes_descriptors_if_it_has_asked_for_them),
             IT(behind_a_handshake_with_a_key_descriptors_travel_both_ways),
             OVER_CASES(the_other_ways_bring_none_also_if_they_were_asked_for, async_ways),
             IT(a_detached_client_takes_along_what_has_come_with_descriptors),
             IT(a_detached_client_that_did_not_ask_refuses_descriptors_until_an_adopter_does))
