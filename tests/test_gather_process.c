/* SPDX-License-Identifier: MIT */
/*
 * PIPC_GATHER and what can end: the process that gathered, the peer, the memory. After fork only
 * the process that wrote a message sends it.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gathering.h"

/* Two handles that gather, used by this thread and by children. */
struct both {
    pipc_t *end[2];
};

static void open_both(struct both *both, const struct kind *kind)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER;
    kind_open(kind, both->end, &options);
    fault_reset();
    fault_frozen_time();
}

static void write_to(pipc_t *pipe, const char *text)
{
    fault_arm();
    ssize_t result = pipc_write(pipe, text, strlen(text));
    fault_disarm();
    assert_int_equal(result, strlen(text));
}

static size_t held(pipc_t *pipe)
{
    pipc_stats_t stats = PIPC_STATS_INIT;
    assert_int_equal(pipc_stats(pipe, &stats), 0);
    return (size_t)stats.bytes_held;
}

static void expect(pipc_t *pipe, const char *text)
{
    char got[100];
    assert_int_equal(pipc_read(pipe, got, sizeof got), strlen(text));
    assert_memory_equal(got, text, strlen(text));
}

static void expect_no_more(pipc_t *pipe)
{
    char byte;
    assert_errno(pipc_read(pipe, &byte, 1), EPIPE);
}

/* --- Fork ------------------------------------------------------------------------------------- */

static void only_close(pipc_t *pipe)
{
    (void)pipe;
}

static void flush(pipc_t *pipe)
{
    assert_int_equal(pipc_flush(pipe), 0);
}

static void read_nothing(pipc_t *pipe)
{
    char byte;
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
}

static void poll_it(pipc_t *pipe)
{
    assert_true(pipc_fd(pipe) >= 0);
}

typedef void call_fn(pipc_t *pipe);
static call_fn *const calls_of_child[] = {only_close, flush, read_nothing, poll_it};

struct child {
    struct both *both;
    call_fn *call;
};

static int call_and_close(void *arg)
{
    struct child *child = arg;
    pipc_t *pipe = child->both->end[0];
    assert_int_equal(held(pipe), 0);
    child->call(pipe);
    assert_int_equal(held(pipe), 0);
    pipc_close(pipe);
    pipc_close(child->both->end[1]);
    return 0;
}

TEST_OF_KIND(a_child_never_sends_what_its_parent_gathered)
{
    for (size_t i = 0; i < sizeof calls_of_child / sizeof calls_of_child[0]; i++) {
        struct both both;
        struct child child = {&both, calls_of_child[i]};
        open_both(&both, kind);
        write_to(both.end[0], "one");
        assert_int_equal(harness_wait(harness_fork(call_and_close, &child)), 0);
        write_to(both.end[0], "two");
        assert_int_equal(pipc_flush(both.end[0]), 0);
        expect(both.end[1], "one");
        expect(both.end[1], "two");
        pipc_close(both.end[0]);
        expect_no_more(both.end[1]);
        pipc_close(both.end[1]);
    }
}

static int go_on(void *arg)
{
    struct both *both = arg;
    pipc_close(both->end[1]);
    write_to(both->end[0], "child's");
    write_to(both->end[0], "too");
    assert_int_equal(held(both->end[0]), 2 * FRAME_BYTES + 10);
    pipc_close(both->end[0]);
    return 0;
}

TEST_OF_KIND(a_child_that_goes_on_gathers_what_it_writes_itself)
{
    struct both both;
    open_both(&both, kind);
    write_to(both.end[0], "parent's");
    assert_int_equal(pipc_flush(both.end[0]), 0);
    pid_t pid = harness_fork(go_on, &both);
    pipc_close(both.end[0]);
    assert_int_equal(harness_wait(pid), 0);
    expect(both.end[1], "parent's");
    expect(both.end[1], "child's");
    expect(both.end[1], "too");
    expect_no_more(both.end[1]);
    pipc_close(both.end[1]);
}

/* The parent's close sends its own, before or after. */
TEST_OF_KIND(parent_and_child_each_send_their_own_messages_once)
{
    struct both both;
    open_both(&both, kind);
    write_to(both.end[0], "parent's");
    assert_int_equal(harness_wait(harness_fork(go_on, &both)), 0);
    pipc_close(both.end[0]);
    expect(both.end[1], "child's");
    expect(both.end[1], "too");
    expect(both.end[1], "parent's");
    expect_no_more(both.end[1]);
    pipc_close(both.end[1]);
}

