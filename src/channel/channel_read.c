/* SPDX-License-Identifier: MIT */
/* The calls that read: try, wait, try again. */
#include <errno.h>
#include <string.h>

#include "channel/channel.h"
#include "sys/sys.h"

static void count_read(struct channel *c, size_t messages, size_t bytes)
{
    channel_count(&c->counts.messages_read, messages);
    channel_count(&c->counts.bytes_read, bytes);
}

/* Each call tries, and waits when its try returns 0. Held output moves on at each round. */
typedef int try_read(struct channel *c, void *argument);

static unsigned events_for_reading(struct channel *c)
{
    bool held = atomic_load_explicit(&c->counts.bytes_held, memory_order_relaxed) > 0;
    return TRANSPORT_IN | (held ? (unsigned)TRANSPORT_OUT : 0u);
}

/* Without a limit there is nothing else to do than to wait, which can be had with the next read. */
static bool may_await(const struct channel *c)
{
    return c->transport->fills && c->read_ms < 0 && !c->interruptible;
}

static void await_first(struct channel *c)
{
    const uint8_t *bytes;
    if (may_await(c) && !c->in.begun && c->in.queue.count == 0 && c->in.error == 0 &&
        events_for_reading(c) == TRANSPORT_IN)
        c->transport->ops->await(c->transport, &bytes);
}

/*
 * One round of waiting. When the kernel has no memory for held output, the descriptor may well say that
 * there is room: asking it would be a busy loop, so output has to wait for its next try.
 */
static int wait_to_read(struct channel *c, const struct channel_wait *wait, int pushed)
{
    return pushed >= 0 ? channel_wait(c, wait, events_for_reading(c))
                       : channel_wait_a_little(c, wait, TRANSPORT_IN);
}

/* Nothing will ever be read any more. */
static bool is_dead(const struct channel *c)
{
    return c->in.error != 0 && c->in.queue.count == 0;
}

static void note_report(struct channel *c)
{
    if (is_dead(c) && errno == c->in.error && c->in.reports < CHANNEL_REPORTS)
        c->in.reports++;
}

struct target {
    uint8_t *buffer;
    size_t size;
    size_t got;
};

/* The call ends in the middle of a long message: what is in the caller's buffer is kept. */
static void keep_pieces(struct channel *c, const struct target *target)
{
    int saved = errno;
    if (target->got == 0 || !c->in.begun)
        return;
    struct message *partial = message_new(target->got);
    if (partial == NULL) {
        channel_die(c, ENOMEM);
        return;
    }
    memcpy(partial->data, target->buffer, target->got);
    partial->size = target->got;
    c->in.partial = partial;
    errno = saved;
}

static void read_cancelled(struct channel *c, void *target)
{
    if (target != NULL)
        keep_pieces(c, target);
    channel_settle(c, TRANSPORT_IN);
}

/* `target`: where pieces of a message may have gone when the wait is cancelled; NULL: nowhere. */
static int read_until(struct channel *c, try_read *try, void *argument, struct target *target)
{
    struct channel_wait wait = channel_wait_start(c->read_ms);
    wait.cancelled = read_cancelled;
    wait.context = target;
    bool was_told = channel_tells_of_flush(c), looked = false;
    int there, pushed;
    do {
        pushed = channel_push(c);
        await_first(c);
        channel_begin_input(c);
        there = try(c, argument);
        if (there == 0)
            pushed = channel_push_last(c);
    } while (there == 0 && (wait_to_read(c, &wait, pushed) == 0 || channel_looks_again(&looked)));
    if (there < 0)
        note_report(c);
    if (there == 0 || is_dead(c) || !channel_wants_read(c))
        channel_find_nothing(c, was_told);
    channel_settle(c, TRANSPORT_IN);
    return there > 0 ? 0 : -1;
}

static int still_dead(struct channel *c)
{
    errno = c->in.error;
    return -1;
}

/* Have a message in the queue. */
static int try_fetch(struct channel *c, void *unused)
{
    (void)unused;
    struct frame frame;
    struct message *message;
    if (c->in.queue.count > 0)
        return 1;
    if (c->in.error != 0)
        return still_dead(c);
    int there = channel_next(c, &frame);
    if (there > 0)
        there = channel_take(c, &frame, &message);
    if (there > 0)
        channel_enqueue(c, message);
    return there;
}

