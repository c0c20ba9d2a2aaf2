/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "channel/channel_internal.h"
#include "sys/sys.h"
#include "transport/transport_report.h"

struct channel *channel_open(const pipc_options_t *options)
{
    static const pipc_options_t defaults = PIPC_OPTIONS_INIT;
    const pipc_options_t *o = options != NULL ? options : &defaults;
    struct channel *c = sys_alloc(sizeof *c);
    if (c == NULL)
        return NULL;
    memset(c, 0, sizeof *c);
    c->interruptible = (o->flags & PIPC_INTERRUPTIBLE) != 0;
    c->duplex = (o->flags & PIPC_DUPLEX) != 0;
    c->read_ms = c->write_ms = -1;
    c->wanted = PIPC_WANT_READ | PIPC_WANT_WRITE;
    duplex_lock_init(&c->readiness_lock, c->duplex);
    outbound_init(&c->out, o, &c->readiness_lock);
    inbound_init(&c->in, o, &c->out.was_reset);
    if ((o->flags & PIPC_ACCEPT_FDS) == 0 || inbound_reserve_fds(&c->in) == 0)
        return c;
    channel_close(c);
    return NULL;
}

static void update_may_block(struct channel *c)
{
    bool may_block = c->transport->can_block && c->read_ms < 0 && !c->interruptible;
    atomic_store_explicit(&c->may_block, may_block, memory_order_relaxed);
}

void channel_attach(struct channel *c, struct transport *transport)
{
    c->transport = transport;
    update_may_block(c);
    inbound_attach(&c->in, transport);
    outbound_attach(&c->out, transport);
}

struct transport *channel_transport(const struct channel *c)
{
    return c->transport;
}

void channel_close(struct channel *c)
{
    int saved = errno;
    if (c->transport != NULL) {
        outbound_send_gathered(&c->out);
        c->transport->ops->close(c->transport);
    }
    inbound_fini(&c->in);
    outbound_fini(&c->out);
    duplex_lock_fini(&c->readiness_lock);
    sys_free(c);
    errno = saved;
}

/*
 * What the thread had in memory may have been in the middle of a change: a block that has moved,
 * and nobody knows it yet. It stays where it is.
 */
void channel_abandon(struct channel *c)
{
    c->transport->ops->close(c->transport);
    sys_free(c);
}

/* EAGAIN is for what another call can change. */
static int not_detached(const struct channel *c, int error)
{
    errno = error == EAGAIN && inbound_is_dead(&c->in) ? inbound_error(&c->in) : error;
    return -1;
}

int channel_detach(struct channel *c, int fds[2])
{
    int reading = inbound_is_dead(&c->in) ? inbound_error(&c->in) : 0;
    int no_peer = transport_find_open_error(c->transport);
    if (no_peer != 0) {
        errno = no_peer;
        return -1;
    }
    if (!inbound_is_empty(&c->in) || outbound_bytes_held(&c->out) > 0) {
        errno = EAGAIN;
        return -1;
    }
    if (reading != 0 && reading != EPIPE)
        return not_detached(c, reading);
    if (c->transport->ops->detach(c->transport, fds) != 0)
        return not_detached(c, errno);
    c->transport = NULL;
    channel_close(c);
    return 0;
}

/* ---- waiting ---- */

struct channel_wait channel_wait_start(int ms)
{
    struct channel_wait wait = {.ms = ms, .deadline = -1};
    if (ms > 0)
        wait.deadline = sys_now() + (int64_t)ms * 1000000;
    return wait;
}

/* ---- the trace ---- */

/* How the stream ended has a line already. What may work later is no refusal. */
static bool is_refusal(const struct channel *c, int error, bool was_reading)
{
    if (error == EAGAIN || error == ETIMEDOUT || error == EINTR || error == ESHUTDOWN)
        return false;
    return !was_reading || !inbound_is_dead(&c->in) || inbound_error(&c->in) != error;
}

void channel_write_failure(struct channel *c, const char *call, bool was_reading)
{
    int error = errno;
    if (is_refusal(c, error, was_reading))
        transport_report(c->transport, TRACE_REFUSED, call, error);
    trace_deliver();
    errno = error;
}

/* ---- waiting, under cancellation ---- */

struct cancellation {
    struct channel *channel;
    const struct channel_wait *wait;
    bool counts; /* among the threads that wait for room */
};

static void put_in_order(void *context)
{
    const struct cancellation *at = context;
    int saved = errno;
    if (at->counts)
        outbound_end_wait(&at->channel->out);
    if (at->wait->cancelled != NULL)
        at->wait->cancelled(at->channel, at->wait->context);
    else
        channel_end_writing(at->channel);
    errno = saved;
}

enum io_result channel_wait_in_read(struct channel *c, const struct channel_wait *wait,
                                    struct inbound_target *target)
{
    struct cancellation at = {c, wait, false};
    enum io_result result;
    target->waits = true;
    pthread_cleanup_push(put_in_order, &at);
    result = inbound_read(&c->in, target);
    pthread_cleanup_pop(0);
    target->waits = false;
    return result;
}

