/* SPDX-License-Identifier: MIT */
/*
 * The transport of descriptors, between its files: transport_fd.c uses them, transport_fd_open.c
 * takes them over, and transport_fd_fds.c has the descriptors that travel with the bytes. Also for
 * one that becomes such a transport later.
 */
#ifndef PIPC_TRANSPORT_FD_H
#define PIPC_TRANSPORT_FD_H

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "sys/self.h"
#include "sys/sys.h"
#include "transport/arrived.h"
#include "transport/pace.h"
#include "transport/ready.h"
#include "transport/transport.h"

/*
 * Larger messages go straight to their place: a second copy costs more than a second read. One of
 * 16 KiB is no larger, with its header.
 */
#define FD_WINDOW ((size_t)16384 + 4096)

/*
 * Memory to read ahead into while little comes: there may be ten thousand idle connections, and
 * one of a Unix server is to take 3 KiB, with what malloc adds to each block.
 */
#define FD_SMALL_SIZE ((size_t)1984)

enum fd_carries { FD_CARRIES_UNKNOWN, FD_CARRIES_FDS, FD_CARRIES_NONE };

struct fd_transport;
struct share;

/* As sys_read; with `waits` as sys_read_wait. */
typedef ssize_t fd_receive_more(struct fd_transport *transport, void *to, size_t size, bool waits);

struct fd_transport {
    struct transport base;
    int in, out;       /* out: -1 once it is closed */
    int writes_to;     /* its number, as a name */
    atomic_bool wrote; /* since the last update of readiness; apart from what a reader loads */
    bool in_permit_changed, out_permit_changed; /* whether the peer may send descriptors */
    enum sys_kind in_kind, out_kind;
    bool in_was_blocking, out_was_blocking; /* and got O_NONBLOCK from us */
    signed char in_is_local;                /* of a socket: 0, not known; 1, yes; -1, no */
    bool own; /* libpipc's: a short read has emptied it, but for a foreign writer's packets */
    uint32_t opener; /* the process that gives the descriptors their flags back */
    size_t least;    /* room that each read has to offer */
    uint8_t *buffer; /* allocated at the first read */
    size_t capacity, begin, end;
    struct pace pace;
    bool flows;  /* there was much after the last read: the next wants a large buffer */
    bool full;   /* and it filled the one it had, or somebody waits for more */
    bool blocks; /* a read waits; cleared when somebody has set O_NONBLOCK */
    bool at_end;
    unsigned char carries;    /* enum fd_carries: do descriptors travel with what is written? */
    uint16_t front;           /* where a read into an empty buffer begins */
    struct arrived *arrived;  /* where descriptors that come go to; NULL: none are taken */
    fd_receive_more *receive; /* how bytes are read; NULL: by sys_read and sys_read_wait */
    struct share *share;      /* a socket that may move into shared memory; NULL: it stays one */
    uint64_t received, sent;  /* of such a socket: bytes so far */
    /* Their sum, when its next step may be due, with a read and with anything else. */
    uint64_t read_due, due;
    struct sys_credentials *peer; /* of when it connected; NULL: the system knows them later, too */
    const struct transport_ops *_Atomic open_ops; /* of one that was reserved: what `ops` become */
    int failed; /* why the stream is broken; or what passes, for the next look */
    struct ready ready;
};

_Static_assert(offsetof(struct fd_transport, base) == 0, "fd_of casts");

extern const struct transport_ops fd_ops;

static inline struct fd_transport *fd_of(struct transport *transport)
{
    return (struct fd_transport *)transport;
}

/* What it is once it is open. */
static inline const struct transport_ops *fd_open_ops(struct transport *transport)
{
    return fd_of(transport)->open_ops;
}

/* Members of the table that others have as well. */
void fd_skip(struct transport *transport, size_t size);
bool fd_goodbye(struct transport *transport);
bool fd_unread(struct transport *transport);
int fd_descriptor(struct transport *transport);
void fd_peer(struct transport *transport, char *text, size_t size);
int fd_credentials(struct transport *transport, struct sys_credentials *credentials);
bool fd_carries_fds(struct transport *transport);
ssize_t fd_write_fds(struct transport *transport, const void *byte, const int *fds, int count);
bool fd_accept_fds(struct transport *transport, struct arrived *arrived);
/* Whether descriptors may come to those of the program's is as it was. */
void fd_permit_as_before(struct fd_transport *transport);
/* Where `arrived` is set, and nobody waits. EMFILE passes. */
fd_receive_more fd_receive;
/* Have room for so many bytes from `begin` on, at most peek_max; the second: behind `end`. */
int fd_make_room(struct fd_transport *transport, size_t want);
int fd_make_more_room(struct fd_transport *transport);
void fd_free_buffer(struct fd_transport *transport);
/* An empty buffer of over `kept` bytes goes back to the heap, if nothing is known to follow. */
static inline void fd_give_up_empty(struct fd_transport *t, size_t kept)
{
    if (t->begin == t->end && t->capacity > kept && !(t->flows && t->full))
        fd_free_buffer(t);
}

static inline size_t fd_small_size(const struct fd_transport *t)
{
    return t->least > FD_SMALL_SIZE ? t->least : FD_SMALL_SIZE;
}

static inline void fd_give_back(struct fd_transport *t, int fd, bool was_blocking)
{
    int saved = errno;
    if (fd >= 0 && was_blocking && self_process() == t->opener)
        sys_nonblock(fd, false);
    errno = saved;
}

#endif
