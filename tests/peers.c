/* SPDX-License-Identifier: MIT */
/*
 * Peer b's thread, which runs one function at a time, and for each call of pipc.h a function that
 * makes it in the peer's thread. Of kinds it knows only same_handle.
 */
#include "peers.h"

#include <sched.h>
#include <signal.h>

/* --- The thread of a peer --------------------------------------------------------------------- */

static void *work(void *arg)
{
    struct peer *peer = arg;
    pthread_mutex_lock(&peer->lock);
    while (!peer->leave) {
        if (peer->fn == NULL || peer->done) {
            pthread_cond_wait(&peer->changed, &peer->lock);
            continue;
        }
        pthread_mutex_unlock(&peer->lock);
        errno = 0;
        intmax_t result = peer->fn(peer, peer->arg);
        int error = errno;
        pthread_mutex_lock(&peer->lock);
        peer->result = result;
        peer->error = error;
        peer->done = true;
        pthread_cond_broadcast(&peer->changed);
    }
    pthread_mutex_unlock(&peer->lock);
    return NULL;
}

/* Signals are for the test's own thread. */
static void start_thread(struct peer *peer)
{
    sigset_t all, before;
    pthread_mutex_init(&peer->lock, NULL);
    pthread_cond_init(&peer->changed, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    assert_int_equal(harness_thread(&peer->thread, work, peer), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    peer->threaded = true;
}

static void end_thread(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    peer->leave = true;
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->lock);
    assert_int_equal(pthread_join(peer->thread, NULL), 0);
    pthread_cond_destroy(&peer->changed);
    pthread_mutex_destroy(&peer->lock);
    peer->threaded = false;
}

void peer_start(struct peer *peer, peer_fn *fn, void *arg)
{
    assert_true(peer->threaded);
    pthread_mutex_lock(&peer->lock);
    assert_null(peer->fn);
    peer->fn = fn;
    peer->arg = arg;
    peer->done = false;
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->lock);
}

intmax_t peer_finish(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    while (!peer->done)
        pthread_cond_wait(&peer->changed, &peer->lock);
    intmax_t result = peer->result;
    int error = peer->error;
    peer->fn = NULL;
    pthread_mutex_unlock(&peer->lock);
    errno = error;
    return result;
}

intmax_t peer_do(struct peer *peer, peer_fn *fn, void *arg)
{
    if (!peer->threaded || pthread_equal(pthread_self(), peer->thread))
        return fn(peer, arg);
    peer_start(peer, fn, arg);
    return peer_finish(peer);
}

/* --- Both peers ------------------------------------------------------------------------------- */

static void open_both(struct peers *peers, const struct kind *kind, const pipc_options_t *options)
{
    pipc_t *end[2];
    kind_open(kind, end, options);
    *peers = (struct peers){.kind = kind};
    peers->a.pipe = end[0];
    peers->b.pipe = end[1];
    peers->a.delay_ms = peers->b.delay_ms = kind_delay_ms(kind);
}

void peers_open(struct peers *peers, const struct kind *kind, const pipc_options_t *options)
{
    open_both(peers, kind, options);
    start_thread(&peers->b);
    assert_int_equal(peer_pending(&peers->a), 0);
    assert_int_equal(peer_pending(&peers->b), 0);
}

void peers_close(struct peers *peers)
{
    peer_close(&peers->a);
    peer_close(&peers->b);
    if (peers->b.threaded)
        end_thread(&peers->b);
}

struct far_process {
    struct peers *peers;
    int (*fn)(struct peer *b, void *arg);
    void *arg;
};

static int run_far_process(void *arg)
{
    struct far_process *far = arg;
    if (!far->peers->kind->same_handle)
        peer_close(&far->peers->a);
    int status = far->fn(&far->peers->b, far->arg);
    peer_close(&far->peers->b);
    return status;
}

pid_t peers_fork(struct peers *peers, const struct kind *kind, const pipc_options_t *options,
                 int (*fn)(struct peer *b, void *arg), void *arg)
{
    struct far_process far = {peers, fn, arg};
    open_both(peers, kind, options);
    pid_t pid = harness_fork(run_far_process, &far);
    if (kind->same_handle)
        peers->b.pipe = NULL;
    else
        peer_close(&peers->b);
    return pid;
}

/* --- The calls of pipc.h ---------------------------------------------------------------------- */

struct call { /* the arguments of any of them */
    const void *in;
    void *out;
    size_t size;
    int first, second;
};

static intmax_t call_write(struct peer *peer, void *arg)
{
    struct call *call = arg;
    return pipc_write(peer->pipe, call->in, call->size);
}

ssize_t peer_write(struct peer *peer, const void *data, size_t size)
{
    struct call call = {.in = data, .size = size};
    return (ssize_t)peer_do(peer, call_write, &call);
}

static intmax_t call_writev(struct peer *peer, void *arg)
{
    struct call *call = arg;
    return pipc_writev(peer->pipe, call->in, call->first);
}

