/* SPDX-License-Identifier: MIT */
#include "transport/ready.h"

#include <errno.h>

#include "sys/sys.h"

void ready_init(struct ready *ready, int in, int out, bool is_socket)
{
    *ready = (struct ready){.set = -1,
                            .doorbell = {-1, -1},
                            .pipe_doorbell = -1,
                            .by_room = is_socket && in == out,
                            .in = {.fd = in},
                            .out = {.fd = out}};
}

static uint32_t in_events(enum ready_watch watch)
{
    return watch == READY_FOR_ALL ? sys_epoll_in : watch == READY_AT_END ? sys_epoll_end : 0;
}

static uint32_t out_events(enum ready_watch watch)
{
    return watch == READY_FOR_ALL ? sys_epoll_out : 0;
}

static void remove_entry(struct ready *ready, struct ready_entry *entry)
{
    if (entry->is_there)
        sys_epoll_remove(ready->set, entry->fd);
    entry->is_there = false;
}

/* A kqueue keeps nothing of an entry that it could not change, and epoll keeps what it was. */
static int change_entry(struct ready *ready, struct ready_entry *entry, uint32_t events)
{
    int result = sys_epoll_change(ready->set, entry->fd, events);
    entry->is_unknown = result != 0;
    return result;
}

/* Whether a change of the entry for those events shows more than it does. */
static bool is_more(const struct ready_entry *entry, uint32_t events)
{
    return !entry->is_there || entry->is_unknown || (events & ~entry->events) != 0;
}

/*
 * What is not watched is not in the set at all: a set always reports hang-ups. And for more events
 * the entry is added anew: the kernel raises no edge for a change of an entry if it has not looked
 * since the descriptor was ready last (ep_modify).
 */
static int watch_entry(struct ready *ready, struct ready_entry *entry, bool wanted, uint32_t events)
{
    bool is_anew = is_more(entry, events);
    if (!wanted || is_anew)
        remove_entry(ready, entry);
    if (!wanted || (!is_anew && events == entry->events))
        return 0;
    if (entry->is_there) {
        if (change_entry(ready, entry, events) != 0)
            return -1;
    } else if (sys_epoll_add(ready->set, entry->fd, events) != 0) {
        return errno == EPERM && events == 0 ? 0 : -1; /* a file: it has no end to report */
    }
    entry->is_there = true;
    entry->is_unknown = false;
    entry->events = events;
    return 0;
}

/* Both directions on one descriptor are one entry of the set, with the union of the events. */
static int watch(struct ready *ready, enum ready_watch in, enum ready_watch out)
{
    if (ready->in.fd == ready->out.fd)
        return watch_entry(ready, &ready->in, in != READY_NOT || out != READY_NOT,
                           in_events(in) | out_events(out));
    int in_result = watch_entry(ready, &ready->in, in != READY_NOT, in_events(in));
    int out_result = watch_entry(ready, &ready->out, out != READY_NOT, out_events(out));
    return in_result != 0 ? in_result : out_result;
}

/* ---- a doorbell ---- */

static int open_doorbell(struct ready *ready)
{
    if (sys_doorbell_open(ready->doorbell) == 0) {
        if (sys_epoll_add_doorbell(ready->set, ready->doorbell) == 0)
            return 0;
        sys_doorbell_close(ready->doorbell);
    }
    ready->doorbell[0] = ready->doorbell[1] = -1;
    return -1;
}

/* Out of the set as well: there it would stay if another process had a copy. */
static void drop_doorbell(struct ready *ready)
{
    if (ready->doorbell[0] < 0)
        return;
    sys_epoll_remove(ready->set, ready->doorbell[0]);
    sys_doorbell_close(ready->doorbell);
}

static bool update_by_doorbell(struct ready *ready, const struct ready_state *state)
{
    /* If the kernel lacks memory to watch: better woken too often than never. */
    bool has_failed = watch(ready, state->in, state->out) != 0;
    bool readable = has_failed || state->readable;
    if (readable && (state->edge || !ready->readable))
        readable = sys_doorbell_ring(ready->doorbell) || ready->readable;
    else if (!readable && ready->readable)
        sys_epoll_drain_doorbell(ready->set, ready->doorbell, -1);
    ready->readable = readable;
    return !has_failed;
}

/* ---- room to write ----
 *
 * The entry of the socket stays in the set: if it left, the kernel could lack the memory to let it
 * back in, and then nothing would be left to wake the program. While nothing is to be watched, it
 * is edge-triggered, and a hang-up that comes is reported until the next call.
 */

/* An entry that is ready, or was when the kernel last looked, raises no edge when it changes. */
static int renew_entry(struct ready *ready, uint32_t events)
{
    if (change_entry(ready, &ready->in, events | sys_epoll_edge) != 0)
        return -1;
    sys_epoll_wait(ready->set, 0);
    return 0;
}

static int show_events(struct ready *ready, uint32_t events, bool is_renewed)
{
    bool is_silent = (events & sys_epoll_edge) != 0;
    bool changes = !is_silent && (is_renewed || ready->in.is_unknown || events != ready->in.events);
    if ((is_renewed && renew_entry(ready, events) != 0) ||
        (changes && change_entry(ready, &ready->in, events) != 0))
        return -1;
    ready->in.events = events;
    return 0;
}

/*
 * By a doorbell what there is no room to show, or what the entry cannot be changed to show. Returns
 * whether the set is readable.
 */
static bool make_readable(struct ready *ready, bool shows_room)
{
    if (shows_room && ready->doorbell[0] < 0 && sys_has_room(ready->in.fd))
        return true;
    if (ready->doorbell[0] < 0 && open_doorbell(ready) != 0)
        return false;
    return sys_doorbell_ring(ready->doorbell);
}

