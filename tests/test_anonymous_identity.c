/* SPDX-License-Identifier: MIT */
/*
 * Peers whose process or thread id misleads: the id is in use again, the peer is in another pid
 * namespace, nobody waits for it, or its thread was cancelled. Its death is still detected. Tests
 * that need privileges are skipped without them.
 */
#include "anonymous.h"
#include "fault.h"
#include "platform.h"

#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PIDFD_GET_PID_NAMESPACE
#define PIDFD_GET_PID_NAMESPACE _IO(0xFF, 5)
#endif

/* --- A namespace of its own ------------------------------------------------------------------ */

struct scene {
    pipc_t *pipe;
    int (*play)(void *pipe);
};

/* Plays as the first process of a new pid namespace; its status is the play's, 77 without
 * rights. */
static int play_in_a_namespace(void *arg)
{
    struct scene *scene = arg;
    if (unshare(CLONE_NEWPID) != 0)
        return 77;
    return harness_wait(harness_fork(scene->play, scene->pipe));
}

static void need_namespaces(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWPID) == 0 ? 0 : 77);
    if (harness_wait(pid) != 0)
        harness_skip("needs the right to make a pid namespace");
}

static int64_t *died_ms; /* shared */

static void detect_by_reading(pipc_t *pipe)
{
    hear_the_end(pipe, EPIPE);
    if (harness_now_ms() - *died_ms > SIDES_NOTICE_MS)
        fail_msg("noticed after %d ms", (int)(harness_now_ms() - *died_ms));
    expect_no_reader(pipe, EPIPE);
}

static void detect_by_polling(pipc_t *pipe)
{
    int fd = pipc_fd(pipe);
    char byte;
    set_timeouts(pipe, 0, -1);
    do
        assert_true(harness_readable(fd, SIDES_LONG_MS));
    while (pipc_read(pipe, &byte, 1) == -1 && errno == EAGAIN);
    detect_by_reading(pipe);
}

/* The gate is opened when the survivor is about to wait; it likely waits by then. */
static int live_and_die(void *pipe)
{
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    nanosleep(&(struct timespec){0, 5000000}, NULL);
    *died_ms = harness_now_ms();
    _exit(0);
}

static void see_an_inner_death(void (*detect)(pipc_t *pipe))
{
    harness_skip_without_proc(); /* then a process of another namespace takes no end */
    struct scene scene = {open_anonymous(), live_and_die};
    harness_gate_init(&gate[0]);
    died_ms = shared_memory(sizeof *died_ms);
    pid_t pid = harness_fork(play_in_a_namespace, &scene);
    hear(scene.pipe, "here");
    harness_gate_open(&gate[0]);
    detect(scene.pipe);
    assert_int_equal(harness_wait(pid), 0);
    pipc_close(scene.pipe);
    munmap(died_ms, sizeof *died_ms);
    harness_gate_close(&gate[0]);
}

TEST(a_read_detects_a_death_in_another_pid_namespace)
{
    need_namespaces();
    see_an_inner_death(detect_by_reading);
}

TEST(poll_detects_a_death_in_another_pid_namespace)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    need_namespaces();
    see_an_inner_death(detect_by_polling);
}

static int survive_by_reading(void *pipe)
{
    char peer[64];
    hear(pipe, "here");
    assert_int_equal(pipc_peer(pipe, peer, sizeof peer), 0);
    if (platform_has(PLATFORM_TOKENS)) /* POSIX knows no namespaces */
        assert_string_equal(peer, "process of another namespace");
    harness_gate_open(&gate[0]);
    detect_by_reading(pipe);
    return 0;
}

static int survive_by_polling(void *pipe)
{
    hear(pipe, "here");
    harness_gate_open(&gate[0]);
    detect_by_polling(pipe);
    return 0;
}

/* The survivor cannot even name the one who dies outside. */
static void see_an_outer_death(int (*survive)(void *pipe))
{
    harness_skip_without_proc();
    struct scene scene = {open_anonymous(), survive};
    harness_gate_init(&gate[0]);
    died_ms = shared_memory(sizeof *died_ms);
    pid_t mortal = harness_fork(live_and_die, scene.pipe);
    pid_t survivor = harness_fork(play_in_a_namespace, &scene);
    assert_int_equal(harness_wait(mortal), 0);
    assert_int_equal(harness_wait(survivor), 0);
    pipc_close(scene.pipe);
    munmap(died_ms, sizeof *died_ms);
    harness_gate_close(&gate[0]);
}

