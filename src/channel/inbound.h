/* SPDX-License-Identifier: MIT */
/*
 * From a transport's bytes to messages, and the messages that wait to be read. inbound.c takes one
 * message at a time, inbound_many.c as many as there are; inbound_fds.c has the descriptors that
 * come with messages. None waits, and none knows of writing. One thread at a time uses it, but for
 * what says otherwise.
 *
 * Results: IO_DONE, what was asked for is there. IO_AGAIN, it has not arrived. IO_FAILED, errno: it
 * will never arrive when inbound_error() returns that errno; else the call may be repeated.
 */
#ifndef PIPC_INBOUND_H
#define PIPC_INBOUND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "channel/queue.h"
#include "codec/frame.h"
#include "pipc.h"
#include "transport/arrived.h"
#include "transport/copy.h"
#include "transport/transport.h"

/* The fields are private to inbound*.c and the inline functions of this file. */
struct inbound {
    struct transport *transport;
    const atomic_bool *was_reset; /* writing has found that the peer reset the connection */
    size_t max_message;
    _Atomic size_t max_pending;
    struct transport_view view; /* of the last peek */
    struct queue queue;
    struct frame frame;      /* the message that is being taken in, when `begun` */
    struct message *partial; /* its bytes so far */
    struct arrived *arrived; /* NULL: they do not */
    struct message *bye;     /* the last goodbye that was read */
    size_t allowance;        /* bytes that the call may still take in, a message's cost with them */
    /* Bits, which the way of a short message tests together. */
    unsigned begun : 1;     /* the header of `partial` is taken, its bytes come one by one */
    unsigned takes_fds : 1; /* descriptors may come with messages */
    bool stopped;           /* the allowance ran out */
    int error;              /* why reading is dead, once the queue is empty; 0: alive */
    _Atomic uint64_t messages_pending, bytes_pending; /* copies of the queue's, for any thread */
};

/* Where a call wants its message. */
struct inbound_target {
    uint8_t *buffer;
    size_t size, got;
    bool is_direct; /* pieces of a long message may go there: the call ends after the message */
    bool waits; /* and it may wait for them, by the call that reads: then it is cancelled there */
    bool lacks_memory; /* for the rest, and to keep what is in `buffer` */
};

void inbound_init(struct inbound *in, const pipc_options_t *options, const atomic_bool *was_reset);
/* PIPC_ACCEPT_FDS; before the next. -1: ENOMEM. */
int inbound_reserve_fds(struct inbound *in);
void inbound_attach(struct inbound *in, struct transport *transport);
void inbound_fini(struct inbound *in);
/* `kept` bytes that others keep count against max_pending too. From any thread. */
void inbound_lower_limit(struct inbound *in, const pipc_options_t *options, size_t kept);

/*
 * Before a call takes in what follows: it takes in a limited amount, so that a call which does not
 * wait ends also when the peer writes as fast as it reads.
 */
void inbound_begin_call(struct inbound *in);

/* Have a message in the queue. */
enum io_result inbound_load(struct inbound *in);
/*
 * The next message into the target. ESHUTDOWN: a goodbye; EMSGSIZE: the message is larger, and
 * stays.
 */
enum io_result inbound_read(struct inbound *in, struct inbound_target *target);
/*
 * A call may end in the middle of a long message: keep what is in the caller's buffer. False: there
 * is no memory for it, and the call has to go on; or inbound_lose_pieces ends reading.
 */
bool inbound_keep_pieces(struct inbound *in, struct inbound_target *target);
void inbound_lose_pieces(struct inbound *in);
/* The rest of a message that has begun, if there is one, into the queue. Done also at the end. */
enum io_result inbound_complete(struct inbound *in);
/* Fill the transport's memory by a blocking read, where it has one and nothing is in memory. */
void inbound_block(struct inbound *in);

/*
 * Take in what has arrived, up to max_pending and the call's allowance, until `enough` messages
 * wait. IO_AGAIN: that was all that has arrived. IO_DONE: it stopped before, or reading is dead.
 * IO_FAILED: no memory.
 */
enum io_result inbound_take_in(struct inbound *in, size_t enough);
/* Messages that can be read now, after inbound_take_in: those in the queue, and those behind it. */
size_t inbound_count_unread(struct inbound *in);
/* Is there a message in memory, a piece of a long one, or how it ended? Makes no system call. */
bool inbound_is_in_memory(struct inbound *in);
/* Is a whole message in memory, which is not taken in yet? Makes no system call. */
bool inbound_has_whole(struct inbound *in);
/* The end of the stream has been seen, perhaps behind something unread. */
bool inbound_has_seen_end(struct inbound *in);

struct inbound_count {
    size_t messages, bytes;
};
/*
 * Give queued messages to the program; returns how many. `read` counts those that are no goodbye.
 */
size_t inbound_hand_over(struct inbound *in, pipc_msg_t *messages, size_t max,
                         struct inbound_count *read);

/* ---- descriptors (inbound_fds.c); nothing comes where !takes_fds ---- */

/* Up to `max` of those that came with the message taken last; returns how many. */
int inbound_take_fds(struct inbound *in, int *fds, int max);
/* They are closed. */
void inbound_close_fds(struct inbound *in);

