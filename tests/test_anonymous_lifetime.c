/* SPDX-License-Identifier: MIT */
/*
 * How long an anonymous pipe lives. Whatever its threads do, in any order, the last one that may
 * use the handle frees it. All orders are tried: two threads and the opener each run a short
 * script, one step at a time.
 */
#include "anonymous.h"

/* --- All orders ------------------------------------------------------------------------------ */

/* What one thread does, step by step. In a thread, the end of its script is the end of it. */
enum step { NOTHING, USE, LEAVE, CLOSE };

enum { STEPS = 3, THREADS = 3, OPENER = 2 };

/* Everything that a thread may do with a handle of its own. */
static const enum step scripts[][STEPS] = {{NOTHING, NOTHING, NOTHING}, {USE, NOTHING, NOTHING},
                                           {CLOSE, NOTHING, NOTHING},   {USE, CLOSE, NOTHING},
                                           {USE, LEAVE, NOTHING},       {USE, LEAVE, CLOSE}};
enum { SCRIPTS = sizeof scripts / sizeof scripts[0] };

struct actor {
    pthread_t thread;
    pipc_t *pipe;
    const enum step *script;
    struct harness_gate go, done;
    bool is_thread;
};

/* Any errno will do: an end may be taken, the peer gone. That it returns is what counts. */
static void play_step(pipc_t *pipe, enum step step)
{
    pipc_msg_t message;
    if (step == USE && pipc_set_timeout(pipe, 0, 0) == 0) {
        pipc_write(pipe, "hello", 5);
        if (pipc_peek(pipe, &message) == 0)
            assert_true(message.size <= 5 || message.kind == PIPC_BYE);
    } else if (step == LEAVE) {
        pipc_disconnect(pipe, "bye");
    } else if (step == CLOSE) {
        pipc_close(pipe);
    }
}

static void *play(void *arg)
{
    struct actor *actor = arg;
    for (int i = 0; i < STEPS; i++) {
        harness_gate_wait(&actor->go);
        play_step(actor->pipe, actor->script[i]);
        harness_gate_open(&actor->done);
    }
    return NULL;
}

static void begin(struct actor *actor)
{
    harness_gate_init(&actor->go);
    harness_gate_init(&actor->done);
    if (actor->is_thread)
        assert_int_equal(pthread_create(&actor->thread, NULL, play, actor), 0);
}

/* A thread has ended by the time this returns from its last step. */
static void advance(struct actor *actor, int step)
{
    if (!actor->is_thread) {
        play_step(actor->pipe, actor->script[step]);
        return;
    }
    harness_gate_open(&actor->go);
    harness_gate_wait(&actor->done);
    if (step == STEPS - 1)
        assert_int_equal(pthread_join(actor->thread, NULL), 0);
}

static bool closes(const enum step *steps)
{
    return steps[0] == CLOSE || steps[1] == CLOSE || steps[2] == CLOSE;
}

static void swap(int *a, int *b)
{
    int was = *a;
    *a = *b;
    *b = was;
}

/* The next order of the same steps, in the order of a dictionary; false: that was the last. */
static bool next_order(int *order, int size)
{
    int i = size - 2, j = size - 1;
    while (i >= 0 && order[i] >= order[i + 1])
        i--;
    if (i < 0)
        return false;
    while (order[j] <= order[i])
        j--;
    swap(&order[i], &order[j]);
    for (int left = i + 1, right = size - 1; left < right; left++, right--)
        swap(&order[left], &order[right]);
    return true;
}

/* A program must not close before its other threads have made their first call. */
static bool is_allowed(const int *order, const int *which)
{
    int at[THREADS] = {0}, to_use = 0;
    for (int i = 0; i < THREADS; i++)
        to_use += scripts[which[i]][0] == USE;
    for (int i = 0; i < THREADS * STEPS; i++) {
        enum step step = scripts[which[order[i]]][at[order[i]]++];
        if (step == CLOSE && to_use > 0)
            return false;
        to_use -= step == USE;
    }
    return true;
}

/* Nor do threads close that neither opened the handle nor used it. */
static bool is_cast(const int *which)
{
    for (int i = 0; i < OPENER; i++)
        if (scripts[which[i]][0] == CLOSE)
            return false;
    return true;
}

static void play_in_order(const int *order, const int *which)
{
    struct actor actors[THREADS];
    int at[THREADS] = {0};
    pipc_t *pipe = open_anonymous();
    for (int i = 0; i < THREADS; i++) {
        actors[i] =
            (struct actor){.pipe = pipe, .script = scripts[which[i]], .is_thread = i != OPENER};
        begin(&actors[i]);
    }
    for (int i = 0; i < THREADS * STEPS; i++)
        advance(&actors[order[i]], at[order[i]]++);
    /* The opener may close it once, also when all others have gone. */
    if (!closes(scripts[which[OPENER]]))
        pipc_close(pipe);
    for (int i = 0; i < THREADS; i++) {
        harness_gate_close(&actors[i].go);
        harness_gate_close(&actors[i].done);
    }
}

