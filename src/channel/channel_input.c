/* SPDX-License-Identifier: MIT */
/*
 * From the transport's bytes to messages: the header, then the message, which is taken whole when it
 * is short and piece by piece when it is long; and the queue that they wait in.
 */
#include <errno.h>
#include <string.h>

#include "channel/channel.h"
#include "sys/sys.h"

/* The first allocation for a message that comes in pieces; it doubles as bytes really come. */
#define FIRST_PIECE ((size_t)64 * 1024)

/* ---- one message from the transport ----
 *
 * These return 1: there; 0: not yet; -1: errno, which is also kept when reading is dead of it.
 */

int channel_die(struct channel *c, int error)
{
    c->in.error = error;
    if (error == EPROTO || error == ECONNRESET) {
        if (c->duplex)
            pthread_mutex_lock(&c->out_lock);
        if (c->out.error == 0) {
            c->out.error = error;
            atomic_store(&c->out_failed, true);
        }
        if (c->duplex)
            pthread_mutex_unlock(&c->out_lock);
    }
    errno = error;
    return -1;
}

/* The stream has ended; `torn`: inside a message. */
static int end_here(struct channel *c, bool torn)
{
    message_free(c->in.partial);
    c->in.partial = NULL;
    c->in.begun = false;
    return channel_die(c, torn || atomic_load(&c->reset_seen) ? ECONNRESET : EPIPE);
}

static int input_failed(struct channel *c)
{
    switch (errno) {
    case ENOMEM:
    case ENOBUFS:
        return -1; /* passes */
    case EPROTO:
        return channel_die(c, EPROTO);
    case ETIMEDOUT: /* the kernel's, not a deadline of ours */
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EPIPE:
    case ECONNRESET:
        return end_here(c, true);
    default:
        return channel_die(c, errno);
    }
}

/* ---- how much one call takes in ---- */

void channel_begin_input(struct channel *c)
{
    c->in.allowance = CHANNEL_TAKE_IN_MAX;
    c->in.stopped = false;
}

static void spend(struct channel *c, size_t cost)
{
    c->in.allowance -= cost < c->in.allowance ? cost : c->in.allowance;
}

static bool is_allowed(struct channel *c, const struct frame *frame)
{
    if (c->in.begun || frame->size + QUEUE_COST <= c->in.allowance)
        return true; /* one that has begun stops by itself */
    c->in.stopped = true;
    return false;
}

/* Know the header of the next message. A long one begins: its header is taken. */
int channel_next(struct channel *c, struct frame *frame)
{
    const struct transport_ops *ops = c->transport->ops;
    if (c->in.begun) {
        *frame = c->in.frame;
        return 1;
    }
    frame->header = 4;
    for (;;) {
        const uint8_t *bytes;
        bool end;
        size_t want = frame->header;
        ssize_t there = ops->peek(c->transport, want, &bytes, &end);
        if (there < 0)
            return input_failed(c);
        enum frame_status status = frame_parse(bytes, (size_t)there, c->max_message, frame);
        if (status == FRAME_BAD)
            return channel_die(c, EPROTO);
        if (status == FRAME_WHOLE)
            break;
        if (end)
            return end_here(c, there > 0);
        if ((size_t)there < want)
            return 0;
    }
    if (frame->size > c->transport->window - frame->header) {
        ops->skip(c->transport, frame->header);
        c->in.frame = *frame;
        c->in.begun = true;
    }
    return 1;
}

/* All of a short message is in sight at *payload. */
int channel_in_sight(struct channel *c, const struct frame *frame, const uint8_t **payload)
{
    const uint8_t *bytes;
    bool end;
    size_t whole = frame->header + frame->size;
    ssize_t there = c->transport->ops->peek(c->transport, whole, &bytes, &end);
    if (there < 0)
        return input_failed(c);
    if ((size_t)there < whole)
        return end ? end_here(c, true) : 0;
    *payload = bytes + frame->header;
    return 1;
}

