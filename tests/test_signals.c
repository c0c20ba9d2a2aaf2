/* SPDX-License-Identifier: MIT */
/*
 * Signals and processes belong to the program. The library continues after interruptions, consumes
 * no signal and no child's status, changes no handler or mask, starts no thread, and no descriptor
 * survives exec.
 */
#include "anonymous.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { LARGE = 1 << 20 };

/* --- A timer that interrupts ----------------------------------------------------------------- */

static _Thread_local volatile sig_atomic_t interruptions;

static void count_interruption(int number)
{
    (void)number;
    interruptions++;
}

/* Interrupts the calling thread a thousand times a second; without SA_RESTART. */
static timer_t interrupt_me(void)
{
    struct sigaction action = {.sa_handler = count_interruption};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
    struct itimerspec often = {{0, 1000000}, {0, 1000000}};
    timer_t timer;
    event.sigev_notify_thread_id = gettid();
    interruptions = 0;
    assert_int_equal(sigaction(SIGRTMIN, &action, NULL), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
    return timer;
}

static void stop_interrupting(timer_t timer)
{
    assert_int_equal(timer_delete(timer), 0);
}

static size_t size_of_round(int round)
{
    static const size_t sizes[] = {0, 1, 16, 4000, 65536, 300000, LARGE};
    return sizes[(size_t)round % (sizeof sizes / sizeof sizes[0])];
}

static void answer_under_fire(pipc_t *pipe)
{
    timer_t timer = interrupt_me();
    for (int round = hear_number(pipe); round >= 0; round = hear_number(pipe)) {
        hear_large(pipe, size_of_round(round), (uint64_t)round);
        say_large(pipe, size_of_round(round), (uint64_t)round + 1);
    }
    leave(pipe, "survived");
    stop_interrupting(timer);
}

static void ask_under_fire(pipc_t *pipe)
{
    timer_t timer = interrupt_me();
    for (int round = 0; interruptions < 300; round++) {
        say_number(pipe, round);
        say_large(pipe, size_of_round(round), (uint64_t)round);
        hear_large(pipe, size_of_round(round), (uint64_t)round + 1);
    }
    say_number(pipe, -1);
    hear_bye(pipe, "survived");
    stop_interrupting(timer);
}

TEST_OF_KIND(messages_arrive_under_a_thousand_signals_a_second)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    side_start(&far, kind, pipe, answer_under_fire);
    ask_under_fire(pipe);
    side_end(&far);
    pipc_close(pipe);
}

/* If each signal started the wait anew it would never end. */
TEST(an_interrupted_wait_keeps_its_deadline)
{
    pipc_t *pipe = open_anonymous();
    timer_t timer = interrupt_me();
    char byte;
    set_timeouts(pipe, 200, 200);
    int64_t begin = harness_now_ms();
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    assert_true(harness_now_ms() - begin >= 200);
    while (pipc_write(pipe, "x", 1) == 1)
        continue;
    assert_int_equal(errno, ETIMEDOUT);
    assert_true(harness_now_ms() - begin >= 400);
    assert_true(interruptions > 0);
    stop_interrupting(timer);
    pipc_close(pipe);
}

static pipc_t *open_interruptible(void)
{
    pipc_options_t options = PIPC_OPTIONS_INIT;
    options.flags = PIPC_INTERRUPTIBLE;
    pipc_t *pipe = pipc_open(&options);
    assert_non_null(pipe);
    return pipe;
}

static void hear_a_large_one_and_another(pipc_t *pipe)
{
    hear_large(pipe, LARGE, 9);
    hear(pipe, "next");
    say(pipe, "heard");
    leave(pipe, NULL);
}

TEST_OF_KIND(an_interruptible_wait_ends_with_eintr_and_loses_no_message)
{
    pipc_t *pipe = open_interruptible();
    struct side far;
    char byte;
    timer_t timer = interrupt_me();
    for (int i = 0; i < 10; i++)
        assert_errno(pipc_read(pipe, &byte, 1), EINTR);
    say_large(pipe, LARGE, 9); /* accepted, since a part has gone */
    while (pipc_write(pipe, "next", 4) == 4)
        fail_msg("went past what is held");
    assert_int_equal(errno, EINTR);
    stop_interrupting(timer);
    side_start(&far, kind, pipe, hear_a_large_one_and_another);
    say(pipe, "next");
    hear(pipe, "heard");
    side_end(&far);
    pipc_close(pipe);
}

/* --- A peer that is stopped --------------------------------------------------------------- */

static void count_until_goodbye(pipc_t *pipe)
{
    pipc_msg_t message;
    int count = 0;
    say(pipe, "here");
    while (pipc_read_msg(pipe, &message) == 0 && message.kind == PIPC_DATA) {
        harness_check(message.data, message.size, (uint64_t)count++);
        pipc_msg_free(&message);
    }
    assert_string_equal(pipc_bye_text(pipe), "that was all");
    pipc_msg_free(&message);
    say_number(pipe, count);
    leave(pipe, NULL);
}

