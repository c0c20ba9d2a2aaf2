/* SPDX-License-Identifier: MIT */
/* Between the files of channel. */
#ifndef PIPC_CHANNEL_INTERNAL_H
#define PIPC_CHANNEL_INTERNAL_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel/channel.h"
#include "channel/duplex_lock.h"
#include "channel/inbound.h"
#include "channel/outbound.h"
#include "trace/trace.h"

/*
 * The descriptor stops reporting an end or error that reading calls have returned so often: a
 * program that goes on polling has other business, and must not spin.
 */
#define CHANNEL_REPORTS_MAX 8

struct channel {
    struct transport *transport;
    bool interruptible, duplex;
    bool awaits_input;     /* see channel_update_if_changed; never with duplex */
    atomic_bool may_block; /* nothing limits a read, and the transport can wait by reading */
    atomic_int read_ms, write_ms;
    /* 1: what is there raises an edge again. Here it fills a hole; RISC-V exchanges no bytes. */
    atomic_uint news;
    unsigned reports;    /* how often a reading call has returned why reading is dead */
    struct inbound in;   /* the reader's */
    struct outbound out; /* the writer's; with duplex it has a lock */
    /* Each is written by one side only, and read by whoever asks for statistics. */
    _Atomic uint64_t messages_read, bytes_read, messages_written, bytes_written;

    /* Readiness, see channel_ready.c. */
    struct duplex_lock readiness_lock;
    atomic_uint wanted;         /* PIPC_WANT_READ, _WRITE */
    atomic_uint in_state;       /* what the reading side knows */
    atomic_bool polled;         /* somebody asked for the descriptor */
    atomic_bool write_interest; /* a write was refused and is worth repeating */
    atomic_bool flush_failed;   /* likewise, when nothing is held; until that has been reported */
};

/* ---- channel.c ---- */

/*
 * A wait that a call may make: how long, and until when. It is a cancellation point. When the
 * thread is cancelled in it, `cancelled` puts the channel in order, as the call would do at its
 * end; NULL: that is channel_end_writing. No lock is held in a wait.
 */
struct channel_wait {
    int ms;
    int64_t deadline;
    void (*cancelled)(struct channel *channel, void *context);
    void *context;
};
struct channel_wait channel_wait_start(int ms);
/* 0: try again. -1: EAGAIN, ETIMEDOUT, or EINTR where that is asked for. */
int channel_wait(struct channel *channel, const struct channel_wait *wait, unsigned events);
/*
 * The same for what the kernel lacks for a moment: a few milliseconds at most, whose end is no
 * error.
 */
int channel_wait_a_little(struct channel *channel, const struct channel_wait *wait,
                          unsigned events);
/* The same for what no event shows. -1: errno, and a further try is no use. */
int channel_pause(struct channel *channel, const struct channel_wait *wait);
/* Read into the target, and wait there without a limit. What cancels is put in order likewise. */
enum io_result channel_wait_in_read(struct channel *channel, const struct channel_wait *wait,
                                    struct inbound_target *target);
/* Wait for room, and take in messages meanwhile. As channel_wait. */
int channel_wait_for_room(struct channel *channel, const struct channel_wait *wait);
/*
 * After a wait that failed with that error: a call whose time is up tries once more, since less may
 * have come than a wait ends for. *has_tried is false at first.
 */
static inline bool channel_tries_again(bool *has_tried, int error)
{
    bool again = error == ETIMEDOUT && !*has_tried;
    *has_tried = true;
    return again;
}

/* ---- channel_ready.c ---- */

/*
 * At the end of each call: the descriptor shows what there is to do. `side` is the caller's,
 * TRANSPORT_IN or _OUT, and matters with duplex only. Keeps errno.
 */
void channel_update_polled(struct channel *channel, unsigned side);
/* Most programs that are in a hurry do not poll. */
static inline void channel_update_readiness(struct channel *channel, unsigned side)
{
    if (atomic_load_explicit(&channel->polled, memory_order_relaxed) || channel->duplex)
        channel_update_polled(channel, side);
}
/*
 * The same for a call that took in no more than it gave to the program, and left nothing held. If
 * the last update left the descriptor waiting for input and for nothing else, it still does.
 */
static inline void channel_update_if_changed(struct channel *channel, unsigned side)
{
    if (!channel->awaits_input)
        channel_update_readiness(channel, side);
}
/* The end of a call that writes. */
void channel_end_writing(struct channel *channel);

