/* SPDX-License-Identifier: MIT */
/*
 * PIPC_DUPLEX and edges: room that comes in the midst of a write. The writing thread has just
 * found none, and the reading thread is woken for it, which does not look while the other one
 * writes.
 */
#include "fault.h"
#include "platform.h"
#include "polling.h"
#include "raw.h"

#include <pthread.h>

enum { LARGE = 1 << 20 };

struct room {
    struct raw raw;
    struct poller poller;
    enum fault_call call; /* by which the pipe is written to */
};

static void take_all(const struct raw *raw)
{
    static char bytes[65536];
    while (read(raw->in, bytes, sizeof bytes) > 0)
        continue;
    assert_int_equal(errno, EAGAIN);
}

static void read_at_edges(struct room *room)
{
    while (poller_reports(&room->poller, 0))
        expect_failure(room->raw.pipe, EAGAIN);
}

static void open_full(struct room *room, const struct raw_kind *kind, enum fault_call call)
{
    static const char large[LARGE];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_DUPLEX;
    raw_open(&room->raw, kind, &options);
    assert_int_equal(fcntl(room->raw.in, F_SETFL, O_NONBLOCK), 0);
    room->call = call;
    room->poller = poller_begin(BY_EDGE, pipc_fd(room->raw.pipe));
    assert_int_equal(pipc_write(room->raw.pipe, large, LARGE), LARGE);
    read_at_edges(room);
}

/* How often a write tries before it returns EAGAIN. */
static unsigned long count_tries(const struct room *room)
{
    fault_reset();
    fault_arm();
    assert_errno(pipc_write(room->raw.pipe, "x", 1), EAGAIN);
    fault_disarm();
    if (fault_calls(room->call) == 0)
        harness_skip("this kernel is asked for room in another way");
    return fault_calls(room->call);
}

static void *be_the_reader(void *room)
{
    read_at_edges(room);
    return NULL;
}

/* When this returns, the reading thread has taken the edge of the room. */
static void make_room(void *context)
{
    struct room *room = context;
    pthread_t reader;
    take_all(&room->raw);
    assert_int_equal(pthread_create(&reader, NULL, be_the_reader, room), 0);
    assert_int_equal(pthread_join(reader, NULL), 0);
}

/* The last try comes before there is room, and its thread learns that afterwards. */
static void write_while_room_comes(struct room *room)
{
    unsigned long tries = count_tries(room);
    read_at_edges(room);
    fault_reset();
    fault_before(room->call, tries, make_room, room);
    fault_fail(room->call, tries, 0, EAGAIN);
    fault_arm();
    assert_errno(pipc_write(room->raw.pipe, "x", 1), EAGAIN);
    fault_disarm();
    assert_int_equal(fault_failures(room->call), 1);
}

static void expect_new_edge(const struct raw_kind *kind, enum fault_call call)
{
    struct room room;
    open_full(&room, kind, call);
    write_while_room_comes(&room);
    assert_true(poller_reports(&room.poller, 0));
    while (pipc_write(room.raw.pipe, "x", 1) == -1) {
        assert_int_equal(errno, EAGAIN);
        take_all(&room.raw);
        assert_true(poller_reports(&room.poller, 0));
    }
    poller_end(&room.poller);
    raw_close(&room.raw);
}

TEST(room_of_a_socket_that_came_while_a_thread_was_writing_gives_a_new_edge)
{
    platform_needs(PLATFORM_SETS);
    expect_new_edge(&raw_socket, CALL_send);
}

TEST(room_of_a_pipe_that_came_while_a_thread_was_writing_gives_a_new_edge)
{
    platform_needs(PLATFORM_SETS);
    expect_new_edge(&raw_pipes, PLATFORM_FIFO_WRITE);
}

HARNESS_MAIN("duplex room",
             IT(room_of_a_socket_that_came_while_a_thread_was_writing_gives_a_new_edge),
             IT(room_of_a_pipe_that_came_while_a_thread_was_writing_gives_a_new_edge))
