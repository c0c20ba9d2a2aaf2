/* SPDX-License-Identifier: MIT */
/* The byte ring alone: how it grows for long messages. */
#include "byte_ring.h"

static uint8_t longest[RING_GROWN], got[RING_GROWN];

/* Each byte of a stream tells its position. */
static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)((position * 0x9e3779b97f4a7c15u) >> 56);
}

static size_t write_from(struct ring *ring, uint64_t position, size_t size)
{
    for (size_t i = 0; i < size; i++)
        longest[i] = byte_at(position + i);
    ssize_t done = put(ring, longest, size);
    if (done < 0)
        assert_int_equal(errno, EAGAIN);
    return done < 0 ? 0 : (size_t)done;
}

static size_t read_from(struct ring *ring, uint64_t position, size_t size)
{
    ssize_t done = ring_read(ring, got, size);
    if (done < 0)
        assert_int_equal(errno, EAGAIN);
    for (ssize_t i = 0; i < done; i++)
        if (got[i] != byte_at(position + (uint64_t)i))
            fail_msg("the byte at %llu is another one", (unsigned long long)position);
    return done < 0 ? 0 : (size_t)done;
}

static bool has_grown(const struct ring *ring)
{
    return ring_area_size(&ring->out_area) == RING_GROWN;
}

/* A ring that was never used has grown before the first byte. */
TEST(a_long_message_finds_room_for_all_of_it)
{
    struct shared *s = new_sides(0);
    assert_int_equal(write_from(&s->side[0].ring, 0, RING_GROWN), RING_GROWN);
    assert_true(has_grown(&s->side[0].ring));
    assert_errno(put(&s->side[0].ring, "x", 1), EAGAIN);
    assert_int_equal(read_from(&s->side[1].ring, 0, RING_GROWN), RING_GROWN);
    assert_false(has_grown(&s->side[1].ring)); /* each direction by itself */
    free_sides(s);
}

TEST(short_messages_never_make_it_grow)
{
    struct shared *s = new_sides(0);
    for (int i = 0; i < 20; i++) {
        while (write_from(&s->side[0].ring, s->side[0].ring.out_head, RING_LONG) > 0)
            continue;
        assert_int_equal(s->side[0].ring.out_head - s->side[1].ring.in_tail, RING_SIZE);
        read_from(&s->side[1].ring, s->side[1].ring.in_tail, RING_SIZE);
    }
    assert_false(has_grown(&s->side[0].ring));
    free_sides(s);
}

/* Between two reads these fill the ring, so that few of its positions are good for growing. */
TEST(messages_that_go_whole_make_it_grow_sooner_or_later)
{
    static const size_t sizes[] = {RING_LONG + 4, 4100, 16388, RING_WHOLE_MAX - 60};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct shared *s = new_sides(RING_SIZE + 1);
        struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
        while (!has_grown(a)) {
            if (write_from(a, a->out_head, sizes[i]) == 0)
                read_from(b, b->in_tail, RING_SIZE / 2);
            assert_in_range(a->out_head, 0, 20 * RING_GROWN);
        }
        free_sides(s);
    }
}

TEST(a_long_message_that_fits_does_not_make_it_grow)
{
    struct shared *s = new_sides(0);
    for (int i = 0; i < 20; i++) {
        uint64_t from = s->side[0].ring.out_head;
        assert_int_equal(write_from(&s->side[0].ring, from, RING_SIZE), RING_SIZE);
        assert_int_equal(read_from(&s->side[1].ring, from, RING_SIZE), RING_SIZE);
    }
    assert_false(has_grown(&s->side[0].ring));
    free_sides(s);
}

/*
 * The writer fills the ring at each step, and the reader takes a part. So old bytes are unread on
 * both sides of wherever it grows, and if one were in the way of a new one, that would show.
 */
static void stream(uint64_t begin, uint64_t random, size_t most)
{
    struct shared *s = new_sides(begin);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    uint64_t head = begin, tail = begin;
    while (tail - begin < 4 * RING_GROWN) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        head += write_from(a, head, RING_WHOLE_MAX + 1 + (size_t)(random >> 40) % (3 * RING_SIZE));
        tail += read_from(b, tail, 1 + (size_t)(random >> 32) % most);
        assert_in_range(head - tail, 0, ring_area_size(&a->out_area));
    }
    assert_true(has_grown(a));
    assert_int_equal(b->in_area.grown, a->out_area.grown);
    free_sides(s);
}

TEST(no_unread_byte_is_lost_wherever_it_grows)
{
    static const uint64_t begins[] = {0,
                                      1,
                                      RING_SIZE - 3,
                                      RING_SIZE + 1,
                                      RING_GROWN - 1,
                                      RING_GROWN + RING_SIZE / 2,
                                      UINT64_MAX - RING_SIZE / 2,
                                      UINT64_MAX - RING_GROWN - RING_SIZE / 2};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        for (size_t most = RING_SIZE / 8; most <= RING_GROWN; most *= 8)
            stream(begins[i], harness_random(), most);
}

