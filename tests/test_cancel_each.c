/* SPDX-License-Identifier: MIT */
/*
 * A thread is cancelled before each system call and each allocation of the calls that read and
 * write, on each kind of pipe. Only a wait ends the call. Then another thread continues with the
 * handle, and neither peer loses, repeats or mixes a message.
 */
#include "cancelling.h"
#include "fault.h"
#include "fifos.h"
#include "harness.h"

enum { LAST = 100 }; /* the size of the last message alone */

/* More than the pipe holds. */
static size_t large(const struct cancelling *c)
{
    return c->volume + c->volume / 4 + 40000;
}

/* ---- who goes on ---- */

/* With a descriptor it waits nowhere else but in poll. */
static void prepare_to_go_on(struct cancelling *c)
{
    if (c->polled)
        c->descriptor = pipc_fd(c->mine);
    assert_int_equal(pipc_set_timeout(c->mine, c->polled ? 0 : -1, c->polled ? 0 : -1), 0);
}

static bool is_worth_repeating(struct cancelling *c, ssize_t result)
{
    if (result >= 0 || !c->polled || errno != EAGAIN)
        return false;
    if (!harness_readable(c->descriptor, HARNESS_TIMEOUT_MS / 2))
        fail_msg("the descriptor is silent");
    return true;
}

static void read_on(struct cancelling *c)
{
    ssize_t size;
    do
        size = cancelling_read(&c->in, c->mine);
    while (size >= 0 || is_worth_repeating(c, size));
    c->is_dead = errno == ENOMEM && c->starve;
    if (!c->is_dead)
        assert_int_equal(errno, ESHUTDOWN);
}

static void flush_on(struct cancelling *c)
{
    ssize_t result;
    do
        result = pipc_flush(c->mine);
    while (is_worth_repeating(c, result));
    assert_true(result >= 0);
}

static int disconnect_on(struct cancelling *c)
{
    int result;
    do
        result = pipc_disconnect(c->mine, "so long");
    while (is_worth_repeating(c, result));
    return result;
}

static void write_last(struct cancelling *c)
{
    ssize_t result;
    size_t before = cancelling_given(&c->out);
    do {
        cancelling_take_back(&c->out, before);
        result = cancelling_write(&c->out, c->mine, LAST);
    } while (is_worth_repeating(c, result));
    c->is_dead = result < 0 && errno == ENOMEM && c->starve;
    if (!c->is_dead)
        assert_int_equal(result, LAST);
}

static void finish_mine(struct cancelling *c)
{
    c->stats = (pipc_stats_t)PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(c->mine, &c->stats), 0);
    if (c->kind->same_handle) /* it counts for both sides */
        c->stats.messages_written -= cancelling_given(&c->in);
    pipc_close(c->mine);
}

/* ---- writing ---- */

static void write_all_ways(struct cancelling *c)
{
    cancelling_write(&c->out, c->mine, large(c));
    cancelling_write(&c->out, c->mine, 10);
    cancelling_writev(&c->out, c->mine, large(c), 100); /* with memory for the parts */
    cancelling_batch(&c->out, c->mine, 700, large(c) / 700);
    cancelling_batch(&c->out, c->mine, large(c) / 2, 3);
    cancelling_write(&c->out, c->mine, 400);
}

static void flush_what_is_held(struct cancelling *c)
{
    pipc_set_timeout(c->mine, 0, 0);
    cancelling_write(&c->out, c->mine, large(c));
    pipc_set_timeout(c->mine, 20000, 20000);
    pipc_flush(c->mine);
    pipc_fd(c->mine);
    pipc_pending(c->mine);
}

