/* SPDX-License-Identifier: MIT */
/*
 * What is monitored, by the state of the peer. "The pidfd" is that of the process that was last
 * seen to hold the end.
 *
 *   peer's state             pidfd            ticker
 *   held in this process     none             off
 *   held in another one      opened           on as long as the pidfd is missing in the set, and
 *                                             until the program polls the set
 *   not held, after goodbye  dropped          off
 *   not held, no goodbye     kept             as before: a holder that frees its end without a
 *                                             goodbye is dead when its process is, or, without a
 *                                             pidfd, when its token is gone
 *   dead                     dropped          off
 *
 * A goodbye may stand in what is unread. So a holder that freed its end is dead only when the
 * reader has taken all that is whole. Until then its process may have ended for long: a pidfd that
 * reports this leaves the set, where it would end each wait at once; that the process has ended
 * stays known.
 *
 * Another process that holds the end takes the place of the one that was monitored if that one said
 * goodbye, or if the new one has a token: a name alone can be forged. Nor does the same name mean
 * the same process, once that has ended: process ids come back.
 *
 * The ticker ends the waits of calls, for what the pidfd does not show (exec). It costs less than a
 * timeout for each wait. But it would wake a program that polls, so the waits of that program have
 * timeouts, and the ticker is closed while the set has the pidfd.
 *
 * A descriptor, an entry of a set or memory may be missing at the moment when a peer comes. So the
 * ticker joins the set when the set is made, when a failure can be reported, and comes back when
 * the pidfd goes. What was missing is tried again.
 */
#include "peer/monitor.h"

#include <errno.h>

#include "sys/sys.h"
#include "sys/sys_life.h"

#define TICK_NS  400000000 /* a death is detected within a second */
#define RETRY_NS 100000000

_Static_assert(RETRY_NS < TICK_NS, "each tick tries again");

void monitor_init(struct monitor *monitor, struct ends *ends, unsigned end)
{
    *monitor = (struct monitor){.ends = ends, .end = end, .process = -1, .ticker = -1};
}

/* ---- the ticker ---- */

/* Another process holds the end; or it did, and has freed it without a goodbye. */
static bool may_die(const struct monitor *monitor)
{
    return monitor->is_remote || monitor->has_token;
}

/* Does the set have to be woken by it? */
static bool wants_ticks(const struct monitor *monitor, const struct monitor_set *set)
{
    return !set->is_polled ||
           (may_die(monitor) && !monitor->is_member && !monitor->has_ended && !monitor->is_dead);
}

bool monitor_is_blind(const struct monitor *monitor)
{
    return may_die(monitor) && monitor->process < 0 && !monitor->has_ended && !monitor->is_dead;
}

/* It is there before it is wanted: then there may be no descriptor for it. */
static bool needs_ticker(const struct monitor *monitor, const struct monitor_set *set)
{
    return set->fd >= 0 && !(set->is_polled && (monitor->is_member || monitor->is_dead));
}

static bool lacks_ticker(const struct monitor *monitor, const struct monitor_set *set)
{
    return monitor->ticker < 0 && !monitor->has_no_timers && needs_ticker(monitor, set);
}

/* In one, for a fork: a child closes what is noted, and the number may be another's by then. */
static void close_ticker(struct monitor *monitor)
{
    self_hold_forks();
    sys_timer_close(monitor->ticker);
    monitor->ticker = -1;
    self_release_forks();
}

static void close_process(struct monitor *monitor)
{
    self_hold_forks();
    sys_process_close(monitor->process);
    monitor->process = -1;
    self_release_forks();
}

/* Where there are no such timers at all, it goes without. */
static int open_ticker(struct monitor *monitor, const struct monitor_set *set)
{
    self_hold_forks();
    monitor->ticker = sys_ticker_open(TICK_NS);
    self_release_forks();
    if (monitor->ticker < 0) {
        monitor->has_no_timers = errno == ENOSYS || errno == EPERM;
        return monitor->has_no_timers ? 0 : -1;
    }
    if (sys_epoll_add(set->fd, monitor->ticker, monitor->ticks ? sys_epoll_in : 0) == 0)
        return 0;
    close_ticker(monitor);
    return -1;
}

