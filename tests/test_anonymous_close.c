/* SPDX-License-Identifier: MIT */
/*
 * Closing an anonymous pipe. In each process the close of the last holder frees the handle, in any
 * order of two threads, exactly once. A process that holds no end frees its copy at once and
 * affects no other. After each test the harness checks that nothing is leaked.
 */
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "anonymous.h"
#include "fault.h"

/* --- Two threads ----------------------------------------------------------------------------- */

static pthread_barrier_t both;

static void take_an_end_and_close(pipc_t *pipe)
{
    say(pipe, "x");
    pthread_barrier_wait(&both);
    pipc_close(pipe);
}

TEST(two_threads_can_close_at_the_same_time)
{
    assert_int_equal(pthread_barrier_init(&both, NULL, 2), 0);
    for (int i = 0; i < 1000 / harness_scale(); i++) {
        pipc_t *pipe = open_anonymous();
        struct side far;
        side_start(&far, anonymous_in_threads, pipe, take_an_end_and_close);
        take_an_end_and_close(pipe);
        side_end(&far);
    }
    pthread_barrier_destroy(&both);
}

static void take_an_end_and_close_when_told(pipc_t *pipe)
{
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    pipc_close(pipe);
}

static void close_in_order(bool opener_first)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    harness_gate_init(&gate[0]);
    side_start(&far, anonymous_in_threads, pipe, take_an_end_and_close_when_told);
    hear(pipe, "here");
    if (opener_first)
        pipc_close(pipe);
    harness_gate_open(&gate[0]);
    side_end(&far);
    if (!opener_first)
        pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

TEST(either_thread_may_close_first)
{
    size_t blocks = harness_heap_blocks();
    for (int i = 0; i < 20; i++) {
        close_in_order(true);
        assert_int_equal(harness_heap_blocks(), blocks);
        close_in_order(false);
        assert_int_equal(harness_heap_blocks(), blocks);
    }
}

static void use_everything_and_close(pipc_t *pipe)
{
    pipc_msg_t view;
    assert_true(pipc_fd(pipe) >= 0);
    say(pipe, "whole");
    set_timeouts(pipe, -1, 0);
    say_large(pipe, 1 << 20, 1);
    pthread_barrier_wait(&both);
    assert_int_equal(pipc_flush(pipe) == -1 && errno != EAGAIN, 0);
    assert_int_equal(pipc_peek(pipe, &view), 0);
    pthread_barrier_wait(&both);
    pipc_close(pipe);
}

TEST(a_close_frees_queued_messages_held_output_and_the_descriptor)
{
    assert_int_equal(pthread_barrier_init(&both, NULL, 2), 0);
    for (int i = 0; i < 50 / harness_scale(); i++) {
        pipc_t *pipe = open_anonymous();
        struct side far;
        side_start(&far, anonymous_in_threads, pipe, use_everything_and_close);
        use_everything_and_close(pipe);
        side_end(&far);
    }
    pthread_barrier_destroy(&both);
}

static void close_only(pipc_t *pipe)
{
    pipc_close(pipe);
}

TEST(a_close_has_no_effect_without_an_end_while_another_thread_has_one)
{
    pipc_t *pipe = open_anonymous();
    size_t blocks;
    struct side far;
    harness_gate_init(&gate[0]);
    say(pipe, "before");
    blocks = harness_heap_blocks();
    for (int i = 0; i < 3; i++)
        side_play(anonymous_in_threads, pipe, close_only);
    assert_int_equal(harness_heap_blocks(), blocks);
    side_start(&far, anonymous_in_threads, pipe, take_an_end_and_close_when_told);
    hear(pipe, "here");
    side_play(anonymous_in_threads, pipe, close_only);
    harness_gate_open(&gate[0]);
    side_end(&far);
    hear_the_end(pipe, EPIPE);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

static void hear_and_leave(pipc_t *pipe)
{
    hear(pipe, "before");
    leave(pipe, NULL);
}

/* The one who left no longer counts; the one who stays frees. */
TEST(a_close_after_a_goodbye_has_no_effect_while_the_peer_stays)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    harness_gate_init(&gate[0]);
    assert_int_equal(pipc_pending(pipe), 0);
    side_start(&far, anonymous_in_threads, pipe, take_an_end_and_close_when_told);
    hear(pipe, "here");
    leave(pipe, "I am off");
    pipc_close(pipe);
    harness_gate_open(&gate[0]);
    side_end(&far);
    harness_gate_close(&gate[0]);
}