static int wait_in_transport(struct channel *c, const struct channel_wait *wait, unsigned events)
{
    struct cancellation at = {c, wait, c->duplex && (events & TRANSPORT_OUT) != 0};
    int result;
    if (at.counts && !outbound_begin_wait(&c->out))
        return 0;
    pthread_cleanup_push(put_in_order, &at);
    result = c->transport->ops->wait(c->transport, events, wait->deadline);
    pthread_cleanup_pop(0);
    if (at.counts)
        outbound_end_wait(&c->out);
    return result;
}

int channel_wait(struct channel *c, const struct channel_wait *wait, unsigned events)
{
    if (wait->ms == 0) {
        errno = EAGAIN;
        return -1;
    }
    /*
     * Checked here too: readiness without anything to do must not carry a call past its deadline.
     */
    if (wait->deadline >= 0 && sys_now() >= wait->deadline) {
        errno = ETIMEDOUT;
        return -1;
    }
    if ((events & TRANSPORT_IN) != 0 && inbound_is_stopped(&c->in))
        return 0; /* there is more than was taken in */
    if (c->interruptible)
        events |= TRANSPORT_CAUGHT;
    trace_deliver();
    if (wait_in_transport(c, wait, events) == 0)
        return 0;
    return errno == EINTR && !c->interruptible ? 0 : -1;
}

#define RETRY_MS 10 /* until a kernel without memory is asked again */

int channel_wait_a_little(struct channel *c, const struct channel_wait *wait, unsigned events)
{
    struct channel_wait soon = channel_wait_start(RETRY_MS);
    soon.cancelled = wait->cancelled;
    soon.context = wait->context;
    if (wait->ms == 0 || (wait->deadline >= 0 && wait->deadline < soon.deadline))
        return channel_wait(c, wait, events);
    return channel_wait(c, &soon, events) == 0 || errno == ETIMEDOUT ? 0 : -1;
}

int channel_pause(struct channel *c, const struct channel_wait *wait)
{
    struct cancellation at = {c, wait, false};
    int result;
    pthread_cleanup_push(put_in_order, &at);
    result = sys_poll(NULL, 0, sys_now() + RETRY_MS * SYS_MILLISECOND);
    pthread_cleanup_pop(0);
    return result >= 0 || errno == EINTR ? 0 : -1;
}

/* Two sides that write at once would wait for ever if neither took in what the other writes. */
int channel_wait_for_room(struct channel *c, const struct channel_wait *wait)
{
    if (c->duplex && wait->ms != 0)
        channel_update_readiness(c, TRANSPORT_OUT); /* what shows unread messages may be the room */
    if (wait->ms == 0 || c->duplex)
        return channel_wait(c, wait, TRANSPORT_OUT);
    enum io_result taken = channel_take_in(c, SIZE_MAX);
    if (outbound_error(&c->out) != 0 && !transport_is_opening(c->transport))
        return 0; /* what came tells that writing is dead too, as the next try finds */
    if (taken == IO_FAILED)
        return channel_wait_a_little(c, wait, TRANSPORT_OUT);
    bool more = taken == IO_AGAIN || inbound_is_stopped(&c->in);
    return channel_wait(c, wait, more ? TRANSPORT_IN | TRANSPORT_OUT : TRANSPORT_OUT);
}

/* ---- small things ---- */

void channel_set_timeout(struct channel *c, int read_ms, int write_ms)
{
    atomic_store(&c->read_ms, read_ms);
    atomic_store(&c->write_ms, write_ms);
    update_may_block(c);
}

void channel_add_stats(const struct channel *c, pipc_stats_t *stats)
{
    stats->messages_read += atomic_load(&c->messages_read);
    stats->bytes_read += atomic_load(&c->bytes_read);
    stats->messages_written += atomic_load(&c->messages_written);
    stats->bytes_written += atomic_load(&c->bytes_written);
    stats->messages_pending += atomic_load(&c->in.messages_pending);
    stats->bytes_pending += atomic_load(&c->in.bytes_pending);
    stats->bytes_held += outbound_bytes_held(&c->out);
    struct transport_figures figures = transport_figures_of(c->transport);
    stats->kernel_read += figures.kernel_read;
    stats->kernel_written += figures.kernel_written;
    stats->shared_read += figures.shared_read;
    stats->shared_written += figures.shared_written;
    stats->shared_unread += figures.unread;
    stats->shared_unread_by_peer += figures.unread_by_peer;
    stats->waits += figures.waits;
    stats->wakeups += figures.wakeups;
}

void channel_give_unread(struct channel *c, struct unread *unread)
{
    inbound_give_unread(&c->in, unread);
}

void channel_adopt_unread(struct channel *c, struct unread *unread)
{
    inbound_adopt_unread(&c->in, unread);
}

void channel_lower_limit(struct channel *c, const pipc_options_t *options, size_t kept)
{
    inbound_lower_limit(&c->in, options, kept);
}
