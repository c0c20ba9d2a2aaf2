/* SPDX-License-Identifier: MIT */
/* Where PIPC_TRACE leads, a file or standard error, and what never happens because of it. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "anonymous.h"
#include "fault.h"
#include "paths.h"
#include "platform.h"
#include "tracing.h"

static struct tracing tracing;

static void use_in_child(void)
{
    assert_int_equal(harness_wait(harness_fork(tracing_use_library, NULL)), 0);
}

static mode_t mode_of(const char *path)
{
    struct stat there;
    assert_int_equal(stat(path, &there), 0);
    return there.st_mode & 07777;
}

static off_t size_of(const char *path)
{
    struct stat there;
    return stat(path, &there) == 0 ? there.st_size : -1;
}

/* ---- The file ------------------------------------------------------------------------------- */

TEST(the_file_is_made_with_mode_0600_whatever_the_umask)
{
    tracing_begin(&tracing);
    mode_t before = umask(0);
    use_in_child();
    umask(before);
    assert_int_equal(mode_of(tracing.file), 0600);
    tracing_end(&tracing);
}

TEST(lines_are_appended_to_what_is_in_the_file)
{
    tracing_begin(&tracing);
    FILE *file = fopen(tracing.file, "w");
    assert_non_null(file);
    fputs("1795753695.123456 1 #1 open: before\n", file);
    fclose(file);
    use_in_child();
    tracing_assert(&tracing, "#1 open: before");
    tracing_assert(&tracing, "#1 open: pipe");
    tracing_end(&tracing);
}

TEST(the_descriptor_of_the_file_is_closed_by_exec_and_none_of_the_standard_ones)
{
    tracing_begin(&tracing);
    tracing_use_library(NULL);
    int fd = tracing_descriptor(&tracing);
    assert_true(fd > STDERR_FILENO);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK)) == (O_APPEND | O_NONBLOCK));
    tracing_end(&tracing);
}

TEST(without_the_variable_there_is_no_descriptor)
{
    unsetenv("PIPC_TRACE");
    int before = harness_open_descriptors();
    tracing_use_library(NULL);
    assert_int_equal(harness_open_descriptors(), before);
}

/* Whether the trace goes where PIPC_TRACE leads: then one more descriptor stays open. */
static int keeps_a_descriptor(void *unused)
{
    int before = harness_open_descriptors();
    return tracing_use_library(unused) == 0 && harness_open_descriptors() != before;
}

static bool is_used(void)
{
    int status = harness_wait(harness_fork(keeps_a_descriptor, NULL));
    assert_true(status == 0 || status == 1);
    return status == 1;
}

TEST(a_symlink_in_the_way_is_ignored)
{
    char target[128];
    tracing_begin(&tracing);
    assert_true(is_used());
    snprintf(target, sizeof target, "%s/target", tracing.directory);
    assert_int_equal(rename(tracing.file, target), 0);
    assert_int_equal(symlink("target", tracing.file), 0);
    off_t before = size_of(target);
    assert_false(is_used());
    assert_int_equal(size_of(target), before);
    unlink(target);
    tracing_end(&tracing);
}

