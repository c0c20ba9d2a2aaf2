/* SPDX-License-Identifier: MIT */
/*
 * An anonymous pipe among many threads: threads that come and go lose and duplicate no message. A
 * program with busy threads forks children that use new and inherited handles.
 */
#include "anonymous.h"

#include <poll.h>
#include <sched.h>

/* --- Coming and going ------------------------------------------------------------------------ */

enum { VISITORS = 6 };

/* What all visitors together have said and heard. */
static struct account {
    _Atomic uint64_t said, sum_said, heard, sum_heard, byes_said, byes_heard;
} * account;
static int visits;

static void take_any_end(pipc_t *pipe)
{
    while (pipc_set_timeout(pipe, 0, 0) != 0) {
        assert_int_equal(errno, EBUSY);
        sched_yield();
    }
}

static void say_something(pipc_t *pipe)
{
    uint64_t number = harness_random();
    ssize_t n = pipc_write(pipe, &number, sizeof number);
    if (n < 0) {
        assert_int_equal(errno, EAGAIN);
        return;
    }
    atomic_fetch_add(&account->said, 1);
    atomic_fetch_add(&account->sum_said, number);
}

static void hear_all(pipc_t *pipe)
{
    uint64_t number;
    for (;;) {
        ssize_t n = pipc_read(pipe, &number, sizeof number);
        if (n == sizeof number) {
            atomic_fetch_add(&account->heard, 1);
            atomic_fetch_add(&account->sum_heard, number);
        } else if (n < 0 && errno == ESHUTDOWN) {
            atomic_fetch_add(&account->byes_heard, 1);
        } else {
            assert_int_equal(n, -1);
            assert_int_equal(errno, EAGAIN);
            return;
        }
    }
}

static void leave_sooner_or_later(pipc_t *pipe)
{
    while (pipc_disconnect(pipe, "x") != 0) {
        assert_int_equal(errno, EAGAIN);
        hear_all(pipe);
        sched_yield();
    }
    atomic_fetch_add(&account->byes_said, 1);
}

static void visit_again_and_again(pipc_t *pipe)
{
    for (int i = 0; i < visits; i++) {
        take_any_end(pipe);
        for (size_t n = harness_random_below(20); n > 0; n--)
            say_something(pipe);
        hear_all(pipe);
        leave_sooner_or_later(pipe);
    }
}

static void hear_the_rest(pipc_t *pipe)
{
    take_any_end(pipe);
    hear_all(pipe);
}

TEST_OF_KIND(threads_that_come_and_go_lose_and_duplicate_no_message)
{
    pipc_t *pipe = open_anonymous();
    struct side side[VISITORS];
    account = shared_memory(sizeof *account);
    visits = 300 / harness_scale();
    for (int i = 0; i < VISITORS; i++)
        side_start(&side[i], kind, pipe, visit_again_and_again);
    for (int i = 0; i < VISITORS; i++)
        side_end(&side[i]);
    hear_the_rest(pipe);
    side_play(anonymous_in_threads, pipe, hear_the_rest);
    assert_int_equal(account->said, account->heard);
    assert_int_equal(account->sum_said, account->sum_heard);
    assert_int_equal(account->byes_said, VISITORS * visits);
    assert_int_equal(account->byes_heard, account->byes_said);
    pipc_close(pipe);
    munmap(account, sizeof *account);
}

/* One thread stays and answers each visitor. */
static void be_a_guest(pipc_t *pipe)
{
    for (int i = 0; i < visits; i++) {
        uint64_t number = harness_random(), answer;
        while (pipc_write(pipe, &number, sizeof number) < 0) {
            assert_int_equal(errno, EBUSY);
            sched_yield();
        }
        assert_int_equal(pipc_read(pipe, &answer, sizeof answer), sizeof answer);
        assert_true(answer == ~number);
        leave(pipe, NULL);
    }
}

static void answer_guests(pipc_t *pipe, int count)
{
    uint64_t number;
    while (count > 0) {
        ssize_t n = pipc_read(pipe, &number, sizeof number);
        if (n < 0) {
            assert_int_equal(errno, ESHUTDOWN);
            count--;
            continue;
        }
        number = ~number;
        assert_int_equal(pipc_write(pipe, &number, sizeof number), sizeof number);
    }
}

TEST_OF_KIND(one_thread_answers_threads_that_take_turns)
{
    pipc_t *pipe = open_anonymous();
    struct side side[VISITORS];
    visits = 200 / harness_scale();
    assert_int_equal(pipc_pending(pipe), 0);
    for (int i = 0; i < VISITORS; i++)
        side_start(&side[i], kind, pipe, be_a_guest);
    answer_guests(pipe, VISITORS * visits);
    for (int i = 0; i < VISITORS; i++)
        side_end(&side[i]);
    hear_nothing(pipe);
    pipc_close(pipe);
}

