/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <errno.h>

#include "sys.h"

void watch_init(struct watch *watch, struct ends *ends, unsigned end)
{
    *watch = (struct watch){.ends = ends, .end = end, .process = -1, .ticker = -1};
}

/* Where a set has no room for it, the next call notices what it would have told. */
static void add_to(int set, int fd)
{
    if (set >= 0 && fd >= 0)
        sys_set_add(set, fd, sys_set_in);
}

static void remove_from(int set, int fd)
{
    if (set >= 0 && fd >= 0)
        sys_set_remove(set, fd);
}

static void drop_process(struct watch *watch, int waits, int descriptor)
{
    remove_from(waits, watch->process);
    remove_from(descriptor, watch->process);
    sys_close(watch->process);
    watch->process = -1;
}

/* A pidfd is of the right process only if the lock is still that process's afterwards. */
static int open_process(const struct watch *watch, pid_t pid)
{
    int fd = pid > 0 ? sys_process_open(pid) : -1;
    if (fd >= 0 && ends_partner_process(watch->ends, watch->end) == pid)
        return fd;
    sys_close(fd);
    return -1;
}

/*
 * A timer in the set costs nothing while it runs; a time-out of each wait would. It stops until it
 * is read.
 */
static void need_ticker(struct watch *watch, int waits)
{
    if (watch->ticker >= 0)
        return;
    watch->ticker = sys_ticker_open(WATCH_TICK);
    add_to(waits, watch->ticker);
}

static void settle_ticks(struct watch *watch, int descriptor)
{
    bool wanted = watch->process < 0 && watch->ticker >= 0 && descriptor >= 0;
    if (wanted == watch->ticks)
        return;
    watch->ticks = wanted;
    if (wanted)
        add_to(descriptor, watch->ticker);
    else
        remove_from(descriptor, watch->ticker);
}

bool watch_partner(struct watch *watch, int waits, int descriptor)
{
    unsigned stamp = ends_partner_stamp(watch->ends, watch->end);
    if (stamp == watch->stamp)
        return false;
    int saved = errno;
    drop_process(watch, waits, descriptor);
    watch->stamp = stamp;
    pid_t pid = ends_partner_process(watch->ends, watch->end);
    watch->remote = pid != 0;
    if (watch->remote) {
        watch->process = open_process(watch, pid);
        add_to(waits, watch->process);
        add_to(descriptor, watch->process);
        need_ticker(watch, waits);
    } else {
        /* If it has died meanwhile its stamp is another one now, and that is seen. */
        ends_partner_gone(watch->ends, watch->end);
    }
    settle_ticks(watch, descriptor);
    errno = saved;
    return true;
}

void watch_descriptor(struct watch *watch, int descriptor)
{
    add_to(descriptor, watch->process);
    settle_ticks(watch, descriptor);
}

void watch_quiet(struct watch *watch)
{
    if (watch->ticker >= 0)
        sys_bell_quiet((const int[2]){watch->ticker, watch->ticker});
}

void watch_close(struct watch *watch)
{
    sys_close(watch->process);
    sys_close(watch->ticker);
}
