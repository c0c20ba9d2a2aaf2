/* SPDX-License-Identifier: MIT */
/*
 * What is watched, by what the peer's state says. "The pidfd" is of the process that was seen to
 * hold the end last.
 *
 *   peer's state             pidfd            ticker
 *   held in this process     none             off
 *   held in another one      opened           on in waiting calls; in the program's descriptor too
 *                                             as long as the pidfd is missing there
 *   not held, after goodbye  dropped          off
 *   not held, no goodbye     kept             as before: a holder that frees its end without a
 *                                             goodbye is dead when its process is, or, without a
 *                                             pidfd, when its token is gone
 *   dead                     dropped          off
 *
 * Another process that holds the end takes the place of the one that was watched if that one said
 * goodbye, or if the new one has a token: a name alone can be forged.
 *
 * A descriptor, an entry of a set or memory may be missing at the moment when a peer comes. So the
 * ticker joins a set when the set is made, where its want can be told; and what was missing is
 * tried again.
 */
#include "peer/watch.h"

#include <errno.h>

#include "sys/sys.h"
#include "sys/sys_life.h"

#define TICK  400000000 /* nanoseconds; a death is told within a second */
#define RETRY 100000000

void watch_init(struct watch *watch, struct ends *ends, unsigned end)
{
    *watch = (struct watch){.ends = ends, .end = end, .process = -1, .ticker = -1};
}

/* ---- the ticker ---- */

/* Where there are no such timers at all, it goes without. */
static int need_ticker(struct watch *watch)
{
    if (watch->ticker < 0) {
        self_hold_forks();
        watch->ticker = sys_ticker_open(TICK);
        self_release_forks();
    }
    return watch->ticker >= 0 || errno == ENOSYS || errno == EPERM ? 0 : -1;
}

static int join_ticker(struct watch *watch, int set, uint32_t events)
{
    watch->look_at = 0;
    if (need_ticker(watch) != 0)
        return -1;
    return watch->ticker < 0 ? 0 : sys_epoll_add(set, watch->ticker, events);
}

int watch_join_waits(struct watch *watch, int waits)
{
    return join_ticker(watch, waits, sys_epoll_in);
}

int watch_join_descriptor(struct watch *watch, int descriptor)
{
    return join_ticker(watch, descriptor, 0);
}

/* Another process holds the end; or it did, and has freed it without a goodbye. */
static bool may_die(const struct watch *watch)
{
    return watch->is_remote || watch->has_token;
}

int64_t watch_longest_wait(const struct watch *watch)
{
    return may_die(watch) && watch->ticker < 0 ? TICK : -1;
}

void watch_quiet(struct watch *watch)
{
    if (watch->ticker >= 0)
        sys_ticker_drain(watch->ticker);
}

static void settle_ticks(struct watch *watch, int descriptor)
{
    bool wanted = may_die(watch) && !watch->is_polled && !watch->has_ended && !watch->is_dead;
    if (descriptor < 0 || watch->ticker < 0 || wanted == watch->ticks)
        return;
    if (sys_epoll_change(descriptor, watch->ticker, wanted ? sys_epoll_in : 0) == 0)
        watch->ticks = wanted;
}

/* ---- the process ---- */

static void leave_set(int set, int fd, bool *is_there)
{
    if (*is_there)
        sys_epoll_remove(set, fd);
    *is_there = false;
}

static void drop_process(struct watch *watch, const struct watch_sets *sets)
{
    leave_set(sets->waits, watch->process, &watch->is_waited);
    leave_set(sets->descriptor, watch->process, &watch->is_polled);
    sys_close(watch->process);
    watch->process = -1;
    watch->has_ended = watch->has_token = false;
}

void watch_process_ended(struct watch *watch, const struct watch_sets *sets)
{
    drop_process(watch, sets);
    watch->has_ended = true;
}

static bool has_state(const struct watch *watch, uint64_t state)
{
    return ends_peer_state(watch->ends, watch->end) == state;
}

static enum ends_proof watch_proof(const struct watch *watch, uint64_t state)
{
    return ends_peer_proof(watch->ends, watch->end, state);
}

/* A pidfd is of the right process only if the end is still that process's afterwards. */
static void open_process(struct watch *watch)
{
    pid_t pid = ends_peer_process(watch->ends, watch->state);
    if (pid == 0 || watch->name != ends_name_of(watch->state))
        return;
    self_hold_forks();
    watch->process = sys_process_open(pid);
    self_release_forks();
    if (watch->process < 0 && errno == ESRCH)
        watch->is_dead = watch_proof(watch, watch->state) == ENDS_HAS_NAME &&
                         has_state(watch, watch->state); /* or it left first */
    if (watch->process >= 0 && watch_proof(watch, watch->state) == ENDS_LOST_TOKEN) {
        sys_close(watch->process);
        watch->process = -1;
    }
}

static void join_set(int set, int fd, bool *is_there)
{
    if (!*is_there && set >= 0 && fd >= 0)
        *is_there = sys_epoll_add(set, fd, sys_epoll_in) == 0;
}

/* What could not be had before is tried again, now and then. */
static void complete(struct watch *watch, const struct watch_sets *sets)
{
    if (watch->is_remote && watch->process < 0 && !watch->has_ended)
        open_process(watch);
    if (watch->is_dead)
        drop_process(watch, sets);
    join_set(sets->waits, watch->process, &watch->is_waited);
    join_set(sets->descriptor, watch->process, &watch->is_polled);
    settle_ticks(watch, sets->descriptor);
}