/* Also a message that the writer receives while it waits. */
static bool read_all_there_is(struct cancelling *c)
{
    size_t before = cancelling_given(&c->in);
    while (cancelling_read(&c->out, c->theirs) >= 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    if (before < 50 && cancelling_write(&c->in, c->theirs, 2000) < 0)
        cancelling_take_back(&c->in, before);
    return true;
}

static void write_on(struct cancelling *c)
{
    prepare_to_go_on(c);
    flush_on(c);
    write_last(c);
    if (!c->is_dead)
        read_on(c);
    finish_mine(c);
}

static void read_to_the_last(struct cancelling *c)
{
    ssize_t size;
    do
        size = cancelling_read(&c->out, c->theirs);
    while (size >= 0 && size != LAST);
    if (size == LAST)
        assert_int_equal(pipc_disconnect(c->theirs, "so long"), 0);
    else
        assert_true(c->starve && (errno == EPIPE || errno == ECONNRESET));
}

static void check_written(struct cancelling *c)
{
    assert_int_equal(c->stats.bytes_held, 0);
    if (c->is_dead)
        return;
    assert_int_equal(c->stats.messages_written, c->out.arrived);
    assert_int_equal(c->in.arrived, c->in.given);
}

/* ---- reading ---- */

static const size_t small_sizes[] = {8, 700, 40000, 0, 64, 3000, 8, 9, 10, 0, 500, 0};
enum { MESSAGES = sizeof small_sizes / sizeof small_sizes[0] };

static void read_all_ways(struct cancelling *c)
{
    for (int i = 0; i < 4; i++)
        cancelling_read(&c->in, c->mine);
    cancelling_read_msg(&c->in, c->mine);
    cancelling_peek_and_skip(&c->in, c->mine);
    pipc_pending(c->mine);
    cancelling_read_pending(&c->in, c->mine);
    int result = 0;
    while (result == 0 && c->in.arrived < MESSAGES - 2)
        result = cancelling_read_msg(&c->in, c->mine);
    cancelling_peek_and_skip(&c->in, c->mine);
    cancelling_read(&c->in, c->mine);
}

/* Bit by bit; the large ones (0) more slowly. */
static bool send_some(struct cancelling *c)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    pipc_flush(c->theirs);
    assert_int_equal(pipc_stats(c->theirs, &stats), 0);
    size_t number = cancelling_given(&c->in);
    if (stats.bytes_held > 0 || number == MESSAGES)
        return false;
    size_t size = small_sizes[number] > 0 ? small_sizes[number] : large(c);
    if (cancelling_write(&c->in, c->theirs, size) < 0)
        cancelling_take_back(&c->in, number);
    return false;
}

static void send_the_rest(struct cancelling *c)
{
    size_t before;
    do {
        before = cancelling_given(&c->in);
        send_some(c);
    } while (cancelling_given(&c->in) > before);
    assert_true(before == MESSAGES || c->starve);
    int result = pipc_disconnect(c->theirs, "so long");
    assert_true(result == 0 || c->starve);
}

static void go_on_reading(struct cancelling *c)
{
    prepare_to_go_on(c);
    read_on(c);
    finish_mine(c);
}

static void check_read(struct cancelling *c)
{
    if (!c->is_dead)
        assert_int_equal(c->in.arrived, MESSAGES);
}

/* ---- the goodbye ---- */

static void fill_and_disconnect(struct cancelling *c)
{
    pipc_set_timeout(c->mine, 0, 0);
    cancelling_write(&c->out, c->mine, large(c));
    pipc_set_timeout(c->mine, -1, -1);
    assert_int_equal(pipc_disconnect(c->mine, "so long"), 0);
}

static void disconnect_again(struct cancelling *c)
{
    if (!c->kind->same_handle || !c->has_acted) {
        prepare_to_go_on(c);
        int result = disconnect_on(c);
        if (result != 0)
            assert_errno(result, EPIPE); /* it has been said, at least its beginning */
        if (!c->kind->same_handle)
            flush_on(c);
    }
    finish_mine(c);
}

static void read_to_the_goodbye(struct cancelling *c)
{
    while (cancelling_read(&c->out, c->theirs) >= 0)
        continue;
    assert_int_equal(errno, ESHUTDOWN);
    assert_string_equal(pipc_bye_text(c->theirs), "so long");
}

static void check_goodbye(struct cancelling *c)
{
    assert_int_equal(c->out.arrived, 1);
}

/* ---- the sweeps ---- */

static const struct cancelling writing = {.act = write_all_ways,
                                          .step = read_all_there_is,
                                          .go_on = write_on,
                                          .peer = read_to_the_last,
                                          .check = check_written};
static const struct cancelling flushing = {.act = flush_what_is_held,
                                           .step = read_all_there_is,
                                           .go_on = write_on,
                                           .peer = read_to_the_last,
                                           .check = check_written};
static const struct cancelling reading = {.act = read_all_ways,
                                          .step = send_some,
                                          .go_on = go_on_reading,
                                          .peer = send_the_rest,
                                          .check = check_read};
static const struct cancelling leaving = {.act = fill_and_disconnect,
                                          .step = read_all_there_is,
                                          .go_on = disconnect_again,
                                          .peer = read_to_the_goodbye,
                                          .check = check_goodbye};

static void sweep(const struct kind *kind, const char *name, const struct cancelling *what)
{
    cancelling_report(kind, name, cancelling_sweep(kind, what));
}

/* FIFOs take tens of milliseconds to make and to remove, and afterwards are as a pair. */
static bool is_slow(const struct kind *kind)
{
    return !kind->local && !kind->tcp;
}

