/* SPDX-License-Identifier: MIT */
/* A doorbell is a pipe, whose two ends this process has: a write finds a reader. */
#ifdef PIPC_OTHER_SYSTEM /* sys.h */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_doorbell.h"

#include <errno.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_io.h"
#include "sys/sys_pipe.h"
#include "sys/sys_poll.h"

/* As many as a pipe holds: a process that keeps filling it is not waited for. */
enum { PIPE_READS = 16, PIPE_READ_SIZE = 4096 };

int sys_doorbell_open(int bell[2])
{
    return sys_pipe(bell);
}

/* A full one has been rung. Where there is room for a byte, writing it does not wait. */
static bool ring(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    int ready;
    ssize_t sent;
    do
        ready = sys_poll(&entry, 1, 0);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return ready == 0;
    do
        sent = write_nocancel(fd, "", 1);
    while (sent < 0 && errno == EINTR);
    return sent > 0 || errno != ENOMEM;
}

bool sys_doorbell_ring(const int bell[2])
{
    int saved = errno;
    bool has_rung = ring(bell[1]);
    errno = saved;
    return has_rung;
}

void sys_doorbell_drain(const int bell[2])
{
    char drop[PIPE_READ_SIZE];
    int saved = errno;
    ssize_t got = PIPE_READ_SIZE;
    for (int i = 0; i < PIPE_READS && got == PIPE_READ_SIZE; i++)
        got = sys_read(bell[0], SYS_PIPE, drop, sizeof drop);
    errno = saved;
}

void sys_doorbell_close(int bell[2])
{
    sys_close(bell[1]);
    sys_close(bell[0]);
    bell[0] = bell[1] = -1;
}
#endif
