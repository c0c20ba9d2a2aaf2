/* SPDX-License-Identifier: MIT */
#include "cancelling.h"

#include <stdio.h>

#include "fault.h"

/* For all messages of one call, and for the largest that arrives. */
#define ROOM ((size_t)8 << 20)

/* ---- messages ---- */

/* What one side gives is compared with what comes to the other. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

size_t cancelling_given(struct stream *s)
{
    pthread_mutex_lock(&lock);
    size_t given = s->given;
    pthread_mutex_unlock(&lock);
    return given;
}

void cancelling_take_back(struct stream *s, size_t given)
{
    pthread_mutex_lock(&lock);
    s->given = given;
    pthread_mutex_unlock(&lock);
}

static size_t size_of(struct stream *s, uint64_t number)
{
    pthread_mutex_lock(&lock);
    size_t size = number < s->given ? s->sizes[number] : 0;
    pthread_mutex_unlock(&lock);
    return size;
}

/* Notes it, and writes it down at `to`. */
static void prepare(struct stream *s, unsigned char *to, size_t size)
{
    assert_true(size >= CANCELLING_LEAST);
    pthread_mutex_lock(&lock);
    uint64_t number = s->given++;
    assert_true(number < CANCELLING_MESSAGES_MAX);
    s->sizes[number] = size;
    pthread_mutex_unlock(&lock);
    memcpy(to, &number, sizeof number);
    harness_fill(to + sizeof number, size - sizeof number, number);
}

ssize_t cancelling_write(struct stream *s, pipc_t *pipe, size_t size)
{
    assert_true(size <= ROOM);
    prepare(s, s->from, size);
    return pipc_write(pipe, s->from, size);
}

ssize_t cancelling_write_fds(struct stream *s, pipc_t *pipe, size_t size, const int *fds, int count)
{
    assert_true(size <= ROOM);
    prepare(s, s->from, size);
    return pipc_write_fds(pipe, s->from, size, fds, count);
}

ssize_t cancelling_writev(struct stream *s, pipc_t *pipe, size_t size, int count)
{
    struct iovec parts[200];
    size_t each = size / (size_t)count;
    assert_true(size <= ROOM && count <= 200);
    prepare(s, s->from, size);
    for (int i = 0; i < count; i++)
        parts[i] = (struct iovec){s->from + (size_t)i * each, each};
    parts[count - 1].iov_len = size - (size_t)(count - 1) * each;
    return pipc_writev(pipe, parts, count);
}

ssize_t cancelling_batch(struct stream *s, pipc_t *pipe, size_t size, size_t count)
{
    static _Thread_local struct iovec messages[CANCELLING_MESSAGES_MAX];
    assert_true(size * count <= ROOM && count <= CANCELLING_MESSAGES_MAX);
    for (size_t i = 0; i < count; i++) {
        messages[i] = (struct iovec){s->from + i * size, size};
        prepare(s, messages[i].iov_base, size);
    }
    return pipc_write_batch(pipe, messages, count);
}

void cancelling_note(struct stream *s, const void *data, size_t size)
{
    uint64_t number;
    assert_true(size >= sizeof number);
    memcpy(&number, data, sizeof number);
    if (number < s->next || size_of(s, number) != size)
        fail_msg("message %llu of %zu bytes came after %zu", (unsigned long long)number, size,
                 s->next);
    harness_check((const unsigned char *)data + sizeof number, size - sizeof number, number);
    s->next = (size_t)number + 1;
    s->arrived++;
}

ssize_t cancelling_read(struct stream *s, pipc_t *pipe)
{
    ssize_t size = pipc_read(pipe, s->to, ROOM);
    if (size >= 0)
        cancelling_note(s, s->to, (size_t)size);
    return size;
}

int cancelling_read_msg(struct stream *s, pipc_t *pipe)
{
    pipc_msg_t message;
    if (pipc_read_msg(pipe, &message) != 0)
        return -1;
    cancelling_note(s, message.data, message.size);
    pipc_msg_free(&message);
    return 0;
}

int cancelling_peek_and_skip(struct stream *s, pipc_t *pipe)
{
    pipc_msg_t view;
    if (pipc_peek(pipe, &view) != 0)
        return -1;
    size_t size = view.size;
    assert_true(size <= ROOM);
    memcpy(s->to, view.data, size);
    if (pipc_skip(pipe) != 0)
        return -1;
    cancelling_note(s, s->to, size);
    return 0;
}

ssize_t cancelling_read_pending(struct stream *s, pipc_t *pipe)
{
    pipc_msg_t messages[4];
    ssize_t count = pipc_read_pending(pipe, messages, 4);
    for (ssize_t i = 0; i < count; i++) {
        cancelling_note(s, messages[i].data, messages[i].size);
        pipc_msg_free(&messages[i]);
    }
    return count;
}

/* ---- the thread that is cancelled ---- */

/* Also when the thread ends: the end is the thread's where both have one handle. */
static void after_act(void *context)
{
    struct cancelling *c = context;
    fault_disarm();
    pthread_mutex_lock(&c->lock);
    c->acted = true;
    pthread_cond_broadcast(&c->turn);
    pthread_mutex_unlock(&c->lock);
    if (c->kind->same_handle)
        c->go_on(c);
}

static bool ask_for_step(void *context)
{
    struct cancelling *c = context;
    pthread_mutex_lock(&c->lock);
    c->wants_step = true;
    pthread_cond_broadcast(&c->turn);
    while (c->wants_step)
        pthread_cond_wait(&c->turn, &c->lock);
    pthread_mutex_unlock(&c->lock);
    return c->helps;
}

