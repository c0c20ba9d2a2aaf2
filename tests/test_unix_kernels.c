/* SPDX-License-Identifier: MIT */
/*
 * Sockets on a path where the kernel is another one, where there is no /proc, and where somebody
 * changes the directory between two calls.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

static char path[256];

static void begin(struct paths *paths)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    paths_begin(paths);
    snprintf(path, sizeof path, "%s", paths_to(paths, "socket"));
    fault_reset();
}

static pipc_server_t *open_armed(const char *where, const pipc_options_t *options)
{
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix(where, options);
    int error = errno;
    fault_disarm();
    errno = error;
    return server;
}

static void close_armed(pipc_server_t *server)
{
    fault_arm();
    pipc_server_close(server);
    fault_disarm();
}

/* --- Without /proc: what is asked of a descriptor's name in there is asked of the path -------- */

static void expect_replaced(const struct paths *paths)
{
    pipc_server_t *server = open_armed(path, NULL);
    assert_non_null(server);
    assert_int_equal(paths_count(paths), 1);
    close_armed(server);
}

TEST(a_dead_socket_is_replaced_where_there_is_no_proc)
{
    struct paths paths;
    begin(&paths);
    paths_leave_dead(path);
    fault_fail(CALL_connect, 1, 0, ENOENT);
    expect_replaced(&paths);
    assert_int_equal(fault_failures(CALL_connect), 1);
    paths_end(&paths);
}

TEST(a_live_socket_stays_where_there_is_no_proc)
{
    struct paths paths;
    begin(&paths);
    int other = paths_listen(path, 5);
    ino_t inode = paths_inode(path);
    fault_fail(CALL_connect, 1, 0, ENOENT);
    assert_null_errno(open_armed(path, NULL), EADDRINUSE);
    assert_int_equal(paths_inode(path), inode);
    close(other);
    assert_int_equal(unlink(path), 0);
    paths_end(&paths);
}

static void replace_by_another_dead_one(void *unused)
{
    (void)unused;
    char aside[300];
    snprintf(aside, sizeof aside, "%s.aside", path);
    assert_int_equal(rename(path, aside), 0);
    paths_leave_dead(path);
}

TEST(a_dead_socket_that_comes_in_the_place_of_another_stays_where_there_is_no_proc)
{
    struct paths paths;
    begin(&paths);
    paths_leave_dead(path);
    fault_fail(CALL_connect, 1, 0, ENOENT);
    fault_before(CALL_connect, 2, replace_by_another_dead_one, NULL);
    assert_null_errno(open_armed(path, NULL), EADDRINUSE);
    assert_true(paths_inode(path) != 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(paths_to(&paths, "socket.aside")), 0);
    paths_end(&paths);
}

TEST(a_dead_socket_at_a_long_path_stays_where_there_is_no_proc)
{
    struct paths paths;
    char name[120];
    begin(&paths);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    paths_leave_dead(path);
    assert_int_equal(rename(path, paths_to(&paths, name)), 0);
    fault_fail(CALL_connect, 1, 0, ENOENT);
    assert_null_errno(open_armed(paths_to(&paths, name), NULL), ENAMETOOLONG);
    assert_int_equal(unlink(paths_to(&paths, name)), 0);
    paths_end(&paths);
}

/* In a directory whose path has so many bytes, without /proc. */
static pipc_server_t *open_below(const struct paths *paths, size_t size)
{
    char directory[96], where[112];
    int length = snprintf(directory, sizeof directory, "%s", paths_to(paths, ""));
    memset(directory + length, 'x', size - (size_t)length);
    directory[size] = '\0';
    snprintf(where, sizeof where, "%s/s", directory);
    assert_int_equal(mkdir(directory, 0755), 0);
    fault_reset();
    fault_fail(CALL_bind, 1, 0, ENOENT);
    fault_fail(CALL_fstatat, 1, 0, ENOENT);
    pipc_server_t *server = open_armed(where, NULL);
    int error = errno;
    if (server != NULL)
        paths_assert_talk(pipc_open_unix(where, 0, NULL), server);
    pipc_server_close(server);
    assert_int_equal(rmdir(directory), 0);
    errno = error;
    return server;
}

