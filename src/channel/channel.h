/* SPDX-License-Identifier: MIT */
/*
 * One connection: frames over a transport, a queue of messages in memory, output that a write could
 * not get rid of, deadlines, back-pressure, and what a direction is dead of. All public calls end
 * here. channel.c has what both directions share, channel_ready.c the descriptor to poll,
 * channel_input.c turns bytes into messages and
 * channel_output.c messages into bytes, channel_read.c and channel_write.c have the calls.
 */
#ifndef PIPC_CHANNEL_H
#define PIPC_CHANNEL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "channel/queue.h"
#include "codec/frame.h"
#include "pipc.h"
#include "transport/transport.h"

/* The descriptor is silent about an end or error that reading calls have returned so often: who goes
 * on polling has other business, and must not spin. */
#define CHANNEL_REPORTS 8

#define CHANNEL_TAKE_IN_MAX ((size_t)16 * 1024 * 1024)

struct channel_inbound {
    struct queue queue;
    struct frame frame;      /* the message that is being taken in, when `begun` */
    struct message *partial; /* its bytes so far */
    bool begun;              /* its header is taken, its bytes come one by one */
    struct message *bye;     /* the last goodbye that was read */
    size_t allowance;        /* bytes that the call may still take in, a message's cost with them */
    bool stopped;            /* it ran out: more may be there, and a call is worth making */
    int error;               /* what reading is dead of, once the queue is empty; 0: alive */
    unsigned reports;        /* how often a reading call has returned it */
};

struct channel_outbound {
    uint8_t *held; /* accepted bytes that are not in the kernel yet, from `begin` to `end` */
    size_t begin, end, capacity;
    bool closing;     /* no more messages; shut down once nothing is held, and nobody waits */
    unsigned waiting; /* threads that wait for room */
    int error;        /* what writing is dead of; 0: alive */
};

struct channel_counts {
    /* Each is written by one side only, and read by whoever asks for statistics. */
    _Atomic uint64_t messages_read, bytes_read, messages_written, bytes_written;
    _Atomic uint64_t messages_pending, bytes_pending, bytes_held;
};

struct channel {
    struct transport *transport;
    size_t max_message;
    _Atomic size_t max_pending;
    bool interruptible, duplex;
    atomic_int read_ms, write_ms;
    struct channel_inbound in;   /* the reader's */
    struct channel_outbound out; /* the writer's; with duplex under `out_lock` */
    struct channel_counts counts;
    pthread_mutex_t out_lock, settle_lock; /* used with duplex only */
    atomic_bool polled;                    /* somebody asked for the descriptor */
    atomic_uint wanted;                    /* PIPC_WANT_READ, _WRITE */
    atomic_bool news;                      /* what is there raises an edge again */
    atomic_uint in_state;                  /* see channel_ready.c */
    atomic_bool out_wish;                  /* a write was refused and wants to be repeated */
    atomic_bool flush_failed; /* likewise, when nothing is held; until that has been told */
    atomic_bool out_failed;   /* out.error is there, and the program did not ask for it */
    atomic_bool out_ended;    /* it is there, since the program did */
    atomic_bool reset_seen;   /* by a write: reading ends with it */
};

/*
 * NULL options: defaults. It has no transport yet: whoever opens it sets one, which it then owns, so that
 * nothing can fail any more once descriptors have been taken over.
 */
struct channel *channel_open(const pipc_options_t *options);
void channel_close(struct channel *channel);

ssize_t channel_read(struct channel *channel, void *buffer, size_t size);
int channel_read_message(struct channel *channel, pipc_msg_t *message);
ssize_t channel_read_pending(struct channel *channel, pipc_msg_t *messages, size_t max);
int channel_peek(struct channel *channel, pipc_msg_t *view);
int channel_skip(struct channel *channel);
const char *channel_bye_text(const struct channel *channel);
ssize_t channel_pending(struct channel *channel);

