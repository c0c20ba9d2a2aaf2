/* SPDX-License-Identifier: MIT */
/*
 * Fork and exec on every kind of pipe: fork with unread messages, which process continues, and
 * many descriptors. Who may hold an end of an anonymous pipe is tested elsewhere.
 */
#include "peers.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- Fork ------------------------------------------------------------------------------------- */

/* What a has when the process forks: one message in its queue, and the first part of another. */
static void half_read(struct peers *p, const struct kind *kind)
{
    unsigned char *data = malloc(MORE_THAN_A_PIPE);
    harness_fill(data, MORE_THAN_A_PIPE, 2);
    peers_open(p, kind, NULL);
    peer_set_timeout(&p->b, -1, 0);
    send_filled(&p->b, 100, 1);
    assert_int_equal(peer_write(&p->b, data, MORE_THAN_A_PIPE), MORE_THAN_A_PIPE);
    expect_pending(&p->a, 1);
    free(data);
}

static intmax_t send_the_rest(struct peer *b, void *unused)
{
    (void)unused;
    peer_set_timeout(b, -1, -1);
    assert_int_equal(peer_flush(b), 0);
    send_filled(b, 1000, 3);
    expect_filled(b, MORE_THAN_A_PIPE, 4);
    return 0;
}

static void go_on(struct peer *a)
{
    expect_filled(a, 100, 1);
    expect_filled(a, MORE_THAN_A_PIPE, 2);
    expect_filled(a, 1000, 3);
    send_filled(a, MORE_THAN_A_PIPE, 4);
}

static int close_inherited(void *arg)
{
    struct peers *p = arg;
    pipc_close(p->a.pipe);
    if (!p->kind->same_handle)
        pipc_close(p->b.pipe);
    return 0;
}

static int close_inherited_at_once(void *arg)
{
    (void)arg;
    _exit(0);
}

static void parent_goes_on(const struct kind *kind, int (*child)(void *arg))
{
    struct peers p;
    half_read(&p, kind);
    assert_int_equal(harness_wait(harness_fork(child, &p)), 0);
    peer_start(&p.b, send_the_rest, NULL);
    go_on(&p.a);
    assert_int_equal(peer_finish(&p.b), 0);
    peers_close(&p);
}

TEST_OF_KIND(after_fork_the_parent_continues_when_the_child_closes)
{
    parent_goes_on(kind, close_inherited);
}

TEST_OF_KIND(after_fork_the_parent_continues_when_the_child_exits)
{
    parent_goes_on(kind, close_inherited_at_once);
}

static int child_goes_on(void *arg)
{
    struct peers *p = arg;
    pipc_close(p->b.pipe);
    go_on(&p->a);
    peer_close(&p->a);
    return 0;
}

TEST_OF_KIND(after_fork_the_child_continues_when_the_parent_closes)
{
    struct peers p;
    half_read(&p, kind);
    pid_t pid = harness_fork(child_goes_on, &p);
    peer_close(&p.a);
    peer_start(&p.b, send_the_rest, NULL);
    assert_int_equal(peer_finish(&p.b), 0);
    assert_int_equal(harness_wait(pid), 0);
    char buffer[8];
    assert_errno(peer_read(&p.b, buffer, sizeof buffer), EPIPE);
    peers_close(&p);
}

/* The parent's close gives adopted descriptors their flags back, which the child shares. */
static int child_does_not_block(void *arg)
{
    struct peers *p = arg;
    char buffer[8];
    pipc_close(p->b.pipe);
    expect_text(&p->a, "parent has closed");
    assert_int_equal(peer_set_timeout(&p->a, 0, 0), 0);
    assert_errno(peer_read(&p->a, buffer, sizeof buffer), EAGAIN);
    fill_pipe(&p->a, 1000, 0);
    assert_int_equal(peer_set_timeout(&p->a, 30, 30), 0);
    assert_errno(peer_read(&p->a, buffer, sizeof buffer), ETIMEDOUT);
    peer_close(&p->a);
    return 0;
}

