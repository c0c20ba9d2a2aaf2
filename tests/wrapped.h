/* SPDX-License-Identifier: MIT */
/* Declares what wrapped.txt names, for wrapped.cmake. */
#ifndef PIPC_TESTS_WRAPPED_H
#define PIPC_TESTS_WRAPPED_H

#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef RWF_NOWAIT /* see src/sys/linux/sys_linux.h */
ssize_t preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
#endif

#endif
