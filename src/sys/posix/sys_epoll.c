/* SPDX-License-Identifier: MIT */
/*
 * A set of descriptors behind one, with poll and dup2. What the library waits for itself, it polls
 * one by one. What the program polls is the set's number, and what lies behind that number is
 * changed as needed, at the end of each call (sys_epoll_update):
 *
 *   what the set waits for                         the number is
 *   nothing                                        an empty pipe
 *   input of one descriptor                        a copy of that one
 *   anything of which something is ready now       a pipe with a byte
 *   an end alone, room, a time, or several of all  the same: a guess
 *
 * A guess wakes a program for nothing as long as nothing is ready. So the call that finds it wrong,
 * a second time within a millisecond, waits for what the set waits for, a millisecond at most. Then
 * a loop has at most some thousand wakeups a second.
 *
 * dup2 leaves no moment without a descriptor. But who polls already, in another thread, and sets
 * of the program's own (epoll) keep what the number was before: poll and select serve alone, and
 * begin after the call.
 *
 * Doorbells are members that are ready when rung: they are looked at, and never guessed. Tickers
 * end waits in calls, and are no reason to wake a program.
 */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_epoll.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "sys/posix/sys_posix.h"
#include "sys/self.h"
#include "sys/sys_alloc.h"
#include "sys/sys_cancel.h"
#include "sys/sys_deadline.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_doorbell.h"
#include "sys/sys_pipe.h"
#include "sys/sys_poll.h"

enum { EVENT_IN = 1, EVENT_OUT = 2, EVENT_EDGE = 4, EVENT_END = 8, EVENT_DOORBELL = 16 };

const uint32_t sys_epoll_in = EVENT_IN, sys_epoll_out = EVENT_OUT, sys_epoll_edge = EVENT_EDGE,
               sys_epoll_end = EVENT_END;

struct member {
    int fd;
    uint32_t events;
};

struct set {
    int pipe[2];      /* what the number is while it is no copy; -1: no program polls it */
    int copied;       /* the member that the number is a copy of; -1: it is the pipe */
    bool is_marked;   /* there is a byte in the pipe */
    uint32_t process; /* whose pipe it is */
    int64_t guessed;  /* when; 0: not by the last update */
    struct member *members;
    int count, room;
    struct pollfd *polled; /* as much room */
};

static struct set *_Atomic sets[SYS_POSIX_NUMBERS];

static struct set *find_set(int number)
{
    return number < 0 || number >= SYS_POSIX_NUMBERS ? NULL : atomic_load(&sets[number]);
}

/* ---- members ---- */

static struct member *find_member(const struct set *set, int fd)
{
    for (int i = 0; i < set->count; i++)
        if (set->members[i].fd == fd)
            return &set->members[i];
    return NULL;
}

static int make_room(struct set *set)
{
    if (set->count < set->room)
        return 0;
    int room = set->room == 0 ? 2 : 2 * set->room;
    struct member *members = sys_realloc(set->members, (size_t)room * sizeof *members);
    if (members == NULL)
        return -1;
    set->members = members;
    struct pollfd *polled = sys_realloc(set->polled, (size_t)room * sizeof *polled);
    if (polled == NULL)
        return -1;
    set->polled = polled;
    set->room = room;
    return 0;
}

/* A regular file is ready at any time. */
static int check_pollable(int fd)
{
    struct stat status;
    if (fstat_nocancel(fd, &status) != 0)
        return -1;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
        return 0;
    errno = EPERM;
    return -1;
}

int sys_epoll_add(int number, int fd, uint32_t events)
{
    struct set *set = find_set(number);
    if (set == NULL || find_member(set, fd) != NULL) {
        errno = set == NULL ? EBADF : EEXIST;
        return -1;
    }
    if (check_pollable(fd) != 0 || make_room(set) != 0)
        return -1;
    set->members[set->count++] = (struct member){fd, events};
    return 0;
}

int sys_epoll_add_doorbell(int number, const int doorbell[2])
{
    return sys_epoll_add(number, doorbell[0], EVENT_IN | EVENT_DOORBELL);
}

int sys_epoll_change(int number, int fd, uint32_t events)
{
    struct set *set = find_set(number);
    struct member *member = set == NULL ? NULL : find_member(set, fd);
    if (member == NULL) {
        errno = ENOENT;
        return -1;
    }
    member->events = events;
    return 0;
}

void sys_epoll_remove(int number, int fd)
{
    struct set *set = find_set(number);
    struct member *member = set == NULL ? NULL : find_member(set, fd);
    if (member != NULL)
        *member = set->members[--set->count];
}

/* ---- what is ready ---- */

static bool is_ticker(const struct sys_posix_timer *timer)
{
    return timer->interval > 0;
}

/* What an edge was asked for is silent: the edges that count are those of doorbells. */
static short poll_events(const struct member *member)
{
    return (short)((member->events & EVENT_IN ? POLLIN : 0) |
                   (member->events & EVENT_OUT ? POLLOUT : 0));
}

