/* SPDX-License-Identifier: MIT */
/*
 * PIPC_DUPLEX: every call of a reader thread beside every call of a writer thread, on every kind
 * of pipe, with held output, unread messages and the descriptor in use. The thread sanitizer finds
 * errors; without it no call may hang or crash.
 */
#include "anonymous.h"
#include "harness.h"
#include "platform.h"
#include "raw.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* --- The calls -------------------------------------------------------------------------------- */

enum { LARGE = 1 << 20, SMALL = 100 };

static const char large[LARGE];

static void call_read(pipc_t *pipe)
{
    char buffer[SMALL];
    pipc_read(pipe, buffer, sizeof buffer);
}

static void call_read_msg(pipc_t *pipe)
{
    pipc_msg_t message;
    if (pipc_read_msg(pipe, &message) == 0)
        pipc_msg_free(&message);
}

static void call_read_pending(pipc_t *pipe)
{
    pipc_msg_t messages[4];
    for (ssize_t got = pipc_read_pending(pipe, messages, 4); got > 0; got--)
        pipc_msg_free(&messages[got - 1]);
}

static void call_peek(pipc_t *pipe)
{
    pipc_msg_t view;
    if (pipc_peek(pipe, &view) == 0 && view.size > 0)
        assert_int_equal(((const char *)view.data)[view.size - 1], 0);
}

static void call_skip(pipc_t *pipe)
{
    pipc_skip(pipe);
}

static void call_pending(pipc_t *pipe)
{
    assert_true(pipc_pending(pipe) >= 0);
}

static void call_bye_text(pipc_t *pipe)
{
    assert_null(pipc_bye_text(pipe));
}

static void call_write(pipc_t *pipe)
{
    pipc_write(pipe, large, SMALL);
}

static void call_write_large(pipc_t *pipe)
{
    pipc_write(pipe, large, LARGE);
}

static void call_writev(pipc_t *pipe)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)large, SMALL}, {(void *)(uintptr_t)large, 1}};
    pipc_writev(pipe, parts, 2);
}

static void call_write_batch(pipc_t *pipe)
{
    struct iovec batch[3] = {{(void *)(uintptr_t)large, SMALL},
                             {(void *)(uintptr_t)large, 0},
                             {(void *)(uintptr_t)large, SMALL}};
    pipc_write_batch(pipe, batch, 3);
}

static void call_flush(pipc_t *pipe)
{
    pipc_flush(pipe);
}

static void call_shutdown(pipc_t *pipe)
{
    assert_int_equal(pipc_shutdown(pipe), 0);
}

static void call_disconnect(pipc_t *pipe)
{
    pipc_disconnect(pipe, "bye");
}

static void call_fd(pipc_t *pipe)
{
    assert_true(pipc_fd(pipe) >= 0);
}

static void call_want(pipc_t *pipe)
{
    for (unsigned events = 0; events < 4; events++)
        assert_int_equal(pipc_want(pipe, events), 0);
}

static void call_set_timeout(pipc_t *pipe)
{
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    assert_int_equal(pipc_set_timeout(pipe, 1, 1), 0);
}

static void call_stats(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
}

static void call_peer(pipc_t *pipe)
{
    char text[128];
    assert_int_equal(pipc_peer(pipe, text, sizeof text), 0);
}

typedef void call_fn(pipc_t *pipe);

#define CALLS_OF_BOTH call_fd, call_want, call_set_timeout, call_stats, call_peer

static call_fn *const reading[] = {call_read, call_read_msg, call_read_pending, call_peek,
                                   call_skip, call_pending,  call_bye_text,     CALLS_OF_BOTH};
static call_fn *const writing[] = {call_write, call_write_large, call_writev,     call_write_batch,
                                   call_flush, call_shutdown,    call_disconnect, CALLS_OF_BOTH};

enum {
    READING = sizeof reading / sizeof reading[0],
    WRITING = sizeof writing / sizeof writing[0],
    REPEATS = 4
};

/* --- Two of them at once ---------------------------------------------------------------------- */

struct pair {
    pipc_t *end[2]; /* the first is the one that two threads use */
    pthread_barrier_t start;
    call_fn *reads, *writes;
    atomic_int busy; /* threads at work on the first end */
};

static void *read_at_once(void *arg)
{
    struct pair *pair = arg;
    pthread_barrier_wait(&pair->start);
    for (int i = 0; i < REPEATS; i++)
        pair->reads(pair->end[0]);
    pair->busy--;
    return NULL;
}

static void *write_at_once(void *arg)
{
    struct pair *pair = arg;
    pthread_barrier_wait(&pair->start);
    for (int i = 0; i < REPEATS; i++)
        pair->writes(pair->end[0]);
    pair->busy--;
    return NULL;
}

