/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that are no stream, whose flags cannot be set, whose numbers should be above 2 and
 * cannot be, or that take long to close.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "fds.h"
#include "fifos.h"
#include "net.h"
#include "paths.h"
#include "platform.h"

TEST(a_directory_is_EISDIR_and_stays_open)
{
    int fd[2], directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(directory >= 0);
    assert_int_equal(pipe(fd), 0);
    assert_null_errno(pipc_open_fds(directory, fd[1], NULL), EISDIR);
    assert_true(fcntl(directory, F_GETFD) >= 0);
    close(directory);
    close(fd[0]);
    close(fd[1]);
}

/* ---- flags ---- */

static void expect_blocking(const int fd[2])
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(fd[i], F_GETFL) & O_NONBLOCK, 0);
}

/* As a security module may forbid it. */
TEST(FIFOs_whose_flags_cannot_be_set_or_read_stay_as_they_were)
{
    int fd[2];
    pipc_t *pipe = NULL;
    fifos_make_unnamed(fd);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(fd[i], F_SETFL, 0), 0);
    for (unsigned long nth = 1; pipe == NULL; nth++) {
        assert_true(nth < 20);
        fault_reset();
        fault_fail(CALL_fcntl, nth, 0, EPERM);
        fault_arm();
        pipe = pipc_open_fds(fd[0], fd[1], NULL);
        int error = errno;
        fault_disarm();
        if (pipe == NULL) {
            assert_int_equal(error, EPERM);
            expect_blocking(fd);
        }
    }
    assert_true(fault_calls(CALL_fcntl) >= 4);
    pipc_close(pipe);
}

/* ---- numbers ---- */

/* No number from 3 on may be had, and 0 is free: fcntl then says EINVAL. */
static int open_where_3_is_too_much(void *unused)
{
    pipc_t *end[2];
    (void)unused;
    close(STDIN_FILENO);
    harness_limit(RLIMIT_NOFILE, 3);
    if (pipc_open(NULL) != NULL || errno != EMFILE)
        return 1;
    return pipc_open_pair(end, NULL) == -1 && errno == EMFILE ? 0 : 2;
}

TEST(a_limit_of_3_descriptors_is_EMFILE)
{
    assert_int_equal(harness_wait(harness_fork(open_where_3_is_too_much, NULL)), 0);
}

static int accept_where_3_is_too_much(void *server)
{
    close(STDIN_FILENO);
    harness_limit(RLIMIT_NOFILE, 3);
    return pipc_server_accept(server, 0) == NULL && errno == EAGAIN ? 0 : 1;
}

TEST(a_server_with_a_limit_of_3_descriptors_leaves_its_clients_in_the_queue)
{
    struct paths paths;
    paths_begin(&paths);
    pipc_server_t *server = paths_serve(paths_to(&paths, "socket"), NULL);
    pipc_t *client = pipc_open_unix(paths_to(&paths, "socket"), 0, NULL);
    assert_non_null(client);
    assert_int_equal(harness_wait(harness_fork(accept_where_3_is_too_much, server)), 0);
    paths_assert_talk(client, server);
    pipc_server_close(server);
    paths_end(&paths);
}

/* A descriptor that comes finds 0 alone, which is none for a program. */
static int receive_where_only_0_is_free(void *unused)
{
    int raw, own[2];
    (void)unused;
    pipc_t *pipe = fds_open_raw(&raw, 0);
    assert_int_equal(pipe2(own, O_CLOEXEC), 0);
    fds_send_raw(raw, "\0\0\0\1x", 5, own, 1);
    int next = dup(own[0]);
    close(next);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)next);
    close(STDIN_FILENO);
    char byte;
    for (int i = 0; i < 3; i++)
        assert_errno(pipc_read(pipe, &byte, 1), EMFILE);
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
    harness_limit(RLIMIT_NOFILE, before);
    fds_expect(pipe, "x");
    assert_int_equal(fds_take_all(pipe), 1);
    pipc_close(pipe);
    return 0;
}

