/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_doorbell.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "sys/linux/sys_linux.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_epoll.h"
#include "sys/sys_io.h"
#include "sys/sys_pipe.h"
#include "sys/sys_poll.h"

/* As many as a pipe holds by default: a process that keeps filling it is not waited for. */
#define PIPE_READS     64
#define PIPE_READ_SIZE 1024
_Static_assert(PIPE_READS *PIPE_READ_SIZE == 65536, "what a pipe holds by default");

static bool is_eventfd(const int bell[2])
{
    return bell[0] == bell[1];
}

int sys_doorbell_open(int bell[2])
{
    bell[0] = bell[1] = sys_above_standard(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    if (bell[0] >= 0)
        return 0;
    return errno == ENOSYS || errno == EPERM ? sys_pipe(bell) : -1;
}

/* Adding nothing to the counter wakes those who wait for it, and has always room. */
static void ring_eventfd(int fd)
{
    static const uint64_t nothing = 0;
    while (write_nocancel(fd, &nothing, sizeof nothing) < 0 && errno == EINTR)
        continue;
}

/* A full one has been rung. */
static bool ring_pipe(int fd)
{
    struct iovec byte = {(void *)(uintptr_t) "", 1};
    bool has_rung = sys_writev(fd, SYS_PIPE, &byte, 1) > 0;
    return has_rung || (errno == EAGAIN ? !sys_has_room(fd) : errno != ENOMEM);
}

bool sys_doorbell_ring(const int bell[2])
{
    int saved = errno;
    bool has_rung = is_eventfd(bell) || ring_pipe(bell[1]);
    if (is_eventfd(bell))
        ring_eventfd(bell[1]);
    errno = saved;
    return has_rung;
}

int sys_epoll_add_doorbell(int set, const int bell[2])
{
    return sys_epoll_add(set, bell[0], is_eventfd(bell) ? EPOLLIN | EPOLLET : EPOLLIN);
}

void sys_doorbell_drain(const int bell[2])
{
    char drop[PIPE_READ_SIZE];
    int saved = errno;
    if (!is_eventfd(bell))
        for (int i = 0; i < PIPE_READS && sys_read(bell[0], SYS_PIPE, drop, sizeof drop) > 0; i++)
            continue;
    errno = saved;
}

bool sys_epoll_drain_doorbell(int set, const int bell[2], int other)
{
    int saved = errno;
    struct epoll_event events[4];
    sys_doorbell_drain(bell);
    int count = epoll_wait_nocancel(set, events, 4, 0);
    bool is_other = false;
    for (int i = 0; i < count; i++)
        is_other = is_other || events[i].data.fd == other;
    errno = saved;
    return is_other;
}

void sys_doorbell_close(int bell[2])
{
    if (bell[1] != bell[0])
        sys_close(bell[1]);
    sys_close(bell[0]);
    bell[0] = bell[1] = -1;
}
