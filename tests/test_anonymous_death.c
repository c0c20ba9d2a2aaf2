/* SPDX-License-Identifier: MIT */
/*
 * A peer that dies without a goodbye is detected within a second, by a blocked call and by the
 * descriptor, in every way to die, also while others that inherited the handle live on.
 */
#include "anonymous.h"
#include "platform.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>

enum { LARGE = 1 << 20 };

/* --- Ways to die ----------------------------------------------------------------------------- */

static void be_killed(void)
{
    kill(getpid(), SIGKILL);
}

static void exit_at_once(void)
{
    _exit(0);
}

static void exit_in_order(void)
{
    exit(0);
}

static void just_return(void)
{
}

static void end_the_thread(void)
{
    pthread_exit(NULL);
}

static void be_cancelled(void)
{
    pthread_cancel(pthread_self());
    pthread_testcancel();
}

static const struct kind deaths[] = {
    {.name = "process killed"},
    {.name = "process leaves by _exit"},
    {.name = "process leaves by exit"},
    {.name = "process returns"},
    {.name = "thread returns", .in_threads = true},
    {.name = "thread leaves by pthread_exit", .in_threads = true},
    {.name = "thread is cancelled", .in_threads = true},
    {.name = NULL},
};
static void (*const die[])(void) = {be_killed,   exit_at_once,   exit_in_order, just_return,
                                    just_return, end_the_thread, be_cancelled};

#define OVER_DEATHS(name) OVER_CASES(name, deaths)

/* --- Ways to detect a death ------------------------------------------------------------------- */

/* Room for the message that will never be complete. */
static char room[LARGE];

static void detect_by_reading(pipc_t *pipe, int code)
{
    assert_errno(pipc_read(pipe, room, sizeof room), code);
}

static void detect_by_reading_for_a_while(pipc_t *pipe, int code)
{
    set_timeouts(pipe, SIDES_LONG_MS, -1);
    assert_errno(pipc_read(pipe, room, sizeof room), code);
}

/* Its waits do without the ticks that would wake a program which polls. */
static void detect_by_reading_when_polled(pipc_t *pipe, int code)
{
    assert_true(pipc_fd(pipe) >= 0);
    detect_by_reading(pipe, code);
}

static void detect_by_looking(pipc_t *pipe, int code)
{
    pipc_msg_t view;
    assert_errno(pipc_peek(pipe, &view), code);
}

static void detect_by_writing(pipc_t *pipe, int code)
{
    (void)code;
    fill_up(pipe, 1000);
    while (pipc_write(pipe, "x", 1) == 1)
        continue;
    assert_int_equal(errno, EPIPE);
}

static void wait_by_poll(int fd)
{
    assert_true(harness_readable(fd, SIDES_LONG_MS));
}

static void wait_by_select(int fd)
{
    fd_set set;
    struct timeval limit = {SIDES_LONG_MS / 1000, 0};
    FD_ZERO(&set);
    FD_SET((unsigned)fd, &set);
    assert_int_equal(select(fd + 1, &set, NULL, NULL, &limit), 1);
}

static int epoll_of(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};
    int set = epoll_create1(EPOLL_CLOEXEC);
    assert_true(set >= 0);
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
    return set;
}

static void wait_by_epoll(int set)
{
    struct epoll_event event;
    assert_int_equal(epoll_wait(set, &event, 1, SIDES_LONG_MS), 1);
}

/* A spurious wakeup is allowed: then a call finds nothing, and it is not readable again. */
static void wait_until_worthwhile(pipc_t *pipe, int fd, void (*wait)(int fd), int code)
{
    platform_needs(PLATFORM_DEATH_IN_POLL);
    set_timeouts(pipe, 0, -1);
    do
        wait(fd);
    while (pipc_read(pipe, room, sizeof room) == -1 && errno == EAGAIN);
    assert_errno(pipc_read(pipe, room, sizeof room), code);
}

static void detect_by_poll(pipc_t *pipe, int code)
{
    wait_until_worthwhile(pipe, pipc_fd(pipe), wait_by_poll, code);
}

static void detect_by_select(pipc_t *pipe, int code)
{
    wait_until_worthwhile(pipe, pipc_fd(pipe), wait_by_select, code);
}

