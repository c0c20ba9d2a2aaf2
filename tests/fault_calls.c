/* SPDX-License-Identifier: MIT */
/*
 * The wrappers of the calls that neither transfer messages nor wait. fault.c decides whether a call
 * fails; the wrapper fails as the kernel would.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "fault_wrap.h"
#include "harness.h"
#include "ledger.h"

static atomic_size_t mapped;
static bool refuses_changes;
static const struct addrinfo *resolved;

/* What somebody else does before the nth call (0: never). */
static struct {
    enum fault_call call;
    unsigned long nth;
    void (*step)(void *context);
    void *context;
} act;

static struct {
    void (*step)(void *context);
    void *context;
} after_move;

void fault_reset_results(void)
{
    refuses_changes = false;
    after_move.step = NULL;
    resolved = NULL;
    act.nth = 0;
}

void fault_before(enum fault_call call, unsigned long nth, void (*step)(void *context),
                  void *context)
{
    act.call = call;
    act.nth = nth;
    act.step = step;
    act.context = context;
}

void fault_act_before(enum fault_call call)
{
    if (call != act.call || fault_calls(call) != act.nth)
        return;
    int saved = errno;
    fault_disarm();
    act.step(act.context);
    fault_arm();
    errno = saved;
}

void fault_refuse_changes(bool on)
{
    refuses_changes = on;
}

void fault_resolve(const struct addrinfo *list)
{
    resolved = list;
}

WRAP(void *, malloc, size_t size)
{
    void *block = !ledger_is_away && DENIED(malloc) ? NULL : __real_malloc(size);
    ledger_enter(block, size);
    return block;
}

WRAP(void *, calloc, size_t count, size_t size)
{
    void *block = !ledger_is_away && DENIED(calloc) ? NULL : __real_calloc(count, size);
    ledger_enter(block, count * size);
    return block;
}

/* Struck from the ledger before it is freed: then another thread may get the address. */
WRAP(void, free, void *block)
{
    size_t size;
    ledger_strike(block, &size);
    ledger_in_heap = true;
    __real_free(block);
    ledger_in_heap = false;
}

void fault_after_move(void (*step)(void *context), void *context)
{
    after_move.step = step;
    after_move.context = context;
}

static void step_after_move(bool has_moved)
{
    if (!has_moved || !fault_armed() || after_move.step == NULL)
        return;
    fault_disarm();
    after_move.step(after_move.context);
    fault_arm();
}

WRAP(void *, realloc, void *old, size_t size)
{
    size_t old_size = 0;
    uintptr_t was = (uintptr_t)old;
    if (!ledger_is_away && DENIED(realloc))
        return NULL;
    bool ours = ledger_strike(old, &old_size) || old == NULL;
    ledger_in_heap = true;
    void *block = __real_realloc(old, size);
    ledger_in_heap = false;
    if (ours && (block != NULL || size > 0))
        ledger_enter(block != NULL ? block : old, block != NULL ? size : old_size);
    step_after_move(ours && was != 0 && block != NULL && (uintptr_t)block != was);
    return block;
}

WRAP_INT(epoll_create1, (int flags), (flags))

/* To change an entry, or to remove it, takes no memory: the kernel does not fail. */
WRAP(int, epoll_ctl, int set, int op, int fd, struct epoll_event *event)
{
    if (op == EPOLL_CTL_MOD && refuses_changes && fault_armed()) {
        errno = ENOMEM;
        return -1;
    }
    if (op != EPOLL_CTL_ADD)
        fault_count(CALL_epoll_ctl);
    else if (DENIED(epoll_ctl))
        return -1;
    return __real_epoll_ctl(set, op, fd, event);
}

WRAP_INT(eventfd, (unsigned value, int flags), (value, flags))
WRAP_INT(pipe2, (int fd[2], int flags), (fd, flags))
WRAP_INT(dup2, (int fd, int number), (fd, number))
WRAP_INT(sockatmark, (int fd), (fd))
WRAP_INT(socketpair, (int domain, int type, int protocol, int fd[2]), (domain, type, protocol, fd))
WRAP_INT(fstat, (int fd, struct stat *status), (fd, status))
WRAP_INT(fstatfs, (int fd, struct statfs *status), (fd, status))
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

WRAP_INT(mkdirat, (int directory, const char *name, mode_t mode), (directory, name, mode))
WRAP_INT(mkfifoat, (int directory, const char *name, mode_t mode), (directory, name, mode))
WRAP_INT(unlinkat, (int directory, const char *name, int flags), (directory, name, flags))
WRAP_INT(fstatat, (int directory, const char *name, struct stat *status, int flags),
         (directory, name, status, flags))
WRAP_INT(renameat, (int from_directory, const char *from, int to_directory, const char *to),
         (from_directory, from, to_directory, to))
WRAP_INT(fchmodat, (int directory, const char *name, mode_t mode, int flags),
         (directory, name, mode, flags))
WRAP_INT(linkat,
         (int from_directory, const char *from, int to_directory, const char *to, int flags),
         (from_directory, from, to_directory, to, flags))
