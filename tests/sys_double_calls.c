/* SPDX-License-Identifier: MIT */
/*
 * The calls that take the place of those of src/sys.c. Whether one fails is decided in sys_double.c;
 * here it is done as the kernel would. The declarations of the real ones are weak: a call that the
 * linker was not asked to replace has none, and nobody needs it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "ledger.h"
#include "sys_double.h"
#include "wrapped_symbols.h"

/* The C library may have another symbol for a function: fstat64, for large files. */
#define REAL(name)    __asm__("__real_" SYMBOL_##name)
#define WRAPPED(name) __asm__("__wrap_" SYMBOL_##name)

/* Declares the real function and begins the one that takes its place. */
#define WRAP(type, name, ...)                                         \
    type __real_##name(__VA_ARGS__) REAL(name) __attribute__((weak)); \
    type __wrap_##name(__VA_ARGS__) WRAPPED(name);                    \
    type __wrap_##name(__VA_ARGS__)

/* Whether the call that this is in has to fail. */
#define DENIED(name) sys_double_denied(CALL_##name)

static struct {
    bool shorten, dry, virtual_time;
} shape;

static atomic_size_t mapped;
static atomic_ulong other_clocks;
static _Atomic int64_t clock_offset_us;
static _Thread_local unsigned polls;
static _Thread_local bool dried_up;

void sys_double_reset_calls(void)
{
    shape.shorten = shape.dry = shape.virtual_time = false;
    clock_offset_us = 0;
    other_clocks = 0;
    dried_up = false;
}

void sys_double_shorten(bool on)
{
    shape.shorten = on;
}

void sys_double_dry(bool on)
{
    shape.dry = on;
}

void sys_double_virtual_time(void)
{
    shape.virtual_time = true;
}

void sys_double_advance_ms(int64_t ms)
{
    clock_offset_us += ms * 1000;
}

unsigned long sys_double_other_clocks(void)
{
    return other_clocks;
}

/* --- Calls that only fail ------------------------------------------------------------------------------ */

WRAP(void *, malloc, size_t size)
{
    void *block = DENIED(malloc) ? NULL : __real_malloc(size);
    ledger_enter(block, size);
    return block;
}

WRAP(void *, calloc, size_t count, size_t size)
{
    void *block = DENIED(calloc) ? NULL : __real_calloc(count, size);
    ledger_enter(block, count * size);
    return block;
}

/* Out of the ledger before it is freed: from then on another thread may get the address. */
WRAP(void, free, void *block)
{
    size_t size;
    ledger_strike(block, &size);
    __real_free(block);
}

WRAP(void *, realloc, void *old, size_t size)
{
    size_t old_size = 0;
    if (DENIED(realloc))
        return NULL;
    bool ours = ledger_strike(old, &old_size) || old == NULL;
    void *block = __real_realloc(old, size);
    if (ours && (block != NULL || size > 0))
        ledger_enter(block != NULL ? block : old, block != NULL ? size : old_size);
    return block;
}

#define WRAP_INT(name, parameters, arguments)                      \
    int __real_##name parameters REAL(name) __attribute__((weak)); \
    int __wrap_##name parameters WRAPPED(name);                    \
    int __wrap_##name parameters                                   \
    {                                                              \
        return DENIED(name) ? -1 : __real_##name arguments;        \
    }

WRAP_INT(epoll_create1, (int flags), (flags))
WRAP_INT(epoll_ctl, (int set, int op, int fd, struct epoll_event *event), (set, op, fd, event))
WRAP_INT(eventfd, (unsigned value, int flags), (value, flags))
WRAP_INT(pipe2, (int fd[2], int flags), (fd, flags))
WRAP_INT(fstat, (int fd, struct stat *status), (fd, status))
WRAP_INT(getsockopt, (int fd, int level, int name, void *value, socklen_t *size),
         (fd, level, name, value, size))
WRAP_INT(getpeername, (int fd, struct sockaddr *address, socklen_t *size), (fd, address, size))
WRAP_INT(shutdown, (int fd, int how), (fd, how))
WRAP_INT(memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP_INT(ftruncate, (int fd, off_t size), (fd, size))
WRAP_INT(shm_open, (const char *name, int flags, mode_t mode), (name, flags, mode))
WRAP_INT(shm_unlink, (const char *name), (name))
WRAP_INT(timerfd_create, (int clock, int flags), (clock, flags))
WRAP_INT(timerfd_settime,
         (int fd, int flags, const struct itimerspec *spec, struct itimerspec *old),
         (fd, flags, spec, old))
WRAP_INT(sigpending, (sigset_t * set), (set))
WRAP_INT(sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout),
         (set, info, timeout))

