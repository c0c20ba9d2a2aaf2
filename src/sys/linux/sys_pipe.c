/* SPDX-License-Identifier: MIT */
/*
 * Pipes made in one call, and read and written with flags of their own: RWF_NOWAIT (Linux 6.4) and
 * RWF_NOSIGNAL (6.18).
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/linux/sys_linux.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_signal.h"

const int sys_fifo_read_flags = O_NOATIME;

int sys_pipe(int fd[2])
{
    if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    return sys_both_above_standard(fd);
}

void sys_pipe_set_size(int fd, int size)
{
    int saved = errno;
    fcntl_nocancel(fd, F_SETPIPE_SZ, size);
    errno = saved;
}

/* ---- what the kernel takes ---- */

enum { NO_NOWAIT_READ = 1, NO_NOWAIT_WRITE = 2, NO_NOSIGNAL = 4 };

/* The device that pipes without a name live on (0: not known), and what is refused on them. */
static _Atomic dev_t pipe_device;
static atomic_uint refused;

static bool is_known_to_refuse(unsigned what)
{
    return (atomic_load_explicit(&refused, memory_order_relaxed) & what) != 0;
}

/* The kernel, or a filter in front of it, does not know the call or the flag. */
static bool is_refused(ssize_t result)
{
    return result < 0 &&
           (errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM || errno == EINVAL);
}

static ssize_t read_with_flags(int fd, void *buffer, size_t size, int flags)
{
    struct iovec part = {buffer, size};
    ssize_t got;
    do
        got = preadv2_nocancel(fd, &part, 1, -1, flags);
    while (got < 0 && errno == EINTR);
    return got;
}

static ssize_t write_with_flags(int fd, const struct iovec *parts, int count, int flags)
{
    ssize_t sent;
    do
        sent = pwritev2_nocancel(fd, parts, count, -1, flags);
    while (sent < 0 && errno == EINTR);
    return sent;
}

/*
 * Asked once in the life of the process, through a pipe of our own. What is refused later, to one
 * descriptor or by a filter that was set up meanwhile, is not noted, and costs one call each time.
 */
static bool ask_kernel(void)
{
    static atomic_bool asked;
    int fd[2];
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct stat status;
    if (atomic_load(&asked))
        return true;
    if (sys_pipe(fd) != 0)
        return false;
    unsigned answer = 0;
    if (is_refused(write_with_flags(fd[1], &part, 1, RWF_NOSIGNAL)))
        answer |= NO_NOSIGNAL;
    if (is_refused(write_with_flags(fd[1], &part, 1, RWF_NOWAIT)))
        answer |= NO_NOWAIT_WRITE;
    if (is_refused(read_with_flags(fd[0], &byte, 1, RWF_NOWAIT)))
        answer |= NO_NOWAIT_READ;
    atomic_store(&refused, answer);
    bool known = fstat_nocancel(fd[0], &status) == 0;
    if (known)
        atomic_store(&pipe_device, status.st_dev);
    sys_close(fd[0]);
    sys_close(fd[1]);
    atomic_store(&asked, known);
    return known;
}

/*
 * Kernels that know RWF_NOWAIT here raise an edge for each write. Two pages count little against
 * what a user's pipes may hold; while one is empty, poll says that there is room.
 */
int sys_pipe_doorbell(int fd[2])
{
    if (!ask_kernel())
        return -1;
    if (is_known_to_refuse(NO_NOWAIT_READ | NO_NOWAIT_WRITE)) {
        errno = ENOSYS;
        return -1;
    }
    if (sys_pipe(fd) != 0)
        return -1;
    sys_pipe_set_size(fd[0], 2 * SYS_PIPE_DOORBELL_SIZE);
    return 0;
}

/* Asks no file system, as fstat does, which can take its time. */
bool sys_pipe_is_end(int fd, bool writes)
{
    int saved = errno;
    int flags = fcntl_nocancel(fd, F_GETFL, 0);
    bool is_end = flags >= 0 && (flags & (O_ACCMODE | O_PATH)) == (writes ? O_WRONLY : O_RDONLY) &&
                  fcntl_nocancel(fd, F_GETPIPE_SZ, 0) >= SYS_PIPE_DOORBELL_SIZE;
    errno = saved;
    return is_end;
}

/* One that was opened by its name in /proc takes no RWF_NOWAIT. */
bool sys_pipe_can_be_doorbell(int fd, bool writes)
{
    char byte = 0;
    struct iovec part = {&byte, 1};
    int saved = errno;
    bool can = sys_pipe_is_end(fd, writes) &&
               (writes ? sys_pipe_write_nowait(fd, &part, 1)
                       : sys_pipe_read_nowait(fd, &byte, 1)) != SYS_PIPE_REFUSED;
    errno = saved;
    return can;
}

bool sys_pipe_is_nameless(dev_t device)
{
    int saved = errno;
    bool known = ask_kernel();
    errno = saved;
    return known && atomic_load(&pipe_device) == device;
}

bool sys_pipe_has_nowait(void)
{
    return !is_known_to_refuse(NO_NOWAIT_READ | NO_NOWAIT_WRITE);
}

/* ---- reading and writing ---- */

ssize_t sys_pipe_read_nowait(int fd, void *buffer, size_t size)
{
    if (is_known_to_refuse(NO_NOWAIT_READ))
        return SYS_PIPE_REFUSED;
    ssize_t got = read_with_flags(fd, buffer, size, RWF_NOWAIT);
    return is_refused(got) ? SYS_PIPE_REFUSED : got;
}

ssize_t sys_pipe_write_nosignal(int fd, const struct iovec *parts, int count)
{
    if (is_known_to_refuse(NO_NOSIGNAL))
        return SYS_PIPE_REFUSED;
    ssize_t sent = write_with_flags(fd, parts, count, RWF_NOSIGNAL);
    return is_refused(sent) ? SYS_PIPE_REFUSED : sent;
}

static ssize_t write_nowait_masked(int fd, const struct iovec *parts, int count)
{
    struct sys_blocked blocked;
    sys_signal_block(&blocked, SIGPIPE);
    ssize_t sent = write_with_flags(fd, parts, count, RWF_NOWAIT);
    sys_signal_restore(&blocked, sent < 0 && errno == EPIPE);
    return sent;
}

ssize_t sys_pipe_write_nowait(int fd, const struct iovec *parts, int count)
{
    if (is_known_to_refuse(NO_NOWAIT_WRITE))
        return SYS_PIPE_REFUSED;
    if (!is_known_to_refuse(NO_NOSIGNAL)) {
        ssize_t sent = write_with_flags(fd, parts, count, RWF_NOSIGNAL | RWF_NOWAIT);
        if (!is_refused(sent))
            return sent;
    }
    ssize_t sent = write_nowait_masked(fd, parts, count);
    return is_refused(sent) ? SYS_PIPE_REFUSED : sent;
}
