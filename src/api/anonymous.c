/* SPDX-License-Identifier: MIT */
/*
 * Who uses a handle, and how long it lives.
 *
 *   a thread              becomes a user by its first call, and is one until it closes or ends
 *   a user                holds an end, or has left it with a goodbye and may come back, or has
 *                         got none and may try again
 *   the resources go      when somebody has closed, and no user is left
 *   the handle itself     when the resources are gone and its opener has closed or ended
 *
 * After fork the child has no users, and its one thread counts as the opener. What only the parent
 * may use is closed in the child before any of its code runs: a child that somebody takes over
 * finds nothing there by which to keep a wait of the parent from ending.
 */
#include "api/anonymous.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "codec/frame.h"
#include "peer/ends.h"
#include "sys/self.h"
#include "sys/sys.h"
#include "trace/trace.h"

/* A thread of this process that uses the handle. */
struct user {
    struct self_hook hook; /* first */
    struct anonymous *handle;
    struct user *next;
    uintptr_t thread;
    int end;                 /* the one it holds; -1: it has left */
    struct channel *channel; /* while it holds an end */
    struct unread unread;    /* what it had taken into memory when it left; for itself alone */
};

struct anonymous {
    struct self_hook opener_hook;    /* first */
    struct self_fork_hook fork_hook; /* linked until the resources are gone */
    struct ends ends;
    void *owner;
    unsigned number;        /* in the trace */
    pthread_mutex_t lock;   /* for all below; not on the way of messages */
    uint32_t process;       /* whose the users are: a child after fork has copies of its parent's */
    pipc_options_t options; /* limits and flags for channels to come */
    struct user *users;
    struct channel *holder[2]; /* of each end, if that is a thread of this process */
    pipc_stats_t past;         /* of channels that are gone */
    uintptr_t opener;
    uintptr_t forked_by;            /* in a child until its first call: the parent's thread */
    bool opener_is_done, is_closed; /* by its opener; by anybody */
    bool is_over;                   /* nobody can use it any more */
    bool is_released;               /* the resources are gone */
};

/* A thread that is cancelled in between would take the lock with it. */
static int enter(struct anonymous *a)
{
    int cancellation;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    pthread_mutex_lock(&a->lock);
    return cancellation;
}

/* ---- users ---- */

static struct user **find_user(struct anonymous *a)
{
    uintptr_t me = self_thread();
    struct user **at = &a->users;
    while (*at != NULL && (*at)->thread != me)
        at = &(*at)->next;
    return at;
}

/*
 * Those who left keep what they had not read, and it counts against the limit of those who hold an
 * end now.
 */
static void share_limit(struct anonymous *a)
{
    size_t kept = 0;
    for (const struct user *user = a->users; user != NULL; user = user->next)
        kept += unread_cost(&user->unread);
    for (unsigned e = 0; e < 2; e++)
        if (a->holder[e] != NULL)
            channel_lower_limit(a->holder[e], &a->options, kept);
}

static void drop_channel(struct anonymous *a, struct user *user)
{
    channel_add_stats(user->channel, &a->past);
    a->past.messages_pending = a->past.bytes_pending = a->past.bytes_held = 0;
    a->past.shared_unread = a->past.shared_unread_by_peer = 0;
    channel_close(user->channel);
    user->channel = NULL;
    a->holder[user->end] = NULL;
}

/* The caller has forgotten the hook, or the thread is no more. */
static void remove_user(struct anonymous *a, struct user **at)
{
    struct user *user = *at;
    *at = user->next;
    if (user->channel != NULL) {
        drop_channel(a, user);
        ends_finish(&a->ends, (unsigned)user->end);
    }
    unread_free(&user->unread);
    sys_free(user);
    share_limit(a);
}

/* ---- how long it lives ---- */

static void free_shell(struct anonymous *a)
{
    pthread_mutex_destroy(&a->lock);
    sys_free(a->owner);
    sys_free(a);
}

static void release(struct anonymous *a)
{
    self_unwatch_forks(&a->fork_hook);
    ends_close(&a->ends);
}

/* Ends what `enter` began, and frees what nobody can use any more. */
static void quit(struct anonymous *a, int cancellation)
{
    if (a->is_closed && a->users == NULL && !a->is_over) {
        a->is_over = true;
        pthread_mutex_unlock(&a->lock);
        release(a); /* fork hooks take the lock after another */
        pthread_mutex_lock(&a->lock);
        a->is_released = true;
    }
    bool is_last = a->is_released && a->opener_is_done;
    pthread_mutex_unlock(&a->lock);
    if (is_last)
        free_shell(a);
    pthread_setcancelstate(cancellation, NULL);
}