/* 150 casts, with up to 1,680 orders each: of every cast a sample, another one with each seed. */
TEST(the_last_thread_frees_the_handle_in_any_order_of_leaving)
{
    size_t one_of = 80 * (size_t)harness_scale();
    for (int cast = 0; cast < SCRIPTS * SCRIPTS * SCRIPTS; cast++) {
        int which[THREADS] = {cast % SCRIPTS, cast / SCRIPTS % SCRIPTS, cast / SCRIPTS / SCRIPTS};
        int order[] = {0, 0, 0, 1, 1, 1, 2, 2, 2};
        if (!is_cast(which))
            continue;
        do
            if (harness_random_below(one_of) == 0 && is_allowed(order, which))
                play_in_order(order, which);
        while (next_order(order, THREADS * STEPS));
        harness_assert_nothing_left();
    }
}

/* --- What stays and what goes ---------------------------------------------------------------- */

static void say_goodbye(pipc_t *pipe)
{
    assert_int_equal(pipc_pending(pipe), 0);
    leave(pipe, "bye");
}

TEST(the_end_of_a_thread_frees_nothing_before_a_close)
{
    pipc_t *pipe = open_anonymous();
    for (int i = 0; i < 3; i++)
        side_play(anonymous_in_threads, pipe, say_goodbye);
    hear_bye(pipe, "bye");
    hear_bye(pipe, "bye");
    hear_bye(pipe, "bye");
    pipc_close(pipe);
}

static void use_and_wait(pipc_t *pipe)
{
    say(pipe, "here");
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
    say(pipe, "still here");
}

TEST(a_thread_can_use_the_handle_after_the_opener_closed_it)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    harness_gate_init(&gate[0]);
    harness_gate_init(&gate[1]);
    side_start(&far, anonymous_in_threads, pipe, use_and_wait);
    harness_gate_wait(&gate[0]);
    pipc_close(pipe); /* never used here */
    harness_gate_open(&gate[1]);
    side_end(&far); /* its end frees, since the handle was closed before */
    harness_gate_close(&gate[0]);
    harness_gate_close(&gate[1]);
}

static int close_as_the_only_thread(void *pipe)
{
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
    harness_gate_close(&gate[1]);
    harness_assert_nothing_left();
    return 0;
}

/* Forked by the thread that opened it, or by another one. */
static void *fork_and_wait(void *pipe)
{
    assert_int_equal(harness_wait(harness_fork(close_as_the_only_thread, pipe)), 0);
    return NULL;
}

TEST(a_child_does_not_count_the_threads_of_its_parent)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    pthread_t forker;
    harness_gate_init(&gate[0]);
    harness_gate_init(&gate[1]);
    side_start(&far, anonymous_in_threads, pipe, use_and_wait);
    harness_gate_wait(&gate[0]);
    fork_and_wait(pipe);
    assert_int_equal(pthread_create(&forker, NULL, fork_and_wait, pipe), 0);
    assert_int_equal(pthread_join(forker, NULL), 0);
    harness_gate_open(&gate[1]);
    side_end(&far);
    hear(pipe, "here");
    hear(pipe, "still here");
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
    harness_gate_close(&gate[1]);
}

TEST(the_opener_gets_an_error_on_a_handle_that_others_closed)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    harness_gate_init(&gate[0]);
    harness_gate_init(&gate[1]);
    harness_gate_open(&gate[1]);
    side_start(&far, anonymous_in_threads, pipe, use_and_wait);
    side_end(&far);
    assert_int_equal(pipc_pending(pipe) >= 0, true);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
    harness_gate_close(&gate[1]);
}

/* --- What those who left had not read -------------------------------------------------------- */

static void read_one_count_the_rest_and_leave(pipc_t *pipe)
{
    char room[2048];
    assert_int_equal(pipc_read(pipe, room, sizeof room), 1000);
    assert_true(pipc_pending(pipe) > 0);
    leave(pipe, "bye");
}

static size_t heap_after_a_visit(pipc_t *pipe)
{
    static const char data[1000];
    for (int i = 0; i < 150; i++)
        assert_int_equal(pipc_write(pipe, data, sizeof data), sizeof data);
    side_play(anonymous_in_threads, pipe, read_one_count_the_rest_and_leave);
    hear_bye(pipe, "bye");
    return harness_heap_bytes();
}

TEST(unread_messages_of_a_thread_that_left_are_freed_when_it_ends)
{
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipc_pending(pipe), 0);
    size_t first = heap_after_a_visit(pipe);
    for (int i = 0; i < 20; i++)
        assert_true(heap_after_a_visit(pipe) <= first + 4096);
    pipc_close(pipe);
}

enum { VISITORS = 5, KEPT = 40, LIMIT = 64 * 1024 };

static void take_some_in_leave_and_stay(pipc_t *pipe)
{
    read_one_count_the_rest_and_leave(pipe);
    harness_gate_open(&gate[0]);
    harness_gate_wait(&gate[1]);
}

