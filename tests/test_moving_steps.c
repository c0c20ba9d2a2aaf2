/* SPDX-License-Identifier: MIT */
/*
 * The steps of the move into shared memory, as the table in share.c has them, also out of their
 * usual order; and the move of pipes that were opened in other ways.
 */
#include "moving.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "net.h"
#include "paths.h"

enum { LONG_MS = 10000, LARGE = MOVING_LARGE };

/* --- Steps out of the usual order: the table in share.c --- */

/* AWAIT */
TEST(a_shutdown_before_an_offer_keeps_the_socket)
{
    for (int who = 0; who < 2; who++) {
        pipc_t *end[2];
        unsigned char byte;
        moving_open(end, 1024, NULL);
        net_expect_talk(end[0], end[1]);
        assert_int_equal(pipc_shutdown(end[who]), 0);
        assert_int_equal(moving_state(end[who]), SHARE_NEVER);
        for (unsigned i = 0; i < 20; i++) {
            moving_send(end[1 - who], 200, i);
            moving_receive(end[who], 200, i);
        }
        assert_errno(pipc_read(end[1 - who], &byte, 1), EPIPE);
        moving_close(end);
    }
}

static void offer(pipc_t *end[2])
{
    moving_open(end, 0, NULL);
    assert_int_equal(pipc_write(end[1], "offer", 5), 5);
    moving_expect(end, SHARE_AWAIT, SHARE_OFFERED);
}

/* OFFERED */
TEST(a_shutdown_withdraws_an_offer)
{
    pipc_t *end[2];
    unsigned char byte;
    offer(end);
    assert_int_equal(pipc_shutdown(end[1]), 0);
    moving_expect(end, SHARE_AWAIT, SHARE_NEVER);
    net_expect(end[0], "offer");
    assert_errno(pipc_read(end[0], &byte, 1), EPIPE);
    moving_expect(end, SHARE_NEVER, SHARE_NEVER);
    net_say(end[0], "answer");
    net_expect(end[1], "answer");
    moving_close(end);
}

TEST(a_handle_that_has_offered_can_be_detached)
{
    pipc_t *end[2];
    int fds[2];
    offer(end);
    assert_int_equal(pipc_detach(end[1], fds), 0);
    end[1] = harness_adopt(fds[0], fds[1], NULL);
    net_expect(end[0], "offer");
    net_expect_talk(end[0], end[1]);
    moving_expect(end, SHARE_NEVER, SHARE_NEVER);
    moving_close(end);
}

static void accept_offer(pipc_t *end[2])
{
    offer(end);
    net_expect(end[0], "offer");
    net_say(end[0], "accepted");
    moving_expect(end, SHARE_LEAVING, SHARE_OFFERED);
}

TEST(a_shutdown_after_the_peer_has_accepted_ends_in_the_memory)
{
    for (int who = 0; who < 2; who++) {
        pipc_t *end[2];
        unsigned char byte;
        accept_offer(end);
        assert_int_equal(pipc_shutdown(end[who]), 0);
        net_expect(end[1], "accepted");
        net_say(end[1 - who], "one more");
        net_expect(end[who], "one more");
        assert_errno(pipc_read(end[1 - who], &byte, 1), EPIPE);
        assert_errno(pipc_write(end[who], "", 0), EPIPE);
        moving_expect(end, SHARE_MOVED, SHARE_MOVED);
        moving_close(end);
    }
}

/* What is written before the offer is seen comes by the socket, in pieces if it is large. */
static void end_behind_the_socket(pipc_t *end[2], size_t size, bool by_shutdown)
{
    offer(end);
    moving_send(end[0], size, 1);
    net_expect(end[0], "offer");
    moving_expect(end, SHARE_LEAVING, SHARE_OFFERED);
    if (by_shutdown)
        assert_int_equal(pipc_shutdown(end[0]), 0);
    else
        pipc_close(end[0]);
}

TEST(an_end_that_is_known_before_the_last_bytes_are_read_is_shown_behind_them)
{
    static const unsigned wants[] = {PIPC_WANT_READ, PIPC_WANT_READ | PIPC_WANT_WRITE};
    for (unsigned i = 0; i < 8; i++) {
        pipc_t *end[2];
        unsigned char byte;
        size_t size = i < 4 ? 10 : LARGE;
        bool by_shutdown = i % 4 < 2;
        end_behind_the_socket(end, size, by_shutdown);
        assert_int_equal(pipc_want(end[1], wants[i % 2]), 0);
        int fd = pipc_fd(end[1]);
        assert_true(harness_readable(fd, 0));
        moving_receive(end[1], size, 1);
        assert_true(harness_readable(fd, 0));
        assert_errno(pipc_read(end[1], &byte, 1), EPIPE);
        pipc_close(end[1]);
        if (by_shutdown)
            pipc_close(end[0]);
    }
}

