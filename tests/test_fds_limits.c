/* SPDX-License-Identifier: MIT */
/* Descriptors: how many wait, what happens when no number is free, and which calls fail. */
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "fds.h"
#include "net.h"
#include "paths.h"
#include "platform.h"
#include "raw.h"

/* No number is free, but for `left`. Returns the limit as it was. */
static rlim_t leave_numbers(int left)
{
    int probe[64] = {0};
    assert_true(left < 64);
    for (int i = 0; i <= left; i++)
        probe[i] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    rlim_t limit = (rlim_t)probe[left];
    for (int i = 0; i <= left; i++)
        close(probe[i]);
    return harness_limit(RLIMIT_NOFILE, limit);
}

TEST_OF_KIND(a_lack_of_numbers_is_EMFILE_and_loses_nothing)
{
    pipc_t *end[2];
    struct fds fds;
    char got[16];
    fds_make(&fds);
    fds_open(kind, end, 0);
    for (int left = 0; left < 3; left++) {
        fds_say(end[0], "three", &fds, 3);
        net_say(end[0], "behind");
        int before = harness_open_descriptors();
        rlim_t limit = leave_numbers(left);
        for (int i = 0; i < 3; i++) {
            assert_errno(pipc_read(end[1], got, sizeof got), EMFILE);
            assert_errno(pipc_skip(end[1]), EMFILE);
        }
        harness_limit(RLIMIT_NOFILE, limit);
        assert_int_equal(harness_open_descriptors(), before);
        fds_expect(end[1], "three");
        fds_expect_taken(end[1], &fds, 3);
        fds_expect(end[1], "behind");
    }
    kind_close(kind, end);
    fds_end(&fds);
}

TEST(a_message_that_is_in_memory_is_read_while_no_number_is_free)
{
    pipc_t *end[2];
    struct fds fds;
    char got[16];
    fds_make(&fds);
    fds_open(&fds_kinds[0], end, 0);
    net_say(end[0], "one");
    assert_int_equal(pipc_pending(end[1]), 1);
    fds_say(end[0], "two", &fds, 1);
    rlim_t limit = leave_numbers(0);
    fds_expect(end[1], "one");
    assert_errno(pipc_read(end[1], got, sizeof got), EMFILE);
    assert_int_equal(pipc_pending(end[1]), 0);
    net_say(end[1], "writing goes on");
    harness_limit(RLIMIT_NOFILE, limit);
    fds_expect(end[1], "two");
    fds_expect_taken(end[1], &fds, 1);
    kind_close(&fds_kinds[0], end);
    fds_end(&fds);
}

TEST_OF_KIND(the_descriptor_stays_readable_while_no_number_is_free)
{
    pipc_t *end[2];
    struct fds fds;
    char got[16];
    fds_make(&fds);
    fds_open(kind, end, 0);
    assert_int_equal(pipc_set_timeout(end[1], 0, 0), 0);
    int fd = pipc_fd(end[1]);
    assert_false(harness_readable(fd, 0));
    fds_say(end[0], "two", &fds, 2);
    rlim_t limit = leave_numbers(1);
    for (int i = 0; i < 20; i++) {
        assert_true(harness_readable(fd, 0));
        assert_errno(pipc_read(end[1], got, sizeof got), EMFILE);
    }
    harness_limit(RLIMIT_NOFILE, limit);
    assert_true(harness_readable(fd, 0));
    fds_expect(end[1], "two");
    fds_expect_taken(end[1], &fds, 2);
    assert_errno(pipc_read(end[1], got, sizeof got), EAGAIN);
    assert_false(harness_readable(fd, 0));
    kind_close(kind, end);
    fds_end(&fds);
}

TEST(while_reading_is_not_wanted_a_lack_of_numbers_does_not_make_the_descriptor_readable)
{
    struct fds fds;
    int raw;
    fds_make(&fds);
    pipc_t *pipe = fds_open_raw(&raw, 0);
    int fd = pipc_fd(pipe);
    assert_int_equal(pipc_want(pipe, 0), 0);
    fds_send_raw(raw, "\0\0\0\3one", 7, fds.fd, 2);
    assert_int_equal(shutdown(raw, SHUT_WR), 0);
    rlim_t limit = leave_numbers(1);
    assert_int_equal(pipc_pending(pipe), 0);
    assert_false(platform_wakes(fd, 0));
    assert_int_equal(pipc_want(pipe, PIPC_WANT_READ), 0);
    assert_true(harness_readable(fd, 0));
    assert_int_equal(pipc_want(pipe, 0), 0);
    assert_false(platform_wakes(fd, 0));
    harness_limit(RLIMIT_NOFILE, limit);
    assert_int_equal(pipc_pending(pipe), 1);
    assert_false(platform_wakes(fd, 0));
    fds_expect(pipe, "one");
    fds_expect_taken(pipe, &fds, 2);
    assert_true(harness_readable(fd, 0)); /* the end */
    expect_failure(pipe, EPIPE);
    close(raw);
    pipc_close(pipe);
    fds_end(&fds);
}