static void user_ended(struct self_hook *hook)
{
    struct user *user = (struct user *)(void *)hook;
    struct anonymous *a = user->handle;
    int cancellation = enter(a);
    struct user **at = &a->users;
    while (*at != user)
        at = &(*at)->next;
    remove_user(a, at);
    quit(a, cancellation);
}

static void opener_ended(struct self_hook *hook)
{
    struct anonymous *a = (struct anonymous *)(void *)hook;
    int cancellation = enter(a);
    a->opener_is_done = true;
    quit(a, cancellation);
}

/* ---- fork ---- */

static struct anonymous *of_fork_hook(struct self_fork_hook *hook)
{
    return (struct anonymous *)(void *)((char *)hook - offsetof(struct anonymous, fork_hook));
}

static void before_fork(struct self_fork_hook *hook)
{
    pthread_mutex_lock(&of_fork_hook(hook)->lock);
}

static void after_fork(struct self_fork_hook *hook)
{
    pthread_mutex_unlock(&of_fork_hook(hook)->lock);
}

/* The parent's users are freed at the first call: here it might cost too much. */
static void in_child(struct self_fork_hook *hook)
{
    struct anonymous *a = of_fork_hook(hook);
    pthread_mutex_unlock(&a->lock); /* it was locked by the thread that is here now */
    for (unsigned e = 0; e < 2; e++)
        if (a->holder[e] != NULL)
            transport_ring_disown(channel_transport(a->holder[e]));
    a->opener = self_thread();
    if (a->forked_by == 0) /* else the users are those of an ancestor, whose thread it names */
        a->forked_by = a->opener;
    a->opener_is_done = a->is_closed = false;
    self_remember(&a->opener_hook); /* where it cannot be had, a shell may stay behind */
}

/* The thread that forked was in no call; any other one of the parent may have been. */
static void free_inherited(struct user *user, bool has_forked)
{
    if (user->channel != NULL && has_forked)
        channel_close(user->channel);
    else if (user->channel != NULL)
        channel_abandon(user->channel);
    unread_free(&user->unread);
    sys_free(user);
}

/* In a child, the parent's messages and positions are not ours, nor what it counted. */
static void notice_fork(struct anonymous *a)
{
    uint32_t here = self_process();
    if (a->process == here)
        return;
    self_forget_inherited();
    while (a->users != NULL) {
        struct user *user = a->users;
        a->users = user->next;
        free_inherited(user, user->thread == a->forked_by);
    }
    a->forked_by = 0;
    a->holder[0] = a->holder[1] = NULL;
    if (!a->is_over)
        ends_disown(&a->ends);
    a->past = (pipc_stats_t)PIPC_STATS_INIT;
    a->process = here;
}

static int enter_here(struct anonymous *a)
{
    int cancellation = enter(a);
    notice_fork(a);
    return cancellation;
}

/* ---- taking an end ---- */

struct channel *anonymous_mine(const struct anonymous *a)
{
    int end = ends_mine(&a->ends);
    return end < 0 ? NULL : a->holder[end];
}

/* The caller as a user: the one it is, or a new one. */
static struct user *become_user(struct anonymous *a)
{
    struct user **at = find_user(a);
    if (*at != NULL)
        return *at;
    struct user *user = sys_alloc(sizeof *user);
    if (user == NULL)
        return NULL;
    *user = (struct user){
        .hook = {.ended = user_ended}, .handle = a, .thread = self_thread(), .end = -1};
    if (self_remember(&user->hook) != 0) {
        sys_free(user);
        return NULL;
    }
    *at = user;
    return user;
}

static struct channel *new_channel(struct anonymous *a)
{
    struct channel *channel = channel_open(&a->options);
    struct transport *transport = channel == NULL ? NULL : transport_ring(&a->ends);
    if (transport != NULL) {
        transport->handle = a->number;
        channel_attach(channel, transport);
        return channel;
    }
    if (channel != NULL)
        channel_close(channel);
    return NULL;
}

/* All that may be missing is had before the end is taken. */
static struct channel *take_end(struct anonymous *a, struct user *user)
{
    struct channel *channel = new_channel(a);
    if (channel == NULL)
        return NULL;
    user->end = ends_claim(&a->ends);
    if (user->end < 0) {
        channel_close(channel);
        return NULL;
    }
    transport_ring_take(channel_transport(channel), (unsigned)user->end);
    channel_adopt_unread(channel, &user->unread);
    user->channel = channel;
    a->holder[user->end] = channel;
    share_limit(a);
    trace(a->number, TRACE_OPEN, user->end == 0 ? "takes the first end" : "takes the second end",
          NULL, 0);
    return channel;
}

