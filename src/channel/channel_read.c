/* SPDX-License-Identifier: MIT */
/* The calls that read: try, wait, try again. */
#include <errno.h>

#include "channel/channel_internal.h"

static void count_read(struct channel *c, size_t messages, size_t bytes)
{
    channel_count(&c->messages_read, messages);
    channel_count(&c->bytes_read, bytes);
}

/* Each call tries, and waits when its try returns IO_AGAIN. Held bytes move on at each round. */
typedef enum io_result try_read(struct channel *c, void *argument);

static unsigned events_for_reading(struct channel *c)
{
    return TRANSPORT_IN | (outbound_is_stuck(&c->out) ? (unsigned)TRANSPORT_OUT : 0u);
}

/* The call ends only when a message does: no deadline, no signal. */
static bool is_unlimited(const struct channel *c)
{
    return c->read_ms < 0 && !c->interruptible;
}

/* Then there is nothing else to do than to wait, which can be had with the next read. */
static bool may_block(const struct channel *c)
{
    return atomic_load_explicit(&c->may_block, memory_order_relaxed);
}

static bool should_block(const struct channel *c)
{
    return may_block(c) && c->transport->reads_ahead && !outbound_is_stuck(&c->out);
}

/* With duplex, another thread may have changed what counts for later calls. */
static void block_first(struct channel *c, const struct channel_wait *wait)
{
    if (wait->ms >= 0 || !should_block(c) || !inbound_is_idle(&c->in))
        return;
    trace_deliver();
    inbound_block(&c->in);
}

/*
 * One round of waiting. When the kernel has no memory for held output, the descriptor may well be
 * writable: asking it would be a busy loop, so output has to wait for its next try.
 */
static int wait_to_read(struct channel *c, const struct channel_wait *wait, enum io_result pushed,
                        const struct inbound_target *target)
{
    if (target != NULL && target->lacks_memory)
        return channel_pause(c, wait);
    return pushed != IO_FAILED ? channel_wait(c, wait, events_for_reading(c))
                               : channel_wait_a_little(c, wait, TRANSPORT_IN);
}

static void note_report(struct channel *c, int error)
{
    if (inbound_is_dead(&c->in) && error == inbound_error(&c->in) &&
        c->reports < CHANNEL_REPORTS_MAX)
        c->reports++;
}

static void read_cancelled(struct channel *c, void *target)
{
    if (target != NULL && !inbound_keep_pieces(&c->in, target))
        inbound_lose_pieces(&c->in);
    channel_update_readiness(c, TRANSPORT_IN);
}

/* `target`: where pieces of a message may have gone when the wait is cancelled; NULL: nowhere. */
static int read_until(struct channel *c, try_read *try, void *argument,
                      struct inbound_target *target, const char *call)
{
    struct channel_wait wait = channel_wait_start(c->read_ms);
    wait.cancelled = read_cancelled;
    wait.context = target;
    bool was_reported = channel_reports_flush(c), has_tried = false;
    enum io_result result, pushed;
    do {
        pushed = channel_push_reading(c);
        block_first(c, &wait);
        inbound_begin_call(&c->in);
        result = try(c, argument);
        if (result == IO_FAILED)
            note_report(c, errno);
        channel_share_failure(c);
        if (result == IO_AGAIN)
            pushed = channel_push_last(c);
    } while (result == IO_AGAIN && (wait_to_read(c, &wait, pushed, target) == 0 ||
                                    channel_tries_again(&has_tried, errno)));
    if (result == IO_AGAIN || inbound_is_dead(&c->in) || !channel_wants(c, PIPC_WANT_READ))
        channel_find_nothing(c, was_reported);
    channel_update_readiness(c, TRANSPORT_IN);
    if (result != IO_DONE) {
        channel_report_failure(c, call, true);
        return -1;
    }
    trace_deliver(); /* a goodbye may have come */
    return 0;
}

/*
 * The pieces of a long message are waited for by reading them. Where memory is lacking for the next
 * one, and for those that are in the caller's buffer, only this call can go on.
 */
static enum io_result try_read_into(struct channel *c, void *argument)
{
    struct inbound_target *target = argument;
    struct channel_wait wait = {.cancelled = read_cancelled, .context = target};
    bool waits = target->is_direct && should_block(c);
    if (waits)
        trace_deliver();
    enum io_result result =
        waits ? channel_wait_in_read(c, &wait, target) : inbound_read(&c->in, target);
    target->lacks_memory = result == IO_FAILED && !inbound_keep_pieces(&c->in, target);
    return target->lacks_memory ? IO_AGAIN : result;
}

static ssize_t read_long_way(struct channel *c, void *buffer, size_t size)
{
    struct inbound_target target = {.buffer = buffer, .size = size, .is_direct = is_unlimited(c)};
    if (read_until(c, try_read_into, &target, &target, "pipc_read") == 0)
        return (ssize_t)target.got;
    if (!inbound_keep_pieces(&c->in, &target))
        inbound_lose_pieces(&c->in);
    return -1;
}

/* A try before anything else finds what a busy pipe is full of. */
static ssize_t read_at_hand(struct channel *c, void *buffer, size_t size)
{
    if (!inbound_is_idle(&c->in) || channel_reader_holds(c))
        return -1;
    ssize_t got = inbound_read_at_hand(&c->in, buffer, size, may_block(c));
    if (got >= 0)
        channel_update_readiness(c, TRANSPORT_IN);
    return got;
}