TEST_OF_KIND(at_most_64_wait_and_the_rest_stays_in_the_kernel)
{
    static const int each[] = {1, 2, 5, 16};
    pipc_t *end[2];
    struct fds fds;
    fds_make(&fds);
    for (int i = 0; i < 4; i++) {
        fds_open(kind, end, 0);
        int before = harness_open_descriptors(), messages = 96 / each[i];
        for (int n = 0; n < messages; n++)
            fds_say(end[0], "m", &fds, each[i]);
        int most = FDS_WAITING_MAX / each[i];
        assert_in_range(pipc_pending(end[1]), most - 1, most);
        assert_in_range(pipc_flush(end[1]), most - 1, most);
        assert_in_range(harness_open_descriptors() - before, FDS_WAITING_MAX - each[i],
                        FDS_WAITING_MAX);
        for (int n = 0; n < messages; n++) {
            fds_expect(end[1], "m");
            if (n % 3 == 0)
                assert_true(pipc_pending(end[1]) >= 0);
            assert_true(harness_open_descriptors() - before <= FDS_WAITING_MAX);
            fds_expect_taken(end[1], &fds, each[i]);
        }
        assert_int_equal(pipc_pending(end[1]), 0);
        kind_close(kind, end);
    }
    fds_end(&fds);
}

/* Both write more than fits, so each has to take in what the other sends. */
enum { FLOOD = 40, FLOOD_SIZE = 20000 };

static void *flood_and_read(void *pipe)
{
    struct fds fds;
    char *data = calloc(1, FLOOD_SIZE);
    fds_make(&fds);
    for (int i = 0; i < FLOOD; i++)
        assert_int_equal(pipc_write_fds(pipe, data, FLOOD_SIZE, fds.fd, 1), FLOOD_SIZE);
    for (int i = 0; i < FLOOD; i++) {
        assert_int_equal(pipc_read(pipe, data, FLOOD_SIZE), FLOOD_SIZE);
        assert_int_equal(fds_take_all(pipe), 1);
    }
    fds_end(&fds);
    free(data);
    return NULL;
}