ssize_t peer_writev(struct peer *peer, const struct iovec *parts, int count)
{
    struct call call = {.in = parts, .first = count};
    return (ssize_t)peer_do(peer, call_writev, &call);
}

static intmax_t call_write_batch(struct peer *peer, void *arg)
{
    struct call *call = arg;
    return pipc_write_batch(peer->pipe, call->in, call->size);
}

ssize_t peer_write_batch(struct peer *peer, const struct iovec *messages, size_t count)
{
    struct call call = {.in = messages, .size = count};
    return (ssize_t)peer_do(peer, call_write_batch, &call);
}

static intmax_t call_read(struct peer *peer, void *arg)
{
    struct call *call = arg;
    return pipc_read(peer->pipe, call->out, call->size);
}

ssize_t peer_read(struct peer *peer, void *buffer, size_t size)
{
    struct call call = {.out = buffer, .size = size};
    return (ssize_t)peer_do(peer, call_read, &call);
}

static intmax_t call_read_msg(struct peer *peer, void *message)
{
    return pipc_read_msg(peer->pipe, message);
}

int peer_read_msg(struct peer *peer, pipc_msg_t *message)
{
    return (int)peer_do(peer, call_read_msg, message);
}

static intmax_t call_read_pending(struct peer *peer, void *arg)
{
    struct call *call = arg;
    return pipc_read_pending(peer->pipe, call->out, call->size);
}

ssize_t peer_read_pending(struct peer *peer, pipc_msg_t *messages, size_t max)
{
    struct call call = {.out = messages, .size = max};
    return (ssize_t)peer_do(peer, call_read_pending, &call);
}

static intmax_t call_peek(struct peer *peer, void *view)
{
    return pipc_peek(peer->pipe, view);
}

int peer_peek(struct peer *peer, pipc_msg_t *view)
{
    return (int)peer_do(peer, call_peek, view);
}

static intmax_t call_skip(struct peer *peer, void *unused)
{
    (void)unused;
    return pipc_skip(peer->pipe);
}

int peer_skip(struct peer *peer)
{
    return (int)peer_do(peer, call_skip, NULL);
}

static intmax_t call_bye_text(struct peer *peer, void *text)
{
    *(const char **)text = pipc_bye_text(peer->pipe);
    return 0;
}

const char *peer_bye_text(struct peer *peer)
{
    const char *text;
    peer_do(peer, call_bye_text, &text);
    return text;
}

static intmax_t call_pending(struct peer *peer, void *unused)
{
    (void)unused;
    return pipc_pending(peer->pipe);
}

ssize_t peer_pending(struct peer *peer)
{
    return (ssize_t)peer_do(peer, call_pending, NULL);
}

static intmax_t call_flush(struct peer *peer, void *unused)
{
    (void)unused;
    return pipc_flush(peer->pipe);
}

ssize_t peer_flush(struct peer *peer)
{
    return (ssize_t)peer_do(peer, call_flush, NULL);
}

static intmax_t call_shutdown(struct peer *peer, void *unused)
{
    (void)unused;
    return pipc_shutdown(peer->pipe);
}

int peer_shutdown(struct peer *peer)
{
    return (int)peer_do(peer, call_shutdown, NULL);
}

static intmax_t call_disconnect(struct peer *peer, void *arg)
{
    struct call *call = arg;
    return pipc_disconnect(peer->pipe, call->in);
}

int peer_disconnect(struct peer *peer, const char *text)
{
    struct call call = {.in = text};
    return (int)peer_do(peer, call_disconnect, &call);
}

static intmax_t call_fd(struct peer *peer, void *unused)
{
    (void)unused;
    return pipc_fd(peer->pipe);
}

int peer_fd(struct peer *peer)
{
    return peer->fd = (int)peer_do(peer, call_fd, NULL);
}

static intmax_t call_want(struct peer *peer, void *arg)
{
    return pipc_want(peer->pipe, *(unsigned *)arg);
}

int peer_want(struct peer *peer, unsigned events)
{
    return (int)peer_do(peer, call_want, &events);
}

static intmax_t call_set_timeout(struct peer *peer, void *arg)
{
    struct call *call = arg;
    return pipc_set_timeout(peer->pipe, call->first, call->second);
}

int peer_set_timeout(struct peer *peer, int read_ms, int write_ms)
{
    struct call call = {.first = read_ms, .second = write_ms};
    return (int)peer_do(peer, call_set_timeout, &call);
}

static intmax_t call_peer(struct peer *peer, void *arg)
{
    struct call *call = arg;
    return pipc_peer(peer->pipe, call->out, call->size);
}

int peer_name(struct peer *peer, char *buffer, size_t size)
{
    struct call call = {.out = buffer, .size = size};
    return (int)peer_do(peer, call_peer, &call);
}

