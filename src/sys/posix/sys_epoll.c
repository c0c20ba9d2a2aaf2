/* SPDX-License-Identifier: MIT */
/*
 * A set of descriptors behind one, with poll and dup2. What the library waits for itself, it polls
 * one by one. What the program polls is the set's number, and what lies behind that number is
 * changed as needed, at the end of each call (sys_epoll_update):
 *
 *   what the set waits for                         the number is
 *   nothing                                        an empty pipe
 *   input of one descriptor, or that nobody reads  a copy of that one
 *   from a pipe that is written
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

#include "sys/other/sys_other.h"
#include "sys/posix/sys_posix.h"
#include "sys/self.h"
#include "sys/sys_alloc.h"
#include "sys/sys_cancel.h"
#include "sys/sys_deadline.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_doorbell.h"
#include "sys/sys_pipe.h"
#include "sys/sys_poll.h"

enum {
    EVENT_IN = 1,
    EVENT_OUT = 2,
    EVENT_EDGE = 4,
    EVENT_END = 8,
    EVENT_DOORBELL = 16,
    EVENT_GONE = 32,  /* nobody reads any more what is written */
    EVENT_WRITER = 64 /* to a pipe */
};

const uint32_t sys_epoll_in = EVENT_IN, sys_epoll_out = EVENT_OUT, sys_epoll_edge = EVENT_EDGE,
               sys_epoll_end = EVENT_END;

struct set {
    int pipe[2];      /* what the number is while it is no copy; -1: no program polls it */
    int copied;       /* the member that the number is a copy of; -1: it is the pipe */
    bool is_marked;   /* there is a byte in the pipe */
    uint32_t process; /* whose pipe it is */
    int64_t guessed;  /* when; 0: not by the last update */
    struct sys_other_members members;
    struct pollfd *polled; /* for the members in as many places as there is room; further none is */
    int room;
};

static struct sys_other_table sets;

static struct set *find_set(int number)
{
    return sys_other_object(&sets, number);
}

/* ---- members ---- */

static struct sys_other_member member_at(const struct set *set, int place)
{
    return sys_other_member(&set->members, place);
}

/* A free place, or -1. */
static int make_room(struct set *set)
{
    int place = sys_other_free_place(&set->members);
    if (place < set->room)
        return place;
    int room = sys_other_places(&set->members);
    struct pollfd *polled = sys_realloc(set->polled, (size_t)room * sizeof *polled);
    if (polled == NULL)
        return -1;
    set->polled = polled;
    set->room = room;
    return place;
}

/* A hang-up is always reported: poll finds it, whatever it is asked for. */
static uint32_t whole_events(int fd, uint32_t events)
{
    if (fd < 0 || events != 0 || sys_posix_timer(fd) != NULL)
        return events;
    return EVENT_GONE | (sys_pipe_is_end(fd, true) ? EVENT_WRITER : 0);
}

static void set_member(struct set *set, int place, int fd, uint32_t events)
{
    sys_other_set(&set->members, place, (struct sys_other_member){fd, whole_events(fd, events)});
}

int sys_epoll_add(int number, int fd, uint32_t events)
{
    struct set *set = find_set(number);
    if (set == NULL || sys_other_find(&set->members, fd) >= 0) {
        errno = set == NULL ? EBADF : EEXIST;
        return -1;
    }
    int place = sys_other_can_be_polled(fd) ? make_room(set) : -1;
    if (place < 0)
        return -1;
    set_member(set, place, fd, events);
    return 0;
}

int sys_epoll_add_doorbell(int number, const int doorbell[2])
{
    return sys_epoll_add(number, doorbell[0], EVENT_IN | EVENT_DOORBELL);
}

int sys_epoll_change(int number, int fd, uint32_t events)
{
    struct set *set = find_set(number);
    int place = set == NULL ? -1 : sys_other_find(&set->members, fd);
    if (place < 0) {
        errno = ENOENT;
        return -1;
    }
    set_member(set, place, fd, events);
    return 0;
}

/* ---- what is ready ---- */

static short poll_events(uint32_t events)
{
    return (short)((events & EVENT_IN ? POLLIN : 0) | (events & EVENT_OUT ? POLLOUT : 0));
}

/* What an edge was asked for is silent: the edges that count are those of doorbells. */
static void fill_polled(struct set *set)
{
    for (int i = 0; i < set->room; i++) {
        struct sys_other_member member = member_at(set, i);
        bool is_silent = (member.events & EVENT_EDGE) != 0 || sys_posix_timer(member.fd) != NULL;
        set->polled[i] =
            (struct pollfd){.fd = is_silent ? -1 : member.fd, .events = poll_events(member.events)};
    }
}

/* The time of that member, if it is a timer that is listened to; -1: none. */
static int64_t time_of(struct sys_other_member member, bool with_tickers)
{
    struct sys_posix_timer *timer = sys_posix_timer(member.fd);
    bool counts =
        timer != NULL && (member.events & EVENT_IN) != 0 && (with_tickers || timer->interval == 0);
    return counts ? atomic_load(&timer->deadline) : -1;
}

/* The time of the first one. */
static int64_t first_time(const struct set *set, bool with_tickers)
{
    int64_t first = -1;
    for (int i = 0; i < set->room; i++)
        first = sys_deadline_earlier(first, time_of(member_at(set, i), with_tickers));
    return first;
}

