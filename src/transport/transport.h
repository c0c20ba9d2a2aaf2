/* SPDX-License-Identifier: MIT */
/*
 * What a transport promises: two streams of bytes, one each way, with no idea of messages. A new
 * transport is a file that fills in this table, every member of it, and a constructor.
 *
 * Reading and writing may happen in two threads at a time (PIPC_DUPLEX). The members of each side
 * are called by its own thread, and share no state with those of the other side. Those of readiness
 * are called under a lock, by either thread. Nothing blocks but `wait`, and `peek` and `read` when
 * they are asked to.
 */
#ifndef PIPC_TRANSPORT_H
#define PIPC_TRANSPORT_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "transport/transport_count.h"

struct arrived;
struct sys_credentials;

/* What `wait` waits for. */
enum { TRANSPORT_IN = 1, TRANSPORT_OUT = 2 };
/*
 * What `update_readiness` is given besides: the end of a direction alone; and a new edge for what
 * is readable now.
 */
enum { TRANSPORT_IN_END = 4, TRANSPORT_OUT_END = 8, TRANSPORT_EDGE = 16 };
/*
 * What `wait` is given besides: EINTR has to be a signal that was caught, and not a stop (SIGSTOP).
 */
enum { TRANSPORT_CAUGHT = 32 };

/* What became of a step that never waits. What IO_AGAIN and IO_FAILED mean stands with each. */
enum io_result { IO_DONE, IO_AGAIN, IO_FAILED };

/* What a `peek` may do for more bytes. */
enum transport_peek {
    PEEK_MEMORY, /* look at what is in memory, without a system call */
    PEEK_READ,   /* read, without waiting */
    PEEK_WAIT,   /* as PEEK_READ, but it may wait, for ever, by the calls that read */
    PEEK_BLOCK   /* as PEEK_MEMORY; when nothing is there, wait for ever and read by one call */
};

struct transport_view {
    const uint8_t *bytes; /* valid until the next call of the reading side */
    bool end;             /* nothing comes after them */
    bool more;            /* of PEEK_MEMORY: there is more in memory than these */
    bool drained;         /* set or cleared by a peek that read: it got all that had arrived */
};

/*
 * The constants are set before the first call, and do not change. But `ops` and `opening` change
 * when a transport that was opened before its peer was there has got one: `ops` to those of what it
 * is then. What any thread finds there, it can use. And a socket that moves into shared memory, in
 * a call, is another transport from then on: but for peek_max, all can change. One thread at a time
 * uses such a socket.
 */
struct transport {
    const struct transport_ops *_Atomic ops;
    size_t peek_max;    /* `peek` can show so many bytes at once */
    size_t atomic_max;  /* `writev` of at most so many bytes: entirely or not at all; 0: none */
    size_t reserve_max; /* `reserve` has room for so many bytes; 0: never */
    unsigned handle;    /* whose it is, in the trace */
    atomic_int opening; /* 0: open. EINPROGRESS: no peer yet. Else why there never will be one */
    bool can_block;     /* PEEK_WAIT, PEEK_BLOCK and `read` can wait; else they do not */
    bool reads_ahead;   /* PEEK_READ makes a system call, and PEEK_MEMORY none */
    struct transport_counters counters;
};

struct transport_ops {
    /* ---- the reading side ---- */

    /*
     * Show the next bytes without consuming them: at least `want`, at most peek_max, when they have
     * arrived. Returns how many there are, which may be more than `want`. Fewer: the rest has not
     * arrived, or never will when view->end is set; after PEEK_WAIT and PEEK_BLOCK there may also
     * have been a signal, or an error that the next PEEK_READ returns. `want` 0, with PEEK_MEMORY:
     * whatever is there. -1: ENOMEM, ENOBUFS or EMFILE (see accept_fds), which pass, or why the
     * stream is broken, each time again.
     */
    ssize_t (*peek)(struct transport *transport, size_t want, enum transport_peek mode,
                    struct transport_view *view);
    /* Consume `size` of the bytes that `peek` showed. Cannot fail. */
    void (*skip)(struct transport *transport, size_t size);
    /*
     * Consume up to `size` (> 0) bytes, perhaps fewer; 0: the end. -1: EAGAIN, nothing has arrived;
     * or as `peek`. With `waits`, which needs can_block, it waits for them by the call that reads,
     * and EAGAIN is a signal or what the next read returns.
     */
    ssize_t (*read)(struct transport *transport, void *buffer, size_t size, bool waits);
    /*
     * A goodbye has been consumed. True: no successor of the peer can write after it. Cannot fail.
     */
    bool (*goodbye)(struct transport *transport);
    /*
     * Once, before anything is read: descriptors that come with the bytes go to `arrived`, which
     * outlives the transport's use. True: PEEK_BLOCK must not be asked for, and `peek` and `read`
     * fail with EMFILE while no number is free for a descriptor that comes next. False: none will
     * come here. NULL: none are to come; they are refused where the system can.
     */
    bool (*accept_fds)(struct transport *transport, struct arrived *arrived);

    /* ---- the writing side ---- */

