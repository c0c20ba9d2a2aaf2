/* SPDX-License-Identifier: MIT */
/*
 * A living peer is never reported dead, whatever its program does with descriptors. A dead peer is
 * always detected, also when a descriptor or an epoll entry was missing at its first call.
 */
#include "anonymous.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fault.h"
#include "platform.h"

enum { FD_MAX = 256, LONGER_THAN_A_TICK_MS = 900 };

/* --- The living ------------------------------------------------------------------------------ */

/* As by dup, the usual way to count what is open; but tsan takes a dup for a use of the
 * descriptor. */
static void count_descriptors(void)
{
    for (int fd = 0; fd < FD_MAX; fd++) {
        int copy = fcntl(fd, F_DUPFD, 0);
        if (copy >= 0)
            close(copy);
    }
}

static void count_and_answer(pipc_t *pipe)
{
    set_timeouts(pipe, -1, -1);
    count_descriptors();
    say(pipe, "counted");
    harness_gate_wait(&gate[0]);
    say(pipe, "alive");
}

TEST_OF_KIND(a_peer_that_counts_its_descriptors_counts_as_alive)
{
    platform_needs(PLATFORM_TOKENS);
    pipc_t *pipe = open_anonymous();
    struct side far;
    char byte;
    gates_init();
    set_timeouts(pipe, -1, -1);
    side_start(&far, kind, pipe, count_and_answer);
    hear(pipe, "counted");
    count_descriptors();
    set_timeouts(pipe, LONGER_THAN_A_TICK_MS, -1);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    say(pipe, "you are alive");
    harness_gate_open(&gate[0]);
    set_timeouts(pipe, -1, -1);
    hear(pipe, "alive");
    side_end(&far);
    hear_the_end(pipe, EPIPE);
    pipc_close(pipe);
    gates_close();
}

static void close_all_and_stay(pipc_t *pipe)
{
    say(pipe, "here");
    for (int fd = 3; fd < FD_MAX; fd++)
        close(fd);
    for (;;)
        pause();
}

/* As daemons do. It can use the pipe no more, but it holds its end, and lives. */
TEST(a_peer_that_closes_all_descriptors_counts_as_alive_until_it_dies)
{
    platform_needs(PLATFORM_TOKENS);
    pipc_t *pipe = open_anonymous();
    struct side far;
    char byte;
    side_start(&far, anonymous_forked, pipe, close_all_and_stay);
    hear(pipe, "here");
    set_timeouts(pipe, LONGER_THAN_A_TICK_MS, -1);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    say(pipe, "x");
    kill(far.pid, SIGKILL);
    assert_int_equal(harness_wait(far.pid), -SIGKILL);
    set_timeouts(pipe, SIDES_LONG_MS, -1);
    hear_the_end(pipe, EPIPE);
    pipc_close(pipe);
}

/* --- The dead -------------------------------------------------------------------------------- */

static void say_when_told_and_end_when_told(pipc_t *pipe)
{
    harness_gate_wait(&gate[0]);
    say(pipe, "here");
    harness_gate_wait(&gate[1]);
}

static void expect_death_by_polling(pipc_t *pipe, int fd, struct side *far)
{
    char byte;
    harness_gate_open(&gate[1]);
    side_end(far);
    int64_t begin = harness_now_ms();
    do
        assert_true(harness_readable(fd, SIDES_NOTICE_MS));
    while (pipc_read(pipe, &byte, 1) < 0 && errno == EAGAIN);
    assert_int_equal(errno, EPIPE);
    assert_true(harness_now_ms() - begin <= 2 * SIDES_NOTICE_MS);
}

/* Armed: the first time that it asks who has come. */
static void hear_it_by_polling(pipc_t *pipe, int fd, bool armed)
{
    char text[4];
    ssize_t n;
    harness_gate_open(&gate[0]);
    do {
        assert_true(harness_readable(fd, SIDES_LONG_MS));
        if (armed)
            fault_arm();
        n = pipc_read(pipe, text, sizeof text);
        fault_disarm();
    } while (n < 0 && errno == EAGAIN); /* a new holder is an event as well */
    assert_int_equal(n, 4);
}