static int say_goodbye_came(struct channel *c, struct message *bye)
{
    message_free(c->in.bye);
    c->in.bye = bye;
    errno = ESHUTDOWN;
    return -1;
}

static int read_queued(struct channel *c, struct target *target)
{
    struct message *first = c->in.queue.first;
    if (first->kind == PIPC_BYE)
        return say_goodbye_came(c, channel_dequeue(c));
    if (first->size > target->size) {
        errno = EMSGSIZE;
        return -1;
    }
    if (first->size > 0)
        memcpy(target->buffer, first->data, first->size);
    target->got = first->size;
    message_free(channel_dequeue(c));
    return 1;
}

static void hand_out(struct channel *c, const struct frame *frame, const uint8_t *payload,
                     struct target *target)
{
    if (frame->size > 0)
        memcpy(target->buffer, payload, frame->size);
    target->got = frame->size;
    c->transport->ops->skip(c->transport, frame->header + frame->size);
}

static int read_short(struct channel *c, const struct frame *frame, struct target *target)
{
    const uint8_t *payload;
    int there = channel_in_sight(c, frame, &payload);
    if (there <= 0)
        return there;
    hand_out(c, frame, payload, target);
    return 1;
}

/*
 * A long message goes straight to the caller's buffer when the call cannot end before the message
 * does: no deadline, no signal. Otherwise what has come is kept in memory of ours until it is whole.
 */
static bool is_direct(const struct channel *c)
{
    return c->read_ms < 0 && !c->interruptible && c->in.partial == NULL;
}

static int read_by_way_of_queue(struct channel *c, struct target *target)
{
    int there = try_fetch(c, NULL);
    return there > 0 ? read_queued(c, target) : there;
}

static int read_long(struct channel *c, struct target *target)
{
    if (!is_direct(c))
        return read_by_way_of_queue(c, target);
    while (target->got < c->in.frame.size) {
        int there = channel_take_piece(c, target->buffer + target->got,
                                       c->in.frame.size - target->got, &target->got);
        if (there <= 0)
            return there;
    }
    c->in.begun = false;
    return 1;
}

static int try_read_into(struct channel *c, void *argument)
{
    struct target *target = argument;
    struct frame frame;
    if (c->in.queue.count > 0)
        return read_queued(c, target);
    if (c->in.error != 0)
        return still_dead(c);
    int there = channel_next(c, &frame);
    if (there <= 0)
        return there;
    /* A goodbye is kept; what does not fit stays, and that is told when it is known to be whole. */
    if (frame.bye || frame.size > target->size)
        return read_by_way_of_queue(c, target);
    return c->in.begun ? read_long(c, target) : read_short(c, &frame, target);
}

/*
 * What is there, at the cost of no system call, or of one that reads, after a wait that nothing
 * limits. It needs no errno: what goes wrong here goes wrong again on the long way.
 */
static ssize_t look(struct channel *c, const uint8_t **bytes)
{
    const struct transport *t = c->transport;
    bool end;
    if (may_await(c))
        return t->ops->await(c->transport, bytes);
    return t->ops->peek(c->transport, t->whole > 0 ? FRAME_HEADER_MIN : 0, bytes, &end);
}

/*
 * A look before anything else finds what a busy pipe is full of. What it does not find, or not all
 * of it, it leaves to the long way.
 */
static bool is_at_hand(struct channel *c, struct target *target)
{
    const uint8_t *bytes;
    struct frame frame;
    if (c->in.queue.count > 0 || c->in.error != 0 || c->in.begun ||
        events_for_reading(c) != TRANSPORT_IN)
        return false;
    ssize_t there = look(c, &bytes);
    if (there < FRAME_HEADER_MIN ||
        frame_parse(bytes, (size_t)there, c->max_message, &frame) != FRAME_WHOLE || frame.bye ||
        frame.size > target->size || frame.size > (size_t)there - frame.header)
        return false;
    hand_out(c, &frame, bytes + frame.header, target);
    channel_settle(c, TRANSPORT_IN);
    return true;
}

