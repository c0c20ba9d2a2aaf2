/* SPDX-License-Identifier: MIT */
/*
 * The rendezvous over FIFOs where the system answers in another way that POSIX allows, and where
 * the directories cannot be made, opened or cleared.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "fifos.h"
#include "platform.h"

enum { SHORT_MS = 2 };

static int come(const char *name, const pipc_options_t *options, int timeout_ms)
{
    fault_arm();
    pipc_t *pipe = pipc_open_fifo(name, timeout_ms, options);
    int error = pipe == NULL ? errno : 0;
    fault_disarm();
    pipc_close(pipe);
    return error;
}

/* ---- other answers ---- */

/* EPERM: the flag that spares the time stamps is for the owner alone, and not everywhere. */
TEST(a_FIFO_that_cannot_be_opened_without_time_stamps_is_opened_with_them)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    static const int errors[] = {EPERM, EINVAL};
    struct fifos fifos;
    int waits = 0;
    fifos_begin(&fifos);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        bool has_failed = true;
        for (unsigned long nth = 1; has_failed; nth++) {
            fault_reset();
            fault_fail(CALL_openat, nth, 0, errors[i]);
            int error = come("x", &fifos.options, SHORT_MS);
            has_failed = fault_failures(CALL_openat) > 0;
            if (error != errors[i])
                assert_int_equal(error, ETIMEDOUT);
            waits += has_failed && error == ETIMEDOUT;
            fifos_assert_empty(&fifos);
        }
    }
    assert_true(waits >= 2 * 3); /* the three of an offer */
    fifos_end(&fifos);
}

TEST(a_rename_that_returns_EEXIST_for_a_directory_that_is_not_empty_is_tried_again)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    fault_reset();
    fault_fail(CALL_renameat, 1, 0, EEXIST);
    assert_int_equal(come("x", &fifos.options, SHORT_MS), ETIMEDOUT);
    assert_int_equal(fault_calls(CALL_renameat), 2);
    fifos_end(&fifos);
}

TEST(a_removal_that_returns_EEXIST_for_a_directory_that_is_not_empty_leaves_it)
{
    enum { FILES = 3 };
    struct fifos fifos;
    fifos_begin(&fifos);
    fault_reset();
    fault_fail(CALL_unlinkat, FILES + 1, 0, EEXIST);
    assert_int_equal(come("x", &fifos.options, SHORT_MS), ETIMEDOUT);
    assert_int_equal(fault_failures(CALL_unlinkat), 1);
    assert_int_equal(rmdir(fifos_path(&fifos, "x")), 0);
    fifos_assert_two_connect(&fifos, "x");
    fifos_end(&fifos);
}

static void let_time_pass(void *unused)
{
    (void)unused;
    fault_advance_ms(SHORT_MS);
}

TEST(a_time_that_is_over_when_the_offer_is_made_is_not_waited_for)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    fault_reset();
    fault_frozen_time();
    fault_before(CALL_renameat, 1, let_time_pass, NULL);
    assert_int_equal(come("x", &fifos.options, SHORT_MS), ETIMEDOUT);
    assert_int_equal(fault_calls(CALL_poll), 0);
    fault_reset();
    fifos_assert_empty(&fifos);
    fifos_end(&fifos);
}

/* ---- what may not be ---- */

TEST(an_offer_of_the_dead_that_may_not_be_removed_returns_the_reason)
{
    static const int errors[] = {EACCES, EROFS};
    struct fifos fifos;
    fifos_begin(&fifos);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        for (unsigned long nth = 1; nth <= 4; nth++) {
            pid_t waiter = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
            fifos_await_whole_offer(&fifos);
            kill(waiter, SIGKILL);
            assert_int_equal(harness_wait(waiter), -SIGKILL);
            fault_reset();
            fault_fail(CALL_unlinkat, nth, 0, errors[i]);
            assert_int_equal(come("x", &fifos.options, 0), errors[i]);
            fifos_assert_two_connect(&fifos, "x");
        }
    fifos_end(&fifos);
}

/* One may be in a directory that one may not read, and not without a descriptor. */
TEST(a_relative_directory_begins_at_the_current_one_also_where_that_may_not_be_read)
{
    static const struct {
        int failure, result;
    } cases[] = {{EACCES, ETIMEDOUT}, {EMFILE, EMFILE}};
    struct fifos fifos;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    fifos_begin(&fifos);
    options.directory = "inner";
    assert_int_equal(chdir(fifos.directory), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fault_reset();
        fault_fail(CALL_openat, 1, 0, cases[i].failure);
        assert_int_equal(come("x", &options, SHORT_MS), cases[i].result);
    }
    assert_int_equal(rmdir("inner"), 0);
    assert_int_equal(chdir("/"), 0);
    fifos_end(&fifos);
}

/* ---- the user's own directory ---- */

TEST(the_users_own_directory_that_cannot_be_looked_at_returns_the_reason)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    fault_reset();
    fault_fail(CALL_fstatat, 1, 0, EACCES);
    assert_int_equal(come("x", &options, 0), EACCES);
}

/* A user whom nobody else is, so that the directory is there for this test alone. */
static int complete_own_directory(void *arg)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    uid_t user = (uid_t)(100000 + *(pid_t *)arg % 100000);
    struct stat found;
    char path[64];
    if (geteuid() != 0 || setresuid(user, user, user) != 0)
        return HARNESS_SKIP_STATUS;
    snprintf(path, sizeof path, "/tmp/pipc-%lu", (unsigned long)user);
    assert_int_equal(mkdir(path, 0), 0);
    assert_int_equal(pipc_open_fifo("x", 0, &options) == NULL ? errno : 0, EAGAIN);
    assert_int_equal(lstat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0700);
    assert_int_equal(chmod(path, 0), 0);
    fault_reset();
    fault_fail(CALL_fchmodat, 1, 0, EOPNOTSUPP); /* an old C library, or no /proc */
    assert_int_equal(come("x", &options, 0), EAGAIN);
    assert_int_equal(rmdir(path), 0);
    return 0;
}

/* As one has it that was killed just after it made the directory, under an odd umask. */
TEST(the_users_own_directory_without_any_access_is_completed)
{
    pid_t pid = getpid();
    int status = harness_wait(harness_fork(complete_own_directory, &pid));
    if (status == HARNESS_SKIP_STATUS)
        harness_skip("needs root, to be another user");
    assert_int_equal(status, 0);
}

HARNESS_MAIN("FIFOs, other systems",
             IT(a_FIFO_that_cannot_be_opened_without_time_stamps_is_opened_with_them),
             IT(a_rename_that_returns_EEXIST_for_a_directory_that_is_not_empty_is_tried_again),
             IT(a_removal_that_returns_EEXIST_for_a_directory_that_is_not_empty_leaves_it),
             IT(a_time_that_is_over_when_the_offer_is_made_is_not_waited_for),
             IT(an_offer_of_the_dead_that_may_not_be_removed_returns_the_reason),
             IT(a_relative_directory_begins_at_the_current_one_also_where_that_may_not_be_read),
             IT(the_users_own_directory_that_cannot_be_looked_at_returns_the_reason),
             IT(the_users_own_directory_without_any_access_is_completed))