static void detect_by_epoll(pipc_t *pipe, int code)
{
    int set = epoll_of(pipc_fd(pipe), EPOLLIN);
    wait_until_worthwhile(pipe, set, wait_by_epoll, code);
    close(set);
}

static void detect_by_edge(pipc_t *pipe, int code)
{
    int set = epoll_of(pipc_fd(pipe), EPOLLIN | EPOLLET);
    wait_until_worthwhile(pipe, set, wait_by_epoll, code);
    close(set);
}

static void detect_by_nested_epoll(pipc_t *pipe, int code)
{
    int inner = epoll_of(pipc_fd(pipe), EPOLLIN), outer = epoll_of(inner, EPOLLIN);
    wait_until_worthwhile(pipe, outer, wait_by_epoll, code);
    close(outer);
    close(inner);
}

/* --- The scene ------------------------------------------------------------------------------- */

enum bystander { NOBODY, OF_THE_SURVIVOR, OF_THE_DEAD, BYSTANDERS };

static struct stage {
    _Atomic int64_t died_ms;
    _Atomic pid_t orphan;
} * stage;
static struct sleeper survivor;
static struct harness_gate all_is_said, bystanders_may_go;
static void (*the_death)(void);
static enum bystander the_bystander;
static bool amid_a_message;

static int stand_by(void *unused)
{
    (void)unused;
    harness_gate_wait(&bystanders_may_go);
    return 0;
}

static void live_and_die(pipc_t *pipe)
{
    say(pipe, "here");
    if (the_bystander == OF_THE_DEAD)
        atomic_store(&stage->orphan, harness_fork(stand_by, NULL));
    if (amid_a_message) {
        set_timeouts(pipe, -1, 0);
        say_large(pipe, LARGE, 1);
    }
    harness_gate_open(&all_is_said);
    sleeper_wait(survivor);
    atomic_store(&stage->died_ms, harness_now_ms());
    the_death();
}

static void bury(struct side *side)
{
    if (side->in_thread)
        assert_int_equal(pthread_join(side->thread, NULL), 0);
    else
        harness_wait(side->pid);
}

/* Also waits for children that the death made orphans. */
static void set_the_stage(void)
{
    stage = shared_memory(sizeof *stage);
    survivor = sleeper_me();
    harness_gate_init(&all_is_said);
    harness_gate_init(&bystanders_may_go);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
}

static void clear_the_stage(pid_t bystander)
{
    harness_gate_open(&bystanders_may_go);
    if (atomic_load(&stage->orphan) > 0)
        bystander = atomic_load(&stage->orphan);
    if (bystander > 0)
        assert_int_equal(harness_wait(bystander), 0);
    harness_gate_close(&all_is_said);
    harness_gate_close(&bystanders_may_go);
    munmap(stage, sizeof *stage);
}

static void expect_a_quick_end(pipc_t *pipe, int code)
{
    int64_t took = harness_now_ms() - atomic_load(&stage->died_ms);
    if (took > SIDES_NOTICE_MS)
        fail_msg("noticed after %d ms", (int)took);
    set_timeouts(pipe, -1, -1);
    hear_the_end(pipe, code);
    expect_no_reader(pipe, code);
}

static void see_a_death(const struct kind *kind, script *life,
                        void (*detect)(pipc_t *pipe, int code))
{
    int code = amid_a_message ? ECONNRESET : EPIPE;
    struct side mortal;
    pid_t bystander = 0;
    set_the_stage();
    pipc_t *pipe = open_anonymous();
    if (the_bystander == OF_THE_SURVIVOR)
        bystander = harness_fork(stand_by, NULL);
    side_start(&mortal, kind, pipe, life);
    harness_gate_wait(&all_is_said);
    hear(pipe, "here");
    detect(pipe, code);
    expect_a_quick_end(pipe, code);
    bury(&mortal);
    hear_the_end(pipe, code);
    pipc_close(pipe);
    clear_the_stage(bystander);
}

static void see_deaths(const struct kind *kind, void (*detect)(pipc_t *pipe, int code))
{
    the_death = die[kind - deaths];
    for (the_bystander = NOBODY; the_bystander < BYSTANDERS; the_bystander++)
        see_a_death(kind, live_and_die, detect);
}

