/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_epoll.h"

#include <errno.h>
#include <sys/epoll.h>

#include "sys/linux/sys_linux.h"
#include "sys/sys_deadline.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_poll.h"

const uint32_t sys_epoll_in = EPOLLIN, sys_epoll_out = EPOLLOUT, sys_epoll_edge = EPOLLET,
               sys_epoll_end = EPOLLRDHUP;

int sys_epoll_open(void)
{
    return sys_above_standard(epoll_create1(EPOLL_CLOEXEC));
}

void sys_epoll_close(int set)
{
    sys_close(set);
}

/* The kernel does the rest. */
int sys_epoll_show(int set)
{
    (void)set;
    return 0;
}

void sys_epoll_update(int set)
{
    (void)set;
}

int sys_epoll_add(int set, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.fd = fd}};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

int sys_epoll_change(int set, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.fd = fd}};
    return epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}

void sys_epoll_remove(int set, int fd)
{
    struct epoll_event unused = {0};
    int saved = errno;
    epoll_ctl(set, EPOLL_CTL_DEL, fd, &unused);
    errno = saved;
}

int sys_epoll_wait(int set, int64_t deadline)
{
    struct epoll_event events[4];
    int time = sys_deadline_ms_left(deadline);
    return time == 0 ? epoll_wait_nocancel(set, events, 4, 0)
                     : epoll_wait(set, events, 4, time); /* a wait */
}

int sys_epoll_poll(int set, int64_t deadline)
{
    struct pollfd entry = {.fd = set, .events = POLLIN};
    return sys_poll(&entry, 1, deadline);
}

/*
 * After SIGSTOP and SIGCONT, with nothing caught, the kernel goes on with poll, but not with
 * epoll_wait.
 */
int sys_epoll_wait_for_signal(int set, int64_t deadline)
{
    int ready = sys_epoll_poll(set, deadline);
    return ready > 0 ? sys_epoll_wait(set, 0) : ready;
}

int sys_epoll_take_ready(int set, int *fds, int max)
{
    struct epoll_event events[SYS_EPOLL_READY_MAX];
    int count =
        epoll_wait_nocancel(set, events, max < SYS_EPOLL_READY_MAX ? max : SYS_EPOLL_READY_MAX, 0);
    for (int i = 0; i < count; i++)
        fds[i] = events[i].data.fd;
    return count;
}

bool sys_epoll_forget(int set, int other)
{
    struct epoll_event events[4];
    int saved = errno;
    bool has_ended = false;
    int count = epoll_wait_nocancel(set, events, 4, 0);
    for (int i = 0; i < count; i++)
        has_ended = has_ended || (events[i].data.fd == other &&
                                  (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    errno = saved;
    return has_ended;
}

/* Not known: poll is refused (RLIMIT_NOFILE 0), see sys_poll. Keeps errno. */
static enum sys_end poll_for_end(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLRDHUP};
    int saved = errno;
    int ready = poll_nocancel(&item, 1, 0);
    bool is_refused = ready < 0 && errno == EINVAL;
    errno = saved;
    return is_refused ? SYS_END_NOT_KNOWN : ready > 0 ? SYS_END : SYS_NO_END;
}

/* With nothing unread a peek finds the end. */
static enum sys_end peek_for_end(int fd)
{
    char byte;
    int saved = errno;
    ssize_t got = recv_nocancel(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    bool is_empty = got < 0 && errno == EAGAIN;
    errno = saved;
    return got == 0 ? SYS_END : is_empty ? SYS_NO_END : SYS_END_NOT_KNOWN;
}

enum sys_end sys_look_for_end(int fd)
{
    enum sys_end end = poll_for_end(fd);
    return end == SYS_END_NOT_KNOWN ? peek_for_end(fd) : end;
}

/* A write of nothing finds that the peer has closed, whatever is unread. */
static bool is_closed_by_peer(int fd)
{
    int saved = errno;
    bool is_closed = send_nocancel(fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE;
    errno = saved;
    return is_closed;
}

bool sys_local_hung_up(int fd)
{
    enum sys_end end = poll_for_end(fd);
    return end == SYS_END_NOT_KNOWN ? is_closed_by_peer(fd) : end == SYS_END;
}
