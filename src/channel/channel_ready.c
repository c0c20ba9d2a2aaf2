/* SPDX-License-Identifier: MIT */
/*
 * When the descriptor of pipc_fd is readable. At the end of each call channel_update_readiness
 * compares what the program wants (pipc_want) with the state of both directions, and gives the
 * transport two things: is the descriptor readable at once; and for which events of the transport's
 * own does it become readable from now on.
 *
 *   wanted    state                                                     readable   event
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
 *             output is gathered (PIPC_GATHER), but with duplex               yes
 *             a flush failed, and nothing is held any more              yes
 *
 * "Failed for good": nobody will read it. That is no end of writing that the program asked for.
 *
 * IN_END is also the hang-up of a stream in which messages are unread, and stays so. Then one
 * message is taken into memory: it is unread, or there is none and the end is known. Either answers
 * the hang-up, so that nobody is woken by it twice. In two cases nothing can be taken in: by the
 * writing thread of a duplex channel, and while no number is free for the descriptors of that
 * message (EMFILE). Then such a hang-up is hidden until the reading thread makes a call.
 */
#include <errno.h>

#include "channel/channel_internal.h"

/*
 * What the reading side knows: the first two lines of each half of the table; and what it was not
 * asked.
 */
enum { IN_READABLE = 1, IN_UNREAD = 2, IN_OVER = 4, IN_HIDDEN = 8 };

/* ---- a flush that failed ----
 *
 * It is worth repeating as soon as nothing is held, and the descriptor has to report it. But a
 * program that reads until there is nothing more before it polls would push out the last byte in
 * one read, and the next read would end the report. So the last byte is left for a call that found
 * nothing, after which a program polls; and the next such call ends the report, or a program that
 * ignores it would get it for ever.
 */

enum io_result channel_push(struct channel *c)
{
    bool failed = atomic_load_explicit(&c->flush_failed, memory_order_relaxed);
    return outbound_push_all_but(&c->out, failed ? 1 : 0);
}

enum io_result channel_push_reading(struct channel *c)
{
    return channel_reader_holds(c) ? channel_push(c) : IO_DONE;
}

bool channel_reports_flush(const struct channel *c)
{
    return atomic_load(&c->flush_failed) && !outbound_is_holding(&c->out);
}

enum io_result channel_push_last(struct channel *c)
{
    bool held = channel_reader_holds(c);
    enum io_result result = held ? outbound_push_all_but(&c->out, 0) : IO_DONE;
    if (held && channel_reports_flush(c))
        atomic_store(&c->news, 1);
    return result;
}

void channel_find_nothing(struct channel *c, bool was_reported)
{
    channel_push_last(c);
    if (was_reported)
        atomic_store(&c->flush_failed, false);
}

/* ---- input ---- */

static bool may_be_over(struct channel *c, unsigned over)
{
    return !inbound_is_queued(&c->in) && inbound_error(&c->in) == 0 &&
           ((over & TRANSPORT_IN) != 0 || inbound_has_seen_end(&c->in));
}

static bool is_input_readable(struct channel *c)
{
    if (inbound_is_queued(&c->in))
        return true;
    if (inbound_is_dead(&c->in))
        return c->reports < CHANNEL_REPORTS_MAX;
    return inbound_is_stopped(&c->in) || inbound_is_in_memory(&c->in);
}

/* For the reading side, and without the lock: what is taken in may end writing too. */
static void note_input(struct channel *c, bool reads, unsigned over)
{
    bool is_kept = false;
    if (!reads && !inbound_is_stopped(&c->in) && may_be_over(c, over))
        is_kept = channel_take_in(c, 1) == IO_FAILED && errno == EMFILE;
    unsigned state = is_input_readable(c) ? IN_READABLE : 0;
    if (inbound_is_queued(&c->in))
        state |= IN_UNREAD;
    else if (inbound_is_dead(&c->in))
        state |= IN_OVER;
    else if (is_kept)
        state |= IN_HIDDEN;
    else if (c->duplex && inbound_has_whole(&c->in)) /* the writing thread cannot look there */
        state |= IN_UNREAD;
    if (state != atomic_load_explicit(&c->in_state, memory_order_relaxed))
        atomic_store(&c->in_state, state);
    if (inbound_is_stopped(&c->in))
        atomic_store(&c->news, 1); /* no edge need come from what is there already */
}

/* The hang-up of what the writing side cannot look into. */
static void hide_input(struct channel *c, unsigned over)
{
    if ((over & TRANSPORT_IN) != 0 && c->transport->ops->unread(c->transport))
        atomic_fetch_or(&c->in_state, IN_HIDDEN);
}

