/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that the caller opened: who owns them and when, which flags are changed and
 * restored, and descriptors that are neither pipes nor sockets. Tests of all kinds cover the
 * messages.
 */
#include "fault.h"
#include "fifos.h"
#include "harness.h"
#include "net.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform.h"
#include "sys/linux/sys_linux.h"

static bool is_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    assert_true(flags >= 0);
    return (flags & O_NONBLOCK) != 0;
}

static void set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    assert_int_equal(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), 0);
}

static int duplicate(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    assert_true(copy >= 0);
    return copy;
}

/* --- Ownership -------------------------------------------------------------------------------- */

static void check_refusal(int read_fd, int write_fd, const pipc_options_t *options, int error)
{
    assert_null_errno(pipc_open_fds(read_fd, write_fd, options), error);
    if (read_fd >= 0)
        assert_false(is_nonblocking(read_fd)); /* and open */
    if (write_fd >= 0)
        assert_false(is_nonblocking(write_fd));
}

/* They take connections, and no bytes. */
static void check_listening_sockets(void)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        int listener = socket(families[i], SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr unnamed = {.sa_family = AF_UNIX};
        if (listener < 0)
            continue; /* no IPv6 here */
        if (families[i] == AF_UNIX)
            assert_int_equal(bind(listener, &unnamed, sizeof unnamed.sa_family), 0);
        assert_int_equal(listen(listener, 1), 0);
        check_refusal(listener, listener, NULL, EINVAL);
        close(listener);
    }
}

TEST(descriptors_stay_the_callers_when_the_handle_is_not_made)
{
    int fd[2], datagrams[2];
    pipc_options_t options = PIPC_OPTIONS_INIT;
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, datagrams), 0);
    check_refusal(-1, fd[1], NULL, EBADF);
    check_refusal(fd[0], -1, NULL, EBADF);
    check_refusal(-1, -1, NULL, EBADF);
    check_refusal(fd[1], fd[1], NULL, EINVAL); /* it cannot be read */
    check_refusal(fd[0], fd[0], NULL, EINVAL); /* nor write there */
    check_refusal(datagrams[0], datagrams[0], NULL, EINVAL);
    check_listening_sockets();
    options.flags = 0x80000000u;
    check_refusal(fd[0], fd[1], &options, EINVAL);
    options = (pipc_options_t)PIPC_OPTIONS_INIT;
    options.struct_size = 1;
    check_refusal(fd[0], fd[1], &options, EINVAL);
    for (int i = 0; i < 2; i++) {
        close(fd[i]);
        close(datagrams[i]);
    }
}

static void check_closes(pipc_t *pipe, unsigned long count)
{
    assert_non_null(pipe);
    fault_reset();
    fault_arm();
    pipc_close(pipe);
    fault_disarm();
    assert_int_equal(fault_calls(CALL_close), count);
    assert_int_equal(fault_bad_closes(), 0);
}

TEST(each_descriptor_is_closed_exactly_once)
{
    int one[2], two[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, one), 0);
    check_closes(pipc_open_fds(one[0], one[0], NULL), 1);
    close(one[1]);
    assert_int_equal(pipe2(two, O_CLOEXEC), 0);
    check_closes(pipc_open_fds(two[0], two[1], NULL), 2);
    assert_int_equal(pipe2(two, O_CLOEXEC), 0);
    pipc_t *pipe = pipc_open_fds(two[0], two[1], NULL);
    assert_int_equal(pipc_shutdown(pipe), 0);
    pipc_close(pipe);
    assert_int_equal(fcntl(two[0], F_GETFD), -1);
    assert_int_equal(fcntl(two[1], F_GETFD), -1);
}

TEST(the_library_opens_a_descriptor_only_when_pipc_fd_is_called)
{
    pipc_t *end[2];
    char buffer[8];
    int fd[2], before = harness_open_descriptors();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    end[0] = harness_adopt(fd[0], fd[0], NULL);
    end[1] = harness_adopt(fd[1], fd[1], NULL);
    assert_int_equal(pipc_write(end[0], "message", 7), 7);
    assert_int_equal(pipc_read(end[1], buffer, sizeof buffer), 7);
    assert_int_equal(harness_open_descriptors(), before + 2);
    assert_true(pipc_fd(end[0]) >= 0);
    assert_true(harness_open_descriptors() > before + 2);
    pipc_close(end[0]);
    pipc_close(end[1]);
}

/* --- Flags ------------------------------------------------------------------------------------ */