/* Goodbyes have one byte more, so that their text ends with a NUL. */
static size_t room_of(const struct frame *frame)
{
    return frame->bye ? frame->size + 1 : frame->size;
}

static int take_short(struct channel *c, const struct frame *frame, struct message **taken)
{
    const uint8_t *payload;
    int there = channel_in_sight(c, frame, &payload);
    if (there <= 0)
        return there;
    struct message *message = message_new(room_of(frame));
    if (message == NULL)
        return -1;
    memcpy(message->data, payload, frame->size);
    message->size = frame->size;
    c->transport->ops->skip(c->transport, frame->header + frame->size);
    spend(c, frame->size + QUEUE_COST);
    *taken = message;
    return 1;
}

static int grow_partial(struct channel *c)
{
    struct message *partial = c->in.partial;
    size_t goal = room_of(&c->in.frame);
    if (partial == NULL) {
        c->in.partial = message_new(goal < FIRST_PIECE ? goal : FIRST_PIECE);
        return c->in.partial == NULL ? -1 : 0;
    }
    if (partial->size < partial->capacity || partial->capacity == goal)
        return 0;
    size_t capacity = partial->capacity < goal / 2 ? partial->capacity * 2 : goal;
    partial = message_grow(partial, capacity);
    if (partial == NULL)
        return -1;
    c->in.partial = partial;
    return 0;
}

/* Up to `size` more bytes of a message that has begun. */
int channel_take_piece(struct channel *c, uint8_t *to, size_t size, size_t *got)
{
    ssize_t piece = c->transport->ops->read(c->transport, to, size);
    if (piece < 0)
        return errno == EAGAIN ? 0 : input_failed(c);
    if (piece == 0)
        return end_here(c, true);
    *got += (size_t)piece;
    return 1;
}

static int take_long(struct channel *c, struct message **taken)
{
    size_t goal = c->in.frame.size;
    while (c->in.partial == NULL || c->in.partial->size < goal) {
        if (grow_partial(c) != 0)
            return -1;
        struct message *partial = c->in.partial;
        size_t before = partial->size;
        size_t room = (partial->capacity < goal ? partial->capacity : goal) - before;
        if (room > c->in.allowance)
            room = c->in.allowance;
        c->in.stopped = room == 0;
        if (c->in.stopped)
            return 0;
        int there = channel_take_piece(c, partial->data + before, room, &partial->size);
        if (there <= 0)
            return there;
        spend(c, partial->size - before);
    }
    spend(c, QUEUE_COST);
    if (c->in.frame.bye && grow_partial(c) != 0)
        return -1;
    *taken = c->in.partial;
    c->in.partial = NULL;
    c->in.begun = false;
    return 1;
}

int channel_take(struct channel *c, const struct frame *frame, struct message **taken)
{
    int there = c->in.begun ? take_long(c, taken) : take_short(c, frame, taken);
    if (there <= 0 || !frame->bye)
        return there;
    struct message *bye = *taken;
    if (memcmp(bye->data, FRAME_BYE, FRAME_BYE_SIZE) != 0) {
        message_free(bye);
        return channel_die(c, EPROTO);
    }
    bye->kind = PIPC_BYE;
    bye->data[bye->size] = '\0';
    if (c->transport->ops->goodbye(c->transport))
        c->in.error = EPIPE; /* the end itself may be long in coming: others may hold copies */
    return 1;
}

/* ---- the queue ---- */

void channel_note_queue(struct channel *c)
{
    atomic_store_explicit(&c->counts.messages_pending, c->in.queue.count, memory_order_relaxed);
    atomic_store_explicit(&c->counts.bytes_pending, c->in.queue.bytes, memory_order_relaxed);
}

void channel_enqueue(struct channel *c, struct message *message)
{
    queue_push(&c->in.queue, message);
    channel_note_queue(c);
}

