/* SPDX-License-Identifier: MIT */
/*
 * Messages that wait in an anonymous pipe for the next holder of an end, and a reader that waits
 * for its next peer.
 */
#include "anonymous.h"

#include <signal.h>
#include <sys/wait.h>

#include "fault.h"

/* --- What lies in the pipe ------------------------------------------------------------------- */

static void hear_the_first(pipc_t *pipe)
{
    hear(pipe, "first");
    leave(pipe, "enough");
}

static void hear_the_others(pipc_t *pipe)
{
    hear(pipe, "second");
    hear(pipe, "third");
    hear_nothing(pipe);
    leave(pipe, "all read");
}

TEST_OF_KIND(a_successor_reads_the_unread_messages)
{
    pipc_t *pipe = open_anonymous();
    say(pipe, "first");
    say(pipe, "second");
    say(pipe, "third");
    side_play(kind, pipe, hear_the_first);
    side_play(kind, pipe, hear_the_others);
    hear_bye(pipe, "enough");
    hear_bye(pipe, "all read");
    pipc_close(pipe);
}

enum { LARGE = 1 << 20 };

static void hear_a_large_one(pipc_t *pipe)
{
    hear_large(pipe, LARGE, 7);
    leave(pipe, NULL);
}

/* It is larger than what the pipe holds, so most of it still waits at its sender. */
TEST_OF_KIND(a_large_message_waits_for_the_successor)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    say(pipe, "first");
    side_play(kind, pipe, hear_the_first);
    hear_bye(pipe, "enough");
    set_timeouts(pipe, -1, 0);
    say_large(pipe, LARGE, 7);
    side_start(&far, kind, pipe, hear_a_large_one);
    set_timeouts(pipe, -1, -1);
    assert_true(pipc_flush(pipe) >= 0);
    hear_bye(pipe, "");
    side_end(&far);
    pipc_close(pipe);
}

static void write_three_and_stay(pipc_t *pipe)
{
    say(pipe, "first");
    say(pipe, "second");
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[0]);
    say(pipe, "third");
    hear_bye(pipe, "near");
    hear_bye(pipe, "new_caller");
    leave(pipe, "far");
}

static void hear_the_third(pipc_t *pipe)
{
    hear(pipe, "third");
    leave(pipe, "new_caller");
}

TEST_OF_KIND(received_messages_are_not_left_to_a_successor)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    assert_int_equal(pipc_pending(pipe), 0);
    side_start(&far, kind, pipe, write_three_and_stay);
    harness_gate_wait(&gate[1]);
    assert_int_equal(pipc_flush(pipe), 2);
    leave(pipe, "near");
    harness_gate_open(&gate[0]);
    side_play(kind, pipe, hear_the_third);
    side_end(&far);
    hear(pipe, "first");
    hear(pipe, "second");
    hear_bye(pipe, "far");
    pipc_close(pipe);
    gates_close();
}

/* --- Without a peer ------------------------------------------------------------------- */

static struct sleeper reader;

static void write_when_the_reader_sleeps(pipc_t *pipe)
{
    sleeper_wait(reader);
    say(pipe, "you waited");
    leave(pipe, "next");
}

TEST_OF_KIND(a_read_waits_until_the_next_peer_comes)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    reader = sleeper_me();
    for (int i = 0; i < 20; i++) {
        side_start(&far, kind, pipe, write_when_the_reader_sleeps);
        hear(pipe, "you waited");
        hear_bye(pipe, "next");
        side_end(&far);
        hear_nothing(pipe);
    }
    pipc_close(pipe);
}

TEST_OF_KIND(the_descriptor_is_not_readable_until_the_next_peer_writes)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    reader = sleeper_me();
    int fd = pipc_fd(pipe);
    for (int i = 0; i < 20; i++) {
        side_start(&far, kind, pipe, write_when_the_reader_sleeps);
        for (bool heard = false; !heard;) {
            assert_true(harness_readable(fd, SIDES_LONG_MS));
            heard = pipc_pending(pipe) > 0;
        }
        hear(pipe, "you waited");
        hear_bye(pipe, "next");
        side_end(&far);
        hear_nothing(pipe);
        assert_false(harness_readable(fd, 0));
    }
    pipc_close(pipe);
}

static void come_and_stay(pipc_t *pipe)
{
    set_timeouts(pipe, -1, -1);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    hear(pipe, "no answer to that");
}

/* So what it wakes is answered by a call that reads nothing. */
TEST_OF_KIND(a_peer_that_comes_makes_a_descriptor_that_reports_nothing_readable_once)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    int fd = pipc_fd(pipe);
    assert_int_equal(pipc_want(pipe, 0), 0);
    assert_false(harness_readable(fd, 0));
    side_start(&far, kind, pipe, come_and_stay);
    harness_gate_wait(&gate[0]);
    say(pipe, "no answer to that");
    assert_false(harness_readable(fd, 0));
    harness_gate_open(&gate[1]);
    side_end(&far);
    pipc_close(pipe);
    gates_close();
}

/* ---- What happens between a look and a wait -------------------------------------------------- */

/* The look at the peer's lock is the last thing before the wait. */
static int stop_after_a_look_and_read(void *pipe)
{
    pipc_msg_t message;
    assert_int_equal(pipc_pending(pipe), 0);
    fault_reset();
    fault_stop_at(CALL_fcntl, 1);
    fault_arm();
    int got = pipc_read_msg(pipe, &message);
    fault_disarm();
    assert_int_equal(got, -1);
    return errno;
}

TEST(a_reader_about_to_wait_detects_a_simultaneous_shutdown)
{
    harness_skip_without_proc();
    pipc_t *pipe = open_anonymous();
    int status;
    assert_int_equal(pipc_pending(pipe), 0);
    pid_t far = harness_fork(stop_after_a_look_and_read, pipe);
    assert_int_equal(waitpid(far, &status, WUNTRACED), far);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(pipc_shutdown(pipe), 0);
    kill(far, SIGCONT);
    assert_int_equal(harness_wait(far), EPIPE);
    pipc_close(pipe);
}

HARNESS_MAIN(
    "anonymous waiting", OVER_ANONYMOUS_KINDS(a_successor_reads_the_unread_messages),
    OVER_ANONYMOUS_KINDS(a_large_message_waits_for_the_successor),
    OVER_ANONYMOUS_KINDS(received_messages_are_not_left_to_a_successor),
    OVER_ANONYMOUS_KINDS(a_read_waits_until_the_next_peer_comes),
    OVER_ANONYMOUS_KINDS(the_descriptor_is_not_readable_until_the_next_peer_writes),
    OVER_ANONYMOUS_KINDS(a_peer_that_comes_makes_a_descriptor_that_reports_nothing_readable_once),
    IT(a_reader_about_to_wait_detects_a_simultaneous_shutdown))
