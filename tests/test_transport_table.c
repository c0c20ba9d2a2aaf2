/* SPDX-License-Identifier: MIT */
/*
 * What transport.h promises of calls that no handle makes on the transport it has: each member of
 * the table can be called, does no harm, and says that it cannot do what it is asked for.
 */
#include "paths.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer/ends.h"
#include "rendezvous/async.h"
#include "rendezvous/unix.h"
#include "sys/sys.h"
#include "sys/sys_unix.h"
#include "transport/transport.h"

static void expect_no_descriptors(struct transport *t)
{
    struct sys_credentials credentials;
    int fds[2] = {-7, -7}, own = STDIN_FILENO;
    assert_false(t->ops->accept_fds(t, NULL));
    assert_false(t->ops->carries_fds(t));
    assert_errno(t->ops->write_fds(t, "x", &own, 1), EOPNOTSUPP);
    assert_errno(t->ops->credentials(t, &credentials), EOPNOTSUPP);
    assert_errno(t->ops->detach(t, fds), EOPNOTSUPP);
    assert_int_equal(fds[0], -7);
    assert_int_equal(fds[1], -7);
}

TEST(an_end_of_an_anonymous_pipe_has_neither_descriptors_nor_credentials)
{
    struct ends ends;
    assert_int_equal(ends_open(&ends), 0);
    unsigned end = (unsigned)ends_claim(&ends);
    struct transport *t = transport_ring(&ends);
    assert_non_null(t);
    transport_ring_take(t, end);
    expect_no_descriptors(t);
    assert_false(t->ops->unread(t));
    assert_int_equal(transport_ring_written(t), 0);
    t->ops->close(t);
    ends_finish(&ends, end);
    ends_close(&ends);
}

/* Nothing can be placed in the kernel, and nothing is written by the try. */
static void expect_no_room(const struct transport_ops *ops, struct transport *t)
{
    assert_int_equal(t->reserve_max, 0);
    assert_null_errno(ops->reserve(t, 1), EMSGSIZE);
    ops->commit(t, 0);
}

TEST(a_stream_has_no_room_to_write_in)
{
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    int reader = dup(fds[0]);
    struct transport *t = transport_fd(fds[0], fds[1]);
    assert_non_null(t);
    expect_no_room(t->ops, t);
    t->ops->close(t);
    assert_int_equal(read(reader, &byte, 1), 0);
    close(reader);
}

/* Reads go through the buffer, or past it. */
TEST(a_stream_at_its_end_stays_there_and_one_that_was_shut_down_takes_nothing)
{
    static char bytes[70000];
    for (size_t size = 1; size <= sizeof bytes; size += sizeof bytes - 1) {
        int fds[2], back[2];
        struct iovec part = {bytes, 1};
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(pipe(back), 0);
        struct transport *t = transport_fd(fds[0], back[1]);
        assert_non_null(t);
        assert_int_equal(close(fds[1]), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(t->ops->read(t, bytes, size, false), 0);
        assert_int_equal(t->ops->shutdown(t), 0);
        assert_errno(t->ops->writev(t, &part, 1), EPIPE);
        assert_int_equal(read(back[0], bytes, 1), 0);
        t->ops->close(t);
        close(back[0]);
    }
}

/* A thread may have looked for the table just before the peer came. */
TEST(the_table_of_a_handle_without_a_peer_serves_after_the_peer_has_come)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "socket");
    struct unix_request request = {.path = path, .limit = limit_of(-1, false)};
    struct rendezvous *rendezvous = unix_rendezvous(&request);
    assert_non_null(rendezvous);
    struct transport *t = async_open(rendezvous);
    assert_non_null(t);
    const struct transport_ops *before = t->ops;
    int listener = paths_listen(path, 1);
    while (before->writev(t, NULL, 0) != 0)
        assert_int_equal(before->wait(t, TRANSPORT_OUT, -1), 0);
    assert_false(transport_is_opening(t));
    int server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    assert_false(before->unread(t));
    assert_int_equal(write(server, "x", 1), 1);
    assert_true(before->unread(t));
    assert_true(before->goodbye(t)); /* nobody can follow */
    expect_no_room(before, t);
    assert_int_equal(before->writev(t, NULL, 0), 0);
    assert_int_equal(t->ops->writev(t, NULL, 0), 0);
    t->ops->close(t);
    close(server);
    close(listener);
    unlink(path);
    paths_end(&paths);
}

HARNESS_MAIN("tables of transports",
             IT(an_end_of_an_anonymous_pipe_has_neither_descriptors_nor_credentials),
             IT(a_stream_has_no_room_to_write_in),
             IT(a_stream_at_its_end_stays_there_and_one_that_was_shut_down_takes_nothing),
             IT(the_table_of_a_handle_without_a_peer_serves_after_the_peer_has_come))