/* Growing takes no more than one time round, however little is read at a time. */
TEST(a_stream_of_long_messages_grows_within_one_round)
{
    struct shared *s = new_sides(RING_SIZE + 1);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    while (!has_grown(a)) {
        write_from(a, a->out_head, RING_WHOLE_MAX + 1);
        read_from(b, b->in_tail, 1000);
        assert_in_range(a->out_head, 0, 2 * RING_GROWN);
    }
    free_sides(s);
}

TEST(a_next_holder_goes_on_in_a_ring_that_has_grown)
{
    struct shared *s = new_sides(0);
    write_from(&s->side[0].ring, 0, RING_GROWN);
    read_from(&s->side[1].ring, 0, RING_SIZE + 1);
    for (int side = 0; side < 2; side++) {
        const struct ring_memory memory = s->side[side].ring.memory;
        const struct ring_peer peer = s->side[side].ring.peer;
        ring_init(&s->side[side].ring, &memory, &peer);
    }
    assert_int_equal(write_from(&s->side[0].ring, RING_GROWN, RING_SIZE), RING_SIZE);
    assert_int_equal(read_from(&s->side[1].ring, RING_SIZE + 1, RING_GROWN), RING_GROWN - 1);
    free_sides(s);
}

TEST(a_writer_that_waits_for_room_in_a_grown_ring_is_woken_when_half_is_read)
{
    struct shared *s = new_sides(0);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    size_t read = 0;
    write_from(a, 0, RING_GROWN);
    assert_false(ring_arm(a, RING_ROOM));
    while (s->side[1].wakes == 0)
        read += read_from(b, read, 1000);
    assert_in_range(read, RING_GROWN / 2 - RING_SIZE / 64, RING_GROWN / 2);
    assert_true(ring_is_ready(a, RING_ROOM));
    free_sides(s);
}

/* --- A hostile peer -------------------------------------------------------------------------- */

static void expect_broken(struct ring *ring)
{
    const uint8_t *shown;
    bool end;
    assert_errno(ring_peek(ring, RING_WINDOW, &shown, &end), EPROTO);
    assert_errno(ring_read(ring, got, 1), EPROTO);
    assert_errno(put(ring, "x", 1), EPROTO);
}

TEST(a_growth_that_makes_no_sense_is_a_protocol_error)
{
    static const uint64_t words[] = {2,
                                     UINT64_MAX,
                                     RING_GROWN + 1,               /* it has not been read so far */
                                     (uint64_t)0 - RING_GROWN + 1, /* that is long ago */
                                     (uint64_t)1 << 63 | 1,
                                     RING_SIZE + 1};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct shared *s = new_sides(0);
        put(&s->side[0].ring, "abcd", 4);
        expect(&s->side[1].ring, "abcd", 4);
        atomic_store(&s->words[0].grown, words[i]);
        put(&s->side[0].ring, "x", 1);
        expect_broken(&s->side[1].ring);
        free_sides(s);
    }
}

TEST(a_growth_that_is_taken_back_is_a_protocol_error)
{
    static const uint64_t words[] = {0, RING_GROWN + 1};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct shared *s = new_sides(0);
        write_from(&s->side[0].ring, 0, RING_GROWN);
        read_from(&s->side[1].ring, 0, RING_GROWN);
        atomic_store(&s->words[0].grown, words[i]);
        expect_broken(&s->side[1].ring);
        free_sides(s);
    }
}

/* Whatever the word says, what is shown lies in the mapping: the next holder may find anything. */
TEST(no_growth_leads_out_of_the_mapping)
{
    static const uint64_t words[] = {0, 1, 2, RING_GROWN, RING_GROWN + 1, UINT64_MAX};
    static const uint64_t heads[] = {0, 1, RING_SIZE - 1, RING_SIZE, RING_GROWN - 1, UINT64_MAX};
    for (size_t i = 0; i < 36; i++) {
        struct shared *s = new_sides(heads[i / 6]);
        struct ring *b = &s->side[1].ring;
        const struct ring_memory memory = b->memory;
        const struct ring_peer peer = b->peer;
        const uint8_t *shown;
        bool end;
        atomic_store(&s->words[0].grown, words[i % 6]);
        ring_init(b, &memory, &peer);
        atomic_fetch_add(&s->words[0].head, words[i % 6] == 0 ? RING_SIZE : RING_GROWN);
        ssize_t there = ring_peek(b, 1, &shown, &end);
        assert_in_range(there, 1, RING_GROWN);
        assert_in_range(shown - s->data[0], 0, (ssize_t)RING_SPAN - there);
        free_sides(s);
    }
}

/* --- Rings that are mapped when they wrap ---------------------------------------------------- */