WRAP_INT(fchmod, (int fd, mode_t mode), (fd, mode))
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
    if (DENIED(fdopendir))
        return NULL;
    ledger_is_away = true;
    DIR *list = __real_fdopendir(fd);
    ledger_is_away = false;
    return list;
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

/* Where a system has no call with flags, the plain one counts and fails as that. */
WRAP(int, accept, int fd, struct sockaddr *address, socklen_t *size)
{
    return DENIED(accept4) ? -1 : __real_accept(fd, address, size);
}

WRAP(int, pipe, int fd[2])
{
    return DENIED(pipe2) ? -1 : __real_pipe(fd);
}

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
    int error = fault_refusal(CALL_posix_fallocate);
    return error != 0 ? error : __real_posix_fallocate(fd, offset, size);
}

WRAP(int, pthread_sigmask, int how, const sigset_t *set, sigset_t *old)
{
    int error = fault_refusal(CALL_pthread_sigmask);
    return error != 0 ? error : __real_pthread_sigmask(how, set, old);
}

/* It cannot fail. */
WRAP(int, sched_yield, void)
{
    fault_refusal(CALL_sched_yield);
    return __real_sched_yield();
}

/* Only a thread's first value of a key takes memory. */
WRAP(int, pthread_setspecific, pthread_key_t key, const void *value)
{
    bool is_first = value != NULL && pthread_getspecific(key) == NULL;
    int error = is_first ? fault_refusal(CALL_pthread_setspecific) : 0;
    return error != 0 ? error : __real_pthread_setspecific(key, value);
}

WRAP(int, sigwait, const sigset_t *set, int *signal_number)
{
    int error = fault_refusal(CALL_sigwait);
    return error != 0 ? error : __real_sigwait(set, signal_number);
}

WRAP(int, getnameinfo, const struct sockaddr *address, socklen_t length, char *host,
     socklen_t host_size, char *port, socklen_t port_size, int flags)
{
    int error = fault_refusal(CALL_getnameinfo);
    return error != 0
               ? error
               : __real_getnameinfo(address, length, host, host_size, port, port_size, flags);
}

WRAP(int, getaddrinfo, const char *host, const char *service, const struct addrinfo *hints,
     struct addrinfo **list)
{
    int error = fault_refusal(CALL_getaddrinfo);
    if (error == EAI_SYSTEM)
        errno = EIO;
    if (error != 0 || resolved == NULL || !fault_armed())
        return error != 0 ? error : __real_getaddrinfo(host, service, hints, list);
    *list = (struct addrinfo *)(uintptr_t)resolved;
    return 0;
}

WRAP(void, freeaddrinfo, struct addrinfo *list)
{
    if (list != resolved)
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

/* Old C libraries have no function for these (src/sys/linux/sys_linux.h). */
static enum fault_call call_of(long number)
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
    return fault_denied(call_of(number))
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

/* Where the last argument says, it is laid over what is there. */
WRAP(void *, mremap, void *old, size_t old_size, size_t size, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    void *where = va_arg(list, void *);
    va_end(list);
    if (DENIED(mremap))
        return MAP_FAILED;
    void *memory = __real_mremap(old, old_size, size, flags, where);
    if (memory != MAP_FAILED && where == NULL)
        mapped += size - old_size;
    return memory;
}

/*
 * Mappings that a child of this process does not get; those of an ancestor are not here. A place is
 * taken by its `memory`, which is BEING_SET until the rest is there.
 */
#define BEING_SET ((void *)1)

static struct {
    _Atomic(void *) memory;
    _Atomic size_t size;
    _Atomic pid_t pid;
} unforked[256];
enum { UNFORKED = sizeof unforked / sizeof unforked[0] };

static bool is_unforked(size_t i, const void *memory)
{
    return memory != NULL && memory != BEING_SET && unforked[i].pid == getpid();
}

static void keep_from_children(void *memory, size_t size)
{
    for (size_t i = 0; i < UNFORKED; i++) {
        void *old = unforked[i].memory;
        if (old != BEING_SET && !is_unforked(i, old) &&
            atomic_compare_exchange_strong(&unforked[i].memory, &old, BEING_SET)) {
            unforked[i].size = size;
            unforked[i].pid = getpid();
            unforked[i].memory = memory;
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
        if (unforked[i].memory == memory && is_unforked(i, memory) &&
            atomic_compare_exchange_strong(&unforked[i].memory, &old, NULL))
            return true;
    }
    return false;
}

void harness_forget_mapped(void)
{
    mapped = 0;
}

size_t harness_mapped_bytes(void)
{
    size_t here = mapped;
    for (size_t i = 0; i < UNFORKED; i++)
        if (is_unforked(i, unforked[i].memory))
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
    if (ledger_in_heap)
        return __real_munmap(memory, size);
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
    if (fault_armed() && result != 0 && errno == EBADF)
        fault_count_bad_close();
    if (fails) {
        errno = error;
        return -1;
    }
    return result;
}
