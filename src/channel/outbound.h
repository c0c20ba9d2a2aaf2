/* SPDX-License-Identifier: MIT */
/*
 * From messages to a transport's bytes: the tries to send, which never wait, and the bytes that are
 * held. Knows nothing of reading. With duplex two threads use it, and each function locks what it
 * needs. What is held:
 *
 *   rest       of a message of which a part has gone when the call's time was up. Waits for room
 *   gathering  whole messages that nobody has tried to send yet; more may be added (PIPC_GATHER)
 *   gathered   the same after a try: waits for room, and nothing is added
 *
 * The last two belong to the process that gathered them: a child after fork drops its copy.
 *
 * Results: IO_DONE, all has gone. IO_AGAIN, there is no room now. IO_FAILED, errno: writing is
 * dead, or the kernel lacks memory for a moment (ENOMEM, ENOBUFS).
 */
#ifndef PIPC_OUTBOUND_H
#define PIPC_OUTBOUND_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "channel/duplex_lock.h"
#include "channel/outgoing.h"
#include "codec/frame.h"
#include "pipc.h"
#include "sys/self.h"
#include "sys/sys.h"
#include "transport/transport.h"

/* So many bytes go together, with their headers: then a system call counts little for each. */
#define GATHER_SIZE 16384
/* Up to this size copying a message costs less than a write of its own. */
#define GATHERED_MAX 4096
/*
 * A write that begins so much later than the one before is late. In sys_ticks: a millisecond where
 * those are slow, a fifth of it where they are fast. A clock would double the time of a write.
 */
#define GATHER_TICKS 1000000

_Static_assert(2 * (GATHERED_MAX + FRAME_HEADER_MIN) < GATHER_SIZE, "two messages are gathered");

/* The fields are private to outbound.c and the inline functions of this file. */
struct outbound {
    struct transport *transport;
    struct duplex_lock lock;            /* for what is not atomic */
    struct duplex_lock *readiness_lock; /* while output is shut down; taken after `lock` */
    size_t max_message;
    uint8_t *held; /* accepted bytes that are not in the kernel yet, from `begin` to `end` */
    size_t begin, end, capacity;
    bool is_reserved;         /* by a call that writes, until it ends */
    bool gathers;             /* PIPC_GATHER */
    bool is_simple;           /* one thread, no gathering: a message may go by the short way */
    atomic_bool is_gathering; /* what is held was gathered, and nobody has tried to send it */
    bool closing;             /* no more messages; shut down once nothing is held, nobody waits */
    bool has_lost;            /* held bytes were dropped, since writing had died */
    atomic_bool has_failed;   /* `error` is set, and the program did not ask for it */
    atomic_bool is_ended;     /* it is set, since the program did */
    size_t gathered_max;      /* the largest message that is gathered */
    int64_t written_at;       /* when the last write began, if it gathers; 0: there was none */
    _Atomic uint32_t process; /* what is held was gathered by this one; 0: it is a rest */
    unsigned waiting;         /* threads that wait for room */
    int error;                /* why writing is dead; 0: alive */
    atomic_uint was_skipped;  /* a push, since the other thread had the lock */
    atomic_bool was_reset;    /* the connection: reading ends with that */
    _Atomic uint64_t bytes_held; /* a copy of end - begin */
};

void outbound_init(struct outbound *out, const pipc_options_t *options,
                   struct duplex_lock *readiness_lock);
void outbound_attach(struct outbound *out, struct transport *transport);
void outbound_fini(struct outbound *out);

/*
 * 0, or why no message of that size can be sent: no peer has come, EPIPE or how writing died,
 * EMSGSIZE.
 */
int outbound_refusal(struct outbound *out, size_t size);
/* Why writing is dead; 0: it is alive. */
int outbound_error(struct outbound *out);
/* Writing is dead of what reading has found. No effect when it was dead before. */
void outbound_fail(struct outbound *out, int error);

/* Have memory for the `size` bytes that outbound_hold() may be called with. -1: errno. */
int outbound_reserve(struct outbound *out, size_t size);
/* What is held, then as much as goes. */
enum io_result outbound_try_send(struct outbound *out, struct outgoing *outgoing);
/* The rest of a message that has begun to go counts as accepted, and is held. -1: errno, dead. */
int outbound_hold(struct outbound *out, const struct outgoing *rest);
/*
 * Move held bytes on. IO_DONE: nothing is held, or writing is dead. The first also needs a peer:
 * IO_AGAIN while the transport is opening, IO_FAILED when that has failed. The second leaves `keep`
 * of them, keeps errno, and leaves it to another thread that is sending.
 */
