/* SPDX-License-Identifier: MIT */
/*
 * PIPC_ASYNC and fork: as long as the peer is not there, the handle is of use to its opener alone.
 */
#include "async.h"

struct forked {
    pipc_t *pipe;
    bool makes_calls;
};

static int close_in_child(void *arg)
{
    struct forked *forked = arg;
    char byte;
    if (forked->makes_calls) {
        assert_errno(pipc_read(forked->pipe, &byte, 1), EPERM);
        assert_errno(pipc_write(forked->pipe, "x", 1), EPERM);
        assert_errno(pipc_fd(forked->pipe), EPERM);
    }
    pipc_close(forked->pipe);
    return 0;
}

/* Each as the first call of a child. */
enum { CHILD_CALLS = 15 };

static int try_call(pipc_t *pipe, int which)
{
    char byte;
    int fds[2];
    pipc_msg_t message;
    struct iovec part = {"x", 1};
    pipc_credentials_t credentials = PIPC_CREDENTIALS_INIT;
    switch (which) {
    case 0:
        return (int)pipc_read(pipe, &byte, 1);
    case 1:
        return pipc_read_msg(pipe, &message);
    case 2:
        return pipc_peek(pipe, &message);
    case 3:
        return pipc_skip(pipe);
    case 4:
        return (int)pipc_read_pending(pipe, &message, 1);
    case 5:
        return (int)pipc_pending(pipe);
    case 6:
        return (int)pipc_write(pipe, "x", 1);
    case 7:
        return (int)pipc_writev(pipe, &part, 1);
    case 8:
        return (int)pipc_write_batch(pipe, &part, 1);
    case 9:
        return (int)pipc_flush(pipe);
    case 10:
        return pipc_shutdown(pipe);
    case 11:
        return pipc_disconnect(pipe, "bye");
    case 12:
        return pipc_credentials(pipe, &credentials);
    case 13:
        return pipc_detach(pipe, fds);
    default:
        return pipc_fd(pipe);
    }
}

struct child_call {
    pipc_t *pipe;
    int which;
};

static int make_call_in_child(void *arg)
{
    const struct child_call *call = arg;
    for (int i = 0; i < 2; i++)
        if (try_call(call->pipe, call->which) != -1 || errno != EPERM)
            fail_msg("call %d: %s", call->which, strerror(errno));
    assert_errno(pipc_flush(call->pipe), EPERM);
    assert_errno(pipc_write(call->pipe, "x", 1), EPERM);
    pipc_close(call->pipe);
    return 0;
}

TEST_OF_KIND(whatever_a_child_calls_first_fails_with_EPERM)
{
    static const unsigned flags[] = {0, PIPC_DUPLEX, PIPC_GATHER, PIPC_GATHER | PIPC_DUPLEX};
    struct async_place place;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    async_begin(&place, kind);
    for (int i = 0; i < 8; i++) {
        options.flags = flags[i % 4];
        pipc_t *pipe = async_open_at(&place, -1, &options);
        if (i >= 4 && (options.flags & PIPC_GATHER) != 0)
            net_say(pipe, "ping");
        for (int which = 0; which < CHILD_CALLS; which++) {
            struct child_call call = {pipe, which};
            assert_int_equal(harness_wait(harness_fork(make_call_in_child, &call)), 0);
        }
        pipc_close(pipe);
    }
    async_end(&place);
}

TEST_OF_KIND(a_child_that_closes_its_copy_does_not_disturb_the_rendezvous)
{
    struct async_place place;
    async_begin(&place, kind);
    for (int i = 0; i < 4; i++) {
        pipc_t *pipe = async_open_at(&place, -1, NULL);
        struct forked forked = {pipe, (i & 2) != 0};
        if (i & 1)
            assert_true(pipc_fd(pipe) > 2);
        assert_int_equal(harness_wait(harness_fork(close_in_child, &forked)), 0);
        pipc_t *peer = async_meet(&place, pipe, NULL);
        assert_int_equal(harness_wait(harness_fork(close_in_child, &(struct forked){pipe, false})),
                         0);
        net_say(pipe, "ping");
        assert_int_equal(pipc_set_timeout(peer, -1, -1), 0);
        net_expect(peer, "ping");
        pipc_close(pipe);
        pipc_close(peer);
        pipc_server_close(place.server);
        place.server = NULL;
    }
    async_end(&place);
}

static int wait_for_end(void *arg)
{
    harness_gate_wait(arg);
    return 0;
}

/* The child has copies of all that the rendezvous had. */
TEST_OF_KIND(the_descriptor_works_while_a_child_has_copies_of_everything)
{
    struct async_place place;
    struct harness_gate gate;
    char byte;
    async_begin(&place, kind);
    harness_gate_init(&gate);
    pipc_t *pipe = async_open_at(&place, -1, NULL);
    int fd = pipc_fd(pipe);
    pid_t child = harness_fork(wait_for_end, &gate);
    pipc_t *peer = async_meet(&place, pipe, NULL);
    while (harness_readable(fd, 0))
        assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    net_say(peer, "x");
    assert_true(harness_readable(fd, -1));
    assert_int_equal(pipc_read(pipe, &byte, 1), 1);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    assert_false(harness_readable(fd, 0));
    harness_gate_open(&gate);
    assert_int_equal(harness_wait(child), 0);
    harness_gate_close(&gate);
    pipc_close(pipe);
    pipc_close(peer);
    async_end(&place);
}

HARNESS_MAIN("async, fork",
             OVER_CASES(a_child_that_closes_its_copy_does_not_disturb_the_rendezvous, async_ways),
             OVER_CASES(whatever_a_child_calls_first_fails_with_EPERM, async_ways),
             OVER_CASES(the_descriptor_works_while_a_child_has_copies_of_everything, async_ways))
