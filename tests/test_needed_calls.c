/* SPDX-License-Identifier: MIT */
/*
 * Calls of Linux that the library needs, each refused by a filter: what goes on working, and what
 * fails with the errno of the manual (12) and leaves nothing. Calls that it can do without are
 * refused to the other programs, by ./dev old-kernels.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "filter.h"
#include "paths.h"
#include "platform.h"

static const struct paths *here;

static void refuse(const char *name)
{
    if (!filter_refuse(name))
        _exit(HARNESS_SKIP_STATUS);
}

static void in_a_child(int (*body)(void *unused))
{
    struct paths paths;
    paths_begin(&paths);
    here = &paths;
    int status = harness_wait(harness_fork(body, NULL));
    if (status == HARNESS_SKIP_STATUS)
        unlink(paths_to(&paths, "name"));
    paths_end(&paths);
    if (status == HARNESS_SKIP_STATUS)
        harness_skip("no filter can be set up here");
    assert_int_equal(status, 0);
}

static void expect_talk(pipc_t *from, pipc_t *to)
{
    char bytes[8];
    assert_int_equal(pipc_write(from, "hello", 5), 5);
    assert_int_equal(pipc_read(to, bytes, sizeof bytes), 5);
}

static void expect_pair(bool has_descriptor)
{
    pipc_t *end[2];
    char byte;
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    assert_int_equal(pipc_set_timeout(end[0], 20, 20), 0);
    assert_errno(pipc_read(end[0], &byte, 1), ETIMEDOUT);
    if (has_descriptor)
        assert_true(pipc_fd(end[0]) >= 0);
    else
        assert_errno(pipc_fd(end[0]), ENOSYS);
    expect_talk(end[0], end[1]);
    expect_talk(end[1], end[0]);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

static void expect_no_server(const char *path)
{
    int before = harness_open_descriptors();
    assert_null(pipc_server_open_unix(path, NULL));
    assert_int_equal(errno, ENOSYS);
    assert_null(pipc_server_open("127.0.0.1", 0, NULL));
    assert_int_equal(errno, ENOSYS);
    assert_int_equal(harness_open_descriptors(), before);
}

/* ---- epoll ---- */

static int go_without_epoll(void *unused)
{
    (void)unused;
    refuse("epoll");
    expect_pair(false);
    expect_no_server(paths_to(here, "name"));
    return 0;
}

TEST(without_epoll_pipes_work_and_descriptors_and_servers_fail_with_ENOSYS)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    in_a_child(go_without_epoll);
}

static int write_hello(void *pipe)
{
    return pipc_write(pipe, "hello", 5) == 5 ? 0 : 1;
}

/* A child writes to this handle, and dies. */
static void expect_message_and_death(pipc_t *pipe)
{
    char bytes[8];
    assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
    pid_t child = harness_fork(write_hello, pipe);
    assert_int_equal(pipc_read(pipe, bytes, sizeof bytes), 5);
    assert_errno(pipc_read(pipe, bytes, sizeof bytes), EPIPE);
    assert_int_equal(harness_wait(child), 0);
}

static int wait_without_epoll(void *unused)
{
    char byte;
    (void)unused;
    refuse("epoll");
    pipc_t *pipe = pipc_open(NULL);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 20, 0), 0);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    assert_errno(pipc_fd(pipe), ENOSYS);
    expect_message_and_death(pipe);
    pipc_close(pipe);
    return 0;
}

TEST(without_epoll_reads_of_pipc_open_wait_and_notice_a_death)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    in_a_child(wait_without_epoll);
}

/* ---- timerfd ---- */

static int go_without_timerfd(void *unused)
{
    (void)unused;
    refuse("timerfd");
    expect_pair(true);
    expect_no_server(paths_to(here, "name"));
    pipc_t *pipe = pipc_open(NULL);
    assert_non_null(pipe);
    assert_int_equal(pipc_pending(pipe), 0);
    assert_true(pipc_fd(pipe) >= 0);
    expect_message_and_death(pipe);
    pipc_close(pipe);
    return 0;
}

TEST(without_timerfd_pipes_work_deaths_are_noticed_and_servers_fail_with_ENOSYS)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    in_a_child(go_without_timerfd);
}

/* ---- getrandom ---- */

static int go_without_getrandom(void *unused)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.key = "a key";
    options.key_size = 5;
    (void)unused;
    pipc_server_t *server = pipc_server_open_unix(paths_to(here, "name"), NULL);
    assert_non_null(server);
    refuse("getrandom");
    expect_pair(true);
    pipc_t *client = pipc_open_unix(paths_to(here, "name"), 1000, NULL);
    assert_non_null(client);
    pipc_t *accepted = pipc_server_accept(server, 1000);
    assert_non_null(accepted);
    expect_talk(client, accepted);
    pipc_close(client);
    pipc_close(accepted);
    assert_null(pipc_open_unix(paths_to(here, "name"), 1000, &options));
    assert_int_equal(errno, ENOSYS);
    pipc_server_close(server);
    assert_null(pipc_server_open_unix(paths_to(here, "name"), NULL));
    assert_int_equal(errno, ENOSYS);
    return 0;
}

TEST(without_getrandom_pipes_work_and_keys_and_servers_on_a_path_fail_with_ENOSYS)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    in_a_child(go_without_getrandom);
}

/* ---- accept4 ---- */

static int go_without_accept4(void *unused)
{
    (void)unused;
    pipc_server_t *server = pipc_server_open_unix(paths_to(here, "name"), NULL);
    assert_non_null(server);
    refuse("accept4");
    expect_pair(true);
    pipc_t *client = pipc_open_unix(paths_to(here, "name"), 1000, NULL);
    assert_non_null(client);
    pipc_t *accepted = pipc_server_accept(server, 20);
    if (accepted == NULL)
        assert_int_equal(errno, ETIMEDOUT);
    else /* a C library may call accept in its place: musl does */
        expect_talk(client, accepted);
    pipc_close(client);
    pipc_close(accepted);
    pipc_server_close(server);
    return 0;
}

TEST(without_accept4_a_server_gets_no_clients_or_the_C_library_does_without)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    in_a_child(go_without_accept4);
}

HARNESS_MAIN("needed_calls",
             IT(without_epoll_pipes_work_and_descriptors_and_servers_fail_with_ENOSYS),
             IT(without_epoll_reads_of_pipc_open_wait_and_notice_a_death),
             IT(without_timerfd_pipes_work_deaths_are_noticed_and_servers_fail_with_ENOSYS),
             IT(without_getrandom_pipes_work_and_keys_and_servers_on_a_path_fail_with_ENOSYS),
             IT(without_accept4_a_server_gets_no_clients_or_the_C_library_does_without))
