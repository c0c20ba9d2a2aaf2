/* SPDX-License-Identifier: MIT */
/*
 * What lies behind a descriptor decides how it is read and written without blocking and without
 * SIGPIPE. Others may share the open file, and set or clear its O_NONBLOCK at any time, which makes
 * no difference. OWN: libpipc has opened it with O_NONBLOCK, and nobody else has this open file, so
 * that writing relies on it; reading does not. A pipe has no name, a FIFO has one. A doorbell is a
 * pipe whose other end a hostile process may have, and which takes RWF_NOWAIT: if the kernel
 * refuses that later, and O_NONBLOCK is not set, nothing is read or written.
 */
#ifndef PIPC_SYS_KIND_H
#define PIPC_SYS_KIND_H

#include <stdbool.h>

enum sys_kind {
    SYS_PIPE,
    SYS_FIFO,
    SYS_SOCKET,
    SYS_FILE,
    SYS_OTHER,
    SYS_OWN_PIPE,
    SYS_OWN_FIFO,
    SYS_DOORBELL
};

int sys_kind(int fd, enum sys_kind *kind); /* EINVAL: a socket that is no stream, or listens */
enum sys_kind sys_kind_if_own(enum sys_kind kind);
/*
 * Between a poll and the read or write that follows somebody else may be faster: then this helps.
 */
bool sys_needs_nonblock(enum sys_kind kind);

#endif
