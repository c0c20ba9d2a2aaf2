/* SPDX-License-Identifier: MIT */
/* PIPC_ASYNC: what is true of one kind alone, of paths, hosts and FIFOs. */
#include "async.h"

#include <netdb.h>
#include <signal.h>
#include <sys/stat.h>

#include "fault.h"
#include "platform.h"

/* ---- paths ---- */

static pipc_t *open_unix(const char *path, int timeout_ms)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_ASYNC;
    pipc_t *pipe = pipc_open_unix(path, timeout_ms, &options);
    if (pipe != NULL)
        assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    return pipe;
}

static void finish_with(pipc_t *pipe, pipc_server_t *server)
{
    assert_int_equal(async_outcome(pipe), 0);
    pipc_t *there = pipc_server_accept(server, 10000);
    assert_non_null(there);
    net_say(pipe, "ping");
    net_expect(there, "ping");
    pipc_close(there);
    pipc_close(pipe);
}

TEST(a_relative_path_begins_where_the_program_was_when_it_opened)
{
    platform_needs(PLATFORM_ABSTRACT);
    harness_need_proc(); /* and so does the library then, as the manual says */
    struct paths paths;
    paths_begin(&paths);
    int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdir(paths_to(&paths, "below"), 0700), 0);
    assert_int_equal(chdir(paths.directory), 0);
    pipc_t *pipe = open_unix("socket", -1);
    pipc_t *below = open_unix("below/../socket", -1);
    assert_int_equal(chdir(paths_to(&paths, "below")), 0);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    finish_with(pipe, server);
    finish_with(below, server);
    pipc_server_close(server);
    assert_int_equal(fchdir(home), 0);
    close(home);
    rmdir(paths_to(&paths, "below"));
    paths_end(&paths);
}

