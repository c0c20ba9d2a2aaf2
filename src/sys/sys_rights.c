/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE     700
#define _FILE_OFFSET_BITS 64
#include "sys/sys_rights.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"

enum { RIGHTS_TRIES = 4 };

/* The room for descriptors, and for what the program may have switched on beside them. */
union rights_control {
    struct cmsghdr header;
    char bytes[640];
};

/* ---- sending ---- */

ssize_t sys_rights_send(int fd, const void *byte, const int *fds, int count)
{
    union rights_control control;
    struct iovec part = {(void *)(uintptr_t)byte, 1};
    size_t size = (size_t)count * sizeof(int);
    memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = (socklen_t)CMSG_SPACE(size)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
        .cmsg_len = (socklen_t)CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), fds, size);
    ssize_t sent;
    do
        sent = sendmsg_nocancel(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == EPERM)
        errno = EOPNOTSUPP; /* the switch of the peer, sys_rights_permit */
    return sent;
}

/* ---- receiving ---- */

/* The macro of musl converts a negative number. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static struct cmsghdr *next_control(struct msghdr *message, struct cmsghdr *control)
{
    return CMSG_NXTHDR(message, control);
}
#pragma GCC diagnostic pop

static void close_rights(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        sys_close(fds[i]);
}

/* Those of one control message; true: there are more than are kept. */
static bool keep_rights(const struct cmsghdr *header, struct sys_rights *rights)
{
    bool is_excess = false;
    size_t count = ((size_t)header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        bool is_kept = header->cmsg_type == SCM_RIGHTS && rights->count < SYS_RIGHTS_MAX;
        is_excess = is_excess || (header->cmsg_type == SCM_RIGHTS && !is_kept);
        if (is_kept)
            rights->fds[rights->count++] = fd;
        else
            sys_close(fd);
    }
    return is_excess;
}

/* The program may have closed 0, 1 and 2. Those that find no other number are closed. */
static bool own_rights(struct sys_rights *rights)
{
    int kept = 0;
    for (int i = 0; i < rights->count; i++) {
        int fd = sys_rights_own(rights->fds[i]);
        if (fd >= 0)
            rights->fds[kept++] = fd;
    }
    bool are_all = kept == rights->count;
    rights->count = kept;
    return are_all;
}

static bool is_number_free(int fd)
{
    int probe = fcntl_nocancel(fd, F_DUPFD_CLOEXEC, 0);
    sys_close(probe);
    return probe >= 0;
}

/*
 * With those that came still open, one number more tells whether numbers are what was lacking.
 */
static int rights_error(int fd, const struct msghdr *message, bool is_excess,
                        struct sys_rights *rights)
{
    bool is_cut = (message->msg_flags & MSG_CTRUNC) != 0;
    if (is_excess || (is_cut && rights->count == SYS_RIGHTS_MAX))
        return EPROTO;
    if (!own_rights(rights))
        return EMFILE;
    if (!is_cut)
        return 0;
    return is_number_free(fd) ? ECONNRESET : EMFILE;
}

static bool has_fds(const struct cmsghdr *header)
{
    return header->cmsg_level == SOL_SOCKET &&
           (header->cmsg_type == SCM_RIGHTS || header->cmsg_type == sys_rights_unasked);
}

static ssize_t receive(int fd, struct msghdr *message, int flags)
{
    ssize_t got;
    do
        got = recvmsg_nocancel(fd, message, flags | sys_rights_flags | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return got < 0 && errno == ECONNRESET ? 0 : got; /* the end, as sys_read has it */
}

/* Those that came with a message; true: there are more. */
static bool collect_rights(struct msghdr *message, struct sys_rights *rights)
{
    bool is_excess = false;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at != NULL; at = next_control(message, at))
        if (has_fds(at))
            is_excess = keep_rights(at, rights) || is_excess;
    return is_excess;
}

static ssize_t peek_rights(int fd, void *buffer, size_t size, struct sys_rights *rights)
{
    union rights_control control;
    struct iovec part = {buffer, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    *rights = (struct sys_rights){.count = 0};
    ssize_t got = receive(fd, &message, MSG_PEEK);
    if (got <= 0)
        return got;
    bool is_excess = collect_rights(&message, rights);
    rights->place = rights->count;
    rights->error = rights_error(fd, &message, is_excess, rights);
    if (rights->error != 0) {
        close_rights(rights->fds, rights->count);
        rights->count = 0;
    }
    return got;
}

/* A number may have come free in between: then another look finds them, or more of them. */
ssize_t sys_rights_peek(int fd, void *buffer, size_t size, struct sys_rights *rights)
{
    ssize_t got = peek_rights(fd, buffer, size, rights);
    for (int i = 1; i < RIGHTS_TRIES && got > 0 && rights->error == ECONNRESET; i++) {
        int place = rights->place;
        got = peek_rights(fd, buffer, size, rights);
        if (got > 0 && rights->error == ECONNRESET && rights->place != place)
            rights->error = EMFILE;
    }
    return got;
}

static ssize_t take(int fd, void *buffer, size_t size, struct sys_rights *came, bool *is_cut)
{
    union rights_control control;
    struct iovec part = {buffer, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t got = receive(fd, &message, 0);
    if (got > 0)
        *is_cut = collect_rights(&message, came) || (message.msg_flags & MSG_CTRUNC) != 0;
    return got;
}

ssize_t sys_rights_take(int fd, void *buffer, size_t size, bool *brought)
{
    struct sys_rights dropped = {.count = 0};
    bool is_cut = false;
    ssize_t got = take(fd, buffer, size, &dropped, &is_cut);
    close_rights(dropped.fds, dropped.count);
    *brought = dropped.count > 0 || is_cut;
    return got;
}

ssize_t sys_rights_take_few(int fd, void *buffer, size_t size, int *rights, int *count)
{
    struct sys_rights came = {.count = 0};
    bool is_cut = false;
    *count = 0;
    ssize_t got = take(fd, buffer, size, &came, &is_cut);
    if (got <= 0)
        return got;
    bool are_all = !is_cut && came.count <= SYS_RIGHTS_FEW && own_rights(&came);
    if (are_all)
        memcpy(rights, came.fds, (size_t)came.count * sizeof(int));
    else
        close_rights(came.fds, came.count);
    *count = are_all ? came.count : -1;
    return got;
}
