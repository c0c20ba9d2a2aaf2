/* SPDX-License-Identifier: MIT */
/*
 * Shortages: descriptors run out or have unusual numbers, memory runs out, kernels or filters
 * refuse newer system calls. The library works or reports an error.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>

#include "fault.h"
#include "platform.h"
#include "raw.h"
#include "scenario.h"

static void assert_complete(const struct kind *kind)
{
    scenario_name(kind->name);
    struct scenario_result result = scenario_run(kind);
    assert_true(result.opened);
    assert_true(result.complete);
    scenario_name(NULL);
}

/* --- Descriptors ------------------------------------------------------------------------------ */

TEST_OF_KIND(handles_with_descriptors_over_1024_work)
{
    static int taken[1100];
    struct rlimit limit;
    size_t count = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 2000)
        harness_skip("may not have 2,000 descriptors");
    rlim_t before = harness_limit(RLIMIT_NOFILE, 2000);
    while (count < 1100)
        taken[count++] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    assert_true(taken[count - 1] > 1024);
    harness_new_baseline();
    fault_virtual_time();
    assert_complete(kind);
    while (count > 0)
        close(taken[--count]);
    harness_limit(RLIMIT_NOFILE, before);
}

/* A daemon's start: what it opens first are 0, 1 and 2. */
TEST_OF_KIND(handles_with_descriptors_0_to_2_work)
{
    int saved[3];
    for (int fd = 0; fd < 3; fd++)
        saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    harness_new_baseline();
    fault_virtual_time();
    struct scenario_result result = scenario_run(kind);
    for (int fd = 0; fd < 3; fd++) {
        assert_int_equal(dup2(saved[fd], fd), fd);
        close(saved[fd]);
    }
    assert_true(result.opened);
    assert_true(result.complete);
}

static int lowest_free(void)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

/* As if it had never failed: for what the kernel shows and for what has been read ahead. */
static void assert_descriptor_works(pipc_t *end[2])
{
    char byte;
    int fd = pipc_fd(end[0]);
    assert_true(fd >= 0);
    assert_false(harness_readable(fd, 0));
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_write(end[1], "z", 1), 1);
    for (int i = 0; i < 2; i++) {
        assert_true(harness_readable(fd, 0));
        assert_int_equal(pipc_read(end[0], &byte, 1), 1);
    }
}

/* With that many descriptors to be had. Whether it went all the way, to a descriptor to poll. */
static bool open_with(const struct kind *kind, int count)
{
    pipc_t *end[2];
    if (!kind->made)
        assert_int_equal(kind->open(end, NULL), 0);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)(lowest_free() + count));
    if (kind->made && kind->open(end, NULL) != 0) {
        assert_int_equal(errno, EMFILE);
        harness_limit(RLIMIT_NOFILE, before);
        return false;
    }
    bool is_used = pipc_write(end[0], "x", 1) == 1;
    if (!is_used) { /* the first use of an end takes one for a moment */
        assert_true(kind->same_handle);
        assert_int_equal(errno, EMFILE);
        harness_limit(RLIMIT_NOFILE, before);
        kind_close(kind, end);
        return false;
    }
    int fd = pipc_fd(end[0]);
    if (fd < 0)
        assert_int_equal(errno, EMFILE);
    assert_int_equal(pipc_write(end[0], "y", 1), 1);
    harness_limit(RLIMIT_NOFILE, before);
    if (!kind->same_handle)
        assert_descriptor_works(end);
    kind_close(kind, end);
    return fd >= 0;
}

TEST_OF_KIND(a_lack_of_descriptors_at_any_step_returns_emfile_and_leaks_nothing)
{
    int count = 0;
    while (!open_with(kind, count)) {
        harness_assert_nothing_left();
        count++;
        assert_true(count < 20);
    }
    assert_true(count > 0);
}

/* As a sandbox does it; then the kernel takes no poll either. */
static void allow_none(pipc_t *end)
{
    assert_int_equal(pipc_set_timeout(end, 60000, 60000), 0);
    harness_limit(RLIMIT_NOFILE, 0);
}

static void send_and_hear(pipc_t *end, void *unused)
{
    static char data[MORE_THAN_A_PIPE];
    char answer[8];
    (void)unused;
    allow_none(end);
    assert_int_equal(pipc_write(end, data, sizeof data), sizeof data);
    assert_int_equal(pipc_read(end, answer, sizeof answer), 5);
}

static void hear_and_answer(pipc_t *end, void *in_process)
{
    static char data[MORE_THAN_A_PIPE];
    if (in_process != NULL) /* else the first peer does it, once both have their ends */
        allow_none(end);
    assert_int_equal(pipc_read(end, data, sizeof data), sizeof data);
    assert_int_equal(pipc_write(end, "heard", 5), 5);
    assert_errno(pipc_read(end, data, sizeof data), EPIPE);
}

