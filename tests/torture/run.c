/* SPDX-License-Identifier: MIT */
/*
 * One run: opens a pipe, plays a script on both ends with its faults, takes the faults away, and
 * sees that the handle recovers; then closes one end, and the other must notice by polling alone.
 * On pipc_open the second side is a thread, and the two take turns.
 */
#include <poll.h>
#include <stdio.h>

#include "../fuzz/lockstep.h"
#include "harness.h"
#include "platform.h"
#include "torture.h"

enum {
    STEPS_MAX = 24,
    ROUNDS = 60,
    TCP_ROUNDS = 7000,
    ROUND_MS = 60,
    NOTICE_MS = 1000,
    SPURIOUS_MAX = 8
};

struct step {
    int side;
    enum torture_call call;
    uint32_t number;
};

static struct {
    const struct torture_run *run;
    pipc_options_t options;
    struct step step[STEPS_MAX];
    int steps, first_to_close;
    struct lane lane[2];
    struct torture_side side[2];
} now;

/* ---- the script ---- */

static unsigned pick_flags(const struct kind *kind, uint64_t *state)
{
    static const unsigned flags[] = {0,
                                     0,
                                     PIPC_GATHER,
                                     PIPC_DUPLEX,
                                     PIPC_ACCEPT_FDS,
                                     PIPC_NO_SHARED_MEMORY,
                                     PIPC_GATHER | PIPC_ACCEPT_FDS};
    unsigned picked = flags[harness_roll(state) % 7];
    return kind->same_handle || kind->moves ? 0 : picked;
}

static enum torture_call pick_call(uint64_t *state, bool writes)
{
    static const enum torture_call writing[] = {TORTURE_WRITE,  TORTURE_WRITE, TORTURE_WRITE,
                                                TORTURE_WRITEV, TORTURE_BATCH, TORTURE_FDS,
                                                TORTURE_FLUSH,  TORTURE_POLL},
                                   reading[] = {
                                       TORTURE_READ,     TORTURE_READ,         TORTURE_READ_SHORT,
                                       TORTURE_READ_MSG, TORTURE_READ_PENDING, TORTURE_SKIP,
                                       TORTURE_PEEK,     TORTURE_PENDING,      TORTURE_FLUSH,
                                       TORTURE_POLL,     TORTURE_WANT,         TORTURE_STATE,
                                       TORTURE_READ,     TORTURE_READ_MSG};
    return writes ? writing[harness_roll(state) % 8] : reading[harness_roll(state) % 14];
}

/* Both sides take their ends first; at most one ends its direction, with its last call. */
static void make_script(void)
{
    uint64_t state = now.run->script * 0x9e3779b97f4a7c15u | 1;
    for (int i = 0; i < 3; i++)
        harness_roll(&state);
    const uint32_t timeout_ms = harness_roll(&state) % 2 == 0 ? 0 : 30;
    now.options = (pipc_options_t)PIPC_OPTIONS_INIT;
    now.options.flags = pick_flags(now.run->kind, &state);
    now.options.max_pending = harness_roll(&state) % 4 == 0 ? 1000 : 0;
    now.first_to_close = (int)(harness_roll(&state) % 2);
    now.steps = 8 + (int)(harness_roll(&state) % (STEPS_MAX - 8));
    for (int i = 0; i < now.steps; i++) {
        bool writes = harness_roll(&state) % 2 == 0;
        int side = i < 2 ? i : (int)(harness_roll(&state) % 3 == 0) ^ writes;
        now.step[i] = (struct step){side, pick_call(&state, writes),
                                    (uint32_t)(harness_roll(&state) % 1000000)};
        if (i < 2)
            now.step[i] = (struct step){i, TORTURE_TIMEOUT, timeout_ms};
    }
    if (harness_roll(&state) % 3 == 0)
        now.step[now.steps - 1].call =
            harness_roll(&state) % 2 == 0 ? TORTURE_SHUTDOWN : TORTURE_DISCONNECT;
}

/* ---- who makes the calls ---- */

struct turn {
    struct torture_side *side;
    void (*function)(struct torture_side *side, const void *what);
    const void *what;
};

static void take_turn(void *context)
{
    struct turn *turn = context;
    fault_arm();
    turn->function(turn->side, turn->what);
    fault_disarm();
}

static void by_turn(int side, void (*function)(struct torture_side *side, const void *what),
                    const void *what)
{
    struct turn turn = {&now.side[side], function, what};
    if (now.run->kind->same_handle && side == 1)
        lockstep_run(take_turn, &turn);
    else
        take_turn(&turn);
}

static bool may_call(const struct torture_side *side)
{
    return side->pipe != NULL && !side->has_left;
}

