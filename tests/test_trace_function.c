/* SPDX-License-Identifier: MIT */
/* pipc_set_trace: the lines of the trace go to a function of the program, which may do much. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "anonymous.h"
#include "fifos.h"
#include "tracing.h"

static struct tracing tracing;

struct log {
    atomic_int lines, opens;
    struct harness_gate reached, go_on;
    pipc_t *own;
};

static struct log own_log;

static void count_lines(void *context, const char *line)
{
    struct log *log = context;
    assert_ptr_equal(log, &own_log);
    assert_null(strchr(line, '\n'));
    atomic_fetch_add(&log->lines, 1);
    if (strstr(line, " open: pipe") != NULL)
        atomic_fetch_add(&log->opens, 1);
}

TEST(a_function_gets_the_lines_without_the_variable_until_it_is_taken_away)
{
    unsetenv("PIPC_TRACE");
    pipc_set_trace(count_lines, &own_log);
    tracing_use_library(NULL);
    assert_int_equal(atomic_load(&own_log.opens), 1);
    assert_int_equal(atomic_load(&own_log.lines), 2);
    pipc_set_trace(NULL, NULL);
    tracing_use_library(NULL);
    assert_int_equal(atomic_load(&own_log.lines), 2);
}

TEST(the_function_and_the_file_get_the_same_lines)
{
    tracing_begin(&tracing);
    pipc_set_trace(count_lines, &own_log);
    tracing_use_library(NULL);
    assert_int_equal(tracing_count(&tracing, "*"), atomic_load(&own_log.lines));
    pipc_set_trace(NULL, NULL);
    tracing_end(&tracing);
}

static void call_library(void *context, const char *line)
{
    count_lines(context, line);
    tracing_use_library(NULL);
}

TEST(a_function_that_calls_the_library_does_not_get_its_own_lines)
{
    tracing_begin(&tracing);
    pipc_set_trace(call_library, &own_log);
    tracing_use_library(NULL);
    assert_int_equal(atomic_load(&own_log.opens), 1);
    assert_int_equal(tracing_count(&tracing, "#* open: pipe"), 1 + atomic_load(&own_log.lines));
    pipc_set_trace(NULL, NULL);
    tracing_end(&tracing);
}

static void count_first_line(void *context, const char *line)
{
    count_lines(context, line);
    pipc_set_trace(NULL, NULL);
}

TEST(a_function_may_take_itself_away)
{
    pipc_set_trace(count_first_line, &own_log);
    tracing_use_library(NULL);
    assert_int_equal(atomic_load(&own_log.lines), 1);
}

static struct fifos fifos;

static void *meet(void *unused)
{
    return pipc_open_fifo(unused, FIFOS_LONG_MS, &fifos.options);
}

static void open_gate_at_wait(void *context, const char *line)
{
    struct log *log = context;
    if (strstr(line, "waits at the name") != NULL)
        harness_gate_open(&log->reached);
}

TEST(the_function_is_called_before_a_call_waits)
{
    pthread_t thread;
    void *end[2];
    fifos_begin(&fifos);
    harness_gate_init(&own_log.reached);
    pipc_set_trace(open_gate_at_wait, &own_log);
    assert_int_equal(pthread_create(&thread, NULL, meet, "chat"), 0);
    harness_gate_wait(&own_log.reached);
    end[0] = meet("chat");
    pthread_join(thread, &end[1]);
    assert_true(end[0] != NULL && end[1] != NULL);
    pipc_close(end[0]);
    pipc_close(end[1]);
    pipc_set_trace(NULL, NULL);
    harness_gate_close(&own_log.reached);
    fifos_end(&fifos);
}

static pipc_t *asked;

/* That takes the lock of a handle that has no peer yet. */
static void ask_for_peer(void *context, const char *line)
{
    char text[128];
    count_lines(context, line);
    assert_int_equal(pipc_peer(asked, text, sizeof text), 0);
}