TEST_OF_KIND(after_fork_the_child_keeps_its_timeouts_when_the_parent_closes)
{
    struct peers p;
    peers_open(&p, kind, NULL);
    pid_t pid = harness_fork(child_does_not_block, &p);
    peer_close(&p.a);
    send_text(&p.b, "parent has closed");
    assert_int_equal(harness_wait(pid), 0);
    peers_close(&p);
}

enum { TALK = 200 };

static int echo(struct peer *b, void *unused)
{
    (void)unused;
    for (uint64_t tag = 0; tag < TALK; tag++) {
        expect_filled(b, (size_t)(100 * tag), tag);
        send_filled(b, (size_t)(100 * tag), tag);
    }
    return 0;
}

TEST_OF_KIND(two_processes_talk)
{
    struct peers p;
    char buffer[8];
    pid_t pid = peers_fork(&p, kind, NULL, echo, NULL);
    for (uint64_t tag = 0; tag < TALK; tag++) {
        send_filled(&p.a, (size_t)(100 * tag), tag);
        expect_filled(&p.a, (size_t)(100 * tag), tag);
    }
    assert_errno(peer_read(&p.a, buffer, sizeof buffer), EPIPE);
    assert_int_equal(harness_wait(pid), 0);
    peers_close(&p);
}

/* --- Exec ------------------------------------------------------------------------------------- */

/* What a program that this one executes finds open, as text. */
static void list_descriptors_after_exec(char *text, size_t size)
{
    int out[2];
    size_t length = 0;
    ssize_t got;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", "ls /proc/$$/fd; exit 0", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    while ((got = read(out[0], text + length, size - length - 1)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    close(out[0]);
    assert_int_equal(harness_wait(pid), 0);
}

TEST_OF_KIND(no_descriptor_survives_exec)
{
    struct peers p;
    char before[4096], after[4096];
    list_descriptors_after_exec(before, sizeof before);
    peers_open(&p, kind, NULL);
    assert_true(peer_fd(&p.a) >= 0 && peer_fd(&p.b) >= 0);
    send_text(&p.a, "one");
    send_text(&p.a, "two");
    expect_text(&p.b, "one");
    list_descriptors_after_exec(after, sizeof after);
    assert_string_equal(after, before);
    expect_text(&p.b, "two"); /* and the pipe is none the worse for it */
    send_text(&p.b, "back");
    expect_text(&p.a, "back");
    peers_close(&p);
}

/* --- Many descriptors ------------------------------------------------------------------------- */

enum { MANY = 1100 };

static void occupy_descriptors(int fd[MANY])
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < MANY + 100)
        harness_skip("needs more descriptors than the limit allows");
    limit.rlim_cur = MANY + 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < MANY; i++)
        assert_true((fd[i] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0);
}

TEST_OF_KIND(descriptors_over_1024_can_be_used)
{
    struct peers p;
    int fd[MANY];
    char buffer[8];
    occupy_descriptors(fd);
    peers_open(&p, kind, NULL);
    int a = peer_fd(&p.a), b = peer_fd(&p.b);
    assert_true(a > 1024 && b > 1024);
    peer_start(&p.b, read_filled, &(struct filled){MORE_THAN_A_PIPE, 1, 1});
    send_filled(&p.a, MORE_THAN_A_PIPE, 1);
    assert_int_equal(peer_finish(&p.b), 0);
    assert_false(harness_readable(b, 0));
    send_text(&p.a, "poll");
    assert_true(harness_readable(b, -1));
    expect_text(&p.b, "poll");
    peer_close(&p.a);
    assert_true(harness_readable(b, -1));
    assert_errno(peer_read(&p.b, buffer, sizeof buffer), EPIPE);
    peers_close(&p);
    for (int i = 0; i < MANY; i++)
        close(fd[i]);
}

HARNESS_MAIN("process", OVER_KINDS(after_fork_the_parent_continues_when_the_child_closes),
             OVER_KINDS(after_fork_the_parent_continues_when_the_child_exits),
             OVER_TWO_HANDLE_KINDS(after_fork_the_child_continues_when_the_parent_closes),
             OVER_TWO_HANDLE_KINDS(after_fork_the_child_keeps_its_timeouts_when_the_parent_closes),
             OVER_KINDS(two_processes_talk), OVER_KINDS(no_descriptor_survives_exec),
             OVER_KINDS(descriptors_over_1024_can_be_used))