int monitor_join(struct monitor *monitor, const struct monitor_set *set)
{
    monitor->retry_at = 0;
    monitor->ticks = wants_ticks(monitor, set);
    return open_ticker(monitor, set);
}

static void restore_ticker(struct monitor *monitor, const struct monitor_set *set)
{
    if (lacks_ticker(monitor, set))
        open_ticker(monitor, set);
}

static void update_ticker(struct monitor *monitor, const struct monitor_set *set)
{
    bool wanted = wants_ticks(monitor, set);
    if (set->fd < 0)
        return;
    if (monitor->ticker >= 0 && !needs_ticker(monitor, set)) {
        sys_epoll_remove(set->fd, monitor->ticker);
        close_ticker(monitor);
    }
    restore_ticker(monitor, set);
    if (wanted == monitor->ticks)
        return;
    if (monitor->ticker < 0 ||
        sys_epoll_change(set->fd, monitor->ticker, wanted ? sys_epoll_in : 0) == 0)
        monitor->ticks = wanted;
}

void monitor_note_polled(struct monitor *monitor, const struct monitor_set *set)
{
    monitor->retry_at = 0;
    update_ticker(monitor, set);
}

int64_t monitor_wait_max(const struct monitor *monitor)
{
    return monitor->ticker >= 0 && monitor->ticks ? -1 : TICK_NS;
}

void monitor_drain(struct monitor *monitor)
{
    if (monitor->ticker >= 0)
        sys_ticker_drain(monitor->ticker);
}

/* ---- the process ---- */

/* The ticker comes back in its place: before, if there is a descriptor, or else with this one. */
static void drop_process(struct monitor *monitor, const struct monitor_set *set)
{
    if (monitor->is_member)
        sys_epoll_remove(set->fd, monitor->process);
    monitor->is_member = false;
    restore_ticker(monitor, set);
    close_process(monitor);
    restore_ticker(monitor, set);
    monitor->has_ended = monitor->has_token = false;
}

void monitor_process_ended(struct monitor *monitor, const struct monitor_set *set)
{
    drop_process(monitor, set);
    monitor->has_ended = true;
}

void monitor_look_at_process(struct monitor *monitor, const struct monitor_set *set)
{
    if (monitor->process >= 0 && sys_process_is_dead(monitor->process))
        monitor_process_ended(monitor, set);
}

static enum ends_proof monitor_proof(const struct monitor *monitor, uint64_t state)
{
    return ends_peer_proof(monitor->ends, monitor->end, state);
}

static bool has_state(const struct monitor *monitor, uint64_t state)
{
    return ends_peer_state(monitor->ends, monitor->end) == state;
}

/* A pidfd is of the right process only if the end is still that process's afterwards. */
static void open_process(struct monitor *monitor)
{
    pid_t pid = ends_peer_process(monitor->ends, monitor->state);
    if (pid == 0 || monitor->name != ends_name_of(monitor->state))
        return;
    self_hold_forks();
    monitor->process = sys_process_open(pid);
    self_release_forks();
    if (monitor->process < 0 && errno == ESRCH &&
        monitor_proof(monitor, monitor->state) == ENDS_HAS_NAME &&
        has_state(monitor, monitor->state)) { /* or it left first */
        monitor->is_dead = true;
        monitor->how = "there is no process of its holder";
    }
    if (monitor->process >= 0 && monitor_proof(monitor, monitor->state) == ENDS_LOST_TOKEN)
        close_process(monitor);
}

/* What was missing before is tried again, now and then. */
static void complete(struct monitor *monitor, const struct monitor_set *set)
{
    if (monitor->is_remote && monitor->process < 0 && !monitor->has_ended)
        open_process(monitor);
    if (monitor->is_dead)
        drop_process(monitor, set);
    if (!monitor->is_member && set->fd >= 0 && monitor->process >= 0)
        monitor->is_member = sys_epoll_add(set->fd, monitor->process, sys_epoll_in) == 0;
    update_ticker(monitor, set);
}