TEST(what_no_wait_would_change_the_constructor_returns_at_once)
{
    platform_needs(PLATFORM_ABSTRACT);
    struct paths paths;
    paths_begin(&paths);
    close(open(paths_to(&paths, "file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    assert_null_errno(open_unix(paths_to(&paths, "file"), -1), ENOTSOCK);
    assert_null_errno(open_unix(paths_to(&paths, "file/below"), -1), ENOTDIR);
    assert_null_errno(open_unix("@", -1), EINVAL);
    unlink(paths_to(&paths, "file"));
    paths_end(&paths);
}

TEST(without_a_server_its_descriptor_wakes_a_loop_20_times_a_second)
{
    platform_needs(PLATFORM_EXACT);
    enum { WAKEUPS = 10 };
    struct paths paths;
    char byte;
    paths_begin(&paths);
    pipc_t *pipe = open_unix(paths_to(&paths, "missing"), -1);
    int64_t begin = harness_now_ms();
    for (int i = 0; i < WAKEUPS; i++) {
        assert_true(harness_readable(pipc_fd(pipe), -1));
        assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
        assert_false(harness_readable(pipc_fd(pipe), 0));
    }
    assert_in_range(harness_now_ms() - begin, (WAKEUPS - 1) * 50, 10000 * harness_scale());
    pipc_close(pipe);
    paths_end(&paths);
}

TEST(what_comes_to_the_path_later_is_reported_by_every_call)
{
    struct paths paths;
    char byte;
    paths_begin(&paths);
    pipc_t *pipe = open_unix(paths_to(&paths, "file"), -1);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    close(open(paths_to(&paths, "file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    assert_int_equal(async_outcome(pipe), ENOTSOCK);
    assert_errno(pipc_read(pipe, &byte, 1), ENOTSOCK);
    pipc_close(pipe);
    unlink(paths_to(&paths, "file"));
    paths_end(&paths);
}

TEST(a_server_that_is_there_is_found_by_the_constructor)
{
    platform_needs(PLATFORM_EXACT);
    struct paths paths;
    pipc_credentials_t credentials = PIPC_CREDENTIALS_INIT;
    char byte;
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    pipc_t *pipe = open_unix(paths_to(&paths, "socket"), -1);
    assert_int_equal(pipc_credentials(pipe, &credentials), 0);
    assert_int_equal(credentials.pid, getpid());
    finish_with(pipe, server);
    for (int timeout_ms = -1; timeout_ms <= 0; timeout_ms++) {
        pipe = open_unix(paths_to(&paths, "socket"), timeout_ms);
        if (timeout_ms == -1)
            assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
        assert_int_equal(harness_readable(pipc_fd(pipe), 0), timeout_ms == -1); /* the news */
        assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
        assert_false(harness_readable(pipc_fd(pipe), 0));
        finish_with(pipe, server);
    }
    pipc_server_close(server);
    paths_end(&paths);
}

/* The socket has to be in the set behind the descriptor, or nobody would be woken. */
static pipc_t *meet_unwatched(const struct paths *paths, int error, pipc_server_t **server)
{
    pipc_t *pipe = open_unix(paths_to(paths, "socket"), -1);
    assert_true(pipc_fd(pipe) > 2);
    *server = paths_serve(paths_to(paths, "socket"), NULL);
    assert_true(harness_readable(pipc_fd(pipe), -1));
    fault_reset();
    fault_fail(CALL_epoll_ctl, 1, 0, error);
    fault_arm();
    ssize_t result = pipc_flush(pipe);
    int reported = errno;
    fault_disarm();
    assert_int_equal(result, -1);
    errno = reported;
    return pipe;
}

TEST(a_connection_that_the_kernel_cannot_watch_is_given_up)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct paths paths;
    char byte;
    pipc_server_t *server;
    paths_begin(&paths);
    pipc_t *pipe = meet_unwatched(&paths, ENOSPC, &server);
    assert_int_equal(errno, ENOSPC);
    assert_errno(pipc_write(pipe, "x", 1), ENOSPC);
    assert_errno(pipc_read(pipe, &byte, 1), ENOSPC);
    pipc_t *there = pipc_server_accept(server, 10000);
    assert_errno(pipc_read(there, &byte, 1), EPIPE);
    pipc_close(there);
    pipc_close(pipe);
    pipc_server_close(server);
    paths_end(&paths);
}

TEST(a_connection_that_the_kernel_has_no_memory_to_watch_is_watched_later)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct paths paths;
    pipc_server_t *server;
    paths_begin(&paths);
    pipc_t *pipe = meet_unwatched(&paths, ENOMEM, &server);
    assert_int_equal(errno, EAGAIN);
    for (ssize_t result = -1; result != 0;) {
        assert_true(harness_readable(pipc_fd(pipe), 10000));
        result = pipc_flush(pipe);
        assert_true(result == 0 || errno == EAGAIN);
    }
    finish_with(pipe, server);
    pipc_server_close(server);
    paths_end(&paths);
}

static int close_copy(void *pipe)
{
    pipc_close(pipe);
    return 0;
}

/* The server is silent: the child's copy goes first, and hangs up for nobody. */
TEST(a_handle_is_closed_in_the_middle_of_its_handshake)
{
    struct paths paths;
    char byte;
    pipc_options_t options = net_with_key("secret");
    paths_begin(&paths);
    const char *path = paths_to(&paths, "silent");
    int listener = paths_listen(path, 5);
    options.flags = PIPC_ASYNC;
    pipc_t *pipe = pipc_open_unix(path, -1, &options);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    assert_true(pipc_fd(pipe) > 2);
    int there = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(there >= 0);
    assert_int_equal(harness_wait(harness_fork(close_copy, pipe)), 0);
    assert_int_equal(recv(there, &byte, 1, 0), -1);
    assert_errno(pipc_read(pipe, &byte, 1), EAGAIN);
    pipc_close(pipe);
    assert_int_equal(recv(there, &byte, 1, 0), 0);
    close(there);
    close(listener);
    unlink(path);
    paths_end(&paths);
}

/* ---- hosts ---- */

static pipc_t *open_tcp(const char *host, uint16_t port, unsigned flags)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_ASYNC | flags;
    pipc_t *pipe = pipc_open_tcp(host, port, -1, &options);
    if (pipe != NULL)
        assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    return pipe;
}

/* It blocks: a call in an event loop must never ask it. */
TEST(the_resolver_is_asked_once_and_by_the_constructor)
{
    struct net_port port = net_reserve();
    fault_reset();
    fault_fail(CALL_getaddrinfo, 1, 0, EAI_AGAIN);
    fault_arm();
    pipc_t *pipe = open_tcp("localhost", port.number, PIPC_CONNECT_ONLY);
    int error = errno;
    fault_disarm();
    assert_null(pipe);
    assert_int_equal(error, EAGAIN);
    fault_reset();
    fault_arm();
    pipe = open_tcp("localhost", port.number, PIPC_CONNECT_ONLY);
    for (int i = 0; i < 20 && pipe != NULL; i++) {
        assert_errno(pipc_flush(pipe), EAGAIN);
        harness_readable(pipc_fd(pipe), 100);
    }
    unsigned long asked = fault_calls(CALL_getaddrinfo);
    fault_disarm();
    assert_non_null(pipe);
    assert_int_equal(asked, 1);
    pipc_close(pipe);
    close(port.fd);
}

TEST(a_host_that_is_none_fails_at_once)
{
    assert_null_errno(open_tcp("0.0.0.0", 7, 0), EINVAL);
    assert_null_errno(open_tcp("*", 7, 0), EINVAL);
    assert_null_errno(open_tcp("127.0.0.1", 0, 0), EINVAL);
}

/* Of the addresses of this host, the server has one that is not the first. */
TEST(each_address_of_a_host_is_tried)
{
    platform_needs(PLATFORM_KEEPALIVE);
    struct net_port port = net_reserve();
    int listener = net_listen(port.number); /* on 127.0.0.1 alone */
    pipc_t *pipe = open_tcp("::1", port.number, PIPC_CONNECT_ONLY);
    assert_non_null(pipe);
    assert_int_equal(async_outcome(pipe), 0);
    int there = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(there >= 0);
    net_expect_tuned(net_find_socket(port.fd + 1, false));
    close(there);
    pipc_close(pipe);
    close(listener);
    close(port.fd);
}

/* A system without a free port says EAGAIN, which would mean here that the peer may still come. */
TEST(an_attempt_for_which_no_port_was_free_is_no_EAGAIN_in_the_end)
{
    struct net_port port = net_reserve();
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_ASYNC | PIPC_CONNECT_ONLY;
    fault_reset();
    fault_fail(CALL_connect, 1, FAULT_FOREVER, EAGAIN);
    fault_arm();
    pipc_t *pipe = pipc_open_tcp("::1", port.number, 20, &options);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    for (int i = 0; i < 50 && pipc_flush(pipe) == -1 && errno == EAGAIN; i++)
        harness_readable(pipc_fd(pipe), 100);
    int error = errno;
    fault_disarm();
    assert_int_equal(error, ETIMEDOUT);
    pipc_close(pipe);
    close(port.fd);
}

/* ---- FIFOs ---- */

static pipc_t *open_fifo(const struct fifos *fifos, int timeout_ms)
{
    pipc_options_t options = fifos->options;
    options.flags = PIPC_ASYNC;
    pipc_t *pipe = pipc_open_fifo("x", timeout_ms, &options);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    return pipe;
}

TEST(a_caller_that_waits_gets_one_that_does_not)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pipc_t *pipe = open_fifo(&fifos, -1);
    pipc_t *there = pipc_open_fifo("x", 0, &fifos.options); /* finds the offer of the constructor */
    assert_non_null(there);
    assert_int_equal(async_outcome(pipe), 0);
    net_say(pipe, "ping");
    net_expect(there, "ping");
    pipc_close(there);
    pipc_close(pipe);
    pid_t waiter = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
    fifos_await_offer(&fifos, "x");
    pipe = open_fifo(&fifos, -1);
    assert_true(pipc_flush(pipe) >= 0); /* by the constructor; its message may be there too */
    assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
    assert_int_equal(fifos_introduce(pipe), 0);
    assert_int_equal(harness_wait(waiter), 0);
    fifos_end(&fifos);
}

TEST(many_asynchronous_callers_of_one_name_are_paired_off)
{
    enum { CALLERS = 10 };
    struct fifos fifos;
    pipc_t *pipes[CALLERS];
    fifos_begin(&fifos);
    for (int i = 0; i < CALLERS; i++)
        pipes[i] = open_fifo(&fifos, -1);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(async_outcome(pipes[i]), 0);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pipc_set_timeout(pipes[i], -1, -1), 0);
        net_say(pipes[i], "ping");
    }
    for (int i = 0; i < CALLERS; i++)
        net_expect(pipes[i], "ping");
    for (int i = 0; i < CALLERS; i++)
        pipc_close(pipes[i]);
    fifos_end(&fifos);
}

