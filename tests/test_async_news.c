/* SPDX-License-Identifier: MIT */
/*
 * With PIPC_ASYNC the news that the peer has come is shown once, and by no call that has written or
 * read since: whichever way that call took.
 */
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "moving.h"
#include "net.h"
#include "paths.h"

enum { LONG_MS = 10000, REPORTS_MAX = 8, LARGE = 5000 };

static pipc_options_t async_options(void)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_ASYNC;
    return options;
}

/* A loop that reads all that is there at each wakeup; it ends soon after the reports of an end. */
static void expect_loop_to_end(pipc_t *pipe, int fd, int error)
{
    char bytes[8];
    int wakeups = 0;
    while (harness_readable(fd, 0)) {
        while (pipc_read(pipe, bytes, sizeof bytes) >= 0)
            continue;
        assert_true(++wakeups <= REPORTS_MAX + 2);
    }
    assert_int_equal(errno, error);
}

/* By FIFOs: the call that opens the pipe takes in the goodbye. */
TEST(a_loop_ends_when_the_peer_has_come_and_gone)
{
    for (int says = 0; says < 2; says++) {
        struct paths paths;
        paths_begin(&paths);
        assert_int_equal(chmod(paths.directory, 0700), 0);
        pipc_options_t options = async_options(), plain = PIPC_OPTIONS_INIT;
        options.directory = plain.directory = paths.directory;
        pipc_t *pipe = pipc_open_fifo("name", LONG_MS, &options);
        assert_non_null(pipe);
        assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
        int fd = pipc_fd(pipe);
        pipc_t *peer = pipc_open_fifo("name", LONG_MS, &plain);
        assert_non_null(peer);
        if (says)
            assert_int_equal(pipc_write(peer, "m", 1), 1);
        assert_int_equal(pipc_disconnect(peer, "bye"), 0);
        assert_true(harness_readable(fd, LONG_MS));
        expect_loop_to_end(pipe, fd, EPIPE);
        pipc_close(pipe);
        pipc_close(peer);
        paths_end(&paths);
    }
}

/* The first read ends reading, before or after the descriptor is asked for. */
static void end_by_first_read(const char *bytes, size_t size, int first, int later, bool polls)
{
    struct paths paths;
    char byte;
    paths_begin(&paths);
    pipc_options_t options = async_options();
    int listener = paths_listen(paths_to(&paths, "raw"), 1);
    pipc_t *pipe = pipc_open_unix(paths_to(&paths, "raw"), LONG_MS, &options);
    int raw = accept(listener, NULL, NULL), fd = polls ? pipc_fd(pipe) : -1;
    assert_true(raw >= 0);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    net_give(raw, bytes, size);
    assert_errno(pipc_read(pipe, &byte, 1), first);
    fd = polls ? fd : pipc_fd(pipe);
    expect_loop_to_end(pipe, fd, later);
    pipc_close(pipe);
    close(raw);
    close(listener);
    unlink(paths_to(&paths, "raw"));
    paths_end(&paths);
}

TEST(a_loop_ends_when_the_first_read_has_ended_reading)
{
    for (int polls = 0; polls < 2; polls++) {
        end_by_first_read("\xff\xff\xff\xfe\0\0\0\3BYE", 11, ESHUTDOWN, EPIPE, polls);
        end_by_first_read("\xff\xff\xff\xf0", 4, EPROTO, EPROTO, polls);
    }
}

/* It has moved, and then small messages are written into the memory itself. */
TEST(a_loop_ends_that_writes_into_shared_memory)
{
    struct paths paths;
    static char bytes[LARGE];
    moving_need();
    paths_begin(&paths);
    pipc_options_t options = async_options();
    pipc_server_t *server = paths_serve(paths_to(&paths, "server"), NULL);
    pipc_t *pipe = pipc_open_unix(paths_to(&paths, "server"), LONG_MS, &options);
    pipc_t *peer = pipc_server_accept(server, LONG_MS);
    assert_non_null(pipe);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pipc_write(peer, bytes, LARGE), LARGE);
        assert_int_equal(pipc_read(pipe, bytes, LARGE), LARGE);
        if (i > 12)
            net_expect_talk(pipe, peer);
    }
    assert_int_equal(pipc_want(pipe, PIPC_WANT_WRITE), 0);
    int fd = pipc_fd(pipe);
    for (int i = 0; harness_readable(fd, 0); i++) {
        assert_true(i < 2);
        assert_int_equal(pipc_write(pipe, "x", 1), 1);
    }
    pipc_close(pipe);
    pipc_close(peer);
    pipc_server_close(server);
    paths_end(&paths);
}

HARNESS_MAIN("async news", IT(a_loop_ends_when_the_peer_has_come_and_gone),
             IT(a_loop_ends_when_the_first_read_has_ended_reading),
             IT(a_loop_ends_that_writes_into_shared_memory))
