/* SPDX-License-Identifier: MIT */
/* The byte ring alone: who wakes whom, and when. */
#include "byte_ring.h"

#include <limits.h>

/* --- Waking ---------------------------------------------------------------------------------- */

TEST(a_reader_is_woken_once_for_each_interest_it_declares)
{
    struct shared *s = new_sides(0);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    put(a, "x", 1);
    assert_int_equal(s->side[0].wakes, 0);
    expect(b, "x", 1);
    for (unsigned i = 1; i < 4; i++) {
        assert_false(ring_arm(b, RING_BYTES));
        assert_true(ring_is_armed(b, RING_BYTES));
        put(a, "x", 1);
        assert_false(ring_is_armed(b, RING_BYTES));
        put(a, "y", 1);
        assert_int_equal(s->side[0].wakes, i);
        expect(b, "xy", 2);
    }
    free_sides(s);
}

TEST(a_reader_that_waits_for_room_is_not_woken_by_bytes)
{
    struct shared *s = new_sides(0);
    fill(&s->side[1].ring);
    assert_false(ring_arm(&s->side[1].ring, RING_ROOM));
    put(&s->side[0].ring, "x", 1);
    assert_int_equal(s->side[0].wakes, 0);
    ring_disarm(&s->side[1].ring);
    assert_true(ring_arm(&s->side[1].ring, RING_BYTES | RING_ROOM));
    assert_true(ring_is_armed(&s->side[1].ring, 0));
    free_sides(s);
}

TEST(a_writer_that_waits_is_woken_when_half_is_read)
{
    struct shared *s = new_sides(0);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    const uint8_t *shown;
    bool end;
    size_t read = 0;
    fill(a);
    assert_false(ring_arm(a, RING_ROOM));
    assert_int_equal(ring_peek(b, 1, &shown, &end), RING_SIZE);
    for (; s->side[1].wakes == 0 && read < RING_SIZE - 100; read += 100)
        ring_consume(b, 100);
    assert_in_range(read, RING_SIZE / 2 - RING_SIZE / 64, RING_SIZE / 2);
    assert_true(ring_is_ready(a, RING_ROOM));
    assert_true(ring_arm(a, RING_ROOM));
    free_sides(s);
}

/*
 * Where the sides run and where the peer's word says that it fell asleep: the same processor, by a
 * number that is known, keeps it asleep until the end of a call. No number loses a wakeup.
 */
static const struct {
    unsigned here, word;
    bool is_early;
} places[] = {{1, 1, false}, {7, 7, false},           {1, 2, true}, {1, 0, true}, {0, 1, true},
              {0, 0, true},  {1, UINT_MAX >> 2, true}};

static void sleep_at(struct shared *s, unsigned side, unsigned interest, size_t place)
{
    s->side[1 - side].processor = places[place].here;
    s->side[side].processor = places[place].word;
    s->side[side].ring.pace.found = RING_PIECE_SIZE; /* it has been reading long messages */
    assert_false(ring_arm(&s->side[side].ring, interest));
    assert_int_equal(atomic_load(&s->interest[side]) >> 2, places[place].word);
    assert_true(ring_is_armed(&s->side[side].ring, interest));
}

TEST(a_side_that_reads_short_messages_does_not_ask_where_it_runs)
{
    struct shared *s = new_sides(0);
    s->side[1].processor = 1;
    put(&s->side[0].ring, "x", 1);
    expect(&s->side[1].ring, "x", 1);
    assert_false(ring_arm(&s->side[1].ring, RING_BYTES));
    assert_int_equal(atomic_load(&s->interest[1]), RING_BYTES);
    free_sides(s);
}

TEST(a_long_write_wakes_a_reader_early_when_it_can_run_beside_it)
{
    static uint8_t bytes[4 * RING_PIECE_SIZE];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct shared *s = new_sides(0);
        sleep_at(s, 1, RING_BYTES, i);
        assert_int_equal(put(&s->side[0].ring, bytes, sizeof bytes), sizeof bytes);
        assert_int_equal(s->side[0].wakes, 1);
        assert_int_equal(s->side[0].written_at_wake,
                         places[i].is_early ? RING_PIECE_SIZE : sizeof bytes);
        assert_true(ring_is_armed(&s->side[1].ring, 0));
        free_sides(s);
    }
}

