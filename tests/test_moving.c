/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets that move into shared memory: when they do and when not, and that nobody else
 * notices, wherever in the stream it happens.
 */
#include "moving.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fds.h"
#include "net.h"
#include "paths.h"

enum { LONG_MS = 10000, LARGE = MOVING_LARGE, HUGE = 400000 };

static void set_timeouts(pipc_t *end[2], int ms)
{
    assert_int_equal(pipc_set_timeout(end[0], ms, ms), 0);
    assert_int_equal(pipc_set_timeout(end[1], ms, ms), 0);
}

/* --- When --- */

TEST(it_moves_when_enough_has_flowed_and_costs_three_descriptors_a_side)
{
    pipc_t *end[2];
    moving_open(end, 131072, NULL);
    int before = harness_open_descriptors();
    for (unsigned i = 0; i < 63; i++) {
        moving_send(end[1], 1000, i);
        moving_receive(end[0], 1000, i);
        moving_send(end[0], 1000, i);
        moving_receive(end[1], 1000, i);
    }
    moving_expect(end, SHARE_AWAIT, SHARE_AWAIT);
    for (unsigned i = 0; i < 10; i++) {
        moving_send(end[1], 1000, i);
        moving_receive(end[0], 1000, i);
        moving_send(end[0], 1000, i);
        moving_receive(end[1], 1000, i);
    }
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    assert_int_equal(harness_open_descriptors(), before + (moving_has_doorbells() ? 6 : 0));
    moving_close(end);
    assert_int_equal(harness_open_descriptors(), before - 2);
}

TEST(it_moves_while_only_the_server_sends)
{
    pipc_t *end[2];
    moving_open(end, 131072, NULL);
    for (unsigned i = 0; i < 400; i++) {
        moving_send(end[1], 500, i);
        moving_receive(end[0], 500, i);
    }
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    moving_close(end);
}

/* The side that accepted offers the memory, with something that it sends. */
TEST(it_moves_with_the_first_message_of_a_server_that_only_read)
{
    pipc_t *end[2];
    moving_open(end, 131072, NULL);
    for (unsigned i = 0; i < 400; i++) {
        moving_send(end[0], 500, i);
        moving_receive(end[1], 500, i);
    }
    moving_expect(end, SHARE_AWAIT, SHARE_AWAIT);
    net_expect_talk(end[1], end[0]);
    net_expect_talk(end[1], end[0]);
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    moving_close(end);
}

/* The first offers come before the client has read enough to look for one. */
TEST(it_moves_although_the_client_reads_late)
{
    pipc_t *end[2];
    moving_open(end, 4096, NULL);
    set_timeouts(end, LONG_MS);
    for (unsigned i = 0; i < 50; i++)
        moving_send(end[1], 1000, i);
    if (moving_state(end[1]) == SHARE_OFFERED) { /* before Linux 6.16 */
        moving_close(end);
        harness_skip("the kernel drops the descriptor, and does not refuse it");
        return;
    }
    moving_expect(end, SHARE_AWAIT, SHARE_AWAIT);
    for (unsigned i = 0; i < 50; i++)
        moving_receive(end[0], 1000, i);
    for (unsigned i = 0; i < 400; i++) {
        moving_send(end[1], 1000, i);
        moving_receive(end[0], 1000, i);
    }
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    moving_close(end);
}

/* --- Who does not want --- */

static const struct kind flags_cases[] = {
    {.name = "the client has PIPC_NO_SHARED_MEMORY", .descriptors = PIPC_NO_SHARED_MEMORY},
    {.name = "the client has PIPC_DUPLEX", .descriptors = PIPC_DUPLEX},
    {.name = "the client has PIPC_ACCEPT_FDS", .descriptors = PIPC_ACCEPT_FDS},
    {.name = "the client has PIPC_GATHER", .descriptors = PIPC_GATHER},
    {.name = "the server has PIPC_NO_SHARED_MEMORY", .descriptors = -(int)PIPC_NO_SHARED_MEMORY},
    {.name = "the server has PIPC_DUPLEX", .descriptors = -(int)PIPC_DUPLEX},
    {.name = "the server has PIPC_ACCEPT_FDS", .descriptors = -(int)PIPC_ACCEPT_FDS},
    {.name = "the server has PIPC_GATHER", .descriptors = -(int)PIPC_GATHER},
    {.name = NULL}};