/* It takes in what is left in the socket, and makes its last step by that. */
TEST(a_side_that_makes_a_step_while_it_does_not_wait_for_input_is_not_woken)
{
    static const unsigned wants[] = {0, PIPC_WANT_WRITE};
    for (unsigned i = 0; i < 4; i++) {
        pipc_t *end[2];
        size_t size = i < 2 ? 10 : LARGE;
        offer(end);
        moving_send(end[0], size, 1);
        net_expect(end[0], "offer");
        int fd = pipc_fd(end[1]);
        assert_int_equal(pipc_want(end[1], wants[i % 2]), 0);
        moving_expect(end, SHARE_LEAVING, SHARE_MOVED);
        assert_false(harness_readable(fd, 0));
        moving_receive(end[1], size, 1);
        assert_false(harness_readable(fd, 0));
        assert_int_equal(pipc_shutdown(end[0]), 0);
        assert_true(harness_readable(fd, LONG_MS));
        moving_close(end);
    }
}

TEST(a_handle_whose_offer_was_accepted_cannot_be_detached)
{
    pipc_t *end[2];
    int fds[2];
    accept_offer(end);
    assert_errno(pipc_detach(end[0], fds), EOPNOTSUPP);
    assert_errno(pipc_detach(end[1], fds), EOPNOTSUPP);
    net_expect(end[1], "accepted");
    net_expect_talk(end[0], end[1]);
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    moving_close(end);
}

TEST(what_was_sent_before_a_close_arrives_in_each_step_of_the_move)
{
    for (int who = 0; who < 2; who++)
        for (int step = 0; step < 4; step++) {
            pipc_t *end[2];
            unsigned char byte;
            step == 0 ? moving_open(end, 1000, NULL) : (step == 1 ? offer(end) : accept_offer(end));
            if (step == 3)
                net_expect(end[1], "accepted");
            pipc_t *from = end[who], *to = end[1 - who];
            if (who == 1 && step == 2)
                net_expect(end[1], "accepted");
            net_say(from, "last");
            pipc_close(from);
            if (who == 0 && step == 2)
                net_expect(to, "accepted");
            if (who == 1 && step == 1)
                net_expect(to, "offer");
            net_expect(to, "last");
            assert_errno(pipc_read(to, &byte, 1), EPIPE);
            assert_errno(pipc_write(to, "", 0), EPIPE);
            pipc_close(to);
        }
}

/* An answer that never comes, as from a client of another make. */
TEST(an_offer_that_nobody_accepts_is_withdrawn)
{
    pipc_t *end[2];
    unsigned char *data = calloc(1, 1 << 20);
    offer(end);
    int socket = moving_transport(end[0])->in;
    size_t mapped = harness_mapped_bytes();
    for (int i = 0; i < 200 && moving_state(end[1]) == SHARE_OFFERED; i++) {
        moving_send(end[1], LARGE, 0);
        for (size_t left = LARGE + (i == 0 ? 13 : 4); left > 0;) {
            ssize_t got = recv(socket, data, left < 1 << 20 ? left : 1 << 20, 0);
            assert_true(got > 0);
            left -= (size_t)got;
        }
    }
    assert_int_equal(moving_state(end[1]), SHARE_NEVER);
    assert_true(harness_mapped_bytes() < mapped);
    moving_close(end);
    free(data);
}

/* --- Without pipes as doorbells --- */

/* A call fails for one side or for both: they ring by the socket then, each as it has to. */
static void move_while_failing(pipc_t *end[2], enum fault_call call, unsigned long more)
{
    moving_open(end, 0, NULL);
    fault_reset();
    fault_fail(call, 1, more, EMFILE);
    fault_arm();
    moving_move(end);
    fault_disarm();
    fault_reset();
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
}

static void *answer(void *pipe)
{
    for (unsigned i = 0; i < 50; i++) {
        moving_receive(pipe, 5000, i);
        moving_send(pipe, 5000, i);
    }
    return NULL;
}

static void ask(pipc_t *end[2], bool polls)
{
    pthread_t thread;
    int fd = polls ? pipc_fd(end[0]) : -1;
    assert_int_equal(pipc_set_timeout(end[1], -1, -1), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer, end[1]), 0);
    for (unsigned i = 0; i < 50; i++) {
        moving_send(end[0], 5000, i);
        if (polls)
            assert_true(harness_readable(fd, LONG_MS));
        moving_receive(end[0], 5000, i);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    char byte;
    pipc_close(end[1]);
    if (polls)
        assert_true(harness_readable(fd, LONG_MS));
    assert_errno(pipc_read(end[0], &byte, 1), EPIPE);
    pipc_close(end[0]);
}

