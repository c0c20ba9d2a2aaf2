/* SPDX-License-Identifier: MIT */
/*
 * A wait is a cancellation point, and nothing else in the library is: a thread that ended anywhere
 * else would keep locks, and lose what a call had just brought. POSIX allows many calls to be
 * cancellation points. So the seam makes them through the functions of this file, which disable
 * cancellation meanwhile (some nanoseconds). Only its waits make such a call as it is.
 *
 * Private to src/sys. All keep errno as the call left it.
 */
#ifndef PIPC_SYS_CANCEL_H
#define PIPC_SYS_CANCEL_H

#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* On 32-bit systems too: else large files are refused, and locks of open files do not work. */
_Static_assert(sizeof(off_t) == 8, "define _FILE_OFFSET_BITS as 64 before anything is included");

/*
 * Nobody can cancel the only thread of a process but itself, and with it the process ends: then
 * cancellation is left alone, which spares two atomic operations for each call.
 */
#ifdef __GLIBC__
extern char __libc_single_threaded __attribute__((weak)); /* from glibc 2.32 on */

static inline bool sys_is_alone(void)
{
    return &__libc_single_threaded != NULL && __libc_single_threaded != 0;
}
#else
static inline bool sys_is_alone(void)
{
    return false;
}
#endif

/* A cancellation of a read loses nothing in a glibc of this version. */
bool sys_is_safe_glibc(const char *version);

enum { NOCANCEL_ALONE = -1 };

static inline int nocancel_begin(void)
{
    int before = NOCANCEL_ALONE;
    if (!sys_is_alone())
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void nocancel_end(int before)
{
    int unused;
    if (before != NOCANCEL_ALONE)
        pthread_setcancelstate(before, &unused);
}

#define NOCANCEL(type, name, parameters, arguments) \
    static inline type name##_nocancel parameters   \
    {                                               \
        int before = nocancel_begin();              \
        type result = name arguments;               \
        nocancel_end(before);                       \
        return result;                              \
    }

/* Reading and writing. */
NOCANCEL(ssize_t, read, (int fd, void *buffer, size_t size), (fd, buffer, size))
NOCANCEL(ssize_t, recv, (int fd, void *buffer, size_t size, int flags), (fd, buffer, size, flags))
NOCANCEL(ssize_t, write, (int fd, const void *buffer, size_t size), (fd, buffer, size))
NOCANCEL(ssize_t, send, (int fd, const void *buffer, size_t size, int flags),
         (fd, buffer, size, flags))
NOCANCEL(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
NOCANCEL(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
NOCANCEL(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))

/* A look: with a time of 0, these do not wait. */
NOCANCEL(int, poll, (struct pollfd * fds, nfds_t count, int time), (fds, count, time))
NOCANCEL(int, select, (int beyond, fd_set *in, fd_set *out, fd_set *odd, struct timeval *time),
         (beyond, in, out, odd, time))
/* One that is pending does not wait either. */
NOCANCEL(int, sigwait, (const sigset_t *set, int *signal_number), (set, signal_number))

/* Descriptors and files. */
NOCANCEL(int, dup2, (int fd, int number), (fd, number))
NOCANCEL(int, close, (int fd), (fd))
NOCANCEL(int, fstat, (int fd, struct stat *status), (fd, status))
NOCANCEL(int, fstatat, (int directory, const char *name, struct stat *status, int flags),
         (directory, name, status, flags))
NOCANCEL(int, openat, (int directory, const char *name, int flags), (directory, name, flags))
NOCANCEL(int, shm_open, (const char *name, int flags, mode_t mode), (name, flags, mode))
NOCANCEL(int, mkdirat, (int directory, const char *name, mode_t mode), (directory, name, mode))
NOCANCEL(int, unlinkat, (int directory, const char *name, int flags), (directory, name, flags))
NOCANCEL(int, renameat, (int from_directory, const char *from, int to_directory, const char *to),
         (from_directory, from, to_directory, to))
NOCANCEL(int, linkat,
         (int from_directory, const char *from, int to_directory, const char *to, int flags),
         (from_directory, from, to_directory, to, flags))
NOCANCEL(int, fchmod, (int fd, mode_t mode), (fd, mode))
NOCANCEL(int, fchmodat, (int directory, const char *name, mode_t mode, int flags),
         (directory, name, mode, flags))
NOCANCEL(int, utimensat, (int directory, const char *name, const struct timespec *times, int flags),
         (directory, name, times, flags))
NOCANCEL(DIR *, fdopendir, (int fd), (fd))
/* NOLINTNEXTLINE(concurrency-mt-unsafe): each call has a directory of its own */
NOCANCEL(struct dirent *, readdir, (DIR * list), (list))
NOCANCEL(int, closedir, (DIR * list), (list))

/* The network. */
NOCANCEL(int, accept, (int fd, struct sockaddr *address, socklen_t *size), (fd, address, size))
NOCANCEL(int, connect, (int fd, const struct sockaddr *address, socklen_t size),
         (fd, address, size))
NOCANCEL(int, getaddrinfo,
         (const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list),
         (host, port, hints, list))
NOCANCEL(int, getnameinfo,
         (const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size,
          char *port, socklen_t port_size, int flags),
         (address, length, host, host_size, port, port_size, flags))

static inline int create_nocancel(const char *path, int flags, mode_t mode)
{
    int before = nocancel_begin();
    int fd = openat(AT_FDCWD, path, flags, mode);
    nocancel_end(before);
    return fd;
}

/* The last argument is a number or an address; none is passed as 0, which such commands ignore. */
static inline int fcntl_nocancel(int fd, int command, intptr_t argument)
{
    int before = nocancel_begin();
    int result = fcntl(fd, command, argument);
    nocancel_end(before);
    return result;
}

static inline int fionread_nocancel(int fd, int *size)
{
    int before = nocancel_begin();
    int result = ioctl(fd, FIONREAD, size);
    nocancel_end(before);
    return result;
}

#ifdef __linux__
#ifndef PIDFD_GET_PID_NAMESPACE
#define PIDFD_GET_PID_NAMESPACE _IO(0xFF, 5) /* Linux 6.11 */
#endif
static inline int pid_namespace_nocancel(int process)
{
    int before = nocancel_begin();
    int space = ioctl(process, PIDFD_GET_PID_NAMESPACE, 0);
    nocancel_end(before);
    return space;
}
#endif

#ifdef SIOCATMARK /* for who asks the C library for more than C */
static inline int atmark_nocancel(int fd, int *is_at_mark)
{
    int before = nocancel_begin();
    int result = ioctl(fd, SIOCATMARK, is_at_mark);
    nocancel_end(before);
    return result;
}
#endif

#endif
