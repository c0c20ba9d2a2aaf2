/* SPDX-License-Identifier: MIT */
/*
 * The shared memory behind an anonymous pipe, seen from inside: messages around its size and
 * across its edge, and its transport alone. test_ring_wake.c tests how sleepers are woken,
 * test_ring_hostile.c a hostile peer.
 */
#include "anonymous.h"

#include "fault.h"
#include "peer/ends.h"
#include "peer/shared.h"
#include "transport/transport.h"

/* --- Sizes ----------------------------------------------------------------------------------- */

/* A frame is its message and a header of 4 bytes. */
enum { HEADER = 4, AROUND = 6, LARGEST = 2 * RING_SIZE + AROUND };
static const size_t edges[] = {RING_SIZE / 32, RING_SIZE / 16, RING_SIZE / 4,
                               RING_SIZE / 2,  RING_SIZE,      2 * RING_SIZE};
enum { EDGES = sizeof edges / sizeof edges[0] };

static size_t size_number(int number)
{
    return edges[number / (2 * AROUND)] + (size_t)(number % (2 * AROUND)) - AROUND;
}

static void echo_every_size(pipc_t *pipe)
{
    for (int i = 0; i < 2 * AROUND * EDGES; i++) {
        hear_large(pipe, size_number(i), (uint64_t)i);
        say_large(pipe, size_number(i), (uint64_t)i);
    }
    leave(pipe, NULL);
}

TEST_OF_KIND(messages_of_critical_sizes_arrive_whole)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    char *buffer = malloc(LARGEST);
    assert_non_null(buffer);
    side_start(&far, kind, pipe, echo_every_size);
    for (int i = 0; i < 2 * AROUND * EDGES; i++) {
        say_large(pipe, size_number(i), (uint64_t)i);
        assert_int_equal(pipc_read(pipe, buffer, size_number(i)), size_number(i));
        harness_check(buffer, size_number(i), (uint64_t)i);
    }
    hear_bye(pipe, "");
    side_end(&far);
    pipc_close(pipe);
    free(buffer);
}

static void write_every_size_without_waiting(pipc_t *pipe)
{
    for (int i = 0; i < 2 * AROUND * EDGES; i++) {
        set_timeouts(pipe, -1, 0);
        say_large(pipe, size_number(i), (uint64_t)i);
        set_timeouts(pipe, -1, -1);
        assert_true(pipc_flush(pipe) >= 0);
        assert_int_equal(hear_number(pipe), i);
    }
    leave(pipe, NULL);
}

/* Whatever of it does not fit is held by the writer; the reader comes back again and again. */
TEST_OF_KIND(messages_of_critical_sizes_arrive_whole_without_waiting)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    pipc_msg_t message;
    int fd = pipc_fd(pipe);
    side_start(&far, kind, pipe, write_every_size_without_waiting);
    set_timeouts(pipe, 0, -1);
    for (int i = 0; i < 2 * AROUND * EDGES; i++) {
        while (pipc_read_msg(pipe, &message) != 0) {
            assert_int_equal(errno, EAGAIN);
            assert_true(harness_readable(fd, SIDES_LONG_MS));
        }
        assert_int_equal(message.size, size_number(i));
        harness_check(message.data, message.size, (uint64_t)i);
        pipc_msg_free(&message);
        say_number(pipe, i);
    }
    set_timeouts(pipe, -1, -1);
    hear_bye(pipe, "");
    side_end(&far);
    pipc_close(pipe);
}

static size_t fill_exactly(pipc_t *pipe, size_t frame)
{
    static char data[RING_SIZE];
    size_t count = 0;
    set_timeouts(pipe, 0, 0);
    while (pipc_write(pipe, data, frame - HEADER) >= 0)
        count++;
    assert_int_equal(errno, EAGAIN);
    set_timeouts(pipe, -1, -1);
    return count;
}

static void skip_all(pipc_t *pipe)
{
    for (ssize_t n = pipc_pending(pipe); n > 0; n--)
        assert_int_equal(pipc_skip(pipe), 0);
    hear_nothing(pipe);
    leave(pipe, NULL);
}

static size_t room_for(size_t frame)
{
    return (frame > RING_LONG ? RING_GROWN : RING_SIZE) / frame;
}