    /*
     * Write as much as goes; returns how many bytes. -1: EAGAIN, there is no room; EPIPE, nobody
     * will read it; ENOMEM or ENOBUFS, which pass; or why the stream is broken. No part at all:
     * only while it is opening.
     */
    ssize_t (*writev)(struct transport *transport, const struct iovec *parts, int count);
    /*
     * Room for `size` bytes (at most reserve_max), where the caller writes them; or the question
     * whether there is some (at most atomic_max). NULL: errno as writev.
     */
    uint8_t *(*reserve)(struct transport *transport, size_t size);
    /* Write the bytes that are in that room now. Cannot fail. */
    void (*commit)(struct transport *transport, size_t size);
    /* Can descriptors travel with what is written? */
    bool (*carries_fds)(struct transport *transport);
    /*
     * Write one byte, and with it copies of `count` descriptors, at most ARRIVED_OF_MESSAGE_MAX: 1.
     * -1, and nothing was written: as writev; or EOPNOTSUPP, none can travel or the peer takes
     * none, or what is wrong with the descriptors, after which the stream is as before.
     */
    ssize_t (*write_fds)(struct transport *transport, const void *byte, const int *fds, int count);
    /*
     * No more bytes from here: the peer finds the end after the last one. No thread waits for room.
     * -1: errno; the stream may be broken already. Under the lock of readiness.
     */
    int (*shutdown)(struct transport *transport);

    /* ---- either side ---- */

    /*
     * Block until one of `events`, of the caller's side alone, may have come: 0. Or until the
     * deadline (negative: for ever): -1, ETIMEDOUT; EINTR. A cancellation point.
     */
    int (*wait)(struct transport *transport, unsigned events, int64_t deadline);
    /* Is anything unread in the kernel? May be called beside a read. */
    bool (*unread)(struct transport *transport);
    /*
     * Which directions are over, without reading. TRANSPORT_IN: nothing comes after what is unread.
     * TRANSPORT_OUT: nobody will read what is written; a transport whose descriptor is readable
     * then by itself need not report it.
     */
    unsigned (*over)(struct transport *transport);
    /* Who the peer is, as text. */
    void (*peer)(struct transport *transport, char *text, size_t size);
    /* Who the peer is, as the kernel vouches for it. -1: EOPNOTSUPP; errno. From any thread. */
    int (*credentials)(struct transport *transport, struct sys_credentials *credentials);

    /* ---- readiness, under its lock ---- */

    /* One descriptor to poll for input, the same each time, the transport's own. -1: errno. */
    int (*descriptor)(struct transport *transport);
    /*
     * After each call, once the descriptor was asked for: it is readable now when `readable`; else
     * it becomes so when one of `events` comes. True: the same update again would change nothing,
     * however much is read and written meanwhile. False: it may, so each call has to make it.
     */
    bool (*update_readiness)(struct transport *transport, bool readable, unsigned events);

    /* Free the transport and close what it owns. Nothing else runs, and nothing comes after. */
    void (*close)(struct transport *transport);
    /*
     * The same, but its descriptors stay open, as the caller's: one to read and one to write (-1:
     * shut down), or one for both. -1, and nothing has changed: EAGAIN, bytes are in memory;
     * EOPNOTSUPP, there are no such descriptors.
     */
    int (*detach)(struct transport *transport, int fds[2]);
};

/* It has no peer yet. */
static inline bool transport_is_opening(const struct transport *transport)
{
    return atomic_load(&transport->opening) == EINPROGRESS;
}

/* Why it never got one; 0: it has one, or may get one yet. */
static inline int transport_open_error(const struct transport *transport)
{
    int opening = atomic_load(&transport->opening);
    return opening == EINPROGRESS ? 0 : opening;
}

/* The same; and a child after fork notices that the peer to come is not its own. */
static inline int transport_find_open_error(struct transport *transport)
{
    if (transport_is_opening(transport))
        transport->ops->over(transport);
    return transport_open_error(transport);
}

/* Two descriptors of the program's; owned when this succeeds. They may be the same one. */
struct transport *transport_fd(int read_fd, int write_fd);
/*
 * The same for descriptors that libpipc has made, whose O_NONBLOCK nobody else looks at. One that
 * serves both is a connected socket.
 */
struct transport *transport_fd_own(int read_fd, int write_fd);
struct transport *transport_fd_socket(int fd); /* a connected one, without asking what it is */
/*
 * The same in two steps, for descriptors that take long to get: the memory is there before, with
 * `more` bytes for the caller. The second step takes the descriptors over; when it fails, they stay
 * the caller's. One that serves both is a connected socket. Until then `close` is all that may be
 * called.
 */
struct transport *transport_fd_reserve(size_t more);
void *transport_fd_more(struct transport *transport);
int transport_fd_adopt(struct transport *transport, int read_fd, int write_fd);

/*
 * Which side makes the memory: the one that accepted the connection. Or of a pair, which libpipc
 * has made, either one; if both do at the same time, that of the first counts.
 */
enum share_role { SHARE_ACCEPTED_IT, SHARE_OPENED_IT, SHARE_FIRST_OF_PAIR, SHARE_SECOND_OF_PAIR };
/*
 * An open or reserved socket of this host may move into shared memory, if its peer does the same.
 * Only for one thread at a time, and where no descriptors are accepted. Without the memory for that
 * it stays as it is. A pair carries no descriptors then, before it has moved and afterwards.
 */
void transport_share(struct transport *transport, enum share_role role);

struct ends;
/* An end of an anonymous pipe, which `ends` outlives; first made, then given the end it is for. */
struct transport *transport_ring(struct ends *ends);
void transport_ring_take(struct transport *transport, unsigned end);
/* How many bytes it has written so far. */
uint64_t transport_ring_written(const struct transport *transport);
/* In a child after fork, at once: give up the copies of what only the parent may use. */
void transport_ring_disown(struct transport *transport);

#endif
