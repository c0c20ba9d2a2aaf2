/* SPDX-License-Identifier: MIT */
/*
 * pipc_write_fds and pipc_take_fds: which descriptors come with which message, and what closes
 * those that nobody took.
 */
#include <stdio.h>
#include <unistd.h>

#include "fds.h"
#include "net.h"

TEST_OF_KIND(each_message_brings_its_own_descriptors_in_order)
{
    pipc_t *end[2];
    struct fds fds;
    char text[32];
    fds_make(&fds);
    fds_open(kind, end, 0);
    for (int count = 0; count <= FDS_MAX; count++) {
        snprintf(text, sizeof text, "with %d", count);
        net_say(end[0], "plain");
        fds_say(end[0], text, &fds, count);
        fds_expect(end[1], "plain");
        fds_expect_taken(end[1], &fds, 0);
        fds_expect(end[1], text);
        fds_expect_taken(end[1], &fds, count);
        fds_expect_taken(end[1], &fds, 0);
    }
    fds_end(&fds);
    kind_close(kind, end);
}

TEST_OF_KIND(messages_that_wait_keep_their_descriptors_apart)
{
    static const int counts[] = {0, 1, 16, 0, 0, 3, 2, 16, 1, 1, 0, 5};
    enum { COUNTS = sizeof counts / sizeof counts[0] };
    pipc_t *end[2];
    struct fds fds;
    char text[32];
    fds_make(&fds);
    fds_open(kind, end, 0);
    for (int i = 0; i < COUNTS; i++) {
        snprintf(text, sizeof text, "message %d", i);
        fds_say(end[0], text, &fds, counts[i]);
    }
    for (int i = 0; i < COUNTS; i++) {
        snprintf(text, sizeof text, "message %d", i);
        if (i % 3 == 1)
            assert_true(pipc_pending(end[1]) > 0);
        fds_expect(end[1], text);
        fds_expect_taken(end[1], &fds, counts[i]);
    }
    fds_end(&fds);
    kind_close(kind, end);
}

TEST_OF_KIND(descriptors_go_both_ways_and_stay_the_senders)
{
    pipc_t *end[2];
    struct fds fds;
    fds_make(&fds);
    fds_open(kind, end, 0);
    int before = harness_open_descriptors();
    for (int i = 0; i < 2; i++) {
        fds_say(end[i], "two", &fds, 2);
        fds_expect(end[1 - i], "two");
        fds_expect_taken(end[1 - i], &fds, 2);
    }
    assert_int_equal(harness_open_descriptors(), before);
    fds_end(&fds); /* each is still open */
    kind_close(kind, end);
}

/* Below, at and above what a read brings, what is shown as a whole, and what a socket holds. */
static const size_t sizes[] = {0, 1, 4, 2043, 2044, 2045, 16379, 16380, 16381, 65536, 300000};

struct sized {
    pipc_t *pipe;
    const struct fds *fds;
    size_t size;
    char *data;
};

static void *send_sized(void *arg)
{
    const struct sized *s = arg;
    net_say(s->pipe, "before");
    assert_int_equal(pipc_write_fds(s->pipe, s->data, s->size, s->fds->fd, 3), s->size);
    net_say(s->pipe, "behind");
    return NULL;
}