TEST(writes_that_wait_take_in_messages_with_descriptors)
{
    pipc_t *end[2];
    pthread_t thread;
    fds_open(&fds_kinds[0], end, 0);
    assert_int_equal(pthread_create(&thread, NULL, flood_and_read, end[0]), 0);
    flood_and_read(end[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    kind_close(&fds_kinds[0], end);
}

TEST(a_write_that_waits_sleeps_also_when_no_more_descriptors_may_wait)
{
    pipc_t *end[2];
    struct fds fds;
    static char data[1000];
    fds_make(&fds);
    fds_open(&fds_kinds[0], end, 0);
    for (int i = 0; i < 10; i++)
        fds_say(end[0], "m", &fds, FDS_MAX);
    assert_in_range(pipc_pending(end[1]), 3, 4);
    assert_int_equal(pipc_set_timeout(end[1], 0, 50), 0);
    fault_reset();
    fault_arm();
    while (pipc_write(end[1], data, sizeof data) >= 0)
        continue;
    int error = errno;
    fault_disarm();
    assert_int_equal(error, ETIMEDOUT);
    assert_in_range(fault_calls(CALL_recvmsg), 1, 20);
    fault_reset();
    kind_close(&fds_kinds[0], end);
    fds_end(&fds);
}

TEST(max_pending_holds_for_messages_with_descriptors)
{
    pipc_t *end[2];
    struct fds fds;
    pipc_options_t options = fds_options(0);
    options.max_pending = 3 * (64 + 1);
    fds_make(&fds);
    kind_open(&fds_kinds[0], end, &options);
    for (int every = 1; every < 4; every++) {
        for (int i = 0; i < 12; i++)
            fds_say(end[0], "m", &fds, i % every == 0 ? 2 : 0);
        for (int i = 0; i < 12; i++) {
            if (i % 3 == 0)
                assert_int_equal(pipc_pending(end[1]), 3);
            fds_expect(end[1], "m");
            fds_expect_taken(end[1], &fds, i % every == 0 ? 2 : 0);
        }
    }
    kind_close(&fds_kinds[0], end);
    fds_end(&fds);
}

/* ---- writing ---- */

/* What a full socket takes no more of; returns how many messages it has. */
static int fill(pipc_t *pipe)
{
    static char data[1000];
    int count = 0;
    while (pipc_write(pipe, data, sizeof data) >= 0)
        count++;
    assert_int_equal(errno, EAGAIN);
    return count;
}

TEST_OF_KIND(a_full_pipe_takes_no_descriptors)
{
    pipc_t *end[2];
    struct fds fds;
    static char got[1000];
    fds_make(&fds);
    fds_open(kind, end, 0);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    int count = fill(end[0]);
    assert_errno(pipc_write_fds(end[0], "x", 1, fds.fd, 1), EAGAIN);
    assert_int_equal(pipc_set_timeout(end[0], 0, 10), 0);
    assert_errno(pipc_write_fds(end[0], "x", 1, fds.fd, 1), ETIMEDOUT);
    for (int i = 0; i < count; i++) {
        assert_int_equal(pipc_read(end[1], got, sizeof got), sizeof got);
        assert_int_equal(fds_take_all(end[1]), 0);
        if (i == 0)
            assert_true(pipc_flush(end[0]) >= 0); /* the last of them was held */
    }
    assert_int_equal(pipc_write_fds(end[0], "x", 1, fds.fd, 1), 1);
    fds_expect(end[1], "x");
    fds_expect_taken(end[1], &fds, 1);
    kind_close(kind, end);
    fds_end(&fds);
}

TEST_OF_KIND(a_message_that_is_held_half_brings_its_descriptors_when_it_is_whole)
{
    static char large[MORE_THAN_A_PIPE], got[MORE_THAN_A_PIPE];
    pipc_t *end[2];
    struct fds fds;
    pipc_stats_t stats = PIPC_STATS_INIT;
    fds_make(&fds);
    fds_open(kind, end, 0);
    harness_fill(large, sizeof large, 1);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    assert_int_equal(pipc_set_timeout(end[1], 0, 0), 0);
    net_say(end[0], "before");
    assert_int_equal(pipc_write_fds(end[0], large, sizeof large, fds.fd, 5), sizeof large);
    assert_int_equal(pipc_stats(end[0], &stats), 0);
    assert_in_range(stats.bytes_held, 1, sizeof large);
    assert_errno(pipc_write_fds(end[0], "x", 1, fds.fd, 1), EAGAIN);
    fds_expect(end[1], "before");
    ssize_t size;
    while ((size = pipc_read(end[1], got, sizeof got)) == -1) {
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(pipc_take_fds(end[1], (int[1]){0}, 1), 0);
        if (pipc_flush(end[0]) == -1)
            assert_int_equal(errno, EAGAIN);
    }
    assert_int_equal(size, sizeof large);
    harness_check(got, sizeof got, 1);
    fds_expect_taken(end[1], &fds, 5);
    assert_int_equal(pipc_write_fds(end[0], "x", 1, fds.fd, 1), 1);
    fds_expect(end[1], "x");
    fds_expect_taken(end[1], &fds, 1);
    kind_close(kind, end);
    fds_end(&fds);
}

TEST(a_message_that_is_held_half_is_torn_by_close_and_leaves_nothing)
{
    static char large[MORE_THAN_A_PIPE];
    pipc_t *end[2];
    struct fds fds;
    fds_make(&fds);
    int before = harness_open_descriptors();
    fds_open(&fds_kinds[0], end, 0);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    assert_int_equal(pipc_write_fds(end[0], large, sizeof large, fds.fd, 5), sizeof large);
    pipc_close(end[0]);
    assert_errno(pipc_read(end[1], large, sizeof large), ECONNRESET);
    assert_int_equal(harness_open_descriptors(), before + 1);
    pipc_close(end[1]);
    fds_end(&fds);
}

TEST_OF_KIND(what_is_wrong_with_the_call_sends_nothing)
{
    pipc_t *end[2];
    struct fds fds;
    int many[FDS_MAX + 1], bad[2], closed = fcntl(0, F_DUPFD_CLOEXEC, 100);
    pipc_options_t options = fds_options(0);
    options.max_message = 1000;
    char large[1001] = {0};
    close(closed);
    fds_make(&fds);
    memcpy(many, fds.fd, sizeof fds.fd);
    many[FDS_MAX] = fds.fd[0];
    bad[0] = fds.fd[0];
    bad[1] = closed;
    kind_open(kind, end, &options);
    assert_errno(pipc_write_fds(end[0], "x", 1, many, FDS_MAX + 1), EINVAL);
    assert_errno(pipc_write_fds(end[0], "x", 1, many, -1), EINVAL);
    assert_errno(pipc_write_fds(end[0], "x", 1, NULL, 1), EINVAL);
    assert_errno(pipc_write_fds(end[0], NULL, 1, many, 1), EINVAL);
    assert_errno(pipc_write_fds(NULL, "x", 1, many, 1), EINVAL);
    assert_errno(pipc_write_fds(end[0], "x", 1, bad, 2), EBADF);
    assert_errno(pipc_write_fds(end[0], "x", 1, (int[1]){-1}, 1), EBADF);
    assert_errno(pipc_write_fds(end[0], large, sizeof large, many, 1), EMSGSIZE);
    assert_int_equal(pipc_write_fds(end[0], NULL, 0, NULL, 0), 0);
    fds_say(end[0], "good", &fds, 1);
    fds_expect(end[1], "");
    fds_expect(end[1], "good");
    assert_errno(pipc_take_fds(end[1], many, -1), EINVAL);
    assert_errno(pipc_take_fds(end[1], NULL, 1), EINVAL);
    assert_errno(pipc_take_fds(NULL, many, 1), EINVAL);
    fds_expect_taken(end[1], &fds, 1);
    kind_close(kind, end);
    fds_end(&fds);
}

static int send_too_many(void *arg)
{
    pipc_t **end = arg;
    struct fds fds;
    fds_make(&fds);
    harness_limit(RLIMIT_NOFILE, 100);
    paths_become(PATHS_USER_A);
    int sent = 0;
    while (pipc_write_fds(end[0], "m", 1, fds.fd, FDS_MAX) == 1)
        sent++;
    assert_int_equal(errno, ETOOMANYREFS);
    assert_true(sent > 0);
    net_say(end[0], "plain");
    for (int i = 0; i < sent; i++) {
        fds_expect(end[1], "m");
        assert_int_equal(fds_take_all(end[1]), FDS_MAX);
    }
    fds_expect(end[1], "plain");
    fds_say(end[0], "again", &fds, FDS_MAX);
    fds_expect(end[1], "again");
    return 0;
}

TEST(too_many_on_their_way_are_ETOOMANYREFS_and_nothing_is_sent)
{
    pipc_t *end[2];
    paths_need_users();
    fds_open(&fds_kinds[0], end, 0);
    assert_int_equal(harness_wait(harness_fork(send_too_many, end)), 0);
    kind_close(&fds_kinds[0], end);
}

TEST(nobody_reads_is_EPIPE)
{
    pipc_t *end[2];
    struct fds fds;
    fds_make(&fds);
    fds_open(&fds_kinds[0], end, 0);
    pipc_close(end[1]);
    assert_errno(pipc_write_fds(end[0], "x", 1, fds.fd, 1), EPIPE);
    assert_errno(pipc_write_fds(end[0], "x", 1, fds.fd, 1), EPIPE);
    pipc_close(end[0]);
    fds_open(&fds_kinds[0], end, 0);
    assert_int_equal(pipc_shutdown(end[0]), 0);
    assert_errno(pipc_write_fds(end[0], "x", 1, fds.fd, 1), EPIPE);
    kind_close(&fds_kinds[0], end);
    fds_end(&fds);
}

HARNESS_MAIN(
    "limits of descriptors", OVER_CASES(a_lack_of_numbers_is_EMFILE_and_loses_nothing, fds_kinds),
    IT(a_message_that_is_in_memory_is_read_while_no_number_is_free),
    OVER_CASES(the_descriptor_stays_readable_while_no_number_is_free, fds_kinds),
    IT(while_reading_is_not_wanted_a_lack_of_numbers_does_not_make_the_descriptor_readable),
    OVER_CASES(at_most_64_wait_and_the_rest_stays_in_the_kernel, fds_kinds),
    IT(writes_that_wait_take_in_messages_with_descriptors),
    IT(a_write_that_waits_sleeps_also_when_no_more_descriptors_may_wait),
    IT(max_pending_holds_for_messages_with_descriptors),
    OVER_CASES(a_full_pipe_takes_no_descriptors, fds_kinds),
    OVER_CASES(a_message_that_is_held_half_brings_its_descriptors_when_it_is_whole, fds_kinds),
    IT(a_message_that_is_held_half_is_torn_by_close_and_leaves_nothing),
    OVER_CASES(what_is_wrong_with_the_call_sends_nothing, fds_kinds),
    IT(too_many_on_their_way_are_ETOOMANYREFS_and_nothing_is_sent), IT(nobody_reads_is_EPIPE))
