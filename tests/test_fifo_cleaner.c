/* SPDX-License-Identifier: MIT */
/*
 * Files of a rendezvous are deleted, by a cleaner of /tmp or an administrator: any part, at any
 * moment, once or repeatedly. Two callers of a name still connect.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "fifos.h"
#include "sys/sys_file.h"

/* --- While a caller waits -------------------------------------------------------------------- */

/*
 * One waiter for each subset, each in a directory of its own, so that all take a second together.
 */
static void begin_waiters(struct fifos fifos[FIFOS_SUBSETS], pid_t waiter[FIFOS_SUBSETS])
{
    for (unsigned i = 0; i < FIFOS_SUBSETS; i++) {
        fifos_begin(&fifos[i]);
        waiter[i] = fifos_fork_caller(&fifos[i], "x", FIFOS_LONG_MS);
    }
    for (unsigned i = 0; i < FIFOS_SUBSETS; i++)
        fifos_await_whole_offer(&fifos[i]);
}

static void end_waiters(struct fifos fifos[FIFOS_SUBSETS], const pid_t waiter[FIFOS_SUBSETS],
                        const pid_t caller[FIFOS_SUBSETS])
{
    for (unsigned i = 0; i < FIFOS_SUBSETS; i++) {
        int first = harness_wait(waiter[i]), second = harness_wait(caller[i]);
        if (first != 0 || second != 0)
            fail_msg("without %#x: %d and %d", i, first, second);
        fifos_end(&fifos[i]);
    }
}

TEST(any_deleted_file_of_a_waiter_does_not_prevent_a_connection)
{
    static struct fifos fifos[FIFOS_SUBSETS];
    pid_t waiter[FIFOS_SUBSETS], caller[FIFOS_SUBSETS];
    begin_waiters(fifos, waiter);
    for (unsigned i = 0; i < FIFOS_SUBSETS; i++) {
        fifos_clean(&fifos[i], i);
        caller[i] = fifos_fork_caller(&fifos[i], "x", FIFOS_LONG_MS);
    }
    end_waiters(fifos, waiter, caller);
}

/* No other caller wakes it. A second is promised; the machine may be busy. */
TEST(a_waiter_whose_files_are_deleted_soon_recreates_them)
{
    static struct fifos fifos[FIFOS_SUBSETS];
    pid_t waiter[FIFOS_SUBSETS], caller[FIFOS_SUBSETS];
    begin_waiters(fifos, waiter);
    for (unsigned i = 0; i < FIFOS_SUBSETS; i++)
        fifos_clean(&fifos[i], i);
    int64_t start = harness_now_ms();
    for (unsigned i = 0; i < FIFOS_SUBSETS; i++)
        fifos_await_whole_offer(&fifos[i]);
    assert_true(harness_now_ms() - start < 8000 * harness_scale());
    for (unsigned i = 0; i < FIFOS_SUBSETS; i++)
        caller[i] = fifos_fork_caller(&fifos[i], "x", 0);
    end_waiters(fifos, waiter, caller);
}

/* So that it notices nothing before all is as the test wants it. */
static void stop(pid_t waiter)
{
    assert_int_equal(kill(waiter, SIGSTOP), 0);
    assert_true(fifos_has_stopped(waiter));
}

static void let_go_on(pid_t waiter)
{
    assert_int_equal(kill(waiter, SIGCONT), 0);
}

TEST(an_incomplete_offer_returns_eagain_without_a_wait_and_is_removed)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    for (unsigned i = 1; i < FIFOS_DIRECTORY; i++) {
        pid_t waiter = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
        fifos_await_whole_offer(&fifos);
        stop(waiter);
        fifos_clean(&fifos, i);
        assert_null_errno(pipc_open_fifo("x", 0, &fifos.options), EAGAIN);
        fifos_assert_empty(&fifos);
        fifos_assert_two_connect(&fifos, "x");
        let_go_on(waiter);
        assert_int_equal(fifos_call(&fifos, "x", FIFOS_LONG_MS), 0);
        assert_int_equal(harness_wait(waiter), 0);
    }
    fifos_end(&fifos);
}