static bool is_complete(const struct monitor *monitor, const struct monitor_set *set)
{
    bool has_ticks = monitor->ticks == (set->fd >= 0 && wants_ticks(monitor, set));
    if (lacks_ticker(monitor, set))
        return false;
    if (monitor->is_dead || monitor->has_ended)
        return has_ticks;
    if (!may_die(monitor) && monitor->process < 0)
        return has_ticks;
    return monitor->process >= 0 && (set->fd < 0 || monitor->is_member);
}

/*
 * Is the holder the process that is monitored? When that one has ended, its token is gone; so a
 * token of its name is that of another one, if there is a process of that id at all.
 */
static bool is_same_holder(const struct monitor *monitor, uint64_t state)
{
    if (monitor->name != ends_name_of(state))
        return false;
    if (!monitor->has_ended && (monitor->process < 0 || !sys_process_is_dead(monitor->process)))
        return true;
    return monitor_proof(monitor, state) != ENDS_HAS_TOKEN ||
           ends_process_life(monitor->ends, state) != SYS_LIFE_THERE;
}

static void follow_held(struct monitor *monitor, const struct monitor_set *set)
{
    bool is_same = is_same_holder(monitor, monitor->state);
    enum ends_proof proof = monitor_proof(monitor, monitor->state);
    bool is_credible = monitor->has_left || proof == ENDS_HAS_TOKEN;
    monitor->is_remote = !ends_peer_is_here(monitor->ends, monitor->end);
    if (!monitor->is_remote || (!is_same && is_credible))
        drop_process(monitor, set);
    if (!monitor->is_remote || monitor->process >= 0 || monitor->has_ended || monitor->has_token)
        return;
    monitor->name = ends_name_of(monitor->state);
    monitor->has_token = proof == ENDS_HAS_TOKEN;
}

/*
 * The end is held, and not about to be left, as it is from before a goodbye is out. So this goodbye
 * was that of the holder before, whose place the next one may have had only by a name.
 */
static void follow_next(struct monitor *monitor, const struct monitor_set *set)
{
    if (monitor->is_remote && monitor->name != ends_name_of(monitor->state))
        follow_held(monitor, set);
    monitor->has_left = false;
    monitor->retry_at = 0;
}

/* Its holder is another one, or the same that has come back. */
static bool has_begun_anew(enum ends_status before, enum ends_status now)
{
    return !ends_is_held(before) || (before == ENDS_LEAVING && now != ENDS_LEAVING);
}

static void follow(struct monitor *monitor, uint64_t state, const struct monitor_set *set)
{
    bool is_next = has_begun_anew(ends_status_of(monitor->state), ends_status_of(state));
    monitor->state = state;
    monitor->retry_at = 0;
    if (ends_is_held(ends_status_of(state))) {
        follow_held(monitor, set);
        if (is_next)
            monitor->has_left = false;
    } else {
        monitor->is_remote = false;
        if (monitor->has_left || ends_status_of(state) == ENDS_DEAD)
            drop_process(monitor, set);
    }
}

/*
 * Another process took the end while a thread of this one was about to leave or to take it, and
 * seemed to hold it. Asked before the state is loaded: who leaves changes that first.
 */
static bool is_mistaken(const struct monitor *monitor)
{
    return !monitor->is_remote && ends_is_held(ends_status_of(monitor->state)) &&
           !ends_peer_is_here(monitor->ends, monitor->end);
}

