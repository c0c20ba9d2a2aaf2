/* SPDX-License-Identifier: MIT */
/* What is promised of any message holds for one with descriptors: goodbye, end, flags. */
#include <unistd.h>

#include "fds.h"
#include "net.h"

TEST_OF_KIND(a_goodbye_comes_behind_the_descriptors)
{
    pipc_t *end[2];
    struct fds fds;
    char byte;
    fds_make(&fds);
    fds_open(kind, end, 0);
    fds_say(end[0], "last", &fds, 2);
    assert_int_equal(pipc_disconnect(end[0], "bye now"), 0);
    pipc_close(end[0]);
    fds_expect(end[1], "last");
    fds_expect_taken(end[1], &fds, 2);
    assert_errno(pipc_read(end[1], &byte, 1), ESHUTDOWN);
    assert_string_equal(pipc_bye_text(end[1]), "bye now");
    fds_expect_taken(end[1], &fds, 0);
    assert_errno(pipc_read(end[1], &byte, 1), EPIPE);
    pipc_close(end[1]);
    fds_end(&fds);
}

TEST_OF_KIND(a_goodbye_closes_what_was_not_taken)
{
    pipc_t *end[2];
    struct fds fds;
    char byte;
    fds_make(&fds);
    fds_open(kind, end, 0);
    int before = harness_open_descriptors();
    fds_say(end[0], "last", &fds, 2);
    assert_int_equal(pipc_disconnect(end[0], NULL), 0);
    fds_expect(end[1], "last");
    assert_errno(pipc_read(end[1], &byte, 1), ESHUTDOWN);
    assert_int_equal(pipc_take_fds(end[1], (int[1]){0}, 1), 0);
    assert_int_equal(harness_open_descriptors(), before);
    kind_close(kind, end);
    fds_end(&fds);
}

TEST_OF_KIND(an_end_of_stream_leaves_what_came_before)
{
    pipc_t *end[2];
    struct fds fds;
    char byte;
    fds_make(&fds);
    fds_open(kind, end, 0);
    fds_say(end[0], "one", &fds, 2);
    fds_say(end[0], "two", &fds, 3);
    pipc_close(end[0]);
    fds_expect(end[1], "one");
    fds_expect_taken(end[1], &fds, 2);
    fds_expect(end[1], "two");
    assert_errno(pipc_read(end[1], &byte, 1), EPIPE);
    fds_expect_taken(end[1], &fds, 3); /* no call has taken a message since */
    pipc_close(end[1]);
    fds_end(&fds);
}

TEST_OF_KIND(gathered_messages_go_before_descriptors)
{
    pipc_t *end[2];
    struct fds fds;
    fds_make(&fds);
    fds_open(kind, end, PIPC_GATHER);
    pipc_stats_t stats = PIPC_STATS_INIT;
    net_say(end[0], "gathered");
    net_say(end[0], "as well");
    fds_say(end[0], "now", &fds, 1);
    assert_int_equal(pipc_stats(end[0], &stats), 0);
    assert_int_equal(stats.bytes_held, 0);
    assert_int_equal(stats.messages_written, 3);
    fds_expect(end[1], "gathered");
    fds_expect(end[1], "as well");
    fds_expect_taken(end[1], &fds, 0);
    fds_expect(end[1], "now");
    fds_expect_taken(end[1], &fds, 1);
    kind_close(kind, end);
    fds_end(&fds);
}

/* Whether they have to wait for room themselves, or the gathered ones before them. */
TEST_OF_KIND(descriptors_wait_behind_gathered_messages_that_find_no_room)
{
    static char data[1000];
    pipc_t *end[2];
    struct fds fds;
    int count = 0;
    fds_make(&fds);
    fds_open(kind, end, PIPC_GATHER);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    while (pipc_write(end[0], data, sizeof data) >= 0)
        count++;
    assert_int_equal(errno, EAGAIN);
    assert_errno(pipc_write_fds(end[0], "now", 3, fds.fd, 2), EAGAIN);
    for (int i = 0; i < count; i++) {
        pipc_flush(end[0]); /* moves what it can of the rest */
        assert_int_equal(pipc_read(end[1], data, sizeof data), sizeof data);
        assert_int_equal(fds_take_all(end[1]), 0);
    }
    fds_say(end[0], "now", &fds, 2);
    fds_expect(end[1], "now");
    fds_expect_taken(end[1], &fds, 2);
    kind_close(kind, end);
    fds_end(&fds);
}