/*
 * Held bytes that a reading call moves on. With duplex the reading thread leaves what is gathered
 * to the writing one.
 */
static inline bool channel_reader_holds(const struct channel *channel)
{
    return outbound_is_holding(&channel->out) &&
           !(channel->duplex && outbound_is_gathering(&channel->out));
}

/*
 * Move held bytes on, without waiting. After a flush that failed the first leaves the last byte:
 * see channel_ready.c. The second and third are for reading calls, the third for one that finds
 * nothing.
 */
enum io_result channel_push(struct channel *channel);
enum io_result channel_push_reading(struct channel *channel);
enum io_result channel_push_last(struct channel *channel);
/* The descriptor reports that a flush which failed is worth repeating. */
bool channel_reports_flush(const struct channel *channel);
/*
 * A reading call found nothing that is wanted. `was_reported`: channel_reports_flush when it began.
 */
void channel_find_nothing(struct channel *channel, bool was_reported);

/* ---- channel_send.c ---- */

/* A frame on its way, with what has to be known when the call is cancelled. */
struct channel_frame {
    struct outgoing outgoing;
    struct iovec *memory; /* of the parts; NULL: the caller's */
    size_t size;          /* of the message */
    bool bye;
    const int *fds; /* that go with its first byte */
    int fd_count;
};
static inline void channel_begin_writing(struct channel *channel)
{
    atomic_store_explicit(&channel->write_interest, false, memory_order_relaxed);
}
/* 0, or -1 and errno: no message of that size can be sent. */
int channel_check(struct channel *channel, size_t size);
/*
 * Until all is gone: 0. -1: the call cannot go on; then comes channel_stop. Memory for the
 * `largest` message in it, with its header, is reserved first, in case the call ends when one is
 * half gone.
 */
int channel_send(struct channel *channel, struct outgoing *outgoing, size_t largest,
                 const struct channel_wait *wait);
/*
 * The call ends by that error. `rest`: of a message that has begun to go: it counts as accepted and
 * is held: 0. NULL: none has begun: -1, and the descriptor will report room.
 */
int channel_stop(struct channel *channel, const struct outgoing *rest, int error);
/* parts[0] is free for the header. 0: accepted. -1: nothing of it has gone. */
int channel_send_frame(struct channel *channel, struct channel_frame *frame, struct iovec *parts,
                       int count, const struct channel_wait *wait);
/* The rest of a message of which a part has gone. What does not go in time is held. */
enum io_result channel_send_rest(struct channel *channel, struct iovec *rest, size_t whole,
                                 size_t message_size);
/* Until nothing is held. 0 also when writing is dead: then nothing is held either. */
int channel_drain(struct channel *channel, const struct channel_wait *wait);

/* ---- what one direction means for the other ---- */

/*
 * After each step of reading that may have failed: a stream that is broken is so both ways, and so
 * is one that never began.
 */
static inline void channel_share_failure(struct channel *channel)
{
    int error = inbound_error(&channel->in);
    if (error != 0 && (error == EPROTO || error == ECONNRESET ||
                       error == transport_open_error(channel->transport)))
        outbound_fail(&channel->out, error);
}

static inline enum io_result channel_take_in(struct channel *channel, size_t enough)
{
    enum io_result result = inbound_take_in(&channel->in, enough);
    channel_share_failure(channel);
    return result;
}

/* ---- the trace ---- */

/* The end of a call that failed. No lock is held. Keeps errno. */
void channel_write_failure(struct channel *channel, const char *call, bool was_reading);
static inline void channel_report_failure(struct channel *channel, const char *call,
                                          bool was_reading)
{
    if (trace_is_on())
        channel_write_failure(channel, call, was_reading);
}

/* ---- small things ---- */

static inline bool channel_wants(const struct channel *channel, unsigned event)
{
    return (atomic_load_explicit(&channel->wanted, memory_order_relaxed) & event) != 0;
}

/* -1, errno: it was opened before its peer was there, which did not come. */
static inline int channel_check_open(const struct channel *channel)
{
    int error = transport_open_error(channel->transport);
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

/* One writer a counter: no need for an atomic addition. */
static inline void channel_count(_Atomic uint64_t *counter, uint64_t more)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + more, memory_order_relaxed);
}

static inline void channel_count_written(struct channel *channel, size_t messages, size_t bytes)
{
    channel_count(&channel->messages_written, messages);
    channel_count(&channel->bytes_written, bytes);
}

#endif
