/* SPDX-License-Identifier: MIT */
/*
 * The planned faults: which armed call fails, how often and with which error. Also the counts of
 * calls. The wrappers themselves are in fault_calls.c.
 */
#include "fault.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "sys/sys_cancel.h"

/* The errors that the kernel can give; EINTR comes last, and only once. write() has EINTR alone:
 * the library writes only to doorbells, which have room until they ring. */
static const struct {
    const char *name;
    int errors[8];
} known[CALL_COUNT] = {
    [CALL_malloc] = {"malloc", {ENOMEM}},
    [CALL_calloc] = {"calloc", {ENOMEM}},
    [CALL_realloc] = {"realloc", {ENOMEM}},
    [CALL_read] = {"read", {EIO, EAGAIN, ECONNRESET, ETIMEDOUT, EINTR}},
    [CALL_recv] = {"recv", {ECONNRESET, EAGAIN, ETIMEDOUT, ENOMEM, EINTR}},
    [CALL_recvmsg] = {"recvmsg", {ECONNRESET, EAGAIN, ENOMEM, EINTR}},
    [CALL_preadv2] = {"preadv2", {EIO, EAGAIN, EOPNOTSUPP, ENOSYS, ENOMEM, EINTR}},
    [CALL_readv] = {"readv", {EIO, EAGAIN, ECONNRESET, ETIMEDOUT, EINTR}},
    [CALL_write] = {"write", {EINTR}},
    [CALL_writev] = {"writev", {EIO, EAGAIN, EPIPE, ENOSPC, ENOMEM, EINTR}},
    [CALL_pwritev2] = {"pwritev2", {EIO, EAGAIN, EPIPE, EOPNOTSUPP, ENOSYS, ENOMEM, EINTR}},
    [CALL_send] = {"send", {EPIPE, EAGAIN, ECONNRESET, ENOBUFS, ENOMEM, ETIMEDOUT, EINTR}},
    [CALL_sendmsg] = {"sendmsg", {EPIPE, EAGAIN, ECONNRESET, ENOBUFS, ENOMEM, ETIMEDOUT, EINTR}},
    [CALL_poll] = {"poll", {ENOMEM, EINVAL, EINTR}},
    [CALL_select] = {"select", {ENOMEM, EINTR}},
    [CALL_epoll_create1] = {"epoll_create1", {EMFILE, ENFILE, ENOMEM, ENOSYS}},
    [CALL_epoll_ctl] = {"epoll_ctl", {ENOMEM, ENOSPC, EPERM}},
    [CALL_epoll_wait] = {"epoll_wait", {ENOMEM, EINTR}},
    [CALL_eventfd] = {"eventfd", {EMFILE, ENFILE, ENODEV, ENOMEM, ENOSYS, EPERM}},
    [CALL_pipe2] = {"pipe2", {EMFILE, ENFILE}},
    [CALL_socketpair] = {"socketpair", {EMFILE, ENFILE, ENOMEM}},
    [CALL_close] = {"close", {EIO, EINTR}},
    [CALL_fcntl] = {"fcntl", {ENOLCK, EPERM}},
    [CALL_fstat] = {"fstat", {EBADF, ENOMEM, EOVERFLOW}},
    [CALL_getsockopt] = {"getsockopt", {ENOMEM, ENOBUFS}},
    [CALL_getpeername] = {"getpeername", {ENOTCONN, ENOBUFS}},
    [CALL_getnameinfo] = {"getnameinfo", {EAI_AGAIN, EAI_MEMORY}},
    [CALL_ioctl] = {"ioctl", {ENOTTY}},
    [CALL_shutdown] = {"shutdown", {ENOTCONN, ENOBUFS}},
    [CALL_memfd_create] = {"memfd_create", {EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM}},
    [CALL_ftruncate] = {"ftruncate", {ENOSPC, EFBIG, EPERM}},
    [CALL_shm_open] = {"shm_open", {EMFILE, EACCES, ENOSPC}},
    [CALL_shm_unlink] = {"shm_unlink", {EACCES}},
    [CALL_posix_fallocate] = {"posix_fallocate", {ENOSPC, EOPNOTSUPP, EINTR}},
    [CALL_mmap] = {"mmap", {ENOMEM, EPERM, EAGAIN}},
    [CALL_mremap] = {"mremap", {ENOMEM, EINVAL}},
    [CALL_munmap] = {"munmap", {0}},
    [CALL_madvise] = {"madvise", {EINVAL}},
    [CALL_syscall] = {"syscall", {ENOSYS, EPERM, EMFILE, ENOMEM, ESRCH, EINVAL}},
    [CALL_timerfd_create] = {"timerfd_create", {EMFILE, ENOMEM, ENOSYS}},
    [CALL_timerfd_settime] = {"timerfd_settime", {EINVAL}},
    [CALL_sigpending] = {"sigpending", {0}},
    [CALL_sigwait] = {"sigwait", {0}},
    [CALL_socket] = {"socket", {EMFILE, ENFILE, ENOMEM, ENOBUFS, EACCES}},
    [CALL_bind] = {"bind", {EADDRINUSE, EACCES, ENOMEM}},
    [CALL_listen] = {"listen", {EADDRINUSE}},
    [CALL_accept4] = {"accept4", {EMFILE, ECONNABORTED, EPROTO, ENETDOWN, ENOBUFS, EPERM, EINTR}},
    [CALL_connect] = {"connect",
                      {ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRNOTAVAIL, EACCES, EPERM}},
    [CALL_getsockname] = {"getsockname", {ENOBUFS}},
    [CALL_setsockopt] = {"setsockopt", {ENOMEM, ENOPROTOOPT}},
    [CALL_getaddrinfo] = {"getaddrinfo", {EAI_AGAIN, EAI_NONAME, EAI_MEMORY, EAI_FAIL}},
    [CALL_getrandom] = {"getrandom", {ENOSYS}},
    [CALL_pthread_setspecific] = {"pthread_setspecific", {ENOMEM}},
    [CALL_pthread_sigmask] = {"pthread_sigmask", {0}},
    [CALL_sched_yield] = {"sched_yield", {0}},
    [CALL_openat] = {"openat", {EMFILE, ENFILE, EACCES, ENOMEM, EINTR}},
    [CALL_mkdirat] = {"mkdirat", {EACCES, ENOSPC, EDQUOT, EROFS, EMLINK}},
    [CALL_mkfifoat] = {"mkfifoat", {EACCES, ENOSPC, EDQUOT, EROFS}},
    [CALL_unlinkat] = {"unlinkat", {EACCES, EBUSY, EIO, EROFS}},
    [CALL_fstatat] = {"fstatat", {EACCES, EIO, ENOMEM}},
    [CALL_renameat] = {"renameat", {EACCES, ENOSPC, EIO, EROFS}},
    [CALL_fchmodat] = {"fchmodat", {EOPNOTSUPP, EPERM, EIO, EROFS}},
    [CALL_fdopendir] = {"fdopendir", {ENOMEM}},
    [CALL_readdir] = {"readdir", {EIO}},
    [CALL_closedir] = {"closedir", {0}},
    [CALL_kill] = {"kill", {EPERM}},
    [CALL_utimensat] = {"utimensat", {EACCES, EPERM, EROFS}},
    [CALL_linkat] = {"linkat", {EACCES, ENOSPC, EIO, EROFS, EMLINK}},
    [CALL_fchmod] = {"fchmod", {EPERM, EIO}},
    [CALL_fstatfs] = {"fstatfs", {ENOSYS, EIO}},
    [CALL_dup2] = {"dup2", {EINTR}},
    [CALL_sockatmark] = {"sockatmark", {ENOTTY}},
};

