/* SPDX-License-Identifier: MIT */
/*
 * The move into shared memory while calls to the system fail, are cut short or are interrupted, and
 * while one side is killed at each of its calls. What was accepted arrives in order, unless the
 * pipe is dead; of a killed side, whole messages arrive and then an end. Nothing leaks.
 */
#include "moving.h"

#include <signal.h>
#include <unistd.h>

#include "fault.h"
#include "net.h"

enum { MESSAGES = 14, LARGEST = 40000, LONG_MS = 20000 };

static const size_t sizes[MESSAGES] = {3, 1, 0, 300, 20000, 2, 2, 4000, LARGEST, 1, 17, 3, 0, 500};

/* --- One script ------------------------------------------------------------------------------- */

struct run {
    pipc_t *end[2];
    bool accepted[2][MESSAGES]; /* by end */
    int next[2];                /* the first that can still arrive from that end */
    bool is_dead;
};

static bool passes(int error)
{
    return error == EAGAIN || error == ENOMEM || error == ENOBUFS;
}

static void note_result(struct run *r, ssize_t result)
{
    r->is_dead = r->is_dead || (result < 0 && !passes(errno));
}

static void send_one(struct run *r, int from, int number)
{
    static unsigned char data[LARGEST];
    bool was_armed = fault_armed();
    fault_disarm();
    harness_fill(data, sizes[number], (unsigned)(number + from * MESSAGES));
    if (was_armed)
        fault_arm();
    ssize_t size = pipc_write(r->end[from], data, sizes[number]);
    r->accepted[from][number] = size >= 0;
    note_result(r, size);
}

/* A message has come: the next that was accepted. The test's own calls do not fail. */
static void check(struct run *r, int from, const unsigned char *data, size_t size)
{
    bool was_armed = fault_armed();
    fault_disarm();
    int number = r->next[from];
    while (number < MESSAGES && !r->accepted[from][number])
        number++;
    assert_in_range(number, 0, MESSAGES - 1);
    assert_int_equal(size, sizes[number]);
    harness_check(data, size, (unsigned)(number + from * MESSAGES));
    r->next[from] = number + 1;
    if (was_armed)
        fault_arm();
}

static void receive_one(struct run *r, int at)
{
    static unsigned char data[LARGEST];
    pipc_flush(r->end[1 - at]);
    ssize_t got = pipc_read(r->end[at], data, sizeof data);
    if (got >= 0)
        check(r, 1 - at, data, (size_t)got);
    note_result(r, got);
}

static void expect_all(struct run *r)
{
    for (int i = 0; i < 4 * MESSAGES && !r->is_dead; i++)
        receive_one(r, i % 2);
    for (int from = 0; from < 2 && !r->is_dead; from++)
        for (int i = r->next[from]; i < MESSAGES; i++)
            assert_false(r->accepted[from][i]);
}

/* `prepare` sets the faults. */
static void run_script(void (*prepare)(void *context), void *context, bool polls)
{
    struct run r = {.is_dead = false};
    fault_reset();
    int before = harness_open_descriptors();
    moving_open(r.end, 0, NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipc_set_timeout(r.end[i], 0, 0), 0);
    prepare(context);
    fault_arm();
    if (polls) {
        pipc_fd(r.end[0]);
        pipc_fd(r.end[1]);
    }
    for (int i = 0; i < MESSAGES; i++) {
        send_one(&r, 1, i);
        receive_one(&r, 0);
        send_one(&r, 0, i);
        receive_one(&r, 1);
    }
    fault_disarm();
    expect_all(&r);
    fault_arm();
    pipc_close(r.end[0]);
    pipc_close(r.end[1]);
    fault_disarm();
    assert_int_equal(harness_open_descriptors(), before);
    assert_int_equal(fault_bad_closes(), 0);
}

static void fail_each(bool polls)
{
    struct fault_plan plan = {0};
    run_script(fault_follow, &plan, polls);
    unsigned long calls = fault_calls(CALL_ANY);
    assert_true(fault_calls(CALL_recvmsg) > 0 && fault_calls(CALL_sendmsg) > 0);
    assert_true(fault_calls(CALL_memfd_create) == 1 && fault_calls(CALL_fstatfs) == 2);
    for (plan.nth = 1; plan.nth <= calls; plan.nth++)
        for (plan.more = 0; plan.more != 1; plan.more = plan.more == 0 ? FAULT_FOREVER : 1)
            for (plan.which = 0;; plan.which++) {
                if (harness_random_below((size_t)harness_scale()) != 0)
                    break;
                run_script(fault_follow, &plan, polls);
                if (fault_failed() == CALL_NONE || plan.which + 1 >= fault_errors(fault_failed()))
                    break;
            }
    fault_reset();
}

TEST(each_call_of_the_move_fails_once_and_for_good)
{
    fail_each(false);
}

TEST(each_call_of_the_move_fails_while_both_are_polled)
{
    fail_each(true);
}

static void prepare_shortness(void *unused)
{
    (void)unused;
    fault_shorten(true);
    fault_interrupt(3);
}

static void prepare_eagain(void *unused)
{
    (void)unused;
    fault_shorten(true);
    fault_eagain_after_poll(true);
}

TEST(calls_of_the_move_are_cut_short_and_interrupted)
{
    for (int i = 0; i < 200 / harness_scale() + 1; i++) {
        run_script(prepare_shortness, NULL, i % 2 == 0);
        run_script(prepare_eagain, NULL, i % 2 == 0);
    }
    fault_reset();
}

