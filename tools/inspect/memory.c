/* SPDX-License-Identifier: MIT */
/*
 * The memory of another process, by process_vm_readv. A page may be one that its owner never lets
 * come (userfaultfd, a file system of its own), and then nothing but SIGKILL ends the call: so a
 * child makes it, for a second at most. What is read is a copy, in which each number is checked.
 */
#include "inspect.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer/ends.h"
#include "peer/shared.h"
#include "transport/share_memory.h"

enum { PATIENCE_MS = 1000, STUCK_MAX = 3 };

static int stuck; /* copies that did not come in time; after some, there are no more */

static void copy_in_child(pid_t pid, uint64_t address, size_t size, int to)
{
    union {
        struct shared_page of_open;
        struct share_page of_socket;
    } copy;
    struct iovec local = {&copy, size}, remote = {(void *)(uintptr_t)address, size};
    if (size > sizeof copy || process_vm_readv(pid, &local, 1, &remote, 1, 0) != (ssize_t)size)
        _exit(1);
    _exit(write(to, &copy, size) == (ssize_t)size ? 0 : 1);
}

static bool read_in_time(int from, void *to, size_t size)
{
    struct pollfd item = {from, POLLIN, 0};
    int ready = poll(&item, 1, PATIENCE_MS);
    stuck += ready == 0;
    return ready == 1 && read(from, to, size) == (ssize_t)size;
}

/* A page is less than a pipe takes at once, so it comes at once. */
static bool copy_memory(pid_t pid, uint64_t address, void *to, size_t size)
{
    int ends[2];
    if (stuck >= STUCK_MAX || pipe(ends) != 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        copy_in_child(pid, address, size, ends[1]);
    }
    close(ends[1]);
    bool is_there = child > 0 && read_in_time(ends[0], to, size);
    close(ends[0]);
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return is_there;
}

/* ---- what is there ---- */

/* More than a ring holds: the numbers are forged, or were written between two loads. */
static int64_t unread_in(const struct ring_words *words)
{
    uint64_t unread = words->head - words->tail;
    return unread <= RING_GROWN ? (int64_t)unread : UNKNOWN;
}

static unsigned waits_of(unsigned interest)
{
    return ((interest & RING_BYTES) != 0 ? (unsigned)WAITS_BYTES : 0u) |
           ((interest & RING_ROOM) != 0 ? (unsigned)WAITS_ROOM : 0u);
}

static void set_ring(struct row *row, const struct ring_words *in, const struct ring_words *out,
                     unsigned interest, unsigned peer_interest)
{
    row->unread = unread_in(in);
    row->unread_peer = unread_in(out);
    row->waits = waits_of(interest);
    row->peer_waits = waits_of(peer_interest);
}

static void add_peer(struct row *row, pid_t pid)
{
    row->peers[0] = pid;
    row->peer_count = 1;
}

/* ---- pipc_open ---- */

static const char *state_text(unsigned status)
{
    static const char *const text[] = {"nobody yet", "",     "writes no more",
                                       "leaving",    "left", "dead"};
    return status < sizeof text / sizeof text[0] ? text[status] : "makes no sense";
}

static unsigned status_of(uint64_t state)
{
    return (unsigned)(state & ((1u << ENDS_STATUS_BITS) - 1));
}

/* 0: it cannot be named from here. */
static pid_t holder_of(uint64_t state)
{
    uint32_t name = (uint32_t)(state >> ENDS_NAME_SHIFT);
    return (name & ENDS_NO_PID) != 0 ? 0 : (pid_t)(name & ENDS_NAME_MASK);
}

static bool is_held(uint64_t state)
{
    unsigned status = status_of(state);
    return status == ENDS_HELD || status == ENDS_SHUT || status == ENDS_LEAVING;
}