static uint32_t room_events(const struct ready *ready, const struct ready_state *state)
{
    if (state->readable)
        return sys_epoll_out | (ready->pipe_doorbell < 0 ? sys_epoll_in : sys_epoll_end);
    if (state->in == READY_NOT && state->out == READY_NOT)
        return sys_epoll_edge;
    return ready->pipe_doorbell < 0 ? in_events(state->in) | out_events(state->out) : sys_epoll_end;
}

/*
 * Renewing forgets edges. Where those of a doorbell are waited for, the caller has just looked (see
 * sys_epoll_forget), and then an entry that changes raises an edge by itself.
 */
static bool is_renewed(const struct ready *ready, const struct ready_state *state, uint32_t events)
{
    if (events == sys_epoll_edge || (state->readable && (state->edge || !ready->readable)))
        return true;
    return ready->pipe_doorbell < 0 && is_more(&ready->in, events);
}

static bool update_by_room(struct ready *ready, const struct ready_state *state)
{
    uint32_t events = room_events(ready, state);
    bool renews = is_renewed(ready, state, events);
    bool has_failed = show_events(ready, events, renews) != 0;
    bool readable = state->readable || has_failed;
    if (!readable)
        drop_doorbell(ready);
    else if (renews || has_failed || (state->wrote && ready->doorbell[0] < 0))
        readable = make_readable(ready, !has_failed);
    ready->readable = readable;
    return !has_failed;
}

static int add_pipe_doorbell(struct ready *ready, int pipe_doorbell)
{
    if (sys_epoll_add(ready->set, pipe_doorbell, sys_epoll_in | sys_epoll_edge) != 0)
        return -1;
    if (!ready->in.is_there && sys_epoll_add(ready->set, ready->in.fd, sys_epoll_end) != 0) {
        sys_epoll_remove(ready->set, pipe_doorbell);
        return -1;
    }
    if (!ready->in.is_there)
        ready->in.events = sys_epoll_end;
    ready->in.is_there = true;
    ready->pipe_doorbell = pipe_doorbell;
    return 0;
}

bool ready_hush(struct ready *ready)
{
    const struct ready_state quiet = {.in = READY_FOR_ALL};
    bool is_quiet = !ready->readable && !ready->in.is_unknown && ready->in.events == sys_epoll_end;
    return is_quiet || update_by_room(ready, &quiet);
}

/* ---- both ---- */

void ready_set_descriptors(struct ready *ready, int in, int out, bool is_socket)
{
    ready->by_room = is_socket && in == out;
    ready->in = (struct ready_entry){.fd = in};
    ready->out = (struct ready_entry){.fd = out};
}

static int open_set(struct ready *ready)
{
    ready->set = sys_epoll_open();
    if (ready->set < 0)
        return -1;
    if (ready->by_room)
        return 0;
    if (open_doorbell(ready) != 0)
        return -1;
    sys_epoll_drain_doorbell(ready->set, ready->doorbell, -1);
    return 0;
}

int ready_begin(struct ready *ready)
{
    return ready->set < 0 ? 0 : watch(ready, READY_FOR_ALL, READY_NOT);
}

int ready_open(struct ready *ready, bool is_socket)
{
    ready->by_room = is_socket;
    if ((ready->set >= 0 || open_set(ready) == 0) && sys_epoll_show(ready->set) == 0)
        return ready->set;
    ready_close(ready);
    return -1;
}

int ready_descriptor(struct ready *ready)
{
    if ((ready->set >= 0 || (open_set(ready) == 0 && ready_begin(ready) == 0)) &&
        sys_epoll_show(ready->set) == 0)
        return ready->set;
    ready_close(ready);
    return -1;
}

int ready_begin_pipe_doorbell(struct ready *ready, int pipe_doorbell)
{
    bool is_new = ready->set < 0;
    if (is_new && open_set(ready) != 0)
        return -1;
    if (add_pipe_doorbell(ready, pipe_doorbell) == 0)
        return 0;
    if (is_new)
        ready_close(ready);
    return -1;
}

/* Noted afterwards: an update of another thread, in between, would ring before the look. */
bool ready_forget(struct ready *ready)
{
    bool is_over = sys_epoll_forget(ready->set, ready->in.fd);
    atomic_store(&ready->has_forgotten, 1);
    return is_over;
}

bool ready_is_over(struct ready *ready)
{
    enum sys_end end = sys_look_for_end(ready->in.fd);
    return end == SYS_END_NOT_KNOWN ? ready->set >= 0 && ready_forget(ready) : end == SYS_END;
}

/* Cleared before it rings: what another thread forgets from here on is for its own update. */
static bool takes_forgotten(struct ready *ready)
{
    return atomic_load_explicit(&ready->has_forgotten, memory_order_relaxed) != 0 &&
           atomic_exchange(&ready->has_forgotten, 0) != 0;
}

bool ready_update(struct ready *ready, const struct ready_state *state)
{
    struct ready_state anew = *state;
    anew.edge = takes_forgotten(ready) || state->edge;
    bool is_done = ready->by_room ? update_by_room(ready, &anew) : update_by_doorbell(ready, &anew);
    sys_epoll_update(ready->set);
    return is_done;
}

void ready_forget_out(struct ready *ready)
{
    remove_entry(ready, &ready->out);
    ready->out.fd = -1;
}

/* The entries stay in the set: after fork it is shared, and the other process goes on with it. */
void ready_close(struct ready *ready)
{
    sys_epoll_close(ready->set);
    if (ready->doorbell[0] >= 0)
        sys_doorbell_close(ready->doorbell);
    ready_init(ready, ready->in.fd, ready->out.fd, ready->by_room);
}
