/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_socket.h"

#include <errno.h>
#include <sys/time.h>

#include "sys/sys_clock.h"
#include "sys/sys_net.h"

void sys_socket_set(int fd, int level, int name, int value)
{
    int saved = errno;
    setsockopt(fd, level, name, &value, sizeof value); /* without it the connection works as well */
    errno = saved;
}

void sys_socket_limit_waits(int fd, int64_t time)
{
    int64_t microseconds = time / (SYS_MILLISECOND / 1000);
    struct timeval limit = {.tv_sec = (time_t)(microseconds / 1000000),
                            .tv_usec = (suseconds_t)(microseconds % 1000000)};
    int saved = errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    errno = saved;
}

void sys_socket_end_linger(int fd)
{
    static const struct linger off = {.l_onoff = 0};
    struct linger found = {.l_onoff = 0};
    socklen_t size = sizeof found;
    int saved = errno;
    if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &found, &size) == 0 && found.l_onoff != 0 &&
        found.l_linger != 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    errno = saved;
}

size_t sys_socket_buffer(int fd)
{
    int saved = errno, bytes = 0;
    socklen_t size = sizeof bytes;
    bool is_known = getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size) == 0 && bytes > 0;
    errno = saved;
    return is_known ? (size_t)bytes : 0;
}
