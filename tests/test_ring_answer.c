/* SPDX-License-Identifier: MIT */
/*
 * A side that has written looks for the answer before it sleeps: each row of the table in
 * ring_answer.h, and what a program may notice of it.
 */
#include "anonymous.h"

#include "transport/ring_answer.h"

/* --- The table -------------------------------------------------------------------------------- */

static enum ring_answer_way begin(struct ring_answer *answer, uint64_t written)
{
    return ring_answer_begin(answer, written, false);
}

TEST(who_has_written_nothing_sleeps_at_once_or_yields_after_much)
{
    for (unsigned to_skip = 0; to_skip < 3; to_skip++) {
        struct ring_answer answer = {.written = 7, .to_skip = to_skip, .skips = ANSWER_SKIPS_MIN};
        assert_int_equal(begin(&answer, 7), RING_ANSWER_SLEEP);
        assert_int_equal(ring_answer_begin(&answer, 7, true), RING_ANSWER_YIELD_FOR_MORE);
        assert_int_equal(answer.to_skip, to_skip);
    }
}

TEST(who_has_written_looks_once)
{
    for (int was_ample = 0; was_ample < 2; was_ample++) {
        struct ring_answer answer;
        ring_answer_init(&answer, 7);
        assert_int_equal(ring_answer_begin(&answer, 8, was_ample), RING_ANSWER_LOOK);
        assert_int_equal(begin(&answer, 8), RING_ANSWER_SLEEP);
    }
}

TEST(after_looks_that_found_something_each_wait_looks)
{
    struct ring_answer answer;
    ring_answer_init(&answer, 0);
    for (uint64_t written = 1; written < 100; written++) {
        assert_int_equal(begin(&answer, written), RING_ANSWER_LOOK);
        ring_answer_looked(&answer, true);
        assert_int_equal(answer.skips, ANSWER_SKIPS_MIN);
    }
}

TEST(after_a_look_in_vain_the_next_wait_yields_and_goes_on_so_while_that_pays)
{
    struct ring_answer answer;
    ring_answer_init(&answer, 0);
    assert_int_equal(begin(&answer, 1), RING_ANSWER_LOOK);
    ring_answer_looked(&answer, false);
    for (uint64_t written = 2; written < 100; written++) {
        assert_int_equal(begin(&answer, written), RING_ANSWER_YIELD);
        ring_answer_looked(&answer, true);
    }
    ring_answer_looked(&answer, false);
    assert_false(answer.yields);
}

/* The number of waits that sleep before the next one that looks. */
static unsigned waits_without_look(struct ring_answer *answer, uint64_t *written)
{
    unsigned waits = 0;
    while (begin(answer, ++*written) == RING_ANSWER_SLEEP)
        waits++;
    return waits;
}

/* A wait that looked, and the next one, which yields. */
static void do_both_in_vain(struct ring_answer *answer, uint64_t *written)
{
    ring_answer_looked(answer, false);
    assert_int_equal(waits_without_look(answer, written), 0);
    ring_answer_looked(answer, false);
}

TEST(after_both_in_vain_twice_as_many_waits_sleep_up_to_the_most)
{
    struct ring_answer answer;
    uint64_t written = 1;
    ring_answer_init(&answer, 0);
    assert_int_equal(begin(&answer, written), RING_ANSWER_LOOK);
    for (unsigned expected = ANSWER_SKIPS_MIN; expected <= ANSWER_SKIPS_MAX; expected *= 2) {
        do_both_in_vain(&answer, &written);
        assert_int_equal(waits_without_look(&answer, &written), expected);
    }
    do_both_in_vain(&answer, &written);
    assert_int_equal(waits_without_look(&answer, &written), ANSWER_SKIPS_MAX);
    ring_answer_looked(&answer, true);
    do_both_in_vain(&answer, &written);
    assert_int_equal(waits_without_look(&answer, &written), ANSWER_SKIPS_MIN);
}

static void note_yield(struct ring_yields *yields, int64_t lasted, int64_t pause)
{
    const int64_t begin = 1000;
    atomic_store(&yields->from, 0);
    ring_yields_note(yields, begin, lasted);
    assert_int_equal(atomic_load(&yields->from), pause == 0 ? 0 : begin + pause);
}

TEST(after_yields_that_took_long_there_are_none_for_longer_and_longer)
{
    struct ring_yields yields = {.share = ANSWER_SHARE_MIN};
    const int64_t lasted = ANSWER_LONG_TICKS;
    for (int share = ANSWER_SHARE_MIN; share <= ANSWER_SHARE_MAX; share *= 2)
        note_yield(&yields, lasted, share * lasted);
    note_yield(&yields, lasted, ANSWER_SHARE_MAX * lasted);
    note_yield(&yields, lasted - 1, 0);
    note_yield(&yields, lasted, ANSWER_SHARE_MIN * lasted);
}