/* Who gets no end is a user too: it may try again. */
static struct channel *become_holder(struct anonymous *a)
{
    struct user *user = become_user(a);
    return user == NULL ? NULL : take_end(a, user);
}

struct channel *anonymous_channel(struct anonymous *a)
{
    struct channel *channel = anonymous_mine(a);
    if (channel != NULL)
        return channel;
    int cancellation = enter_here(a);
    if (a->is_over)
        errno = EPIPE; /* both sides have closed it */
    else
        channel = become_holder(a);
    int saved = errno;
    if (channel == NULL)
        trace(a->number, TRACE_REFUSED, "a call finds no end that it can take", NULL, saved);
    quit(a, cancellation);
    trace_deliver();
    errno = saved;
    return channel;
}

const char *anonymous_bye_text(struct anonymous *a)
{
    const struct channel *channel = anonymous_mine(a);
    if (channel != NULL)
        return channel_bye_text(channel);
    int cancellation = enter_here(a);
    const struct user *user = *find_user(a);
    const char *text = user == NULL ? NULL : message_bye_text(user->unread.bye);
    quit(a, cancellation);
    return text;
}

/* ---- leaving it ---- */

static void leave(struct anonymous *a, struct user *user)
{
    unsigned end = (unsigned)user->end;
    channel_give_unread(user->channel, &user->unread);
    drop_channel(a, user);
    user->end = -1;
    ends_free(&a->ends, end);
    share_limit(a);
}

static size_t goodbye_size(const char *text)
{
    uint8_t header[FRAME_HEADER_MAX];
    size_t size = FRAME_BYE_SIZE + (text == NULL ? 0 : strlen(text));
    return frame_header(header, size, true) + size;
}

/* Threads that want an end wait for the lock meanwhile: this does not block. */
static int try_to_leave(struct channel *channel, const char *text, void *handle)
{
    struct anonymous *a = handle;
    int cancellation = enter(a);
    struct user *user = *find_user(a);
    unsigned end = (unsigned)user->end;
    uint64_t written = transport_ring_written(channel_transport(channel));
    ends_begin_leaving(&a->ends, end, written + goodbye_size(text));
    int result = channel_try_goodbye(channel, text);
    int saved = errno;
    if (result == 0)
        leave(a, user);
    else
        ends_stay(&a->ends, end);
    quit(a, cancellation);
    errno = saved;
    return result;
}

int anonymous_disconnect(struct anonymous *a, struct channel *channel, const char *text)
{
    return channel_leave(channel, text, try_to_leave, a);
}

/* ---- the whole ---- */

static int start(struct anonymous *a)
{
    if (ends_open(&a->ends) != 0)
        return -1;
    if (self_watch_forks(&a->fork_hook) != 0) {
        ends_close(&a->ends);
        return -1;
    }
    if (self_remember(&a->opener_hook) == 0)
        return 0;
    self_unwatch_forks(&a->fork_hook);
    ends_close(&a->ends);
    return -1;
}

struct anonymous *anonymous_open(const pipc_options_t *options, void *owner, unsigned number)
{
    struct anonymous *a = sys_alloc(sizeof *a);
    if (a == NULL)
        return NULL;
    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    a->opener_hook.ended = opener_ended;
    a->fork_hook =
        (struct self_fork_hook){.before = before_fork, .after = after_fork, .in_child = in_child};
    a->owner = owner;
    a->number = number;
    a->process = self_process();
    a->opener = self_thread();
    a->options = *options;
    /* A side is one thread, and a write makes no system call that gathering could save. */
    a->options.flags &= ~(PIPC_DUPLEX | PIPC_GATHER);
    if (start(a) == 0)
        return a;
    pthread_mutex_destroy(&a->lock);
    sys_free(a);
    return NULL;
}

void anonymous_close(struct anonymous *a)
{
    int cancellation = enter_here(a);
    struct user **at = find_user(a);
    if (*at != NULL) {
        self_forget(&(*at)->hook);
        remove_user(a, at);
    }
    if (a->opener == self_thread() && !a->opener_is_done) {
        self_forget(&a->opener_hook);
        a->opener_is_done = true;
    }
    a->is_closed = true;
    quit(a, cancellation);
}

void anonymous_stats(struct anonymous *a, pipc_stats_t *stats)
{
    int cancellation = enter_here(a);
    *stats = a->past;
    for (unsigned e = 0; e < 2; e++)
        if (a->holder[e] != NULL)
            channel_add_stats(a->holder[e], stats);
    quit(a, cancellation);
}