static void move_away(struct fifos *fifos, const char *from, char away[100])
{
    snprintf(away, 100, "%s-away", fifos->directory);
    assert_int_equal(rename(from, away), 0);
}

static void assert_moves_on(struct fifos *fifos, const char *from)
{
    char away[100];
    pid_t waiter = fifos_fork_caller(fifos, "x", FIFOS_LONG_MS);
    fifos_await_whole_offer(fifos);
    move_away(fifos, from, away);
    fifos_await_whole_offer(fifos);
    assert_int_equal(rmdir(away), 0); /* it has taken its offer away */
    assert_int_equal(fifos_call(fifos, "x", 0), 0);
    assert_int_equal(harness_wait(waiter), 0);
    fifos_assert_empty(fifos);
}

TEST(a_waiter_uses_the_new_directory_at_the_path_after_a_move)
{
    struct fifos fifos;
    char name[100];
    fifos_begin(&fifos);
    assert_moves_on(&fifos, fifos.directory);
    snprintf(name, sizeof name, "%s", fifos_path(&fifos, "x"));
    assert_moves_on(&fifos, name);
    fifos_end(&fifos);
}

/* --- Nowhere to go --------------------------------------------------------------------------- */

TEST(a_wait_returns_enoent_when_the_parent_of_its_directory_is_gone)
{
    struct fifos fifos, inner;
    fifos_begin(&fifos);
    inner = fifos;
    strcat(inner.directory, "/home");
    inner.options.directory = inner.directory;
    pid_t waiter = fifos_fork_caller(&inner, "x", FIFOS_LONG_MS);
    fifos_await_whole_offer(&inner);
    stop(waiter);
    fifos_clean(&inner, FIFOS_ALL);
    fifos_clean(&fifos, FIFOS_ALL);
    let_go_on(waiter);
    assert_int_equal(harness_wait(waiter), ENOENT);
    assert_int_equal(mkdir(fifos.directory, 0700), 0);
    fifos_end(&fifos);
}

TEST(a_wait_returns_eacces_when_another_user_replaced_its_directory)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pid_t waiter = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
    fifos_await_whole_offer(&fifos);
    stop(waiter);
    fifos_clean(&fifos, FIFOS_ALL);
    assert_int_equal(mkdir(fifos.directory, 0755), 0);
    let_go_on(waiter);
    assert_int_equal(harness_wait(waiter), EACCES);
    assert_int_equal(chmod(fifos.directory, 0700), 0);
    fifos_end(&fifos);
}

TEST(a_wait_returns_eacces_when_another_user_took_its_name)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pid_t waiter = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
    fifos_await_whole_offer(&fifos);
    stop(waiter);
    fifos_clean(&fifos, FIFOS_ALL & ~(unsigned)FIFOS_HOME);
    assert_int_equal(close(open(fifos_path(&fifos, "x"), O_CREAT | O_EXCL | O_RDWR, 0600)), 0);
    let_go_on(waiter);
    assert_int_equal(harness_wait(waiter), EACCES);
    assert_int_equal(unlink(fifos_path(&fifos, "x")), 0);
    fifos_end(&fifos);
}

/* --- Relative paths -------------------------------------------------------------------------- */

static void *come_in_thread(void *arg)
{
    return pipc_open_fifo("x", FIFOS_LONG_MS, arg);
}

/* The directory is where it was when the wait began, also after chdir(2). */
TEST(a_relative_directory_stays_the_same_after_chdir)
{
    struct fifos fifos;
    pthread_t thread;
    void *first;
    fifos_begin(&fifos);
    pipc_options_t relative = fifos.options;
    relative.directory = strrchr(fifos.directory, '/') + 1;
    assert_int_equal(chdir(fifos_path(&fifos, "..")), 0);
    assert_int_equal(pthread_create(&thread, NULL, come_in_thread, &relative), 0);
    fifos_await_whole_offer(&fifos);
    assert_int_equal(chdir("/"), 0);
    fifos_clean(&fifos, FIFOS_ALL);
    fifos_await_whole_offer(&fifos);
    pipc_t *second = pipc_open_fifo("x", 0, &fifos.options);
    assert_non_null(second);
    assert_int_equal(pthread_join(thread, &first), 0);
    assert_non_null(first);
    pipc_close(first);
    pipc_close(second);
    fifos_end(&fifos);
}

