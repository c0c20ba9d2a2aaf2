/* SPDX-License-Identifier: MIT */
/*
 * A set of descriptors is a kqueue. Its descriptor is readable while something in it is ready.
 *
 *   events                 filters
 *   in                     EVFILT_READ
 *   out                    EVFILT_WRITE
 *   end, or edge alone     EVFILT_READ with a low-water mark that no buffer reaches, edge-triggered
 *   end, once it has come  the same, level-triggered: it stays
 *
 * Some descriptors have no low-water mark (pipes), and some systems cut it to the size of the
 * buffer (macOS). There bytes that come make the set readable once, for nothing.
 *
 * What a kqueue has once found ready counts for its descriptor until the next kevent looks again,
 * also if it was read meanwhile. So each wait looks before it believes the descriptor, and a set
 * that the program polls is looked at at the end of each call (sys_epoll_update).
 *
 * A child after fork has no kqueues, and their numbers are free. It gets new ones with the same
 * numbers and members, unless somebody has a number already: then the set is gone. A handler does
 * it; after a fork that runs none (vfork), a child must not use the library anyway. It may run at
 * any moment of another thread's call. So what it reads changes by single atomic stores.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#include "sys/sys_epoll.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "sys/bsd/sys_bsd.h"
#include "sys/sys_deadline.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_doorbell.h"
#include "sys/sys_poll.h"

enum { EVENT_IN = 1, EVENT_OUT = 2, EVENT_EDGE = 4, EVENT_END = 8, EVENT_HAS_ENDED = 16 };

const uint32_t sys_epoll_in = EVENT_IN, sys_epoll_out = EVENT_OUT, sys_epoll_edge = EVENT_EDGE,
               sys_epoll_end = EVENT_END;

#define EVENTS SYS_EPOLL_READY_MAX

/* ---- filters ---- */

/* How a member is read for: not at all, for what comes, or for the end alone. */
enum reads { READS_NOT, READS, READS_EDGE, READS_END, READS_END_EDGE };

static enum reads reads_of(uint32_t events)
{
    if ((events & EVENT_IN) != 0)
        return (events & EVENT_EDGE) != 0 ? READS_EDGE : READS;
    if ((events & EVENT_HAS_ENDED) != 0)
        return READS_END;
    return (events & (EVENT_END | EVENT_EDGE)) != 0 ? READS_END_EDGE : READS_NOT;
}

enum writes { WRITES_NOT, WRITES, WRITES_EDGE };

static enum writes writes_of(uint32_t events)
{
    if ((events & EVENT_OUT) == 0)
        return WRITES_NOT;
    return (events & EVENT_EDGE) != 0 ? WRITES_EDGE : WRITES;
}

static int add_reads(int number, int fd, enum reads how)
{
    bool is_end = how == READS_END || how == READS_END_EDGE;
    bool is_edge = how == READS_EDGE || how == READS_END_EDGE;
    const struct kevent change = {.ident = (uintptr_t)fd,
                                  .filter = EVFILT_READ,
                                  .flags = is_edge ? EV_ADD | EV_CLEAR : EV_ADD,
                                  .fflags = is_end ? NOTE_LOWAT : 0,
                                  .data = is_end ? INT_MAX : 0};
    return how == READS_NOT ? 0 : sys_bsd_submit(number, &change);
}

static int add_writes(int number, int fd, enum writes how)
{
    const struct kevent change = {.ident = (uintptr_t)fd,
                                  .filter = EVFILT_WRITE,
                                  .flags = how == WRITES_EDGE ? EV_ADD | EV_CLEAR : EV_ADD};
    return how == WRITES_NOT ? 0 : sys_bsd_submit(number, &change);
}

static void remove_filter(int number, int fd, bool is_write)
{
    const struct kevent change = {.ident = (uintptr_t)fd,
                                  .filter = is_write ? EVFILT_WRITE : EVFILT_READ,
                                  .flags = EV_DELETE};
    sys_bsd_submit(number, &change);
}

/* A filter that changes is added anew: then one that is ready wakes again. */
static int change_filters(int number, int fd, uint32_t before, uint32_t after)
{
    bool is_read_kept = reads_of(before) == reads_of(after);
    bool is_write_kept = writes_of(before) == writes_of(after);
    if (!is_read_kept && reads_of(before) != READS_NOT)
        remove_filter(number, fd, false);
    if (!is_write_kept && writes_of(before) != WRITES_NOT)
        remove_filter(number, fd, true);
    int read_result = is_read_kept ? 0 : add_reads(number, fd, reads_of(after));
    int write_result = is_write_kept ? 0 : add_writes(number, fd, writes_of(after));
    return read_result != 0 ? read_result : write_result;
}

static void set_member(struct sys_bsd_queue *queue, int place, int fd, uint32_t events)
{
    sys_other_set(&queue->members, place, (struct sys_other_member){fd, events});
}

/*
 * A kqueue would take a regular file. What is left of a closed descriptor of the same number is
 * replaced.
 */
int sys_epoll_add(int number, int fd, uint32_t events)
{
    struct sys_bsd_queue *queue = sys_bsd_queue(number);
    if (queue == NULL || !sys_other_can_be_polled(fd))
        return -1;
    int place = sys_other_find(&queue->members, fd);
    if (place < 0)
        place = sys_other_free_place(&queue->members);
    if (place < 0 || change_filters(number, fd, 0, events) != 0)
        return -1;
    set_member(queue, place, fd, events);
    return 0;
}