TEST(a_side_that_cannot_be_rung_by_a_pipe_is_rung_by_the_socket)
{
    static const struct {
        enum fault_call call;
        unsigned long more;
        int watchers;
    } cases[] = {{CALL_pipe2, 0, 0},         {CALL_pipe2, FAULT_FOREVER, 0},
                 {CALL_epoll_create1, 0, 1}, {CALL_epoll_create1, FAULT_FOREVER, 0},
                 {CALL_epoll_ctl, 0, 1},     {CALL_epoll_ctl, FAULT_FOREVER, 0}};
    if (!moving_has_doorbells())
        harness_skip("no pipes as doorbells here");
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int who = 0; who < 4; who++) {
            pipc_t *end[2];
            int before = harness_open_descriptors(), watchers = 0;
            move_while_failing(end, cases[i].call, cases[i].more);
            for (int k = 0; k < 2; k++)
                watchers += moving_transport(end[k])->share->doorbell.is_watched;
            assert_int_equal(watchers, cases[i].watchers);
            pipc_t *turned[2] = {end[who % 2], end[1 - who % 2]};
            ask(turned, who >= 2);
            assert_int_equal(harness_open_descriptors(), before);
        }
}

/* More rings than a pipe has room for. */
TEST(a_pipe_as_doorbell_never_fills)
{
    pipc_t *end[2];
    char byte = 0;
    if (!moving_has_doorbells())
        harness_skip("no pipes as doorbells here");
    moving_open(end, 0, NULL);
    moving_move(end);
    int fd = pipc_fd(end[0]), unread = 0, doorbell = moving_transport(end[0])->share->doorbell.own;
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    for (int i = 0; i < 2 * SYS_PIPE_DOORBELL_SIZE; i++) {
        assert_int_equal(pipc_write(end[1], &byte, 1), 1);
        assert_true(harness_readable(fd, LONG_MS));
        assert_int_equal(ioctl(doorbell, FIONREAD, &unread), 0);
        assert_true(unread < SYS_PIPE_DOORBELL_SIZE);
        assert_int_equal(pipc_read(end[0], &byte, 1), 1);
        assert_errno(pipc_read(end[0], &byte, 1), EAGAIN);
    }
    moving_close(end);
}

/* --- Pipes that were opened in other ways --- */

static void expect_to_move(pipc_t *end[2])
{
    for (int i = 0; i < 3; i++) {
        net_expect_talk(end[1], end[0]);
        net_expect_talk(end[0], end[1]);
    }
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    net_expect_talk(end[0], end[1]);
}

static int call_with_key(void *path)
{
    pipc_options_t options = net_with_key("secret");
    pipc_t *pipe = pipc_open_unix(path, LONG_MS, &options);
    assert_non_null(pipe);
    for (unsigned i = 0; i < 40; i++) {
        moving_receive(pipe, 1000, i);
        moving_send(pipe, 1000, i);
    }
    assert_int_equal(moving_state(pipe), SHARE_MOVED);
    pipc_close(pipe);
    return 0;
}

/* A process gets no pipe with a key to itself. */
TEST(a_pipe_with_a_key_moves)
{
    pipc_options_t options = net_with_key("secret");
    struct paths paths;
    moving_need();
    paths_begin(&paths);
    char *path = strdup(paths_to(&paths, "key"));
    pipc_server_t *server = paths_serve(path, &options);
    share_after = 0;
    pid_t pid = harness_fork(call_with_key, path);
    pipc_t *pipe = pipc_server_accept(server, LONG_MS);
    assert_non_null(pipe);
    for (unsigned i = 0; i < 40; i++) { /* the first offer may come too early */
        moving_send(pipe, 1000, i);
        moving_receive(pipe, 1000, i);
    }
    assert_int_equal(moving_state(pipe), SHARE_MOVED);
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(pipe);
    pipc_server_close(server);
    paths_end(&paths);
    free(path);
}

