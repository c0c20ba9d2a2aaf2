/* SPDX-License-Identifier: MIT */
/*
 * When the descriptor of a symmetric handle becomes readable and when not: each state and event of
 * its state machine. That the descriptor keeps these promises is tested in test_descriptor*.c.
 */
#include "harness.h"

#include "peer/descriptor.h"

#define UNKNOWN  DESCRIPTOR_UNKNOWN
#define DRAINED  DESCRIPTOR_DRAINED
#define READABLE DESCRIPTOR_READABLE
#define KEEP     DESCRIPTOR_KEEP
#define RING     DESCRIPTOR_RING
#define DRAIN    DESCRIPTOR_DRAIN

enum { STATES = DESCRIPTOR_READABLE + 1 };

struct expected {
    enum descriptor_event event;
    enum descriptor_state from;
    enum descriptor_action action;
    enum descriptor_state to;
};

static void expect(const struct expected *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum descriptor_state state = rows[i].from;
        enum descriptor_action action = descriptor_step(&state, rows[i].event);
        if (action != rows[i].action || state != rows[i].to)
            fail_msg("event %d in state %d: action %d, state %d", (int)rows[i].event,
                     (int)rows[i].from, (int)action, (int)state);
    }
}

#define EXPECT(...)                                                \
    do {                                                           \
        static const struct expected rows[STATES] = {__VA_ARGS__}; \
        for (size_t i = 0; i < STATES; i++)                        \
            assert_int_equal(rows[i].from, i);                     \
        expect(rows, STATES);                                      \
    } while (0)

TEST(after_a_wait_nothing_is_known_of_the_descriptor)
{
    EXPECT({DESCRIPTOR_WAITED, UNKNOWN, KEEP, UNKNOWN}, {DESCRIPTOR_WAITED, DRAINED, KEEP, UNKNOWN},
           {DESCRIPTOR_WAITED, READABLE, KEEP, UNKNOWN});
}

TEST(work_makes_the_descriptor_readable_once)
{
    EXPECT({DESCRIPTOR_WORK, UNKNOWN, RING, READABLE}, {DESCRIPTOR_WORK, DRAINED, RING, READABLE},
           {DESCRIPTOR_WORK, READABLE, KEEP, READABLE});
}

TEST(work_after_too_little_makes_a_new_edge)
{
    EXPECT({DESCRIPTOR_NEW_WORK, UNKNOWN, RING, READABLE},
           {DESCRIPTOR_NEW_WORK, DRAINED, RING, READABLE},
           {DESCRIPTOR_NEW_WORK, READABLE, RING, READABLE});
}

TEST(without_work_the_descriptor_is_drained)
{
    EXPECT({DESCRIPTOR_IDLE, UNKNOWN, DRAIN, DRAINED}, {DESCRIPTOR_IDLE, DRAINED, DRAIN, DRAINED},
           {DESCRIPTOR_IDLE, READABLE, DRAIN, DRAINED});
}

TEST(a_drained_descriptor_whose_interest_is_armed_costs_nothing)
{
    EXPECT({DESCRIPTOR_STILL_IDLE, UNKNOWN, DRAIN, DRAINED},
           {DESCRIPTOR_STILL_IDLE, DRAINED, KEEP, DRAINED},
           {DESCRIPTOR_STILL_IDLE, READABLE, DRAIN, DRAINED});
}

TEST(what_comes_while_arming_makes_the_descriptor_readable)
{
    EXPECT({DESCRIPTOR_CAME, UNKNOWN, RING, READABLE}, {DESCRIPTOR_CAME, DRAINED, RING, READABLE},
           {DESCRIPTOR_CAME, READABLE, RING, READABLE});
}

HARNESS_MAIN("ring readiness", IT(after_a_wait_nothing_is_known_of_the_descriptor),
             IT(work_makes_the_descriptor_readable_once),
             IT(work_after_too_little_makes_a_new_edge), IT(without_work_the_descriptor_is_drained),
             IT(a_drained_descriptor_whose_interest_is_armed_costs_nothing),
             IT(what_comes_while_arming_makes_the_descriptor_readable))