static bool is_complete(const struct watch *watch, const struct watch_sets *sets)
{
    if (watch->is_dead || watch->has_ended)
        return !watch->ticks;
    if (!may_die(watch) && watch->process < 0)
        return !watch->ticks;
    return watch->process >= 0 && (sets->waits < 0 || watch->is_waited) &&
           (sets->descriptor < 0 || watch->is_polled);
}

static void see_held(struct watch *watch, const struct watch_sets *sets)
{
    enum ends_proof proof = watch_proof(watch, watch->state);
    bool is_same = watch->name == ends_name_of(watch->state);
    bool is_credible = watch->has_left || proof == ENDS_HAS_TOKEN;
    watch->is_remote = !ends_peer_is_here(watch->ends, watch->end);
    if (!watch->is_remote || (!is_same && is_credible))
        drop_process(watch, sets);
    if (!watch->is_remote || watch->process >= 0 || watch->has_ended || watch->has_token)
        return;
    watch->name = ends_name_of(watch->state);
    watch->has_token = proof == ENDS_HAS_TOKEN;
}

static void see(struct watch *watch, uint64_t state, const struct watch_sets *sets)
{
    bool was_held = ends_is_held(ends_status_of(watch->state));
    watch->state = state;
    watch->look_at = 0;
    if (ends_is_held(ends_status_of(state))) {
        see_held(watch, sets);
        if (!was_held)
            watch->has_left = false;
    } else {
        watch->is_remote = false;
        if (watch->has_left || ends_status_of(state) == ENDS_DEAD)
            drop_process(watch, sets);
    }
}

bool watch_peer(struct watch *watch, const struct watch_sets *sets)
{
    uint64_t state = ends_peer_state(watch->ends, watch->end);
    bool has_changed = state != watch->state;
    if (!has_changed && is_complete(watch, sets))
        return false;
    int saved = errno;
    if (has_changed)
        see(watch, state, sets);
    if (watch->is_dead)
        drop_process(watch, sets);
    int64_t now = sys_now();
    if (now >= watch->look_at) {
        complete(watch, sets);
        watch->look_at = now + RETRY;
    }
    errno = saved;
    return has_changed;
}

void watch_goodbye(struct watch *watch, const struct watch_sets *sets)
{
    int saved = errno;
    uint64_t state = ends_peer_state(watch->ends, watch->end);
    if (state != watch->state)
        see(watch, state, sets); /* who leaves, or those who have come since */
    watch->has_left = true;
    if (!ends_is_held(ends_status_of(watch->state)))
        drop_process(watch, sets);
    errno = saved;
}

/* ---- its death ---- */

/* Asked after the state: a goodbye that it speaks of is in the ring by then. */
static bool has_read_all(const struct watch *watch, uint64_t read)
{
    return atomic_load(&watch->ends->shared.page->ring[1 - watch->end].head) == read;
}

/* The process that was seen to hold the end last. */
static bool has_process_died(const struct watch *watch)
{
    if (watch->process >= 0 || watch->has_ended)
        return watch->has_ended || sys_process_is_dead(watch->process);
    return watch->has_token && ends_has_lost_token(watch->ends, watch->end, watch->name);
}

/* One that freed its end without a goodbye, or wrote another's name there, counts as its holder. */
static bool has_holder_died(const struct watch *watch, uint64_t state, bool is_held, uint64_t read)
{
    bool is_holder = is_held ? watch->name == ends_name_of(state) || watch->state == state
                             : !watch->has_left && has_read_all(watch, read);
    return is_holder && has_process_died(watch);
}

static bool has_lost_proof(const struct watch *watch, uint64_t state)
{
    enum ends_proof proof = watch_proof(watch, state);
    return proof == ENDS_LOST_TOKEN || proof == ENDS_FORGED;
}

static bool is_dead_holder(const struct watch *watch, uint64_t state, uint64_t read, bool wholly)
{
    bool is_held = ends_is_held(ends_status_of(state));
    if (is_held && ends_peer_is_here(watch->ends, watch->end))
        return false;
    return ends_status_of(state) == ENDS_DEAD || (is_held && has_lost_proof(watch, state)) ||
           (wholly && has_holder_died(watch, state, is_held, read));
}

/*
 * A peer may leave in order, and end, after its state was loaded: the verdict counts for a state
 * that is still there afterwards. The dead change nothing; so the tries end also when a third
 * process changes the state all the time.
 */
bool watch_is_dead(struct watch *watch, uint64_t read, bool wholly)
{
    enum { TRIES = 4 }; /* held, leaving, freed, held by the next */
    bool is_sure = watch->is_dead;
    for (int i = 0; i < TRIES && !is_sure; i++) {
        uint64_t state = ends_peer_state(watch->ends, watch->end);
        if (!is_dead_holder(watch, state, read, wholly))
            return false;
        is_sure = has_state(watch, state);
        if (is_sure && ends_status_of(state) != ENDS_DEAD)
            ends_bury_peer(watch->ends, watch->end, state);
    }
    watch->is_dead = true;
    return true;
}

void watch_close(struct watch *watch)
{
    sys_close(watch->process);
    sys_close(watch->ticker);
    watch->process = watch->ticker = -1;
}
