/* SPDX-License-Identifier: MIT */
#include "channel/channel.h"

#include <errno.h>
#include <string.h>

#include "sys/sys.h"

#define DEFAULT_LIMIT ((size_t)64 * 1024 * 1024)

/* No object is larger, and sizes plus a header must not overflow. */
#define LARGEST_LIMIT ((size_t)PTRDIFF_MAX / 2)

static size_t limit_or_default(size_t limit)
{
    if (limit == 0)
        return DEFAULT_LIMIT;
    return limit < LARGEST_LIMIT ? limit : LARGEST_LIMIT;
}

struct channel *channel_open(const pipc_options_t *options)
{
    static const pipc_options_t defaults = PIPC_OPTIONS_INIT;
    const pipc_options_t *o = options != NULL ? options : &defaults;
    struct channel *c = sys_alloc(sizeof *c);
    if (c == NULL)
        return NULL;
    memset(c, 0, sizeof *c);
    c->max_message = limit_or_default(o->max_message);
    atomic_init(&c->max_pending, limit_or_default(o->max_pending));
    c->interruptible = (o->flags & PIPC_INTERRUPTIBLE) != 0;
    c->duplex = (o->flags & PIPC_DUPLEX) != 0;
    c->read_ms = c->write_ms = -1;
    c->wanted = PIPC_WANT_READ | PIPC_WANT_WRITE;
    pthread_mutex_init(&c->out_lock, NULL);
    pthread_mutex_init(&c->settle_lock, NULL);
    return c;
}

void channel_close(struct channel *c)
{
    int saved = errno;
    if (c->transport != NULL)
        c->transport->ops->close(c->transport);
    queue_clear(&c->in.queue);
    message_free(c->in.partial);
    message_free(c->in.bye);
    sys_free(c->out.held);
    pthread_mutex_destroy(&c->out_lock);
    pthread_mutex_destroy(&c->settle_lock);
    sys_free(c);
    errno = saved;
}

void channel_lower_limit(struct channel *c, const pipc_options_t *options, size_t kept)
{
    size_t limit = limit_or_default(options->max_pending);
    atomic_store_explicit(&c->max_pending, kept < limit ? limit - kept : 0, memory_order_relaxed);
}

/* ---- waiting ---- */

struct channel_wait channel_wait_start(int ms)
{
    struct channel_wait wait = {.ms = ms, .deadline = -1};
    if (ms > 0)
        wait.deadline = sys_now() + (int64_t)ms * 1000000;
    return wait;
}

struct cancellation {
    struct channel *channel;
    const struct channel_wait *wait;
    bool counts; /* among those who wait for room */
};

static void put_in_order(void *context)
{
    const struct cancellation *at = context;
    int saved = errno;
    errno = ECANCELED;
    if (at->counts)
        channel_end_wait(at->channel);
    if (at->wait->cancelled != NULL)
        at->wait->cancelled(at->channel, at->wait->context);
    else
        channel_end_output(at->channel);
    errno = saved;
}

static int wait_in_transport(struct channel *c, const struct channel_wait *wait, unsigned events)
{
    struct cancellation at = {c, wait, c->duplex && (events & TRANSPORT_OUT) != 0};
    int result;
    if (at.counts && !channel_begin_wait(c))
        return 0;
    pthread_cleanup_push(put_in_order, &at);
    result = c->transport->ops->wait(c->transport, events, wait->deadline);
    pthread_cleanup_pop(0);
    if (at.counts)
        channel_end_wait(c);
    return result;
}

int channel_wait(struct channel *c, const struct channel_wait *wait, unsigned events)
{
    if (wait->ms == 0) {
        errno = EAGAIN;
        return -1;
    }
    /* Looked at here too: readiness without anything to do must not carry a call past its deadline. */
    if (wait->deadline >= 0 && sys_now() >= wait->deadline) {
        errno = ETIMEDOUT;
        return -1;
    }
    if ((events & TRANSPORT_IN) != 0 && c->in.stopped)
        return 0; /* there is more than was taken in */
    if (c->interruptible)
        events |= TRANSPORT_CAUGHT;
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

/* ---- small things ---- */

void channel_set_timeout(struct channel *c, int read_ms, int write_ms)
{
    atomic_store(&c->read_ms, read_ms);
    atomic_store(&c->write_ms, write_ms);
}

void channel_add_stats(const struct channel *c, pipc_stats_t *stats)
{
    const struct channel_counts *n = &c->counts;
    stats->messages_read += atomic_load(&n->messages_read);
    stats->bytes_read += atomic_load(&n->bytes_read);
    stats->messages_written += atomic_load(&n->messages_written);
    stats->bytes_written += atomic_load(&n->bytes_written);
    stats->messages_pending += atomic_load(&n->messages_pending);
    stats->bytes_pending += atomic_load(&n->bytes_pending);
    stats->bytes_held += atomic_load(&n->bytes_held);
}