TEST(a_long_read_wakes_a_writer_early_when_it_can_run_beside_it)
{
    static uint8_t room[RING_SIZE];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct shared *s = new_sides(0);
        fill(&s->side[0].ring);
        sleep_at(s, 0, RING_ROOM, i);
        assert_int_equal(ring_read(&s->side[1].ring, room, sizeof room), RING_SIZE);
        assert_int_equal(s->side[1].wakes, 1);
        assert_in_range(s->side[1].read_at_wake, RING_SIZE / 2 - RING_PIECE_SIZE,
                        places[i].is_early ? RING_SIZE / 2 : RING_SIZE);
        if (!places[i].is_early)
            assert_int_equal(s->side[1].read_at_wake, RING_SIZE);
        assert_true(ring_is_armed(&s->side[0].ring, 0));
        free_sides(s);
    }
}

TEST(what_a_short_read_or_write_moves_wakes_a_peer_on_the_same_processor)
{
    static uint8_t room[RING_SIZE / 2];
    struct shared *s = new_sides(0);
    sleep_at(s, 1, RING_BYTES, 0);
    put(&s->side[0].ring, "x", 1);
    assert_int_equal(s->side[0].wakes, 1);
    expect(&s->side[1].ring, "x", 1);
    fill(&s->side[0].ring);
    sleep_at(s, 0, RING_ROOM, 0);
    assert_int_equal(ring_read(&s->side[1].ring, room, sizeof room), sizeof room);
    assert_int_equal(s->side[1].wakes, 1);
    free_sides(s);
}

/* Sleeps again whenever it is woken, as a reader does that finds too little. */
static bool wake_in_vain(void *context)
{
    struct fake *fake = context;
    struct shared *s = fake->shared;
    fake->wakes++;
    atomic_store(&s->interest[fake == &s->side[0]], RING_BYTES);
    return true;
}

TEST(a_long_write_does_not_wake_again_for_little)
{
    static uint8_t bytes[2 * RING_AGAIN_SIZE];
    struct shared *s = new_sides(0);
    s->side[0].ring.peer.wake = wake_in_vain;
    assert_false(ring_arm(&s->side[1].ring, RING_BYTES));
    assert_int_equal(put(&s->side[0].ring, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(s->side[0].wakes, 3); /* for the first piece, for so many more, at the end */
    free_sides(s);
}

static bool fail_to_wake(void *context)
{
    struct fake *fake = context;
    return ++fake->wakes > 1;
}

TEST(a_wakeup_that_could_not_be_made_is_made_with_the_next_bytes)
{
    struct shared *s = new_sides(0);
    s->side[0].ring.peer.wake = fail_to_wake;
    assert_false(ring_arm(&s->side[1].ring, RING_BYTES));
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(put(&s->side[0].ring, "x", 1), 1);
        assert_int_equal(s->side[0].wakes, i < 3 ? i : 2);
        assert_int_equal(ring_is_armed(&s->side[1].ring, RING_BYTES), i == 1);
    }
    free_sides(s);
}

TEST(what_came_before_the_interest_needs_nobody_to_wake)
{
    struct shared *s = new_sides(0);
    struct ring *b = &s->side[1].ring;
    put(&s->side[0].ring, "x", 1);
    assert_true(ring_arm(b, RING_BYTES));
    assert_true(ring_is_armed(b, 0));
    assert_true(ring_is_ready(b, RING_BYTES));
    assert_false(ring_is_ready(b, 0));
    expect(b, "x", 1);
    atomic_store(&s->version[0], 1);
    assert_true(ring_is_ready(b, 0));
    assert_true(ring_arm(b, RING_BYTES));
    free_sides(s);
}

HARNESS_MAIN("byte ring wake", IT(a_reader_is_woken_once_for_each_interest_it_declares),
             IT(a_reader_that_waits_for_room_is_not_woken_by_bytes),
             IT(a_writer_that_waits_is_woken_when_half_is_read),
             IT(a_side_that_reads_short_messages_does_not_ask_where_it_runs),
             IT(a_long_write_wakes_a_reader_early_when_it_can_run_beside_it),
             IT(a_long_read_wakes_a_writer_early_when_it_can_run_beside_it),
             IT(what_a_short_read_or_write_moves_wakes_a_peer_on_the_same_processor),
             IT(a_long_write_does_not_wake_again_for_little),
             IT(a_wakeup_that_could_not_be_made_is_made_with_the_next_bytes),
             IT(what_came_before_the_interest_needs_nobody_to_wake))
