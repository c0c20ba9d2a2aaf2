/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_poll.h"
#include "sys/sys_signal.h"

#define LOG_FLAGS  (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
#define ANEW_FLAGS (O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* ---- opening ---- */

/* Opening is an act on some devices and FIFOs; a tape rewinds. So what is there is looked at. */
static bool is_something_else(const char *path)
{
    struct stat there;
    return fstatat_nocancel(AT_FDCWD, path, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           !S_ISREG(there.st_mode);
}

static int describe(struct sys_log *log, int fd)
{
    struct stat there;
    if (fd < 0 || fstat_nocancel(fd, &there) != 0)
        return -1;
    *log = (struct sys_log){.fd = fd,
                            .is_file = S_ISREG(there.st_mode),
                            .is_pipe = S_ISFIFO(there.st_mode),
                            .is_socket = S_ISSOCK(there.st_mode),
                            .is_terminal = S_ISCHR(there.st_mode) && isatty(fd) == 1,
                            .device = (uint64_t)there.st_dev,
                            .inode = (uint64_t)there.st_ino};
    return 0;
}

int sys_log_open(struct sys_log *log, const char *path)
{
    if (is_something_else(path)) {
        errno = EINVAL;
        return -1;
    }
    int fd;
    do
        fd = create_nocancel(path, LOG_FLAGS, 0600);
    while (fd < 0 && errno == EINTR);
    fd = sys_above_standard(fd);
    if (describe(log, fd) == 0 && log->is_file)
        return 0;
    sys_close(fd);
    errno = EINVAL;
    return -1;
}

/*
 * O_NONBLOCK would belong to all programs that have the open file: so a terminal or a pipe is
 * opened once more. Where that is refused, as after su, /dev/tty may be the same terminal.
 */
static int open_anew(const struct sys_log *log, int fd)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = openat_nocancel(AT_FDCWD, path, ANEW_FLAGS);
    if (own < 0 && log->is_terminal && tcgetpgrp(fd) >= 0)
        own = openat_nocancel(AT_FDCWD, "/dev/tty", ANEW_FLAGS);
    return sys_above_standard(own);
}

/* A terminal with room for a byte is ready for poll, and a whole line would wait there. */
int sys_log_open_copy(struct sys_log *log, int fd)
{
    if (describe(log, fd) != 0)
        return -1;
    int own = log->is_terminal || log->is_pipe ? open_anew(log, fd) : -1;
    if (own < 0 && !log->is_terminal)
        own = fcntl_nocancel(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (describe(log, own) == 0)
        return 0;
    sys_close(own);
    return -1;
}

void sys_log_close(const struct sys_log *log)
{
    sys_close(log->fd);
}

/* ---- writing ---- */

static bool is_still_there(const struct sys_log *log)
{
    struct sys_log now;
    return describe(&now, log->fd) == 0 && now.device == log->device && now.inode == log->inode;
}

/* Whoever reads the program's standard error may have stopped to do so. */
static bool has_room(const struct sys_log *log)
{
    struct pollfd entry = {.fd = log->fd, .events = POLLOUT};
    return log->is_file ||
           (sys_poll(&entry, 1, 0) > 0 && (entry.revents & (POLLERR | POLLHUP)) == 0);
}

static ssize_t write_some(const struct sys_log *log, const char *line, size_t size)
{
    return log->is_socket ? send_nocancel(log->fd, line, size, MSG_DONTWAIT)
                          : write_nocancel(log->fd, line, size);
}

/* A process in the background may write to its terminal while SIGTTOU is blocked. */
static void write_line(const struct sys_log *log, const char *line, size_t size)
{
    struct sys_blocked blocked;
    int signal_number = log->is_file ? SIGXFSZ : log->is_terminal ? SIGTTOU : SIGPIPE;
    int error = log->is_file ? EFBIG : EPIPE;
    ssize_t sent;
    sys_signal_block(&blocked, signal_number);
    do
        sent = write_some(log, line, size);
    while (sent < 0 && errno == EINTR);
    sys_signal_restore(&blocked, sent < 0 && errno == error);
}

bool sys_log_write(const struct sys_log *log, const char *line, size_t size)
{
    int saved = errno;
    bool is_there = is_still_there(log);
    if (is_there && has_room(log))
        write_line(log, line, size);
    errno = saved;
    return is_there;
}
