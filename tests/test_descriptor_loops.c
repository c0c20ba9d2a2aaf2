/* SPDX-License-Identifier: MIT */
/*
 * Event loops and the descriptor of pipc_fd, and how many descriptors a handle needs. libuv and
 * GLib make a polled descriptor non-blocking; this has no effect.
 */
#include "platform.h"
#include "polling.h"

#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "fault.h"
#include "fifos.h"
#include "moving.h"
#include "net.h"

static void make_nonblocking(int fd)
{
    int on = 1;
    assert_int_equal(ioctl(fd, FIONBIO, &on), 0); /* as libuv does */
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static void open_in_event_loop(struct peers *p, const struct kind *kind)
{
    open_polled(p, kind);
    make_nonblocking(p->a.fd);
    make_nonblocking(p->b.fd);
}

TEST_OF_KIND(a_nonblocking_descriptor_reports_messages_and_the_end)
{
    struct peers p;
    open_in_event_loop(&p, kind);
    for (int i = 0; i < 3; i++) {
        send_text(&p.a, "message");
        assert_readable(&p.b);
        drain(&p.b);
        assert_not_readable(&p.b);
    }
    peer_close(&p.a);
    assert_readable(&p.b);
    peers_close(&p);
}

TEST_OF_KIND(a_read_waits_when_the_program_made_the_descriptor_nonblocking)
{
    struct peers p;
    struct filled message = {100, 1, 0};
    char byte;
    open_in_event_loop(&p, kind);
    assert_int_equal(peer_set_timeout(&p.a, 50, -1), 0);
    int64_t start = harness_now_ms();
    assert_errno(peer_read(&p.a, &byte, 1), ETIMEDOUT);
    assert_true(harness_now_ms() - start >= 50);
    assert_int_equal(peer_set_timeout(&p.b, -1, -1), 0);
    peer_start(&p.b, read_filled, &message);
    send_filled(&p.a, message.size, message.tag);
    peer_finish(&p.b);
    peers_close(&p);
}

TEST_OF_KIND(a_write_waits_when_the_program_made_the_descriptor_nonblocking)
{
    struct peers p;
    struct filled messages = {100000, MORE_THAN_A_PIPE / 100000, 0};
    open_in_event_loop(&p, kind);
    assert_int_equal(peer_set_timeout(&p.a, -1, -1), 0);
    assert_int_equal(peer_set_timeout(&p.b, -1, -1), 0);
    peer_start(&p.b, write_filled, &messages);
    for (size_t i = 0; i < messages.count; i++)
        expect_filled(&p.a, messages.size, messages.tag + i);
    peer_finish(&p.b);
    peers_close(&p);
}

TEST(a_server_waits_when_the_program_made_its_descriptor_nonblocking)
{
    pipc_server_t *server = pipc_server_open(NULL, 0, NULL);
    assert_non_null(server);
    make_nonblocking(pipc_server_fd(server));
    int64_t start = harness_now_ms();
    assert_null_errno(pipc_server_accept(server, 50), ETIMEDOUT);
    assert_true(harness_now_ms() - start >= 50);
    int client = net_try_connect(pipc_server_port(server));
    assert_true(client >= 0);
    assert_true(harness_readable(pipc_server_fd(server), HARNESS_TIMEOUT_MS));
    pipc_t *pipe = pipc_server_accept(server, HARNESS_TIMEOUT_MS);
    assert_non_null(pipe);
    pipc_close(pipe);
    close(client);
    pipc_server_close(server);
}

/* --- The table of section 4 ------------------------------------------------------------------- */

static void need_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    if (fd == -1)
        harness_skip("without eventfd more descriptors are needed");
    close(fd);
}

static intmax_t wait_in_vain(struct peer *peer, void *unused)
{
    char byte;
    (void)unused;
    return pipc_set_timeout(peer->pipe, 20, -1) == 0 && pipc_read(peer->pipe, &byte, 1) == -1;
}

/* In this process both ends are open. */
enum { MOVED_AT_FIRST = 8 };
static void expect_descriptors(const struct kind *kind, int before, int at_first, int at_most)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    assert_int_equal(harness_open_descriptors(), before + at_first);
    send_text(&p.a, "message");
    expect_text(&p.b, "message");
    assert_true(peer_do(&p.a, wait_in_vain, NULL) && peer_do(&p.b, wait_in_vain, NULL));
    assert_true(peer_fd(&p.a) >= 0 && peer_fd(&p.b) >= 0);
    peer_set_timeout(&p.a, 0, 0);
    fill_pipe(&p.a, 1000, 0);
    int at_least = at_first == MOVED_AT_FIRST ? at_first : at_first + 2; /* pipc_fd adds none */
    assert_in_range(harness_open_descriptors(), before + at_least, before + at_most);
    peers_close(&p);
    assert_int_equal(harness_open_descriptors(), before);
}