/* --- Busy threads and fork ------------------------------------------------------------------- */

enum { BUSY = 8, LARGEST = 100000 };
static pipc_t *busy[BUSY];
static struct harness_gate talking;
static atomic_bool stop;

/* Everything that can be had from that handle now. Returns whether it was the goodbye. */
static bool echo_some(pipc_t *pipe, char *data)
{
    ssize_t n;
    while ((n = pipc_read(pipe, data, LARGEST)) >= 0) {
        assert_int_equal(pipc_write(pipe, data, (size_t)n), n);
    }
    assert_true(errno == EAGAIN || errno == ESHUTDOWN);
    return errno == ESHUTDOWN;
}

static int echo_all(void *unused)
{
    (void)unused;
    static char data[LARGEST];
    struct pollfd item[BUSY];
    for (int i = 0; i < BUSY; i++) {
        set_timeouts(busy[i], 0, -1);
        item[i] = (struct pollfd){pipc_fd(busy[i]), POLLIN, 0};
    }
    for (int left = BUSY; left > 0;) {
        assert_true(poll(item, BUSY, -1) > 0);
        for (int i = 0; i < BUSY; i++)
            if (item[i].revents != 0 && echo_some(busy[i], data)) {
                item[i].fd = -1;
                left--;
            }
    }
    return 0;
}

/* Once they talk, the threads allocate nothing: a sanitizer's allocator, unlike the C library's,
 * may be left locked in a child when it is busy at the time of the fork. */
static char spoken[BUSY][LARGEST], heard[BUSY][LARGEST];

static void *talk_until_stopped(void *number)
{
    size_t me = (size_t)(uintptr_t)number;
    for (int round = 0; !atomic_load(&stop); round++) {
        uint64_t tag = harness_random();
        size_t size = harness_random_below(4) == 0 ? harness_random_below(LARGEST)
                                                   : harness_random_below(100);
        harness_fill(spoken[me], size, tag);
        assert_int_equal(pipc_write(busy[me], spoken[me], size), size);
        assert_int_equal(pipc_read(busy[me], heard[me], LARGEST), size);
        harness_check(heard[me], size, tag);
        if (round == 0)
            harness_gate_open(&talking);
    }
    leave(busy[me], "enough");
    return NULL;
}

static void answer_three(pipc_t *pipe)
{
    for (int i = 0; i < 3; i++)
        say_number(pipe, hear_number(pipe) + 1);
    leave(pipe, "answered");
}

static void ask_three(pipc_t *pipe)
{
    for (int i = 0; i < 3; i++) {
        say_number(pipe, i);
        assert_int_equal(hear_number(pipe), i + 1);
    }
    hear_bye(pipe, "answered");
}

static int use_fresh_and_inherited(void *inherited)
{
    struct side grandchild;
    pipc_t *fresh = open_anonymous();
    side_start(&grandchild, anonymous_forked, fresh, answer_three);
    ask_three(fresh);
    side_end(&grandchild);
    pipc_close(fresh);
    answer_three(inherited);
    pipc_close(inherited);
    return 0;
}

static void fork_beside_busy_threads(void)
{
    pipc_t *inherited = open_anonymous();
    for (int i = 0; i < 40 / harness_scale(); i++) {
        pid_t pid = harness_fork(use_fresh_and_inherited, inherited);
        ask_three(inherited);
        assert_int_equal(harness_wait(pid), 0);
    }
    pipc_close(inherited);
}

TEST(a_child_of_a_busy_program_uses_new_and_inherited_handles)
{
    pthread_t thread[BUSY];
    harness_gate_init(&talking);
    for (int i = 0; i < BUSY; i++)
        busy[i] = open_anonymous();
    pid_t echo = harness_fork(echo_all, NULL);
    for (uintptr_t i = 0; i < BUSY; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, talk_until_stopped, (void *)i), 0);
    for (int i = 0; i < BUSY; i++)
        harness_gate_wait(&talking);
    fork_beside_busy_threads();
    atomic_store(&stop, true);
    for (int i = 0; i < BUSY; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(harness_wait(echo), 0);
    for (int i = 0; i < BUSY; i++)
        pipc_close(busy[i]);
    harness_gate_close(&talking);
}

HARNESS_MAIN("anonymous threads",
             OVER_ANONYMOUS_KINDS(threads_that_come_and_go_lose_and_duplicate_no_message),
             OVER_ANONYMOUS_KINDS(one_thread_answers_threads_that_take_turns),
             IT(a_child_of_a_busy_program_uses_new_and_inherited_handles))