/* ---- output ---- */

static bool is_output_readable(const struct channel *c)
{
    bool has_reason = outbound_is_holding(&c->out) ? !c->duplex && outbound_is_gathering(&c->out)
                                                   : atomic_load(&c->flush_failed);
    return has_reason && channel_wants(c, PIPC_WANT_WRITE);
}

static unsigned output_events(const struct channel *c)
{
    bool waits = atomic_load(&c->write_interest) || outbound_is_stuck(&c->out);
    return waits && channel_wants(c, PIPC_WANT_WRITE) ? TRANSPORT_OUT : 0;
}

/* ---- the descriptor ---- */

static bool is_readable_for_ends(struct channel *c, unsigned side, unsigned over, unsigned *events)
{
    bool has_failed = atomic_load(&c->out.has_failed), is_ended = atomic_load(&c->out.is_ended);
    if ((side & TRANSPORT_IN) == 0)
        hide_input(c, over);
    unsigned state = atomic_load(&c->in_state);
    bool awaits_end = (state & (IN_UNREAD | IN_OVER | IN_HIDDEN)) == 0;
    bool is_untold = awaits_end && (over & TRANSPORT_IN) != 0 && !c->duplex; /* the call stopped */
    if (awaits_end)
        *events |= TRANSPORT_IN_END;
    if (!has_failed && !is_ended)
        *events |= TRANSPORT_OUT_END;
    return is_untold || (state & (IN_OVER | IN_READABLE)) == (IN_OVER | IN_READABLE) ||
           has_failed || ((over & TRANSPORT_OUT) != 0 && !is_ended);
}

/*
 * A push was skipped while the other thread was writing, and the edge of the room may have gone to
 * whoever skipped it. For the writing thread, whose update comes behind its try.
 */
static bool takes_skipped(struct channel *c, unsigned side)
{
    return (side & TRANSPORT_IN) == 0 && atomic_load(&c->out.was_skipped) != 0 &&
           atomic_exchange(&c->out.was_skipped, 0) != 0 && output_events(c) != 0;
}

static void update(struct channel *c, unsigned side, unsigned over)
{
    bool readable;
    unsigned events = output_events(c);
    if (channel_wants(c, PIPC_WANT_READ)) {
        unsigned state = atomic_load(&c->in_state);
        readable = (state & IN_READABLE) != 0;
        if ((state & IN_OVER) == 0)
            events |= TRANSPORT_IN;
    } else {
        readable = is_readable_for_ends(c, side, over, &events);
    }
    if (atomic_load(&c->news) && atomic_exchange(&c->news, 0) != 0)
        events |= TRANSPORT_EDGE;
    readable = readable || is_output_readable(c);
    if (takes_skipped(c, side)) {
        readable = true;
        events |= TRANSPORT_EDGE;
    }
    bool is_steady = c->transport->ops->update_readiness(c->transport, readable, events);
    if (!c->duplex) /* there the other thread may be looking */
        c->awaits_input = is_steady && !readable && events == TRANSPORT_IN;
}

static bool is_polled(const struct channel *c)
{
    return atomic_load_explicit(&c->polled, memory_order_relaxed);
}

void channel_update_polled(struct channel *c, unsigned side)
{
    int saved = errno;
    bool reads = channel_wants(c, PIPC_WANT_READ) || !is_polled(c);
    unsigned over = reads ? 0 : c->transport->ops->over(c->transport);
    if (!c->duplex)
        side = TRANSPORT_IN | TRANSPORT_OUT;
    if (side & TRANSPORT_IN)
        note_input(c, reads, over);
    if (atomic_load(&c->polled)) {
        duplex_lock(&c->readiness_lock);
        update(c, side, over);
        duplex_unlock(&c->readiness_lock);
    }
    errno = saved;
}

void channel_end_writing(struct channel *c)
{
    outbound_end_call(&c->out);
    channel_update_readiness(c, TRANSPORT_OUT);
}

int channel_descriptor(struct channel *c)
{
    duplex_lock(&c->readiness_lock);
    int fd = c->transport->ops->descriptor(c->transport);
    duplex_unlock(&c->readiness_lock);
    if (fd < 0)
        return -1;
    channel_push(c);
    atomic_store(&c->polled, true);
    channel_update_readiness(c, 0);
    return fd;
}

void channel_want(struct channel *c, unsigned events)
{
    unsigned before = atomic_exchange(&c->wanted, events);
    if ((events & ~before) != 0)
        atomic_store(&c->news, 1);
    channel_push(c);
    channel_update_readiness(c, 0);
}
