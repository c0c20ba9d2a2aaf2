/* SPDX-License-Identifier: MIT */
/*
 * What the memory of pipes costs that have moved into it: how much one takes, and all of a process
 * together, and when it is given back.
 */
#include "moving.h"

#include <sys/mman.h>

#include "fault.h"
#include "net.h"

enum { LARGE = 300000, PIPES = 60 };

static void set_timeout(pipc_t *pipe, int ms)
{
    assert_int_equal(pipc_set_timeout(pipe, ms, ms), 0);
}

static const struct share_memory *memory_of(const pipc_t *pipe)
{
    return &moving_transport(pipe)->share->memory;
}

/* --- How much --- */

static bool move(pipc_t *end[2])
{
    moving_open(end, 0, NULL);
    for (int i = 0; i < 3; i++)
        net_expect_talk(end[1], end[0]);
    return moving_state(end[1]) == SHARE_MOVED;
}

/* Both ends count in this process. */
TEST(the_first_pipes_get_large_memory_then_small_then_none)
{
    pipc_t *end[PIPES][2];
    int large = 0, small = 0, sockets = 0;
    for (int i = 0; i < PIPES; i++) {
        if (!move(end[i]))
            sockets++;
        else if (memory_of(end[i][0])->is_large)
            large++;
        else
            small++;
        assert_true(sockets == 0 || moving_state(end[i][1]) != SHARE_MOVED);
        assert_true(small == 0 || sockets > 0 || !memory_of(end[i][1])->is_large);
    }
    assert_in_range(large, 7, 8);
    assert_in_range(small, 30, 33);
    for (int i = 0; i < PIPES; i++) {
        net_expect_talk(end[i][0], end[i][1]);
        moving_close(end[i]);
    }
    assert_true(move(end[0]));
    assert_true(memory_of(end[0][0])->is_large);
    moving_close(end[0]);
}

static void *write_long(void *pipe)
{
    static unsigned char data[LARGE];
    for (unsigned i = 0; i < 30; i++) {
        harness_fill(data, LARGE - i, i);
        assert_int_equal(pipc_write(pipe, data, LARGE - i), LARGE - i);
    }
    return NULL;
}

/* How far the memory of one direction was ever written. */
static size_t touched(const struct share_memory *memory, unsigned end)
{
    size_t page = sys_page(), count = 0;
    size_t size = memory->is_large ? RING_GROWN : RING_SIZE;
    unsigned char in[RING_GROWN / 4096];
    uint8_t *from = memory->data[end] + (memory->is_large ? RING_SIZE : 0);
    assert_int_equal(mincore(from, size, in), 0);
    for (size_t i = 0; i < size / page; i++)
        count += in[i] & 1u;
    return count * page;
}

TEST(long_messages_go_through_large_and_small_memory)
{
    static unsigned char got[LARGE];
    for (int is_large = 0; is_large < 2; is_large++) {
        pipc_t *end[2];
        pthread_t writer;
        share_large_max = is_large ? (size_t)1 << 30 : 0;
        assert_true(move(end));
        const struct share_memory *memory = memory_of(end[0]);
        assert_int_equal(memory->is_large, is_large);
        assert_int_equal(pthread_create(&writer, NULL, write_long, end[1]), 0);
        for (unsigned i = 0; i < 30; i++) {
            assert_int_equal(pipc_read(end[0], got, sizeof got), LARGE - i);
            harness_check(got, LARGE - i, i);
        }
        assert_int_equal(pthread_join(writer, NULL), 0);
        assert_int_equal(touched(memory, 0) > RING_SIZE, is_large);
        assert_true(touched(memory, 0) >= RING_SIZE / 2);
        moving_close(end);
    }
}

/* --- When it goes back --- */

static const char data[1000];

static void use(pipc_t *from, pipc_t *to)
{
    char got[sizeof data];
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pipc_write(from, data, sizeof data), sizeof data);
        assert_int_equal(pipc_read(to, got, sizeof got), sizeof data);
    }
}

/* Only then the wait gets what it waits for. */
static bool say_when_it_is_back(void *context)
{
    pipc_t **end = context;
    if (touched(memory_of(end[0]), 1) > 0)
        return false;
    net_say(end[1], "at last");
    return true;
}

TEST(a_read_that_waits_for_long_gives_the_memory_of_its_side_back)
{
    harness_skip_in_qemu("qemu does not follow MADV_REMOVE");
    share_still = 20 * SYS_MILLISECOND;
    for (int ms = -1; ms < 60000; ms += 30000) {
        pipc_t *end[2];
        assert_true(move(end));
        use(end[0], end[1]);
        use(end[1], end[0]);
        assert_true(touched(memory_of(end[0]), 1) > 50000);
        set_timeout(end[0], ms);
        fault_reset();
        fault_before_wait(say_when_it_is_back, end);
        fault_arm();
        char got[8];
        ssize_t size = pipc_read(end[0], got, sizeof got);
        fault_disarm();
        assert_int_equal(size, 7);
        assert_true(touched(memory_of(end[0]), 0) > 50000); /* the peer has not waited */
        use(end[0], end[1]);
        use(end[1], end[0]);
        moving_close(end);
    }
    fault_reset();
}

TEST(what_the_peer_has_not_read_stays_in_memory)
{
    share_still = 10 * SYS_MILLISECOND;
    pipc_t *end[2];
    char byte;
    assert_true(move(end));
    net_say(end[0], "unread");
    set_timeout(end[0], 100);
    assert_errno(pipc_read(end[0], &byte, 1), ETIMEDOUT);
    assert_true(touched(memory_of(end[0]), 1) > 0);
    net_expect(end[1], "unread");
    moving_close(end);
}

/* The peer reads when this side has looked once, in vain. */
struct late_reader {
    pipc_t **end;
    int waits;
};

static bool read_after_one_look(void *context)
{
    struct late_reader *late = context;
    if (++late->waits == 2)
        net_expect(late->end[1], "unread");
    if (touched(memory_of(late->end[0]), 1) > 0)
        return false;
    net_say(late->end[1], "at last");
    return true;
}

TEST(what_the_peer_reads_late_goes_back_in_the_same_wait)
{
    harness_skip_in_qemu("qemu does not follow MADV_REMOVE");
    pipc_t *end[2];
    assert_true(move(end));
    struct late_reader late = {.end = end};
    share_still = SYS_SECOND;
    net_say(end[0], "unread");
    set_timeout(end[0], 60000);
    fault_reset();
    fault_frozen_time();
    fault_before_wait(read_after_one_look, &late);
    fault_arm();
    char got[8];
    ssize_t size = pipc_read(end[0], got, sizeof got);
    fault_disarm();
    fault_reset();
    assert_int_equal(size, 7);
    assert_true(late.waits > 2);
    moving_close(end);
}

HARNESS_MAIN("moving into shared memory, memory",
             IT(the_first_pipes_get_large_memory_then_small_then_none),
             IT(long_messages_go_through_large_and_small_memory),
             IT(a_read_that_waits_for_long_gives_the_memory_of_its_side_back),
             IT(what_the_peer_has_not_read_stays_in_memory),
             IT(what_the_peer_reads_late_goes_back_in_the_same_wait))