TEST(a_read_in_a_pid_namespace_detects_a_death_outside)
{
    need_namespaces();
    see_an_outer_death(survive_by_reading);
}

TEST(poll_in_a_pid_namespace_detects_a_death_outside)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    need_namespaces();
    see_an_outer_death(survive_by_polling);
}

static int talk_to_the_outside(void *pipe)
{
    for (int i = 0; i < 100; i++)
        say_number(pipe, hear_number(pipe) + 1);
    leave(pipe, "inside");
    return 0;
}

TEST(peers_in_different_pid_namespaces_talk_and_disconnect)
{
    need_namespaces();
    harness_skip_without_proc();
    struct scene scene = {open_anonymous(), talk_to_the_outside};
    for (int round = 0; round < 5; round++) {
        pid_t pid = harness_fork(play_in_a_namespace, &scene);
        for (int i = 0; i < 100; i++) {
            say_number(scene.pipe, i);
            assert_int_equal(hear_number(scene.pipe), i + 1);
        }
        hear_bye(scene.pipe, "inside");
        assert_int_equal(harness_wait(pid), 0);
    }
    pipc_close(scene.pipe);
}

/* Nothing proves to its peer that it lives, and its process id there is somebody else's. */
static void take_no_end(pipc_t *pipe)
{
    fault_arm();
    ssize_t sent = pipc_write(pipe, "x", 1);
    int error = errno;
    fault_disarm();
    assert_int_equal(sent, -1);
    assert_int_equal(error, EPERM);
}

static void be_without_proc(void)
{
    fault_reset();
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        (harness_has_proc() && umount2("/proc", MNT_DETACH) != 0))
        _exit(77);
}

static int be_the_first_without_proc(void *pipe)
{
    be_without_proc();
    fault_fail(CALL_ioctl, 1, FAULT_FOREVER, ENOTTY); /* Linux before 6.11 */
    take_no_end(pipe);
    return 0;
}

static int take_no_end_later(void *pipe)
{
    int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int space = process < 0 ? -1 : ioctl(process, PIDFD_GET_PID_NAMESPACE, 0);
    bool is_known = space >= 0;
    close(process);
    close(space);
    if (!is_known)
        return 77;
    take_no_end(pipe);
    return 0;
}

static int be_the_second_without_proc(void *pipe)
{
    be_without_proc();
    return harness_wait(harness_fork(take_no_end_later, pipe));
}

static void see_no_end_taken(int (*play)(void *pipe))
{
    need_namespaces();
    struct scene scene = {open_anonymous(), play};
    int status = harness_wait(harness_fork(play_in_a_namespace, &scene));
    pipc_close(scene.pipe);
    if (status == 77)
        harness_skip("needs the right to be without /proc, or Linux 6.11");
    assert_int_equal(status, 0);
}

TEST(the_first_process_of_another_pid_namespace_takes_no_end_without_proc)
{
    platform_needs(PLATFORM_TOKENS);
    see_no_end_taken(be_the_first_without_proc);
}

TEST(a_later_process_of_another_pid_namespace_takes_no_end_without_proc)
{
    platform_needs(PLATFORM_TOKENS);
    see_no_end_taken(be_the_second_without_proc);
}

/* --- Numbers that come back ------------------------------------------------------------------ */

/* The next process or thread here gets this number, if it is free. Only in a pid namespace of one's
 * own, where nobody else counts on. */
static bool choose_next_id(pid_t id)
{
    char text[16];
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    int size = snprintf(text, sizeof text, "%d", (int)id - 1);
    bool chosen = write(fd, text, (size_t)size) == size;
    close(fd);
    return chosen;
}

static void take_an_end_and_die(pipc_t *pipe)
{
    assert_int_equal(pipc_pending(pipe), 0);
}

static void use_the_number_again(pipc_t *pipe)
{
    (void)pipe;
    harness_gate_wait(&gate[0]);
}