/* Messages of that size until the pipe is full; returns how many. */
static size_t fill_it(pipc_t *pipe, size_t size)
{
    static const char data[1000];
    size_t count = 0;
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    fault_arm();
    for (; pipc_write(pipe, data, size) >= 0; count++)
        continue;
    int error = errno;
    fault_disarm();
    assert_int_equal(error, EAGAIN);
    return count;
}

static int write_in_vain(void *arg)
{
    struct both *both = arg;
    assert_errno(pipc_write(both->end[0], "x", 1), EPIPE);
    pipc_close(both->end[0]);
    pipc_close(both->end[1]);
    return 0;
}

/* Its bytes would stand in the middle of the parent's message. */
TEST(a_child_cannot_write_while_a_part_of_the_parents_message_is_held)
{
    struct both both;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_GATHER;
    assert_int_equal(pipc_open_pair(both.end, &options), 0);
    fault_reset();
    fault_frozen_time();
    fill_it(both.end[0], 1000);
    assert_int_equal(harness_wait(harness_fork(write_in_vain, &both)), 0);
    for (bool is_held = true; is_held; is_held = held(both.end[0]) > 0) {
        while (pipc_pending(both.end[1]) > 0)
            assert_int_equal(pipc_skip(both.end[1]), 0);
        pipc_fd(both.end[0]);
    }
    write_to(both.end[0], "parent's");
    pipc_close(both.end[0]);
    while (pipc_pending(both.end[1]) > 1)
        assert_int_equal(pipc_skip(both.end[1]), 0);
    expect(both.end[1], "parent's");
    pipc_close(both.end[1]);
}

/* A socket is shut down for both processes. */
TEST_OF_KIND(a_child_does_not_end_what_its_parent_still_sends)
{
    for (size_t i = 0; i < sizeof calls_of_child / sizeof calls_of_child[0]; i++) {
        struct both both;
        struct child child = {&both, calls_of_child[i]};
        open_both(&both, kind);
        write_to(both.end[0], "one");
        refuse_next_write(true, EAGAIN);
        fault_arm();
        int result = pipc_shutdown(both.end[0]);
        fault_disarm();
        assert_int_equal(result, 0);
        assert_int_equal(held(both.end[0]), FRAME_BYTES + 3);
        assert_int_equal(harness_wait(harness_fork(call_and_close, &child)), 0);
        assert_int_equal(pipc_flush(both.end[0]), 0);
        expect(both.end[1], "one");
        expect_no_more(both.end[1]);
        kind_close(kind, both.end);
    }
}

static int shut_down_and_close(void *arg)
{
    struct both *both = arg;
    expect(both->end[1], "one"); /* its parent has closed */
    assert_int_equal(pipc_shutdown(both->end[0]), 0);
    expect_no_more(both->end[1]);
    pipc_close(both->end[0]);
    pipc_close(both->end[1]);
    return 0;
}

TEST_OF_KIND(a_child_that_goes_on_can_shut_down)
{
    struct both both;
    open_both(&both, kind);
    write_to(both.end[0], "one");
    pid_t pid = harness_fork(shut_down_and_close, &both);
    pipc_close(both.end[0]);
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(both.end[1]);
}

static int close_both(void *arg)
{
    struct both *both = arg;
    pipc_close(both->end[0]);
    pipc_close(both->end[1]);
    return 0;
}

TEST_OF_KIND(a_child_that_closes_does_not_end_what_its_parent_still_sends)
{
    struct both both;
    char data[1000];
    open_both(&both, kind);
    size_t count = fill_it(both.end[0], sizeof data), got = 0;
    fault_refuse_writes(); /* TCP may find more room a moment later */
    count += fill_it(both.end[0], sizeof data);
    fault_arm();
    assert_int_equal(pipc_shutdown(both.end[0]), 0);
    fault_reset();
    assert_true(held(both.end[0]) > 0);
    assert_int_equal(harness_wait(harness_fork(close_both, &both)), 0);
    assert_int_equal(pipc_set_timeout(both.end[1], 10, -1), 0);
    ssize_t size;
    while ((size = pipc_read(both.end[1], data, sizeof data)) >= 0 || errno == ETIMEDOUT) {
        got += size >= 0;
        pipc_pending(both.end[0]);
    }
    assert_int_equal(errno, EPIPE);
    assert_int_equal(got, count);
    kind_close(kind, both.end);
}