struct fault {
    enum fault_call call; /* becomes the one that failed first */
    unsigned long nth, more;
    int error; /* 0: plausible, number `which` */
    unsigned which;
    bool begun;
};

_Static_assert(CALL_COUNT <= UCHAR_MAX, "a call is a byte in the order of calls");

static struct {
    struct fault faults[8];
    size_t fault_count;
    unsigned long death, stop; /* 0: none */
    enum fault_call stop_call;
    atomic_ulong total, calls[CALL_COUNT], bad_closes;
    enum fault_call failed;
    int error;
    int given[CALL_COUNT]; /* the last error of each */
    unsigned long failures[CALL_COUNT];
    unsigned interrupt;
    unsigned long cancel; /* 0: never */
    bool starve;
    atomic_bool cancelled;
    bool (*step)(void *context);
    void *step_context;
    bool lifted;
    unsigned char order[FAULT_ORDER_MAX]; /* which calls were made, in this order */
} state = {.failed = CALL_NONE};

static _Thread_local bool armed;

const char *fault_call_name(enum fault_call call)
{
    return call < CALL_COUNT ? known[call].name : "nothing";
}

void fault_reset(void)
{
    memset(&state, 0, sizeof state);
    state.failed = CALL_NONE;
    armed = false;
    fault_reset_calls();
    fault_reset_results();
}

