/* SPDX-License-Identifier: MIT */
/*
 * A set of descriptors is a kqueue. Its descriptor is readable while something in it is ready.
 *
 *   events           filter
 *   in               EVFILT_READ
 *   out              EVFILT_WRITE
 *   end              EVFILT_READ with a low-water mark that no buffer reaches; edge-triggered, and
 *                    level-triggered once the end has come: it stays
 *   none of these    the same with EVFILT_WRITE: nobody reads any more. What is no stream has no
 *                    such filter. The writing end of a pipe also gets that of `end`: see below
 *   edge             all of them edge-triggered
 *
 * Some descriptors have no low-water mark (pipes), and some systems cut it to the size of the
 * buffer (macOS). There bytes that come, or go, make the set readable once, for nothing.
 *
 * When the reader of a pipe goes, the filter for writing shows it once (FreeBSD), or not to who
 * waits for room (NetBSD, OpenBSD), and it cannot be added any more. A filter for reading of that
 * same end shows it, and stays.
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

#include "sys/bsd/sys_bsd.h"
#include "sys/other/sys_other.h"
#include "sys/self.h"
#include "sys/sys_alloc.h"
#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_doorbell.h"
#include "sys/sys_poll.h"

enum {
    EVENT_IN = 1,
    EVENT_OUT = 2,
    EVENT_EDGE = 4,
    EVENT_END = 8,
    EVENT_GONE = 16, /* nobody reads any more */
    EVENT_HAS_ENDED = 32
};

const uint32_t sys_epoll_in = EVENT_IN, sys_epoll_out = EVENT_OUT, sys_epoll_edge = EVENT_EDGE,
               sys_epoll_end = EVENT_END;

struct set {
    atomic_bool is_gone; /* this process, a child, could not have the number */
    bool is_shown;
    struct sys_other_members members;
};

static struct sys_other_table sets;
static atomic_int numbers_used; /* those of all sets are below */

static struct set *find_set(int number)
{
    struct set *set = sys_other_object(&sets, number);
    if (set != NULL && !atomic_load(&set->is_gone))
        return set;
    errno = EBADF;
    return NULL;
}

int sys_bsd_kevent(int number, const struct kevent *change, struct kevent events[SYS_BSD_EVENTS])
{
    static const struct timespec no_time = {0, 0};
    int result, before = nocancel_begin();
    do
        result = change != NULL ? kevent(number, change, 1, NULL, 0, &no_time)
                                : kevent(number, NULL, 0, events, SYS_BSD_EVENTS, &no_time);
    while (result < 0 && errno == EINTR);
    nocancel_end(before);
    return result;
}

/* ---- filters ---- */

/* That filter waits for the end alone. */
static bool is_for_end(uint32_t events, bool is_write)
{
    return (events & (is_write ? EVENT_OUT : EVENT_IN)) == 0;
}

static int add_filter(int number, int fd, uint32_t events, bool is_write)
{
    bool is_end = is_for_end(events, is_write);
    bool is_edge = (events & EVENT_EDGE) != 0 || (is_end && (events & EVENT_HAS_ENDED) == 0);
    const struct kevent change = {.ident = (uintptr_t)fd,
                                  .filter = is_write ? EVFILT_WRITE : EVFILT_READ,
                                  .flags = is_edge ? EV_ADD | EV_CLEAR : EV_ADD,
                                  .fflags = is_end ? NOTE_LOWAT : 0,
                                  .data = is_end ? INT_MAX : 0};
    return sys_bsd_kevent(number, &change, NULL);
}

/* One that changes is added anew: then it wakes again, if it is ready. */
static int change_filter(int number, int fd, uint32_t before, uint32_t after, bool is_write)
{
    const struct kevent removal = {.ident = (uintptr_t)fd,
                                   .filter = is_write ? EVFILT_WRITE : EVFILT_READ,
                                   .flags = EV_DELETE};
    uint32_t there = is_write ? EVENT_OUT | EVENT_GONE : EVENT_IN | EVENT_END;
    if (((before ^ after) & (there | EVENT_EDGE | EVENT_HAS_ENDED)) == 0)
        return 0;
    if ((before & there) != 0)
        sys_bsd_kevent(number, &removal, NULL);
    return (after & there) == 0 ? 0 : add_filter(number, fd, after, is_write);
}

/* The reader of a pipe has gone: the filter for the end is there and shows it. */
static bool is_refused_at_end(uint32_t events)
{
    return (events & EVENT_END) != 0 && (errno == EPIPE || errno == EBADF);
}