/* Full to the last byte, and full but for one byte. */
TEST_OF_KIND(the_ring_can_be_filled_to_the_last_byte)
{
    static const size_t frames[] = {4, 5, 64, 1024, RING_SIZE / 4};
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        pipc_t *pipe = open_anonymous();
        for (int round = 0; round < 3; round++) {
            assert_int_equal(fill_exactly(pipe, frames[i]), room_for(frames[i]));
            side_play(kind, pipe, skip_all);
            hear_bye(pipe, "");
        }
        pipc_close(pipe);
    }
}

/* --- Across the edge ------------------------------------------------------------------------- */

/* Frames of an odd length begin, sooner or later, at each offset of a ring of 2^n bytes. */
enum { ODD = 1001 - HEADER, PATTERN = 256 };
static unsigned char pattern[ODD + PATTERN];
static size_t frames_to_send;

static void make_pattern(void)
{
    harness_fill(pattern, sizeof pattern, 1);
    frames_to_send = RING_SIZE / (harness_scale() == 1 ? 1 : 8);
}

static void write_at_every_offset(pipc_t *pipe)
{
    for (size_t i = 0; i < frames_to_send; i++)
        if (pipc_write(pipe, pattern + i % PATTERN, ODD) != ODD)
            fail_msg("frame %zu: %s", i, strerror(errno));
    leave(pipe, NULL);
}

TEST_OF_KIND(frames_arrive_whole_from_every_offset)
{
    unsigned char buffer[ODD];
    pipc_t *pipe = open_anonymous();
    struct side far;
    make_pattern();
    side_start(&far, kind, pipe, write_at_every_offset);
    for (size_t i = 0; i < frames_to_send; i++) {
        if (pipc_read(pipe, buffer, sizeof buffer) != ODD)
            fail_msg("frame %zu: %s", i, strerror(errno));
        if (memcmp(buffer, pattern + i % PATTERN, ODD) != 0)
            fail_msg("frame %zu is not what was sent", i);
    }
    hear_bye(pipe, "");
    side_end(&far);
    pipc_close(pipe);
}

static size_t few;

static void skip_a_few_and_stay(pipc_t *pipe)
{
    for (size_t i = 0; i < few; i++)
        assert_int_equal(pipc_skip(pipe), 0);
    say(pipe, "read");
    harness_gate_wait(&gate[0]);
    skip_all(pipe);
}

static void wait_for_room_in_vain(pipc_t *pipe)
{
    unsigned long before = fault_calls(CALL_ANY);
    set_timeouts(pipe, 50, 50);
    fault_arm();
    assert_errno(pipc_write(pipe, "", 0), ETIMEDOUT);
    fault_disarm();
    assert_in_range(fault_calls(CALL_ANY) - before, 1, 40); /* it sleeps */
    set_timeouts(pipe, -1, -1);
}

TEST_OF_KIND(bytes_that_were_read_are_room_at_once)
{
    enum { FRAME = 16 };
    static const size_t fews[] = {1, 2, 63, 64, 65, 1000};
    for (size_t i = 0; i < sizeof fews / sizeof fews[0]; i++) {
        pipc_t *pipe = open_anonymous();
        struct side far;
        few = fews[i];
        harness_gate_init(&gate[0]);
        assert_int_equal(fill_exactly(pipe, FRAME), RING_SIZE / FRAME);
        side_start(&far, kind, pipe, skip_a_few_and_stay);
        hear(pipe, "read");
        assert_int_equal(fill_exactly(pipe, FRAME), few);
        wait_for_room_in_vain(pipe);
        harness_gate_open(&gate[0]);
        hear_bye(pipe, "");
        side_end(&far);
        harness_gate_close(&gate[0]);
        pipc_close(pipe);
    }
}

/* Frames that do not end where the reader's steps do. */
enum { UNEVEN = 100, FRAMES = RING_SIZE / UNEVEN, HALF = RING_SIZE / 2 / UNEVEN + 1 };

static struct harness_gate went_on;

static void fill_and_wait_for_room(pipc_t *pipe)
{
    assert_int_equal(fill_exactly(pipe, UNEVEN), FRAMES);
    harness_gate_open(&gate[0]);
    say_large(pipe, UNEVEN, 0);
    harness_gate_open(&went_on);
    hear_bye(pipe, "");
    leave(pipe, NULL);
}

