/* SPDX-License-Identifier: MIT */
/*
 * The harness itself: it catches what it promises to catch, and a clean test passes. A test here
 * runs a small body as a test of its own and checks the verdict.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"

static char reason[512];

static enum harness_verdict verdict_of(void (*body)(void))
{
    return harness_try(body, 5000, reason, sizeof reason);
}

static void assert_caught(void (*body)(void), const char *because)
{
    assert_int_equal(verdict_of(body), HARNESS_FAILED);
    if (strstr(reason, because) == NULL)
        fail_msg("failed because \"%s\", not \"%s\"", reason, because);
}

/* What an expected failure prints is not for the log. */
static void hush(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(nowhere >= 0);
    dup2(nowhere, STDERR_FILENO);
    close(nowhere);
}

/* --- What is clean ---------------------------------------------------------------------------- */

static void clean(void)
{
    int fd = open("/dev/null", O_RDONLY);
    char *block = malloc(100), *more = realloc(block, 100000);
    assert_non_null(more);
    free(strdup("made by the C library"));
    free(more);
    close(fd);
}

TEST(a_body_that_leaks_nothing_passes)
{
    assert_int_equal(verdict_of(clean), HARNESS_PASSED);
    assert_string_equal(reason, "");
}

static void skips(void)
{
    harness_skip("not on Tuesdays");
}

TEST(a_body_that_skips_is_skipped_with_its_reason)
{
    assert_int_equal(verdict_of(skips), HARNESS_SKIPPED);
    assert_string_equal(reason, "not on Tuesdays");
}

/* --- Failures --------------------------------------------------------------------------------- */

static void asserts(void)
{
    hush();
    assert_int_equal(1, 2);
}

TEST(a_failed_assertion_fails)
{
    assert_caught(asserts, "assertion");
}

static void *assert_elsewhere(void *unused)
{
    (void)unused;
    asserts();
    return NULL;
}

static void asserts_in_a_thread(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, assert_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
}

TEST(a_failed_assertion_in_another_thread_fails)
{
    assert_caught(asserts_in_a_thread, "assertion");
}

static int assert_in_child(void *unused)
{
    (void)unused;
    asserts();
    return 0;
}

TEST(a_failed_assertion_in_a_forked_child_is_reported_by_wait)
{
    assert_int_equal(harness_wait(harness_fork(assert_in_child, NULL)), -SIGABRT);
}

static void wrong_errno(void)
{
    hush();
    assert_errno(close(-1), ENOMEM);
}

static void no_error(void)
{
    hush();
    assert_errno(getpid(), EBADF);
}

TEST(assert_errno_checks_the_failure_and_its_errno)
{
    assert_errno(close(-1), EBADF);
    assert_null_errno(fopen("/", "w"), EISDIR);
    assert_caught(wrong_errno, "assertion");
    assert_caught(no_error, "assertion");
}

