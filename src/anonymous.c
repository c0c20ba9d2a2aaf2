/* SPDX-License-Identifier: MIT */
#include "anonymous.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "ends.h"
#include "self.h"
#include "sys.h"

/* What one thread has here: a channel while it holds an end, its unread messages while it does not. */
struct side {
    struct side *next;
    uint64_t owner;           /* self_id */
    unsigned end;             /* the one it has left */
    struct channel *channel;  /* NULL: it has left */
    struct channel_rest rest; /* what it had taken into memory before it left; for itself alone */
};

struct anonymous {
    struct ends ends;
    pthread_mutex_t lock;   /* taking and leaving ends; not on the way of messages */
    uint32_t process;       /* whose the sides are: a child after fork has copies of its parent's */
    pipc_options_t options; /* limits and flags for channels to come */
    struct side *holder[2]; /* of each end, if that is a thread of this process */
    struct side *left;      /* those who left something behind */
    pipc_stats_t past;      /* of channels that are gone */
};

/* A thread that is cancelled in between would take the lock with it. */
static int enter(struct anonymous *a)
{
    int cancellation;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    pthread_mutex_lock(&a->lock);
    return cancellation;
}

static void quit(struct anonymous *a, int cancellation)
{
    pthread_mutex_unlock(&a->lock);
    pthread_setcancelstate(cancellation, NULL);
}

/* ---- sides ---- */

static void drop_side(struct side *side)
{
    if (side == NULL)
        return;
    if (side->channel != NULL)
        channel_close(side->channel);
    channel_drop_rest(&side->rest);
    sys_free(side);
}

static struct side *take_out(struct side **at)
{
    struct side *side = *at;
    *at = side->next;
    return side;
}

static void drop_all(struct anonymous *a)
{
    for (unsigned e = 0; e < 2; e++) {
        drop_side(a->holder[e]);
        a->holder[e] = NULL;
    }
    while (a->left != NULL)
        drop_side(take_out(&a->left));
}

static struct side **left_behind(struct anonymous *a)
{
    uint64_t me = self_id();
    struct side **at = &a->left;
    while (*at != NULL && (*at)->owner != me)
        at = &(*at)->next;
    return at;
}

/* The one that the caller left behind, or a new one. */
static struct side *find_side(struct anonymous *a)
{
    struct side **at = left_behind(a);
    if (*at != NULL)
        return take_out(at);
    struct side *side = sys_alloc(sizeof *side);
    if (side != NULL)
        *side = (struct side){.owner = self_id()};
    return side;
}

static bool has_messages(const struct side *side)
{
    return side->rest.unread.count > 0;
}

/* Messages wait for their owner. Of mere goodbyes the last one at each end is kept, or they would pile up. */
static void keep_side(struct anonymous *a, struct side *side)
{
    for (struct side **at = &a->left; *at != NULL;)
        if (!has_messages(*at) && (*at)->end == side->end)
            drop_side(take_out(at));
        else
            at = &(*at)->next;
    if (!has_messages(side) && side->rest.bye == NULL) {
        drop_side(side);
        return;
    }
    side->next = a->left;
    a->left = side;
}

/* In a child, the parent's messages and positions are not ours, nor what it counted. */
static void notice_fork(struct anonymous *a)
{
    uint32_t here = self_process();
    if (a->process == here)
        return;
    drop_all(a);
    ends_disown(&a->ends);
    a->past = (pipc_stats_t)PIPC_STATS_INIT;
    a->process = here;
}

/* ---- taking an end ---- */

struct channel *anonymous_mine(const struct anonymous *a)
{
    int end = ends_mine(&a->ends);
    return end < 0 ? NULL : a->holder[end]->channel;
}

static struct channel *take_end(struct anonymous *a, struct side *side)
{
    struct channel *channel = channel_open(&a->options);
    if (channel == NULL)
        return NULL;
    int end = ends_claim(&a->ends);
    if (end >= 0)
        channel->transport = transport_ring(&a->ends, (unsigned)end);
    if (channel->transport == NULL) {
        if (end >= 0)
            ends_free(&a->ends, (unsigned)end);
        channel_close(channel);
        return NULL;
    }
    channel_adopt_rest(channel, &side->rest);
    side->channel = channel;
    a->holder[end] = side;
    return channel;
}

static struct channel *become_holder(struct anonymous *a)
{
    struct side *side = find_side(a);
    if (side == NULL)
        return NULL;
    struct channel *channel = take_end(a, side);
    if (channel == NULL)
        keep_side(a, side);
    return channel;
}

