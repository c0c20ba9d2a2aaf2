/* SPDX-License-Identifier: MIT */
/*
 * An end of an anonymous pipe passes from holder to holder: the next thread, the next child or the
 * same caller takes it, any number of times, and reads what is in the pipe for it. The messages
 * there show which end it is.
 */
#include "anonymous.h"

#include <stdatomic.h>
#include <sys/mman.h>

/* --- Again and again ------------------------------------------------------------------------- */

static void answer_one(pipc_t *pipe)
{
    int number = hear_number(pipe);
    say_number(pipe, number + 1);
    leave(pipe, "next");
}

/* The successor starts as soon as the goodbye is read, before its predecessor has ended. */
TEST_OF_KIND(hundreds_of_successors_take_the_same_end)
{
    enum { ROUNDS = 400 };
    static struct side side[ROUNDS];
    pipc_t *pipe = open_anonymous();
    int rounds = ROUNDS / harness_scale();
    for (int i = 0; i < rounds; i++) {
        side_start(&side[i], kind, pipe, answer_one);
        say_number(pipe, i);
        assert_int_equal(hear_number(pipe), i + 1);
        hear_bye(pipe, "next");
    }
    for (int i = 0; i < rounds; i++)
        side_end(&side[i]);
    pipc_close(pipe);
}

static void answer_and_come_back(pipc_t *pipe)
{
    for (int number = 0; number >= 0;) {
        number = hear_number(pipe);
        say_number(pipe, number + 1);
        leave(pipe, "soon back");
    }
}

TEST_OF_KIND(the_same_caller_takes_its_end_again_hundreds_of_times)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    side_start(&far, kind, pipe, answer_and_come_back);
    for (int i = 1000 / harness_scale(); i >= -1; i--) {
        say_number(pipe, i);
        assert_int_equal(hear_number(pipe), i + 1);
        hear_bye(pipe, "soon back");
    }
    side_end(&far);
    pipc_close(pipe);
}

static void answer_and_leave_until_zero(pipc_t *pipe)
{
    for (int number = 1; number > 0;) {
        number = hear_number(pipe);
        say_number(pipe, number);
        leave(pipe, "over");
        if (number > 0)
            hear_bye(pipe, "over");
    }
}

/* Between two rounds neither side holds an end. */
TEST_OF_KIND(both_peers_leave_and_come_back_hundreds_of_times)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    side_start(&far, kind, pipe, answer_and_leave_until_zero);
    for (int i = 500 / harness_scale(); i >= 0; i--) {
        say_number(pipe, i);
        assert_int_equal(hear_number(pipe), i);
        hear_bye(pipe, "over");
        leave(pipe, "over");
    }
    side_end(&far);
    pipc_close(pipe);
}

static void pass_on_to_a_child(pipc_t *pipe)
{
    int left = hear_number(pipe);
    say_number(pipe, left - 1);
    leave(pipe, "my child goes on");
    if (left > 0)
        side_play(anonymous_forked, pipe, pass_on_to_a_child);
}

TEST(each_child_takes_the_end_that_its_parent_left)
{
    pipc_t *pipe = open_anonymous();
    struct side first;
    side_start(&first, anonymous_forked, pipe, pass_on_to_a_child);
    for (int left = 20; left >= 0; left--) {
        say_number(pipe, left);
        assert_int_equal(hear_number(pipe), left - 1);
        hear_bye(pipe, "my child goes on");
    }
    side_end(&first);
    pipc_close(pipe);
}

static void answer_one_using_the_descriptor(pipc_t *pipe)
{
    assert_true(harness_readable(pipc_fd(pipe), -1));
    answer_one(pipe);
}

static void play_a_round(const struct kind *kind, pipc_t *pipe)
{
    struct side far;
    side_start(&far, kind, pipe, answer_one_using_the_descriptor);
    say_number(pipe, 1);
    assert_true(harness_readable(pipc_fd(pipe), -1));
    assert_int_equal(hear_number(pipe), 2);
    hear_bye(pipe, "next");
    side_end(&far);
    hear_nothing(pipe);
}

TEST_OF_KIND(former_holders_cost_no_descriptor_and_no_memory)
{
    pipc_t *pipe = open_anonymous();
    for (int i = 0; i < 5; i++)
        play_a_round(kind, pipe);
    int descriptors = harness_open_descriptors();
    size_t bytes = harness_heap_bytes();
    for (int i = 0; i < 50; i++)
        play_a_round(kind, pipe);
    /* One more descriptor may serve the first peer that was alive. */
    assert_in_range(harness_open_descriptors(), 0, descriptors + 1);
    assert_int_equal(harness_heap_bytes(), bytes);
    pipc_close(pipe);
}

