/* SPDX-License-Identifier: MIT */
/*
 * Random traffic on every kind of pipe, beside a model that knows what each peer may expect. After
 * every step the descriptor is readable if a wanted call would do something, and does not stay
 * readable if none would. It is checked by level with poll, and by edge with an epoll set that is
 * drained after each edge. The printed PIPC_TEST_SEED repeats a run.
 */
#include "descriptor_model.h"
#include "platform.h"

#include <sys/epoll.h>
#include <unistd.h>

/* --- One step --------------------------------------------------------------------------------- */

static size_t random_size(void)
{
    switch (harness_random_below(20)) {
    case 0:
        return harness_random_below(SIZE_MAX_SENT);
    case 1:
    case 2:
        return harness_random_below(100 * 1000);
    case 3:
        return 0;
    default:
        return harness_random_below(400);
    }
}

static void note_sent(struct world *w, int side, size_t size)
{
    struct flow *flow = &w->to[1 - side];
    assert_true(flow->sent < SENT_MAX);
    flow->size[flow->sent++] = size;
}

static void note_read(struct world *w, int side, const void *data, size_t size, pipc_kind_t kind)
{
    struct flow *flow = &w->to[side];
    assert_true(flow->read < flow->sent);
    assert_int_equal(kind, PIPC_DATA);
    assert_int_equal(size, flow->size[flow->read]);
    harness_check(data, size, tag_of(side, flow->read));
    flow->read++;
}

/* A read that found nothing was right to. */
static void note_nothing(struct world *w, int side)
{
    assert_int_equal(errno, EAGAIN);
    if (peer_of(w, side)->delay_ms == 0)
        assert_false(has_a_whole_message(w, side));
}

static void step_write(struct world *w, int side)
{
    size_t size = random_size();
    harness_fill(w->buffer, size, tag_of(1 - side, w->to[1 - side].sent));
    ssize_t sent = peer_write(peer_of(w, side), w->buffer, size);
    w->interest[side] = sent < 0;
    if (sent < 0)
        assert_int_equal(errno, EAGAIN);
    else
        note_sent(w, side, size);
}

static void step_write_batch(struct world *w, int side)
{
    struct iovec batch[20];
    size_t count = 1 + harness_random_below(20), offset = 0;
    for (size_t i = 0; i < count; i++) {
        batch[i] = (struct iovec){w->buffer + offset, harness_random_below(300)};
        harness_fill(batch[i].iov_base, batch[i].iov_len,
                     tag_of(1 - side, w->to[1 - side].sent + i));
        offset += batch[i].iov_len;
    }
    ssize_t went = peer_write_batch(peer_of(w, side), batch, count);
    w->interest[side] = went < (ssize_t)count;
    if (went < 0)
        assert_int_equal(errno, EAGAIN);
    for (ssize_t i = 0; i < went; i++)
        note_sent(w, side, batch[i].iov_len);
}

static void step_read(struct world *w, int side)
{
    bool told = is_told_of_flush(w, side);
    ssize_t got = peer_read(peer_of(w, side), w->buffer, SIZE_MAX_SENT);
    note_told(w, side, told, got < 0);
    if (got < 0)
        note_nothing(w, side);
    else
        note_read(w, side, w->buffer, (size_t)got, PIPC_DATA);
}

static void step_read_msg(struct world *w, int side)
{
    pipc_msg_t message;
    bool told = is_told_of_flush(w, side);
    int result = peer_read_msg(peer_of(w, side), &message);
    note_told(w, side, told, result != 0);
    if (result != 0) {
        note_nothing(w, side);
        return;
    }
    note_read(w, side, message.data, message.size, message.kind);
    pipc_msg_free(&message);
}

static void step_read_pending(struct world *w, int side)
{
    pipc_msg_t got[8];
    bool told = is_told_of_flush(w, side);
    ssize_t count = peer_read_pending(peer_of(w, side), got, 1 + harness_random_below(8));
    assert_true(count >= 0);
    note_told(w, side, told, count == 0);
    for (ssize_t i = 0; i < count; i++) {
        note_read(w, side, got[i].data, got[i].size, got[i].kind);
        pipc_msg_free(&got[i]);
    }
}

static void step_peek(struct world *w, int side)
{
    pipc_msg_t view;
    bool told = is_told_of_flush(w, side);
    int result = peer_peek(peer_of(w, side), &view);
    note_told(w, side, told, result != 0);
    if (result != 0) {
        note_nothing(w, side);
        return;
    }
    note_read(w, side, view.data, view.size, view.kind);
    w->to[side].read--;
}