/* Reads what comes, so that held output moves, and sends something now and then. */
static void *be_the_peer(void *arg)
{
    struct pair *pair = arg;
    pthread_barrier_wait(&pair->start);
    while (pair->busy > 0) {
        call_read_pending(pair->end[1]);
        pipc_write(pair->end[1], large, 10);
    }
    pipc_shutdown(pair->end[1]);
    return NULL;
}

static void run_pair(const struct kind *kind, call_fn *reads, call_fn *writes, bool polled,
                     bool gathers)
{
    static void *(*const roles[])(void *) = {read_at_once, write_at_once, be_the_peer};
    struct pair pair = {.reads = reads, .writes = writes, .busy = 2};
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pthread_t threads[3];
    options.flags = PIPC_DUPLEX | (gathers ? PIPC_GATHER : 0);
    kind_open(kind, pair.end, &options);
    assert_int_equal(pthread_barrier_init(&pair.start, NULL, 3), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_set_timeout(pair.end[i], 0, 0), 0);
    if (polled)
        call_fd(pair.end[0]);
    assert_int_equal(pipc_write(pair.end[0], large, LARGE), LARGE);
    assert_int_equal(pipc_write(pair.end[1], large, SMALL), SMALL);
    assert_int_equal(pipc_write(pair.end[1], large, 1), 1);
    assert_int_equal(pipc_set_timeout(pair.end[0], 1, 1), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, roles[i], &pair), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&pair.start);
    pipc_close(pair.end[0]);
    pipc_close(pair.end[1]);
}

TEST_OF_KIND(every_reading_call_works_beside_every_writing_call)
{
    for (size_t r = 0; r < READING; r++)
        for (size_t w = 0; w < WRITING; w++)
            run_pair(kind, reading[r], writing[w], (r + w) % 2 == 0, (r + w) / 2 % 2 == 0);
}

/* --- An end during a wait -------------------------------------------------------------- */

static void *read_to_the_end(void *pipe)
{
    while (pipc_skip(pipe) == 0)
        continue;
    assert_int_equal(errno, EPIPE);
    return NULL;
}

/*
 * The reader waits for input and, since output is held, for room as well. The writer ends its
 * output meanwhile; the end has to arrive, and the descriptor must not be closed under the reader's
 * wait.
 */
TEST_OF_KIND(an_end_is_reported_while_the_reader_waits_for_room)
{
    for (int round = 0; round < 20; round++) {
        pipc_t *end[2];
        pipc_options_t options = PIPC_OPTIONS_INIT;
        pthread_t reader;
        options.flags = PIPC_DUPLEX;
        kind_open(kind, end, &options);
        if (round % 2 == 0)
            call_fd(end[0]);
        assert_int_equal(pipc_set_timeout(end[0], -1, 0), 0);
        assert_int_equal(pipc_write(end[0], large, LARGE), LARGE);
        assert_int_equal(pthread_create(&reader, NULL, read_to_the_end, end[0]), 0);
        assert_int_equal(pipc_shutdown(end[0]), 0);
        pipc_flush(end[0]);
        read_to_the_end(end[1]);
        assert_int_equal(pipc_shutdown(end[1]), 0);
        assert_int_equal(pthread_join(reader, NULL), 0);
        pipc_close(end[0]);
        pipc_close(end[1]);
    }
}

static void *flush_to_the_end(void *pipe)
{
    assert_true(pipc_flush(pipe) >= 0);
    return NULL;
}

/* The other way round: the reader pushes out the last of it while the writer waits for room. */
TEST_OF_KIND(a_flush_ends_when_the_reader_thread_wrote_the_held_output)
{
    for (int round = 0; round < 20; round++) {
        pipc_t *end[2];
        pipc_options_t options = PIPC_OPTIONS_INIT;
        pthread_t writer, reader;
        options.flags = PIPC_DUPLEX;
        kind_open(kind, end, &options);
        assert_int_equal(pipc_set_timeout(end[0], -1, 0), 0);
        assert_int_equal(pipc_write(end[0], large, LARGE), LARGE);
        assert_int_equal(pipc_shutdown(end[0]), 0);
        assert_int_equal(pipc_set_timeout(end[0], -1, -1), 0);
        assert_int_equal(pthread_create(&reader, NULL, read_to_the_end, end[0]), 0);
        assert_int_equal(pthread_create(&writer, NULL, flush_to_the_end, end[0]), 0);
        read_to_the_end(end[1]);
        assert_int_equal(pthread_join(writer, NULL), 0);
        assert_int_equal(pipc_shutdown(end[1]), 0);
        assert_int_equal(pthread_join(reader, NULL), 0);
        pipc_close(end[0]);
        pipc_close(end[1]);
    }
}

struct long_write {
    pipc_t *pipe;
    struct sleeper thread;
    struct harness_gate begun;
};