/* --- Killed ----------------------------------------------------------------------------------- */

static void open_socket(pipc_t *end[2])
{
    moving_open(end, 0, NULL);
}

static void open_pair(pipc_t *end[2])
{
    moving_open_pair(end, 0);
}

struct mortal {
    pipc_t *end[2];
    int who;
    unsigned long call;
    bool only_sends;
};

static void talk(pipc_t *pipe, bool first, bool only_sends)
{
    static unsigned char data[LARGEST];
    for (unsigned i = 0; i < MESSAGES; i++) {
        if (!first && !only_sends && pipc_read(pipe, data, sizeof data) < 0)
            return;
        harness_fill(data, sizes[i], i);
        if (pipc_write(pipe, data, sizes[i]) < 0)
            return;
        if (first && !only_sends && pipc_read(pipe, data, sizeof data) < 0)
            return;
    }
}

static int talk_and_die(void *arg)
{
    struct mortal *mortal = arg;
    pipc_close(mortal->end[1 - mortal->who]);
    fault_reset();
    fault_die_at(mortal->call);
    fault_arm();
    talk(mortal->end[mortal->who], mortal->who == 1, mortal->only_sends);
    fault_disarm();
    pipc_close(mortal->end[mortal->who]);
    return 0;
}

/* Whole messages in order, then an end, which stays. Returns how many messages came. */
static unsigned survive(pipc_t *pipe, bool first, bool only_reads)
{
    static unsigned char data[LARGEST];
    unsigned count = 0;
    for (;; count++) {
        harness_fill(data, sizes[count % MESSAGES], count);
        if (first && !only_reads && count < MESSAGES &&
            pipc_write(pipe, data, sizes[count % MESSAGES]) < 0)
            assert_int_equal(errno, EPIPE);
        ssize_t got = pipc_read(pipe, data, sizeof data);
        if (got < 0)
            break;
        assert_true(count < MESSAGES);
        assert_int_equal(got, sizes[count]);
        harness_check(data, (size_t)got, count);
        if (!first && !only_reads && pipc_write(pipe, data, (size_t)got) < 0)
            assert_int_equal(errno, EPIPE);
    }
    int error = errno;
    assert_true(error == EPIPE || error == ECONNRESET);
    assert_errno(pipc_read(pipe, data, sizeof data), error);
    assert_errno(pipc_write(pipe, data, 1), error == EPIPE ? EPIPE : errno);
    return count;
}

static void kill_at_each_call(void (*open)(pipc_t *end[2]), int who, bool only_sends)
{
    int status;
    struct mortal mortal = {.who = who, .call = 1, .only_sends = only_sends};
    do {
        open(mortal.end);
        pid_t pid = harness_fork(talk_and_die, &mortal);
        pipc_t *survivor = mortal.end[1 - who];
        pipc_close(mortal.end[who]);
        assert_int_equal(pipc_set_timeout(survivor, LONG_MS, LONG_MS), 0);
        unsigned count = survive(survivor, who == 0, only_sends);
        status = harness_wait(pid);
        assert_true(status == 0 ? count == MESSAGES : status == -SIGKILL);
        pipc_close(survivor);
        mortal.call += status == 0 ? 0 : (unsigned long)(harness_scale() > 4 ? 5 : 1);
    } while (status != 0);
    assert_true(mortal.call > 10);
}

TEST(a_server_that_is_killed_at_each_call_leaves_whole_messages_and_an_end)
{
    kill_at_each_call(open_socket, 1, false);
}

TEST(a_client_that_is_killed_at_each_call_leaves_whole_messages_and_an_end)
{
    kill_at_each_call(open_socket, 0, false);
}

TEST(a_sending_server_that_is_killed_at_each_call_leaves_whole_messages_and_an_end)
{
    kill_at_each_call(open_socket, 1, true);
}

/* Either end may begin, and then it offers. */
TEST(an_end_of_a_pair_that_is_killed_at_each_call_leaves_whole_messages_and_an_end)
{
    kill_at_each_call(open_pair, 0, false);
    kill_at_each_call(open_pair, 1, false);
}

TEST(a_sending_end_of_a_pair_that_is_killed_leaves_whole_messages_and_an_end)
{
    kill_at_each_call(open_pair, 0, true);
    kill_at_each_call(open_pair, 1, true);
}

HARNESS_MAIN("moving into shared memory, faults",
             IT_WITHIN(each_call_of_the_move_fails_once_and_for_good, 3 * HARNESS_TIMEOUT_MS),
             IT_WITHIN(each_call_of_the_move_fails_while_both_are_polled, 3 * HARNESS_TIMEOUT_MS),
             IT(calls_of_the_move_are_cut_short_and_interrupted),
             IT(a_server_that_is_killed_at_each_call_leaves_whole_messages_and_an_end),
             IT(a_client_that_is_killed_at_each_call_leaves_whole_messages_and_an_end),
             IT(a_sending_server_that_is_killed_at_each_call_leaves_whole_messages_and_an_end),
             IT(an_end_of_a_pair_that_is_killed_at_each_call_leaves_whole_messages_and_an_end),
             IT(a_sending_end_of_a_pair_that_is_killed_leaves_whole_messages_and_an_end))
