/* SPDX-License-Identifier: MIT */
#include "fds.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "paths.h"

/* --- Pipes ------------------------------------------------------------------------------------ */

static int open_adopted_sockets(pipc_t *end[2], const pipc_options_t *options)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    end[0] = harness_adopt(fd[0], fd[0], options);
    end[1] = harness_adopt(fd[1], fd[1], options);
    return 0;
}

static int open_to_server(pipc_t *end[2], const pipc_options_t *options)
{
    paths_open_kind(end, options);
    return 0;
}

static int open_to_client(pipc_t *end[2], const pipc_options_t *options)
{
    pipc_t *other[2];
    paths_open_kind(other, options);
    end[0] = other[1];
    end[1] = other[0];
    return 0;
}

const struct kind fds_kinds[] = {{.name = "adopted sockets", .open = open_adopted_sockets},
                                 {.name = "pair", .open = pipc_open_pair},
                                 {.name = "client to server", .open = open_to_server},
                                 {.name = "server to client", .open = open_to_client},
                                 {.name = NULL}};

pipc_options_t fds_options(unsigned flags)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_ACCEPT_FDS | flags;
    return options;
}

void fds_open(const struct kind *kind, pipc_t *end[2], unsigned flags)
{
    pipc_options_t options = fds_options(flags);
    kind_open(kind, end, &options);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_set_timeout(end[i], 10000, 10000), 0);
}

pipc_t *fds_open_raw(int *raw, unsigned flags)
{
    int fd[2];
    pipc_options_t options = fds_options(flags);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    *raw = fd[1];
    pipc_t *pipe = harness_adopt(fd[0], fd[0], &options);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    return pipe;
}

int fds_adopted(pipc_t *pipe)
{
    char name[128];
    int fd = -1;
    assert_int_equal(pipc_peer(pipe, name, sizeof name), 0);
    assert_int_equal(sscanf(name, "descriptor %d", &fd), 1);
    return fd;
}

/* --- Descriptors ------------------------------------------------------------------------------ */

void fds_make(struct fds *fds)
{
    for (int i = 0; i < FDS_MAX; i++) {
        int fd[2];
        assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
        fds->fd[i] = fd[0];
        close(fd[1]);
    }
}

void fds_end(struct fds *fds)
{
    for (int i = 0; i < FDS_MAX; i++)
        close(fds->fd[i]);
}

bool fds_is_same(int a, int b)
{
    struct stat first, second;
    assert_int_equal(fstat(a, &first), 0);
    assert_int_equal(fstat(b, &second), 0);
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

int fds_count(pid_t pid)
{
    char path[64];
    int count = 0;
    harness_need_proc();
    snprintf(path, sizeof path, "/proc/%lld/fd", (long long)pid);
    DIR *list = opendir(path);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(list);
    return pid == getpid() ? count - 1 : count; /* without that of the list */
}

/* --- Messages --------------------------------------------------------------------------------- */

void fds_say(pipc_t *pipe, const char *text, const struct fds *fds, int count)
{
    ssize_t size = pipc_write_fds(pipe, text, strlen(text), fds->fd, count);
    if (size < 0)
        fail_msg("pipc_write_fds: %s", strerror(errno));
    assert_int_equal(size, strlen(text));
}

void fds_expect(pipc_t *pipe, const char *text)
{
    char got[32];
    ssize_t size = pipc_read(pipe, got, sizeof got);
    if (size < 0)
        fail_msg("pipc_read: %s", strerror(errno));
    assert_int_equal(size, strlen(text));
    assert_memory_equal(got, text, (size_t)size);
}

void fds_expect_taken(pipc_t *pipe, const struct fds *fds, int count)
{
    int taken[FDS_MAX + 1];
    assert_int_equal(pipc_take_fds(pipe, taken, FDS_MAX + 1), count);
    for (int i = 0; i < count; i++) {
        assert_true(fds_is_same(taken[i], fds->fd[i]));
        assert_true(taken[i] > STDERR_FILENO && taken[i] != fds->fd[i]);
        assert_int_equal(fcntl(taken[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(taken[i]);
    }
}

int fds_take_all(pipc_t *pipe)
{
    int taken[FDS_MAX + 1];
    int count = pipc_take_fds(pipe, taken, FDS_MAX + 1);
    assert_in_range(count, 0, FDS_MAX);
    for (int i = 0; i < count; i++)
        close(taken[i]);
    return count;
}

/* --- Raw bytes -------------------------------------------------------------------------------- */

enum { RAW_MAX = 253 };
union raw_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(RAW_MAX * sizeof(int))];
};

ssize_t fds_try_send_raw(int socket, const void *bytes, size_t size, const int *fds, int count)
{
    union raw_control control;
    size_t length = (size_t)count * sizeof(int);
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = (socklen_t)CMSG_SPACE(length);
        control.header = (struct cmsghdr){.cmsg_len = (socklen_t)CMSG_LEN(length),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), fds, length);
    }
    /* musl's own sendmsg takes less than 1 KiB of these (ENOMEM). */
    return syscall(SYS_sendmsg, socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool fds_can_refuse(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
    assert_true(fd >= 0);
    bool can = setsockopt(fd, SOL_SOCKET, 83 /* SO_PASSRIGHTS */, &off, sizeof off) == 0;
    close(fd);
    return can;
}

void fds_send_raw(int socket, const void *bytes, size_t size, const int *fds, int count)
{
    ssize_t sent = fds_try_send_raw(socket, bytes, size, fds, count);
    if (sent != (ssize_t)size)
        fail_msg("sendmsg: %zd: %s", sent, strerror(errno));
}

int fds_receive_raw(int socket, void *byte)
{
    union raw_control control;
    struct iovec part = {byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    assert_int_equal(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), 1);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL)
        return 0;
    assert_int_equal(header->cmsg_type, SCM_RIGHTS);
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        close(fd);
    }
    return (int)count;
}