static void fill_and_poll_for_room(pipc_t *pipe)
{
    static const char data[UNEVEN];
    int fd = pipc_fd(pipe);
    assert_int_equal(fill_exactly(pipe, UNEVEN), FRAMES);
    set_timeouts(pipe, 0, 0);
    assert_errno(pipc_write(pipe, data, sizeof data), EAGAIN);
    harness_gate_open(&gate[0]);
    assert_true(harness_readable(fd, SIDES_LONG_MS));
    set_timeouts(pipe, -1, -1);
    harness_gate_open(&went_on);
    hear_bye(pipe, "");
    leave(pipe, NULL);
}

static void read_half(const struct kind *kind, script *writer)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    harness_gate_init(&gate[0]);
    harness_gate_init(&went_on);
    hear_nothing(pipe);
    side_start(&far, kind, pipe, writer);
    harness_gate_wait(&gate[0]);
    sleeper_wait(sleeper_side(&far));
    for (size_t i = 0; i < HALF; i++)
        assert_int_equal(pipc_skip(pipe), 0);
    harness_gate_wait(&went_on);
    leave(pipe, NULL);
    side_end(&far);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
    harness_gate_close(&went_on);
}

TEST_OF_KIND(a_waiting_writer_continues_when_half_has_been_read)
{
    read_half(kind, fill_and_wait_for_room);
}

TEST_OF_KIND(a_polling_writer_is_told_when_half_has_been_read)
{
    read_half(kind, fill_and_poll_for_room);
}

/* --- The transport alone ---------------------------------------------------------------------- */

struct peer_thread {
    struct ends ends;
    struct harness_gate here, go, gone;
    bool dies;
};

static void *come_and_go(void *arg)
{
    struct peer_thread *peer = arg;
    unsigned end = (unsigned)ends_claim(&peer->ends);
    harness_gate_open(&peer->here);
    harness_gate_wait(&peer->go);
    if (!peer->dies)
        ends_shutdown(&peer->ends, end);
    else
        ends_finish(&peer->ends, end);
    harness_gate_open(&peer->gone);
    harness_gate_wait(&peer->go);
    if (!peer->dies)
        ends_finish(&peer->ends, end);
    return NULL;
}

/* The reader checked just before, and found nothing. */
static void update_readiness_after_the_peer_went(bool dies)
{
    struct peer_thread peer = {.dies = dies};
    pthread_t thread;
    assert_int_equal(ends_open(&peer.ends), 0);
    harness_gate_init(&peer.here);
    harness_gate_init(&peer.go);
    harness_gate_init(&peer.gone);
    unsigned end = (unsigned)ends_claim(&peer.ends);
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &peer), 0);
    harness_gate_wait(&peer.here);
    struct transport *transport = transport_ring(&peer.ends);
    assert_non_null(transport);
    transport_ring_take(transport, end);
    int fd = transport->ops->descriptor(transport);
    transport->ops->update_readiness(transport, false, TRANSPORT_IN);
    assert_false(harness_readable(fd, 0));
    harness_gate_open(&peer.go);
    harness_gate_wait(&peer.gone);
    transport->ops->update_readiness(transport, false, TRANSPORT_IN);
    assert_true(harness_readable(fd, 0));
    harness_gate_open(&peer.go);
    assert_int_equal(pthread_join(thread, NULL), 0);
    transport->ops->close(transport);
    ends_finish(&peer.ends, end);
    ends_close(&peer.ends);
    harness_gate_close(&peer.here);
    harness_gate_close(&peer.go);
    harness_gate_close(&peer.gone);
}

TEST(the_descriptor_reports_a_shutdown_after_the_last_check)
{
    update_readiness_after_the_peer_went(false);
}

TEST(the_descriptor_reports_a_death_after_the_last_check)
{
    update_readiness_after_the_peer_went(true);
}

HARNESS_MAIN("ring", OVER_ANONYMOUS_KINDS(messages_of_critical_sizes_arrive_whole),
             OVER_ANONYMOUS_KINDS(messages_of_critical_sizes_arrive_whole_without_waiting),
             OVER_ANONYMOUS_KINDS(the_ring_can_be_filled_to_the_last_byte),
             OVER_ANONYMOUS_KINDS(frames_arrive_whole_from_every_offset),
             OVER_ANONYMOUS_KINDS(bytes_that_were_read_are_room_at_once),
             OVER_ANONYMOUS_KINDS(a_waiting_writer_continues_when_half_has_been_read),
             OVER_ANONYMOUS_KINDS(a_polling_writer_is_told_when_half_has_been_read),
             IT(the_descriptor_reports_a_shutdown_after_the_last_check),
             IT(the_descriptor_reports_a_death_after_the_last_check))