TEST(poll_detects_a_death_when_no_descriptor_was_free_for_the_monitor)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    set_timeouts(pipe, 0, 0);
    int fd = pipc_fd(pipe);
    side_start(&far, anonymous_forked, pipe, say_when_told_and_end_when_told);
    int next = dup(0);
    close(next);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)next);
    hear_it_by_polling(pipe, fd, false);
    expect_death_by_polling(pipe, fd, &far);
    harness_limit(RLIMIT_NOFILE, before);
    pipc_close(pipe);
    gates_close();
}

static void say_and_leave(pipc_t *pipe)
{
    say(pipe, "here");
    hear(pipe, "go");
    assert_int_equal(pipc_disconnect(pipe, NULL), 0);
}

static void poll_and_read(pipc_t *pipe, int fd, ssize_t size, int error)
{
    char text[4];
    ssize_t n;
    do {
        assert_true(harness_readable(fd, SIDES_LONG_MS));
        n = pipc_read(pipe, text, sizeof text);
    } while (n < 0 && errno == EAGAIN);
    assert_int_equal(n, size);
    if (size < 0)
        assert_int_equal(errno, error);
}

/* What followed the earlier peer makes room for what follows the next. */
TEST(poll_detects_a_death_when_no_descriptor_is_free_after_an_earlier_peer_left)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    pipc_t *pipe = open_anonymous();
    struct side first, second;
    gates_init();
    set_timeouts(pipe, 0, 0);
    int fd = pipc_fd(pipe);
    side_start(&first, anonymous_forked, pipe, say_and_leave);
    poll_and_read(pipe, fd, 4, 0);
    side_start(&second, anonymous_forked, pipe, say_when_told_and_end_when_told);
    int filler = dup(0); /* where the ticker was */
    int next = dup(0);
    close(next);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)next);
    say(pipe, "go");
    poll_and_read(pipe, fd, -1, ESHUTDOWN);
    assert_errno(dup(0), EMFILE); /* nobody else has got what became free */
    side_end(&first);
    hear_it_by_polling(pipe, fd, false);
    expect_death_by_polling(pipe, fd, &second);
    harness_limit(RLIMIT_NOFILE, before);
    close(filler);
    pipc_close(pipe);
    gates_close();
}

static void wait_for_a_peer_that_dies(pipc_t *pipe)
{
    set_timeouts(pipe, -1, -1); /* a look at the last moment would find what the wait missed */
    hear_the_end(pipe, EPIPE);
}

static void wait_for_it_when_polled(pipc_t *pipe)
{
    assert_true(pipc_fd(pipe) >= 0);
    wait_for_a_peer_that_dies(pipe);
}

/* Before it has woken its peer. */
static int stop_when_the_end_is_taken(void *pipe)
{
    fault_reset();
    fault_stop_at(CALL_write, 1);
    fault_arm();
    pipc_set_timeout(pipe, 0, 0);
    return 0;
}

static void check_death_while_taking_an_end(script *wait)
{
    pipc_t *pipe = open_anonymous();
    struct side near;
    int status;
    side_start(&near, anonymous_in_threads, pipe, wait);
    sleeper_wait(sleeper_side(&near));
    pid_t pid = harness_fork(stop_when_the_end_is_taken, pipe);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    kill(pid, SIGKILL);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    side_end(&near);
    pipc_close(pipe);
}

TEST(a_read_detects_the_death_of_a_peer_that_was_killed_while_it_took_its_end)
{
    int probe = eventfd(0, EFD_CLOEXEC);
    close(probe);
    if (probe < 0)
        harness_skip("without eventfd another call wakes the peer");
    check_death_while_taking_an_end(wait_for_a_peer_that_dies);
    check_death_while_taking_an_end(wait_for_it_when_polled);
}