TEST_OF_KIND(a_blocked_read_ends_when_the_peer_dies)
{
    see_deaths(kind, detect_by_reading);
}

TEST_OF_KIND(a_read_with_a_deadline_ends_when_the_peer_dies)
{
    see_deaths(kind, detect_by_reading_for_a_while);
}

TEST_OF_KIND(a_blocked_peek_ends_when_the_peer_dies)
{
    see_deaths(kind, detect_by_looking);
}

TEST_OF_KIND(a_blocked_write_ends_when_the_peer_dies)
{
    see_deaths(kind, detect_by_writing);
}

TEST_OF_KIND(poll_returns_when_the_peer_dies)
{
    see_deaths(kind, detect_by_poll);
}

TEST_OF_KIND(select_returns_when_the_peer_dies)
{
    see_deaths(kind, detect_by_select);
}

TEST_OF_KIND(epoll_returns_when_the_peer_dies)
{
    see_deaths(kind, detect_by_epoll);
}

TEST_OF_KIND(edge_triggered_epoll_returns_when_the_peer_dies)
{
    see_deaths(kind, detect_by_edge);
}

TEST_OF_KIND(nested_epoll_returns_when_the_peer_dies)
{
    see_deaths(kind, detect_by_nested_epoll);
}

TEST_OF_KIND(a_read_returns_econnreset_when_the_peer_died_inside_a_message)
{
    static void (*const detect[])(pipc_t *,
                                  int) = {detect_by_reading, detect_by_reading_for_a_while,
                                          detect_by_looking, detect_by_poll,
                                          detect_by_epoll,   detect_by_edge};
    amid_a_message = true;
    for (size_t i = 0; i < sizeof detect / sizeof detect[0]; i++)
        see_deaths(kind, detect[i]);
}

/* --- Other lives ----------------------------------------------------------------------------- */

static int replace_the_program(void *arg)
{
    say(arg, "here");
    harness_gate_wait(&all_is_said);
    sleeper_wait(survivor);
    execl("/bin/sleep", "sleep", "60", (char *)NULL);
    return 1;
}

static void *note_when_it_execs(void *fd)
{
    char byte;
    assert_int_equal(read(*(int *)fd, &byte, 1), 0); /* only an exec closes the pipe's peer */
    atomic_store(&stage->died_ms, harness_now_ms());
    return NULL;
}

/* An exec closes the handle, but the process lives on as another program. */
static void see_an_exec(void (*detect)(pipc_t *pipe, int code))
{
    int until_exec[2];
    pthread_t watcher;
    harness_skip_without_proc();
    set_the_stage();
    pipc_t *pipe = open_anonymous();
    assert_int_equal(pipe2(until_exec, O_CLOEXEC), 0);
    pid_t pid = harness_fork(replace_the_program, pipe);
    close(until_exec[1]);
    assert_int_equal(pthread_create(&watcher, NULL, note_when_it_execs, until_exec), 0);
    hear(pipe, "here");
    harness_gate_open(&all_is_said);
    detect(pipe, EPIPE);
    assert_int_equal(pthread_join(watcher, NULL), 0);
    close(until_exec[0]);
    expect_a_quick_end(pipe, EPIPE);
    kill(pid, SIGKILL);
    assert_int_equal(harness_wait(pid), -SIGKILL);
    pipc_close(pipe);
    clear_the_stage(0);
}

TEST(blocked_calls_end_when_the_peer_execs)
{
    see_an_exec(detect_by_reading);
    see_an_exec(detect_by_reading_when_polled);
    see_an_exec(detect_by_reading_for_a_while);
    see_an_exec(detect_by_writing);
}

/* The thread dies, its process goes on. */
static void let_a_thread_live_and_die(pipc_t *pipe)
{
    struct side mortal;
    side_start(&mortal, anonymous_in_threads, pipe, live_and_die);
    bury(&mortal);
    harness_gate_wait(&bystanders_may_go);
}