void fault_arm(void)
{
    armed = true;
}

bool fault_armed(void)
{
    return armed;
}

void fault_disarm(void)
{
    armed = false;
}

unsigned long fault_calls(enum fault_call call)
{
    return call == CALL_ANY ? state.total : state.calls[call];
}

enum fault_call fault_call_at(unsigned long nth)
{
    return nth >= 1 && nth <= state.total && nth <= FAULT_ORDER_MAX ? state.order[nth - 1]
                                                                    : CALL_NONE;
}

void fault_lift(void)
{
    state.lifted = true;
    fault_shorten(false);
    fault_eagain_after_poll(false);
}

void fault_count_bad_close(void)
{
    state.bad_closes++;
}

unsigned long fault_bad_closes(void)
{
    return state.bad_closes;
}

static void plan(struct fault fault)
{
    assert_true(state.fault_count < sizeof state.faults / sizeof state.faults[0]);
    state.faults[state.fault_count++] = fault;
}

void fault_fail(enum fault_call call, unsigned long nth, unsigned long more, int error)
{
    plan((struct fault){call, nth, more, error, 0, false});
}

void fault_follow(void *context)
{
    const struct fault_plan *plan = context;
    if (plan->nth > 0)
        fault_fail_plausibly(plan->nth, plan->more, plan->which);
}

void fault_refuse_writes(void)
{
    static const enum fault_call calls[] = {CALL_pwritev2, CALL_writev, CALL_send, CALL_sendmsg};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        fault_fail(calls[i], 1, FAULT_FOREVER, EAGAIN);
}

void fault_die_at(unsigned long nth)
{
    state.death = nth;
}

void fault_stop_at(enum fault_call call, unsigned long nth)
{
    state.stop_call = call;
    state.stop = nth;
}

void fault_cancel_at(unsigned long nth, bool starve)
{
    state.cancel = nth;
    state.starve = starve;
}

bool fault_cancelled(void)
{
    return state.cancelled;
}

void fault_before_wait(bool (*step)(void *context), void *context)
{
    state.step = step;
    state.step_context = context;
}

/* Not for a thread that is about to end by cancellation. */
bool fault_step_before_wait(void)
{
    int before;
    if (!armed || state.step == NULL || state.cancelled)
        return false;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    armed = false;
    bool again = state.step(state.step_context);
    armed = true;
    pthread_setcancelstate(before, NULL);
    return again;
}

void fault_fail_plausibly(unsigned long nth, unsigned long more, unsigned which)
{
    plan((struct fault){CALL_ANY, nth, more, 0, which, false});
}

enum fault_call fault_failed(void)
{
    return state.failed;
}

int fault_error(void)
{
    return state.error;
}

static bool is_io(enum fault_call call)
{
    return call >= CALL_read && call <= CALL_sendmsg;
}

int fault_begun(size_t which, enum fault_call *call)
{
    if (which >= state.fault_count || !state.faults[which].begun)
        return 0;
    *call = state.faults[which].call;
    return state.faults[which].error;
}

const char *fault_summary(void)
{
    static char text[400];
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < state.fault_count && at < sizeof text; i++)
        if (state.faults[i].begun)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s: %s", at > 0 ? ", " : "",
                                   fault_call_name(state.faults[i].call),
                                   strerror(state.faults[i].error));
    return text;
}

static unsigned givers(int error, bool io)
{
    unsigned count = 0;
    for (enum fault_call call = 0; call < CALL_COUNT; call++)
        count += is_io(call) == io && state.given[call] == error;
    return count;
}

bool fault_injected(int error)
{
    return givers(error, true) + givers(error, false) > 0;
}

bool fault_injected_outside_io(int error)
{
    return givers(error, false) > 0 && givers(error, true) == 0;
}

unsigned long fault_failures(enum fault_call call)
{
    return state.failures[call];
}

unsigned fault_errors(enum fault_call call)
{
    unsigned count = 0;
    while (call < CALL_COUNT && known[call].errors[count] != 0)
        count++;
    return count;
}