ssize_t channel_write(struct channel *channel, const struct iovec *parts, int count);
ssize_t channel_write_batch(struct channel *channel, const struct iovec *messages, size_t count);
ssize_t channel_flush(struct channel *channel);
int channel_shutdown(struct channel *channel);
/* Push out what is held, send the goodbye and shut down; on failure nothing has changed. */
int channel_disconnect(struct channel *channel, const char *text);

int channel_descriptor(struct channel *channel);
void channel_want(struct channel *channel, unsigned events); /* PIPC_WANT_READ, _WRITE */
void channel_set_timeout(struct channel *channel, int read_ms, int write_ms);
void channel_add_stats(const struct channel *channel, pipc_stats_t *stats);

/*
 * A wait that a call may make: how long, and until when. It is a cancellation point. When the thread
 * is cancelled in it, `cancelled` puts the channel in order, as the call would do at its end; NULL:
 * that is channel_end_output. No lock is held in a wait.
 */
struct channel_wait {
    int ms;
    int64_t deadline;
    void (*cancelled)(struct channel *channel, void *context);
    void *context;
};
struct channel_wait channel_wait_start(int ms);
/*
 * After a wait that failed: a call whose time is up looks once more, since less may have come than a wait ends
 * for. `looked` is false at first.
 */
static inline bool channel_looks_again(bool *looked)
{
    bool again = errno == ETIMEDOUT && !*looked;
    *looked = true;
    return again;
}

/*
 * The goodbye in its steps, for an end that is left to a successor: check and push out what is
 * held; complete a message that has begun to come, into the queue; send. With a wait of 0 ms
 * nothing blocks.
 */
int channel_prepare_goodbye(struct channel *channel, const char *text,
                            const struct channel_wait *wait);
int channel_complete(struct channel *channel, const struct channel_wait *wait);
int channel_send_goodbye(struct channel *channel, const char *text,
                         const struct channel_wait *wait);
/* Wait for room, and take in messages meanwhile. As channel_wait. */
int channel_wait_for_room(struct channel *channel, const struct channel_wait *wait);
/* What was taken into memory outlives the channel of an end that is left, for the one who left it. */
struct channel_rest {
    struct queue unread;
    struct message *bye;
};
void channel_give_rest(struct channel *channel, struct channel_rest *rest);
void channel_adopt_rest(struct channel *channel, struct channel_rest *rest);
void channel_drop_rest(struct channel_rest *rest);
size_t channel_rest_cost(const struct channel_rest *rest); /* as counted against max_pending */
/* What others keep counts too. May be called beside the thread that uses the channel. */
void channel_lower_limit(struct channel *channel, const pipc_options_t *options, size_t kept);
const char *channel_text_of(const struct message *bye); /* NULL: NULL */

/* ---- between the files of channel ---- */

/* 0: look again. -1: EAGAIN, ETIMEDOUT, or EINTR where that is asked for. */
int channel_wait(struct channel *channel, const struct channel_wait *wait, unsigned events);
/* The same for what the kernel lacks for a moment: a few milliseconds at most, whose end is no error. */
int channel_wait_a_little(struct channel *channel, const struct channel_wait *wait,
                          unsigned events);
/*
 * At the end of each call: the descriptor tells the truth. `side` is the caller's, TRANSPORT_IN or
 * _OUT, and matters with duplex only. Keeps errno. Most programs that are in a hurry do not poll.
 */
void channel_settle_polled(struct channel *channel, unsigned side);
static inline void channel_settle(struct channel *channel, unsigned side)
{
    if (atomic_load_explicit(&channel->polled, memory_order_relaxed) || channel->duplex)
        channel_settle_polled(channel, side);
}

/*
 * The next message of the transport. These return 1: there; 0: not yet; -1: errno, which is also
 * kept when reading is dead of it.
 */
int channel_next(struct channel *channel,
                 struct frame *frame); /* its header; a long one has `begun` then */
int channel_in_sight(struct channel *channel, const struct frame *frame,
                     const uint8_t **payload); /* a short one */