/* --- An end ----------------------------------------------------------------------------------- */

static int exit_without_close(void *arg)
{
    struct both *both = arg;
    pipc_close(both->end[1]);
    write_to(both->end[0], "flushed");
    assert_int_equal(pipc_flush(both->end[0]), 0);
    write_to(both->end[0], "lost");
    _exit(0);
}

TEST_OF_KIND(a_process_that_exits_without_close_loses_what_it_gathered)
{
    struct both both;
    open_both(&both, kind);
    pid_t pid = harness_fork(exit_without_close, &both);
    pipc_close(both.end[0]);
    assert_int_equal(harness_wait(pid), 0);
    expect(both.end[1], "flushed");
    expect_no_more(both.end[1]);
    pipc_close(both.end[1]);
}

enum { NUMBERED = 1500, LARGE = 100000 };

/* Message i is its number; now and then a large one. */
static void write_numbered(pipc_t *pipe)
{
    static char large[LARGE];
    pipc_set_timeout(pipe, -1, 1000);
    for (uint32_t i = 0; i < NUMBERED; i++) {
        memcpy(large, &i, sizeof i);
        pipc_write(pipe, large, i % 500 == 499 ? LARGE : 20);
        if (i % 400 == 399)
            pipc_flush(pipe);
        if (i % 600 == 599)
            pipc_fd(pipe);
    }
    pipc_close(pipe);
}

struct mortal {
    struct both *both;
    unsigned long call;
};

static int write_and_die(void *arg)
{
    struct mortal *mortal = arg;
    pipc_close(mortal->both->end[1]);
    fault_reset();
    fault_die_at(mortal->call);
    fault_arm();
    write_numbered(mortal->both->end[0]);
    fault_disarm();
    return 0;
}

static uint32_t read_numbered(pipc_t *pipe)
{
    static char data[LARGE];
    uint32_t next = 0, got;
    ssize_t size;
    for (; (size = pipc_read(pipe, data, LARGE)) >= 0; next++) {
        memcpy(&got, data, sizeof got);
        assert_int_equal(got, next);
        assert_int_equal(size, next % 500 == 499 ? LARGE : 20);
    }
    assert_true(errno == EPIPE || errno == ECONNRESET);
    return next;
}

TEST_OF_KIND(a_process_killed_at_any_call_leaves_whole_messages_to_the_reader)
{
    int status = -SIGKILL;
    for (unsigned long n = 1; status == -SIGKILL && n < 5000; n++) {
        struct both both;
        struct mortal mortal = {&both, n};
        open_both(&both, kind);
        pid_t pid = harness_fork(write_and_die, &mortal);
        pipc_close(both.end[0]);
        uint32_t got = read_numbered(both.end[1]);
        status = harness_wait(pid);
        assert_true(got == NUMBERED || status == -SIGKILL);
        pipc_close(both.end[1]);
    }
    assert_int_equal(status, 0);
}

TEST_OF_KIND(the_peers_death_is_reported_to_a_call_after_the_one_that_sent)
{
    struct both both;
    open_both(&both, kind);
    assert_int_equal(pipc_set_timeout(both.end[0], 0, 0), 0);
    pipc_close(both.end[1]);
    write_to(both.end[0], "one");
    write_to(both.end[0], "two");
    /* On TCP the first answer of the peer's host is what tells. */
    int64_t deadline = harness_now_ms() + HARNESS_TIMEOUT_MS / 2 * harness_scale();
    ssize_t result;
    do {
        pipc_flush(both.end[0]);
        result = pipc_write(both.end[0], "x", 1);
    } while (result >= 0 && harness_now_ms() < deadline);
    assert_errno(result, EPIPE);
    assert_int_equal(held(both.end[0]), 0);
    assert_errno(pipc_write(both.end[0], "x", 1), EPIPE);
    pipc_close(both.end[0]);
}

/* --- Without memory --------------------------------------------------------------------------- */

