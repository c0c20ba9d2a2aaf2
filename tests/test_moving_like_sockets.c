/* SPDX-License-Identifier: MIT */
/*
 * A pipe that moves into shared memory wakes a program that polls as a socket does that stays one:
 * for each event of the peer, in each step of the move, whatever the program waits for and calls
 * then. One call that finds nothing more to do silences either.
 */
#include "moving.h"
#include "net.h"

enum { STAYS = -1, STEPS = 4, EVENTS = 7, CALLS = 6, CALLS_MAX = 12, LARGE = MOVING_LARGE };

struct scene {
    unsigned before; /* bytes of a message that is unread then; 0: none */
    unsigned wanted;
    int event, call;
};

static unsigned char bytes[LARGE];

static void read_all(pipc_t *pipe)
{
    while (pipc_read(pipe, bytes, sizeof bytes) >= 0 || errno == ESHUTDOWN)
        continue;
}

static void call(pipc_t *pipe, const struct scene *scene)
{
    switch (scene->call) {
    case 0:
        pipc_flush(pipe);
        break;
    case 1:
        pipc_want(pipe, scene->wanted);
        break;
    case 2:
        pipc_fd(pipe);
        break;
    case 3:
        pipc_write(pipe, "x", 1);
        break;
    case 4:
        pipc_pending(pipe);
        break;
    default:
        read_all(pipe);
    }
}

/* Of the peer; what closes it, returns NULL. */
static pipc_t *do_event(pipc_t *peer, int event)
{
    if (event >= 4)
        pipc_write(peer, "m", 1);
    switch (event) {
    case 0:
    case 4:
        pipc_shutdown(peer);
        break;
    case 1:
    case 5:
        pipc_close(peer);
        return NULL;
    case 2:
    case 6:
        pipc_disconnect(peer, "bye");
        break;
    default:
        pipc_write(peer, "m", 1);
    }
    return peer;
}

static void say_before(pipc_t *pipe, unsigned size)
{
    if (size > 0)
        moving_send(pipe, size, 1);
}

/* end[0] is the one that is looked at. */
static void bring_to_step(pipc_t *end[2], int step, unsigned before)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = step == STAYS ? PIPC_NO_SHARED_MEMORY : 0;
    moving_open(end, 0, &options);
    if (step >= 2) {
        moving_move(end);
    } else {
        assert_int_equal(pipc_write(end[1], "offer", 5), 5);
        say_before(step == 1 ? end[0] : end[1], before);
        net_expect(end[0], "offer");
    }
    if (step == 1 || step == 3) {
        pipc_t *first = end[0];
        end[0] = end[1];
        end[1] = first;
    }
    if (step >= 2)
        say_before(end[1], before);
}

/* How many calls it takes until the descriptor is silent, and whether it was woken at all. */
static int count_calls(int step, const struct scene *scene)
{
    pipc_t *end[2];
    int calls = 0;
    bring_to_step(end, step, scene->before);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    assert_int_equal(pipc_set_timeout(end[1], 0, 0), 0);
    int fd = pipc_fd(end[0]);
    assert_int_equal(pipc_want(end[0], scene->wanted), 0);
    if (scene->wanted & PIPC_WANT_READ)
        read_all(end[0]);
    assert_false(harness_readable(fd, 0));
    end[1] = do_event(end[1], scene->event);
    while (harness_readable(fd, 0) && calls < CALLS_MAX) {
        call(end[0], scene);
        calls++;
    }
    pipc_close(end[0]);
    pipc_close(end[1]);
    return calls;
}

static void compare(const struct scene *scene)
{
    int expected = count_calls(STAYS, scene);
    for (int step = 0; step < STEPS; step++) {
        int calls = count_calls(step, scene);
        if (calls != expected)
            fail_msg("step %d, %u bytes before, wanted %u, event %d, call %d: %d calls, not %d",
                     step, scene->before, scene->wanted, scene->event, scene->call, calls,
                     expected);
    }
}

TEST(a_pipe_that_moves_is_silenced_by_as_many_calls_as_a_socket)
{
    static const unsigned sizes[] = {0, 10, LARGE};
    for (unsigned s = 0; s < 3; s++)
        for (unsigned wanted = 0; wanted < 4; wanted++)
            for (int event = 0; event < EVENTS; event++)
                for (int call = 0; call < CALLS; call++)
                    compare(&(struct scene){sizes[s], wanted, event, call});
}

HARNESS_MAIN("moving, like sockets",
             IT_WITHIN(a_pipe_that_moves_is_silenced_by_as_many_calls_as_a_socket, 60000))