struct message *channel_dequeue(struct channel *c)
{
    struct message *message = queue_pop(&c->in.queue);
    channel_note_queue(c);
    return message;
}

void channel_give_rest(struct channel *c, struct channel_rest *rest)
{
    *rest = (struct channel_rest){.unread = c->in.queue, .bye = c->in.bye};
    c->in.queue = (struct queue){0};
    c->in.bye = NULL;
    channel_note_queue(c);
}

void channel_adopt_rest(struct channel *c, struct channel_rest *rest)
{
    c->in.queue = rest->unread;
    c->in.bye = rest->bye;
    *rest = (struct channel_rest){0};
    channel_note_queue(c);
}

void channel_drop_rest(struct channel_rest *rest)
{
    queue_clear(&rest->unread);
    message_free(rest->bye);
    *rest = (struct channel_rest){0};
}

size_t channel_rest_cost(const struct channel_rest *rest)
{
    return rest->unread.bytes + rest->unread.count * QUEUE_COST;
}

static int take_one_in(struct channel *c, bool *is_full)
{
    struct frame frame;
    struct message *message;
    int there = channel_next(c, &frame);
    *is_full = there > 0 && !queue_has_room(&c->in.queue, frame.size, c->max_pending);
    if (there <= 0 || *is_full)
        return there;
    if (!is_allowed(c, &frame))
        return 0;
    there = channel_take(c, &frame, &message);
    if (there > 0)
        channel_enqueue(c, message);
    return there;
}

/* ---- many at a time ---- */

/* Messages up to this size share a block; for larger ones an allocation each counts little. */
#define SHARING_MAX 512

/* Short messages that lie in memory, as many as one block takes. */
struct group {
    const uint8_t *bytes;
    size_t there;
    size_t cost;      /* of the block */
    size_t allowance; /* left for more */
    size_t count;
    uint16_t size[BLOCK_SIZE /
                  sizeof(struct message)]; /* of each; looked up once, since they may change */
};

static bool add_to_group(const struct channel *c, struct group *group, struct queue *queue)
{
    struct frame frame;
    if (frame_parse(group->bytes, group->there, c->max_message, &frame) != FRAME_WHOLE ||
        frame.bye || frame.size > SHARING_MAX || frame.size > group->there - frame.header ||
        group->cost + block_cost(frame.size) > BLOCK_SIZE ||
        frame.size + QUEUE_COST > group->allowance ||
        !queue_has_room(queue, frame.size, c->max_pending))
        return false;
    group->size[group->count++] = (uint16_t)frame.size;
    group->bytes += frame.header + frame.size;
    group->there -= frame.header + frame.size;
    group->cost += block_cost(frame.size);
    group->allowance -= frame.size + QUEUE_COST;
    queue->count++;
    queue->bytes += frame.size;
    return true;
}

static void take_group(struct channel *c, const uint8_t *bytes, const struct group *group,
                       struct block *block)
{
    const uint8_t *from = bytes;
    struct message *last = NULL;
    size_t size = 0;
    for (size_t i = 0; i < group->count; i++) {
        struct message *message = block_add(block, group->size[i]);
        from += FRAME_HEADER_MIN;
        memcpy(message->data, from, group->size[i]);
        from += group->size[i];
        size += group->size[i];
        if (last != NULL)
            last->next = message;
        last = message;
    }
    queue_append(&c->in.queue, block->first, last, group->count, size);
    c->transport->ops->skip(c->transport, (size_t)(from - bytes));
    c->in.allowance = group->allowance;
    channel_note_queue(c);
}