static void crashes(void)
{
    hush();
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

TEST(a_crash_fails)
{
    assert_caught(crashes, strsignal(SIGSEGV));
}

static void gets_sigpipe(void)
{
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    close(fd[0]);
    ssize_t n = write(fd[1], "", 1);
    (void)n;
}

TEST(a_sigpipe_fails)
{
    assert_caught(gets_sigpipe, strsignal(SIGPIPE));
}

static void exits_early(void)
{
    exit(0);
}

static void ends_itself_early(void)
{
    _exit(0);
}

TEST(an_early_exit_fails)
{
    assert_caught(exits_early, "exited before its end");
    assert_caught(ends_itself_early, "exited before its end");
}

static void hangs(void)
{
    for (;;)
        pause();
}

TEST(a_hang_is_killed_after_the_timeout)
{
    int64_t begin = harness_now_ms();
    assert_int_equal(harness_try(hangs, 50, reason, sizeof reason), HARNESS_FAILED);
    assert_non_null(strstr(reason, "hung"));
    assert_true(harness_now_ms() - begin >= 50);
}

/* --- Processes left behind -------------------------------------------------------------------- */

static int *told; /* shared with the bodies */

static int hang_in_child(void *unused)
{
    (void)unused;
    hangs();
    return 0;
}

static void leaves_a_child(void)
{
    *told = harness_fork(hang_in_child, NULL);
}

static void hangs_beside_a_child(void)
{
    leaves_a_child();
    hangs();
}

static void share_a_word(void)
{
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
}

TEST(a_process_left_running_fails_and_is_killed)
{
    share_a_word();
    assert_caught(leaves_a_child, "left a process");
    assert_int_equal(kill(*told, 0), -1);
    munmap(told, sizeof *told);
}

TEST(the_children_of_a_hanging_test_are_killed)
{
    share_a_word();
    /* Longer each time: on a busy machine the child may begin late. */
    for (int ms = 100; *told == 0; ms *= 2) {
        assert_int_equal(harness_try(hangs_beside_a_child, ms, reason, sizeof reason),
                         HARNESS_FAILED);
        assert_non_null(strstr(reason, "hung"));
    }
    assert_int_equal(kill(*told, 0), -1);
    munmap(told, sizeof *told);
}

static void returns_twice(void)
{
    hush();
    pid_t pid = fork();
    if (pid > 0)
        assert_int_equal(harness_wait(pid), 0);
}

TEST(a_child_that_returns_into_the_harness_fails)
{
    assert_caught(returns_twice, "assertion");
}

/* --- What is left over ------------------------------------------------------------------------ */

static void leaks_a_descriptor(void)
{
    assert_true(open("/dev/null", O_RDONLY) >= 0);
}

static void leaks_a_high_descriptor(void)
{
    struct rlimit many = {6000, 6000};
    if (setrlimit(RLIMIT_NOFILE, &many) != 0)
        harness_skip("may not raise RLIMIT_NOFILE");
    assert_int_equal(dup2(STDIN_FILENO, 5000), 5000);
}

static void closes_too_much(void)
{
    close(STDIN_FILENO);
}

TEST(a_leaked_or_missing_descriptor_fails)
{
    assert_caught(leaks_a_descriptor, "leaked descriptor");
    assert_caught(closes_too_much, "closed descriptor 0");
}

TEST(a_leaked_descriptor_is_named_and_a_high_one_fails_too)
{
    harness_need_proc();
    assert_caught(leaks_a_descriptor, "/dev/null");
    if (verdict_of(leaks_a_high_descriptor) != HARNESS_SKIPPED)
        assert_caught(leaks_a_high_descriptor, "leaked 1 high descriptor");
}

static void *volatile kept;

static void leaks_a_block(void)
{
    kept = malloc(123);
}

static void leaks_by_growing(void)
{
    kept = calloc(10, 10);
    kept = realloc(kept, 200);
}

static void leaks_memory(void)
{
    kept = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

TEST(a_leaked_block_fails)
{
    assert_caught(leaks_a_block, "1 heap block(s), 123 byte(s)");
    assert_caught(leaks_by_growing, "1 heap block(s), 200 byte(s)");
    assert_caught(leaks_memory, "1048576 mapped");
}

static int child_leaks(void *unused)
{
    (void)unused;
    leaks_a_block();
    hush();
    harness_assert_nothing_left();
    return 0;
}

TEST(a_forked_child_can_check_for_leaks)
{
    harness_assert_nothing_left();
    assert_int_equal(harness_wait(harness_fork(child_leaks, NULL)), -SIGABRT);
}

TEST(the_ledger_records_every_block)
{
    enum { COUNT = 5000 };
    static void *block[COUNT];
    size_t bytes = harness_heap_bytes(), before = harness_heap_blocks(), bytes_before = bytes;
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = harness_random_below(300);
        assert_non_null(block[i] = malloc(size + 1));
        bytes += size + 1;
    }
    assert_int_equal(harness_heap_blocks(), before + COUNT);
    assert_int_equal(harness_heap_bytes(), bytes);
    for (size_t i = 0; i < COUNT; i++) {
        size_t at = i + harness_random_below(COUNT - i);
        void *chosen = block[at];
        block[at] = block[i];
        free(chosen);
    }
    assert_int_equal(harness_heap_blocks(), before);
    assert_int_equal(harness_heap_bytes(), bytes_before);
    assert_int_equal(harness_heap_peak(), bytes);
}

/* --- The tools -------------------------------------------------------------------------------- */

static void checks_the_wrong_tag(void)
{
    char buffer[100];
    hush();
    harness_fill(buffer, sizeof buffer, 1);
    harness_check(buffer, sizeof buffer, 2);
}

static void checks_shifted(void)
{
    char buffer[100];
    hush();
    harness_fill(buffer, sizeof buffer, 1);
    harness_check(buffer + 8, sizeof buffer - 8, 1);
}

TEST(patterns_differ_by_tag_and_position)
{
    char buffer[100];
    harness_fill(buffer, sizeof buffer, 7);
    harness_check(buffer, sizeof buffer, 7);
    harness_check(buffer, 0, 8);
    assert_caught(checks_the_wrong_tag, "assertion");
    assert_caught(checks_shifted, "assertion");
}

static int wait_for_gate(void *arg)
{
    harness_gate_wait(arg);
    return 42;
}

TEST(a_gate_lets_one_waiter_pass_for_each_opening)
{
    struct harness_gate gate;
    harness_gate_init(&gate);
    pid_t pid = harness_fork(wait_for_gate, &gate);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    harness_gate_open(&gate);
    assert_int_equal(harness_wait(pid), 42);
    harness_gate_open(&gate);
    harness_gate_wait(&gate);
    assert_false(harness_readable(gate.fd[0], 0));
    harness_gate_close(&gate);
}

TEST(random_numbers_stay_below_their_limit_and_differ)
{
    uint64_t seen = 0;
    for (int i = 0; i < 1000; i++)
        seen |= (uint64_t)1 << harness_random_below(64);
    assert_true(seen == ~(uint64_t)0);
    assert_int_equal(harness_random_below(1), 0);
}

/* Each test begins at the seed, so one test can be repeated without the others. */
static void tells_a_number(void)
{
    *told = (int)(harness_random() >> 40);
}

TEST(every_test_begins_with_the_same_random_numbers)
{
    share_a_word();
    assert_int_equal(verdict_of(tells_a_number), HARNESS_PASSED);
    int first = *told;
    *told = 0;
    harness_random();
    assert_int_equal(verdict_of(tells_a_number), HARNESS_PASSED);
    assert_int_equal(*told, first);
    munmap(told, sizeof *told);
}

HARNESS_MAIN("harness", IT(a_body_that_leaks_nothing_passes),
             IT(a_body_that_skips_is_skipped_with_its_reason), IT(a_failed_assertion_fails),
             IT(a_failed_assertion_in_another_thread_fails),
             IT(a_failed_assertion_in_a_forked_child_is_reported_by_wait),
             IT(assert_errno_checks_the_failure_and_its_errno), IT(a_crash_fails),
             IT(a_sigpipe_fails), IT(an_early_exit_fails), IT(a_hang_is_killed_after_the_timeout),
             IT(a_process_left_running_fails_and_is_killed),
             IT(the_children_of_a_hanging_test_are_killed),
             IT(a_child_that_returns_into_the_harness_fails),
             IT(a_leaked_or_missing_descriptor_fails),
             IT(a_leaked_descriptor_is_named_and_a_high_one_fails_too), IT(a_leaked_block_fails),
             IT(a_forked_child_can_check_for_leaks), IT(the_ledger_records_every_block),
             IT(patterns_differ_by_tag_and_position),
             IT(a_gate_lets_one_waiter_pass_for_each_opening),
             IT(random_numbers_stay_below_their_limit_and_differ),
             IT(every_test_begins_with_the_same_random_numbers))
