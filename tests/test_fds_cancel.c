/* SPDX-License-Identifier: MIT */
/*
 * A thread is cancelled before each system call of the calls that send and take messages with
 * descriptors. Another one goes on with the handle: each message arrives once, with its own.
 */
#include "cancelling.h"
#include "fault.h"
#include "fds.h"

enum { LAST = 100, MESSAGES = 9 };

static struct fds sent;

/* As many descriptors as a message of that number has. */
static int count_of(size_t number)
{
    return (int)(number % 4);
}

/* Also in the thread that is cancelled, whose own calls must be no cancellation points. */
static ssize_t read_and_take(struct stream *s, pipc_t *pipe)
{
    int before;
    ssize_t size = cancelling_read(s, pipe);
    int error = errno;
    bool was_armed = fault_armed();
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    fault_disarm();
    if (size >= 0)
        fds_expect_taken(pipe, &sent, count_of(s->next - 1));
    if (was_armed)
        fault_arm();
    pthread_setcancelstate(before, NULL);
    errno = error;
    return size;
}

static ssize_t send_next(struct stream *s, pipc_t *pipe, size_t size)
{
    return cancelling_write_fds(s, pipe, size, sent.fd, count_of(cancelling_given(s)));
}

static size_t size_of(const struct cancelling *c, size_t number)
{
    return number % 3 == 2 ? c->volume + 40000 : 8 + 500 * number;
}

/* ---- writing ---- */

static void write_some(struct cancelling *c)
{
    for (size_t i = 0; i < MESSAGES; i++)
        send_next(&c->out, c->mine, size_of(c, i));
}

static bool read_all_there_is(struct cancelling *c)
{
    while (read_and_take(&c->out, c->theirs) >= 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    return true;
}

static void write_on(struct cancelling *c)
{
    assert_int_equal(pipc_set_timeout(c->mine, -1, -1), 0);
    assert_true(pipc_flush(c->mine) >= 0);
    assert_int_equal(send_next(&c->out, c->mine, LAST), LAST);
    c->stats = (pipc_stats_t)PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(c->mine, &c->stats), 0);
    pipc_close(c->mine);
}

static void read_to_the_last(struct cancelling *c)
{
    ssize_t size;
    do
        size = read_and_take(&c->out, c->theirs);
    while (size >= 0 && size != LAST);
    assert_int_equal(size, LAST);
}

static void check_written(struct cancelling *c)
{
    assert_int_equal(c->stats.bytes_held, 0);
    assert_int_equal(c->stats.messages_written, c->out.arrived);
}

/* ---- reading ---- */

static void read_some(struct cancelling *c)
{
    while (c->in.arrived < MESSAGES && read_and_take(&c->in, c->mine) >= 0)
        continue;
}

static bool send_some(struct cancelling *c)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    pipc_flush(c->theirs);
    assert_int_equal(pipc_stats(c->theirs, &stats), 0);
    size_t number = cancelling_given(&c->in);
    if (stats.bytes_held == 0 && number < MESSAGES &&
        send_next(&c->in, c->theirs, size_of(c, number)) < 0)
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
    assert_int_equal(before, MESSAGES);
    assert_int_equal(pipc_disconnect(c->theirs, "so long"), 0);
}

static void read_on(struct cancelling *c)
{
    assert_int_equal(pipc_set_timeout(c->mine, -1, -1), 0);
    while (read_and_take(&c->in, c->mine) >= 0)
        continue;
    assert_int_equal(errno, ESHUTDOWN);
    pipc_close(c->mine);
}

static void check_read(struct cancelling *c)
{
    assert_int_equal(c->in.arrived, MESSAGES);
}

/* ---- the sweeps ---- */

static const struct cancelling writing = {.act = write_some,
                                          .step = read_all_there_is,
                                          .go_on = write_on,
                                          .peer = read_to_the_last,
                                          .check = check_written};
static const struct cancelling reading = {.act = read_some,
                                          .step = send_some,
                                          .go_on = read_on,
                                          .peer = send_the_rest,
                                          .check = check_read};

static void sweep(const char *name, const struct cancelling *what)
{
    static const unsigned flags[] = {0, PIPC_DUPLEX | PIPC_INTERRUPTIBLE, PIPC_GATHER};
    int ways = what == &reading ? 2 : 3; /* what the peer gathers would not come */
    harness_skip_if_cancelling_confuses();
    fds_make(&sent);
    harness_new_baseline();
    for (int i = 0; i < ways; i++) {
        struct cancelling way = *what;
        way.flags = PIPC_ACCEPT_FDS | flags[i];
        cancelling_report(&fds_kinds[0], name, cancelling_sweep(&fds_kinds[0], &way));
    }
    fds_end(&sent);
}

TEST(a_cancelled_write_leaves_messages_whole_and_with_their_descriptors)
{
    sweep("writing", &writing);
}

TEST(a_cancelled_read_leaves_messages_and_their_descriptors_to_the_next_call)
{
    sweep("reading", &reading);
}

HARNESS_MAIN("cancelling and descriptors",
             IT_WITHIN(a_cancelled_write_leaves_messages_whole_and_with_their_descriptors, 120000),
             IT_WITHIN(a_cancelled_read_leaves_messages_and_their_descriptors_to_the_next_call,
                       120000))