/* Nothing of the test's own may be a cancellation point. */
static void *run_act(void *context)
{
    struct cancelling *c = context;
    int unused;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
    pipc_set_timeout(c->mine, -1, -1); /* takes an end */
    pthread_mutex_lock(&c->lock);
    c->wants_step = true; /* the main thread takes the other one */
    pthread_cond_broadcast(&c->turn);
    while (c->wants_step)
        pthread_cond_wait(&c->turn, &c->lock);
    pthread_mutex_unlock(&c->lock);
    if (c->polled)
        assert_true(pipc_fd(c->mine) >= 0);
    pthread_cleanup_push(after_act, c);
    fault_cancel_at(c->nth, c->starve);
    fault_arm();
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &unused);
    c->act(c);
    c->has_acted = true;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
    pthread_cleanup_pop(1);
    return NULL;
}

static void *run_go_on(void *context)
{
    struct cancelling *c = context;
    c->go_on(c);
    return NULL;
}

/* ---- the main thread ---- */

static void serve(struct cancelling *c)
{
    bool is_first = true;
    pthread_mutex_lock(&c->lock);
    while (!c->acted) {
        if (c->wants_step) {
            pthread_mutex_unlock(&c->lock);
            if (is_first)
                pipc_set_timeout(c->theirs, 0, 0);
            else
                c->helps = c->step(c);
            is_first = false;
            pthread_mutex_lock(&c->lock);
            c->wants_step = false;
            pthread_cond_broadcast(&c->turn);
        }
        if (!c->acted && !c->wants_step)
            pthread_cond_wait(&c->turn, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}

static void run_both(struct cancelling *c)
{
    pthread_t thread, successor;
    void *result;
    assert_int_equal(harness_thread(&thread, run_act, c), 0);
    serve(c);
    if (!c->kind->same_handle) {
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_int_equal(harness_thread(&successor, run_go_on, c), 0);
    }
    assert_int_equal(pipc_set_timeout(c->theirs, -1, -1), 0);
    c->peer(c);
    if (c->kind->same_handle)
        assert_int_equal(pthread_join(thread, &result), 0);
    else
        assert_int_equal(pthread_join(successor, NULL), 0);
    c->outcome = result == PTHREAD_CANCELED ? CANCELLING_ENDED : CANCELLING_LASTED;
}

static void begin_streams(struct cancelling *c)
{
    static unsigned char rooms[4][ROOM];
    c->out.from = rooms[0];
    c->out.to = rooms[1];
    c->in.from = rooms[2];
    c->in.to = rooms[3];
}

/* Returns whether the request came. */
static bool run_round(struct cancelling *c)
{
    pipc_t *end[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = c->flags;
    fault_reset();
    begin_streams(c);
    kind_open(c->kind, end, &options);
    c->mine = end[0];
    c->theirs = end[1];
    fault_before_wait(ask_for_step, c);
    run_both(c);
    bool requested = fault_cancelled();
    c->check(c);
    pipc_close(c->theirs);
    harness_assert_nothing_left();
    return requested;
}

/* ---- all rounds ---- */

/* What one large write does not get rid of is held. */
static size_t measure_volume(const struct kind *kind)
{
    static const unsigned char zeros[ROOM];
    pipc_stats_t stats = PIPC_STATS_INIT;
    pipc_t *end[2];
    kind_open(kind, end, NULL);
    assert_int_equal(pipc_set_timeout(end[0], 0, 0), 0);
    assert_int_equal(pipc_write(end[0], zeros, sizeof zeros), sizeof zeros);
    assert_int_equal(pipc_stats(end[0], &stats), 0);
    assert_true(stats.bytes_held > 0);
    kind_close(kind, end);
    return sizeof zeros - (size_t)stats.bytes_held;
}

/*
 * The first requests are always tried: some end a wait. Where a large message goes page by page, as
 * on kernels without pwritev2, there are many hundreds, and a round is as long as there are calls.
 */
enum { SAMPLE_FROM = 8, MANY = 250, OF_MANY = 8 };

static bool is_tried(unsigned long nth)
{
    size_t one_of = (size_t)harness_scale() * (nth > MANY ? OF_MANY : 1);
    return nth <= SAMPLE_FROM || harness_random_below(one_of) == 0;
}

struct cancelling_counts cancelling_sweep(const struct kind *kind, const struct cancelling *what)
{
    static struct cancelling c;
    struct cancelling_counts counts = {0, 0, 0};
    harness_skip_if_cancelling_confuses();
    size_t volume = measure_volume(kind);
    bool requested = true;
    for (unsigned long nth = 1; requested; nth++) {
        if (!is_tried(nth))
            continue;
        c = *what;
        c.kind = kind;
        c.volume = volume;
        c.nth = nth;
        pthread_mutex_init(&c.lock, NULL);
        pthread_cond_init(&c.turn, NULL);
        requested = run_round(&c);
        pthread_mutex_destroy(&c.lock);
        pthread_cond_destroy(&c.turn);
        counts.requested += requested;
        counts.ended += c.outcome == CANCELLING_ENDED;
        counts.dead += c.is_dead;
    }
    return counts;
}

void cancelling_report(const struct kind *kind, const char *what, struct cancelling_counts counts)
{
    printf("%s: %s: %lu requests to be cancelled, %lu of them ended a wait, %lu a direction\n",
           kind->name, what, counts.requested, counts.ended, counts.dead);
    assert_true(counts.ended > 0);
}