TEST_OF_KIND(it_stays_a_socket_when_one_side_has_such_a_flag)
{
    pipc_t *end[2];
    pipc_options_t client = PIPC_OPTIONS_INIT, server = PIPC_OPTIONS_INIT;
    int none[1];
    if (kind->descriptors > 0)
        client.flags = (unsigned)kind->descriptors;
    else
        server.flags = (unsigned)-kind->descriptors;
    moving_open_each(end, 1024, &client, &server);
    for (unsigned i = 0; i < 300; i++) {
        moving_send(end[1], 300, i);
        assert_true(pipc_flush(end[1]) >= 0);
        moving_receive(end[0], 300, i);
        assert_int_equal(pipc_take_fds(end[0], none, 1), 0);
        moving_send(end[0], 300, i);
        assert_true(pipc_flush(end[0]) >= 0);
        moving_receive(end[1], 300, i);
    }
    assert_true(moving_state(end[0]) == SHARE_NEVER || moving_state(end[0]) == SHARE_AWAIT);
    assert_true(moving_state(end[1]) != SHARE_MOVED && moving_state(end[1]) != SHARE_LEAVING);
    moving_close(end);
}

/* --- Another user --- */

struct talk {
    const char *path;
    bool becomes_another;
    enum share_state expected; /* afterwards */
};

/* Much more than what moves a pipe. */
static void talk(pipc_t *pipe, bool begins, enum share_state expected)
{
    assert_non_null(pipe);
    for (unsigned i = 0; i < 300; i++) {
        if (begins)
            moving_send(pipe, 300, i);
        moving_receive(pipe, 300, i);
        if (!begins)
            moving_send(pipe, 300, i);
    }
    assert_int_equal(moving_state(pipe), expected);
    pipc_close(pipe);
}

static int talk_as_client(void *arg)
{
    struct talk *with = arg;
    if (with->becomes_another)
        paths_become(PATHS_USER_A);
    talk(pipc_open_unix(with->path, LONG_MS, NULL), false, with->expected);
    return 0;
}

static int talk_as_server(void *arg)
{
    struct talk *with = arg;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.mode = 0666;
    if (with->becomes_another)
        paths_become(PATHS_USER_A);
    pipc_server_t *server = paths_serve(with->path, &options);
    talk(pipc_server_accept(server, LONG_MS), true, with->expected);
    pipc_server_close(server);
    return 0;
}

/* Of two users, root lets no memory of the other's in, and offers none to the other. */
TEST(a_pipe_to_another_user_stays_a_socket)
{
    struct paths paths;
    paths_need_users();
    moving_need();
    paths_begin(&paths);
    assert_int_equal(chmod(paths.directory, 01777), 0);
    struct talk server = {paths_to(&paths, "socket"), false, SHARE_MOVED}, client = server;
    pid_t pid = harness_fork(talk_as_client, &client);
    talk_as_server(&server);
    assert_int_equal(harness_wait(pid), 0);

    client = (struct talk){server.path, true, SHARE_AWAIT};
    server.expected = SHARE_NEVER;
    pid = harness_fork(talk_as_client, &client);
    talk_as_server(&server);
    assert_int_equal(harness_wait(pid), 0);

    /* Its offer is refused by a switch of the kernel, or is never answered. */
    server = (struct talk){client.path, true, fds_can_refuse() ? SHARE_AWAIT : SHARE_OFFERED};
    client = (struct talk){client.path, false, SHARE_NEVER};
    pid = harness_fork(talk_as_server, &server);
    talk_as_client(&client);
    assert_int_equal(harness_wait(pid), 0);
    paths_end(&paths);
}

/* --- Where in the stream --- */

static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 40, 300, 20000, LARGE, 0, 7};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void ping_pong(pipc_t *end[2])
{
    for (unsigned i = 0; i < SIZES; i++) {
        moving_send(end[1], sizes[i], i);
        moving_receive(end[0], sizes[i], i);
        moving_send(end[0], sizes[i], i + 100);
        moving_receive(end[1], sizes[i], i + 100);
    }
}

/* Each side has sent all before the other one reads. */
static void bulk(pipc_t *end[2])
{
    for (unsigned way = 0; way < 2; way++) {
        for (unsigned i = 0; i < SIZES; i++)
            moving_send(end[1 - way], sizes[i], i);
        for (unsigned i = 0; i < SIZES; i++)
            moving_receive(end[way], sizes[i], i);
    }
}

static void crosswise(pipc_t *end[2])
{
    for (unsigned i = 0; i < SIZES; i++) {
        moving_send(end[0], sizes[i], i);
        moving_send(end[1], sizes[i], i + 100);
        if (i % 3 != 2)
            continue;
        for (unsigned k = i - 2; k <= i; k++) {
            moving_receive(end[1], sizes[k], k);
            moving_receive(end[0], sizes[k], k + 100);
        }
    }
}

static void move_after(uint64_t after, void (*script)(pipc_t *end[2]))
{
    pipc_t *end[2];
    moving_open(end, after, NULL);
    set_timeouts(end, LONG_MS);
    script(end);
    net_expect_talk(end[0], end[1]);
    net_expect_talk(end[1], end[0]);
    net_expect_talk(end[0], end[1]);
    if (after == 0 || (after < 300 && script != bulk))
        moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    assert_int_equal(pipc_disconnect(end[0], "done"), 0);
    unsigned char byte;
    assert_errno(pipc_read(end[1], &byte, 1), ESHUTDOWN);
    assert_errno(pipc_read(end[1], &byte, 1), EPIPE);
    moving_close(end);
}