static void step_skip(struct world *w, int side)
{
    bool told = is_told_of_flush(w, side);
    int result = peer_skip(peer_of(w, side));
    note_told(w, side, told, result != 0);
    if (result != 0)
        note_nothing(w, side);
    else
        w->to[side].read++;
}

static void step_read_too_little(struct world *w, int side)
{
    struct flow *flow = &w->to[side];
    size_t size = flow->read < flow->sent ? flow->size[flow->read] : 0;
    if (size == 0)
        return;
    bool told = is_told_of_flush(w, side);
    assert_int_equal(peer_read(peer_of(w, side), w->buffer, size - 1), -1);
    assert_true(errno == EMSGSIZE || errno == EAGAIN);
    note_told(w, side, told, errno == EAGAIN);
}

static void step_pending(struct world *w, int side)
{
    bool told = is_told_of_flush(w, side);
    ssize_t pending = peer_pending(peer_of(w, side));
    assert_in_range(pending, 0, owed(w, side));
    note_told(w, side, told, pending == 0);
}

/* Whose output is held, the statistics of an anonymous pipe do not say: there, who is told of it is
 * not known. */
static void step_flush(struct world *w, int side)
{
    bool failed = peer_flush(peer_of(w, side)) < 0;
    w->flush[side] = failed && !w->p.kind->same_handle;
    w->interest[side] = failed && w->interest[side];
    assert_true(!failed || errno == EAGAIN);
    assert_true(failed || w->p.kind->same_handle || held(w, side) == 0);
}

static void want(struct world *w, int side, unsigned events)
{
    assert_int_equal(peer_want(peer_of(w, side), w->want[side] = events), 0);
}

static void step_want(struct world *w, int side)
{
    want(w, side, (unsigned)harness_random_below(4));
}

static void random_step(struct world *w)
{
    static void (*const steps[])(struct world * w, int side) = {
        step_write,        step_write, step_write, step_write,           step_write_batch,
        step_read,         step_read,  step_read,  step_read_msg,        step_read_msg,
        step_read_pending, step_peek,  step_skip,  step_read_too_little, step_pending,
        step_flush,        step_want,
    };
    steps[harness_random_below(sizeof steps / sizeof steps[0])](w, (int)harness_random_below(2));
}

/* --- Level-triggered -------------------------------------------------------------------------- */

static bool is_silent(struct world *w, int side)
{
    return !harness_readable(w->fd[side], 0);
}

/* A program would not call any more, so no work may be left for a call. */
static void check_silence(struct world *w)
{
    int64_t deadline = harness_now_ms() + w->p.a.delay_ms;
    while (is_silent(w, 0) && is_silent(w, 1)) {
        if (has_nothing_to_do(w, 0) && has_nothing_to_do(w, 1))
            return;
        assert_true(harness_now_ms() < deadline);
    }
}

/* The call after a spurious wakeup. */
static void find_nothing(struct world *w, int side)
{
    if (reads(w, side))
        step_read(w, side);
    else
        step_pending(w, side);
}

static void check_side(struct world *w, int side)
{
    if (reads(w, side) && has_a_whole_message(w, side))
        assert_true(harness_readable(w->fd[side], w->p.a.delay_ms));
    if (writes(w, side) && is_told_of_flush(w, side))
        assert_true(harness_readable(w->fd[side], 0));
    if (platform_has(PLATFORM_EXACT) && !has_reason(w, side) && !is_silent(w, side)) {
        find_nothing(w, side);
        assert_true(is_silent(w, side));
    }
    if (harness_random_below(3) == 0 && is_silent(w, side)) {
        size_t before = w->to[side].read;
        bool wanted = reads(w, side);
        step_read(w, side);
        assert_true(!wanted || w->to[side].read == before || w->p.a.delay_ms > 0);
    }
}

static void check_levels(struct world *w)
{
    check_side(w, 0);
    check_side(w, 1);
    check_silence(w);
}

/* A program that calls when its descriptor says so, and at no other time. */
static void drain_by_level(struct world *w)
{
    while (!(has_nothing_to_do(w, 0) && has_nothing_to_do(w, 1))) {
        check_silence(w);
        for (int side = 0; side < 2; side++)
            if (!is_silent(w, side)) {
                if (w->interest[side] || w->flush[side])
                    step_flush(w, side);
                step_read(w, side);
            }
    }
}

/* --- Edge-triggered --------------------------------------------------------------------------- */