TEST(the_function_may_ask_for_the_peer_of_a_handle_whose_rendezvous_goes_on)
{
    pthread_t thread;
    void *end;
    fifos_begin(&fifos);
    pipc_options_t options = fifos.options;
    options.flags = PIPC_ASYNC;
    asked = pipc_open_fifo("chat", FIFOS_LONG_MS, &options);
    assert_non_null(asked);
    assert_int_equal(pthread_create(&thread, NULL, meet, "chat"), 0);
    pthread_join(thread, &end); /* it could call the function in place of this thread */
    pipc_set_trace(ask_for_peer, &own_log);
    assert_int_equal(pipc_flush(asked), 0);
    pipc_set_trace(NULL, NULL);
    assert_true(atomic_load(&own_log.lines) > 0);
    pipc_close(asked);
    pipc_close(end);
    fifos_end(&fifos);
}

/* In the function one thread waits until another has used the library: no lock is held. */
static void wait_for_another(void *context, const char *line)
{
    struct log *log = context;
    count_lines(context, line);
    if (atomic_load(&log->lines) > 1)
        return;
    harness_gate_open(&log->reached);
    harness_gate_wait(&log->go_on);
}

static void *use_in_thread(void *own)
{
    if (own != NULL)
        say(own, "x"); /* takes an end: under the lock of the handle */
    else
        tracing_use_library(NULL);
    return NULL;
}

TEST(other_threads_go_on_while_one_is_in_the_function)
{
    pthread_t thread;
    pipc_t *pipe = open_anonymous();
    harness_gate_init(&own_log.reached);
    harness_gate_init(&own_log.go_on);
    pipc_set_trace(wait_for_another, &own_log);
    assert_int_equal(pthread_create(&thread, NULL, use_in_thread, pipe), 0);
    harness_gate_wait(&own_log.reached);
    assert_int_equal(pipc_pending(pipe), 0); /* takes the other end, under the same lock */
    tracing_use_library(NULL);
    assert_int_equal(atomic_load(&own_log.lines), 1);
    harness_gate_open(&own_log.go_on);
    pthread_join(thread, NULL);
    hear(pipe, "x");
    assert_int_equal(atomic_load(&own_log.opens), 1);
    pipc_set_trace(NULL, NULL);
    pipc_close(pipe);
    harness_gate_close(&own_log.reached);
    harness_gate_close(&own_log.go_on);
}

static int lost; /* as a line says */

static void wait_and_look_for_lost(void *context, const char *line)
{
    const char *lines = strstr(line, " lines were lost");
    if (lines != NULL)
        lost += atoi(line);
    wait_for_another(context, line);
}

/* More than there is room for, while one thread is in the function. */
TEST(lines_that_come_too_fast_are_counted_and_calls_go_on)
{
    enum { USES = 100, LINES = 2 * (USES + 1) };
    pthread_t thread;
    harness_gate_init(&own_log.reached);
    harness_gate_init(&own_log.go_on);
    pipc_set_trace(wait_and_look_for_lost, &own_log);
    assert_int_equal(pthread_create(&thread, NULL, use_in_thread, NULL), 0);
    harness_gate_wait(&own_log.reached);
    for (int i = 0; i < USES; i++)
        assert_int_equal(tracing_use_library(NULL), 0);
    harness_gate_open(&own_log.go_on);
    pthread_join(thread, NULL);
    pipc_set_trace(NULL, NULL);
    assert_in_range(lost, USES, LINES);
    assert_int_equal(lost + atomic_load(&own_log.lines), LINES + 1); /* and the one that says so */
    harness_gate_close(&own_log.reached);
    harness_gate_close(&own_log.go_on);
}

static void *take_function_away(void *sleeper)
{
    *(struct sleeper *)sleeper = sleeper_me();
    harness_gate_open(&own_log.go_on);
    pipc_set_trace(NULL, NULL);
    return (void *)(uintptr_t)atomic_load(&own_log.lines);
}

static struct sleeper taker;

/* Until the taker is about to wait, or waits, for this thread to come back. */
static void come_back_late(void *context, const char *line)
{
    struct log *log = context;
    (void)line;
    if (atomic_load(&log->lines) == 0) {
        harness_gate_open(&log->reached);
        harness_gate_wait(&log->go_on);
        sleeper_wait(taker);
    }
    atomic_fetch_add(&log->lines, 1);
}