static void make_step(struct torture_side *side, const void *what)
{
    const struct step *step = what;
    if (side->timeout_ms < 0 && step->call != TORTURE_TIMEOUT) /* it holds no end: it may get one */
        torture_make(side, TORTURE_TIMEOUT, now.step[0].number);
    if (side->timeout_ms < 0 && step->call != TORTURE_TIMEOUT)
        return;
    torture_trace("side %d, call %d, %u\n", step->side, (int)step->call, (unsigned)step->number);
    torture_make(side, step->call, step->number);
    torture_trace("    held %zu, unread %zu\n", side->out->count, side->in->count);
}

static void play(void)
{
    for (int i = 0; i < now.steps; i++) {
        if (now.run->limit.from == (unsigned)i && i > 0)
            torture_limit_begin(&now.run->limit);
        if (may_call(&now.side[now.step[i].side]))
            by_turn(now.step[i].side, make_step, &now.step[i]);
    }
}

/* ---- the faults ---- */

static void plan_faults(const struct torture_run *run)
{
    fault_reset();
    harness_restart_random();
    fault_virtual_time();
    for (int i = 0; i < 2; i++)
        if (run->fault[i].nth > 0)
            fault_fail_plausibly(run->fault[i].nth, run->fault[i].more, run->fault[i].which);
    fault_shorten(run->shape == SHAPE_SHORT || run->shape == SHAPE_INTERRUPTED);
    fault_interrupt(run->shape == SHAPE_INTERRUPTED ? 3 : 0);
    fault_eagain_after_poll(run->shape == SHAPE_EAGAIN);
}

/* ---- recovery ---- */

static void begin_recovery(struct torture_side *side, const void *what)
{
    (void)what;
    torture_make(side, TORTURE_TIMEOUT, 0);
    torture_make(side, TORTURE_WANT, PIPC_WANT_READ | PIPC_WANT_WRITE);
}

static void move_on(struct torture_side *side, const void *what)
{
    (void)what;
    torture_make(side, TORTURE_FLUSH, 0);
    while (torture_take(side))
        continue;
}

static bool is_open(int from)
{
    bool is_uncertain = now.lane[from].is_shut && torture_is_broken();
    return now.side[from].write_dead == 0 && now.side[1 - from].read_dead == 0 && !is_uncertain &&
           may_call(&now.side[1 - from]);
}

/* The kernel may take its time to pass on what it was given. */
static void give_time(int round)
{
    fault_advance_ms(ROUND_MS);
    if (now.run->kind->tcp && round > 1)
        poll(NULL, 0, 1);
}

static bool is_settled(void)
{
    return !((is_open(0) && now.lane[0].count > 0) || (is_open(1) && now.lane[1].count > 0));
}

/* A write reports whether writing is dead. What was accepted before may then be lost. */
static void probe(int from)
{
    static const struct step write = {0, TORTURE_WRITE, 1};
    if (may_call(&now.side[from]) && is_open(from) && !now.lane[from].is_shut)
        by_turn(from, make_step, &write);
}

static void pass_on(void)
{
    int round = 0;
    do {
        for (int side = 0; side < 2; side++)
            if (may_call(&now.side[side]))
                by_turn(side, move_on, NULL);
        for (int side = 0; side < 2 && round == 2; side++)
            if (now.lane[side].count > 0)
                probe(side);
        give_time(round);
    } while (!is_settled() && ++round < (now.run->kind->tcp ? TCP_ROUNDS : ROUNDS));
}

static void check_nothing_lost(int from)
{
    TORTURE_CHECK(now.lane[from].count == 0 || !is_open(from),
                  "%zu accepted messages of side %d never arrive", now.lane[from].count, from);
}

/* A further message of each side that may still send. */
static void talk(int from)
{
    const struct step again = {from, TORTURE_WRITE, 5};
    if (!may_call(&now.side[from]) || now.lane[from].is_shut || !is_open(from))
        return;
    by_turn(from, make_step, &again);
    pass_on();
    check_nothing_lost(from);
}

static bool is_readable(int fd, int timeout_ms)
{
    fault_disarm();
    bool result = harness_readable(fd, timeout_ms);
    fault_arm();
    return result;
}

/* Nothing is to be done: after a few wakeups for nothing the descriptor is quiet. */
static void look(struct torture_side *side, const void *what)
{
    (void)what;
    int fd = torture_descriptor(side), wakeups = 0;
    TORTURE_CHECK(fd >= 0, "no descriptor to poll, once nothing fails");
    while (is_readable(fd, 0) && side->read_dead == 0) {
        torture_make(side, TORTURE_FLUSH, 0);
        torture_make(side, TORTURE_PENDING, 0);
        while (torture_take(side))
            continue;
        if (++wakeups >= SPURIOUS_MAX && !platform_has(PLATFORM_EXACT))
            return;
        TORTURE_CHECK(wakeups < SPURIOUS_MAX, "the descriptor stays readable for nothing");
    }
}