ssize_t channel_read(struct channel *c, void *buffer, size_t size)
{
    struct target target = {buffer, size, 0};
    if (!is_at_hand(c, &target) && read_until(c, try_read_into, &target, &target) != 0) {
        keep_pieces(c, &target);
        return -1;
    }
    count_read(c, 1, target.got);
    return (ssize_t)target.got;
}

/* The text of a goodbye that is handed to the program stays with the channel, in a copy. */
static int remember_bye(struct channel *c, const struct message *bye)
{
    struct message *copy = message_new(bye->size + 1);
    if (copy == NULL)
        return -1;
    memcpy(copy->data, bye->data, bye->size + 1);
    copy->size = bye->size;
    message_free(c->in.bye);
    c->in.bye = copy;
    return 0;
}

/* Returns how many of the queued messages it handed over; none: errno. */
static size_t hand_over(struct channel *c, pipc_msg_t *messages, size_t max)
{
    struct message *next = c->in.queue.first;
    size_t got = 0, bytes = 0, byes = 0, bye_bytes = 0;
    for (; got < max && next != NULL; next = next->next) {
        if (next->kind == PIPC_BYE) {
            if (remember_bye(c, next) != 0)
                break;
            byes++;
            bye_bytes += next->size;
        }
        bytes += next->size;
        messages[got++] = (pipc_msg_t){.data = next->data, .size = next->size, .kind = next->kind};
    }
    queue_drop(&c->in.queue, next, got, bytes);
    channel_note_queue(c);
    count_read(c, got - byes, bytes - bye_bytes);
    return got;
}

static int try_read_message(struct channel *c, void *argument)
{
    int there = try_fetch(c, NULL);
    if (there <= 0)
        return there;
    return hand_over(c, argument, 1) == 1 ? 1 : -1;
}

int channel_read_message(struct channel *c, pipc_msg_t *message)
{
    return read_until(c, try_read_message, message, NULL);
}

static int try_peek(struct channel *c, void *argument)
{
    pipc_msg_t *view = argument;
    int there = try_fetch(c, NULL);
    if (there > 0) {
        struct message *first = c->in.queue.first;
        *view = (pipc_msg_t){.data = first->data, .size = first->size, .kind = first->kind};
    }
    return there;
}

int channel_peek(struct channel *c, pipc_msg_t *view)
{
    return read_until(c, try_peek, view, NULL);
}

static int try_skip(struct channel *c, void *unused)
{
    (void)unused;
    pipc_msg_t message;
    int there = try_read_message(c, &message);
    if (there > 0)
        message_free(message_of_data(message.data));
    return there;
}

int channel_skip(struct channel *c)
{
    return read_until(c, try_skip, NULL, NULL);
}

ssize_t channel_read_pending(struct channel *c, pipc_msg_t *messages, size_t max)
{
    bool was_told = channel_tells_of_flush(c);
    channel_push(c);
    int error = max > 0 && channel_take_in(c, max) < 0 ? errno : c->in.error;
    size_t got = hand_over(c, messages, max);
    if (got == 0 && c->in.queue.count > 0)
        error = errno; /* there was no memory for the text of a goodbye */
    bool is_failure = got == 0 && max > 0 && error != 0;
    if (is_failure) {
        errno = error;
        note_report(c);
    }
    if ((got == 0 && max > 0) || !channel_wants_read(c))
        channel_find_nothing(c, was_told);
    channel_settle(c, TRANSPORT_IN);
    return is_failure ? -1 : (ssize_t)got;
}

ssize_t channel_pending(struct channel *c)
{
    bool was_told = channel_tells_of_flush(c);
    int saved = errno;
    channel_push(c);
    channel_take_in(c, SIZE_MAX);
    if (c->in.queue.count == 0 || !channel_wants_read(c))
        channel_find_nothing(c, was_told);
    errno = saved;
    channel_settle(c, TRANSPORT_IN);
    return (ssize_t)channel_count_unread(c);
}

const char *channel_text_of(const struct message *bye)
{
    return bye == NULL ? NULL : (const char *)bye->data + FRAME_BYE_SIZE;
}

const char *channel_bye_text(const struct channel *c)
{
    return channel_text_of(c->in.bye);
}