/* Whose turn it is, told without a system call: the successor comes while its predecessor
 * leaves. */
static _Atomic int *turn;
enum { TURNS = 3000 };

static void take_every_other_turn(pipc_t *pipe, int first)
{
    for (int mine = first; mine < TURNS / harness_scale(); mine += 2) {
        for (int looks = 1; atomic_load(turn) != mine; looks++)
            if (looks % 10000 == 0) /* who yields too often is put last by the scheduler */
                nanosleep(&(struct timespec){0, 10000}, NULL);
        say_number(pipe, mine);
        leave(pipe, "your turn");
    }
}

static void take_even_turns(pipc_t *pipe)
{
    take_every_other_turn(pipe, 0);
}

static void take_odd_turns(pipc_t *pipe)
{
    take_every_other_turn(pipe, 1);
}

TEST_OF_KIND(a_successor_is_not_refused_while_its_predecessor_leaves)
{
    struct side even, odd;
    pipc_t *pipe = open_anonymous();
    turn = shared_memory(sizeof *turn);
    atomic_store(turn, -1);
    set_timeouts(pipe, -1, -1);
    side_start(&even, kind, pipe, take_even_turns);
    side_start(&odd, kind, pipe, take_odd_turns);
    for (int i = 0; i < TURNS / harness_scale(); i++) {
        atomic_store(turn, i);
        assert_int_equal(hear_number(pipe), i);
        hear_bye(pipe, "your turn");
    }
    side_end(&even);
    side_end(&odd);
    munmap((void *)turn, sizeof *turn);
    pipc_close(pipe);
}

/* --- Which end ------------------------------------------------------------------------------- */

static void answer_a_question(pipc_t *pipe)
{
    hear(pipe, "question");
    hear_bye(pipe, "asked");
    say(pipe, "answer");
    leave(pipe, "answered");
}

/* Had it taken the end that was freed, it would not see the question. */
TEST_OF_KIND(a_new_caller_prefers_an_end_that_was_never_held)
{
    pipc_t *pipe = open_anonymous();
    say(pipe, "question");
    leave(pipe, "asked");
    side_play(kind, pipe, answer_a_question);
    hear(pipe, "answer");
    hear_bye(pipe, "answered");
    pipc_close(pipe);
}

static void wait_for_a_late_question(pipc_t *pipe)
{
    harness_gate_open(&gate[0]);
    hear(pipe, "late question");
    say(pipe, "answer");
    leave(pipe, "answered");
}

TEST_OF_KIND(a_new_caller_takes_the_end_that_was_freed)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    say(pipe, "question");
    leave(pipe, "asked");
    side_play(kind, pipe, answer_a_question);
    hear(pipe, "answer");
    hear_bye(pipe, "answered");
    side_start(&far, kind, pipe, wait_for_a_late_question);
    harness_gate_wait(&gate[0]);
    say(pipe, "late question");
    hear(pipe, "answer");
    side_end(&far);
    pipc_close(pipe);
    gates_close();
}

static void write_leave_and_read_on_return(pipc_t *pipe)
{
    say(pipe, "for the one who opened");
    leave(pipe, "far");
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[0]);
    hear(pipe, "for the far side");
    hear_bye(pipe, "near");
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[0]);
    leave(pipe, NULL);
}

static void let_both_leave(const struct kind *kind, pipc_t *pipe, struct side *far)
{
    anonymous_need_tokens_that_stay(kind);
    gates_init();
    say(pipe, "for the far side");
    side_start(far, kind, pipe, write_leave_and_read_on_return);
    harness_gate_wait(&gate[1]);
    leave(pipe, "near");
}

static void hear_own_messages(pipc_t *pipe)
{
    hear(pipe, "for the one who opened");
    hear_bye(pipe, "far");
}

static void let_the_far_side_in(void)
{
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
}

static void end_of_both(pipc_t *pipe, struct side *far)
{
    harness_gate_open(&gate[0]);
    side_end(far);
    hear_bye(pipe, "");
    pipc_close(pipe);
    gates_close();
}

TEST_OF_KIND(the_first_of_two_returning_callers_takes_its_former_end)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    let_both_leave(kind, pipe, &far);
    hear_own_messages(pipe);
    let_the_far_side_in();
    end_of_both(pipe, &far);
}

TEST_OF_KIND(the_second_of_two_returning_callers_takes_its_former_end)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    let_both_leave(kind, pipe, &far);
    let_the_far_side_in();
    hear_own_messages(pipe);
    end_of_both(pipe, &far);
}

static void hold_until_told(pipc_t *pipe)
{
    say(pipe, "from the far side");
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[0]);
    leave(pipe, "far");
    harness_gate_open(&gate[1]);
}