TEST_OF_KIND(calls_wait_in_a_process_that_may_have_no_descriptors)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    kind_run_both(kind, NULL, send_and_hear, hear_and_answer, kind->in_threads ? NULL : &limit);
    harness_limit(RLIMIT_NOFILE, limit.rlim_cur);
}

/* --- Memory ----------------------------------------------------------------------------------- */

enum { LARGE = 40000000 };

static rlim_t mapped_now(void)
{
    unsigned long pages = 0;
    harness_need_proc();
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* Sanitizers and valgrind need address space without bound themselves. */
static rlim_t leave_little_memory(void)
{
    if (harness_scale() > 1)
        harness_skip("address space cannot be limited under this tool");
    return harness_limit(RLIMIT_AS, mapped_now() + 4000000);
}

static int write_large(void *arg)
{
    struct raw *raw = arg;
    char *data = malloc(LARGE);
    assert_non_null(data);
    pipc_close(raw->pipe);
    harness_fill(data, LARGE, 1);
    raw_send(raw, BYTES("\x02\x62\x5a\x00"));
    for (size_t at = 0; at < LARGE;) {
        ssize_t n = write(raw->out, data + at, LARGE - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
    free(data);
    return 0;
}

TEST(a_read_without_memory_returns_enomem_and_can_be_repeated)
{
    struct raw raw;
    pipc_msg_t message;
    raw_open(&raw, &raw_socket, NULL);
    pid_t pid = harness_fork(write_large, &raw);
    assert_int_equal(pipc_set_timeout(raw.pipe, -1, -1), 0);
    rlim_t before = leave_little_memory();
    for (int i = 0; i < 3; i++)
        assert_errno(pipc_read_msg(raw.pipe, &message), ENOMEM);
    harness_limit(RLIMIT_AS, before);
    assert_int_equal(pipc_read_msg(raw.pipe, &message), 0);
    assert_int_equal(message.size, LARGE);
    harness_check(message.data, LARGE, 1);
    pipc_msg_free(&message);
    assert_int_equal(harness_wait(pid), 0);
    raw_close(&raw);
}

TEST(read_pending_without_memory_returns_enomem_and_can_be_repeated)
{
    enum { MESSAGES = 3 };
    struct raw raw;
    pipc_msg_t messages[MESSAGES];
    raw_open(&raw, &raw_socket, NULL);
    for (int i = 0; i < MESSAGES; i++)
        assert_int_equal(write(raw.out, "\0\0\0\2hi", 6), 6);
    fault_reset();
    fault_fail(CALL_malloc, 1, FAULT_FOREVER, ENOMEM);
    fault_fail(CALL_realloc, 2, FAULT_FOREVER, ENOMEM); /* after the read buffer */
    fault_arm();
    for (int i = 0; i < 2; i++)
        assert_errno(pipc_read_pending(raw.pipe, messages, MESSAGES), ENOMEM);
    fault_disarm();
    assert_int_equal(pipc_read_pending(raw.pipe, messages, MESSAGES), MESSAGES);
    for (int i = 0; i < MESSAGES; i++)
        pipc_msg_free(&messages[i]);
    raw_close(&raw);
}

enum { MUCH = 4 << 20 }; /* for any socket */

static void lack_memory(unsigned long times)
{
    fault_reset();
    fault_fail(CALL_malloc, 1, times - 1, ENOMEM);
    fault_fail(CALL_realloc, 1, times - 1, ENOMEM);
    fault_arm();
}

TEST(a_flush_without_memory_for_input_reports_the_result_for_output)
{
    static char data[MUCH];
    struct raw raw;
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_write(raw.pipe, data, MUCH), MUCH);
    assert_int_equal(write(raw.out, "\0\0\0\2hi", 6), 6);
    lack_memory(1000);
    assert_errno(pipc_flush(raw.pipe), EAGAIN);
    fault_disarm();
    raw_close(&raw);
}

static void *write_first_and_read_then(void *arg)
{
    static char frames[MUCH], bytes[65536];
    const struct raw *raw = arg;
    for (size_t at = 0; at + 1000 <= MUCH / 4; at += 1000)
        frames[at + 2] = 996 >> 8, frames[at + 3] = (char)(996 & 255);
    size_t size = MUCH / 4 / 1000 * 1000;
    for (size_t at = 0; at < size;)
        at += (size_t)write(raw->out, frames + at, size - at);
    for (size_t at = 0; at < MUCH + 4;)
        at += (size_t)read(raw->in, bytes, sizeof bytes);
    return NULL;
}

TEST(a_write_continues_after_a_brief_lack_of_memory_for_input)
{
    static char data[MUCH];
    struct raw raw;
    pthread_t thread;
    raw_open(&raw, &raw_socket, NULL);
    assert_int_equal(pipc_set_timeout(raw.pipe, -1, -1), 0);
    lack_memory(5);
    assert_int_equal(pthread_create(&thread, NULL, write_first_and_read_then, &raw), 0);
    assert_int_equal(pipc_write(raw.pipe, data, MUCH), MUCH);
    fault_disarm();
    pthread_join(thread, NULL);
    raw_close(&raw);
}

TEST(a_write_without_memory_to_hold_output_sends_nothing)
{
    struct raw raw;
    char *data = calloc(1, LARGE), byte;
    assert_non_null(data);
    raw_open(&raw, &raw_socket, NULL);
    rlim_t before = leave_little_memory();
    assert_errno(pipc_write(raw.pipe, data, LARGE), ENOMEM);
    assert_int_equal(pipc_set_timeout(raw.pipe, 100, 100), 0);
    assert_errno(pipc_write(raw.pipe, data, LARGE), ENOMEM);
    assert_int_equal(recv(raw.in, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(pipc_write(raw.pipe, "x", 1), 1);
    harness_limit(RLIMIT_AS, before);
    raw_expect(&raw, BYTES("\0\0\0\1x"));
    free(data);
    raw_close(&raw);
}

TEST_OF_KIND(opening_without_memory_fails_and_leaks_nothing)
{
    pipc_t *end[2];
    if (harness_scale() > 1)
        harness_skip("address space cannot be limited under this tool");
    rlim_t before = harness_limit(RLIMIT_AS, mapped_now() + 200000);
    int opened = 0;
    pipc_t *many[200][2];
    while (opened < 200 && kind->open(end, NULL) == 0) {
        many[opened][0] = end[0];
        many[opened++][1] = end[1];
    }
    int error = errno;
    harness_limit(RLIMIT_AS, before);
    if (opened < 200)
        assert_int_equal(error, ENOMEM);
    while (opened > 0)
        kind_close(kind, many[--opened]);
}

/* --- Newer system calls ----------------------------------------------------------------------- */

/* Those that libpipc can do without; without epoll there is no descriptor, and all else works. */
static const enum fault_call dispensable[] = {
    CALL_syscall,       CALL_eventfd, CALL_memfd_create, CALL_timerfd_create,
    CALL_epoll_create1, CALL_madvise, CALL_pwritev2,     CALL_preadv2};
enum { DISPENSABLE = sizeof dispensable / sizeof dispensable[0] };

TEST_OF_KIND(each_newer_call_may_be_refused)
{
    static const int errors[] = {ENOSYS, EPERM};
    for (size_t i = 0; i < DISPENSABLE; i++)
        for (size_t e = 0; e < 2; e++) {
            fault_reset();
            fault_virtual_time();
            fault_fail(dispensable[i], 1, FAULT_FOREVER, errors[e]);
            assert_complete(kind);
        }
}

TEST_OF_KIND(all_newer_calls_may_be_refused)
{
    static const int errors[] = {ENOSYS, EPERM};
    for (size_t e = 0; e < 2; e++) {
        fault_reset();
        fault_virtual_time();
        for (size_t i = 0; i < DISPENSABLE; i++)
            fault_fail(dispensable[i], 1, FAULT_FOREVER, errors[e]);
        assert_complete(kind);
    }
}

/* Half of a message that is too large to be read ahead, so that the rest goes straight to its
 * place. */
static void begin_large(pipc_t *end[2])
{
    static char large[3000000];
    pipc_msg_t message;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_set_timeout(end[i], 0, 0), 0);
    assert_int_equal(pipc_write(end[0], large, sizeof large), sizeof large);
    assert_errno(pipc_read_msg(end[1], &message), EAGAIN);
}

/* On streams of the kernel: a filter set up after the start refuses what the kernel took before;
 * first another handle meets it. */
TEST_OF_KIND(calls_do_not_block_when_newer_calls_are_refused_later)
{
    static const enum fault_call calls[] = {CALL_preadv2, CALL_pwritev2};
    pipc_t *end[2], *other[2];
    pipc_msg_t message;
    for (size_t i = 0; i < 2; i++) {
        fault_reset();
        assert_int_equal(kind->open(end, NULL), 0);
        assert_int_equal(kind->open(other, NULL), 0);
        begin_large(end);
        assert_int_equal(pipc_set_timeout(other[1], 1000, 1000), 0);
        fault_fail(calls[i], 1, FAULT_FOREVER, EPERM);
        fault_arm();
        assert_int_equal(pipc_write(other[0], "x", 1), 1);
        assert_int_equal(pipc_read_msg(other[1], &message), 0);
        pipc_msg_free(&message);
        assert_errno(pipc_read_msg(end[1], &message), EAGAIN);
        while (pipc_write(end[0], "x", 1) >= 0)
            continue;
        assert_int_equal(errno, EAGAIN);
        assert_errno(pipc_read_msg(end[0], &message), EAGAIN);
        fault_disarm();
        kind_close(kind, end);
        kind_close(kind, other);
    }
}

static void expect_no_waiting(pipc_t *pipe)
{
    pipc_msg_t message;
    for (int i = 0; i < 3; i++) {
        while (pipc_read_msg(pipe, &message) == 0)
            pipc_msg_free(&message);
        assert_int_equal(errno, EAGAIN);
        while (pipc_write(pipe, "x", 1) >= 0)
            continue;
        assert_int_equal(errno, EAGAIN);
    }
}

/* The same, and O_NONBLOCK is refused too. */
TEST_OF_KIND(no_call_has_to_set_O_NONBLOCK_later)
{
    static const enum fault_call calls[] = {CALL_preadv2, CALL_pwritev2};
    for (size_t i = 0; i < 2; i++) {
        pipc_t *end[2];
        fault_reset();
        assert_int_equal(kind->open(end, NULL), 0);
        for (int e = 0; e < 2; e++)
            assert_int_equal(pipc_set_timeout(end[e], 0, 0), 0);
        fault_fail(calls[i], 1, FAULT_FOREVER, ENOSYS);
        fault_fail(CALL_fcntl, 1, FAULT_FOREVER, EPERM);
        fault_arm();
        expect_no_waiting(end[0]);
        expect_no_waiting(end[1]); /* which need not be refused itself to know */
        fault_disarm();
        kind_close(kind, end);
    }
}

/* What has moved has its set already. */
TEST_OF_KIND(pipc_fd_fails_without_epoll)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    pipc_t *end[2];
    assert_int_equal(kind->open(end, NULL), 0);
    fault_fail(CALL_epoll_create1, 1, FAULT_FOREVER, ENOSYS);
    fault_arm();
    if (kind->moves)
        pipc_fd(end[0]);
    else
        assert_errno(pipc_fd(end[0]), ENOSYS);
    assert_int_equal(pipc_write(end[0], "x", 1), 1);
    fault_disarm();
    kind_close(kind, end);
}

/* While they move and afterwards; shortages meanwhile are in test_moving_shortage.c. */
#define WHERE_PIPES_MOVE(name) OVER(name, MOVING_KINDS, 20000)

HARNESS_MAIN("faults at limits", OVER(handles_with_descriptors_over_1024_work, LOCAL_KINDS, 20000),
             OVER(handles_with_descriptors_0_to_2_work, LOCAL_KINDS, 20000),
             OVER(a_lack_of_descriptors_at_any_step_returns_emfile_and_leaks_nothing, LOCAL_KINDS,
                  20000),
             OVER(calls_wait_in_a_process_that_may_have_no_descriptors, ALL_KINDS, 20000),
             IT(a_read_without_memory_returns_enomem_and_can_be_repeated),
             IT(read_pending_without_memory_returns_enomem_and_can_be_repeated),
             IT(a_flush_without_memory_for_input_reports_the_result_for_output),
             IT(a_write_continues_after_a_brief_lack_of_memory_for_input),
             IT(a_write_without_memory_to_hold_output_sends_nothing),
             OVER(opening_without_memory_fails_and_leaks_nothing, LOCAL_KINDS, 20000),
             OVER(each_newer_call_may_be_refused, LOCAL_KINDS, 20000),
             OVER(all_newer_calls_may_be_refused, LOCAL_KINDS, 20000),
             OVER(calls_do_not_block_when_newer_calls_are_refused_later, LOCAL_TWO_HANDLE_KINDS,
                  5000),
             OVER(no_call_has_to_set_O_NONBLOCK_later, LOCAL_TWO_HANDLE_KINDS, 5000),
             OVER(pipc_fd_fails_without_epoll, LOCAL_KINDS, 20000),
             WHERE_PIPES_MOVE(handles_with_descriptors_over_1024_work),
             WHERE_PIPES_MOVE(handles_with_descriptors_0_to_2_work),
             WHERE_PIPES_MOVE(each_newer_call_may_be_refused),
             WHERE_PIPES_MOVE(all_newer_calls_may_be_refused),
             WHERE_PIPES_MOVE(calls_do_not_block_when_newer_calls_are_refused_later),
             WHERE_PIPES_MOVE(no_call_has_to_set_O_NONBLOCK_later),
             WHERE_PIPES_MOVE(pipc_fd_fails_without_epoll))