/* The member in that place has an event, after a poll. */
static bool is_ready(const struct set *set, int place)
{
    int64_t time = time_of(member_at(set, place), true);
    return (set->polled[place].revents & ~POLLNVAL) != 0 ||
           (time >= 0 && sys_deadline_has_passed(time));
}

static int poll_now(struct set *set)
{
    int ready;
    fill_polled(set);
    do
        ready = sys_poll(set->polled, (nfds_t)set->room, 0);
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
    fill_polled(set);
    int ready = sys_poll(set->polled, (nfds_t)set->room, sys_deadline_earlier(deadline, timer));
    return ready == 0 && timer >= 0 && sys_deadline_has_passed(timer) ? 1 : ready;
}

int sys_epoll_take_ready(int number, int *fds, int max)
{
    struct set *set = find_set(number);
    int taken = 0;
    if (set == NULL || poll_now(set) < 0)
        return -1;
    for (int i = 0; i < set->room && taken < max; i++)
        if (is_ready(set, i))
            fds[taken++] = member_at(set, i).fd;
    return taken;
}

bool sys_epoll_drain_doorbell(int number, const int doorbell[2], int other)
{
    (void)number;
    (void)other; /* a process is no descriptor here */
    sys_doorbell_drain(doorbell);
    return false;
}

/* Without anything unread, a look finds the end; behind what is unread, only a hang-up is seen. */
enum sys_end sys_look_for_end(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    char byte;
    int saved = errno;
    bool is_over =
        sys_poll(&item, 1, 0) > 0 && ((item.revents & (POLLHUP | POLLERR)) != 0 ||
                                      recv_nocancel(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0);
    errno = saved;
    return is_over ? SYS_END : SYS_NO_END;
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

/*
 * A copy would keep the member alive: a listener that has been closed would go on listening. And
 * another member may come to have its number.
 */
void sys_epoll_remove(int number, int fd)
{
    struct set *set = find_set(number);
    int place = set == NULL ? -1 : sys_other_find(&set->members, fd);
    int saved = errno;
    if (place < 0)
        return;
    set_member(set, place, -1, 0);
    if (set->copied == fd) {
        renew_pipe(number, set);
        show_pipe(number, set, true); /* until the update at the end of the call */
    }
    errno = saved;
}

/* ---- which it is ---- */

struct wanted {
    int count;           /* of what the set waits for, doorbells apart */
    int input, doorbell; /* one of which it is input, and one that is a doorbell; -1: none */
};

static bool is_waited_for(struct sys_other_member member)
{
    bool is_timer = sys_posix_timer(member.fd) != NULL;
    return member.events != 0 && (member.events & EVENT_EDGE) == 0 &&
           (!is_timer || time_of(member, false) >= 0);
}

/* Its number can be a copy of that: a pipe that is written has no input, but an end. */
static bool is_input(struct sys_other_member member)
{
    return sys_posix_timer(member.fd) == NULL &&
           (poll_events(member.events) == POLLIN || (member.events & EVENT_WRITER) != 0);
}

static struct wanted wanted_by(const struct set *set)
{
    struct wanted wanted = {.input = -1, .doorbell = -1};
    for (int i = 0; i < set->room; i++) {
        struct sys_other_member member = member_at(set, i);
        bool is_doorbell = (member.events & EVENT_DOORBELL) != 0;
        if (!is_waited_for(member))
            continue;
        wanted.count += !is_doorbell;
        if (is_doorbell)
            wanted.doorbell = member.fd;
        else if (is_input(member))
            wanted.input = member.fd;
    }
    return wanted;
}

/* poll would report what is unread as well, which nobody asks for. */
static bool is_at_end(struct sys_other_member member)
{
    return member.events == EVENT_END && sys_look_for_end(member.fd) == SYS_END;
}

/* Its place, or -1. */
static int find_ready(struct set *set)
{
    if (poll_now(set) < 0)
        return -1;
    for (int i = 0; i < set->room; i++)
        if (is_ready(set, i) || is_at_end(member_at(set, i)))
            return i;
    return -1;
}

/* A millisecond after the last one, or when something comes. */
static void guess(int number, struct set *set)
{
    int64_t now = sys_now();
    if (set->guessed != 0 && now - set->guessed < SYS_MILLISECOND) {
        int64_t until = sys_deadline_earlier(now + SYS_MILLISECOND, first_time(set, false));
        fill_polled(set);
        sys_poll_in_call(set->polled, (nfds_t)set->room, until);
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
    int ready = is_alone ? -1 : find_ready(set);
    if (ready >= 0 && is_input(member_at(set, ready)))
        show_member(number, set, member_at(set, ready).fd);
    else if (ready >= 0)
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
    sys_other_exchange(&sets, number, set);
    return number;
}

void sys_epoll_close(int number)
{
    struct set *set = find_set(number);
    if (set == NULL)
        return;
    sys_other_exchange(&sets, number, NULL);
    sys_close(set->pipe[0]);
    sys_close(set->pipe[1]);
    sys_close(number);
    sys_free(set->polled);
    sys_other_fini(&set->members);
    sys_free(set);
}
#endif