TEST(a_pipe_that_was_opened_before_its_server_moves)
{
    pipc_t *end[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct paths paths;
    moving_need();
    paths_begin(&paths);
    share_after = 0;
    options.flags = PIPC_ASYNC;
    end[0] = pipc_open_unix(paths_to(&paths, "late"), LONG_MS, &options);
    assert_non_null(end[0]);
    int fd = pipc_fd(end[0]);
    pipc_server_t *server = paths_serve(paths_to(&paths, "late"), NULL);
    assert_true(pipc_flush(end[0]) >= 0);
    end[1] = pipc_server_accept(server, LONG_MS);
    assert_non_null(end[1]);
    expect_to_move(end);
    assert_int_equal(pipc_fd(end[0]), fd);
    assert_false(harness_readable(fd, 0));
    net_say(end[1], "wake up");
    assert_true(harness_readable(fd, LONG_MS));
    net_expect(end[0], "wake up");
    moving_close(end);
    pipc_server_close(server);
    paths_end(&paths);
}

TEST(a_client_of_a_listener_that_was_taken_over_moves)
{
    pipc_t *end[2];
    struct paths paths;
    moving_need();
    paths_begin(&paths);
    const char *path = paths_to(&paths, "taken");
    pipc_server_t *server = pipc_server_open_fd(paths_listen(path, 1), NULL);
    assert_non_null(server);
    share_after = 0;
    end[0] = pipc_open_unix(path, LONG_MS, NULL);
    end[1] = pipc_server_accept(server, LONG_MS);
    expect_to_move(end);
    moving_close(end);
    pipc_server_close(server);
    unlink(path);
    paths_end(&paths);
}

/* --- Processes --- */

static int go_on(void *arg)
{
    pipc_t **end = arg;
    pipc_close(end[1]);
    for (unsigned i = 0; i < 50; i++) {
        moving_receive(end[0], 5000, i);
        moving_send(end[0], 5000, i + 100);
    }
    pipc_close(end[0]);
    return 0;
}

/* In each step of the move the child goes on, and the parent closes its copy. */
TEST(a_child_goes_on_with_its_parents_end_wherever_the_move_is)
{
    for (int step = 0; step < 8; step++) {
        pipc_t *end[2];
        moving_open(end, 0, NULL);
        for (int i = 0; i < step; i++)
            i % 2 == 0 ? net_say(end[1], "step") : net_expect(end[0], "step");
        if (step % 2 == 1)
            net_expect(end[0], "step");
        pid_t pid = harness_fork(go_on, end);
        pipc_close(end[0]);
        for (unsigned i = 0; i < 50; i++) {
            moving_send(end[1], 5000, i);
            moving_receive(end[1], 5000, i + 100);
        }
        assert_int_equal(moving_state(end[1]), SHARE_MOVED);
        char byte;
        assert_errno(pipc_read(end[1], &byte, 1), EPIPE);
        assert_int_equal(harness_wait(pid), 0);
        pipc_close(end[1]);
    }
}

static int keep_copies(void *arg)
{
    harness_gate_wait(arg);
    return 0;
}

/* As on a socket: the end comes when the last copy has gone. */
TEST(a_bystander_with_copies_hides_the_end_of_a_moved_pipe)
{
    pipc_t *end[2];
    char byte;
    struct harness_gate gate;
    harness_gate_init(&gate);
    moving_open(end, 0, NULL);
    moving_move(end);
    pid_t pid = harness_fork(keep_copies, &gate);
    pipc_close(end[1]);
    assert_int_equal(pipc_set_timeout(end[0], 50, 50), 0);
    assert_errno(pipc_read(end[0], &byte, 1), ETIMEDOUT);
    harness_gate_open(&gate);
    assert_int_equal(harness_wait(pid), 0);
    assert_errno(pipc_read(end[0], &byte, 1), EPIPE);
    harness_gate_close(&gate);
    pipc_close(end[0]);
}

HARNESS_MAIN("moving into shared memory, steps", IT(a_shutdown_before_an_offer_keeps_the_socket),
             IT(a_shutdown_withdraws_an_offer), IT(a_handle_that_has_offered_can_be_detached),
             IT(a_shutdown_after_the_peer_has_accepted_ends_in_the_memory),
             IT(an_end_that_is_known_before_the_last_bytes_are_read_is_shown_behind_them),
             IT(a_side_that_makes_a_step_while_it_does_not_wait_for_input_is_not_woken),
             IT(a_handle_whose_offer_was_accepted_cannot_be_detached),
             IT(what_was_sent_before_a_close_arrives_in_each_step_of_the_move),
             IT(an_offer_that_nobody_accepts_is_withdrawn),
             IT(a_side_that_cannot_be_rung_by_a_pipe_is_rung_by_the_socket),
             IT(a_pipe_as_doorbell_never_fills), IT(a_pipe_with_a_key_moves),
             IT(a_pipe_that_was_opened_before_its_server_moves),
             IT(a_client_of_a_listener_that_was_taken_over_moves),
             IT(a_child_goes_on_with_its_parents_end_wherever_the_move_is),
             IT(a_bystander_with_copies_hides_the_end_of_a_moved_pipe))
