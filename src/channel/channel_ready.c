/* SPDX-License-Identifier: MIT */
/*
 * When the descriptor of pipc_fd is readable. At the end of each call channel_settle compares what the
 * program wants (pipc_want) with the state of both directions, and gives the transport two things: is
 * the descriptor loud, that is readable at once; and for which events of the transport's own is it
 * readable from now on.
 *
 *   wanted    state                                                     loud   event
 *   READ      a message is in memory, or the call stopped before it had
 *             taken in all that was there                               yes
 *             an end or an error of reading                             yes, until it has been
 *                                                                       reported often enough
 *             else                                                             IN
 *   no READ   an end or an error of reading, nothing unread before it   likewise
 *             something is unread in memory                             no
 *             else                                                             IN_END
 *             writing has failed for good                               yes
 *             writing was ended here                                    no
 *             else                                                             OUT_END
 *   WRITE     output is held, or a write is worth repeating                    OUT
 *             a flush failed, and nothing is held any more              yes
 *
 * "Failed for good": nobody will read it. That is no end of writing that the program asked for.
 *
 * IN_END is also the hang-up of a stream in which messages are unread, and stays so. Then one message
 * is taken into memory: it is unread, or there is none and the end is known. Either answers the
 * hang-up, so that nobody is woken by it twice. The writing thread of a duplex channel may not take
 * anything in: it hides such a hang-up until the reading thread makes a call.
 */
#include <errno.h>

#include "channel/channel.h"

/* What the reading side knows: the first two lines of each half of the table; and what it was not asked. */
enum { IN_READABLE = 1, IN_UNREAD = 2, IN_OVER = 4, IN_HIDDEN = 8 };

static bool wants(const struct channel *c, unsigned event)
{
    return (atomic_load_explicit(&c->wanted, memory_order_relaxed) & event) != 0;
}

static bool is_polled(const struct channel *c)
{
    return atomic_load_explicit(&c->polled, memory_order_relaxed);
}

static bool may_be_over(struct channel *c, unsigned over)
{
    return c->in.queue.count == 0 && c->in.error == 0 &&
           ((over & TRANSPORT_IN) != 0 || channel_has_seen_end(c));
}

/* For the reading side, and without the lock: what is taken in may end writing too. */
static void note_input(struct channel *c, bool reads, unsigned over)
{
    if (!reads && !c->in.stopped && may_be_over(c, over))
        channel_take_in(c, 1);
    unsigned state = channel_is_loud(c) ? IN_READABLE : 0;
    if (c->in.queue.count > 0)
        state |= IN_UNREAD;
    else if (c->in.error != 0)
        state |= IN_OVER;
    atomic_store(&c->in_state, state);
    if (c->in.stopped)
        atomic_store(&c->news, true); /* no edge need come from what is there already */
}

/* The hang-up of what the writing side cannot look into. */
static void hide_input(struct channel *c, unsigned over)
{
    if ((over & TRANSPORT_IN) != 0 && c->transport->ops->unread(c->transport))
        atomic_fetch_or(&c->in_state, IN_HIDDEN);
}

static bool is_output_loud(const struct channel *c)
{
    return wants(c, PIPC_WANT_WRITE) && channel_tells_of_flush(c);
}

static unsigned output_events(const struct channel *c)
{
    bool waits = atomic_load(&c->out_wish) || atomic_load(&c->counts.bytes_held) > 0;
    return waits && wants(c, PIPC_WANT_WRITE) ? TRANSPORT_OUT : 0;
}

static bool is_writing_alive(const struct channel *c)
{
    return !atomic_load(&c->out_failed) && !atomic_load(&c->out_ended);
}

static bool settle_for_ends(struct channel *c, unsigned side, unsigned over, unsigned *events)
{
    if ((side & TRANSPORT_IN) == 0)
        hide_input(c, over);
    unsigned state = atomic_load(&c->in_state);
    if ((state & (IN_UNREAD | IN_OVER | IN_HIDDEN)) == 0)
        *events |= TRANSPORT_IN_END;
    if (is_writing_alive(c))
        *events |= TRANSPORT_OUT_END;
    bool has_failed =
        atomic_load(&c->out_failed) || ((over & TRANSPORT_OUT) != 0 && !atomic_load(&c->out_ended));
    return (state & (IN_OVER | IN_READABLE)) == (IN_OVER | IN_READABLE) || has_failed;
}

static void settle(struct channel *c, unsigned side, unsigned over)
{
    bool loud;
    unsigned events = output_events(c);
    if (wants(c, PIPC_WANT_READ)) {
        unsigned state = atomic_load(&c->in_state);
        loud = (state & IN_READABLE) != 0;
        if ((state & IN_OVER) == 0)
            events |= TRANSPORT_IN;
    } else {
        loud = settle_for_ends(c, side, over, &events);
    }
    if (atomic_exchange(&c->news, false))
        events |= TRANSPORT_EDGE;
    c->transport->ops->settle(c->transport, loud || is_output_loud(c), events);
}

static void lock_settle(struct channel *c)
{
    if (c->duplex)
        pthread_mutex_lock(&c->settle_lock);
}

static void unlock_settle(struct channel *c)
{
    if (c->duplex)
        pthread_mutex_unlock(&c->settle_lock);
}

void channel_settle_polled(struct channel *c, unsigned side)
{
    int saved = errno;
    bool reads = wants(c, PIPC_WANT_READ) || !is_polled(c);
    unsigned over = reads ? 0 : c->transport->ops->over(c->transport);
    if (!c->duplex)
        side = TRANSPORT_IN | TRANSPORT_OUT;
    if (side & TRANSPORT_IN)
        note_input(c, reads, over);
    if (atomic_load(&c->polled)) {
        lock_settle(c);
        settle(c, side, over);
        unlock_settle(c);
    }
    errno = saved;
}

int channel_descriptor(struct channel *c)
{
    lock_settle(c);
    int fd = c->transport->ops->descriptor(c->transport);
    unlock_settle(c);
    if (fd < 0)
        return -1;
    channel_push(c);
    atomic_store(&c->polled, true);
    channel_settle(c, 0);
    return fd;
}

void channel_want(struct channel *c, unsigned events)
{
    unsigned before = atomic_exchange(&c->wanted, events);
    if ((events & ~before) != 0)
        atomic_store(&c->news, true);
    channel_push(c);
    channel_settle(c, 0);
}

void channel_end_transport_output(struct channel *c)
{
    lock_settle(c);
    c->transport->ops->shutdown(c->transport); /* may tell that the other side is gone: no news */
    unlock_settle(c);
    atomic_store(&c->out_ended, true);
}