int sys_epoll_change(int number, int fd, uint32_t events)
{
    struct sys_bsd_queue *queue = sys_bsd_queue(number);
    int place = queue == NULL ? -1 : sys_other_find(&queue->members, fd);
    if (place < 0) {
        errno = ENOENT;
        return -1;
    }
    uint32_t before = sys_other_member(&queue->members, place).events;
    set_member(queue, place, fd, events);
    return change_filters(number, fd, before, events);
}

void sys_epoll_remove(int number, int fd)
{
    int saved = errno;
    struct sys_bsd_queue *queue = sys_bsd_queue(number);
    int place = queue == NULL ? -1 : sys_other_find(&queue->members, fd);
    if (place >= 0) {
        change_filters(number, fd, sys_other_member(&queue->members, place).events, 0);
        set_member(queue, place, -1, 0);
    }
    errno = saved;
}

int sys_epoll_add_doorbell(int number, const int bell[2])
{
    return sys_epoll_add(number, bell[0], EVENT_IN);
}

/* ---- what is ready ---- */

static void note_end(int number, const struct sys_bsd_queue *queue, int fd)
{
    int place = sys_other_find(&queue->members, fd);
    uint32_t events = place < 0 ? 0 : sys_other_member(&queue->members, place).events;
    if (reads_of(events) == READS_END_EDGE)
        sys_epoll_change(number, fd, events | EVENT_HAS_ENDED);
}

static bool is_end(const struct kevent *event)
{
    return event->filter == EVFILT_READ && (event->flags & EV_EOF) != 0;
}

/* Looks, and takes edges. An end stays. */
static int take(int number, struct kevent events[EVENTS])
{
    const struct sys_bsd_queue *queue = sys_bsd_queue(number);
    int count;
    if (queue == NULL)
        return -1;
    do
        count = kevent_nocancel(number, NULL, 0, events, EVENTS, &sys_bsd_no_time);
    while (count < 0 && errno == EINTR);
    for (int i = 0; i < count; i++)
        if (is_end(&events[i]))
            note_end(number, queue, (int)events[i].ident);
    return count;
}

/* poll is where a thread can be cancelled on each system; kevent is not. */
int sys_epoll_wait(int number, int64_t deadline)
{
    struct pollfd entry = {.fd = number, .events = POLLIN};
    struct kevent events[EVENTS];
    for (;;) {
        int ready = deadline == 0 ? 1 : sys_poll(&entry, 1, deadline); /* a wait */
        if (ready <= 0)
            return ready;
        int count = take(number, events);
        if (count != 0 || deadline == 0)
            return count;
    }
}

int sys_epoll_poll(int number, int64_t deadline)
{
    return sys_epoll_wait(number, deadline);
}

int sys_epoll_wait_for_signal(int number, int64_t deadline)
{
    return sys_epoll_wait(number, deadline);
}

static bool is_among(const int *fds, int count, int fd)
{
    for (int i = 0; i < count; i++)
        if (fds[i] == fd)
            return true;
    return false;
}

/* Those for which there is no room are level-triggered, and come with the next call. */
int sys_epoll_take_ready(int number, int *fds, int max)
{
    struct kevent events[EVENTS];
    int count = take(number, events), taken = 0;
    for (int i = 0; i < count && taken < max; i++)
        if (!is_among(fds, taken, (int)events[i].ident))
            fds[taken++] = (int)events[i].ident;
    return count < 0 ? -1 : taken;
}

bool sys_epoll_drain_doorbell(int number, const int bell[2], int other)
{
    struct kevent events[EVENTS];
    int saved = errno;
    bool is_other = false;
    sys_doorbell_drain(bell);
    int count = take(number, events);
    for (int i = 0; i < count; i++)
        is_other = is_other || (int)events[i].ident == other;
    errno = saved;
    return is_other;
}

bool sys_epoll_forget(int number, int other)
{
    struct kevent events[EVENTS];
    int saved = errno;
    bool has_ended = false;
    int count = take(number, events);
    for (int i = 0; i < count; i++)
        has_ended = has_ended || ((int)events[i].ident == other && (events[i].flags & EV_EOF) != 0);
    errno = saved;
    return has_ended;
}

bool sys_hung_up(int fd)
{
    struct kevent event;
    int saved = errno;
    int number = kqueue();
    bool is_over = number >= 0 && add_reads(number, fd, READS) == 0 &&
                   sys_bsd_take_one(number, &event) && is_end(&event);
    sys_close(number);
    errno = saved;
    return is_over;
}

/* ---- the descriptor ---- */

int sys_epoll_show(int number)
{
    struct sys_bsd_queue *queue = sys_bsd_queue(number);
    if (queue == NULL)
        return -1;
    queue->is_shown = true;
    return 0;
}

void sys_epoll_update(int number)
{
    struct kevent events[EVENTS];
    int saved = errno;
    const struct sys_bsd_queue *queue = sys_bsd_queue(number);
    if (queue != NULL && queue->is_shown)
        take(number, events);
    errno = saved;
}

/* ---- its life ---- */

int sys_epoll_open(void)
{
    return sys_bsd_queue_open();
}

void sys_epoll_close(int set)
{
    sys_bsd_queue_close(set);
}

/* ---- fork ---- */

static void renew_queue(int number, struct sys_bsd_queue *queue)
{
    if (!sys_bsd_queue_renew(number, queue))
        return;
    int places = sys_other_places(&queue->members);
    for (int i = 0; i < places; i++) {
        struct sys_other_member member = sys_other_member(&queue->members, i);
        if (member.fd >= 0)
            change_filters(number, member.fd, 0, member.events);
    }
}

static void renew_queues(void)
{
    int saved = errno;
    sys_bsd_queue_each(renew_queue);
    errno = saved;
}

/* Before any thread of ours: self.c registers its handler later, and runs it after this one. */
__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, renew_queues);
}
#endif
