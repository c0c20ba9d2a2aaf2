/* SPDX-License-Identifier: MIT */
/*
 * As many messages as have arrived. Short ones that lie together in the transport's memory are
 * taken in groups, which share an allocation and an update of the queue.
 */
#include <errno.h>

#include "channel/inbound.h"

/* Messages up to this size share a block; for larger ones an allocation each counts little. */
#define SHARING_MAX 512

/* Short messages that lie in memory, as many as one block takes. */
struct group {
    const uint8_t *bytes;
    size_t there;
    size_t cost;      /* of the block */
    size_t allowance; /* left for more */
    size_t count;
    /* Of each; loaded once, since the peer may change what it has written. */
    uint16_t size[BLOCK_SIZE / sizeof(struct message)];
};
_Static_assert(SHARING_MAX <= UINT16_MAX, "the size of a message in a group is 16 bits");
_Static_assert(2 * (sizeof(struct message) + SHARING_MAX) <= BLOCK_SIZE, "two share a block");

/* Has the whole message in memory, from `bytes` on; `there` of them have arrived. */
static bool is_whole(const struct inbound *in, const uint8_t *bytes, size_t there,
                     struct frame *frame)
{
    return frame_parse(bytes, there, in->max_message, frame) == FRAME_WHOLE &&
           frame->size <= there - frame->header;
}