TEST(a_function_that_was_taken_away_has_returned)
{
    pthread_t user, thread;
    void *lines;
    harness_gate_init(&own_log.reached);
    harness_gate_init(&own_log.go_on);
    pipc_set_trace(come_back_late, &own_log);
    assert_int_equal(pthread_create(&user, NULL, use_in_thread, NULL), 0);
    harness_gate_wait(&own_log.reached);
    assert_int_equal(pthread_create(&thread, NULL, take_function_away, &taker), 0);
    pthread_join(thread, &lines);
    pthread_join(user, NULL);
    assert_in_range((uintptr_t)lines, 1, 2);
    assert_int_equal(atomic_load(&own_log.lines), (uintptr_t)lines);
    harness_gate_close(&own_log.reached);
    harness_gate_close(&own_log.go_on);
}

static void *wait_at_gate(void *go_on)
{
    harness_gate_wait(go_on);
    return NULL;
}

static int use_as_child(void *unused)
{
    int before = atomic_load(&own_log.lines);
    if (tracing_use_library(unused) != 0 || atomic_load(&own_log.lines) != before)
        return 1;
    pipc_set_trace(count_lines, &own_log); /* its own */
    return tracing_use_library(unused) != 0 || atomic_load(&own_log.lines) != before + 2;
}

TEST(a_child_of_a_program_with_threads_is_not_called_back_and_still_writes_to_the_file)
{
    pthread_t thread;
    tracing_begin(&tracing);
    harness_gate_init(&own_log.go_on);
    assert_int_equal(pthread_create(&thread, NULL, wait_at_gate, &own_log.go_on), 0);
    pipc_set_trace(count_lines, &own_log);
    tracing_use_library(NULL);
    pid_t pid = harness_fork(use_as_child, NULL);
    assert_int_equal(harness_wait(pid), 0);
    assert_int_equal(tracing_count(&tracing, "#* open: pipe"), 3);
    assert_int_equal(atomic_load(&own_log.opens), 1);
    harness_gate_open(&own_log.go_on);
    pthread_join(thread, NULL);
    pipc_set_trace(NULL, NULL);
    harness_gate_close(&own_log.go_on);
    tracing_end(&tracing);
}

static pid_t forked;

static void fork_inside(void *context, const char *line)
{
    struct log *log = context;
    (void)line;
    if (atomic_fetch_add(&log->lines, 1) == 0)
        forked = fork();
}

/* The child comes back from the function, too, with further lines waiting. */
TEST(a_function_may_fork)
{
    fifos_begin(&fifos);
    pipc_set_trace(fork_inside, &own_log);
    assert_null_errno(pipc_open_fifo("nobody", 0, &fifos.options), EAGAIN);
    if (forked == 0)
        exit(atomic_load(&own_log.lines) == 1 ? use_as_child(NULL) : 1);
    assert_true(forked > 0);
    assert_int_equal(harness_wait(forked), 0);
    assert_in_range(atomic_load(&own_log.lines), 2, 10);
    pipc_set_trace(NULL, NULL);
    fifos_end(&fifos);
}

static void cancel_inside(void *context, const char *line)
{
    count_lines(context, line);
    pthread_cancel(pthread_self());
    pthread_testcancel();
}

static void *use_and_be_cancelled(void *unused)
{
    tracing_use_library(unused);
    pthread_testcancel();
    return NULL;
}

TEST(a_cancellation_waits_until_the_function_has_returned)
{
    pthread_t thread;
    void *result;
    pipc_set_trace(cancel_inside, &own_log);
    assert_int_equal(pthread_create(&thread, NULL, use_and_be_cancelled, NULL), 0);
    pthread_join(thread, &result);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    assert_int_equal(atomic_load(&own_log.lines), 2);
    pipc_set_trace(NULL, NULL);
}

HARNESS_MAIN("trace_function",
             IT(a_function_gets_the_lines_without_the_variable_until_it_is_taken_away),
             IT(the_function_and_the_file_get_the_same_lines),
             IT(a_function_that_calls_the_library_does_not_get_its_own_lines),
             IT(a_function_may_take_itself_away), IT(the_function_is_called_before_a_call_waits),
             IT(the_function_may_ask_for_the_peer_of_a_handle_whose_rendezvous_goes_on),
             IT(other_threads_go_on_while_one_is_in_the_function),
             IT(lines_that_come_too_fast_are_counted_and_calls_go_on),
             IT(a_function_that_was_taken_away_has_returned),
             IT(a_child_of_a_program_with_threads_is_not_called_back_and_still_writes_to_the_file),
             IT(a_function_may_fork), IT(a_cancellation_waits_until_the_function_has_returned))