TEST(a_ring_is_mapped_when_bytes_come_to_its_edge_and_goes_on)
{
    static const uint64_t begins[] = {0, 5, RING_SIZE - 3, RING_SIZE, 3 * RING_GROWN + 7};
    uint8_t bytes[1000];
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        struct shared *s = new_rows(begins[i]);
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

TEST(a_ring_is_full_at_the_same_place_before_it_is_mapped)
{
    struct shared *s = new_rows(0);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    static uint8_t bytes[RING_WHOLE_MAX];
    s->side[0].lacks_memory = true;
    for (size_t i = 0; i < RING_SIZE / RING_WHOLE_MAX; i++)
        assert_int_equal(put(a, bytes, RING_WHOLE_MAX), RING_WHOLE_MAX);
    s->side[0].lacks_memory = false;
    assert_errno(put(a, bytes, 1), EAGAIN);
    expect(b, bytes, 1);
    assert_int_equal(put(a, bytes, 1), 1);
    free_sides(s);
}

TEST(a_ring_that_cannot_be_mapped_now_loses_nothing)
{
    struct shared *s = new_rows(RING_SIZE - 4);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    const uint8_t *shown;
    bool end;
    s->side[0].lacks_memory = s->side[1].lacks_memory = true;
    assert_int_equal(put(a, "ab", 2), 2);
    assert_errno(put(a, "cdefg", 5), ENOMEM);
    assert_null_errno(ring_place(a, 5), ENOMEM);
    expect(b, "ab", 2);
    s->side[0].lacks_memory = false;
    assert_int_equal(put(a, "cdefg", 5), 5);
    assert_errno(ring_peek(b, 5, &shown, &end), ENOMEM);
    char room[5];
    assert_errno(ring_read(b, room, sizeof room), ENOMEM);
    s->side[1].lacks_memory = false;
    expect(b, "cdefg", 5);
    fill(a); /* no room is EAGAIN again */
    free_sides(s);
}

TEST(a_ring_grows_before_it_has_wrapped)
{
    static uint8_t bytes[RING_GROWN / 2];
    struct shared *s = new_rows(0);
    struct ring *a = &s->side[0].ring, *b = &s->side[1].ring;
    harness_fill(bytes, sizeof bytes, 1);
    size_t sent = 0, read = 0;
    while (read < sizeof bytes) {
        ssize_t some = sent < sizeof bytes ? put(a, bytes + sent, sizeof bytes - sent) : 0;
        assert_true(some >= 0);
        sent += (size_t)some;
        for (size_t left = sent - read; left > 0; left = sent - read) {
            size_t size = left < RING_WINDOW ? left : RING_WINDOW;
            expect(b, bytes + read, size);
            read += size;
        }
    }
    assert_int_not_equal(a->out_area.grown, 0);
    assert_int_equal(a->out_area.grown, b->in_area.grown);
    free_sides(s);
}

TEST(a_hostile_head_makes_a_reader_leave_no_mapping)
{
    static const uint64_t heads[] = {0, 1, RING_SIZE, RING_SIZE + 1, UINT64_MAX};
    static const uint64_t begins[] = {0, 9, RING_SIZE, UINT64_MAX - 99};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        for (size_t k = 0; k < sizeof heads / sizeof heads[0]; k++) {
            struct shared *s = new_rows(begins[i]);
            struct ring *b = &s->side[1].ring;
            const uint8_t *shown;
            bool end;
            atomic_store(&s->words[0].head, heads[k]);
            ssize_t there = ring_peek(b, 1, &shown, &end);
            assert_true(there >= 0 || errno == EPROTO);
            uint8_t seen = 0;
            for (ssize_t n = 0; n < there; n++)
                seen |= shown[n];
            assert_int_equal(seen, 0);
            free_sides(s);
        }
}

HARNESS_MAIN("byte ring growth", IT(a_long_message_finds_room_for_all_of_it),
             IT(short_messages_never_make_it_grow),
             IT(messages_that_go_whole_make_it_grow_sooner_or_later),
             IT(a_long_message_that_fits_does_not_make_it_grow),
             IT(no_unread_byte_is_lost_wherever_it_grows),
             IT(a_stream_of_long_messages_grows_within_one_round),
             IT(a_next_holder_goes_on_in_a_ring_that_has_grown),
             IT(a_writer_that_waits_for_room_in_a_grown_ring_is_woken_when_half_is_read),
             IT(a_growth_that_makes_no_sense_is_a_protocol_error),
             IT(a_growth_that_is_taken_back_is_a_protocol_error),
             IT(no_growth_leads_out_of_the_mapping),
             IT(a_ring_is_mapped_when_bytes_come_to_its_edge_and_goes_on),
             IT(a_ring_is_full_at_the_same_place_before_it_is_mapped),
             IT(a_ring_that_cannot_be_mapped_now_loses_nothing),
             IT(a_ring_grows_before_it_has_wrapped),
             IT(a_hostile_head_makes_a_reader_leave_no_mapping))
