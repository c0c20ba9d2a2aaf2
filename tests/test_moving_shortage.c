/* SPDX-License-Identifier: MIT */
/*
 * Descriptors or memory run out while a pipe should move: it stays a socket, or moves, and every
 * message arrives.
 */
#include "moving.h"

#include <stdio.h>
#include <unistd.h>

#include "net.h"

enum { ROUNDS = 6 };

/* The move has three steps, and there is one more message each way. */
static void talk(pipc_t *end[2])
{
    for (int i = 0; i < ROUNDS; i++) {
        net_say(end[1], "there");
        net_expect(end[0], "there");
        net_say(end[0], "back");
        net_expect(end[1], "back");
    }
}

static void open_to_move(const struct kind *kind, pipc_t *end[2])
{
    kind_open(kind, end, NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_set_timeout(end[i], 10000, 10000), 0);
}

/* Whole on both sides, or not at all. */
static bool has_moved(pipc_t *end[2])
{
    assert_int_equal(moving_state(end[0]) == SHARE_MOVED, moving_state(end[1]) == SHARE_MOVED);
    return moving_state(end[0]) == SHARE_MOVED;
}

/* --- Descriptors --- */

static int lowest_free(void)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static bool move_with_descriptors(const struct kind *kind, int count)
{
    pipc_t *end[2];
    open_to_move(kind, end);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)(lowest_free() + count));
    talk(end);
    bool moved = has_moved(end);
    harness_limit(RLIMIT_NOFILE, before);
    talk(end);
    assert_true(pipc_fd(end[0]) >= 0);
    kind_close(kind, end);
    harness_assert_nothing_left();
    return moved;
}

TEST_OF_KIND(without_free_descriptors_a_pipe_goes_on_as_a_socket)
{
    int count = 0;
    while (!move_with_descriptors(kind, count))
        assert_true(++count < 20);
    assert_true(count > 0);
}

TEST_OF_KIND(a_pipe_moves_once_there_are_descriptors_again)
{
    pipc_t *end[2];
    open_to_move(kind, end);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)lowest_free());
    talk(end);
    assert_false(has_moved(end));
    harness_limit(RLIMIT_NOFILE, before);
    for (int i = 0; i < 2000 && !has_moved(end); i++) /* the next try is 16 KiB later */
        talk(end);
    assert_true(has_moved(end));
    kind_close(kind, end);
}

/* The socket is full of what the peer has not read, and the peer says more in the ring. */
static void fill_and_move(pipc_t *end[2])
{
    static char data[MOVING_LARGE];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_set_timeout(end[i], 0, 0), 0);
    while (pipc_write(end[1], data, sizeof data) >= 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(pipc_read(end[0], data, sizeof data), sizeof data);
    assert_int_equal(pipc_flush(end[1]), 0);
    for (unsigned i = 1; i <= 3; i++)
        moving_send(end[0], 2, i);
    moving_expect(end, SHARE_LEAVING, SHARE_MOVED);
    assert_false(sys_has_room(moving_transport(end[1])->in));
}

/* There is neither room in the socket nor a descriptor by which it could be shown. */
TEST_OF_KIND(without_free_descriptors_a_moved_pipe_is_readable_as_soon_as_more_bytes_come)
{
    if (!moving_has_doorbells())
        harness_skip("the socket is watched as well, and shows what comes");
    pipc_t *end[2];
    open_to_move(kind, end);
    int fd = pipc_fd(end[1]);
    fill_and_move(end);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)lowest_free());
    assert_int_equal(pipc_want(end[1], PIPC_WANT_READ), 0);
    assert_false(harness_readable(fd, 0));
    moving_send(end[0], 2, 4);
    assert_true(harness_readable(fd, 2000));
    harness_limit(RLIMIT_NOFILE, before);
    for (unsigned i = 1; i <= 4; i++) {
        assert_true(harness_readable(fd, 2000));
        moving_receive(end[1], 2, i);
    }
    kind_close(kind, end);
}

/* --- Memory --- */

static rlim_t mapped_now(void)
{
    unsigned long pages = 0;
    harness_need_proc();
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

enum { PIPES = 12, LITTLE = 3500000 };

TEST_OF_KIND(without_address_space_a_pipe_goes_on_as_a_socket)
{
    pipc_t *end[PIPES][2];
    int moved = 0;
    if (harness_scale() > 1)
        harness_skip("address space cannot be limited under this tool");
    for (int i = 0; i < PIPES; i++)
        open_to_move(kind, end[i]);
    rlim_t before = harness_limit(RLIMIT_AS, mapped_now() + LITTLE);
    for (int i = 0; i < PIPES; i++) {
        talk(end[i]);
        moved += has_moved(end[i]);
    }
    harness_limit(RLIMIT_AS, before);
    assert_in_range(moved, 0, PIPES - 1);
    for (int i = 0; i < PIPES; i++) {
        talk(end[i]);
        kind_close(kind, end[i]);
    }
}

/* The kinds that move with their first messages. */
static int open_pair(pipc_t *end[2], const pipc_options_t *options)
{
    moving_open_pair_kind(end, options);
    return 0;
}

static int open_unix(pipc_t *end[2], const pipc_options_t *options)
{
    moving_open_kind(end, options);
    return 0;
}

static const struct kind moving[] = {{.name = "pair", .open = open_pair},
                                     {.name = "Unix socket", .open = open_unix},
                                     {.name = NULL}};

HARNESS_MAIN(
    "moving into shared memory, shortages",
    OVER_CASES(without_free_descriptors_a_pipe_goes_on_as_a_socket, moving),
    OVER_CASES(a_pipe_moves_once_there_are_descriptors_again, moving),
    OVER_CASES(without_free_descriptors_a_moved_pipe_is_readable_as_soon_as_more_bytes_come,
               moving),
    OVER_CASES(without_address_space_a_pipe_goes_on_as_a_socket, moving))