static bool has_pidfds(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The kernel bounds how many entries all sets of a user have. */
TEST(poll_detects_a_death_when_no_epoll_entry_was_free_for_the_monitor)
{
    platform_needs(PLATFORM_LINUX_CALLS);
    if (!has_pidfds())
        harness_skip("without pidfds no entry is added when a peer comes");
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    set_timeouts(pipe, 0, 0);
    int fd = pipc_fd(pipe);
    side_start(&far, anonymous_forked, pipe, say_when_told_and_end_when_told);
    fault_reset();
    fault_fail(CALL_epoll_ctl, 1, 0, ENOSPC);
    hear_it_by_polling(pipe, fd, true);
    assert_int_equal(fault_failures(CALL_epoll_ctl), 1);
    expect_death_by_polling(pipe, fd, &far);
    pipc_close(pipe);
    gates_close();
}

TEST(a_read_detects_a_death_when_no_descriptor_is_free)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    gates_init();
    set_timeouts(pipe, SIDES_LONG_MS, 0);
    side_start(&far, anonymous_forked, pipe, say_when_told_and_end_when_told);
    int next = dup(0);
    close(next);
    rlim_t before = harness_limit(RLIMIT_NOFILE, (rlim_t)next);
    harness_gate_open(&gate[0]);
    hear(pipe, "here");
    harness_gate_open(&gate[1]);
    bool shows_itself = harness_has_proc(); /* else somebody has to wait for the process first */
    if (!shows_itself)
        side_end(&far);
    hear_the_end(pipe, EPIPE);
    harness_limit(RLIMIT_NOFILE, before);
    if (shows_itself)
        side_end(&far);
    pipc_close(pipe);
    gates_close();
}

/* --- Those who leave in order ---------------------------------------------------------------- */

static void say_and_leave_when_told(pipc_t *pipe)
{
    say(pipe, "here");
    harness_gate_wait(&gate[1]);
    leave(pipe, "bye");
}

static bool let_it_leave(void *unused)
{
    (void)unused;
    harness_gate_open(&gate[1]);
    return false;
}

static void say_and_shut_down_when_told(pipc_t *pipe)
{
    say(pipe, "here");
    harness_gate_wait(&gate[1]);
    assert_int_equal(pipc_shutdown(pipe), 0);
    harness_gate_open(&gate[0]);
    hear_bye(pipe, "");
}

struct survivor {
    pipc_t *pipe;
    unsigned long stop; /* before this call to the system, of those of the read and the write */
    bool at_first_wait; /* the peer is told before the first wait; else only by who stops us */
    bool writes;        /* and goes on afterwards */
    bool peer_stays;    /* alive, until we have said goodbye */
    int error;          /* expected of the read */
};

static int hear_the_end_of(void *context)
{
    struct survivor *s = context;
    char byte;
    set_timeouts(s->pipe, -1, 0); /* a look at the last moment would find what the wait missed */
    hear(s->pipe, "here");
    fault_reset();
    if (s->at_first_wait)
        fault_before_wait(let_it_leave, NULL);
    fault_stop_at(CALL_ANY, s->stop);
    fault_arm();
    ssize_t size = pipc_read(s->pipe, &byte, 1);
    int error = errno;
    ssize_t written = s->writes ? pipc_write(s->pipe, "x", 1) : 1;
    fault_disarm();
    if (size >= 0 || error != s->error || written != 1)
        fail_msg("call %lu: read %zd (%s), wrote %zd", s->stop, size, strerror(error), written);
    pipc_disconnect(s->pipe, NULL);
    return 0;
}

/* Returns whether the survivor stopped, in which moment its peer played its script. */
static bool end_at_call(struct survivor s, script *peer)
{
    struct side side;
    int status;
    s.pipe = open_anonymous();
    gates_init();
    pid_t survivor = harness_fork(hear_the_end_of, &s);
    side_start(&side, anonymous_forked, s.pipe, peer);
    assert_int_equal(waitpid(survivor, &status, WUNTRACED), survivor);
    bool has_stopped = WIFSTOPPED(status);
    if (has_stopped)
        harness_gate_open(&gate[1]);
    if (s.peer_stays)
        harness_gate_wait(&gate[0]);
    else
        side_end(&side);
    if (has_stopped) {
        assert_int_equal(kill(survivor, SIGCONT), 0);
        assert_int_equal(waitpid(survivor, &status, 0), survivor);
    }
    if (s.peer_stays)
        side_end(&side);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pipc_close(s.pipe);
    gates_close();
    return has_stopped;
}

