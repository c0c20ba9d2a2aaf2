/* SPDX-License-Identifier: MIT */
#include "ready.h"

#include <errno.h>

#include "sys.h"

void ready_init(struct ready *ready, int in, int out)
{
    *ready = (struct ready){.set = -1, .bell = {-1, -1}, .in = in, .out = out};
}

static uint32_t in_events(enum ready_watch watch)
{
    return watch == READY_FOR_ALL ? sys_set_in : watch == READY_AT_END ? sys_set_end : 0;
}

static uint32_t out_events(enum ready_watch watch)
{
    return watch == READY_FOR_ALL ? sys_set_out : 0;
}

/* Not watched is not in the set at all: a set always tells of hang-ups, wanted or not. */
static int watch_fd(struct ready *ready, int fd, bool is_there, bool wanted, uint32_t events)
{
    if (!wanted) {
        if (is_there)
            sys_set_remove(ready->set, fd);
        return 0;
    }
    return is_there ? sys_set_change(ready->set, fd, events) : sys_set_add(ready->set, fd, events);
}

/* Both directions on one descriptor are one entry of the set, with the union of the events. */
static int watch_both(struct ready *ready, enum ready_watch in, enum ready_watch out)
{
    bool is_there = ready->in_watch != READY_NOT || ready->out_watch != READY_NOT;
    bool wanted = in != READY_NOT || out != READY_NOT;
    if (watch_fd(ready, ready->in, is_there, wanted, in_events(in) | out_events(out)) != 0)
        return -1;
    ready->in_watch = in;
    ready->out_watch = out;
    return 0;
}

static int watch_one(struct ready *ready, int fd, enum ready_watch *now, enum ready_watch watch,
                     uint32_t events)
{
    if (watch == *now)
        return 0;
    int result = watch_fd(ready, fd, *now != READY_NOT, watch != READY_NOT, events);
    if (result != 0 && errno == EPERM && watch == READY_AT_END) {
        watch = READY_NOT; /* a file: there is no end to be told of */
        result = 0;
    }
    if (result == 0)
        *now = watch;
    return result;
}

static int watch(struct ready *ready, enum ready_watch in, enum ready_watch out)
{
    if (in == ready->in_watch && out == ready->out_watch)
        return 0;
    if (ready->in == ready->out)
        return watch_both(ready, in, out);
    int in_result = watch_one(ready, ready->in, &ready->in_watch, in, in_events(in));
    int out_result = watch_one(ready, ready->out, &ready->out_watch, out, out_events(out));
    return in_result != 0 ? in_result : out_result;
}

int ready_descriptor(struct ready *ready)
{
    if (ready->set >= 0)
        return ready->set;
    ready->set = sys_set_open();
    if (ready->set < 0)
        return -1;
    if (sys_bell_open(ready->bell) == 0 && sys_set_add_bell(ready->set, ready->bell) == 0 &&
        watch(ready, READY_FOR_ALL, READY_NOT) == 0) {
        sys_set_quiet(ready->set, ready->bell, -1);
        return ready->set;
    }
    ready_close(ready);
    return -1;
}

void ready_settle(struct ready *ready, const struct ready_state *state)
{
    /* What the kernel has no memory to note is served by being loud: honest, if not quiet. */
    bool loud = watch(ready, state->in, state->out) != 0 || state->loud;
    if (loud && (state->edge || !ready->loud))
        sys_bell_ring(ready->bell);
    else if (!loud && ready->loud)
        sys_set_quiet(ready->set, ready->bell, -1);
    ready->loud = loud;
}

void ready_forget_out(struct ready *ready)
{
    if (ready->set >= 0 && ready->out_watch != READY_NOT && ready->in != ready->out)
        sys_set_remove(ready->set, ready->out);
    ready->out_watch = READY_NOT;
    ready->out = -1;
}

/* The entries stay in the set: after fork it is shared, and the other process goes on with it. */
void ready_close(struct ready *ready)
{
    sys_close(ready->set);
    if (ready->bell[0] >= 0)
        sys_bell_close(ready->bell);
    ready_init(ready, ready->in, ready->out);
}
