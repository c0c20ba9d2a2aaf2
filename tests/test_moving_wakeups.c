/* SPDX-License-Identifier: MIT */
/*
 * A program that only polls, while its pipe moves into shared memory: whatever the peer does in
 * between, the descriptor is readable when a call is worth making.
 */
#include "moving.h"

#include "fault.h"
#include "net.h"
#include "platform.h"

enum { LONG_MS = 10000, SOON_MS = 2000, AFTER = 400, SIZE = 200 /* bytes */ };

static const unsigned without_read[] = {0, PIPC_WANT_WRITE};

static int timeout_ms; /* of all calls; none has to wait */

/* A pipe of which end[1] has offered nothing yet, and will with its next but one write. */
static void open_soon(const struct kind *kind, pipc_t *end[2], const pipc_options_t *options)
{
    kind_open(kind, end, options);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_set_timeout(end[i], timeout_ms, timeout_ms), 0);
    moving_send(end[1], SIZE, 0);
    moving_receive(end[0], SIZE, 0);
    moving_expect(end, SHARE_AWAIT, SHARE_AWAIT);
}

static void send_and_receive(pipc_t *end[2])
{
    moving_send(end[1], SIZE, 1);
    moving_receive(end[0], SIZE, 1);
}

/* --- At each moment of a call ----------------------------------------------------------------- */

static pipc_t *peer;
static bool is_done;

/* The whole of a test, with `step` before the nth of these calls. Whether it came so far. */
typedef bool moment_test(const struct kind *kind, enum fault_call call, unsigned long nth);

static void at_each_call(const struct kind *kind, moment_test *test)
{
    for (timeout_ms = 0; timeout_ms <= LONG_MS; timeout_ms += LONG_MS) {
        int moments = 0;
        for (int call = 0; call < CALL_COUNT; call++)
            for (unsigned long nth = 1; test(kind, (enum fault_call)call, nth); nth++)
                moments++;
        assert_true(moments > 0);
    }
}

static void arm(enum fault_call call, unsigned long nth, void (*step)(void *context))
{
    is_done = false;
    fault_reset();
    fault_before(call, nth, step, NULL);
    fault_arm();
}

static void accept_and_say(void *unused)
{
    (void)unused;
    is_done = true;
    net_expect(peer, "offer");
    net_say(peer, "second");
}

static bool move_within_a_read(const struct kind *kind, enum fault_call call, unsigned long nth)
{
    pipc_t *end[2];
    open_soon(kind, end, NULL);
    int fd = pipc_fd(end[1]);
    peer = end[0];
    net_say(end[0], "first");
    send_and_receive(end);
    net_say(end[1], "offer");
    moving_expect(end, SHARE_AWAIT, SHARE_OFFERED);
    assert_true(harness_readable(fd, SOON_MS));
    arm(call, nth, accept_and_say);
    net_expect(end[1], "first");
    fault_disarm();
    fault_reset();
    if (is_done) {
        assert_true(harness_readable(fd, SOON_MS));
        net_expect(end[1], "second");
        net_say(end[0], "third");
        assert_true(harness_readable(fd, SOON_MS));
        net_expect(end[1], "third");
    }
    moving_close(end);
    return is_done;
}

TEST_OF_KIND(a_message_of_a_peer_that_moves_while_a_call_reads_makes_the_descriptor_readable)
{
    at_each_call(kind, move_within_a_read);
}

static void take_in(void *unused)
{
    (void)unused;
    is_done = true;
    assert_int_equal(pipc_pending(peer), 1);
}