static void watch_edges(struct world *w)
{
    w->set = epoll_create1(EPOLL_CLOEXEC);
    assert_true(w->set >= 0);
    for (int side = 0; side < 2; side++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = side};
        assert_int_equal(epoll_ctl(w->set, EPOLL_CTL_ADD, w->fd[side], &event), 0);
    }
}

static void drain_side(struct world *w, int side)
{
    for (size_t before = SIZE_MAX; reads(w, side) && w->to[side].read != before;) {
        before = w->to[side].read;
        step_read(w, side);
    }
    if (!reads(w, side))
        step_pending(w, side);
    if (w->interest[side] && writes(w, side))
        step_write(w, side);
    if (w->flush[side])
        step_flush(w, side);
}

static bool take_edges(struct world *w, int timeout_ms)
{
    struct epoll_event events[2];
    int count = epoll_wait(w->set, events, 2, timeout_ms);
    for (int i = 0; i < count; i++)
        drain_side(w, events[i].data.fd);
    return count > 0;
}

/* Until no edge comes any more: then nothing may be left. */
static void check_edges(struct world *w)
{
    while (take_edges(w, 0))
        continue;
    while (!(has_nothing_to_do(w, 0) && has_nothing_to_do(w, 1)))
        assert_true(take_edges(w, w->p.a.delay_ms));
}

/* --- A round ---------------------------------------------------------------------------------- */

static void begin_round(struct world *w, const struct kind *kind)
{
    static const size_t limits[] = {0, 0, 20 * 1000, 500};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_pending = limits[harness_random_below(4)];
    options.flags = harness_random_below(2) == 0 ? PIPC_GATHER : 0;
    peers_open(&w->p, kind, &options);
    peer_set_timeout(&w->p.a, 0, 0);
    peer_set_timeout(&w->p.b, 0, 0);
    w->to[0].sent = w->to[0].read = w->to[1].sent = w->to[1].read = 0;
    w->interest[0] = w->interest[1] = w->flush[0] = w->flush[1] = false;
    w->want[0] = w->want[1] = PIPC_WANT_READ | PIPC_WANT_WRITE;
    for (size_t early = harness_random_below(20); early > 0; early--)
        random_step(w); /* before anybody asks for a descriptor */
    w->fd[0] = peer_fd(&w->p.a);
    w->fd[1] = peer_fd(&w->p.b);
    assert_true(w->fd[0] >= 0 && w->fd[1] >= 0);
}

/* One side ends, the other must hear of it. */
static void end_round(struct world *w)
{
    int side = (int)harness_random_below(2);
    struct peer *leaver = peer_of(w, side), *other = peer_of(w, 1 - side);
    size_t how = harness_random_below(3);
    if (how == 0)
        peer_close(leaver);
    else if (how == 1)
        assert_int_equal(peer_shutdown(leaver), 0);
    else
        assert_int_equal(peer_disconnect(leaver, "bye"), 0);
    assert_true(harness_readable(w->fd[1 - side], other->delay_ms));
    assert_errno(peer_read(other, NULL, 0), how == 2 ? ESHUTDOWN : EPIPE);
    peer_close(leaver);
    peers_close(&w->p);
}

static void run_rounds(const struct kind *kind, bool edges)
{
    struct world *w = malloc(sizeof *w);
    int rounds = kind_delay_ms(kind) > 0 ? SLOW_ROUNDS : ROUNDS; /* TCP waits for its own timers */
    w->buffer = malloc(SIZE_MAX_SENT);
    for (int round = 0; round < rounds; round++) {
        begin_round(w, kind);
        if (edges)
            watch_edges(w);
        for (int step = 0; step < STEPS / harness_scale(); step++) {
            random_step(w);
            if (!edges)
                check_levels(w);
            else if (harness_random_below(4) == 0)
                check_edges(w);
        }
        want(w, 0, PIPC_WANT_READ | PIPC_WANT_WRITE);
        want(w, 1, PIPC_WANT_READ | PIPC_WANT_WRITE);
        if (edges)
            check_edges(w);
        else
            drain_by_level(w);
        end_round(w);
        if (edges)
            close(w->set);
    }
    free(w->buffer);
    free(w);
}

TEST_OF_KIND(the_descriptor_is_readable_whenever_a_call_would_progress)
{
    run_rounds(kind, false);
}

TEST_OF_KIND(the_descriptor_raises_an_edge_whenever_a_call_would_progress)
{
    platform_needs(PLATFORM_SETS);
    run_rounds(kind, true);
}

HARNESS_MAIN("descriptor_property",
             OVER_KINDS(the_descriptor_is_readable_whenever_a_call_would_progress),
             OVER_KINDS(the_descriptor_raises_an_edge_whenever_a_call_would_progress))