TEST(a_descriptor_that_comes_waits_while_only_0_is_free)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    assert_int_equal(harness_wait(harness_fork(receive_where_only_0_is_free, NULL)), 0);
}

/* select, which waits where poll is refused, knows numbers up to 1,023. */
static int wait_with_a_high_number(void *unused)
{
    int fd[2];
    char byte;
    struct rlimit limit;
    (void)unused;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < 2000)
        return HARNESS_SKIP_STATUS;
    rlim_t before = harness_limit(RLIMIT_NOFILE, 2000);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    int high = fcntl(fd[0], F_DUPFD_CLOEXEC, 1100);
    close(fd[0]);
    pipc_t *pipe = harness_adopt(high, high, NULL);
    assert_int_equal(pipc_set_timeout(pipe, 10000, 10000), 0);
    harness_limit(RLIMIT_NOFILE, 0);
    assert_errno(pipc_read(pipe, &byte, 1), EINVAL);
    harness_limit(RLIMIT_NOFILE, before);
    pipc_close(pipe);
    close(fd[1]);
    return 0;
}

TEST(a_wait_for_a_number_above_1023_is_EINVAL_where_no_descriptors_are_allowed)
{
    int status = harness_wait(harness_fork(wait_with_a_high_number, NULL));
    if (status == HARNESS_SKIP_STATUS)
        harness_skip("may not have 2,000 descriptors");
    assert_int_equal(status, 0);
}

static struct linger linger_of(int fd)
{
    struct linger linger = {-1, -1};
    socklen_t size = sizeof linger;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size), 0);
    return linger;
}

enum parting { CLOSED, CLOSED_IN_A_CHILD, DETACHED };

static int close_handle(void *pipe)
{
    pipc_close(pipe);
    return 0;
}

/* What the socket asks for after it was adopted, and the handle was closed or detached. */
static int on_after(struct linger linger, enum parting parting)
{
    struct net_port port = net_reserve();
    int listener = net_listen(port.number), fd = net_connect(port.number), fds[2];
    int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC), copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    pipc_t *pipe = pipc_open_fds(fd, fd, NULL);
    assert_non_null(pipe);
    assert_int_equal(linger_of(copy).l_onoff, linger.l_onoff);
    if (parting == CLOSED_IN_A_CHILD)
        assert_int_equal(harness_wait(harness_fork(close_handle, pipe)), 0);
    if (parting == DETACHED)
        assert_int_equal(pipc_detach(pipe, fds), 0);
    else if (parting == CLOSED)
        pipc_close(pipe);
    int on = linger_of(copy).l_onoff;
    if (parting == CLOSED_IN_A_CHILD)
        pipc_close(pipe);
    if (parting == DETACHED)
        close(fd);
    close(copy);
    close(peer);
    close(listener);
    close(port.fd);
    return on;
}

/* close(2) waits as long, while the peer reads nothing. A reset waits for nobody. */
TEST(close_switches_off_SO_LINGER_that_would_make_it_wait)
{
    assert_int_equal(on_after((struct linger){1, 100}, CLOSED), 0);
    assert_int_equal(on_after((struct linger){1, 0}, CLOSED), 1);
    assert_int_equal(on_after((struct linger){0, 0}, CLOSED), 0);
    assert_int_equal(on_after((struct linger){1, 1}, CLOSED_IN_A_CHILD), 1);
    assert_int_equal(on_after((struct linger){1, 1}, DETACHED), 1);
}

HARNESS_MAIN("odd descriptors", IT(a_directory_is_EISDIR_and_stays_open),
             IT(FIFOs_whose_flags_cannot_be_set_or_read_stay_as_they_were),
             IT(close_switches_off_SO_LINGER_that_would_make_it_wait),
             IT(a_limit_of_3_descriptors_is_EMFILE),
             IT(a_server_with_a_limit_of_3_descriptors_leaves_its_clients_in_the_queue),
             IT(a_descriptor_that_comes_waits_while_only_0_is_free),
             IT(a_wait_for_a_number_above_1023_is_EINVAL_where_no_descriptors_are_allowed))