static void move_everywhere(void (*script)(pipc_t *end[2]))
{
    for (uint64_t after = 0; after < 160; after++)
        move_after(after, script);
    for (uint64_t after = 160; after < 200000; after += 7919)
        move_after(after, script);
}

TEST(no_message_changes_wherever_it_moves_in_a_conversation)
{
    move_everywhere(ping_pong);
}

TEST(no_message_changes_wherever_it_moves_in_a_stream)
{
    move_everywhere(bulk);
}

TEST(no_message_changes_wherever_it_moves_while_both_send)
{
    move_everywhere(crosswise);
}

/* --- What is held --- */

static unsigned char huge[HUGE];

/* Of the last of these messages the socket takes a part, and the rest is held. */
static void fill_with(pipc_t *pipe, unsigned tag)
{
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        size_t size = i < 2 ? LARGE : HUGE;
        harness_fill(huge, size, tag + i);
        assert_int_equal(pipc_write(pipe, huge, size), size);
    }
    assert_errno(pipc_write(pipe, huge, 1), EAGAIN);
}

/* The next of them, if it is there. */
static void take_filled(pipc_t *pipe, unsigned tag, unsigned *got)
{
    ssize_t size = pipc_read(pipe, huge, sizeof huge);
    if (size < 0) {
        assert_int_equal(errno, EAGAIN);
        return;
    }
    assert_int_equal(size, *got < 2 ? LARGE : HUGE);
    harness_check(huge, (size_t)size, tag + (*got)++);
}

static uint64_t held(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    return stats.bytes_held;
}

/* Both have a part of a message on the socket, and the rest in memory. */
static void move_with_both_held(uint64_t after)
{
    pipc_t *end[2];
    unsigned got[2] = {0, 0};
    moving_open(end, after, NULL);
    fill_with(end[0], 0);
    fill_with(end[1], 1000);
    assert_true(held(end[0]) > 0 && held(end[1]) > 0);
    for (int round = 0; got[0] < 3 || got[1] < 3; round++) {
        assert_true(round < 100);
        take_filled(end[0], 1000, &got[0]);
        take_filled(end[1], 0, &got[1]);
    }
    assert_int_equal(held(end[0]) + held(end[1]), 0);
    set_timeouts(end, LONG_MS);
    ping_pong(end);
    moving_expect(end, SHARE_MOVED, SHARE_MOVED);
    moving_close(end);
}

TEST(output_that_both_hold_goes_on_in_the_memory)
{
    move_with_both_held(0);
    move_with_both_held(LARGE + 2);
    move_with_both_held(2 * LARGE);
    move_with_both_held(2 * LARGE + 40000);
}

static void *write_on(void *arg)
{
    for (unsigned i = 0; i < 200; i++)
        moving_send(arg, LARGE, i);
    return NULL;
}

/* The writer waits for room on the socket, while the reader moves. */
TEST(a_writer_that_waits_for_room_goes_on_in_the_memory)
{
    for (int way = 0; way < 2; way++) {
        pipc_t *end[2];
        pthread_t thread;
        moving_open(end, 1, NULL);
        net_expect_talk(end[1], end[0]);
        assert_int_equal(pthread_create(&thread, NULL, write_on, end[way]), 0);
        for (unsigned i = 0; i < 200; i++)
            moving_receive(end[1 - way], LARGE, i);
        assert_int_equal(pthread_join(thread, NULL), 0);
        net_expect_talk(end[0], end[1]);
        net_expect_talk(end[1], end[0]);
        moving_expect(end, SHARE_MOVED, SHARE_MOVED);
        moving_close(end);
    }
}

HARNESS_MAIN("moving into shared memory",
             IT(it_moves_when_enough_has_flowed_and_costs_three_descriptors_a_side),
             IT(it_moves_while_only_the_server_sends),
             IT(it_moves_with_the_first_message_of_a_server_that_only_read),
             IT(it_moves_although_the_client_reads_late),
             OVER_CASES(it_stays_a_socket_when_one_side_has_such_a_flag, flags_cases),
             IT(a_pipe_to_another_user_stays_a_socket),
             IT(no_message_changes_wherever_it_moves_in_a_conversation),
             IT(no_message_changes_wherever_it_moves_in_a_stream),
             IT(no_message_changes_wherever_it_moves_while_both_send),
             IT(output_that_both_hold_goes_on_in_the_memory),
             IT(a_writer_that_waits_for_room_goes_on_in_the_memory))