enum io_result outbound_push(struct outbound *out);
enum io_result outbound_push_all_but(struct outbound *out, size_t keep);
/* At the end of a call: memory that was reserved and is not used goes back to the heap. */
void outbound_end_call(struct outbound *out);

/*
 * Gather a message; returns its size. -1: it has to be sent, since it is too large, or enough has
 * come with it, or held bytes wait for room.
 */
ssize_t outbound_gather(struct outbound *out, const struct iovec *parts, int count);
/* At the end: send what is gathered, as far as it goes. */
void outbound_send_gathered(struct outbound *out);
/* How many bytes this process holds. From any thread. */
uint64_t outbound_bytes_held(const struct outbound *out);

/*
 * Around a wait for room. False: writing is dead, and there is nothing to wait for. A peer that is
 * to come is waited for even when writing has ended.
 */
bool outbound_begin_wait(struct outbound *out);
void outbound_end_wait(struct outbound *out);
/* No more messages: shuts down at once, or, when bytes are held, once the last of them has gone. */
void outbound_close(struct outbound *out);

/* The transport refused a message, with that error: see the results above. */
enum io_result outbound_write_failed(struct outbound *out, int error);

static inline bool outbound_is_holding(const struct outbound *out)
{
    return atomic_load_explicit(&out->bytes_held, memory_order_relaxed) > 0;
}

static inline bool outbound_is_gathering(const struct outbound *out)
{
    return atomic_load_explicit(&out->is_gathering, memory_order_relaxed);
}

/* A write begins. True: it comes so late after the one before that it has to go at once. */
static inline bool outbound_is_late(struct outbound *out)
{
    int64_t now = sys_ticks_or_clock(), before = out->written_at;
    out->written_at = now;
    return before != 0 && (uint64_t)(now - before) >= GATHER_TICKS;
}

/* The usual case of outbound_gather, where something is gathered already. */
static inline bool outbound_gather_more(struct outbound *out, const struct iovec *message)
{
    size_t size = message->iov_len;
    if (!outbound_is_gathering(out) || size > out->gathered_max || out->lock.is_used ||
        out->end + FRAME_HEADER_MIN + size >= GATHER_SIZE ||
        !self_is_process(atomic_load_explicit(&out->process, memory_order_relaxed)))
        return false;
    uint8_t *frame = out->held + out->end;
    frame_header(frame, size, false);
    if (size > 0)
        memcpy(frame + FRAME_HEADER_MIN, message->iov_base, size);
    out->end += FRAME_HEADER_MIN + size;
    atomic_store_explicit(&out->bytes_held, out->end, memory_order_relaxed);
    return true;
}

/* Held bytes wait for room. */
static inline bool outbound_is_stuck(const struct outbound *out)
{
    return outbound_is_holding(out) && !outbound_is_gathering(out);
}

/* Nothing is in the way of a message of that size, and no other thread writes. */
static inline bool outbound_is_free(const struct outbound *out, size_t size)
{
    return size <= out->max_message && out->is_simple && !out->closing && out->error == 0 &&
           out->begin == out->end;
}

/* When it is free: outbound_reserve has nothing to do. */
static inline bool outbound_is_reserved(const struct outbound *out, size_t size)
{
    return out->capacity >= size;
}

/* May a message of that size be written in place? */
static inline bool outbound_is_reservable(const struct outbound *out, size_t size)
{
    return out->transport->reserve_max > FRAME_HEADER_MIN &&
           size <= out->transport->reserve_max - FRAME_HEADER_MIN;
}

/* A small message, when it is free and reservable: all of it or nothing. */
static inline enum io_result outbound_try_reserve(struct outbound *out, const struct iovec *message)
{
    const struct transport_ops *ops = out->transport->ops;
    size_t size = FRAME_HEADER_MIN + message->iov_len;
    uint8_t *frame = ops->reserve(out->transport, size);
    if (frame == NULL)
        return outbound_write_failed(out, errno);
    frame_header(frame, message->iov_len, false);
    if (message->iov_len > 0)
        memcpy(frame + FRAME_HEADER_MIN, message->iov_base, message->iov_len);
    ops->commit(out->transport, size);
    return IO_DONE;
}

/* No write can report any more that held bytes were lost. */
static inline bool outbound_lost_at_end(struct outbound *out)
{
    duplex_lock(&out->lock);
    bool is_lost = out->closing && out->has_lost;
    duplex_unlock(&out->lock);
    return is_lost;
}

/*
 * One write of one part, when it is free: how many bytes have gone. All or none have where a write
 * goes entirely or not at all (transport.atomic_max). -1: errno, for outbound_write_failed.
 */
static inline ssize_t outbound_write(struct outbound *out, const struct iovec *part)
{
    return out->transport->ops->writev(out->transport, part, 1);
}

#endif