static void describe_open(const struct target *target, const struct mapping *m,
                          const struct scan *scan, const struct shared_page *page, struct row *row)
{
    uint64_t state[2] = {page->end[0].state, page->end[1].state};
    unsigned own = is_held(state[1]) && holder_of(state[1]) == target->pid &&
                           !(is_held(state[0]) && holder_of(state[0]) == target->pid)
                       ? 1
                       : 0;
    unsigned peer = 1 - own;
    bool is_ours = is_held(state[own]) && holder_of(state[own]) == target->pid;
    pid_t holder = holder_of(state[peer]);
    row->kind = KIND_OPEN;
    set_ring(row, &page->ring[peer], &page->ring[own], page->end[own].interest,
             page->end[peer].interest);
    snprintf(row->state, sizeof row->state, "%s%s%s", is_ours ? "" : "holds no end",
             is_ours || *state_text(status_of(state[peer])) == '\0' ? "" : "; ",
             state_text(status_of(state[peer])));
    if (is_held(state[peer]) && holder == target->pid)
        add_peer(row, holder);
    else if (is_held(state[peer]) && holder != 0 && scan_has(scan, true, m->id, holder))
        add_peer(row, holder);
    else if (is_held(state[peer])) {
        scan_peers(scan, row, true, m->id, target->pid, false, false);
        if (holder != 0)
            snprintf(row->state, sizeof row->state, "held by %ld, not found", (long)holder);
    }
}

/* ---- sockets that have moved ---- */

static void describe_shared(const struct target *target, const struct mapping *m,
                            const struct scan *scan, const struct share_page *page, struct row *row)
{
    pid_t process[2] = {page->end[0].process, page->end[1].process};
    unsigned own = process[1] == target->pid && process[0] != target->pid ? 1 : 0;
    unsigned peer = 1 - own;
    row->kind = KIND_SHARED;
    set_ring(row, &page->ring[peer], &page->ring[own], page->end[own].interest,
             page->end[peer].interest);
    if (process[peer] == 0)
        snprintf(row->state, sizeof row->state, "has not moved");
    else if (scan_has(scan, true, m->id, process[peer]))
        add_peer(row, process[peer]);
    else
        scan_peers(scan, row, true, m->id, target->pid, false, false);
    if (process[peer] != 0 && row->peer_count == 0 && !scan->is_partial)
        snprintf(row->state, sizeof row->state, "gone");
}

/* ---- any ---- */

bool memory_row(const struct target *target, const struct mapping *m, const struct scan *scan,
                struct row *row)
{
    struct shared_page of_open;
    struct share_page of_socket;
    uint64_t magic;
    *row = (struct row){.fd = -1,
                        .reads = true,
                        .writes = true,
                        .unread = UNKNOWN,
                        .unread_peer = UNKNOWN,
                        .waits = WAITS_UNKNOWN,
                        .peer_waits = WAITS_UNKNOWN,
                        .kind = KIND_UNKNOWN_MEMORY};
    if (m->size < sizeof of_open || m->size < sizeof of_socket ||
        !copy_memory(target->pid, m->address, &magic, sizeof magic)) {
        snprintf(row->state, sizeof row->state, "cannot be read");
        scan_peers(scan, row, true, m->id, target->pid, false, false);
        return m->size >= sizeof of_socket;
    }
    if (magic == SHARED_MAGIC && copy_memory(target->pid, m->address, &of_open, sizeof of_open))
        describe_open(target, m, scan, &of_open, row);
    else if (magic == SHARE_MAGIC &&
             copy_memory(target->pid, m->address, &of_socket, sizeof of_socket))
        describe_shared(target, m, scan, &of_socket, row);
    else if (magic >> 32 == SHARE_MAGIC >> 32)
        snprintf(row->state, sizeof row->state, "of another version of libpipc");
    else
        return false;
    return true;
}

/* ---- pipes of the kernel ---- */

/*
 * By a copy of the very descriptor, as dup makes one: nobody joins the pipe, whose readers and
 * writers stay as many as they are. It is there for some microseconds.
 */
int64_t descriptor_unread(const struct target *target, int fd)
{
#if defined SYS_pidfd_open && defined SYS_pidfd_getfd
    int bytes, process = (int)syscall(SYS_pidfd_open, target->pid, 0);
    if (process < 0)
        return UNKNOWN;
    int copy = target_lives(target) ? (int)syscall(SYS_pidfd_getfd, process, fd, 0) : -1;
    bool is_known = copy >= 0 && ioctl(copy, FIONREAD, &bytes) == 0 && bytes >= 0;
    if (copy >= 0)
        close(copy);
    close(process);
    return is_known ? bytes : UNKNOWN;
#else
    (void)target;
    (void)fd;
    return UNKNOWN;
#endif
}