/*
 * A call that does not wait, when nothing is in the queue or held: one read decides. IO_AGAIN: what
 * came needs the long way.
 */
static enum io_result read_now(struct channel *c, void *buffer, size_t size, ssize_t *got)
{
    bool was_reported = channel_reports_flush(c), has_more;
    inbound_begin_call(&c->in);
    enum io_result result = inbound_read_now(&c->in, buffer, size, got, &has_more);
    if (result == IO_FAILED && was_reported)
        channel_find_nothing(c, true);
    bool is_same = c->transport->reads_ahead; /* it may have become another one in this call */
    if (result != IO_AGAIN && (has_more || !is_same))
        channel_update_readiness(c, TRANSPORT_IN);
    else if (result != IO_AGAIN)
        channel_update_if_changed(c, TRANSPORT_IN);
    if (result == IO_FAILED)
        errno = EAGAIN;
    return result;
}

static bool is_read_now(const struct channel *c)
{
    return c->read_ms == 0 && c->transport->reads_ahead && inbound_is_idle(&c->in) &&
           !outbound_is_holding(&c->out) && channel_wants(c, PIPC_WANT_READ);
}

static ssize_t read_in_time(struct channel *c, void *buffer, size_t size)
{
    ssize_t got;
    if (is_read_now(c))
        return read_now(c, buffer, size, &got) != IO_AGAIN ? got : read_long_way(c, buffer, size);
    got = read_at_hand(c, buffer, size);
    return got >= 0 ? got : read_long_way(c, buffer, size);
}

ssize_t channel_read(struct channel *c, void *buffer, size_t size)
{
    ssize_t got = read_in_time(c, buffer, size);
    if (got >= 0)
        count_read(c, 1, (size_t)got);
    trace_deliver();
    return got;
}

static size_t hand_over(struct channel *c, pipc_msg_t *messages, size_t max)
{
    struct inbound_count read;
    size_t got = inbound_hand_over(&c->in, messages, max, &read);
    count_read(c, read.messages, read.bytes);
    return got;
}

static enum io_result try_read_message(struct channel *c, void *message)
{
    enum io_result result = inbound_load(&c->in);
    if (result == IO_DONE && hand_over(c, message, 1) != 1)
        return IO_FAILED;
    return result;
}

int channel_read_message(struct channel *c, pipc_msg_t *message)
{
    return read_until(c, try_read_message, message, NULL, "pipc_read_msg");
}

static enum io_result try_peek(struct channel *c, void *argument)
{
    pipc_msg_t *view = argument;
    enum io_result result = inbound_load(&c->in);
    if (result == IO_DONE)
        inbound_view_first(&c->in, view);
    return result;
}

int channel_peek(struct channel *c, pipc_msg_t *view)
{
    return read_until(c, try_peek, view, NULL, "pipc_peek");
}

static enum io_result try_skip(struct channel *c, void *unused)
{
    (void)unused;
    pipc_msg_t message;
    enum io_result result = try_read_message(c, &message);
    if (result != IO_DONE)
        return result;
    message_free(message_of_data(message.data));
    inbound_close_fds(&c->in);
    return IO_DONE;
}

int channel_skip(struct channel *c)
{
    return read_until(c, try_skip, NULL, NULL, "pipc_skip");
}

ssize_t channel_read_pending(struct channel *c, pipc_msg_t *messages, size_t max)
{
    bool was_reported = channel_reports_flush(c);
    channel_push_reading(c);
    int error = max > 0 && channel_take_in(c, max) == IO_FAILED ? errno : inbound_error(&c->in);
    size_t got = hand_over(c, messages, max);
    if (got == 0 && inbound_is_queued(&c->in))
        error = errno; /* there was no memory for the text of a goodbye */
    bool is_failure = got == 0 && max > 0 && error != 0;
    if (is_failure)
        note_report(c, error);
    if ((got == 0 && max > 0) || !channel_wants(c, PIPC_WANT_READ))
        channel_find_nothing(c, was_reported);
    channel_update_readiness(c, TRANSPORT_IN);
    trace_deliver();
    if (!is_failure)
        return (ssize_t)got;
    errno = error;
    channel_report_failure(c, "pipc_read_pending", true);
    return -1;
}

ssize_t channel_pending(struct channel *c)
{
    bool was_reported = channel_reports_flush(c);
    int saved = errno;
    channel_push_reading(c);
    channel_take_in(c, SIZE_MAX);
    if (!inbound_is_queued(&c->in) || !channel_wants(c, PIPC_WANT_READ))
        channel_find_nothing(c, was_reported);
    errno = saved;
    channel_update_readiness(c, TRANSPORT_IN);
    trace_deliver();
    return channel_check_open(c) == 0 ? (ssize_t)inbound_count_unread(&c->in) : -1;
}

int channel_take_fds(struct channel *c, int *fds, int max)
{
    return inbound_take_fds(&c->in, fds, max);
}

const char *channel_bye_text(const struct channel *c)
{
    return message_bye_text(inbound_bye(&c->in));
}