/* Within a second, which its descriptor reports. */
TEST(files_that_were_deleted_are_made_again)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    for (unsigned what = 1; what < FIFOS_SUBSETS; what <<= 1) {
        if (what == FIFOS_HOME)
            continue;
        pipc_t *pipe = open_fifo(&fifos, -1);
        assert_int_equal(fifos_count(&fifos), 4);
        fifos_clean(&fifos, what == FIFOS_DIRECTORY ? FIFOS_ALL & ~(unsigned)FIFOS_HOME : what);
        pid_t caller = fifos_fork_caller(&fifos, "x", FIFOS_LONG_MS);
        assert_int_equal(async_outcome(pipe), 0);
        assert_int_equal(pipc_set_timeout(pipe, -1, -1), 0);
        assert_int_equal(fifos_introduce(pipe), 0);
        assert_int_equal(harness_wait(caller), 0);
        fifos_assert_empty(&fifos);
    }
    fifos_end(&fifos);
}

static int open_and_be_killed(void *arg)
{
    static pipc_t *pipe;
    pipe = open_fifo(arg, -1);
    raise(SIGKILL);
    pipc_close(pipe);
    return 1;
}

TEST(a_caller_that_was_killed_is_no_obstacle)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    assert_int_equal(harness_wait(harness_fork(open_and_be_killed, &fifos)), -SIGKILL);
    assert_int_equal(fifos_count(&fifos), 4);
    fifos_assert_two_connect(&fifos, "x");
    fifos_end(&fifos);
}

