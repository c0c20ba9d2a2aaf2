/* SPDX-License-Identifier: MIT */
/* pipc_detach: the handle goes, its descriptors stay, and nothing that was sent is lost. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "moving.h"
#include "net.h"
#include "paths.h"

static void close_both(const int fds[2])
{
    close(fds[0]);
    if (fds[1] != fds[0] && fds[1] >= 0)
        close(fds[1]);
}

static bool waits(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

TEST_OF_KIND(a_detached_connection_goes_on_in_another_handle)
{
    pipc_t *end[2];
    int fds[2] = {-5, -5};
    kind_open(kind, end, NULL);
    if (kind->moves)
        net_expect_talk(end[0], end[1]);
    if (kind->same_handle || kind->moves) {
        assert_errno(pipc_detach(end[0], fds), EOPNOTSUPP);
        assert_int_equal(fds[0], -5);
        kind_close(kind, end);
        return;
    }
    net_expect_talk(end[0], end[1]);
    net_say(end[1], "before");
    int fd = pipc_fd(end[0]);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0); /* as loops do */
    assert_int_equal(pipc_detach(end[0], fds), 0);
    assert_true(fds[0] >= 0 && fds[1] >= 0);
    if (kind->made) {
        assert_true(waits(fds[0]) && waits(fds[1]));
        assert_true(fcntl(fds[0], F_GETFD) & fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
    }
    end[0] = harness_adopt(fds[0], fds[1], NULL);
    net_expect(end[0], "before");
    net_expect_talk(end[0], end[1]);
    kind_close(kind, end);
}

TEST_OF_KIND(what_is_unread_in_memory_or_held_keeps_a_handle_from_being_detached)
{
    static char large[MORE_THAN_A_PIPE];
    pipc_t *end[2];
    int fds[2];
    pipc_msg_t view;
    kind_open(kind, end, NULL);
    net_say(end[1], "one");
    net_say(end[1], "two");
    assert_int_equal(pipc_peek(end[0], &view), 0);
    assert_errno(pipc_detach(end[0], fds), EAGAIN);
    net_expect(end[0], "one");
    net_expect(end[0], "two");
    assert_int_equal(pipc_set_timeout(end[1], 0, 0), 0);
    assert_int_equal(pipc_write(end[1], large, sizeof large), sizeof large); /* a part is held */
    assert_errno(pipc_detach(end[1], fds), EAGAIN);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    assert_true(harness_readable(pipc_fd(end[0]), 10000));
    assert_errno(pipc_read(end[0], large, sizeof large), EAGAIN); /* half of it has begun */
    assert_errno(pipc_detach(end[0], fds), EAGAIN);
    kind_close(kind, end);
}

TEST(a_message_that_was_read_ahead_keeps_a_handle_from_being_detached)
{
    pipc_t *end[2];
    int fds[2];
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    net_say(end[1], "one");
    net_say(end[1], "two");
    net_expect(end[0], "one"); /* one read of the pipe brings both */
    assert_errno(pipc_detach(end[0], fds), EAGAIN);
    net_expect(end[0], "two");
    assert_int_equal(pipc_detach(end[0], fds), 0);
    close_both(fds);
    pipc_close(end[1]);
}