struct duplex {
    pipc_t *pipe;
    const struct fds *fds;
};

enum { ROUNDS = 1000 };

static void *write_rounds(void *arg)
{
    const struct duplex *d = arg;
    for (int i = 0; i < ROUNDS; i++)
        fds_say(d->pipe, "round", d->fds, i % 4);
    return NULL;
}

TEST_OF_KIND(with_duplex_one_thread_sends_descriptors_while_another_takes_some)
{
    pipc_t *end[2];
    struct fds fds;
    pthread_t thread[2];
    struct duplex duplex[2];
    fds_make(&fds);
    fds_open(kind, end, PIPC_DUPLEX);
    for (int i = 0; i < 2; i++) {
        duplex[i] = (struct duplex){end[i], &fds};
        assert_int_equal(pthread_create(&thread[i], NULL, write_rounds, &duplex[i]), 0);
    }
    for (int i = 0; i < ROUNDS; i++)
        for (int side = 0; side < 2; side++) {
            fds_expect(end[side], "round");
            fds_expect_taken(end[side], &fds, i % 4);
        }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    kind_close(kind, end);
    fds_end(&fds);
}

TEST(descriptors_that_come_are_never_0_1_or_2)
{
    pipc_t *end[2];
    struct fds fds;
    int saved[3], taken[3];
    fds_make(&fds);
    fds_open(&fds_kinds[0], end, 0);
    fds_say(end[0], "three", &fds, 3);
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        close(i);
    }
    char text[8];
    ssize_t size = pipc_read(end[1], text, sizeof text);
    int count = pipc_take_fds(end[1], taken, 3);
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    assert_int_equal(size, 5);
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(taken[i] > STDERR_FILENO && fds_is_same(taken[i], fds.fd[i]));
        assert_int_equal(fcntl(taken[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(taken[i]);
    }
    kind_close(&fds_kinds[0], end);
    fds_end(&fds);
}

TEST(a_pipe_can_be_sent_over_itself)
{
    pipc_t *end[2];
    fds_open(&fds_kinds[0], end, 0);
    int fd[2], taken[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    assert_int_equal(pipc_write_fds(end[0], "pipe", 4, fd, 2), 4);
    close(fd[0]);
    close(fd[1]);
    fds_expect(end[1], "pipe");
    assert_int_equal(pipc_take_fds(end[1], taken, 2), 2);
    pipc_t *near = harness_adopt(taken[0], taken[0], NULL);
    pipc_t *far = harness_adopt(taken[1], taken[1], NULL);
    net_expect_talk(near, far);
    pipc_close(near);
    pipc_close(far);
    kind_close(&fds_kinds[0], end);
}

HARNESS_MAIN("order of descriptors", OVER_CASES(a_goodbye_comes_behind_the_descriptors, fds_kinds),
             OVER_CASES(a_goodbye_closes_what_was_not_taken, fds_kinds),
             OVER_CASES(an_end_of_stream_leaves_what_came_before, fds_kinds),
             OVER_CASES(gathered_messages_go_before_descriptors, fds_kinds),
             OVER_CASES(descriptors_wait_behind_gathered_messages_that_find_no_room, fds_kinds),
             OVER_CASES(with_duplex_one_thread_sends_descriptors_while_another_takes_some,
                        fds_kinds),
             IT(descriptors_that_come_are_never_0_1_or_2), IT(a_pipe_can_be_sent_over_itself))
