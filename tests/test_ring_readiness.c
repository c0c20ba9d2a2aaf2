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
_Static_assert(UNKNOWN == 0 && DRAINED == 1 && READABLE == 2, "the order of the rows");

struct expected {
    enum descriptor_action action;
    enum descriptor_state to;
};

static void expect(enum descriptor_event event, const struct expected rows[STATES])
{
    for (size_t from = 0; from < STATES; from++) {
        enum descriptor_state state = (enum descriptor_state)from;
        enum descriptor_action action = descriptor_step(&state, event);
        if (action != rows[from].action || state != rows[from].to)
            fail_msg("event %d in state %d: action %d, state %d", (int)event, (int)from,
                     (int)action, (int)state);
    }
}

/* One row for each state in which the event comes: UNKNOWN, DRAINED, READABLE. */
#define EXPECT(event, ...) expect(event, (const struct expected[STATES]){__VA_ARGS__})

TEST(after_a_wait_nothing_is_known_of_the_descriptor)
{
    EXPECT(DESCRIPTOR_WAITED, {KEEP, UNKNOWN}, {KEEP, UNKNOWN}, {KEEP, UNKNOWN});
}

TEST(work_makes_the_descriptor_readable_once)
{
    EXPECT(DESCRIPTOR_WORK, {RING, READABLE}, {RING, READABLE}, {KEEP, READABLE});
}

TEST(work_after_too_little_makes_a_new_edge)
{
    EXPECT(DESCRIPTOR_NEW_WORK, {RING, READABLE}, {RING, READABLE}, {RING, READABLE});
}

TEST(without_work_the_descriptor_is_drained)
{
    EXPECT(DESCRIPTOR_IDLE, {DRAIN, DRAINED}, {DRAIN, DRAINED}, {DRAIN, DRAINED});
}

TEST(a_drained_descriptor_whose_interest_is_armed_costs_nothing)
{
    EXPECT(DESCRIPTOR_STILL_IDLE, {DRAIN, DRAINED}, {KEEP, DRAINED}, {DRAIN, DRAINED});
}

TEST(what_comes_while_arming_makes_the_descriptor_readable)
{
    EXPECT(DESCRIPTOR_CAME, {RING, READABLE}, {RING, READABLE}, {RING, READABLE});
}

HARNESS_MAIN("ring readiness", IT(after_a_wait_nothing_is_known_of_the_descriptor),
             IT(work_makes_the_descriptor_readable_once),
             IT(work_after_too_little_makes_a_new_edge), IT(without_work_the_descriptor_is_drained),
             IT(a_drained_descriptor_whose_interest_is_armed_costs_nothing),
             IT(what_comes_while_arming_makes_the_descriptor_readable))