static void replace_until_told(pipc_t *pipe)
{
    hear(pipe, "from the far side");
    say(pipe, "from the new_caller");
    harness_gate_open(&gate[1]);
    harness_gate_wait(&gate[2]);
    leave(pipe, "new_caller");
}

/* The peer holds one end, a new caller the former end of the test. */
static void let_a_new_caller_in(const struct kind *kind, pipc_t *pipe, struct side *far,
                                struct side *new_caller)
{
    anonymous_need_tokens_that_stay(kind);
    gates_init();
    assert_int_equal(pipc_pending(pipe), 0);
    side_start(far, kind, pipe, hold_until_told);
    harness_gate_wait(&gate[1]);
    leave(pipe, "near");
    side_start(new_caller, kind, pipe, replace_until_told);
    harness_gate_wait(&gate[1]);
    assert_errno(pipc_pending(pipe), EBUSY);
}

TEST_OF_KIND(a_returning_caller_takes_the_other_end_when_its_own_is_held)
{
    pipc_t *pipe = open_anonymous();
    struct side far, new_caller;
    let_a_new_caller_in(kind, pipe, &far, &new_caller);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    hear_bye(pipe, "near");
    hear(pipe, "from the new_caller");
    harness_gate_open(&gate[2]);
    hear_bye(pipe, "new_caller");
    side_end(&far);
    side_end(&new_caller);
    pipc_close(pipe);
    gates_close();
}

TEST_OF_KIND(a_returning_caller_takes_its_former_end_when_it_is_free_again)
{
    pipc_t *pipe = open_anonymous();
    struct side far, new_caller;
    let_a_new_caller_in(kind, pipe, &far, &new_caller);
    harness_gate_open(&gate[2]);
    side_end(&new_caller);
    hear_nothing(pipe);
    harness_gate_open(&gate[0]);
    hear_bye(pipe, "far");
    side_end(&far);
    pipc_close(pipe);
    gates_close();
}

static void tell_what_lies_here(pipc_t *pipe)
{
    char text[64] = "";
    assert_true(pipc_read(pipe, text, sizeof text - 1) > 0);
    if (strcmp(text, "for the far side") == 0)
        harness_gate_open(&gate[0]);
    else if (strcmp(text, "for the one who opened") == 0)
        harness_gate_open(&gate[1]);
    else
        fail_msg("read \"%s\"", text);
    harness_gate_wait(&gate[2]);
    leave(pipe, NULL);
}

static void write_and_leave(pipc_t *pipe)
{
    say(pipe, "for the one who opened");
    leave(pipe, "far");
}

TEST_OF_KIND(two_new_callers_take_two_free_ends)
{
    pipc_t *pipe = open_anonymous();
    struct side side[2];
    gates_init();
    say(pipe, "for the far side");
    side_play(kind, pipe, write_and_leave);
    leave(pipe, "near");
    for (int i = 0; i < 2; i++)
        side_start(&side[i], kind, pipe, tell_what_lies_here);
    harness_gate_wait(&gate[0]);
    harness_gate_wait(&gate[1]);
    for (int i = 0; i < 2; i++)
        harness_gate_open(&gate[2]);
    for (int i = 0; i < 2; i++)
        side_end(&side[i]);
    pipc_close(pipe);
    gates_close();
}

HARNESS_MAIN("anonymous handover", OVER_ANONYMOUS_KINDS(hundreds_of_successors_take_the_same_end),
             OVER_ANONYMOUS_KINDS(the_same_caller_takes_its_end_again_hundreds_of_times),
             OVER_ANONYMOUS_KINDS(both_peers_leave_and_come_back_hundreds_of_times),
             OVER_ANONYMOUS_KINDS(a_successor_is_not_refused_while_its_predecessor_leaves),
             IT(each_child_takes_the_end_that_its_parent_left),
             OVER_ANONYMOUS_KINDS(former_holders_cost_no_descriptor_and_no_memory),
             OVER_ANONYMOUS_KINDS(a_new_caller_prefers_an_end_that_was_never_held),
             OVER_ANONYMOUS_KINDS(a_new_caller_takes_the_end_that_was_freed),
             OVER_ANONYMOUS_KINDS(the_first_of_two_returning_callers_takes_its_former_end),
             OVER_ANONYMOUS_KINDS(the_second_of_two_returning_callers_takes_its_former_end),
             OVER_ANONYMOUS_KINDS(a_returning_caller_takes_the_other_end_when_its_own_is_held),
             OVER_ANONYMOUS_KINDS(a_returning_caller_takes_its_former_end_when_it_is_free_again),
             OVER_ANONYMOUS_KINDS(two_new_callers_take_two_free_ends))
