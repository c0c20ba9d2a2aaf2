/* SPDX-License-Identifier: MIT */
/*
 * pipc_open_unix: it waits for a server to be there, finds it soon, and reports at once what no
 * wait would change.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "fault.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

enum { BACKLOG = 2, CLIENTS_MAX = 64 };

/* The errno of an opening that fails within its time; `waited`: it used it up. */
static void expect_absent(const char *path)
{
    assert_null_errno(pipc_open_unix(path, 0, NULL), EAGAIN);
    fault_reset();
    fault_frozen_time();
    fault_arm();
    pipc_t *pipe = pipc_open_unix(path, 1000, NULL);
    int error = errno;
    unsigned long connects = fault_calls(CALL_connect);
    fault_disarm();
    assert_null(pipe);
    assert_int_equal(error, ETIMEDOUT);
    assert_in_range(connects, 19, 21);
}

TEST(a_client_without_a_server_tries_20_times_a_second_until_its_timeout)
{
    platform_needs(PLATFORM_ABSTRACT);
    struct paths paths;
    paths_begin(&paths);
    expect_absent(paths_to(&paths, "missing"));
    expect_absent(paths_to(&paths, "missing/parent"));
    paths_leave_dead(paths_to(&paths, "dead"));
    expect_absent(paths_to(&paths, "dead"));
    assert_int_equal(symlink("nowhere", paths_to(&paths, "link")), 0);
    expect_absent(paths_to(&paths, "link"));
    expect_absent("@libpipc, a name that nobody has");
    unlink(paths_to(&paths, "dead"));
    unlink(paths_to(&paths, "link"));
    paths_end(&paths);
}

static pipc_server_t *late;

static bool start_server(void *path)
{
    if (late == NULL)
        late = paths_serve(path, NULL);
    return false;
}

/* The server starts at the beginning of a wait: at most 50 ms later the client is there. */
TEST(a_client_notices_a_server_within_50_ms)
{
    struct paths paths;
    char path[128];
    paths_begin(&paths);
    snprintf(path, sizeof path, "%s", paths_to(&paths, "late"));
    fault_reset();
    fault_frozen_time();
    fault_before_wait(start_server, path);
    fault_arm();
    pipc_t *pipe = pipc_open_unix(path, 51, NULL);
    fault_disarm();
    paths_assert_talk(pipe, late);
    pipc_server_close(late);
    paths_end(&paths);
}

TEST(a_client_waits_for_room_in_a_full_backlog)
{
    struct paths paths;
    int clients[CLIENTS_MAX];
    paths_begin(&paths);
    const char *path = paths_to(&paths, "full");
    int listener = paths_listen(path, BACKLOG);
    int count = paths_fill_backlog(path, clients, CLIENTS_MAX);
    expect_absent(path);
    int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    pipc_t *pipe = pipc_open_unix(path, 0, NULL);
    assert_non_null(pipe);
    pipc_close(pipe);
    close(accepted);
    paths_close_all(clients, count);
    close(listener);
    unlink(path);
    paths_end(&paths);
}

static void expect_at_once(const char *path, int error)
{
    int64_t begin = harness_now_ms();
    assert_null_errno(pipc_open_unix(path, -1, NULL), error);
    assert_null_errno(pipc_open_unix(path, 0, NULL), error);
    assert_in_range(harness_now_ms() - begin, 0, 5000 * harness_scale());
}