static int fill_polled(struct set *set)
{
    for (int i = 0; i < set->count; i++) {
        const struct member *member = &set->members[i];
        bool is_silent = (member->events & EVENT_EDGE) != 0 || sys_posix_timer(member->fd) != NULL;
        set->polled[i] =
            (struct pollfd){.fd = is_silent ? -1 : member->fd, .events = poll_events(member)};
    }
    return set->count;
}

/* The time of the first timer that the set listens to; -1: none. */
static int64_t first_time(const struct set *set, bool with_tickers)
{
    int64_t first = -1;
    for (int i = 0; i < set->count; i++) {
        struct sys_posix_timer *timer = sys_posix_timer(set->members[i].fd);
        if (timer != NULL && (set->members[i].events & EVENT_IN) != 0 &&
            (with_tickers || !is_ticker(timer)))
            first = sys_deadline_earlier(first, atomic_load(&timer->deadline));
    }
    return first;
}

static bool is_timer_due(const struct member *member)
{
    struct sys_posix_timer *timer = sys_posix_timer(member->fd);
    return timer != NULL && (member->events & EVENT_IN) != 0 &&
           sys_deadline_has_passed(atomic_load(&timer->deadline));
}

/* The member that has an event at that place, after a poll; tickers never have. */
static bool is_ready(const struct set *set, int place)
{
    return (set->polled[place].revents & ~POLLNVAL) != 0 || is_timer_due(&set->members[place]);
}

static int poll_now(struct set *set)
{
    int ready;
    int count = fill_polled(set);
    do
        ready = sys_poll(set->polled, (nfds_t)count, 0);
    while (ready < 0 && errno == EINTR);
    return ready;
}

int sys_epoll_wait(int number, int64_t deadline)
{
    struct set *set = find_set(number);
    if (set == NULL) {
        errno = EBADF;
        return -1;
    }
    int64_t timer = first_time(set, true);
    int count = fill_polled(set);
    int ready = sys_poll(set->polled, (nfds_t)count, sys_deadline_earlier(deadline, timer));
    return ready == 0 && timer >= 0 && sys_deadline_has_passed(timer) ? 1 : ready;
}

int sys_epoll_wait_for_signal(int number, int64_t deadline)
{
    return sys_epoll_wait(number, deadline);
}

int sys_epoll_poll(int number, int64_t deadline)
{
    return sys_epoll_wait(number, deadline);
}

int sys_epoll_take_ready(int number, int *fds, int max)
{
    struct set *set = find_set(number);
    int taken = 0;
    if (set == NULL || poll_now(set) < 0)
        return -1;
    for (int i = 0; i < set->count && taken < max; i++)
        if (is_ready(set, i))
            fds[taken++] = set->members[i].fd;
    return taken;
}

bool sys_epoll_drain_doorbell(int number, const int doorbell[2], int other)
{
    (void)number;
    (void)other; /* a process is no descriptor here */
    sys_doorbell_drain(doorbell);
    return false;
}

bool sys_epoll_forget(int number, int other)
{
    (void)number;
    return sys_hung_up(other);
}