/* Status 0: detected; 77: the number was not available. The id that matters is that of gettid. */
static int reuse_a_number(const struct kind *kind, pipc_t *pipe, void (*detect)(pipc_t *pipe))
{
    struct side dead, other;
    harness_gate_init(&gate[0]);
    died_ms = shared_memory(sizeof *died_ms);
    side_start(&dead, kind, pipe, take_an_end_and_die);
    side_end(&dead);
    *died_ms = harness_now_ms();
    bool chosen = choose_next_id(atomic_load(&dead.tid));
    side_start(&other, kind, pipe, use_the_number_again);
    while (atomic_load(&other.tid) == 0)
        sched_yield();
    chosen = chosen && atomic_load(&other.tid) == atomic_load(&dead.tid);
    if (chosen)
        detect(pipe);
    harness_gate_open(&gate[0]);
    side_end(&other);
    harness_gate_close(&gate[0]);
    return chosen ? 0 : 77;
}

static int read_beside_the_same_process_id(void *pipe)
{
    return reuse_a_number(anonymous_forked, pipe, detect_by_reading);
}

static int poll_beside_the_same_process_id(void *pipe)
{
    return reuse_a_number(anonymous_forked, pipe, detect_by_polling);
}

static int read_beside_the_same_thread_id(void *pipe)
{
    return reuse_a_number(anonymous_in_threads, pipe, detect_by_reading);
}

static int poll_beside_the_same_thread_id(void *pipe)
{
    return reuse_a_number(anonymous_in_threads, pipe, detect_by_polling);
}

TEST(a_death_is_detected_when_the_pid_is_in_use_again)
{
    static int (*const plays[])(void *) = {
        read_beside_the_same_process_id, poll_beside_the_same_process_id,
        read_beside_the_same_thread_id, poll_beside_the_same_thread_id};
    harness_need_proc(); /* by which an id is chosen */
    need_namespaces();
    int seen = 0;
    for (size_t i = 0; i < sizeof plays / sizeof plays[0]; i++) {
        struct scene scene = {open_anonymous(), plays[i]};
        int status = harness_wait(harness_fork(play_in_a_namespace, &scene));
        if (status != 77)
            assert_int_equal(status, 0);
        seen += status == 0;
        pipc_close(scene.pipe);
    }
    if (seen == 0)
        harness_skip("needs the right to choose process ids");
}

static int leave_much_unread(void *pipe)
{
    say(pipe, "here");
    harness_gate_wait(&gate[0]);
    say_large(pipe, 2000, 1);
    leave(pipe, "that was all");
    return 0;
}

/* The free end is taken, and held until the answer. */
static int take_its_place(void *pipe)
{
    char buffer[2000];
    say(pipe, "second");
    harness_gate_open(&gate[1]);
    while (pipc_read(pipe, buffer, sizeof buffer) != sizeof "answer" - 1)
        continue;
    leave(pipe, "so long");
    return 0;
}

/* The pipe is of this namespace, so names are ids. A goodbye is unread: no more can be pending. */
static int meet_the_same_id_again(bool has_seen_the_end)
{
    char byte;
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.max_pending = 1000;
    pipc_t *pipe = pipc_open(&options);
    assert_non_null(pipe);
    gates_init();
    pid_t first = harness_fork(leave_much_unread, pipe);
    hear(pipe, "here");
    set_timeouts(pipe, 1, 0);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT); /* it watches its peer */
    harness_gate_open(&gate[0]);
    assert_int_equal(harness_wait(first), 0);
    fill_up(pipe, 2000);
    fill_up(pipe, 1);
    set_timeouts(pipe, -1, has_seen_the_end ? 1 : 0);
    assert_errno(pipc_write(pipe, "x", 1), has_seen_the_end ? ETIMEDOUT : EAGAIN);
    set_timeouts(pipe, -1, -1);
    bool is_chosen = choose_next_id(first);
    pid_t second = harness_fork(take_its_place, pipe);
    harness_gate_wait(&gate[1]);
    say(pipe, "answer");
    hear_large(pipe, 2000, 1);
    hear_bye(pipe, "that was all");
    hear(pipe, "second");
    hear_bye(pipe, "so long");
    assert_int_equal(harness_wait(second), 0);
    gates_close();
    pipc_close(pipe);
    return is_chosen && second == first ? 0 : 77;
}