/* Each visitor could have received as much as the limit; together they keep no more than that. */
TEST(unread_messages_of_threads_that_left_count_against_max_pending)
{
    static const char data[1000];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct side visitor[VISITORS];
    options.max_pending = LIMIT;
    pipc_t *pipe = pipc_open(&options);
    assert_non_null(pipe);
    harness_gate_init(&gate[0]);
    harness_gate_init(&gate[1]);
    set_timeouts(pipe, -1, -1);
    size_t before = harness_heap_bytes();
    for (int i = 0; i < VISITORS; i++) {
        for (int k = 0; k < KEPT; k++)
            assert_int_equal(pipc_write(pipe, data, sizeof data), sizeof data);
        side_start(&visitor[i], anonymous_in_threads, pipe, take_some_in_leave_and_stay);
        harness_gate_wait(&gate[0]);
        hear_bye(pipe, "bye");
    }
    assert_true(harness_heap_bytes() - before < 2 * LIMIT);
    for (int i = 0; i < VISITORS; i++)
        harness_gate_open(&gate[1]);
    for (int i = 0; i < VISITORS; i++)
        side_end(&visitor[i]);
    pipc_close(pipe);
    harness_gate_close(&gate[0]);
    harness_gate_close(&gate[1]);
}

/* --- Counts ---------------------------------------------------------------------------------- */

static void say_hello_and_close(pipc_t *pipe)
{
    say(pipe, "hello");
    pipc_close(pipe);
}

static void say_hello_and_end(pipc_t *pipe)
{
    say(pipe, "hello");
}

TEST(statistics_stay_when_a_thread_closes_or_ends)
{
    for (int closes_it = 0; closes_it < 2; closes_it++) {
        pipc_stats_t stats = PIPC_STATS_INIT;
        pipc_t *pipe = open_anonymous();
        assert_int_equal(pipc_pending(pipe), 0);
        side_play(anonymous_in_threads, pipe, closes_it ? say_hello_and_close : say_hello_and_end);
        hear(pipe, "hello");
        assert_int_equal(pipc_stats(pipe, &stats), 0);
        assert_int_equal(stats.messages_written, 1);
        assert_int_equal(stats.bytes_written, 5);
        assert_int_equal(stats.messages_read, 1);
        pipc_close(pipe);
    }
}

/* --- The program's own thread-specific data --------------------------------------------------- */

static pthread_key_t own_key;

static void leave_from_a_destructor(void *pipe)
{
    leave(pipe, "from a destructor");
}

static void leave_the_goodbye_to_a_destructor(pipc_t *pipe)
{
    say(pipe, "here");
    assert_int_equal(pthread_setspecific(own_key, pipe), 0);
}

/* The library's own key may be older than the program's, or younger. */
TEST(a_goodbye_from_a_destructor_of_thread_data_arrives)
{
    for (int is_younger = 0; is_younger < 2; is_younger++) {
        pipc_t *pipe = is_younger ? NULL : open_anonymous();
        assert_int_equal(pthread_key_create(&own_key, leave_from_a_destructor), 0);
        pipe = pipe != NULL ? pipe : open_anonymous();
        assert_int_equal(pipc_pending(pipe), 0);
        side_play(anonymous_in_threads, pipe, leave_the_goodbye_to_a_destructor);
        hear(pipe, "here");
        hear_bye(pipe, "from a destructor");
        hear_nothing(pipe);
        pipc_close(pipe);
        assert_int_equal(pthread_key_delete(own_key), 0);
    }
}

static void first_use_in_a_destructor(void *pipe)
{
    say(pipe, "late");
}

static void leave_the_first_use_to_a_destructor(pipc_t *pipe)
{
    assert_int_equal(pthread_setspecific(own_key, pipe), 0);
}

TEST(a_death_is_detected_when_a_destructor_made_the_first_call)
{
    assert_int_equal(pthread_key_create(&own_key, first_use_in_a_destructor), 0);
    for (int i = 0; i < 2; i++) {
        pipc_t *pipe = open_anonymous();
        assert_int_equal(pipc_pending(pipe), 0);
        side_play(anonymous_in_threads, pipe, leave_the_first_use_to_a_destructor);
        hear(pipe, "late");
        hear_the_end(pipe, EPIPE);
        pipc_close(pipe);
    }
    assert_int_equal(pthread_key_delete(own_key), 0);
}

HARNESS_MAIN("anonymous lifetime",
             IT_WITHIN(the_last_thread_frees_the_handle_in_any_order_of_leaving, 120000),
             IT(the_end_of_a_thread_frees_nothing_before_a_close),
             IT(a_thread_can_use_the_handle_after_the_opener_closed_it),
             IT(a_child_does_not_count_the_threads_of_its_parent),
             IT(the_opener_gets_an_error_on_a_handle_that_others_closed),
             IT(unread_messages_of_a_thread_that_left_are_freed_when_it_ends),
             IT(unread_messages_of_threads_that_left_count_against_max_pending),
             IT(statistics_stay_when_a_thread_closes_or_ends),
             IT(a_goodbye_from_a_destructor_of_thread_data_arrives),
             IT(a_death_is_detected_when_a_destructor_made_the_first_call))