TEST(a_FIFO_in_the_way_is_ignored_also_if_somebody_reads_it)
{
    char byte;
    tracing_begin(&tracing);
    assert_int_equal(mkfifo(tracing.file, 0600), 0);
    assert_false(is_used());
    int reader = open(tracing.file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_false(is_used());
    assert_int_equal(read(reader, &byte, 1), 0);
    close(reader);
    tracing_end(&tracing);
}

TEST(a_directory_a_device_and_a_missing_directory_are_ignored)
{
    static const char *const names[] = {"/tmp", "/dev/null", "/dev/full", "/no/such/directory/t",
                                        ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        setenv("PIPC_TRACE", names[i], 1);
        assert_false(is_used());
    }
}

static int become_another_and_use(void *unused)
{
    return seteuid(PATHS_USER_A) != 0 || tracing_use_library(unused);
}

TEST(a_program_whose_ids_differ_ignores_the_variable)
{
    paths_need_users();
    tracing_begin(&tracing);
    assert_int_equal(chmod(tracing.directory, 0777), 0);
    assert_int_equal(harness_wait(harness_fork(become_another_and_use, NULL)), 0);
    assert_int_equal(size_of(tracing.file), -1);
    tracing_end(&tracing);
}

/* This program once more, as a set-user-ID one that has made its ids the same. */
#define AS_HELPER "PIPC_TEST_AS_HELPER"

__attribute__((constructor)) static void be_helper(void)
{
    uid_t user = geteuid();
    if (getenv(AS_HELPER) == NULL)
        return;
    if (user != PATHS_USER_A || setresuid(user, user, user) != 0)
        _exit(HARNESS_SKIP_STATUS);
    _exit(tracing_use_library(NULL));
}

static char helper[128];

static void copy_program(void)
{
    static char block[1 << 16];
    ssize_t size;
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(helper, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_true(from >= 0 && to >= 0);
    while ((size = read(from, block, sizeof block)) > 0)
        assert_int_equal(write(to, block, (size_t)size), size);
    close(from);
    close(to);
}

static int run_helper(void *as_user)
{
    if (as_user != NULL && setresuid(PATHS_USER_A, PATHS_USER_A, PATHS_USER_A) != 0)
        return 1;
    setenv(AS_HELPER, "1", 1);
    execl(helper, helper, NULL);
    return HARNESS_SKIP_STATUS;
}

TEST(a_set_user_ID_program_ignores_the_variable)
{
    platform_needs(PLATFORM_GIVEN_RIGHTS);
    paths_need_users();
    harness_need_proc(); /* to copy this program */
    if (harness_emulated())
        harness_skip("valgrind runs no set-user-ID program");
    tracing_begin(&tracing);
    assert_int_equal(chmod(tracing.directory, 0777), 0);
    snprintf(helper, sizeof helper, "%s/helper", tracing.directory);
    copy_program();
    assert_int_equal(chmod(helper, 0755), 0);
    int plain = harness_wait(harness_fork(run_helper, helper));
    bool is_traced = size_of(tracing.file) > 0;
    unlink(tracing.file);
    assert_int_equal(chown(helper, PATHS_USER_A, PATHS_USER_A), 0);
    assert_int_equal(chmod(helper, 04755), 0);
    int status = harness_wait(harness_fork(run_helper, NULL));
    off_t size = size_of(tracing.file);
    unlink(helper);
    tracing_end(&tracing);
    if (plain == HARNESS_SKIP_STATUS || status == HARNESS_SKIP_STATUS)
        harness_skip("no set-user-ID program can run here");
    assert_int_equal(plain, 0);
    assert_int_equal(status, 0);
    assert_true(is_traced);
    assert_int_equal(size, -1);
}

enum { OPENS = 150 };

static int use_often(void *unused)
{
    int status = 0;
    for (int i = 0; i < OPENS; i++)
        status |= tracing_use_library(unused);
    return status;
}

TEST(lines_of_several_processes_stay_whole)
{
    tracing_begin(&tracing);
    pid_t pid = harness_fork(use_often, NULL);
    pid_t other = harness_fork(use_often, NULL);
    assert_int_equal(harness_wait(pid), 0);
    assert_int_equal(harness_wait(other), 0);
    tracing_assert_whole_lines(tracing_text(&tracing));
    assert_int_equal(tracing_count(&tracing, "#* open: pipe"), 2 * OPENS);
    tracing_end(&tracing);
}

TEST(a_limit_on_the_size_of_files_fails_no_call_and_raises_no_signal)
{
    tracing_begin(&tracing);
    tracing_use_library(NULL);
    assert_int_equal(signal(SIGXFSZ, SIG_DFL), SIG_DFL);
    rlim_t before = harness_limit(RLIMIT_FSIZE, (rlim_t)size_of(tracing.file));
    pipc_t *end[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_NO_SHARED_MEMORY;
    assert_int_equal(pipc_open_pair(end, &options), 0);
    say(end[0], "x");
    hear(end[1], "x");
    assert_errno(pipc_want(end[0], 77), EINVAL);
    pipc_close(end[0]);
    errno = ENOTTY;
    pipc_close(end[1]);
    assert_int_equal(errno, ENOTTY);
    harness_limit(RLIMIT_FSIZE, before);
    assert_int_equal(tracing_count(&tracing, "#2 *"), 0);
    tracing_use_library(NULL);
    tracing_assert(&tracing, "#* close: 0 read*");
    tracing_end(&tracing);
}

/* In a file system of its own, which has room for one page. */
static int use_on_full_disk(void *unused)
{
    static const char page[1 << 16];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", tracing.directory, "tmpfs", 0, "size=4k") != 0)
        return HARNESS_SKIP_STATUS;
    int status = tracing_use_library(unused);
    off_t before = size_of(tracing.file);
    int fd = open(tracing.file, O_WRONLY | O_APPEND | O_CLOEXEC);
    while (write(fd, page, sizeof page) > 0)
        continue;
    off_t full = size_of(tracing.file);
    close(fd);
    pipc_t *pipe = pipc_open(NULL);
    errno = ENOTTY;
    pipc_close(pipe);
    status |= pipe == NULL || errno != ENOTTY;
    return status != 0 || before <= 0 || size_of(tracing.file) != full;
}

TEST(a_full_disk_fails_no_call)
{
    tracing_begin(&tracing);
    int status = harness_wait(harness_fork(use_on_full_disk, NULL));
    tracing_end(&tracing);
    if (status == HARNESS_SKIP_STATUS)
        harness_skip("no file system can be mounted here");
    assert_int_equal(status, 0);
}

TEST(what_has_the_number_of_a_trace_that_was_closed_is_not_written_to)
{
    char other[128];
    tracing_begin(&tracing);
    tracing_use_library(NULL);
    int fd = tracing_descriptor(&tracing);
    snprintf(other, sizeof other, "%s/other", tracing.directory);
    int file = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(dup2(file, fd), fd);
    tracing_use_library(NULL);
    assert_int_equal(size_of(other), 0);
    close(file);
    close(fd);
    unlink(other);
    tracing_end(&tracing);
}

/* ---- Standard error ------------------------------------------------------------------------- */

/* For a child, whose standard error is at fd. */
static int use_on(int fd)
{
    return dup2(fd, STDERR_FILENO) != STDERR_FILENO || tracing_use_library(NULL);
}

static int pipe_to[2];

static int use_on_pipe(void *unused)
{
    (void)unused;
    close(pipe_to[0]);
    return use_on(pipe_to[1]);
}

static int use_after_it_was_replaced(int status)
{
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nothing, STDERR_FILENO);
    return status | tracing_use_library(NULL);
}

static int replace_standard_error(void *unused)
{
    return use_after_it_was_replaced(use_on_pipe(unused));
}

static int replace_standard_error_without_proc(void *unused)
{
    (void)unused;
    close(pipe_to[0]);
    dup2(pipe_to[1], STDERR_FILENO);
    fault_reset();
    fault_fail(CALL_openat, 1, FAULT_FOREVER, ENOENT);
    fault_arm();
    int status = tracing_use_library(NULL);
    fault_disarm();
    return use_after_it_was_replaced(status);
}

static void expect_two_pipes_shown(int (*child)(void *unused))
{
    char text[4096];
    setenv("PIPC_TRACE", "-", 1);
    assert_int_equal(harness_wait(harness_fork(child, NULL)), 0);
    close(pipe_to[1]);
    ssize_t size = read(pipe_to[0], text, sizeof text - 1);
    assert_true(size > 0);
    text[size] = '\0';
    tracing_assert_whole_lines(text);
    assert_non_null(strstr(text, "#1 open: pipe"));
    assert_non_null(strstr(text, "#2 open: pipe"));
    close(pipe_to[0]);
}

TEST(a_minus_is_the_standard_error_that_the_program_had_at_first)
{
    assert_int_equal(pipe2(pipe_to, O_CLOEXEC), 0);
    expect_two_pipes_shown(replace_standard_error);
    if (platform_has(PLATFORM_LINUX_CALLS)) {
        assert_int_equal(pipe2(pipe_to, O_CLOEXEC), 0);
        expect_two_pipes_shown(replace_standard_error_without_proc);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipe_to), 0);
    expect_two_pipes_shown(replace_standard_error);
}

TEST(a_standard_error_in_a_file_is_appended_to)
{
    tracing_begin(&tracing); /* as a directory for it */
    pipe_to[1] = open(tracing.file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    pipe_to[0] = open(tracing.file, O_RDONLY | O_CLOEXEC);
    expect_two_pipes_shown(replace_standard_error);
    tracing_end(&tracing);
}

static int use_without_standard_error(void *unused)
{
    close(STDERR_FILENO);
    return keeps_a_descriptor(unused);
}

TEST(a_minus_without_a_standard_error_is_ignored)
{
    setenv("PIPC_TRACE", "-", 1);
    assert_int_equal(harness_wait(harness_fork(use_without_standard_error, NULL)), 0);
}

TEST(a_standard_error_that_nobody_reads_makes_no_call_wait)
{
    static char filling[1 << 16];
    struct stat own;
    setenv("PIPC_TRACE", "-", 1);
    assert_int_equal(pipe2(pipe_to, O_CLOEXEC), 0);
    fcntl(pipe_to[1], F_SETFL, O_NONBLOCK);
    while (write(pipe_to[1], filling, sizeof filling) > 0)
        continue;
    fcntl(pipe_to[1], F_SETFL, 0);
    assert_int_equal(use_on(pipe_to[1]), 0);
    close(pipe_to[0]); /* nor does one whose reader has gone raise SIGPIPE */
    assert_int_equal(tracing_use_library(NULL), 0);
    close(pipe_to[1]);
    assert_int_equal(fstat(STDERR_FILENO, &own), 0);
    for (int fd = STDERR_FILENO + 1; fd < 32; fd++) /* the copy that the library keeps */
        if (tracing_leads_to(fd, &own))
            close(fd);
}

HARNESS_MAIN("trace_file", IT(the_file_is_made_with_mode_0600_whatever_the_umask),
             IT(lines_are_appended_to_what_is_in_the_file),
             IT(the_descriptor_of_the_file_is_closed_by_exec_and_none_of_the_standard_ones),
             IT(without_the_variable_there_is_no_descriptor), IT(a_symlink_in_the_way_is_ignored),
             IT(a_FIFO_in_the_way_is_ignored_also_if_somebody_reads_it),
             IT(a_directory_a_device_and_a_missing_directory_are_ignored),
             IT(a_program_whose_ids_differ_ignores_the_variable),
             IT(a_set_user_ID_program_ignores_the_variable),
             IT(lines_of_several_processes_stay_whole),
             IT(a_limit_on_the_size_of_files_fails_no_call_and_raises_no_signal),
             IT(a_full_disk_fails_no_call),
             IT(what_has_the_number_of_a_trace_that_was_closed_is_not_written_to),
             IT(a_minus_is_the_standard_error_that_the_program_had_at_first),
             IT(a_standard_error_in_a_file_is_appended_to),
             IT(a_minus_without_a_standard_error_is_ignored),
             IT(a_standard_error_that_nobody_reads_makes_no_call_wait))
