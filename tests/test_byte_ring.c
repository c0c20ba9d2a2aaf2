/* SPDX-License-Identifier: MIT */
/*
 * The byte ring alone: bytes, the life of the peer, and a hostile peer. Waking is in
 * test_byte_ring_wake.c, and how ends use the ring in test_ring.c.
 */
#include "byte_ring.h"

#include "transport/copy.h"

/* --- Bytes ----------------------------------------------------------------------------------- */

TEST(bytes_come_in_order_across_the_edge_and_across_the_largest_position)
{
    static const uint64_t begins[] = {0, RING_SIZE - 3, UINT64_MAX - 2 * RING_SIZE - 1};
    uint8_t bytes[1000];
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        struct shared *s = new_sides(begins[i]);
        for (unsigned n = 0; n < 5 * RING_SIZE / sizeof bytes; n++) {
            struct ring *from = &s->side[n % 2].ring, *to = &s->side[1 - n % 2].ring;
            harness_fill(bytes, sizeof bytes, n);
            if (n % 3 == 0)
                put_in_place(from, bytes, sizeof bytes);
            else
                assert_int_equal(put(from, bytes, sizeof bytes), sizeof bytes);
            expect(to, bytes, sizeof bytes);
        }
        free_sides(s);
    }
}

TEST(a_write_up_to_the_limit_goes_whole_or_not_at_all)
{
    struct shared *s = new_sides(RING_SIZE / 2);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    static uint8_t bytes[RING_WHOLE_MAX + 1];
    harness_fill(bytes, sizeof bytes, 1);
    for (size_t i = 0; i < RING_SIZE / RING_WHOLE_MAX; i++)
        assert_int_equal(put(a, bytes, RING_WHOLE_MAX), RING_WHOLE_MAX);
    assert_errno(put(a, bytes, 1), EAGAIN);
    assert_null_errno(ring_place(a, 1), EAGAIN);
    expect(b, bytes, RING_WINDOW);
    assert_errno(put(a, bytes, RING_WHOLE_MAX), EAGAIN);
    assert_int_equal(put(a, bytes, RING_WHOLE_MAX + 1), RING_WINDOW);
    assert_errno(put(a, bytes, RING_WHOLE_MAX + 1), EAGAIN);
    free_sides(s);
}

TEST(several_parts_are_written_as_one)
{
    struct shared *s = new_sides(0);
    static uint8_t bytes[3 * RING_PIECE_SIZE];
    harness_fill(bytes, sizeof bytes, 1);
    const size_t cut = RING_PIECE_SIZE + 5;
    struct iovec parts[] = {{bytes, 1},
                            {bytes + 1, 0},
                            {bytes + 1, cut},
                            {bytes + 1 + cut, 0},
                            {bytes + 1 + cut, sizeof bytes - 1 - cut}};
    assert_int_equal(ring_writev(&s->side[0].ring, parts, 5), sizeof bytes);
    expect(&s->side[1].ring, bytes, sizeof bytes);
    free_sides(s);
}

TEST(a_part_of_a_long_message_is_written_where_there_is_room_for_64_bytes)
{
    struct shared *s = new_sides(RING_SIZE / 2);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    static uint8_t bytes[2 * RING_WHOLE_MAX];
    harness_fill(bytes, sizeof bytes, 1);
    for (size_t i = 0; i < RING_SIZE / RING_WHOLE_MAX; i++)
        assert_int_equal(put(a, bytes, RING_WHOLE_MAX), RING_WHOLE_MAX);
    expect(b, bytes, 63);
    assert_errno(put(a, bytes, sizeof bytes), EAGAIN);
    expect(b, bytes + 63, 1);
    assert_int_equal(put(a, bytes, sizeof bytes), 64);
    free_sides(s);
}

TEST(a_long_message_is_read_as_far_as_it_has_come)
{
    struct shared *s = new_sides(0);
    static uint8_t bytes[2 * RING_PIECE_SIZE + 7], got[sizeof bytes + 1];
    harness_fill(bytes, sizeof bytes, 1);
    assert_int_equal(put(&s->side[0].ring, bytes, sizeof bytes), sizeof bytes);
    struct ring *b = &s->side[1].ring;
    assert_int_equal(ring_read(b, got, 10), 10);
    assert_int_equal(ring_read(b, got + 10, sizeof got - 10), sizeof bytes - 10);
    assert_memory_equal(got, bytes, sizeof bytes);
    assert_false(b->ran_short);
    assert_errno(ring_read(b, got, 1), EAGAIN);
    assert_true(b->ran_short);
    free_sides(s);
}