/* It looks again soon, and its deadline holds. */
TEST(what_the_kernel_cannot_watch_or_others_are_faster_at_is_tried_again)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    struct fifos fifos;
    fifos_begin(&fifos);
    pipc_t *pipe = open_fifo(&fifos, -1);
    assert_true(pipc_fd(pipe) > 2);
    fault_reset();
    fault_fail(CALL_epoll_ctl, 2, 0, ENOMEM); /* the door goes back into the set */
    fault_arm();
    ssize_t result = pipc_flush(pipe);
    fault_disarm();
    assert_int_equal(result, -1);
    assert_int_equal(fault_failures(CALL_epoll_ctl), 1);
    assert_true(harness_readable(pipc_fd(pipe), -1));
    assert_errno(pipc_flush(pipe), EAGAIN);
    pipc_t *there = pipc_open_fifo("x", 0, &fifos.options);
    assert_int_equal(async_outcome(pipe), 0);
    pipc_close(there);
    pipc_close(pipe);
    fault_reset();
    fault_fail(CALL_renameat, 1, FAULT_FOREVER, ENOTEMPTY);
    fault_arm();
    pipe = open_fifo(&fifos, 20);
    int error = async_outcome(pipe);
    fault_disarm();
    assert_int_equal(error, ETIMEDOUT);
    pipc_close(pipe);
    fifos_end(&fifos);
}

/* The claimer is stopped before its commit: neither a call nor the descriptor waits for it. */
static int claim_and_stop(void *arg)
{
    fifos_await_offer(arg, "x");
    return fifos_stop_before_commit(arg);
}

TEST(a_deadline_that_passes_while_a_claimer_is_stopped_is_reported)
{
    struct fifos fifos;
    fifos_begin(&fifos);
    pid_t claimer = harness_fork(claim_and_stop, &fifos); /* first: it shares no descriptors */
    pipc_t *pipe = open_fifo(&fifos, 2000);
    assert_true(fifos_has_stopped(claimer));
    assert_int_equal(async_outcome(pipe), ETIMEDOUT);
    pipc_close(pipe);
    kill(claimer, SIGCONT);
    assert_int_equal(harness_wait(claimer), ETIMEDOUT);
    fifos_end(&fifos);
}

HARNESS_MAIN("async, places", IT(a_relative_path_begins_where_the_program_was_when_it_opened),
             IT(what_no_wait_would_change_the_constructor_returns_at_once),
             IT(without_a_server_its_descriptor_wakes_a_loop_20_times_a_second),
             IT(what_comes_to_the_path_later_is_reported_by_every_call),
             IT(a_server_that_is_there_is_found_by_the_constructor),
             IT(a_connection_that_the_kernel_cannot_watch_is_given_up),
             IT(a_connection_that_the_kernel_has_no_memory_to_watch_is_watched_later),
             IT(a_handle_is_closed_in_the_middle_of_its_handshake),
             IT(the_resolver_is_asked_once_and_by_the_constructor),
             IT(a_host_that_is_none_fails_at_once), IT(each_address_of_a_host_is_tried),
             IT(an_attempt_for_which_no_port_was_free_is_no_EAGAIN_in_the_end),
             IT(a_caller_that_waits_gets_one_that_does_not),
             IT(many_asynchronous_callers_of_one_name_are_paired_off),
             IT(files_that_were_deleted_are_made_again),
             IT(a_caller_that_was_killed_is_no_obstacle),
             IT(what_the_kernel_cannot_watch_or_others_are_faster_at_is_tried_again),
             IT(a_deadline_that_passes_while_a_claimer_is_stopped_is_reported))