WRAP_INT(mkdirat, (int directory, const char *name, mode_t mode), (directory, name, mode))
WRAP_INT(mkfifoat, (int directory, const char *name, mode_t mode), (directory, name, mode))
WRAP_INT(unlinkat, (int directory, const char *name, int flags), (directory, name, flags))
WRAP_INT(fstatat, (int directory, const char *name, struct stat *status, int flags),
         (directory, name, status, flags))
WRAP_INT(renameat, (int from_directory, const char *from, int to_directory, const char *to),
         (from_directory, from, to_directory, to))
WRAP_INT(fchmodat, (int directory, const char *name, mode_t mode, int flags),
         (directory, name, mode, flags))
WRAP_INT(utimensat, (int directory, const char *name, const struct timespec times[2], int flags),
         (directory, name, times, flags))
WRAP_INT(kill, (pid_t pid, int signal_number), (pid, signal_number))
WRAP_INT(closedir, (DIR * list), (list))

WRAP(int, openat, int directory, const char *name, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    unsigned mode = (flags & O_CREAT) != 0 ? va_arg(list, unsigned) : 0;
    va_end(list);
    return DENIED(openat) ? -1 : __real_openat(directory, name, flags, mode);
}

WRAP(DIR *, fdopendir, int fd)
{
    return DENIED(fdopendir) ? NULL : __real_fdopendir(fd);
}

WRAP(struct dirent *, readdir, DIR *list)
{
    return DENIED(readdir) ? NULL : __real_readdir(list);
}

WRAP_INT(socket, (int family, int type, int protocol), (family, type, protocol))
WRAP_INT(bind, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
WRAP_INT(listen, (int fd, int backlog), (fd, backlog))
WRAP_INT(accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags),
         (fd, address, size, flags))