TEST(what_is_no_socket_returns_ENOTSOCK_at_once)
{
    platform_needs(PLATFORM_ABSTRACT);
    struct paths paths;
    char name[201] = "";
    paths_begin(&paths);
    close(open(paths_to(&paths, "file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    assert_int_equal(mkfifo(paths_to(&paths, "fifo"), 0666), 0);
    assert_int_equal(mkdir(paths_to(&paths, "directory"), 0777), 0);
    memset(name, 'x', 200);
    close(open(paths_to(&paths, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    expect_at_once(paths_to(&paths, "file"), ENOTSOCK);
    expect_at_once(paths_to(&paths, "fifo"), ENOTSOCK);
    expect_at_once(paths_to(&paths, "directory"), ENOTSOCK);
    expect_at_once(paths_to(&paths, name), ENOTSOCK);
    unlink(paths_to(&paths, "file"));
    unlink(paths_to(&paths, "fifo"));
    unlink(paths_to(&paths, name));
    rmdir(paths_to(&paths, "directory"));
    paths_end(&paths);
}

TEST(what_no_wait_would_change_is_reported_at_once)
{
    platform_needs(PLATFORM_ABSTRACT);
    struct paths paths;
    char long_name[300] = "";
    pipc_options_t options = PIPC_OPTIONS_INIT;
    paths_begin(&paths);
    int datagrams = paths_bind(paths_to(&paths, "datagrams"), SOCK_DGRAM);
    assert_int_equal(symlink("loop", paths_to(&paths, "loop")), 0);
    close(open(paths_to(&paths, "file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    memset(long_name, 'x', sizeof long_name - 1);
    expect_at_once(paths_to(&paths, "datagrams"), EPROTOTYPE);
    expect_at_once(paths_to(&paths, "loop"), ELOOP);
    expect_at_once(paths_to(&paths, "file/below"), ENOTDIR);
    expect_at_once(paths_to(&paths, long_name), ENAMETOOLONG);
    long_name[0] = '@';
    expect_at_once(long_name, ENAMETOOLONG);
    expect_at_once("@", EINVAL);
    expect_at_once("", EINVAL);
    assert_null_errno(pipc_open_unix(NULL, 0, NULL), EINVAL);
    assert_null_errno(pipc_open_unix("x", -2, NULL), EINVAL);
    options.flags = PIPC_CONNECT_ONLY;
    assert_null_errno(pipc_open_unix("x", 0, &options), EINVAL);
    unlink(paths_to(&paths, "file"));
    unlink(paths_to(&paths, "loop"));
    unlink(paths_to(&paths, "datagrams"));
    close(datagrams);
    paths_end(&paths);
}

TEST(a_client_follows_a_symlink_to_the_socket)
{
    struct paths paths;
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    assert_int_equal(symlink("socket", paths_to(&paths, "link")), 0);
    paths_assert_talk(pipc_open_unix(paths_to(&paths, "link"), 0, NULL), server);
    unlink(paths_to(&paths, "link"));
    pipc_server_close(server);
    paths_end(&paths);
}

static void expect_long(const struct paths *paths, const char *path)
{
    assert_true(strlen(path) >= 200);
    pipc_server_t *server = paths_serve(path, NULL);
    assert_null_errno(pipc_server_open_unix(path, NULL), EADDRINUSE);
    for (int i = 0; i < 3; i++)
        paths_assert_talk(pipc_open_unix(path, 0, NULL), server);
    fault_reset(); /* where there is no /proc */
    fault_fail(CALL_connect, 1, FAULT_FOREVER, ENOENT);
    fault_fail(CALL_bind, 1, FAULT_FOREVER, ENOENT);
    fault_arm();
    pipc_t *pipe = pipc_open_unix(path, 0, NULL);
    int error = errno;
    fault_disarm();
    assert_null(pipe);
    assert_int_equal(error, ENAMETOOLONG);
    pipc_server_close(server);
    assert_int_equal(paths_inode(path), 0);
    paths_leave_dead(paths_to(paths, "dead"));
    assert_int_equal(rename(paths_to(paths, "dead"), path), 0);
    assert_null_errno(pipc_open_unix(path, 0, NULL), EAGAIN);
    pipc_server_close(paths_serve(path, NULL));
    assert_int_equal(paths_inode(path), 0);
}

TEST(paths_of_more_than_200_bytes_work)
{
    platform_needs(PLATFORM_ABSTRACT);
    paths_need_proc();
    struct paths paths;
    char name[201] = "", below[256];
    paths_begin(&paths);
    memset(name, 'x', 200);
    expect_long(&paths, paths_to(&paths, name));
    assert_int_equal(mkdir(paths_to(&paths, name), 0700), 0);
    snprintf(below, sizeof below, "%s/socket", name);
    expect_long(&paths, paths_to(&paths, below));
    fault_reset(); /* where there is no /proc */
    fault_fail(CALL_bind, 1, FAULT_FOREVER, ENOENT);
    fault_fail(CALL_fstatat, 1, 0, ENOENT);
    fault_arm();
    pipc_server_t *server = pipc_server_open_unix(paths_to(&paths, below), NULL);
    int error = errno;
    fault_disarm();
    assert_null(server);
    assert_int_equal(error, ENAMETOOLONG);
    rmdir(paths_to(&paths, name));
    paths_end(&paths);
}

TEST(no_free_descriptor_returns_EMFILE_at_once)
{
    struct paths paths;
    paths_begin(&paths);
    char path[128];
    snprintf(path, sizeof path, "%s", paths_to(&paths, "socket"));
    int spare = dup(0);
    close(spare);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)spare);
    pipc_t *pipe = pipc_open_unix(path, -1, NULL);
    int error = errno;
    pipc_server_t *server = pipc_server_open_unix(path, NULL);
    int server_error = errno;
    harness_limit(RLIMIT_NOFILE, before);
    assert_null(pipe);
    assert_null(server);
    assert_int_equal(error, EMFILE);
    assert_int_equal(server_error, EMFILE);
    paths_end(&paths);
}

static void note_signal(int number)
{
    (void)number;
}

TEST(a_signal_ends_the_wait_when_interruptible)
{
    struct paths paths;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    struct sigaction action = {.sa_handler = note_signal};
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    paths_begin(&paths);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    assert_null_errno(pipc_open_unix(paths_to(&paths, "x"), 60, &options), ETIMEDOUT);
    options.flags = PIPC_INTERRUPTIBLE;
    assert_null_errno(pipc_open_unix(paths_to(&paths, "x"), -1, &options), EINTR);
    setitimer(ITIMER_REAL, &never, NULL);
    paths_end(&paths);
}

/* --- Names of the abstract namespace ---------------------------------------------------------- */

static const char *own_abstract_name(void)
{
    static char name[64];
    snprintf(name, sizeof name, "@libpipc test %ld %lx", (long)getpid(),
             (unsigned long)harness_random());
    return name;
}

/* As Python has it: the plain sockets of this test give the exact length too. */
TEST(an_abstract_name_has_its_exact_length)
{
    platform_needs(PLATFORM_ABSTRACT);
    const char *name = own_abstract_name();
    char longest[110] = "@";
    pipc_server_t *server = paths_serve(name, NULL);
    int fd = paths_connect(name);
    assert_true(fd >= 0);
    close(fd);
    pipc_close(pipc_server_accept(server, 0));
    paths_assert_talk(pipc_open_unix(name, 0, NULL), server);
    assert_null_errno(pipc_server_open_unix(name, NULL), EADDRINUSE);
    pipc_server_close(server);
    assert_null_errno(pipc_open_unix(name, 0, NULL), EAGAIN);
    fd = paths_listen(name, 1);
    pipc_t *pipe = pipc_open_unix(name, 0, NULL);
    assert_non_null(pipe);
    pipc_close(pipe);
    close(fd);
    snprintf(longest, sizeof longest, "%-108s", name);
    server = paths_serve(longest, NULL); /* 107 bytes behind the @ */
    fd = paths_connect(longest);
    assert_true(fd >= 0);
    close(fd);
    pipc_close(pipc_server_accept(server, 0));
    paths_assert_talk(pipc_open_unix(longest, 0, NULL), server);
    pipc_server_close(server);
    longest[108] = 'x';
    assert_null_errno(pipc_server_open_unix(longest, NULL), ENAMETOOLONG);
}

static int serve_until_killed(void *name)
{
    paths_serve(name, NULL);
    raise(SIGKILL);
    return 1;
}

TEST(an_abstract_name_is_free_when_its_server_was_killed)
{
    platform_needs(PLATFORM_ABSTRACT);
    char name[64];
    snprintf(name, sizeof name, "%s", own_abstract_name());
    assert_int_equal(harness_wait(harness_fork(serve_until_killed, name)), -SIGKILL);
    pipc_server_close(paths_serve(name, NULL));
}

TEST(a_mode_for_an_abstract_name_returns_EINVAL)
{
    platform_needs(PLATFORM_ABSTRACT);
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.mode = 0600;
    assert_null_errno(pipc_server_open_unix(own_abstract_name(), &options), EINVAL);
    assert_null_errno(pipc_server_open_unix("@", NULL), EINVAL);
}

/* --- Keys ------------------------------------------------------------------------------------- */

/* Clients in another process: with a key, a process does not connect to itself. */
TEST(a_key_lets_in_who_knows_it_and_turns_others_away)
{
    struct paths paths;
    pipc_options_t options = net_with_key("secret");
    paths_begin(&paths);
    char path[128];
    snprintf(path, sizeof path, "%s", paths_to(&paths, "socket"));
    struct paths_caller right = {path, "secret", 10000}, wrong = {path, "Secret", 10000};
    pipc_server_t *server = paths_serve(path, &options);
    pid_t pid = harness_fork(paths_call, &wrong);
    assert_int_equal(paths_refuse_until_exit(server, pid), EACCES);
    pid = harness_fork(paths_call, &right);
    pipc_t *pipe = pipc_server_accept(server, 10000);
    net_expect_process(pipe, pid);
    pipc_close(pipe);
    int silent = paths_connect(path); /* is in nobody's way */
    pid = harness_fork(paths_call, &right);
    pipe = pipc_server_accept(server, 10000);
    net_expect_process(pipe, pid);
    pipc_close(pipe);
    close(silent);
    pipc_server_close(server);
    paths_end(&paths);
}

/* The listener is plain: it never says a word. */
TEST(a_client_with_a_key_gives_up_a_silent_server_at_its_timeout)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "silent");
    int listener = paths_listen(path, 5);
    struct paths_caller client = {path, "secret", 50};
    assert_int_equal(paths_call(&client), ETIMEDOUT);
    client.timeout_ms = 0;
    assert_int_equal(paths_call(&client), EAGAIN);
    close(listener);
    unlink(path);
    paths_end(&paths);
}

/* As by a server that is short of descriptors. */
TEST(a_client_with_a_key_that_is_turned_away_calls_again)
{
    struct paths paths;
    paths_begin(&paths);
    const char *path = paths_to(&paths, "short");
    struct paths_caller caller = {path, "secret", -1};
    int listener = paths_listen(path, 5);
    pid_t client = harness_fork(paths_call, &caller);
    for (int i = 0; i < 2; i++) {
        assert_true(harness_readable(listener, 20000));
        int there = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(there >= 0);
        close(there);
    }
    kill(client, SIGKILL);
    harness_wait(client);
    close(listener);
    unlink(path);
    paths_end(&paths);
}

/* --- Cancellation ----------------------------------------------------------------------------- */

static void disarm(void *unused)
{
    (void)unused;
    fault_disarm();
}

static void *open_armed(void *path)
{
    int unused;
    pthread_cleanup_push(disarm, NULL);
    fault_arm();
    pipc_close(pipc_open_unix(path, 200, NULL));
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
    pthread_cleanup_pop(1);
    return NULL;
}

TEST(a_cancelled_client_leaves_nothing)
{
    struct paths paths;
    char path[128];
    int ended = 0;
    harness_skip_if_cancelling_confuses();
    paths_begin(&paths);
    snprintf(path, sizeof path, "%s", paths_to(&paths, "nobody"));
    harness_new_baseline();
    for (unsigned long nth = 1; nth == 1 || fault_cancelled(); nth++) {
        pthread_t thread;
        void *result;
        fault_reset();
        fault_virtual_time();
        fault_cancel_at(nth, false);
        assert_int_equal(pthread_create(&thread, NULL, open_armed, path), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        ended += result == PTHREAD_CANCELED;
        harness_assert_nothing_left();
    }
    assert_true(ended > 4);
    paths_end(&paths);
}

/* Also while the request to be cancelled is there: it is for the next wait. */
static void *serve_armed(void *path)
{
    int unused;
    pipc_server_t *server;
    pthread_cleanup_push(disarm, NULL);
    fault_arm();
    server = pipc_server_open_unix(path, NULL);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
    pthread_cleanup_pop(1);
    return server;
}

TEST(opening_a_server_on_a_path_is_no_cancellation_point)
{
    struct paths paths;
    char path[128];
    harness_skip_if_cancelling_confuses();
    paths_begin(&paths);
    snprintf(path, sizeof path, "%s", paths_to(&paths, "socket"));
    harness_new_baseline();
    for (unsigned long nth = 1; nth == 1 || fault_cancelled(); nth++) {
        pthread_t thread;
        void *result;
        paths_leave_dead(path);
        fault_reset();
        fault_cancel_at(nth, false);
        assert_int_equal(pthread_create(&thread, NULL, serve_armed, path), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_non_null(result);
        assert_ptr_not_equal(result, PTHREAD_CANCELED);
        pipc_server_close(result);
        assert_int_equal(paths_count(&paths), 0);
        harness_assert_nothing_left();
    }
    paths_end(&paths);
}

HARNESS_MAIN(
    "Unix sockets, open", IT(a_client_without_a_server_tries_20_times_a_second_until_its_timeout),
    IT(a_client_notices_a_server_within_50_ms), IT(a_client_waits_for_room_in_a_full_backlog),
    IT(what_is_no_socket_returns_ENOTSOCK_at_once),
    IT(what_no_wait_would_change_is_reported_at_once), IT(a_client_follows_a_symlink_to_the_socket),
    IT(paths_of_more_than_200_bytes_work), IT(no_free_descriptor_returns_EMFILE_at_once),
    IT(a_signal_ends_the_wait_when_interruptible), IT(an_abstract_name_has_its_exact_length),
    IT(an_abstract_name_is_free_when_its_server_was_killed),
    IT(a_mode_for_an_abstract_name_returns_EINVAL),
    IT(a_key_lets_in_who_knows_it_and_turns_others_away),
    IT(a_client_with_a_key_gives_up_a_silent_server_at_its_timeout),
    IT(a_client_with_a_key_that_is_turned_away_calls_again), IT(a_cancelled_client_leaves_nothing),
    IT(opening_a_server_on_a_path_is_no_cancellation_point))
