/* SPDX-License-Identifier: MIT */
#include "peer/ring_end.h"

#include <stdio.h>

#include "trace/trace.h"

/*
 * In sys_ticks: some microseconds. The death of a peer is seen by its monitor or by the hook of its
 * thread; what they miss (exec, a foreign pid namespace) by its lock, at each tick of a wait, and
 * before a write. A check costs half a microsecond, so it is skipped that long.
 */
#define CHECK_INTERVAL_TICKS   50000
#define PROCESS_INTERVAL_TICKS 3000000 /* the same, where a peer may have handed its token on */

_Static_assert(CHECK_INTERVAL_TICKS < PROCESS_INTERVAL_TICKS, "a process is asked less often");

/* ---- the trace ---- */

static void write_death(const struct ring_end *e)
{
    char peer[TRACE_PEER_MAX];
    pid_t process = ends_peer_process(e->ends, ends_peer_state(e->ends, e->end));
    struct trace_line line = {.handle = e->base.handle, .event = TRACE_DEATH};
    line.what = e->monitor.how != NULL ? e->monitor.how : "its holder has closed the end, or ended";
    line.peer = process > 0 ? peer : NULL;
    snprintf(peer, sizeof peer, "process %ld", (long)process);
    trace_write(&line);
}

/* Where a call looks closely. Of a peer that closed in order, the end of the stream tells. */
static bool report_death(struct ring_end *e)
{
    if (!e->has_reported_death && trace_is_on())
        write_death(e);
    e->has_reported_death = true;
    return true;
}

/* ---- the life of the peer ---- */

bool ring_end_follow_peer(struct ring_end *e)
{
    bool has_changed = monitor_update(&e->monitor, &e->set);
    if (e->monitor.is_dead)
        ring_set_dead(&e->ring);
    if (e->monitor.is_dead || ends_status_of(e->monitor.state) == ENDS_DEAD)
        report_death(e);
    return has_changed;
}

/* By itself, so that what each write asks needs no register more. */
__attribute__((noinline)) static bool ask_monitor(struct ring_end *e, bool by_process)
{
    return monitor_is_dead(&e->monitor, ring_tried(&e->ring), by_process) && report_death(e);
}

/* Asks the kernel now and then. `may_have_left`: also for a peer that holds its end no more. */
static bool is_gone_now(struct ring_end *e, bool is_held, bool may_have_left, int64_t now)
{
    if (!is_held && !may_have_left)
        return false;
    bool by_process =
        e->monitor.has_ended || (uint64_t)(now - e->checked_process) >= PROCESS_INTERVAL_TICKS;
    if (!by_process && (uint64_t)(now - e->checked) < CHECK_INTERVAL_TICKS)
        return false;
    e->checked = now;
    if (by_process) {
        e->checked_process = now;
        ring_end_follow_peer(e);
    }
    return ask_monitor(e, by_process);
}

/* At once, and in every way. */
static bool is_gone(struct ring_end *e)
{
    ring_end_follow_peer(e);
    return ask_monitor(e, true);
}

static bool is_dead(struct ring_end *e, enum ends_status status, enum ring_question question,
                    int64_t now)
{
    if (question != RING_ASK_KERNEL && (e->monitor.is_dead || status == ENDS_DEAD))
        return true;
    switch (question) {
    case RING_ASK_READER:
        return is_gone_now(e, ends_is_held(status), false, now);
    case RING_ASK_WRITER:
        return is_gone_now(e, ends_is_held(status), ring_tried(&e->ring) == e->ring.in_head, now);
    case RING_ASK_KERNEL:
        return is_gone(e);
    default:
        return false;
    }
}

enum ring_life ring_end_peer_life(void *context, uint64_t version, enum ring_question question,
                                  int64_t now)
{
    enum ends_status status = ends_status_of(version);
    if (is_dead(context, status, question, now))
        return RING_PEER_DEAD;
    return status == ENDS_SHUT ? RING_PEER_SHUT : RING_PEER_MAY_WRITE;
}
