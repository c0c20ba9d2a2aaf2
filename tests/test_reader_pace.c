/* SPDX-License-Identifier: MIT */
/*
 * The pace of a ring's reader: each row of the table in ring_pace.h; and when the reader of a
 * stream gives its processor away. The benchmark measures what they are good for.
 */
#include "fault.h"
#include "harness.h"

#include "sys/sys_cpu.h"
#include "transport/pace.h"
#include "transport/ring_pace.h"

enum { LITTLE = RING_PACE_LITTLE - 1, MUCH = RING_PACE_LITTLE };
enum { STREAKS = RING_PACE_STREAK + 3 };

static struct ring_pace at(unsigned streak, uint64_t found)
{
    return (struct ring_pace){.streak = streak, .found = found, .patience = 64};
}

static void expect_loaded(unsigned streak, uint64_t found, uint64_t bytes, bool amid,
                          enum ring_pace_action action, unsigned next)
{
    struct ring_pace pace = at(streak, found);
    assert_int_equal(ring_pace_loaded(&pace, bytes, amid), action);
    assert_int_equal(pace.streak, next);
    assert_int_equal(pace.patience, 64);
    assert_int_equal(pace.found, found); /* the caller loads once more before it knows */
}

TEST(the_first_little_loads_are_used_at_once)
{
    for (int amid = 0; amid < 2; amid++) {
        for (unsigned streak = 0; streak < RING_PACE_STREAK; streak++) {
            expect_loaded(streak, 0, 1, amid, RING_PACE_USE, streak + 1);
            expect_loaded(streak, MUCH, LITTLE, amid, RING_PACE_USE, streak + 1);
        }
    }
}

TEST(a_streak_of_little_loads_gives_the_writer_a_head_start)
{
    for (int amid = 0; amid < 2; amid++) {
        for (unsigned streak = RING_PACE_STREAK; streak < STREAKS; streak++) {
            expect_loaded(streak, 0, 1, amid, RING_PACE_HEAD_START, streak + 1);
            expect_loaded(streak, MUCH, LITTLE, amid, RING_PACE_HEAD_START, streak + 1);
        }
    }
}

TEST(much_is_used_at_once)
{
    for (int amid = 0; amid < 2; amid++)
        for (unsigned streak = 0; streak < STREAKS; streak++)
            expect_loaded(streak, 0, MUCH, amid, RING_PACE_USE, streak + 1);
}

TEST(between_messages_only_a_streak_is_worth_a_spin)
{
    for (unsigned streak = 0; streak < RING_PACE_STREAK; streak++)
        expect_loaded(streak, MUCH, 0, false, RING_PACE_GIVE_UP, 0);
    for (unsigned streak = RING_PACE_STREAK; streak < STREAKS; streak++)
        expect_loaded(streak, 0, 0, false, RING_PACE_SPIN, streak);
}

TEST(amid_a_message_only_an_ample_load_before_is_worth_a_spin)
{
    for (unsigned streak = 0; streak < STREAKS; streak++) {
        expect_loaded(streak, RING_PACE_AMPLE - 1, 0, true, RING_PACE_GIVE_UP, 0);
        expect_loaded(streak, RING_PACE_AMPLE, 0, true, RING_PACE_SPIN, streak);
    }
}

TEST(a_spin_in_vain_gives_up_and_halves_the_patience_down_to_the_least)
{
    struct ring_pace pace = {.streak = 3, .patience = RING_PACE_PATIENCE_MAX};
    for (unsigned expected = RING_PACE_PATIENCE_MAX / 2; expected > 4; expected /= 2) {
        pace.streak = 3;
        assert_int_equal(ring_pace_spun(&pace, false), RING_PACE_GIVE_UP);
        assert_int_equal(pace.patience, expected);
        assert_int_equal(pace.streak, 0);
    }
    assert_int_equal(pace.patience, RING_PACE_PATIENCE_MIN);
    ring_pace_spun(&pace, false);
    assert_int_equal(pace.patience, RING_PACE_PATIENCE_MIN);
    pace.patience = 0; /* at first */
    ring_pace_spun(&pace, false);
    assert_int_equal(pace.patience, RING_PACE_PATIENCE_MIN);
}

TEST(a_spin_that_found_something_uses_it_and_doubles_the_patience_up_to_the_most)
{
    struct ring_pace pace = {.streak = 3, .patience = RING_PACE_PATIENCE_MIN};
    for (unsigned expected = 2 * RING_PACE_PATIENCE_MIN; expected <= RING_PACE_PATIENCE_MAX;
         expected *= 2) {
        assert_int_equal(ring_pace_spun(&pace, true), RING_PACE_USE);
        assert_int_equal(pace.patience, expected);
        assert_int_equal(pace.streak, 3);
    }
    ring_pace_spun(&pace, true);
    assert_int_equal(pace.patience, RING_PACE_PATIENCE_MAX);
}