static intmax_t call_stats(struct peer *peer, void *stats)
{
    return pipc_stats(peer->pipe, stats);
}

pipc_stats_t peer_stats(struct peer *peer)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(peer_do(peer, call_stats, &stats), 0);
    return stats;
}

static intmax_t call_close(struct peer *peer, void *unused)
{
    (void)unused;
    pipc_close(peer->pipe);
    return 0;
}

void peer_close(struct peer *peer)
{
    if (peer->pipe != NULL)
        peer_do(peer, call_close, NULL);
    peer->pipe = NULL;
}

/* --- Messages --------------------------------------------------------------------------------- */

void send_text(struct peer *peer, const char *text)
{
    assert_int_equal(peer_write(peer, text, strlen(text)), strlen(text));
}

void expect_text(struct peer *peer, const char *text)
{
    pipc_msg_t message;
    if (peer_read_msg(peer, &message) != 0)
        fail_msg("\"%s\" did not come: %s", text, strerror(errno));
    assert_int_equal(message.kind, PIPC_DATA);
    assert_int_equal(message.size, strlen(text));
    assert_memory_equal(message.data, text, message.size);
    pipc_msg_free(&message);
}

void send_filled(struct peer *peer, size_t size, uint64_t tag)
{
    struct filled filled = {size, 1, tag};
    assert_int_equal(peer_do(peer, write_filled, &filled), 0);
}

void expect_filled(struct peer *peer, size_t size, uint64_t tag)
{
    struct filled filled = {size, 1, tag};
    assert_int_equal(peer_do(peer, read_filled, &filled), 0);
}

void expect_bye(struct peer *peer, const char *text)
{
    char buffer[8];
    assert_errno(peer_read(peer, buffer, sizeof buffer), ESHUTDOWN);
    assert_string_equal(peer_bye_text(peer), text);
}

void expect_pending(struct peer *peer, ssize_t count)
{
    int64_t deadline = harness_now_ms() + peer->delay_ms;
    ssize_t pending;
    while ((pending = peer_pending(peer)) != count && harness_now_ms() < deadline)
        sched_yield();
    assert_int_equal(pending, count);
}

intmax_t write_filled(struct peer *peer, void *arg)
{
    struct filled *filled = arg;
    unsigned char *data = malloc(filled->size + 1); /* a block also when it is empty */
    assert_non_null(data);
    for (size_t i = 0; i < filled->count; i++) {
        harness_fill(data, filled->size, filled->tag + i);
        if (peer_write(peer, data, filled->size) != (ssize_t)filled->size)
            fail_msg("message %zu of %zu was not written: %s", i, filled->count, strerror(errno));
    }
    free(data);
    return 0;
}

intmax_t read_filled(struct peer *peer, void *arg)
{
    struct filled *filled = arg;
    pipc_msg_t message;
    for (size_t i = 0; i < filled->count; i++) {
        if (peer_read_msg(peer, &message) != 0)
            fail_msg("message %zu of %zu did not come: %s", i, filled->count, strerror(errno));
        assert_int_equal(message.kind, PIPC_DATA);
        assert_int_equal(message.size, filled->size);
        harness_check(message.data, message.size, filled->tag + i);
        pipc_msg_free(&message);
    }
    return 0;
}

static ssize_t write_if_room(struct peer *peer, const void *data, size_t size)
{
    ssize_t sent = peer_write(peer, data, size);
    if (sent >= 0 || peer->delay_ms == 0)
        return sent;
    assert_int_equal(peer_set_timeout(peer, 0, PROBE_MS), 0);
    sent = peer_write(peer, data, size);
    assert_int_equal(peer_set_timeout(peer, 0, 0), 0);
    return sent >= 0 ? sent : peer_write(peer, data, size);
}

static size_t fill(struct peer *peer, size_t size, uint64_t tag,
                   ssize_t (*write)(struct peer *peer, const void *data, size_t size))
{
    unsigned char *data = malloc(size + 1);
    size_t count = 0;
    ssize_t sent;
    assert_non_null(data);
    assert_int_equal(peer_set_timeout(peer, 0, 0), 0);
    for (;; count++) {
        harness_fill(data, size, tag + count);
        if ((sent = write(peer, data, size)) != (ssize_t)size)
            break;
    }
    assert_errno(sent, EAGAIN);
    free(data);
    return count;
}

size_t fill_pipe(struct peer *peer, size_t size, uint64_t tag)
{
    return fill(peer, size, tag, write_if_room);
}

struct brim fill_to_the_brim(struct peer *peer)
{
    size_t large = fill(peer, BRIM_SIZE, 0, peer_write);
    return (struct brim){large, fill(peer, 0, 0, write_if_room)};
}

intmax_t read_brim(struct peer *peer, void *arg)
{
    struct brim *brim = arg;
    read_filled(peer, &(struct filled){BRIM_SIZE, brim->large, 0});
    return read_filled(peer, &(struct filled){0, brim->empty, 0});
}