void fault_interrupt(unsigned one_of)
{
    state.interrupt = one_of;
}

/* No kernel repeats these forever for a descriptor that it reports as ready. */
static bool passes(enum fault_call call, int error)
{
    return error == EINTR || (error == EAGAIN && is_io(call));
}

static int begin(struct fault *fault, enum fault_call call)
{
    bool plausible = fault->error == 0;
    if (plausible && fault->which < fault_errors(call))
        fault->error = known[call].errors[fault->which];
    fault->begun = true;
    fault->call = call;
    if (plausible && passes(call, fault->error))
        fault->more = 0;
    if (state.failed == CALL_NONE && fault->error != 0) {
        state.failed = call;
        state.error = fault->error;
    }
    return fault->error;
}

static int planned_error(struct fault *fault, enum fault_call call)
{
    if (fault->begun) {
        if (fault->call != call || fault->more == 0)
            return 0;
        fault->more -= fault->more != FAULT_FOREVER;
        return fault->error;
    }
    if (fault->call != CALL_ANY && fault->call != call)
        return 0;
    return fault_calls(fault->call) == fault->nth ? begin(fault, call) : 0;
}

static bool can_be_interrupted(enum fault_call call)
{
    return (call >= CALL_read && call <= CALL_select) || call == CALL_epoll_wait;
}

/* What POSIX makes a cancellation point, or may be one. Waits call fault_assert_no_point
 * themselves. */
static bool may_be_a_point(enum fault_call call)
{
    switch (call) {
    case CALL_recv:
    case CALL_recvmsg:
    case CALL_preadv2:
    case CALL_write:
    case CALL_writev:
    case CALL_pwritev2:
    case CALL_send:
    case CALL_sendmsg:
    case CALL_close:
    case CALL_fcntl:
    case CALL_fstat:
    case CALL_getnameinfo:
    case CALL_shm_open:
    case CALL_posix_fallocate:
    case CALL_sigwait:
    case CALL_openat:
    case CALL_mkdirat:
    case CALL_mkfifoat:
    case CALL_unlinkat:
    case CALL_fstatat:
    case CALL_renameat:
    case CALL_fchmodat:
    case CALL_linkat:
    case CALL_fchmod:
    case CALL_utimensat:
    case CALL_fdopendir:
    case CALL_readdir:
    case CALL_closedir:
    case CALL_accept4:
    case CALL_connect:
    case CALL_getaddrinfo:
    case CALL_getrandom:
        return true;
    default:
        return false;
    }
}

void fault_assert_no_point(enum fault_call call)
{
    int before;
    if (!armed || sys_is_alone()) /* the only thread takes the process with it */
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_setcancelstate(before, NULL);
    if (before != PTHREAD_CANCEL_DISABLE)
        fail_msg("%s is a cancellation point here, and no wait", fault_call_name(call));
}

void fault_count(enum fault_call call)
{
    if (!armed)
        return;
    if (may_be_a_point(call))
        fault_assert_no_point(call);
    unsigned long before = state.total++;
    state.calls[call]++;
    if (before < FAULT_ORDER_MAX)
        state.order[before] = (unsigned char)call;
    if (state.total == state.death)
        raise(SIGKILL);
    if ((call == state.stop_call || state.stop_call == CALL_ANY) &&
        fault_calls(state.stop_call) == state.stop)
        raise(SIGSTOP);
    fault_act_before(call);
    if (state.total == state.cancel) {
        state.cancelled = true;
        pthread_cancel(pthread_self());
    }
}

int fault_refusal(enum fault_call call)
{
    int error = 0;
    if (!armed)
        return 0;
    fault_count(call);
    if (state.lifted)
        return 0;
    if (state.cancelled && state.starve && call <= CALL_realloc)
        error = ENOMEM;
    for (size_t i = 0; i < state.fault_count && error == 0; i++)
        error = planned_error(&state.faults[i], call);
    if (error != 0) {
        state.given[call] = error;
        state.failures[call]++;
    }
    if (error == 0 && state.interrupt > 0 && can_be_interrupted(call) &&
        harness_random_below(state.interrupt) == 0)
        error = EINTR;
    return error;
}

bool fault_denied(enum fault_call call)
{
    int error = fault_refusal(call);
    if (error != 0)
        errno = error;
    return error != 0;
}