TEST_OF_KIND(a_message_of_any_size_can_have_descriptors)
{
    pipc_t *end[2];
    struct fds fds;
    pthread_t thread;
    char *sent = malloc(300000), *got = malloc(300000);
    fds_make(&fds);
    fds_open(kind, end, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct sized sized = {end[0], &fds, sizes[i], sent};
        harness_fill(sent, sizes[i], i);
        assert_int_equal(pthread_create(&thread, NULL, send_sized, &sized), 0);
        fds_expect(end[1], "before");
        assert_int_equal(pipc_read(end[1], got, 300000), sizes[i]);
        harness_check(got, sizes[i], i);
        fds_expect_taken(end[1], &fds, 3);
        fds_expect(end[1], "behind");
        assert_int_equal(pipc_take_fds(end[1], NULL, 0), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    free(sent);
    free(got);
    fds_end(&fds);
    kind_close(kind, end);
}

TEST(descriptors_can_be_taken_a_few_at_a_time)
{
    pipc_t *end[2];
    struct fds fds;
    int taken[FDS_MAX];
    fds_make(&fds);
    fds_open(&fds_kinds[0], end, 0);
    fds_say(end[0], "many", &fds, FDS_MAX);
    fds_expect(end[1], "many");
    assert_int_equal(pipc_take_fds(end[1], taken, 0), 0);
    assert_int_equal(pipc_take_fds(end[1], taken, 5), 5);
    assert_int_equal(pipc_take_fds(end[1], taken + 5, 1), 1);
    assert_int_equal(pipc_take_fds(end[1], taken + 6, 100), 10);
    assert_int_equal(pipc_take_fds(end[1], taken, 100), 0);
    for (int i = 0; i < FDS_MAX; i++) {
        assert_true(fds_is_same(taken[i], fds.fd[i]));
        close(taken[i]);
    }
    fds_end(&fds);
    kind_close(&fds_kinds[0], end);
}

/* ---- what closes them ---- */

static ssize_t take_by_read(pipc_t *pipe)
{
    char buffer[32];
    return pipc_read(pipe, buffer, sizeof buffer);
}

static ssize_t take_by_read_msg(pipc_t *pipe)
{
    pipc_msg_t message;
    int result = pipc_read_msg(pipe, &message);
    pipc_msg_free(&message);
    return result;
}

static ssize_t take_by_read_pending(pipc_t *pipe)
{
    pipc_msg_t message;
    ssize_t count = pipc_read_pending(pipe, &message, 1);
    pipc_msg_free(&message);
    return count;
}

static ssize_t take_by_skip(pipc_t *pipe)
{
    return pipc_skip(pipe);
}

typedef ssize_t take_message(pipc_t *pipe);
static take_message *const ways[] = {take_by_read, take_by_read_msg, take_by_read_pending,
                                     take_by_skip};
enum { WAYS = sizeof ways / sizeof ways[0] };

TEST_OF_KIND(the_next_call_that_takes_or_skips_a_message_closes_what_was_not_taken)
{
    pipc_t *end[2];
    struct fds fds;
    int one;
    fds_make(&fds);
    fds_open(kind, end, 0);
    for (int i = 0; i < WAYS; i++) {
        int before = harness_open_descriptors();
        fds_say(end[0], "three", &fds, 3);
        net_say(end[0], "plain");
        fds_expect(end[1], "three");
        assert_int_equal(pipc_take_fds(end[1], &one, 1), 1);
        assert_int_equal(harness_open_descriptors(), before + 3);
        assert_true(ways[i](end[1]) >= 0);
        assert_int_equal(pipc_take_fds(end[1], &one, 1), 0);
        assert_int_equal(harness_open_descriptors(), before + 1);
        close(one);
    }
    fds_end(&fds);
    kind_close(kind, end);
}

TEST(every_call_that_takes_a_message_brings_its_descriptors_but_a_skip_closes_them)
{
    pipc_t *end[2];
    struct fds fds;
    fds_make(&fds);
    fds_open(&fds_kinds[0], end, 0);
    int before = harness_open_descriptors();
    for (int i = 0; i < WAYS; i++) {
        fds_say(end[0], "two", &fds, 2);
        assert_true(ways[i](end[1]) >= 0);
        if (ways[i] == take_by_skip)
            assert_int_equal(harness_open_descriptors(), before);
        fds_expect_taken(end[1], &fds, ways[i] == take_by_skip ? 0 : 2);
    }
    fds_end(&fds);
    kind_close(&fds_kinds[0], end);
}

TEST_OF_KIND(calls_that_take_no_message_leave_the_descriptors)
{
    pipc_t *end[2];
    struct fds fds;
    pipc_msg_t view, messages[2];
    char small[2];
    fds_make(&fds);
    fds_open(kind, end, 0);
    assert_int_equal(pipc_set_timeout(end[1], 0, 0), 0);
    fds_say(end[0], "three", &fds, 3);
    fds_expect(end[1], "three");
    assert_errno(pipc_read(end[1], small, sizeof small), EAGAIN);
    assert_int_equal(pipc_read_pending(end[1], messages, 2), 0);
    fds_say(end[0], "two", &fds, 2);
    assert_int_equal(pipc_pending(end[1]), 1);
    assert_int_equal(pipc_peek(end[1], &view), 0);
    assert_errno(pipc_read(end[1], small, sizeof small), EMSGSIZE);
    assert_int_equal(pipc_read_pending(end[1], messages, 0), 0);
    assert_int_equal(pipc_flush(end[1]), 1);
    net_say(end[1], "a write");
    assert_true(pipc_fd(end[1]) >= 0);
    assert_int_equal(pipc_shutdown(end[1]), 0);
    fds_expect_taken(end[1], &fds, 3); /* of the first, which peek has not changed */
    fds_expect(end[1], "two");
    fds_expect_taken(end[1], &fds, 2);
    fds_end(&fds);
    kind_close(kind, end);
}

TEST_OF_KIND(a_batch_ends_behind_a_message_with_descriptors)
{
    pipc_t *end[2];
    struct fds fds;
    pipc_msg_t messages[8];
    static const struct {
        ssize_t messages;
        int fds;
    } batches[] = {{3, 2}, {1, 1}, {2, 16}, {2, 0}};
    fds_make(&fds);
    fds_open(kind, end, 0);
    net_say(end[0], "one");
    net_say(end[0], "two");
    fds_say(end[0], "three", &fds, 2);
    fds_say(end[0], "four", &fds, 1);
    net_say(end[0], "five");
    fds_say(end[0], "six", &fds, 16);
    net_say(end[0], "seven");
    net_say(end[0], "eight");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pipc_read_pending(end[1], messages, 8), batches[i].messages);
        for (ssize_t n = 0; n < batches[i].messages; n++)
            pipc_msg_free(&messages[n]);
        fds_expect_taken(end[1], &fds, batches[i].fds);
    }
    fds_end(&fds);
    kind_close(kind, end);
}