static void lift(void)
{
    fault_lift();
    torture_limit_end();
}

static void recover(void)
{
    lift();
    for (int side = 0; side < 2; side++)
        if (may_call(&now.side[side]))
            by_turn(side, begin_recovery, NULL);
    pass_on();
    check_nothing_lost(0);
    check_nothing_lost(1);
    talk(0);
    talk(1);
    for (int side = 0; side < 2; side++)
        if (may_call(&now.side[side]))
            by_turn(side, look, NULL);
}

/* ---- the end ---- */

static void close_side(struct torture_side *side, const void *what)
{
    (void)what;
    pipc_close(side->pipe);
    side->pipe = NULL;
    side->polled = -1;
    side->out->is_closed = side->in->is_deaf = true;
}

/* Only the descriptor says that there is something; a read then says what. */
static void notice_end(struct torture_side *side, const void *what)
{
    (void)what;
    if (side->read_dead != 0)
        return;
    for (int i = 0; i < SPURIOUS_MAX && side->read_dead == 0; i++) {
        TORTURE_CHECK(is_readable(side->polled, NOTICE_MS * harness_scale()),
                      "nothing is readable after the peer's close");
        while (torture_take(side))
            continue;
    }
    TORTURE_CHECK(side->read_dead != 0, "the peer's close is not reported");
}

/* For a side that could not ask before. */
static void ask(struct torture_side *side, const void *what)
{
    begin_recovery(side, what);
    TORTURE_CHECK(torture_descriptor(side) >= 0, "no descriptor to poll, once nothing fails");
}

static void end(void)
{
    int first = now.first_to_close;
    bool was_there = now.side[first].timeout_ms >= 0; /* it could take its end */
    bool is_noticed = was_there && !now.side[first].has_left;
    by_turn(first, close_side, NULL);
    lift();
    if (may_call(&now.side[1 - first]) && is_noticed) {
        if (now.run->limit.closes)
            by_turn(1 - first, ask, NULL);
        by_turn(1 - first, notice_end, NULL);
    }
    by_turn(1 - first, close_side, NULL);
}

/* ---- the whole ---- */

static void begin(pipc_t *const pipe[2])
{
    for (int i = 0; i < 2; i++) {
        now.lane[i] = (struct lane){.first = 0};
        now.side[i] = (struct torture_side){.pipe = pipe[i],
                                            .kind = now.run->kind,
                                            .flags = now.options.flags,
                                            .in = &now.lane[1 - i],
                                            .out = &now.lane[i],
                                            .polled = -1,
                                            .timeout_ms = -1};
    }
}

struct left {
    struct fuzz_fds fds;
    size_t blocks, bytes;
};

static struct left look_around(void)
{
    return (struct left){fuzz_fds_now(), harness_heap_blocks(), harness_mapped_bytes()};
}

static void check_left(const struct left *before)
{
    static const size_t page = 4096; /* the library keeps one until the process ends */
    struct left after = look_around();
    fuzz_fds_check(&before->fds);
    TORTURE_CHECK(after.blocks == before->blocks, "%td heap blocks are left",
                  (ptrdiff_t)(after.blocks - before->blocks));
    TORTURE_CHECK(after.bytes == before->bytes || after.bytes == before->bytes + page,
                  "%td mapped bytes are left", (ptrdiff_t)(after.bytes - before->bytes));
    TORTURE_CHECK(fault_bad_closes() == 0, "a descriptor was closed twice");
}

static void nothing(void *unused)
{
    (void)unused;
}

void torture_run(const struct torture_run *run)
{
    pipc_t *pipe[2];
    torture_watch();
    now.run = run;
    make_script();
    plan_faults(run);
    lockstep_run(nothing, NULL); /* its thread needs memory */
    struct left before = look_around();
    if (run->limit.from == 0 && torture_opens_alone(run->kind))
        torture_limit_begin(&run->limit);
    bool has_opened = torture_open(run->kind, pipe, &now.options);
    if (!has_opened && torture_limit_holds()) {
        lift();
        check_left(&before);
        has_opened = torture_open(run->kind, pipe, &now.options);
        TORTURE_CHECK(has_opened, "a pipe does not open after the limit is gone");
    }
    if (has_opened) {
        begin(pipe);
        play();
        if (!run->limit.closes)
            recover();
        end();
    } else {
        TORTURE_CHECK(fault_failed() != CALL_NONE || run->shape != SHAPE_WHOLE,
                      "a pipe does not open, and nothing failed");
    }
    check_left(&before);
}