TEST_OF_KIND(a_handle_needs_as_many_descriptors_as_the_manual_says)
{
    platform_needs(PLATFORM_DESCRIPTORS);
    int before = harness_open_descriptors();
    need_eventfd();
    assert_true(kind->descriptors > 0);
    bool has_doorbells = kind->descriptors < MOVED_AT_FIRST || moving_has_doorbells();
    expect_descriptors(kind, before, has_doorbells ? kind->descriptors : 2, kind->most_descriptors);
}

static pipc_t *adopt_socket(int fd)
{
    pipc_t *pipe = pipc_open_fds(fd, fd, NULL);
    assert_non_null(pipe);
    assert_int_equal(pipc_set_timeout(pipe, 0, 0), 0);
    return pipe;
}

static void read_byte(pipc_t *pipe)
{
    char byte;
    assert_int_equal(pipc_read(pipe, &byte, 1), 1);
}

/* A round of a server: a message, its answer, and a read that finds nothing more. */
TEST(an_echo_between_two_polls_makes_two_reads_and_one_write)
{
    char byte;
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    pipc_t *near = adopt_socket(fd[0]), *far = adopt_socket(fd[1]);
    assert_true(pipc_fd(near) >= 0);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(pipc_write(far, "x", 1), 1);
        fault_reset();
        fault_arm();
        assert_int_equal(pipc_read(near, &byte, 1), 1);
        assert_int_equal(pipc_write(near, &byte, 1), 1);
        assert_errno(pipc_read(near, &byte, 1), EAGAIN);
        fault_disarm();
        assert_int_equal(fault_calls(CALL_recv), 2);
        assert_int_equal(fault_calls(CALL_send), 1);
        assert_false(harness_readable(pipc_fd(near), 0));
        read_byte(far);
    }
    assert_int_equal(fault_calls(CALL_ANY), 3);
    pipc_close(near);
    pipc_close(far);
}

TEST(a_socket_needs_a_third_descriptor_while_messages_wait_and_there_is_no_room)
{
    platform_needs(PLATFORM_DESCRIPTORS);
    static char filling[1000];
    int fd[2], before = harness_open_descriptors();
    need_eventfd();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    pipc_t *near = adopt_socket(fd[0]), *far = adopt_socket(fd[1]);
    assert_true(pipc_fd(near) >= 0);
    assert_int_equal(harness_open_descriptors(), before + 3);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_write(far, "x", 1), 1);
    read_byte(near);
    assert_int_equal(harness_open_descriptors(), before + 3);
    while (pipc_write(near, filling, sizeof filling) >= 0)
        continue;
    assert_int_equal(harness_open_descriptors(), before + 4);
    assert_true(harness_readable(pipc_fd(near), 0));
    read_byte(near);
    assert_int_equal(harness_open_descriptors(), before + 3);
    assert_false(harness_readable(pipc_fd(near), 0));
    pipc_close(near);
    pipc_close(far);
}

static pipc_t *between; /* parent and child */

static void expect_more(int before, int more)
{
    assert_int_equal(harness_open_descriptors(), before + more);
}

static int child_with_all(void *arg)
{
    char byte;
    int before = *(int *)arg;
    assert_int_equal(pipc_set_timeout(between, 20, -1), 0);
    expect_more(before, 3);
    assert_int_equal(pipc_write(between, "x", 1), 1);
    assert_errno(pipc_read(between, &byte, 1), ETIMEDOUT);
    expect_more(before, 6);
    assert_true(pipc_fd(between) >= 0);
    expect_more(before, 5);
    assert_errno(pipc_read(between, &byte, 1), ETIMEDOUT);
    expect_more(before, 5);
    return 0;
}

static int child_that_polls_first(void *arg)
{
    char byte;
    int before = *(int *)arg;
    assert_true(pipc_fd(between) >= 0);
    expect_more(before, 5);
    assert_int_equal(pipc_set_timeout(between, 20, -1), 0);
    assert_errno(pipc_read(between, &byte, 1), ETIMEDOUT);
    expect_more(before, 5);
    return 0;
}

static int child_that_leaves(void *unused)
{
    (void)unused;
    assert_int_equal(pipc_write(between, "x", 1), 1);
    assert_int_equal(pipc_disconnect(between, NULL), 0);
    return 0;
}

static bool has_pidfd(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    close(fd);
    return fd >= 0;
}