TEST(the_close_of_the_last_thread_frees_the_handle)
{
    pipc_t *pipe = open_anonymous();
    say(pipe, "before");
    side_play(anonymous_in_threads, pipe, hear_and_leave);
    hear_bye(pipe, "");
    leave(pipe, NULL);
    side_play(anonymous_in_threads, pipe, close_only);
    assert_int_equal(pipc_pending(pipe), 0); /* it may come back */
    pipc_close(pipe);
}

TEST(a_close_by_any_thread_frees_an_unused_handle)
{
    int descriptors = harness_open_descriptors();
    for (int i = 0; i < 5; i++) {
        pipc_close(open_anonymous());
        pipc_t *pipe = open_anonymous();
        side_play(anonymous_in_threads, pipe, close_only);
        assert_int_equal(harness_open_descriptors(), descriptors);
        assert_errno(pipc_write(pipe, "x", 1), EPIPE);
        pipc_close(pipe); /* its opener may, once */
    }
}

static void take_an_end_and_end(pipc_t *pipe)
{
    say(pipe, "here");
}

/* A thread that has ended holds nothing. */
TEST(a_close_after_the_end_of_the_peer_thread_frees_the_handle)
{
    for (int i = 0; i < 5; i++) {
        pipc_t *pipe = open_anonymous();
        side_play(anonymous_in_threads, pipe, take_an_end_and_end);
        if (i % 2 == 0)
            hear(pipe, "here");
        pipc_close(pipe);
    }
}

/* Without waiting for the thread: it may still be on its way out. */
TEST(a_close_frees_the_handle_when_the_peer_threads_death_was_detected)
{
    for (int i = 0; i < 500 / harness_scale(); i++) {
        pipc_t *pipe = open_anonymous();
        struct side far;
        size_t blocks = harness_heap_blocks();
        side_start(&far, anonymous_in_threads, pipe, take_an_end_and_end);
        hear(pipe, "here");
        hear_the_end(pipe, EPIPE);
        pipc_close(pipe);
        assert_true(harness_heap_blocks() < blocks);
        side_end(&far);
    }
}

static void say_goodbye_and_end(pipc_t *pipe)
{
    leave(pipe, "here");
}

/* Who left may come back as long as it lives. */
TEST(a_handle_is_freed_after_a_close_and_the_end_of_the_thread_that_left)
{
    for (int i = 0; i < 500 / harness_scale(); i++) {
        pipc_t *pipe = open_anonymous();
        struct side far;
        size_t blocks = harness_heap_blocks();
        assert_int_equal(pipc_pending(pipe), 0);
        side_start(&far, anonymous_in_threads, pipe, say_goodbye_and_end);
        hear_bye(pipe, "here");
        pipc_close(pipe);
        side_end(&far);
        assert_true(harness_heap_blocks() < blocks);
    }
}

/* --- Two processes --------------------------------------------------------------------------- */

static int close_inherited(void *arg)
{
    pipc_close(arg);
    harness_gate_close(&gate[0]);
    harness_assert_nothing_left();
    return 0;
}

static void hear_when_told(pipc_t *pipe)
{
    hear(pipe, "before");
    hear(pipe, "after");
    leave(pipe, NULL);
}

/* Neither what is in the pipe, nor the ends, nor the descriptor that it inherited suffer from
 * it. */