TEST(a_server_in_a_directory_of_more_than_80_bytes_needs_proc)
{
    struct paths paths;
    begin(&paths);
    assert_non_null(open_below(&paths, 80));
    assert_null_errno(open_below(&paths, 81), ENAMETOOLONG);
    paths_end(&paths);
}

/* --- The mode, before Linux 6.6 --------------------------------------------------------------- */

static pipc_server_t *open_for_all_under_a_umask(void)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.mode = 0666;
    fault_fail(CALL_syscall, 1, FAULT_FOREVER, ENOSYS);
    mode_t before = umask(077);
    pipc_server_t *server = open_armed(path, &options);
    int error = errno;
    umask(before);
    errno = error;
    return server;
}

TEST(the_mode_of_the_socket_is_set_by_way_of_proc_on_an_older_kernel)
{
    struct paths paths;
    struct stat found;
    paths_need_proc();
    begin(&paths);
    pipc_server_t *server = open_for_all_under_a_umask();
    assert_non_null(server);
    assert_int_equal(lstat(path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0666);
    assert_true(fault_failures(CALL_syscall) > 0);
    close_armed(server);
    paths_end(&paths);
}

TEST(a_mode_that_an_older_kernel_cannot_set_without_proc_is_EOPNOTSUPP)
{
    struct paths paths;
    begin(&paths);
    fault_fail(CALL_fchmodat, 1, FAULT_FOREVER, ENOENT);
    assert_null_errno(open_for_all_under_a_umask(), EOPNOTSUPP);
    paths_end(&paths);
}

/* --- The directory changes -------------------------------------------------------------------- */

static void remove_directory(void *paths)
{
    assert_int_equal(rmdir(((struct paths *)paths)->directory), 0);
}

TEST(a_directory_that_is_removed_while_a_server_starts_is_ENOENT)
{
    struct paths paths;
    begin(&paths);
    fault_before(CALL_bind, 1, remove_directory, &paths);
    assert_null_errno(open_armed(path, NULL), ENOENT);
    assert_int_equal(mkdir(paths.directory, 0755), 0);
    paths_end(&paths);
}

TEST(a_name_that_is_taken_again_and_again_is_EADDRINUSE)
{
    struct paths paths;
    begin(&paths);
    fault_fail(CALL_linkat, 1, FAULT_FOREVER, EEXIST); /* and each time it is gone at once */
    assert_null_errno(open_armed(path, NULL), EADDRINUSE);
    assert_in_range(fault_calls(CALL_linkat), 2, 100);
    paths_end(&paths);
}

/* --- Abstract names --------------------------------------------------------------------------- */

TEST(opening_a_server_on_an_abstract_name_survives_the_failure_of_any_system_call)
{
    char name[64];
    platform_needs(PLATFORM_ABSTRACT);
    snprintf(name, sizeof name, "@libpipc kernels %ld", (long)getpid());
    bool has_failed = true;
    for (unsigned long nth = 1; has_failed; nth++) {
        fault_reset();
        fault_fail_plausibly(nth, 0, 0);
        pipc_server_t *server = open_armed(name, NULL);
        if (server == NULL)
            assert_true(fault_injected(errno));
        pipc_server_close(server);
        has_failed = fault_calls(CALL_ANY) >= nth;
        harness_assert_nothing_left();
    }
    pipc_server_t *server = pipc_server_open_unix(name, NULL);
    assert_non_null(server);
    paths_assert_talk(pipc_open_unix(name, 0, NULL), server);
    pipc_server_close(server);
}

HARNESS_MAIN("Unix sockets, other kernels", IT(a_dead_socket_is_replaced_where_there_is_no_proc),
             IT(a_live_socket_stays_where_there_is_no_proc),
             IT(a_dead_socket_that_comes_in_the_place_of_another_stays_where_there_is_no_proc),
             IT(a_dead_socket_at_a_long_path_stays_where_there_is_no_proc),
             IT(a_server_in_a_directory_of_more_than_80_bytes_needs_proc),
             IT(the_mode_of_the_socket_is_set_by_way_of_proc_on_an_older_kernel),
             IT(a_mode_that_an_older_kernel_cannot_set_without_proc_is_EOPNOTSUPP),
             IT(a_directory_that_is_removed_while_a_server_starts_is_ENOENT),
             IT(a_name_that_is_taken_again_and_again_is_EADDRINUSE),
             IT(opening_a_server_on_an_abstract_name_survives_the_failure_of_any_system_call))
