/* SPDX-License-Identifier: MIT */
#include "ready.h"

#include "sys.h"

void ready_init(struct ready *ready, int in, int out)
{
    *ready = (struct ready){.set = -1, .bell = {-1, -1}, .in = in, .out = out};
}

/* Both directions on one descriptor are one entry of the set, with the union of the events. */
static int watch_both(struct ready *ready, bool want_in, bool want_out)
{
    uint32_t events = (want_in ? sys_set_in : 0) | (want_out ? sys_set_out : 0);
    bool is_there = ready->watches_in || ready->watches_out;
    int result = 0;
    if (events == 0 && is_there)
        sys_set_remove(ready->set, ready->in);
    else if (events != 0)
        result = is_there ? sys_set_change(ready->set, ready->in, events)
                          : sys_set_add(ready->set, ready->in, events);
    if (result == 0) {
        ready->watches_in = want_in;
        ready->watches_out = want_out;
    }
    return result;
}

/* Not watched is not in the set at all: a set always tells of hang-ups, wanted or not. */
static int watch_one(struct ready *ready, int fd, uint32_t events, bool *watches, bool want)
{
    int result = 0;
    if (want && !*watches)
        result = sys_set_add(ready->set, fd, events);
    else if (!want && *watches)
        sys_set_remove(ready->set, fd);
    if (result == 0)
        *watches = want;
    return result;
}

static int watch(struct ready *ready, bool want_in, bool want_out)
{
    if (want_in == ready->watches_in && want_out == ready->watches_out)
        return 0;
    if (ready->in == ready->out)
        return watch_both(ready, want_in, want_out);
    int in = watch_one(ready, ready->in, sys_set_in, &ready->watches_in, want_in);
    int out = watch_one(ready, ready->out, sys_set_out, &ready->watches_out, want_out);
    return in != 0 ? in : out;
}

int ready_descriptor(struct ready *ready)
{
    if (ready->set >= 0)
        return ready->set;
    ready->set = sys_set_open();
    if (ready->set < 0)
        return -1;
    if (sys_bell_open(ready->bell) == 0 &&
        sys_set_add(ready->set, ready->bell[0], sys_set_in) == 0 && watch(ready, true, false) == 0)
        return ready->set;
    ready_close(ready);
    return -1;
}

void ready_settle(struct ready *ready, bool loud, bool want_in, bool want_out)
{
    /* A wish that the kernel has no memory to note is served by being loud: honest, if not quiet. */
    if (watch(ready, want_in, want_out) != 0)
        loud = true;
    if (loud == ready->loud)
        return;
    ready->loud = loud;
    if (loud)
        sys_bell_ring(ready->bell);
    else
        sys_bell_quiet(ready->bell);
}

void ready_forget_out(struct ready *ready)
{
    if (ready->set >= 0 && ready->watches_out && ready->in != ready->out)
        sys_set_remove(ready->set, ready->out);
    ready->watches_out = false;
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