/* `queue`: the queue as it will be. */
static bool add_to_group(const struct inbound *in, struct group *group, struct queue *queue)
{
    struct frame frame;
    if (!is_whole(in, group->bytes, group->there, &frame) || frame.bye ||
        frame.size > SHARING_MAX || group->cost + block_cost(frame.size) > BLOCK_SIZE ||
        frame.size + QUEUE_COST > group->allowance ||
        !queue_has_room(queue, frame.size, in->max_pending))
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

static void take_group(struct inbound *in, const uint8_t *bytes, const struct group *group,
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
    queue_append(&in->queue, block->first, last, group->count, size);
    in->transport->ops->skip(in->transport, (size_t)(from - bytes));
    in->allowance = group->allowance;
    inbound_note_queue(in);
}

static ssize_t peek_at_memory(struct inbound *in)
{
    in->view.more = false;
    return in->transport->ops->peek(in->transport, 0, PEEK_MEMORY, &in->view);
}

/* Descriptors came with one of the messages in memory: then each is taken by itself. */
static bool has_unclaimed_fds(const struct inbound *in)
{
    return in->takes_fds && arrived_unclaimed(in->arrived) > 0;
}

/* What is in memory of messages that have not begun. */
static size_t count_bytes(struct inbound *in)
{
    ssize_t there = in->begun ? 0 : peek_at_memory(in);
    return there > 0 ? (size_t)there : 0;
}

/* False: there are no two, or there is no memory for them, which the next message reports. */
static bool take_many(struct inbound *in, size_t enough)
{
    struct group group;
    struct block block;
    struct queue queue = in->queue;
    group.there = count_bytes(in);
    if (group.there == 0 || has_unclaimed_fds(in))
        return false;
    group.bytes = in->view.bytes;
    group.cost = 0;
    group.allowance = in->allowance;
    group.count = 0;
    while (queue.count < enough && add_to_group(in, &group, &queue))
        continue;
    if (group.count < 2 || !block_open(&block, group.cost, group.count))
        return false;
    take_group(in, in->view.bytes, &group, &block);
    return true;
}

static enum io_result take_one(struct inbound *in, bool *is_full)
{
    struct frame frame;
    enum io_result result = inbound_next(in, &frame);
    *is_full = result == IO_DONE && !queue_has_room(&in->queue, frame.size, in->max_pending);
    if (result == IO_DONE && !*is_full)
        result = inbound_queue_next(in, &frame);
    if (result != IO_AGAIN || !inbound_is_full_of_fds(in))
        return result;
    *is_full = true;
    return IO_DONE;
}

bool inbound_is_in_memory(struct inbound *in)
{
    struct frame frame;
    ssize_t there = peek_at_memory(in);
    if (there < 0 || in->view.end || in->view.more || (in->begun && there > 0))
        return true;
    if (in->begun)
        return false;
    enum frame_status status = frame_parse(in->view.bytes, (size_t)there, in->max_message, &frame);
    if (status != FRAME_WHOLE)
        return status == FRAME_BAD;
    return frame.size > in->transport->peek_max - frame.header ||
           (size_t)there >= frame.header + frame.size;
}

bool inbound_has_whole(struct inbound *in)
{
    struct frame frame;
    ssize_t there = peek_at_memory(in);
    if (there <= 0)
        return false;
    if (!in->begun)
        return is_whole(in, in->view.bytes, (size_t)there, &frame);
    size_t taken = in->partial == NULL ? 0 : in->partial->size;
    return (size_t)there >= in->frame.size - taken;
}

/* A call that wants it all asks until there is nothing: packets may come one by one. */
static enum io_result take_some(struct inbound *in, size_t enough, bool *is_full)
{
    if (take_many(in, enough))
        return IO_DONE;
    if (enough < SIZE_MAX && in->view.drained && !inbound_is_in_memory(in))
        return IO_AGAIN;
    return take_one(in, is_full);
}

enum io_result inbound_take_in(struct inbound *in, size_t enough)
{
    bool is_full = false;
    enum io_result result = IO_DONE;
    int saved = errno;
    in->view.drained = false;
    inbound_begin_call(in);
    while (in->error == 0 && result == IO_DONE && !is_full && in->queue.count < enough)
        result = take_some(in, enough, &is_full);
    if (in->error == 0 && result == IO_FAILED)
        return IO_FAILED;
    errno = saved;
    return in->error == 0 && !in->stopped ? result : IO_DONE;
}

size_t inbound_count_unread(struct inbound *in)
{
    struct frame frame;
    size_t count = in->queue.count;
    if (!in->stopped || in->error != 0)
        return count;
    size_t left = count_bytes(in);
    const uint8_t *bytes = in->view.bytes;
    while (left > 0 && is_whole(in, bytes, left, &frame)) {
        bytes += frame.header + frame.size;
        left -= frame.header + frame.size;
        count++;
    }
    return count;
}

bool inbound_has_seen_end(struct inbound *in)
{
    return peek_at_memory(in) < 0 || in->view.end;
}

/* ---- what is unread ---- */

/* The text of a goodbye that is handed to the program stays here, in a copy. */
static int keep_bye(struct inbound *in, const struct message *bye)
{
    struct message *copy = message_new(bye->size + 1);
    if (copy == NULL)
        return -1;
    memcpy(copy->data, bye->data, bye->size + 1);
    copy->size = bye->size;
    message_free(in->bye);
    in->bye = copy;
    return 0;
}

size_t inbound_hand_over(struct inbound *in, pipc_msg_t *messages, size_t max,
                         struct inbound_count *read)
{
    struct message *next = in->queue.first;
    size_t got = 0, bytes = 0;
    int fds = 0;
    *read = (struct inbound_count){0};
    for (; got < max && next != NULL && fds == 0; next = next->next) {
        if (next->kind != PIPC_BYE) {
            read->messages++;
            read->bytes += next->size;
        } else if (keep_bye(in, next) != 0) {
            break;
        }
        bytes += next->size;
        fds = next->fds;
        messages[got++] = (pipc_msg_t){.data = next->data, .size = next->size, .kind = next->kind};
    }
    if (got > 0)
        inbound_give_fds(in, fds);
    queue_drop(&in->queue, next, got, bytes);
    inbound_note_queue(in);
    return got;
}

void inbound_give_unread(struct inbound *in, struct unread *unread)
{
    *unread = (struct unread){.queue = in->queue, .bye = in->bye};
    in->queue = (struct queue){0};
    in->bye = NULL;
    inbound_note_queue(in);
}

void inbound_adopt_unread(struct inbound *in, struct unread *unread)
{
    in->queue = unread->queue;
    in->bye = unread->bye;
    *unread = (struct unread){0};
    inbound_note_queue(in);
}