/*
 * Between inbound*.c. A message is whole: *count is how many came with it. False: more than a
 * message may have. The first is for the second.
 */
bool inbound_claim_arrived(struct inbound *in, uint8_t *count);
static inline bool inbound_claim_fds(struct inbound *in, uint8_t *count)
{
    *count = 0;
    return !in->takes_fds || inbound_claim_arrived(in, count);
}

/* The program has taken a message with so many. */
static inline void inbound_give_fds(struct inbound *in, int count)
{
    if (in->takes_fds)
        arrived_make_current(in->arrived, count);
}

/* No further message will be whole. */
static inline void inbound_drop_fds(struct inbound *in)
{
    if (in->takes_fds)
        arrived_drop_unclaimed(in->arrived);
}

/* Nothing was taken in, since the next message has descriptors, and too many are here already. */
static inline bool inbound_is_full_of_fds(const struct inbound *in)
{
    return in->takes_fds && in->arrived->is_full;
}

void inbound_give_unread(struct inbound *in, struct unread *unread);
void inbound_adopt_unread(struct inbound *in, struct unread *unread);

/*
 * Between inbound.c and inbound_many.c. The header of the next message; a long one has begun then.
 */
enum io_result inbound_next(struct inbound *in, struct frame *frame);
/* That message, into the queue. IO_AGAIN with `stopped` set: the call has taken in enough. */
enum io_result inbound_queue_next(struct inbound *in, const struct frame *frame);
void inbound_note_queue(struct inbound *in);

static inline bool inbound_is_queued(const struct inbound *in)
{
    return in->queue.count > 0;
}

/* The first message in the queue, which stays there. */
static inline void inbound_view_first(const struct inbound *in, pipc_msg_t *view)
{
    struct message *first = in->queue.first;
    *view = (pipc_msg_t){.data = first->data, .size = first->size, .kind = first->kind};
}

/* Why reading is dead, perhaps behind messages in the queue; 0: it is alive. */
static inline int inbound_error(const struct inbound *in)
{
    return in->error;
}

/* Nothing will ever be read any more. */
static inline bool inbound_is_dead(const struct inbound *in)
{
    return in->error != 0 && in->queue.count == 0;
}

/* The call has taken in all that it may: more may be there, and the next call is worth making. */
static inline bool inbound_is_stopped(const struct inbound *in)
{
    return in->stopped;
}

/*
 * Nothing is queued, begun or dead: the next message starts with the next byte. Where messages may
 * have descriptors it is never so: they take the long way.
 */
static inline bool inbound_is_idle(const struct inbound *in)
{
    return in->queue.count == 0 && in->error == 0 && !in->begun && !in->takes_fds;
}

/* No message, or part of one, has left the transport. */
static inline bool inbound_is_empty(const struct inbound *in)
{
    return in->queue.count == 0 && !in->begun;
}

static inline const struct message *inbound_bye(const struct inbound *in)
{
    return in->bye;
}

/* -1: there is no short message at the beginning of the view that fits. */
static inline ssize_t inbound_take_short(struct inbound *in, size_t there, void *buffer,
                                         size_t size)
{
    struct transport *t = in->transport;
    const uint8_t *bytes = in->view.bytes;
    ssize_t length = frame_short_size(bytes, there, in->max_message);
    if (length < 0 || (size_t)length > size)
        return -1;
    copy_message(buffer, bytes + FRAME_HEADER_MIN, (size_t)length);
    t->ops->skip(t, FRAME_HEADER_MIN + (size_t)length);
    return length;
}

/*
 * A short message that is at hand, when inbound_is_idle(), into the buffer: at the cost of no
 * system call, or of one that reads, which blocks where `may_block`. Returns its size; -1: take the
 * long way, on which what went wrong here goes wrong again.
 */
static inline ssize_t inbound_read_at_hand(struct inbound *in, void *buffer, size_t size,
                                           bool may_block)
{
    struct transport *t = in->transport;
    enum transport_peek mode = may_block ? PEEK_BLOCK : PEEK_MEMORY;
    ssize_t there = t->ops->peek(t, FRAME_HEADER_MIN, mode, &in->view);
    return there < 0 ? -1 : inbound_take_short(in, (size_t)there, buffer, size);
}

/*
 * The same by one read that does not wait. IO_FAILED: nothing has arrived. IO_AGAIN: take the long
 * way. *has_more: something may be in memory behind it.
 */
static inline enum io_result inbound_read_now(struct inbound *in, void *buffer, size_t size,
                                              ssize_t *got, bool *has_more)
{
    struct transport *t = in->transport;
    ssize_t there = t->ops->peek(t, FRAME_HEADER_MIN, PEEK_READ, &in->view);
    *got = -1;
    *has_more = there != 0;
    if (there < 0 || in->view.end)
        return IO_AGAIN;
    if (there == 0)
        return IO_FAILED;
    *got = inbound_take_short(in, (size_t)there, buffer, size);
    *has_more = there != *got + FRAME_HEADER_MIN;
    return *got < 0 ? IO_AGAIN : IO_DONE;
}

#endif
