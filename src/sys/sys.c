/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "sys/sys_cancel.h"
#include "sys/sys_signal.h"

/* As many as a pipe holds by default: who keeps filling it is not waited for. */
#define PIPE_READS 16

const uint32_t sys_epoll_in = EPOLLIN, sys_epoll_out = EPOLLOUT, sys_epoll_edge = EPOLLET,
               sys_epoll_end = EPOLLRDHUP;

/* ---- memory and time ---- */

void *sys_alloc(size_t size)
{
    return malloc(size > 0 ? size : 1);
}

void *sys_realloc(void *old, size_t size)
{
    return realloc(old, size);
}

void sys_free(void *memory)
{
    int saved = errno;
    free(memory);
    errno = saved;
}

int64_t sys_now(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void sys_pause(int64_t nanoseconds)
{
    struct timespec pause = {.tv_sec = (time_t)(nanoseconds / 1000000000),
                             .tv_nsec = (long)(nanoseconds % 1000000000)};
    int saved = errno;
    if (nanoseconds > 0)
        nanosleep(&pause, NULL); /* a wait */
    else
        nanosleep_nocancel(&pause, NULL);
    errno = saved;
}

/* ---- descriptors ---- */

int sys_above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int moved = fcntl_nocancel(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0 && errno == EINVAL)
        errno = EMFILE; /* the limit on descriptors is as low as that */
    sys_close(fd);
    return moved;
}

int sys_room_above_standard(int fd)
{
    int standard = 0;
    while (standard <= STDERR_FILENO && fcntl_nocancel(standard, F_GETFD, 0) >= 0)
        standard++;
    if (standard > STDERR_FILENO)
        return 0; /* the usual case: what is opened next lies above */
    int probe = fcntl_nocancel(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (probe < 0 && errno == EINVAL)
        errno = EMFILE;
    sys_close(probe);
    return probe < 0 ? -1 : 0;
}

static int socket_kind(int fd, enum sys_kind *kind)
{
    int type = 0, listens = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0)
        return -1;
    if (type != SOCK_STREAM || listens != 0) {
        errno = EINVAL;
        return -1;
    }
    *kind = SYS_SOCKET;
    return 0;
}

int sys_kind(int fd, enum sys_kind *kind)
{
    struct stat status;
    if (fstat_nocancel(fd, &status) != 0)
        return -1;
    if (S_ISSOCK(status.st_mode))
        return socket_kind(fd, kind);
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    if (S_ISFIFO(status.st_mode))
        *kind = sys_kind_of_fifo(status.st_dev);
    else
        *kind = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) ? SYS_FILE : SYS_OTHER;
    return 0;
}

int sys_access_mode(int fd)
{
    int flags = fcntl_nocancel(fd, F_GETFL, 0);
    return flags < 0 ? -1 : flags & O_ACCMODE;
}

int sys_pipe(int fd[2])
{
    if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    fd[0] = sys_above_standard(fd[0]);
    if (fd[0] >= 0)
        fd[1] = sys_above_standard(fd[1]);
    if (fd[0] >= 0 && fd[1] >= 0)
        return 0;
    sys_close(fd[0]);
    sys_close(fd[1]);
    return -1;
}

void sys_close(int fd)
{
    int saved = errno;
    if (fd >= 0)
        close_nocancel(fd); /* never repeated: after EINTR the number may be somebody else's */
    errno = saved;
}

int sys_nonblock(int fd, bool on)
{
    int flags = fcntl_nocancel(fd, F_GETFL, 0);
    if (flags < 0)
        return -1;
    bool was = (flags & O_NONBLOCK) != 0;
    if (was != on && fcntl_nocancel(fd, F_SETFL, flags ^ O_NONBLOCK) != 0)
        return -1;
    return was;
}

int sys_shutdown_write(int fd)
{
    return shutdown(fd, SHUT_WR);
}

/* ---- waiting ---- */

/* Milliseconds for poll, rounded up: a wait that ends early would only go round once more. */
static int milliseconds_until(int64_t deadline)
{
    if (deadline < 0)
        return -1;
    int64_t left = deadline - sys_now();
    if (left <= 0)
        return 0;
    int64_t rounded = (left + 999999) / 1000000;
    return rounded > INT_MAX ? INT_MAX : (int)rounded;
}

int sys_poll(struct pollfd *fds, nfds_t count, int64_t deadline)
{
    int time = milliseconds_until(deadline);
    return time == 0 ? poll_nocancel(fds, count, 0) : poll(fds, count, time); /* a wait */
}

bool sys_hung_up(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLRDHUP};
    int saved = errno;
    bool is_over = poll_nocancel(&item, 1, 0) > 0;
    errno = saved;
    return is_over;
}

bool sys_has_unread(int fd)
{
    int size = 0, saved = errno;
    bool unread = fionread_nocancel(fd, &size) == 0 && size > 0;
    errno = saved;
    return unread;
}

int sys_epoll_open(void)
{
    return sys_above_standard(epoll_create1(EPOLL_CLOEXEC));
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
    int time = milliseconds_until(deadline);
    return time == 0 ? epoll_wait_nocancel(set, events, 4, 0)
                     : epoll_wait(set, events, 4, time); /* a wait */
}