static void stop(const struct side *side)
{
    int status;
    assert_int_equal(kill(side->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(side->pid, &status, WUNTRACED), side->pid);
    assert_true(WIFSTOPPED(status));
}

/* Until nothing goes any more. Returns how many messages were accepted. */
static int write_to_the_stopped(pipc_t *pipe, size_t size)
{
    char *data = malloc(size);
    int count = 0;
    ssize_t n;
    assert_non_null(data);
    do {
        harness_fill(data, size, (uint64_t)count);
        n = pipc_write(pipe, data, size);
        count += n == (ssize_t)size;
    } while (n == (ssize_t)size);
    assert_errno(n, ETIMEDOUT);
    free(data);
    return count;
}

static void talk_to_a_stopped_peer(size_t size)
{
    pipc_t *pipe = open_anonymous();
    struct side far;
    char byte;
    side_start(&far, anonymous_forked, pipe, count_until_goodbye);
    hear(pipe, "here");
    stop(&far);
    set_timeouts(pipe, 50, 50);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    int count = write_to_the_stopped(pipe, size);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    set_timeouts(pipe, -1, -1);
    assert_int_equal(kill(far.pid, SIGCONT), 0);
    leave(pipe, "that was all");
    assert_int_equal(hear_number(pipe), count);
    side_end(&far);
    pipc_close(pipe);
}

TEST(a_stopped_peer_counts_as_alive_and_reads_whole_messages_later)
{
    talk_to_a_stopped_peer(LARGE);
    talk_to_a_stopped_peer(60000);
    talk_to_a_stopped_peer(10);
}

/* --- What is the program's ------------------------------------------------------------------- */

static void take_an_end_and_exit(pipc_t *pipe)
{
    say(pipe, "here");
    _exit(7);
}

static pipc_t *make_a_dead_pipe(struct side *far)
{
    pipc_t *pipe = open_anonymous();
    side_start(far, anonymous_forked, pipe, take_an_end_and_exit);
    hear(pipe, "here");
    hear_the_end(pipe, EPIPE);
    return pipe;
}

static bool is_pending(int number)
{
    sigset_t set;
    sigpending(&set);
    return sigismember(&set, number) == 1;
}

TEST(a_write_to_a_dead_peer_raises_no_sigpipe)
{
    struct side far;
    pipc_t *pipe = make_a_dead_pipe(&far);
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    expect_no_reader(pipe, EPIPE);
    assert_int_equal(harness_wait(far.pid), 7);
    pipc_close(pipe);
}

TEST(the_programs_own_pending_sigpipe_stays_pending)
{
    struct side far;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    pipc_t *pipe = make_a_dead_pipe(&far);
    expect_no_reader(pipe, EPIPE);
    assert_false(is_pending(SIGPIPE));
    raise(SIGPIPE);
    expect_no_reader(pipe, EPIPE);
    assert_true(is_pending(SIGPIPE));
    assert_int_equal(harness_wait(far.pid), 7);
    pipc_close(pipe);
}

static volatile sig_atomic_t children_told;

static void count_child(int number)
{
    (void)number;
    children_told++;
}

TEST(the_program_still_gets_sigchld_and_waits_for_its_child)
{
    struct sigaction action = {.sa_handler = count_child, .sa_flags = SA_RESTART};
    struct side far;
    assert_int_equal(sigaction(SIGCHLD, &action, NULL), 0);
    pipc_t *pipe = make_a_dead_pipe(&far);
    assert_int_equal(harness_wait(far.pid), 7);
    assert_int_equal(children_told, 1);
    assert_errno(waitpid(-1, NULL, 0), ECHILD);
    pipc_close(pipe);
}

TEST(a_blocked_sigchld_stays_pending)
{
    struct side far;
    siginfo_t info;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    pipc_t *pipe = make_a_dead_pipe(&far);
    assert_int_equal(waitid(P_PID, (id_t)far.pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(is_pending(SIGCHLD));
    assert_int_equal(harness_wait(far.pid), 7);
    pipc_close(pipe);
}

/* The kernel reaps such a child, and its number may be in use again at once. */
TEST(a_peers_death_is_detected_when_sigchld_is_ignored)
{
    struct side far;
    assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    for (int i = 0; i < 20; i++)
        pipc_close(make_a_dead_pipe(&far));
    assert_errno(waitpid(-1, NULL, 0), ECHILD);
}

struct habits {
    struct sigaction action[65];
    sigset_t mask;
    int threads;
};

static int count_threads(void)
{
    int count = 0;
    harness_need_proc();
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void note_habits(struct habits *habits)
{
    memset(habits, 0, sizeof *habits);
    for (int number = 1; number < 65; number++)
        sigaction(number, NULL, &habits->action[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &habits->mask);
    habits->threads = count_threads();
}

TEST(signal_handlers_the_mask_and_the_number_of_threads_do_not_change)
{
    static struct habits before, after;
    struct side far;
    note_habits(&before);
    pipc_t *pipe = make_a_dead_pipe(&far);
    assert_true(pipc_fd(pipe) >= 0);
    expect_no_reader(pipe, EPIPE);
    note_habits(&after);
    for (int number = 1; number < 65; number++)
        assert_true(before.action[number].sa_handler == after.action[number].sa_handler);
    for (int number = 1; number < 65; number++)
        assert_int_equal(sigismember(&before.mask, number), sigismember(&after.mask, number));
    assert_int_equal(before.threads, after.threads);
    assert_int_equal(harness_wait(far.pid), 7);
    pipc_close(pipe);
}

/* --- Exec ------------------------------------------------------------------------------------ */

static int answering[2];

static int list_descriptors_as_another_program(void *arg)
{
    char byte;
    assert_true(pipc_fd(arg) >= 0);
    say(arg, "here");
    hear(arg, "go");
    set_timeouts(arg, 1, 1);
    assert_errno(pipc_read(arg, &byte, 1), ETIMEDOUT);
    assert_int_equal(dup2(answering[1], STDOUT_FILENO), STDOUT_FILENO);
    execl("/bin/ls", "ls", "-l", "/proc/self/fd", (char *)NULL);
    return 1;
}

static void read_all(int fd, char *text, size_t size)
{
    size_t have = 0;
    for (ssize_t n; (n = read(fd, text + have, size - 1 - have)) > 0;)
        have += (size_t)n;
    text[have] = '\0';
}

/* What is shown is what it had before: files, terminals, pipes; nothing that the library makes. */
TEST(no_descriptor_survives_exec)
{
    static const char *const made[] = {"memfd", "eventfd", "eventpoll", "pidfd", "timerfd"};
    char text[8192];
    harness_need_proc();
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipe2(answering, O_CLOEXEC), 0);
    assert_true(pipc_fd(pipe) >= 0);
    pid_t pid = harness_fork(list_descriptors_as_another_program, pipe);
    close(answering[1]);
    hear(pipe, "here");
    say(pipe, "go");
    read_all(answering[0], text, sizeof text);
    assert_int_equal(harness_wait(pid), 0);
    assert_non_null(strstr(text, "->"));
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        if (strstr(text, made[i]) != NULL)
            fail_msg("%s survived:\n%s", made[i], text);
    hear_the_end(pipe, EPIPE);
    close(answering[0]);
    pipc_close(pipe);
}

static void close_the_new_ones_on_exec(const bool *before)
{
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && !before[fd] && (flags & FD_CLOEXEC) == 0)
            fail_msg("descriptor %d would survive", fd);
    }
}

TEST(each_descriptor_of_the_library_is_closed_on_exec)
{
    bool before[256];
    struct side far;
    char byte;
    pipc_t *end[2];
    for (int fd = 0; fd < 256; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipc_open_pair(end, NULL), 0);
    assert_true(pipc_fd(end[0]) >= 0);
    side_start(&far, anonymous_forked, pipe, count_until_goodbye);
    hear(pipe, "here");
    assert_true(pipc_fd(pipe) >= 0);
    set_timeouts(pipe, 1, -1);
    assert_errno(pipc_read(pipe, &byte, 1), ETIMEDOUT);
    close_the_new_ones_on_exec(before);
    leave(pipe, "that was all");
    side_end(&far);
    pipc_close(end[0]);
    pipc_close(end[1]);
    pipc_close(pipe);
}

HARNESS_MAIN("signals", OVER_ANONYMOUS_KINDS(messages_arrive_under_a_thousand_signals_a_second),
             IT(an_interrupted_wait_keeps_its_deadline),
             OVER_ANONYMOUS_KINDS(an_interruptible_wait_ends_with_eintr_and_loses_no_message),
             IT(a_stopped_peer_counts_as_alive_and_reads_whole_messages_later),
             IT(a_write_to_a_dead_peer_raises_no_sigpipe),
             IT(the_programs_own_pending_sigpipe_stays_pending),
             IT(the_program_still_gets_sigchld_and_waits_for_its_child),
             IT(a_blocked_sigchld_stays_pending),
             IT(a_peers_death_is_detected_when_sigchld_is_ignored),
             IT(signal_handlers_the_mask_and_the_number_of_threads_do_not_change),
             IT(no_descriptor_survives_exec), IT(each_descriptor_of_the_library_is_closed_on_exec))
