/* SPDX-License-Identifier: MIT */
/*
 * The state word of an end is a count of changes and a status. Each holder also keeps a lock on one
 * byte of the shared memory's file: the kernel drops it when the process dies or execs, fork does not hand it
 * on, and nobody can forge it. So an end is alive when its state says held and its lock is there. To
 * take an end: lock, then state; to leave it: state, then unlock. A state that says held without a
 * lock, and still says so afterwards, belongs to a dead process. Threads of one process share its
 * locks; their ends are watched by a hook that runs when the thread ends.
 */
#include "ends.h"

#include <errno.h>
#include <stddef.h>

#include "sys.h"

#define STATUS_BITS   3u
#define LONGEST_PAUSE 100000000 /* nanoseconds; all pauses before it make up half a second */

static unsigned load_state(const struct ends *ends, unsigned end)
{
    return atomic_load(&ends->shared.page->end[end].state);
}

enum ends_status ends_status_of(unsigned stamp)
{
    return (enum ends_status)(stamp & ((1u << STATUS_BITS) - 1));
}

bool ends_is_held(enum ends_status status)
{
    return status == ENDS_HELD || status == ENDS_SHUT || status == ENDS_LEAVING;
}

static unsigned next_state(unsigned state, enum ends_status status)
{
    return ((state >> STATUS_BITS) + 1) << STATUS_BITS | (unsigned)status;
}

/*
 * Change the state from what was seen, and wake the partner so that it looks. Its wish is taken as for a
 * message, which tells it that its bell has been rung.
 */
static bool change_state(struct ends *ends, unsigned end, unsigned seen, enum ends_status status)
{
    if (!atomic_compare_exchange_strong(&ends->shared.page->end[end].state, &seen,
                                        next_state(seen, status)))
        return false;
    atomic_exchange(&ends->shared.page->end[1 - end].want, 0);
    sys_bell_ring(ends->shared.bell[1 - end]);
    return true;
}

static void leave(struct ends *ends, unsigned end, enum ends_status status)
{
    change_state(ends, end, load_state(ends, end), status);
    sys_unlock(ends->shared.memory, (off_t)end);
    atomic_store(&ends->local[end].holder, 0);
}

static void holder_ended(struct self_hook *hook)
{
    struct ends_local *local = (struct ends_local *)(void *)hook;
    struct ends *ends = local->ends;
    atomic_store(&local->ending, true);
    leave(ends, (unsigned)(local - ends->local), ENDS_DEAD);
}

int ends_open(struct ends *ends)
{
    if (shared_open(&ends->shared) != 0)
        return -1;
    for (int e = 0; e < 2; e++)
        ends->local[e] = (struct ends_local){.hook = {.ended = holder_ended}, .ends = ends};
    return 0;
}

void ends_close(struct ends *ends)
{
    shared_close(&ends->shared);
}

/*
 * The partner may see the death of a thread while that thread still works on its last words. What it
 * does then takes no lock, so whoever would free the memory under it waits for these few instructions.
 */
static bool is_held_by_live_thread(const struct ends *ends, unsigned end)
{
    const struct ends_local *local = &ends->local[end];
    while (atomic_load(&local->holder) != 0) {
        if (!atomic_load(&local->ending))
            return atomic_load(&local->holder) >> 32 == self_process();
        sys_pause(0);
    }
    return false;
}

bool ends_held_here(const struct ends *ends)
{
    bool first = is_held_by_live_thread(ends, 0);
    bool second = is_held_by_live_thread(ends, 1);
    return first || second;
}

void ends_disown(struct ends *ends)
{
    for (int e = 0; e < 2; e++)
        atomic_store(&ends->local[e].holder, 0);
}

/* ---- taking and leaving ---- */

static int take(struct ends *ends, unsigned end)
{
    struct ends_local *local = &ends->local[end];
    unsigned state = load_state(ends, end);
    enum ends_status status = ends_status_of(state);
    if ((status != ENDS_UNUSED && status != ENDS_FREED) ||
        sys_lock(ends->shared.memory, (off_t)end) != 0)
        return -1;
    if (self_remember(&local->hook) == 0) {
        /* First the holder: a partner thread that sees the state must not take it for a dead process. */
        atomic_store(&local->ending, false);
        atomic_store(&local->holder, self_id());
        if (change_state(ends, end, state, ENDS_HELD)) {
            local->former = self_id();
            return (int)end;
        }
        atomic_store(&local->holder, 0);
        self_forget(&local->hook);
    }
    sys_unlock(ends->shared.memory, (off_t)end);
    return -1;
}

