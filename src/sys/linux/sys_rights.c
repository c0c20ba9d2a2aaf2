/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "sys/sys_rights.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "sys/sys_cancel.h"
#include "sys/sys_descriptor.h"
#include "sys/sys_socket.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04 /* Linux 6.5, on sockets with SO_PASSPIDFD */
#endif

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

enum { RIGHTS_SIZE = SYS_RIGHTS_MAX * sizeof(int), RIGHTS_TRIES = 4, RIGHTS_LABEL = 256 };

/*
 * What the program may have switched on, and what would take the room of descriptors: SO_PASSCRED,
 * SO_PASSPIDFD, SO_INQ and the label of a security module (SO_PASSSEC).
 */
#define RIGHTS_OTHERS \
    (CMSG_SPACE(sizeof(struct ucred)) + 2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(RIGHTS_LABEL))

union rights_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(RIGHTS_SIZE) + RIGHTS_OTHERS];
};

/* ---- options ---- */

int sys_rights_are_carried(int fd)
{
    int domain = AF_UNSPEC;
    socklen_t size = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0)
        return -1;
    return domain == AF_UNIX;
}

void sys_rights_permit(int fd, bool permit)
{
    sys_socket_set(fd, SOL_SOCKET, SO_PASSRIGHTS, permit);
}

bool sys_rights_are_permitted(int fd)
{
    int permitted = 1;
    socklen_t size = sizeof permitted;
    int saved = errno;
    bool is_known = getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &permitted, &size) == 0;
    errno = saved;
    return !is_known || permitted != 0;
}

void sys_rights_prepare(int fd)
{
    sys_socket_set(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
}

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
        errno = EOPNOTSUPP; /* SO_PASSRIGHTS of the peer */
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
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
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
static bool move_above_standard(struct sys_rights *rights)
{
    int kept = 0;
    for (int i = 0; i < rights->count; i++) {
        int fd = sys_above_standard(rights->fds[i]);
        if (fd >= 0)
            rights->fds[kept++] = fd;
    }
    bool have_moved = kept == rights->count;
    rights->count = kept;
    return have_moved;
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
    if (!move_above_standard(rights))
        return EMFILE;
    if (!is_cut)
        return 0;
    return is_number_free(fd) ? ECONNRESET : EMFILE;
}

static bool has_fds(const struct cmsghdr *header)
{
    return header->cmsg_level == SOL_SOCKET &&
           (header->cmsg_type == SCM_RIGHTS || header->cmsg_type == SCM_PIDFD);
}

static ssize_t receive(int fd, struct msghdr *message, int flags)
{
    ssize_t got;
    do
        got = recvmsg_nocancel(fd, message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    return got < 0 && errno == ECONNRESET ? 0 : got; /* the end, as sys_read has it */
}

static ssize_t peek_rights(int fd, void *buffer, size_t size, struct sys_rights *rights)
{
    union rights_control control;
    struct iovec part = {buffer, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    bool is_excess = false;
    *rights = (struct sys_rights){.count = 0};
    ssize_t got = receive(fd, &message, MSG_PEEK);
    if (got <= 0)
        return got;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at != NULL; at = next_control(&message, at))
        if (has_fds(at))
            is_excess = keep_rights(at, rights) || is_excess;
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

bool sys_rights_are_behind_mark(int fd)
{
    int is_at_mark = 0;
    int saved = errno;
    bool is_known = atmark_nocancel(fd, &is_at_mark) == 0;
    errno = saved;
    return is_known && is_at_mark != 0;
}

/* Where the others have room, only descriptors are cut off. Without them a few come there. */
ssize_t sys_rights_take(int fd, void *buffer, size_t size, bool *brought)
{
    union {
        struct cmsghdr header;
        char bytes[RIGHTS_OTHERS];
    } control;
    struct iovec part = {buffer, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct sys_rights dropped = {.count = 0};
    *brought = false;
    ssize_t got = receive(fd, &message, 0);
    if (got <= 0)
        return got;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at != NULL; at = next_control(&message, at))
        if (has_fds(at))
            keep_rights(at, &dropped);
    close_rights(dropped.fds, dropped.count);
    *brought = dropped.count > 0 || (message.msg_flags & MSG_CTRUNC) != 0;
    return got;
}

/* No room for one more, as CMSG_SPACE would give. */
ssize_t sys_rights_take_few(int fd, void *buffer, size_t size, int *rights, int *count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(SYS_RIGHTS_FEW * sizeof(int))];
    } control;
    struct iovec part = {buffer, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_LEN(SYS_RIGHTS_FEW * sizeof(int))};
    struct sys_rights came = {.count = 0};
    *count = 0;
    ssize_t got = receive(fd, &message, 0);
    if (got <= 0)
        return got;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && has_fds(header))
        keep_rights(header, &came);
    bool are_all = (message.msg_flags & MSG_CTRUNC) == 0 && move_above_standard(&came);
    if (are_all)
        memcpy(rights, came.fds, (size_t)came.count * sizeof(int));
    else
        close_rights(came.fds, came.count);
    *count = are_all ? came.count : -1;
    return got;
}
