/* SPDX-License-Identifier: MIT */
/* How the transport of descriptors takes descriptors over: which can be used, and how. */
#include <stdalign.h>

#include "sys/sys_unix.h"
#include "transport/transport_fd.h"

/* On what needs it; *was_blocking says whether it is to be given back. */
static int need_nonblock(int fd, enum sys_kind kind, bool *was_blocking)
{
    int was = sys_needs_nonblock(kind) ? sys_nonblock(fd, true) : 1;
    *was_blocking = was == 0;
    return was < 0 ? -1 : 0;
}

static int set_nonblock(struct fd_transport *t)
{
    if (need_nonblock(t->in, t->in_kind, &t->in_was_blocking) != 0)
        return -1;
    if (t->out == t->in || need_nonblock(t->out, t->out_kind, &t->out_was_blocking) == 0)
        return 0;
    fd_give_back(t, t->in, t->in_was_blocking);
    return -1;
}

static void start(struct fd_transport *t, int read_fd, int write_fd)
{
    t->in = read_fd;
    t->out = t->writes_to = write_fd;
    t->least = sys_read_least(t->in_kind);
    ready_set_descriptors(&t->ready, read_fd, write_fd, t->in_kind == SYS_SOCKET);
}

static int find_kinds(struct fd_transport *t, int read_fd, int write_fd)
{
    if (sys_check_modes(read_fd, write_fd) != 0 || sys_kind(read_fd, &t->in_kind) != 0)
        return -1;
    return sys_kind(write_fd, &t->out_kind);
}

static void start_own(struct fd_transport *t, int read_fd, int write_fd, bool blocks)
{
    start(t, read_fd, write_fd);
    t->own = true;
    t->blocks = blocks;
}

#define MORE_AT ((sizeof(struct fd_transport) + alignof(max_align_t) - 1) & -alignof(max_align_t))

struct transport *transport_fd_reserve(size_t more)
{
    struct fd_transport *t = sys_alloc(more == 0 ? sizeof *t : MORE_AT + more);
    if (t == NULL)
        return NULL;
    *t = (struct fd_transport){
        .base = {.ops = &fd_ops, .peek_max = FD_WINDOW, .can_block = true, .reads_ahead = true},
        .in = -1,
        .out = -1,
        .opener = self_process(),
        .open_ops = &fd_ops};
    ready_init(&t->ready, -1, -1, false);
    return &t->base;
}

void *transport_fd_more(struct transport *transport)
{
    return (char *)transport + MORE_AT;
}

struct transport *transport_fd(int read_fd, int write_fd)
{
    struct transport *transport = transport_fd_reserve(0);
    if (transport == NULL)
        return NULL;
    struct fd_transport *t = fd_of(transport);
    int found = find_kinds(t, read_fd, write_fd);
    start(t, read_fd, write_fd);
    if (found == 0 && set_nonblock(t) == 0) {
        t->blocks = t->base.can_block = !sys_needs_nonblock(t->in_kind) && t->in_kind != SYS_FILE;
        return transport;
    }
    sys_free(t);
    return NULL;
}

static void take_over_socket(struct fd_transport *t, int fd, bool blocks)
{
    t->in_kind = t->out_kind = SYS_SOCKET;
    start_own(t, fd, fd, blocks);
    t->peer = sys_unix_keep_credentials(fd);
}

/* Writing keeps the O_NONBLOCK that these were opened with; a socket needs none. */
static int take_over(struct fd_transport *t, int read_fd, int write_fd)
{
    int found = find_kinds(t, read_fd, write_fd);
    t->in_kind = sys_kind_if_own(t->in_kind);
    t->out_kind = sys_kind_if_own(t->out_kind);
    start_own(t, read_fd, write_fd, sys_nonblock(read_fd, false) >= 0);
    return found;
}

static void give_up_taken(struct fd_transport *t)
{
    t->in = t->out = -1;
    sys_free(t->peer);
    t->peer = NULL;
    ready_set_descriptors(&t->ready, -1, -1, false);
}

int transport_fd_adopt(struct transport *transport, int read_fd, int write_fd)
{
    struct fd_transport *t = fd_of(transport);
    int found = 0;
    if (read_fd == write_fd)
        take_over_socket(t, read_fd, sys_block_own(read_fd) == 0);
    else
        found = take_over(t, read_fd, write_fd);
    if (found == 0 && ready_begin(&t->ready) == 0)
        return 0;
    give_up_taken(t);
    return -1;
}

struct transport *transport_fd_own(int read_fd, int write_fd)
{
    if (read_fd == write_fd)
        return transport_fd_socket(read_fd);
    struct transport *transport = transport_fd_reserve(0);
    if (transport == NULL || take_over(fd_of(transport), read_fd, write_fd) == 0)
        return transport;
    sys_free(transport);
    return NULL;
}

struct transport *transport_fd_socket(int fd)
{
    struct transport *transport = transport_fd_reserve(0);
    if (transport != NULL)
        take_over_socket(fd_of(transport), fd, true);
    return transport;
}