static void sweep_ways(const struct kind *kind, const char *name, const struct cancelling *what)
{
    struct cancelling way = *what;
    sweep(kind, name, &way);
    if (is_slow(kind))
        return;
    way.polled = true;
    sweep(kind, name, &way);
    way.flags = PIPC_DUPLEX | PIPC_INTERRUPTIBLE;
    sweep(kind, name, &way);
    if (what == &reading)
        return; /* what the peer gathers would not come */
    way.flags = PIPC_GATHER;
    way.polled = what == &flushing;
    sweep(kind, name, &way);
}

TEST_OF_KIND(a_cancelled_write_sends_its_message_whole_or_not_at_all)
{
    sweep_ways(kind, "writing", &writing);
    sweep_ways(kind, "flushing", &flushing);
}

TEST_OF_KIND(a_cancelled_read_leaves_the_message_to_the_next_read)
{
    sweep_ways(kind, "reading", &reading);
}

TEST_OF_KIND(a_cancelled_goodbye_arrives_at_most_once)
{
    sweep_ways(kind, "disconnecting", &leaving);
}

TEST_OF_KIND(a_cancelled_call_without_memory_ends_only_its_direction)
{
    struct cancelling starved = writing;
    starved.starve = true;
    if (is_slow(kind))
        return;
    sweep(kind, "writing without memory", &starved);
    starved = reading;
    starved.starve = true;
    sweep(kind, "reading without memory", &starved);
}

/* ---- calls that do not wait ---- */

struct visit {
    const struct kind *kind;
    pipc_t *end[2];
    unsigned long nth;
    bool is_done;
};

static void ask_all(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    pipc_credentials_t who = PIPC_CREDENTIALS_INIT;
    char text[200];
    int fds[4];
    assert_true(pipc_fd(pipe) >= 0);
    assert_int_equal(pipc_want(pipe, PIPC_WANT_READ | PIPC_WANT_WRITE), 0);
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    pipc_peer(pipe, text, sizeof text);
    pipc_credentials(pipe, &who);
    assert_int_equal(pipc_take_fds(pipe, fds, 4), 0);
    assert_null(pipc_bye_text(pipe));
    assert_int_equal(pipc_want(pipe, PIPC_WANT_READ), 0);
}

static void *visit_all(void *context)
{
    struct visit *v = context;
    int unused;
    char byte;
    fault_cancel_at(v->nth, false);
    fault_arm();
    if (v->kind->local)
        assert_int_equal(v->kind->open(v->end, NULL), 0);
    assert_int_equal(pipc_set_timeout(v->end[0], 0, 0), 0);
    assert_int_equal(pipc_write(v->end[0], "x", 1), 1);
    assert_errno(pipc_read(v->end[0], &byte, 1), EAGAIN);
    ask_all(v->end[0]);
    assert_true(pipc_flush(v->end[0]) >= 0);
    assert_int_equal(pipc_shutdown(v->end[0]), 0);
    pipc_close(v->end[0]);
    fault_disarm();
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
    v->is_done = true;
    return NULL;
}

/* Returns whether the request came. */
static bool visit_once(struct visit *v)
{
    pthread_t thread;
    char text[8];
    fault_reset();
    v->is_done = false;
    if (!v->kind->local)
        kind_open(v->kind, v->end, NULL);
    assert_int_equal(pthread_create(&thread, NULL, visit_all, v), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(v->is_done);
    if (!v->kind->same_handle) {
        assert_int_equal(pipc_set_timeout(v->end[1], -1, -1), 0);
        assert_int_equal(pipc_read(v->end[1], text, sizeof text), 1);
        assert_errno(pipc_read(v->end[1], text, sizeof text), EPIPE);
        pipc_close(v->end[1]);
    }
    harness_assert_nothing_left();
    return fault_cancelled();
}

TEST_OF_KIND(a_call_that_does_not_wait_is_no_cancellation_point)
{
    struct visit v = {.kind = kind};
    bool requested = true;
    harness_skip_if_cancelling_confuses();
    if (is_slow(kind))
        return;
    for (v.nth = 1; requested; v.nth++)
        if (v.nth <= 8 || harness_random_below((size_t)harness_scale()) == 0)
            requested = visit_once(&v);
    assert_true(v.nth > 8);
}

#define WITHIN_MS 150000

HARNESS_MAIN("cancellation, each",
             OVER(a_cancelled_write_sends_its_message_whole_or_not_at_all, ALL_KINDS, WITHIN_MS),
             OVER(a_cancelled_read_leaves_the_message_to_the_next_read, ALL_KINDS, WITHIN_MS),
             OVER(a_cancelled_goodbye_arrives_at_most_once, ALL_KINDS, WITHIN_MS),
             OVER(a_cancelled_call_without_memory_ends_only_its_direction, ALL_KINDS, WITHIN_MS),
             OVER(a_call_that_does_not_wait_is_no_cancellation_point, ALL_KINDS, WITHIN_MS))