/* A failure leaves none. What is no stream has no hang-up: that this is refused is none. */
static int change_filters(int number, int fd, uint32_t before, uint32_t after)
{
    bool is_done =
        change_filter(number, fd, before, after, false) == 0 &&
        (change_filter(number, fd, before, after, true) == 0 || is_refused_at_end(after));
    if (is_done || (after & EVENT_GONE) != 0)
        return 0;
    int error = errno;
    change_filters(number, fd, before | after, 0);
    errno = error;
    return -1;
}

/* ---- members ---- */

/*
 * One without a name. On NetBSD and OpenBSD it has no number. A filter for reading of the writing
 * end of a FIFO would show there what is unread, or is refused; on FreeBSD it shows nothing.
 */
#ifdef __FreeBSD__
static bool is_pipe(const struct stat *status)
{
    return S_ISFIFO(status->st_mode);
}
#else
static bool is_pipe(const struct stat *status)
{
    return S_ISFIFO(status->st_mode) && status->st_ino == 0;
}
#endif

/* Who waits for the reading end of a pipe waits for input, or for its end. */
static uint32_t add_unasked(int fd, uint32_t events)
{
    struct stat status;
    if ((events & ~(uint32_t)EVENT_EDGE) == 0)
        events |= EVENT_GONE;
    if ((events & (EVENT_IN | EVENT_END)) == 0 && fstat_nocancel(fd, &status) == 0 &&
        is_pipe(&status))
        events |= EVENT_END;
    return events;
}

static int set_member(int number, struct set *set, int place, int fd, uint32_t events)
{
    uint32_t before = sys_other_member(&set->members, place).events;
    uint32_t after = add_unasked(fd, events);
    int result = change_filters(number, fd, before, after);
    sys_other_set(&set->members, place, (struct sys_other_member){fd, result == 0 ? after : 0});
    return result;
}

/*
 * A kqueue would take a regular file. What is left of a closed descriptor of the same number is
 * replaced.
 */
int sys_epoll_add(int number, int fd, uint32_t events)
{
    struct set *set = find_set(number);
    if (set == NULL || !sys_other_can_be_polled(fd))
        return -1;
    sys_epoll_remove(number, fd);
    int place = sys_other_free_place(&set->members);
    if (place < 0)
        return -1;
    int result = set_member(number, set, place, fd, events);
    if (result != 0)
        sys_other_set(&set->members, place, (struct sys_other_member){-1, 0});
    return result;
}

int sys_epoll_change(int number, int fd, uint32_t events)
{
    struct set *set = find_set(number);
    int place = set == NULL ? -1 : sys_other_find(&set->members, fd);
    if (place >= 0)
        return set_member(number, set, place, fd, events);
    errno = ENOENT;
    return -1;
}

void sys_epoll_remove(int number, int fd)
{
    int saved = errno;
    struct set *set = find_set(number);
    int place = set == NULL ? -1 : sys_other_find(&set->members, fd);
    if (place >= 0) {
        change_filters(number, fd, sys_other_member(&set->members, place).events, 0);
        sys_other_set(&set->members, place, (struct sys_other_member){-1, 0});
    }
    errno = saved;
}

int sys_epoll_add_doorbell(int number, const int doorbell[2])
{
    return sys_epoll_add(number, doorbell[0], EVENT_IN);
}

/* ---- what is ready ---- */

static void note_end(int number, const struct set *set, const struct kevent *event)
{
    int place = sys_other_find(&set->members, (int)event->ident);
    uint32_t events = place < 0 ? EVENT_EDGE : sys_other_member(&set->members, place).events;
    if (is_for_end(events, event->filter == EVFILT_WRITE) &&
        (events & (EVENT_EDGE | EVENT_HAS_ENDED)) == 0)
        sys_epoll_change(number, (int)event->ident, events | EVENT_HAS_ENDED);
}

/* Looks, and takes edges. An end stays. */
static int take(int number, struct kevent events[SYS_BSD_EVENTS])
{
    const struct set *set = find_set(number);
    int count = set == NULL ? -1 : sys_bsd_kevent(number, NULL, events);
    for (int i = 0; i < count; i++)
        if ((events[i].flags & EV_EOF) != 0)
            note_end(number, set, &events[i]);
    return count;
}

