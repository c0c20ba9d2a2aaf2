/* SPDX-License-Identifier: MIT */
/*
 * The script of scenario.h. The calls of each end are made in one thread: those of end 0 in the
 * test's own. Those of end 1 as well, unless both ends are one handle: then in a thread that waits
 * while end 0 works.
 */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "fault.h"
#include "traffic.h"

/* One case takes a few milliseconds: after so long it hangs. */
enum { CASE_SECONDS = 5 };

typedef void step_fn(struct traffic *t, int side);

struct scenario {
    struct traffic traffic;
    bool armed;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t turn;
    step_fn *step; /* for the thread; NULL: idle */
    bool leave;
};

static const char *case_name;
static unsigned flags_to_open;

static void tell_case(int signal_number)
{
    if (case_name != NULL)
        fprintf(stderr, "%s (%s)\n", case_name, fault_summary());
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void scenario_name(const char *text)
{
    case_name = text;
    signal(SIGABRT, text == NULL ? SIG_DFL : tell_case);
    signal(SIGALRM, text == NULL ? SIG_DFL : tell_case);
    alarm(text == NULL ? 0 : (unsigned)(CASE_SECONDS * harness_scale()));
}

void scenario_flags(unsigned flags)
{
    flags_to_open = flags;
}

/* --- Who makes the calls ---------------------------------------------------------------------- */

static void do_armed(struct scenario *s, step_fn *step, int side)
{
    if (s->armed)
        fault_arm();
    step(&s->traffic, side);
    fault_disarm();
}

static void *work_for_end_1(void *arg)
{
    struct scenario *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->leave) {
        if (s->step != NULL) {
            do_armed(s, s->step, 1);
            s->step = NULL;
            pthread_cond_broadcast(&s->turn);
        }
        pthread_cond_wait(&s->turn, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void run_step(struct scenario *s, step_fn *step, int side)
{
    if (side == 0 || !s->traffic.same_handle) {
        do_armed(s, step, side);
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->step = step;
    pthread_cond_broadcast(&s->turn);
    while (s->step != NULL)
        pthread_cond_wait(&s->turn, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void start_thread(struct scenario *s)
{
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->turn, NULL);
    if (s->traffic.same_handle)
        assert_int_equal(harness_thread(&s->thread, work_for_end_1, s), 0);
}

static void end_thread(struct scenario *s)
{
    pthread_mutex_lock(&s->lock);
    s->leave = true;
    pthread_cond_broadcast(&s->turn);
    pthread_mutex_unlock(&s->lock);
    if (s->traffic.same_handle)
        assert_int_equal(pthread_join(s->thread, NULL), 0);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->turn);
}

/* --- Steps ------------------------------------------------------------------------------------ */

static void prepare(struct traffic *t, int side)
{
    int result = -1;
    for (int tries = 0; tries < 8 && result != 0; tries++)
        result = pipc_set_timeout(t->end[side], SCENARIO_WAIT_MS, SCENARIO_WAIT_MS);
    if (side == 1)
        t->descriptor = pipc_fd(t->end[1]);
}

static void never_wait(struct traffic *t, int side)
{
    if (pipc_set_timeout(t->end[side], 0, 0) != 0)
        assert_true(t->same_handle); /* it holds no end: nothing waits */
}

static void begin_to_send(struct traffic *t, int side)
{
    traffic_send_next(t, side);
    traffic_send_next(t, side);
    traffic_send_next_in_parts(t, side);
}

static void look_and_receive(struct traffic *t, int side)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    char text[100];
    pipc_pending(t->end[side]);
    traffic_receive_into_small_buffer(t, side);
    traffic_receive_by_peeking(t, side);
    traffic_receive_allocated(t, side);
    pipc_stats(t->end[side], &stats);
    pipc_peer(t->end[side], text, sizeof text);
}

static void wait_in_vain(struct traffic *t, int side)
{
    traffic_receive_into_buffer(t, side);
}

static void receive_a_few(struct traffic *t, int side)
{
    traffic_receive_allocated(t, side);
    traffic_receive_pending(t, side);
}

static void send_small(struct traffic *t, int side)
{
    traffic_send_next(t, side);
    traffic_send_next(t, side);
    traffic_send_next(t, side);
}

static void send_the_rest(struct traffic *t, int side)
{
    traffic_send_next(t, side);
    traffic_send_next(t, side);
    traffic_send_three_at_once(t, side);
    traffic_send_next(t, side);
    traffic_send_next(t, side);
}

static void say_goodbye(struct traffic *t, int side)
{
    if (pipc_disconnect(t->end[side], "so long") == 0)
        t->flow[side].bye_accepted = true;
    else
        traffic_note_failure(&t->flow[side].write_dead, errno);
}

static void close_end(struct traffic *t, int side)
{
    pipc_close(t->end[side]);
}

/* --- The script ------------------------------------------------------------------------------- */

/* Level-triggered and never silent: what can be read makes it readable, unless nobody could say. */
static void assert_honest(struct traffic *t, int side)
{
    bool was_armed = fault_armed();
    fault_disarm();
    bool readable = t->descriptor < 0 || harness_readable(t->descriptor, 0);
    bool needs_memory = t->moves || fault_failures(CALL_eventfd) > 0; /* to ring */
    bool may_be_asleep =
        needs_memory && (fault_failures(CALL_send) > 0 || fault_failures(CALL_pwritev2) > 0);
    if (!readable && !may_be_asleep)
        assert_int_equal(pipc_pending(t->end[side]), 0);
    if (was_armed)
        fault_arm();
}

/* What one side holds moves on as the other takes it. */
static void pass_on(struct scenario *s, int from)
{
    for (int round = 0; round < 6; round++) {
        run_step(s, traffic_flush, from);
        run_step(s, receive_a_few, 1 - from);
    }
}

static void play(struct scenario *s)
{
    run_step(s, prepare, 0);
    run_step(s, prepare, 1);
    run_step(s, begin_to_send, 0);
    run_step(s, assert_honest, 1);
    run_step(s, look_and_receive, 1);
    run_step(s, assert_honest, 1);
    run_step(s, wait_in_vain, 1);
    run_step(s, traffic_send_next, 0);
    run_step(s, assert_honest, 1);
    pass_on(s, 0);
    run_step(s, send_small, 1);
    run_step(s, traffic_send_next_in_parts, 1);
    pass_on(s, 1);
    run_step(s, send_the_rest, 0);
    run_step(s, assert_honest, 1);
    run_step(s, traffic_flush, 1);
    run_step(s, receive_a_few, 1);
    run_step(s, receive_a_few, 1); /* or there may be no room for the goodbye */
    run_step(s, say_goodbye, 0);
}

/* On an anonymous pipe a call after the goodbye would take an end again. */
static bool may_call(const struct traffic *t, int side)
{
    return !t->same_handle || !t->flow[side].bye_accepted;
}

static void receive_all(struct traffic *t, int side)
{
    while (traffic_receive_into_buffer(t, side))
        continue;
}

static void drain_once(struct traffic *t, int side)
{
    traffic_flush(t, side);
    receive_all(t, side);
    t->flow[1 - side].last_error = errno;
    assert_int_not_equal(errno, ENOMEM); /* there is memory again */
    assert_int_not_equal(errno, ENOBUFS);
}

/* Faults are over: what is still on its way comes, unless it never will. */
static void drain(struct scenario *s)
{
    s->armed = false;
    for (int side = 0; side < 2; side++)
        if (may_call(&s->traffic, side))
            run_step(s, never_wait, side);
    for (int round = 0; round < 2 * 12; round++)
        if (may_call(&s->traffic, round % 2))
            run_step(s, drain_once, round % 2);
}

/* Faults are over: any failure but a full pipe stays forever. */
static void probe(struct traffic *t, int side)
{
    if (!t->flow[side].bye_accepted && pipc_write(t->end[side], "", 0) < 0 && errno != EAGAIN)
        t->flow[side].write_dead = errno;
}

static bool assert_none_lost(struct scenario *s, int side)
{
    struct flow *flow = &s->traffic.flow[side];
    size_t lost = 0, received = 0;
    for (size_t i = 0; i < flow->next; i++) {
        lost += flow->accepted[i] && !flow->received[i];
        received += flow->received[i];
    }
    if (!may_call(&s->traffic, 1 - side))
        return received == flow->next; /* the rest is its successor's */
    if (lost > 0)
        run_step(s, probe, side);
    if (lost > 0 && flow->last_error == EAGAIN && flow->write_dead == 0)
        fail_msg("%zu accepted message(s) of end %d were lost", lost, side);
    return received == flow->next;
}

/* When end 0 is closed, its peer comes to an end, unless end 0 was left to a successor. */
static void expect_end(struct traffic *t, int side)
{
    receive_all(t, side);
    if (may_call(t, 0) && (errno == EAGAIN || errno == ETIMEDOUT))
        fail_msg("after the peer's close: %s", strerror(errno));
}

/* --- The whole -------------------------------------------------------------------------------- */

static bool open_pipe(struct scenario *s, const struct kind *kind, struct scenario_result *result)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = flags_to_open;
    memset(s, 0, sizeof *s);
    s->traffic.same_handle = kind->same_handle;
    s->traffic.moves = kind->moves || kind->moves_later;
    s->traffic.descriptor = -1;
    s->armed = true;
    if (!kind->path && !kind->moves) /* those assert that they open */
        fault_arm();
    result->opened = kind->open(s->traffic.end, &options) == 0;
    result->error = result->opened ? 0 : errno;
    fault_disarm();
    return result->opened;
}

static void assert_clean(void)
{
    assert_int_equal(fault_bad_closes(), 0);
    harness_assert_nothing_left();
}

struct scenario_result scenario_run(const struct kind *kind)
{
    static struct scenario s;
    struct scenario_result result = {false, false, 0};
    if (open_pipe(&s, kind, &result)) {
        start_thread(&s);
        play(&s);
        drain(&s);
        result.complete = assert_none_lost(&s, 0);
        result.complete =
            assert_none_lost(&s, 1) && result.complete && s.traffic.flow[0].bye_received;
        s.armed = true;
        run_step(&s, close_end, 0);
        s.armed = false;
        run_step(&s, expect_end, 1);
        s.armed = true;
        run_step(&s, close_end, 1);
        end_thread(&s);
    }
    assert_clean();
    return result;
}

/* With a first call, which takes the end of an anonymous pipe. */
struct scenario_result scenario_open(const struct kind *kind)
{
    static struct scenario s;
    struct scenario_result result = {false, false, 0};
    if (open_pipe(&s, kind, &result)) {
        do_armed(&s, prepare, 0);
        result.complete = pipc_fd(s.traffic.end[0]) >= 0;
        if (!kind->same_handle)
            do_armed(&s, close_end, 1);
        do_armed(&s, close_end, 0);
    }
    assert_clean();
    return result;
}