struct channel *anonymous_channel(struct anonymous *a)
{
    struct channel *channel = anonymous_mine(a);
    if (channel != NULL)
        return channel;
    int cancellation = enter(a);
    notice_fork(a);
    channel = become_holder(a);
    quit(a, cancellation);
    return channel;
}

const char *anonymous_bye_text(struct anonymous *a)
{
    const struct channel *channel = anonymous_mine(a);
    if (channel != NULL)
        return channel_bye_text(channel);
    int cancellation = enter(a);
    notice_fork(a);
    const struct side *side = *left_behind(a);
    const char *text = side == NULL ? NULL : channel_text_of(side->rest.bye);
    quit(a, cancellation);
    return text;
}

/* ---- leaving it ---- */

static void leave(struct anonymous *a, unsigned end)
{
    struct side *side = a->holder[end];
    channel_add_stats(side->channel, &a->past);
    a->past.messages_pending = a->past.bytes_pending = a->past.bytes_held = 0;
    channel_give_rest(side->channel, &side->rest);
    channel_close(side->channel);
    side->channel = NULL;
    side->end = end;
    a->holder[end] = NULL;
    keep_side(a, side);
    ends_free(&a->ends, end);
}

/* One try, that does not block: threads that want an end wait for the lock meanwhile. */
static int try_to_leave(struct anonymous *a, struct channel *channel, const char *text)
{
    const struct channel_wait not_at_all = {.ms = 0, .deadline = -1};
    unsigned end = (unsigned)ends_mine(&a->ends);
    int cancellation = enter(a);
    ends_begin_leaving(&a->ends, end);
    int result = channel_send_goodbye(channel, text, &not_at_all);
    if (result == 0)
        leave(a, end);
    else
        ends_stay(&a->ends, end);
    quit(a, cancellation);
    return result;
}

int anonymous_disconnect(struct anonymous *a, struct channel *channel, const char *text)
{
    struct channel_wait wait = channel_wait_start(channel->write_ms);
    /* It must go in one piece, since nobody stays behind to push on the rest. */
    if (text != NULL &&
        strlen(text) > channel->transport->whole - FRAME_HEADER_MAX - FRAME_BYE_SIZE) {
        errno = EMSGSIZE;
        return -1;
    }
    int result = channel_prepare_goodbye(channel, text, &wait);
    if (result == 0)
        result = channel_complete(channel, &wait);
    while (result == 0 && (result = try_to_leave(a, channel, text)) != 0 && errno == EAGAIN)
        result = channel_wait_for_room(channel, &wait);
    if (result != 0)
        channel_settle(channel, TRANSPORT_OUT);
    return result;
}

/* ---- the whole ---- */

struct anonymous *anonymous_open(const pipc_options_t *options)
{
    struct anonymous *a = sys_alloc(sizeof *a);
    if (a == NULL)
        return NULL;
    memset(a, 0, sizeof *a);
    if (ends_open(&a->ends) != 0) {
        sys_free(a);
        return NULL;
    }
    pthread_mutex_init(&a->lock, NULL);
    a->process = self_process();
    a->options = (pipc_options_t)PIPC_OPTIONS_INIT;
    if (options != NULL)
        a->options = *options;
    a->options.flags &= ~PIPC_DUPLEX; /* a side is one thread */
    return a;
}

static void release(struct anonymous *a)
{
    drop_all(a);
    ends_close(&a->ends);
    pthread_mutex_destroy(&a->lock);
    sys_free(a);
}

bool anonymous_close(struct anonymous *a)
{
    int cancellation = enter(a);
    notice_fork(a);
    int end = ends_mine(&a->ends);
    if (end >= 0) {
        drop_side(a->holder[end]);
        a->holder[end] = NULL;
        ends_finish(&a->ends, (unsigned)end);
    }
    bool last = !ends_held_here(&a->ends);
    quit(a, cancellation);
    if (last)
        release(a);
    return last;
}

void anonymous_add_stats(struct anonymous *a, pipc_stats_t *stats)
{
    int cancellation = enter(a);
    notice_fork(a);
    stats->messages_read += a->past.messages_read;
    stats->bytes_read += a->past.bytes_read;
    stats->messages_written += a->past.messages_written;
    stats->bytes_written += a->past.bytes_written;
    for (unsigned e = 0; e < 2; e++)
        if (a->holder[e] != NULL)
            channel_add_stats(a->holder[e]->channel, stats);
    quit(a, cancellation);
}