int channel_take(struct channel *channel, const struct frame *frame, struct message **taken);
/* Up to `size` more bytes of one that has begun; *got grows by what came. */
int channel_take_piece(struct channel *channel, uint8_t *to, size_t size, size_t *got);
int channel_die(struct channel *channel, int error);
/*
 * Before what follows is taken in: at most CHANNEL_TAKE_IN_MAX of it, so that a call which does not wait ends
 * also when the other side writes as fast as it reads.
 */
void channel_begin_input(struct channel *channel);

void channel_enqueue(struct channel *channel, struct message *message);
struct message *channel_dequeue(struct channel *channel);
/* Whoever takes from the queue itself says so when it is through. */
void channel_note_queue(struct channel *channel);
/*
 * Take in what has arrived, up to max_pending and what one call may take, until `enough` messages wait. 1: that was all, and more
 * may be taken when it comes; 0: it stopped before, or reading is dead; -1: it lacked memory.
 */
int channel_take_in(struct channel *channel, size_t enough);
/* Messages that can be read now, after channel_take_in: in the queue, and behind it when that was stopped. */
size_t channel_count_unread(struct channel *channel);
/* Is there a message in memory, a long one's next piece, or how it ended? */
bool channel_is_loud(struct channel *channel);
/* The end of the stream has been seen, perhaps behind something unread. */
bool channel_has_seen_end(struct channel *channel);
/*
 * Around a wait for room: what it waits on is not closed meanwhile. False: writing is dead, and there is
 * nothing to wait for.
 */
bool channel_begin_wait(struct channel *channel);
void channel_end_wait(struct channel *channel);
/*
 * Move held output on, without waiting. 1: nothing is held; 0: something is; -1: writing is dead.
 * After a flush that failed channel_push leaves the last byte: see channel_output.c.
 */
int channel_push(struct channel *channel);
int channel_push_last(struct channel *channel); /* for a call that finds nothing to read */
/* The descriptor says that a flush which failed is worth repeating. */
bool channel_tells_of_flush(const struct channel *channel);
/* A reading call found nothing that is wanted; `was_told`: channel_tells_of_flush when it began. */
void channel_find_nothing(struct channel *channel, bool was_told);

/* ---- output ---- */

/* A message on its way, or several. */
struct channel_outgoing {
    struct iovec *parts;
    int count;
    size_t size, left; /* bytes in all, and not yet gone */
};

void channel_begin_output(struct channel *channel);
void channel_end_output(struct channel *channel);
/* EPIPE and what else writing is dead of; EMSGSIZE for a message of that size. */
int channel_check_alive(struct channel *channel, size_t size);
/*
 * Until all is gone: 0. -1: the call cannot go on; then comes channel_stop. Memory for the
 * `largest` message in it, with its header, has been reserved, in case it ends when one is half
 * gone.
 */
int channel_send(struct channel *channel, struct channel_outgoing *outgoing, size_t largest,
                 const struct channel_wait *wait);
/*
 * With errno of why. `rest`: of a message that has begun to go: it counts as accepted and is held: 0. NULL:
 * none has begun: -1, and the descriptor will tell of room.
 */
int channel_stop(struct channel *channel, const struct channel_outgoing *rest);
/* errno is of the transport's writev. 0: not now; -1: errno, of which writing may be dead. */
int channel_write_failed(struct channel *channel);
/* Until nothing is held. 0 also when writing is dead: then nothing is held either. */
int channel_drain(struct channel *channel, const struct channel_wait *wait);
/* Tell the other side that nothing follows. Under out_lock. */
void channel_end_transport_output(struct channel *channel);
/* Shuts down at once, or, with output held, when the last of it has gone. */
void channel_close_output(struct channel *channel);

static inline bool channel_wants_read(const struct channel *channel)
{
    return (atomic_load_explicit(&channel->wanted, memory_order_relaxed) & PIPC_WANT_READ) != 0;
}

/* One writer a counter: no need for an atomic addition. */
static inline void channel_count(_Atomic uint64_t *counter, uint64_t more)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + more, memory_order_relaxed);
}

#endif