TEST_OF_KIND(closing_a_handle_closes_all_that_came)
{
    pipc_t *end[2];
    struct fds fds;
    fds_make(&fds);
    for (int i = 0; i < 4; i++) {
        int before = harness_open_descriptors();
        fds_open(kind, end, 0);
        fds_say(end[0], "one", &fds, 3);
        fds_say(end[0], "two", &fds, 4);
        fds_say(end[0], "three", &fds, 5);
        if (i > 0)
            fds_expect(end[1], "one"); /* not taken, and the next read ahead */
        if (i > 1)
            assert_int_equal(pipc_pending(end[1]), 2);
        if (i > 2)
            pipc_close(end[0]);
        pipc_close(end[1]);
        if (i <= 2)
            pipc_close(end[0]);
        assert_int_equal(harness_open_descriptors(), before);
    }
    fds_end(&fds);
}

TEST(detaching_closes_what_was_not_taken)
{
    pipc_t *end[2];
    struct fds fds;
    int detached[2];
    fds_make(&fds);
    fds_open(&fds_kinds[0], end, 0);
    int before = harness_open_descriptors();
    fds_say(end[0], "three", &fds, 3);
    fds_expect(end[1], "three");
    assert_int_equal(pipc_detach(end[1], detached), 0);
    assert_int_equal(harness_open_descriptors(), before);
    close(detached[0]);
    pipc_close(end[0]);
    fds_end(&fds);
}

HARNESS_MAIN("descriptors with messages",
             OVER_CASES(each_message_brings_its_own_descriptors_in_order, fds_kinds),
             OVER_CASES(messages_that_wait_keep_their_descriptors_apart, fds_kinds),
             OVER_CASES(descriptors_go_both_ways_and_stay_the_senders, fds_kinds),
             OVER_CASES(a_message_of_any_size_can_have_descriptors, fds_kinds),
             IT(descriptors_can_be_taken_a_few_at_a_time),
             OVER_CASES(the_next_call_that_takes_or_skips_a_message_closes_what_was_not_taken,
                        fds_kinds),
             IT(every_call_that_takes_a_message_brings_its_descriptors_but_a_skip_closes_them),
             OVER_CASES(calls_that_take_no_message_leave_the_descriptors, fds_kinds),
             OVER_CASES(a_batch_ends_behind_a_message_with_descriptors, fds_kinds),
             OVER_CASES(closing_a_handle_closes_all_that_came, fds_kinds),
             IT(detaching_closes_what_was_not_taken))