TEST(a_message_that_is_gathered_keeps_a_handle_from_being_detached)
{
    pipc_t *end[2];
    int fds[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER;
    assert_int_equal(pipc_open_pair(end, &options), 0);
    net_say(end[0], "one");
    assert_errno(pipc_detach(end[0], fds), EAGAIN);
    assert_int_equal(pipc_flush(end[0]), 0);
    assert_int_equal(pipc_detach(end[0], fds), 0);
    net_expect(end[1], "one");
    close_both(fds);
    pipc_close(end[1]);
}

TEST(after_a_shutdown_the_writing_descriptor_of_a_pair_of_pipes_is_gone)
{
    pipc_t *end[2];
    int fds[2];
    char byte;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_NO_SHARED_MEMORY;
    assert_int_equal(pipc_open_pair(end, &options), 0);
    assert_int_equal(pipc_shutdown(end[0]), 0);
    assert_int_equal(pipc_detach(end[0], fds), 0);
    assert_int_equal(fds[1], -1);
    assert_errno(pipc_read(end[1], &byte, 1), EPIPE);
    close_both(fds);
    pipc_close(end[1]);
}

TEST(adopted_descriptors_are_given_back_as_they_were)
{
    int there[2], back[2], fds[2];
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    pipc_t *pipe = harness_adopt(there[0], back[1], NULL);
    assert_int_equal(pipc_detach(pipe, fds), 0);
    assert_int_equal(fds[0], there[0]);
    assert_int_equal(fds[1], back[1]);
    assert_int_equal(fcntl(fds[0], F_GETFD), 0);
    assert_true(waits(fds[0]) && waits(fds[1]));
    close_both(fds);
    close(there[1]);
    close(back[0]);
}

/* What a handle reports that has read all of these bytes; 0: it was detached. */
static int detach_after(const char *bytes, size_t size, bool ends)
{
    int there[2], back[2], fds[2], result = 0;
    char byte[8];
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    pipc_t *pipe = harness_adopt(there[0], back[1], NULL);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    assert_int_equal(write(there[1], bytes, size), (ssize_t)size);
    if (ends)
        close(there[1]);
    for (int i = 0; i < 4; i++)
        (void)!pipc_read(pipe, byte, sizeof byte);
    if (pipc_detach(pipe, fds) == 0) {
        close_both(fds);
    } else {
        result = errno;
        pipc_close(pipe);
    }
    if (!ends)
        close(there[1]);
    close(back[0]);
    return result;
}

#define DETACH_AFTER(bytes, ends) detach_after(bytes, sizeof bytes - 1, ends)

TEST(a_handle_that_can_read_no_more_is_detached_or_reports_why)
{
    assert_int_equal(DETACH_AFTER("", false), 0);
    assert_int_equal(DETACH_AFTER("\0\0\0\1x", true), 0);
    assert_int_equal(DETACH_AFTER("\0\0\0\1x\0\0", false), EAGAIN); /* the rest may come */
    assert_int_equal(DETACH_AFTER("\0\0\0\1x\0\0", true), ECONNRESET);
    assert_int_equal(DETACH_AFTER("\0\0\0\5ab", true), ECONNRESET);
    assert_int_equal(DETACH_AFTER("\377\377\0\0garbage", false), EPROTO);
    assert_int_equal(DETACH_AFTER("\377\377\377\376\0\0\0\3BYE", false), 0);
    assert_int_equal(DETACH_AFTER("\377\377\377\376\0\0\0\3BYE\0\0\0\1x", false), EPIPE);
}

/* What is held for a reader that has gone is dropped. */
TEST(a_handle_whose_peer_has_gone_is_detached_although_it_held_messages)
{
    static char large[MORE_THAN_A_PIPE];
    pipc_t *end[2];
    int fds[2];
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    assert_int_equal(pipc_write(end[0], large, sizeof large), sizeof large);
    pipc_close(end[1]);
    assert_errno(pipc_write(end[0], "x", 1), EPIPE);
    assert_int_equal(pipc_detach(end[0], fds), 0);
    close_both(fds);
}

static int serve_detached(void *arg)
{
    int fd = *(int *)arg;
    pipc_t *pipe = harness_adopt(fd, fd, NULL);
    net_expect(pipe, "ping");
    net_say(pipe, "pong");
    pipc_close(pipe);
    return 0;
}

TEST(an_accepted_connection_can_be_handed_to_a_worker)
{
    struct paths paths;
    int fds[2];
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    pipc_t *client = pipc_open_unix(paths_to(&paths, "socket"), 0, NULL);
    pipc_t *pipe = pipc_server_accept(server, 0);
    assert_int_equal(pipc_detach(pipe, fds), 0);
    assert_int_equal(fds[0], fds[1]);
    pid_t pid = harness_fork(serve_detached, fds);
    close(fds[0]);
    net_say(client, "ping");
    net_expect(client, "pong");
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(client);
    pipc_server_close(server);
    paths_end(&paths);
}

TEST(wrong_arguments_return_EINVAL)
{
    pipc_t *end[2];
    int fds[2];
    assert_errno(pipc_detach(NULL, fds), EINVAL);
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    assert_errno(pipc_detach(end[0], NULL), EINVAL);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

/* It still moves, as it would have. */
TEST(a_detach_that_is_refused_changes_nothing)
{
    enum { AFTER = 4000, SIZE = 100, MANY = 200 };
    pipc_t *end[2];
    int fds[2] = {-5, -5};
    moving_need();
    moving_open_pair(end, AFTER);
    for (unsigned i = 0; i < 2; i++)
        moving_send(end[0], SIZE, i);
    moving_receive(end[1], SIZE, 0);
    assert_errno(pipc_detach(end[1], fds), EAGAIN);
    assert_int_equal(fds[0], -5);
    moving_receive(end[1], SIZE, 1);
    for (unsigned i = 0; i < MANY; i++)
        for (int from = 0; from < 2; from++) {
            moving_send(end[from], SIZE, i);
            moving_receive(end[1 - from], SIZE, i);
        }
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    moving_close(end);
}

static int detach_what_was_inherited(void *pipe)
{
    int fds[2];
    assert_int_equal(pipc_detach(pipe, fds), 0);
    close_both(fds);
    return 0;
}

TEST(what_a_parent_has_gathered_does_not_keep_a_child_from_detaching)
{
    pipc_t *end[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER | PIPC_NO_SHARED_MEMORY;
    assert_int_equal(pipc_open_pair(end, &options), 0);
    net_say(end[0], "gathered");
    assert_int_equal(harness_wait(harness_fork(detach_what_was_inherited, end[0])), 0);
    assert_int_equal(pipc_flush(end[0]), 0);
    net_expect(end[1], "gathered");
    pipc_close(end[0]);
    pipc_close(end[1]);
}

HARNESS_MAIN(
    "detach", OVER_KINDS(a_detached_connection_goes_on_in_another_handle),
    OVER_TWO_HANDLE_KINDS(what_is_unread_in_memory_or_held_keeps_a_handle_from_being_detached),
    IT(a_message_that_was_read_ahead_keeps_a_handle_from_being_detached),
    IT(a_message_that_is_gathered_keeps_a_handle_from_being_detached),
    IT(after_a_shutdown_the_writing_descriptor_of_a_pair_of_pipes_is_gone),
    IT(a_detach_that_is_refused_changes_nothing),
    IT(what_a_parent_has_gathered_does_not_keep_a_child_from_detaching),
    IT(adopted_descriptors_are_given_back_as_they_were),
    IT(a_handle_that_can_read_no_more_is_detached_or_reports_why),
    IT(a_handle_whose_peer_has_gone_is_detached_although_it_held_messages),
    IT(an_accepted_connection_can_be_handed_to_a_worker), IT(wrong_arguments_return_EINVAL))