TEST(bytes_are_copied_right_wherever_they_are)
{
    static uint8_t from[2 * COPY_PAGE], to[sizeof from], expected[sizeof from];
    static const size_t sizes[] = {0, 1, COPY_STEP - 1, COPY_STEP + 1, COPY_PAGE};
    harness_fill(from, sizeof from, 1);
    for (size_t ahead = 0; ahead <= 2 * COPY_AHEAD; ahead++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t place = COPY_PAGE / 2 + ahead;
            memset(to, 0, sizeof to);
            memset(expected, 0, sizeof expected);
            memcpy(expected + place, from + COPY_PAGE / 2, sizes[i]);
            copy_bytes(to + place, from + COPY_PAGE / 2, sizes[i]);
            assert_memory_equal(to, expected, sizeof to);
        }
}

/* --- Life ------------------------------------------------------------------------------------ */

static unsigned all_questions(const struct fake *fake)
{
    unsigned all = 0;
    for (size_t i = 0; i <= RING_ASK_KERNEL; i++)
        all += fake->questions[i];
    return all;
}

static void change_peer(struct fake *fake, enum ring_life life)
{
    fake->life = fake->life_in_kernel = life;
    atomic_fetch_add(&fake->shared->version[fake == &fake->shared->side[0]], 1);
}

TEST(what_a_peer_wrote_before_its_end_comes_first)
{
    static const enum ring_life lives[] = {RING_PEER_SHUT, RING_PEER_DEAD};
    for (int i = 0; i < 2; i++) {
        struct shared *s = new_sides(0);
        struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
        char byte;
        put(a, "last", 4);
        change_peer(&s->side[1], lives[i]);
        expect(b, "last", 4);
        expect_nothing(b, true);
        assert_int_equal(ring_read(b, &byte, 1), 0);
        if (lives[i] == RING_PEER_SHUT)
            assert_int_equal(put(b, "x", 1), 1);
        else
            assert_errno(put(b, "x", 1), EPIPE);
        free_sides(s);
    }
}

TEST(bytes_that_come_with_the_end_are_not_lost)
{
    struct shared *s = new_sides(0);
    struct ring *b = &s->side[1].ring;
    const uint8_t *shown;
    bool end;
    expect_nothing(b, false);
    put(&s->side[0].ring, "xy", 2);
    change_peer(&s->side[1], RING_PEER_SHUT);
    assert_int_equal(ring_peek(b, 3, &shown, &end), 2);
    assert_true(end);
    expect(b, "xy", 2);
    free_sides(s);
}

/* Its last bytes come between a look at the head and the question. */
static enum ring_life write_and_die(void *context, uint64_t version, enum ring_question question,
                                    int64_t now)
{
    struct fake *fake = context;
    (void)version;
    (void)now;
    if (question != RING_ASK_WRITER)
        return RING_PEER_MAY_WRITE;
    if (fake->questions[question]++ == 0)
        put(&fake->shared->side[0].ring, "xy", 2);
    return RING_PEER_DEAD;
}

TEST(bytes_that_come_just_before_the_end_is_found_are_not_lost)
{
    struct shared *s = new_sides(0);
    struct ring *b = &s->side[1].ring;
    const uint8_t *shown;
    bool end;
    b->peer.life = write_and_die;
    assert_int_equal(ring_peek(b, 3, &shown, &end), 2);
    assert_true(end);
    expect(b, "xy", 2);
    free_sides(s);
}