bool monitor_update(struct monitor *monitor, const struct monitor_set *set)
{
    bool is_wrong = is_mistaken(monitor);
    uint64_t state = ends_peer_state(monitor->ends, monitor->end);
    bool has_changed = is_wrong || state != monitor->state;
    if (!has_changed && is_complete(monitor, set))
        return false;
    int saved = errno;
    if (has_changed)
        follow(monitor, state, set);
    if (monitor->is_dead)
        drop_process(monitor, set);
    int64_t now = sys_now();
    if (now >= monitor->retry_at) {
        complete(monitor, set);
        monitor->retry_at = now + RETRY_NS;
    }
    errno = saved;
    return has_changed;
}

void monitor_goodbye(struct monitor *monitor, const struct monitor_set *set)
{
    int saved = errno;
    uint64_t state = ends_peer_state(monitor->ends, monitor->end);
    if (state != monitor->state)
        follow(monitor, state, set); /* of the peer that leaves, or of the next one */
    monitor->has_left = true;
    enum ends_status status = ends_status_of(monitor->state);
    if (!ends_is_held(status))
        drop_process(monitor, set);
    else if (status != ENDS_LEAVING)
        follow_next(monitor, set);
    errno = saved;
}

/* ---- its death ---- */

/* Asked after the state: a goodbye that it speaks of is in the ring by then. */
static bool has_tried_all(const struct monitor *monitor, uint64_t tried)
{
    return atomic_load(&monitor->ends->shared.page->ring[1 - monitor->end].head) == tried;
}

/* The process that was seen to hold the end last. */
static bool has_process_died(const struct monitor *monitor)
{
    if (monitor->process >= 0 || monitor->has_ended)
        return monitor->has_ended || sys_process_is_dead(monitor->process);
    return monitor->has_token && ends_has_lost_token(monitor->ends, monitor->end, monitor->name);
}

/*
 * One that freed its end without a goodbye, or wrote another's name there, counts as its holder. So
 * whether there is a goodbye has to be known.
 */
static bool has_holder_died(const struct monitor *monitor, uint64_t state, bool is_held,
                            uint64_t tried)
{
    bool is_named = is_held && monitor->name == ends_name_of(state);
    bool is_holder = is_named && (monitor->state == state || is_same_holder(monitor, state));
    bool has_no_goodbye = !is_named && !monitor->has_left && has_tried_all(monitor, tried);
    return (is_holder || has_no_goodbye) && has_process_died(monitor);
}

static bool has_lost_proof(const struct monitor *monitor, uint64_t state)
{
    enum ends_proof proof = monitor_proof(monitor, state);
    return proof == ENDS_LOST_TOKEN || proof == ENDS_FORGED;
}

static bool is_dead_holder(struct monitor *monitor, uint64_t state, uint64_t tried, bool by_process)
{
    bool is_held = ends_is_held(ends_status_of(state));
    if (is_held && ends_peer_is_here(monitor->ends, monitor->end))
        return false;
    if (ends_status_of(state) == ENDS_DEAD)
        monitor->how = NULL;
    else if (is_held && has_lost_proof(monitor, state))
        monitor->how = "the lock of its holder is gone";
    else if (by_process && has_holder_died(monitor, state, is_held, tried))
        monitor->how = "the process of its holder has ended";
    else
        return false;
    return true;
}

/*
 * A peer may leave in order, and end, after its state was loaded: the verdict counts for a state
 * that is still there afterwards. The dead change nothing; so the tries end also when a third
 * process changes the state all the time.
 */
bool monitor_is_dead(struct monitor *monitor, uint64_t tried, bool by_process)
{
    enum { TRIES = 4 }; /* held, leaving, freed, held by the next */
    bool is_sure = monitor->is_dead;
    for (int i = 0; i < TRIES && !is_sure; i++) {
        uint64_t state = ends_peer_state(monitor->ends, monitor->end);
        if (!is_dead_holder(monitor, state, tried, by_process))
            return false;
        is_sure = has_state(monitor, state);
        if (is_sure && ends_status_of(state) != ENDS_DEAD)
            ends_bury_peer(monitor->ends, monitor->end, state);
    }
    monitor->is_dead = true;
    return true;
}

void monitor_close(struct monitor *monitor)
{
    close_process(monitor);
    close_ticker(monitor);
}