/* False: there are no two, or no memory for them, which the next message tells. */
static bool take_many_in(struct channel *c, size_t enough)
{
    struct group group;
    struct block block;
    struct queue queue = c->in.queue; /* as it will be */
    const uint8_t *bytes;
    bool end;
    ssize_t there = c->in.begun ? 0 : c->transport->ops->peek(c->transport, 0, &bytes, &end);
    if (there <= 0)
        return false;
    group.bytes = bytes;
    group.there = (size_t)there;
    group.cost = 0;
    group.allowance = c->in.allowance;
    group.count = 0;
    while (queue.count < enough && add_to_group(c, &group, &queue))
        continue;
    if (group.count < 2 || !block_open(&block, group.cost, group.count))
        return false;
    take_group(c, bytes, &group, &block);
    return true;
}

/* A message, a long one's next piece, or how it ended. */
static bool is_in_memory(struct channel *c)
{
    const uint8_t *bytes;
    bool end;
    struct frame frame;
    ssize_t there = c->transport->ops->peek(c->transport, 0, &bytes, &end);
    if (there < 0 || end || (c->in.begun && there > 0))
        return true;
    if (c->in.begun)
        return false;
    enum frame_status status = frame_parse(bytes, (size_t)there, c->max_message, &frame);
    if (status != FRAME_WHOLE)
        return status == FRAME_BAD;
    return frame.size > c->transport->window - frame.header ||
           (size_t)there >= frame.header + frame.size;
}

/* Who wants it all asks until there is nothing: what another has written may come bit by bit. */
static int take_some_in(struct channel *c, size_t enough, bool *is_full)
{
    if (take_many_in(c, enough))
        return 1;
    if (enough < SIZE_MAX && c->transport->drained && !is_in_memory(c))
        return 0;
    return take_one_in(c, is_full);
}

int channel_take_in(struct channel *c, size_t enough)
{
    bool is_full = false;
    int there = 1;
    int saved = errno;
    c->transport->drained = false;
    channel_begin_input(c);
    while (c->in.error == 0 && there > 0 && !is_full && c->in.queue.count < enough)
        there = take_some_in(c, enough, &is_full);
    if (c->in.error == 0 && there < 0)
        return -1;
    errno = saved;
    return c->in.error == 0 && there == 0 && !is_full && !c->in.stopped;
}

/* Whole ones that lie in the transport's memory; how the next one ends is not looked at. */
static size_t count_in_sight(struct channel *c)
{
    const uint8_t *bytes = NULL;
    bool end;
    struct frame frame;
    size_t count = 0;
    ssize_t there = c->in.begun ? 0 : c->transport->ops->peek(c->transport, 0, &bytes, &end);
    size_t left = there > 0 ? (size_t)there : 0;
    while (left > 0 && frame_parse(bytes, left, c->max_message, &frame) == FRAME_WHOLE &&
           frame.size <= left - frame.header) {
        bytes += frame.header + frame.size;
        left -= frame.header + frame.size;
        count++;
    }
    return count;
}

size_t channel_count_unread(struct channel *c)
{
    return c->in.queue.count + (c->in.stopped && c->in.error == 0 ? count_in_sight(c) : 0);
}

int channel_complete(struct channel *c, const struct channel_wait *wait)
{
    struct message *message;
    bool looked = false;
    while (c->in.begun && c->in.error == 0) {
        channel_begin_input(c);
        int there = channel_take(c, &c->in.frame, &message);
        if (there > 0)
            channel_enqueue(c, message);
        else if (there < 0 && c->in.error == 0)
            return -1;
        else if (there == 0 && channel_wait(c, wait, TRANSPORT_IN) != 0 &&
                 !channel_looks_again(&looked))
            return -1;
    }
    return 0;
}

bool channel_has_seen_end(struct channel *c)
{
    const uint8_t *bytes;
    bool end;
    return c->transport->ops->peek(c->transport, 0, &bytes, &end) < 0 || end;
}

bool channel_is_loud(struct channel *c)
{
    if (c->in.queue.count > 0)
        return true;
    return c->in.error != 0 ? c->in.reports < CHANNEL_REPORTS : c->in.stopped || is_in_memory(c);
}