WRAP_INT(connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
WRAP_INT(getsockname, (int fd, struct sockaddr *address, socklen_t *size), (fd, address, size))
WRAP_INT(setsockopt, (int fd, int level, int name, const void *value, socklen_t size),
         (fd, level, name, value, size))

WRAP(ssize_t, getrandom, void *bytes, size_t size, unsigned flags)
{
    return DENIED(getrandom) ? -1 : __real_getrandom(bytes, size, flags);
}

/* These return their error. */
WRAP(int, posix_fallocate, int fd, off_t offset, off_t size)
{
    int error = sys_double_refusal(CALL_posix_fallocate);
    return error != 0 ? error : __real_posix_fallocate(fd, offset, size);
}

WRAP(int, pthread_sigmask, int how, const sigset_t *set, sigset_t *old)
{
    int error = sys_double_refusal(CALL_pthread_sigmask);
    return error != 0 ? error : __real_pthread_sigmask(how, set, old);
}

WRAP(int, getnameinfo, const struct sockaddr *address, socklen_t length, char *host,
     socklen_t host_size, char *port, socklen_t port_size, int flags)
{
    int error = sys_double_refusal(CALL_getnameinfo);
    return error != 0
               ? error
               : __real_getnameinfo(address, length, host, host_size, port, port_size, flags);
}

WRAP(int, getaddrinfo, const char *host, const char *service, const struct addrinfo *hints,
     struct addrinfo **list)
{
    int error = sys_double_refusal(CALL_getaddrinfo);
    return error != 0 ? error : __real_getaddrinfo(host, service, hints, list);
}

WRAP(void, freeaddrinfo, struct addrinfo *list)
{
    __real_freeaddrinfo(list);
}

/* Their last arguments fit a long, whatever they are. */
WRAP(int, fcntl, int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long argument = va_arg(list, long);
    va_end(list);
    return DENIED(fcntl) ? -1 : __real_fcntl(fd, command, argument);
}

WRAP(int, ioctl, int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    return DENIED(ioctl) ? -1 : __real_ioctl(fd, request, argument);
}

/* Where the C library has no function for them (src/sys_linux.h). */
static enum sys_double_call call_of(long number)
{
    return number == SYS_preadv2    ? CALL_preadv2
           : number == SYS_pwritev2 ? CALL_pwritev2
                                    : CALL_syscall;
}

WRAP(long, syscall, long number, ...)
{
    long argument[6];
    va_list list;
    va_start(list, number);
    for (size_t i = 0; i < 6; i++)
        argument[i] = va_arg(list, long);
    va_end(list);
    return sys_double_denied(call_of(number))
               ? -1
               : __real_syscall(number, argument[0], argument[1], argument[2], argument[3],
                                argument[4], argument[5]);
}

WRAP(void *, mmap, void *where, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (DENIED(mmap))
        return MAP_FAILED;
    void *memory = __real_mmap(where, size, protection, flags, fd, offset);
    if (memory != MAP_FAILED && (flags & MAP_FIXED) == 0)
        mapped += size;
    return memory;
}

/* Mappings that a child of this process does not get; those of an ancestor are not here. */
static struct {
    _Atomic(void *) memory;
    size_t size;
    pid_t pid;
} unforked[256];
enum { UNFORKED = sizeof unforked / sizeof unforked[0] };

static void keep_from_children(void *memory, size_t size)
{
    for (size_t i = 0; i < UNFORKED; i++) {
        void *old = unforked[i].memory;
        if ((old == NULL || unforked[i].pid != getpid()) &&
            atomic_compare_exchange_strong(&unforked[i].memory, &old, memory)) {
            unforked[i].size = size;
            unforked[i].pid = getpid();
            mapped -= size;
            return;
        }
    }
    abort();
}

static bool was_kept_from_children(void *memory)
{
    for (size_t i = 0; i < UNFORKED; i++) {
        void *old = memory;
        if (unforked[i].memory == memory && unforked[i].pid == getpid() &&
            atomic_compare_exchange_strong(&unforked[i].memory, &old, NULL))
            return true;
    }
    return false;
}

size_t harness_mapped_bytes(void)
{
    size_t here = mapped;
    for (size_t i = 0; i < UNFORKED; i++)
        if (unforked[i].memory != NULL && unforked[i].pid == getpid())
            here += unforked[i].size;
    return here;
}

WRAP(int, madvise, void *memory, size_t size, int advice)
{
    int result = DENIED(madvise) ? -1 : __real_madvise(memory, size, advice);
    if (result == 0 && advice == MADV_DONTFORK)
        keep_from_children(memory, size);
    return result;
}

WRAP(int, munmap, void *memory, size_t size)
{
    bool is_kept = was_kept_from_children(memory);
    int result = DENIED(munmap) ? -1 : __real_munmap(memory, size);
    if (result == 0 && !is_kept)
        mapped -= size;
    return result;
}

/* What Linux does: the descriptor is gone, whatever close says. */
WRAP(int, close, int fd)
{
    bool fails = DENIED(close);
    int error = errno;
    int result = __real_close(fd);
    if (sys_double_armed() && result != 0 && errno == EBADF)
        sys_double_count_bad_close();
    if (fails) {
        errno = error;
        return -1;
    }
    return result;
}

/* --- Reading and writing -------------------------------------------------------------------------------- */

static bool is_stream(int fd, bool *pipe)
{
    struct stat status;
    if (!sys_double_armed() || (!shape.shorten && !shape.dry) || __real_fstat(fd, &status) != 0)
        return false;
    *pipe = S_ISFIFO(status.st_mode);
    return *pipe || S_ISSOCK(status.st_mode) || S_ISREG(status.st_mode);
}

/* Whether this call, the first after a poll, finds nothing after all. */
static bool finds_nothing(int fd)
{
    bool pipe;
    if (!dried_up || !shape.dry || !is_stream(fd, &pipe))
        return false;
    dried_up = false;
    errno = EAGAIN;
    return true;
}

/* A pipe takes up to PIPE_BUF bytes at once or not at all, and the library may rely on it. */
static size_t shortened(int fd, size_t size, bool writing)
{
    bool pipe;
    if (size < 2 || !shape.shorten || !is_stream(fd, &pipe) ||
        (writing && pipe && size <= PIPE_BUF))
        return size;
    return 1 + harness_random_below(size - 1);
}

static size_t total_of(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

/* The first `size` bytes of parts; returns how many parts those are. */
static int cut(const struct iovec *parts, int count, size_t size, struct iovec cut_parts[IOV_MAX])
{
    int used = 0;
    while (used < count && used < IOV_MAX && size > 0) {
        cut_parts[used] = parts[used];
        if (cut_parts[used].iov_len > size)
            cut_parts[used].iov_len = size;
        size -= cut_parts[used++].iov_len;
    }
    return used;
}

/* It waits where nothing says that it must not. */
static void note_wait_in_read(int fd)
{
    if (!sys_double_armed())
        return;
    if ((__real_fcntl(fd, F_GETFL) & O_NONBLOCK) != 0)
        sys_double_assert_no_point(CALL_read);
    else
        sys_double_step_before_wait();
}

WRAP(ssize_t, read, int fd, void *buffer, size_t size)
{
    if (DENIED(read) || finds_nothing(fd))
        return -1;
    note_wait_in_read(fd);
    return __real_read(fd, buffer, shortened(fd, size, false));
}

WRAP(ssize_t, recv, int fd, void *buffer, size_t size, int flags)
{
    if (DENIED(recv) || finds_nothing(fd))
        return -1;
    return __real_recv(fd, buffer, shortened(fd, size, false), flags);
}

WRAP(ssize_t, write, int fd, const void *buffer, size_t size)
{
    if (DENIED(write) || finds_nothing(fd))
        return -1;
    return __real_write(fd, buffer, shortened(fd, size, true));
}

WRAP(ssize_t, send, int fd, const void *buffer, size_t size, int flags)
{
    if (DENIED(send) || finds_nothing(fd))
        return -1;
    return __real_send(fd, buffer, shortened(fd, size, true), flags);
}

#define WRAP_VECTOR(name, writing, parameters, arguments)                            \
    ssize_t __real_##name parameters REAL(name) __attribute__((weak));               \
    ssize_t __wrap_##name parameters WRAPPED(name);                                  \
    ssize_t __wrap_##name parameters                                                 \
    {                                                                                \
        struct iovec cut_parts[IOV_MAX];                                             \
        if (DENIED(name) || finds_nothing(fd))                                       \
            return -1;                                                               \
        size_t total = total_of(parts, count), size = shortened(fd, total, writing); \
        if (size < total) {                                                          \
            count = cut(parts, count, size, cut_parts);                              \
            parts = cut_parts;                                                       \
        }                                                                            \
        return __real_##name arguments;                                              \
    }

WRAP_VECTOR(readv, false, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WRAP_VECTOR(writev, true, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WRAP_VECTOR(preadv2, false, (int fd, const struct iovec *parts, int count, off_t offset, int flags),
            (fd, parts, count, offset, flags))
WRAP_VECTOR(pwritev2, true, (int fd, const struct iovec *parts, int count, off_t offset, int flags),
            (fd, parts, count, offset, flags))

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
    struct iovec cut_parts[IOV_MAX];
    struct msghdr less = *message;
    if (DENIED(sendmsg) || finds_nothing(fd))
        return -1;
    size_t total = total_of(less.msg_iov, (int)less.msg_iovlen);
    size_t size = shortened(fd, total, true);
    if (size < total) {
        less.msg_iovlen = (size_t)cut(less.msg_iov, (int)less.msg_iovlen, size, cut_parts);
        less.msg_iov = cut_parts;
    }
    return __real_sendmsg(fd, &less, flags);
}

/* --- Waiting and the clock -------------------------------------------------------------------------------- */

WRAP(int, clock_gettime, clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);
    if (sys_double_armed() && clock != CLOCK_MONOTONIC)
        other_clocks++;
    if (sys_double_armed() && result == 0 && clock == CLOCK_MONOTONIC) {
        int64_t us = now->tv_nsec / 1000 + clock_offset_us % 1000000 + 1000000;
        now->tv_sec += (time_t)(clock_offset_us / 1000000 + us / 1000000 - 1);
        now->tv_nsec = (long)(us % 1000000) * 1000 + now->tv_nsec % 1000;
    }
    return result;
}

/* How long the real call may wait. A wait that reports something still takes some time, so that
 * whoever turns round and round comes to his deadline. */
static int real_timeout(int timeout)
{
    return sys_double_armed() && shape.virtual_time ? 0 : timeout;
}

static int waited(int ready, int timeout)
{
    if (!sys_double_armed())
        return ready;
    if (ready > 0 && shape.dry && timeout != 0) /* a look is what it is: nobody else reads */
        dried_up = polls++ % 2 == 0;
    if (!shape.virtual_time)
        return ready;
    if (ready == 0 && timeout < 0) {
        fprintf(stderr, "waits for ever for what will not come\n");
        abort();
    }
    clock_offset_us += ready == 0 ? (int64_t)timeout * 1000 : 100;
    return ready;
}

WRAP(int, nanosleep, const struct timespec *time, struct timespec *left)
{
    if (time->tv_sec == 0 && time->tv_nsec == 0)
        sys_double_assert_no_point(CALL_nanosleep);
    return DENIED(nanosleep) ? -1 : __real_nanosleep(time, left);
}

WRAP(int, poll, struct pollfd *fds, nfds_t count, int timeout)
{
    if (timeout == 0)
        sys_double_assert_no_point(CALL_poll);
    if (DENIED(poll))
        return -1;
    while (timeout != 0 && sys_double_step_before_wait() && __real_poll(fds, count, 0) == 0)
        continue;
    return waited(__real_poll(fds, count, real_timeout(timeout)), timeout);
}

WRAP(int, epoll_wait, int set, struct epoll_event *events, int count, int timeout)
{
    if (timeout == 0)
        sys_double_assert_no_point(CALL_epoll_wait);
    if (DENIED(epoll_wait))
        return -1;
    if (timeout != 0)
        sys_double_step_before_wait();
    return waited(__real_epoll_wait(set, events, count, real_timeout(timeout)), timeout);
}