static int meet_it_unaware_and_aware(void *unused)
{
    (void)unused;
    int status = meet_the_same_id_again(false);
    return status == 0 ? meet_the_same_id_again(true) : status;
}

TEST(a_live_peer_with_the_pid_of_its_dead_predecessor_is_not_taken_for_dead)
{
    struct scene scene = {NULL, meet_it_unaware_and_aware};
    harness_need_proc();
    need_namespaces();
    int status = harness_wait(harness_fork(play_in_a_namespace, &scene));
    if (status == 77)
        harness_skip("needs the right to choose process ids");
    assert_int_equal(status, 0);
}

/* --- Cancelled ------------------------------------------------------------------------------- */

static void read_for_ever(pipc_t *pipe)
{
    pipc_msg_t message;
    say(pipe, "here");
    while (pipc_read_msg(pipe, &message) == 0)
        pipc_msg_free(&message);
}

static void write_for_ever(pipc_t *pipe)
{
    static char data[100000];
    say(pipe, "here");
    while (pipc_write(pipe, data, sizeof data) > 0)
        continue;
}

static void come_and_go_for_ever(pipc_t *pipe)
{
    say(pipe, "here");
    for (;;) {
        pthread_testcancel();
        set_timeouts(pipe, 0, 0);
        if (pipc_disconnect(pipe, "x") != 0)
            assert_int_equal(errno, EAGAIN);
    }
}

static void cancel_one(script *life, bool when_asleep)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    pipc_msg_t message;
    side_start(&far, anonymous_in_threads, pipe, life);
    hear(pipe, "here");
    if (when_asleep)
        sleeper_wait(sleeper_side(&far));
    assert_int_equal(pthread_cancel(far.thread), 0);
    assert_int_equal(pthread_join(far.thread, NULL), 0);
    set_timeouts(pipe, SIDES_NOTICE_MS, SIDES_NOTICE_MS);
    while (pipc_read_msg(pipe, &message) == 0)
        pipc_msg_free(&message);
    assert_true(errno == EPIPE || errno == ECONNRESET);
    pipc_close(pipe);
}

TEST(a_thread_cancelled_in_a_blocked_call_counts_as_dead)
{
    harness_skip_if_cancelling_confuses();
    for (int i = 0; i < 20; i++) {
        cancel_one(read_for_ever, true);
        cancel_one(write_for_ever, true);
    }
}

/* It may have held no end just then: no death is reported, and nothing hangs. */
TEST(the_pipe_works_after_a_thread_was_cancelled_while_taking_an_end)
{
    for (int i = 0; i < 200 / harness_scale(); i++) {
        pipc_t *pipe = open_anonymous();
        struct side far;
        char buffer[8];
        side_start(&far, anonymous_in_threads, pipe, come_and_go_for_ever);
        hear(pipe, "here");
        for (size_t n = harness_random_below(50); n > 0; n--)
            assert_errno(pipc_read(pipe, buffer, sizeof buffer), ESHUTDOWN);
        assert_int_equal(pthread_cancel(far.thread), 0);
        assert_int_equal(pthread_join(far.thread, NULL), 0);
        set_timeouts(pipe, 0, 0);
        while (pipc_read(pipe, buffer, sizeof buffer) >= 0 || errno == ESHUTDOWN)
            continue;
        assert_true(errno == EPIPE || errno == EAGAIN);
        pipc_close(pipe);
    }
}

HARNESS_MAIN("anonymous identity", IT(a_read_detects_a_death_in_another_pid_namespace),
             IT(poll_detects_a_death_in_another_pid_namespace),
             IT(a_read_in_a_pid_namespace_detects_a_death_outside),
             IT(poll_in_a_pid_namespace_detects_a_death_outside),
             IT(peers_in_different_pid_namespaces_talk_and_disconnect),
             IT(the_first_process_of_another_pid_namespace_takes_no_end_without_proc),
             IT(a_later_process_of_another_pid_namespace_takes_no_end_without_proc),
             IT(a_death_is_detected_when_the_pid_is_in_use_again),
             IT(a_live_peer_with_the_pid_of_its_dead_predecessor_is_not_taken_for_dead),
             IT(a_thread_cancelled_in_a_blocked_call_counts_as_dead),
             IT(the_pipe_works_after_a_thread_was_cancelled_while_taking_an_end))
