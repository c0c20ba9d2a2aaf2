/* SPDX-License-Identifier: MIT */
/*
 * One script through all of pipc.h (scenario.h), with the move at each place of it: an offer is
 * made with the first message behind so many bytes. A message has four bytes at least, so each
 * boundary between messages of the beginning is such a place; later ones are further apart. The
 * contract's programs at some places: test_contract_moving.sh.
 */
#include <stdio.h>

#include "fault.h"
#include "moving.h"
#include "scenario.h"

enum { EACH_UNTIL = 160, STEP_PART = 12, SPARSE = 9, TOTAL = 300000 };

static void play_with_move_after(const struct kind *kind, unsigned bytes)
{
    char number[16];
    snprintf(number, sizeof number, "%u", bytes);
    assert_int_equal(setenv("PIPC_TEST_MOVE_AFTER", number, 1), 0);
    fault_reset();
    fault_virtual_time();
    scenario_name(number);
    struct scenario_result result = scenario_run(kind);
    if (!result.opened || !result.complete)
        fail_msg("with the move after %u bytes, messages are missing", bytes);
    scenario_name(NULL);
}

TEST_OF_KIND(no_message_is_lost_wherever_in_the_script_it_moves)
{
    unsigned sparse = harness_emulated() ? SPARSE : 1;
    for (unsigned bytes = 0; bytes < TOTAL;) {
        play_with_move_after(kind, bytes);
        bytes += (bytes < EACH_UNTIL ? 4 : bytes / STEP_PART) * sparse;
    }
}

static int open_pair(pipc_t *end[2], const pipc_options_t *options)
{
    moving_open_pair_kind(end, options);
    return 0;
}

static int open_unix(pipc_t *end[2], const pipc_options_t *options)
{
    moving_open_kind(end, options);
    return 0;
}

static const struct kind moving[] = {{.name = "pair", .open = open_pair, .moves = true},
                                     {.name = "Unix socket", .open = open_unix, .moves = true},
                                     {.name = NULL}};

HARNESS_MAIN("moving into shared memory, at each place",
             OVER_CASES(no_message_is_lost_wherever_in_the_script_it_moves, moving))