TEST_OF_KIND(without_memory_for_gathering_a_message_is_sent)
{
    struct both both;
    open_both(&both, kind);
    fault_fail(CALL_malloc, 1, FAULT_FOREVER, ENOMEM);
    fault_fail(CALL_realloc, 1, FAULT_FOREVER, ENOMEM);
    for (int i = 0; i < 3; i++) {
        write_to(both.end[0], "one");
        assert_int_equal(held(both.end[0]), 0);
    }
    assert_true(fault_failures(CALL_realloc) > 0);
    fault_reset();
    for (int i = 0; i < 3; i++)
        expect(both.end[1], "one");
    kind_close(kind, both.end);
}

TEST_OF_KIND(a_kernel_without_memory_takes_nothing_and_loses_nothing)
{
    struct both both;
    char byte;
    open_both(&both, kind);
    assert_int_equal(pipc_set_timeout(both.end[0], 0, 0), 0);
    write_to(both.end[0], "one");
    refuse_next_write(true, ENOMEM);
    fault_arm();
    ssize_t flushed = pipc_flush(both.end[0]);
    int error = errno;
    fault_disarm();
    assert_int_equal(flushed, -1);
    assert_int_equal(error, ENOMEM);
    assert_int_equal(held(both.end[0]), FRAME_BYTES + 3);
    assert_int_equal(pipc_flush(both.end[0]), 0);
    write_to(both.end[0], "two");
    refuse_next_write(true, ENOBUFS);
    fault_arm();
    ssize_t got = pipc_read(both.end[0], &byte, 1);
    fault_disarm();
    assert_errno(got, EAGAIN);
    assert_int_equal(pipc_flush(both.end[0]), 0);
    expect(both.end[1], "one");
    expect(both.end[1], "two");
    kind_close(kind, both.end);
}

TEST_OF_KIND(an_idle_handle_keeps_no_memory_for_gathering)
{
    struct both both;
    open_both(&both, kind);
    assert_int_equal(pipc_flush(both.end[0]),
                     0); /* it has tried to read, for which it has memory */
    size_t before = harness_heap_bytes();
    for (int i = 0; i < 10; i++)
        write_to(both.end[0], "one");
    assert_in_range(harness_heap_bytes() - before, 1, 20000);
    assert_int_equal(pipc_flush(both.end[0]), 0);
    assert_int_equal(harness_heap_bytes(), before);
    kind_close(kind, both.end);
}

/* --- The flag --------------------------------------------------------------------------------- */

TEST(a_flag_that_does_not_exist_is_refused)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    pipc_t *end[2];
    options.flags = 1u << 31;
    assert_errno(pipc_open_pair(end, &options), EINVAL);
    assert_null_errno(pipc_open(&options), EINVAL);
}

#define SLOWLY(name) OVER(name, TWO_HANDLE_KINDS, 3 * HARNESS_TIMEOUT_MS)

HARNESS_MAIN("gather, what can end",
             OVER_TWO_HANDLE_KINDS(a_child_never_sends_what_its_parent_gathered),
             OVER_TWO_HANDLE_KINDS(a_child_that_goes_on_gathers_what_it_writes_itself),
             OVER_TWO_HANDLE_KINDS(parent_and_child_each_send_their_own_messages_once),
             OVER_TWO_HANDLE_KINDS(a_child_does_not_end_what_its_parent_still_sends),
             OVER_TWO_HANDLE_KINDS(a_child_that_goes_on_can_shut_down),
             OVER_TWO_HANDLE_KINDS(a_child_that_closes_does_not_end_what_its_parent_still_sends),
             IT(a_child_cannot_write_while_a_part_of_the_parents_message_is_held),
             OVER_TWO_HANDLE_KINDS(a_process_that_exits_without_close_loses_what_it_gathered),
             SLOWLY(a_process_killed_at_any_call_leaves_whole_messages_to_the_reader),
             OVER_TWO_HANDLE_KINDS(the_peers_death_is_reported_to_a_call_after_the_one_that_sent),
             OVER_TWO_HANDLE_KINDS(without_memory_for_gathering_a_message_is_sent),
             OVER_TWO_HANDLE_KINDS(a_kernel_without_memory_takes_nothing_and_loses_nothing),
             OVER_TWO_HANDLE_KINDS(an_idle_handle_keeps_no_memory_for_gathering),
             IT(a_flag_that_does_not_exist_is_refused))