/*
 * In which order a newcomer tries: its own former end, one that nobody has held, one that was
 * freed; among those rather the one that no thread known to this process would come back to.
 */
static int rank(const struct ends *ends, unsigned end)
{
    const struct ends_local *local = &ends->local[end];
    if (local->former == self_id())
        return 0;
    if (ends_status_of(load_state(ends, end)) == ENDS_UNUSED)
        return 1;
    return local->former == 0 ? 2 : 3;
}

static int take_any(struct ends *ends)
{
    unsigned first = rank(ends, 1) < rank(ends, 0) ? 1 : 0;
    int end = take(ends, first);
    return end >= 0 ? end : take(ends, 1 - first);
}

/*
 * Has nobody got that end for good? Then somebody is in the middle of taking or leaving it, or has just
 * left it, since it was tried.
 */
static bool is_in_transit(const struct ends *ends, unsigned end)
{
    enum ends_status status = ends_status_of(load_state(ends, end));
    return status == ENDS_UNUSED || status == ENDS_LEAVING || status == ENDS_FREED;
}

static int refuse(struct ends *ends)
{
    int error = EBUSY;
    for (unsigned e = 0; e < 2; e++)
        if (ends_partner_gone(ends, 1 - e))
            error = EPIPE;
    errno = error;
    return -1;
}

/*
 * Nobody rings for a newcomer, who has no end yet; so it looks again, soon and then less often. It
 * takes longer than a few instructions only if the other process is stopped in between.
 */
int ends_claim(struct ends *ends)
{
    for (int64_t pause = 0; pause < LONGEST_PAUSE; pause += pause / 4 + 1000) {
        errno = 0;
        int end = take_any(ends);
        if (end >= 0 || (errno != 0 && errno != EAGAIN))
            return end; /* no lock or no memory to be had: not the pipe's fault */
        if (!is_in_transit(ends, 0) && !is_in_transit(ends, 1))
            break;
        sys_pause(pause);
    }
    return refuse(ends);
}

void ends_begin_leaving(struct ends *ends, unsigned end)
{
    change_state(ends, end, load_state(ends, end), ENDS_LEAVING);
}

void ends_stay(struct ends *ends, unsigned end)
{
    change_state(ends, end, load_state(ends, end), ENDS_HELD);
}

void ends_shutdown(struct ends *ends, unsigned end)
{
    change_state(ends, end, load_state(ends, end), ENDS_SHUT);
}

void ends_free(struct ends *ends, unsigned end)
{
    self_forget(&ends->local[end].hook);
    leave(ends, end, ENDS_FREED);
}

void ends_finish(struct ends *ends, unsigned end)
{
    self_forget(&ends->local[end].hook);
    leave(ends, end, ENDS_DEAD);
}

/* ---- the partner ---- */

unsigned ends_partner_stamp(const struct ends *ends, unsigned end)
{
    return load_state(ends, 1 - end);
}

static bool is_held_here(const struct ends *ends, unsigned end)
{
    return atomic_load(&ends->local[end].holder) != 0;
}

bool ends_partner_gone(struct ends *ends, unsigned end)
{
    unsigned other = 1 - end;
    unsigned state = load_state(ends, other);
    enum ends_status status = ends_status_of(state);
    if (!ends_is_held(status) || is_held_here(ends, other))
        return status == ENDS_DEAD;
    if (sys_lock_owner(ends->shared.memory, (off_t)other) != 0)
        return false;
    /* Held, not locked, and still the same: it died. Whoever sees it first writes it down for all. */
    change_state(ends, other, state, ENDS_DEAD);
    return ends_status_of(load_state(ends, other)) == ENDS_DEAD;
}

pid_t ends_partner_process(const struct ends *ends, unsigned end)
{
    unsigned other = 1 - end;
    if (!ends_is_held(ends_status_of(load_state(ends, other))) || is_held_here(ends, other))
        return 0;
    return sys_lock_owner(ends->shared.memory, (off_t)other);
}