/* A pipe on a kernel before 6.4, or behind a filter, needs the flag as a FIFO does. */
static bool takes_nowait(int fd)
{
    char byte;
    struct iovec part = {&byte, 1};
    return preadv2(fd, &part, 1, -1, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

static void check_flags(const int fd[2], bool in_was, bool out_was, bool shut_down, bool left_alone)
{
    int in = duplicate(fd[0]), out = duplicate(fd[1]);
    set_nonblocking(in, in_was);
    set_nonblocking(out, out_was);
    pipc_t *pipe = pipc_open_fds(fd[0], fd[1], NULL);
    assert_non_null(pipe);
    assert_int_equal(is_nonblocking(in), !left_alone || in_was);
    assert_int_equal(is_nonblocking(out), !left_alone || out_was);
    if (shut_down)
        assert_int_equal(pipc_shutdown(pipe), 0);
    pipc_close(pipe);
    assert_int_equal(is_nonblocking(in), in_was);
    assert_int_equal(is_nonblocking(out), out_was);
    close(in);
    close(out);
}

TEST(O_NONBLOCK_of_a_pipe_is_not_changed)
{
    platform_needs(PLATFORM_PIPES);
    for (int i = 0; i < 8; i++) {
        int fd[2];
        assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
        check_flags(fd, i & 1, i & 2, i & 4, takes_nowait(fd[0]));
    }
}

TEST(O_NONBLOCK_of_a_FIFO_is_set_until_close_restores_it)
{
    for (int i = 0; i < 8; i++) {
        int fd[2];
        fifos_make_unnamed(fd);
        check_flags(fd, i & 1, i & 2, i & 4, false);
    }
}

TEST(O_NONBLOCK_of_a_socket_is_not_changed)
{
    for (int was = 0; was < 2; was++) {
        int fd[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
        int write_fd = duplicate(fd[0]), watched = duplicate(fd[0]);
        set_nonblocking(watched, was);
        pipc_t *pipe = pipc_open_fds(fd[0], write_fd, NULL);
        assert_non_null(pipe);
        assert_int_equal(is_nonblocking(watched), was);
        pipc_close(pipe);
        assert_int_equal(is_nonblocking(watched), was);
        close(watched);
        close(fd[1]);
    }
}

/* Two numbers, one open file: the flag that the first got must not be taken for the second's
 * own. */
TEST(close_restores_O_NONBLOCK_of_a_terminal_that_is_both_descriptors)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        harness_skip("no pseudo-terminals here");
    for (int was = 0; was < 2; was++) {
        int fd = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(fd >= 0);
        int write_fd = duplicate(fd), watched = duplicate(fd);
        set_nonblocking(watched, was);
        pipc_t *pipe = pipc_open_fds(fd, write_fd, NULL);
        assert_non_null(pipe);
        assert_true(is_nonblocking(watched));
        pipc_close(pipe);
        assert_int_equal(is_nonblocking(watched), was);
        close(watched);
    }
    close(master);
}

static int close_in_child(void *pipe)
{
    pipc_close(pipe);
    return 0;
}

TEST(a_close_in_a_child_does_not_restore_the_flags_of_the_parent)
{
    int fd[2];
    fifos_make_unnamed(fd);
    set_nonblocking(fd[0], false);
    pipc_t *pipe = pipc_open_fds(fd[0], fd[1], NULL);
    assert_non_null(pipe);
    assert_int_equal(harness_wait(harness_fork(close_in_child, pipe)), 0);
    assert_true(is_nonblocking(fd[0]) && is_nonblocking(fd[1]));
    pipc_close(pipe);
}

TEST(close_on_exec_is_not_changed)
{
    for (int flag = 0; flag <= FD_CLOEXEC; flag += FD_CLOEXEC) {
        int fd[2];
        assert_int_equal(pipe(fd), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(fcntl(fd[i], F_SETFD, flag), 0);
        pipc_t *pipe = pipc_open_fds(fd[0], fd[1], NULL);
        assert_non_null(pipe);
        assert_true(pipc_fd(pipe) >= 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(fcntl(fd[i], F_GETFD), flag);
        pipc_close(pipe);
    }
}

/* --- Regular files ---------------------------------------------------------------------------- */

/* An empty file without a name, opened so many times: each has a position of its own. */
static void open_temporary_file(int fd[], int count)
{
    char name[] = "/tmp/pipc-test-XXXXXX";
    fd[0] = mkostemp(name, O_CLOEXEC);
    assert_true(fd[0] >= 0);
    for (int i = 1; i < count; i++) {
        fd[i] = open(name, O_RDWR | O_CLOEXEC);
        assert_true(fd[i] >= 0);
    }
    assert_int_equal(unlink(name), 0);
}

static pipc_t *open_file(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    pipc_t *pipe = pipc_open_fds(fd, null, NULL);
    assert_non_null(pipe);
    return pipe;
}

static void write_file(int fd, size_t large)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    unsigned char *data = malloc(large);
    harness_fill(data, large, 1);
    pipc_t *pipe = pipc_open_fds(null, fd, NULL);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0); /* a file never makes one wait */
    assert_int_equal(pipc_write(pipe, "hi", 2), 2);
    assert_int_equal(pipc_write(pipe, "", 0), 0);
    assert_int_equal(pipc_write(pipe, data, large), large);
    free(data);
    pipc_close(pipe);
}

TEST(messages_are_written_to_a_file_and_read_from_it)
{
    enum { LARGE = 3 << 20 };
    int file[3];
    char head[10], buffer[8];
    pipc_msg_t message;
    open_temporary_file(file, 3);
    write_file(file[0], LARGE);
    assert_int_equal(read(file[1], head, sizeof head), 10);
    assert_memory_equal(head, "\0\0\0\2hi\0\0\0\0", 10);
    close(file[1]);
    pipc_t *pipe = open_file(file[2]);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    assert_int_equal(pipc_read(pipe, buffer, sizeof buffer), 2);
    assert_int_equal(pipc_read(pipe, buffer, sizeof buffer), 0);
    assert_int_equal(pipc_read_msg(pipe, &message), 0);
    assert_int_equal(message.size, LARGE);
    harness_check(message.data, LARGE, 1);
    pipc_msg_free(&message);
    for (int i = 0; i < 2; i++)
        assert_errno(pipc_read(pipe, buffer, sizeof buffer), EPIPE);
    pipc_close(pipe);
}

/* As on disks far away. */
TEST(a_write_to_a_file_goes_on_after_a_signal)
{
    int file[2];
    char head[7];
    open_temporary_file(file, 2);
    pipc_t *pipe = harness_adopt(open("/dev/null", O_RDONLY | O_CLOEXEC), file[0], NULL);
    fault_reset();
    fault_fail(CALL_writev, 1, 2, EINTR);
    fault_arm();
    ssize_t sent = pipc_write(pipe, "abc", 3);
    fault_disarm();
    assert_int_equal(sent, 3);
    assert_int_equal(read(file[1], head, sizeof head), 7);
    assert_memory_equal(head, "\0\0\0\3abc", 7);
    close(file[1]);
    pipc_close(pipe);
}

TEST(a_read_returns_ECONNRESET_when_a_file_ends_inside_a_message)
{
    int file[3];
    char buffer[8];
    open_temporary_file(file, 3);
    write_file(file[0], 100);
    assert_int_equal(ftruncate(file[1], 4 + 2 + 4 + 4 + 99), 0);
    close(file[1]);
    pipc_t *pipe = open_file(file[2]);
    assert_int_equal(pipc_read(pipe, buffer, sizeof buffer), 2);
    assert_int_equal(pipc_read(pipe, buffer, sizeof buffer), 0);
    assert_errno(pipc_skip(pipe), ECONNRESET);
    assert_errno(pipc_skip(pipe), ECONNRESET);
    pipc_close(pipe);
}

TEST(a_file_can_be_read_but_not_polled)
{
    int file[2];
    char buffer[8];
    open_temporary_file(file, 2);
    write_file(file[0], 100);
    pipc_t *pipe = open_file(file[1]);
    assert_errno(pipc_fd(pipe), EPERM);
    assert_int_equal(pipc_read(pipe, buffer, sizeof buffer), 2);
    assert_errno(pipc_fd(pipe), EPERM);
    assert_int_equal(pipc_pending(pipe), 2);
    pipc_close(pipe);
}

/* --- Odd numbers ------------------------------------------------------------------------------ */

static int without_standard_descriptors(void *unused)
{
    pipc_t *end[2];
    char buffer[8];
    (void)unused;
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    assert_true(pipc_fd(end[1]) >= 0);
    assert_int_equal(pipc_write(end[0], "message", 7), 7);
    assert_true(harness_readable(pipc_fd(end[1]), -1));
    assert_int_equal(pipc_read(end[1], buffer, sizeof buffer), 7);
    pipc_close(end[0]);
    assert_errno(pipc_read(end[1], buffer, sizeof buffer), EPIPE);
    pipc_close(end[1]);
    return 42;
}

TEST(descriptors_0_to_2_can_be_adopted)
{
    assert_int_equal(harness_wait(harness_fork(without_standard_descriptors, NULL)), 42);
}

/* --- Packets ---------------------------------------------------------------------------------- */

/* Each read of such a pipe brings what one write gave. */
TEST(pending_counts_all_messages_when_reads_are_short)
{
    int fd[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pipc_msg_t messages[4];
    assert_int_equal(pipe2(fd, O_CLOEXEC | O_DIRECT), 0);
    pipc_t *pipe = pipc_open_fds(fd[0], null, NULL);
    assert_non_null(pipe);
    for (int i = 0; i < 8; i++)
        assert_int_equal(write(fd[1], "\0\0\0\2hi", 6), 6);
    assert_int_equal(pipc_read_pending(pipe, messages, 4), 4);
    for (int i = 0; i < 4; i++)
        pipc_msg_free(&messages[i]);
    assert_int_equal(pipc_pending(pipe), 4);
    pipc_close(pipe);
    close(fd[1]);
}

/* --- A slow stream ---------------------------------------------------------------------------- */

/* A message of almost 64 MiB, a few bytes at a time, until the reader has gone. */
static void *trickle(void *arg)
{
    int fd = *(int *)arg;
    static const char bytes[] = "\3\377\377\377............";
    while (send(fd, bytes, sizeof bytes - 1, MSG_NOSIGNAL) > 0)
        continue;
    return NULL;
}

TEST(a_read_ends_at_its_deadline_while_bytes_keep_arriving)
{
    int fd[2];
    pipc_msg_t message;
    pthread_t thread;
    int64_t late = INT64_MAX;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    pipc_t *pipe = pipc_open_fds(fd[0], fd[0], NULL);
    assert_non_null(pipe);
    assert_int_equal(pthread_create(&thread, NULL, trickle, &fd[1]), 0);
    assert_int_equal(pipc_set_timeout(pipe, 60, 60), 0);
    for (int i = 0; i < 5 && late > 50 * harness_scale(); i++) {
        int64_t begin = harness_now_ms();
        assert_errno(pipc_skip(pipe), ETIMEDOUT);
        late = harness_now_ms() - begin - 60;
    }
    assert_errno(pipc_read_msg(pipe, &message), ETIMEDOUT);
    assert_in_range(late, 0, 50 * harness_scale());
    pipc_close(pipe);
    pthread_join(thread, NULL);
    close(fd[1]);
}

/* The kernel reports it to one read; the next would find an end. */
TEST(a_read_with_timeout_0_returns_ECONNRESET_after_a_reset)
{
    struct net_port port = net_reserve();
    int listener = net_listen(port.number), client = net_connect(port.number);
    pipc_t *pipe = harness_adopt(client, client, NULL);
    char byte;
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    net_reset(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    assert_true(harness_readable(pipc_fd(pipe), -1));
    for (int i = 0; i < 3; i++)
        assert_errno(pipc_read(pipe, &byte, 1), ECONNRESET);
    assert_errno(pipc_write(pipe, "x", 1), ECONNRESET);
    pipc_close(pipe);
    close(listener);
    close(port.fd);
}

HARNESS_MAIN("adopted", IT(descriptors_stay_the_callers_when_the_handle_is_not_made),
             IT(each_descriptor_is_closed_exactly_once),
             IT(the_library_opens_a_descriptor_only_when_pipc_fd_is_called),
             IT(O_NONBLOCK_of_a_pipe_is_not_changed), IT(O_NONBLOCK_of_a_socket_is_not_changed),
             IT(O_NONBLOCK_of_a_FIFO_is_set_until_close_restores_it),
             IT(close_restores_O_NONBLOCK_of_a_terminal_that_is_both_descriptors),
             IT(a_close_in_a_child_does_not_restore_the_flags_of_the_parent),
             IT(close_on_exec_is_not_changed), IT(messages_are_written_to_a_file_and_read_from_it),
             IT(a_write_to_a_file_goes_on_after_a_signal),
             IT(a_read_returns_ECONNRESET_when_a_file_ends_inside_a_message),
             IT(a_file_can_be_read_but_not_polled), IT(descriptors_0_to_2_can_be_adopted),
             IT(pending_counts_all_messages_when_reads_are_short),
             IT(a_read_ends_at_its_deadline_while_bytes_keep_arriving),
             IT(a_read_with_timeout_0_returns_ECONNRESET_after_a_reset))