TEST(an_anonymous_pipe_needs_at_most_six_descriptors_in_a_process_and_five_when_polled)
{
    platform_needs(PLATFORM_DESCRIPTORS);
    int before = harness_open_descriptors();
    char byte;
    need_eventfd();
    if (!has_pidfd())
        harness_skip("without pidfd_open fewer descriptors are needed");
    between = pipc_open(NULL);
    assert_non_null(between);
    expect_more(before, 3);
    assert_int_equal(pipc_set_timeout(between, 20, -1), 0);
    expect_more(before, 3);
    assert_errno(pipc_read(between, &byte, 1), ETIMEDOUT);
    expect_more(before, 5);
    assert_true(pipc_fd(between) >= 0);
    expect_more(before, 5);
    assert_int_equal(pipc_set_timeout(between, HARNESS_TIMEOUT_MS, -1), 0);
    pid_t child = harness_fork(child_with_all, &before);
    assert_int_equal(pipc_read(between, &byte, 1), 1);
    expect_more(before, 5);
    assert_errno(pipc_read(between, &byte, 1), EPIPE);
    assert_int_equal(harness_wait(child), 0);
    pipc_close(between);
}

TEST(an_anonymous_pipe_that_is_polled_first_needs_five_descriptors)
{
    platform_needs(PLATFORM_DESCRIPTORS);
    int before = harness_open_descriptors();
    need_eventfd();
    between = pipc_open(NULL);
    assert_non_null(between);
    assert_int_equal(pipc_set_timeout(between, -1, -1), 0);
    assert_int_equal(harness_wait(harness_fork(child_that_polls_first, &before)), 0);
    pipc_close(between);
}

/* Peers come and go, and for each of them something is there that can wake the program. */
TEST(an_anonymous_pipe_needs_five_descriptors_whatever_peer_comes)
{
    platform_needs(PLATFORM_DESCRIPTORS);
    int before = harness_open_descriptors();
    char byte;
    need_eventfd();
    between = pipc_open(NULL);
    assert_non_null(between);
    assert_true(pipc_fd(between) >= 0);
    for (int i = 0; i < 3; i++) {
        expect_more(before, 5);
        pid_t child = harness_fork(child_that_leaves, NULL);
        assert_int_equal(pipc_read(between, &byte, 1), 1);
        expect_more(before, 5);
        assert_errno(pipc_read(between, &byte, 1), ESHUTDOWN);
        assert_int_equal(harness_wait(child), 0);
    }
    pipc_close(between);
}

static void *wait_for_nobody(void *fifos)
{
    assert_null_errno(pipc_open_fifo("name", 200, &((struct fifos *)fifos)->options), ETIMEDOUT);
    return NULL;
}

/* The door is not opened here: a waiter whose door was opened holds a second one for a moment. */
TEST(waiting_for_a_FIFO_peer_needs_six_descriptors)
{
    struct fifos fifos;
    pthread_t thread;
    fifos_begin(&fifos);
    int before = harness_open_descriptors();
    assert_int_equal(pthread_create(&thread, NULL, wait_for_nobody, &fifos), 0);
    while (access(fifos_path(&fifos, "name/door"), F_OK) != 0)
        nanosleep(&(struct timespec){0, 200000}, NULL);
    assert_in_range(harness_open_descriptors(), before, before + 6);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(harness_open_descriptors(), before);
    fifos_end(&fifos);
}

TEST(a_server_needs_two_descriptors_and_one_for_each_address)
{
    platform_needs(PLATFORM_DESCRIPTORS);
    int before = harness_open_descriptors();
    pipc_server_t *server = pipc_server_open("127.0.0.1", 0, NULL);
    assert_non_null(server);
    assert_true(pipc_server_fd(server) >= 0);
    assert_int_equal(harness_open_descriptors(), before + 3);
    pipc_server_close(server);
}

HARNESS_MAIN("descriptor_loops", OVER_KINDS(a_nonblocking_descriptor_reports_messages_and_the_end),
             OVER_KINDS(a_read_waits_when_the_program_made_the_descriptor_nonblocking),
             OVER_KINDS(a_write_waits_when_the_program_made_the_descriptor_nonblocking),
             IT(a_server_waits_when_the_program_made_its_descriptor_nonblocking),
             OVER_KINDS(a_handle_needs_as_many_descriptors_as_the_manual_says),
             IT(an_echo_between_two_polls_makes_two_reads_and_one_write),
             IT(a_socket_needs_a_third_descriptor_while_messages_wait_and_there_is_no_room),
             IT(an_anonymous_pipe_needs_at_most_six_descriptors_in_a_process_and_five_when_polled),
             IT(an_anonymous_pipe_that_is_polled_first_needs_five_descriptors),
             IT(an_anonymous_pipe_needs_five_descriptors_whatever_peer_comes),
             IT(waiting_for_a_FIFO_peer_needs_six_descriptors),
             IT(a_server_needs_two_descriptors_and_one_for_each_address))