TEST_OF_KIND(a_close_in_a_child_frees_an_unused_handle_and_affects_no_other)
{
    pipc_t *pipe = open_anonymous();
    int fd = pipc_fd(pipe);
    harness_gate_init(&gate[0]);
    say(pipe, "before");
    for (int i = 0; i < 3; i++)
        assert_int_equal(harness_wait(harness_fork(close_inherited, pipe)), 0);
    say(pipe, "after");
    side_play(kind, pipe, hear_when_told);
    assert_true(harness_readable(fd, SIDES_NOTICE_MS));
    hear_bye(pipe, "");
    assert_int_equal(harness_wait(harness_fork(close_inherited, pipe)), 0);
    hear_nothing(pipe);
    assert_false(harness_readable(fd, 0));
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

/* With a queue, a torn message and held output at the time of the fork. */
TEST(a_child_does_not_inherit_messages_in_its_parents_memory)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    harness_gate_init(&gate[0]);
    assert_true(pipc_fd(pipe) >= 0);
    side_start(&far, anonymous_forked, pipe, take_an_end_and_close_when_told);
    while (pipc_flush(pipe) == 0)
        assert_true(harness_readable(pipc_fd(pipe), SIDES_LONG_MS));
    set_timeouts(pipe, -1, 0);
    say_large(pipe, 1 << 20, 1);
    assert_int_equal(harness_wait(harness_fork(close_inherited, pipe)), 0);
    hear(pipe, "here");
    harness_gate_open(&gate[0]);
    side_end(&far);
    hear_the_end(pipe, EPIPE);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

static int use_and_close(void *arg)
{
    assert_true(pipc_fd(arg) >= 0);
    hear(arg, "before");
    say(arg, "answer");
    return close_inherited(arg);
}

TEST(a_close_in_a_child_frees_all_when_the_child_used_its_end)
{
    pipc_t *pipe = open_anonymous();
    harness_gate_init(&gate[0]);
    say(pipe, "before");
    assert_int_equal(harness_wait(harness_fork(use_and_close, pipe)), 0);
    hear(pipe, "answer");
    hear_the_end(pipe, EPIPE);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

/* When it is so large that it is no part of the heap. */
static void let_the_others_fork(void *moves)
{
    if (++*(int *)moves < 4)
        return;
    fault_after_move(NULL, NULL);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
}

static void read_and_rest_in_a_call(pipc_t *pipe)
{
    int moves = 0;
    fault_reset();
    fault_after_move(let_the_others_fork, &moves);
    fault_arm();
    hear_large(pipe, 1 << 20, 1);
    fault_disarm();
    fault_after_move(NULL, NULL);
    harness_gate_open(&gate[0]); /* if it could grow where it was, each time */
    say(pipe, "whole");
}

static void write_and_stay(pipc_t *pipe)
{
    say_large(pipe, 1 << 20, 1);
    hear(pipe, "whole");
}

/* The blocks that another thread had stay on a child's heap, so it asserts nothing of that. */
static pid_t fork_and_close(pipc_t *pipe)
{
    pid_t child = fork();
    if (child == 0) {
        pipc_close(pipe);
        _exit(0);
    }
    return child;
}

/* In a child. It makes no call on the handle before it forks, in one of its threads. */
struct successor {
    pipc_t *pipe;
    pthread_t reader; /* of the parent */
    int status;
};

static void *fork_in_place_of_the_reader(void *arg)
{
    struct successor *successor = arg;
    pthread_barrier_wait(&both); /* so many live at once that one has the reader's stack */
    if (pthread_equal(pthread_self(), successor->reader))
        successor->status = harness_wait(fork_and_close(successor->pipe));
    return NULL;
}

static pid_t fork_a_child_that_forks(pipc_t *pipe, pthread_t reader)
{
    enum { THREADS = 4 };
    pid_t child = fork();
    if (child != 0)
        return child;
    pthread_t thread[THREADS];
    struct successor successor = {pipe, reader, HARNESS_SKIP_STATUS};
    pthread_barrier_init(&both, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        harness_thread(&thread[i], fork_in_place_of_the_reader, &successor); /* as the reader */
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    _exit(successor.status);
}

/* The reader's message has moved on the heap, and it does not know yet where it is. */
static int fork_beside_a_call(bool child_forks)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 4096); /* whoever frees where a message was is killed */
#endif
    pipc_t *pipe = open_anonymous();
    struct side near, far;
    harness_gate_init(&gate[0]);
    harness_gate_init(&gate[1]);
    side_start(&far, anonymous_forked, pipe, write_and_stay);
    side_start(&near, anonymous_in_threads, pipe, read_and_rest_in_a_call);
    harness_gate_wait(&gate[0]);
    pid_t child = child_forks ? fork_a_child_that_forks(pipe, near.thread) : fork_and_close(pipe);
    harness_gate_open(&gate[1]);
    int status = harness_wait(child);
    side_end(&near);
    side_end(&far);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
    harness_gate_close(&gate[1]);
    return status;
}

TEST(a_child_of_a_fork_beside_a_call_closes_its_copy)
{
    assert_int_equal(fork_beside_a_call(false), 0);
}

TEST(a_child_of_that_child_closes_its_copy_whichever_thread_it_comes_from)
{
    if (harness_sanitized())
        harness_skip("tsan refuses a thread in the place of one that a fork has left behind");
    int status = fork_beside_a_call(true);
    if (status == HARNESS_SKIP_STATUS)
        harness_skip("no thread of the child has the place of the reader's");
    assert_int_equal(status, 0);
}

static int answer_with_a_thread(void *arg)
{
    struct side thread;
    assert_int_equal(pthread_barrier_init(&both, NULL, 2), 0);
    side_start(&thread, anonymous_in_threads, arg, take_an_end_and_close);
    take_an_end_and_close(arg);
    side_end(&thread);
    pthread_barrier_destroy(&both);
    harness_gate_close(&gate[0]);
    harness_assert_nothing_left();
    return 0;
}

TEST(two_threads_of_a_child_can_be_the_peers)
{
    pipc_t *pipe = open_anonymous();
    harness_gate_init(&gate[0]);
    assert_int_equal(harness_wait(harness_fork(answer_with_a_thread, pipe)), 0);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
}

static void ask(pipc_t *pipe)
{
    harness_gate_wait(&gate[0]);
    say(pipe, "before");
    hear(pipe, "answer");
}

static void answer(pipc_t *pipe)
{
    hear(pipe, "before");
    say(pipe, "answer");
    harness_gate_wait(&gate[0]);
}

/* What one process closes stays open in the others. */
TEST(a_close_in_the_parent_does_not_affect_its_children)
{
    pipc_t *pipe = open_anonymous();
    struct side asks, answers;
    harness_gate_init(&gate[0]);
    side_start(&asks, anonymous_forked, pipe, ask);
    side_start(&answers, anonymous_forked, pipe, answer);
    pipc_close(pipe);
    harness_gate_open(&gate[0]);
    side_end(&asks);
    harness_gate_open(&gate[0]);
    side_end(&answers);
    harness_gate_close(&gate[0]);
}

HARNESS_MAIN("anonymous close", IT(two_threads_can_close_at_the_same_time),
             IT(either_thread_may_close_first),
             IT(a_close_frees_queued_messages_held_output_and_the_descriptor),
             IT(a_close_has_no_effect_without_an_end_while_another_thread_has_one),
             IT(a_close_after_a_goodbye_has_no_effect_while_the_peer_stays),
             IT(the_close_of_the_last_thread_frees_the_handle),
             IT(a_close_by_any_thread_frees_an_unused_handle),
             IT(a_close_after_the_end_of_the_peer_thread_frees_the_handle),
             IT(a_close_frees_the_handle_when_the_peer_threads_death_was_detected),
             IT(a_handle_is_freed_after_a_close_and_the_end_of_the_thread_that_left),
             OVER_ANONYMOUS_KINDS(a_close_in_a_child_frees_an_unused_handle_and_affects_no_other),
             IT(a_child_does_not_inherit_messages_in_its_parents_memory),
             IT(a_close_in_a_child_frees_all_when_the_child_used_its_end),
             IT(a_child_of_a_fork_beside_a_call_closes_its_copy),
             IT(a_child_of_that_child_closes_its_copy_whichever_thread_it_comes_from),
             IT(two_threads_of_a_child_can_be_the_peers),
             IT(a_close_in_the_parent_does_not_affect_its_children))