/* A process that was stopped in a yield, for an hour or for years. */
TEST(a_stop_in_a_yield_ends_no_yields_for_longer_than_a_busy_processor_does)
{
    const int64_t begin = 1000, hour = 3600 * (int64_t)3000000000;
    struct ring_yields yields = {.share = ANSWER_SHARE_MIN};
    note_yield(&yields, hour, ANSWER_SHARE_MIN * ANSWER_YIELD_MAX);
    assert_false(ring_yields_may(&yields, begin));
    assert_true(ring_yields_may(&yields, begin + ANSWER_SHARE_MIN * ANSWER_YIELD_MAX));
    atomic_store(&yields.share, ANSWER_SHARE_MAX);
    note_yield(&yields, INT64_MAX - begin, ANSWER_SHARE_MAX * ANSWER_YIELD_MAX);
    assert_false(ring_yields_may(&yields, begin));
}

TEST(when_ticks_go_backwards_yields_go_on)
{
    const int64_t before = 3600 * (int64_t)3000000000;
    struct ring_yields yields = {.share = ANSWER_SHARE_MIN};
    ring_yields_note(&yields, before, ANSWER_LONG_TICKS);
    assert_false(ring_yields_may(&yields, before));
    assert_true(ring_yields_may(&yields, 0));
    atomic_store(&yields.from, 0);
    ring_yields_note(&yields, before, -before);
    assert_int_equal(atomic_load(&yields.from), 0);
}

/* --- A pipe ----------------------------------------------------------------------------------- */

enum { QUESTIONS = 20000, LAST = -1 };

static void answer_until_the_last(pipc_t *pipe)
{
    for (int number = 0; number != LAST;) {
        number = hear_number(pipe);
        say_number(pipe, number);
    }
}

static void ask_many(pipc_t *pipe)
{
    for (int i = 0; i < QUESTIONS / harness_scale(); i++) {
        say_number(pipe, i);
        assert_int_equal(hear_number(pipe), i);
    }
    say_number(pipe, LAST);
    assert_int_equal(hear_number(pipe), LAST);
}

TEST_OF_KIND(each_question_gets_its_own_answer)
{
    pipc_t *pipe = open_anonymous();
    struct side answerer;
    side_start(&answerer, kind, pipe, answer_until_the_last);
    ask_many(pipe);
    side_end(&answerer);
    pipc_close(pipe);
}

static atomic_bool is_cancelled;

static void *ask_until_cancelled(void *pipe)
{
    for (int i = 0;; i++) {
        say_number(pipe, i & 0xffff);
        hear_number(pipe);
    }
    return NULL;
}

static void cancel_the_asker(pipc_t *pipe)
{
    pthread_t asker;
    void *result;
    assert_int_equal(pthread_create(&asker, NULL, ask_until_cancelled, pipe), 0);
    for (int i = 0; i < 1000 / harness_scale(); i++)
        say_number(pipe, hear_number(pipe));
    assert_int_equal(pthread_cancel(asker), 0);
    set_timeouts(pipe, 0, 0);
    /* The answers go on: only a look ends this thread, or a wait. */
    for (;;) {
        int number;
        ssize_t got = pipc_read(pipe, &number, sizeof number);
        if (got < 0 && errno != EAGAIN)
            break;
        if (got > 0 && pipc_write(pipe, &number, sizeof number) < 0 && errno != EAGAIN)
            break;
    }
    assert_int_equal(pthread_join(asker, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    atomic_store(&is_cancelled, true);
}

TEST(a_thread_whose_answers_come_at_once_can_be_cancelled)
{
    pipc_t *pipe = open_anonymous();
    side_play(anonymous_in_threads, pipe, cancel_the_asker);
    assert_true(is_cancelled);
    pipc_close(pipe);
}

HARNESS_MAIN("ring answer", IT(who_has_written_nothing_sleeps_at_once_or_yields_after_much),
             IT(who_has_written_looks_once), IT(after_looks_that_found_something_each_wait_looks),
             IT(after_a_look_in_vain_the_next_wait_yields_and_goes_on_so_while_that_pays),
             IT(after_both_in_vain_twice_as_many_waits_sleep_up_to_the_most),
             IT(after_yields_that_took_long_there_are_none_for_longer_and_longer),
             IT(a_stop_in_a_yield_ends_no_yields_for_longer_than_a_busy_processor_does),
             IT(when_ticks_go_backwards_yields_go_on),
             OVER_ANONYMOUS_KINDS(each_question_gets_its_own_answer),
             IT(a_thread_whose_answers_come_at_once_can_be_cancelled))
