/* SPDX-License-Identifier: MIT */
/* Messages of which a write takes only a part, of sizes around where they begin to go in pieces. */
#include "fault.h"
#include "raw.h"

static const size_t sizes[] = {511, 512, 513, 1024, 2047, 2048, 2049, 4096};

enum { SIZES = sizeof sizes / sizeof sizes[0], LARGEST = 4096, PAGE = 4096 };

/* Where it lies within its page decides how a message is copied. */
static const size_t places[] = {0, 1, 16, 4070, 4090};

enum { PLACES = sizeof places / sizeof places[0] };

static _Alignas(PAGE) unsigned char memory[PAGE + LARGEST];

static void take(const struct raw *raw, unsigned char *to, size_t size)
{
    while (size > 0) {
        ssize_t got = read(raw->in, to, size);
        assert_true(got > 0);
        to += got;
        size -= (size_t)got;
    }
}

static void take_message(const struct raw *raw, size_t size, uint64_t seed)
{
    unsigned char frame[4 + LARGEST];
    take(raw, frame, 4 + size);
    assert_int_equal(frame[0] << 24 | frame[1] << 16 | frame[2] << 8 | frame[3], size);
    harness_check(frame + 4, size, seed);
}

static void write_in_parts(const struct raw_kind *kind, int timeout)
{
    struct raw raw;
    raw_open(&raw, kind, NULL);
    assert_int_equal(pipc_set_timeout(raw.pipe, timeout, timeout), 0);
    fault_shorten(true);
    for (int i = 0; i < SIZES; i++)
        for (int at = 0; at < PLACES; at++) {
            harness_fill(memory + places[at], sizes[i], (uint64_t)(i + at));
            fault_arm();
            assert_int_equal(pipc_write(raw.pipe, memory + places[at], sizes[i]), sizes[i]);
            fault_disarm();
            take_message(&raw, sizes[i], (uint64_t)(i + at));
        }
    fault_reset();
    raw_close(&raw);
}

TEST(a_message_goes_on_where_a_write_has_stopped)
{
    for (int timeout = -1; timeout <= 0; timeout++) {
        write_in_parts(&raw_pipes, timeout);
        write_in_parts(&raw_socket, timeout);
    }
}

/* Returns how many messages were accepted before there was no room. */
static int fill_up(pipc_t *pipe, size_t size)
{
    int count = 0;
    for (;; count++) {
        harness_fill(memory, size, (uint64_t)count);
        ssize_t written = pipc_write(pipe, memory, size);
        if (written < 0)
            break;
        assert_int_equal(written, size);
    }
    assert_int_equal(errno, EAGAIN);
    return count;
}

static uint64_t held(const pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    return stats.bytes_held;
}

/* The rest of the last one is held, and goes when it is flushed. */
static void overflow(const struct raw_kind *kind, size_t size)
{
    struct raw raw;
    raw_open(&raw, kind, NULL);
    int count = fill_up(raw.pipe, size);
    for (int i = 0; i < count; i++) {
        if (i == count - 1)
            assert_int_equal(pipc_flush(raw.pipe), 0);
        take_message(&raw, size, (uint64_t)i);
    }
    assert_int_equal(held(raw.pipe), 0);
    raw_close(&raw);
}

TEST(what_has_no_room_is_refused_or_held_and_every_accepted_message_arrives)
{
    for (int i = 0; i < SIZES; i++) {
        overflow(&raw_pipes, sizes[i]);
        overflow(&raw_socket, sizes[i]);
    }
}

HARNESS_MAIN("short_writes", IT(a_message_goes_on_where_a_write_has_stopped),
             IT(what_has_no_room_is_refused_or_held_and_every_accepted_message_arrives))