TEST(a_peer_that_has_not_changed_is_not_asked_for_in_memory)
{
    struct shared *s = new_sides(0);
    struct fake *b = &s->side[1];
    const uint8_t *shown;
    bool end;
    for (int i = 0; i < 10; i++)
        assert_int_equal(ring_peek(&b->ring, 0, &shown, &end), 0);
    assert_int_equal(all_questions(b), 0);
    change_peer(b, RING_PEER_MAY_WRITE);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ring_peek(&b->ring, 0, &shown, &end), 0);
    assert_int_equal(b->questions[RING_ASK_VERSION], 1);
    assert_int_equal(all_questions(b), 1);
    ring_set_dead(&b->ring);
    assert_int_equal(ring_peek(&b->ring, 0, &shown, &end), 0);
    assert_true(end);
    free_sides(s);
}

TEST(a_reader_that_finds_nothing_asks_whether_the_writer_lives)
{
    struct shared *s = new_sides(0);
    struct fake *b = &s->side[1];
    expect_nothing(&b->ring, false);
    assert_int_equal(b->questions[RING_ASK_WRITER], 1);
    b->life = RING_PEER_DEAD; /* found out by asking: its version is the same */
    expect_nothing(&b->ring, true);
    assert_int_equal(b->questions[RING_ASK_WRITER], 2);
    free_sides(s);
}

TEST(a_full_ring_asks_in_every_way_whether_the_reader_lives)
{
    struct shared *s = new_sides(0);
    struct fake *a = &s->side[0];
    fill(&a->ring);
    assert_int_equal(a->questions[RING_ASK_KERNEL], 1);
    a->life_in_kernel = RING_PEER_DEAD;
    assert_errno(put(&a->ring, "x", 1), EPIPE);
    assert_null_errno(ring_place(&a->ring, 1), EPIPE);
    free_sides(s);
}

TEST(a_change_that_comes_while_a_wait_asks_for_death_ends_the_wait)
{
    struct shared *s = new_sides(0);
    struct fake *b = &s->side[1];
    expect_nothing(&b->ring, false);
    assert_false(ring_arm(&b->ring, RING_BYTES));
    change_peer(b, RING_PEER_SHUT);
    b->life_in_kernel = RING_PEER_SHUT;
    assert_int_equal(ring_ask(&b->ring, RING_ASK_KERNEL), RING_PEER_SHUT);
    assert_true(ring_arm(&b->ring, RING_BYTES));
    expect_nothing(&b->ring, true);
    free_sides(s);
}

/* The peer has come at the first question, and shuts down before the second one. */
static enum ring_life come_and_shut(void *context, uint64_t version, enum ring_question question,
                                    int64_t now)
{
    struct fake *fake = context;
    (void)version;
    (void)now;
    if (question == RING_ASK_VERSION)
        change_peer(fake, RING_PEER_SHUT);
    return question == RING_ASK_VERSION ? RING_PEER_MAY_WRITE : fake->life;
}

TEST(a_shutdown_between_two_questions_of_a_read_is_the_end)
{
    struct shared *s = new_sides(0);
    struct fake *b = &s->side[1];
    const uint8_t *shown;
    bool end;
    b->ring.peer.life = come_and_shut;
    change_peer(b, RING_PEER_MAY_WRITE);
    assert_int_equal(ring_peek(&b->ring, 1, &shown, &end), 0);
    assert_true(end || ring_arm(&b->ring, RING_BYTES));
    expect_nothing(&b->ring, true);
    free_sides(s);
}

/* --- A hostile peer -------------------------------------------------------------------------- */

static void expect_broken(struct ring *ring)
{
    const uint8_t *shown;
    bool end;
    char byte;
    assert_errno(ring_peek(ring, 1, &shown, &end), EPROTO);
    assert_errno(ring_read(ring, &byte, 1), EPROTO);
    assert_errno(put(ring, "x", 1), EPROTO);
    assert_null_errno(ring_place(ring, 1), EPROTO);
}

TEST(a_head_that_makes_no_sense_is_a_protocol_error_for_good)
{
    static const uint64_t heads[] = {RING_SIZE + 1, UINT64_MAX, (uint64_t)1 << 63, 3};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct shared *s = new_sides(0);
        struct ring *b = &s->side[1].ring;
        put(&s->side[0].ring, "abcd", 4);
        expect(b, "abcd", 4); /* 3 is a step backwards */
        atomic_store(&s->words[0].head, heads[i] == 3 ? 3 : heads[i] + 4);
        assert_true(ring_is_ready(b, RING_BYTES));
        expect_broken(b);
        atomic_store(&s->words[0].head, 4);
        expect_broken(b);
        free_sides(s);
    }
}