TEST(a_side_that_has_written_begins_anew)
{
    for (unsigned streak = 0; streak < STREAKS; streak++) {
        struct ring_pace pace = at(streak, MUCH);
        ring_pace_wrote(&pace);
        assert_int_equal(pace.streak, 0);
        assert_int_equal(pace.patience, 64);
        assert_int_equal(pace.found, MUCH);
    }
}

/* In the streak 1 byte came in 1,000 ticks, and the processor was away for a million. */
static int64_t pause_after_yield(size_t came)
{
    struct pace pace = {.streak_brought = 40, .streak_ticks = 40000};
    int64_t begin = sys_ticks();
    pace_note_yield(&pace, 1000000, came);
    return pace.yields_from == 0 ? 0 : pace.yields_from - begin;
}

TEST(a_stream_that_came_four_times_as_fast_without_its_reader_gets_the_processor_again)
{
    assert_int_equal(pause_after_yield(4001), 0);
    assert_int_equal(pause_after_yield(1 << 20), 0);
}

TEST(a_stream_that_did_not_is_read_for_32_times_as_long_without_giving_the_processor_away)
{
    assert_true(pause_after_yield(4000) >= 32000000);
    assert_true(pause_after_yield(0) >= 32000000);
}

TEST(when_ticks_go_backwards_in_a_head_start_it_is_over)
{
    assert_int_equal(pace_rest(-1), 0);
    assert_int_equal(pace_rest(-3000000000), 0);
    assert_int_equal(pace_rest(INT64_MIN), 0);
    assert_int_equal(pace_rest(0), PACE_HEAD_START_TICKS);
    assert_int_equal(pace_rest(PACE_HEAD_START_TICKS - 1), 1);
    assert_int_equal(pace_rest(PACE_HEAD_START_TICKS), 0);
}

TEST(a_stop_in_a_head_start_counts_as_a_tenth_of_a_second_at_most)
{
    struct pace pace = {.streak_brought = 40, .streak_ticks = 40000};
    pace_note_yield(&pace, 3600 * (int64_t)3000000000, 0);
    assert_true(pace.yields_from <= sys_ticks() + 32 * PACE_YIELD_MAX);
}

/* How often the processor was given away in one head start of a fast stream. */
static unsigned long yields_of_head_start(int64_t yields_from)
{
    fault_reset();
    fault_arm();
    /* Begun in the future, the streak is a short one on each machine, however slow. */
    int64_t began = sys_ticks() + PACE_YIELD_MAX;
    struct pace pace = {.streak = 3, .began_streak = began, .yields_from = yields_from};
    pace_give_head_start(&pace);
    fault_disarm();
    return fault_calls(CALL_sched_yield);
}

TEST(when_ticks_go_backwards_the_processor_is_given_away_again)
{
    assert_int_equal(yields_of_head_start(0), 1);
    assert_int_equal(yields_of_head_start(sys_ticks() + 32 * PACE_YIELD_MAX), 0);
    assert_int_equal(yields_of_head_start(INT64_MAX), 1);
}

TEST(a_reader_that_has_not_read_little_in_a_row_or_has_written_keeps_the_processor)
{
    struct pace pace = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pace_give_head_start(&pace), 0);
        pace_note_read(&pace, 20);
    }
    assert_int_equal(pace.streak, 3);
    assert_int_equal(pace.streak_brought, 40);
    pace_note_write(&pace);
    assert_int_equal(pace_give_head_start(&pace), 0);
    assert_int_equal(pace.streak, 0);
}

HARNESS_MAIN(
    "reader pace", IT(the_first_little_loads_are_used_at_once),
    IT(a_streak_of_little_loads_gives_the_writer_a_head_start), IT(much_is_used_at_once),
    IT(between_messages_only_a_streak_is_worth_a_spin),
    IT(amid_a_message_only_an_ample_load_before_is_worth_a_spin),
    IT(a_spin_in_vain_gives_up_and_halves_the_patience_down_to_the_least),
    IT(a_spin_that_found_something_uses_it_and_doubles_the_patience_up_to_the_most),
    IT(a_side_that_has_written_begins_anew),
    IT(a_stream_that_came_four_times_as_fast_without_its_reader_gets_the_processor_again),
    IT(a_stream_that_did_not_is_read_for_32_times_as_long_without_giving_the_processor_away),
    IT(when_ticks_go_backwards_in_a_head_start_it_is_over),
    IT(a_stop_in_a_head_start_counts_as_a_tenth_of_a_second_at_most),
    IT(when_ticks_go_backwards_the_processor_is_given_away_again),
    IT(a_reader_that_has_not_read_little_in_a_row_or_has_written_keeps_the_processor))