/* --- Again and again ------------------------------------------------------------------------- */

struct cleaning {
    const struct fifos *fifos;
    int until[2]; /* the test closes what it writes to */
};

/* Any part, a moment after the last one. */
static int clean_all_the_time(void *arg)
{
    struct cleaning *cleaning = arg;
    close(cleaning->until[1]);
    do
        fifos_clean(cleaning->fifos, (unsigned)harness_random_below(FIFOS_SUBSETS));
    while (!harness_readable(cleaning->until[0], 1 + (int)harness_random_below(10)));
    return 0;
}

static void connect_while_cleaned(int rounds, int crowd)
{
    struct fifos fifos;
    struct cleaning cleaning = {&fifos, {-1, -1}};
    pid_t caller[64];
    fifos_begin(&fifos);
    assert_int_equal(pipe2(cleaning.until, O_CLOEXEC), 0);
    pid_t cleaner = harness_fork(clean_all_the_time, &cleaning);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < crowd; i++)
            caller[i] = fifos_fork_caller(&fifos, "x", 3 * FIFOS_LONG_MS);
        for (int i = 0; i < crowd; i++)
            assert_int_equal(harness_wait(caller[i]), 0);
    }
    close(cleaning.until[1]);
    close(cleaning.until[0]);
    assert_int_equal(harness_wait(cleaner), 0);
    mkdir(fifos.directory, 0700);
    fifos_end(&fifos);
}

TEST(two_callers_always_connect_while_a_cleaner_deletes_files)
{
    connect_while_cleaned(100 / harness_scale(), 2);
}

TEST(many_callers_are_paired_while_a_cleaner_deletes_files)
{
    connect_while_cleaned(5 / harness_scale() + 1, 40);
}

/* --- Cleaners that go by the time ------------------------------------------------------------ */

static void make_old(const char *path)
{
    struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

TEST(a_long_wait_refreshes_the_times_of_its_files)
{
    struct fifos fifos;
    struct stat status;
    fifos_begin(&fifos);
    fault_reset();
    fault_virtual_time();
    fault_arm();
    pipc_t *pipe = pipc_open_fifo("x", 3 * 3600 * 1000 + 60000, &fifos.options);
    int error = errno;
    fault_disarm();
    errno = error;
    assert_null_errno(pipe, ETIMEDOUT);
    assert_int_equal(fault_calls(CALL_utimensat), 3 * 3);
    assert_int_equal(mkfifo(fifos_path(&fifos, "f"), 0600), 0);
    make_old(fifos_path(&fifos, "f"));
    sys_file_touch(sys_file_cwd, fifos_path(&fifos, "f"));
    assert_int_equal(stat(fifos_path(&fifos, "f"), &status), 0);
    assert_true(time(NULL) - status.st_atime < 3600 && time(NULL) - status.st_mtime < 3600);
    assert_int_equal(unlink(fifos_path(&fifos, "f")), 0);
    fifos_end(&fifos);
}

HARNESS_MAIN("FIFOs, cleaner", IT(any_deleted_file_of_a_waiter_does_not_prevent_a_connection),
             IT(a_waiter_whose_files_are_deleted_soon_recreates_them),
             IT(an_incomplete_offer_returns_eagain_without_a_wait_and_is_removed),
             IT(a_waiter_uses_the_new_directory_at_the_path_after_a_move),
             IT(a_wait_returns_enoent_when_the_parent_of_its_directory_is_gone),
             IT(a_wait_returns_eacces_when_another_user_replaced_its_directory),
             IT(a_wait_returns_eacces_when_another_user_took_its_name),
             IT(a_relative_directory_stays_the_same_after_chdir),
             IT_WITHIN(two_callers_always_connect_while_a_cleaner_deletes_files, 120000),
             IT_WITHIN(many_callers_are_paired_while_a_cleaner_deletes_files, 100000),
             IT(a_long_wait_refreshes_the_times_of_its_files))