static void see_a_thread_of_a_child_die(const struct kind *death,
                                        void (*detect)(pipc_t *pipe, int code))
{
    struct side child;
    the_death = die[death - deaths];
    set_the_stage();
    pipc_t *pipe = open_anonymous();
    side_start(&child, anonymous_forked, pipe, let_a_thread_live_and_die);
    hear(pipe, "here");
    detect(pipe, EPIPE);
    expect_a_quick_end(pipe, EPIPE);
    harness_gate_open(&bystanders_may_go);
    side_end(&child);
    pipc_close(pipe);
    clear_the_stage(0);
}

TEST(the_end_of_a_peer_thread_in_a_living_child_is_detected)
{
    for (const struct kind *death = deaths; death->name != NULL; death++) {
        if (!death->in_threads)
            continue;
        see_a_thread_of_a_child_die(death, detect_by_reading);
        see_a_thread_of_a_child_die(death, detect_by_poll);
        see_a_thread_of_a_child_die(death, detect_by_edge);
    }
}

static void *survive_the_main_thread(void *pipe)
{
    hear(pipe, "here");
    detect_by_reading(pipe, EPIPE);
    expect_a_quick_end(pipe, EPIPE);
    pipc_close(pipe);
    _exit(0);
}

static int end_the_main_thread(void *pipe)
{
    pthread_t thread;
    say(pipe, "here");
    assert_int_equal(pthread_create(&thread, NULL, survive_the_main_thread, pipe), 0);
    pthread_detach(thread);
    atomic_store(&stage->died_ms, harness_now_ms());
    pthread_exit(NULL);
}

TEST(the_end_of_a_main_thread_before_its_process_is_detected)
{
    set_the_stage();
    pipc_t *pipe = open_anonymous();
    assert_int_equal(harness_wait(harness_fork(end_the_main_thread, pipe)), 0);
    pipc_close(pipe);
    clear_the_stage(0);
}

struct orphan_scene {
    pipc_t *pipe;
    void (*detect)(pipc_t *pipe, int code);
};

static int outlive_the_parent(void *arg)
{
    struct orphan_scene *scene = arg;
    hear(scene->pipe, "here");
    scene->detect(scene->pipe, EPIPE);
    expect_a_quick_end(scene->pipe, EPIPE);
    return 0;
}

static int die_as_a_parent(void *arg)
{
    struct orphan_scene *scene = arg;
    pid_t pid = harness_fork(outlive_the_parent, scene);
    atomic_store(&stage->orphan, pid);
    survivor = (struct sleeper){pid, pid};
    live_and_die(scene->pipe);
    return 1;
}

TEST(a_child_detects_the_death_of_its_parent)
{
    static void (*const detect[])(pipc_t *, int) = {detect_by_reading, detect_by_writing,
                                                    detect_by_poll, detect_by_edge};
    the_death = be_killed;
    for (size_t i = 0; i < sizeof detect / sizeof detect[0]; i++) {
        set_the_stage();
        struct orphan_scene scene = {open_anonymous(), detect[i]};
        assert_int_equal(harness_wait(harness_fork(die_as_a_parent, &scene)), -SIGKILL);
        clear_the_stage(0);
        pipc_close(scene.pipe);
    }
}

HARNESS_MAIN("anonymous death", OVER_DEATHS(a_blocked_read_ends_when_the_peer_dies),
             OVER_DEATHS(a_read_with_a_deadline_ends_when_the_peer_dies),
             OVER_DEATHS(a_blocked_peek_ends_when_the_peer_dies),
             OVER_DEATHS(a_blocked_write_ends_when_the_peer_dies),
             OVER_DEATHS(poll_returns_when_the_peer_dies),
             OVER_DEATHS(select_returns_when_the_peer_dies),
             OVER_DEATHS(epoll_returns_when_the_peer_dies),
             OVER_DEATHS(edge_triggered_epoll_returns_when_the_peer_dies),
             OVER_DEATHS(nested_epoll_returns_when_the_peer_dies),
             OVER_DEATHS(a_read_returns_econnreset_when_the_peer_died_inside_a_message),
             IT(blocked_calls_end_when_the_peer_execs),
             IT(the_end_of_a_peer_thread_in_a_living_child_is_detected),
             IT(the_end_of_a_main_thread_before_its_process_is_detected),
             IT(a_child_detects_the_death_of_its_parent))
