/* SPDX-License-Identifier: MIT */
/*
 * A script of calls on both ends of a pipe, against the model in lane.h. On pipc_open the second
 * side is a thread of its own, and the two take turns.
 *
 *   input   2 bytes: kind and flags, limits; then steps of 1 byte and its parameters
 */
#include <stdio.h>

#include "lockstep.h"
#include "side.h"
#include "transport/share.h"

enum { STEPS_MAX = 400 };

static uint8_t decision; /* bit 0: the side, 1 to 4: the call, the rest: the last call of an end */

static void step_here(void *context)
{
    struct side *side = context;
    unsigned step = decision / 2 % 16;
    if (side->pipe == NULL || side->has_left)
        return;
    fuzz_trace("side %d, call %u, %u\n", side == &both.side[1], step, decision >> 5);
    if (step < SIDE_CALLS)
        side_call(side, step);
    else
        side_end(side, decision >> 5); /* less often */
    side_trace(side);
}

static void close_here(void *context)
{
    struct side *side = context;
    if (side->pipe != NULL)
        side_end(side, SIDE_CLOSE);
}

static void begin_here(void *context)
{
    fuzz_no_timeouts(((struct side *)context)->pipe);
}

/* On pipc_open the second side is another thread. */
static void run(int which, void (*function)(void *context))
{
    if (both.kind == SIDE_OPEN && which == 1)
        lockstep_run(function, &both.side[1]);
    else
        function(&both.side[which]);
}

#ifdef PIPC_PLATFORM_POSIX
enum { HAS_ABSTRACT_NAMES = 0 };
#else
enum { HAS_ABSTRACT_NAMES = 1 };
#endif

static void open_unix(pipc_t *end[2], const pipc_options_t *options)
{
    static unsigned number;
    char name[64];
    snprintf(name, sizeof name, "@pipc-fuzz-%ld-%u", (long)getpid(), number++);
    pipc_server_t *server = pipc_server_open_unix(name, options);
    FUZZ_CHECK(server != NULL, "no server");
    end[0] = pipc_open_unix(name, -1, options);
    end[1] = pipc_server_accept(server, -1);
    FUZZ_CHECK(end[0] != NULL && end[1] != NULL, "no connection");
    pipc_server_close(server);
}

/* What may move: a pair, of which both ends offer, or a Unix socket; after so many bytes. */
static void open_moving(pipc_t *end[2], const pipc_options_t *options, unsigned how)
{
    static const uint64_t moves_after[] = {4096, 0, 100, 20000};
    share_after = share_pair_after = moves_after[how % 4];
    if (HAS_ABSTRACT_NAMES && (how & 4) != 0)
        open_unix(end, options);
    else
        FUZZ_CHECK(pipc_open_pair(end, options) == 0, "no pair");
}

static void open_ends(enum side_kind kind, pipc_t *end[2], const pipc_options_t *options,
                      unsigned how)
{
    int fd[2];
    switch (kind) {
    case SIDE_PAIR:
        open_moving(end, options, how);
        break;
    case SIDE_SOCKETS:
        fuzz_socketpair(fd);
        end[0] = fuzz_adopt(fd[0], fd[0], options);
        end[1] = fuzz_adopt(fd[1], fd[1], options);
        break;
    default:
        end[0] = end[1] = pipc_open(options);
        FUZZ_CHECK(end[0] != NULL, "no pipe");
    }
}

static void open_sides(void)
{
    static const unsigned flags[] = {0, PIPC_GATHER, PIPC_DUPLEX, PIPC_ACCEPT_FDS,
                                     PIPC_GATHER | PIPC_DUPLEX};
    static const size_t messages[] = {0, 0, 100, 5000}, pendings[] = {0, 1, 1000, 100000};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pipc_t *end[2];
    uint8_t how = fuzz_byte(&both.input), limits = fuzz_byte(&both.input);
    options.flags = flags[how / SIDE_KINDS % 5];
    options.max_message = messages[limits % 4];
    options.max_pending = pendings[limits / 4 % 4];
    open_ends((enum side_kind)(how % SIDE_KINDS), end, &options, limits / 16);
    sides_begin((enum side_kind)(how % SIDE_KINDS), &options, end);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_fds before = fuzz_fds_now();
    both.input = (struct fuzz_input){bytes, size};
    open_sides();
    run(0, begin_here);
    run(1, begin_here);
    for (int i = 0; i < STEPS_MAX && !fuzz_is_over(&both.input); i++) {
        decision = fuzz_byte(&both.input);
        run(decision & 1, step_here);
    }
    run(0, close_here);
    run(1, close_here);
    fuzz_fds_check(&before);
    return 0;
}