TEST(a_peer_that_leaves_and_ends_while_it_is_looked_at_is_not_dead)
{
    struct survivor s = {.stop = 1, .at_first_wait = true, .writes = true, .error = ESHUTDOWN};
    while (end_at_call(s, say_and_leave_when_told))
        s.stop++;
    assert_true(s.stop > 3);
}

/* The peer lives on, so nothing else ends the wait; its calls go on with each tick. */
TEST(a_shutdown_between_any_two_system_calls_of_a_wait_is_reported)
{
    enum { CALLS = 8 }; /* two rounds of them */
    struct survivor s = {.stop = 1, .peer_stays = true, .error = EPIPE};
    for (; s.stop <= CALLS; s.stop++)
        assert_true(end_at_call(s, say_and_shut_down_when_told));
}

/* --- Who is asking --------------------------------------------------------------------------- */

/* As some emulators do: the request succeeds, and nothing is wiped. */
static bool accept_wiping_and_do_nothing(void)
{
    enum { WIPE_ON_FORK = 18 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WIPE_ON_FORK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void answer(pipc_t *pipe)
{
    hear(pipe, "question");
    say(pipe, "answer");
}

static int ask_a_child(void *unused)
{
    (void)unused;
    struct side far;
    if (!accept_wiping_and_do_nothing())
        return 77;
    pipc_t *pipe = open_anonymous();
    set_timeouts(pipe, SIDES_LONG_MS, SIDES_LONG_MS); /* has its end before the child is there */
    side_start(&far, anonymous_forked, pipe, answer);
    say(pipe, "question");
    hear(pipe, "answer");
    side_end(&far);
    pipc_close(pipe);
    return 0;
}

TEST(a_child_is_another_caller_where_pages_are_not_wiped_on_fork)
{
    int status = harness_wait(harness_fork(ask_a_child, NULL));
    if (status == 77)
        harness_skip("no system call filters here");
    assert_int_equal(status, 0);
}

/* A fork that runs no handlers: there the kernel's wiping serves. */
static int answer_after_a_bare_fork(pipc_t *pipe)
{
    answer(pipe);
    return 0;
}

static bool kernel_wipes_on_fork(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    bool wipes = madvise(page, size, MADV_WIPEONFORK) == 0;
    munmap(page, size);
    return wipes;
}

TEST(a_child_of_the_raw_clone_system_call_is_another_caller)
{
    platform_needs(PLATFORM_RAW_FORK);
    if (!kernel_wipes_on_fork())
        harness_skip("this kernel does not wipe pages on fork (Linux 4.14 does)");
    pipc_t *pipe = open_anonymous();
    set_timeouts(pipe, -1, -1);
    long pid = anonymous_clone();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(answer_after_a_bare_fork(pipe));
    say(pipe, "question");
    hear(pipe, "answer");
    assert_int_equal(harness_wait((pid_t)pid), 0);
    hear_the_end(pipe, EPIPE);
    pipc_close(pipe);
}

HARNESS_MAIN("anonymous life",
             OVER_ANONYMOUS_KINDS(a_peer_that_counts_its_descriptors_counts_as_alive),
             IT(a_peer_that_closes_all_descriptors_counts_as_alive_until_it_dies),
             IT(poll_detects_a_death_when_no_descriptor_was_free_for_the_monitor),
             IT(poll_detects_a_death_when_no_descriptor_is_free_after_an_earlier_peer_left),
             IT(a_read_detects_the_death_of_a_peer_that_was_killed_while_it_took_its_end),
             IT(poll_detects_a_death_when_no_epoll_entry_was_free_for_the_monitor),
             IT(a_read_detects_a_death_when_no_descriptor_is_free),
             IT(a_peer_that_leaves_and_ends_while_it_is_looked_at_is_not_dead),
             IT_WITHIN(a_shutdown_between_any_two_system_calls_of_a_wait_is_reported, 120000),
             IT(a_child_is_another_caller_where_pages_are_not_wiped_on_fork),
             IT(a_child_of_the_raw_clone_system_call_is_another_caller))