static void *write_large(void *context)
{
    struct long_write *write = context;
    write->thread = sleeper_me();
    harness_gate_open(&write->begun);
    assert_int_equal(pipc_write(write->pipe, large, LARGE), LARGE);
    assert_int_equal(pipc_shutdown(write->pipe), 0);
    return NULL;
}

static void *write_until_cancelled(void *context)
{
    struct long_write *write = context;
    write->thread = sleeper_me();
    harness_gate_open(&write->begun);
    for (;;)
        assert_int_equal(pipc_write(write->pipe, large, LARGE), LARGE);
    return NULL;
}

/* The cancelled thread waits for room no more: a shutdown must not wait for it. */
TEST_OF_KIND(a_shutdown_after_a_writer_was_cancelled_ends_the_stream)
{
    harness_skip_if_cancelling_confuses();
    pipc_t *end[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pthread_t thread;
    options.flags = PIPC_DUPLEX;
    kind_open(kind, end, &options);
    struct long_write write = {.pipe = end[0]};
    harness_gate_init(&write.begun);
    assert_int_equal(pthread_create(&thread, NULL, write_until_cancelled, &write), 0);
    harness_gate_wait(&write.begun);
    sleeper_wait(write.thread);
    assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pipc_shutdown(end[0]), 0);
    assert_int_equal(pthread_create(&thread, NULL, flush_to_the_end, end[0]), 0);
    read_to_the_end(end[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    harness_gate_close(&write.begun);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

static void ignore(int signal_number)
{
    (void)signal_number;
}

struct reading {
    pipc_t *pipe;
    struct harness_gate begun;
    struct sleeper thread;
    int error;
};

static void *read_in_vain(void *arg)
{
    struct reading *read = arg;
    char byte;
    read->thread = sleeper_me();
    harness_gate_open(&read->begun);
    read->error = pipc_read(read->pipe, &byte, 1) == -1 ? errno : 0;
    return NULL;
}

TEST_OF_KIND(a_read_keeps_the_timeout_that_it_began_with)
{
    pipc_t *end[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pthread_t thread;
    options.flags = PIPC_DUPLEX;
    kind_open(kind, end, &options);
    struct reading read = {.pipe = end[0]};
    assert_true(signal(SIGUSR1, ignore) != SIG_ERR);
    harness_gate_init(&read.begun);
    assert_int_equal(pipc_set_timeout(end[0], 300, -1), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_in_vain, &read), 0);
    harness_gate_wait(&read.begun);
    sleeper_wait(read.thread);
    assert_int_equal(pipc_set_timeout(end[0], -1, -1), 0);
    assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(read.error, ETIMEDOUT);
    harness_gate_close(&read.begun);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

/* Until both messages of the peer are in memory. */
static void take_in_two(pipc_t *pipe)
{
    while (pipc_pending(pipe) < 2)
        assert_true(harness_readable(pipc_fd(pipe), HARNESS_TIMEOUT_MS));
}

/* The room of a socket shows what is in memory: a writer that takes it all must say so. */
TEST_OF_KIND(a_message_is_reported_while_the_writer_thread_waits_for_room)
{
    pipc_t *end[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pthread_t thread;
    options.flags = PIPC_DUPLEX;
    kind_open(kind, end, &options);
    struct long_write write = {.pipe = end[0]};
    harness_gate_init(&write.begun);
    assert_int_equal(pipc_set_timeout(end[0], 0, -1), 0);
    for (int i = 0; i < 2; i++)
        call_write(end[1]);
    take_in_two(end[0]);
    int fd = pipc_fd(end[0]); /* once: the call would set right what the wait has to */
    assert_int_equal(pthread_create(&thread, NULL, write_large, &write), 0);
    harness_gate_wait(&write.begun);
    sleeper_wait(write.thread);
    for (int i = 0; i < 2; i++) {
        assert_true(harness_readable(fd, HARNESS_TIMEOUT_MS / 4));
        call_skip(end[0]);
    }
    read_to_the_end(end[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    harness_gate_close(&write.begun);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

#define SLOWLY(name, kinds) OVER(name, kinds, 3 * HARNESS_TIMEOUT_MS)

HARNESS_MAIN("duplex", SLOWLY(every_reading_call_works_beside_every_writing_call, TWO_HANDLE_KINDS),
             SLOWLY(every_reading_call_works_beside_every_writing_call, TERMINALS),
             OVER_TWO_HANDLE_KINDS(an_end_is_reported_while_the_reader_waits_for_room),
             OVER_TWO_HANDLE_KINDS(a_flush_ends_when_the_reader_thread_wrote_the_held_output),
             OVER_TWO_HANDLE_KINDS(a_shutdown_after_a_writer_was_cancelled_ends_the_stream),
             OVER_TWO_HANDLE_KINDS(a_read_keeps_the_timeout_that_it_began_with),
             OVER_TWO_HANDLE_KINDS(a_message_is_reported_while_the_writer_thread_waits_for_room))