TEST(a_head_that_steps_back_behind_what_was_shown_is_a_protocol_error)
{
    struct shared *s = new_sides(0);
    struct ring *b = &s->side[1].ring;
    const uint8_t *shown;
    bool end;
    put(&s->side[0].ring, "abcd", 4);
    assert_int_equal(ring_peek(b, 1, &shown, &end), 4);
    atomic_store(&s->words[0].head, 2);
    assert_errno(ring_peek(b, 5, &shown, &end), EPROTO);
    free_sides(s);
}

TEST(a_head_beyond_the_ring_of_what_is_unread_is_a_protocol_error)
{
    struct shared *s = new_sides(0);
    struct ring *b = &s->side[1].ring;
    const uint8_t *shown;
    bool end;
    put(&s->side[0].ring, "abcd", 4);
    assert_int_equal(ring_peek(b, 1, &shown, &end), 4);
    atomic_store(&s->words[0].head, RING_SIZE + 1);
    assert_errno(ring_peek(b, 5, &shown, &end), EPROTO);
    free_sides(s);
}

TEST(a_tail_that_makes_no_sense_is_a_protocol_error_for_good)
{
    static const uint64_t tails[] = {5, UINT64_MAX - RING_SIZE, (uint64_t)1 << 63};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        struct shared *s = new_sides(0);
        struct ring *a = &s->side[0].ring;
        atomic_store(&s->words[0].tail, tails[i]);
        assert_true(ring_is_ready(a, RING_ROOM));
        assert_errno(put(a, "abcd", 4), EPROTO);
        atomic_store(&s->words[0].tail, 0);
        assert_errno(put(a, "abcd", 4), EPROTO);
        assert_null_errno(ring_place(a, 4), EPROTO);
        assert_int_equal(atomic_load(&s->words[0].head), 0);
        free_sides(s);
    }
}

TEST(own_positions_are_never_read_back)
{
    struct shared *s = new_sides(0);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    put(a, "ab", 2);
    expect(b, "a", 1);
    atomic_store(&s->words[0].tail, 77);  /* the reader's own */
    atomic_store(&s->words[0].steps, 78); /* likewise */
    expect(b, "b", 1);
    assert_int_equal(atomic_load(&s->words[0].tail), 2);
    atomic_store(&s->words[0].head, 79); /* the writer's own */
    put(a, "cd", 2);
    assert_int_equal(atomic_load(&s->words[0].head), 4);
    expect(b, "cd", 2);
    free_sides(s);
}

HARNESS_MAIN("byte ring", IT(bytes_come_in_order_across_the_edge_and_across_the_largest_position),
             IT(a_write_up_to_the_limit_goes_whole_or_not_at_all),
             IT(several_parts_are_written_as_one),
             IT(a_part_of_a_long_message_is_written_where_there_is_room_for_64_bytes),
             IT(a_long_message_is_read_as_far_as_it_has_come),
             IT(bytes_are_copied_right_wherever_they_are),
             IT(what_a_peer_wrote_before_its_end_comes_first),
             IT(bytes_that_come_with_the_end_are_not_lost),
             IT(bytes_that_come_just_before_the_end_is_found_are_not_lost),
             IT(a_peer_that_has_not_changed_is_not_asked_for_in_memory),
             IT(a_reader_that_finds_nothing_asks_whether_the_writer_lives),
             IT(a_full_ring_asks_in_every_way_whether_the_reader_lives),
             IT(a_change_that_comes_while_a_wait_asks_for_death_ends_the_wait),
             IT(a_shutdown_between_two_questions_of_a_read_is_the_end),
             IT(a_head_that_makes_no_sense_is_a_protocol_error_for_good),
             IT(a_head_that_steps_back_behind_what_was_shown_is_a_protocol_error),
             IT(a_head_beyond_the_ring_of_what_is_unread_is_a_protocol_error),
             IT(a_tail_that_makes_no_sense_is_a_protocol_error_for_good),
             IT(own_positions_are_never_read_back))