/* Likewise; is that member among what is ready? Keeps errno. */
static bool is_ready(int number, int member)
{
    struct kevent events[SYS_BSD_EVENTS];
    int saved = errno, count = take(number, events);
    bool is_among = false;
    for (int i = 0; i < count; i++)
        is_among = is_among || (int)events[i].ident == member;
    errno = saved;
    return is_among;
}

/* poll is where a thread can be cancelled on each system; kevent is not. */
int sys_epoll_wait(int number, int64_t deadline)
{
    struct pollfd entry = {.fd = number, .events = POLLIN};
    struct kevent events[SYS_BSD_EVENTS];
    for (;;) {
        int ready = deadline == 0 ? 1 : sys_poll(&entry, 1, deadline); /* a wait */
        if (ready <= 0)
            return ready;
        int count = take(number, events);
        if (count != 0 || deadline == 0)
            return count;
    }
}

/* Those for which there is no room are level-triggered, and come with the next call. */
int sys_epoll_take_ready(int number, int *fds, int max)
{
    struct kevent events[SYS_BSD_EVENTS];
    int count = take(number, events);
    for (int i = 0; i < count && i < max; i++)
        fds[i] = (int)events[i].ident;
    return count < max ? count : max;
}

bool sys_epoll_drain_doorbell(int number, const int doorbell[2], int other)
{
    sys_doorbell_drain(doorbell);
    return is_ready(number, other);
}

enum sys_end sys_look_for_end(int fd)
{
    struct kevent events[SYS_BSD_EVENTS];
    int saved = errno, number = kqueue();
    if (number < 0) {
        errno = saved;
        return SYS_END_NOT_KNOWN; /* no number is free: the set of the handle knows it */
    }
    bool is_over = add_filter(number, fd, EVENT_IN, false) == 0 &&
                   sys_bsd_kevent(number, NULL, events) > 0 && (events[0].flags & EV_EOF) != 0;
    sys_close(number);
    errno = saved;
    return is_over ? SYS_END : SYS_NO_END;
}

/* ---- the descriptor ---- */

int sys_epoll_show(int number)
{
    struct set *set = find_set(number);
    if (set == NULL)
        return -1;
    set->is_shown = true;
    return 0;
}

void sys_epoll_update(int number)
{
    const struct set *set = sys_other_object(&sets, number);
    if (set != NULL && set->is_shown)
        is_ready(number, -1);
}

/* ---- its life ---- */

static void renew_sets(void);

int sys_epoll_open(void)
{
    struct set *set = sys_alloc(sizeof *set);
    int fd = set == NULL ? -1 : sys_other_close_on_exec(sys_above_standard(kqueue()));
    int number = sys_other_number(fd);
    if (number < 0) {
        sys_free(set);
        return -1;
    }
    self_first_in_child(renew_sets);
    *set = (struct set){.is_shown = false};
    int used = atomic_load(&numbers_used);
    while (used <= number && !atomic_compare_exchange_weak(&numbers_used, &used, number + 1))
        continue;
    sys_other_exchange(&sets, number, set);
    return number;
}

void sys_epoll_close(int number)
{
    struct set *set = sys_other_exchange(&sets, number, NULL);
    if (set == NULL)
        return;
    if (!atomic_load(&set->is_gone))
        sys_close(number);
    sys_other_fini(&set->members);
    sys_free(set);
}

/* ---- fork ---- */

static bool renew_number(int number)
{
    if (fcntl_nocancel(number, F_GETFD, 0) >= 0)
        return false;
    int fresh = kqueue();
    bool is_there = fresh == number || (fresh >= 0 && dup2_nocancel(fresh, number) == number);
    if (fresh != number)
        sys_close(fresh);
    return is_there && fcntl_nocancel(number, F_SETFD, FD_CLOEXEC) == 0;
}

static void fill_anew(int number)
{
    const struct set *set = find_set(number);
    int places = sys_other_places(&set->members);
    for (int i = 0; i < places; i++) {
        struct sys_other_member member = sys_other_member(&set->members, i);
        change_filters(number, member.fd, 0, member.events);
    }
    sys_bsd_renew_timer(number);
}

/* A set may be a member of another one: first they are all there. */
static void renew_sets(void)
{
    int saved = errno, used = atomic_load(&numbers_used);
    for (int number = 0; number < used; number++) {
        struct set *set = sys_other_object(&sets, number);
        if (set != NULL && !atomic_load(&set->is_gone))
            atomic_store(&set->is_gone, !renew_number(number));
    }
    for (int number = 0; number < used; number++)
        if (find_set(number) != NULL)
            fill_anew(number);
    errno = saved;
}
#endif