/* After SIGSTOP and SIGCONT, with nothing caught, the kernel goes on with poll, but not with epoll_wait. */
int sys_epoll_wait_for_signal(int set, int64_t deadline)
{
    struct pollfd entry = {.fd = set, .events = POLLIN};
    int ready = sys_poll(&entry, 1, deadline);
    return ready > 0 ? sys_epoll_wait(set, 0) : ready;
}

/* ---- doorbells ---- */

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
void sys_doorbell_ring(const int bell[2])
{
    static const uint64_t nothing = 0;
    struct iovec byte = {(void *)(uintptr_t) "", 1};
    int saved = errno;
    if (!is_eventfd(bell))
        sys_writev(bell[1], SYS_PIPE, &byte, 1);
    else
        while (write_nocancel(bell[1], &nothing, sizeof nothing) < 0 && errno == EINTR)
            continue;
    errno = saved;
}

int sys_epoll_add_doorbell(int set, const int bell[2])
{
    return sys_epoll_add(set, bell[0], is_eventfd(bell) ? EPOLLIN | EPOLLET : EPOLLIN);
}

void sys_doorbell_drain(const int bell[2])
{
    char drop[4096];
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

/* ---- shared memory ---- */

/*
 * The size may be beyond the limit on the size of files: EFBIG, and the kernel would send SIGXFSZ. On a file
 * system that is full it is better told now than by SIGBUS later.
 */
static int give_size(int fd, size_t size, bool is_on_disk)
{
    struct sys_blocked blocked;
    if (sys_signal_block(&blocked, SIGXFSZ) != 0)
        return -1;
    int failed =
        is_on_disk ? posix_fallocate_nocancel(fd, 0, (off_t)size) : ftruncate(fd, (off_t)size);
    if (is_on_disk)
        errno = failed;
    sys_signal_restore(&blocked, failed != 0 && errno == EFBIG);
    return failed == 0 ? 0 : -1;
}

static int memory_by_name(void)
{
    static atomic_uint serial;
    char name[64];
    int fd;
    do {
        snprintf(name, sizeof name, "/pipc-%ld-%llx-%u", (long)getpid(),
                 (unsigned long long)sys_now(), atomic_fetch_add(&serial, 1));
        fd = shm_open_nocancel(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    } while (fd < 0 && errno == EEXIST);
    if (fd >= 0)
        shm_unlink(name);
    return fd;
}

int sys_memory_open(size_t size)
{
    int fd = memfd_create("pipc", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool is_named = fd < 0 && (errno == ENOSYS || errno == EPERM);
    fd = sys_above_standard(is_named ? memory_by_name() : fd);
    if (fd < 0)
        return -1;
    if (give_size(fd, size, is_named) != 0) {
        sys_close(fd);
        return -1;
    }
    /*
     * Whoever else has the descriptor must not be able to take pages away; where sealing is refused
     * it still works.
     */
    if (!is_named)
        fcntl_nocancel(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return fd;
}

/* After mlockall, more than may be locked is EAGAIN. */
static void *map(void *where, size_t size, int protection, int flags, int fd, size_t offset)
{
    void *memory = mmap(where, size, protection, flags, fd, (off_t)offset);
    if (memory == MAP_FAILED && errno == EAGAIN)
        errno = ENOMEM;
    return memory == MAP_FAILED ? NULL : memory;
}

static int map_at(uint8_t *where, size_t size, int fd, size_t offset)
{
    void *got = map(where, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);
    return got == NULL ? -1 : 0;
}

void *sys_memory_map(int fd, size_t head, size_t ring, int rings)
{
    size_t size = head + (size_t)rings * 2 * ring;
    uint8_t *memory = map(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == NULL)
        return NULL;
    int failed = map_at(memory, head, fd, 0);
    uint8_t *where = memory + head;
    for (int i = 0; i < rings && failed == 0; i++)
        for (int copy = 0; copy < 2 && failed == 0; copy++, where += ring)
            failed = map_at(where, ring, fd, head + (size_t)i * ring);
    if (failed != 0) {
        sys_memory_unmap(memory, head, ring, rings);
        return NULL;
    }
    return memory;
}

void sys_memory_unmap(void *memory, size_t head, size_t ring, int rings)
{
    int saved = errno;
    munmap(memory, head + (size_t)rings * 2 * ring);
    errno = saved;
}

size_t sys_page(void)
{
    long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (size_t)size : 4096;
}

/* ---- time that can be polled, and fork ---- */

int sys_ticker_open(int64_t nanoseconds)
{
    struct timespec interval = {.tv_sec = (time_t)(nanoseconds / 1000000000),
                                .tv_nsec = (long)(nanoseconds % 1000000000)};
    struct itimerspec periodic = {.it_interval = interval, .it_value = interval};
    int fd = sys_above_standard(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (fd >= 0 && timerfd_settime(fd, 0, &periodic, NULL) != 0) {
        sys_close(fd);
        return -1;
    }
    return fd;
}

void sys_ticker_drain(int ticker)
{
    uint64_t ticks;
    int saved = errno;
    while (read_nocancel(ticker, &ticks, sizeof ticks) < 0 && errno == EINTR)
        continue;
    errno = saved;
}

void *sys_page_wiped_on_fork(void)
{
    size_t size = sys_page();
    void *page = map(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == NULL)
        return NULL;
#ifdef MADV_WIPEONFORK
    if (madvise(page, size, MADV_WIPEONFORK) == 0)
        return page;
#endif
    munmap(page, size);
    return NULL;
}