/* Without anything unread, a look finds the end; behind what is unread, only a hang-up is seen. */
bool sys_hung_up(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    char byte;
    int saved = errno;
    bool is_over =
        sys_poll(&item, 1, 0) > 0 && ((item.revents & (POLLHUP | POLLERR)) != 0 ||
                                      recv_nocancel(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0);
    errno = saved;
    return is_over;
}

/* ---- the number ---- */

static int become_copy(int number, int fd)
{
    int copy;
    do
        copy = dup2_nocancel(fd, number);
    while (copy < 0 && errno == EINTR);
    return copy < 0 ? -1 : fcntl_nocancel(number, F_SETFD, FD_CLOEXEC);
}

static void show_member(int number, struct set *set, int fd)
{
    if (set->copied != fd && become_copy(number, fd) == 0)
        set->copied = fd;
}

static void mark(struct set *set, bool is_marked)
{
    char byte = 0;
    if (set->is_marked == is_marked)
        return;
    ssize_t done =
        is_marked ? write_nocancel(set->pipe[1], &byte, 1) : read_nocancel(set->pipe[0], &byte, 1);
    if (done == 1)
        set->is_marked = is_marked;
}

static void show_pipe(int number, struct set *set, bool is_marked)
{
    mark(set, is_marked);
    if (set->copied >= 0 && become_copy(number, set->pipe[0]) == 0)
        set->copied = -1;
}

/* The pipe of a parent is the parent's. What the number is stays, until there is another one. */
static void renew_pipe(int number, struct set *set)
{
    int fresh[2];
    if (self_is_process(set->process) || sys_pipe(fresh) != 0)
        return;
    if (set->copied < 0 && become_copy(number, fresh[0]) != 0) {
        sys_close(fresh[0]);
        sys_close(fresh[1]);
        return;
    }
    sys_close(set->pipe[0]);
    sys_close(set->pipe[1]);
    set->pipe[0] = fresh[0];
    set->pipe[1] = fresh[1];
    set->is_marked = false;
    set->process = self_process();
}

/* ---- which it is ---- */

struct wanted {
    int count;           /* of what the set waits for, doorbells apart */
    int input, doorbell; /* one of which it is input, and one that is a doorbell; -1: none */
};

static bool is_waited_for(const struct member *member)
{
    const struct sys_posix_timer *timer = sys_posix_timer(member->fd);
    if ((member->events & EVENT_EDGE) != 0 || member->events == 0)
        return false;
    return timer == NULL || (!is_ticker(timer) && atomic_load(&timer->deadline) >= 0);
}

/* Its number can be a copy of that. */
static bool is_input(const struct member *member)
{
    return sys_posix_timer(member->fd) == NULL && poll_events(member) == POLLIN;
}

static struct wanted wanted_by(const struct set *set)
{
    struct wanted wanted = {.input = -1, .doorbell = -1};
    for (int i = 0; i < set->count; i++) {
        const struct member *member = &set->members[i];
        bool is_doorbell = (member->events & EVENT_DOORBELL) != 0;
        if (!is_waited_for(member))
            continue;
        wanted.count += !is_doorbell;
        if (is_doorbell)
            wanted.doorbell = member->fd;
        else if (is_input(member))
            wanted.input = member->fd;
    }
    return wanted;
}

/* poll would report what is unread as well, which nobody asks for. */
static bool is_at_end(const struct member *member)
{
    return member->events == EVENT_END && sys_hung_up(member->fd);
}

static const struct member *ready_member(struct set *set)
{
    if (poll_now(set) < 0)
        return NULL;
    for (int i = 0; i < set->count; i++)
        if (is_ready(set, i) || is_at_end(&set->members[i]))
            return &set->members[i];
    return NULL;
}

/* A millisecond after the last one, or when something comes. */
static void guess(int number, struct set *set)
{
    int64_t now = sys_now();
    if (set->guessed != 0 && now - set->guessed < SYS_MILLISECOND) {
        int64_t until = sys_deadline_earlier(now + SYS_MILLISECOND, first_time(set, false));
        int count = fill_polled(set);
        poll_nocancel(set->polled, (nfds_t)count, sys_deadline_ms_left(until));
        now = sys_now();
    }
    set->guessed = now;
    show_pipe(number, set, true);
}

static void update(int number, struct set *set)
{
    struct wanted wanted = wanted_by(set);
    int only = wanted.count == 0 ? wanted.doorbell : wanted.count == 1 ? wanted.input : -1;
    bool is_alone = only >= 0 && (wanted.count == 0 || wanted.doorbell < 0);
    const struct member *ready = is_alone ? NULL : ready_member(set);
    if (ready != NULL && is_input(ready))
        show_member(number, set, ready->fd);
    else if (ready != NULL)
        show_pipe(number, set, true);
    else if (only >= 0)
        show_member(number, set, only);
    else if (wanted.count == 0)
        show_pipe(number, set, false);
    else
        guess(number, set);
}

void sys_epoll_update(int number)
{
    struct set *set = find_set(number);
    int saved = errno;
    if (set == NULL || set->pipe[0] < 0)
        return;
    renew_pipe(number, set);
    int64_t guessed = set->guessed;
    update(number, set);
    if (set->guessed == guessed)
        set->guessed = 0;
    errno = saved;
}

int sys_epoll_show(int number)
{
    struct set *set = find_set(number);
    if (set == NULL || set->pipe[0] >= 0)
        return 0;
    int fd[2];
    if (sys_pipe(fd) != 0)
        return -1;
    if (become_copy(number, fd[0]) != 0) {
        sys_close(fd[0]);
        sys_close(fd[1]);
        return -1;
    }
    set->pipe[0] = fd[0];
    set->pipe[1] = fd[1];
    set->process = self_process();
    sys_epoll_update(number);
    return 0;
}

/* ---- its life ---- */

int sys_epoll_open(void)
{
    struct set *set = sys_alloc(sizeof *set);
    int number = set == NULL ? -1 : sys_posix_number();
    if (number < 0) {
        sys_free(set);
        return -1;
    }
    *set = (struct set){.pipe = {-1, -1}, .copied = -1};
    atomic_store(&sets[number], set);
    return number;
}

void sys_epoll_close(int number)
{
    struct set *set = find_set(number);
    if (set == NULL)
        return;
    atomic_store(&sets[number], NULL);
    sys_close(set->pipe[0]);
    sys_close(set->pipe[1]);
    sys_close(number);
    sys_free(set->polled);
    sys_free(set->members);
    sys_free(set);
}
#endif