/* The first byte of the second message is the offer, and the rest of it comes by the memory. */
static bool move_within_a_write(const struct kind *kind, enum fault_call call, unsigned long nth)
{
    pipc_t *end[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_pending = SIZE + 64;
    open_soon(kind, end, &options);
    int fd = pipc_fd(end[0]);
    peer = end[0];
    moving_send(end[1], SIZE, 1);
    arm(call, nth, take_in);
    moving_send(end[1], SIZE, 2);
    fault_disarm();
    fault_reset();
    if (is_done)
        for (unsigned i = 1; i <= 2; i++) {
            assert_true(harness_readable(fd, SOON_MS));
            assert_int_equal(pipc_pending(end[0]), 1);
            moving_receive(end[0], SIZE, i);
        }
    moving_close(end);
    return is_done;
}

TEST_OF_KIND(a_message_that_began_in_the_socket_makes_the_descriptor_readable_once_there_is_room)
{
    at_each_call(kind, move_within_a_write);
}

/* --- Without PIPC_WANT_READ ------------------------------------------------------------------- */

/* The peer accepts the offer before or after the program stops waiting for input. */
static int open_to_end(const struct kind *kind, pipc_t *end[2], unsigned want, bool is_early)
{
    open_soon(kind, end, NULL);
    send_and_receive(end);
    net_say(end[1], "offer");
    moving_expect(end, SHARE_AWAIT, SHARE_OFFERED);
    int fd = pipc_fd(end[1]);
    if (is_early)
        net_expect(end[0], "offer");
    assert_int_equal(pipc_want(end[1], want), 0);
    if (platform_has(PLATFORM_EXACT))
        assert_false(harness_readable(fd, 0));
    if (!is_early)
        net_expect(end[0], "offer");
    return fd;
}

TEST_OF_KIND(without_PIPC_WANT_READ_an_end_in_the_memory_is_shown_to_a_program_that_has_offered)
{
    for (unsigned i = 0; i < 8; i++) {
        pipc_t *end[2];
        char byte;
        bool says_goodbye = i / 4 != 0;
        int fd = open_to_end(kind, end, without_read[i % 2], i / 2 % 2 != 0);
        assert_int_equal(says_goodbye ? pipc_disconnect(end[0], "bye") : pipc_shutdown(end[0]), 0);
        assert_true(harness_readable(fd, SOON_MS));
        assert_errno(pipc_read(end[1], &byte, 1), says_goodbye ? ESHUTDOWN : EPIPE);
        moving_close(end);
    }
}

TEST_OF_KIND(a_pipe_moves_only_once_a_program_that_polls_wants_to_read)
{
    for (unsigned i = 0; i < 2; i++) {
        pipc_t *end[2];
        open_soon(kind, end, NULL);
        assert_true(pipc_fd(end[1]) >= 0);
        assert_int_equal(pipc_want(end[1], without_read[i]), 0);
        for (unsigned k = 0; k < 5; k++)
            send_and_receive(end);
        moving_expect(end, SHARE_AWAIT, SHARE_AWAIT);
        assert_int_equal(pipc_want(end[1], PIPC_WANT_READ), 0);
        net_say(end[1], "offer");
        moving_expect(end, SHARE_AWAIT, SHARE_OFFERED);
        net_expect(end[0], "offer");
        for (int k = 0; k < 3; k++)
            net_expect_talk(end[0], end[1]);
        moving_expect(end, SHARE_MOVED, SHARE_MOVED);
        moving_close(end);
    }
}

/* --- The kinds -------------------------------------------------------------------------------- */

static int open_pair(pipc_t *end[2], const pipc_options_t *options)
{
    moving_need();
    share_pair_after = AFTER;
    return pipc_open_pair(end, options);
}

static int open_unix(pipc_t *end[2], const pipc_options_t *options)
{
    moving_open(end, AFTER, options);
    return 0;
}

static const struct kind soon[] = {{.name = "pair", .open = open_pair},
                                   {.name = "Unix socket", .open = open_unix},
                                   {.name = NULL}};

HARNESS_MAIN(
    "moving into shared memory, wakeups",
    OVER_CASES(a_message_of_a_peer_that_moves_while_a_call_reads_makes_the_descriptor_readable,
               soon),
    OVER_CASES(a_message_that_began_in_the_socket_makes_the_descriptor_readable_once_there_is_room,
               soon),
    OVER_CASES(without_PIPC_WANT_READ_an_end_in_the_memory_is_shown_to_a_program_that_has_offered,
               soon),
    OVER_CASES(a_pipe_moves_only_once_a_program_that_polls_wants_to_read, soon))
